//! Two thousand checks due at one moment: how long until all alerts and their first notices are committed, how long until the
//! first notice stands at its receiver, and how that compares with what the machine can do at best: the same rows, written once
//! more by plain inserts in one transaction. Then how many looks a second come in over HTTP, and how long the pages take.
//!
//! `cargo bench --bench morning` measures SQLite; `bash tests/pg cargo bench --bench morning` measures PostgreSQL as well.

use std::time::{Duration, Instant};

use chenlian::app::App;
use chenlian::domain::signal::SignalKind;
use chenlian::jobs::{deliver, plan_day, watch};
use chenlian::on;
use chrono::TimeDelta;
use sqlx::AssertSqlSafe;
use tokio::sync::watch as signal;

#[path = "../../tests/it/harness/mod.rs"]
#[expect(dead_code, reason = "a part of the tests' harness is all that is needed here")]
mod harness;
#[path = "../../tests/it/outbox/receiver.rs"]
#[expect(dead_code, reason = "this receiver only ever says yes")]
mod receiver;

mod desk;
mod intake;
mod street;

use harness::{local, needs, on_fresh};
use receiver::{Play, Receiver};
use street::{SENIORS, Street};

/// Each on a fresh database, so without statistics for the planner: the worst morning is the one after the import.
const RUNS: usize = 5;
/// The table that the pass writes to, and the columns that are inserted; `seq` is given by the engine.
const WRITTEN: [(&str, &str); 7] = [
    ("alert", "*"),
    ("alert_trigger", "*"),
    ("ladder_step", "*"),
    ("alert_event", "*"),
    ("notice", "*"),
    ("audit", "site_id, id, at, actor_id, act, object_kind, object_id, fields"),
    ("change_feed", "site_id, at, kind, object_id, senior_id"),
];

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime starts");
    let _ = rustls::crypto::ring::default_provider().install_default();
    // `cargo bench --bench morning -- desk` measures the pages alone.
    let only_desk = std::env::args().any(|argument| argument == "desk");
    runtime.block_on(async {
        engine("SQLite", None, only_desk).await;
        match needs::postgres() {
            Some(server) => engine("PostgreSQL", Some(&server), only_desk).await,
            None => println!("PostgreSQL: not measured; run `bash tests/pg cargo bench --bench morning`"),
        }
    });
}

async fn engine(name: &str, server: Option<&str>, only_desk: bool) {
    if only_desk {
        println!("{name}");
        return on_fresh(server, desk::measure).await;
    }
    println!("{name}: {SENIORS} checks due at one moment, seen shut, each with a helper of its own; {RUNS} runs");
    let (mut passes, mut floors, mut firsts, mut lasts, mut statements) = (Vec::new(), Vec::new(), Vec::new(), Vec::new(), 0);
    for _ in 0..RUNS {
        on_fresh(server, async |app| {
            let street = Street::due(&app, "http://127.0.0.1:1/nobody").await;
            let before = app.statements();
            let pass = timed(street.pass(&app)).await;
            statements = app.statements() - before;
            floors.push(floor(&app).await);
            passes.push(pass);
        })
        .await;
        on_fresh(server, async |app| {
            let (first, last) = told(&app).await;
            firsts.push(first);
            lasts.push(last);
        })
        .await;
    }
    let floor = median(&mut floors);
    let line = |what: &str, times: &mut Vec<Duration>| {
        let middle = median(times);
        let ratio = middle.as_secs_f64() / floor.as_secs_f64();
        println!("  {what:<58} {:>9.1} ms  ({:.1} to {:.1})  {ratio:>5.1} x", ms(middle), ms(times[0]), ms(times[times.len() - 1]));
    };
    line("the same rows by plain inserts, one transaction", &mut floors);
    line(&format!("pass: alerts, ladders and first notices ({statements} statements)"), &mut passes);
    line("pass begins -> first notice at its receiver", &mut firsts);
    line("pass begins -> last notice at its receiver", &mut lasts);
    on_fresh(server, intake::measure).await;
    on_fresh(server, desk::measure).await;
}

async fn timed(work: impl Future<Output = ()>) -> Duration {
    let began = Instant::now();
    work.await;
    began.elapsed()
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}

fn median(times: &mut [Duration]) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

/// The machine's limit: what the pass wrote is put aside, and written again by one plain statement per table.
async fn floor(app: &App) -> Duration {
    let run = async |statements: Vec<String>| {
        app.write(move |mut tx| async move {
            for sql in statements {
                on!(&mut tx, |conn| sqlx::query(AssertSqlSafe(sql)).execute(conn).await.map(|_| ()))?;
            }
            Ok((tx, ()))
        })
        .await
        .expect("rows are written");
    };
    let aside = WRITTEN.iter().map(|(table, columns)| format!("create table {table}_aside as select {columns} from {table}"));
    run(aside.collect()).await;
    run(WRITTEN.iter().map(|(table, _)| format!("delete from {table}")).collect()).await;
    let again = WRITTEN.iter().map(|(table, columns)| {
        let into = if *columns == "*" { String::new() } else { format!("({columns})") };
        format!("insert into {table} {into} select * from {table}_aside")
    });
    let checks = "update daily_check set decided_at = decided_at where decided_at is not null".to_owned();
    let again = again.chain([checks]).collect();
    timed(run(again)).await
}

/// The pass with delivery beside it, as in a running server. When the first and the last notice stood at the receiver.
async fn told(app: &App) -> (Duration, Duration) {
    let receiver = Receiver::start(&[Play::Status(204)]).await;
    let street = Street::due(app, &receiver.url).await;
    let (stopped, stop) = signal::channel(false);
    let sending = tokio::spawn(deliver::run(app.clone(), stop));
    let began = Instant::now();
    street.pass(app).await;
    while receiver.requests().len() < SENIORS {
        assert!(began.elapsed() < Duration::from_mins(1), "{} of {SENIORS} arrived", receiver.requests().len());
        // Seldom: the list is copied.
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    let arrived: Vec<Duration> = receiver.requests().iter().map(|request| request.at - began).collect();
    stopped.send(true).expect("delivery runs");
    sending.await.expect("delivery stops");
    (*arrived.iter().min().expect("some"), *arrived.iter().max().expect("some"))
}
