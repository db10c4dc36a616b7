//! 窗帘约定 with its history: rows are never changed, only ended. A new agreement takes its weekdays over on its first day, and
//! the answer says which day that is and what it replaced (I23). What it does not take goes on in rows that continue the old.

use chrono::{DateTime, NaiveDate, NaiveTime, TimeDelta, Timelike, Utc};
use garde::Validate;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::site::Site;
use super::{By, Written, content_hash, id_conflict, lock_id, replan, senior, site, wrote};
use crate::domain::agreement::{Remainder, remains, replaces, silences, validate, validate_start};
use crate::domain::check::Slot;
use crate::domain::day::{self, AgreementFact, EVERY_DAY};
use crate::domain::refusal::Refusal;
use crate::domain::register;
use crate::domain::signal::{SensorPolicy, Sign};
use crate::domain::silence::Silenced;
use crate::on;
use crate::store::{Result, Tx, silence};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema, sqlx::FromRow)]
pub struct Agreement {
    pub id: Uuid,
    pub senior_id: Uuid,
    #[sqlx(try_from = "String")]
    pub slot: Slot,
    /// The days that it asks for, as bits: 1 is Monday, 2 Tuesday, 4 Wednesday … 64 Sunday; 31 is Monday to Friday, 96 the weekend.
    pub weekdays: i64,
    #[sqlx(try_from = "String")]
    pub expected_sign: Sign,
    /// `HH:MM:SS` on the site's wall clock: looking begins. Null follows the site.
    pub window_opens: Option<NaiveTime>,
    /// `HH:MM:SS` on the site's wall clock: the sign is expected by then. Null follows the site.
    pub deadline: Option<NaiveTime>,
    /// After the deadline; null follows the site.
    pub grace_seconds: Option<i64>,
    /// How long an alert waits if nobody looked; null follows the site.
    pub unobserved_delay_seconds: Option<i64>,
    #[sqlx(try_from = "String")]
    pub sensor_policy: SensorPolicy,
    pub require_change: bool,
    /// The first day on which this agreement counts, in the site's zone.
    #[sqlx(rename = "from_date")]
    pub effective_from: NaiveDate,
    /// The first day on which it no longer counts (exclusive); null: no end is known.
    pub to_date: Option<NaiveDate>,
    pub ended_why: Option<String>,
    /// The agreement that took over from `to_date` on; what it did not take goes on in a row that continues this one.
    pub replaced_by_id: Option<Uuid>,
    /// The agreement of which this row is what a later one left.
    pub continues_id: Option<Uuid>,
    /// What this agreement took over.
    #[sqlx(skip)]
    pub replaces: Vec<Replaced>,
    #[serde(skip)]
    content_hash: Vec<u8>,
    pub created_by: Option<Uuid>,
    pub created_at: DateTime<Utc>,
}

/// An agreement from which a later one took days.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Replaced {
    pub id: Uuid,
    /// The weekdays that were taken, as bits.
    pub weekdays: i64,
    /// The first day on which the old one no longer counts for them.
    pub from_date: NaiveDate,
}

#[derive(Debug, Clone, Serialize, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[garde(allow_unvalidated)]
pub struct NewAgreement {
    /// Made by the client, or else by the server.
    #[serde(default)]
    pub id: Uuid,
    pub slot: Slot,
    /// The days that it asks for, as bits: 1 is Monday, 2 Tuesday, 4 Wednesday … 64 Sunday; 31 is Monday to Friday, 96 the weekend.
    /// Every day if left out. What is agreed for other days stays as it is.
    #[serde(default = "every_day")]
    pub weekdays: i64,
    pub expected_sign: Sign,
    /// `HH:MM` or `HH:MM:SS` on the site's wall clock; the site's time if left out.
    #[serde(default)]
    pub window_opens: Option<NaiveTime>,
    /// `HH:MM` or `HH:MM:SS` on the site's wall clock; the site's time if left out, which differs in winter.
    #[serde(default)]
    pub deadline: Option<NaiveTime>,
    /// Between deadline and alert, at most four hours; the site's if left out.
    #[serde(default)]
    pub grace_seconds: Option<i64>,
    /// How long an alert waits if nobody looked, at most an hour; the site's if left out.
    #[serde(default)]
    pub unobserved_delay_seconds: Option<i64>,
    pub sensor_policy: SensorPolicy,
    /// An open curtain counts only if it was seen closed since the last evening.
    #[serde(default)]
    pub require_change: bool,
    /// The first day, in the site's zone; tomorrow if left out. Today is possible while the old and the new cutoff lie ahead.
    #[serde(default)]
    pub from_date: Option<NaiveDate>,
    /// The first day on which it no longer counts (exclusive): from then on what it replaced counts again.
    #[serde(default)]
    pub to_date: Option<NaiveDate>,
}

