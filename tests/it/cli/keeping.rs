//! Migrations, copies and the way back, on the built binary.

use std::path::Path;

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection};

use super::binary::Installation;
use crate::harness::{fresh_schema, needs};

async fn sqlite(file: &Path) -> SqliteConnection {
    SqliteConnectOptions::new().filename(file).connect().await.expect("the database opens")
}

pub async fn change(file: &Path, sql: &'static str) {
    let mut connection = sqlite(file).await;
    sqlx::query(sql).execute(&mut connection).await.expect("the change is made");
    connection.close().await.expect("the connection closes");
}

/// Every row of a table as text.
pub async fn rows(file: &Path, table: &str) -> Vec<String> {
    let mut connection = sqlite(file).await;
    let columns: Vec<String> = sqlx::query_scalar("select 'quote(' || name || ')' from pragma_table_info($1)")
        .bind(table)
        .fetch_all(&mut connection)
        .await
        .expect("columns");
    let sql = format!("select {} from {table}", columns.join(" || '|' || "));
    let mut rows: Vec<String> = sqlx::query_scalar(AssertSqlSafe(sql)).fetch_all(&mut connection).await.expect("rows");
    connection.close().await.expect("the connection closes");
    rows.sort();
    rows
}

/// Every row of every table, with its table.
async fn everything(file: &Path) -> Vec<(String, Vec<String>)> {
    let mut connection = sqlite(file).await;
    let tables: Vec<String> = sqlx::query_scalar("select name from sqlite_master where type = 'table' order by name")
        .fetch_all(&mut connection)
        .await
        .expect("tables");
    connection.close().await.expect("the connection closes");
    let mut all = Vec::new();
    for table in tables {
        let rows = rows(file, &table).await;
        all.push((table, rows));
    }
    all
}

#[test]
fn migrate_check_lists_what_is_missing_and_changes_nothing() {
    let home = Installation::new();
    home.run(&["migrate", "--check"]).refused(1, &["no database yet"]);
    assert!(!home.database().exists(), "a question makes no database");
    std::fs::create_dir(home.data()).expect("the folder is new");
    std::fs::write(home.database(), "").expect("an empty file is an empty database");
    home.run(&["migrate", "--check"]).refused(1, &["0001 initial", "chenlian migrate"]);
    home.run(&["migrate", "--check"]).refused(1, &["0001 initial"]);
    let told = home.run(&["migrate"]).succeeded();
    assert!(told.out.contains("0001 initial"), "{told:?}");
    home.run(&["migrate", "--check"]).succeeded();
    let server = home.serve();
    home.run(&["migrate", "--check"]).succeeded();
    server.stop();
}

#[tokio::test]
async fn a_copy_made_while_the_server_runs_brings_back_the_same_rows() {
    let home = Installation::new();
    let server = home.serve();
    home.add_administrator().succeeded();
    let told = home.run(&["backup", "copy.db"]).succeeded();
    assert!(told.out.contains("key"), "the copy has no key, and that is said: {told:?}");
    let copied = everything(&home.file("copy.db")).await;
    assert!(copied.iter().any(|(table, rows)| table == "member" && rows.len() == 1), "{copied:?}");
    home.run(&["backup", "copy.db"]).refused(1, &["exists already"]);
    home.run(&["restore", "copy.db"]).refused(1, &["Another chenlian process"]);

    home.run(&["token", "create", "--member", "13800138000"]).succeeded();
    server.stop();
    let later = everything(&home.database()).await;
    assert_ne!(later, copied, "the server went on after the copy");
    let told = home.run(&["restore", "copy.db"]).succeeded();
    assert_eq!(everything(&home.database()).await, copied);
    let aside = told.out.split_whitespace().find(|word| word.contains(".before-restore-")).expect("what was there is kept").to_owned();
    assert_eq!(everything(Path::new(&aside)).await, later);
    home.serve().stop();
}

