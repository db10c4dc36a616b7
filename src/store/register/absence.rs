//! 不在家登记: proposed by whoever hears of it, effective once somebody answers for it (I9).

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use garde::Validate;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{By, Written, content_hash, id_conflict, lock_id, require_open, require_version, senior, site, wrote};
use crate::domain::absence::{ABSENCE_DAYS_MAX, AbsenceKind, may_confirm_return};
use crate::domain::notice::{Arguments, NewNotice, arguments};
use crate::domain::refusal::Refusal;
use crate::domain::silence::Silenced;
use crate::domain::{id, register};
use crate::on;
use crate::store::{Result, Tx, bulk, case, naming, roster, silence};

/// Somebody who left may be reported some days late, and a journey some weeks ahead.
const BACKDATED_DAYS_MAX: i64 = 7;
const AHEAD_DAYS_MAX: i64 = 60;
/// A proposer who may confirm has this long before the others are asked to.
const OWN_CONFIRMATION_WAIT: TimeDelta = TimeDelta::minutes(10);
/// To those who may confirm.
const PROPOSED: &str = "notice.absence_proposed";

#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema, sqlx::FromRow)]
pub struct Absence {
    pub id: Uuid,
    pub senior_id: Uuid,
    #[sqlx(try_from = "String")]
    pub kind: AbsenceKind,
    /// First day away.
    pub from_date: NaiveDate,
    /// First day back: an ordinary check again.
    pub return_date: NaiveDate,
    /// Who said so, by name; of an absence that came of an alert, who closed the alert.
    pub reported_by: String,
    pub entered_by: Option<Uuid>,
    /// Null while it is only proposed: it then excuses nothing.
    pub confirmed_at: Option<DateTime<Utc>>,
    pub confirmed_by: Option<Uuid>,
    pub cancelled_at: Option<DateTime<Utc>>,
    /// Somebody made sure that she comes back on that date. Until then the first morning begins with a call to who reported it.
    pub return_confirmed_at: Option<DateTime<Utc>>,
    pub return_confirmed_by: Option<Uuid>,
    #[serde(skip)]
    content_hash: Vec<u8>,
    pub version: i64,
    pub created_at: DateTime<Utc>,
}

#[derive(Debug, Clone, Serialize, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[garde(allow_unvalidated)]
pub struct NewAbsence {
    /// Made by the client, or else by the server.
    #[serde(default)]
    pub id: Uuid,
    pub kind: AbsenceKind,
    /// The first day away, in the site's zone; at most seven days back.
    pub from_date: NaiveDate,
    /// The first day back, an ordinary check again; at most 14 days after the first day away.
    pub return_date: NaiveDate,
    /// Who said so, by name.
    pub reported_by: String,
}

pub async fn propose(tx: &mut Tx, by: &By, senior_id: Uuid, new: NewAbsence) -> Result<Absence> {
    let new = NewAbsence { reported_by: register::name("reported_by", &new.reported_by)?, ..new };
    senior::lock(tx, by.site_id, senior_id).await?;
    lock_id(tx, new.id).await?;
    let hash = content_hash(&new);
    if let Some(stored) = find(tx, by.site_id, new.id).await? {
        let same = stored.senior_id == senior_id && stored.content_hash == hash;
        return if same { Ok(stored) } else { Err(id_conflict().into()) };
    }
    let today = site::get(tx, by.site_id).await?.today(by.now)?;
    check_dates(&new, today)?;
    let met = list(tx, by.site_id, senior_id)
        .await?
        .into_iter()
        .any(|other| other.cancelled_at.is_none() && other.from_date < new.return_date && new.from_date < other.return_date);
    if met {
        return Err(Refusal::conflict("register.absence_overlaps").into());
    }
    let sql = "insert into absence (site_id, id, senior_id, kind, from_date, return_date, reported_by, entered_by, content_hash,
            version, created_at)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9, 1, $10)";
    on!(tx, |conn| sqlx::query(sql)
        .bind(by.site_id)
        .bind(new.id)
        .bind(senior_id)
        .bind(new.kind.as_str())
        .bind(new.from_date)
        .bind(new.return_date)
        .bind(&new.reported_by)
        .bind(by.actor_id)
        .bind(hash)
        .bind(by.now)
        .execute(conn)
        .await
        .map(|_| ()))?;
    wrote(tx, by, written("create", new.id, senior_id), &new).await?;
    ask_to_confirm(tx, by, senior_id, &new, today).await?;
    get(tx, by.site_id, senior_id, new.id).await
}

