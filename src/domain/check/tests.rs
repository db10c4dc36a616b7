//! The state table of one check, row by row.

use super::super::absence::AbsenceKind;
use super::super::signal::{Evidence, SignalKind, Source};
use super::*;

const DAY: &str = "2026-11-23";

/// Local time in Shanghai on the day of the check.
fn at(time: &str) -> DateTime<Utc> {
    DateTime::parse_from_rfc3339(&format!("{DAY}T{time}+08:00")).unwrap().to_utc()
}

fn check() -> CheckView {
    CheckView {
        id: Uuid::from_u128(1),
        local_date: DAY.parse().unwrap(),
        slot: Slot::Morning,
        state: CheckState::Expected,
        expected_sign: Sign::Open,
        sensor_policy: SensorPolicy::Sufficient,
        require_change: false,
        counts_from: at("03:00:00"),
        deadline_at: at("09:30:00"),
        cutoff_at: at("09:45:00"),
        day_ends_at: at("23:59:59.999") + TimeDelta::milliseconds(1),
        unobserved_delay: TimeDelta::zero(),
        received_late: false,
        triggered: false,
        next_action_at: Some(at("09:00:00")),
        decided_at: None,
    }
}

/// A signal by a person; the id orders signals of the same instant.
fn said(id: u128, kind: SignalKind, observed: &str) -> SignalFact {
    SignalFact {
        id: Uuid::from_u128(id),
        kind,
        observed_at: at(observed),
        received_at: at(observed),
        source: Source::Member,
        evidence: None,
        standing: Standing::Accepted,
        replaces: None,
    }
}

fn sensed(id: u128, kind: SignalKind, observed: &str) -> SignalFact {
    SignalFact { source: Source::Device, evidence: Some(Evidence::A), ..said(id, kind, observed) }
}

fn replacing(old: u128, signal: SignalFact) -> SignalFact {
    SignalFact { replaces: Some(Uuid::from_u128(old)), ..signal }
}

fn absence(confirmed: Option<&str>, cancelled: Option<&str>) -> AbsenceFact {
    AbsenceFact {
        id: Uuid::from_u128(9),
        kind: AbsenceKind::Away,
        from_date: DAY.parse().unwrap(),
        return_date: "2026-11-25".parse().unwrap(),
        reported_by: String::new(),
        confirmed_at: confirmed.map(at),
        cancelled_at: cancelled.map(at),
        return_confirmed_at: None,
        first_check: None,
    }
}

fn judge(check: &CheckView, signals: &[SignalFact], absences: &[AbsenceFact], now: &str) -> Assessment {
    check.assess(signals, absences, &CheckRules::default(), at(now))
}

use CheckState as S;
use SignalKind as K;

