//! Start, refusals to start, and stop.

use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::binary::{Installation, Server, WAIT_MAX, client, free_port};

#[tokio::test]
async fn the_first_start_keeps_its_data_private_and_says_how_to_make_the_first_administrator() {
    let home = Installation::new();
    let mut server = home.serve();
    let said = server.says("characters");
    assert!(said.contains(env!("CARGO_BIN_EXE_chenlian")), "the command can be pasted: {said}");
    assert!(said.contains(" member add --phone PHONE --name NAME --role administrator --password-stdin"), "{said}");

    let mode = |path: &std::path::Path| path.metadata().expect("it is there").permissions().mode() & 0o777;
    assert_eq!(mode(&home.data()), 0o700);
    let files: Vec<_> = std::fs::read_dir(home.data()).expect("the folder is made").map(|file| file.expect("readable").path()).collect();
    assert!(files.len() >= 3, "database, lock and key: {files:?}");
    for file in &files {
        assert_eq!(mode(file), 0o600, "{}", file.display());
    }

    let told = home.add_administrator().succeeded();
    assert!(told.out.contains("administrator"), "{told:?}");
    let body = json!({ "phone": "+86 138 0013 8000", "password": "every morning" }).to_string();
    let request = client().post(format!("http://{}/api/v1/sessions", server.http)).header("content-type", "application/json").body(body);
    let answer = request.send().await.expect("the server answers");
    assert!(answer.status().is_success(), "{}", answer.status());
    server.stop();
    let again = home.serve();
    assert!(again.greeting.contains("running"));
    let told = home.add_administrator();
    told.refused(1, &["phone"]);
}

#[tokio::test]
async fn a_token_is_printed_once_and_lets_a_program_in() {
    let home = Installation::new();
    home.add_administrator().succeeded();
    let server = home.serve();
    let told = home.run(&["token", "create", "--member", "138-0013-8000"]).succeeded();
    let token = told.out.trim();
    assert_eq!(token.lines().count(), 1, "only the token: {told:?}");
    let url = format!("http://{}/api/v1/sessions", server.http);
    let answer = client().get(&url).bearer_auth(token).send().await.expect("the server answers");
    assert_eq!(answer.status(), 200);
    home.run(&["token", "create", "--member", "13900139000"]).refused(1, &["--member"]);
}

#[test]
fn a_second_server_on_the_same_file_refuses_and_the_first_goes_on() {
    let home = Installation::new();
    let server = home.serve();
    home.run(&["serve"]).refused(1, &["Another chenlian process", "Stop it first"]);
    home.run(&["migrate"]).refused(1, &["Another chenlian process"]);
    server.stop();
    home.serve().stop();
}

#[test]
fn a_wrong_setting_stops_the_start_with_its_key_and_what_is_allowed() {
    let home = Installation::new();
    for (key, value, words) in [
        ("CHENLIAN_WATCH__TICK", "11s", ["watch.tick", "at most 10s"]),
        ("CHENLIAN_CHECK__GRACE", "soon", ["check.grace", "\"15m\""]),
        ("CHENLIAN_HTTP__LISTEN", "0.0.0.0:80", ["http.listen", "loopback"]),
        ("CHENLIAN_DATABASE__URL", "mysql://db/x", ["database.url", "sqlite://FILE"]),
        ("CHENLIAN_CHECK__GARCE", "15m", ["garce", "grace"]),
    ] {
        let output = home.command(&["serve"]).env(key, value).output().expect("the program runs");
        let err = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{key}: {err}");
        assert!(words.iter().all(|word| err.contains(word)), "{key}: {err}");
    }
    home.run(&["--config", "nowhere.toml", "serve"]).refused(2, &["nowhere.toml"]);
    home.run(&["brew"]).refused(2, &["brew"]);
    assert!(!home.database().exists(), "nothing was made");
}