fn every_day() -> i64 {
    EVERY_DAY
}

impl NewAgreement {
    fn fact(&self, senior_id: Uuid, from_date: NaiveDate) -> AgreementFact {
        AgreementFact {
            id: self.id,
            senior_id,
            slot: self.slot,
            weekdays: self.weekdays,
            expected_sign: self.expected_sign,
            window_opens: self.window_opens,
            deadline: self.deadline,
            // Out of range is refused by the rules; here it must only not overflow.
            grace: self.grace_seconds.map(|seconds| TimeDelta::try_seconds(seconds).unwrap_or(TimeDelta::MAX)),
            unobserved_delay: self.unobserved_delay_seconds.map(|seconds| TimeDelta::try_seconds(seconds).unwrap_or(TimeDelta::MAX)),
            sensor_policy: self.sensor_policy,
            from_date,
            to_date: self.to_date,
        }
    }
}

impl Agreement {
    fn fact(&self) -> AgreementFact {
        AgreementFact {
            id: self.id,
            senior_id: self.senior_id,
            slot: self.slot,
            weekdays: self.weekdays,
            expected_sign: self.expected_sign,
            window_opens: self.window_opens,
            deadline: self.deadline,
            grace: self.grace_seconds.map(TimeDelta::seconds),
            unobserved_delay: self.unobserved_delay_seconds.map(TimeDelta::seconds),
            sensor_policy: self.sensor_policy,
            from_date: self.effective_from,
            to_date: self.to_date,
        }
    }
}

/// Agrees anew for a slot. What was agreed before for that slot and these weekdays ends where this begins, and goes on where this
/// ends; days already judged stay judged. An edit by which something would ring later needs `may_silence`.
pub async fn create(tx: &mut Tx, by: &By, senior_id: Uuid, new: NewAgreement, may_silence: bool) -> Result<Agreement> {
    senior::lock(tx, by.site_id, senior_id).await?;
    lock_id(tx, new.id).await?;
    let hash = content_hash(&new);
    if let Some(stored) = find(tx, by.site_id, new.id).await? {
        let same = stored.senior_id == senior_id && stored.content_hash == hash;
        return if same { Ok(stored) } else { Err(id_conflict().into()) };
    }
    let site = site::get(tx, by.site_id).await?;
    let (zone, rules) = (site.zone()?, site.rules()?);
    let today = day::local_date(zone, by.now);
    let fact = new.fact(senior_id, new.from_date.unwrap_or(today + TimeDelta::days(1)));
    for (field, time) in [("window_opens", new.window_opens), ("deadline", new.deadline)] {
        if time.is_some_and(|time| time.nanosecond() != 0) {
            return Err(Refusal::invalid(field, "register.whole_seconds").into());
        }
    }
    validate(&fact, &rules.check)?;
    let replaced = replaced_by(tx, by.site_id, senior_id, &fact).await?;
    let facts: Vec<AgreementFact> = replaced.iter().map(Agreement::fact).collect();
    validate_start(&fact, &facts, &rules.check, zone, by.now)?;
    let silent = replaced.iter().any(|old| silences(&old.fact(), old.require_change, &fact, new.require_change, &rules.check));
    if silent && !may_silence {
        return Err(Refusal::forbidden("register.silencing").into());
    }
    insert(tx, by, senior_id, &new, fact.from_date, hash).await?;
    for old in &replaced {
        give_way(tx, by, old, &fact).await?;
    }
    wrote(tx, by, written("create", new.id, senior_id), &new).await?;
    if silent {
        silence::tell(tx, by, senior_id, Silenced::Agreement).await?;
    }
    replan(tx, by, senior_id).await?;
    get(tx, by.site_id, senior_id, new.id).await
}

