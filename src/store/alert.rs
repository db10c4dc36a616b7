//! Alerts as people read them: the list, one with its timeline, its ladder, and whom to phone.

use chrono::{DateTime, NaiveDate, Utc};
use sqlx::FromRow;
use uuid::Uuid;

use super::{Result, Tx};
use crate::domain::access::Who;
use crate::domain::alert::{AlertState, Ladder, StepAct, StepState, TimelineKind, TriggerKind};
use crate::domain::case::possible::Standing;
use crate::domain::check::Cause;
use crate::domain::refusal::Refusal;
use crate::on;

/// One row of the list. Room and phone come with the single alert, where each opening is logged.
#[derive(Debug, Clone, FromRow)]
pub struct AlertItem {
    pub id: Uuid,
    pub senior_id: Uuid,
    pub called: String,
    pub building: String,
    pub unit: String,
    #[sqlx(try_from = "String")]
    pub state: AlertState,
    #[sqlx(try_from = "String")]
    pub ladder: Ladder,
    #[sqlx(try_from = "String")]
    pub cause: Cause,
    pub epoch: i64,
    pub level: i64,
    pub trial: bool,
    pub drill: bool,
    pub opened_at: DateTime<Utc>,
    pub claimed_by: Option<Uuid>,
    pub claimed_by_called: Option<String>,
    pub claim_until: Option<DateTime<Utc>>,
    pub emergency_at: Option<DateTime<Utc>>,
    pub sensor_noted_at: Option<DateTime<Utc>>,
    pub resolved_at: Option<DateTime<Utc>>,
    pub resolved_by: Option<Uuid>,
    pub contact_proof: Option<String>,
    pub safe: Option<bool>,
    pub outcome: Option<String>,
    pub outcome_note: Option<String>,
    pub reviewed_at: Option<DateTime<Utc>>,
    pub outage_from: Option<DateTime<Utc>>,
    pub outage_to: Option<DateTime<Utc>>,
    pub version: i64,
    /// Its place on the list, see `rank!`.
    pub rank: i64,
}

/// The order of the list: emergencies, calls for help, then missed signs, those looked at first; within each the highest level.
/// What a sensor has shown late stands below them, and what is resolved at the end.
macro_rules! rank {
    () => {
        "cast(case when a.resolved_at is not null then 99 when a.emergency_at is not null then 0
            when a.cause = 'help' then 10 when a.cause = 'cry' then 20 when a.sensor_noted_at is not null then 70
            when a.cause = 'manual' then 30 when a.cause = 'not_open' then 40 when a.cause = 'blind' then 50 else 60 end
          + case when a.resolved_at is null then 9 - a.level else 0 end as bigint)"
    };
}

impl AlertItem {
    /// How it stands at `now`, for what may be done with it.
    pub fn standing(&self, now: DateTime<Utc>) -> Standing {
        Standing {
            is_resolved: self.resolved_at.is_some(),
            has_outcome: self.outcome.is_some(),
            is_reviewed: self.reviewed_at.is_some(),
            claimed_by: self.claimed_by.filter(|_| self.claim_until.is_some_and(|until| until > now)),
        }
    }

    /// The same alert for a reader who may learn that it is over, and no more.
    #[must_use]
    pub fn without_outcome(self) -> Self {
        Self { contact_proof: None, safe: None, outcome: None, outcome_note: None, ..self }
    }
}

/// The columns and joins of [`AlertItem`].
macro_rules! item {
    () => {
        concat!(
            "select a.id, a.senior_id, s.called, b.name as building, h.unit, a.state, a.ladder, a.cause, a.epoch, a.level, a.trial, a.drill,
        a.opened_at, a.claimed_by, m.called as claimed_by_called, a.claim_until, a.emergency_at, a.sensor_noted_at, a.resolved_at, a.resolved_by,
        a.contact_proof, a.safe, a.outcome, a.outcome_note, a.reviewed_at, a.outage_from, a.outage_to, a.version, ",
            rank!(),
            " as rank
    from alert a
    join senior s on s.site_id = a.site_id and s.id = a.senior_id
    join home h on h.site_id = s.site_id and h.id = s.home_id
    join place b on b.site_id = h.site_id and b.id = h.building_id
    left join member m on m.site_id = a.site_id and m.id = a.claimed_by"
        )
    };
}