#[test]
fn an_address_that_is_taken_is_named_with_its_key() {
    let home = Installation::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    let address = taken.local_addr().expect("a bound socket has an address").to_string();
    let output = home.command(&["serve"]).env("CHENLIAN_HTTP__LISTEN", &address).output().expect("the program runs");
    let err = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{err}");
    assert!(err.contains("http.listen") && err.contains(&address), "{err}");
}

#[test]
fn a_database_that_vanished_is_never_replaced_by_an_empty_one() {
    let home = Installation::new();
    home.serve().stop();
    std::fs::remove_file(home.database()).expect("the database is there");
    for arguments in [&["serve"][..], &["migrate"], &["verify"]] {
        home.run(arguments).refused(1, &["chenlian.db"]);
        assert!(!home.database().exists(), "{arguments:?} made an empty database");
    }
    home.add_administrator().refused(1, &["restore FILE"]);
    assert!(!home.database().exists());
}

#[tokio::test]
async fn a_file_taken_away_under_the_server_is_saved_and_the_server_ends() {
    for taken in ["chenlian.db", "chenlian.db-wal"] {
        let home = Installation::new();
        let mut server = home.serve();
        home.add_administrator().succeeded();
        let before = super::keeping::rows(&home.database(), "member").await;
        std::fs::remove_file(home.data().join(taken)).expect("the file is there");
        assert_eq!(server.wait(), Some(1), "{taken}");
        let files = std::fs::read_dir(home.data()).expect("readable").map(|file| file.expect("readable").path());
        let saved = files.into_iter().find(|file| file.to_string_lossy().contains(".rescued-")).expect("what it held is saved");
        home.run(&["restore", saved.to_str().expect("plain names")]).succeeded();
        assert_eq!(super::keeping::rows(&home.database(), "member").await, before, "{taken}");
        home.serve().stop();
    }
}

/// A server that would wait for a slow client for longer than any test does: only the stop itself cuts it off.
fn patient(home: &Installation) -> Server {
    let mut command = home.command(&["serve"]);
    command.env("CHENLIAN_HTTP__HEADER_TIMEOUT", "10m");
    Server::start(command)
}

#[tokio::test]
async fn a_stop_is_orderly_and_short_although_clients_hang_on() {
    let home = Installation::new();
    let mut server = patient(&home);
    let _half = server.holds_a_request();
    let idle = client();
    idle.get(format!("http://{}/health", server.ops)).send().await.expect("the server answers");
    server.signal("TERM");
    assert_eq!(server.wait(), Some(0));

    let stopped: Vec<String> = super::keeping::rows(&home.database(), "server_life").await;
    assert!(stopped.len() == 1 && !stopped[0].ends_with("NULL"), "the end is on record: {stopped:?}");
}

#[test]
fn a_second_signal_ends_a_stop_that_takes_too_long() {
    let home = Installation::new();
    let mut server = patient(&home);
    let _half = server.holds_a_request();
    server.signal("INT");
    server.is_stopping();
    server.signal("INT");
    assert_eq!(server.wait(), Some(1), "0 is the end of the first one's stop, which waits for the request");
}

#[tokio::test]
async fn a_closed_console_does_not_stop_the_server() {
    let home = Installation::new();
    let (http, ops) = (free_port(), free_port());
    let mut command = home.command(&["serve"]);
    command.env("CHENLIAN_HTTP__LISTEN", format!("127.0.0.1:{http}")).env("CHENLIAN_HTTP__OPS_LISTEN", format!("127.0.0.1:{ops}"));
    command.env("CHENLIAN_LOG__LEVEL", "trace");
    let mut child = command.spawn().expect("the program runs");
    // Nobody reads either: every write fails from now on.
    drop((child.stdout.take(), child.stderr.take()));
    let (mut alive, began) = (false, Instant::now());
    while began.elapsed() < WAIT_MAX {
        let asked = client().get(format!("http://127.0.0.1:{ops}/ready")).send().await;
        alive = asked.is_ok_and(|answer| answer.status() == 200);
        if alive {
            break;
        }
        tokio::time::sleep(Duration::from_millis(40)).await;
    }
    let id = child.id().to_string();
    std::process::Command::new("kill").args(["-TERM", &id]).status().expect("kill runs");
    let code = child.wait().expect("the server ends").code();
    assert!(alive, "the server never became ready");
    assert_eq!(code, Some(0));
}

