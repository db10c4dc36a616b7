//! Signing in and out, as a person and as a guesser see it.

use reqwest::{Method, StatusCode, header};
use serde_json::{Value, json};

use super::{Client, PASSWORD, Server, count, read, set_password};
use crate::harness::{World, on_each_engine};

const PHONE: &str = "13900000001";

async fn sign_in(client: &Client, phone: &str, password: &str) -> (StatusCode, Value, Option<String>) {
    let request = client.request(Method::POST, "/api/v1/sessions").json(&json!({ "phone": phone, "password": password }));
    let response = request.send().await.unwrap();
    let status = response.status();
    let cookie = response.headers().get(header::SET_COOKIE).map(|value| value.to_str().unwrap().to_owned());
    (status, response.json().await.unwrap_or(Value::Null), cookie)
}

#[tokio::test]
async fn a_member_signs_in_sees_her_devices_and_signs_out() {
    on_each_engine(|app| async move {
        let world = World::seed(&app, 0).await;
        set_password(&app, world.primary, PHONE).await;
        let server = Server::start(&app).await;
        let stranger = server.stranger();
        let (status, body, cookie) = sign_in(&stranger, "+86 139-0000-0001", PASSWORD).await;
        assert_eq!(status, StatusCode::CREATED, "{body}");
        assert_eq!(body["member_id"], world.primary.to_string());
        assert_eq!(body.get("token"), None);
        let cookie = cookie.unwrap();
        for attribute in ["chenlian=", "HttpOnly", "SameSite=Lax", "Path=/", "Max-Age=15552000"] {
            assert!(cookie.contains(attribute), "{cookie}");
        }
        assert!(!cookie.contains("Secure"), "loopback has no TLS: {cookie}");
        let pair = cookie.split(';').next().unwrap().to_owned();
        let with = |method| stranger.request(method, "/api/v1/sessions").header(header::COOKIE, pair.clone());
        let (status, page) = read(with(Method::GET)).await;
        assert_eq!((status, page["items"].as_array().unwrap().len()), (StatusCode::OK, 1));
        assert_eq!(page["items"][0]["current"], true);
        let out = || stranger.request(Method::DELETE, "/api/v1/sessions/current").header(header::COOKIE, pair.clone());
        assert_eq!(read(out()).await.0, StatusCode::FORBIDDEN, "a write must say where it comes from");
        let foreign = out().header(header::ORIGIN, "https://evil.example");
        assert_eq!(read(foreign).await.0, StatusCode::FORBIDDEN);
        let sibling = out().header("sec-fetch-site", "same-site").header(header::ORIGIN, server.url(""));
        assert_eq!(read(sibling).await.0, StatusCode::FORBIDDEN);
        assert_eq!(read(out().header(header::ORIGIN, server.url(""))).await.0, StatusCode::NO_CONTENT);
        assert_eq!(read(with(Method::GET)).await.0, StatusCode::UNAUTHORIZED);
        assert_eq!(count(&app, "select count(*) from audit where act in ('login', 'logout')").await, 2);
    })
    .await;
}

#[tokio::test]
async fn a_page_of_another_site_signs_nobody_in() {
    on_each_engine(|app| async move {
        let world = World::seed(&app, 0).await;
        set_password(&app, world.primary, PHONE).await;
        let server = Server::start(&app).await;
        let request = server.stranger().request(Method::POST, "/api/v1/sessions").header(header::ORIGIN, "https://evil.example");
        let (status, _) = read(request.json(&json!({ "phone": PHONE, "password": PASSWORD }))).await;
        assert_eq!(status, StatusCode::FORBIDDEN);
        assert_eq!(count(&app, "select count(*) from session").await, 0);
    })
    .await;
}

#[tokio::test]
async fn behind_tls_the_cookie_is_bound_to_this_host() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", folder.path().join("test.db").display());
    let (db, _lock) = chenlian::store::open::open(&url).await.unwrap();
    let mut config = chenlian::config::Config::defaults();
    // A proxy in front ends TLS, even if nobody has said under which address.
    config.http.trusted_proxy = true;
    let clock = chenlian::clock::Clock::manual(crate::harness::morning());
    let app = chenlian::app::App::new(config, db, clock, chenlian::seal::SealKey::from_bytes([42; 32]));
    let world = World::seed(&app, 0).await;
    set_password(&app, world.primary, PHONE).await;
    let server = Server::start(&app).await;
    let (_, _, cookie) = sign_in(&server.stranger(), PHONE, PASSWORD).await;
    let cookie = cookie.unwrap();
    assert!(cookie.starts_with("__Host-chenlian=") && cookie.contains("; Secure"), "{cookie}");
}

