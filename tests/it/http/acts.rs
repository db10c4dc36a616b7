//! What a person does with an alert, over HTTP: each route does what its name says, and the timeline says so.

use chenlian::app::App;
use chrono::TimeDelta;
use reqwest::StatusCode;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Client, Server, bearer};
use crate::harness::{World, local, on_each_engine};
use crate::morning::{pass_at, planned};

/// An alert of the morning with those who deal with it.
struct Scene {
    app: App,
    world: World,
    alert: String,
    primary: Client,
    backup: Client,
    worker: Client,
    _server: Server,
}

impl Scene {
    async fn set(app: App) -> Self {
        let world = planned(&app, 1).await;
        pass_at(&app, local("09:45:00")).await;
        let server = Server::start(&app).await;
        let stranger = server.stranger();
        let client = async |member| Client { token: Some(bearer(&app, world.site, member).await), ..stranger.clone() };
        let (primary, backup, worker) = (client(world.primary).await, client(world.backup).await, client(world.social_worker).await);
        let (status, list) = primary.get("/api/v1/alerts?open=true").await;
        assert_eq!((status, list["items"].as_array().map(Vec::len)), (StatusCode::OK, Some(1)), "{list}");
        let alert = list["items"][0]["id"].as_str().expect("an id").to_owned();
        Self { app, world, alert, primary, backup, worker, _server: server }
    }

    /// How often the timeline names this.
    async fn times(&self, kind: &str) -> usize {
        let (status, detail) = self.worker.get(&format!("/api/v1/alerts/{}", self.alert)).await;
        assert_eq!(status, StatusCode::OK, "{detail}");
        detail["timeline"].as_array().expect("a timeline").iter().filter(|entry| entry["kind"] == kind).count()
    }

    async fn post(&self, client: &Client, act: &str, mut body: Value) -> (StatusCode, Value) {
        body["id"] = json!(Uuid::now_v7());
        client.post(&format!("/api/v1/alerts/{}/{act}", self.alert), body).await
    }

    /// Does it; the timeline has this one row more.
    async fn does(&self, client: &Client, act: &str, kind: &str, body: Value) -> Value {
        let before = self.times(kind).await;
        self.app.clock.advance(TimeDelta::seconds(20));
        let (status, alert) = self.post(client, act, body).await;
        assert_eq!(status, StatusCode::OK, "{act}: {alert}");
        assert_eq!(self.times(kind).await, before + 1, "{act} is on record as {kind}");
        alert
    }
}

#[tokio::test]
async fn somebody_goes_needs_longer_hands_back_and_is_at_the_door() {
    on_each_engine(|app| async move {
        let scene = Scene::set(app).await;
        let me = json!(scene.world.primary);
        let claimed = scene.does(&scene.primary, "claim", "claimed", json!({})).await;
        assert_eq!((&claimed["state"], &claimed["claimed_by"]), (&json!("claimed"), &me), "{claimed}");
        assert_eq!(scene.post(&scene.backup, "claim", json!({})).await.0, StatusCode::CONFLICT, "the first claim wins");
        let longer = scene.does(&scene.primary, "extend", "extended", json!({})).await;
        assert!(longer["claim_until"].as_str() > claimed["claim_until"].as_str(), "{longer}");
        let back = scene.does(&scene.primary, "release", "released", json!({})).await;
        assert_eq!((&back["state"], &back["claimed_by"]), (&json!("open"), &Value::Null), "{back}");
        let other = scene.does(&scene.backup, "claim", "claimed", json!({})).await;
        assert_eq!(other["claimed_by"], json!(scene.world.backup));
        let there = scene.does(&scene.backup, "on-site", "on_site", json!({})).await;
        assert_eq!(there["state"], "on_site");
        scene.does(&scene.backup, "no-answer", "no_answer_at_door", json!({})).await;
        let (_, detail) = scene.worker.get(&format!("/api/v1/alerts/{}", scene.alert)).await;
        let due = |level: i64| detail["steps"].as_array().expect("steps").iter().find(|step| step["level"] == level).cloned();
        let now = scene.app.clock.now();
        for level in [2, 3] {
            let step = due(level).expect("the step is there");
            let at = step["due_at"].as_str().and_then(|at| at.parse::<chrono::DateTime<chrono::Utc>>().ok()).expect("a time");
            assert!(step["state"] != "pending" || at <= now, "family and key holder are called at once: {step}");
        }
    })
    .await;
}

