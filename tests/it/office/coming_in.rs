//! A link instead of a password, as the person who scans it meets it.

use chrono::TimeDelta;
use reqwest::{Method, StatusCode, header};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::harness::{World, on_each_engine};
use crate::http::{Client, PASSWORD, Server, count, read, set_password};

/// An invitation for a member: the token of its link.
async fn invite(client: &Client, member: Uuid) -> String {
    let path = format!("/api/v1/members/{member}/invitations");
    let (status, made) = client.post(&path, json!({"id": Uuid::now_v7()})).await;
    assert_eq!(status, StatusCode::CREATED, "{made}");
    assert!(made["qr"].as_str().is_some_and(|qr| qr.starts_with("data:image/svg+xml;base64,")), "a picture to print");
    let link = made["link"].as_str().expect("a link");
    link.rsplit_once("/join/").expect("a link to the page").1.to_owned()
}

/// Answer and cookie of a browser that opens the link.
async fn join(server: &Server, token: &str, key: &str) -> (StatusCode, Value, Option<String>) {
    let request = server.stranger().request(Method::POST, "/api/v1/sessions/join").header("idempotency-key", key);
    let request = request.header(header::USER_AGENT, "Mozilla/5.0 (Linux; Android 13) MicroMessenger/8.0");
    let response = request.header(header::ORIGIN, server.url("")).json(&json!({"token": token})).send().await.expect("an answer");
    let (status, cookie) = (response.status(), response.headers().get(header::SET_COOKIE).cloned());
    let cookie = cookie.map(|cookie| cookie.to_str().expect("ASCII").split(';').next().unwrap_or_default().to_owned());
    (status, response.json().await.unwrap_or(Value::Null), cookie)
}

async fn page(server: &Server, path: &str) -> (StatusCode, String) {
    let request = server.stranger().request(Method::GET, path).header(header::ACCEPT, "text/html");
    let response = request.send().await.expect("an answer");
    (response.status(), response.text().await.expect("a page"))
}

fn key() -> String {
    Uuid::now_v7().to_string()
}

#[tokio::test]
async fn a_link_lets_one_phone_in_once_and_it_stays_in() {
    on_each_engine(|app| async move {
        let world = World::seed(&app, 1).await;
        let server = Server::start(&app).await;
        let administrator = server.client(&app, world.site, world.administrator).await;
        let token = invite(&administrator, world.primary).await;
        // Chat programs look at a link before people do.
        for _ in 0..2 {
            let (status, html) = page(&server, &format!("/join/{token}")).await;
            assert!(status == StatusCode::OK && html.contains("王师傅"), "{status} {html}");
        }
        let (status, body, cookie) = join(&server, &token, &key()).await;
        assert_eq!((status, &body["member_id"]), (StatusCode::CREATED, &json!(world.primary)));
        let cookie = cookie.expect("a cookie");
        let own = || server.stranger().request(Method::GET, "/api/v1/sessions").header(header::COOKIE, cookie.clone());
        let (_, devices) = read(own()).await;
        assert_eq!(devices["items"][0]["authenticated_at"], Value::Null, "no password was typed");
        assert_eq!(devices["items"][0]["label"], "Phone (WeChat)");
        for _ in 0..3 {
            app.clock.advance(TimeDelta::days(100));
            assert_eq!(read(own()).await.0, StatusCode::OK, "it is used, so it lasts");
        }
        let (status, ..) = join(&server, &token, &key()).await;
        assert_eq!(status, StatusCode::NOT_FOUND, "somebody else with the same link");
        assert_eq!(page(&server, &format!("/join/{token}")).await.0, StatusCode::NOT_FOUND);
        assert_eq!(count(&app, "select count(*) from audit where act in ('invite', 'join')").await, 2);
    })
    .await;
}

#[tokio::test]
async fn a_lost_answer_is_asked_for_again_by_the_same_browser_and_by_no_other() {
    on_each_engine(|app| async move {
        let world = World::seed(&app, 0).await;
        let server = Server::start(&app).await;
        let administrator = server.client(&app, world.site, world.administrator).await;
        let (token, key_of_hers) = (invite(&administrator, world.primary).await, key());
        let (_, lost, first) = join(&server, &token, &key_of_hers).await;
        let (status, again, second) = join(&server, &token, &key_of_hers).await;
        assert_eq!((status, &again["id"]), (StatusCode::CREATED, &lost["id"]));
        assert_ne!(first, second);
        let with = |cookie: Option<String>| {
            server.stranger().request(Method::GET, "/api/v1/sessions").header(header::COOKIE, cookie.unwrap_or_default())
        };
        assert_eq!(read(with(first)).await.0, StatusCode::UNAUTHORIZED);
        assert_eq!(read(with(second)).await.0, StatusCode::OK);
        assert_eq!(join(&server, &token, &key()).await.0, StatusCode::NOT_FOUND);
    })
    .await;
}

