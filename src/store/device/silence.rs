//! Overdue devices: their status, and who hears of it.

use chrono::{DateTime, NaiveDate, Utc};
use serde_json::Value;
use sqlx::FromRow;
use uuid::Uuid;

use super::super::{Result, Tx, bulk, plan, roster};
use crate::domain::notice::{Arguments, NewNotice, arguments};
use crate::domain::roster::Roster;
use crate::domain::{day, id};
use crate::on;
use crate::store::case::{INSERT_NOTICE, notice_row};

/// A device that has just been found silent, and whose home it looks after.
#[derive(FromRow)]
struct Silent {
    site_id: Uuid,
    id: Uuid,
    name: String,
    overdue_at: DateTime<Utc>,
    senior_id: Option<Uuid>,
    called: Option<String>,
    unit: Option<String>,
    building: Option<String>,
}

/// Marks overdue devices as offline and tells of them, in one transaction. Returns how many.
pub async fn mark_silent(tx: &mut Tx, now: DateTime<Utc>, limit: i64) -> Result<usize> {
    // One instance at a time, so that each silence is told once.
    tx.lock_named("device.silence").await?;
    let sql =
        "select d.site_id, d.id, d.name, d.silent_after as overdue_at, d.senior_id, s.called, h.unit, b.name as building from device d
        left join senior s on s.site_id = d.site_id and s.id = d.senior_id and s.ended_at is null
        left join home h on h.site_id = s.site_id and h.id = s.home_id
        left join place b on b.site_id = h.site_id and b.id = h.building_id
        where d.silent_after < $1 and d.status <> 'offline' and d.revoked_at is null order by d.silent_after, d.id limit $2";
    let found: Vec<Silent> = on!(tx, |conn| sqlx::query_as(sql).bind(now).bind(limit).fetch_all(conn).await)?;
    let rows: Vec<Value> = found.iter().map(|device| serde_json::json!({ "site": device.site_id, "id": device.id })).collect();
    let sql = "update device set status = 'offline', opening_since = null, opening_key = null, settle_at = null from {rows}
        where device.site_id = {site:uuid} and device.id = {id:uuid}";
    bulk::execute(tx, sql, &rows).await?;
    let mut notices = Vec::new();
    for device in &found {
        // A site whose zone cannot be read is told by the day of the server's clock.
        let today = plan::site(tx, device.site_id).await.map_or_else(|_| now.date_naive(), |site| day::local_date(site.zone, now));
        let (people, key, details) = word(tx, device, today).await?;
        notices.extend(people.into_iter().map(|member| notice_row(device.site_id, &told(device, member, key, &details, today, now), now)));
    }
    bulk::execute(tx, INSERT_NOTICE, &notices).await?;
    Ok(found.len())
}

/// The next moment at which a device becomes overdue.
pub async fn next_silence(tx: &mut Tx) -> Result<Option<DateTime<Utc>>> {
    let sql = "select min(silent_after) from device where status <> 'offline' and revoked_at is null";
    Ok(on!(tx, |conn| sqlx::query_scalar(sql).fetch_one(conn).await)?)
}

/// A bound one: who looks at that window, and who has it mended. Any other: the operators.
async fn word(tx: &mut Tx, device: &Silent, today: NaiveDate) -> Result<(Vec<Uuid>, &'static str, Arguments)> {
    if let (Some(senior), Some(called), Some(unit), Some(building)) = (device.senior_id, &device.called, &device.unit, &device.building) {
        let rosters = roster::load(tx, device.site_id, &[senior], today).await?;
        let people = rosters.get(&senior).map(Roster::relies_on_sensor).unwrap_or_default();
        return Ok((people, "notice.sensor_silent", arguments([("senior", called), ("unit", unit), ("building", building)])));
    }
    let details = arguments([("device", &device.name)]);
    Ok((roster::operators(tx, device.site_id, today).await?, "notice.device_silent", details))
}

fn told(device: &Silent, member: Uuid, key: &'static str, details: &Arguments, today: NaiveDate, now: DateTime<Utc>) -> NewNotice {
    let reason = format!("{key}/{}/{}", device.id, device.overdue_at.timestamp_millis());
    NewNotice::report(id::daily_notice(device.site_id, member, today, &reason), member, key, details.clone(), now)
}
