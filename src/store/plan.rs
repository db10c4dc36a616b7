//! Checks made ahead, so that "nobody reported" is an overdue row and not an absence of rows (I1, I22, I23).

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Days, NaiveDate, NaiveTime, TimeDelta, Utc};
use chrono_tz::Tz;
use serde_json::{Value, json};
use sqlx::FromRow;
use uuid::Uuid;

use super::{Error, Result, Tx, bulk, watch};
use crate::domain::check::CheckState;
use crate::domain::day::{self, AgreementFact, DayPlan};
use crate::domain::id;
use crate::domain::rules::Rules;
use crate::domain::words::UnknownWord;
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
struct AgreementRow {
    id: Uuid,
    senior_id: Uuid,
    slot: String,
    weekdays: i64,
    expected_sign: String,
    window_opens: Option<NaiveTime>,
    deadline: Option<NaiveTime>,
    grace_seconds: Option<i64>,
    unobserved_delay_seconds: Option<i64>,
    sensor_policy: String,
    from_date: NaiveDate,
    to_date: Option<NaiveDate>,
}

impl AgreementRow {
    fn fact(&self) -> Result<AgreementFact, UnknownWord> {
        Ok(AgreementFact {
            id: self.id,
            senior_id: self.senior_id,
            slot: self.slot.parse()?,
            weekdays: self.weekdays,
            expected_sign: self.expected_sign.parse()?,
            window_opens: self.window_opens,
            deadline: self.deadline,
            grace: self.grace_seconds.map(TimeDelta::seconds),
            unobserved_delay: self.unobserved_delay_seconds.map(TimeDelta::seconds),
            sensor_policy: self.sensor_policy.parse()?,
            from_date: self.from_date,
            to_date: self.to_date,
        })
    }
}

/// All sites that can be read; one that cannot does not stop the others (I28).
pub async fn sites(tx: &mut Tx) -> Result<Vec<SitePlan>> {
    let sql = "select id, timezone, settings, planned_through from site order by id";
    let rows: Vec<(Uuid, String, String, Option<NaiveDate>)> = on!(tx, |conn| sqlx::query_as(sql).fetch_all(conn).await)?;
    let readable = |row| site_plan(row).inspect_err(|error| tracing::error!(%error, "broken site left out of the plan")).ok();
    Ok(rows.into_iter().filter_map(readable).collect())
}

/// One site.
pub async fn site(tx: &mut Tx, site_id: Uuid) -> Result<SitePlan> {
    let sql = "select id, timezone, settings, planned_through from site where id = $1";
    let row: Option<(Uuid, String, String, Option<NaiveDate>)> =
        on!(tx, |conn| sqlx::query_as(sql).bind(site_id).fetch_optional(conn).await)?;
    site_plan(row.ok_or_else(crate::domain::refusal::Refusal::not_found)?)
}

fn site_plan((id, timezone, settings, planned_through): (Uuid, String, String, Option<NaiveDate>)) -> Result<SitePlan> {
    let zone = timezone.parse().map_err(|error| Error::broken("site", id, error))?;
    let rules = serde_json::from_str(&settings).map_err(|error| Error::broken("site", id, error))?;
    Ok(SitePlan { id, zone, rules, planned_through })
}

/// Fills from the last planned date to tomorrow. Returns how many checks were made.
pub async fn plan_site(tx: &mut Tx, site_id: Uuid, now: DateTime<Utc>) -> Result<u64> {
    tx.lock_named(&format!("plan/{site_id}")).await?;
    let site = site(tx, site_id).await?;
    let today = day::local_date(site.zone, now);
    let through = today + Days::new(1);
    // After a long stop the days between are filled too: each unmet one becomes a trigger or is marked not evaluated.
    let first = site.planned_through.map_or(today, |planned| planned + Days::new(1));
    if first > through {
        return Ok(0);
    }
    let agreements = agreements(tx, site_id, None, (first, through), now).await?;
    let mut rows = Vec::new();
    for agreement in &agreements.readable {
        let mut date = first;
        while date <= through {
            if let Some(plan) = day::plan(agreement, &site.rules.check, site.zone, date) {
                rows.push(check_row(site_id, agreement, date, &plan, &site.rules));
            }
            date = date + Days::new(1);
        }
    }
    let made = bulk::execute(tx, INSERT_CHECK, &rows).await?;
    let sql = "update site set planned_through = $2 where id = $1 and (planned_through is null or planned_through < $2)";
    on!(tx, |conn| sqlx::query(sql).bind(site_id).bind(through).execute(conn).await.map(|_| ()))?;
    Ok(made)
}

