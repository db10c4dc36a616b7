//! What the ingest reads and writes: devices by topic, and their state in bulk.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde_json::json;
use uuid::Uuid;

use super::super::{Error, Result, Tx, bulk};
use super::{Device, columns};
use crate::on;

/// The seniors that these devices speak for now, without a lock: seniors are locked before devices.
pub async fn seniors_of(tx: &mut Tx, ids: &[Uuid]) -> Result<BTreeMap<Uuid, Option<Uuid>>> {
    let rows = serde_json::to_string(&bulk::ids(ids)).expect("ids are plain JSON");
    let sql = bulk::text(tx, "select device.id, device.senior_id from {rows} join device on device.id = {id:uuid}");
    let found: Vec<(Uuid, Option<Uuid>)> = on!(tx, |conn| sqlx::query_as(sqlx::AssertSqlSafe(sql)).bind(rows).fetch_all(conn).await)?;
    Ok(found.into_iter().collect())
}

/// Locks and reads devices, in the order of their ids.
pub async fn lock(tx: &mut Tx, ids: &[Uuid]) -> Result<Vec<Device>> {
    if let Tx::Postgres(tx) = tx {
        sqlx::query("select id from device where id = any($1) order by id for update").bind(ids).execute(&mut **tx).await?;
    }
    let rows = serde_json::to_string(&bulk::ids(ids)).expect("ids are plain JSON");
    let template = concat!("select ", columns!(), " from {rows} join device on device.id = {id:uuid} order by device.id");
    let sql = bulk::text(tx, template);
    Ok(on!(tx, |conn| sqlx::query_as(sqlx::AssertSqlSafe(sql)).bind(rows).fetch_all(conn).await)?)
}

/// Devices in use by their own name: native ones and gateways.
pub async fn named(tx: &mut Tx, names: &[&str]) -> Result<BTreeMap<String, Uuid>> {
    let rows: Vec<serde_json::Value> = names.iter().map(|name| json!({ "name": name })).collect();
    let rows = serde_json::to_string(&rows).expect("names are plain JSON");
    let template = "select device.name, device.id from {rows} join device on device.name = {name:text}
        where device.gateway_id is null and device.revoked_at is null";
    let sql = bulk::text(tx, template);
    let found: Vec<(String, Uuid)> = on!(tx, |conn| sqlx::query_as(sqlx::AssertSqlSafe(sql)).bind(rows).fetch_all(conn).await)?;
    Ok(found.into_iter().collect())
}

/// Devices in use behind a gateway, by gateway and name; several if each is a part of the same messages.
pub async fn behind(tx: &mut Tx, wanted: &[(Uuid, &str)]) -> Result<BTreeMap<(Uuid, String), Vec<Uuid>>> {
    let template = "select device.gateway_id, device.name, device.id from {rows}
        join device on device.gateway_id = {gateway:uuid} and device.name = {name:text} where device.revoked_at is null order by device.id";
    by_name(tx, template, wanted).await
}

/// The parts under which devices of these gateways and names are in use, in the same form.
pub async fn parts_behind(tx: &mut Tx, wanted: &[(Uuid, &str)]) -> Result<Vec<(Uuid, String, String)>> {
    let rows: Vec<serde_json::Value> = wanted.iter().map(|(gateway, name)| json!({ "gateway": gateway, "name": name })).collect();
    let rows = serde_json::to_string(&rows).expect("names are plain JSON");
    let template = "select device.gateway_id, device.name, device.component from {rows}
        join device on device.gateway_id = {gateway:uuid} and device.name = {name:text} where device.revoked_at is null";
    let sql = bulk::text(tx, template);
    Ok(on!(tx, |conn| sqlx::query_as(sqlx::AssertSqlSafe(sql)).bind(rows).fetch_all(conn).await)?)
}

/// Devices in use whose name is one of these or continues it by levels, by gateway and that name.
pub async fn below(tx: &mut Tx, wanted: &[(Uuid, &str)]) -> Result<BTreeMap<(Uuid, String), Vec<Uuid>>> {
    let template = "select device.gateway_id, {name:text}, device.id from {rows}
        join device on device.gateway_id = {gateway:uuid}
            and (device.name = {name:text} or substr(device.name, 1, length({name:text}) + 1) = {name:text} || '/')
        where device.revoked_at is null order by device.id";
    by_name(tx, template, wanted).await
}

