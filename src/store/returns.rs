//! Returns from an absence that nobody has asked about yet, and that somebody was asked now.

use chrono::{DateTime, NaiveDate, Utc};
use sqlx::FromRow;
use uuid::Uuid;

use super::audit::{self, Entry};
use super::{Result, Tx};
use crate::on;

/// A confirmed absence that ends, as its question says it.
#[derive(Debug, Clone, FromRow)]
pub struct Unasked {
    pub id: Uuid,
    pub senior_id: Uuid,
    pub called: String,
    pub unit: String,
    pub building: String,
    pub reported_by: String,
}

/// Absences that end on a date, and of whose end nobody has been asked. Whoever stays away longer by another confirmed absence
/// does not return yet.
pub async fn unasked(tx: &mut Tx, site_id: Uuid, return_date: NaiveDate) -> Result<Vec<Unasked>> {
    let sql = "select a.id, a.senior_id, s.called, h.unit, b.name as building, a.reported_by from absence a
        join senior s on s.site_id = a.site_id and s.id = a.senior_id and s.ended_at is null and s.purpose = 'real'
        join home h on h.site_id = s.site_id and h.id = s.home_id
        join place b on b.site_id = h.site_id and b.id = h.building_id
        where a.site_id = $1 and a.return_date = $2 and a.confirmed_at is not null and a.cancelled_at is null
          and a.return_confirmed_at is null and a.return_asked_at is null
          and not exists (select 1 from absence o where o.site_id = a.site_id and o.senior_id = a.senior_id
            and o.from_date <= $2 and o.return_date > $2 and o.confirmed_at is not null and o.cancelled_at is null)
        order by a.id";
    Ok(on!(tx, |conn| sqlx::query_as(sql).bind(site_id).bind(return_date).fetch_all(conn).await)?)
}

/// Takes note that the question goes out. `false`: another instance was faster, or there is nothing to ask any more. It is no
/// change that somebody who edits the absence would have to know of, so the version stays.
pub async fn mark_asked(tx: &mut Tx, site_id: Uuid, absence: Uuid, now: DateTime<Utc>) -> Result<bool> {
    let sql = "update absence set return_asked_at = $3 where site_id = $1 and id = $2 and return_asked_at is null
        and return_confirmed_at is null and cancelled_at is null";
    let rows = on!(tx, |conn| sqlx::query(sql).bind(site_id).bind(absence).bind(now).execute(conn).await?.rows_affected());
    if rows == 1 {
        let entry =
            Entry { site_id, at: now, actor_id: None, act: "ask_return", object_kind: "absence", object_id: Some(absence), fields: &[] };
        audit::write(tx, &entry).await?;
    }
    Ok(rows == 1)
}
