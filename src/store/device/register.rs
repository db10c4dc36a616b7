//! Changes of the register by people. Each writes its audit row; unbinding and revoking silence a device, so the callers ask for
//! more than a volunteer's role.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::super::register::By;
use super::super::{Result, Tx, audit, bulk, plan, roster, silence};
use super::credential::{Credentials, issue};
use super::rename::address_of;
use super::{Device, get};
use crate::domain::day;
use crate::domain::device::{DeviceRole, DeviceStatus, Ecosystem, calibrated, silent_after};
use crate::domain::evidence::{Level, Polarity};
use crate::domain::refusal::{Refusal, RefusalKind};
use crate::domain::roster::around_the_clock;
use crate::domain::silence::Silenced;
use crate::ingest::native::valid_device_name;
use crate::ingest::settings::{Press, Settings};
use crate::ingest::zigbee2mqtt::Topic;
use crate::on;
use crate::seal::SealKey;

/// Friendly names of Zigbee2MQTT are free text.
const FRIENDLY_NAME_BYTES_MAX: usize = 256;
const INTERVAL_SECONDS_MAX: i64 = 7 * 24 * 3600;

/// A device as it is entered.
#[derive(Debug, Clone)]
pub struct NewDevice {
    pub site_id: Uuid,
    pub id: Uuid,
    pub name: String,
    pub ecosystem: Ecosystem,
    pub role: DeviceRole,
    /// For bought devices: the gateway they are behind.
    pub gateway_id: Option<Uuid>,
    /// For gateways: the topic below which they publish, usually `zigbee2mqtt`.
    pub base_topic: Option<String>,
    pub expected_interval_seconds: i64,
    /// The part of its topic's messages that is this device; empty: all of them.
    pub component: String,
    /// What its messages do not say.
    pub settings: Map<String, Value>,
}

/// Enters a device and returns its credentials, to be shown once. Devices behind a gateway have none of their own.
pub async fn create(
    tx: &mut Tx,
    new: &NewDevice,
    actor_id: Option<Uuid>,
    seal: &SealKey,
    now: DateTime<Utc>,
) -> Result<(Device, Option<Credentials>)> {
    validate(tx, new).await?;
    let sql = "insert into device (site_id, id, name, ecosystem, base_topic, gateway_id, role, polarity_normal, expected_interval_seconds,
            installed_by, status, battery_low_reports, seq_window, lost_events, clock_suspect, recent_payloads, version, created_at, component,
            settings)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, 0, 0, 0, $12, '[]', 1, $13, $14, $15)
        on conflict do nothing";
    let inserted = on!(tx, |conn| sqlx::query(sql)
        .bind(new.site_id)
        .bind(new.id)
        .bind(&new.name)
        .bind(new.ecosystem.as_str())
        .bind(&new.base_topic)
        .bind(new.gateway_id)
        .bind(new.role.as_str())
        .bind(true)
        .bind(new.expected_interval_seconds)
        .bind(actor_id)
        .bind(DeviceStatus::New.as_str())
        .bind(false)
        .bind(now)
        .bind(&new.component)
        .bind(Value::Object(new.settings.clone()).to_string())
        .execute(conn)
        .await?
        .rows_affected());
    if inserted == 0 {
        return Err(Refusal { field: Some("name".to_owned()), ..Refusal::conflict("problem.device_name_taken") }.into());
    }
    record(tx, (new.site_id, new.id), "create", &["name", "ecosystem", "role"], actor_id, now).await?;
    if let Some(gateway_id) = new.gateway_id.filter(|_| new.ecosystem == Ecosystem::Zigbee2Mqtt)
        && let Some(address) = address_of(tx, new.site_id, gateway_id, &new.name).await?
    {
        let sql = "update device set hardware_address = $3 where site_id = $1 and id = $2";
        on!(tx, |conn| sqlx::query(sql).bind(new.site_id).bind(new.id).bind(address).execute(conn).await.map(|_| ()))?;
    }
    let credentials =
        if new.ecosystem.is_behind_gateway() { None } else { Some(issue(tx, (new.site_id, new.id), new.ecosystem, 1, seal, now).await?) };
    let device = get(tx, new.site_id, new.id).await?.ok_or_else(Refusal::not_found)?;
    Ok((device, credentials))
}