async fn by_name(tx: &mut Tx, template: &'static str, wanted: &[(Uuid, &str)]) -> Result<BTreeMap<(Uuid, String), Vec<Uuid>>> {
    let mut by_name: BTreeMap<(Uuid, String), Vec<Uuid>> = BTreeMap::new();
    for chunk in wanted.chunks(bulk::ROWS_MAX) {
        let rows: Vec<serde_json::Value> = chunk.iter().map(|(gateway, name)| json!({ "gateway": gateway, "name": name })).collect();
        let rows = serde_json::to_string(&rows).expect("names are plain JSON");
        let sql = bulk::text(tx, template);
        let found: Vec<(Uuid, String, Uuid)> = on!(tx, |conn| sqlx::query_as(sqlx::AssertSqlSafe(sql)).bind(rows).fetch_all(conn).await)?;
        for (gateway, name, id) in found {
            by_name.entry((gateway, name)).or_default().push(id);
        }
    }
    Ok(by_name)
}

/// Gateways in use and the topics below which they publish.
pub async fn gateways(tx: &mut Tx) -> Result<Vec<(Uuid, String)>> {
    let sql = "select id, base_topic from device where ecosystem = 'gateway' and base_topic is not null and revoked_at is null";
    Ok(on!(tx, |conn| sqlx::query_as(sql).fetch_all(conn).await)?)
}

/// Name and, of a gateway, base topic of everything in use that has an account of its own at a broker, on all sites.
pub async fn accounts(tx: &mut Tx) -> Result<Vec<(String, Option<String>)>> {
    let sql = "select name, base_topic from device where gateway_id is null and revoked_at is null order by name";
    Ok(on!(tx, |conn| sqlx::query_as(sql).fetch_all(conn).await)?)
}

/// The devices in use behind these gateways.
pub async fn children(tx: &mut Tx, gateways: &[Uuid]) -> Result<Vec<(Uuid, Uuid)>> {
    let rows = serde_json::to_string(&bulk::ids(gateways)).expect("ids are plain JSON");
    let template = "select device.gateway_id, device.id from {rows} join device on device.gateway_id = {id:uuid}
        where device.revoked_at is null";
    let sql = bulk::text(tx, template);
    Ok(on!(tx, |conn| sqlx::query_as(sqlx::AssertSqlSafe(sql)).bind(rows).fetch_all(conn).await)?)
}

/// A native device as far as its settings tell.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct InUse {
    pub id: Uuid,
    pub name: String,
    pub version: i64,
    pub expected_interval_seconds: i64,
    /// Names the key of its last genuine message.
    pub kid: Option<i64>,
}

impl InUse {
    pub fn of(device: &Device) -> Self {
        let Device { id, version, expected_interval_seconds, kid, .. } = *device;
        Self { id, name: device.name.clone(), version, expected_interval_seconds, kid }
    }
}

/// Native devices in use.
pub async fn native_in_use(tx: &mut Tx) -> Result<Vec<InUse>> {
    let sql = "select id, name, version, expected_interval_seconds, kid from device where ecosystem = 'native' and revoked_at is null";
    Ok(on!(tx, |conn| sqlx::query_as(sql).fetch_all(conn).await)?)
}

/// Names of native devices revoked since then that no device in use has taken over.
pub async fn native_revoked(tx: &mut Tx, since: DateTime<Utc>) -> Result<Vec<String>> {
    let sql = "select distinct name from device where ecosystem = 'native' and revoked_at >= $1
        and not exists (select 1 from device as other where other.name = device.name and other.gateway_id is null and other.revoked_at is null)";
    Ok(on!(tx, |conn| sqlx::query_scalar(sql).bind(since).fetch_all(conn).await)?)
}