/// Name, what was seen, the state before the cutoff, the state at it, the cause of the alert.
type StateRow = (&'static str, Vec<SignalFact>, S, S, Option<Cause>);

#[test]
fn every_row_of_the_state_table_before_and_at_the_cutoff() {
    let seen = |kind| vec![said(1, kind, "08:00:00")];
    let rows: [StateRow; 6] = [
        ("nobody looked", vec![], S::Expected, S::NotObserved, Some(Cause::NotObserved)),
        ("seen shut", seen(K::Closed), S::Tentative, S::NotOpen, Some(Cause::NotOpen)),
        ("not visible", seen(K::NotVisible), S::TentativeBlind, S::NotSeen, Some(Cause::Blind)),
        ("no answer proves nothing", seen(K::NoAnswer), S::Expected, S::NotObserved, Some(Cause::NotObserved)),
        ("help", seen(K::Help), S::Help, S::Help, None),
        ("open", seen(K::Open), S::Ok, S::Ok, None),
    ];
    for (name, signals, before, after, missed) in rows {
        let early = judge(&check(), &signals, &[], "09:44:59.999");
        assert_eq!((early.state, early.missed), (before, None), "{name}, before the cutoff");
        let late = judge(&check(), &signals, &[], "09:45:00");
        assert_eq!((late.state, late.missed), (after, missed), "{name}, at the cutoff");
    }
}

#[test]
fn help_stands_above_a_good_sign_above_an_absence_above_the_latest_look() {
    let away = [absence(Some("08:00:00"), None)];
    let everything = [said(1, K::Closed, "07:00:00"), said(2, K::Open, "08:00:00"), said(3, K::Help, "06:00:00")];
    for now in ["09:00:00", "12:00:00"] {
        assert_eq!(judge(&check(), &everything, &away, now).state, S::Help, "{now}");
        assert_eq!(judge(&check(), &everything[..2], &away, now).state, S::Ok, "{now}");
        assert_eq!(judge(&check(), &everything[..1], &away, now).state, S::Excused, "{now}");
    }
    assert_eq!(judge(&check(), &everything[..1], &[], "09:00:00").state, S::Tentative);
}

#[test]
fn the_latest_look_counts_by_its_time_and_then_its_id_whatever_order_they_came_in() {
    let (shut, blind) = (said(1, K::Closed, "08:00:00"), said(2, K::NotVisible, "08:00:00"));
    for looks in [[shut.clone(), blind.clone()], [blind, shut]] {
        assert_eq!(judge(&check(), &looks, &[], "09:45:00").state, S::NotSeen, "same instant: the higher id");
    }
    let (early, late) = (said(5, K::NotVisible, "07:59:59"), said(1, K::Closed, "08:00:00"));
    for looks in [[early.clone(), late.clone()], [late, early]] {
        assert_eq!(judge(&check(), &looks, &[], "09:45:00").state, S::NotOpen);
    }
}

#[test]
fn open_and_then_closed_stays_ok_unless_the_open_was_taken_back() {
    let (open, shut) = (said(1, K::Open, "07:00:00"), said(2, K::Closed, "08:00:00"));
    assert_eq!(judge(&check(), &[open.clone(), shut.clone()], &[], "09:45:00").state, S::Ok);
    assert_eq!(judge(&check(), &[open.clone(), replacing(1, shut.clone())], &[], "09:45:00").state, S::NotOpen);
    // Taking back a correction does not bring the first sign back: somebody said that it was wrong.
    let undone = [open.clone(), replacing(1, shut.clone()), replacing(2, said(3, K::NotVisible, "08:01:00"))];
    assert_eq!(judge(&check(), &undone, &[], "09:45:00").state, S::NotSeen);
    let quarantined = SignalFact { standing: Standing::Quarantined, ..replacing(1, shut) };
    assert_eq!(judge(&check(), &[open, quarantined], &[], "09:45:00").state, S::Ok, "what decides nothing replaces nothing");
}

#[test]
fn a_curtain_that_is_always_open_shows_nothing_where_a_change_was_agreed() {
    let strict = CheckView { require_change: true, ..check() };
    let open = said(9, K::Open, "08:00:00");
    let last_evening = |hours: i64| SignalFact { observed_at: at("00:00:00") - TimeDelta::hours(hours), ..said(1, K::Closed, "00:00:00") };
    let rows = [
        ("never seen closed", vec![open.clone()], S::NotObserved),
        ("closed last evening", vec![last_evening(4), open.clone()], S::Ok),
        ("closed the morning before", vec![last_evening(13), open.clone()], S::NotObserved),
        ("closed this morning", vec![said(1, K::Closed, "06:00:00"), open.clone()], S::Ok),
        ("closed only later", vec![open.clone(), said(1, K::Closed, "08:01:00")], S::NotOpen),
        ("closed was a mistake", vec![last_evening(4), replacing(1, said(2, K::NotVisible, "06:00:00")), open.clone()], S::NotSeen),
        ("a sensor that saw the change itself", vec![sensed(9, K::Open, "08:00:00")], S::Ok),
        ("her voice", vec![said(9, K::SpokeWithPerson, "08:00:00")], S::Ok),
    ];
    for (name, signals, expected) in rows {
        assert_eq!(judge(&strict, &signals, &[], "09:45:00").state, expected, "{name}");
    }
}

#[test]
fn the_span_of_a_sign_is_half_open_at_both_ends() {
    for (observed, expected) in [
        ("02:59:59.999", S::NotObserved),
        ("03:00:00", S::Ok),
        ("09:44:59.999", S::Ok),
        ("09:45:00", S::OkLate),
        ("23:59:59.999", S::OkLate),
    ] {
        let verdict = judge(&check(), &[said(1, K::Open, observed)], &[], "23:59:59.999");
        assert_eq!(verdict.state, expected, "observed at {observed}");
        assert_eq!(verdict.missed.is_some(), expected == S::NotObserved, "observed at {observed}");
    }
    let tomorrow = SignalFact { observed_at: check().day_ends_at, ..said(1, K::Open, "23:00:00") };
    assert_eq!(judge(&check(), &[tomorrow], &[], "23:59:59.999").state, S::NotObserved, "the next day's sign is the next day's");
}

#[test]
fn a_look_after_the_cutoff_does_not_change_what_the_cutoff_found() {
    let look = [said(1, K::Closed, "10:00:00")];
    assert_eq!(judge(&check(), &look, &[], "10:00:00").state, S::NotObserved);
}

#[test]
fn a_good_sign_that_came_after_the_cutoff_says_so_unless_another_came_in_time() {
    let late = SignalFact { received_at: at("11:00:00"), ..said(1, K::Open, "08:00:00") };
    let verdict = judge(&check(), std::slice::from_ref(&late), &[], "11:00:00");
    assert_eq!((verdict.state, verdict.received_late, verdict.missed), (S::Ok, true, None));
    assert!(!judge(&check(), &[late, said(2, K::Open, "07:00:00")], &[], "11:00:00").received_late);
    let at_cutoff = SignalFact { received_at: at("09:45:00"), ..said(1, K::Open, "08:00:00") };
    assert!(judge(&check(), &[at_cutoff], &[], "09:45:00").received_late);
    let in_time = SignalFact { received_at: at("09:44:59.999"), ..said(1, K::Open, "08:00:00") };
    assert!(!judge(&check(), &[in_time], &[], "09:45:00").received_late);
}

#[test]
fn a_sensor_closes_a_check_only_in_time_and_a_silent_one_closes_nothing() {
    assert_eq!(judge(&check(), &[sensed(1, K::Open, "08:00:00")], &[], "09:45:00").state, S::Ok);
    assert_eq!(judge(&check(), &[sensed(1, K::Open, "09:45:00")], &[], "10:00:00").state, S::NotObserved);
    assert_eq!(judge(&check(), &[sensed(1, K::Closed, "08:00:00")], &[], "09:45:00").state, S::NotObserved);
    let assist = CheckView { sensor_policy: SensorPolicy::Assist, ..check() };
    assert_eq!(judge(&assist, &[sensed(1, K::Open, "08:00:00")], &[], "09:45:00").state, S::NotObserved);
}

/// A sensor may only add an ok: whatever else sensors say, no check becomes worse by it, and without class A none becomes ok.
#[test]
fn a_sensor_only_adds_an_ok_whatever_it_says() {
    use crate::domain::signal::Evidence;
    let people = [
        vec![],
        vec![said(1, K::Closed, "07:00:00")],
        vec![said(1, K::NotVisible, "07:00:00")],
        vec![said(1, K::Open, "07:00:00")],
        vec![said(1, K::Help, "07:00:00")],
    ];
    for policy in SensorPolicy::ALL {
        let check = CheckView { sensor_policy: *policy, ..check() };
        for looks in &people {
            let before = judge(&check, looks, &[], "09:45:00").state;
            for kind in [K::Open, K::Closed, K::Activity] {
                for evidence in [Some(Evidence::A), Some(Evidence::B), Some(Evidence::C), None] {
                    let mut all = looks.clone();
                    all.push(SignalFact { evidence, ..sensed(9, kind, "08:00:00") });
                    let after = judge(&check, &all, &[], "09:45:00").state;
                    let speaks = *policy == SensorPolicy::Sufficient && evidence == Some(Evidence::A) && kind != K::Closed;
                    let expected = if speaks && before != S::Help { S::Ok } else { before };
                    assert_eq!(after, expected, "{policy} {kind} {evidence:?} beside {before}");
                }
            }
        }
    }
}

#[test]
fn what_decides_nothing_decides_nothing() {
    for standing in [Standing::ClockSuspect, Standing::TooOld, Standing::Quarantined] {
        for kind in [K::Open, K::Closed, K::Help] {
            let signal = SignalFact { standing, ..said(1, kind, "08:00:00") };
            assert_eq!(judge(&check(), &[signal], &[], "09:45:00").state, S::NotObserved, "{kind} {standing}");
        }
    }
}

#[test]
fn an_absence_excuses_only_if_it_was_confirmed_before_the_cutoff_and_stood_then() {
    for (confirmed, cancelled, expected) in [
        (Some("09:44:59.999"), None, S::Excused),
        (Some("09:45:00"), None, S::NotObserved),
        (None, None, S::NotObserved),
        (Some("08:00:00"), Some("09:00:00"), S::NotObserved),
        (Some("08:00:00"), Some("09:45:00"), S::Excused),
    ] {
        assert_eq!(judge(&check(), &[], &[absence(confirmed, cancelled)], "10:00:00").state, expected, "{confirmed:?} {cancelled:?}");
    }
}

#[test]
fn the_delay_of_a_site_holds_back_only_checks_at_which_nobody_looked() {
    let delayed = CheckView { unobserved_delay: TimeDelta::minutes(30), ..check() };
    let waiting = judge(&delayed, &[], &[], "10:14:59.999");
    assert_eq!((waiting.state, waiting.missed, waiting.next_action_at), (S::NotObserved, None, Some(at("10:15:00"))));
    assert_eq!(judge(&delayed, &[], &[], "10:15:00").missed, Some(Cause::NotObserved));
    assert_eq!(judge(&delayed, &[said(1, K::Closed, "08:00:00")], &[], "09:45:00").missed, Some(Cause::NotOpen));
    let seen = judge(&delayed, &[said(1, K::Open, "10:00:00")], &[], "10:15:00");
    assert_eq!((seen.state, seen.missed), (S::OkLate, None), "seen while the alert was held back");
}

#[test]
fn a_trigger_is_raised_once_and_a_verdict_follows_the_signals() {
    let raised = CheckView { state: S::NotObserved, triggered: true, next_action_at: None, ..check() };
    let again = judge(&raised, &[], &[], "11:00:00");
    assert_eq!((again.state, again.missed, again.next_action_at), (S::NotObserved, None, None));
    let was_ok = CheckView { state: S::Ok, next_action_at: None, ..check() };
    assert_eq!(judge(&was_ok, &[], &[], "11:00:00").missed, Some(Cause::NotObserved), "the only good sign was taken back");
    assert_eq!(judge(&was_ok, &[], &[], "09:10:00").next_action_at, Some(at("09:20:00")), "and before the cutoff it is watched again");
}

#[test]
fn a_check_older_than_the_look_back_is_not_evaluated_unless_something_closes_it() {
    let week_later = |minutes| at("09:45:00") + TimeDelta::days(7) + TimeDelta::minutes(minutes);
    let rules = CheckRules::default();
    assert_eq!(check().assess(&[], &[], &rules, week_later(0)).missed, Some(Cause::NotObserved));
    let old = check().assess(&[], &[], &rules, week_later(1));
    assert_eq!((old.state, old.missed, old.next_action_at), (S::NotEvaluated, None, None));
    let open = [said(1, K::Open, "08:00:00")];
    assert_eq!(check().assess(&open, &[], &rules, week_later(1)).state, S::Ok);
    let judged = CheckView { state: S::NotObserved, triggered: true, ..check() };
    assert_eq!(judged.assess(&[], &[], &rules, week_later(1)).state, S::NotObserved, "a verdict once given stays");
}

// I28
#[test]
fn a_check_that_was_taken_out_as_broken_is_judged_like_any_other_once_it_can_be_read() {
    let mended = CheckView { state: S::Unmonitored, ..check() };
    let verdict = |signals: &[SignalFact], now| judge(&mended, signals, &[], now);
    assert_eq!(verdict(&[said(1, K::Open, "08:00:00")], "10:00:00").state, S::Ok);
    assert_eq!(verdict(&[], "09:10:00").state, S::Expected);
    assert_eq!(verdict(&[], "10:00:00").missed, Some(Cause::NotObserved));
    let late = mended.assess(&[], &[], &CheckRules::default(), at("09:46:00") + TimeDelta::days(7));
    assert_eq!((late.state, late.missed), (S::NotEvaluated, None));
}

/// Due since, now, what was seen, the reminder, the next moment.
type ReminderRow<'a> = (&'static str, &'static str, &'a [SignalFact], Option<ReminderKind>, &'static str);

#[test]
fn reminders_come_at_their_moments_once_and_only_the_latest_after_a_break() {
    let shut = [said(1, K::Closed, "08:00:00")];
    let since = |time: &str| CheckView { next_action_at: Some(at(time)), ..check() };
    let rows: [ReminderRow; 8] = [
        ("09:00:00", "08:59:59", &[], None, "09:00:00"),
        ("09:00:00", "09:00:00", &[], Some(ReminderKind::Round), "09:20:00"),
        ("09:20:00", "09:20:05", &[], Some(ReminderKind::Last), "09:45:00"),
        ("09:20:00", "09:20:05", &shut, Some(ReminderKind::Last), "09:35:00"),
        ("09:35:00", "09:35:00", &shut, Some(ReminderKind::LookAgain), "09:45:00"),
        ("09:35:00", "09:35:00", &[], None, "09:45:00"),
        ("09:00:00", "09:21:00", &[], Some(ReminderKind::Last), "09:45:00"),
        ("09:00:00", "09:45:00", &[], None, "-"),
    ];
    for (due, now, signals, reminder, next) in rows {
        let verdict = judge(&since(due), signals, &[], now);
        assert_eq!(verdict.reminder, reminder, "due {due}, now {now}");
        assert_eq!(verdict.next_action_at, (next != "-").then(|| at(next)), "due {due}, now {now}");
    }
    assert_eq!(
        judge(&since("09:20:00"), &[said(1, K::Open, "08:00:00")], &[], "09:20:00").reminder,
        None,
        "nobody is sent for what is done"
    );
}
