//! 不在家登记: when a pause excuses a check, what a proposed one is worth, and how its end is made sure of.
//!
//! What must stay true: nothing here makes a check quieter but a confirmed absence before its cutoff (I9). A proposal and a
//! return that nobody confirmed are only said, beside the check that stands (domain.md §6).

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use chrono_tz::Tz;
use uuid::Uuid;

use super::day;
use super::rules::CheckRules;
use crate::words;

#[cfg(test)]
mod tests;

words! {
    /// Where the senior is.
    pub enum AbsenceKind { Away = "away", Hospital = "hospital", WithFamily = "with_family", Institution = "institution" }
}

words! {
    /// What is said of an absence after the senior's name, to those who look or go.
    pub enum Remark {
        /// Somebody says that she is away, and nobody has confirmed it.
        Proposed = "proposed",
        /// She should be back, and nobody has confirmed that.
        ReturnInDoubt = "return_in_doubt"
    }
}

/// An absence is re-confirmed after this many days.
pub const ABSENCE_DAYS_MAX: i64 = 14;

/// An absence as far as decisions and sentences ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AbsenceFact {
    pub id: Uuid,
    pub kind: AbsenceKind,
    pub from_date: NaiveDate,
    /// First day back: an ordinary check again.
    pub return_date: NaiveDate,
    /// Who said so, by name.
    pub reported_by: String,
    /// Null while it is only proposed: a proposal excuses nothing.
    pub confirmed_at: Option<DateTime<Utc>>,
    pub cancelled_at: Option<DateTime<Utc>>,
    /// Somebody made sure that she comes back.
    pub return_confirmed_at: Option<DateTime<Utc>>,
    /// The first check from the return date on, once it is planned.
    pub first_check: Option<Uuid>,
}

impl AbsenceFact {
    /// I9: only an absence confirmed before the cutoff suppresses; a later one closes the alert, with proof.
    /// An absence that was cancelled after the cutoff still excused that day.
    pub fn excuses(&self, date: NaiveDate, cutoff: DateTime<Utc>) -> bool {
        let confirmed_in_time = self.confirmed_at.is_some_and(|at| at < cutoff);
        let cancelled_in_time = self.cancelled_at.is_some_and(|at| at < cutoff);
        self.covers(date) && confirmed_in_time && !cancelled_in_time
    }

    /// Somebody says that she is away on this date, and nobody who answers for it has confirmed that.
    pub fn is_proposed_on(&self, date: NaiveDate) -> bool {
        self.covers(date) && self.confirmed_at.is_none() && self.cancelled_at.is_none()
    }

    /// This check is the first after the absence, and nobody confirmed that she is back: perhaps she stayed away longer. The
    /// check is real all the same; whoever looks is told whom to ask first.
    pub fn return_is_in_doubt(&self, check: Uuid) -> bool {
        let ended = self.confirmed_at.is_some() && self.cancelled_at.is_none();
        ended && self.return_confirmed_at.is_none() && self.first_check == Some(check)
    }

    fn covers(&self, date: NaiveDate) -> bool {
        self.from_date <= date && date < self.return_date
    }
}

/// What is said of a check whose sign is missing, and by whom the absence was reported. A proposal is the later news.
pub fn remark(absences: &[AbsenceFact], check: Uuid, date: NaiveDate) -> Option<(Remark, &str)> {
    let proposed = absences.iter().find(|absence| absence.is_proposed_on(date)).map(|absence| (Remark::Proposed, absence));
    let in_doubt = || absences.iter().find(|absence| absence.return_is_in_doubt(check)).map(|absence| (Remark::ReturnInDoubt, absence));
    proposed.or_else(in_doubt).map(|(remark, absence)| (remark, absence.reported_by.as_str()))
}

/// When somebody is asked whether the senior comes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asking {
    /// On the day before, from the site's time on.
    Eve,
    /// In the night or early morning, because nobody could be asked before.
    FirstDay,
}

impl Asking {
    pub fn key(self) -> &'static str {
        match self {
            Self::Eve => "notice.return_tomorrow",
            Self::FirstDay => "notice.return_today",
        }
    }
}

/// Whether it is time to ask about a return on this date. Once the round of the first morning opens it is too late: the
/// reminder then says that nobody confirmed it.
pub fn asking(zone: Tz, rules: &CheckRules, return_date: NaiveDate, now: DateTime<Utc>) -> Option<Asking> {
    let from = day::instant(zone, return_date.pred_opt()?, rules.confirm_return_at)?;
    let until = day::instant(zone, return_date, rules.morning_window_opens)?;
    if now < from || until <= now {
        return None;
    }
    Some(if day::local_date(zone, now) < return_date { Asking::Eve } else { Asking::FirstDay })
}

/// A return is confirmed from the day before on: what somebody promised earlier is only what was entered.
pub fn may_confirm_return(return_date: NaiveDate, today: NaiveDate) -> bool {
    return_date - today <= TimeDelta::days(1)
}

/// Whether somebody should visit a senior who came back on this date: until a return visit, or any visit that met her, from
/// that local day on.
pub fn awaits_return_visit(zone: Tz, return_date: NaiveDate, last_visit: Option<DateTime<Utc>>) -> bool {
    last_visit.is_none_or(|at| day::local_date(zone, at) < return_date)
}
