//! When a word leaves that asks nobody to go: after the quiet hours of its reader, and clear of full and half hours, when the
//! providers throttle because everybody sends then (channels.md §0.5). Alerts and stand-downs wait for nothing.

use chrono::{DateTime, Days, NaiveTime, TimeDelta, Utc};
use chrono_tz::Tz;
use uuid::Uuid;

use super::{NewNotice, NoticeClass};
use crate::domain::ladder::drill;
use crate::domain::{day, id};

/// Between these local times somebody wants no reminders. They may pass midnight; twice the same time is never.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quiet {
    pub from: NaiveTime,
    pub to: NaiveTime,
}

/// What decides when reminders and reports reach one person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Habits {
    pub zone: Tz,
    pub quiet: Quiet,
    /// Seconds, see `notify.jitter_seconds`.
    pub jitter: [i64; 2],
}

/// Reports that say that somebody is not watched over, or that alerts may not arrive, are as good as alerts. A drill comes when it is
/// called, as an alert would.
const PRESSING: [&str; 5] = ["notice.record_broken", "notice.record_unjudged", "notice.site_broken", "notice.account_refused", drill::KEY];

/// Seconds between two moments at which everybody sends.
const HALF_HOUR_SECONDS: i64 = 30 * 60;

impl Quiet {
    /// When the quiet hours end that hold `at`; `None` outside of them.
    pub fn ends(self, zone: Tz, at: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let local = at.with_timezone(&zone);
        let (date, time) = (local.date_naive(), local.time());
        let over_midnight = self.from > self.to;
        let ends_on = if over_midnight && time >= self.from { date.checked_add_days(Days::new(1))? } else { date };
        let is_quiet = if over_midnight { time >= self.from || time < self.to } else { (self.from..self.to).contains(&time) };
        day::instant(zone, ends_on, self.to).filter(|end| is_quiet && *end > at)
    }
}

/// Whether a notice follows the habits of its reader at all.
pub fn may_wait(notice: &NewNotice) -> bool {
    let is_pressing = notice.key.starts_with("notice.help_") || PRESSING.contains(&notice.key);
    matches!(notice.class, NoticeClass::Reminder | NoticeClass::Report) && !is_pressing
}

/// When the notice leaves: never before its time, and not after the moment at which it is of no use only because of the spreading.
/// One that would wait in quiet hours until it is useless is not told at all; whoever seals sees to that.
pub fn leaves_at(site: Uuid, notice: &NewNotice, habits: &Habits) -> DateTime<Utc> {
    let due = notice.not_before;
    if !may_wait(notice) {
        return due;
    }
    let due = habits.quiet.ends(habits.zone, due).unwrap_or(due);
    let spread = spread(site, notice.recipient_id, habits.jitter, due);
    let is_in_time = notice.useless_from.is_none_or(|useless| spread < useless);
    if is_in_time && habits.quiet.ends(habits.zone, spread).is_none() { spread } else { due }
}

