//! What was entered wrongly is corrected: nobody has to take a device out of use for a slip of the pen.

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::super::register::By;
use super::super::{Error, Result, Tx, silence};
use super::register::{current, entered, interval_fits, may_speak_for, name_fits, part_fits, presses_are_known, record, role_fits};
use super::rename::address_of;
use super::{Device, get};
use crate::domain::device::{DeviceRole, Ecosystem, silent_after};
use crate::domain::refusal::Refusal;
use crate::domain::silence::Silenced;
use crate::on;

/// What is to be corrected; what is absent stays as it is.
#[derive(Debug, Clone, Default)]
pub struct Correction {
    pub name: Option<String>,
    pub role: Option<DeviceRole>,
    pub expected_interval_seconds: Option<i64>,
    /// The part of its topic's messages that is this device; empty: all of them.
    pub component: Option<String>,
    /// What its messages do not say, whole.
    pub settings: Option<Map<String, Value>>,
}

impl Correction {
    pub fn is_empty(&self) -> bool {
        self.fields().is_empty()
    }

    fn fields(&self) -> Vec<&'static str> {
        let said = [
            ("name", self.name.is_some()),
            ("role", self.role.is_some()),
            ("expected_interval_seconds", self.expected_interval_seconds.is_some()),
            ("component", self.component.is_some()),
            ("settings", self.settings.is_some()),
        ];
        said.into_iter().filter(|(_, is_said)| *is_said).map(|(field, _)| field).collect()
    }

    fn applied(&self, to: &Device) -> Device {
        let settings = self.settings.clone().map(|settings| Value::Object(settings).to_string());
        Device {
            name: self.name.clone().unwrap_or_else(|| to.name.clone()),
            role: self.role.unwrap_or(to.role),
            expected_interval_seconds: self.expected_interval_seconds.unwrap_or(to.expected_interval_seconds),
            component: self.component.clone().unwrap_or_else(|| to.component.clone()),
            settings: settings.unwrap_or_else(|| to.settings.clone()),
            ..to.clone()
        }
    }
}

/// Corrects an entry. Read differently, its level and its calibration mean nothing any more; of another thing, or for another
/// purpose, nothing that is remembered of it does. In another role it no longer does what somebody relies on: the people around her
/// are told.
pub async fn correct(
    tx: &mut Tx,
    (site_id, id): (Uuid, Uuid),
    correction: &Correction,
    version: i64,
    actor_id: Uuid,
    now: DateTime<Utc>,
) -> Result<Device> {
    // Seniors before devices, as everywhere.
    let senior = get(tx, site_id, id).await?.and_then(|device| device.senior_id);
    tx.lock_seniors(&senior.into_iter().collect::<Vec<_>>()).await?;
    let device = current(tx, site_id, id, version).await?;
    let changed = correction.applied(&device);
    validate(tx, &device, &changed, now).await?;
    let is_another = (&changed.name, changed.role, &changed.component) != (&device.name, device.role, &device.component);
    let reads_anew = is_another || changed.settings != device.settings;
    let address = if changed.name == device.name { device.hardware_address.clone() } else { address(tx, &changed).await? };
    let is_slower_or_faster = changed.expected_interval_seconds != device.expected_interval_seconds;
    let missed = device.silent_after.filter(|_| is_slower_or_faster);
    let missed = missed.map(|_| silent_after(device.last_seen_at.unwrap_or(now), changed.expected_interval_seconds));
    let sql = "update device set name = $3, role = $4, expected_interval_seconds = $5, component = $6, settings = $7,
            hardware_address = $8, silent_after = coalesce($9, silent_after),
            calibrated_at = case when $10 then null else calibrated_at end, level = case when $10 then null else level end,
            level_since = case when $10 then null else level_since end, opening_since = case when $10 then null else opening_since end,
            opening_key = case when $10 then null else opening_key end, settle_at = case when $10 then null else settle_at end,
            last_press = case when $10 then null else last_press end, memory = case when $11 then null else memory end,
            version = version + 1
        where site_id = $1 and id = $2";
    on!(tx, |conn| sqlx::query(sql)
        .bind(site_id)
        .bind(id)
        .bind(&changed.name)
        .bind(changed.role.as_str())
        .bind(changed.expected_interval_seconds)
        .bind(&changed.component)
        .bind(&changed.settings)
        .bind(address)
        .bind(missed)
        .bind(reads_anew)
        .bind(is_another)
        .execute(conn)
        .await
        .map(|_| ()))?;
    record(tx, (site_id, id), "change", &correction.fields(), Some(actor_id), now).await?;
    if let Some(senior) = device.senior_id.filter(|_| changed.role != device.role) {
        silence::tell(tx, &By { site_id, actor_id: Some(actor_id), now }, senior, Silenced::Device).await?;
    }
    get(tx, site_id, id).await?.ok_or_else(|| Refusal::not_found().into())
}

async fn validate(tx: &mut Tx, device: &Device, changed: &Device, now: DateTime<Utc>) -> Result<()> {
    let behind_gateway = device.ecosystem.is_behind_gateway();
    if changed.name != device.name && !behind_gateway {
        // Its password was issued to that name, and its topics bear it.
        return Err(Refusal::invalid("name", "problem.device_name_own").into());
    }
    if !name_fits(device.ecosystem, &changed.name) {
        return Err(Refusal::invalid("name", "problem.device_name").into());
    }
    if !interval_fits(changed.expected_interval_seconds) {
        return Err(Refusal::invalid("expected_interval_seconds", "problem.device_interval").into());
    }
    if !role_fits(device.ecosystem, changed.role) {
        return Err(Refusal::invalid("role", "problem.device_role").into());
    }
    if !part_fits(&changed.component, behind_gateway) {
        return Err(Refusal::invalid("component", "problem.device_component").into());
    }
    entered(&serde_json::from_str(&changed.settings).unwrap_or_default(), behind_gateway)?;
    if changed.senior_id.is_some() && !presses_are_known(changed)? {
        return Err(Refusal::invalid("settings.actions", "problem.device_presses").into());
    }
    if let Some(senior) = changed.senior_id.filter(|_| changed.role != device.role) {
        may_speak_for(tx, changed, senior, now).await.map_err(|error| match error {
            Error::Refused(refusal) => Error::Refused(Refusal { field: Some("role".to_owned()), ..refusal }),
            error => error,
        })?;
    }
    let sql = "select count(*) from device where gateway_id = $1 and name = $2 and component = $3 and id <> $4 and revoked_at is null";
    let (gateway, name, part) = (changed.gateway_id, &changed.name, &changed.component);
    let taken: i64 = on!(tx, |conn| sqlx::query_scalar(sql).bind(gateway).bind(name).bind(part).bind(changed.id).fetch_one(conn).await)?;
    if taken > 0 {
        let field = if changed.name == device.name { "component" } else { "name" };
        return Err(Refusal { field: Some(field.to_owned()), ..Refusal::conflict("problem.device_name_taken") }.into());
    }
    Ok(())
}

/// By which address Zigbee2MQTT knows that name.
async fn address(tx: &mut Tx, device: &Device) -> Result<Option<String>> {
    match device.gateway_id.filter(|_| device.ecosystem == Ecosystem::Zigbee2Mqtt) {
        Some(gateway_id) => address_of(tx, device.site_id, gateway_id, &device.name).await,
        None => Ok(None),
    }
}
