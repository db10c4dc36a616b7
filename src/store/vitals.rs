//! What the heartbeat asks the database: how long something due has been waiting, and when the jobs last passed.

use chrono::{DateTime, Utc};

use super::{Result, Tx, outbox};
use crate::domain::health::Vitals;
use crate::on;

/// The word in `job_pass.detail` of job `mqtt` while sensors can be heard.
pub const MQTT_UP: &str = "up";

/// Everything that rows can say; the clock is judged by the caller.
pub async fn vitals(tx: &mut Tx, mqtt_wanted: bool, now: DateTime<Utc>) -> Result<Vitals> {
    let watch = last_pass(tx, "watch").await?;
    let mqtt = last_pass(tx, "mqtt").await?;
    let mut undecided_since: Option<DateTime<Utc>> = None;
    for sql in [
        "select min(next_action_at) from daily_check where next_action_at <= $1",
        "select min(next_action_at) from alert where next_action_at <= $1",
    ] {
        let at: Option<DateTime<Utc>> = on!(tx, |conn| sqlx::query_scalar(sql).bind(now).fetch_one(conn).await)?;
        undecided_since = undecided_since.into_iter().chain(at).min();
    }
    let outbox_due_since = outbox::next_due(tx).await?.filter(|due| *due <= now);
    Ok(Vitals {
        watch_passed_at: watch.map(|(at, _)| at),
        undecided_since,
        outbox_due_since,
        mqtt_up: mqtt_wanted.then(|| mqtt.is_some_and(|(_, detail)| detail == MQTT_UP)),
        clock_suspect: false,
    })
}

/// When a job last passed, and what it said.
pub async fn last_pass(tx: &mut Tx, job: &str) -> Result<Option<(DateTime<Utc>, String)>> {
    let sql = "select at, detail from job_pass where job = $1";
    Ok(on!(tx, |conn| sqlx::query_as(sql).bind(job).fetch_optional(conn).await)?)
}
