//! The walls between the rooms, as words that must not stand in them.

use super::source::{self, Source};

/// Where the words of a wall are looked for.
#[derive(Clone, Copy)]
enum View {
    Code,
    Literals,
}

/// Words that must not stand in some files, with one example that breaks the rule and one that keeps it.
struct Wall {
    rule: &'static str,
    guards: fn(&str) -> bool,
    view: View,
    words: &'static [&'static str],
    broken: (&'static str, &'static str),
    kept: (&'static str, &'static str),
}

const WALLS: &[Wall] = &[
    Wall {
        rule: "SQL stands only in src/store",
        guards: |path| is_program(path) && !path.starts_with("src/store/"),
        view: View::Code,
        words: &["sqlx::query", "query!", "query_as", "query_scalar", "QueryBuilder", "raw_sql", "migrate!", "AssertSqlSafe"],
        broken: ("src/http/api/alerts.rs", "let row = query_as(TEXT).fetch_one(pool).await?;"),
        kept: ("src/store/alerts.rs", "let row = query_as(TEXT).fetch_one(pool).await?;"),
    },
    Wall {
        rule: "SQL stands only in src/store",
        guards: |path| is_program(path) && !path.starts_with("src/store/"),
        view: View::Literals,
        words: &["insert into", "delete from", "select id", "select count", "for update", "\"select ", "pragma "],
        broken: ("src/jobs/watch.rs", "run(\"delete from trigger\")"),
        kept: ("src/jobs/watch.rs", "// delete from the list what was seen\nrun(\"seen\")"),
    },
    Wall {
        rule: "only src/clock.rs reads the time: pass `now` in",
        guards: |path| is_program(path) && path != "src/clock.rs",
        view: View::Code,
        words: &["Utc::now", "Local::now", "SystemTime::now", "UNIX_EPOCH.elapsed"],
        broken: ("src/jobs/watch.rs", "let now = chrono::Utc::now();"),
        kept: ("src/clock.rs", "let now = chrono::Utc::now();"),
    },
    Wall {
        rule: "the monotonic clock is for sockets (keep-alive, rate): it stops while a machine sleeps, so nothing due may use it",
        guards: |path| is_program(path) && path != "src/clock.rs" && !path.starts_with("src/mqtt/") && !path.starts_with("src/http/"),
        view: View::Code,
        words: &["Instant::now"],
        broken: ("src/jobs/watch.rs", "let started = Instant::now();"),
        kept: ("src/mqtt/endpoint/connection.rs", "let last_heard = Instant::now();"),
    },
    Wall {
        rule: "no query reads the database's clock, except to compare it with ours: bind the time",
        guards: |path| path.starts_with("src/store/") && path != "src/store/clock.rs",
        view: View::Literals,
        words: &["now()", "current_timestamp", "current_date", "current_time", "'now'", "clock_timestamp", "random()", "gen_random_uuid"],
        broken: ("src/store/checks.rs", "query(\"update check set at = now()\")"),
        kept: ("src/store/checks.rs", "query(\"update check set at = $1\")"),
    },
    Wall {
        rule: "domain is pure: no waiting, no input or output, no clock, no randomness",
        guards: |path| path.starts_with("src/domain/"),
        view: View::Code,
        words: &[
            "async",
            ".await",
            "tokio",
            "sqlx",
            "axum",
            "reqwest",
            "std::fs",
            "std::io",
            "std::net",
            "std::env",
            "std::thread",
            "std::process",
            "Mutex",
            "RwLock",
            "AtomicU64",
            "AtomicI64",
            "AtomicUsize",
            "AtomicBool",
            "rand",
            "getrandom",
            "new_v4",
            "now_v7",
            "Instant",
            "SystemTime",
            "tracing",
            "metrics",
            "println!",
            "eprintln!",
            "print!",
            "eprint!",
            "thread_local!",
        ],
        broken: ("src/domain/check.rs", "pub async fn assess() {}"),
        kept: ("src/domain/check.rs", "/// Not async.\npub fn assess(operand: u8) {}"),
    },
    Wall {
        rule: "domain knows no other room",
        guards: |path| path.starts_with("src/domain/"),
        view: View::Code,
        words: &[
            "crate::store",
            "crate::ingest",
            "crate::mqtt",
            "crate::jobs",
            "crate::notify",
            "crate::http",
            "crate::config",
            "crate::clock",
            "crate::app",
            "crate::demo",
        ],
        broken: ("src/domain/alert.rs", "use crate::store::Tx;"),
        kept: ("src/domain/alert.rs", "use crate::domain::check::Check;"),
    },
    Wall {
        rule: "nothing is sent from the room that holds transactions: a notice is a row first",
        guards: |path| path.starts_with("src/store/"),
        view: View::Code,
        words: &["reqwest", "rumqttc", "TcpStream", "crate::notify", "crate::http", "crate::mqtt"],
        broken: ("src/store/outbox.rs", "use crate::notify::webhook;"),
        kept: ("src/store/outbox.rs", "use crate::domain::notice::Notice;"),
    },
    Wall {
        rule: "only src/http/error.rs makes a 5xx",
        guards: |path| is_program(path) && path != "src/http/error.rs",
        view: View::Code,
        words: &["INTERNAL_SERVER_ERROR", "SERVICE_UNAVAILABLE", "BAD_GATEWAY", "GATEWAY_TIMEOUT", "INSUFFICIENT_STORAGE"],
        broken: ("src/http/api/checks.rs", "return StatusCode::INTERNAL_SERVER_ERROR;"),
        kept: ("src/http/error.rs", "return StatusCode::INTERNAL_SERVER_ERROR;"),
    },
    Wall {
        rule: "only the demo uses firmware_sim as a library: the golden messages are the contract",
        guards: |path| is_program(path) && !is_demo(path),
        view: View::Code,
        words: &["firmware_sim"],
        broken: ("src/ingest/native.rs", "use firmware_sim::encode;"),
        kept: ("src/demo/sensors.rs", "use firmware_sim::fleet;"),
    },
    Wall {
        rule: "nothing is left unfinished, silenced or skipped",
        guards: |_| true,
        view: View::Code,
        words: &["todo!", "unimplemented!", "dbg!", "#[ignore", "#[allow(", "#![allow(", "should_panic"],
        broken: ("tests/it/alerts.rs", "#[allow(dead_code)]\nfn f() {}"),
        kept: ("tests/it/alerts.rs", "#[expect(dead_code, reason = \"todo!\")]\nfn f() {}"),
    },
    Wall {
        rule: "a failure that cannot happen says why: expect(\"reason\"), never unwrap()",
        guards: |path| !source::is_test_path(path),
        view: View::Code,
        words: &[".unwrap()", ".expect(\"\")"],
        broken: ("src/app.rs", "let x = y.unwrap();"),
        kept: ("src/app.rs", "let x = y.unwrap_or(0);\n#[cfg(test)]\nmod tests { fn f() { y.unwrap(); } }"),
    },
];

