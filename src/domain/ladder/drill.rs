//! A drill of the ladder: everybody whom an alert at a place would tell is told once that it is a drill, and says that she has read it.
//! It has no alert, so it can hold up none and stands in no list of them.

use std::collections::BTreeMap;

use chrono::{DateTime, Datelike, Days, NaiveDate, TimeDelta, Utc};
use chrono_tz::Tz;
use uuid::Uuid;

use crate::domain::alert::StepAct;
use crate::domain::check::Slot;
use crate::domain::day;
use crate::domain::place::Role;
use crate::domain::roster::Roster;
use crate::domain::rules::{DrillRules, WeeklyDrill};
use crate::words;

/// What people read.
pub const KEY: &str = "notice.drill_ladder";
/// What those who answer for the place read afterwards.
pub const REPORT_KEY: &str = "notice.drill_report";

/// A weekly drill that could not begin within this time is left to the next week: people were told when to expect it.
const LATE_MAX: TimeDelta = TimeDelta::hours(2);

/// The rungs of a ladder with their people; nobody's family is among them, because families are no members.
const RUNGS: [(i64, StepAct); 6] =
    [(0, StepAct::Call), (0, StepAct::Look), (1, StepAct::Door), (3, StepAct::Enter), (4, StepAct::Command), (5, StepAct::Final)];

words! {
    /// How far the word of a drill came with one person.
    pub enum Reached {
        /// She has said that she has read it.
        Confirmed = "confirmed",
        /// The provider says that it arrived.
        Delivered = "delivered",
        /// The provider has taken it and said nothing since.
        Sent = "sent",
        /// It has not left yet.
        OnItsWay = "on_its_way",
        /// No channel of hers took it.
        Failed = "failed",
        /// She has no channel that works.
        NoChannel = "no_channel",
        /// The drill was stopped before.
        TakenBack = "taken_back"
    }
}

impl Reached {
    /// Nobody knows whether she would hear of an alert. Until a drill is over, its word may still be on its way.
    pub fn is_missed(self, is_over: bool) -> bool {
        match self {
            Self::Failed | Self::NoChannel => true,
            Self::OnItsWay | Self::TakenBack => is_over,
            Self::Confirmed | Self::Delivered | Self::Sent => false,
        }
    }
}

/// What the outbox says of one person's word.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Trace {
    pub confirmed: bool,
    pub arrived: bool,
    pub sent: bool,
    pub cancelled: bool,
    /// The notice has ended without being delivered.
    pub failed: bool,
    /// A message was made, so she had a channel.
    pub tried: bool,
}

pub fn reached(trace: &Trace) -> Reached {
    match trace {
        Trace { confirmed: true, .. } => Reached::Confirmed,
        Trace { failed: true, tried: true, .. } => Reached::Failed,
        Trace { failed: true, .. } => Reached::NoChannel,
        Trace { cancelled: true, .. } => Reached::TakenBack,
        Trace { arrived: true, .. } => Reached::Delivered,
        Trace { sent: true, .. } => Reached::Sent,
        _ => Reached::OnItsWay,
    }
}

/// Whom alerts of these seniors would tell on a morning, each at the first level that tells her.
pub fn people(rosters: &[Roster], weekday_bit: i64, street_duty: bool) -> BTreeMap<Uuid, i64> {
    let mut people = BTreeMap::new();
    for (level, act) in RUNGS {
        for roster in rosters {
            let told = match act {
                StepAct::Final if !street_duty => roster.holders(Role::BranchSecretary),
                _ => roster.audience(act, Slot::Morning, weekday_bit, None, false),
            };
            for member in told {
                people.entry(member).or_insert(level);
            }
        }
    }
    people
}

/// The Monday of the week whose drill is due.
pub fn due_week(rules: &DrillRules, zone: Tz, now: DateTime<Utc>) -> Option<NaiveDate> {
    let today = day::local_date(zone, now);
    let at = day::instant(zone, today, rules.at)?;
    let is_today = rules.weekly == WeeklyDrill::On && today.weekday().number_from_monday() == u32::from(rules.weekday);
    if !is_today || now < at || at + LATE_MAX <= now {
        return None;
    }
    today.checked_sub_days(Days::new(u64::from(today.weekday().num_days_from_monday())))
}

