//! From an agreement and a local date to instants (I4, I22).
//!
//! A local time inside a daylight-saving gap becomes the first instant after the gap; in a fold the first of the two
//! counts. A date that a zone skipped altogether has no check.

use chrono::{DateTime, Datelike, LocalResult, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, TimeZone, Timelike, Utc};
use chrono_tz::Tz;
use uuid::Uuid;

use super::check::Slot;
use super::rules::CheckRules;
use super::signal::{SensorPolicy, Sign};

/// A zone may skip at most one calendar day (Samoa, 2011).
const GAP_MINUTES_MAX: i64 = 26 * 60;

/// The instant of a local wall-clock time. `None` only for dates at the end of the calendar.
pub fn instant(zone: Tz, date: NaiveDate, time: NaiveTime) -> Option<DateTime<Utc>> {
    let local = date.and_time(time);
    match zone.from_local_datetime(&local) {
        LocalResult::Single(at) => Some(at.to_utc()),
        LocalResult::Ambiguous(first, _) => Some(first.to_utc()),
        LocalResult::None => first_after_gap(zone, local),
    }
}

fn first_after_gap(zone: Tz, local: NaiveDateTime) -> Option<DateTime<Utc>> {
    let minute = local.with_second(0)?.with_nanosecond(0)?;
    (1..=GAP_MINUTES_MAX).find_map(|step| zone.from_local_datetime(&(minute + TimeDelta::minutes(step))).earliest()).map(|at| at.to_utc())
}

/// The first instant of a local date, `None` if the zone skipped the date.
pub fn day_start(zone: Tz, date: NaiveDate) -> Option<DateTime<Utc>> {
    let start = instant(zone, date, NaiveTime::MIN)?;
    (start.with_timezone(&zone).date_naive() == date).then_some(start)
}

/// The local date of an instant.
pub fn local_date(zone: Tz, at: DateTime<Utc>) -> NaiveDate {
    at.with_timezone(&zone).date_naive()
}

/// Weekdays as bits, Monday is bit 0.
pub fn weekday_bit(date: NaiveDate) -> i64 {
    1 << date.weekday().num_days_from_monday()
}

/// All seven days.
pub const EVERY_DAY: i64 = 0b111_1111;

/// The part of an agreement that a check copies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgreementFact {
    pub id: Uuid,
    pub senior_id: Uuid,
    pub slot: Slot,
    pub weekdays: i64,
    pub expected_sign: Sign,
    pub window_opens: Option<NaiveTime>,
    pub deadline: Option<NaiveTime>,
    pub grace: Option<TimeDelta>,
    pub unobserved_delay: Option<TimeDelta>,
    pub sensor_policy: SensorPolicy,
    pub from_date: NaiveDate,
    /// Exclusive.
    pub to_date: Option<NaiveDate>,
}

/// The instants of one check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DayPlan {
    pub counts_from: DateTime<Utc>,
    pub window_opens_at: DateTime<Utc>,
    pub deadline_at: DateTime<Utc>,
    /// deadline + grace; the window of signs is half open: a sign at the cutoff is late (I4).
    pub cutoff_at: DateTime<Utc>,
    pub day_ends_at: DateTime<Utc>,
    pub unobserved_delay: TimeDelta,
}

/// The longest hold that a site may put on checks at which nobody looked.
pub const UNOBSERVED_DELAY_MAX: TimeDelta = TimeDelta::minutes(60);

/// The check of `date`, or `None` if the agreement asks for none that day.
pub fn plan(agreement: &AgreementFact, rules: &CheckRules, zone: Tz, date: NaiveDate) -> Option<DayPlan> {
    let in_force = agreement.from_date <= date && agreement.to_date.is_none_or(|to| date < to);
    if !in_force || agreement.weekdays & weekday_bit(date) == 0 {
        return None;
    }
    day_start(zone, date)?;
    let (counts_from, window) = match agreement.slot {
        Slot::Morning => (rules.morning_counts_from, rules.morning_window_opens),
        Slot::Evening => (rules.evening_counts_from, rules.evening_window_opens),
    };
    let deadline_at = instant(zone, date, agreement.deadline.unwrap_or_else(|| rules.deadline(agreement.slot, date)))?;
    Some(DayPlan {
        counts_from: instant(zone, date, counts_from)?,
        window_opens_at: instant(zone, date, agreement.window_opens.unwrap_or(window))?,
        deadline_at,
        cutoff_at: deadline_at + agreement.grace.unwrap_or(rules.grace.0),
        day_ends_at: next_day_start(zone, date)?,
        unobserved_delay: agreement.unobserved_delay.unwrap_or(rules.unobserved_delay.0).min(UNOBSERVED_DELAY_MAX),
    })
}