/// The server itself, tests left out.
fn is_program(path: &str) -> bool {
    path.starts_with("src/") && !source::is_test_path(path)
}

pub fn is_demo(path: &str) -> bool {
    path == "src/demo.rs" || path.starts_with("src/demo/")
}

impl Wall {
    fn findings(&self, source: &Source) -> Vec<String> {
        let mut findings = Vec::new();
        if !(self.guards)(&source.path) {
            return findings;
        }
        let text = match self.view {
            View::Code => source.code.clone(),
            View::Literals => source.literals.to_lowercase(),
        };
        for word in self.words {
            for at in source::positions(&text, word) {
                findings.push(format!("{}:{}: `{word}`: {}", source.path, source::line_of(&text, at), self.rule));
            }
        }
        findings
    }
}

#[test]
fn the_walls_between_the_rooms_stand() {
    let mut findings = Vec::new();
    for source in source::rust_sources(&["src", "firmware-sim", "tests", "benches"]) {
        for wall in WALLS {
            findings.extend(wall.findings(&source));
        }
    }
    super::assert_none(&findings);
}

#[test]
fn a_wall_that_falls_is_seen() {
    for wall in WALLS {
        let (path, text) = wall.broken;
        assert_eq!(wall.findings(&Source::of(path, text)).len(), 1, "{}: not seen in {text}", wall.rule);
        let (path, text) = wall.kept;
        assert_eq!(wall.findings(&Source::of(path, text)), Vec::<String>::new(), "{}", wall.rule);
    }
}
