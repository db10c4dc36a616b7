//! When each rung fires, and what holds it or brings it forward.

use super::*;

/// Name, the street, (level, minute) of every rung.
type LadderRow = (&'static str, Street, &'static [(i64, i64)]);

#[test]
fn the_rungs_of_every_ladder_come_at_their_minutes_and_the_end_repeats() {
    let trial = || {
        let mut street = Street::new();
        street.case.senior.trial_until = Some("2026-11-24".parse().unwrap());
        street.see(SignalKind::Closed, minute(-105));
        street.tick(0);
        street
    };
    let rows: [LadderRow; 5] = [
        (
            "seen shut",
            Street::seen_shut(),
            &[(0, 0), (1, 5), (0, 10), (2, 20), (3, 30), (4, 45), (5, 60), (4, 75), (5, 75), (4, 90), (5, 90)],
        ),
        (
            "nobody looked",
            Street::nobody_looked(),
            &[(0, 0), (1, 5), (0, 10), (2, 30), (3, 30), (4, 45), (5, 60), (4, 75), (5, 75), (4, 90), (5, 90)],
        ),
        (
            "help",
            Street::pressed(SignalKind::Help),
            &[(0, 0), (1, 0), (2, 3), (3, 5), (4, 10), (5, 15), (4, 30), (5, 30), (4, 45), (5, 45)],
        ),
        ("cry", Street::pressed(SignalKind::Cry), &[(0, 0), (1, 0), (3, 5), (2, 10), (4, 10), (5, 15), (4, 30), (5, 30), (4, 45), (5, 45)]),
        ("trial", trial(), &[(0, 0), (1, 5), (0, 10), (4, 45), (4, 60), (4, 75), (4, 90)]),
    ];
    for (name, mut street, expected) in rows {
        let last = expected.last().unwrap().1;
        // Twice a minute: nothing may fire twice.
        for at in 1..=last {
            street.tick(at);
            street.tick(at);
        }
        assert_eq!(street.fired(), expected, "{name}");
    }
}

#[test]
fn a_trial_compound_still_calls_everybody_for_help() {
    let mut street = Street::new();
    street.case.senior.trial_until = Some("2026-11-24".parse().unwrap());
    street.see(SignalKind::Help, minute(0));
    street.run(1..=15);
    assert_eq!(street.fired(), [(0, 0), (1, 0), (2, 3), (3, 5), (4, 10), (5, 15)]);
}

#[test]
fn no_rung_fires_a_millisecond_early() {
    let mut street = Street::seen_shut();
    for (level, due) in [(1, 5), (2, 20), (3, 30), (4, 45), (5, 60)] {
        street.event(&Event::Tick, minute(due) - TimeDelta::milliseconds(1)).unwrap();
        assert!(street.alert().level < level, "level {level} before minute {due}");
        street.tick(due);
        assert_eq!(street.alert().level, level);
    }
}

#[test]
fn a_claim_holds_the_rungs_up_to_l3_until_its_end_and_never_l4_and_l5() {
    // Claimed at minute 2 for 15 minutes, then silence: the ladder goes on where it stands.
    let mut street = Street::seen_shut();
    street.act(2, PRIMARY, Act::Claim).unwrap();
    street.run(3..=60);
    assert_eq!(street.fired(), [(0, 0), (1, 17), (0, 17), (2, 20), (3, 30), (4, 45), (5, 60)]);

    // Held from the first minute to the last: only L4 and L5 come.
    let mut street = Street::seen_shut();
    street.act(0, PRIMARY, Act::Claim).unwrap();
    for at in 1..=61 {
        street.act(at, PRIMARY, Act::Extend).unwrap();
        street.tick(at);
    }
    assert_eq!(street.fired(), [(0, 0), (4, 45), (5, 60)]);
    street.run(62..=76);
    assert_eq!(street.fired()[3..], [(4, 75), (5, 75), (1, 76), (0, 76), (2, 76), (3, 76)], "and the others when the claim is over");
}

#[test]
fn a_claim_counts_for_l1_until_minute_15_and_on_site_holds_for_30() {
    let mut street = Street::seen_shut();
    street.act(0, PRIMARY, Act::Claim).unwrap();
    street.run(1..=20);
    assert_eq!(street.fired(), [(0, 0), (1, 15), (0, 15), (2, 20)]);

    let mut street = Street::seen_shut();
    street.act(3, PRIMARY, Act::OnSite).unwrap();
    street.run(4..=33);
    assert_eq!(street.fired(), [(0, 0), (1, 33), (0, 33), (2, 33), (3, 33)]);
}

#[test]
fn giving_a_claim_back_calls_at_once_whoever_it_held_back() {
    let mut street = Street::seen_shut();
    street.act(2, PRIMARY, Act::Claim).unwrap();
    street.run(3..=7);
    street.act(8, PRIMARY, Act::Release).unwrap();
    assert_eq!(street.fired(), [(0, 0), (1, 8)]);
    assert_eq!(street.alert().state, AlertState::Open);
}