/// Devices revoked since then, so that every instance closes their sessions.
pub async fn revoked_since(tx: &mut Tx, since: DateTime<Utc>) -> Result<Vec<Uuid>> {
    let sql = "select id from device where revoked_at >= $1";
    Ok(on!(tx, |conn| sqlx::query_scalar(sql).bind(since).fetch_all(conn).await)?)
}

/// Writes the state of devices back; what people enter in the register is not touched.
pub async fn save(tx: &mut Tx, devices: &[Device]) -> Result<()> {
    let time = |at: Option<DateTime<Utc>>| at.map(bulk::time);
    let rows: Vec<serde_json::Value> = devices
        .iter()
        .map(|device| {
            json!({
                "site": device.site_id, "id": device.id, "status": device.status, "last_seen": time(device.last_seen_at),
                "online": time(device.online_since), "silent": time(device.silent_after), "percent": device.battery_percent,
                "millivolt": device.battery_millivolt, "low_reports": device.battery_low_reports, "low": time(device.battery_low_since),
                "kid": device.kid, "tampered": time(device.tampered_at), "firmware": device.firmware,
                "level": device.level, "level_since": time(device.level_since), "opening": time(device.opening_since),
                "key": device.opening_key, "boot_n": device.boot_n, "boot_id": device.boot_id, "bd": device.bd,
                "high": device.seq_high, "window": device.seq_window, "lost": device.lost_events, "lost_at": time(device.lost_at), "memory": device.memory, "clock": device.clock_suspect,
                "recent": device.recent_payloads, "settle": time(device.settle_at), "press": device.last_press,
            })
        })
        .collect();
    let template = "update device set status = {status:text}, last_seen_at = {last_seen:time}, online_since = {online:time},
            silent_after = {silent:time}, battery_percent = {percent:int}, battery_millivolt = {millivolt:int},
            battery_low_reports = {low_reports:int}, battery_low_since = {low:time},
            battery_told_at = case when {low:time} is null then null else battery_told_at end, kid = {kid:int},
            tampered_at = {tampered:time}, firmware = {firmware:text}, level = {level:text}, level_since = {level_since:time},
            opening_since = {opening:time}, opening_key = {key:text}, boot_n = {boot_n:int}, boot_id = {boot_id:int}, bd = {bd:int},
            seq_high = {high:int}, seq_window = {window:int}, lost_events = {lost:int}, lost_at = {lost_at:time}, memory = {memory:text}, clock_suspect = {clock:bool},
            recent_payloads = {recent:text}, settle_at = {settle:time}, last_press = {press:text}
        from {rows} where device.site_id = {site:uuid} and device.id = {id:uuid}";
    bulk::execute(tx, template, &rows).await?;
    Ok(())
}

/// Devices whose pending opening has lasted long enough by now, and when the next one will have.
pub async fn due_to_settle(tx: &mut Tx, now: DateTime<Utc>, limit: i64) -> Result<(Vec<Uuid>, Option<DateTime<Utc>>)> {
    let sql = "select id from device where settle_at <= $1 order by settle_at limit $2";
    let due = on!(tx, |conn| sqlx::query_scalar(sql).bind(now).bind(limit).fetch_all(conn).await)?;
    let sql = "select min(settle_at) from device where settle_at > $1";
    let next = on!(tx, |conn| sqlx::query_scalar(sql).bind(now).fetch_one(conn).await)?;
    Ok((due, next))
}

/// True if the data is at fault and trying again cannot help: a broken row, a refused value, a bug. A database that is away, busy
/// or full is not: its messages are sent again.
pub fn is_poison(error: &Error) -> bool {
    match error {
        Error::Broken { .. } | Error::Refused(_) => true,
        Error::Busy | Error::Unknown(_) => false,
        Error::Database(sqlx::Error::Database(error)) => {
            let code = error.code().unwrap_or_default();
            // PostgreSQL: data exceptions and constraint violations. SQLite: constraint (19), mismatch (20), too big (18).
            let sqlite = code.parse::<u32>().is_ok_and(|code| code < 10_000 && matches!(code & 0xff, 18..=20));
            sqlite || (code.len() == 5 && (code.starts_with("22") || code.starts_with("23")))
        }
        Error::Database(error) => matches!(error, sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) | sqlx::Error::Encode(_)),
    }
}
