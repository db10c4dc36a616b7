//! Drills of the ladder: who was told, by which channel, and who has said that she has read it. `domain::ladder::drill` decides who is
//! told and what that proves.
//!
//! What must stay true: nothing here writes to an alert; a site has one drill at a time, and one weekly drill a week whoever starts it,
//! because its id is derived; what people were told stays on record.

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use serde::Serialize;
use serde_json::{Value, json};
use sqlx::FromRow;
use utoipa::ToSchema;
use uuid::Uuid;

use super::register::{self, By, Written};
use super::{Result, Tx, bulk, case, claim_link, roster};
use crate::domain::ladder::drill::{self, Reached, Trace};
use crate::domain::notice::{NewNotice, arguments};
use crate::domain::place::PlaceKind;
use crate::domain::refusal::Refusal;
use crate::domain::roster::Roster;
use crate::domain::{day, id};
use crate::on;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema, FromRow)]
pub struct Drill {
    pub id: Uuid,
    pub place_id: Uuid,
    pub place: String,
    /// Null: the weekly one.
    pub started_by: Option<Uuid>,
    pub started_at: DateTime<Utc>,
    pub report_at: DateTime<Utc>,
    pub reported_at: Option<DateTime<Utc>>,
    pub stopped_at: Option<DateTime<Utc>>,
    /// How many people it tells, and how many of them have said that they read it.
    pub people: i64,
    pub confirmed: i64,
}

impl Drill {
    /// People may still say that they have read it, and somebody waits for that.
    pub fn is_running(&self) -> bool {
        self.reported_at.is_none() && self.stopped_at.is_none()
    }
}

/// One person of a drill.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct DrillPerson {
    pub member_id: Uuid,
    pub name: String,
    pub level: i64,
    /// The channel of her last message; null if there was none.
    pub channel: Option<String>,
    pub sent_at: Option<DateTime<Utc>>,
    /// As the provider reports it.
    pub arrived_at: Option<DateTime<Utc>>,
    pub confirmed_at: Option<DateTime<Utc>>,
    pub reached: Reached,
    /// The provider's word for what went wrong last.
    pub last_error: Option<String>,
}

/// What a drill needs besides its place.
#[derive(Debug, Clone, Copy)]
pub struct Terms {
    pub date: NaiveDate,
    pub report_after: TimeDelta,
    pub street_duty: bool,
}

/// Starts a drill at a place; the weekly one if nobody does. `None`: this very drill is known already.
///
/// # Errors
/// A refusal if another drill of the site still runs, or if an alert there would tell nobody.
pub async fn start(tx: &mut Tx, by: &By, drill_id: Uuid, place_id: Uuid, terms: Terms) -> Result<Option<Drill>> {
    tx.lock_named(&format!("drill/{}", by.site_id)).await?;
    if find(tx, by.site_id, drill_id).await?.is_some() {
        return Ok(None);
    }
    let place = register::place::get(tx, by.site_id, place_id).await.map_err(|_| register::unknown("place_id"))?;
    if list(tx, by.site_id, None, 1).await?.first().is_some_and(Drill::is_running) {
        return Err(Refusal::conflict("drill.running").into());
    }
    let seniors = seniors(tx, by.site_id, place_id).await?;
    let rosters: Vec<_> = roster::load(tx, by.site_id, &seniors, terms.date).await?.into_values().collect();
    let people = drill::people(&rosters, day::weekday_bit(terms.date), terms.street_duty);
    if people.is_empty() {
        return Err(Refusal { field: Some("place_id".to_owned()), ..Refusal::conflict("drill.nobody") }.into());
    }
    let report_at = by.now + terms.report_after;
    let sql = "insert into drill (site_id, id, place_id, started_by, started_at, report_at) values ($1, $2, $3, $4, $5, $6)";
    on!(tx, |conn| sqlx::query(sql)
        .bind(by.site_id)
        .bind(drill_id)
        .bind(place_id)
        .bind(by.actor_id)
        .bind(by.now)
        .bind(report_at)
        .execute(conn)
        .await
        .map(|_| ()))?;
    let notice_of = |member| id::drill_notice(drill_id, member, drill::KEY);
    let rows: Vec<Value> = people
        .iter()
        .map(|(member, level)| {
            json!({ "site": by.site_id, "drill": drill_id, "member": member, "level": level, "notice": notice_of(*member) })
        })
        .collect();
    let sql = "insert into drill_person (site_id, drill_id, member_id, level, notice_id)
        select {site:uuid}, {drill:uuid}, {member:uuid}, {level:int}, {notice:uuid} from {rows}";
    bulk::execute(tx, sql, &rows).await?;
    let said = arguments([("building", &place.name)]);
    let notices: Vec<(Uuid, NewNotice)> = people
        .keys()
        .map(|member| {
            let notice = NewNotice::report(notice_of(*member), *member, drill::KEY, said.clone(), by.now);
            (by.site_id, notice.until(report_at))
        })
        .collect();
    case::send(tx, notices, by.now).await?;
    register::wrote(tx, by, written("create", drill_id), &json!({ "place_id": place_id })).await?;
    find(tx, by.site_id, drill_id).await
}

