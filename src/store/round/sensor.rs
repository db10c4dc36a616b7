//! What sensors add to a round: what they showed, and whether they can be relied on.

use std::collections::HashMap;

use chrono::{DateTime, NaiveDate, Utc};
use sqlx::{AssertSqlSafe, FromRow};
use uuid::Uuid;

use crate::domain::check::Slot;
use crate::domain::device::{DeviceRole, DeviceStatus, Relied};
use crate::domain::evidence::Deed;
use crate::domain::evidence::hint::Noted;
use crate::domain::signal::{Evidence, SignalKind};
use crate::on;
use crate::store::{Error, Result, Tx, bulk};

#[derive(FromRow)]
struct NotedRow {
    senior_id: Uuid,
    id: Uuid,
    #[sqlx(try_from = "String")]
    kind: SignalKind,
    evidence: Option<String>,
    deed: Option<String>,
    observed_at: DateTime<Utc>,
}

impl NotedRow {
    fn noted(&self) -> Result<Noted> {
        let broken = |error: crate::domain::words::UnknownWord| Error::broken("signal", self.id, error);
        Ok(Noted {
            kind: self.kind,
            class: self.evidence.as_deref().unwrap_or("C").parse::<Evidence>().map_err(broken)?,
            deed: self.deed.as_deref().map(str::parse::<Deed>).transpose().map_err(broken)?,
            at: self.observed_at,
        })
    }
}

/// What sensors that still speak for these seniors (`rows`: site and id) showed in the spans of their checks.
pub(super) async fn noted(tx: &mut Tx, rows: &str, date: NaiveDate, slot: Slot) -> Result<HashMap<Uuid, Vec<Noted>>> {
    let sql = bulk::text(
        tx,
        "select c.senior_id, s.id, s.kind, s.evidence, s.deed, s.observed_at from {rows}
         join daily_check c on c.site_id = {site:uuid} and c.senior_id = {id:uuid} and c.local_date = $2 and c.slot = $3
         join signal s on s.site_id = c.site_id and s.senior_id = c.senior_id and s.source = 'device' and s.standing = 'accepted'
            and s.observed_at >= c.counts_from and s.observed_at < c.day_ends_at
         where not exists (select 1 from device d where d.site_id = s.site_id and d.id = s.device_id
            and (d.senior_id is null or d.senior_id <> s.senior_id))
         order by s.observed_at, s.id",
    );
    let found: Vec<NotedRow> =
        on!(tx, |conn| sqlx::query_as(AssertSqlSafe(sql)).bind(rows).bind(date).bind(slot.as_str()).fetch_all(conn).await)?;
    let mut by_senior: HashMap<Uuid, Vec<Noted>> = HashMap::new();
    for row in found {
        by_senior.entry(row.senior_id).or_default().push(row.noted()?);
    }
    Ok(by_senior)
}

#[derive(FromRow)]
struct ReliedRow {
    senior_id: Uuid,
    #[sqlx(try_from = "String")]
    role: DeviceRole,
    #[sqlx(try_from = "String")]
    status: DeviceStatus,
    battery_low: bool,
    calibrated_at: Option<DateTime<Utc>>,
    tampered_at: Option<DateTime<Utc>>,
    gateway_silent: bool,
}

/// The devices in use of these seniors.
pub(super) async fn relied(tx: &mut Tx, rows: &str) -> Result<HashMap<Uuid, Vec<Relied>>> {
    let sql = bulk::text(
        tx,
        "select d.senior_id, d.role, d.status, d.battery_low_since is not null as battery_low, d.calibrated_at, d.tampered_at,
            (g.status is not null and g.status = 'offline') as gateway_silent
         from {rows} join device d on d.site_id = {site:uuid} and d.senior_id = {id:uuid} and d.revoked_at is null
         left join device g on g.site_id = d.site_id and g.id = d.gateway_id
         order by d.id",
    );
    let found: Vec<ReliedRow> = on!(tx, |conn| sqlx::query_as(AssertSqlSafe(sql)).bind(rows).fetch_all(conn).await)?;
    let mut by_senior: HashMap<Uuid, Vec<Relied>> = HashMap::new();
    for row in found {
        let relied = Relied {
            role: row.role,
            status: row.status,
            gateway_silent: row.gateway_silent,
            battery_low: row.battery_low,
            calibrated_at: row.calibrated_at,
            tampered_at: row.tampered_at,
        };
        by_senior.entry(row.senior_id).or_default().push(relied);
    }
    Ok(by_senior)
}