#[test]
fn a_claim_that_ran_out_reminds_its_holder_once_and_is_open_to_others() {
    let mut street = Street::seen_shut();
    street.act(2, PRIMARY, Act::Claim).unwrap();
    street.tick(16);
    assert!(street.told_with("notice.claim_ran_out").is_empty());
    street.run(17..=30);
    assert_eq!(street.told_with("notice.claim_ran_out"), [PRIMARY]);
    assert_eq!((street.alert().state, street.alert().claimed_by), (AlertState::Open, None));
    street.act(31, BACKUP, Act::Claim).unwrap();
}

#[test]
fn no_answer_at_the_door_starts_family_and_entry_at_once_even_under_a_claim() {
    let mut street = Street::nobody_looked();
    street.act(1, PRIMARY, Act::OnSite).unwrap();
    street.act(4, PRIMARY, Act::NoAnswerAtDoor).unwrap();
    assert_eq!(street.fired(), [(0, 0), (2, 4), (3, 4)]);
    street.run(5..=45);
    assert_eq!(street.fired()[3..], [(1, 31), (0, 31), (4, 45)]);
}

#[test]
fn asking_for_more_people_brings_the_next_level_and_an_emergency_the_last_two() {
    let mut street = Street::seen_shut();
    street.act(1, PRIMARY, Act::Claim).unwrap();
    for (at, level) in [(2, 1), (3, 2), (4, 3), (5, 4), (6, 5)] {
        street.act(at, PRIMARY, Act::Escalate).unwrap();
        assert_eq!(street.alert().level, level, "asked at minute {at}");
    }
    let mut street = Street::seen_shut();
    street.act(1, PRIMARY, Act::Emergency { service: "120".to_owned() }).unwrap();
    assert_eq!(street.fired(), [(0, 0), (4, 1), (5, 1)]);
    assert_eq!(street.alert().emergency_at, Some(minute(1)));
}

#[test]
fn a_trial_compound_answers_a_closed_door_and_an_emergency_with_whomever_it_has() {
    let trial = || {
        let mut street = Street::new();
        street.case.senior.trial_until = Some("2026-11-24".parse().unwrap());
        street.see(SignalKind::Closed, minute(-105));
        street.tick(0);
        street
    };
    let mut street = trial();
    street.act(2, PRIMARY, Act::OnSite).unwrap();
    street.act(3, PRIMARY, Act::NoAnswerAtDoor).unwrap();
    assert_eq!(street.fired(), [(0, 0), (1, 3), (4, 3)], "neighbours and social worker");
    let mut street = trial();
    street.act(2, PRIMARY, Act::Emergency { service: "120".to_owned() }).unwrap();
    assert_eq!(street.fired(), [(0, 0), (4, 2), (5, 2)], "an emergency is urgent: the street hears of it");
    assert_eq!(street.told_with("notice.help_final"), [SECRETARY, STREET]);
    street.run(3..=17);
    assert_eq!(street.fired()[3..], [(1, 5), (0, 10), (4, 17), (5, 17)]);
}

#[test]
fn the_end_of_the_ladder_keeps_its_pace_although_no_message_arrives() {
    let mut street = Street::seen_shut();
    for at in 1..=120 {
        street.tick(at);
        // I14: every word of every rung fails at once, also those to the operators.
        let steps: Vec<i64> = street.alert().steps.iter().filter(|step| step.state == StepState::Fired).map(|step| step.step).collect();
        for step in steps {
            street.event(&Event::Undeliverable { epoch: 1, step, operators: vec![OPERATOR] }, minute(at)).unwrap();
        }
    }
    let last: Vec<i64> = street.fired().iter().filter(|(level, _)| *level == 5).map(|(_, at)| *at).collect();
    assert_eq!(last, [3, 18, 33, 48, 63, 78, 93, 108], "the whole ladder within minutes, then every 15 minutes");
    assert!(street.told_with("notice.step_unheard").contains(&OPERATOR), "I16: nobody is left who could hear it");
}

#[test]
fn an_evening_that_ends_at_midnight_is_not_history_a_minute_later() {
    for (judged, calls) in [(856, true), (914, true), (916, false)] {
        let mut street = Street::new();
        let times = CheckView { counts_from: minute(135), deadline_at: minute(853), cutoff_at: minute(854), ..morning_check(0) };
        let evening = CheckView { slot: Slot::Evening, expected_sign: Sign::Closed, unobserved_delay: TimeDelta::minutes(2), ..times };
        street.case.checks = vec![evening];
        assert!(minute(judged) > street.case.checks[0].day_ends_at);
        street.tick(judged);
        assert_eq!(!street.told_with("notice.alert_look").is_empty(), calls, "judged at minute {judged}");
    }
}