/// What to list. `open_only` leaves out what is resolved.
#[derive(Debug, Clone)]
pub struct Filter {
    pub open_only: bool,
    pub place: Option<Uuid>,
    pub senior: Option<Uuid>,
    pub cause: Option<Cause>,
    pub state: Option<AlertState>,
    pub opened_from: Option<DateTime<Utc>>,
    pub opened_before: Option<DateTime<Utc>>,
    /// Last item of the page before: rank, opened_at and id.
    pub after: Option<(i64, DateTime<Utc>, Uuid)>,
    pub limit: i64,
}

/// Alerts of seniors whom the member sees, the most urgent first, and the latest of equal ones. The nil id stands for "any".
pub async fn list(tx: &mut Tx, who: &Who, filter: &Filter) -> Result<Vec<AlertItem>> {
    let sql = concat!(
        item!(),
        " where a.site_id = $1 and s.purpose = 'real' and (a.resolved_at is null or not $4)
            and ($5 = $10 or exists (select 1 from place_closure pc
                where pc.site_id = a.site_id and pc.ancestor_id = $5 and pc.descendant_id = h.building_id))
            and ($6 = $10 or a.senior_id = $6) and ($11 is null or a.cause = $11) and ($12 is null or a.state = $12)
            and ($13 is null or a.opened_at >= $13) and ($14 is null or a.opened_at < $14) and (",
        rank!(),
        " > $15 or (",
        rank!(),
        " = $15 and (a.opened_at < $7 or (a.opened_at = $7 and a.id < $8)))) and a.senior_id in (",
        crate::visible_seniors!(),
        ") order by rank, a.opened_at desc, a.id desc limit $9"
    );
    let (rank, before, id) = filter.after.unwrap_or((-1, DateTime::<Utc>::UNIX_EPOCH, Uuid::nil()));
    let rows = on!(tx, |conn| sqlx::query_as(sql)
        .bind(who.site_id)
        .bind(who.member_id)
        .bind(who.today)
        .bind(filter.open_only)
        .bind(filter.place.unwrap_or_default())
        .bind(filter.senior.unwrap_or_default())
        .bind(before)
        .bind(id)
        .bind(filter.limit)
        .bind(Uuid::nil())
        .bind(filter.cause.map(Cause::as_str))
        .bind(filter.state.map(AlertState::as_str))
        .bind(filter.opened_from)
        .bind(filter.opened_before)
        .bind(rank)
        .fetch_all(conn)
        .await)?;
    Ok(rows)
}

/// One alert.
pub async fn get(tx: &mut Tx, site_id: Uuid, alert: Uuid) -> Result<AlertItem> {
    let sql = concat!(item!(), " where a.site_id = $1 and a.id = $2");
    let row = on!(tx, |conn| sqlx::query_as(sql).bind(site_id).bind(alert).fetch_optional(conn).await)?;
    Ok(row.ok_or_else(Refusal::not_found)?)
}

/// Whose alert it is, without reading the rest.
pub async fn senior_of(tx: &mut Tx, site_id: Uuid, alert: Uuid) -> Result<Uuid> {
    let sql = "select senior_id from alert where site_id = $1 and id = $2";
    let row: Option<Uuid> = on!(tx, |conn| sqlx::query_scalar(sql).bind(site_id).bind(alert).fetch_optional(conn).await)?;
    Ok(row.ok_or_else(Refusal::not_found)?)
}

#[derive(Debug, Clone, FromRow)]
pub struct TriggerItem {
    pub id: Uuid,
    pub check_id: Option<Uuid>,
    #[sqlx(try_from = "String")]
    pub kind: TriggerKind,
    #[sqlx(try_from = "String")]
    pub cause: Cause,
    pub local_date: NaiveDate,
    pub slot: Option<String>,
    pub note: Option<String>,
    pub at: DateTime<Utc>,
}

#[derive(Debug, Clone, FromRow)]
pub struct StepItem {
    pub epoch: i64,
    pub step: i64,
    pub level: i64,
    #[sqlx(try_from = "String")]
    pub act: StepAct,
    pub due_at: DateTime<Utc>,
    #[sqlx(try_from = "String")]
    pub state: StepState,
    pub fired_at: Option<DateTime<Utc>>,
    pub told: i64,
}

#[derive(Debug, Clone, FromRow)]
pub struct TimelineItem {
    pub id: Uuid,
    pub at: DateTime<Utc>,
    #[sqlx(try_from = "String")]
    pub kind: TimelineKind,
    pub actor_id: Option<Uuid>,
    pub actor_called: Option<String>,
    pub detail: String,
}

/// Who was told over this alert, and how it went.
#[derive(Debug, Clone, FromRow)]
pub struct ToldItem {
    pub recipient_id: Uuid,
    pub recipient_called: String,
    pub level: i64,
    pub key: String,
    pub state: String,
    pub channel: Option<String>,
    pub sent_at: Option<DateTime<Utc>>,
    pub call_no: Option<i64>,
}

/// The door and the phone, for those whom the ladder has told.
#[derive(Debug, Clone, FromRow)]
pub struct DoorItem {
    pub name: String,
    pub phone: Option<String>,
    pub floor: Option<i64>,
    pub room: String,
    pub window_hint: String,
    pub hearing_hint: String,
    pub key_holder: Option<String>,
    pub key_holder_phone: Option<String>,
    pub entry_consent: bool,
}

/// Whom to phone at L2, in order.
#[derive(Debug, Clone, FromRow)]
pub struct ContactItem {
    pub position: i64,
    pub name: String,
    pub relation: String,
    pub phone: String,
    pub minutes_away: Option<i64>,
}

pub async fn triggers(tx: &mut Tx, site_id: Uuid, alert: Uuid) -> Result<Vec<TriggerItem>> {
    let sql = "select id, check_id, kind, cause, local_date, slot, note, at from alert_trigger where site_id = $1 and alert_id = $2 order by at, id";
    Ok(on!(tx, |conn| sqlx::query_as(sql).bind(site_id).bind(alert).fetch_all(conn).await)?)
}

pub async fn steps(tx: &mut Tx, site_id: Uuid, alert: Uuid) -> Result<Vec<StepItem>> {
    let sql = "select epoch, step, level, act, due_at, state, fired_at, told from ladder_step
        where site_id = $1 and alert_id = $2 order by epoch, step";
    Ok(on!(tx, |conn| sqlx::query_as(sql).bind(site_id).bind(alert).fetch_all(conn).await)?)
}

pub async fn timeline(tx: &mut Tx, site_id: Uuid, alert: Uuid) -> Result<Vec<TimelineItem>> {
    let sql = "select e.id, e.at, e.kind, e.actor_id, m.called as actor_called, e.detail from alert_event e
        left join member m on m.site_id = e.site_id and m.id = e.actor_id
        where e.site_id = $1 and e.alert_id = $2 order by e.at, e.id";
    Ok(on!(tx, |conn| sqlx::query_as(sql).bind(site_id).bind(alert).fetch_all(conn).await)?)
}

pub async fn told(tx: &mut Tx, site_id: Uuid, alert: Uuid) -> Result<Vec<ToldItem>> {
    let sql =
        "select n.recipient_id, m.called as recipient_called, n.level, n.key, n.state, msg.channel, msg.sent_at, msg.call_no from notice n
        join member m on m.site_id = n.site_id and m.id = n.recipient_id
        left join message msg on msg.site_id = n.site_id and msg.id = n.message_id
        where n.site_id = $1 and n.alert_id = $2 order by n.created_at, n.id";
    Ok(on!(tx, |conn| sqlx::query_as(sql).bind(site_id).bind(alert).fetch_all(conn).await)?)
}

pub async fn door(tx: &mut Tx, site_id: Uuid, senior: Uuid) -> Result<DoorItem> {
    let sql = "select s.name, s.phone, h.floor, h.room, h.window_hint, s.hearing_hint, coalesce(k.called, h.key_holder_name) as key_holder,
            coalesce(k.phone, h.key_holder_phone) as key_holder_phone,
            exists (select 1 from consent c where c.site_id = s.site_id and c.senior_id = s.id and c.scope = 'key_entry' and c.withdrawn_at is null)
                as entry_consent
        from senior s join home h on h.site_id = s.site_id and h.id = s.home_id
        left join member k on k.site_id = h.site_id and k.id = h.key_holder_member_id
        where s.site_id = $1 and s.id = $2";
    let row = on!(tx, |conn| sqlx::query_as(sql).bind(site_id).bind(senior).fetch_optional(conn).await)?;
    Ok(row.ok_or_else(Refusal::not_found)?)
}

pub async fn contacts(tx: &mut Tx, site_id: Uuid, senior: Uuid) -> Result<Vec<ContactItem>> {
    let sql = "select position, name, relation, phone, minutes_away from contact
        where site_id = $1 and senior_id = $2 and ended_at is null order by position, created_at, id";
    Ok(on!(tx, |conn| sqlx::query_as(sql).bind(site_id).bind(senior).fetch_all(conn).await)?)
}