#[tokio::test]
async fn a_missing_key_file_stops_the_start_once_secrets_depend_on_it() {
    let home = Installation::new();
    home.add_administrator().succeeded();
    std::fs::remove_file(home.data().join("key")).expect("the key was made");
    home.serve().stop();
    let sealed = "insert into member_channel (site_id, id, member_id, position, channel, address, secret_sealed, version, created_at)
        select site_id, id, id, 1, 'webhook', '', x'00', 1, created_at from member";
    super::keeping::change(&home.database(), sealed).await;
    home.serve().stop();
    std::fs::remove_file(home.data().join("key")).expect("the key was made again");
    home.run(&["serve"]).refused(1, &["key file", "Put it back"]);
    assert!(!home.data().join("key").exists(), "no new key beside old secrets");
}

#[tokio::test]
async fn a_healthy_server_tells_the_outside_that_it_lives() {
    let home = Installation::new();
    home.add_administrator().succeeded();
    // An empty database is no healthy one: somebody is looked after, though on no weekday, so that nothing falls due.
    let senior = "insert into senior (site_id, id, home_id, name, called, categories, risk_band, hearing_hint, purpose, version, created_at)
        select id, x'00000000000000000000000000000001', x'00000000000000000000000000000002', '张', '张奶奶', '[]', 'green', '', 'real', 1, created_at from site";
    super::keeping::change(&home.database(), senior).await;
    let agreement = "insert into agreement (site_id, id, senior_id, slot, weekdays, expected_sign, sensor_policy, require_change, from_date,
            content_hash, created_at)
        select id, x'00000000000000000000000000000003', x'00000000000000000000000000000001', 'morning', 0, 'open', 'none', 0, '2020-01-01', x'00', created_at from site";
    super::keeping::change(&home.database(), agreement).await;
    let outside = std::net::TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    let mut command = home.command(&["serve"]);
    command.env("CHENLIAN_HEARTBEAT__URL", format!("http://{}/beat", outside.local_addr().expect("a bound socket has an address")));
    command.env("CHENLIAN_HEARTBEAT__PERIOD", "1s");
    let server = Server::start(command);
    let (heard, beats) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let (mut beat, _) = outside.accept().expect("a beat comes");
        let mut request = [0; 9];
        std::io::Read::read_exact(&mut beat, &mut request).expect("a request is sent");
        let _ = heard.send(request);
    });
    let request = beats.recv_timeout(WAIT_MAX).expect("nobody outside hears from a healthy server");
    assert_eq!(&request, b"GET /beat");
    server.stop();
}

#[test]
fn the_terminal_chooses_the_language() {
    let home = Installation::new();
    let help = |language: &str| {
        let output = home.command(&["--help"]).env("LANG", language).output().expect("the program runs");
        String::from_utf8(output.stdout).expect("UTF-8")
    };
    assert!(help("en_US.UTF-8").contains("Run the server"));
    assert!(help("zh_CN.UTF-8").contains("运行服务"));
    assert!(help("C").contains("运行服务"));
}

#[test]
fn settings_are_shown_without_secrets_and_the_api_describes_itself() {
    let home = Installation::new();
    let mut command = home.command(&["config"]);
    command.env("CHENLIAN_MQTT__PASSWORD", "correct horse").env("CHENLIAN_DATABASE__URL", "postgres://anna:battery@db/c");
    let output = command.stderr(Stdio::inherit()).output().expect("the program runs");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    assert!(text.contains("[watch]") && !text.contains("horse") && !text.contains("battery"), "{text}");
    let document: Value = serde_json::from_str(&home.run(&["openapi"]).succeeded().out).expect("JSON");
    assert_eq!(document["openapi"], "3.1.0");
}

#[test]
fn serve_is_what_happens_without_a_command() {
    let home = Installation::new();
    Server::start(home.command(&[])).stop();
}
