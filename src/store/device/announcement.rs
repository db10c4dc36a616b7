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

/// Keeps what gateways have announced; the newest of each.
pub async fn keep_announced(tx: &mut Tx, announced: &[(Uuid, Announced)], now: DateTime<Utc>) -> Result<()> {
    if announced.is_empty() {
        return Ok(());
    }
    // The last word on a topic counts, and a statement may touch no row twice.
    let latest: BTreeMap<(Uuid, &str), &Announced> = announced.iter().map(|(gateway, one)| ((*gateway, one.topic.as_str()), one)).collect();
    let rows: Vec<Value> = latest
        .into_iter()
        .map(|((gateway, topic), one)| {
            let settings = Value::Object(one.settings.clone()).to_string();
            json!({ "gateway": gateway, "topic": topic, "role": one.role.as_str(), "settings": settings, "at": bulk::time(now) })
        })
        .collect();
    let template = "insert into device_announcement (site_id, gateway_id, topic, role, settings, announced_at)
        select device.site_id, device.id, {topic:text}, {role:text}, {settings:text}, {at:time}
        from {rows} join device on device.id = {gateway:uuid} where device.revoked_at is null
        on conflict (site_id, gateway_id, topic)
        do update set role = excluded.role, settings = excluded.settings, announced_at = excluded.announced_at";
    bulk::execute(tx, template, &rows).await?;
    let gateways: BTreeSet<Uuid> = announced.iter().map(|(gateway, _)| *gateway).collect();
    let gateways = Value::from(bulk::ids(&gateways.into_iter().collect::<Vec<_>>())).to_string();
    let sql = bulk::text(
        tx,
        "delete from device_announcement where (site_id, gateway_id, topic) in (
            select site_id, gateway_id, topic from (
                select a.site_id, a.gateway_id, a.topic, row_number() over (partition by a.gateway_id order by a.announced_at desc, a.topic) as place
                from {rows} join device g on g.id = {id:uuid}
                join device_announcement a on a.site_id = g.site_id and a.gateway_id = g.id
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

/// All proposals of a site's gateways.
pub async fn announced(tx: &mut Tx, site_id: Uuid) -> Result<Vec<Kept>> {
    let sql = "select gateway_id, topic, role, settings from device_announcement where site_id = $1 order by topic";
    Ok(on!(tx, |conn| sqlx::query_as(sql).bind(site_id).fetch_all(conn).await)?)
}
