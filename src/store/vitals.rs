//! What the heartbeat asks the database: how long something due has been waiting, and when the jobs last passed.

use chrono::{DateTime, Utc};

use super::{Result, Tx};
use crate::domain::health::Vitals;
use crate::on;

/// The word in `job_pass.detail` of job `mqtt` while sensors can be heard.
pub const MQTT_UP: &str = "up";

/// Everything that rows can say; the clock is judged by the caller.
pub async fn vitals(tx: &mut Tx, mqtt_wanted: bool, now: DateTime<Utc>) -> Result<Vitals> {
    let watch = last_pass(tx, "watch").await?;
    let mqtt = last_pass(tx, "mqtt").await?;
    let undecided = oldest(
        tx,
        [
            "select min(next_action_at) from daily_check where next_action_at <= $1",
            "select min(next_action_at) from alert where next_action_at <= $1",
        ],
        now,
    )
    .await?;
    let outbox = oldest(
        tx,
        [
            "select min(not_before) from notice where state = 'pending' and not_before <= $1",
            "select min(coalesce(lease_until, next_at)) from message where state in ('ready', 'leased') and coalesce(lease_until, next_at) <= $1",
        ],
        now,
    )
    .await?;
    Ok(Vitals {
        watch_passed_at: watch.map(|(at, _)| at),
        undecided_since: undecided,
        outbox_due_since: outbox,
        mqtt_up: mqtt_wanted.then(|| mqtt.is_some_and(|(_, detail)| detail == MQTT_UP)),
        clock_suspect: false,
    })
}

/// When a job last passed, and what it said.
pub async fn last_pass(tx: &mut Tx, job: &str) -> Result<Option<(DateTime<Utc>, String)>> {
    let sql = "select at, detail from job_pass where job = $1";
    Ok(on!(tx, |conn| sqlx::query_as(sql).bind(job).fetch_optional(conn).await)?)
}

async fn oldest(tx: &mut Tx, statements: [&'static str; 2], now: DateTime<Utc>) -> Result<Option<DateTime<Utc>>> {
    let mut oldest: Option<DateTime<Utc>> = None;
    for sql in statements {
        let at: Option<DateTime<Utc>> = on!(tx, |conn| sqlx::query_scalar(sql).bind(now).fetch_one(conn).await)?;
        oldest = oldest.into_iter().chain(at).min();
    }
    Ok(oldest)
}
