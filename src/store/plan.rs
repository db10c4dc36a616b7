//! Checks made ahead, so that "nobody reported" is an overdue row and not an absence of rows (I1, I22, I23).
//!
//! What must stay true: whoever reads what is agreed and makes or changes checks of it holds the site's plan ([`lock`]), and
//! reads after that. Otherwise an edit that commits while the day is planned sees the old plan, the planning the old
//! agreements, and neither makes the check.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Days, NaiveDate, NaiveTime, TimeDelta, Utc};
use chrono_tz::Tz;
use serde_json::{Value, json};
use sqlx::{FromRow, Row};
use uuid::Uuid;

use super::{Error, Result, Tx, bulk, watch};
use crate::domain::check::{CheckState, Slot};
use crate::domain::day::{self, AgreementFact, DayPlan};
use crate::domain::id;
use crate::domain::refusal::Refusal;
use crate::domain::rules::Rules;
use crate::domain::signal::{SensorPolicy, Sign};
use crate::on;

/// A site as far as planning asks.
#[derive(Debug, Clone)]
pub struct SitePlan {
    pub id: Uuid,
    pub zone: Tz,
    pub rules: Rules,
    pub planned_through: Option<NaiveDate>,
}

#[derive(FromRow)]
struct SiteRow {
    id: Uuid,
    timezone: String,
    settings: String,
    planned_through: Option<NaiveDate>,
}

impl SiteRow {
    fn plan(self) -> Result<SitePlan> {
        let zone = self.timezone.parse().map_err(|error| Error::broken("site", self.id, error))?;
        let rules = Rules::from_stored(&self.settings).map_err(|error| Error::broken("site", self.id, error))?;
        Ok(SitePlan { id: self.id, zone, rules, planned_through: self.planned_through })
    }
}

#[derive(FromRow)]
struct AgreementRow {
    id: Uuid,
    senior_id: Uuid,
    #[sqlx(try_from = "String")]
    slot: Slot,
    weekdays: i64,
    #[sqlx(try_from = "String")]
    expected_sign: Sign,
    window_opens: Option<NaiveTime>,
    deadline: Option<NaiveTime>,
    grace_seconds: Option<i64>,
    unobserved_delay_seconds: Option<i64>,
    #[sqlx(try_from = "String")]
    sensor_policy: SensorPolicy,
    from_date: NaiveDate,
    to_date: Option<NaiveDate>,
}

/// No agreement waits longer than this for anything; a longer time is a damaged row, and too long a one no calendar holds.
const WAIT_SECONDS_MAX: i64 = 24 * 60 * 60;

impl AgreementRow {
    fn fact(self) -> Result<AgreementFact> {
        let wait = |seconds: Option<i64>| match seconds {
            Some(seconds) if !(0..=WAIT_SECONDS_MAX).contains(&seconds) => Err(Error::broken("agreement", self.id, "no length of time")),
            known => Ok(known.map(TimeDelta::seconds)),
        };
        Ok(AgreementFact {
            id: self.id,
            senior_id: self.senior_id,
            slot: self.slot,
            weekdays: self.weekdays,
            expected_sign: self.expected_sign,
            window_opens: self.window_opens,
            deadline: self.deadline,
            grace: wait(self.grace_seconds)?,
            unobserved_delay: wait(self.unobserved_delay_seconds)?,
            sensor_policy: self.sensor_policy,
            from_date: self.from_date,
            to_date: self.to_date,
        })
    }
}

/// Takes the site's plan to the end of the transaction. Seniors are locked before it, the site's row after it.
pub async fn lock(tx: &mut Tx, site_id: Uuid) -> Result<()> {
    tx.lock_named(&format!("plan/{site_id}")).await
}

/// Every site, or what keeps it from being read: one that cannot be does not stop the others (I28).
pub async fn all_sites(tx: &mut Tx) -> Result<Vec<(Uuid, Result<SitePlan>)>> {
    select(tx, None).await
}