#[test]
fn a_press_for_help_at_night_also_calls_those_whose_phone_is_answered_at_any_hour() {
    let pressed_at = |at: i64, roster: fn(&mut Roster)| {
        let mut street = Street::new();
        roster(&mut street.roster);
        street.see(SignalKind::Help, minute(at));
        street
    };
    let night = pressed_at(-345, |_| {});
    assert_eq!(night.told_with("notice.help_night"), [PROPERTY, STREET], "04:00");
    assert_eq!(night.told_with("notice.help_call"), [PRIMARY]);
    assert!(pressed_at(-15, |_| {}).told_with("notice.help_night").is_empty(), "09:30 is within duty hours");
    let nobody = pressed_at(-345, |roster| roster.grants.retain(|grant| !matches!(grant.role, Role::PropertyStaff | Role::StreetDuty)));
    assert_eq!(nobody.told_with("notice.help_family"), [PRIMARY, SOCIAL], "nobody awake: the family is phoned at once");
    assert_eq!(nobody.told_with("notice.step_found_nobody"), [OPERATOR]);
}

#[test]
fn a_press_for_help_is_more_urgent_than_a_card_and_a_card_slows_no_press() {
    let mut street = Street::pressed(SignalKind::Cry);
    street.see(SignalKind::Help, minute(1));
    assert_eq!((street.alert().epoch, street.alert().cause), (2, Cause::Help));
    street.run(2..=6);
    assert_eq!(street.fired(), [(0, 1), (1, 1), (2, 4), (3, 6)]);
    street.see(SignalKind::Cry, minute(7));
    street.case.checks.push(morning_check(1));
    street.see(SignalKind::Cry, minute(24 * 60));
    assert_eq!((street.alert().epoch, street.alert().cause), (3, Cause::Help));
}

#[test]
fn every_word_about_a_call_for_help_goes_first() {
    let mut street = Street::pressed(SignalKind::Help);
    street.run(1..=30);
    let slow: Vec<_> = street.told.iter().filter(|(_, key)| !key.starts_with("notice.help_")).collect();
    assert!(slow.is_empty(), "{slow:?}");
}

#[test]
fn a_trial_ladder_also_goes_up_when_somebody_asks() {
    let mut street = Street::new();
    street.case.senior.trial_until = Some("2026-11-24".parse().unwrap());
    street.see(SignalKind::Closed, minute(-105));
    street.run(0..=5);
    street.act(6, PRIMARY, Act::Escalate).unwrap();
    assert_eq!(street.fired(), [(0, 0), (1, 5), (4, 6)], "the second call is no answer to a call for more people");
}

#[test]
fn a_rung_that_finds_nobody_falls_through_at_once_and_the_operator_hears_of_it() {
    let mut street = Street::seen_shut();
    street.roster.grants.retain(|grant| grant.role != Role::PropertyStaff);
    street.run(1..=60);
    assert_eq!(street.fired(), [(0, 0), (1, 5), (0, 10), (2, 20), (3, 30), (4, 30), (5, 60)]);
    assert_eq!(street.told_with("notice.step_found_nobody"), [OPERATOR]);

    let mut street = Street::new();
    street.roster = Roster::default();
    street.tick(0);
    let mut levels: Vec<i64> = street.fired().into_iter().map(|(level, _)| level).collect();
    levels.dedup();
    assert_eq!(street.alert().level, 5, "nobody at all: the whole ladder at once, {levels:?}");
    street.tick(14);
    let at_once = street.fired().len();
    street.tick(15);
    assert_eq!(street.fired().len(), at_once + 2, "and L4, L5 again every 15 minutes");
}

#[test]
fn a_door_without_anybody_to_knock_brings_the_family_forward_not_a_second_call() {
    let mut street = Street::seen_shut();
    street.roster.pairings.retain(|(kind, _)| *kind == PairingKind::Primary);
    street.roster.grants.retain(|grant| grant.role != Role::BuildingLead);
    street.run(1..=10);
    assert_eq!(street.fired(), [(0, 0), (1, 5), (2, 5), (0, 10)]);
}

#[test]
fn a_step_that_could_not_be_delivered_brings_the_next_rung_forward_once() {
    let mut street = Street::seen_shut();
    street.event(&Event::Undeliverable { epoch: 2, step: 0, operators: vec![OPERATOR] }, minute(1)).unwrap();
    street.event(&Event::Undeliverable { epoch: 1, step: 1, operators: vec![OPERATOR] }, minute(1)).unwrap();
    assert_eq!(street.fired(), [(0, 0)], "of another epoch, or not fired yet");
    street.event(&Event::Undeliverable { epoch: 1, step: 0, operators: vec![OPERATOR] }, minute(1)).unwrap();
    assert_eq!(street.fired(), [(0, 0), (1, 1)]);
    street.run(2..=20);
    assert_eq!(street.fired(), [(0, 0), (1, 1), (0, 10), (2, 20)], "what follows comes at its own time");
}