/// The seniors who live at a place or below it.
async fn seniors(tx: &mut Tx, site_id: Uuid, place_id: Uuid) -> Result<Vec<Uuid>> {
    let sql = "select s.id from senior s join home h on h.site_id = s.site_id and h.id = s.home_id
        join place_closure c on c.site_id = h.site_id and c.descendant_id = h.building_id
        where s.site_id = $1 and c.ancestor_id = $2 and s.ended_at is null and s.purpose = 'real' order by s.id";
    Ok(on!(tx, |conn| sqlx::query_scalar(sql).bind(site_id).bind(place_id).fetch_all(conn).await)?)
}

/// The compounds in which somebody lives who is looked after, in a lasting order: they take turns.
pub async fn compounds(tx: &mut Tx, site_id: Uuid) -> Result<Vec<Uuid>> {
    let sql = "select p.id from place p where p.site_id = $1 and p.kind = $2 and p.ended_at is null and exists (
            select 1 from place_closure c join home h on h.site_id = c.site_id and h.building_id = c.descendant_id
            join senior s on s.site_id = h.site_id and s.home_id = h.id and s.ended_at is null and s.purpose = 'real'
            where c.site_id = p.site_id and c.ancestor_id = p.id)
        order by p.walk_order, p.id";
    Ok(on!(tx, |conn| sqlx::query_scalar(sql).bind(site_id).bind(PlaceKind::Compound.as_str()).fetch_all(conn).await)?)
}

/// Ends a drill before its report: what has not left is taken back.
pub async fn stop(tx: &mut Tx, by: &By, drill_id: Uuid) -> Result<Drill> {
    let sql =
        "update drill set stopped_at = $3, stopped_by = $4 where site_id = $1 and id = $2 and stopped_at is null and reported_at is null";
    let rows = on!(tx, |conn| sqlx::query(sql)
        .bind(by.site_id)
        .bind(drill_id)
        .bind(by.now)
        .bind(by.actor_id)
        .execute(conn)
        .await?
        .rows_affected());
    if rows == 0 {
        get(tx, by.site_id, drill_id).await?;
        return Err(Refusal::conflict("drill.over").into());
    }
    let sql = "update notice set state = 'cancelled' where site_id = $1 and state = 'pending'
        and id in (select notice_id from drill_person where site_id = $1 and drill_id = $2)";
    on!(tx, |conn| sqlx::query(sql).bind(by.site_id).bind(drill_id).execute(conn).await.map(|_| ()))?;
    register::wrote(tx, by, written("stop", drill_id), &json!({ "stopped_at": by.now })).await?;
    get(tx, by.site_id, drill_id).await
}

/// The member has read it. A repeat changes nothing; false if the drill does not concern her.
pub async fn confirm(tx: &mut Tx, by: &By, drill_id: Uuid, member_id: Uuid) -> Result<bool> {
    let sql = "update drill_person set confirmed_at = $4 where site_id = $1 and drill_id = $2 and member_id = $3 and confirmed_at is null";
    let rows =
        on!(tx, |conn| sqlx::query(sql).bind(by.site_id).bind(drill_id).bind(member_id).bind(by.now).execute(conn).await?.rows_affected());
    if rows > 0 {
        register::wrote(tx, by, written("confirm", drill_id), &json!({ "confirmed_at": by.now })).await?;
        return Ok(true);
    }
    let sql = "select count(*) from drill_person where site_id = $1 and drill_id = $2 and member_id = $3";
    let known: i64 = on!(tx, |conn| sqlx::query_scalar(sql).bind(by.site_id).bind(drill_id).bind(member_id).fetch_one(conn).await)?;
    Ok(known > 0)
}