async fn select(tx: &mut Tx, site_id: Option<Uuid>) -> Result<Vec<(Uuid, Result<SitePlan>)>> {
    let sql = "select id, timezone, settings, planned_through from site where $1 is null or id = $1 order by id";
    let rows: Vec<(sqlx::Result<Uuid>, sqlx::Result<SiteRow>)> = on!(tx, |conn| sqlx::query(sql)
        .bind(site_id)
        .fetch_all(conn)
        .await
        .map(|rows| rows.iter().map(|row| (row.try_get("id"), SiteRow::from_row(row))).collect()))?;
    let mut sites = Vec::with_capacity(rows.len());
    for (id, row) in rows {
        let id = id?;
        sites.push((id, row.map_err(|error| Error::broken("site", id, error)).and_then(SiteRow::plan)));
    }
    Ok(sites)
}

/// The sites that can be read; the planning tells of the others.
pub async fn sites(tx: &mut Tx) -> Result<Vec<SitePlan>> {
    Ok(all_sites(tx).await?.into_iter().filter_map(|(_, site)| site.ok()).collect())
}

/// One site.
pub async fn site(tx: &mut Tx, site_id: Uuid) -> Result<SitePlan> {
    let (_, site) = select(tx, Some(site_id)).await?.pop().ok_or_else(Refusal::not_found)?;
    site
}

/// The days of a site that nobody has planned: a check is missing, or cannot be made.
struct Gaps {
    checks: Vec<Value>,
    /// Seniors with an agreement that cannot be read.
    broken: Vec<Uuid>,
    /// What there is to be planned to.
    through: NaiveDate,
}

/// Looks from the first day that is not planned yet to tomorrow, and at today in any case: what is missing there, however that
/// came to be, is made while it can still matter.
///
/// After a long stop the days between are filled too: each unmet one becomes a trigger or is marked not evaluated.
async fn gaps(tx: &mut Tx, site: &SitePlan, now: DateTime<Utc>) -> Result<Gaps> {
    let today = day::local_date(site.zone, now);
    let mut gaps = Gaps { checks: Vec::new(), broken: Vec::new(), through: today + Days::new(1) };
    let mut date = site.planned_through.map_or(today, |planned| (planned + Days::new(1)).min(today));
    while date <= gaps.through {
        for (agreement, senior, fact) in unplanned(tx, site.id, date).await? {
            match fact {
                Ok(fact) => {
                    let plan = day::plan(&fact, &site.rules.check, site.zone, date);
                    gaps.checks.extend(plan.map(|plan| check_row(site.id, &fact, date, &plan, &site.rules)));
                }
                // I28: one agreement that cannot be read takes nobody else's day.
                Err(error) => {
                    tracing::warn!(%agreement, %error, "broken agreement left out of the plan");
                    gaps.broken.push(senior);
                }
            }
        }
        date = date + Days::new(1);
    }
    Ok(gaps)
}

/// Whether nothing is left to plan at `now`.
pub async fn is_complete(tx: &mut Tx, site: &SitePlan, now: DateTime<Utc>) -> Result<bool> {
    let gaps = gaps(tx, site, now).await?;
    let is_planned = site.planned_through.is_some_and(|planned| planned >= gaps.through);
    Ok(is_planned && gaps.checks.is_empty() && gaps.broken.is_empty())
}

/// Makes every check that is missing up to tomorrow. Returns how many that were.
pub async fn plan_site(tx: &mut Tx, site_id: Uuid, now: DateTime<Utc>) -> Result<u64> {
    lock(tx, site_id).await?;
    let site = site(tx, site_id).await?;
    let gaps = gaps(tx, &site, now).await?;
    let made = bulk::execute(tx, INSERT_CHECK, &gaps.checks).await?;
    let sql = "update site set planned_through = $2 where id = $1 and (planned_through is null or planned_through < $2)";
    on!(tx, |conn| sqlx::query(sql).bind(site_id).bind(gaps.through).execute(conn).await.map(|_| ()))?;
    for senior in gaps.broken {
        watch::tell_broken(tx, site_id, senior, now).await?;
    }
    Ok(made)
}

/// An agreement's id, its senior, and what it says if it can be read.
type Read = (Uuid, Uuid, Result<AgreementFact>);