#[tokio::test]
async fn an_old_a_replaced_and_an_invented_link_open_nothing() {
    on_each_engine(|app| async move {
        let world = World::seed(&app, 0).await;
        let server = Server::start(&app).await;
        let administrator = server.client(&app, world.site, world.administrator).await;
        let (first, second) = (invite(&administrator, world.primary).await, invite(&administrator, world.primary).await);
        assert_eq!(join(&server, &first, &key()).await.0, StatusCode::NOT_FOUND, "a new one ends the old one");
        app.clock.advance(TimeDelta::days(7));
        let mut answers = Vec::new();
        for token in [second.as_str(), "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "x", ""] {
            let (status, mut problem, cookie) = join(&server, token, &key()).await;
            problem["request_id"] = Value::Null;
            assert_eq!((status, cookie), (StatusCode::NOT_FOUND, None));
            answers.push(problem);
        }
        assert!(answers.iter().all(|answer| *answer == answers[0]), "expired and unknown answer alike: {answers:?}");
        assert_eq!(answers[0]["key"], "office.invitation_gone");
        assert_eq!(count(&app, "select count(*) from session where kind = 'cookie'").await, 0);
    })
    .await;
}

#[tokio::test]
async fn an_invitation_needs_the_right_a_recent_password_and_a_member_of_ones_own_site() {
    on_each_engine(|app| async move {
        let (world, other) = (World::seed(&app, 0).await, World::seed(&app, 0).await);
        let server = Server::start(&app).await;
        let path = format!("/api/v1/members/{}/invitations", world.primary);
        let foreign = server.client(&app, other.site, other.administrator).await;
        assert_eq!(foreign.post(&path, json!({"id": Uuid::now_v7()})).await.0, StatusCode::NOT_FOUND);
        let worker = server.client(&app, world.site, world.social_worker).await;
        assert_eq!(worker.post(&path, json!({"id": Uuid::now_v7()})).await.0, StatusCode::FORBIDDEN);
        let administrator = server.client(&app, world.site, world.administrator).await;
        app.clock.advance(TimeDelta::minutes(31));
        let (status, problem) = administrator.post(&path, json!({"id": Uuid::now_v7()})).await;
        assert_eq!((status, &problem["key"]), (StatusCode::FORBIDDEN, &json!("http.recent_sign_in_required")));
        assert_eq!(count(&app, "select count(*) from invitation").await, 0);
    })
    .await;
}

#[tokio::test]
async fn a_lost_phone_is_signed_out_by_the_administrator() {
    on_each_engine(|app| async move {
        let world = World::seed(&app, 0).await;
        let server = Server::start(&app).await;
        let administrator = server.client(&app, world.site, world.administrator).await;
        let phone = server.client(&app, world.site, world.primary).await;
        let path = format!("/api/v1/members/{}/sessions", world.primary);
        assert_eq!(administrator.get(&path).await.1["items"].as_array().map(Vec::len), Some(1));
        assert_eq!(administrator.delete(&path).await.0, StatusCode::NO_CONTENT);
        assert_eq!(phone.get("/api/v1/sessions").await.0, StatusCode::UNAUTHORIZED);
        assert_eq!(administrator.get(&path).await.1["items"], json!([]));
    })
    .await;
}

#[tokio::test]
async fn the_password_typed_once_more_makes_an_old_sign_in_recent() {
    on_each_engine(|app| async move {
        let world = World::seed(&app, 0).await;
        set_password(&app, world.administrator, "13900000001").await;
        let server = Server::start(&app).await;
        let administrator = server.client(&app, world.site, world.administrator).await;
        app.clock.advance(TimeDelta::minutes(31));
        let path = format!("/api/v1/members/{}/invitations", world.primary);
        assert_eq!(administrator.post(&path, json!({"id": Uuid::now_v7()})).await.0, StatusCode::FORBIDDEN);
        let confirm = |password: &'static str| administrator.post("/api/v1/sessions/current/confirm", json!({"password": password}));
        let (status, problem) = confirm("not the password").await;
        assert_eq!((status, &problem["key"]), (StatusCode::UNAUTHORIZED, &json!("http.wrong_password")));
        assert_eq!(count(&app, "select count(*) from audit where act = 'login_failed'").await, 1);
        assert_eq!(administrator.post(&path, json!({"id": Uuid::now_v7()})).await.0, StatusCode::FORBIDDEN);
        assert_eq!(confirm(PASSWORD).await.0, StatusCode::NO_CONTENT);
        assert_eq!(administrator.post(&path, json!({"id": Uuid::now_v7()})).await.0, StatusCode::CREATED);
    })
    .await;
}
