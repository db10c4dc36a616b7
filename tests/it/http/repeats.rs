//! A request that is sent twice, and a change of something that somebody else has changed (I18, I20).

use reqwest::{Method, StatusCode, header};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Client, Server, count, read};
use crate::harness::{World, on_each_engine};

const DEVICES: &str = "/api/v1/devices";

fn device(id: Option<Uuid>, name: &str) -> Value {
    json!({ "id": id, "name": name, "ecosystem": "native", "role": "curtain_contact" })
}

async fn post(client: &Client, key: &str, body: &Value) -> (StatusCode, Value) {
    read(client.request(Method::POST, DEVICES).header("idempotency-key", key).json(body)).await
}

#[tokio::test]
async fn a_repeat_gets_the_first_answer_and_makes_nothing_new() {
    on_each_engine(|app| async move {
        let world = World::seed(&app, 0).await;
        let server = Server::start(&app).await;
        let client = server.client(&app, world.site, world.administrator).await;
        let first = post(&client, "key-number-one", &device(None, "curtain-1")).await;
        assert_eq!(first.0, StatusCode::CREATED, "{first:?}");
        let again = post(&client, "key-number-one", &device(None, "curtain-1")).await;
        assert_eq!((again.0, &again.1["id"]), (first.0, &first.1["id"]));
        let other = post(&client, "key-number-one", &device(None, "curtain-2")).await;
        assert_eq!(other.0, StatusCode::CONFLICT, "{other:?}");
        assert_eq!(count(&app, "select count(*) from device").await, 1);
        let id = Uuid::now_v7();
        let by_id = client.post(DEVICES, device(Some(id), "curtain-3")).await;
        assert_eq!(client.post(DEVICES, device(Some(id), "curtain-3")).await.0, by_id.0);
        assert_eq!(client.post(DEVICES, device(Some(id), "curtain-4")).await.0, StatusCode::CONFLICT);
        let (status, problem) = client.post(DEVICES, device(None, "curtain-5")).await;
        assert_eq!((status, &problem["errors"][0]["field"]), (StatusCode::BAD_REQUEST, &json!("id")));
        assert_eq!(count(&app, "select count(*) from device").await, 2);
    })
    .await;
}

#[tokio::test]
async fn the_same_request_ten_times_at_once_is_done_once() {
    on_each_engine(|app| async move {
        let world = World::seed(&app, 0).await;
        let server = Server::start(&app).await;
        let client = server.client(&app, world.site, world.administrator).await;
        let body = device(None, "curtain-1");
        let answers = futures_util::future::join_all((0..10).map(|_| post(&client, "pressed-ten-times", &body))).await;
        for (status, answer) in &answers {
            assert_eq!((*status, &answer["id"]), (StatusCode::CREATED, &answers[0].1["id"]), "{answer}");
        }
        assert_eq!(count(&app, "select count(*) from device").await, 1);
    })
    .await;
}

#[tokio::test]
async fn a_change_needs_the_version_that_was_seen() {
    on_each_engine(|app| async move {
        let world = World::seed(&app, 1).await;
        let server = Server::start(&app).await;
        let client = server.client(&app, world.site, world.administrator).await;
        let (_, made) = post(&client, "key-number-one", &device(None, "curtain-1")).await;
        let path = format!("{DEVICES}/{}", made["id"].as_str().unwrap());
        let seen = client.request(Method::GET, &path).send().await.unwrap().headers()[header::ETAG].to_str().unwrap().to_owned();
        let change = |tag: Option<String>| {
            let request = client.request(Method::PATCH, &path).json(&json!({ "senior_id": world.seniors[0] }));
            read(if let Some(tag) = tag { request.header(header::IF_MATCH, tag) } else { request })
        };
        assert_eq!(change(None).await.0, StatusCode::PRECONDITION_REQUIRED);
        assert_eq!(change(Some("version 1".to_owned())).await.0, StatusCode::BAD_REQUEST);
        let (status, problem) = change(Some("\"99\"".to_owned())).await;
        assert_eq!(status, StatusCode::PRECONDITION_FAILED);
        assert_eq!(problem["current"]["id"], made["id"], "the other value is shown: {problem}");
        let (status, answer) = change(Some(seen.clone())).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        assert_eq!(change(Some(seen)).await.0, StatusCode::PRECONDITION_FAILED, "it has moved on");
    })
    .await;
}

