//! Who has been neither seen nor heard for too long. A sign proves that a curtain moved; every senior needs the sight or the voice
//! of a person at least weekly, else she is shown in red (domain.md §4).

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use chrono_tz::Tz;

use super::day;

/// Longer than this without sight or voice is too long.
pub const CONTACT_WITHIN: TimeDelta = TimeDelta::days(7);

/// What is known about one senior.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Heard {
    /// When somebody last saw her or heard her voice.
    pub last_contact_at: Option<DateTime<Utc>>,
    /// The first day of what is agreed with her without a gap up to today; `None` if nothing is agreed today.
    pub agreed_since: Option<NaiveDate>,
    /// The first day back after the latest absence that is over.
    pub back_since: Option<NaiveDate>,
    /// She is away today, confirmed: others see her.
    pub is_away: bool,
}

impl Heard {
    /// Whether nobody has seen or heard her for more than [`CONTACT_WITHIN`]; time before the agreement and away does not count.
    pub fn is_overdue(&self, zone: Tz, now: DateTime<Utc>) -> bool {
        let Some(agreed_since) = self.agreed_since.filter(|_| !self.is_away) else { return false };
        // A date that the zone skipped begins with the next one.
        let begin = |date: NaiveDate| date.iter_days().take(2).find_map(|date| day::day_start(zone, date));
        let since = [self.last_contact_at, begin(agreed_since), self.back_since.and_then(begin)].into_iter().flatten().max();
        since.is_none_or(|since| now - since > CONTACT_WITHIN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn date(day: u32) -> NaiveDate {
        NaiveDate::from_ymd_opt(2026, 11, day).unwrap()
    }

    fn at(day: u32, hour: u32) -> DateTime<Utc> {
        date(day).and_hms_opt(hour, 0, 0).unwrap().and_utc()
    }

    #[test]
    fn a_week_without_sight_or_voice_is_too_long_unless_she_is_away_or_has_just_come() {
        let heard = |contact, agreed: Option<u32>, back: Option<u32>| Heard {
            last_contact_at: contact,
            agreed_since: agreed.map(date),
            back_since: back.map(date),
            is_away: false,
        };
        // (what is known, now, overdue), with midnight in UTC.
        for (known, now, overdue) in [
            (heard(Some(at(1, 9)), Some(1), None), at(8, 9), false),
            (heard(Some(at(1, 9)), Some(1), None), at(8, 10), true),
            (heard(None, Some(1), None), at(8, 0), false),
            (heard(None, Some(1), None), at(8, 1), true),
            (heard(Some(at(1, 9)), Some(1), Some(10)), at(17, 0), false),
            (heard(Some(at(1, 9)), Some(1), Some(10)), at(17, 1), true),
            (heard(Some(at(12, 9)), Some(1), Some(10)), at(19, 9), false),
            // Nothing is agreed yet, or nothing any more.
            (heard(None, None, None), at(20, 9), false),
        ] {
            assert_eq!(known.is_overdue(chrono_tz::UTC, now), overdue, "{known:?} at {now}");
            let away = Heard { is_away: true, ..known };
            assert!(!away.is_overdue(chrono_tz::UTC, now), "{away:?} at {now}");
        }
    }
}
