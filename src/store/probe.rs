//! Whether the database answers, keeps its promises and takes a write at this moment (I17, I21).

use chrono::{DateTime, Utc};

use super::{Result, Tx};
use crate::on;

/// The name of the probe among the passes of the jobs.
const NAME: &str = "probe";

/// A tiny write: a full or read-only disk shows here, before it shows at a person's request.
pub async fn write(tx: &mut Tx, now: DateTime<Utc>) -> Result<()> {
    let sql = "insert into job_pass (job, at, detail) values ($1, $2, '')
        on conflict (job) do update set at = excluded.at";
    on!(tx, |conn| sqlx::query(sql).bind(NAME).bind(now).execute(conn).await.map(|_| ()))?;
    Ok(())
}