/// Whether this drill has been started, by whomever.
pub async fn is_known(tx: &mut Tx, site_id: Uuid, id: Uuid) -> Result<bool> {
    Ok(find(tx, site_id, id).await?.is_some())
}

pub async fn get(tx: &mut Tx, site_id: Uuid, id: Uuid) -> Result<Drill> {
    find(tx, site_id, id).await?.ok_or_else(|| Refusal::not_found().into())
}

macro_rules! drills {
    () => {
        "select d.id, d.place_id, p.name as place, d.started_by, d.started_at, d.report_at, d.reported_at, d.stopped_at,
            (select count(*) from drill_person t where t.site_id = d.site_id and t.drill_id = d.id) as people,
            (select count(*) from drill_person t where t.site_id = d.site_id and t.drill_id = d.id and t.confirmed_at is not null) as confirmed
        from drill d join place p on p.site_id = d.site_id and p.id = d.place_id where d.site_id = $1"
    };
}

async fn find(tx: &mut Tx, site_id: Uuid, id: Uuid) -> Result<Option<Drill>> {
    let sql = concat!(drills!(), " and d.id = $2");
    Ok(on!(tx, |conn| sqlx::query_as(sql).bind(site_id).bind(id).fetch_optional(conn).await)?)
}

/// Drills of a site, newest first, after a cursor.
pub async fn list(tx: &mut Tx, site_id: Uuid, before: Option<(DateTime<Utc>, Uuid)>, limit: i64) -> Result<Vec<Drill>> {
    let (at, id) = before.unzip();
    let sql = concat!(
        drills!(),
        " and ($2 is null or d.started_at < $2 or (d.started_at = $2 and d.id < $3)) order by d.started_at desc, d.id desc limit $4"
    );
    Ok(on!(tx, |conn| sqlx::query_as(sql).bind(site_id).bind(at).bind(id).bind(limit).fetch_all(conn).await)?)
}

/// Drills that wait for this member's word.
pub async fn waiting_for(tx: &mut Tx, site_id: Uuid, member_id: Uuid) -> Result<Vec<Drill>> {
    let sql = concat!(
        drills!(),
        " and d.reported_at is null and d.stopped_at is null and exists (select 1 from drill_person t
            where t.site_id = d.site_id and t.drill_id = d.id and t.member_id = $2 and t.confirmed_at is null) order by d.started_at"
    );
    Ok(on!(tx, |conn| sqlx::query_as(sql).bind(site_id).bind(member_id).fetch_all(conn).await)?)
}

#[derive(FromRow)]
struct PersonRow {
    member_id: Uuid,
    name: String,
    level: i64,
    confirmed_at: Option<DateTime<Utc>>,
    notice_state: Option<String>,
    channel: Option<String>,
    sent_at: Option<DateTime<Utc>>,
    last_error: Option<String>,
    arrived_at: Option<DateTime<Utc>>,
}

impl PersonRow {
    fn person(self) -> DrillPerson {
        let is = |word: &str| self.notice_state.as_deref() == Some(word);
        let trace = Trace {
            confirmed: self.confirmed_at.is_some(),
            arrived: self.arrived_at.is_some(),
            sent: is("delivered"),
            cancelled: is("cancelled"),
            failed: is("failed"),
            tried: self.channel.is_some(),
        };
        DrillPerson {
            member_id: self.member_id,
            name: self.name,
            level: self.level,
            channel: self.channel,
            sent_at: self.sent_at,
            arrived_at: self.arrived_at,
            confirmed_at: self.confirmed_at,
            reached: drill::reached(&trace),
            last_error: self.last_error,
        }
    }
}

/// Everybody of a drill in the order of the ladder.
pub async fn people(tx: &mut Tx, site_id: Uuid, drill_id: Uuid) -> Result<Vec<DrillPerson>> {
    let sql = "select t.member_id, m.name, t.level, t.confirmed_at, n.state as notice_state, s.channel, s.sent_at, s.last_error,
            (select min(r.at) from message_notice l join message_receipt r on r.site_id = l.site_id and r.message_id = l.message_id
                where l.site_id = t.site_id and l.notice_id = t.notice_id and r.state in ('delivered', 'heard')) as arrived_at
        from drill_person t
        join member m on m.site_id = t.site_id and m.id = t.member_id
        left join notice n on n.site_id = t.site_id and n.id = t.notice_id
        left join message s on s.site_id = n.site_id and s.id = n.message_id
        where t.site_id = $1 and t.drill_id = $2 order by t.level, m.name, t.member_id";
    let rows: Vec<PersonRow> = on!(tx, |conn| sqlx::query_as(sql).bind(site_id).bind(drill_id).fetch_all(conn).await)?;
    Ok(rows.into_iter().map(PersonRow::person).collect())
}

