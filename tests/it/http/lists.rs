//! Audit, delivery log and pages.

use chenlian::app::App;
use chenlian::jobs::{plan_day, watch};
use chenlian::on;
use chenlian::store::audit::{self, Entry};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Client, Server};
use crate::harness::{World, local, on_each_engine};
use crate::morning::set;

#[tokio::test]
async fn the_audit_is_read_page_by_page_without_a_gap() {
    on_each_engine(|app| async move {
        let world = World::seed(&app, 0).await;
        let (site, at, actor) = (world.site, app.clock.now(), world.secretary);
        app.write(move |mut tx| async move {
            for number in 0..5 {
                let fields: &[&str] = if number == 0 { &["name", "phone"] } else { &[] };
                let entry = Entry {
                    site_id: site,
                    at,
                    actor_id: Some(actor),
                    act: "change",
                    object_kind: "senior",
                    object_id: Some(Uuid::now_v7()),
                    fields,
                };
                audit::write(&mut tx, &entry).await?;
            }
            Ok((tx, ()))
        })
        .await
        .unwrap();
        let server = Server::start(&app).await;
        let client = server.client(&app, world.site, world.administrator).await;
        let (mut seen, mut cursor): (Vec<i64>, String) = (Vec::new(), String::new());
        for _ in 0..3 {
            let (_, page) = client.get(&format!("/api/v1/audit?limit=2&act=change{cursor}")).await;
            seen.extend(page["items"].as_array().unwrap().iter().map(|row| row["seq"].as_i64().unwrap()));
            cursor = page["next"].as_str().map(|next| format!("&cursor={next}")).unwrap_or_default();
        }
        assert_eq!(seen.len(), 5);
        assert!(seen.windows(2).all(|pair| pair[0] > pair[1]), "{seen:?}");
        assert_eq!(cursor, "", "the last page says that it is the last");
        let (_, page) = client.get(&format!("/api/v1/audit?actor_id={}&limit=200", world.primary)).await;
        assert_eq!(page["items"], Value::Array(Vec::new()));
    })
    .await;
}

/// A message about a senior to the primary, tried once in vain.
async fn message(app: &App, world: &World, senior: Uuid) -> Uuid {
    let (site, recipient, now, id) = (world.site, world.primary, app.clock.now(), Uuid::now_v7());
    app.write(move |mut tx| async move {
        let alert = Uuid::now_v7();
        let raise =
            "insert into alert (site_id, id, senior_id, state, ladder, cause, epoch, level, trial, drill, opened_at, epoch_at, version)
            values ($1, $2, $3, 'open', 'missed', 'not_open', 1, 0, false, false, $4, $4, 1)";
        on!(&mut tx, |conn| sqlx::query(raise).bind(site).bind(alert).bind(senior).bind(now).execute(conn).await.map(|_| ()))?;
        let seal = "insert into message (site_id, id, recipient_id, channel, endpoint, priority, body, locale, dedupe_key, call_no, state, attempts,
            next_at, repeated, last_error, sealed_at) values ($1, $2, $3, 'webhook', '', 1, $4, 'zh-CN', $5, 7, 'ready', 1, $6, true, 'timeout', $6)";
        on!(&mut tx, |conn| sqlx::query(seal)
            .bind(site)
            .bind(id)
            .bind(recipient)
            .bind("张奶奶".as_bytes().to_vec())
            .bind(id.to_string())
            .bind(now)
            .execute(conn)
            .await
            .map(|_| ()))?;
        let tell = "insert into notice (site_id, id, alert_id, epoch, step, level, recipient_id, key, arguments, class, state, message_id,
            channels_tried, not_before, created_at)
            values ($1, $2, $3, 1, 0, 0, $4, 'notice.alert_call', '{\"name\":\"张奶奶\"}', 'alert', 'sealed', $5, 0, $6, $6)";
        on!(&mut tx, |conn| sqlx::query(tell)
            .bind(site)
            .bind(Uuid::now_v7())
            .bind(alert)
            .bind(recipient)
            .bind(id)
            .bind(now)
            .execute(conn)
            .await
            .map(|_| ()))?;
        let carry = "insert into message_alert (site_id, message_id, alert_id) values ($1, $2, $3)";
        on!(&mut tx, |conn| sqlx::query(carry).bind(site).bind(id).bind(alert).execute(conn).await.map(|_| ()))?;
        let attempt =
            "insert into message_attempt (site_id, id, message_id, at, outcome, detail) values ($1, $2, $3, $4, 'retry', 'timeout')";
        on!(&mut tx, |conn| sqlx::query(attempt).bind(site).bind(Uuid::now_v7()).bind(id).bind(now).execute(conn).await.map(|_| ()))?;
        Ok((tx, ()))
    })
    .await
    .expect("a message is written");
    id
}

