//! When each rung is due and who holds it back (I13, I14). Rungs are copied into the alert when an epoch begins; people are
//! resolved only when a rung fires.

use std::collections::BTreeSet;

use chrono::{DateTime, NaiveTime, TimeDelta, Utc};
use chrono_tz::Tz;

use super::alert::{Alert, Ladder, Step, StepAct, StepState};
use super::check::Cause;
use super::day;
use super::rules::LadderRules;

pub mod drill;

/// The highest rung that a claim holds back: L4 and L5 are never held.
const HELD_LEVEL_MAX: i64 = 3;

/// In trial mode nobody outside the compound's own people is told.
const TRIAL_LEVELS: [i64; 3] = [0, 1, 4];

/// The local times at which those who answer for a place are told what still stands on the list (domain.md §8).
const LISTING_TIMES: [NaiveTime; 2] =
    [NaiveTime::from_hms_opt(12, 0, 0).expect("a time of day"), NaiveTime::from_hms_opt(18, 0, 0).expect("a time of day")];

/// Begins the ladder of the alert's epoch: what was pending is void, and the rungs are copied.
pub fn begin(alert: &mut Alert, rules: &LadderRules, on_duty: bool, start: DateTime<Utc>) {
    for step in alert.steps.iter_mut().filter(|step| step.state == StepState::Pending) {
        step.state = StepState::Void;
    }
    let urgent = alert.ladder == Ladder::Help;
    let rungs = if urgent { help_rungs(alert.cause, on_duty, rules) } else { missed_rungs(alert.cause, rules) };
    let trial = alert.trial && !urgent;
    for rung in rungs.into_iter().filter(|rung| !trial || TRIAL_LEVELS.contains(&rung.level)) {
        append(alert, &rung, start);
    }
}

/// The one word of the daily self-test. It is no rung: nothing comes after it, and an alert that waits for it stands still rightly.
pub fn begin_canary(alert: &mut Alert, start: DateTime<Utc>) {
    for step in alert.steps.iter_mut().filter(|step| step.state == StepState::Pending) {
        step.state = StepState::Void;
    }
    append(alert, &Rung::at(0, StepAct::Confirm, TimeDelta::zero()), start);
}

/// Begins the ladder of an alert that only stood on the list, because a person has touched it: from then on somebody answers
/// for it. Returns whether it had none. The first word, too, waits for the claim that began it: somebody is going.
pub fn ensure(alert: &mut Alert, rules: &LadderRules, on_duty: bool, now: DateTime<Utc>) -> bool {
    if alert.has_ladder() {
        return false;
    }
    begin(alert, rules, on_duty, now);
    let epoch = alert.epoch;
    let pending = |step: &&mut Step| step.epoch == epoch && step.state == StepState::Pending && step.level <= HELD_LEVEL_MAX;
    for step in alert.steps.iter_mut().filter(pending) {
        step.held = true;
    }
    true
}

/// The listing of today that is due: the latest whose time has come. Two that a stop of the service swallowed are one.
pub fn listing(zone: Tz, now: DateTime<Utc>) -> Option<NaiveTime> {
    let today = day::local_date(zone, now);
    LISTING_TIMES.into_iter().filter(|time| day::instant(zone, today, *time).is_some_and(|at| at <= now)).max()
}

struct Rung {
    level: i64,
    act: StepAct,
    after: TimeDelta,
    if_claimed: TimeDelta,
    if_unseen: TimeDelta,
}

impl Rung {
    fn at(level: i64, act: StepAct, after: TimeDelta) -> Self {
        Self { level, act, after, if_claimed: after, if_unseen: after }
    }
}

fn missed_rungs(cause: Cause, rules: &LadderRules) -> Vec<Rung> {
    let first = if cause == Cause::NotObserved { StepAct::Look } else { StepAct::Call };
    let mut rungs = vec![
        Rung::at(0, first, TimeDelta::zero()),
        Rung { if_claimed: rules.l1_claimed.0, ..Rung::at(1, StepAct::Door, rules.l1.0) },
        Rung::at(0, StepAct::Again, rules.again.0),
        // Family is not phoned before somebody has looked, or the longest wait is over.
        Rung { if_unseen: rules.l2_unseen.0.max(rules.l2.0), ..Rung::at(2, StepAct::Family, rules.l2.0) },
        Rung::at(3, StepAct::Enter, rules.l3.0),
        Rung::at(4, StepAct::Command, rules.l4.0),
        Rung::at(5, StepAct::Final, rules.l5.0),
    ];
    rungs.sort_by_key(|rung| rung.after);
    rungs
}

