//! Open screens: who hears what, when it ends, and that nothing is lost between two connections.

use std::time::Duration;

use chenlian::app::App;
use chenlian::store::feed;
use reqwest::{Method, Response, StatusCode};
use uuid::Uuid;

use super::{Client, Server};
use crate::harness::{World, on_each_engine};

/// Reads a stream until a text shows up; what was read up to there.
async fn until(response: &mut Response, wanted: &str) -> String {
    let mut heard = String::new();
    let reading = async {
        while !heard.contains(wanted) {
            match response.chunk().await {
                Ok(Some(chunk)) => heard.push_str(&String::from_utf8_lossy(&chunk)),
                _ => break,
            }
        }
    };
    let _ = tokio::time::timeout(Duration::from_secs(10), reading).await;
    assert!(heard.contains(wanted), "{wanted} is not in {heard}");
    heard
}

async fn open(client: &Client, last: Option<&str>) -> Response {
    let request = client.request(Method::GET, "/api/v1/events");
    let request = if let Some(last) = last { request.header("last-event-id", last) } else { request };
    let response = request.send().await.expect("the server answers");
    assert_eq!(response.status(), StatusCode::OK);
    response
}

async fn note(app: &App, site: Uuid, kind: &'static str, senior: Option<Uuid>) {
    let now = app.clock.now();
    app.write(move |mut tx| async move {
        feed::note(&mut tx, site, kind, Uuid::now_v7(), senior, now).await?;
        Ok((tx, ()))
    })
    .await
    .expect("a change is noted");
}

#[tokio::test]
async fn a_screen_hears_of_its_own_seniors_and_of_nobody_elses() {
    on_each_engine(|app| async move {
        let world = World::seed(&app, 1).await;
        let other = World::seed(&app, 1).await;
        let server = Server::start(&app).await;
        let client = server.client(&app, world.site, world.primary).await;
        let mut stream = open(&client, None).await;
        until(&mut stream, ": open").await;
        note(&app, other.site, "foreign", Some(other.seniors[0])).await;
        note(&app, world.site, "unrelated", Some(Uuid::now_v7())).await;
        note(&app, world.site, "check", Some(world.seniors[0])).await;
        let heard = until(&mut stream, "event: check").await;
        assert!(!heard.contains("foreign") && !heard.contains("unrelated"), "{heard}");
        assert!(heard.contains(&world.seniors[0].to_string()), "{heard}");
    })
    .await;
}

#[tokio::test]
async fn a_screen_that_comes_back_hears_what_it_missed() {
    on_each_engine(|app| async move {
        let world = World::seed(&app, 1).await;
        let server = Server::start(&app).await;
        let client = server.client(&app, world.site, world.social_worker).await;
        let mut stream = open(&client, None).await;
        until(&mut stream, ": open").await;
        note(&app, world.site, "first", Some(world.seniors[0])).await;
        let heard = until(&mut stream, "event: first").await;
        let heard = if heard.contains("id:") { heard } else { heard + &until(&mut stream, "id:").await };
        let id = heard.lines().find_map(|line| line.strip_prefix("id:")).expect("events are numbered").trim().to_owned();
        drop(stream);
        app.clock.advance(chrono::TimeDelta::minutes(5));
        note(&app, world.site, "second", Some(world.seniors[0])).await;
        let mut stream = open(&client, Some(&id)).await;
        let heard = until(&mut stream, "event: second").await;
        assert!(!heard.contains("event: first"), "{heard}");
        let mut stream = open(&client, Some("999999999")).await;
        until(&mut stream, "event: reload").await;
        let wrong = client.request(Method::GET, "/api/v1/events").header("last-event-id", "soon").send().await.unwrap();
        assert_eq!(wrong.status(), StatusCode::BAD_REQUEST);
    })
    .await;
}

#[tokio::test]
async fn a_screen_falls_silent_with_its_sign_out() {
    on_each_engine(|app| async move {
        let world = World::seed(&app, 1).await;
        let server = Server::start(&app).await;
        let client = server.client(&app, world.site, world.primary).await;
        let mut stream = open(&client, None).await;
        until(&mut stream, ": open").await;
        assert_eq!(client.delete("/api/v1/sessions/current").await.0, StatusCode::NO_CONTENT);
        note(&app, world.site, "check", Some(world.seniors[0])).await;
        let rest = tokio::time::timeout(Duration::from_secs(10), stream.text()).await.expect("the stream ends").unwrap_or_default();
        assert!(!rest.contains("event: check"), "{rest}");
    })
    .await;
}

#[tokio::test]
async fn one_member_does_not_open_streams_without_end() {
    on_each_engine(|app| async move {
        let world = World::seed(&app, 0).await;
        let server = Server::start(&app).await;
        let client = server.client(&app, world.site, world.primary).await;
        let mut streams = Vec::new();
        for _ in 0..16 {
            streams.push(open(&client, None).await);
        }
        let refused = client.request(Method::GET, "/api/v1/events").send().await.unwrap();
        assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
        assert!(refused.headers().contains_key("retry-after"));
        let other = server.client(&app, world.site, world.backup).await;
        until(&mut open(&other, None).await, ": open").await;
    })
    .await;
}
