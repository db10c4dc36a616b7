//! Size and place of files: what stands at the top, how long a file may be, how it begins.

use super::source::{self, File};
use std::fs;

const FILE_LINES_MAX: usize = 500;
const MAIN_LINES_MAX: usize = 60;

/// What may stand at the top of the project.
const TOP_LEVEL: &[&str] = &[
    ".ci",
    ".git",
    ".gitignore",
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE",
    "README.md",
    "benches",
    "clippy.toml",
    "config.default.toml",
    "deny.toml",
    "deploy",
    "docs",
    "firmware-sim",
    "fuzz",
    "locales",
    "migrations",
    "rustfmt.toml",
    "src",
    "static",
    "templates",
    "tests",
];

/// Names that say nothing about what is inside.
const EMPTY_NAMES: &[&str] = &["utils", "util", "common", "helpers", "helper", "manager", "service", "misc"];

fn top_level_findings(entries: &[String], ignored: &str) -> Vec<String> {
    let mut findings = Vec::new();
    for entry in entries {
        if !TOP_LEVEL.contains(&entry.as_str()) && !is_ignored(entry, ignored) {
            findings.push(format!("{entry}: not one of the top-level entries that the architecture names"));
        }
    }
    findings
}

/// The two forms that the project's .gitignore uses: a name, and an ending.
fn is_ignored(entry: &str, ignored: &str) -> bool {
    ignored.lines().any(|line| {
        let pattern = line.trim().trim_matches('/');
        entry == pattern || pattern.strip_prefix('*').is_some_and(|ending| !ending.is_empty() && entry.ends_with(ending))
    })
}

fn file_findings(file: &File) -> Vec<String> {
    let mut findings = Vec::new();
    let mut say = |what: String| findings.push(format!("{}: {what}", file.path));
    let lines = file.text.lines().count();
    let lines_max = if file.path == "src/main.rs" { MAIN_LINES_MAX } else { FILE_LINES_MAX };
    if lines > lines_max {
        say(format!("{lines} lines, at most {lines_max}: split it by meaning"));
    }
    if !source::is_test_path(&file.path) && !file.text.starts_with("//!") && !file.text.starts_with("#!") {
        say("does not open with `//!`: what it is for and what must stay true".to_owned());
    }
    for part in file.path.trim_end_matches(".rs").split('/') {
        if EMPTY_NAMES.contains(&part) {
            say(format!("`{part}` says nothing about what is inside"));
        }
    }
    findings
}

/// Folders that exist on one developer's machine only; spelled in pieces, so that this file does not name them itself.
fn machine_path_findings(file: &File) -> Vec<String> {
    let folders = [["/wo", "rk/"], ["/ro", "ot/"], ["/ho", "me/"], ["/Us", "ers/"], ["../sha", "red/"]];
    let mut findings = Vec::new();
    for folder in folders.map(|pieces| pieces.concat()) {
        for (at, _) in file.text.match_indices(&folder) {
            let line = source::line_of(&file.text, at);
            findings.push(format!("{}:{line}: `{folder}` is a folder of one machine", file.path));
        }
    }
    findings
}

#[test]
fn only_what_the_architecture_names_stands_at_the_top() {
    let mut entries = Vec::new();
    for entry in fs::read_dir(source::root()).expect("the project's folder is readable") {
        let entry = entry.expect("the project's folder is readable");
        entries.push(entry.file_name().to_string_lossy().into_owned());
    }
    let ignored = fs::read_to_string(source::root().join(".gitignore")).expect(".gitignore is there");
    super::assert_none(&top_level_findings(&entries, &ignored));
}

#[test]
fn every_source_file_is_short_and_says_what_it_is_for() {
    let mut findings = Vec::new();
    for file in source::files(&["src", "firmware-sim", "tests", "benches"]) {
        if source::has_ending(&file.path, "rs") {
            findings.extend(file_findings(&file));
        }
    }
    super::assert_none(&findings);
}

#[test]
fn no_file_knows_a_developers_machine() {
    let mut findings = Vec::new();
    for place in TOP_LEVEL.iter().filter(|place| **place != ".git") {
        for file in source::files(&[place]) {
            findings.extend(machine_path_findings(&file));
        }
    }
    super::assert_none(&findings);
}

#[test]
fn a_stray_file_at_the_top_is_seen() {
    let cases = [("notes.txt", 1), ("scripts", 1), ("src", 0), ("target", 0), ("demo.db", 0), ("database", 1)];
    for (entry, expected) in cases {
        let findings = top_level_findings(&[entry.to_owned()], "target/\n*.db\n\n");
        assert_eq!(findings.len(), expected, "{entry}");
    }
}

#[test]
fn a_long_nameless_or_headless_file_is_seen() {
    let head = "//! What it is for.\n";
    let long = format!("{head}{}", "\n".repeat(FILE_LINES_MAX));
    let cases = [
        ("src/jobs/watch.rs", head, 0),
        ("src/jobs/watch.rs", "use std::fs;\n", 1),
        ("src/jobs/watch.rs", long.as_str(), 1),
        ("src/main.rs", &long[..head.len() + MAIN_LINES_MAX], 1),
        ("src/store/utils.rs", head, 1),
        ("src/helpers/text.rs", head, 1),
        ("tests/it/alerts.rs", "use std::fs;\n", 0),
    ];
    for (path, text, expected) in cases {
        let file = File { path: path.to_owned(), text: text.to_owned() };
        assert_eq!(file_findings(&file).len(), expected, "{path}");
    }
}

#[test]
fn a_path_of_one_machine_is_seen() {
    for (text, expected) in [(["see /wo", "rk/main/notes"].concat(), 1), ("see /var/lib/chenlian".to_owned(), 0)] {
        let file = File { path: "deploy/README.md".to_owned(), text };
        assert_eq!(machine_path_findings(&file).len(), expected, "{}", file.text);
    }
}
