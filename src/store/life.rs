//! One row per running server: from the gap between the last sign of any server and a start one knows how long nobody
//! watched, so that late alerts can say so.

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use super::{Result, Tx};
use crate::on;

/// A shorter gap is an ordinary restart.
const OUTAGE_MIN: TimeDelta = TimeDelta::minutes(2);
/// An outage explains lateness for this long after it ended.
const OUTAGE_REMARK: TimeDelta = TimeDelta::minutes(30);

/// A period in which no server was alive.
pub type Outage = (DateTime<Utc>, DateTime<Utc>);

/// A server begins to watch.
pub async fn start(tx: &mut Tx, instance: Uuid, now: DateTime<Utc>) -> Result<()> {
    let sql = "insert into server_life (id, started_at, alive_at) values ($1, $2, $2) on conflict (id) do nothing";
    on!(tx, |conn| sqlx::query(sql).bind(instance).bind(now).execute(conn).await.map(|_| ()))?;
    Ok(())
}

/// A server has just finished a pass.
pub async fn alive(tx: &mut Tx, instance: Uuid, now: DateTime<Utc>) -> Result<()> {
    let sql = "update server_life set alive_at = $2 where id = $1";
    on!(tx, |conn| sqlx::query(sql).bind(instance).bind(now).execute(conn).await.map(|_| ()))?;
    Ok(())
}

/// A server can hear sensors, or no longer can. Each has its own row: one that dies takes no other's word away, and leaves none.
pub async fn hears(tx: &mut Tx, instance: Uuid, up: bool, now: DateTime<Utc>) -> Result<()> {
    let sql = "insert into server_life (id, started_at, alive_at, hears_at) values ($1, $2, $2, $3)
        on conflict (id) do update set hears_at = excluded.hears_at";
    on!(tx, |conn| sqlx::query(sql).bind(instance).bind(now).bind(up.then_some(now)).execute(conn).await.map(|_| ()))?;
    Ok(())
}

/// A server stops in order.
pub async fn stop(tx: &mut Tx, instance: Uuid, now: DateTime<Utc>) -> Result<()> {
    let sql = "update server_life set stopped_at = $2, alive_at = $2, hears_at = null where id = $1";
    on!(tx, |conn| sqlx::query(sql).bind(instance).bind(now).execute(conn).await.map(|_| ()))?;
    Ok(())
}

/// The latest break of service that still explains lateness at `now`: no server was alive from its start to its end.
pub async fn last_outage(tx: &mut Tx, now: DateTime<Utc>) -> Result<Option<Outage>> {
    let sql = "select max(before.alive_at), l.started_at from server_life l
        left join server_life before on before.id <> l.id and before.started_at < l.started_at
        where l.started_at > $1 and l.started_at <= $2
        group by l.id, l.started_at order by l.started_at desc limit 1";
    let row: Option<(Option<DateTime<Utc>>, DateTime<Utc>)> =
        on!(tx, |conn| sqlx::query_as(sql).bind(now - OUTAGE_REMARK).bind(now).fetch_optional(conn).await)?;
    Ok(row.and_then(|(last, started)| Some((last?, started))).filter(|(last, started)| *started - *last >= OUTAGE_MIN))
}