#[tokio::test]
async fn a_wrong_password_and_an_unknown_phone_are_told_apart_by_nobody() {
    on_each_engine(|app| async move {
        let world = World::seed(&app, 0).await;
        set_password(&app, world.primary, PHONE).await;
        let server = Server::start(&app).await;
        let stranger = server.stranger();
        let mut answers = Vec::new();
        // The second account is known but has no password.
        for phone in [PHONE, "13800000001", "13911111111"] {
            let (status, mut problem, cookie) = sign_in(&stranger, phone, "not the password").await;
            problem["request_id"] = Value::Null;
            assert_eq!(cookie, None);
            answers.push((status, problem));
        }
        assert_eq!(answers[0].0, StatusCode::UNAUTHORIZED);
        assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
        assert_eq!(count(&app, "select count(*) from audit where act = 'login_failed'").await, 3, "each costs the same write");
    })
    .await;
}

#[tokio::test]
async fn the_owner_of_a_phone_signs_in_behind_the_address_from_which_somebody_guesses() {
    on_each_engine(|app| async move {
        let world = World::seed(&app, 0).await;
        set_password(&app, world.primary, PHONE).await;
        let server = Server::start(&app).await;
        let stranger = server.stranger();
        for _ in 0..5 {
            assert_eq!(sign_in(&stranger, PHONE, "not the password").await.0, StatusCode::UNAUTHORIZED);
        }
        let (status, body, _) = sign_in(&stranger, PHONE, PASSWORD).await;
        assert_eq!(status, StatusCode::CREATED, "she waits for her turn and is not refused: {body}");
    })
    .await;
}

#[tokio::test]
async fn a_flood_of_one_member_is_stopped_with_a_time_to_come_back() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", folder.path().join("test.db").display());
    let (db, _lock) = chenlian::store::open::open(&url).await.unwrap();
    let mut config = chenlian::config::Config::defaults();
    config.http.requests_per_minute = std::num::NonZeroU32::new(5).unwrap();
    let clock = chenlian::clock::Clock::manual(crate::harness::morning());
    let app = chenlian::app::App::new(config, db, clock, chenlian::seal::SealKey::from_bytes([42; 32]));
    let world = World::seed(&app, 0).await;
    let server = Server::start(&app).await;
    let (flooder, other) = (server.client(&app, world.site, world.primary).await, server.client(&app, world.site, world.backup).await);
    for _ in 0..5 {
        assert_eq!(flooder.get("/api/v1/sessions").await.0, StatusCode::OK);
    }
    let response = flooder.request(Method::GET, "/api/v1/sessions").send().await.unwrap();
    assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS);
    let wait: u64 = response.headers()[header::RETRY_AFTER].to_str().unwrap().parse().unwrap();
    assert!((1..=60).contains(&wait), "{wait}");
    assert_eq!(other.get("/api/v1/sessions").await.0, StatusCode::OK);
    let mut guesser = server.stranger();
    guesser.token = Some("A".repeat(43));
    let mut answers = Vec::new();
    for _ in 0..6 {
        answers.push(guesser.get("/api/v1/sessions").await.0.as_u16());
    }
    assert_eq!(answers, [401, 401, 401, 401, 401, 429]);
}

#[tokio::test]
async fn a_program_signs_in_for_a_token_and_nobody_else_ends_it() {
    on_each_engine(|app| async move {
        let world = World::seed(&app, 0).await;
        set_password(&app, world.primary, PHONE).await;
        let server = Server::start(&app).await;
        let (status, body) = server
            .stranger()
            .post("/api/v1/sessions", json!({ "phone": PHONE, "password": PASSWORD, "kind": "bearer", "label": "script" }))
            .await;
        assert_eq!(status, StatusCode::CREATED);
        let mine = Client { token: body["token"].as_str().map(str::to_owned), ..server.stranger() };
        let id = body["id"].as_str().unwrap();
        let other = server.client(&app, world.site, world.backup).await;
        assert_eq!(other.delete(&format!("/api/v1/sessions/{id}")).await.0, StatusCode::NOT_FOUND);
        assert_eq!(mine.get("/api/v1/sessions").await.1["items"][0]["label"], "script");
        assert_eq!(mine.delete(&format!("/api/v1/sessions/{id}")).await.0, StatusCode::NO_CONTENT);
        assert_eq!(mine.get("/api/v1/sessions").await.0, StatusCode::UNAUTHORIZED);
    })
    .await;
}

