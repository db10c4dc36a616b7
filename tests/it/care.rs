//! Care from day to day: what is agreed fits, somebody sees or hears each senior, nobody stays unresolved unnoticed, and a morning
//! without a server has its list on paper.

mod misfit;
mod sheet;
mod unheard;
mod unresolved;

use chenlian::app::App;
use chenlian::domain::case::{Act, Actor, Resolution};
use chenlian::domain::outcome::{ContactProof, Outcome};
use chenlian::on;
use chenlian::store::case;
use chrono::{DateTime, Utc};
use serde_json::Value;
use uuid::Uuid;

use crate::done;
use crate::harness::{World, at};

/// Local Shanghai time on a day of November 2026.
fn on_day(day: u32, time: &str) -> DateTime<Utc> {
    at(&format!("2026-11-{day}T{time}+08:00"))
}

/// (recipient, arguments) of the notices with this key, in the order of their making.
async fn told(app: &App, key: &'static str) -> Vec<(Uuid, Value)> {
    let rows: Vec<(Uuid, String)> = app
        .read(move |mut tx| async move {
            let sql = "select recipient_id, arguments from notice where key = $1 order by created_at, recipient_id";
            let rows = on!(&mut tx, |conn| sqlx::query_as(sql).bind(key).fetch_all(conn).await)?;
            Ok((tx, rows))
        })
        .await
        .expect("notices are read");
    rows.into_iter().map(|(member, arguments)| (member, serde_json::from_str(&arguments).expect("JSON"))).collect()
}

/// Changes rows as a person would have, with `$1` the site and `$2` a row.
async fn change(app: &App, world: &World, sql: &'static str, id: Uuid) {
    let site = world.site;
    app.write(move |mut tx| async move {
        on!(&mut tx, |conn| sqlx::query(sql).bind(site).bind(id).execute(conn).await.map(|_| ()))?;
        Ok((tx, ()))
    })
    .await
    .expect("rows are changed");
}

async fn open_alert(app: &App, world: &World, senior: usize) -> Uuid {
    let senior = world.seniors[senior];
    app.read(move |mut tx| async move {
        let sql = "select id from alert where senior_id = $1 and resolved_at is null";
        let alert = on!(&mut tx, |conn| sqlx::query_scalar(sql).bind(senior).fetch_one(conn).await)?;
        Ok((tx, alert))
    })
    .await
    .expect("an alert stands open")
}

/// The social worker acts.
async fn act(app: &App, world: &World, alert: Uuid, act: Act) {
    let (site, now) = (world.site, app.clock.now());
    let actor = Actor { id: world.social_worker, may_silence: true, may_confirm: true };
    done!(app, |tx| case::act(&mut tx, site, alert, actor, act, now)).expect("it may be done");
}

/// Somebody went, saw her and says why the sign was missing.
async fn resolve(app: &App, world: &World, senior: usize, outcome: Outcome) -> Uuid {
    let alert = open_alert(app, world, senior).await;
    let resolution = Resolution {
        safe: true,
        proof: Some(ContactProof::SeenInPerson),
        proof_by: None,
        proof_at: None,
        outcome: Some(outcome),
        note: None,
        return_date: None,
    };
    act(app, world, alert, Act::Resolve(resolution)).await;
    alert
}
