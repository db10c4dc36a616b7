//! I27: once a day the operators hear that alerts arrive; if they do not, the heartbeat stops.

use chenlian::app::App;
use chenlian::domain::health::Ailment;
use chenlian::jobs::{canary, deliver, escalate, heartbeat, plan_day, watch};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;

use super::waiting;
use crate::harness::{World, local, on_each_engine};
use crate::http::Server;
use crate::morning::set;
use crate::outbox::{change, number, texts};

const KEY: &str = "notice.canary";

/// Every job of a server that has a part in it, in no helpful order.
async fn jobs_at(app: &App, now: DateTime<Utc>) {
    set(app, now).await;
    canary::run_once(app).await.expect("the self-test looks");
    plan_day::run_once(app).await.expect("the day is planned");
    watch::run_once(app).await.expect("the watch passes");
    escalate::run_once(app).await.expect("the ladder passes");
    deliver::run_once(app).await.expect("the outbox passes");
}

async fn is_silent(app: &App) -> bool {
    heartbeat::look(app).await.expect("a look").contains(&Ailment::CanarySilent)
}

#[tokio::test]
async fn once_a_day_an_alert_of_nobody_reaches_the_operators_and_is_over() {
    on_each_engine(|app| async move {
        let world = World::seed(&app, 2).await;
        for time in ["06:00:00", "06:59:59"] {
            jobs_at(&app, local(time)).await;
        }
        assert!(waiting(&app, world.operator, KEY).await.is_empty(), "not before its time");
        jobs_at(&app, local("07:00:00")).await;
        assert_eq!(waiting(&app, world.operator, KEY).await, [("delivered".to_owned(), local("07:00:00"))]);
        for seconds in [10, 20, 1_800] {
            jobs_at(&app, local("07:00:00") + TimeDelta::seconds(seconds)).await;
        }
        let told = texts(&app, "select n.key from notice n join message m on m.id = n.message_id").await;
        assert_eq!(told, [KEY], "one message, to nobody else, and nothing follows it");
        assert_eq!(number(&app, "select count(*) from alert where resolved_at is null").await, 0, "it is over");
        assert!(!is_silent(&app).await);
        // Over the next day it is the same, with an alert of its own.
        jobs_at(&app, local("07:00:00") + TimeDelta::days(1)).await;
        assert_eq!(waiting(&app, world.operator, KEY).await.len(), 2);
        assert_eq!(number(&app, "select count(*) from alert where drill").await, 2);
    })
    .await;
}

#[tokio::test]
async fn a_self_test_that_does_not_arrive_in_time_stops_the_heartbeat_until_it_does() {
    on_each_engine(|app| async move {
        let world = World::seed(&app, 1).await;
        jobs_at(&app, local("06:00:00")).await;
        change(&app, "update member_channel set disabled_at = created_at").await;
        jobs_at(&app, local("07:00:00")).await;
        assert_eq!(waiting(&app, world.operator, KEY).await[0].0, "failed");
        set(&app, local("07:10:00")).await;
        assert!(!is_silent(&app).await, "within its time");
        jobs_at(&app, local("07:10:01")).await;
        assert!(is_silent(&app).await);
        let server = Server::start(&app).await;
        let administrator = server.client(&app, world.site, world.administrator).await;
        let (_, system) = administrator.get("/api/v1/system").await;
        assert!(system["ailments"].as_array().expect("a list").contains(&json!("canary_silent")), "{system}");

        change(&app, "update member_channel set disabled_at = null").await;
        jobs_at(&app, local("07:20:01")).await;
        assert!(!is_silent(&app).await, "whoever mends it need not wait for tomorrow");
    })
    .await;
}

#[tokio::test]
async fn a_watch_that_stands_still_is_noticed_by_the_self_test_that_never_came() {
    on_each_engine(|app| async move {
        let world = World::seed(&app, 1).await;
        jobs_at(&app, local("06:00:00")).await;
        // From here on no watch passes.
        set(&app, local("07:10:01")).await;
        canary::run_once(&app).await.expect("the self-test looks");
        deliver::run_once(&app).await.expect("the outbox passes");
        assert!(waiting(&app, world.operator, KEY).await.is_empty());
        assert!(is_silent(&app).await);
    })
    .await;
}

#[tokio::test]
async fn nobody_meets_the_invented_senior_and_an_empty_database_stays_empty() {
    on_each_engine(|app| async move {
        let world = World::seed(&app, 0).await;
        jobs_at(&app, local("06:00:00")).await;
        jobs_at(&app, local("07:00:00")).await;
        assert_eq!(number(&app, "select count(*) from senior").await, 1);
        assert!(heartbeat::look(&app).await.expect("a look").contains(&Ailment::Empty), "she is nobody to watch over");
        let server = Server::start(&app).await;
        let administrator = server.client(&app, world.site, world.administrator).await;
        for path in ["seniors", "homes", "checks?date=2026-11-23", "alerts?open=false"] {
            let (status, list) = administrator.get(&format!("/api/v1/{path}")).await;
            assert!(status.is_success() && list["items"].as_array().is_some_and(Vec::is_empty), "{path}: {status} {list}");
        }
        let (_, places) = administrator.get("/api/v1/places").await;
        assert_eq!(places["items"].as_array().map(Vec::len), Some(4), "{places}");
    })
    .await;
}

#[tokio::test]
async fn another_time_for_the_self_test_counts_from_the_next_time_that_lies_ahead() {
    on_each_engine(|app| async move {
        let world = World::seed(&app, 0).await;
        jobs_at(&app, local("06:00:00")).await;
        jobs_at(&app, local("07:00:00")).await;
        let server = Server::start(&app).await;
        let administrator = server.client(&app, world.site, world.administrator).await;
        super::change_settings(&administrator, &world, json!({"canary_at": "06:30:00"})).await;
        jobs_at(&app, local("07:30:00")).await;
        assert_eq!(waiting(&app, world.operator, KEY).await.len(), 1, "today's has come");
        assert!(!is_silent(&app).await);
        jobs_at(&app, local("06:29:59") + TimeDelta::days(1)).await;
        assert_eq!(waiting(&app, world.operator, KEY).await.len(), 1);
        jobs_at(&app, local("06:30:00") + TimeDelta::days(1)).await;
        assert_eq!(waiting(&app, world.operator, KEY).await.len(), 2);
    })
    .await;
}