#[tokio::test]
async fn a_rotation_whose_answer_was_lost_gives_working_credentials_and_leaves_the_device_its_old_ones() {
    on_each_engine(|app| async move {
        let world = World::seed(&app, 0).await;
        let server = Server::start(&app).await;
        let client = server.client(&app, world.site, world.administrator).await;
        let (_, made) = client.post(DEVICES, device(Some(Uuid::now_v7()), "curtain-1")).await;
        let path = format!("{DEVICES}/{}/rotate", made["id"].as_str().unwrap());
        let rotate = |key: &'static str| {
            let request = client.request(Method::POST, &path).header("idempotency-key", key).header(header::IF_MATCH, "\"1\"");
            read(request.json(&json!({})))
        };
        let (status, lost) = rotate("rotate-number-1").await;
        assert_eq!(status, StatusCode::OK, "{lost}");
        let (status, again) = rotate("rotate-number-1").await;
        assert_eq!((status, &again["kid"]), (StatusCode::OK, &lost["kid"]), "{again}");
        assert_ne!(again["mqtt_password"], lost["mqtt_password"], "secrets are not kept");
        assert_eq!(rotate("rotate-number-2").await.0, StatusCode::PRECONDITION_FAILED);
        let enters = async |answer: &Value| {
            let (password, now) = (answer["mqtt_password"].as_str().unwrap().to_owned(), app.clock.now());
            let found = app.read(move |mut tx| async move {
                let found = chenlian::store::device::authenticate(&mut tx, "curtain-1", password.as_bytes(), now).await?;
                Ok((tx, found.is_some()))
            });
            found.await.unwrap()
        };
        assert!(enters(&made["credentials"]).await, "what the device has still works");
        assert!(enters(&again).await);
        assert!(!enters(&lost).await, "what nobody received is worth nothing");
        let kept = count(&app, "select count(*) from idempotency where answer like '%mqtt_password%'").await;
        assert_eq!(kept, 0);
    })
    .await;
}

#[tokio::test]
async fn acts_on_a_version_get_their_first_answer_again_under_the_same_key() {
    on_each_engine(|app| async move {
        let world = World::seed(&app, 1).await;
        let server = Server::start(&app).await;
        let client = server.client(&app, world.site, world.administrator).await;
        let act = |path: String, version: &'static str, body: Value| {
            let request = client.request(Method::POST, &path).header("idempotency-key", format!("key of {path}"));
            read(request.header(header::IF_MATCH, version).json(&body))
        };
        let (_, made) = client.post(DEVICES, device(Some(Uuid::now_v7()), "curtain-1")).await;
        let device = format!("{DEVICES}/{}", made["id"].as_str().unwrap());
        let absences = format!("/api/v1/seniors/{}/absences", world.seniors[0]);
        let away =
            json!({ "id": Uuid::now_v7(), "kind": "away", "from_date": "2026-11-24", "return_date": "2026-11-26", "reported_by": "本人" });
        let (_, absence) = client.post(&absences, away).await;
        let absence = format!("{absences}/{}", absence["id"].as_str().unwrap());
        for (path, version, body) in [
            (format!("{device}/calibrate"), "\"1\"", json!({ "while_closed": "closed", "while_open": "open" })),
            (format!("{device}/revoke"), "\"2\"", json!({})),
            (format!("{absence}/confirm"), "\"1\"", json!({})),
            (format!("{absence}/cancel"), "\"2\"", json!({})),
        ] {
            let first = act(path.clone(), version, body.clone()).await;
            assert!(first.0.is_success(), "{path}: {first:?}");
            assert_eq!(act(path.clone(), version, body).await, first, "{path}");
        }
    })
    .await;
}

#[tokio::test]
async fn answers_are_forgotten_when_no_phone_can_still_ask_for_them() {
    on_each_engine(|app| async move {
        let world = World::seed(&app, 0).await;
        let server = Server::start(&app).await;
        let client = server.client(&app, world.site, world.administrator).await;
        for number in 0..3 {
            post(&client, &format!("old-key-{number}"), &device(None, &format!("old-{number}"))).await;
        }
        app.clock.advance(chrono::TimeDelta::days(13));
        let later = server.client(&app, world.site, world.administrator).await;
        post(&later, "young-key", &device(None, "young")).await;
        assert_eq!(count(&app, "select count(*) from idempotency").await, 4);
        app.clock.advance(chrono::TimeDelta::days(2));
        let later = server.client(&app, world.site, world.administrator).await;
        post(&later, "newest-key", &device(None, "newest")).await;
        assert_eq!(count(&app, "select count(*) from idempotency").await, 2, "the young and the newest one");
    })
    .await;
}
