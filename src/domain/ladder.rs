//! When each rung is due and who holds it back (I13, I14). Rungs are copied into the alert when an epoch begins; people are
//! resolved only when a rung fires.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};

use super::alert::{Alert, Ladder, Step, StepAct, StepState};
use super::check::Cause;
use super::rules::LadderRules;

/// The highest rung.
pub const LEVEL_MAX: i64 = 5;
/// The highest rung that a claim holds back: L4 and L5 are never held.
pub const HELD_LEVEL_MAX: i64 = 3;

/// In trial mode nobody outside the compound's own people is told.
const TRIAL_LEVELS: [i64; 3] = [0, 1, 4];

/// The rungs of a new epoch.
pub fn steps(ladder: Ladder, cause: Cause, trial: bool, rules: &LadderRules, epoch: i64, start: DateTime<Utc>) -> Vec<Step> {
    let urgent = ladder == Ladder::Help;
    let rungs = if urgent { help_rungs(cause, rules) } else { missed_rungs(cause, rules) };
    rungs
        .into_iter()
        .filter(|rung| urgent || !trial || TRIAL_LEVELS.contains(&rung.level))
        .enumerate()
        .map(|(index, rung)| Step {
            epoch,
            step: i64::try_from(index).expect("a ladder has few rungs"),
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
        })
        .collect()
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

fn help_rungs(cause: Cause, rules: &LadderRules) -> Vec<Rung> {
    let family = if cause == Cause::Cry { rules.cry_l2.0 } else { rules.help_l2.0 };
    let mut rungs = vec![
        Rung::at(0, StepAct::Call, TimeDelta::zero()),
        Rung::at(1, StepAct::Door, TimeDelta::zero()),
        Rung::at(2, StepAct::Family, family),
        Rung::at(3, StepAct::Enter, rules.help_l3.0),
        Rung::at(4, StepAct::Command, rules.help_l4.0),
        Rung::at(5, StepAct::Final, rules.help_l5.0),
    ];
    rungs.sort_by_key(|rung| rung.after);
    rungs
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
    if told == 0 {
        advance(alert, now);
    }
    if !pending(alert).any(|(_, step)| !step.held || step.level > HELD_LEVEL_MAX) {
        repeat_last(alert, rules, now);
    }
}

/// Brings the next pending rung forward to now: delivery failed, nobody was found, or somebody asked for it. Calling the same
/// people once more is no next rung.
pub fn advance(alert: &mut Alert, now: DateTime<Utc>) {
    let next = pending(alert).min_by_key(|(_, step)| (step.act == StepAct::Again, step.step)).map(|(index, _)| index);
    if let Some(step) = next.and_then(|index| alert.steps.get_mut(index)) {
        step.due_at = step.due_at.min(now);
        step.due_if_unseen_at = step.due_if_unseen_at.min(now);
    }
}

/// Starts the given levels at once, whatever holds them (nobody answered at the door, or a person asked for it).
pub fn start_now(alert: &mut Alert, levels: &[i64], now: DateTime<Utc>) {
    let epoch = alert.epoch;
    for step in
        alert.steps.iter_mut().filter(|step| step.epoch == epoch && step.state == StepState::Pending && levels.contains(&step.level))
    {
        step.due_at = step.due_at.min(now);
        step.due_if_unseen_at = step.due_if_unseen_at.min(now);
        step.held = false;
    }
}

fn repeat_last(alert: &mut Alert, rules: &LadderRules, now: DateTime<Utc>) {
    let of_epoch = || alert.steps.iter().filter(|step| step.epoch == alert.epoch);
    // L4 and L5 once each; a trial ladder has only L4.
    let levels: BTreeSet<(i64, StepAct)> =
        of_epoch().filter(|step| step.level > HELD_LEVEL_MAX).map(|step| (step.level, step.act)).collect();
    for (level, act) in levels {
        append(alert, level, act, now + rules.repeat.0);
    }
}

/// Calls the assigned people again at once: a look found the sign missing, or a resolved alert was opened again.
pub fn call_now(alert: &mut Alert, now: DateTime<Utc>) {
    append(alert, 0, StepAct::Call, now);
}

fn append(alert: &mut Alert, level: i64, act: StepAct, due_at: DateTime<Utc>) {
    let last = alert.steps.iter().filter(|step| step.epoch == alert.epoch).map(|step| step.step).max();
    alert.steps.push(Step {
        epoch: alert.epoch,
        step: last.map_or(0, |last| last + 1),
        level,
        act,
        due_at,
        due_if_claimed_at: due_at,
        due_if_unseen_at: due_at,
        held: false,
        state: StepState::Pending,
        fired_at: None,
        told: 0,
    });
}
