//! What home automation is told of devices: proposals for whoever enters them, so many of each gateway and no more.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, FromRow};
use uuid::Uuid;

use super::super::{Result, Tx, bulk};
use super::ANNOUNCED_MAX;
use crate::domain::device::DeviceRole;
use crate::ingest::discovery::Announced;
use crate::on;

/// What one topic of a gateway announces; nothing if it was emptied or says nothing that is understood.
#[derive(Debug, Clone)]
pub struct Announcing {
    pub gateway_id: Uuid,
    /// The topic.
    pub by: String,
    pub devices: Vec<Announced>,
}

/// Keeps what gateways have announced: of each announcing topic its last word and nothing that it said before.
pub async fn keep_announced(tx: &mut Tx, said: &[Announcing], now: DateTime<Utc>) -> Result<()> {
    if said.is_empty() {
        return Ok(());
    }
    let latest: BTreeMap<(Uuid, &str), &[Announced]> =
        said.iter().map(|one| ((one.gateway_id, one.by.as_str()), &one.devices[..])).collect();
    let announcing: Vec<Value> = latest.keys().map(|(gateway, by)| json!({ "gateway": gateway, "by": by })).collect();
    let template = "delete from device_announced where (site_id, gateway_id, announced_by) in (
        select device.site_id, device.id, {by:text} from {rows} join device on device.id = {gateway:uuid})";
    bulk::execute(tx, template, &announcing).await?;
    // A device may have several parts at one topic, and a statement may touch no row twice: the last part counts.
    let parts = latest.iter().flat_map(|((gateway, by), devices)| devices.iter().map(|one| ((*gateway, *by, one.topic.as_str()), one)));
    let parts: BTreeMap<(Uuid, &str, &str), &Announced> = parts.collect();
    let rows: Vec<Value> = parts
        .into_iter()
        .map(|((gateway, by, topic), one)| {
            let settings = Value::Object(one.settings.clone()).to_string();
            json!({ "gateway": gateway, "by": by, "topic": topic, "role": one.role.as_str(), "settings": settings, "at": bulk::time(now) })
        })
        .collect();
    let template = "insert into device_announced (site_id, gateway_id, announced_by, topic, role, settings, announced_at)
        select device.site_id, device.id, {by:text}, {topic:text}, {role:text}, {settings:text}, {at:time}
        from {rows} join device on device.id = {gateway:uuid} where device.revoked_at is null";
    bulk::execute(tx, template, &rows).await?;
    let gateways: BTreeSet<Uuid> = said.iter().map(|one| one.gateway_id).collect();
    let gateways = Value::from(bulk::ids(&gateways.into_iter().collect::<Vec<_>>())).to_string();
    let sql = bulk::text(
        tx,
        "delete from device_announced where (site_id, gateway_id, announced_by, topic) in (
            select site_id, gateway_id, announced_by, topic from (
                select a.site_id, a.gateway_id, a.announced_by, a.topic,
                    row_number() over (partition by a.gateway_id order by a.announced_at desc, a.announced_by, a.topic) as place
                from {rows} join device g on g.id = {id:uuid}
                join device_announced a on a.site_id = g.site_id and a.gateway_id = g.id
            ) of_gateways where place > $2)",
    );
    let kept = i64::try_from(ANNOUNCED_MAX).unwrap_or(i64::MAX);
    on!(tx, |conn| sqlx::query(AssertSqlSafe(sql)).bind(gateways).bind(kept).execute(conn).await.map(|_| ()))?;
    Ok(())
}

/// One proposal.
#[derive(Debug, Clone, FromRow)]
pub struct Kept {
    pub gateway_id: Uuid,
    pub topic: String,
    #[sqlx(try_from = "String")]
    pub role: DeviceRole,
    pub settings: String,
}

/// All proposals of a site's gateways; of several for one topic the newest first.
pub async fn announced(tx: &mut Tx, site_id: Uuid) -> Result<Vec<Kept>> {
    let sql = "select gateway_id, topic, role, settings from device_announced where site_id = $1
        order by topic, announced_at desc, announced_by";
    Ok(on!(tx, |conn| sqlx::query_as(sql).bind(site_id).fetch_all(conn).await)?)
}
