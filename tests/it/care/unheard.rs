//! A sign is no person: somebody must see or hear each senior at least weekly.

use chenlian::app::App;
use chenlian::domain::outcome::Outcome;
use chenlian::domain::signal::SignalKind;
use chenlian::jobs::{plan_day, prove, unheard};
use chenlian::on;
use chenlian::store::visit::{self, NewVisit, Rights};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{change, on_day, resolve, told};
use crate::done;
use crate::harness::{World, local, on_each_engine};
use crate::http::Server;
use crate::morning::{by_member, look, pass_at, planned, send, set};
use crate::register::{body, by};

/// The numbers of the seniors in a list.
fn numbers(world: &World, list: &Value) -> Vec<usize> {
    let ids = list["items"].as_array().expect("a list").iter().map(|item| item["id"].as_str().expect("an id").parse().expect("an id"));
    let mut numbers: Vec<usize> = ids.map(|id: Uuid| world.seniors.iter().position(|senior| *senior == id).expect("ours")).collect();
    numbers.sort_unstable();
    numbers
}

async fn listed(app: &App, world: &World, filter: &str) -> Vec<usize> {
    let server = Server::start(app).await;
    let (_, list) =
        server.client(app, world.site, world.social_worker).await.get(&format!("/api/v1/seniors?contact_overdue={filter}")).await;
    numbers(world, &list)
}

/// She was away from one day of November to another.
async fn away(app: &App, world: &World, senior: usize, days: (u32, u32), confirmed: bool) {
    let (site, senior, now) = (world.site, world.seniors[senior], app.clock.now());
    let date = |day| chrono::NaiveDate::from_ymd_opt(2026, 11, day).expect("a date");
    let (from, back) = (date(days.0), date(days.1));
    app.write(move |mut tx| async move {
        let sql = "insert into absence (site_id, id, senior_id, kind, from_date, return_date, reported_by, confirmed_at, content_hash,
                version, created_at)
            values ($1, $2, $3, 'away', $4, $5, '本人', $6, $7, 1, $8)";
        on!(&mut tx, |conn| sqlx::query(sql)
            .bind(site)
            .bind(Uuid::now_v7())
            .bind(senior)
            .bind(from)
            .bind(back)
            .bind(confirmed.then_some(now))
            .bind(vec![0_u8])
            .bind(now)
            .execute(conn)
            .await
            .map(|_| ()))?;
        Ok((tx, ()))
    })
    .await
    .expect("an absence");
}

async fn visited(app: &App, world: &World, senior: usize, whom: &str) {
    let new: NewVisit = body(json!({
        "id": Uuid::now_v7(), "senior_id": world.seniors[senior], "kind": "care_visit", "method": "door",
        "started_at": "2026-11-23T05:40:00+08:00", "result": "met", "contact_with": whom
    }));
    let by = by(app, world);
    done!(app, |tx| visit::create(&mut tx, &by, new, Rights::default())).expect("a visit");
}

/// Ten seniors with whom the morning sign was agreed long ago; each has a story, told in the order of their numbers.
async fn stories(app: &App) -> World {
    let world = planned(app, 10).await;
    // 0: only her curtain was seen. 1: seen. 2: heard.
    look(app, &world, 0, SignalKind::Open, local("06:00:00")).await;
    look(app, &world, 1, SignalKind::SeenInPerson, local("06:00:00")).await;
    look(app, &world, 2, SignalKind::SpokeWithPerson, local("06:00:00")).await;
    // 3: met on a visit. 4: the visit met her daughter.
    visited(app, &world, 3, "senior").await;
    visited(app, &world, 4, "family").await;
    // 5: away. 6: her absence is only proposed. 7: came back on Saturday.
    away(app, &world, 5, (16, 28), true).await;
    away(app, &world, 6, (16, 28), false).await;
    away(app, &world, 7, (10, 21), true).await;
    // 8: agreed with since Friday.
    let sql = "update agreement set from_date = '2026-11-20' where site_id = $1 and senior_id = $2";
    change(app, &world, sql, world.seniors[8]).await;
    // 9: somebody says she was seen, and then that it was somebody else.
    let mistaken = look(app, &world, 9, SignalKind::SeenInPerson, local("06:00:00")).await;
    let mut corrected = by_member(world.seniors[9], SignalKind::Open, local("06:00:00"), world.primary);
    corrected.replaces = Some(mistaken);
    corrected.reason = Some("看错人了".to_owned());
    send(app, &world, vec![corrected]).await;
    world
}

