//! 窗帘约定: when its times make sense, from when it can count, and which edits silence somebody.
//!
//! An agreement is never updated. A new one takes its weekdays over on its first day; what it does not take goes on as it
//! was, because a day for which nothing is agreed has no check, and nobody notices. Whoever writes it learns that day (I23).

use chrono::{DateTime, NaiveDate, NaiveTime, TimeDelta, Utc};
use chrono_tz::Tz;

use super::check::Slot;
use super::day::{self, AgreementFact, UNOBSERVED_DELAY_MAX};
use super::refusal::Refusal;
use super::register;
use super::rules::CheckRules;
use super::signal::SensorPolicy;

pub const GRACE_MAX: TimeDelta = TimeDelta::hours(4);
/// An agreement may be entered this long ahead.
const AHEAD_DAYS_MAX: i64 = 366;
/// One month of each default deadline: winter and summer.
const SAMPLE_MONTHS: [u32; 2] = [1, 7];

/// The fields by themselves and against the times of the site: counts from ≤ window opens < deadline, and the cutoff, with
/// the delay of an unobserved check, on the same local day, because no window crosses midnight.
pub fn validate(agreement: &AgreementFact, rules: &CheckRules) -> Result<(), Refusal> {
    register::weekdays("weekdays", agreement.weekdays)?;
    register::dates(agreement.from_date, "to_date", agreement.to_date)?;
    let grace = agreement.grace.unwrap_or(rules.grace.0);
    if grace < TimeDelta::zero() || grace > GRACE_MAX {
        return Err(Refusal::invalid("grace_seconds", "register.grace").with("hours", GRACE_MAX.num_hours()));
    }
    if agreement.unobserved_delay.is_some_and(|delay| delay < TimeDelta::zero() || delay > UNOBSERVED_DELAY_MAX) {
        return Err(
            Refusal::invalid("unobserved_delay_seconds", "register.unobserved_delay").with("minutes", UNOBSERVED_DELAY_MAX.num_minutes())
        );
    }
    let delay = agreement.unobserved_delay.unwrap_or(rules.unobserved_delay.0);
    let (counts_from, default_window) = match agreement.slot {
        Slot::Morning => (rules.morning_counts_from, rules.morning_window_opens),
        Slot::Evening => (rules.evening_counts_from, rules.evening_window_opens),
    };
    let window = agreement.window_opens.unwrap_or(default_window);
    if window < counts_from {
        return Err(Refusal::invalid("window_opens", "register.window_too_early").with("time", counts_from));
    }
    for deadline in deadlines(agreement, rules) {
        if deadline <= window || deadline <= counts_from {
            return Err(Refusal::invalid("deadline", "register.deadline_too_early").with("time", window));
        }
        let (_, days_over) = deadline.overflowing_add_signed(grace + delay);
        if days_over != 0 {
            return Err(Refusal::invalid("deadline", "register.cutoff_after_midnight"));
        }
    }
    Ok(())
}

/// The deadline of each sample month.
fn deadlines(agreement: &AgreementFact, rules: &CheckRules) -> Vec<NaiveTime> {
    let of = |date| agreement.deadline.unwrap_or_else(|| rules.deadline(agreement.slot, date));
    SAMPLE_MONTHS.into_iter().filter_map(|month| NaiveDate::from_ymd_opt(2000, month, 1)).map(of).collect()
}

/// What goes on of an old agreement beside a new one of the same slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Remainder {
    pub weekdays: i64,
    pub from_date: NaiveDate,
    /// Exclusive.
    pub to_date: Option<NaiveDate>,
}

/// Whether the new agreement takes a day of the old one.
pub fn replaces(new: &AgreementFact, old: &AgreementFact) -> bool {
    let from = new.from_date.max(old.from_date);
    let meets = [new.to_date, old.to_date].into_iter().flatten().all(|to| from < to);
    meets && new.weekdays & old.weekdays != 0
}

/// What the new agreement leaves of one that it replaces: the weekdays that it does not name, and all days after its own end.
/// Days before the new one stay with the old row, which ends there.
pub fn remains(old: &AgreementFact, new: &AgreementFact) -> Vec<Remainder> {
    let from_date = new.from_date.max(old.from_date);
    let goes_beyond = new.to_date.filter(|end| old.to_date.is_none_or(|to| to > *end));
    let beside = Remainder { weekdays: old.weekdays & !new.weekdays, from_date, to_date: goes_beyond.or(old.to_date) };
    let after = goes_beyond.map(|end| Remainder { weekdays: old.weekdays, from_date: end, to_date: old.to_date });
    [Some(beside), after].into_iter().flatten().filter(|rest| rest.weekdays != 0).collect()
}

