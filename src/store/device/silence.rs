//! Overdue devices: their status, and who hears of it. Each silence is told once; what has one cause is one notice, so that what
//! falls silent behind a gateway waits a little for the others.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, FromRow};
use uuid::Uuid;

use super::super::{Result, Tx, bulk};
use super::around::{Around, Placed, around, placed_columns, placed_joins};
use crate::domain::device::{Behind, GATHER, is_outage};
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
    gateway_id: Option<Uuid>,
    is_gateway: bool,
    overdue_at: DateTime<Utc>,
}

/// A gateway, and how much of what stands behind it is silent.
#[derive(FromRow)]
struct Outage {
    site_id: Uuid,
    id: Uuid,
    name: String,
    online_since: Option<DateTime<Utc>>,
    gateway_silent: bool,
    devices: i64,
    silent: i64,
}

/// A device behind a gateway.
#[derive(FromRow)]
struct Hidden {
    #[sqlx(flatten)]
    device: Placed,
    gateway_id: Uuid,
}

/// Marks overdue devices as offline and tells of them, in one transaction. Returns how many.
pub async fn mark_silent(tx: &mut Tx, now: DateTime<Utc>, limit: i64) -> Result<usize> {
    // One instance at a time, so that each silence is told once.
    tx.lock_named("device.silence").await?;
    let sql = concat!(
        "select ",
        placed_columns!(),
        ", d.gateway_id, d.role = 'gateway' as is_gateway, d.silent_after as overdue_at from device d ",
        placed_joins!(),
        " where d.silent_after < $1 and d.revoked_at is null
            and (d.gateway_id is null or exists (select 1 from device first where first.gateway_id = d.gateway_id
                and first.revoked_at is null and first.silent_after < $3))
        order by d.silent_after, d.id limit $2"
    );
    let found: Vec<Silent> = on!(tx, |conn| sqlx::query_as(sql).bind(now).bind(limit).bind(now - GATHER).fetch_all(conn).await)?;
    let overdue = |one: &Silent| json!({ "site": one.device.site_id, "id": one.device.id, "overdue": bulk::time(one.overdue_at) });
    let rows: Vec<Value> = found.iter().map(overdue).collect();
    // What is heard meanwhile keeps its word. Nothing is expected any more of what is silent.
    let sql = "update device set status = 'offline', silent_after = null, opening_since = null, opening_key = null, settle_at = null
        from {rows} where device.site_id = {site:uuid} and device.id = {id:uuid} and device.silent_after = {overdue:time}";
    bulk::execute(tx, sql, &rows).await?;
    let outages = outages(tx, &found).await?;
    let told_together = |one: &&Silent| one.gateway_id.is_some_and(|gateway| outages.contains_key(&gateway));
    let alone: Vec<&Silent> = found.iter().filter(|one| !told_together(one) && !outages.contains_key(&one.device.id)).collect();
    let hidden = hidden(tx, &outages).await?;
    let of_outages = outages.values().map(|outage| Placed::of_gateway(outage.site_id, outage.id, &outage.name)).collect::<Vec<_>>();
    let placed: Vec<&Placed> = alone.iter().map(|one| &one.device).chain(hidden.iter().map(|one| &one.device)).chain(&of_outages).collect();
    let sites = around(tx, &placed, now).await?;
    let mut notices: Vec<(Uuid, NewNotice)> = Vec::new();
    for Silent { device, overdue_at, .. } in alone {
        let Some(site) = sites.get(&device.site_id) else { continue };
        let (people, key, details) = word(device, site);
        let reason = format!("{key}/{}/{}", device.id, overdue_at.timestamp_millis());
        notices.extend(people.into_iter().map(|member| {
            let id = id::daily_notice(device.site_id, member, site.today, &reason);
            (device.site_id, NewNotice::report(id, member, key, details.clone(), now))
        }));
    }
    for outage in outages.values() {
        let Some(site) = sites.get(&outage.site_id) else { continue };
        let behind = hidden.iter().filter(|one| one.gateway_id == outage.id).map(|one| &one.device);
        notices.extend(outage.notices(site, behind, now));
    }
    case::send(tx, notices, now).await?;
    Ok(found.len())
}

