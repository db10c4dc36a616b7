//! Which fields of an alert and of a senior somebody reads follows from her tie (domain.md §9).

use reqwest::StatusCode;
use serde_json::{Value, json};
use uuid::Uuid;

use super::access::roleless;
use super::power::grant;
use super::{Server, count};
use crate::harness::{local, on_each_engine};
use crate::morning::{all_told, pass_at, planned};

#[tokio::test]
async fn a_volunteer_learns_that_it_is_over_and_not_what_it_was() {
    on_each_engine(|app| async move {
        let world = planned(&app, 1).await;
        pass_at(&app, local("09:45:00")).await;
        all_told(&app).await;
        let server = Server::start(&app).await;
        let primary = server.client(&app, world.site, world.primary).await;
        let worker = server.client(&app, world.site, world.social_worker).await;
        let (_, list) = worker.get("/api/v1/alerts").await;
        let alert = format!("/api/v1/alerts/{}", list["items"][0]["id"].as_str().expect("an id"));
        let body =
            json!({"id": Uuid::now_v7(), "safe": false, "contact_proof": "hospital_confirmed", "outcome": "fall_injury", "note": "骨折"});
        let (status, done) = worker.post(&format!("{alert}/resolve"), body).await;
        assert_eq!((status, &done["outcome"]), (StatusCode::OK, &json!("fall_injury")), "{done}");
        for path in [alert.clone(), "/api/v1/alerts".to_owned()] {
            let (_, seen) = primary.get(&path).await;
            let text = seen.to_string();
            assert!(text.contains("resolved_at"), "{text}");
            for word in ["fall_injury", "骨折", "hospital_confirmed", "stand_down_handled", "\"safe\":false"] {
                assert!(!text.contains(word), "{path}: {word} in {text}");
            }
        }
        let (_, staff) = worker.get(&alert).await;
        assert_eq!((&staff["outcome_note"], &staff["safe"]), (&json!("骨折"), &json!(false)));
    })
    .await;
}

#[tokio::test]
async fn the_key_is_shown_to_whoever_was_told_and_only_while_somebody_must_go() {
    on_each_engine(|app| async move {
        let world = planned(&app, 1).await;
        let server = Server::start(&app).await;
        let admin = server.client(&app, world.site, world.administrator).await;
        let (_, homes) = admin.get("/api/v1/homes").await;
        let home = format!("/api/v1/homes/{}", homes["items"][0]["id"].as_str().expect("an id"));
        let key = json!({"key_holder_name": "周姨", "key_holder_phone": "13911112222"});
        let patch = admin.request(reqwest::Method::PATCH, &home).header("if-match", "\"1\"").json(&key);
        assert_eq!(super::read(patch).await.0, StatusCode::OK);
        pass_at(&app, local("09:45:00")).await;
        let told = server.client(&app, world.site, world.primary).await;
        let officer = roleless(&app, world.site).await;
        grant(&app, &world, officer, "grid_officer_full_time", world.building).await;
        let not_yet = server.client(&app, world.site, officer).await;
        let (_, list) = told.get("/api/v1/alerts").await;
        let alert = format!("/api/v1/alerts/{}", list["items"][0]["id"].as_str().expect("an id"));
        let (_, seen) = told.get(&alert).await;
        assert_eq!((&seen["door"]["key_holder"], &seen["door"]["key_holder_phone"]), (&json!("周姨"), &json!("13911112222")), "{seen}");
        let (_, other) = not_yet.get(&alert).await;
        assert_eq!((&other["door"]["room"], &other["door"]["key_holder"]), (&json!("401"), &Value::Null), "{other}");
        let close = json!({"id": Uuid::now_v7(), "safe": true, "contact_proof": "seen_in_person", "outcome": "overslept"});
        assert_eq!(told.post(&format!("{alert}/resolve"), close).await.0, StatusCode::OK);
        let (_, after) = told.get(&alert).await;
        assert_eq!((&after["door"]["key_holder_phone"], after.get("contacts")), (&Value::Null, None), "{after}");
        assert_eq!(after["outcome"], "overslept", "who closed it knows what she said");
    })
    .await;
}

#[tokio::test]
async fn opening_a_record_shows_what_ones_tie_allows() {
    on_each_engine(|app| async move {
        let world = planned(&app, 1).await;
        pass_at(&app, local("09:45:00")).await;
        let server = Server::start(&app).await;
        let reveal = format!("/api/v1/seniors/{}/reveal", world.seniors[0]);
        let told = server.client(&app, world.site, world.primary).await;
        let (status, opened) = told.post(&reveal, json!({"reason": "alert"})).await;
        assert_eq!((status, &opened["senior"]["phone"]), (StatusCode::OK, &json!("0351000000")), "{opened}");
        for field in ["categories", "risk_band", "birth_year"] {
            assert!(opened["senior"].get(field).is_none(), "{field}: {opened}");
        }
        let worker = server.client(&app, world.site, world.social_worker).await;
        let (_, all) = worker.post(&reveal, json!({"reason": "visit"})).await;
        assert_eq!(all["senior"]["risk_band"], "yellow");
        assert_eq!(count(&app, "select count(*) from audit where act = 'read_sensitive'").await, 2);
    })
    .await;
}