const ALL_AGREEMENTS: &str = "select a.id, a.senior_id, a.slot, a.weekdays, a.expected_sign, a.window_opens, a.deadline, a.grace_seconds,
        a.unobserved_delay_seconds, a.sensor_policy, a.from_date, a.to_date
    from agreement a join senior s on s.site_id = a.site_id and s.id = a.senior_id
    where a.site_id = $1 and s.ended_at is null and a.from_date <= $3 and (a.to_date is null or a.to_date > $2)
    order by a.senior_id, a.slot, a.from_date, a.created_at";

const AGREEMENTS_OF_SENIOR: &str =
    "select a.id, a.senior_id, a.slot, a.weekdays, a.expected_sign, a.window_opens, a.deadline, a.grace_seconds,
        a.unobserved_delay_seconds, a.sensor_policy, a.from_date, a.to_date
    from agreement a join senior s on s.site_id = a.site_id and s.id = a.senior_id
    where a.site_id = $1 and s.ended_at is null and a.from_date <= $3 and (a.to_date is null or a.to_date > $2) and a.senior_id = $4
    order by a.slot, a.from_date, a.created_at";

struct Agreements {
    readable: Vec<AgreementFact>,
    all_readable: bool,
}

async fn agreements(
    tx: &mut Tx,
    site_id: Uuid,
    senior: Option<Uuid>,
    (first, through): (NaiveDate, NaiveDate),
    now: DateTime<Utc>,
) -> Result<Agreements> {
    let rows: Vec<AgreementRow> = match senior {
        Some(senior) => {
            on!(tx, |conn| sqlx::query_as(AGREEMENTS_OF_SENIOR).bind(site_id).bind(first).bind(through).bind(senior).fetch_all(conn).await)?
        }
        None => on!(tx, |conn| sqlx::query_as(ALL_AGREEMENTS).bind(site_id).bind(first).bind(through).fetch_all(conn).await)?,
    };
    let mut agreements = Agreements { readable: Vec::with_capacity(rows.len()), all_readable: true };
    for row in rows {
        match row.fact() {
            Ok(fact) => agreements.readable.push(fact),
            // I28: one agreement that cannot be read takes nobody else's day.
            Err(error) => {
                tracing::error!(agreement = %row.id, %error, "broken agreement left out of the plan");
                agreements.all_readable = false;
                watch::tell_broken(tx, site_id, row.senior_id, now).await?;
            }
        }
    }
    Ok(agreements)
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
    let site = site(tx, site_id).await?;
    let today = day::local_date(site.zone, now);
    let Some(through) = site.planned_through.filter(|through| *through >= today) else { return Ok(()) };
    let agreements = agreements(tx, site_id, Some(senior_id), (today, through), now).await?;
    let existing = undecided(tx, site_id, senior_id, today).await?;
    let (mut inserts, mut updates) = (Vec::new(), Vec::new());
    let mut wanted = BTreeSet::new();
    let mut date = today;
    while date <= through {
        for agreement in &agreements.readable {
            let Some(plan) = day::plan(agreement, &site.rules.check, site.zone, date) else { continue };
            let row = check_row(site_id, agreement, date, &plan, &site.rules);
            let key = id::check(site_id, senior_id, date, agreement.slot);
            wanted.insert(key);
            match existing.get(&key) {
                Some((state, cutoff)) => {
                    let is_open = state.is_undecided() || *state == CheckState::Excused;
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
    if !agreements.all_readable {
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
