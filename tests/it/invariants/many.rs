//! Many at once: signs that race with the watch, several servers, and two thousand checks due at one moment.

use std::sync::Mutex;
use std::time::Instant;

use chenlian::app::App;
use chenlian::domain::signal::SignalKind;
use chenlian::jobs::{escalate, plan_day, watch};

use super::{another, count};
use crate::harness::{World, local, on_each_engine};
use crate::morning::{alerts, by_member, look, planned, send, set};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sign_that_races_with_the_watch_prevents_the_alert_or_ends_it() {
    on_each_engine(|app| async move {
        for round in 0..12 {
            set(&app, local("06:00:00")).await;
            let world = planned(&app, 6).await;
            set(&app, local("09:45:00")).await;
            // Committed before the watch begins: no alert, ever.
            for senior in 0..2 {
                look(&app, &world, senior, SignalKind::Open, local("08:00:00")).await;
            }
            let phone = another(&app);
            let watching = tokio::spawn({
                let app = app.clone();
                async move { watch::run_once(&app).await }
            });
            for senior in 2..6 {
                look(&phone, &world, senior, SignalKind::Open, local("08:00:00")).await;
            }
            watching.await.expect("the watch ends").expect("the watch passes");
            assert_eq!(count(&app, "select count(*) from alert where resolved_at is null").await, 0, "round {round}");
            assert_eq!(count(&app, "select count(*) from daily_check where state = 'not_observed'").await, 0, "round {round}");
            let of_first = app
                .read(move |mut tx| async move {
                    let sql = "select count(*) from alert where senior_id in ($1, $2)";
                    let (a, b) = (world.seniors[0], world.seniors[1]);
                    let count: i64 = chenlian::on!(&mut tx, |conn| sqlx::query_scalar(sql).bind(a).bind(b).fetch_one(conn).await)?;
                    Ok((tx, count))
                })
                .await
                .expect("alerts are counted");
            assert_eq!(of_first, 0, "round {round}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_servers_with_clocks_apart_open_one_alert_for_each_senior() {
    on_each_engine(|app| async move {
        planned(&app, 120).await;
        let other = another(&app);
        set(&app, local("09:45:00")).await;
        set(&other, local("09:45:07")).await;
        let pass = |app: App| {
            tokio::spawn(async move {
                for _ in 0..3 {
                    plan_day::run_once(&app).await.expect("the day is planned");
                    watch::run_once(&app).await.expect("the watch passes");
                }
            })
        };
        let (one, two) = tokio::join!(pass(app.clone()), pass(other));
        one.expect("the first server lives");
        two.expect("the second server lives");
        assert_eq!(count(&app, "select count(*) from alert").await, 120);
        assert_eq!(count(&app, "select count(*) from alert_trigger").await, 120);
        assert_eq!(count(&app, "select count(*) from notice where class = 'alert'").await, 360);
    })
    .await;
}

#[tokio::test]
async fn two_thousand_checks_due_at_once_are_recorded_in_one_pass() {
    on_each_engine(|app| async move {
        World::seed(&app, 2_000).await;
        plan_day::run_once(&app).await.expect("the day is planned");
        set(&app, local("09:45:00")).await;
        let start = Instant::now();
        let report = watch::run_once(&app).await.expect("the watch passes");
        let took = start.elapsed();
        println!("2,000 due at once, {}: {took:?}", if app.db.is_postgres() { "PostgreSQL" } else { "SQLite" });
        assert_eq!(report.seniors, 2_000);
        for (sql, expected) in [
            ("select count(*) from alert where state = 'open'", 2_000),
            ("select count(*) from alert_trigger", 2_000),
            ("select count(*) from notice where class = 'alert' and state = 'pending'", 6_000),
            ("select count(*) from daily_check where state = 'not_observed' and triggered", 2_000),
            ("select count(distinct object_id) from audit where object_kind = 'alert' and act = 'opened'", 2_000),
        ] {
            assert_eq!(count(&app, sql).await, expected, "{sql}");
        }
    })
    .await;
}

/// One morning of a street, and how many statements each part of it took: the plan, every pass of the watch and of the ladder
/// that had something to do, and the round whose looks came in at once.
async fn morning_in_statements(app: &App, seniors: usize) -> Vec<(String, u64)> {
    let mut taken = Vec::new();
    let mut before = app.statements();
    let mut note = |what: &str| {
        taken.push((what.to_owned(), app.statements() - before));
        before = app.statements();
    };
    let world = World::seed(app, seniors).await;
    note("seed");
    plan_day::run_once(app).await.expect("the day is planned");
    note("plan");
    let shut = |kind, time| world.seniors.iter().step_by(2).map(|id| by_member(*id, kind, local(time), world.primary)).collect();
    send(app, &world, shut(SignalKind::Closed, "06:00:00")).await;
    note("half of them seen shut");
    for time in ["09:00:00", "09:20:00", "09:35:00", "09:45:00", "09:50:00", "10:05:00", "10:15:00", "10:30:00", "10:45:00"] {
        set(app, local(time)).await;
        watch::run_once(app).await.expect("the watch passes");
        escalate::run_once(app).await.expect("the ladder passes");
        note(time);
    }
    assert_eq!(alerts(app).await.len(), seniors);
    note("alerts");
    send(app, &world, shut(SignalKind::SeenInPerson, "10:45:00")).await;
    note("half of them seen");
    assert_eq!(count(app, "select count(*) from alert where resolved_at is null").await, i64::try_from(seniors / 2).expect("few"));
    taken.retain(|(what, _)| what != "seed");
    taken
}

#[tokio::test]
async fn ten_times_as_many_seniors_take_no_more_statements() {
    let taken = Mutex::new(Vec::new());
    // All rows of a kind still fit into one statement; beyond that there is one more per thousand rows.
    for seniors in [12, 120] {
        on_each_engine(async |app| {
            let of_morning = morning_in_statements(&app, seniors).await;
            taken.lock().expect("not poisoned").push((app.db.is_postgres(), of_morning));
        })
        .await;
    }
    let taken = taken.into_inner().expect("not poisoned");
    println!("{taken:?}");
    for engine in [false, true] {
        let of_engine: Vec<_> = taken.iter().filter(|(is_postgres, _)| *is_postgres == engine).map(|(_, morning)| morning).collect();
        assert!(of_engine.windows(2).all(|two| two[0] == two[1]), "{of_engine:#?}");
        assert!(of_engine.iter().all(|morning| morning.iter().all(|(_, statements)| *statements > 0)), "they are counted");
    }
}
