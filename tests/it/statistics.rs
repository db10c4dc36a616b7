//! Figures, filters and the handing in of late records, as clients of the API meet them.

use chenlian::app::App;
use chenlian::on;
use chenlian::store::plan;
use reqwest::StatusCode;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::harness::{World, local, on_each_engine};
use crate::http::Server;

/// A planned morning at which nobody looked: an alert for everybody.
async fn nobody_looked(app: &App, world: &World) {
    let (site, now) = (world.site, app.clock.now());
    crate::done!(app, |tx| plan::plan_site(&mut tx, site, now)).unwrap();
    app.clock.advance(local("09:45:00") - app.clock.now());
    chenlian::jobs::watch::run_once(app).await.unwrap();
}

async fn change(app: &App, sql: &'static str, senior: Uuid) {
    app.write(move |mut tx| async move {
        on!(&mut tx, |conn| sqlx::query(sql).bind(senior).execute(conn).await.map(|_| ()))?;
        Ok((tx, ()))
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn the_figures_of_a_day_count_seniors_alerts_and_minutes_and_leave_out_drills_and_canaries() {
    on_each_engine(|app| async move {
        let world = World::seed(&app, 4).await;
        change(&app, "update senior set purpose = 'canary' where id = $1", world.seniors[3]).await;
        nobody_looked(&app, &world).await;
        change(&app, "update alert set drill = true where senior_id = $1", world.seniors[2]).await;
        let server = Server::start(&app).await;
        let worker = server.client(&app, world.site, world.social_worker).await;
        let (_, list) = worker.get(&format!("/api/v1/alerts?senior={}", world.seniors[0])).await;
        let alert = list["items"][0]["id"].as_str().unwrap().to_owned();
        app.clock.advance(local("09:55:00") - app.clock.now());
        let primary = server.client(&app, world.site, world.primary).await;
        primary.post(&format!("/api/v1/alerts/{alert}/claim"), json!({"id": Uuid::now_v7()})).await;
        app.clock.advance(local("10:05:00") - app.clock.now());
        let seen = json!({"id": Uuid::now_v7(), "safe": true, "contact_proof": "seen_in_person", "outcome": "overslept"});
        primary.post(&format!("/api/v1/alerts/{alert}/resolve"), seen).await;

        let (status, figures) = worker.get("/api/v1/statistics?from=2026-11-23&to=2026-11-23").await;
        assert_eq!(status, StatusCode::OK, "{figures}");
        assert_eq!((&figures["checks"]["due"], &figures["checks"]["not_observed"]), (&json!(3), &json!(3)), "{figures}");
        assert_eq!((&figures["alerts"]["alerts"], &figures["alerts"]["senior_days"]), (&json!(2), &json!(3)));
        assert_eq!(figures["alerts"]["minutes_to_claim"], json!({"count": 1, "median": 10.0, "p90": 10.0}));
        assert_eq!(figures["alerts"]["minutes_to_contact"], json!({"count": 1, "median": 20.0, "p90": 20.0}));
        let classes: Vec<&Value> = figures["outcomes"].as_array().unwrap().iter().map(|of| &of["class"]).collect();
        assert_eq!(classes, [&json!("benign"), &Value::Null]);
        let (_, compound) = worker.get(&format!("/api/v1/statistics?place={}", world.compound)).await;
        assert_eq!(compound["alerts"]["alerts"], 2);
        assert_eq!(compound["days"].as_array().map(Vec::len), Some(30));
    })
    .await;
}

/// I32: figures follow the scope of the role, and outcomes are nobody else's business.
#[tokio::test]
async fn nobody_reads_figures_about_seniors_outside_her_role() {
    on_each_engine(|app| async move {
        let (world, elsewhere) = (World::seed(&app, 1).await, World::seed(&app, 1).await);
        nobody_looked(&app, &world).await;
        let server = Server::start(&app).await;
        for member in [world.primary, world.building_lead, world.street_duty, world.operator] {
            let client = server.client(&app, world.site, member).await;
            assert_eq!(client.get("/api/v1/statistics").await.0, StatusCode::FORBIDDEN);
        }
        let secretary = server.client(&app, world.site, world.secretary).await;
        assert_eq!(secretary.get("/api/v1/statistics").await.1["alerts"]["alerts"], 1);
        for place in [world.community, elsewhere.compound, Uuid::now_v7()] {
            let path = format!("/api/v1/statistics?place={place}");
            assert_eq!(secretary.get(&path).await.0, StatusCode::NOT_FOUND, "above her compound, foreign, unknown");
        }
        let wrong = secretary.get("/api/v1/statistics?from=2026-11-24&to=2026-11-23").await;
        assert_eq!((wrong.0, &wrong.1["errors"][0]["field"]), (StatusCode::BAD_REQUEST, &json!("to")));
        let foreigner = server.client(&app, elsewhere.site, elsewhere.administrator).await;
        assert_eq!(foreigner.get("/api/v1/statistics").await.1["alerts"]["alerts"], 0);
    })
    .await;
}

#[tokio::test]
async fn alerts_are_listed_by_cause_state_and_day() {
    on_each_engine(|app| async move {
        let world = World::seed(&app, 2).await;
        nobody_looked(&app, &world).await;
        let server = Server::start(&app).await;
        let worker = server.client(&app, world.site, world.social_worker).await;
        worker.post("/api/v1/alerts", json!({"id": Uuid::now_v7(), "senior_id": world.seniors[1]})).await;
        for (query, expected) in [
            ("", 2),
            ("?cause=not_observed", 2),
            ("?cause=not_open", 0),
            ("?state=open", 2),
            ("?state=resolved", 0),
            ("?from=2026-11-23&to=2026-11-23", 2),
            ("?to=2026-11-22", 0),
            ("?from=2026-11-24", 0),
            ("?from=2026-11-23&cause=not_observed&state=open", 2),
        ] {
            let (status, list) = worker.get(&format!("/api/v1/alerts{query}")).await;
            assert_eq!((status, list["items"].as_array().map(Vec::len)), (StatusCode::OK, Some(expected)), "{query}");
        }
        assert_eq!(worker.get("/api/v1/alerts?cause=lazy").await.0, StatusCode::BAD_REQUEST);
    })
    .await;
}

#[tokio::test]
async fn a_key_holder_who_went_hands_in_her_record_although_the_alert_is_closed_by_then() {
    on_each_engine(|app| async move {
        let world = World::seed(&app, 1).await;
        nobody_looked(&app, &world).await;
        chenlian::jobs::deliver::run_once(&app).await.unwrap();
        let server = Server::start(&app).await;
        // She sees this senior only because the ladder told her: pairings end.
        change(&app, "update pairing set to_date = '2026-11-01' where senior_id = $1", world.seniors[0]).await;
        let backup = server.client(&app, world.site, world.backup).await;
        let worker = server.client(&app, world.site, world.social_worker).await;
        let (_, list) = worker.get("/api/v1/alerts").await;
        let alert = list["items"][0]["id"].clone();
        let seen = json!({"safe": true, "contact_proof": "seen_in_person", "outcome": "overslept"});
        let mut close = seen.clone();
        close["id"] = json!(Uuid::now_v7());
        worker.post(&format!("/api/v1/alerts/{}/resolve", alert.as_str().unwrap()), close).await;
        let visit = json!({
            "id": Uuid::now_v7(), "senior_id": world.seniors[0], "kind": "alert_followup", "alert_id": alert, "method": "door",
            "started_at": "2026-11-23T09:45:00+08:00", "result": "met", "contact_with": "senior", "safety": {"gas": "hazard"}, "resolve": seen
        });
        let (status, kept) = backup.post("/api/v1/visits", visit.clone()).await;
        assert_eq!((status, &kept["resolve_result"]), (StatusCode::CREATED, &json!("already_resolved")), "{kept}");
        assert!(kept["detail"].as_str().is_some_and(|detail| !detail.is_empty()), "{kept}");
        assert_eq!(worker.get("/api/v1/findings").await.1["items"][0]["item"], "gas");
        let mut unrelated = visit;
        unrelated["id"] = json!(Uuid::now_v7());
        unrelated["kind"] = json!("care_visit");
        for name in ["alert_id", "resolve"] {
            unrelated.as_object_mut().unwrap().remove(name);
        }
        assert_eq!(backup.post("/api/v1/visits", unrelated).await.0, StatusCode::NOT_FOUND);
        let (_, today) = worker.get("/api/v1/visits?from=2026-11-23&to=2026-11-23").await;
        let (_, before) = worker.get("/api/v1/visits?to=2026-11-22").await;
        assert_eq!((today["items"].as_array().map(Vec::len), before["items"].as_array().map(Vec::len)), (Some(1), Some(0)));
        assert_eq!(worker.get("/api/v1/visits/due").await.0, StatusCode::OK);
        assert_eq!(backup.get("/api/v1/visits/due").await.0, StatusCode::FORBIDDEN);
    })
    .await;
}

#[test]
fn the_document_names_every_word_of_a_visit() {
    let document = serde_json::to_value(chenlian::http::openapi()).expect("the document is plain data");
    let schemas = &document["components"]["schemas"];
    let resolved = |schema: &Value| match schema["$ref"].as_str() {
        Some(reference) => document.pointer(reference.trim_start_matches('#')).cloned().unwrap_or_default(),
        None => schema.clone(),
    };
    for owner in ["NewVisit", "Visit"] {
        let safety = resolved(&schemas[owner]["properties"]["safety"]);
        assert_eq!(safety["properties"]["gas"]["enum"], json!(["ok", "hazard", "not_checked"]), "{owner}");
        assert_eq!(safety["properties"].as_object().map(serde_json::Map::len), Some(8), "{owner}");
        let conditions = resolved(&schemas[owner]["properties"]["conditions"]);
        assert_eq!(conditions["properties"]["health"]["enum"], json!(["good", "fair", "poor", "unknown"]), "{owner}");
        assert_eq!(conditions["additionalProperties"], json!(false), "{owner}");
        assert_eq!(schemas[owner]["properties"]["started_at"]["format"], "date-time", "{owner}");
    }
    assert_eq!(schemas["Dossier"]["properties"]["usual_rising"]["format"], "time");
    assert_eq!(schemas["NewVisit"]["properties"]["next_due"]["format"], "date");
}