/// The next moment at which something is to be told.
pub async fn next_silence(tx: &mut Tx) -> Result<Option<DateTime<Utc>>> {
    let sql = "select min(case when gateway_id is null then silent_after end), min(case when gateway_id is not null then silent_after end)
        from device where silent_after is not null and revoked_at is null";
    let (alone, behind): (Option<DateTime<Utc>>, Option<DateTime<Utc>>) = on!(tx, |conn| sqlx::query_as(sql).fetch_one(conn).await)?;
    Ok(alone.into_iter().chain(behind.map(|first| first + GATHER)).min())
}

/// The gateways among these devices and before them whose silence it is.
async fn outages(tx: &mut Tx, found: &[Silent]) -> Result<BTreeMap<Uuid, Outage>> {
    let concerned: BTreeSet<Uuid> =
        found.iter().filter_map(|one| if one.is_gateway { Some(one.device.id) } else { one.gateway_id }).collect();
    if concerned.is_empty() {
        return Ok(BTreeMap::new());
    }
    let rows = Value::from(bulk::ids(&concerned.into_iter().collect::<Vec<_>>())).to_string();
    let template = "select g.site_id, g.id, g.name, g.online_since, g.status = 'offline' as gateway_silent,
            (select count(*) from device d where d.site_id = g.site_id and d.gateway_id = g.id and d.revoked_at is null) as devices,
            (select count(*) from device d where d.site_id = g.site_id and d.gateway_id = g.id and d.revoked_at is null
                and d.status = 'offline') as silent
        from {rows} join device g on g.id = {id:uuid} and g.revoked_at is null";
    let sql = bulk::text(tx, template);
    let gateways: Vec<Outage> = on!(tx, |conn| sqlx::query_as(AssertSqlSafe(sql)).bind(rows).fetch_all(conn).await)?;
    let silent = gateways
        .into_iter()
        .filter(|gateway| is_outage(Behind { gateway_silent: gateway.gateway_silent, devices: gateway.devices, silent: gateway.silent }));
    Ok(silent.map(|gateway| (gateway.id, gateway)).collect())
}

/// Everything in use behind these gateways.
async fn hidden(tx: &mut Tx, outages: &BTreeMap<Uuid, Outage>) -> Result<Vec<Hidden>> {
    if outages.is_empty() {
        return Ok(Vec::new());
    }
    let rows = Value::from(bulk::ids(&outages.keys().copied().collect::<Vec<_>>())).to_string();
    let template = concat!(
        "select ",
        placed_columns!(),
        ", d.gateway_id from {rows} join device d on d.gateway_id = {id:uuid} and d.revoked_at is null ",
        placed_joins!(),
        " order by d.id"
    );
    let sql = bulk::text(tx, template);
    Ok(on!(tx, |conn| sqlx::query_as(AssertSqlSafe(sql)).bind(rows).fetch_all(conn).await)?)
}

impl Outage {
    /// One notice for each who relies on something behind it, and for each who mends: its id is of this outage and this day, so that
    /// what falls silent later behind the same gateway says nothing more.
    fn notices<'a>(&self, site: &Around, behind: impl Iterator<Item = &'a Placed>, now: DateTime<Utc>) -> Vec<(Uuid, NewNotice)> {
        let seniors: BTreeSet<Uuid> = behind.filter_map(|device| device.home().map(|(senior, _)| senior)).collect();
        let rely = seniors.iter().filter_map(|senior| site.roster(*senior)).flat_map(Roster::relies_on_sensor);
        let people: BTreeSet<Uuid> = rely.chain(site.operators.iter().copied()).collect();
        let since = self.online_since.map_or(0, |at| at.timestamp_millis());
        let reason = format!("notice.gateway_silent/{}/{since}", self.id);
        let details = arguments([("device", self.name.clone()), ("count", self.devices.to_string()), ("homes", seniors.len().to_string())]);
        let notice = |member| {
            let id = id::daily_notice(self.site_id, member, site.today, &reason);
            (self.site_id, NewNotice::report(id, member, "notice.gateway_silent", details.clone(), now))
        };
        people.into_iter().map(notice).collect()
    }
}

/// A bound one: who looks at that window, and who has it mended. Any other: the operators.
fn word(device: &Placed, site: &Around) -> (Vec<Uuid>, &'static str, Arguments) {
    if let Some((senior, home)) = device.home() {
        return (site.roster(senior).map(Roster::relies_on_sensor).unwrap_or_default(), "notice.sensor_silent", home);
    }
    (site.operators.clone(), "notice.device_silent", arguments([("device", &device.name)]))
}