/// Moves what is due near a full or half hour behind it. What one person is told at one such moment moves together, so that it
/// stays one message.
fn spread(site: Uuid, recipient: Uuid, [least, most]: [i64; 2], due: DateTime<Utc>) -> DateTime<Utc> {
    // What is due just before the mark belongs to it.
    let mark = (due.timestamp() + least).div_euclid(HALF_HOUR_SECONDS) * HALF_HOUR_SECONDS;
    let drawn = i64::try_from(id::draw(site, recipient, mark) % (most - least + 1).unsigned_abs()).unwrap_or_default();
    let Some(clear) = DateTime::from_timestamp(mark, 0).map(|mark| mark + TimeDelta::seconds(least + drawn)) else { return due };
    due.max(clear)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::notice::Arguments;

    const ZONE: Tz = chrono_tz::Asia::Shanghai;

    fn local(text: &str) -> DateTime<Utc> {
        DateTime::parse_from_rfc3339(&format!("2026-11-{text}+08:00")).unwrap().to_utc()
    }

    fn quiet(from: &str, to: &str) -> Quiet {
        Quiet { from: from.parse().unwrap(), to: to.parse().unwrap() }
    }

    fn report(key: &'static str, recipient: u128, at: DateTime<Utc>) -> NewNotice {
        NewNotice::report(Uuid::nil(), Uuid::from_u128(recipient), key, Arguments::new(), at)
    }

    fn habits(quiet: Quiet, jitter: [i64; 2]) -> Habits {
        Habits { zone: ZONE, quiet, jitter }
    }

    #[test]
    fn quiet_hours_are_half_open_and_may_pass_midnight() {
        let night = quiet("22:00", "06:30");
        let noon = quiet("12:00", "14:00");
        for (quiet, at, ends) in [
            (night, "23T21:59:59", None),
            (night, "23T22:00:00", Some("24T06:30:00")),
            (night, "24T00:00:00", Some("24T06:30:00")),
            (night, "24T06:29:59", Some("24T06:30:00")),
            (night, "24T06:30:00", None),
            (noon, "23T11:59:59", None),
            (noon, "23T12:00:00", Some("23T14:00:00")),
            (noon, "23T14:00:00", None),
            (quiet("08:00", "08:00"), "23T08:00:00", None),
            (quiet("08:00", "08:00"), "23T20:00:00", None),
        ] {
            assert_eq!(quiet.ends(ZONE, local(at)), ends.map(local), "{quiet:?} at {at}");
        }
    }

    #[test]
    fn only_what_asks_nobody_to_go_waits_for_the_morning() {
        let night = habits(quiet("22:00", "06:30"), [0, 0]);
        let at = local("23T23:10:00");
        let leaves = |notice: &NewNotice| leaves_at(Uuid::nil(), notice, &night);
        let morning = local("24T06:30:00");
        assert_eq!(leaves(&report("notice.proof", 1, at)), morning);
        assert_eq!(leaves(&report("notice.remind_round", 1, at).reminder()), morning);
        for key in ["notice.help_refused", "notice.record_unjudged", "notice.account_refused"] {
            assert_eq!(leaves(&report(key, 1, at)), at, "{key}");
        }
        for class in [NoticeClass::Alert, NoticeClass::StandDown] {
            assert_eq!(leaves(&NewNotice { class, ..report("notice.alert_call", 1, at) }), at, "{class}");
        }
    }

    #[test]
    fn reminders_keep_clear_of_full_and_half_hours_and_never_come_early() {
        let never = habits(quiet("00:00", "00:00"), [20, 120]);
        let half = local("23T09:30:00");
        for seconds in -300..300 {
            let due = half + TimeDelta::seconds(seconds);
            for person in 0..20 {
                let at = leaves_at(Uuid::nil(), &report("notice.proof", person, due), &never);
                let apart = (at - half).num_seconds();
                assert!(at >= due && apart.abs() >= 20, "due {seconds} s from the half hour, told {apart} s from it");
                assert!(at == due || (20..=120).contains(&apart), "{seconds} {apart}");
            }
        }
    }

    #[test]
    fn people_are_spread_and_what_one_person_reads_at_once_stays_together() {
        let never = habits(quiet("00:00", "00:00"), [20, 120]);
        let half = local("23T09:30:00");
        let of = |person, key, due| leaves_at(Uuid::nil(), &report(key, person, due), &never);
        let told: std::collections::BTreeSet<_> = (0..50).map(|person| of(person, "notice.proof", half)).collect();
        assert!(told.len() > 25, "{told:?}");
        assert_eq!(of(1, "notice.proof", half), of(1, "notice.remind_round", half - TimeDelta::seconds(5)));
        assert_eq!(of(1, "notice.proof", half), of(1, "notice.proof", half), "a pure function");
    }

    #[test]
    fn nothing_is_spread_until_it_is_useless_nor_into_the_quiet_hours() {
        let night = habits(quiet("22:00", "06:30"), [20, 120]);
        let before = local("23T21:59:50");
        assert_eq!(leaves_at(Uuid::nil(), &report("notice.proof", 1, before), &night), before);
        let due = local("23T09:30:00");
        let soon = report("notice.proof", 1, due).until(due + TimeDelta::seconds(15));
        assert_eq!(leaves_at(Uuid::nil(), &soon, &night), due);
        let later = report("notice.proof", 1, due).until(due + TimeDelta::seconds(121));
        assert!(leaves_at(Uuid::nil(), &later, &night) > due);
    }

    #[test]
    fn a_jitter_of_nothing_changes_nothing() {
        let never = habits(quiet("00:00", "00:00"), [0, 0]);
        for due in ["23T09:30:00", "23T10:00:00", "23T09:29:59", "23T11:11:11"] {
            assert_eq!(leaves_at(Uuid::nil(), &report("notice.proof", 1, local(due)), &never), local(due));
        }
    }
}