/// The rows of a query for agreements, each read by itself (I28).
macro_rules! read_agreements {
    ($tx:expr, $query:expr) => {
        on!($tx, |conn| $query.fetch_all(conn).await.map(|rows| {
            let each = rows.iter().map(|row| Ok((row.try_get("id")?, row.try_get("senior_id")?, AgreementRow::from_row(row))));
            each.collect::<sqlx::Result<Vec<(Uuid, Uuid, sqlx::Result<AgreementRow>)>>>()
        }))
        .flatten()
        .map(|rows| {
            let read = |id, row: sqlx::Result<AgreementRow>| row.map_err(|error| Error::broken("agreement", id, error))?.fact();
            rows.into_iter().map(|(id, senior, row)| (id, senior, read(id, row))).collect()
        })
    };
}

/// The agreements that ask for a check on a date and slot that has none.
pub async fn unplanned(tx: &mut Tx, site_id: Uuid, date: NaiveDate) -> Result<Vec<Read>> {
    let sql = "select a.id, a.senior_id, a.slot, a.weekdays, a.expected_sign, a.window_opens, a.deadline, a.grace_seconds,
            a.unobserved_delay_seconds, a.sensor_policy, a.from_date, a.to_date
        from agreement a join senior s on s.site_id = a.site_id and s.id = a.senior_id
        where a.site_id = $1 and s.ended_at is null and a.from_date <= $2 and (a.to_date is null or a.to_date > $2) and (a.weekdays & $3) <> 0
          and not exists (select 1 from daily_check c
            where c.site_id = a.site_id and c.senior_id = a.senior_id and c.local_date = $2 and c.slot = a.slot)
        order by a.senior_id, a.slot, a.from_date, a.created_at";
    Ok(read_agreements!(tx, sqlx::query(sql).bind(site_id).bind(date).bind(day::weekday_bit(date)))?)
}

/// What is agreed with one senior from one date to another.
async fn agreements(tx: &mut Tx, site_id: Uuid, senior: Uuid, (first, through): (NaiveDate, NaiveDate)) -> Result<Vec<Read>> {
    let sql = "select a.id, a.senior_id, a.slot, a.weekdays, a.expected_sign, a.window_opens, a.deadline, a.grace_seconds,
            a.unobserved_delay_seconds, a.sensor_policy, a.from_date, a.to_date
        from agreement a join senior s on s.site_id = a.site_id and s.id = a.senior_id
        where a.site_id = $1 and s.ended_at is null and a.from_date <= $3 and (a.to_date is null or a.to_date > $2) and a.senior_id = $4
        order by a.slot, a.from_date, a.created_at";
    Ok(read_agreements!(tx, sqlx::query(sql).bind(site_id).bind(first).bind(through).bind(senior))?)
}

const INSERT_CHECK: &str = "insert into daily_check (site_id, id, senior_id, agreement_id, local_date, slot, state, expected_sign, sensor_policy, counts_from,
        window_opens_at, deadline_at, cutoff_at, day_ends_at, unobserved_delay_seconds, received_late, triggered, next_action_at)
    select {site:uuid}, {id:uuid}, {senior:uuid}, {agreement:uuid}, {date:date}, {slot:text}, 'expected', {sign:text}, {policy:text}, {counts_from:time},
        {window:time}, {deadline:time}, {cutoff:time}, {day_ends:time}, {delay:int}, {no:bool}, {no:bool}, {next:time}
    from {rows} where true on conflict (site_id, senior_id, local_date, slot) do nothing";

/// Only undecided checks change, and only while their old and their new cutoff lie ahead (I23).
const UPDATE_CHECK: &str =
    "update daily_check set agreement_id = {agreement:uuid}, expected_sign = {sign:text}, sensor_policy = {policy:text},
        counts_from = {counts_from:time}, window_opens_at = {window:time}, deadline_at = {deadline:time}, cutoff_at = {cutoff:time},
        day_ends_at = {day_ends:time}, unobserved_delay_seconds = {delay:int}, next_action_at = {next:time}
    from {rows} where daily_check.site_id = {site:uuid} and daily_check.id = {id:uuid}";

/// A day that is no longer agreed and is not decided yet is taken back, or it would call people to somebody who moved away; the
/// looks themselves are signals and stay.
const DELETE_CHECK: &str = "delete from daily_check where site_id = $1 and id = $2
    and state in ('expected', 'excused', 'tentative', 'tentative_blind') and triggered = $3";

