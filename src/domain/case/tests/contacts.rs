//! Family told by message at L2: one after the other, beside the ladder.

use super::*;
use crate::domain::alert::{ContactAnswer, StepAct};
use crate::domain::roster::ContactFact;

const DAUGHTER: Uuid = Uuid::from_u128(21);
const SON: Uuid = Uuid::from_u128(22);
const NIECE: Uuid = Uuid::from_u128(23);

impl Street {
    fn with_family(mut self) -> Self {
        let contact = |id, relation: &str| ContactFact { id, relation: relation.to_owned() };
        self.roster.contacts = vec![contact(DAUGHTER, "女儿"), contact(SON, "儿子"), contact(NIECE, "侄女")];
        self.roster.contacts_reachable = true;
        self
    }

    fn answers(&mut self, at: i64, contact: Uuid, answer: ContactAnswer) {
        self.event(&Event::ContactAnswered { contact, answer, minutes: None }, minute(at)).unwrap();
    }

    /// Whom of the family at which minute since the alert opened.
    fn family(&self) -> Vec<(Uuid, i64)> {
        let alert = self.alert();
        alert
            .contacts
            .iter()
            .filter(|call| call.epoch == alert.epoch)
            .map(|call| (call.contact_id, (call.told_at - alert.opened_at).num_minutes()))
            .collect()
    }

    /// The rungs alone.
    fn rungs(&self) -> Vec<(i64, i64)> {
        let alert = self.alert();
        let fired = alert.steps.iter().filter(|step| step.state == StepState::Fired && step.act.is_rung());
        let mut fired: Vec<(i64, i64)> = fired.map(|step| (step.level, (step.fired_at.unwrap() - alert.opened_at).num_minutes())).collect();
        fired.sort_by_key(|(_, at)| *at);
        fired
    }

    fn step_of(&self, contact: Uuid) -> i64 {
        self.alert().contacts.iter().find(|call| call.contact_id == contact).expect("she was told").step
    }
}

#[test]
fn the_family_is_told_from_l2_on_one_after_the_other_each_once_and_the_ladder_does_not_wait() {
    let ladder = [(0, 0), (1, 5), (0, 10), (2, 20), (3, 30), (4, 45), (5, 60), (4, 75), (5, 75)];
    for (name, mut street, expected, rungs) in [
        ("seen shut", Street::seen_shut(), vec![(DAUGHTER, 20), (SON, 23), (NIECE, 26)], ladder.to_vec()),
        ("nobody looked", Street::nobody_looked(), vec![(DAUGHTER, 30), (SON, 33), (NIECE, 36)], {
            let mut late = ladder.to_vec();
            late[3] = (2, 30);
            late
        }),
    ]
    .map(|(name, street, expected, rungs)| (name, street.with_family(), expected, rungs))
    {
        for at in 1..=75 {
            street.tick(at);
            street.tick(at);
        }
        assert_eq!((street.family(), street.rungs()), (expected, rungs), "{name}");
        let contacts: Vec<Uuid> = street.told.iter().map(|(member, _)| *member).filter(|id| [DAUGHTER, SON, NIECE].contains(id)).collect();
        assert!(contacts.is_empty(), "no contact is told as a member");
    }
}

#[test]
fn a_look_that_finds_the_curtain_shut_ends_the_wait_of_the_family_too() {
    let mut street = Street::nobody_looked().with_family();
    street.run(1..=21);
    assert!(street.family().is_empty());
    street.see(SignalKind::Closed, minute(22));
    street.run(22..=25);
    assert_eq!(street.family(), [(DAUGHTER, 22), (SON, 25)]);
}