async fn validate(tx: &mut Tx, new: &NewDevice) -> Result<()> {
    let behind_gateway = new.ecosystem.is_behind_gateway();
    if !name_fits(new.ecosystem, &new.name) {
        return Err(Refusal::invalid("name", "problem.device_name").into());
    }
    if !interval_fits(new.expected_interval_seconds) {
        return Err(Refusal::invalid("expected_interval_seconds", "problem.device_interval").into());
    }
    let is_gateway = new.ecosystem == Ecosystem::Gateway;
    let base_fits = new.base_topic.as_deref().map_or(!is_gateway, |base| is_gateway && base_topic(base));
    if !base_fits {
        return Err(Refusal::invalid("base_topic", "problem.device_base_topic").into());
    }
    if !role_fits(new.ecosystem, new.role) {
        return Err(Refusal::invalid("role", "problem.device_role").into());
    }
    if !part_fits(&new.component, behind_gateway) {
        return Err(Refusal::invalid("component", "problem.device_component").into());
    }
    entered(&new.settings, behind_gateway)?;
    let gateway = match new.gateway_id {
        Some(id) => get(tx, new.site_id, id).await?,
        None => None,
    };
    let stands_behind = gateway.is_some_and(|gateway| gateway.ecosystem == Ecosystem::Gateway && gateway.revoked_at.is_none());
    if stands_behind != behind_gateway || new.gateway_id.is_some() != behind_gateway {
        return Err(Refusal::invalid("gateway_id", "problem.device_gateway").into());
    }
    Ok(())
}

pub(super) fn name_fits(ecosystem: Ecosystem, name: &str) -> bool {
    match ecosystem {
        Ecosystem::Zigbee2Mqtt => friendly(name),
        _ if ecosystem.is_behind_gateway() => topic_part(name) && !name.ends_with('/'),
        _ => valid_device_name(name),
    }
}

pub(super) fn interval_fits(seconds: i64) -> bool {
    (1..=INTERVAL_SECONDS_MAX).contains(&seconds)
}

pub(super) fn role_fits(ecosystem: Ecosystem, role: DeviceRole) -> bool {
    (ecosystem == Ecosystem::Gateway) == (role == DeviceRole::Gateway)
}

/// A name under which Zigbee2MQTT can report, and that cannot be taken for something else than a report there.
pub(super) fn friendly(name: &str) -> bool {
    topic_part(name) && Topic::parse("base", &format!("base/{name}")) == Some(Topic::Device(name))
}

pub(super) fn part_fits(component: &str, behind_gateway: bool) -> bool {
    component.is_empty() || (behind_gateway && topic_part(component))
}

/// Settings that a decoder understands, each naming what is wrong with it.
pub(super) fn entered(settings: &Map<String, Value>, behind_gateway: bool) -> Result<()> {
    if !behind_gateway && !settings.is_empty() {
        return Err(Refusal::invalid("settings", "problem.device_settings_own").into());
    }
    Settings::entered(settings).map_err(|misset| Refusal::invalid(misset.field, misset.allowed).into())
}

/// A topic of a gateway: no wildcards, and not the native protocol's.
fn base_topic(base: &str) -> bool {
    topic_part(base) && !base.ends_with('/') && base != "chk" && !base.starts_with("chk/")
}

fn topic_part(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= FRIENDLY_NAME_BYTES_MAX
        && !text.contains(|c: char| c.is_control() || "+#".contains(c))
        && !text.starts_with(['/', '$'])
}

/// Refuses a base topic that another gateway uses, on whatever site: behind an external broker only the topic says whose message it
/// is. The endpoint knows by whose password it came, so there every home may use `zigbee2mqtt`.
pub async fn claim_base_topic(tx: &mut Tx, base_topic: &str) -> Result<()> {
    if super::gateways(tx).await?.iter().any(|(_, taken)| taken == base_topic) {
        return Err(Refusal { field: Some("base_topic".to_owned()), ..Refusal::conflict("problem.device_base_topic_taken") }.into());
    }
    Ok(())
}