fn check_row(site_id: Uuid, agreement: &AgreementFact, date: NaiveDate, plan: &DayPlan, rules: &Rules) -> Value {
    json!({
        "site": site_id, "id": id::check(site_id, agreement.senior_id, date, agreement.slot), "senior": agreement.senior_id, "agreement": agreement.id,
        "date": date, "slot": agreement.slot.as_str(), "sign": agreement.expected_sign.as_str(), "policy": agreement.sensor_policy.as_str(),
        "counts_from": bulk::time(plan.counts_from), "window": bulk::time(plan.window_opens_at), "deadline": bulk::time(plan.deadline_at),
        "cutoff": bulk::time(plan.cutoff_at), "day_ends": bulk::time(plan.day_ends_at), "delay": plan.unobserved_delay.num_seconds(), "no": false,
        "next": bulk::time(plan.deadline_at - rules.check.remind_round.0),
    })
}

/// After an agreement, an ending or a site's times changed: the senior's undecided checks follow, from today on.
///
/// The caller holds the senior's lock.
pub async fn replan_senior(tx: &mut Tx, site_id: Uuid, senior_id: Uuid, now: DateTime<Utc>) -> Result<()> {
    lock(tx, site_id).await?;
    let site = site(tx, site_id).await?;
    let today = day::local_date(site.zone, now);
    let Some(through) = site.planned_through.filter(|through| *through >= today) else { return Ok(()) };
    let read = agreements(tx, site_id, senior_id, (today, through)).await?;
    let all_readable = read.iter().all(|(.., fact)| fact.is_ok());
    let agreements: Vec<AgreementFact> = read.into_iter().filter_map(|(.., fact)| fact.ok()).collect();
    let existing = undecided(tx, site_id, senior_id, today).await?;
    let (mut inserts, mut updates) = (Vec::new(), Vec::new());
    let mut wanted = BTreeSet::new();
    let mut date = today;
    while date <= through {
        for agreement in &agreements {
            let Some(plan) = day::plan(agreement, &site.rules.check, site.zone, date) else { continue };
            let row = check_row(site_id, agreement, date, &plan, &site.rules);
            let key = id::check(site_id, senior_id, date, agreement.slot);
            wanted.insert(key);
            match existing.get(&key) {
                Some((state, cutoff)) => {
                    let is_open = state.awaits_verdict() || *state == CheckState::Excused;
                    if is_open && *cutoff > now && plan.cutoff_at > now {
                        updates.push(row);
                    }
                }
                None if plan.cutoff_at > now => inserts.push(row),
                None => {}
            }
        }
        date = date + Days::new(1);
    }
    bulk::execute(tx, INSERT_CHECK, &inserts).await?;
    bulk::execute(tx, UPDATE_CHECK, &updates).await?;
    if !all_readable {
        watch::tell_broken(tx, site_id, senior_id, now).await?;
        // Nobody knows whether what cannot be read still asks for these days.
        return Ok(());
    }
    for (check, (_, cutoff)) in existing.iter().filter(|(check, _)| !wanted.contains(*check)) {
        if *cutoff > now {
            on!(tx, |conn| sqlx::query(DELETE_CHECK).bind(site_id).bind(*check).bind(false).execute(conn).await.map(|_| ()))?;
        }
    }
    Ok(())
}

async fn undecided(tx: &mut Tx, site_id: Uuid, senior_id: Uuid, today: NaiveDate) -> Result<BTreeMap<Uuid, (CheckState, DateTime<Utc>)>> {
    let sql = "select id, state, cutoff_at from daily_check where site_id = $1 and senior_id = $2 and local_date >= $3";
    let rows: Vec<(Uuid, String, DateTime<Utc>)> =
        on!(tx, |conn| sqlx::query_as(sql).bind(site_id).bind(senior_id).bind(today).fetch_all(conn).await)?;
    rows.into_iter()
        .map(|(check, state, cutoff)| {
            let state = state.parse().map_err(|error| Error::broken("daily_check", check, error))?;
            Ok((check, (state, cutoff)))
        })
        .collect()
}
