//! What a period says about the practice: how many windows were looked at, how often somebody had to go and why, and how long
//! she waited (domain.md §8). Canaries and drills are left out before they come here.
//!
//! An alert belongs to the local date on which it opened. A figure that nothing stands behind is absent, not zero.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate, Utc};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::check::{Cause, CheckState};
use super::outcome::{Outcome, OutcomeClass};

/// Checks of one date and building in one state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CheckCount {
    pub date: NaiveDate,
    pub building: Uuid,
    pub state: CheckState,
    pub count: i64,
}

/// How many seniors of a building had a due check on a date.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SeniorDays {
    pub date: NaiveDate,
    pub building: Uuid,
    pub count: i64,
}

/// One alert, as far as figures ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AlertFact {
    pub date: NaiveDate,
    pub building: Uuid,
    pub cause: Cause,
    pub outcome: Option<Outcome>,
    pub opened_at: DateTime<Utc>,
    /// Somebody said "I am going", was sent, or stood at the door.
    pub claimed_at: Option<DateTime<Utc>>,
    /// Closed with proof that she was seen or heard.
    pub contact_at: Option<DateTime<Utc>>,
}

#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Statistics {
    pub from: NaiveDate,
    pub to: NaiveDate,
    /// Over the whole period.
    pub checks: CheckFigures,
    pub alerts: AlertFigures,
    pub days: Vec<DayFigures>,
    /// In walking order; only those with a check or an alert.
    pub buildings: Vec<BuildingFigures>,
    pub causes: Vec<CauseFigures>,
    pub outcomes: Vec<OutcomeFigures>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, ToSchema)]
pub struct CheckFigures {
    /// Checks that were due: planned and not excused.
    pub due: i64,
    /// Seen in time.
    pub ok: i64,
    /// Seen after the cutoff.
    pub ok_late: i64,
    /// Looked at, the sign was missing.
    pub not_open: i64,
    /// Looked at, nothing could be seen.
    pub not_seen: i64,
    /// Nobody looked.
    pub not_observed: i64,
    pub help: i64,
    /// The cutoff is still ahead.
    pub undecided: i64,
    /// The system was down for too long, or a record was broken.
    pub not_judged: i64,
    /// Somebody was away and had said so; not among `due`.
    pub excused: i64,
    /// Of what has been judged, how much somebody had looked at in time.
    pub completion_percent: Option<f64>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, ToSchema)]
pub struct AlertFigures {
    pub alerts: i64,
    /// Seniors with a due check, summed over the days.
    pub senior_days: i64,
    pub per_100_senior_days: Option<f64>,
    pub minutes_to_claim: Option<Minutes>,
    pub minutes_to_contact: Option<Minutes>,
}

/// By nearest rank, so that each figure is one that really happened.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Minutes {
    /// Of how many alerts.
    pub count: i64,
    pub median: f64,
    pub p90: f64,
}

#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct DayFigures {
    pub date: NaiveDate,
    pub checks: CheckFigures,
    pub alerts: AlertFigures,
}

/// A senior who moved counts where she lived on that date.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct BuildingFigures {
    pub building_id: Uuid,
    pub name: String,
    pub checks: CheckFigures,
    pub alerts: AlertFigures,
}

#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct CauseFigures {
    pub cause: Cause,
    pub alerts: i64,
    pub minutes_to_claim: Option<Minutes>,
    pub minutes_to_contact: Option<Minutes>,
}

#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct OutcomeFigures {
    /// Null: no outcome has been written yet.
    pub class: Option<OutcomeClass>,
    pub alerts: i64,
    pub minutes_to_contact: Option<Minutes>,
}

