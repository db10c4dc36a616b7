//! A motor that opens a curtain proves nobody: timers and telephones do it. What is known of its reasons, and a guard against the
//! timer that nobody has told us of.

use chrono::{DateTime, NaiveDate, TimeDelta, Timelike, Utc};
use serde::{Deserialize, Serialize};

use super::{Class, Deed, DeviceState, Fact, Mover, Place, SensorRules, Verdict, silent};

/// Openings on so many days, this one included, ...
const DAYS_MIN: usize = 4;
/// ... whose times of day scatter by less than this (standard deviation, seconds), are a timer's.
const SCATTER_SECONDS_MAX: f64 = 90.0;
/// How long a motor may run after it was set going.
pub(super) const RUN_MAX: TimeDelta = TimeDelta::minutes(5);
/// Openings that are kept. More than one a day still leaves a week.
const OPENINGS_MAX: usize = 16;
const DAY_SECONDS: i64 = 24 * 3600;

/// The last openings by a motor, the latest last.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Openings(Vec<DateTime<Utc>>);

impl Openings {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn keep(&mut self, at: DateTime<Utc>) {
        if self.0.len() == OPENINGS_MAX {
            self.0.remove(0);
        }
        self.0.push(at);
    }

    /// Whether an opening at this moment comes at the time of day of the last days on which it opened at all. Of a day with several
    /// the one nearest to it counts, so that a person who also opens it does not hide the timer.
    fn are_a_timer(&self, at: DateTime<Utc>, place: Place) -> bool {
        let (today, now) = time_of_day(at, place);
        let mut days: Vec<(NaiveDate, i64)> = Vec::new();
        for opening in self.0.iter().rev() {
            let (date, second) = time_of_day(*opening, place);
            let off = around_midnight(second - now);
            match days.iter_mut().find(|(day, _)| *day == date) {
                Some((_, nearest)) if off.abs() < nearest.abs() => *nearest = off,
                None if date < today => days.push((date, off)),
                Some(_) | None => {}
            }
        }
        let offs: Vec<i64> = std::iter::once(0).chain(days.into_iter().map(|(_, off)| off)).take(DAYS_MIN).collect();
        offs.len() == DAYS_MIN && scatter(&offs) < SCATTER_SECONDS_MAX
    }
}

fn time_of_day(at: DateTime<Utc>, place: Place) -> (NaiveDate, i64) {
    let local = at.with_timezone(&place.zone);
    (local.date_naive(), i64::from(local.num_seconds_from_midnight()))
}

/// A difference of times of day, by the shorter way round.
fn around_midnight(seconds: i64) -> i64 {
    (seconds + DAY_SECONDS / 2).rem_euclid(DAY_SECONDS) - DAY_SECONDS / 2
}

/// The standard deviation.
fn scatter(seconds: &[i64]) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "seconds of a day, and a handful of them")]
    let (values, count): (Vec<f64>, f64) = (seconds.iter().map(|second| *second as f64).collect(), seconds.len() as f64);
    let mean = values.iter().sum::<f64>() / count;
    (values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / count).sqrt()
}

/// Something set the motor going. What a gateway remembers from before is not news.
pub(super) fn moved(state: &mut DeviceState, by: Mover, fact: &Fact, rules: &SensorRules) -> Verdict {
    if let Some(why) = silent(state, fact, rules) {
        return Verdict::Baseline(why);
    }
    state.memory.mover = Some((by, fact.observed_at));
    Verdict::Moved
}

/// What a motor's opening is worth at best, and what it was.
pub(super) fn motor_opened(state: &mut DeviceState, at: DateTime<Utc>) -> (Class, Deed) {
    let on_time = state.place.is_some_and(|place| state.memory.openings.are_a_timer(at, place));
    state.memory.openings.keep(at);
    match by(state, at) {
        Some(Mover::Afar) => (Class::C, Deed::OpenedFromAfar),
        // A timer may as well sit behind the button on the wall.
        _ if on_time => (Class::C, Deed::OpenedOnTime),
        Some(Mover::Button) => (Class::A, Deed::ButtonOpened),
        None => (Class::B, Deed::MotorOpened),
    }
}

/// What an opening that has lasted was: a motor's stands among the kept ones.
pub(super) fn deed_of(state: &DeviceState, at: DateTime<Utc>) -> Deed {
    if state.memory.openings.0.contains(&at) { Deed::ButtonOpened } else { Deed::Opened }
}

fn by(state: &DeviceState, at: DateTime<Utc>) -> Option<Mover> {
    state.memory.mover.filter(|(_, since)| *since <= at && at - *since <= RUN_MAX).map(|(by, _)| by)
}

#[cfg(test)]
mod tests;
