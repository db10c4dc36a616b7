//! The last good pass of each job: what the heartbeat and the health page go by.

use chrono::{DateTime, Utc};

use super::{Result, Tx};
use crate::on;

pub async fn passed(tx: &mut Tx, job: &str, now: DateTime<Utc>, detail: &str) -> Result<()> {
    let sql = "insert into job_pass (job, at, detail) values ($1, $2, $3)
        on conflict (job) do update set at = excluded.at, detail = excluded.detail";
    on!(tx, |conn| sqlx::query(sql).bind(job).bind(now).bind(detail).execute(conn).await.map(|_| ()))?;
    Ok(())
}

/// When a job last passed, and what it said.
pub async fn last_pass(tx: &mut Tx, job: &str) -> Result<Option<(DateTime<Utc>, String)>> {
    let sql = "select at, detail from job_pass where job = $1";
    Ok(on!(tx, |conn| sqlx::query_as(sql).bind(job).fetch_optional(conn).await)?)
}