/// Those who may confirm hear of it once. If the proposer is one of them, she will probably confirm it in the same minute: the
/// others hear of it only if she does not.
async fn ask_to_confirm(tx: &mut Tx, by: &By, senior_id: Uuid, new: &NewAbsence, today: NaiveDate) -> Result<()> {
    // The command line enters and restores; it proposes nothing.
    let Some(actor) = by.actor_id else { return Ok(()) };
    let door = naming::door(tx, by.site_id, senior_id).await?;
    let people = roster::of(tx, by.site_id, senior_id, today).await?.answers_for_absence();
    let said = [("actor", naming::member(tx, by.site_id, actor).await?), ("reported_by", new.reported_by.clone())];
    let said: Arguments = door.into_iter().chain(arguments(said)).collect();
    let not_before = if people.contains(&actor) { by.now + OWN_CONFIRMATION_WAIT } else { by.now };
    let notices = people.into_iter().filter(|member| *member != actor).map(|member| {
        (by.site_id, NewNotice::report(id::absence_word(new.id, member, PROPOSED), member, PROPOSED, said.clone(), not_before))
    });
    case::send(tx, notices, by.now).await?;
    Ok(())
}

/// Confirmed or taken back: what nobody has read yet asks for nothing any more.
async fn asks_no_more(tx: &mut Tx, by: &By, senior_id: Uuid, id: Uuid) -> Result<()> {
    let today = site::get(tx, by.site_id).await?.today(by.now)?;
    let people = roster::of(tx, by.site_id, senior_id, today).await?.answers_for_absence();
    let words = people.into_iter().map(|member| json!({ "site": by.site_id, "id": id::absence_word(id, member, PROPOSED) }));
    let sql = "update notice set state = 'cancelled' from {rows}
        where notice.site_id = {site:uuid} and notice.id = {id:uuid} and notice.state = 'pending'";
    bulk::execute(tx, sql, &words.collect::<Vec<_>>()).await?;
    Ok(())
}

fn check_dates(new: &NewAbsence, today: NaiveDate) -> Result<(), Refusal> {
    register::dates(new.from_date, "return_date", Some(new.return_date))?;
    if new.from_date < today - TimeDelta::days(BACKDATED_DAYS_MAX) || new.from_date > today + TimeDelta::days(AHEAD_DAYS_MAX) {
        return Err(Refusal::invalid("from_date", "register.absence_from").with("days", AHEAD_DAYS_MAX));
    }
    if new.return_date <= today || new.return_date - new.from_date > TimeDelta::days(ABSENCE_DAYS_MAX) {
        return Err(Refusal::invalid("return_date", "problem.return_date_range").with("days", ABSENCE_DAYS_MAX));
    }
    Ok(())
}

/// Makes the absence count from now on. It silences checks, so a volunteer may not (`may_confirm`).
pub async fn confirm(tx: &mut Tx, by: &By, senior_id: Uuid, id: Uuid, version: i64, may_confirm: bool) -> Result<Absence> {
    if !may_confirm {
        return Err(Refusal::forbidden("register.confirm_absence").into());
    }
    senior::lock(tx, by.site_id, senior_id).await?;
    let old = get(tx, by.site_id, senior_id, id).await?;
    if old.cancelled_at.is_some() {
        return Err(Refusal::conflict("register.absence_cancelled").into());
    }
    let sql = "update absence set confirmed_at = $4, confirmed_by = $5, version = version + 1
        where site_id = $1 and id = $2 and version = $3 and confirmed_at is null";
    sign(tx, by, id, version, sql).await?;
    wrote(tx, by, written("confirm", id, senior_id), &json!({"confirmed_at": by.now})).await?;
    asks_no_more(tx, by, senior_id, id).await?;
    silence::tell(tx, by, senior_id, Silenced::Absence).await?;
    case::reassess(tx, by.site_id, &[senior_id], by.now).await?;
    get(tx, by.site_id, senior_id, id).await
}

/// The senior is at home after all: checks whose cutoff lies ahead are ordinary checks again.
pub async fn cancel(tx: &mut Tx, by: &By, senior_id: Uuid, id: Uuid, version: i64) -> Result<Absence> {
    senior::lock(tx, by.site_id, senior_id).await?;
    require_open(get(tx, by.site_id, senior_id, id).await?.cancelled_at)?;
    let sql = "update absence set cancelled_at = $4, version = version + 1
        where site_id = $1 and id = $2 and version = $3 and cancelled_at is null";
    let rows = on!(tx, |conn| sqlx::query(sql).bind(by.site_id).bind(id).bind(version).bind(by.now).execute(conn).await?.rows_affected());
    require_version(rows)?;
    wrote(tx, by, written("cancel", id, senior_id), &json!({"cancelled_at": by.now})).await?;
    asks_no_more(tx, by, senior_id, id).await?;
    case::reassess(tx, by.site_id, &[senior_id], by.now).await?;
    get(tx, by.site_id, senior_id, id).await
}

