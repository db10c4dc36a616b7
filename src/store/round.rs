//! The round of a day: who is looked at, in walking order. Computed from pairings, duties and leaves, never stored.

pub mod look;
mod sensor;
pub mod sheet;

use std::collections::BTreeSet;

use chrono::{DateTime, NaiveDate, Utc};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, FromRow};
use uuid::Uuid;

use super::{Result, Tx, bulk, case, roster};
use crate::domain::absence::AbsenceFact;
use crate::domain::check::{CheckState, Slot};
use crate::domain::day;
use crate::domain::device::{Unfit, human_look};
use crate::domain::evidence::hint::{self, Shown};
use crate::domain::signal::{SensorPolicy, Sign};
use crate::on;

/// One window of a round.
#[derive(Debug, Clone, FromRow)]
pub struct Stop {
    pub senior_id: Uuid,
    pub check_id: Uuid,
    pub name: String,
    pub called: String,
    pub phone: Option<String>,
    pub hearing_hint: String,
    pub building_id: Uuid,
    pub building: String,
    pub unit: String,
    pub floor: Option<i64>,
    pub room: String,
    pub window_hint: String,
    #[sqlx(try_from = "String")]
    pub state: CheckState,
    #[sqlx(try_from = "String")]
    pub expected_sign: Sign,
    pub window_opens_at: DateTime<Utc>,
    pub deadline_at: DateTime<Utc>,
    pub cutoff_at: DateTime<Utc>,
    #[sqlx(try_from = "String")]
    pub sensor_policy: SensorPolicy,
    /// What sensors that still speak for her showed in this check's span.
    #[sqlx(skip)]
    pub sensor: Option<Shown>,
    /// Why only a look counts, although a sensor is agreed.
    #[sqlx(skip)]
    pub human_look: Option<Unfit>,
    /// Somebody says that she is away, and nobody has confirmed it: it excuses nothing.
    #[sqlx(skip)]
    pub proposed_absence: Option<AbsenceFact>,
    /// Who goes up with the walker of whose round this is; `None` in the round of a place.
    #[sqlx(skip)]
    pub companion: Option<Uuid>,
}

/// The stops of one member on a date and slot, in walking order.
pub async fn of_member(tx: &mut Tx, site_id: Uuid, member: Uuid, date: NaiveDate, slot: Slot) -> Result<Vec<Stop>> {
    let candidates = candidates(tx, site_id, member, date).await?;
    let rosters = roster::load(tx, site_id, &candidates, date).await?;
    let weekday = day::weekday_bit(date);
    let mine: Vec<Uuid> =
        candidates.into_iter().filter(|senior| rosters.get(senior).is_some_and(|r| r.walkers(slot, weekday).contains(&member))).collect();
    let mut stops = stops(tx, site_id, &mine, date, slot).await?;
    for stop in &mut stops {
        stop.companion = rosters.get(&stop.senior_id).and_then(|roster| roster.companion(member));
    }
    Ok(stops)
}

/// Who walks past these seniors' windows on that day.
pub async fn walkers(tx: &mut Tx, site_id: Uuid, seniors: &[Uuid], date: NaiveDate, slot: Slot) -> Result<BTreeSet<Uuid>> {
    let rosters = roster::load(tx, site_id, seniors, date).await?;
    Ok(rosters.values().flat_map(|roster| roster.walkers(slot, day::weekday_bit(date))).collect())
}

/// Seniors with whom the member, or somebody whom the member stands in for, has anything to do.
async fn candidates(tx: &mut Tx, site_id: Uuid, member: Uuid, date: NaiveDate) -> Result<Vec<Uuid>> {
    let sql = "with people as (
            select id from member where site_id = $1 and id = $2 and ended_at is null
            union select member_id from leave_of_absence
            where site_id = $1 and substitute_id = $2 and from_date <= $3 and return_date > $3 and cancelled_at is null),
        duties as (
            select d.id from duty d join people on people.id = d.member_id
            where d.site_id = $1 and d.from_date <= $3 and (d.to_date is null or d.to_date > $3))
        select p.senior_id from pairing p join people on people.id = p.member_id
            where p.site_id = $1 and p.from_date <= $3 and (p.to_date is null or p.to_date > $3)
        union select s.id from duties join duty_scope ds on ds.site_id = $1 and ds.duty_id = duties.id and ds.scope_kind = 'building'
            join home h on h.site_id = $1 and h.building_id = ds.scope_id join senior s on s.site_id = $1 and s.home_id = h.id
        union select ds.scope_id from duties join duty_scope ds on ds.site_id = $1 and ds.duty_id = duties.id and ds.scope_kind = 'senior'";
    Ok(on!(tx, |conn| sqlx::query_scalar(sql).bind(site_id).bind(member).bind(date).fetch_all(conn).await)?)
}

/// The stops of these seniors in walking order.
pub async fn stops(tx: &mut Tx, site_id: Uuid, seniors: &[Uuid], date: NaiveDate, slot: Slot) -> Result<Vec<Stop>> {
    let rows: Vec<Value> = seniors.iter().map(|id| json!({ "site": site_id, "id": id })).collect();
    let rows = Value::from(rows).to_string();
    let sql = bulk::text(
        tx,
        "select s.id as senior_id, c.id as check_id, s.name, s.called, s.phone, s.hearing_hint, h.building_id, b.name as building, h.unit, h.floor,
            h.room, h.window_hint, c.state, c.expected_sign, c.window_opens_at, c.deadline_at, c.cutoff_at, c.sensor_policy
         from {rows}
         join daily_check c on c.site_id = {site:uuid} and c.senior_id = {id:uuid} and c.local_date = $2 and c.slot = $3
         join senior s on s.site_id = c.site_id and s.id = c.senior_id
         join home h on h.site_id = s.site_id and h.id = s.home_id
         join place b on b.site_id = h.site_id and b.id = h.building_id
         order by b.walk_order, b.name, h.walk_order, h.unit, h.room, s.id",
    );
    let mut stops: Vec<Stop> =
        on!(tx, |conn| sqlx::query_as(AssertSqlSafe(sql)).bind(&rows).bind(date).bind(slot.as_str()).fetch_all(conn).await)?;
    let mut noted = sensor::noted(tx, &rows, date, slot).await?;
    let relied = sensor::relied(tx, &rows).await?;
    let mut absences = case::absences(tx, site_id, seniors, date).await?;
    for stop in &mut stops {
        let of_senior = absences.remove(&stop.senior_id).unwrap_or_default();
        stop.sensor = noted.remove(&stop.senior_id).and_then(|noted| hint::shown(&noted));
        stop.human_look = human_look(stop.sensor_policy, relied.get(&stop.senior_id).map_or(&[], Vec::as_slice));
        stop.proposed_absence = of_senior.into_iter().find(|absence| absence.is_proposed_on(date));
    }
    Ok(stops)
}

/// Everybody under a place who has a check that day, in walking order.
pub async fn of_place(tx: &mut Tx, site_id: Uuid, place: Uuid, date: NaiveDate, slot: Slot) -> Result<Vec<Stop>> {
    let sql = "select s.id from place_closure pc
        join home h on h.site_id = pc.site_id and h.building_id = pc.descendant_id
        join senior s on s.site_id = h.site_id and s.home_id = h.id
        where pc.site_id = $1 and pc.ancestor_id = $2";
    let seniors: Vec<Uuid> = on!(tx, |conn| sqlx::query_scalar(sql).bind(site_id).bind(place).fetch_all(conn).await)?;
    stops(tx, site_id, &seniors, date, slot).await
}
