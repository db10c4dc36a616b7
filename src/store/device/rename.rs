//! Devices that were renamed at their gateway: followed by the address of their radio, so that a new name is not a new device.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use uuid::Uuid;

use super::super::{Result, Tx, bulk};
use super::register::{friendly, record};
use super::{ANNOUNCED_MAX, Device, columns};
use crate::on;

/// Takes over what a gateway calls its devices, by their addresses: a known address with another name renames its device, a device
/// without one learns it. Names of nobody are remembered for whoever is entered later. Returns how many were renamed.
pub async fn follow_names(tx: &mut Tx, gateway_id: Uuid, named: &[(String, String)], now: DateTime<Utc>) -> Result<usize> {
    let sql = concat!(
        "select ",
        columns!(),
        " from device where gateway_id = $1 and ecosystem = 'zigbee2mqtt' and revoked_at is null order by id"
    );
    let devices: Vec<Device> = on!(tx, |conn| sqlx::query_as(sql).bind(gateway_id).fetch_all(conn).await)?;
    let by_address: BTreeMap<&str, &str> = named.iter().map(|(address, name)| (address.as_str(), name.as_str())).collect();
    let by_name: BTreeMap<&str, &str> = named.iter().map(|(address, name)| (name.as_str(), address.as_str())).collect();
    let (mut learnt, mut renamed) = (Vec::new(), Vec::new());
    for device in &devices {
        match &device.hardware_address {
            None => learnt.extend(by_name.get(device.name.as_str()).map(|address| (device, *address))),
            Some(address) => renamed.extend(
                by_address.get(address.as_str()).filter(|name| **name != device.name && friendly(name)).map(|name| (device, *name)),
            ),
        }
    }
    // A name that a device keeps is not given to another one.
    let is_kept = |name: &str| devices.iter().any(|device| device.name == name && !renamed.iter().any(|(other, _)| other.id == device.id));
    let renamed: Vec<(&Device, &str)> = renamed.iter().copied().filter(|(_, name)| !is_kept(name)).collect();
    for (device, address) in learnt {
        set(tx, device, ADDRESS, address).await?;
        record(tx, (device.site_id, device.id), "change", &["hardware_address"], None, now).await?;
    }
    // Two that have swapped their names are both without one in between.
    for (device, _) in &renamed {
        set(tx, device, NAME, &device.id.to_string()).await?;
    }
    for (device, name) in &renamed {
        set(tx, device, NAME, name).await?;
        record(tx, (device.site_id, device.id), "rename", &["name"], None, now).await?;
    }
    remember(tx, gateway_id, named, now).await?;
    Ok(renamed.len())
}

const NAME: &str = "update device set name = $3, version = version + 1 where site_id = $1 and id = $2";
const ADDRESS: &str = "update device set hardware_address = $3, version = version + 1 where site_id = $1 and id = $2";

async fn set(tx: &mut Tx, device: &Device, sql: &'static str, value: &str) -> Result<()> {
    on!(tx, |conn| sqlx::query(sql).bind(device.site_id).bind(device.id).bind(value).execute(conn).await.map(|_| ()))?;
    Ok(())
}

/// Keeps the addresses behind names, so that a device has its own from the moment it is entered.
async fn remember(tx: &mut Tx, gateway_id: Uuid, named: &[(String, String)], now: DateTime<Utc>) -> Result<()> {
    let sql = "delete from device_address where gateway_id = $1";
    on!(tx, |conn| sqlx::query(sql).bind(gateway_id).execute(conn).await.map(|_| ()))?;
    let mut by_name: BTreeMap<&str, &str> = BTreeMap::new();
    for (address, name) in named.iter().take(ANNOUNCED_MAX) {
        by_name.insert(name, address);
    }
    let rows: Vec<Value> = by_name
        .into_iter()
        .map(|(name, address)| json!({ "gateway": gateway_id, "name": name, "address": address, "at": bulk::time(now) }))
        .collect();
    let template = "insert into device_address (site_id, gateway_id, name, hardware_address, seen_at)
        select device.site_id, device.id, {name:text}, {address:text}, {at:time} from {rows} join device on device.id = {gateway:uuid}";
    bulk::execute(tx, template, &rows).await?;
    Ok(())
}

/// The address that a gateway has named with this name.
pub(super) async fn address_of(tx: &mut Tx, site_id: Uuid, gateway_id: Uuid, name: &str) -> Result<Option<String>> {
    let sql = "select hardware_address from device_address where site_id = $1 and gateway_id = $2 and name = $3";
    Ok(on!(tx, |conn| sqlx::query_scalar(sql).bind(site_id).bind(gateway_id).bind(name).fetch_optional(conn).await)?)
}