#[tokio::test]
async fn the_delivery_log_shows_that_somebody_was_told_and_not_what() {
    on_each_engine(|app| async move {
        let world = World::seed(&app, 1).await;
        let id = message(&app, &world, world.seniors[0]).await;
        let server = Server::start(&app).await;
        for member in [world.administrator, world.social_worker] {
            let client = server.client(&app, world.site, member).await;
            let (status, page) = client.get("/api/v1/notifications?state=ready").await;
            assert_eq!(status, 200, "{page}");
            let row = &page["items"][0];
            assert_eq!(row["id"], id.to_string());
            assert_eq!(row["says"][0]["key"], "notice.alert_call");
            assert_eq!(row["attempts"][0]["outcome"], "retry");
            assert!(!page.to_string().contains("张奶奶"), "{page}");
            let (_, none) = client.get("/api/v1/notifications?state=sent").await;
            assert_eq!(none["items"], Value::Array(Vec::new()));
        }
        // A social worker of one community reads nothing about seniors outside it.
        let elsewhere = message(&app, &world, Uuid::now_v7()).await;
        let social = server.client(&app, world.site, world.social_worker).await;
        let (_, page) = social.get("/api/v1/notifications").await;
        assert!(!page.to_string().contains(&elsewhere.to_string()) && page.to_string().contains(&id.to_string()), "{page}");
        let administrator = server.client(&app, world.site, world.administrator).await;
        assert!(administrator.get("/api/v1/notifications").await.1.to_string().contains(&elsewhere.to_string()));
        let (status, problem) = social.get("/api/v1/notifications?state=lost").await;
        assert_eq!((status.as_u16(), &problem["errors"][0]["field"]), (400, &Value::from("state")));
    })
    .await;
}

/// How many statements each list, and each entry about all seniors of a member, costs where so many seniors are looked after.
async fn lists_in_statements(app: &App, seniors: usize) -> Vec<(String, u64)> {
    let world = World::seed(app, seniors).await;
    plan_day::run_once(app).await.expect("the day is planned");
    set(app, local("09:45:00")).await;
    watch::run_once(app).await.expect("the watch passes");
    let server = Server::start(app).await;
    let social = server.client(app, world.site, world.social_worker).await;
    let primary = server.client(app, world.site, world.primary).await;
    for senior in &world.seniors {
        let visit = json!({ "id": Uuid::new_v4(), "senior_id": senior, "kind": "care_visit", "method": "door", "result": "met",
            "started_at": local("09:00:00"), "ended_at": local("09:10:00"), "contact_with": "neighbour", "needs": [{ "item": "shopping" }] });
        let (status, answer) = primary.post("/api/v1/visits", visit).await;
        assert_eq!(status, 201, "{answer}");
    }
    let mut taken = Vec::new();
    for (who, client) in [("social worker", &social), ("primary", &primary)] {
        for list in ["alerts", "seniors", "visits", "findings"] {
            if (who, list) != ("primary", "findings") {
                taken.push((format!("{list} of the {who}"), listing(app, client, list, seniors).await));
            }
        }
    }
    let before = app.statements();
    let leave = json!({ "id": Uuid::new_v4(), "member_id": world.primary, "from_date": "2026-11-24", "return_date": "2026-11-25" });
    let (status, answer) = social.post("/api/v1/leaves", leave).await;
    assert_eq!(status, 201, "{answer}");
    taken.push(("a leave".to_owned(), app.statements() - before));
    taken.push(("leaves".to_owned(), listing(app, &social, "leaves", 1).await));
    taken
}

async fn listing(app: &App, client: &Client, list: &str, rows: usize) -> u64 {
    let before = app.statements();
    let (status, page) = client.get(&format!("/api/v1/{list}?limit=200")).await;
    assert_eq!((status.as_u16(), page["items"].as_array().map(Vec::len)), (200, Some(rows)), "{list}: {page}");
    app.statements() - before
}

#[tokio::test]
async fn ten_times_as_many_seniors_make_no_list_ask_more_often() {
    on_each_engine(|app| async move {
        let (few, many) = (lists_in_statements(&app, 3).await, lists_in_statements(&app, 30).await);
        assert_eq!(few, many);
        assert!(few.iter().all(|(_, statements)| *statements > 0), "they are counted: {few:?}");
    })
    .await;
}
