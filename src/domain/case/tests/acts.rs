//! What people may do with an alert, and what ends it.

use super::*;
use crate::domain::absence::AbsenceKind;
use crate::domain::outcome::ContactProof;
use crate::domain::refusal::RefusalKind;
use crate::domain::signal::Evidence;
use crate::domain::silence::Silenced;

fn met() -> Resolution {
    Resolution {
        safe: true,
        proof: Some(ContactProof::SeenInPerson),
        proof_by: None,
        proof_at: None,
        outcome: None,
        note: None,
        return_date: None,
    }
}

fn refusal(result: Result<(), Refusal>) -> (RefusalKind, Option<String>) {
    let refusal = result.expect_err("this is refused");
    (refusal.kind, refusal.field)
}

#[test]
fn the_first_claim_wins_again_changes_nothing_and_another_hears_who_it_is() {
    let mut street = Street::seen_shut();
    street.act(1, PRIMARY, Act::Claim).unwrap();
    let until = street.alert().claim_until;
    street.act(2, PRIMARY, Act::Claim).unwrap();
    assert_eq!(street.alert().claim_until, until, "a second tap renews nothing");
    for act in [Act::Claim, Act::OnSite, Act::Release, Act::Extend] {
        let refused = street.act(3, BACKUP, act).expect_err("held by another");
        assert_eq!(refused.kind, RefusalKind::Conflict);
        assert_eq!(refused.arguments["member_id"], PRIMARY.to_string());
    }
    assert_eq!(street.rows.iter().filter(|kind| **kind == TimelineKind::Claimed).count(), 1);
    street.act(4, PRIMARY, Act::Extend).unwrap();
    assert_eq!(street.alert().claim_until, Some(minute(19)));
    street.act(5, PRIMARY, Act::OnSite).unwrap();
    assert_eq!((street.alert().state, street.alert().claim_until), (AlertState::OnSite, Some(minute(35))));
    street.act(6, SOCIAL, Act::Assign { to: BACKUP }).unwrap();
    assert_eq!(street.alert().claimed_by, Some(BACKUP), "who takes command may send somebody else");
    assert_eq!(street.told_with("notice.assigned"), [BACKUP]);
    assert_eq!(refusal(street.act(7, PRIMARY, Act::Release)).0, RefusalKind::Conflict);
}

#[test]
fn nobody_extends_or_gives_back_what_nobody_claimed() {
    let mut street = Street::seen_shut();
    for act in [Act::Release, Act::Extend] {
        assert_eq!(street.act(1, PRIMARY, act).unwrap_err().key, "problem.not_claimed");
    }
    assert_eq!(Street::new().act(1, PRIMARY, Act::Claim).unwrap_err().kind, RefusalKind::NotFound);
}

#[test]
fn a_claim_takes_back_what_nobody_has_sealed_but_never_a_word_of_l4_and_l5() {
    let mut street = Street::seen_shut();
    street.run(1..=60);
    // Claimed between two repeats: call, door, again, family and entry are taken back, command and final are not.
    street.act(61, PRIMARY, Act::Claim).unwrap();
    assert_eq!(street.cancelled(), Some(Unwanted::Rungs { epoch: 1, steps: vec![0, 1, 2, 3, 4] }));
    street.act(62, PRIMARY, Act::Resolve(met())).unwrap();
    assert_eq!(street.cancelled(), Some(Unwanted::All));
}