/// Drills of any site whose report is due.
pub async fn unreported(tx: &mut Tx, now: DateTime<Utc>) -> Result<Vec<(Uuid, Uuid)>> {
    let sql = "select site_id, id from drill where reported_at is null and stopped_at is null and report_at <= $1 order by report_at, id";
    Ok(on!(tx, |conn| sqlx::query_as(sql).bind(now).fetch_all(conn).await)?)
}

/// Makes the report of a drill and tells those who answer for the place, the operators and whoever started it. Returns whether it was
/// not made before.
pub async fn report(tx: &mut Tx, site_id: Uuid, drill_id: Uuid, date: NaiveDate, now: DateTime<Utc>) -> Result<bool> {
    let sql = "update drill set reported_at = $3 where site_id = $1 and id = $2 and reported_at is null and stopped_at is null";
    let rows = on!(tx, |conn| sqlx::query(sql).bind(site_id).bind(drill_id).bind(now).execute(conn).await?.rows_affected());
    if rows == 0 {
        return Ok(false);
    }
    let drill = get(tx, site_id, drill_id).await?;
    let people = people(tx, site_id, drill_id).await?;
    let missed = people.iter().filter(|person| person.reached.is_missed(true)).count();
    let seniors = seniors(tx, site_id, drill.place_id).await?;
    let rosters = roster::load(tx, site_id, &seniors, date).await?;
    let mut readers: Vec<Uuid> = rosters.values().flat_map(Roster::heads).collect();
    readers.extend(roster::operators(tx, site_id, date).await?);
    readers.extend(drill.started_by);
    readers.sort_unstable();
    readers.dedup();
    let said = arguments([
        ("building", drill.place.clone()),
        ("told", drill.people.to_string()),
        ("confirmed", drill.confirmed.to_string()),
        ("missed", missed.to_string()),
    ]);
    let notices: Vec<(Uuid, NewNotice)> = readers
        .into_iter()
        .map(|reader| {
            let id = id::drill_notice(drill_id, reader, drill::REPORT_KEY);
            (site_id, NewNotice::report(id, reader, drill::REPORT_KEY, said.clone(), now))
        })
        .collect();
    case::send(tx, notices, now).await?;
    let by = By { site_id, actor_id: None, now };
    register::wrote(tx, &by, written("report", drill_id), &json!({ "reported_at": now })).await?;
    Ok(true)
}

/// What the link of a drill's message opens.
#[derive(Debug, Clone, FromRow)]
pub struct Invited {
    pub site_id: Uuid,
    pub drill_id: Uuid,
    pub member_id: Uuid,
    pub called: String,
    pub locale: String,
    pub timezone: String,
    pub place: String,
    pub confirmed_at: Option<DateTime<Utc>>,
}

/// Whom a key names; `None` if it is no key of a drill, or its person has left.
pub async fn invited(tx: &mut Tx, key: &str) -> Result<Option<Invited>> {
    let Some(hash) = claim_link::hash(key) else { return Ok(None) };
    let sql = "select t.site_id, t.drill_id, t.member_id, m.called, m.locale, z.timezone, p.name as place, t.confirmed_at
        from message s
        join message_notice n on n.site_id = s.site_id and n.message_id = s.id
        join drill_person t on t.site_id = n.site_id and t.notice_id = n.notice_id
        join drill d on d.site_id = t.site_id and d.id = t.drill_id
        join place p on p.site_id = d.site_id and p.id = d.place_id
        join member m on m.site_id = t.site_id and m.id = t.member_id and m.ended_at is null
        join site z on z.id = t.site_id
        where s.claim_hash = $1 limit 1";
    Ok(on!(tx, |conn| sqlx::query_as(sql).bind(hash).fetch_optional(conn).await)?)
}

fn written(act: &str, id: Uuid) -> Written<'_> {
    Written { act, table: "drill", id, person_id: None, senior_id: None }
}
