//! 不在家登记: when a pause excuses a check.

use chrono::{DateTime, NaiveDate, Utc};
use uuid::Uuid;

use crate::words;

words! {
    /// Where the senior is.
    pub enum AbsenceKind { Away = "away", Hospital = "hospital", WithFamily = "with_family", Institution = "institution" }
}

/// An absence is re-confirmed after this many days.
pub const ABSENCE_DAYS_MAX: i64 = 14;

/// An absence as far as a check asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AbsenceFact {
    pub id: Uuid,
    pub from_date: NaiveDate,
    /// First day back: an ordinary check again.
    pub return_date: NaiveDate,
    /// Null while it is only proposed: a proposal excuses nothing.
    pub confirmed_at: Option<DateTime<Utc>>,
    pub cancelled_at: Option<DateTime<Utc>>,
}

impl AbsenceFact {
    /// I9: only an absence confirmed before the cutoff suppresses; a later one closes the alert, with proof.
    /// An absence that was cancelled after the cutoff still excused that day.
    pub fn excuses(&self, date: NaiveDate, cutoff: DateTime<Utc>) -> bool {
        let covers = self.from_date <= date && date < self.return_date;
        let confirmed_in_time = self.confirmed_at.is_some_and(|at| at < cutoff);
        let cancelled_in_time = self.cancelled_at.is_some_and(|at| at < cutoff);
        covers && confirmed_in_time && !cancelled_in_time
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_absence_confirmed_before_the_cutoff_and_still_standing_then_excuses_its_dates() {
        let date = |day| NaiveDate::from_ymd_opt(2026, 11, day).unwrap();
        let cutoff = DateTime::<Utc>::UNIX_EPOCH + chrono::TimeDelta::days(20_000);
        let (before, at) = (cutoff - chrono::TimeDelta::milliseconds(1), cutoff);
        for (day, confirmed_at, cancelled_at, excuses) in [
            (22, Some(before), None, false),
            (23, Some(before), None, true),
            (24, Some(before), None, true),
            (25, Some(before), None, false), // the first day back is an ordinary check
            (23, None, None, false),
            (23, Some(at), None, false),
            (23, Some(before), Some(before), false),
            (23, Some(before), Some(at), true),
        ] {
            let absence = AbsenceFact { id: Uuid::nil(), from_date: date(23), return_date: date(25), confirmed_at, cancelled_at };
            assert_eq!(absence.excuses(date(day), cutoff), excuses, "day {day}, {confirmed_at:?}, {cancelled_at:?}");
        }
    }
}
