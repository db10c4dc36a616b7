//! Many rows in one statement. The input is one JSON array, the only difference between the engines' texts:
//! `json_each` on SQLite, `jsonb_to_recordset` on PostgreSQL, each wrapped so that the rest of the statement is the same.
//!
//! A statement is written once with `{rows}` where the array stands in its FROM clause and `{name:type}` for its values.

use std::collections::{BTreeMap, HashMap};
use std::sync::{LazyLock, Mutex};

use sqlx::AssertSqlSafe;

use super::{Result, Tx};
use crate::on;

/// Bytes of one bound JSON array: SQLite copies it, so it stays moderate.
const JSON_BYTES_MAX: usize = 4_000_000;

/// Rows per statement; a larger input runs in several statements of the same transaction.
pub const ROWS_MAX: usize = 1_000;

/// SQLite hands out an element of `json_each` as text, written anew and parsed anew for each of its values; as JSONB it is read
/// in place, three times as fast. The limit, which is none, keeps the planner from putting the conversion back into each value.
const READ_ONCE: &str = "(select jsonb(value) as value from json_each($1) limit -1) as r";

/// Runs `template` once per chunk of `rows` and returns how many rows were affected.
///
/// Types in `{name:type}`: `uuid`, `text`, `int`, `bool`, `time`, `date`, `bytes` (hex). Null passes through.
pub async fn execute(tx: &mut Tx, template: &'static str, rows: &[serde_json::Value]) -> Result<u64> {
    let mut affected = 0;
    for chunk in rows.chunks(ROWS_MAX) {
        let json = serde_json::to_string(chunk).expect("rows are plain JSON");
        debug_assert!(json.len() <= JSON_BYTES_MAX, "a chunk of rows is bounded");
        let sql = text(tx, template);
        affected += on!(tx, |conn| sqlx::query(AssertSqlSafe(sql)).bind(json).execute(conn).await?.rows_affected());
    }
    Ok(affected)
}

/// The engine's text of a template, made once.
pub fn text(tx: &Tx, template: &'static str) -> String {
    static TEXTS: LazyLock<Mutex<HashMap<(bool, &'static str), String>>> = LazyLock::new(Mutex::default);
    let postgres = matches!(tx, Tx::Postgres(_));
    let mut texts = TEXTS.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    texts.entry((postgres, template)).or_insert_with(|| expand(template, postgres)).clone()
}

/// The text of a template whose array is another parameter than the first, for a part of a larger statement.
pub fn part(tx: &Tx, template: &'static str, parameter: u8) -> String {
    text(tx, template).replacen("$1", &format!("${parameter}"), 1)
}

/// Bytes as text as a value of the type `bytes`.
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn expand(template: &str, postgres: bool) -> String {
    let slots: Vec<(&str, &str)> = template.split('{').skip(1).map(|rest| slot(rest.split('}').next().unwrap_or_default())).collect();
    let rows = if postgres { typed_rows(&slots) } else { READ_ONCE.to_owned() };
    let mut out = String::with_capacity(template.len() * 2);
    let mut rest = template;
    while let Some(start) = rest.find('{') {
        let end = start + rest[start..].find('}').expect("a template closes its braces");
        out.push_str(&rest[..start]);
        match slot(&rest[start + 1..end]) {
            ("rows", "") => out.push_str(&rows),
            (name, kind) => out.push_str(&value(name, kind, postgres)),
        }
        rest = &rest[end + 1..];
    }
    out.push_str(rest);
    out
}

/// The name and the type of a slot; `{rows}` has none.
fn slot(text: &str) -> (&str, &str) {
    assert!(text == "rows" || text.contains(':'), "a template knows {{rows}} and {{name:type}}");
    text.split_once(':').unwrap_or((text, ""))
}

/// The array as a table with typed columns. A cast at the place of use would be made once per pair of rows in a nested loop,
/// and without statistics the planner takes a thousand rows for a handful and chooses one: seconds instead of milliseconds.
fn typed_rows(slots: &[(&str, &str)]) -> String {
    let mut columns: BTreeMap<&str, &str> = BTreeMap::new();
    for (name, kind) in slots.iter().filter(|(_, kind)| !kind.is_empty()) {
        let before = columns.insert(name, sql_type(kind));
        assert!(before.is_none_or(|before| before == sql_type(kind)), "{name} has two types in one statement");
    }
    let columns: Vec<String> = columns.iter().map(|(name, kind)| format!("\"{name}\" {kind}")).collect();
    format!("jsonb_to_recordset($1::jsonb) as r({})", columns.join(", "))
}

fn sql_type(kind: &str) -> &'static str {
    match kind {
        "uuid" => "uuid",
        "text" | "bytes" => "text",
        "int" => "bigint",
        "bool" => "boolean",
        "time" => "timestamptz",
        "date" => "date",
        other => panic!("unknown type {other} in a bulk statement"),
    }
}

fn value(name: &str, kind: &str, postgres: bool) -> String {
    match (postgres, kind) {
        (true, "bytes") => format!("decode(r.\"{name}\", 'hex')"),
        (true, _) => format!("r.\"{name}\""),
        (false, "uuid") => format!("unhex(replace(r.value->>'{name}', '-', ''))"),
        (false, "bytes") => format!("unhex(r.value->>'{name}')"),
        (false, "text" | "int" | "bool" | "time" | "date") => format!("(r.value->>'{name}')"),
        (false, other) => panic!("unknown type {other} in a bulk statement"),
    }
}

/// A time as both engines store it; SQLite compares text, so the form must be the one that sqlx writes.
pub fn time(at: chrono::DateTime<chrono::Utc>) -> String {
    at.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, false)
}

/// A list of ids as input rows for `{id:uuid}`.
pub fn ids(ids: &[uuid::Uuid]) -> Vec<serde_json::Value> {
    ids.iter().map(|id| serde_json::json!({ "id": id })).collect()
}