#[test]
fn who_takes_it_on_ends_the_turns_of_the_others_and_who_goes_hears_of_it() {
    for (answer, key) in [(ContactAnswer::Going, "notice.contact_going"), (ContactAnswer::Reached, "notice.contact_reached")] {
        let mut street = Street::seen_shut().with_family();
        street.run(1..=23);
        street.answers(24, SON, answer);
        assert!(street.cancelled().is_some(), "nobody of the family is rung any more");
        assert_eq!(street.told_with(key), [PRIMARY, SOCIAL], "{answer}");
        street.answers(25, SON, answer);
        street.run(25..=60);
        assert_eq!(street.told_with(key).len(), 2, "the same answer is no news");
        assert_eq!(street.family(), [(DAUGHTER, 20), (SON, 23)]);
        assert!(street.alert().is_unresolved(), "what a family says resolves nothing");
        assert_eq!(street.rungs()[4..], [(3, 30), (4, 45), (5, 60)], "and holds nothing");
    }
}

#[test]
fn a_no_or_a_dead_number_brings_the_next_turn_at_once_and_only_that_of_the_latest() {
    let mut street = Street::seen_shut().with_family();
    street.run(1..=20);
    street.answers(21, DAUGHTER, ContactAnswer::Cannot);
    assert_eq!(street.family(), [(DAUGHTER, 20), (SON, 21)]);
    street.event(&Event::Undeliverable { epoch: 1, step: street.step_of(DAUGHTER), operators: vec![OPERATOR] }, minute(22)).unwrap();
    assert_eq!(street.family().len(), 2, "the turn is the son's already");
    street.event(&Event::Undeliverable { epoch: 1, step: street.step_of(SON), operators: vec![OPERATOR] }, minute(22)).unwrap();
    assert_eq!(street.family(), [(DAUGHTER, 20), (SON, 21), (NIECE, 22)]);
    street.event(&Event::Unanswered { epoch: 1, step: street.step_of(NIECE) }, minute(23)).unwrap();
    street.run(24..=45);
    assert_eq!(street.rungs(), [(0, 0), (1, 5), (0, 10), (2, 20), (3, 30), (4, 45)], "no rung comes earlier for it");
    assert!(street.told_with("notice.step_unheard").is_empty() && street.told_with("notice.contact_cannot").is_empty());
}

#[test]
fn who_said_yes_may_say_no_and_then_the_next_is_told_and_who_relied_on_it_hears() {
    let mut street = Street::seen_shut().with_family();
    street.run(1..=20);
    street.answers(21, DAUGHTER, ContactAnswer::Going);
    street.run(22..=29);
    street.answers(30, DAUGHTER, ContactAnswer::Cannot);
    assert_eq!(street.told_with("notice.contact_cannot"), [PRIMARY, SOCIAL]);
    assert_eq!(street.family(), [(DAUGHTER, 20), (SON, 30)]);
    assert_eq!(
        street.event(&Event::ContactAnswered { contact: NIECE, answer: ContactAnswer::Going, minutes: None }, minute(31)).unwrap_err(),
        Refusal::not_found(),
        "she was never told"
    );
}

#[test]
fn a_claim_holds_the_turns_that_are_left_and_a_closed_door_does_not_wait_for_it() {
    let mut street = Street::seen_shut().with_family();
    street.run(1..=20);
    street.act(21, PRIMARY, Act::Claim).unwrap();
    street.run(22..=35);
    assert_eq!(street.family(), [(DAUGHTER, 20)]);
    street.run(36..=39);
    assert_eq!(street.family(), [(DAUGHTER, 20), (SON, 36), (NIECE, 39)], "the claim ran out without a word");

    let mut street = Street::seen_shut().with_family();
    street.act(1, PRIMARY, Act::OnSite).unwrap();
    street.act(4, PRIMARY, Act::NoAnswerAtDoor).unwrap();
    street.run(5..=10);
    assert_eq!(street.family(), [(DAUGHTER, 4), (SON, 7), (NIECE, 10)]);
    assert_eq!(street.told_with("notice.alert_family"), [PRIMARY, SOCIAL]);
}