#[cfg(unix)]
#[test]
fn a_copy_is_readable_by_its_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let home = Installation::new();
    home.serve().stop();
    home.run(&["backup", "copy.db"]).succeeded();
    let mode = home.file("copy.db").metadata().expect("the copy is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[tokio::test]
async fn what_is_no_whole_copy_of_ours_is_not_put_back() {
    let home = Installation::new();
    home.add_administrator().succeeded();
    home.run(&["backup", "copy.db"]).succeeded();
    let before = everything(&home.database()).await;

    std::fs::write(home.file("text"), "not a database, although long enough to be looked at\n".repeat(100)).expect("written");
    let mut damaged = std::fs::read(home.file("copy.db")).expect("the copy is there");
    damaged[4_200..60_000].fill(0xff);
    std::fs::write(home.file("damaged"), damaged).expect("written");
    std::fs::copy(home.file("copy.db"), home.file("newer")).expect("copied");
    change(&home.file("newer"), "update _sqlx_migrations set version = 9999 where version = 2").await;
    std::fs::write(home.file("foreign"), "").expect("an empty file is an empty database");

    for (file, word) in
        [("text", "damaged"), ("damaged", "damaged"), ("newer", "newer version"), ("foreign", "not a database"), ("nowhere", "nowhere")]
    {
        home.run(&["restore", file]).refused(1, &[word]);
        assert_eq!(everything(&home.database()).await, before, "{file} changed the database");
    }
}

#[test]
fn a_copy_of_postgres_brings_back_the_same_members_and_overwrites_nothing() {
    let (Some(server), Some(_), Some(psql)) = (needs::postgres(), needs::program("pg_dump"), needs::program("psql")) else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime starts");
    let url = runtime.block_on(fresh_schema(&server));
    let (_, schema) = url.rsplit_once('=').expect("the schema is in the URL");
    let home = Installation::on(url.clone());
    let running = home.serve();
    home.add_administrator().succeeded();
    home.run(&["backup", "copy.dump"]).succeeded();
    running.stop();
    home.run(&["restore", "copy.dump"]).refused(1, &["not empty"]);
    let dropped = std::process::Command::new(psql).args([&server, "--command", &format!("drop schema {schema} cascade")]).output();
    assert!(dropped.expect("psql runs").status.success());
    home.run(&["restore", "copy.dump"]).succeeded();
    home.run(&["migrate", "--check"]).succeeded();
    home.add_administrator().refused(1, &["phone"]);
    home.serve().stop();
}

#[test]
fn without_the_tool_of_postgres_the_command_to_run_elsewhere_is_printed_without_its_password() {
    let home = Installation::on("postgres://anna:battery@127.0.0.1:1/c".to_owned());
    let output = home.command(&["backup", "copy.dump"]).env("PATH", "").output().expect("the program runs");
    let err = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{err}");
    assert!(err.contains("pg_dump --format=custom") && err.contains("anna@127.0.0.1:1/c") && !err.contains("battery"), "{err}");
    assert!(!home.file("copy.dump").exists() && !home.file("copy.dump.partial").exists(), "nothing half done is left");
}

#[tokio::test]
async fn verify_names_what_is_wrong_by_id_and_ends_with_one() {
    let home = Installation::new();
    home.run(&["verify"]).refused(1, &["no database yet"]);
    home.run(&["migrate"]).succeeded();
    home.run(&["verify"]).succeeded();
    home.add_administrator().succeeded();
    change(&home.database(), "update place_closure set depth = 7").await;
    let told = home.run(&["verify"]).refused(1, &["place_closure", "unplanned"]);
    assert!(!told.out.contains('王') && !told.out.contains("13800138000"), "ids only: {told:?}");
}

// I30
#[tokio::test]
async fn a_second_site_is_made_on_the_console_and_its_administrator_sees_it_alone() {
    let here = Installation::new();
    here.add_administrator().succeeded();
    here.run(&["site", "add", "--name", "西城", "--timezone", "Asia/Nowhere"]).refused(2, &["--timezone"]);
    let made = here.run(&["site", "add", "--name", "西城", "--timezone", "Asia/Urumqi"]).succeeded();
    // Printed as the command that comes next.
    let street = made.out.split_once("--place ").and_then(|(_, rest)| rest.split(' ').next()).expect("the street is named");
    let nowhere = ["member", "add", "--phone", "13900139000", "--name", "李", "--role", "administrator", "--password-stdin"];
    here.run_with(&nowhere, "every morning\n").refused(1, &["--place"]);
    here.run_with(&[&nowhere[..], &["--place", street]].concat(), "every morning\n").succeeded();
    let server = here.serve();
    for (phone, name) in [("13900139000", "西城"), ("13800138000", "")] {
        let api = format!("http://{}/api/v1", server.http);
        let sign_in = serde_json::json!({"phone": phone, "password": "every morning", "kind": "bearer"});
        let answer = super::binary::client().post(format!("{api}/sessions")).json(&sign_in).send().await.expect("the server answers");
        let answer: serde_json::Value = answer.json().await.expect("JSON");
        let token = answer["token"].as_str().expect("a token");
        let sites = super::binary::client().get(format!("{api}/sites")).bearer_auth(token).send().await.expect("the server answers");
        let sites: serde_json::Value = sites.json().await.expect("JSON");
        assert_eq!(sites["items"].as_array().map(Vec::len), Some(1), "{sites}");
        assert_eq!(sites["items"][0]["name"] == "西城", name == "西城", "{sites}");
    }
    server.stop();
}

#[test]
fn a_made_key_for_web_push_is_alone_on_stdout_and_the_settings_take_it() {
    let home = Installation::new();
    let made = home.run(&["channel", "vapid"]).succeeded();
    assert!(!made.err.contains(made.out.lines().nth(1).expect("the key's line")), "the key is shown once");
    let file = home.file("chenlian.toml");
    std::fs::write(&file, made.out.replace("subject = \"\"", "subject = \"mailto:ops@example.org\"")).expect("the folder is writable");
    let shown = home.run(&["--config", file.to_str().expect("UTF-8"), "config"]).succeeded();
    assert!(shown.out.contains("(hidden)") && !shown.out.contains(made.out.split('"').nth(1).expect("a key")));
    assert_ne!(home.run(&["channel", "vapid"]).succeeded().out, made.out);
}

#[test]
fn a_channel_is_tried_from_the_command_line_and_says_in_words_what_is_wrong() {
    let home = Installation::new();
    home.run(&["channel", "test", "aliyun_sms", "--to", "13900000001"]).refused(1, &["not set up"]);
    home.run(&["channel", "test", "pigeon", "--to", "x"]).refused(2, &["aliyun_sms"]);
    let file = home.file("chenlian.toml");
    std::fs::write(&file, "[channels.ntfy]\nbase_url = \"http://127.0.0.1:1\"\n").expect("the folder is writable");
    let config = file.to_str().expect("UTF-8");
    home.run(&["--config", config, "channel", "test", "ntfy", "--to", "street-3"]).refused(1, &["cannot be reached"]);
    home.run(&["--config", config, "channel", "test", "ntfy", "--to", "a b"]).refused(1, &["no spaces"]);
}
