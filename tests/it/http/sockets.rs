//! Clients that do not behave: half-sent headers and bodies that never come (F6). Those that vanish are in `cli/killed.rs`.

use std::time::Duration;

use chenlian::domain::rules::Span;
use reqwest::StatusCode;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use super::Server;
use crate::harness::{World, morning};

/// An app on its own SQLite file whose patience is short.
async fn impatient(header_timeout: Span, connections_max: usize) -> (chenlian::app::App, tempfile::TempDir) {
    use chenlian::{app::App, clock::Clock, config::Config, seal::SealKey, store::open};
    let folder = tempfile::tempdir().unwrap();
    let (db, lock) = open::open(&format!("sqlite://{}", folder.path().join("test.db").display())).await.unwrap();
    std::mem::forget(lock);
    let mut config = Config::defaults();
    config.http.header_timeout = header_timeout;
    config.http.connections_max = connections_max;
    config.http.connections_each_max = 1000;
    (App::new(config, db, Clock::manual(morning()), SealKey::from_bytes([42; 32])), folder)
}

#[tokio::test]
async fn three_hundred_half_sent_headers_do_not_silence_the_server() {
    let (app, _folder) = impatient(Span::seconds(1), 100).await;
    let server = Server::start(&app).await;
    let mut half = Vec::new();
    for _ in 0..300 {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(b"GET /api/v1/sessions HTTP/1.1\r\nHost: x\r\nX-Slow: ").await.unwrap();
        half.push(stream);
    }
    let stranger = server.stranger();
    let answered = tokio::time::timeout(Duration::from_secs(10), stranger.get("/api/v1/sessions")).await;
    assert_eq!(answered.expect("others are served meanwhile").0, StatusCode::UNAUTHORIZED);
    drop(half);
}

#[tokio::test]
async fn clients_that_take_no_answer_do_not_silence_the_server() {
    let (app, _folder) = impatient(Span::seconds(1), 20).await;
    let server = Server::start(&app).await;
    let mut greedy = Vec::new();
    for _ in 0..20 {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        // More than both ends' buffers hold.
        let asked = b"GET /api/v1/openapi.json HTTP/1.1\r\nHost: x\r\n\r\n".repeat(200);
        stream.write_all(&asked).await.unwrap();
        greedy.push(stream);
    }
    let stranger = server.stranger();
    let answered = tokio::time::timeout(Duration::from_secs(20), stranger.get("/api/v1/sessions")).await;
    assert_eq!(answered.expect("others are served meanwhile").0, StatusCode::UNAUTHORIZED);
    drop(greedy);
}

