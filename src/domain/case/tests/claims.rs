//! Who is going, who was sent, and what happens when nobody is after all.

use super::*;
use crate::domain::outcome::ContactProof;

/// The number under which the word to whoever was sent is written.
fn word_of_assignment(street: &Street) -> i64 {
    street.alert().claim_until.expect("somebody was sent").timestamp_millis()
}

#[test]
fn sending_somebody_whom_no_message_reaches_holds_nothing_and_the_sender_hears_of_it() {
    let mut street = Street::seen_shut();
    street.act(2, SOCIAL, Act::Assign { to: BACKUP }).unwrap();
    let step = word_of_assignment(&street);
    street.event(&Event::Undeliverable { epoch: 1, step, operators: Vec::new() }, minute(6)).unwrap();
    assert_eq!((street.alert().state, street.alert().claimed_by), (AlertState::Open, None));
    assert_eq!(street.told_with("notice.assigned_unreachable"), [SOCIAL]);
    assert_eq!(street.fired(), [(0, 0), (1, 6)], "what was held comes at once");
    street.event(&Event::Undeliverable { epoch: 1, step, operators: Vec::new() }, minute(7)).unwrap();
    assert_eq!(street.told_with("notice.assigned_unreachable"), [SOCIAL], "once");
}

#[test]
fn a_claim_of_ones_own_is_not_taken_back_because_an_older_word_failed() {
    let mut street = Street::seen_shut();
    street.act(2, SOCIAL, Act::Assign { to: BACKUP }).unwrap();
    let step = word_of_assignment(&street);
    street.act(3, BACKUP, Act::OnSite).unwrap();
    street.event(&Event::Undeliverable { epoch: 1, step, operators: Vec::new() }, minute(4)).unwrap();
    assert_eq!((street.alert().state, street.alert().claimed_by), (AlertState::OnSite, Some(BACKUP)));
}

#[test]
fn whoever_was_going_hears_that_somebody_else_was_sent() {
    let mut street = Street::seen_shut();
    street.act(1, PRIMARY, Act::Claim).unwrap();
    street.act(2, SOCIAL, Act::Assign { to: BACKUP }).unwrap();
    assert_eq!(street.told_with("notice.passed_on"), [PRIMARY]);
    street.act(3, SOCIAL, Act::Assign { to: BACKUP }).unwrap();
    assert_eq!(street.told_with("notice.passed_on"), [PRIMARY], "the same person again displaces nobody");
}

#[test]
fn a_claim_takes_back_nothing_that_a_closed_door_or_a_call_for_people_has_started() {
    let mut street = Street::seen_shut();
    street.act(1, BACKUP, Act::NoAnswerAtDoor).unwrap();
    street.act(1, BACKUP, Act::Claim).unwrap();
    assert_eq!(street.cancelled(), Some(Unwanted::Rungs { epoch: 1, steps: vec![0] }), "only the first word");
    let mut street = Street::seen_shut();
    street.act(1, BACKUP, Act::Escalate).unwrap();
    street.act(1, BACKUP, Act::Claim).unwrap();
    assert_eq!(street.cancelled(), Some(Unwanted::Rungs { epoch: 1, steps: vec![0] }));
}

#[test]
fn whom_a_claim_kept_from_being_told_hears_of_it_when_the_claim_ends() {
    let claimed = || {
        let mut street = Street::seen_shut();
        street.act(1, PRIMARY, Act::Claim).unwrap();
        street
    };
    let mut street = claimed();
    street.tick(15);
    assert!(!street.tells_again());
    street.tick(16);
    assert!(street.tells_again(), "it ran out");
    let mut street = claimed();
    street.act(2, PRIMARY, Act::Release).unwrap();
    assert!(street.tells_again(), "it was given back");
    let mut street = claimed();
    street.event(&Event::Left(PRIMARY), minute(2)).unwrap();
    assert!(street.tells_again(), "its holder has left");
}

#[test]
fn a_member_who_has_left_holds_nothing() {
    let mut street = Street::seen_shut();
    street.act(2, PRIMARY, Act::OnSite).unwrap();
    street.event(&Event::Left(BACKUP), minute(3)).unwrap();
    assert_eq!(street.alert().claimed_by, Some(PRIMARY), "somebody else's leaving changes nothing");
    street.event(&Event::Left(PRIMARY), minute(7)).unwrap();
    assert_eq!((street.alert().state, street.alert().claimed_by), (AlertState::Open, None));
    assert_eq!(street.fired(), [(0, 0), (1, 7)]);
}

#[test]
fn opening_again_calls_back_everybody_and_goes_on_at_the_same_level() {
    let mut street = Street::seen_shut();
    street.run(1..=20);
    let proof = Some(ContactProof::SeenInPerson);
    let resolution = Resolution { safe: true, proof, proof_by: None, proof_at: None, outcome: None, note: None, return_date: None };
    street.act(21, PRIMARY, Act::Resolve(resolution)).unwrap();
    street.act(22, SOCIAL, Act::Reopen { reason: "走错了门".to_owned() }).unwrap();
    let recalled = |command: &Command| matches!(command, Command::Recall { key: "notice.open_again", except: Some(SOCIAL), .. });
    assert!(street.last.iter().any(recalled) && street.tells_again());
    assert_eq!((street.alert().level, street.fired().last()), (2, Some(&(0, 22))));
    street.run(23..=31);
    assert_eq!(street.fired().last(), Some(&(3, 31)), "what was left of the ladder, without the pause");
}
