//! Devices whose cells run low: told once per episode, all of a morning in one notice to whoever relies on them.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, NaiveTime, Utc};
use serde_json::{Value, json};
use uuid::Uuid;

use super::super::{Result, Tx, bulk, plan};
use super::around::{Placed, around, placed_columns, placed_joins};
use crate::domain::notice::{Arguments, NewNotice, arguments};
use crate::domain::roster::Roster;
use crate::domain::{day, id};
use crate::on;
use crate::store::case;

/// Cells last for weeks after the first warning: it is told in the daytime, once a day.
const TOLD_FROM: NaiveTime = NaiveTime::from_hms_opt(8, 0, 0).expect("a time of day");
const DEVICES_MAX: i64 = 500;

/// Whether there is a low battery of which nobody has been told.
pub async fn has_low(tx: &mut Tx) -> Result<bool> {
    let sql = "select count(*) from (select 1 from device
        where battery_low_since is not null and battery_told_at is null and revoked_at is null limit 1) low";
    let found: i64 = on!(tx, |conn| sqlx::query_scalar(sql).fetch_one(conn).await)?;
    Ok(found > 0)
}

/// Tells of every low battery that nobody has been told of. Returns how many.
pub async fn tell_low(tx: &mut Tx, now: DateTime<Utc>) -> Result<usize> {
    // One instance at a time, so that what is low at one moment is one notice.
    tx.lock_named("device.battery").await?;
    let sql = concat!(
        "select ",
        placed_columns!(),
        " from device d ",
        placed_joins!(),
        " where d.battery_low_since is not null and d.battery_told_at is null and d.revoked_at is null order by d.id limit $1"
    );
    let mut low: Vec<Placed> = on!(tx, |conn| sqlx::query_as(sql).bind(DEVICES_MAX).fetch_all(conn).await)?;
    let mut open: BTreeMap<Uuid, bool> = BTreeMap::new();
    for site in low.iter().map(|device| device.site_id).collect::<BTreeSet<Uuid>>() {
        open.insert(site, may_tell(tx, site, now).await?);
    }
    low.retain(|device| open.get(&device.site_id) == Some(&true));
    let sites = around(tx, &low.iter().collect::<Vec<_>>(), now).await?;
    let mut by_person: BTreeMap<(Uuid, Uuid), Vec<&Placed>> = BTreeMap::new();
    for device in &low {
        let Some(site) = sites.get(&device.site_id) else { continue };
        let people = match device.home() {
            Some((senior, _)) => site.roster(senior).map(Roster::relies_on_sensor).unwrap_or_default(),
            None => site.operators.clone(),
        };
        for member in people {
            by_person.entry((device.site_id, member)).or_default().push(device);
        }
    }
    let notices: Vec<(Uuid, NewNotice)> = by_person
        .iter()
        .map(|((site_id, member), devices)| {
            let (key, details) = sentence(devices);
            let today = sites.get(site_id).map_or(now.date_naive(), |site| site.today);
            let id = id::daily_notice(*site_id, *member, today, &format!("battery/{}", now.timestamp_millis()));
            (*site_id, NewNotice::report(id, *member, key, details, now))
        })
        .collect();
    case::send(tx, notices, now).await?;
    let rows: Vec<Value> = low.iter().map(|device| json!({ "site": device.site_id, "id": device.id, "at": bulk::time(now) })).collect();
    let sql = "update device set battery_told_at = {at:time} from {rows} where device.site_id = {site:uuid} and device.id = {id:uuid}";
    bulk::execute(tx, sql, &rows).await?;
    Ok(low.len())
}

/// In the daytime, and not twice on one day: what turns low in the afternoon waits for the next morning.
async fn may_tell(tx: &mut Tx, site_id: Uuid, now: DateTime<Utc>) -> Result<bool> {
    let Ok(site) = plan::site(tx, site_id).await else { return Ok(true) };
    let today = day::local_date(site.zone, now);
    let Some(from) = day::instant(site.zone, today, TOLD_FROM) else { return Ok(true) };
    let sql = "select max(battery_told_at) from device where site_id = $1";
    let told_at: Option<DateTime<Utc>> = on!(tx, |conn| sqlx::query_scalar(sql).bind(site_id).fetch_one(conn).await)?;
    Ok(now >= from && told_at.is_none_or(|told_at| told_at < from))
}

/// One by its name or home, several by their number.
fn sentence(devices: &[&Placed]) -> (&'static str, Arguments) {
    match devices {
        [device] => device
            .home()
            .map_or_else(|| ("notice.device_battery_low", arguments([("device", &device.name)])), |(_, home)| ("notice.battery_low", home)),
        _ => ("notice.batteries_low", arguments([("count", devices.len())])),
    }
}