/// Whose turn it is in a week: every place once before any comes again.
pub fn turn(places: &[Uuid], monday: NaiveDate) -> Option<Uuid> {
    let week = usize::try_from(monday.num_days_from_ce() / 7).ok()?;
    places.get(week.checked_rem(places.len())?).copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::place::PairingKind;
    use crate::domain::roster::GrantFact;

    fn id(n: u128) -> Uuid {
        Uuid::from_u128(n)
    }

    fn local(text: &str) -> DateTime<Utc> {
        DateTime::parse_from_rfc3339(&format!("{text}+08:00")).unwrap().to_utc()
    }

    fn monday(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    #[test]
    fn everybody_of_every_rung_is_told_once_and_the_street_only_if_the_site_says_so() {
        let grant = |role, member| GrantFact { role, member_id: id(member), distance: 0 };
        let roster = |primary: u128| Roster {
            pairings: vec![(PairingKind::Primary, id(primary)), (PairingKind::Backup, id(2))],
            grants: vec![
                grant(Role::BuildingLead, 3),
                grant(Role::PropertyStaff, 4),
                grant(Role::SocialWorker, 5),
                grant(Role::BranchSecretary, 6),
                grant(Role::StreetDuty, 7),
            ],
            ..Roster::default()
        };
        let rosters = [roster(1), roster(2)];
        let levels = |street| people(&rosters, 1, street).into_iter().map(|(member, level)| (member.as_u128(), level)).collect::<Vec<_>>();
        assert_eq!(levels(false), [(1, 0), (2, 0), (3, 0), (4, 3), (5, 4), (6, 5)]);
        assert_eq!(levels(true), [(1, 0), (2, 0), (3, 0), (4, 3), (5, 4), (6, 5), (7, 5)]);
    }

    #[test]
    fn a_weekly_drill_is_due_on_its_day_from_its_time_on_and_not_late_in_the_evening() {
        let zone = chrono_tz::Asia::Shanghai;
        let on = DrillRules { weekly: WeeklyDrill::On, ..DrillRules::default() };
        let week = Some(monday("2026-11-23"));
        for (at, expected) in [
            ("2026-11-25T14:59:59", None),
            ("2026-11-25T15:00:00", week),
            ("2026-11-25T16:59:59", week),
            ("2026-11-25T17:00:00", None),
            ("2026-11-26T15:00:00", None),
            ("2026-12-02T15:00:00", Some(monday("2026-11-30"))),
        ] {
            assert_eq!(due_week(&on, zone, local(at)), expected, "{at}");
        }
        for weekly in [WeeklyDrill::Undecided, WeeklyDrill::Off] {
            assert_eq!(due_week(&DrillRules { weekly, ..on.clone() }, zone, local("2026-11-25T15:00:00")), None);
        }
    }

    #[test]
    fn places_take_turns_week_by_week() {
        let places = [id(1), id(2), id(3)];
        let weeks = ["2026-11-23", "2026-11-30", "2026-12-07", "2026-12-14"].map(|week| turn(&places, monday(week)).unwrap());
        assert_eq!(weeks[0], weeks[3]);
        assert_eq!(std::collections::BTreeSet::from(weeks).len(), 3);
        assert_eq!(turn(&[], monday("2026-11-23")), None);
    }

    #[test]
    fn a_person_counts_as_reached_as_far_as_something_proves_it() {
        let trace = Trace::default();
        for (trace, expected) in [
            (trace, Reached::OnItsWay),
            (Trace { tried: true, sent: true, ..trace }, Reached::Sent),
            (Trace { tried: true, sent: true, arrived: true, ..trace }, Reached::Delivered),
            (Trace { tried: true, sent: true, confirmed: true, ..trace }, Reached::Confirmed),
            (Trace { tried: true, failed: true, ..trace }, Reached::Failed),
            (Trace { failed: true, ..trace }, Reached::NoChannel),
            (Trace { failed: true, confirmed: true, ..trace }, Reached::Confirmed),
            (Trace { cancelled: true, ..trace }, Reached::TakenBack),
        ] {
            assert_eq!(reached(&trace), expected, "{trace:?}");
        }
    }
}