#[test]
fn help_raises_the_epoch_voids_the_claim_and_begins_again() {
    let mut street = Street::seen_shut();
    street.run(1..=5);
    street.act(6, PRIMARY, Act::Claim).unwrap();
    street.see(SignalKind::Help, minute(7));
    let alert = street.alert();
    assert_eq!((alert.epoch, alert.ladder, alert.cause, alert.state), (2, Ladder::Help, Cause::Help, AlertState::Open));
    assert_eq!((alert.claimed_by, alert.triggers.len(), alert.opened_at), (None, 2, minute(0)));
    assert!(alert.steps.iter().all(|step| step.epoch == 2 || step.state != StepState::Pending), "the old rungs are void");
    street.run(8..=22);
    assert_eq!(street.fired(), [(0, 7), (1, 7), (2, 10), (3, 12), (4, 17), (5, 22)]);
}

#[test]
fn a_new_date_raises_the_epoch_and_a_second_miss_of_the_same_date_does_not() {
    let mut street = Street::seen_shut();
    let evening = CheckView {
        id: Uuid::from_u128(200),
        slot: Slot::Evening,
        expected_sign: Sign::Closed,
        cutoff_at: minute(600),
        ..morning_check(0)
    };
    street.case.checks.push(CheckView { counts_from: minute(135), deadline_at: minute(585), ..evening });
    street.case.checks.push(morning_check(1));
    street.tick(600);
    assert_eq!((street.alert().epoch, street.alert().triggers.len()), (1, 2));
    street.tick(24 * 60);
    let alert = street.alert();
    assert_eq!((alert.epoch, alert.triggers.len(), alert.cause, alert.level), (2, 3, Cause::NotObserved, 0));
    assert_eq!(street.fired(), [(0, 24 * 60)]);
}

#[test]
fn urgency_never_falls_while_the_alert_is_open() {
    let mut street = Street::new();
    street.see(SignalKind::Help, minute(-30));
    street.case.checks.push(morning_check(1));
    street.run(0..=1);
    street.tick(24 * 60);
    assert_eq!((street.alert().epoch, street.alert().ladder), (2, Ladder::Help));
}

#[test]
fn the_same_press_or_request_is_one_trigger() {
    let mut street = Street::new();
    let press = signal(SignalKind::Help, minute(-30));
    street.append(press.clone(), minute(-30));
    street.event(&Event::Signals(vec![press]), minute(-29)).unwrap();
    assert_eq!((street.alert().triggers.len(), street.alert().epoch), (1, 1));
    let raise = Act::Raise { request: Uuid::from_u128(77), note: None };
    street.act(-20, SOCIAL, raise.clone()).unwrap();
    street.act(-19, SOCIAL, raise).unwrap();
    assert_eq!(street.alert().triggers.len(), 2);
}

#[test]
fn the_first_word_of_a_missed_sign_says_who_reported_her_away_and_a_call_for_help_does_not() {
    let proposed = AbsenceFact {
        id: Uuid::from_u128(500),
        kind: AbsenceKind::Away,
        from_date: "2026-11-23".parse().unwrap(),
        return_date: "2026-11-25".parse().unwrap(),
        reported_by: "女儿".to_owned(),
        confirmed_at: None,
        cancelled_at: None,
        return_confirmed_at: None,
        first_check: None,
    };
    let back = AbsenceFact {
        return_date: "2026-11-23".parse().unwrap(),
        confirmed_at: Some(minute(-2000)),
        first_check: Some(morning_check(0).id),
        ..proposed.clone()
    };
    let said = |absences: &[AbsenceFact], kind: SignalKind| {
        let mut street = Street::new();
        street.case.absences = absences.to_vec();
        street.see(kind, minute(-105));
        let mut told = street.last.clone();
        for at in [0, 5] {
            street.tick(at);
            told.append(&mut street.last);
        }
        let remarks = told.iter().filter_map(|command| match command {
            Command::Tell(notice) => {
                Some((notice.key, notice.arguments.get("remark")?.clone(), notice.arguments.get("reported_by")?.clone()))
            }
            _ => None,
        });
        remarks.collect::<Vec<_>>()
    };
    let remark = |word: &str| vec![("notice.alert_call", word.to_owned(), "女儿".to_owned())];
    assert_eq!(said(std::slice::from_ref(&proposed), SignalKind::Closed), remark("proposed"));
    assert_eq!(said(&[back], SignalKind::Closed), remark("return_in_doubt"));
    assert!(said(&[proposed], SignalKind::Help).is_empty());
    assert!(said(&[], SignalKind::Closed).is_empty());
}