/// What is agreed for the same slot on days that the new agreement takes.
async fn replaced_by(tx: &mut Tx, site_id: Uuid, senior_id: Uuid, new: &AgreementFact) -> Result<Vec<Agreement>> {
    let all = list(tx, site_id, senior_id).await?;
    let never_counts = |old: &Agreement| old.to_date.is_some_and(|to| to <= old.effective_from);
    Ok(all.into_iter().filter(|old| old.slot == new.slot && !never_counts(old) && replaces(new, &old.fact())).collect())
}

/// The old row ends; what the new one does not take of it goes on in rows of its own.
async fn give_way(tx: &mut Tx, by: &By, old: &Agreement, new: &AgreementFact) -> Result<()> {
    end_row(tx, by, old, new.from_date.max(old.effective_from), "replaced", Some(new.id)).await?;
    for rest in remains(&old.fact(), new) {
        continue_row(tx, by, old, rest).await?;
    }
    Ok(())
}

async fn continue_row(tx: &mut Tx, by: &By, old: &Agreement, rest: Remainder) -> Result<()> {
    let id = Uuid::now_v7();
    let sql = "insert into agreement (site_id, id, senior_id, slot, weekdays, expected_sign, window_opens, deadline, grace_seconds,
            unobserved_delay_seconds, sensor_policy, require_change, from_date, to_date, continues_id, content_hash, created_by, created_at)
        select site_id, $3, senior_id, slot, $4, expected_sign, window_opens, deadline, grace_seconds, unobserved_delay_seconds,
            sensor_policy, require_change, $5, $6, id, content_hash, $7, $8
        from agreement where site_id = $1 and id = $2";
    on!(tx, |conn| sqlx::query(sql)
        .bind(by.site_id)
        .bind(old.id)
        .bind(id)
        .bind(rest.weekdays)
        .bind(rest.from_date)
        .bind(rest.to_date)
        .bind(by.actor_id)
        .bind(by.now)
        .execute(conn)
        .await
        .map(|_| ()))?;
    let content =
        serde_json::json!({"continues_id": old.id, "weekdays": rest.weekdays, "from_date": rest.from_date, "to_date": rest.to_date});
    wrote(tx, by, written("continue", id, old.senior_id), &content).await
}

async fn insert(tx: &mut Tx, by: &By, senior_id: Uuid, new: &NewAgreement, from: NaiveDate, hash: Vec<u8>) -> Result<()> {
    let sql = "insert into agreement (site_id, id, senior_id, slot, weekdays, expected_sign, window_opens, deadline, grace_seconds,
            unobserved_delay_seconds, sensor_policy, require_change, from_date, to_date, content_hash, created_by, created_at)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)";
    on!(tx, |conn| sqlx::query(sql)
        .bind(by.site_id)
        .bind(new.id)
        .bind(senior_id)
        .bind(new.slot.as_str())
        .bind(new.weekdays)
        .bind(new.expected_sign.as_str())
        .bind(new.window_opens)
        .bind(new.deadline)
        .bind(new.grace_seconds)
        .bind(new.unobserved_delay_seconds)
        .bind(new.sensor_policy.as_str())
        .bind(new.require_change)
        .bind(from)
        .bind(new.to_date)
        .bind(hash)
        .bind(by.actor_id)
        .bind(by.now)
        .execute(conn)
        .await
        .map(|_| ()))?;
    Ok(())
}

/// The one change that an agreement knows.
async fn end_row(tx: &mut Tx, by: &By, agreement: &Agreement, to_date: NaiveDate, why: &str, replaced_by_id: Option<Uuid>) -> Result<()> {
    let sql = "update agreement set to_date = $3, ended_why = $4, replaced_by_id = $5 where site_id = $1 and id = $2";
    on!(tx, |conn| sqlx::query(sql)
        .bind(by.site_id)
        .bind(agreement.id)
        .bind(to_date)
        .bind(why)
        .bind(replaced_by_id)
        .execute(conn)
        .await
        .map(|_| ()))?;
    let content = serde_json::json!({"to_date": to_date, "ended_why": why, "replaced_by_id": replaced_by_id});
    wrote(tx, by, written("end", agreement.id, agreement.senior_id), &content).await
}

