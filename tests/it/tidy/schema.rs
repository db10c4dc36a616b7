//! The two migration folders tell the same story: same files, tables, columns, what may be null, and indexes.
//!
//! Types differ, because the engines' do. A column that only one engine has is a query that fails on the other, in
//! production, at night.

use super::source::{self, File};
use std::collections::{BTreeMap, BTreeSet};

/// Column lines that are none.
const CONSTRAINTS: &[&str] = &["primary", "unique", "foreign", "check", "constraint", "exclude"];

#[derive(Debug, Default, PartialEq)]
struct Schema {
    /// Table → its columns in order, each with `not null` where it says so.
    tables: BTreeMap<String, Vec<String>>,
    /// The whole text of each index.
    indexes: BTreeSet<String>,
    /// Tables without `strict`, which SQLite needs in order to check types at all.
    loose: Vec<String>,
}

/// Understands `create table`, `create index`, `alter table … add column`, `drop table`; anything else is left aside.
fn schema(text: &str) -> Schema {
    let mut schema = Schema::default();
    for statement in statements(text) {
        let words: Vec<&str> = statement.split(' ').collect();
        match words[..] {
            ["create", "table", name, ..] => {
                let (columns, end) = columns(&statement);
                schema.tables.insert(name.to_owned(), columns);
                if !end.contains("strict") {
                    schema.loose.push(name.to_owned());
                }
            }
            ["alter", "table", name, "add", "column", ..] => {
                let column = column(&words[5..].join(" "));
                schema.tables.entry(name.to_owned()).or_default().extend(column);
            }
            ["drop", "table", name, ..] => {
                schema.tables.remove(name);
            }
            ["create", "index", ..] | ["create", "unique", "index", ..] => {
                schema.indexes.insert(statement);
            }
            _ => {}
        }
    }
    schema
}

/// The statements without comments, lower case, one space between words, brackets apart from words.
fn statements(text: &str) -> Vec<String> {
    let mut bare = String::new();
    for line in text.lines() {
        bare.push_str(line.split("--").next().unwrap_or_default());
        bare.push(' ');
    }
    let spaced = bare.to_lowercase().replace('(', " ( ").replace(')', " ) ").replace(',', " , ");
    let mut statements = Vec::new();
    for statement in spaced.split(';') {
        let words: Vec<&str> = statement.split_whitespace().collect();
        statements.push(words.join(" ").replace("if not exists ", ""));
    }
    statements
}

/// The columns of a `create table`, and what follows its closing bracket.
fn columns(statement: &str) -> (Vec<String>, String) {
    let mut columns = Vec::new();
    let mut depth = 0_usize;
    let mut part = String::new();
    let mut end = String::new();
    for word in statement.split(' ') {
        match word {
            "(" => depth += 1,
            ")" => depth = depth.saturating_sub(1),
            _ => {}
        }
        let is_part_over = (depth == 1 && word == ",") || (depth == 0 && word == ")");
        if is_part_over {
            columns.extend(column(&part));
            part.clear();
        } else if depth > 0 && !(depth == 1 && word == "(") {
            part.push_str(word);
            part.push(' ');
        } else if depth == 0 {
            end.push_str(word);
            end.push(' ');
        }
    }
    (columns, end)
}

/// `name`, or `name not null`; none for a constraint.
fn column(part: &str) -> Option<String> {
    let name = part.split_whitespace().next().filter(|name| !CONSTRAINTS.contains(name))?;
    // PostgreSQL's counters are never null without saying so.
    let is_never_null = part.contains("not null") || part.contains("as identity") || part.contains("serial");
    Some(if is_never_null { format!("{name} not null") } else { name.to_owned() })
}

fn differences(sqlite: &Schema, postgres: &Schema) -> Vec<String> {
    let mut findings = Vec::new();
    let names: BTreeSet<&String> = sqlite.tables.keys().chain(postgres.tables.keys()).collect();
    for name in names {
        let (left, right) = (sqlite.tables.get(name), postgres.tables.get(name));
        if left != right {
            let one_sided = |a: Option<&Vec<String>>, b: Option<&Vec<String>>| -> Vec<String> {
                let other = b.map(Vec::as_slice).unwrap_or_default();
                a.into_iter().flatten().filter(|column| !other.contains(column)).cloned().collect()
            };
            findings.push(format!(
                "table {name}: only SQLite has {:?}, only PostgreSQL has {:?} (both empty: another order)",
                one_sided(left, right),
                one_sided(right, left)
            ));
        }
    }
    for index in sqlite.indexes.symmetric_difference(&postgres.indexes) {
        findings.push(format!("index on one engine only: {index}"));
    }
    for table in &sqlite.loose {
        findings.push(format!("table {table}: not strict on SQLite"));
    }
    findings
}

#[test]
fn both_engines_have_the_same_tables_and_columns() {
    let sqlite = source::files(&["migrations/sqlite"]);
    let postgres = source::files(&["migrations/postgres"]);
    let names =
        |files: &[File]| -> Vec<String> { files.iter().filter_map(|file| file.path.rsplit('/').next().map(str::to_owned)).collect() };
    assert!(!sqlite.is_empty(), "migrations/sqlite is empty: nothing is compared");
    assert_eq!(names(&sqlite), names(&postgres), "the two folders must have the same file names");
    let whole = |files: &[File]| files.iter().map(|file| file.text.as_str()).collect::<Vec<_>>().join("\n");
    let (sqlite, postgres) = (schema(&whole(&sqlite)), schema(&whole(&postgres)));
    assert!(!sqlite.tables.is_empty(), "no table was understood: nothing is compared");
    super::assert_none(&differences(&sqlite, &postgres));
}

#[test]
fn a_difference_between_the_engines_is_seen() {
    let base = "create table a (\n  id blob not null, -- why\n  b text check (b in ('x', 'y')),\n  primary key (id)\n) strict;\n\
                create index a_b on a (b);";
    let same = "create table if not exists a (id uuid not null, b text, primary key (id));\ncreate index a_b on a (b);";
    let cases = [
        (same.to_owned(), 0),
        (same.replace("b text", "c text"), 1),
        (same.replace("b text", "b text not null"), 1),
        (same.replace("id uuid not null, b text", "b text, id uuid not null"), 1),
        (same.replace("(b);", "(b, id);"), 2),
        (format!("{same} create table z (id uuid);"), 1),
        (format!("{same} alter table a add column c text;"), 1),
    ];
    for (postgres, expected) in cases {
        assert_eq!(differences(&schema(base), &schema(&postgres)).len(), expected, "{postgres}");
    }
    let loose = base.replace(" strict", "");
    assert_eq!(differences(&schema(&loose), &schema(same)), ["table a: not strict on SQLite"]);
}

#[test]
fn a_table_is_read_column_by_column() {
    let text =
        "create table a (id blob not null primary key, b numeric(3, 1), unique (b)) strict; alter table a add column c text not null;";
    assert_eq!(schema(text).tables["a"], ["id not null", "b", "c not null"]);
}