#[tokio::test]
async fn the_social_worker_sends_somebody_asks_for_more_and_the_ambulance_is_on_record() {
    on_each_engine(|app| async move {
        let scene = Scene::set(app).await;
        let body = json!({ "member_id": scene.world.backup });
        assert_eq!(scene.post(&scene.primary, "assign", body.clone()).await.0, StatusCode::FORBIDDEN);
        let unknown = json!({ "member_id": Uuid::now_v7() });
        assert_eq!(scene.post(&scene.primary, "assign", unknown.clone()).await.0, StatusCode::FORBIDDEN, "who is a member stays unsaid");
        assert_eq!(scene.post(&scene.worker, "assign", unknown).await.0, StatusCode::BAD_REQUEST);
        let sent = scene.does(&scene.worker, "assign", "assigned", body).await;
        assert_eq!((&sent["state"], &sent["claimed_by"]), (&json!("claimed"), &json!(scene.world.backup)));
        let before = sent["level"].as_i64();
        let more = scene.does(&scene.backup, "escalate", "escalated", json!({})).await;
        assert_eq!(more["claimed_by"], json!(scene.world.backup), "asking for more hands gives nothing back");
        assert!(more["level"].as_i64() >= before, "{more}");
        let called = scene.does(&scene.backup, "emergency", "emergency", json!({ "service": "120" })).await;
        assert!(!called["emergency_at"].is_null(), "{called}");
        let (status, problem) = scene.post(&scene.backup, "emergency", json!({ "service": "911" })).await;
        assert_eq!((status, &problem["errors"][0]["field"]), (StatusCode::BAD_REQUEST, &json!("service")));
    })
    .await;
}

#[tokio::test]
async fn an_alert_is_closed_with_a_proof_opened_again_and_looked_through() {
    on_each_engine(|app| async move {
        let scene = Scene::set(app).await;
        let close = json!({ "safe": true, "contact_proof": "seen_in_person", "outcome": "overslept" });
        for (wrong, field) in [
            (json!({ "safe": "yes" }), "safe"),
            (json!({}), "safe"),
            (json!({ "safe": true, "contact_proof": "rumour" }), "contact_proof"),
            (json!({ "safe": true, "contact_proof": "seen_in_person", "proof_at": "yesterday" }), "proof_at"),
            (json!({ "safe": true, "return_date": "1999-01-01" }), "return_date"),
            (json!({ "safe": true, "well": true }), "well"),
            (json!({ "safe": true, "outcome": "forgot_curtain" }), "contact_proof"),
            (json!({ "safe": false, "contact_proof": "seen_in_person", "outcome": "overslept" }), "safe"),
            (json!({ "safe": true, "contact_proof": "seen_in_person", "outcome": "deceased" }), "safe"),
            (json!({ "safe": false, "contact_proof": "spoke_with_person", "outcome": "missing" }), "contact_proof"),
        ] {
            let (status, problem) = scene.post(&scene.primary, "resolve", wrong.clone()).await;
            assert_eq!((status, &problem["errors"][0]["field"]), (StatusCode::BAD_REQUEST, &json!(field)), "{wrong}: {problem}");
        }
        let done = scene.does(&scene.primary, "resolve", "resolved", close.clone()).await;
        assert_eq!((&done["state"], &done["outcome"], &done["safe"]), (&json!("resolved"), &json!("overslept"), &json!(true)));
        assert_eq!(done["resolved_by"], json!(scene.world.primary));
        assert_eq!(scene.post(&scene.primary, "claim", json!({})).await.0, StatusCode::CONFLICT);
        assert_eq!(scene.post(&scene.primary, "reopen", json!({ "reason": "不是她" })).await.0, StatusCode::FORBIDDEN);
        let again = scene.does(&scene.worker, "reopen", "reopened", json!({ "reason": "不是她" })).await;
        assert_eq!((&again["state"], &again["resolved_at"]), (&json!("open"), &Value::Null), "{again}");
        assert_eq!(scene.post(&scene.worker, "review", json!({})).await.0, StatusCode::CONFLICT, "nothing to look through yet");
        scene.does(&scene.worker, "resolve", "resolved", close).await;
        let seen = scene.does(&scene.worker, "review", "reviewed", json!({ "outcome": "not_heard" })).await;
        assert_eq!((&seen["state"], &seen["outcome"]), (&json!("reviewed"), &json!("not_heard")));
        assert!(!seen["reviewed_at"].is_null());
    })
    .await;
}

#[tokio::test]
async fn a_request_that_somebody_looks_is_an_alert_and_a_repeat_is_the_same_one() {
    on_each_engine(|app| async move {
        let world = planned(&app, 1).await;
        let server = Server::start(&app).await;
        let primary = server.client(&app, world.site, world.primary).await;
        let body = json!({ "id": Uuid::now_v7(), "senior_id": world.seniors[0], "note": "门口有三天的报纸" });
        let (status, made) = primary.post("/api/v1/alerts", body.clone()).await;
        assert_eq!((status, &made["state"], &made["cause"]), (StatusCode::CREATED, &json!("open"), &json!("manual")), "{made}");
        assert_eq!(primary.post("/api/v1/alerts", body).await, (StatusCode::CREATED, made.clone()));
        let (_, list) = primary.get(&format!("/api/v1/alerts?senior={}", world.seniors[0])).await;
        assert_eq!((list["items"].as_array().map(Vec::len), &list["items"][0]["id"]), (Some(1), &made["id"]));
        let (_, detail) = primary.get(&format!("/api/v1/alerts/{}", made["id"].as_str().expect("an id"))).await;
        assert_eq!(detail["triggers"][0]["note"], "门口有三天的报纸");
    })
    .await;
}
