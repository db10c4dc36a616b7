//! A network that loses an answer or swallows everything: who asked hears "try again", and the watch goes on (F7, I18, I1).

use std::time::{Duration, Instant};

use chenlian::app::App;
use chenlian::clock::Clock;
use chenlian::config::MqttMode;
use chenlian::domain::rules::Span;
use chenlian::serve;
use serde_json::json;
use uuid::Uuid;

use crate::harness::proxy::Proxy;
use crate::harness::{World, fresh_schema, needs, open_app};
use crate::http::{Server, count};

/// A lost answer is waited for ten seconds, a transaction twenty, a sign of life two; then the next pass is a second away.
const WATCH_AGAIN_MAX: Duration = Duration::from_secs(30);
/// The longest that a caller is left without an answer.
const ANSWER_MAX: Duration = Duration::from_secs(25);

/// An app whose PostgreSQL is behind a proxy; none without PostgreSQL.
async fn behind_a_proxy(folder: &tempfile::TempDir) -> Option<(App, Proxy)> {
    let (proxy, url) = Proxy::before(&fresh_schema(&needs::postgres()?).await).await;
    let mut app = open_app(&url, folder.path()).await;
    let mut config = app.config.clone();
    config.http.listen = ([127, 0, 0, 1], 0).into();
    config.http.ops_listen = ([127, 0, 0, 1], 0).into();
    config.mqtt.mode = MqttMode::Off;
    config.watch.tick = Span::seconds(1);
    app = App::new(config, app.db.clone(), Clock::System, app.seal.clone());
    Some((app, proxy))
}

/// How long until the watch has committed a pass that began from now on.
async fn watch_again(app: &App) -> Duration {
    let (since, now) = (Instant::now(), app.clock.now());
    while app.watch_passed_at() < now {
        assert!(since.elapsed() < WATCH_AGAIN_MAX, "the watch stands still");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    since.elapsed()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_look_whose_commit_was_not_answered_is_sent_again_and_counted_once() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let Some((app, proxy)) = behind_a_proxy(&folder).await else { return };
    let world = World::seed(&app, 1).await;
    let server = Server::start(&app).await;
    let client = server.client(&app, world.site, world.primary).await;
    for breaks in ["answer", "line"] {
        let id = Uuid::now_v7();
        let look = json!({ "id": id, "senior_id": world.seniors[0], "kind": "open", "observed_at": app.clock.now() });
        if breaks == "answer" {
            proxy.lose_the_answer_to_a_commit_of(id.to_string().as_bytes());
        } else {
            proxy.cut();
        }
        let sent = tokio::time::timeout(ANSWER_MAX, client.post("/api/v1/signals", look.clone())).await;
        let (status, answer) = sent.expect("the caller is not left waiting");
        if breaks == "answer" {
            assert!(proxy.has_lost_it());
            assert_eq!(status.as_u16(), 503, "{answer}");
        }
        // A line that led nowhere was noticed before anything was sent on it.
        let (status, answer) = client.post("/api/v1/signals", look).await;
        assert!(status.is_success(), "{breaks}: {status} {answer}");
    }
    assert_eq!(count(&app, "select count(*) from signal").await, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_watch_goes_on_after_an_answer_was_lost_and_after_every_line_was_cut() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let Some((app, proxy)) = behind_a_proxy(&folder).await else { return };
    World::seed(&app, 1).await;
    let running = serve::start(app.clone()).await.expect("the server starts");
    watch_again(&app).await;
    proxy.lose_the_answer_to_a_commit_of(b"watch");
    let waiting = Instant::now();
    while !proxy.has_lost_it() {
        assert!(waiting.elapsed() < WATCH_AGAIN_MAX, "the watch commits");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    println!("after a lost answer: {:?}", watch_again(&app).await);
    proxy.cut();
    println!("after a cut: {:?}", watch_again(&app).await);
    let ready = crate::http::plain_client().get(format!("http://{}/ready", running.ops_addr)).send().await.expect("it answers");
    assert_eq!(ready.status().as_u16(), 200);
    running.stop().await;
}

#[tokio::test]
async fn a_server_whose_watch_has_not_passed_for_long_is_not_ready() {
    crate::harness::on_each_engine(|app| async move {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
        let url = format!("http://{}/ready", listener.local_addr().expect("a bound socket has an address"));
        tokio::spawn(chenlian::http::ops::serve(app.clone(), listener, tokio_util::sync::CancellationToken::new()));
        let ready = async || crate::http::plain_client().get(&url).send().await.expect("it answers").status().as_u16();
        for (seconds, expected) in [(0, 200), (50, 200), (1, 503)] {
            app.clock.advance(chrono::TimeDelta::seconds(seconds));
            assert_eq!(ready().await, expected, "after {seconds} more seconds");
        }
        chenlian::jobs::watch::run_once(&app).await.expect("the watch passes");
        assert_eq!(ready().await, 200);
    })
    .await;
}