/// Ends the agreement: nobody is looked for after that, so it needs `may_silence`. From tomorrow if no day is given.
pub async fn end(tx: &mut Tx, by: &By, senior_id: Uuid, id: Uuid, to_date: Option<NaiveDate>, may_silence: bool) -> Result<Agreement> {
    if !may_silence {
        return Err(Refusal::forbidden("register.silencing").into());
    }
    senior::lock(tx, by.site_id, senior_id).await?;
    let old = get(tx, by.site_id, senior_id, id).await?;
    let site = site::get(tx, by.site_id).await?;
    let today = site.today(by.now)?;
    let to_date = to_date.unwrap_or(today + TimeDelta::days(1));
    register::ending(to_date, today, old.to_date)?;
    if to_date == today && !cutoff_ahead(&site, &old, today, by.now)? {
        return Err(Refusal::invalid("to_date", "register.from_tomorrow").with("date", today + TimeDelta::days(1)).into());
    }
    end_row(tx, by, &old, to_date.max(old.effective_from), "ended", None).await?;
    silence::tell(tx, by, senior_id, Silenced::Ended).await?;
    replan(tx, by, senior_id).await?;
    get(tx, by.site_id, senior_id, id).await
}

fn cutoff_ahead(site: &Site, agreement: &Agreement, today: NaiveDate, now: DateTime<Utc>) -> Result<bool> {
    let plan = day::plan(&agreement.fact(), &site.rules()?.check, site.zone()?, today);
    Ok(plan.is_none_or(|plan| plan.cutoff_at > now))
}

/// Everything agreed with a senior who is no longer looked after ends; a cutoff of today that has passed stays judged.
pub(super) async fn end_all(tx: &mut Tx, by: &By, senior_id: Uuid, date: NaiveDate, why: &str) -> Result<()> {
    let open = list(tx, by.site_id, senior_id).await?.into_iter().filter(|agreement| agreement.to_date.is_none_or(|to| to > date));
    for agreement in open {
        end_row(tx, by, &agreement, date.max(agreement.effective_from), why, None).await?;
    }
    replan(tx, by, senior_id).await
}

pub async fn get(tx: &mut Tx, site_id: Uuid, senior_id: Uuid, id: Uuid) -> Result<Agreement> {
    let found = find(tx, site_id, id).await?.filter(|agreement| agreement.senior_id == senior_id);
    found.ok_or_else(|| Refusal::not_found().into())
}

async fn find(tx: &mut Tx, site_id: Uuid, id: Uuid) -> Result<Option<Agreement>> {
    Ok(select(tx, site_id, Some(id), None).await?.pop())
}

/// All agreements of a senior with their history, oldest first.
pub async fn list(tx: &mut Tx, site_id: Uuid, senior_id: Uuid) -> Result<Vec<Agreement>> {
    select(tx, site_id, None, Some(senior_id)).await
}

async fn select(tx: &mut Tx, site_id: Uuid, id: Option<Uuid>, senior_id: Option<Uuid>) -> Result<Vec<Agreement>> {
    let sql = "select id, senior_id, slot, weekdays, expected_sign, window_opens, deadline, grace_seconds, unobserved_delay_seconds,
            sensor_policy, require_change, from_date, to_date, ended_why, replaced_by_id, continues_id, content_hash, created_by,
            created_at
        from agreement where site_id = $1 and ($2 is null or id = $2) and ($3 is null or senior_id = $3)
        order by from_date, created_at, id";
    let mut agreements: Vec<Agreement> = on!(tx, |conn| sqlx::query_as(sql).bind(site_id).bind(id).bind(senior_id).fetch_all(conn).await)?;
    let sql = "select replaced_by_id, id, weekdays, to_date from agreement
        where site_id = $1 and replaced_by_id is not null and ($2 is null or replaced_by_id = $2) and ($3 is null or senior_id = $3)
        order by from_date, created_at, id";
    let replaced: Vec<(Uuid, Uuid, i64, NaiveDate)> =
        on!(tx, |conn| sqlx::query_as(sql).bind(site_id).bind(id).bind(senior_id).fetch_all(conn).await)?;
    for agreement in &mut agreements {
        let own = replaced.iter().filter(|(by, ..)| *by == agreement.id);
        let taken = |&(_, id, weekdays, from_date): &(Uuid, Uuid, i64, NaiveDate)| Replaced {
            id,
            weekdays: weekdays & agreement.weekdays,
            from_date,
        };
        agreement.replaces = own.map(taken).collect();
    }
    Ok(agreements)
}

fn written(act: &str, id: Uuid, senior_id: Uuid) -> Written<'_> {
    Written { act, table: "agreement", id, person_id: Some(senior_id), senior_id: Some(senior_id) }
}