/// From tomorrow on, or from today while the old and the new cutoff both lie ahead: what was judged stays judged (I23).
/// `old` are those that the new one replaces: only the weekdays that it takes are asked about.
pub fn validate_start(new: &AgreementFact, old: &[AgreementFact], rules: &CheckRules, zone: Tz, now: DateTime<Utc>) -> Result<(), Refusal> {
    let today = day::local_date(zone, now);
    if new.from_date > today + TimeDelta::days(AHEAD_DAYS_MAX) {
        return Err(Refusal::invalid("from_date", "register.too_far_ahead").with("days", AHEAD_DAYS_MAX));
    }
    if new.from_date > today {
        return Ok(());
    }
    let ahead = |agreement: &AgreementFact| day::plan(agreement, rules, zone, today).is_none_or(|plan| plan.cutoff_at > now);
    let taken = |old: &AgreementFact| AgreementFact { weekdays: old.weekdays & new.weekdays, ..old.clone() };
    if new.from_date == today && ahead(new) && old.iter().map(taken).all(|old| ahead(&old)) {
        return Ok(());
    }
    Err(Refusal::invalid("from_date", "register.from_tomorrow").with("date", today + TimeDelta::days(1)))
}

/// Whether a sign would be missed later than before, or a sensor trusted more: such an edit needs a role above volunteer. Fewer
/// weekdays or an earlier end take nothing away: there the old agreement goes on.
pub fn silences(old: &AgreementFact, old_require_change: bool, new: &AgreementFact, new_require_change: bool, rules: &CheckRules) -> bool {
    let cutoffs = |agreement: &AgreementFact| -> Vec<TimeDelta> {
        let wait = agreement.grace.unwrap_or(rules.grace.0) + agreement.unobserved_delay.unwrap_or(rules.unobserved_delay.0);
        deadlines(agreement, rules).into_iter().map(|deadline| deadline - NaiveTime::MIN + wait).collect()
    };
    let later = cutoffs(new).iter().zip(cutoffs(old)).any(|(new, old)| *new > old);
    let trusts_more = trust(new.sensor_policy) > trust(old.sensor_policy) || (old_require_change && !new_require_change);
    later || trusts_more
}