/// Outside duty hours whoever can be phoned at any hour is told with the first word.
fn help_rungs(cause: Cause, on_duty: bool, rules: &LadderRules) -> Vec<Rung> {
    let family = if cause == Cause::Cry { rules.cry_l2.0 } else { rules.help_l2.0 };
    let mut rungs = vec![
        Rung::at(0, StepAct::Call, TimeDelta::zero()),
        Rung::at(1, StepAct::Door, TimeDelta::zero()),
        Rung::at(2, StepAct::Family, family),
        Rung::at(3, StepAct::Enter, rules.help_l3.0),
        Rung::at(4, StepAct::Command, rules.help_l4.0),
        Rung::at(5, StepAct::Final, rules.help_l5.0),
    ];
    if !on_duty {
        rungs.push(Rung::at(0, StepAct::Night, TimeDelta::zero()));
    }
    rungs.sort_by_key(|rung| rung.after);
    rungs
}

/// The rungs of this epoch of which an unsealed word is taken back by a claim: the first word and what a claim holds, but nothing
/// that a person asked for.
pub fn held_by_claim(alert: &Alert) -> Vec<i64> {
    let first_word = |step: &Step| matches!(step.act, StepAct::Call | StepAct::Look);
    let fired = of_epoch(alert).filter(|step| step.state == StepState::Fired);
    fired.filter(|step| step.held || first_word(step)).map(|step| step.step).collect()
}

/// When a pending rung may fire, as things stand at `now`.
pub fn due_at(step: &Step, alert: &Alert, now: DateTime<Utc>) -> DateTime<Utc> {
    let unseen = alert.cause == Cause::NotObserved && alert.looked_at.is_none() && step.act == StepAct::Family;
    let base = if unseen { step.due_if_unseen_at.max(step.due_at) } else { step.due_at };
    match alert.live_claim(now) {
        Some((_, until)) if step.held => base.max(step.due_if_claimed_at).max(until),
        _ => base,
    }
}

/// The pending rung that fires next if its time has come: the lowest number first (I14); a held rung does not stop L4 and L5.
pub fn next_due(alert: &Alert, now: DateTime<Utc>) -> Option<usize> {
    pending(alert).filter(|(_, step)| due_at(step, alert, now) <= now).min_by_key(|(_, step)| step.step).map(|(index, _)| index)
}

/// When the alert must be looked at again: the next rung, or the end of a claim.
pub fn next_action_at(alert: &Alert, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    if !alert.is_unresolved() {
        return None;
    }
    let rung = pending(alert).map(|(_, step)| due_at(step, alert, now)).min();
    let claim = alert.live_claim(now).map(|(_, until)| until);
    [rung, claim].into_iter().flatten().min()
}

/// The turn of the next contact comes at `at`. It is part of L2 and no rung: it keeps no other step waiting, and a claim holds it
/// back where it holds L2.
pub fn call_contact(alert: &mut Alert, held: bool, at: DateTime<Utc>) {
    append(alert, &Rung::at(2, StepAct::Contact, TimeDelta::zero()), at);
    if let Some(step) = alert.steps.last_mut() {
        step.held = held;
    }
}

/// The pending turn of a contact, if there is one.
pub fn contact_turn(alert: &mut Alert) -> Option<&mut Step> {
    let index = pending(alert).find(|(_, step)| step.act == StepAct::Contact).map(|(index, _)| index)?;
    alert.steps.get_mut(index)
}

/// The steps of this epoch that told contacts.
pub fn contact_steps(alert: &Alert) -> Vec<i64> {
    of_epoch(alert).filter(|step| step.act == StepAct::Contact && step.state == StepState::Fired).map(|step| step.step).collect()
}

/// What a contact answered is told at once, whoever goes.
pub fn relay(alert: &mut Alert, act: StepAct, now: DateTime<Utc>) {
    append(alert, &Rung::at(0, act, TimeDelta::zero()), now);
}

fn pending(alert: &Alert) -> impl Iterator<Item = (usize, &Step)> {
    alert.steps.iter().enumerate().filter(|(_, step)| step.state == StepState::Pending && step.epoch == alert.epoch)
}

/// Marks a rung as fired. A rung that reached nobody lets the next one fire at once; after the last one L4 and L5 come again.
pub fn mark_fired(alert: &mut Alert, index: usize, told: usize, rules: &LadderRules, now: DateTime<Utc>) {
    let step = &mut alert.steps[index];
    step.state = StepState::Fired;
    step.fired_at = Some(now);
    step.told = i64::try_from(told).expect("a step tells few people");
    alert.level = alert.level.max(step.level);
    // A contact whose turn found nobody says nothing about the ladder.
    if told == 0 && alert.steps[index].act != StepAct::Contact {
        advance(alert, now);
    }
    if !pending(alert).any(|(_, step)| step.act.is_rung() && (!step.held || step.level > HELD_LEVEL_MAX)) {
        repeat_last(alert, rules, now);
    }
}