#[tokio::test]
async fn whom_nobody_has_seen_or_heard_for_a_week_stands_in_red_in_the_list_and_in_the_round() {
    on_each_engine(|app| async move {
        let world = stories(&app).await;
        assert_eq!(listed(&app, &world, "true").await, [0, 4, 6, 9]);
        assert_eq!(listed(&app, &world, "false").await, [1, 2, 3, 5, 7, 8]);

        let server = Server::start(&app).await;
        let worker = server.client(&app, world.site, world.social_worker).await;
        let (_, one) = worker.get(&format!("/api/v1/seniors/{}", world.seniors[1])).await;
        assert_eq!((&one["contact_overdue"], &one["last_contact_at"]), (&json!(false), &json!("2026-11-22T22:00:00Z")), "{one}");
        let (_, other) = worker.get(&format!("/api/v1/seniors/{}", world.seniors[0])).await;
        assert_eq!((&other["contact_overdue"], &other["last_contact_at"]), (&json!(true), &Value::Null), "{other}");
        // A page of the filtered list is full although others stand between.
        let (_, page) = worker.get("/api/v1/seniors?contact_overdue=true&limit=3").await;
        assert_eq!(page["items"].as_array().map(Vec::len), Some(3));
        let (_, rest) =
            worker.get(&format!("/api/v1/seniors?contact_overdue=true&limit=3&cursor={}", page["next"].as_str().unwrap())).await;
        assert_eq!((numbers(&world, &page).len(), numbers(&world, &rest)), (3, vec![9]));

        let (_, round) = server.client(&app, world.site, world.primary).await.get("/api/v1/rounds").await;
        let red = round["stops"].as_array().unwrap().iter().filter(|stop| stop["contact_overdue"] == true);
        let mut red: Vec<&str> = red.map(|stop| stop["called"].as_str().unwrap()).collect();
        red.sort_unstable();
        assert_eq!(red, ["张奶奶0", "张奶奶4", "张奶奶6", "张奶奶9"]);
    })
    .await;
}

#[tokio::test]
async fn the_daily_proof_counts_whom_nobody_has_seen_or_heard_and_the_metrics_know_the_number() {
    on_each_engine(|app| async move {
        let metrics = chenlian::http::ops::metrics();
        let world = stories(&app).await;
        set(&app, local("09:50:00")).await;
        prove::run_once(&app).await.expect("the proof is written");
        let proofs = told(&app, "notice.proof").await;
        let mut people = [world.secretary, world.operator];
        people.sort_unstable();
        let heard: Vec<(Uuid, Value)> = proofs.into_iter().map(|(member, arguments)| (member, arguments["unheard"].clone())).collect();
        assert_eq!(heard, people.map(|member| (member, json!("4"))));

        assert_eq!(unheard::run_once(&app).await.expect("counted"), 4);
        let line = format!("chenlian_contact_overdue{{site=\"{}\"}} 4", world.site);
        assert!(metrics.render().contains(&line), "{line}");
    })
    .await;
}

#[tokio::test]
async fn an_alert_closed_with_sight_or_voice_is_a_contact_and_after_a_week_she_is_in_red_again() {
    on_each_engine(|app| async move {
        let world = planned(&app, 2).await;
        pass_at(&app, local("09:45:00")).await;
        resolve(&app, &world, 0, Outcome::Overslept).await;
        assert_eq!(listed(&app, &world, "true").await, [1]);
        set(&app, on_day(30, "09:45:00")).await;
        plan_day::run_once(&app).await.expect("the day is planned");
        assert_eq!(listed(&app, &world, "true").await, [1]);
        set(&app, on_day(30, "09:45:01")).await;
        assert_eq!(listed(&app, &world, "true").await, [0, 1]);
    })
    .await;
}