/// Binds a device to a senior, or to nobody. Another home means another curtain: level and calibration are forgotten.
pub async fn bind(
    tx: &mut Tx,
    (site_id, id): (Uuid, Uuid),
    senior_id: Option<Uuid>,
    version: i64,
    actor_id: Uuid,
    now: DateTime<Utc>,
) -> Result<Device> {
    if let Some(senior) = senior_id {
        // Seniors before devices, as everywhere; whoever ends or moves her afterwards finds this device.
        tx.lock_seniors(&[senior]).await?;
        let sql = "select count(*) from senior where site_id = $1 and id = $2 and ended_at is null";
        let known: i64 = on!(tx, |conn| sqlx::query_scalar(sql).bind(site_id).bind(senior).fetch_one(conn).await)?;
        if known == 0 {
            return Err(Refusal::invalid("senior_id", "problem.unknown_reference").into());
        }
    }
    let device = current(tx, site_id, id, version).await?;
    if device.ecosystem == Ecosystem::Gateway {
        return Err(Refusal::invalid("senior_id", "problem.device_gateway_unbound").into());
    }
    if let Some(senior) = senior_id {
        may_speak_for(tx, &device, senior, now).await?;
    }
    // From now on it must be heard: a device that never speaks must not stay unnoticed.
    let promised = senior_id.map(|_| silent_after(now, device.expected_interval_seconds));
    let sql = "update device set senior_id = $3, calibrated_at = null, level = null, level_since = null, opening_since = null,
            opening_key = null, settle_at = null, memory = null, silent_after = coalesce(silent_after, $4), version = version + 1
        where site_id = $1 and id = $2";
    on!(tx, |conn| sqlx::query(sql).bind(site_id).bind(id).bind(senior_id).bind(promised).execute(conn).await.map(|_| ()))?;
    let act = if senior_id.is_some() { "bind" } else { "unbind" };
    record(tx, (site_id, id), act, &["senior_id"], Some(actor_id), now).await?;
    if let Some(before) = device.senior_id.filter(|before| senior_id != Some(*before)) {
        let by = By { site_id, actor_id: Some(actor_id), now };
        silence::tell(tx, &by, before, Silenced::Device).await?;
    }
    get(tx, site_id, id).await?.ok_or_else(|| Refusal::not_found().into())
}

/// Refuses a device that would not do what the senior and the people around her rely on.
pub(super) async fn may_speak_for(tx: &mut Tx, device: &Device, senior: Uuid, now: DateTime<Utc>) -> Result<()> {
    if device.role != DeviceRole::HelpButton {
        let shares = !sharing_their_home(tx, &[(device.site_id, senior)]).await?.is_empty();
        return if shares { Err(Refusal::invalid("senior_id", "problem.device_shared_home").into()) } else { Ok(()) };
    }
    // A button that nobody hears is worse than none.
    if !device.ecosystem.has_help_buttons() {
        return Err(Refusal::invalid("senior_id", "problem.device_help_unread").into());
    }
    if !presses_are_known(device)? {
        return Err(Refusal::invalid("senior_id", "problem.device_presses").into());
    }
    heard_around_the_clock(tx, device.site_id, senior, now).await
}

/// Whether the register says which press of it is the one for help, if it must.
pub(super) fn presses_are_known(device: &Device) -> Result<bool> {
    if device.role != DeviceRole::HelpButton || !device.ecosystem.names_presses() {
        return Ok(true);
    }
    let presses = crate::ingest::judge::settings(device)?.presses;
    Ok(presses.values().any(|press| *press == Press::Help))
}

/// A button that is pressed at night when nobody hears is worse than none: she relies on it (domain.md §5).
async fn heard_around_the_clock(tx: &mut Tx, site_id: Uuid, senior: Uuid, now: DateTime<Utc>) -> Result<()> {
    let today = day::local_date(plan::site(tx, site_id).await?.zone, now);
    let roster = roster::of(tx, site_id, senior, today).await?;
    let reachable = roster::reachable(tx, site_id).await?;
    if around_the_clock(&roster, &reachable) {
        return Ok(());
    }
    Err(Refusal { field: Some("senior_id".to_owned()), ..Refusal::conflict("problem.device_nobody_at_night") }.into())
}

/// A senior leaves her home: none of its sensors speaks for her any more. The caller holds her lock.
pub async fn unbind_all(tx: &mut Tx, site_id: Uuid, senior_id: Uuid, actor_id: Option<Uuid>, now: DateTime<Utc>) -> Result<Vec<Uuid>> {
    let sql = "select id from device where site_id = $1 and senior_id = $2 order by id";
    let bound: Vec<Uuid> = on!(tx, |conn| sqlx::query_scalar(sql).bind(site_id).bind(senior_id).fetch_all(conn).await)?;
    super::ingest::lock(tx, &bound).await?;
    let sql = "update device set senior_id = null, calibrated_at = null, level = null, level_since = null, opening_since = null,
            opening_key = null, settle_at = null, memory = null, version = version + 1
        where site_id = $1 and senior_id = $2 and revoked_at is null returning id";
    let mut freed: Vec<Uuid> = on!(tx, |conn| sqlx::query_scalar(sql).bind(site_id).bind(senior_id).fetch_all(conn).await)?;
    freed.sort_unstable();
    for id in &freed {
        record(tx, (site_id, *id), "unbind", &["senior_id", "calibrated_at"], actor_id, now).await?;
    }
    Ok(freed)
}

