//! What is agreed does not fit her days: two false alarms or two looks at which nothing could be seen within a week ask for another
//! time or sign, never for a longer grace (domain.md §4). A grace that grows with every false alarm ends as one that nobody notices.

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use crate::words;

words! {
    /// What went wrong twice; the item of the finding that it opens.
    pub enum Misfit {
        /// Somebody went, and she was well: she had forgotten the sign, or it could not show.
        FalseAlarm = "false_alarm",
        /// At the cutoff the last look had seen nothing.
        Blind = "blind"
    }
}

/// Two of a kind less than this apart are no accident.
pub const WEEK: TimeDelta = TimeDelta::days(7);

/// One time that the agreement did not fit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mishap {
    /// The alert, or the check.
    pub id: Uuid,
    pub misfit: Misfit,
    /// When the alert opened or the check was cut off: the moment at which the agreed sign failed, whenever it became known.
    pub at: DateTime<Utc>,
}

impl Misfit {
    /// The sentence to whoever decides what is agreed.
    pub fn key(self) -> &'static str {
        match self {
            Self::FalseAlarm => "notice.misfit_false_alarm",
            Self::Blind => "notice.misfit_blind",
        }
    }
}

/// The mishap that makes it a week with two of a kind, the latest if there are several. What happened up to `settled_at`, when the
/// last such question was closed, has been answered; what is a week old by now is no longer asked about.
pub fn agree_anew(mishaps: &[Mishap], settled_at: Option<DateTime<Utc>>, now: DateTime<Utc>) -> Option<&Mishap> {
    let second = |misfit: Misfit| {
        let counts = |mishap: &&Mishap| mishap.misfit == misfit && settled_at.is_none_or(|settled| mishap.at > settled);
        let mut of_kind: Vec<&Mishap> = mishaps.iter().filter(counts).collect();
        of_kind.sort_by_key(|mishap| (mishap.at, mishap.id));
        let pair = of_kind.windows(2).rev().find(|pair| pair[1].at - pair[0].at < WEEK)?;
        Some(pair[1]).filter(|mishap| now - mishap.at < WEEK)
    };
    Misfit::ALL.iter().filter_map(|misfit| second(*misfit)).max_by_key(|mishap| (mishap.at, mishap.id))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hour(hour: i64) -> DateTime<Utc> {
        DateTime::<Utc>::UNIX_EPOCH + TimeDelta::hours(hour)
    }

    /// Hours of false alarms, hours of blind looks, when the last question was closed, now; the hour that opens a task.
    type Case = (&'static [i64], &'static [i64], Option<i64>, i64, Option<i64>);

    const DAY: i64 = 24;

    const CASES: &[Case] = &[
        (&[], &[], None, DAY, None),
        (&[0], &[], None, 1, None),
        (&[0], &[DAY], None, DAY, None),
        (&[0, 6 * DAY], &[], None, 6 * DAY, Some(6 * DAY)),
        (&[6 * DAY, 0], &[], None, 6 * DAY, Some(6 * DAY)),
        (&[], &[0, 7 * DAY - 1], None, 7 * DAY, Some(7 * DAY - 1)),
        // The same weekday of the next week is no longer the same week.
        (&[0, 7 * DAY], &[], None, 7 * DAY, None),
        (&[0, 7 * DAY, 8 * DAY], &[], None, 8 * DAY, Some(8 * DAY)),
        // The outcome of the second became known some days later, when the first was more than a week ago.
        (&[0, 6 * DAY], &[], None, 12 * DAY, Some(6 * DAY)),
        (&[0, 6 * DAY], &[], None, 13 * DAY, None),
        // What the last question was about is answered; what came after it counts anew.
        (&[0, DAY], &[], Some(DAY), 2 * DAY, None),
        (&[0, DAY, 2 * DAY], &[], Some(DAY), 2 * DAY, None),
        (&[0, DAY, 2 * DAY, 3 * DAY], &[], Some(DAY), 3 * DAY, Some(3 * DAY)),
        (&[0, DAY], &[2 * DAY, 3 * DAY], Some(DAY), 3 * DAY, Some(3 * DAY)),
    ];

    #[test]
    fn two_of_a_kind_within_a_week_ask_for_another_time_or_sign() {
        for (alarms, blind, settled, now, expected) in CASES {
            let of = |hours: &[i64], misfit| hours.iter().map(|at| Mishap { id: Uuid::nil(), misfit, at: hour(*at) }).collect::<Vec<_>>();
            let mishaps = [of(alarms, Misfit::FalseAlarm), of(blind, Misfit::Blind)].concat();
            let found = agree_anew(&mishaps, settled.map(hour), hour(*now)).map(|mishap| mishap.at);
            assert_eq!(found, expected.map(hour), "{alarms:?} {blind:?} closed {settled:?} at {now}");
        }
    }
}