/// `buildings`: names in walking order.
pub fn summarise(
    (from, to): (NaiveDate, NaiveDate),
    buildings: Vec<(Uuid, String)>,
    checks: &[CheckCount],
    senior_days: &[SeniorDays],
    alerts: &[AlertFact],
) -> Statistics {
    let of = |keep: &dyn Fn(&AlertFact) -> bool| -> Vec<AlertFact> { alerts.iter().filter(|alert| keep(alert)).copied().collect() };
    let by_day = Parts::by(checks, senior_days, alerts, |count| count.date, |days| days.date, |alert| alert.date);
    let days = from.iter_days().take_while(|date| *date <= to).map(|date| {
        let (checks, alerts) = by_day.figures(date);
        DayFigures { date, checks, alerts }
    });
    let by_building = Parts::by(checks, senior_days, alerts, |count| count.building, |days| days.building, |alert| alert.building);
    let buildings = buildings.into_iter().filter(|(id, _)| by_building.knows(*id)).map(|(building_id, name)| {
        let (checks, alerts) = by_building.figures(building_id);
        BuildingFigures { building_id, name, checks, alerts }
    });
    let causes = Cause::ALL.iter().map(|cause| (*cause, of(&|alert| alert.cause == *cause))).filter(|(_, alerts)| !alerts.is_empty());
    let classes = OutcomeClass::ALL.iter().copied().map(Some).chain([None]);
    let class_of = |alert: &AlertFact| alert.outcome.map(Outcome::class);
    let outcomes = classes.map(|class| (class, of(&|alert| class_of(alert) == class))).filter(|(_, alerts)| !alerts.is_empty());
    Statistics {
        from,
        to,
        checks: CheckFigures::of(checks.iter().map(|count| (count.state, count.count))),
        alerts: AlertFigures::of(alerts, senior_days.iter().map(|days| days.count).sum()),
        days: days.collect(),
        buildings: buildings.collect(),
        causes: causes
            .map(|(cause, alerts)| CauseFigures {
                cause,
                alerts: size(&alerts),
                minutes_to_claim: Minutes::to(&alerts, |alert| alert.claimed_at),
                minutes_to_contact: Minutes::to(&alerts, |alert| alert.contact_at),
            })
            .collect(),
        outcomes: outcomes
            .map(|(class, alerts)| OutcomeFigures {
                class,
                alerts: size(&alerts),
                minutes_to_contact: Minutes::to(&alerts, |alert| alert.contact_at),
            })
            .collect(),
    }
}

/// The rows of a period, sorted by what they are counted by.
struct Parts<K> {
    checks: BTreeMap<K, Vec<CheckCount>>,
    senior_days: BTreeMap<K, i64>,
    alerts: BTreeMap<K, Vec<AlertFact>>,
}

impl<K: Ord + Copy> Parts<K> {
    fn by(
        checks: &[CheckCount],
        senior_days: &[SeniorDays],
        alerts: &[AlertFact],
        of_check: impl Fn(&CheckCount) -> K,
        of_days: impl Fn(&SeniorDays) -> K,
        of_alert: impl Fn(&AlertFact) -> K,
    ) -> Self {
        let mut parts = Self { checks: BTreeMap::new(), senior_days: BTreeMap::new(), alerts: BTreeMap::new() };
        for count in checks {
            parts.checks.entry(of_check(count)).or_default().push(*count);
        }
        for days in senior_days {
            *parts.senior_days.entry(of_days(days)).or_default() += days.count;
        }
        for alert in alerts {
            parts.alerts.entry(of_alert(alert)).or_default().push(*alert);
        }
        parts
    }

    fn knows(&self, key: K) -> bool {
        self.checks.contains_key(&key) || self.alerts.contains_key(&key)
    }

    fn figures(&self, key: K) -> (CheckFigures, AlertFigures) {
        let checks = self.checks.get(&key).map(Vec::as_slice).unwrap_or_default();
        let alerts = self.alerts.get(&key).map(Vec::as_slice).unwrap_or_default();
        let senior_days = self.senior_days.get(&key).copied().unwrap_or_default();
        (CheckFigures::of(checks.iter().map(|count| (count.state, count.count))), AlertFigures::of(alerts, senior_days))
    }
}

impl CheckFigures {
    /// Of numbers of checks, by state.
    pub fn of(counts: impl Iterator<Item = (CheckState, i64)>) -> Self {
        let mut figures = Self::default();
        for (state, count) in counts {
            *match state {
                CheckState::Ok => &mut figures.ok,
                CheckState::OkLate => &mut figures.ok_late,
                CheckState::NotOpen => &mut figures.not_open,
                CheckState::NotSeen => &mut figures.not_seen,
                CheckState::NotObserved => &mut figures.not_observed,
                CheckState::Help => &mut figures.help,
                CheckState::Expected | CheckState::Tentative | CheckState::TentativeBlind => &mut figures.undecided,
                CheckState::NotEvaluated | CheckState::Unmonitored => &mut figures.not_judged,
                CheckState::Excused => &mut figures.excused,
            } += count;
        }
        let looked = figures.ok + figures.not_open + figures.not_seen + figures.help;
        let judged = looked + figures.ok_late + figures.not_observed + figures.not_judged;
        figures.due = judged + figures.undecided;
        figures.completion_percent = share(looked, judged);
        figures
    }

    /// Seen, in time or late.
    pub fn seen(&self) -> i64 {
        self.ok + self.ok_late
    }

    /// The cutoff has passed and nothing good was seen.
    pub fn missed(&self) -> i64 {
        self.not_open + self.not_seen + self.not_observed + self.help + self.not_judged
    }
}

impl AlertFigures {
    fn of(alerts: &[AlertFact], senior_days: i64) -> Self {
        Self {
            alerts: size(alerts),
            senior_days,
            per_100_senior_days: share(size(alerts), senior_days),
            minutes_to_claim: Minutes::to(alerts, |alert| alert.claimed_at),
            minutes_to_contact: Minutes::to(alerts, |alert| alert.contact_at),
        }
    }
}