/// A curtain of a home says who got up only if one senior lives there, or each of them has agreed that it speaks for them.
/// Of these seniors, each with her site, returns those for whom it does not.
pub async fn sharing_their_home(tx: &mut Tx, seniors: &[(Uuid, Uuid)]) -> Result<BTreeSet<Uuid>> {
    if seniors.is_empty() {
        return Ok(BTreeSet::new());
    }
    let rows: Vec<serde_json::Value> = seniors.iter().map(|(site, id)| serde_json::json!({ "site": site, "id": id })).collect();
    let rows = serde_json::Value::from(rows).to_string();
    let template = "select distinct own.id from {rows} join senior own on own.site_id = {site:uuid} and own.id = {id:uuid}
        join senior other on other.site_id = own.site_id and other.home_id = own.home_id and other.ended_at is null
        where (select count(*) from senior all_there where all_there.site_id = own.site_id and all_there.home_id = own.home_id
               and all_there.ended_at is null) > 1
          and not exists (select 1 from consent c where c.site_id = other.site_id and c.senior_id = other.id and c.scope = 'sensor'
               and c.withdrawn_at is null)";
    let sql = bulk::text(tx, template);
    let shared: Vec<Uuid> = on!(tx, |conn| sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).bind(rows).fetch_all(conn).await)?;
    Ok(shared.into_iter().collect())
}

/// The two clicks: what was shown of the device while somebody had closed and then opened the curtain.
pub async fn calibrate(
    tx: &mut Tx,
    (site_id, id): (Uuid, Uuid),
    (while_closed, while_open): (Level, Level),
    version: i64,
    actor_id: Option<Uuid>,
    now: DateTime<Utc>,
) -> Result<Device> {
    let device = current(tx, site_id, id, version).await?;
    let polarity = calibrated(device.polarity(), while_closed, while_open)
        .ok_or_else(|| Refusal::invalid("while_open", "problem.device_reading_stays"))?;
    // A level read with the other polarity is not a level.
    let sql = "update device set polarity_normal = $3, calibrated_at = $4, level = null, level_since = null, opening_since = null,
            opening_key = null, settle_at = null, version = version + 1
        where site_id = $1 and id = $2";
    let normal = polarity == Polarity::Normal;
    on!(tx, |conn| sqlx::query(sql).bind(site_id).bind(id).bind(normal).bind(now).execute(conn).await.map(|_| ()))?;
    record(tx, (site_id, id), "calibrate", &["polarity_normal", "calibrated_at"], actor_id, now).await?;
    get(tx, site_id, id).await?.ok_or_else(|| Refusal::not_found().into())
}

/// Ends a device for good, and with a gateway all devices behind it. Its history stays; its name is free again. The caller closes
/// its live sessions after the commit.
pub async fn revoke(tx: &mut Tx, (site_id, id): (Uuid, Uuid), actor_id: Uuid, now: DateTime<Utc>) -> Result<()> {
    let sql =
        "select senior_id from device where site_id = $1 and (id = $2 or gateway_id = $2) and revoked_at is null and senior_id is not null";
    let relied_on: Vec<Uuid> = on!(tx, |conn| sqlx::query_scalar(sql).bind(site_id).bind(id).fetch_all(conn).await)?;
    silence::tell_each(tx, &By { site_id, actor_id: Some(actor_id), now }, &relied_on, Silenced::Device).await?;
    let sql = "update device set revoked_at = $3, settle_at = null, opening_since = null, opening_key = null, silent_after = null,
            version = version + 1
        where site_id = $1 and (id = $2 or gateway_id = $2) and revoked_at is null";
    let revoked = on!(tx, |conn| sqlx::query(sql).bind(site_id).bind(id).bind(now).execute(conn).await?.rows_affected());
    if revoked == 0 {
        return Err(Refusal::not_found().into());
    }
    let sql = "delete from device_credential where site_id = $1 and device_id = $2";
    on!(tx, |conn| sqlx::query(sql).bind(site_id).bind(id).execute(conn).await.map(|_| ()))?;
    record(tx, (site_id, id), "revoke", &["revoked_at"], Some(actor_id), now).await
}

/// The device if it is in use and still at this version; the row stays locked to the end of the transaction.
pub(super) async fn current(tx: &mut Tx, site_id: Uuid, id: Uuid, version: i64) -> Result<Device> {
    super::ingest::lock(tx, &[id]).await?;
    let device = get(tx, site_id, id).await?.filter(|device| device.revoked_at.is_none()).ok_or_else(Refusal::not_found)?;
    if device.version == version { Ok(device) } else { Err(Refusal::new(RefusalKind::Stale, "problem.stale").into()) }
}

pub(super) async fn record(
    tx: &mut Tx,
    (site_id, id): (Uuid, Uuid),
    act: &str,
    fields: &[&str],
    actor_id: Option<Uuid>,
    at: DateTime<Utc>,
) -> Result<()> {
    let entry = audit::Entry { site_id, at, actor_id, act, object_kind: "device", object_id: Some(id), fields };
    audit::write(tx, &entry).await
}