#[tokio::test]
async fn one_address_does_not_take_every_connection() {
    let (app, _folder) = impatient(Span::seconds(30), 20).await;
    let mut config = app.config.clone();
    config.http.connections_each_max = 3;
    let app = chenlian::app::App::new(config, app.db.clone(), app.clock.clone(), chenlian::seal::SealKey::from_bytes([42; 32]));
    let server = Server::start(&app).await;
    let mut held = Vec::new();
    for _ in 0..3 {
        held.push(TcpStream::connect(server.address).await.unwrap());
    }
    let mut one_more = TcpStream::connect(server.address).await.unwrap();
    let mut nothing = Vec::new();
    let ended = tokio::time::timeout(Duration::from_secs(10), one_more.read_to_end(&mut nothing)).await.expect("it is closed at once");
    assert_eq!(ended.unwrap_or_default(), 0, "nothing is said to it");
    drop(held);
    let stranger = server.stranger();
    for _ in 0..50 {
        if stranger.request(reqwest::Method::GET, "/api/v1/sessions").send().await.is_ok() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("places that were left are free again");
}

#[tokio::test]
async fn behind_a_proxy_each_client_that_it_names_has_its_own_places() {
    let (app, _folder) = impatient(Span::seconds(10), 20).await;
    let mut config = app.config.clone();
    config.http.connections_each_max = 1;
    config.http.trusted_proxy = true;
    let app = chenlian::app::App::new(config, app.db.clone(), app.clock.clone(), chenlian::seal::SealKey::from_bytes([42; 32]));
    let world = World::seed(&app, 0).await;
    let server = Server::start(&app).await;
    let client = server.client(&app, world.site, world.primary).await;
    let ask = |path: &'static str, from: &'static str| client.request(reqwest::Method::GET, path).header("x-forwarded-for", from).send();
    let stream = ask("/api/v1/events", "203.0.113.9").await.unwrap();
    assert_eq!(stream.status(), StatusCode::OK);
    let crowded = ask("/api/v1/sessions", "203.0.113.9").await.unwrap();
    assert_eq!(crowded.status(), StatusCode::TOO_MANY_REQUESTS);
    assert!(crowded.headers().contains_key("retry-after"));
    assert_eq!(ask("/api/v1/sessions", "203.0.113.10").await.unwrap().status(), StatusCode::OK);
}

#[tokio::test]
async fn a_body_that_never_comes_is_given_up() {
    let (app, _folder) = impatient(Span::seconds(1), 10).await;
    let server = Server::start(&app).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let head = "POST /api/v1/sessions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{\"ph";
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = String::new();
    tokio::time::timeout(Duration::from_secs(10), stream.read_to_string(&mut answer)).await.unwrap().unwrap();
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
}

#[tokio::test]
async fn a_stop_lets_the_open_request_end_and_takes_no_new_one() {
    let (app, _folder) = impatient(Span::seconds(10), 10).await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let stop = CancellationToken::new();
    let serving = tokio::spawn(chenlian::http::serve(app.clone(), listener, stop.clone()));
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream
        .write_all(b"POST /api/v1/sessions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n")
        .await
        .unwrap();
    // Said when the handler begins to read: from here on a stop has something to wait for.
    let mut wanted = [0; 25];
    stream.read_exact(&mut wanted).await.unwrap();
    assert_eq!(&wanted, b"HTTP/1.1 100 Continue\r\n\r\n");
    stop.cancel();
    while TcpStream::connect(address).await.is_ok() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    stream.write_all(b"{}").await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    tokio::time::timeout(Duration::from_mins(1), serving).await.expect("the stop is bounded").unwrap();
}

#[tokio::test]
async fn every_answer_carries_safe_headers_and_a_number_to_quote() {
    let (app, _folder) = impatient(Span::seconds(10), 10).await;
    let server = Server::start(&app).await;
    let client = super::plain_client();
    for (path, status, policy) in [
        ("/api/v1/sessions", 401, "default-src 'none'"),
        ("/nowhere", 404, "default-src 'none'"),
        ("/api/v1/openapi.json", 200, "default-src 'none'"),
        ("/api/docs/", 200, "script-src 'self'"),
    ] {
        let response = client.get(server.url(path)).send().await.unwrap();
        assert_eq!(response.status().as_u16(), status, "{path}");
        let header = |name: &str| response.headers()[name].to_str().unwrap().to_owned();
        assert!(header("content-security-policy").contains(policy), "{path}");
        assert_eq!(header("x-content-type-options"), "nosniff");
        assert_eq!(header("cache-control"), "no-store");
        let id = header("x-request-id");
        if status >= 400 {
            assert_eq!(header("content-type"), "application/problem+json");
            let problem: serde_json::Value = response.json().await.unwrap();
            assert_eq!(problem["request_id"], id);
        }
    }
    let posted = client.put(server.url("/api/v1/sessions")).send().await.unwrap();
    assert_eq!(posted.status().as_u16(), 405);
}

#[tokio::test]
async fn the_operator_sees_whether_the_server_may_be_used() {
    let (app, folder) = impatient(Span::seconds(10), 10).await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let stop = CancellationToken::new();
    tokio::spawn(chenlian::http::ops::serve(app.clone(), listener, stop.clone()));
    let get = |path: &str| super::plain_client().get(format!("http://{address}{path}")).send();
    assert_eq!(get("/health").await.unwrap().status(), 200);
    assert_eq!(get("/ready").await.unwrap().status(), 200);
    assert_eq!(get("/metrics").await.unwrap().status(), 200);
    app.db.close().await;
    assert_eq!(get("/ready").await.unwrap().status(), 503);
    assert_eq!(get("/health").await.unwrap().status(), 200, "a lost database is no reason to restart");
    stop.cancel();
    drop(folder);
}