/// Name, who resolves, with what, and the refusal.
type ProofRow = (&'static str, Uuid, Resolution, Option<(RefusalKind, Option<String>)>);

#[test]
fn resolving_needs_proof_and_each_proof_what_makes_it_one() {
    let named = |by: Option<&str>, at: Option<i64>| Resolution {
        proof: Some(ContactProof::SeenByNamedPerson),
        proof_by: by.map(str::to_owned),
        proof_at: at.map(minute),
        ..met()
    };
    let invalid = |field: &str| Some((RefusalKind::Invalid, Some(field.to_owned())));
    let date = |day: &str| Some(day.parse().unwrap());
    let rows: Vec<ProofRow> = vec![
        ("met", PRIMARY, met(), None),
        ("no proof", SOCIAL, Resolution { proof: None, ..met() }, invalid("contact_proof")),
        ("no proof, benign", SOCIAL, Resolution { proof: None, outcome: Some(Outcome::Overslept), ..met() }, invalid("contact_proof")),
        (
            "sensor, volunteer",
            PRIMARY,
            Resolution { proof: None, outcome: Some(Outcome::SensorFault), ..met() },
            Some((RefusalKind::Forbidden, None)),
        ),
        ("sensor, social worker", SOCIAL, Resolution { proof: None, outcome: Some(Outcome::SensorFault), ..met() }, None),
        ("named, nobody", PRIMARY, named(None, Some(5)), invalid("proof_by")),
        ("named, blank", PRIMARY, named(Some("  "), Some(5)), invalid("proof_by")),
        ("named, never", PRIMARY, named(Some("门口老赵"), None), invalid("proof_at")),
        ("named, an hour before the cutoff", PRIMARY, named(Some("门口老赵"), Some(-60)), None),
        ("named, earlier", PRIMARY, named(Some("门口老赵"), Some(-61)), invalid("proof_at")),
        ("named, now", PRIMARY, named(Some("门口老赵"), Some(10)), None),
        ("named, in the future", PRIMARY, named(Some("门口老赵"), Some(11)), invalid("proof_at")),
        (
            "other without a note",
            PRIMARY,
            Resolution { outcome: Some(Outcome::Other), note: Some(" ".to_owned()), ..met() },
            invalid("note"),
        ),
        ("other with a note", PRIMARY, Resolution { outcome: Some(Outcome::Other), note: Some("换了窗帘".to_owned()), ..met() }, None),
        ("hospital, no return", PRIMARY, Resolution { outcome: Some(Outcome::Hospital), ..met() }, invalid("return_date")),
        (
            "hospital, today",
            PRIMARY,
            Resolution { outcome: Some(Outcome::Hospital), return_date: date("2026-11-23"), ..met() },
            invalid("return_date"),
        ),
        ("hospital, tomorrow", PRIMARY, Resolution { outcome: Some(Outcome::Hospital), return_date: date("2026-11-24"), ..met() }, None),
        ("hospital, two weeks", PRIMARY, Resolution { outcome: Some(Outcome::Hospital), return_date: date("2026-12-07"), ..met() }, None),
        (
            "hospital, longer",
            PRIMARY,
            Resolution { outcome: Some(Outcome::Hospital), return_date: date("2026-12-08"), ..met() },
            invalid("return_date"),
        ),
    ];
    for (name, by, resolution, expected) in rows {
        let mut street = Street::seen_shut();
        let before = street.case.clone();
        let result = street.act(10, by, Act::Resolve(resolution));
        assert_eq!(result.clone().err().map(|refusal| (refusal.kind, refusal.field)), expected, "{name}");
        assert_eq!(street.case == before, expected.is_some(), "{name}: a refusal changes nothing");
        assert_eq!(street.alert().resolved_at.is_some(), expected.is_none(), "{name}");
    }
}

#[test]
fn a_sighting_before_the_press_for_help_does_not_answer_it() {
    for pressed in [1, 60] {
        let mut street = Street::seen_shut();
        street.see(SignalKind::Help, minute(pressed));
        let named = |at: i64| {
            let (proof_by, proof_at) = (Some("门口老赵".to_owned()), Some(minute(at)));
            Act::Resolve(Resolution { proof: Some(ContactProof::SeenByNamedPerson), proof_by, proof_at, ..met() })
        };
        assert_eq!(refusal(street.act(70, PRIMARY, named(pressed - 1))).1.as_deref(), Some("proof_at"));
        street.act(70, PRIMARY, named(pressed)).unwrap();
    }
}

#[test]
fn a_volunteer_only_proposes_what_would_silence_and_the_reviewer_makes_it_count() {
    let silenced = |commands: &[Command]| -> Vec<Silenced> {
        commands.iter().filter_map(|command| if let Command::Silenced { what, .. } = command { Some(*what) } else { None }).collect()
    };
    let ends = |commands: &[Command]| commands.iter().any(|command| matches!(command, Command::EndAgreements { .. }));
    let confirmed = |commands: &[Command]| {
        commands.iter().find_map(|command| if let Command::AddAbsence { confirmed, .. } = command { Some(*confirmed) } else { None })
    };
    let volunteer = Actor { id: PRIMARY, may_silence: false, may_confirm: false };
    let social = Actor { id: SOCIAL, may_silence: true, may_confirm: true };
    let act = |street: &mut Street, actor, act, at| decide(&mut street.case, &Event::Act(actor, act), minute(at)).unwrap();

    let mut street = Street::seen_shut();
    let gone = Resolution { outcome: Some(Outcome::Hospital), return_date: Some("2026-11-30".parse().unwrap()), ..met() };
    let commands = act(&mut street, volunteer, Act::Resolve(gone), 10);
    assert_eq!((confirmed(&commands), silenced(&commands)), (Some(false), vec![Silenced::Proposed]), "tomorrow is an ordinary morning");
    let review = Act::Review { outcome: None, return_date: Some("2026-11-28".parse().unwrap()) };
    let commands = act(&mut street, social, review, 20);
    assert_eq!((confirmed(&commands), silenced(&commands)), (Some(true), vec![Silenced::Absence]));

    let mut street = Street::seen_shut();
    let commands = act(&mut street, volunteer, Act::Resolve(Resolution { outcome: Some(Outcome::Withdrew), ..met() }), 10);
    assert!(!ends(&commands) && silenced(&commands) == [Silenced::Proposed], "{commands:?}");
    let commands = act(&mut street, social, Act::Review { outcome: None, return_date: None }, 20);
    assert!(ends(&commands) && silenced(&commands) == [Silenced::Ended], "{commands:?}");

    let mut street = Street::seen_shut();
    act(&mut street, volunteer, Act::Resolve(met()), 10);
    let later = Act::Review { outcome: Some(Outcome::Hospital), return_date: None };
    let refused = decide(&mut street.case, &Event::Act(social, later), minute(20)).unwrap_err();
    assert_eq!(refused.field.as_deref(), Some("return_date"), "who finds out later is asked the same");
}

#[test]
fn opening_a_case_again_takes_back_the_absence_and_the_good_news_that_nobody_has_read() {
    let mut street = Street::seen_shut();
    let gone = Resolution { outcome: Some(Outcome::Travel), return_date: Some("2026-11-30".parse().unwrap()), ..met() };
    street.act(10, SOCIAL, Act::Resolve(gone)).unwrap();
    let social = Actor { id: SOCIAL, may_silence: true, may_confirm: true };
    let reopened = decide(&mut street.case, &Event::Act(social, Act::Reopen { reason: "不是她".to_owned() }), minute(20)).unwrap();
    assert!(reopened.iter().any(|command| matches!(command, Command::CancelAbsence { by: Some(SOCIAL), .. })), "{reopened:?}");
    assert!(reopened.contains(&Command::CancelStandDown), "{reopened:?}");
    assert!(street.case.absences.iter().all(|absence| absence.cancelled_at == Some(minute(20))));
}

#[test]
fn who_could_not_see_the_window_is_not_said_to_have_seen_it_shut() {
    for (kind, cause) in [(SignalKind::Closed, Cause::NotOpen), (SignalKind::NotVisible, Cause::Blind)] {
        let mut street = Street::nobody_looked();
        // A knock that nobody answered came first; the window is news all the same.
        street.act(1, BACKUP, Act::NoAnswerAtDoor).unwrap();
        street.see(kind, minute(2));
        assert_eq!(street.alert().cause, cause);
        assert_eq!(street.told_with("notice.alert_call"), [PRIMARY], "{kind}");
    }
}

#[test]
fn a_call_for_help_is_heard_although_the_clock_of_the_phone_is_wrong() {
    let mut street = Street::new();
    let fast = SignalFact { standing: Standing::ClockSuspect, ..signal(SignalKind::Help, minute(3)) };
    street.append(fast, minute(0));
    assert_eq!((street.alert().cause, street.alert().proof_from()), (Cause::Help, Some(minute(0))));
}

#[test]
fn what_an_outcome_asks_for_happens_in_the_same_request() {
    let resolve = |outcome, return_date: Option<&str>| {
        let mut street = Street::seen_shut();
        let resolution = Resolution {
            outcome: Some(outcome),
            safe: outcome != Outcome::Deceased,
            return_date: return_date.map(|day| day.parse().unwrap()),
            ..met()
        };
        decide(
            &mut street.case,
            &Event::Act(Actor { id: SOCIAL, may_silence: true, may_confirm: true }, Act::Resolve(resolution)),
            minute(10),
        )
        .unwrap()
    };
    let has = |commands: &[Command], wanted: fn(&Command) -> bool| commands.iter().any(wanted);
    let absence: fn(&Command) -> bool =
        |command| matches!(command, Command::AddAbsence { kind: AbsenceKind::Hospital | AbsenceKind::Institution, .. });
    let ends: fn(&Command) -> bool = |command| matches!(command, Command::EndAgreements { .. });
    let quiet: fn(&Command) -> bool = |command| matches!(command, Command::StandDown { key: "notice.stand_down_handled", .. });
    for (outcome, date, expected) in [
        (Outcome::ForgotCurtain, None, [false, false, false]),
        (Outcome::Hospital, Some("2026-11-30"), [true, false, false]),
        (Outcome::Institution, Some("2026-11-30"), [true, true, false]),
        (Outcome::Deceased, None, [false, true, true]),
        (Outcome::Withdrew, None, [false, true, true]),
        (Outcome::Unwell, None, [false, false, true]),
    ] {
        let commands = resolve(outcome, date);
        assert_eq!([has(&commands, absence), has(&commands, ends), has(&commands, quiet)], expected, "{outcome}");
    }
}

#[test]
fn a_sight_a_voice_or_the_sign_ends_a_missed_alert_and_nothing_weaker_does() {
    let kinds = [
        (SignalKind::SeenInPerson, Some(ContactProof::SeenInPerson)),
        (SignalKind::SpokeWithPerson, Some(ContactProof::SpokeWithPerson)),
        (SignalKind::Open, Some(ContactProof::AgreedSignSeenLate)),
        (SignalKind::FamilyConfirms, None),
        (SignalKind::NoAnswer, None),
        (SignalKind::SelfReport, None),
        (SignalKind::Closed, None),
    ];
    for (kind, proof) in kinds {
        let mut street = Street::seen_shut();
        street.see(kind, minute(5));
        assert_eq!(street.alert().contact_proof, proof, "{kind}");
        assert_eq!(street.alert().resolved_at.is_some(), proof.is_some(), "{kind}");
        let mut street = Street::pressed(SignalKind::Help);
        street.see(kind, minute(5));
        assert!(street.alert().is_unresolved(), "{kind} does not answer a press for help");
    }
    let mut street = Street::seen_shut();
    let sensor = SignalFact { source: Source::Device, evidence: Some(Evidence::A), ..signal(SignalKind::Open, minute(5)) };
    street.append(sensor, minute(5));
    assert!(street.alert().is_unresolved() && street.rows.contains(&TimelineKind::SensorNote), "a late sensor is a note");
}

#[test]
fn a_late_sensor_asks_whoever_is_going_for_a_call_once() {
    let sensor = |at: i64| SignalFact { source: Source::Device, evidence: Some(Evidence::A), ..signal(SignalKind::Open, minute(at)) };
    let mut street = Street::seen_shut();
    street.append(sensor(5), minute(5));
    street.append(sensor(6), minute(6));
    assert_eq!(street.told_with("notice.alert_confirm"), [PRIMARY]);
    assert_eq!(street.alert().sensor_noted_at, Some(minute(5)));
    street.run(7..=60);
    assert_eq!(street.alert().level, 5, "the ladder goes on");

    let mut street = Street::seen_shut();
    street.act(1, BACKUP, Act::Claim).unwrap();
    street.append(sensor(5), minute(5));
    assert_eq!(street.told_with("notice.alert_confirm"), [BACKUP]);

    let mut street = Street::pressed(SignalKind::Help);
    street.append(sensor(5), minute(5));
    assert!(street.told_with("notice.alert_confirm").is_empty() && street.alert().sensor_noted_at.is_none(), "a curtain answers no press");
}

#[test]
fn an_outcome_is_completed_after_a_sign_closed_the_alert_and_its_proof_stays() {
    let mut street = Street::seen_shut();
    street.see(SignalKind::SpokeWithPerson, minute(5));
    assert_eq!(refusal(street.act(6, PRIMARY, Act::Resolve(met()))).1.as_deref(), Some("outcome"));
    street.act(7, PRIMARY, Act::Resolve(Resolution { outcome: Some(Outcome::Overslept), ..met() })).unwrap();
    assert_eq!((street.alert().outcome, street.alert().contact_proof), (Some(Outcome::Overslept), Some(ContactProof::SpokeWithPerson)));
    for act in [Act::Claim, Act::Resolve(met()), Act::Escalate] {
        assert_eq!(street.act(8, PRIMARY, act).unwrap_err().key, "problem.alert_already_resolved");
    }
}

#[test]
fn an_undone_sighting_opens_the_alert_again_at_its_level_unless_another_stands() {
    let mut street = Street::seen_shut();
    street.run(1..=20);
    let level = street.alert().level;
    let sight = street.see(SignalKind::Open, minute(21));
    assert!(!street.alert().is_unresolved());
    street.run(22..=50);
    let undo = SignalFact { replaces: Some(sight), ..signal(SignalKind::NotVisible, minute(51)) };
    street.append(undo, minute(51));
    assert_eq!((street.alert().state, street.alert().level, street.alert().epoch), (AlertState::Open, level, 1));
    assert_eq!(street.fired().last(), Some(&(0, 51)), "those who stood down are called again");
    street.run(52..=75);
    assert_eq!(street.fired()[5..], [(3, 60), (4, 75)], "the ladder goes on where it stopped, without the pause");

    let mut street = Street::seen_shut();
    let sight = street.see(SignalKind::Open, minute(21));
    street.see(SignalKind::SpokeWithPerson, minute(22));
    street.append(SignalFact { replaces: Some(sight), ..signal(SignalKind::NotVisible, minute(23)) }, minute(23));
    assert_eq!(street.alert().contact_proof, Some(ContactProof::SpokeWithPerson), "the voice still proves it");
}

#[test]
fn reopening_and_reviewing_follow_a_resolution_and_a_review_needs_an_outcome() {
    let reopen = || Act::Reopen { reason: "走错了门".to_owned() };
    let mut street = Street::seen_shut();
    street.run(1..=20);
    assert_eq!(refusal(street.act(20, SOCIAL, reopen())).0, RefusalKind::Conflict);
    assert_eq!(refusal(street.act(20, SOCIAL, Act::Review { outcome: None, return_date: None })).0, RefusalKind::Conflict);
    street.act(21, PRIMARY, Act::Resolve(met())).unwrap();
    assert_eq!(refusal(street.act(22, SOCIAL, Act::Review { outcome: None, return_date: None })).1.as_deref(), Some("outcome"));
    street.act(23, SOCIAL, Act::Review { outcome: Some(Outcome::NotHeard), return_date: None }).unwrap();
    assert_eq!((street.alert().state, street.alert().reviewed_by), (AlertState::Reviewed, Some(SOCIAL)));
    street.act(24, SOCIAL, reopen()).unwrap();
    let alert = street.alert();
    assert_eq!((alert.state, alert.level, alert.outcome, alert.contact_proof, alert.reviewed_at), (AlertState::Open, 2, None, None, None));
}

#[test]
fn an_alert_that_a_person_opened_again_is_not_closed_by_the_old_sign_but_by_a_new_one() {
    let mut street = Street::seen_shut();
    street.see(SignalKind::Open, minute(5));
    street.act(6, SOCIAL, Act::Reopen { reason: "看错了窗".to_owned() }).unwrap();
    street.see(SignalKind::NoAnswer, minute(7));
    street.see(SignalKind::NotVisible, minute(8));
    assert!(street.alert().is_unresolved());
    street.see(SignalKind::SpokeWithPerson, minute(9));
    assert_eq!(street.alert().contact_proof, Some(ContactProof::SpokeWithPerson));
}

#[test]
fn an_act_on_a_closed_alert_never_falls_on_one_that_opens_in_the_same_second() {
    let mut street = Street::seen_shut();
    street.see(SignalKind::SpokeWithPerson, minute(5));
    let yesterday = street.alert().id;
    street.case.checks.push(morning_check(1));
    // The next day's check is overdue and not judged yet when yesterday's outcome is typed in.
    street.act(24 * 60, PRIMARY, Act::Resolve(Resolution { outcome: Some(Outcome::Overslept), ..met() })).unwrap();
    assert_eq!(street.alert().id, yesterday);
    street.tick(24 * 60);
    assert!(street.alert().id != yesterday && street.alert().is_unresolved(), "today's alert opens and stays open");
}

#[test]
fn a_canary_calls_nobody_but_the_operator() {
    let mut street = Street::new();
    street.case.senior.canary = true;
    street.run(0..=60);
    assert!(!street.told.is_empty() && street.told.iter().all(|(member, _)| *member == OPERATOR), "{:?}", street.told);
}
