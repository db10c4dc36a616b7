//! What some tests need from the machine, and what happens when it is not there.
//!
//! Plain `cargo test` passes with nothing installed, and says by name what it left out. With `CI=true` a left-out part
//! is a failure: a green run that tested half is worse than a red one. `tests/run` installs and starts all of it.

use std::env;
use std::io::Write;
use std::path::{Path, PathBuf};

/// Folders beside PATH in which servers are installed; a user's PATH often lacks them.
const SERVER_FOLDERS: [&str; 2] = ["/usr/sbin", "/usr/local/sbin"];

/// The address of the throw-away PostgreSQL, which `tests/pg` starts; none if this test must go on without.
pub fn postgres() -> Option<String> {
    let address = env::var("CHENLIAN_TEST_POSTGRES").ok().filter(|address| !address.is_empty());
    if address.is_none() {
        leave_out("PostgreSQL (CHENLIAN_TEST_POSTGRES is not set; run `tests/pg cargo test`)");
    }
    address
}

/// A program that is installed; none if this test must go on without.
pub fn program(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let found =
        env::split_paths(&path).chain(SERVER_FOLDERS.map(PathBuf::from)).map(|folder| folder.join(name)).find(|file| file.is_file());
    if found.is_none() {
        leave_out(&format!("{name} (not installed)"));
    }
    found
}

/// A program of this workspace; none if only a part of it was built.
pub fn built(path: &Path) -> Option<PathBuf> {
    let there = path.is_file();
    if !there {
        leave_out(&format!("{} (not built; run `cargo test --workspace`)", path.display()));
    }
    there.then(|| path.to_owned())
}

#[track_caller]
fn leave_out(what: &str) {
    let thread = std::thread::current();
    let test = thread.name().unwrap_or("a test");
    match verdict(test, what, env::var("CI").is_ok_and(|value| value == "true")) {
        // Not eprintln!, which the test runner keeps to itself when the test passes.
        Ok(line) => std::io::stderr().write_all(line.as_bytes()).expect("stderr is open"),
        Err(failure) => panic!("{failure}"),
    }
}

/// The line to show, or in CI the failure.
fn verdict(test: &str, what: &str, is_ci: bool) -> Result<String, String> {
    if is_ci { Err(format!("{test} needs {what}, and CI leaves nothing out")) } else { Ok(format!("left out: {test} without {what}\n")) }
}

#[test]
fn what_is_left_out_is_said_by_name_and_fails_in_ci() {
    assert_eq!(verdict("a_test", "mosquitto", false).as_deref(), Ok("left out: a_test without mosquitto\n"));
    assert!(verdict("a_test", "mosquitto", true).is_err());
    assert!(program("cargo").is_some(), "a program on the PATH is found");
}

#[test]
fn the_throw_away_postgres_keeps_its_promises_like_a_real_one() {
    let Some(address) = postgres() else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime starts");
    let settings: Vec<String> = runtime.block_on(async {
        use sqlx::Connection;
        let mut connection = sqlx::PgConnection::connect(&address).await.expect("the address answers");
        sqlx::query_scalar("select setting from pg_settings where name in ('fsync', 'synchronous_commit')")
            .fetch_all(&mut connection)
            .await
            .expect("settings can be read")
    });
    assert_eq!(settings, ["on", "on"], "the server is not ready on a database that forgets");
}
