//! Many rows in one statement. The input is one JSON array, the only difference between the engines' texts:
//! `json_each` on SQLite, `jsonb_array_elements` on PostgreSQL, each wrapped so that the rest of the statement is the same.
//!
//! A statement is written once with `{rows}` where the array stands in its FROM clause and `{name:type}` for its values.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{LazyLock, Mutex};

use sqlx::AssertSqlSafe;

use super::{Result, Tx};
use crate::on;

/// Bytes of one bound JSON array: SQLite copies it, so it stays moderate.
const JSON_BYTES_MAX: usize = 4_000_000;

/// Rows per statement; a larger input runs in several statements of the same transaction.
pub const ROWS_MAX: usize = 1_000;

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

fn expand(template: &str, postgres: bool) -> String {
    let mut out = String::with_capacity(template.len() * 2);
    let mut rest = template;
    while let Some(start) = rest.find('{') {
        let end = start + rest[start..].find('}').expect("a template closes its braces");
        out.push_str(&rest[..start]);
        out.push_str(&value(&rest[start + 1..end], postgres));
        rest = &rest[end + 1..];
    }
    out.push_str(rest);
    out
}

fn value(slot: &str, postgres: bool) -> Cow<'static, str> {
    let Some((name, kind)) = slot.split_once(':') else {
        assert_eq!(slot, "rows", "a template knows {{rows}} and {{name:type}}");
        return if postgres { "jsonb_array_elements($1::jsonb) as r(value)".into() } else { "json_each($1) as r".into() };
    };
    if postgres {
        let cast = match kind {
            "uuid" => "uuid",
            "text" => "text",
            "int" => "bigint",
            "bool" => "boolean",
            "time" => "timestamptz",
            "date" => "date",
            "bytes" => return format!("decode(r.value->>'{name}', 'hex')").into(),
            other => panic!("unknown type {other} in a bulk statement"),
        };
        format!("(r.value->>'{name}')::{cast}").into()
    } else {
        match kind {
            "uuid" => format!("unhex(replace(r.value->>'{name}', '-', ''))").into(),
            "bytes" => format!("unhex(r.value->>'{name}')").into(),
            "text" | "int" | "bool" | "time" | "date" => format!("(r.value->>'{name}')").into(),
            other => panic!("unknown type {other} in a bulk statement"),
        }
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