/// She comes back as was entered. It changes no check: the first morning is an ordinary one in any case.
pub async fn confirm_return(tx: &mut Tx, by: &By, senior_id: Uuid, id: Uuid, version: i64) -> Result<Absence> {
    senior::lock(tx, by.site_id, senior_id).await?;
    let old = get(tx, by.site_id, senior_id, id).await?;
    if old.cancelled_at.is_some() {
        return Err(Refusal::conflict("register.absence_cancelled").into());
    }
    if old.confirmed_at.is_none() {
        return Err(Refusal::conflict("register.absence_unconfirmed").into());
    }
    let today = site::get(tx, by.site_id).await?.today(by.now)?;
    if !may_confirm_return(old.return_date, today) {
        return Err(Refusal::conflict("register.return_too_early").with("date", old.return_date).into());
    }
    // Checks that are excused all the same must not look as if somebody would look again.
    let others = list(tx, by.site_id, senior_id).await?;
    let goes_on = |other: &Absence| {
        let in_force = other.confirmed_at.is_some() && other.cancelled_at.is_none();
        in_force && other.from_date <= old.return_date && old.return_date < other.return_date
    };
    if others.iter().any(goes_on) {
        return Err(Refusal::conflict("register.absence_goes_on").into());
    }
    let sql = "update absence set return_confirmed_at = $4, return_confirmed_by = $5, version = version + 1
        where site_id = $1 and id = $2 and version = $3 and return_confirmed_at is null";
    sign(tx, by, id, version, sql).await?;
    wrote(tx, by, written("confirm_return", id, senior_id), &json!({"return_confirmed_at": by.now})).await?;
    get(tx, by.site_id, senior_id, id).await
}

/// Writes when and by whom, if the row still has this version.
async fn sign(tx: &mut Tx, by: &By, id: Uuid, version: i64, sql: &'static str) -> Result<()> {
    let rows = on!(tx, |conn| sqlx::query(sql)
        .bind(by.site_id)
        .bind(id)
        .bind(version)
        .bind(by.now)
        .bind(by.actor_id)
        .execute(conn)
        .await?
        .rows_affected());
    require_version(rows)
}

pub async fn get(tx: &mut Tx, site_id: Uuid, senior_id: Uuid, id: Uuid) -> Result<Absence> {
    let found = find(tx, site_id, id).await?.filter(|absence| absence.senior_id == senior_id);
    found.ok_or_else(|| Refusal::not_found().into())
}

async fn find(tx: &mut Tx, site_id: Uuid, id: Uuid) -> Result<Option<Absence>> {
    Ok(select(tx, site_id, Some(id), None).await?.pop())
}

/// Absences that nobody has confirmed and that are not over, each with the name of its senior, the earliest first.
pub async fn unconfirmed(tx: &mut Tx, site_id: Uuid, today: NaiveDate) -> Result<Vec<(Absence, String)>> {
    let sql = "select a.id, s.called from absence a join senior s on s.site_id = a.site_id and s.id = a.senior_id
        where a.site_id = $1 and a.return_date > $2 and a.confirmed_at is null and a.cancelled_at is null and s.ended_at is null
        order by a.from_date, a.id limit 200";
    let rows: Vec<(Uuid, String)> = on!(tx, |conn| sqlx::query_as(sql).bind(site_id).bind(today).fetch_all(conn).await)?;
    let mut found = Vec::new();
    for (id, called) in rows {
        found.extend(find(tx, site_id, id).await?.map(|absence| (absence, called)));
    }
    Ok(found)
}

/// All absences of a senior, oldest first.
pub async fn list(tx: &mut Tx, site_id: Uuid, senior_id: Uuid) -> Result<Vec<Absence>> {
    select(tx, site_id, None, Some(senior_id)).await
}

async fn select(tx: &mut Tx, site_id: Uuid, id: Option<Uuid>, senior_id: Option<Uuid>) -> Result<Vec<Absence>> {
    let sql = "select id, senior_id, kind, from_date, return_date, reported_by, entered_by, confirmed_at, confirmed_by, cancelled_at,
            return_confirmed_at, return_confirmed_by, content_hash, version, created_at
        from absence where site_id = $1 and ($2 is null or id = $2) and ($3 is null or senior_id = $3)
        order by from_date, created_at, id";
    Ok(on!(tx, |conn| sqlx::query_as(sql).bind(site_id).bind(id).bind(senior_id).fetch_all(conn).await)?)
}

fn written(act: &str, id: Uuid, senior_id: Uuid) -> Written<'_> {
    Written { act, table: "absence", id, person_id: Some(senior_id), senior_id: Some(senior_id) }
}