#[test]
fn nobody_of_the_family_is_told_in_trial_in_a_drill_of_a_canary_or_where_nothing_reaches_them() {
    let told = |change: fn(&mut Street)| {
        let mut street = Street::new().with_family();
        street.see(SignalKind::Closed, minute(-105));
        change(&mut street);
        street.run(0..=60);
        (street.family().len(), street.rows.iter().filter(|kind| **kind == TimelineKind::ContactsUntold).count())
    };
    assert_eq!(told(|_| {}), (3, 0));
    assert_eq!(told(|street| street.case.senior.trial_until = Some("2026-11-24".parse().unwrap())), (0, 0));
    assert_eq!(told(|street| street.case.senior.canary = true), (0, 0));
    assert_eq!(told(|street| street.roster.contacts_reachable = false), (0, 1), "the timeline says so once");
    assert_eq!(told(|street| street.roster.contacts.clear()), (0, 0));
    let mut street = Street::new().with_family();
    street.case.senior.trial_until = Some("2026-11-24".parse().unwrap());
    street.see(SignalKind::Help, minute(0));
    street.run(1..=9);
    assert_eq!(street.family(), [(DAUGHTER, 3), (SON, 6), (NIECE, 9)], "a call for help is urgent in trial, too");
    street.answers(10, NIECE, ContactAnswer::Going);
    let slow: Vec<_> = street.told.iter().filter(|(_, key)| !key.starts_with("notice.help_")).collect();
    assert!(slow.is_empty(), "{slow:?}");
}

#[test]
fn the_end_of_the_alert_ends_the_turns_and_a_new_epoch_begins_them_again() {
    let mut street = Street::seen_shut().with_family();
    street.run(1..=20);
    street.see(SignalKind::SeenInPerson, minute(21));
    street.run(22..=40);
    assert_eq!(street.family(), [(DAUGHTER, 20)]);
    let answer = Event::ContactAnswered { contact: DAUGHTER, answer: ContactAnswer::Going, minutes: None };
    assert!(street.event(&answer, minute(41)).is_err(), "it is over");

    let mut street = Street::seen_shut().with_family();
    street.run(1..=20);
    street.see(SignalKind::Help, minute(21));
    street.run(22..=27);
    assert_eq!(street.family(), [(DAUGHTER, 24), (SON, 27)], "told once in each epoch");
}

/// I11, I13, I14: a rung that nobody took the telephone for counts as unheard, once, and no more than that.
#[test]
fn a_step_of_which_nobody_takes_the_telephone_brings_the_rung_after_it_and_no_other() {
    let unanswered = |street: &mut Street, step, at| street.event(&Event::Unanswered { epoch: 1, step }, minute(at)).unwrap();
    let act_of = |street: &Street, act| street.alert().steps.iter().find(|step| step.act == act).expect("a rung").step;

    let mut street = Street::seen_shut();
    street.run(1..=7);
    unanswered(&mut street, 0, 7);
    assert_eq!(street.rungs(), [(0, 0), (1, 5)], "L1 has been told since: whether that arrives is seen there");
    let door = act_of(&street, StepAct::Door);
    street.run(8..=11);
    unanswered(&mut street, door, 11);
    assert_eq!(street.rungs(), [(0, 0), (1, 5), (0, 10), (2, 11)]);
    unanswered(&mut street, door, 12);
    street.run(12..=30);
    assert_eq!(street.rungs(), [(0, 0), (1, 5), (0, 10), (2, 11), (3, 30)], "once, and what follows keeps its time");
    assert_eq!(street.rows.iter().filter(|kind| **kind == TimelineKind::Unanswered).count(), 3);

    let mut street = Street::seen_shut();
    let door = act_of(&street, StepAct::Door);
    unanswered(&mut street, door, 2);
    assert_eq!(street.rungs(), [(0, 0)], "that rung has not been told yet");

    let mut street = Street::seen_shut();
    street.run(1..=5);
    let door = act_of(&street, StepAct::Door);
    street.act(6, LEAD, Act::Claim).unwrap();
    unanswered(&mut street, door, 9);
    street.run(10..=20);
    assert_eq!(street.rungs(), [(0, 0), (1, 5)], "somebody is going");
    street.run(21..=30);
    assert_eq!(street.rungs()[2..], [(0, 21), (2, 21), (3, 30)], "and when the claim ran out, each at its time");
}