/// How much a sensor may decide alone.
fn trust(policy: SensorPolicy) -> u8 {
    match policy {
        SensorPolicy::None => 0,
        SensorPolicy::Assist => 1,
        SensorPolicy::Sufficient => 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::day::EVERY_DAY;
    use crate::domain::signal::Sign;
    use uuid::Uuid;

    fn time(text: &str) -> Option<NaiveTime> {
        (!text.is_empty()).then(|| text.parse().unwrap())
    }

    fn agreement(window: &str, deadline: &str, grace_minutes: i64) -> AgreementFact {
        AgreementFact {
            id: Uuid::nil(),
            senior_id: Uuid::nil(),
            slot: Slot::Morning,
            weekdays: EVERY_DAY,
            expected_sign: Sign::Open,
            window_opens: time(window),
            deadline: time(deadline),
            grace: Some(TimeDelta::minutes(grace_minutes)),
            unobserved_delay: None,
            sensor_policy: SensorPolicy::Assist,
            from_date: NaiveDate::from_ymd_opt(2026, 11, 24).unwrap(),
            to_date: None,
        }
    }

    #[test]
    fn the_times_of_an_agreement_follow_one_another_on_one_day() {
        for (window, deadline, grace, field) in [
            ("", "", 15, None),
            ("03:00", "03:01", 0, None),
            ("02:59", "09:00", 15, Some("window_opens")),
            ("07:00", "07:00", 15, Some("deadline")),
            ("", "06:00", 15, Some("deadline")),
            ("", "23:50", 10, Some("deadline")),
            ("", "23:50", 9, None),
            ("", "09:00", 240, None),
            ("", "09:00", 241, Some("grace_seconds")),
            ("", "09:00", -1, Some("grace_seconds")),
        ] {
            let found = validate(&agreement(window, deadline, grace), &CheckRules::default()).err().and_then(|refusal| refusal.field);
            assert_eq!(found.as_deref(), field, "{window} {deadline} {grace}");
        }
    }

    #[test]
    fn the_wait_for_a_look_does_not_carry_an_alert_over_midnight() {
        for (delay, field) in [(30, None), (44, None), (45, Some("deadline"))] {
            let late = AgreementFact { unobserved_delay: Some(TimeDelta::minutes(delay)), ..agreement("", "23:00", 15) };
            let found = validate(&late, &CheckRules::default()).err().and_then(|refusal| refusal.field);
            assert_eq!(found.as_deref(), field, "{delay} minutes");
        }
    }

    #[test]
    fn an_edit_counts_from_tomorrow_unless_both_cutoffs_of_today_lie_ahead() {
        let zone = chrono_tz::Asia::Shanghai;
        let today = NaiveDate::from_ymd_opt(2026, 11, 24).unwrap();
        let at = |text: &str| day::instant(zone, today, text.parse().unwrap()).unwrap();
        let (early, late) = (agreement("", "08:00", 0), agreement("", "10:00", 0));
        for (new, old, now, allowed) in [
            (&early, Some(&late), "07:59", true),
            (&early, Some(&late), "08:00", false),
            (&late, Some(&early), "09:00", false),
            (&late, None, "09:00", true),
            (&late, None, "10:00", false),
        ] {
            let old: Vec<AgreementFact> = old.into_iter().cloned().collect();
            let answer = validate_start(new, &old, &CheckRules::default(), zone, at(now));
            assert_eq!(answer.is_ok(), allowed, "at {now}");
        }
        let mut yesterday = early.clone();
        yesterday.from_date = today.pred_opt().unwrap();
        assert!(validate_start(&yesterday, &[], &CheckRules::default(), zone, at("01:00")).is_err());
        let mut tomorrow = early.clone();
        tomorrow.from_date = today.succ_opt().unwrap();
        assert!(validate_start(&tomorrow, std::slice::from_ref(&late), &CheckRules::default(), zone, at("23:00")).is_ok());
        // 24 November 2026 is a Tuesday: for the weekend nothing of it is taken.
        let weekend = AgreementFact { weekdays: 0b110_0000, ..late };
        assert!(validate_start(&weekend, &[early], &CheckRules::default(), zone, at("11:00")).is_ok());
    }

    #[test]
    fn a_new_agreement_takes_the_days_that_it_names_and_leaves_the_others_as_they_were() {
        let date = |day| NaiveDate::from_ymd_opt(2026, 12, day);
        let of = |weekdays, from, to| AgreementFact { weekdays, from_date: date(from).unwrap(), to_date: to, ..agreement("", "09:00", 15) };
        let rest = |weekdays, from, to| Remainder { weekdays, from_date: date(from).unwrap(), to_date: to };
        let (week, weekend, all) = (0b001_1111, 0b110_0000, EVERY_DAY);
        for (old, new, taken, left) in [
            (of(week, 1, None), of(weekend, 8, None), false, vec![]),
            (of(all, 1, None), of(all, 8, None), true, vec![]),
            (of(all, 1, None), of(weekend, 8, None), true, vec![rest(week, 8, None)]),
            (of(all, 1, date(20)), of(weekend, 8, None), true, vec![rest(week, 8, date(20))]),
            (of(all, 1, None), of(all, 8, date(15)), true, vec![rest(all, 15, None)]),
            (of(all, 1, None), of(weekend, 8, date(15)), true, vec![rest(week, 8, date(15)), rest(all, 15, None)]),
            (of(all, 10, None), of(weekend, 8, None), true, vec![rest(week, 10, None)]),
            (of(all, 1, date(8)), of(all, 8, None), false, vec![]),
            (of(all, 15, None), of(all, 8, date(15)), false, vec![]),
        ] {
            assert_eq!(replaces(&new, &old), taken, "{old:?} {new:?}");
            if taken {
                assert_eq!(remains(&old, &new), left, "{old:?} {new:?}");
            }
        }
    }

    #[test]
    fn a_later_deadline_a_longer_grace_or_more_trust_in_a_sensor_silences() {
        let rules = CheckRules::default();
        let base = agreement("", "09:00", 15);
        let silent = |new: &AgreementFact| silences(&base, true, new, true, &rules);
        assert!(!silent(&base));
        assert!(!silent(&agreement("", "08:30", 15)));
        assert!(silent(&agreement("", "09:01", 15)));
        assert!(silent(&agreement("", "09:00", 16)));
        let mut fewer = base.clone();
        fewer.weekdays = 0b001_1111;
        assert!(!silent(&fewer), "the other days stay as they were agreed");
        let mut trusting = base.clone();
        trusting.sensor_policy = SensorPolicy::Sufficient;
        assert!(silent(&trusting));
        assert!(silences(&base, true, &base, false, &rules));
        let defaults = agreement("", "", 15);
        assert!(!silences(&defaults, false, &defaults, false, &rules), "the site's own winter time is no edit");
    }
}