#[tokio::test]
async fn a_token_ends_with_its_time_and_with_its_member() {
    on_each_engine(|app| async move {
        let world = World::seed(&app, 0).await;
        let server = Server::start(&app).await;
        let (client, unused) = (server.client(&app, world.site, world.primary).await, server.client(&app, world.site, world.primary).await);
        assert_eq!(client.get("/api/v1/sessions").await.0, StatusCode::OK);
        let ended = server.client(&app, world.site, world.backup).await;
        let (backup, now) = (world.backup, app.clock.now());
        app.write(move |mut tx| async move {
            let sql = "update member set ended_at = $2 where id = $1";
            chenlian::on!(&mut tx, |conn| sqlx::query(sql).bind(backup).bind(now).execute(conn).await.map(|_| ()))?;
            Ok((tx, ()))
        })
        .await
        .unwrap();
        assert_eq!(ended.get("/api/v1/sessions").await.0, StatusCode::UNAUTHORIZED);
        app.clock.advance(chrono::TimeDelta::days(1));
        assert_eq!(unused.get("/api/v1/sessions").await.0, StatusCode::UNAUTHORIZED);
        assert_eq!(client.get("/api/v1/sessions").await.0, StatusCode::OK, "it was used, so it lasts");
    })
    .await;
}

#[tokio::test]
async fn a_cookie_lives_as_long_as_it_is_used_and_the_password_ages() {
    on_each_engine(|app| async move {
        let world = World::seed(&app, 0).await;
        set_password(&app, world.primary, PHONE).await;
        let server = Server::start(&app).await;
        let stranger = server.stranger();
        let (_, _, cookie) = sign_in(&stranger, PHONE, PASSWORD).await;
        let pair = cookie.unwrap().split(';').next().unwrap().to_owned();
        let get = || read(stranger.request(Method::GET, "/api/v1/sessions").header(header::COOKIE, pair.clone()));
        for _ in 0..3 {
            app.clock.advance(chrono::TimeDelta::days(100));
            let again = stranger.request(Method::GET, "/api/v1/sessions").header(header::COOKIE, pair.clone()).send().await.unwrap();
            let renewed = again.headers().get(header::SET_COOKIE).expect("the browser keeps it as long as we do");
            assert!(renewed.to_str().unwrap().starts_with(&pair), "the same token, longer");
            assert_eq!(get().await.0, StatusCode::OK);
        }
        app.clock.advance(chrono::TimeDelta::days(181));
        assert_eq!(get().await.0, StatusCode::UNAUTHORIZED);
    })
    .await;
}

#[tokio::test]
async fn a_token_in_use_does_not_run_out() {
    on_each_engine(|app| async move {
        let world = World::seed(&app, 0).await;
        set_password(&app, world.primary, PHONE).await;
        let server = Server::start(&app).await;
        let body = json!({ "phone": PHONE, "password": PASSWORD, "kind": "bearer" });
        let (_, made) = server.stranger().post("/api/v1/sessions", body).await;
        let program = Client { token: made["token"].as_str().map(str::to_owned), ..server.stranger() };
        for _ in 0..3 {
            app.clock.advance(chrono::TimeDelta::days(100));
            assert_eq!(program.get("/api/v1/sessions").await.0, StatusCode::OK);
        }
        app.clock.advance(chrono::TimeDelta::days(181));
        assert_eq!(program.get("/api/v1/sessions").await.0, StatusCode::UNAUTHORIZED);
    })
    .await;
}

#[tokio::test]
async fn a_sign_in_that_is_sent_twice_is_one_sign_in() {
    on_each_engine(|app| async move {
        let world = World::seed(&app, 0).await;
        set_password(&app, world.primary, PHONE).await;
        let server = Server::start(&app).await;
        let body = json!({ "id": uuid::Uuid::now_v7(), "phone": PHONE, "password": PASSWORD, "kind": "bearer" });
        let (_, lost) = server.stranger().post("/api/v1/sessions", body.clone()).await;
        let (status, again) = server.stranger().post("/api/v1/sessions", body.clone()).await;
        assert_eq!((status, &again["id"]), (StatusCode::CREATED, &lost["id"]));
        assert_eq!(count(&app, "select count(*) from session").await, 1);
        let with = |answer: &Value| Client { token: answer["token"].as_str().map(str::to_owned), ..server.stranger() };
        assert_eq!(with(&again).get("/api/v1/sessions").await.0, StatusCode::OK);
        assert_eq!(with(&lost).get("/api/v1/sessions").await.0, StatusCode::UNAUTHORIZED, "the answer that nobody received");
        let mut other = body;
        other["password"] = json!("not the password");
        assert_eq!(server.stranger().post("/api/v1/sessions", other).await.0, StatusCode::UNAUTHORIZED);
    })
    .await;
}
