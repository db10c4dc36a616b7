//! Overdue devices: their status, and who hears of it.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::FromRow;
use uuid::Uuid;

use super::super::{Result, Tx, bulk};
use super::around::{Around, Placed, around, placed_columns, placed_joins};
use crate::domain::id;
use crate::domain::notice::{Arguments, NewNotice, arguments};
use crate::domain::roster::Roster;
use crate::on;
use crate::store::case;

/// A device that has just been found silent.
#[derive(FromRow)]
struct Silent {
    #[sqlx(flatten)]
    device: Placed,
    overdue_at: DateTime<Utc>,
}

/// Marks overdue devices as offline and tells of them, in one transaction. Returns how many.
pub async fn mark_silent(tx: &mut Tx, now: DateTime<Utc>, limit: i64) -> Result<usize> {
    // One instance at a time, so that each silence is told once.
    tx.lock_named("device.silence").await?;
    let sql = concat!(
        "select ",
        placed_columns!(),
        ", d.silent_after as overdue_at from device d ",
        placed_joins!(),
        " where d.silent_after < $1 and d.status <> 'offline' and d.revoked_at is null order by d.silent_after, d.id limit $2"
    );
    let found: Vec<Silent> = on!(tx, |conn| sqlx::query_as(sql).bind(now).bind(limit).fetch_all(conn).await)?;
    let rows: Vec<Value> = found.iter().map(|one| serde_json::json!({ "site": one.device.site_id, "id": one.device.id })).collect();
    let sql = "update device set status = 'offline', opening_since = null, opening_key = null, settle_at = null from {rows}
        where device.site_id = {site:uuid} and device.id = {id:uuid}";
    bulk::execute(tx, sql, &rows).await?;
    let sites = around(tx, &found.iter().map(|one| &one.device).collect::<Vec<_>>(), now).await?;
    let mut notices = Vec::new();
    for Silent { device, overdue_at } in &found {
        let Some(site) = sites.get(&device.site_id) else { continue };
        let (people, key, details) = word(device, site);
        let reason = format!("{key}/{}/{}", device.id, overdue_at.timestamp_millis());
        notices.extend(people.into_iter().map(|member| {
            let id = id::daily_notice(device.site_id, member, site.today, &reason);
            (device.site_id, NewNotice::report(id, member, key, details.clone(), now))
        }));
    }
    case::send(tx, notices, now).await?;
    Ok(found.len())
}

/// The next moment at which a device becomes overdue.
pub async fn next_silence(tx: &mut Tx) -> Result<Option<DateTime<Utc>>> {
    let sql = "select min(silent_after) from device where status <> 'offline' and revoked_at is null";
    Ok(on!(tx, |conn| sqlx::query_scalar(sql).fetch_one(conn).await)?)
}

/// A bound one: who looks at that window, and who has it mended. Any other: the operators.
fn word(device: &Placed, site: &Around) -> (Vec<Uuid>, &'static str, Arguments) {
    if let Some((senior, home)) = device.home() {
        return (site.roster(senior).map(Roster::relies_on_sensor).unwrap_or_default(), "notice.sensor_silent", home);
    }
    (site.operators.clone(), "notice.device_silent", arguments([("device", &device.name)]))
}
