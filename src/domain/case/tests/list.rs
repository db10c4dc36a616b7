//! Days that an outage missed: on the list, never forgotten, and with a ladder once somebody has touched them.

use super::*;
use crate::domain::ladder;
use crate::domain::outcome::ContactProof;

/// Minutes from Monday's cutoff to the same time on Tuesday, when the service is back.
const TUESDAY: i64 = 24 * 60;

/// Monday's check is judged on Tuesday at 09:45.
fn listed() -> Street {
    let mut street = Street::new();
    street.tick(TUESDAY);
    street
}

#[test]
fn days_missed_while_nobody_watched_call_nobody_and_stay_on_the_list() {
    let mut street = listed();
    assert_eq!(street.alert().next_action_at, None);
    street.run(TUESDAY + 1..=TUESDAY + 1575);
    assert_eq!(street.told, []);
    assert!(street.alert().is_unresolved() && !street.alert().has_ladder());
}

#[test]
fn the_list_comes_at_noon_and_at_six_of_the_same_day_where_the_site_is() {
    let at = |text: &str| DateTime::parse_from_rfc3339(text).unwrap().to_utc();
    let (shanghai, berlin) = (chrono_tz::Asia::Shanghai, chrono_tz::Europe::Berlin);
    for (zone, now, expected) in [
        (shanghai, "2026-11-24T00:30:00+08:00", None),
        (shanghai, "2026-11-24T11:59:59.999+08:00", None),
        (shanghai, "2026-11-24T12:00:00+08:00", Some("12:00:00")),
        (shanghai, "2026-11-24T17:59:59.999+08:00", Some("12:00:00")),
        (shanghai, "2026-11-24T23:59:59+08:00", Some("18:00:00")),
        // Summer and winter time of one zone.
        (berlin, "2026-10-24T09:59:59Z", None),
        (berlin, "2026-10-25T10:59:59Z", None),
        (berlin, "2026-10-25T11:00:00Z", Some("12:00:00")),
    ] {
        assert_eq!(ladder::listing(zone, at(now)).map(|time| time.to_string()).as_deref(), expected, "{now} in {zone}");
    }
}

#[test]
fn a_miss_of_today_takes_the_older_days_off_the_list() {
    let mut street = listed();
    street.case.checks.push(morning_check(1));
    street.tick(TUESDAY + 1);
    assert_eq!((street.alert().epoch, street.alert().triggers.len()), (2, 2), "today's miss starts the ladder");
    assert_eq!(street.told_with("notice.alert_look"), [PRIMARY, BACKUP, LEAD]);
}

#[test]
fn whoever_touches_an_alert_of_the_list_starts_its_ladder() {
    let emergency = Act::Emergency { service: "120".to_owned() };
    let rows: [(Act, &[i64]); 6] = [
        (Act::Claim, &[]),
        (Act::OnSite, &[]),
        (Act::Assign { to: BACKUP }, &[]),
        (Act::Escalate, &[0, 1]),
        (Act::NoAnswerAtDoor, &[0, 2, 3]),
        (emergency, &[0, 4, 5]),
    ];
    for (act, at_once) in rows {
        let mut street = listed();
        street.act(TUESDAY + 1, SOCIAL, act.clone()).unwrap();
        let levels: Vec<i64> = street.fired().into_iter().map(|(level, _)| level).collect();
        assert_eq!(levels, at_once, "{act:?}");
        assert!(street.alert().next_action_at.is_some(), "{act:?}");
        street.run(TUESDAY + 2..=TUESDAY + 61);
        assert_eq!(street.alert().level, 5, "and it goes up: {act:?}");
    }
}

#[test]
fn a_claim_of_an_old_day_that_runs_out_calls_the_assigned_member() {
    let mut street = listed();
    street.act(TUESDAY + 1, SOCIAL, Act::Claim).unwrap();
    street.run(TUESDAY + 2..=TUESDAY + 15);
    assert_eq!(street.told, []);
    street.tick(TUESDAY + 16);
    assert_eq!(street.fired(), [(0, 16), (1, 16), (0, 16)]);
    assert_eq!(street.told_with("notice.alert_look"), [PRIMARY, BACKUP, LEAD]);
}

#[test]
fn an_old_day_that_was_closed_too_early_gets_a_whole_ladder() {
    let mut street = listed();
    let proof = Some(ContactProof::SpokeWithPerson);
    let resolution = Resolution { safe: true, proof, proof_by: None, proof_at: None, outcome: None, note: None, return_date: None };
    street.act(TUESDAY + 1, SOCIAL, Act::Resolve(resolution)).unwrap();
    assert_eq!(street.alert().next_action_at, None);
    street.act(TUESDAY + 2, SOCIAL, Act::Reopen { reason: "认错了人".to_owned() }).unwrap();
    assert_eq!(street.fired(), [(0, 2)]);
    street.run(TUESDAY + 3..=TUESDAY + 62);
    assert_eq!(street.fired().iter().map(|(level, _)| *level).collect::<Vec<_>>(), [0, 1, 0, 2, 3, 4, 5]);
}

#[test]
fn a_request_of_a_person_takes_an_old_day_off_the_list() {
    let mut street = listed();
    street.act(TUESDAY + 1, SOCIAL, Act::Raise { request: Uuid::from_u128(78), note: None }).unwrap();
    assert_eq!(street.told_with("notice.manual_call"), [PRIMARY]);
}
