//! What was seen of one senior, day by day: her checks, each with the signals of its span.

use chrono::{DateTime, NaiveDate, Utc};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::domain::check::{CheckState, Slot};
use crate::domain::signal::{Sign, SignalKind, Source, Standing};
use crate::on;
use crate::store::{Result, Tx};

/// Days in one answer.
pub const DAYS_MAX: i64 = 62;

#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Day {
    pub date: NaiveDate,
    pub checks: Vec<DayCheck>,
}

#[derive(Debug, Clone, Serialize, ToSchema, sqlx::FromRow)]
pub struct DayCheck {
    pub id: Uuid,
    #[serde(skip)]
    local_date: NaiveDate,
    #[sqlx(try_from = "String")]
    pub slot: Slot,
    #[sqlx(try_from = "String")]
    pub state: CheckState,
    #[sqlx(try_from = "String")]
    pub expected_sign: Sign,
    #[serde(skip)]
    counts_from: DateTime<Utc>,
    pub deadline_at: DateTime<Utc>,
    pub cutoff_at: DateTime<Utc>,
    #[serde(skip)]
    day_ends_at: DateTime<Utc>,
    pub received_late: bool,
    pub decided_at: Option<DateTime<Utc>>,
    #[sqlx(skip)]
    pub signals: Vec<DaySignal>,
}

/// One look; notes stay with the record.
#[derive(Debug, Clone, Serialize, ToSchema, sqlx::FromRow)]
pub struct DaySignal {
    pub id: Uuid,
    #[sqlx(try_from = "String")]
    pub kind: SignalKind,
    pub observed_at: DateTime<Utc>,
    pub received_at: DateTime<Utc>,
    #[sqlx(try_from = "String")]
    pub source: Source,
    #[sqlx(try_from = "String")]
    pub standing: Standing,
    pub observed_by: Option<Uuid>,
    pub replaces_id: Option<Uuid>,
}

/// The days from `from` to `to`, both included, that have a check; oldest first.
pub async fn list(tx: &mut Tx, site_id: Uuid, senior_id: Uuid, from: NaiveDate, to: NaiveDate) -> Result<Vec<Day>> {
    let sql =
        "select id, local_date, slot, state, expected_sign, counts_from, deadline_at, cutoff_at, day_ends_at, received_late, decided_at
        from daily_check where site_id = $1 and senior_id = $2 and local_date >= $3 and local_date <= $4
        order by local_date, counts_from, id";
    let mut checks: Vec<DayCheck> =
        on!(tx, |conn| sqlx::query_as(sql).bind(site_id).bind(senior_id).bind(from).bind(to).fetch_all(conn).await)?;
    let span = checks.iter().map(|check| check.counts_from).min().zip(checks.iter().map(|check| check.day_ends_at).max());
    if let Some((first, end)) = span {
        let sql = "select id, kind, observed_at, received_at, source, standing, observed_by, replaces_id from signal
            where site_id = $1 and senior_id = $2 and observed_at >= $3 and observed_at < $4 order by observed_at, id";
        let signals: Vec<DaySignal> =
            on!(tx, |conn| sqlx::query_as(sql).bind(site_id).bind(senior_id).bind(first).bind(end).fetch_all(conn).await)?;
        for check in &mut checks {
            let within = |signal: &&DaySignal| check.counts_from <= signal.observed_at && signal.observed_at < check.day_ends_at;
            check.signals = signals.iter().filter(within).cloned().collect();
        }
    }
    let mut days: Vec<Day> = Vec::new();
    for check in checks {
        match days.last_mut() {
            Some(day) if day.date == check.local_date => day.checks.push(check),
            _ => days.push(Day { date: check.local_date, checks: vec![check] }),
        }
    }
    Ok(days)
}

/// How one morning went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema, sqlx::FromRow)]
pub struct Morning {
    #[sqlx(rename = "local_date")]
    pub date: NaiveDate,
    #[sqlx(try_from = "String")]
    pub state: CheckState,
}

/// The morning checks from `from` to `to`, both included, oldest first.
pub async fn mornings(tx: &mut Tx, site_id: Uuid, senior_id: Uuid, from: NaiveDate, to: NaiveDate) -> Result<Vec<Morning>> {
    let sql = "select local_date, state from daily_check where site_id = $1 and senior_id = $2 and local_date >= $3 and local_date <= $4
            and slot = 'morning' order by local_date";
    Ok(on!(tx, |conn| sqlx::query_as(sql).bind(site_id).bind(senior_id).bind(from).bind(to).fetch_all(conn).await)?)
}
