//! ARCHITECTURE.md tells where things are; a map that lags behind the land misleads whoever trusts it.

use super::source::{self, File};
use std::fs;

const WORDS_MAX: usize = 1200;
const MAP_HEADING: &str = "## Code map";

/// Folders whose paths the page may name; a path elsewhere is an example.
const NAMED_PLACES: &[&str] = &["src/", "tests/", "deploy/", "migrations/", "firmware-sim/", "locales/", "templates/", "static/"];

/// What must be on the map: the rooms of `src`, and the nouns of `src/domain`.
fn rooms(paths: &[String]) -> Vec<String> {
    let mut rooms = Vec::new();
    for path in paths {
        let mut parts = path.trim_start_matches("src/").split('/');
        let first = parts.next().unwrap_or_default().trim_end_matches(".rs");
        let second = parts.next().filter(|_| first == "domain").unwrap_or_default().trim_end_matches(".rs");
        for name in [first, second] {
            let is_room = !["", "main", "lib", "mod", "tests"].contains(&name);
            if is_room && !rooms.iter().any(|room| room == name) {
                rooms.push(name.to_owned());
            }
        }
    }
    rooms
}

fn map_findings(page: &str, rooms: &[String]) -> Vec<String> {
    let Some((_, after)) = page.split_once(MAP_HEADING) else {
        return vec![format!("ARCHITECTURE.md has no section `{MAP_HEADING}`")];
    };
    let map = after.split("\n## ").next().unwrap_or(after);
    let mut findings = Vec::new();
    for room in rooms {
        if source::positions(map, room).is_empty() {
            findings.push(format!("ARCHITECTURE.md: the code map does not name `{room}`"));
        }
    }
    findings
}

/// Paths in backticks that lead nowhere. A path with `{`, `<` or `*` stands for several.
fn dead_path_findings(page: &str, exists: impl Fn(&str) -> bool) -> Vec<String> {
    let mut findings = Vec::new();
    for (index, quoted) in page.split('`').enumerate() {
        let is_inside = index % 2 == 1;
        let is_path = NAMED_PLACES.iter().any(|place| quoted.starts_with(place)) && !quoted.contains(['{', '<', '*', ' ', '\n']);
        if is_inside && is_path && !exists(quoted) {
            findings.push(format!("ARCHITECTURE.md: `{quoted}` does not exist"));
        }
    }
    findings
}

fn length_findings(page: &str) -> Vec<String> {
    let words = page.split_whitespace().count();
    if words > WORDS_MAX { vec![format!("ARCHITECTURE.md: {words} words, at most {WORDS_MAX}")] } else { Vec::new() }
}

#[test]
fn the_code_map_shows_the_land() {
    let page = fs::read_to_string(source::root().join("ARCHITECTURE.md"))
        .expect("ARCHITECTURE.md is there: it holds the code map that this test compares with src");
    let paths: Vec<String> = source::files(&["src"]).into_iter().map(|file: File| file.path).collect();
    let mut findings = map_findings(&page, &rooms(&paths));
    findings.extend(dead_path_findings(&page, |path| source::root().join(path).exists()));
    findings.extend(length_findings(&page));
    super::assert_none(&findings);
}

#[test]
fn a_room_that_is_not_on_the_map_is_seen() {
    let paths = ["src/app.rs", "src/domain/alert.rs", "src/domain/mod.rs", "src/store/mod.rs", "src/store/alerts.rs"];
    let rooms = rooms(&paths.map(str::to_owned));
    assert_eq!(rooms, ["app", "domain", "alert", "store"]);
    let cases = [
        ("## Code map\n`app` `domain` `store`: alert\n", 0),
        ("## Code map\n`app` `domain` `store`: alerts\n", 1),
        ("## Code map\n`app` `domain`\n## Later\n`store` alert\n", 2),
        ("`app` `domain` `store` alert", 1),
    ];
    for (page, expected) in cases {
        assert_eq!(map_findings(page, &rooms).len(), expected, "{page}");
    }
}

#[test]
fn a_path_that_leads_nowhere_and_an_endless_page_are_seen() {
    let cases = [("see `src/app.rs`", 0), ("see `src/gone.rs`", 1), ("see `src/{a,b}.rs` and `chk/1`", 0), ("src/gone.rs", 0)];
    for (page, expected) in cases {
        assert_eq!(dead_path_findings(page, |path| path == "src/app.rs").len(), expected, "{page}");
    }
    assert_eq!(length_findings(&"word ".repeat(WORDS_MAX)).len(), 0);
    assert_eq!(length_findings(&"word ".repeat(WORDS_MAX + 1)).len(), 1);
}
