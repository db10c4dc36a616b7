//! The part of the board that changes slowly: devices that need somebody, people who were not told, messages put aside, and whom
//! nobody has seen or heard.

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use sqlx::FromRow;
use uuid::Uuid;

use super::on_board;
use crate::domain::access::Who;
use crate::domain::device::{Bring, Care, CareFacts, DeviceRole, DeviceStatus, TROUBLE_SHOWN, bring, care};
use crate::on;
use crate::store::statistics::in_scope;
use crate::store::{Result, Tx, unheard};

/// Messages put aside in this time make a device one that needs care.
const ASIDE_LATELY: TimeDelta = TimeDelta::days(1);

/// A device that somebody should look after.
#[derive(Debug, Clone)]
pub struct Ailing {
    pub id: Uuid,
    pub name: String,
    pub role: DeviceRole,
    pub last_seen_at: Option<DateTime<Utc>>,
    pub battery_percent: Option<i64>,
    /// The home that it is for, as `called`, building and unit.
    pub home: Option<(String, String, String)>,
    /// The gateway that it is, or is behind.
    pub gateway: Option<(Uuid, String)>,
    pub care: Vec<Care>,
    /// What to take along.
    pub bring: Vec<Bring>,
}

#[derive(FromRow)]
struct DeviceRow {
    id: Uuid,
    name: String,
    #[sqlx(try_from = "String")]
    role: DeviceRole,
    #[sqlx(try_from = "String")]
    status: DeviceStatus,
    last_seen_at: Option<DateTime<Utc>>,
    battery_percent: Option<i64>,
    battery_low: bool,
    is_bound: bool,
    calibrated_at: Option<DateTime<Utc>>,
    tampered_at: Option<DateTime<Utc>>,
    lost_at: Option<DateTime<Utc>>,
    clock_suspect: bool,
    quarantined: bool,
    gateway_id: Option<Uuid>,
    gateway: Option<String>,
    called: Option<String>,
    building: Option<String>,
    unit: Option<String>,
}