impl Minutes {
    fn to(alerts: &[AlertFact], moment: impl Fn(&AlertFact) -> Option<DateTime<Utc>>) -> Option<Self> {
        let waited = |alert: &AlertFact| Some((moment(alert)? - alert.opened_at).num_milliseconds().max(0));
        let mut waits: Vec<i64> = alerts.iter().filter_map(waited).collect();
        waits.sort_unstable();
        let rank = |percent: usize| waits.get((waits.len() * percent).div_ceil(100).saturating_sub(1)).map(|wait| minutes(*wait));
        Some(Self { count: i64::try_from(waits.len()).unwrap_or(i64::MAX), median: rank(50)?, p90: rank(90)? })
    }
}

fn size(alerts: &[AlertFact]) -> i64 {
    i64::try_from(alerts.len()).unwrap_or(i64::MAX)
}

/// To one decimal.
fn minutes(milliseconds: i64) -> f64 {
    tenths(milliseconds / 6_000)
}

/// So many of a hundred, to one decimal.
fn share(part: i64, whole: i64) -> Option<f64> {
    (whole > 0).then(|| tenths(part * 1_000 / whole))
}

fn tenths(count: i64) -> f64 {
    f64::from(i32::try_from(count).unwrap_or(i32::MAX)) / 10.0
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    fn day(day: u32) -> NaiveDate {
        NaiveDate::from_ymd_opt(2026, 11, day).unwrap()
    }

    fn home() -> Uuid {
        Uuid::from_u128(3)
    }

    fn alert(date: NaiveDate, cause: Cause, claimed: Option<i64>, outcome: Option<Outcome>) -> AlertFact {
        let opened_at = date.and_hms_opt(1, 45, 0).unwrap().and_utc();
        let claimed_at = claimed.map(|minutes| opened_at + TimeDelta::minutes(minutes));
        AlertFact {
            date,
            building: home(),
            cause,
            outcome,
            opened_at,
            claimed_at,
            contact_at: claimed_at.map(|at| at + TimeDelta::minutes(10)),
        }
    }

    #[test]
    fn a_figure_says_how_many_windows_were_looked_at_and_how_long_people_waited() {
        let count = |date, state, count| CheckCount { date, building: home(), state, count };
        let days = |date, count| SeniorDays { date, building: home(), count };
        let names = vec![(Uuid::from_u128(9), "empty".to_owned()), (home(), "3".to_owned())];
        let checks = [
            count(day(2), CheckState::Ok, 7),
            count(day(2), CheckState::NotOpen, 1),
            count(day(2), CheckState::NotObserved, 2),
            count(day(2), CheckState::Excused, 5),
            count(day(3), CheckState::Expected, 10),
        ];
        let alerts: Vec<AlertFact> = (1..=10).map(|n| alert(day(2), Cause::NotObserved, Some(n), Some(Outcome::Overslept))).collect();
        let unclaimed = alert(day(3), Cause::NotOpen, None, None);
        let all: Vec<AlertFact> = alerts.into_iter().chain([unclaimed]).collect();
        let figures = summarise((day(2), day(4)), names, &checks, &[days(day(2), 10), days(day(3), 10)], &all);

        assert_eq!((figures.checks.due, figures.checks.excused, figures.checks.undecided), (20, 5, 10));
        assert_eq!(figures.checks.completion_percent, Some(80.0), "8 of the 10 that the cutoff has judged");
        assert_eq!((figures.alerts.senior_days, figures.alerts.per_100_senior_days), (20, Some(55.0)));
        assert_eq!(figures.alerts.minutes_to_claim, Some(Minutes { count: 10, median: 5.0, p90: 9.0 }));
        assert_eq!(figures.alerts.minutes_to_contact, Some(Minutes { count: 10, median: 15.0, p90: 19.0 }));
        assert_eq!(figures.days.len(), 3);
        assert_eq!(figures.days[2].checks.completion_percent, None, "nothing happened, which is not the same as nothing done");
        let buildings: Vec<_> = figures.buildings.iter().map(|of| (of.name.as_str(), of.checks.due, of.alerts.alerts)).collect();
        assert_eq!(buildings, [("3", 20, 11)], "a building without a check or an alert has no figures");
        let causes: Vec<_> = figures.causes.iter().map(|of| (of.cause, of.alerts)).collect();
        assert_eq!(causes, [(Cause::NotObserved, 10), (Cause::NotOpen, 1)]);
        let outcomes: Vec<_> = figures.outcomes.iter().map(|of| (of.class, of.alerts)).collect();
        assert_eq!(outcomes, [(Some(OutcomeClass::Benign), 10), (None, 1)]);
    }
}