fn next_day_start(zone: Tz, date: NaiveDate) -> Option<DateTime<Utc>> {
    (1..=2).find_map(|days| day_start(zone, date.checked_add_days(chrono::Days::new(days))?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(zone: Tz, text: &str) -> String {
        let local = NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S").unwrap();
        instant(zone, local.date(), local.time()).unwrap().to_rfc3339_opts(chrono::SecondsFormat::Secs, true)
    }

    #[test]
    fn a_deadline_in_a_gap_moves_to_the_first_instant_after_it_and_in_a_fold_the_first_counts() {
        let berlin = chrono_tz::Europe::Berlin;
        let apia = chrono_tz::Pacific::Apia;
        for (zone, local, expected) in [
            (chrono_tz::Asia::Shanghai, "2026-11-23 09:15:00", "2026-11-23T01:15:00Z"),
            (berlin, "2026-03-29 02:30:15", "2026-03-29T01:00:00Z"),
            (berlin, "2026-10-25 02:30:00", "2026-10-25T00:30:00Z"),
            (apia, "2011-12-30 09:00:00", "2011-12-30T10:00:00Z"),
        ] {
            assert_eq!(at(zone, local), expected, "{local} in {zone}");
        }
    }

    fn agreement(slot: Slot) -> AgreementFact {
        AgreementFact {
            id: Uuid::nil(),
            senior_id: Uuid::nil(),
            slot,
            weekdays: EVERY_DAY,
            expected_sign: Sign::Open,
            window_opens: None,
            deadline: None,
            grace: None,
            unobserved_delay: None,
            sensor_policy: SensorPolicy::Sufficient,
            from_date: NaiveDate::from_ymd_opt(2000, 1, 1).unwrap(),
            to_date: None,
        }
    }

    #[test]
    fn a_date_that_the_zone_skipped_has_no_check_and_the_day_before_ends_where_the_next_begins() {
        let rules = CheckRules::default();
        let date = |day| NaiveDate::from_ymd_opt(2011, 12, day).unwrap();
        let apia = chrono_tz::Pacific::Apia;
        assert_eq!(plan(&agreement(Slot::Morning), &rules, apia, date(30)), None);
        let before = plan(&agreement(Slot::Morning), &rules, apia, date(29)).unwrap();
        assert_eq!(before.day_ends_at, day_start(apia, date(31)).unwrap());
    }

    #[test]
    fn winter_mornings_have_the_later_deadline_and_the_cutoff_adds_the_grace() {
        let rules = CheckRules::default();
        let zone = chrono_tz::Asia::Shanghai;
        for (month, expected) in [(3, "01:45"), (4, "01:15"), (10, "01:15"), (11, "01:45")] {
            let date = NaiveDate::from_ymd_opt(2026, month, 2).unwrap();
            let day = plan(&agreement(Slot::Morning), &rules, zone, date).unwrap();
            assert_eq!(day.cutoff_at.format("%H:%M").to_string(), expected, "month {month}");
        }
    }

    #[test]
    fn weekdays_and_the_dates_of_the_agreement_decide_whether_there_is_a_check() {
        let rules = CheckRules::default();
        let zone = chrono_tz::Asia::Shanghai;
        let monday = NaiveDate::from_ymd_opt(2026, 11, 23).unwrap();
        let mut weekend = agreement(Slot::Morning);
        weekend.weekdays = 0b110_0000;
        assert!(plan(&weekend, &rules, zone, monday).is_none());
        assert!(plan(&weekend, &rules, zone, monday.pred_opt().unwrap()).is_some());
        let mut ended = agreement(Slot::Morning);
        ended.to_date = Some(monday);
        assert!(plan(&ended, &rules, zone, monday).is_none());
        assert!(plan(&ended, &rules, zone, monday.pred_opt().unwrap()).is_some());
    }
}