/// Devices in use with something to look after: of the whole site, or of homes within the scope of a role that keeps devices.
pub async fn ailing(tx: &mut Tx, who: &Who, place: Option<Uuid>, whole_site: bool, now: DateTime<Utc>) -> Result<Vec<Ailing>> {
    let sql = concat!(
        "select d.id, d.name, d.role, d.status, d.last_seen_at, d.battery_percent, d.battery_low_since is not null as battery_low,
            d.senior_id is not null as is_bound, d.calibrated_at, d.tampered_at, d.lost_at, d.clock_suspect, g.id as gateway_id, g.name as gateway,
            exists (select 1 from quarantined_message q where q.device_id = d.id and q.site_id = d.site_id and q.received_at > $6)
                as quarantined,
            s.called, b.name as building, h.unit
        from device d
        left join device g on g.site_id = d.site_id and g.id = coalesce(d.gateway_id, case when d.role = 'gateway' then d.id end)
        left join senior s on s.site_id = d.site_id and s.id = d.senior_id
        left join home h on h.site_id = s.site_id and h.id = s.home_id
        left join place b on b.site_id = h.site_id and b.id = h.building_id
        where d.site_id = $1 and d.revoked_at is null and (($5 and $4 is null) or (",
        in_scope!(),
        ")) order by b.walk_order, b.name, h.walk_order, d.name, d.id"
    );
    let rows: Vec<DeviceRow> = on!(tx, |conn| sqlx::query_as(sql)
        .bind(who.site_id)
        .bind(who.member_id)
        .bind(who.today)
        .bind(place)
        .bind(whole_site)
        .bind(now - ASIDE_LATELY)
        .fetch_all(conn)
        .await)?;
    let judged = rows.into_iter().map(|row| {
        let facts = CareFacts {
            status: row.status,
            battery_low: row.battery_low,
            role: row.role,
            is_bound: row.is_bound,
            quarantined: row.quarantined,
            tampered_at: row.tampered_at,
            calibrated_at: row.calibrated_at,
            lost_lately: row.lost_at.is_some_and(|at| now - at < TROUBLE_SHOWN),
            clock_suspect: row.clock_suspect,
        };
        let care = care(&facts, now);
        Ailing {
            id: row.id,
            name: row.name,
            role: row.role,
            last_seen_at: row.last_seen_at,
            battery_percent: row.battery_percent,
            home: row.called.zip(row.building).zip(row.unit).map(|((called, building), unit)| (called, building, unit)),
            gateway: row.gateway_id.zip(row.gateway),
            bring: bring(row.role, &care),
            care,
        }
    });
    Ok(judged.filter(|device| !device.care.is_empty()).collect())
}

/// Somebody who was to be told and was not: no channel of hers took it.
#[derive(Debug, Clone, FromRow)]
pub struct Untold {
    pub alert_id: Option<Uuid>,
    pub recipient: String,
    /// The notice's class: whether it was an alert or only a word.
    pub class: String,
    pub created_at: DateTime<Utc>,
    pub channel: Option<String>,
    pub last_error: Option<String>,
    pub total: i64,
}

/// Notices since then that reached nobody, the latest first: of the whole site, or about seniors of the board.
pub async fn untold(
    tx: &mut Tx,
    who: &Who,
    place: Option<Uuid>,
    whole_site: bool,
    since: DateTime<Utc>,
    rows_max: i64,
) -> Result<Vec<Untold>> {
    let sql = concat!(
        "select n.alert_id, m.called as recipient, n.class, n.created_at, x.channel, x.last_error, count(*) over () as total
        from notice n
        join member m on m.site_id = n.site_id and m.id = n.recipient_id
        left join message x on x.site_id = n.site_id and x.id = n.message_id
        where n.site_id = $1 and n.state = 'failed' and n.created_at >= $5 and (($6 and $4 is null) or exists (select 1 from alert a
            join senior s on s.site_id = a.site_id and s.id = a.senior_id
            join home h on h.site_id = s.site_id and h.id = s.home_id
            where a.site_id = n.site_id and a.id = n.alert_id and ",
        on_board!(),
        ")) order by n.created_at desc, n.id desc limit $7"
    );
    Ok(on!(tx, |conn| sqlx::query_as(sql)
        .bind(who.site_id)
        .bind(who.member_id)
        .bind(who.today)
        .bind(place)
        .bind(since)
        .bind(whole_site)
        .bind(rows_max)
        .fetch_all(conn)
        .await)?)
}

/// Messages of sensors put aside since then.
pub async fn aside(tx: &mut Tx, site_id: Uuid, since: DateTime<Utc>) -> Result<i64> {
    let sql = "select count(*) from quarantined_message where site_id = $1 and received_at > $2";
    Ok(on!(tx, |conn| sqlx::query_scalar(sql).bind(site_id).bind(since).fetch_one(conn).await)?)
}

/// A senior with her door.
#[derive(Debug, Clone, FromRow)]
pub struct Door {
    pub senior_id: Uuid,
    pub called: String,
    pub building: String,
    pub unit: String,
}

/// The living seniors of the board, as one walks.
pub async fn doors(tx: &mut Tx, who: &Who, place: Option<Uuid>) -> Result<Vec<Door>> {
    let sql = concat!(
        "select s.id as senior_id, s.called, b.name as building, h.unit from senior s
        join home h on h.site_id = s.site_id and h.id = s.home_id
        join place b on b.site_id = h.site_id and b.id = h.building_id
        where s.site_id = $1 and s.ended_at is null and ",
        on_board!(),
        " order by b.walk_order, b.name, h.walk_order, s.id"
    );
    Ok(on!(tx, |conn| sqlx::query_as(sql).bind(who.site_id).bind(who.member_id).bind(who.today).bind(place).fetch_all(conn).await)?)
}

/// Those whom nobody has seen or heard for too long, with the last time.
pub async fn unheard(
    tx: &mut Tx,
    site_id: Uuid,
    doors: &[Door],
    zone: Tz,
    now: DateTime<Utc>,
) -> Result<Vec<(Door, Option<DateTime<Utc>>)>> {
    let seniors: Vec<Uuid> = doors.iter().map(|door| door.senior_id).collect();
    let known = unheard::of(tx, site_id, &seniors, zone, now).await?;
    let overdue = doors.iter().filter_map(|door| {
        let contact = known.get(&door.senior_id).filter(|contact| contact.overdue)?;
        Some((door.clone(), contact.last_contact_at))
    });
    Ok(overdue.collect())
}
