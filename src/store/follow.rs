//! Reading the change feed in the order in which it was written, without losing a row that another transaction commits late:
//! numbers are given before the commit, so a higher one can become visible first.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{Result, Tx};
use crate::on;

/// How far back a late row is looked for, in numbers.
pub const LATE_ROWS_MAX: i64 = 2_000;

/// What changed; the thing itself is read through its own route and its own access rules.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Change {
    pub seq: i64,
    pub at: DateTime<Utc>,
    pub kind: String,
    pub object_id: Uuid,
    pub senior_id: Option<Uuid>,
}

/// The newest number of a site, 0 without any.
pub async fn last(tx: &mut Tx, site_id: Uuid) -> Result<i64> {
    let sql = "select coalesce(max(seq), 0) from change_feed where site_id = $1";
    Ok(on!(tx, |conn| sqlx::query_scalar(sql).bind(site_id).fetch_one(conn).await)?)
}

/// Rows after a number, and earlier ones written since `late_from`, oldest first. The reader drops those that it has had.
pub async fn since(tx: &mut Tx, site_id: Uuid, after: i64, late_from: DateTime<Utc>, rows_max: i64) -> Result<Vec<Change>> {
    let sql = "select seq, at, kind, object_id, senior_id from change_feed
        where site_id = $1 and seq > $2 and (seq > $3 or at > $4) order by seq limit $5";
    Ok(on!(tx, |conn| sqlx::query_as(sql)
        .bind(site_id)
        .bind(after.saturating_sub(LATE_ROWS_MAX))
        .bind(after)
        .bind(late_from)
        .bind(rows_max)
        .fetch_all(conn)
        .await)?)
}
