//! A year of mornings as a picture: a row for each month, a stroke for each day. Every kind of day has a shape of its own beside
//! its colour, and the same numbers stand below as words.

use std::collections::BTreeMap;

use chrono::{Datelike, Months, NaiveDate, TimeDelta};

use crate::domain::check::CheckState;
use crate::store::register::day::Morning;

/// Sizes in units of the picture, which is scaled to its place.
const LABEL_WIDTH: u32 = 50;
const DAY_WIDTH: u32 = 10;
const ROW_HEIGHT: u32 = 24;
const HEAD_HEIGHT: u32 = 24;

/// How a day looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Look {
    Ok,
    /// The sign came after the cutoff, or word of it did.
    Late,
    /// Somebody had to go.
    Missed,
    Away,
    /// Not decided yet, or never judged.
    Open,
}

impl Look {
    pub const ALL: [Self; 5] = [Self::Ok, Self::Late, Self::Missed, Self::Away, Self::Open];

    pub fn of(state: CheckState) -> Self {
        match state {
            CheckState::Ok => Self::Ok,
            CheckState::OkLate => Self::Late,
            CheckState::Excused => Self::Away,
            CheckState::NotObserved | CheckState::NotOpen | CheckState::NotSeen | CheckState::Help => Self::Missed,
            CheckState::Expected
            | CheckState::Tentative
            | CheckState::TentativeBlind
            | CheckState::NotEvaluated
            | CheckState::Unmonitored => Self::Open,
        }
    }

    pub fn word(&self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Late => "late",
            Self::Missed => "missed",
            Self::Away => "away",
            Self::Open => "open",
        }
    }
}

pub struct Calendar {
    pub months: Vec<Month>,
    pub height: u32,
}

pub struct Month {
    pub year: i32,
    pub number: u32,
    pub y: u32,
    pub days: Vec<Day>,
    pub counts: BTreeMap<Look, usize>,
}

pub struct Day {
    pub date: NaiveDate,
    pub state: CheckState,
    pub look: Look,
    pub x: u32,
}

impl Month {
    pub fn count(&self, look: &Look) -> usize {
        self.counts.get(look).copied().unwrap_or_default()
    }

    /// The days on which somebody had to go.
    pub fn missed(&self) -> Vec<&Day> {
        self.days.iter().filter(|day| day.look == Look::Missed).collect()
    }
}

impl Calendar {
    pub const WIDTH: u32 = LABEL_WIDTH + 31 * DAY_WIDTH + 4;

    /// The months of the year that ends on `last`, with the mornings that were planned in them.
    pub fn of(mornings: &[Morning], last: NaiveDate) -> Self {
        let first = last.checked_sub_months(Months::new(12)).unwrap_or(last) + TimeDelta::days(1);
        let mut months: Vec<Month> = Vec::new();
        let mut day = first.with_day(1).unwrap_or(first);
        while day <= last {
            let y = HEAD_HEIGHT + ROW_HEIGHT * u32::try_from(months.len()).unwrap_or_default();
            months.push(Month { year: day.year(), number: day.month(), y, days: Vec::new(), counts: BTreeMap::new() });
            day = day.checked_add_months(Months::new(1)).unwrap_or(last + TimeDelta::days(1));
        }
        for morning in mornings.iter().filter(|morning| morning.date >= first && morning.date <= last) {
            let here = |month: &&mut Month| (month.year, month.number) == (morning.date.year(), morning.date.month());
            let Some(month) = months.iter_mut().find(here) else { continue };
            let look = Look::of(morning.state);
            *month.counts.entry(look).or_default() += 1;
            let x = LABEL_WIDTH + (morning.date.day() - 1) * DAY_WIDTH;
            month.days.push(Day { date: morning.date, state: morning.state, look, x });
        }
        let height = HEAD_HEIGHT + ROW_HEIGHT * u32::try_from(months.len()).unwrap_or_default() + 2;
        Self { months, height }
    }

    pub fn count(&self, look: &Look) -> usize {
        self.months.iter().map(|month| month.count(look)).sum()
    }

    /// Where the numbers of the days stand.
    pub fn columns() -> Vec<(u32, u32)> {
        [1, 5, 10, 15, 20, 25, 30].into_iter().map(|day| (day, LABEL_WIDTH + (day - 1) * DAY_WIDTH)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_morning_of_the_year_stands_in_its_month_and_nothing_else_does() {
        let day = |text: &str| text.parse::<NaiveDate>().unwrap();
        let morning = |text, state| Morning { date: day(text), state };
        let mornings = [
            morning("2025-11-23", CheckState::Ok),
            morning("2025-11-24", CheckState::Ok),
            morning("2026-02-28", CheckState::NotOpen),
            morning("2026-11-22", CheckState::Excused),
            morning("2026-11-23", CheckState::Expected),
        ];
        let calendar = Calendar::of(&mornings, day("2026-11-23"));
        assert_eq!(calendar.months.len(), 13, "it begins in the middle of a month");
        assert_eq!(calendar.months[0].days.len(), 1, "the same day last year is no part of it");
        assert_eq!((calendar.months[3].missed().len(), calendar.months[3].days[0].x), (1, LABEL_WIDTH + 27 * DAY_WIDTH));
        assert_eq!(calendar.months[12].days.len(), 2);
        assert_eq!(Look::ALL.map(|look| calendar.count(&look)), [1, 0, 1, 1, 1]);
    }
}
