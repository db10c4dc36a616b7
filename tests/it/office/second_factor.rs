//! Six digits from a phone, as the member types them and as a thief would.

use chenlian::app::App;
use chenlian::domain::second_factor::code_at;
use chrono::TimeDelta;
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::harness::{World, on_each_engine};
use crate::http::{Client, PASSWORD, Server, count, set_password};

const PHONE: &str = "13900000001";

/// The secret as the phone reads it, from its base32 letters.
fn bytes(secret: &str) -> Vec<u8> {
    const LETTERS: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let bits = secret.chars().filter_map(|letter| LETTERS.find(letter)).flat_map(|value| (0..5).rev().map(move |bit| (value >> bit) & 1));
    let bits: Vec<usize> = bits.collect();
    bits.chunks_exact(8).map(|byte| u8::try_from(byte.iter().fold(0, |sum, bit| sum * 2 + bit)).expect("eight bits")).collect()
}

/// Sets one up; its secret and its recovery codes.
async fn set_up(app: &App, client: &Client) -> (Vec<u8>, Vec<String>) {
    let (status, begun) = client.post("/api/v1/second-factor", json!({"password": PASSWORD})).await;
    assert_eq!(status, StatusCode::CREATED, "{begun}");
    assert!(begun["address"].as_str().is_some_and(|address| address.starts_with("otpauth://totp/")), "{begun}");
    let secret = bytes(begun["secret"].as_str().expect("a secret"));
    let (status, _) = client.post("/api/v1/second-factor/confirm", json!({"code": "000000"})).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    let (status, made) = client.post("/api/v1/second-factor/confirm", json!({"code": code_at(&secret, app.clock.now())})).await;
    assert_eq!(status, StatusCode::CREATED, "{made}");
    let codes = made["codes"].as_array().expect("codes").iter().filter_map(|code| code.as_str().map(str::to_owned)).collect();
    (secret, codes)
}

async fn sign_in(server: &Server, code: Option<&str>) -> (StatusCode, Value) {
    let mut body = json!({"phone": PHONE, "password": PASSWORD, "kind": "bearer"});
    if let Some(code) = code {
        body["code"] = json!(code);
    }
    server.stranger().post("/api/v1/sessions", body).await
}

#[tokio::test]
async fn with_a_second_factor_the_password_alone_lets_nobody_in_and_no_code_counts_twice() {
    on_each_engine(|app| async move {
        let world = World::seed(&app, 0).await;
        set_password(&app, world.social_worker, PHONE).await;
        let server = Server::start(&app).await;
        let (_, first) = sign_in(&server, None).await;
        let mut client = server.stranger();
        client.token = first["token"].as_str().map(str::to_owned);
        let (secret, recovery) = set_up(&app, &client).await;
        let (status, problem) = sign_in(&server, None).await;
        assert_eq!((status, &problem["key"]), (StatusCode::UNAUTHORIZED, &json!("http.code_needed")));
        let used = code_at(&secret, app.clock.now());
        assert_eq!(sign_in(&server, Some(&used)).await.1["key"], "http.wrong_code", "it was taken when the factor was set up");
        app.clock.advance(TimeDelta::seconds(60));
        let next = code_at(&secret, app.clock.now());
        assert_eq!(sign_in(&server, Some(&next)).await.0, StatusCode::CREATED);
        assert_eq!(sign_in(&server, Some(&next)).await.1["key"], "http.wrong_code", "somebody who looked over her shoulder");
        assert_eq!(sign_in(&server, Some(&recovery[0].to_lowercase())).await.0, StatusCode::CREATED, "the phone is lost");
        assert_eq!(sign_in(&server, Some(&recovery[0])).await.1["key"], "http.wrong_code", "each of them once");
        assert_eq!(count(&app, "select count(*) from audit where act = 'use_recovery_code'").await, 1);
        assert_eq!(client.post("/api/v1/second-factor", json!({"password": PASSWORD})).await.0, StatusCode::CONFLICT);
    })
    .await;
}

#[tokio::test]
async fn where_administrators_must_have_one_nobody_is_an_administrator_without_it() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", folder.path().join("test.db").display());
    let (db, _lock) = chenlian::store::open::open(&url).await.unwrap();
    let mut config = chenlian::config::Config::defaults();
    config.http.totp_required = true;
    let clock = chenlian::clock::Clock::manual(crate::harness::morning());
    let app = App::new(config, db, clock, chenlian::seal::SealKey::from_bytes([42; 32]));
    let world = World::seed(&app, 0).await;
    set_password(&app, world.administrator, PHONE).await;
    let server = Server::start(&app).await;
    let (status, first) = sign_in(&server, None).await;
    assert_eq!(status, StatusCode::CREATED, "{first}");
    let mut client = server.stranger();
    client.token = first["token"].as_str().map(str::to_owned);
    assert_eq!(client.get("/api/v1/audit").await.0, StatusCode::FORBIDDEN);
    set_up(&app, &client).await;
    assert_eq!(client.get("/api/v1/audit").await.0, StatusCode::OK);
    let worker = server.client(&app, world.site, world.social_worker).await;
    assert_eq!(worker.get("/api/v1/statistics").await.0, StatusCode::OK, "others need none");
}

#[tokio::test]
async fn a_lost_second_factor_is_taken_away_by_the_administrator() {
    on_each_engine(|app| async move {
        let world = World::seed(&app, 0).await;
        set_password(&app, world.social_worker, PHONE).await;
        let server = Server::start(&app).await;
        let (_, first) = sign_in(&server, None).await;
        let mut client = server.stranger();
        client.token = first["token"].as_str().map(str::to_owned);
        set_up(&app, &client).await;
        let administrator = server.client(&app, world.site, world.administrator).await;
        let path = format!("/api/v1/members/{}/second-factor", world.social_worker);
        assert_eq!(administrator.delete(&path).await.0, StatusCode::NO_CONTENT);
        assert_eq!(sign_in(&server, None).await.0, StatusCode::CREATED);
        assert_eq!(administrator.delete(&path).await.0, StatusCode::CONFLICT);
    })
    .await;
}