/// Brings the next pending rung forward to now: delivery failed, nobody was found, or somebody asked for it. Calling the same
/// people once more is no next rung, and what repeats keeps its pace (I14).
///
/// False if there is no such rung: nobody else will hear of it.
pub fn advance(alert: &mut Alert, now: DateTime<Utc>) -> bool {
    let first_time = pending(alert).filter(|(_, step)| step.act.is_rung() && !has_fired(alert, step.level, step.act));
    let next = first_time.min_by_key(|(_, step)| (step.act == StepAct::Again, step.step)).map(|(index, _)| index);
    let Some(step) = next.and_then(|index| alert.steps.get_mut(index)) else { return false };
    step.due_at = step.due_at.min(now);
    step.due_if_unseen_at = step.due_if_unseen_at.min(now);
    true
}

/// The people of this step have a text, and nobody took the telephone: the rung after it comes now. Not if a later rung has been
/// told already (whether that one arrives is seen there), and not while a claim lives that holds the step: somebody is going.
pub fn advance_past(alert: &mut Alert, step: &Step, now: DateTime<Utc>) {
    let passed = of_epoch(alert)
        .any(|later| later.step > step.step && later.state == StepState::Fired && later.act.is_rung() && later.act != StepAct::Again);
    let held = step.level <= HELD_LEVEL_MAX && alert.live_claim(now).is_some();
    if !passed && !held {
        advance(alert, now);
    }
}

fn of_epoch(alert: &Alert) -> impl Iterator<Item = &Step> {
    alert.steps.iter().filter(|step| step.epoch == alert.epoch)
}

fn has_fired(alert: &Alert, level: i64, act: StepAct) -> bool {
    of_epoch(alert).any(|step| step.state == StepState::Fired && (step.level, step.act) == (level, act))
}

/// Starts the given levels at once, whatever holds them, because a person asked for it. A level that has been told keeps its pace.
pub fn start_now(alert: &mut Alert, levels: &[i64], now: DateTime<Utc>) {
    let wanted =
        pending(alert).filter(|(_, step)| step.act.is_rung() && levels.contains(&step.level) && !has_fired(alert, step.level, step.act));
    for index in wanted.map(|(index, _)| index).collect::<Vec<_>>() {
        let step = &mut alert.steps[index];
        step.due_at = step.due_at.min(now);
        step.due_if_unseen_at = step.due_if_unseen_at.min(now);
        step.held = false;
    }
}

/// Nobody answered at the door: family and key holder at once; a trial ladder has neither, so the neighbours and the social worker.
pub fn start_at_door(alert: &mut Alert, now: DateTime<Utc>) {
    let beyond_door = of_epoch(alert).any(|step| matches!(step.act, StepAct::Family | StepAct::Enter));
    start_now(alert, if beyond_door { &[2, 3] } else { &[1, 4] }, now);
}

/// 110, 119 or 120 has been called: the last rungs at once. It is urgent, so a trial ladder gets those that it lacks.
pub fn start_emergency(alert: &mut Alert, now: DateTime<Utc>) {
    for (level, act) in [(4, StepAct::Command), (5, StepAct::Final)] {
        if !of_epoch(alert).any(|step| step.act == act) {
            append(alert, &Rung::at(level, act, TimeDelta::zero()), now);
        }
    }
    start_now(alert, &[4, 5], now);
}

fn repeat_last(alert: &mut Alert, rules: &LadderRules, now: DateTime<Utc>) {
    // L4 and L5 once each; a trial ladder has only L4.
    let levels: BTreeSet<(i64, StepAct)> =
        of_epoch(alert).filter(|step| step.level > HELD_LEVEL_MAX).map(|step| (step.level, step.act)).collect();
    for (level, act) in levels {
        append(alert, &Rung::at(level, act, rules.repeat.0), now);
    }
}

/// Calls the assigned people again at once: a look found the sign missing, or a resolved alert was opened again.
pub fn call_now(alert: &mut Alert, now: DateTime<Utc>) {
    append(alert, &Rung::at(0, StepAct::Call, TimeDelta::zero()), now);
}

/// Asks whoever is going, or else the assigned party member, to phone: a sensor showed the sign late.
pub fn confirm_now(alert: &mut Alert, now: DateTime<Utc>) {
    append(alert, &Rung::at(0, StepAct::Confirm, TimeDelta::zero()), now);
}

fn append(alert: &mut Alert, rung: &Rung, start: DateTime<Utc>) {
    let last = of_epoch(alert).map(|step| step.step).max();
    alert.steps.push(Step {
        epoch: alert.epoch,
        step: last.map_or(0, |last| last + 1),
        level: rung.level,
        act: rung.act,
        due_at: start + rung.after,
        due_if_claimed_at: start + rung.if_claimed,
        due_if_unseen_at: start + rung.if_unseen,
        // L4 and L5 are never held, and neither is the first word.
        held: (1..=HELD_LEVEL_MAX).contains(&rung.level) || rung.act == StepAct::Again,
        state: StepState::Pending,
        fired_at: None,
        told: 0,
    });
}
