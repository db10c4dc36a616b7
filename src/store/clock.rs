//! The database's own clock, read to be compared with ours (I24) and for nothing else: every other time is made by `clock`.

use chrono::{DateTime, Utc};

use super::{Result, Tx};

/// What it shows. SQLite has none but ours.
pub async fn shown(tx: &mut Tx) -> Result<Option<DateTime<Utc>>> {
    let Tx::Postgres(tx) = tx else { return Ok(None) };
    Ok(Some(sqlx::query_scalar("select clock_timestamp()").fetch_one(&mut **tx).await?))
}
