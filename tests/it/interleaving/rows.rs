//! The rows that a database would hold, and what must stay true of every one that is written.

use std::collections::{BTreeMap, BTreeSet};

use chenlian::domain::alert::{Alert, Ladder, Step, StepAct, StepState, TimelineKind};
use chenlian::domain::case::Command;
use chenlian::domain::check::CheckView;
use chenlian::domain::rules::LadderRules;
use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

/// What a database would hold, and everything that must stay true of it.
#[derive(Default)]
pub struct Store {
    pub checks: BTreeMap<Uuid, CheckView>,
    pub alerts: BTreeMap<Uuid, Alert>,
    pub steps: BTreeMap<(Uuid, i64, i64), Step>,
    pub triggers: BTreeSet<Uuid>,
    /// Alerts whose rungs somebody brought forward, or that were opened again: their minutes are no longer those of the table.
    pub hurried: BTreeSet<Uuid>,
    /// When each rung of each epoch fired last.
    pub paces: BTreeMap<(Uuid, i64, i64, StepAct), DateTime<Utc>>,
    /// A person has acted on it.
    pub touched: BTreeSet<Uuid>,
    /// Opened again by a person, who did not believe the sign that had closed them.
    pub doubted: BTreeSet<Uuid>,
}

impl Store {
    pub fn apply(&mut self, commands: Vec<Command>, now: DateTime<Utc>) {
        for command in commands {
            match command {
                Command::SaveCheck { before, check } => {
                    assert_eq!(self.checks[&check.id].state, before, "the precondition of a check holds");
                    self.checks.insert(check.id, check);
                }
                Command::SaveAlert { before_version, mut alert } => {
                    let stored = self.alerts.get(&alert.id).map_or(0, |stored| stored.version);
                    assert_eq!(stored, before_version, "the precondition of an alert holds");
                    alert.version = stored + 1;
                    self.alerts.insert(alert.id, *alert);
                }
                Command::AddTrigger { trigger, .. } => assert!(self.triggers.insert(trigger.id), "a trigger is raised once, for ever"),
                Command::SaveStep { alert_id, step } => self.save_step(alert_id, step, now),
                Command::Record(row) if row.actor_id.is_some() || row.kind == TimelineKind::Reopened => {
                    self.touched.insert(row.alert_id);
                }
                _ => {}
            }
        }
        let unresolved = self.alerts.values().filter(|alert| alert.is_unresolved()).count();
        assert!(unresolved <= 1, "{unresolved} unresolved alerts of one senior");
    }

    fn save_step(&mut self, alert_id: Uuid, step: Step, now: DateTime<Utc>) {
        let old = self.steps.insert((alert_id, step.epoch, step.step), step.clone());
        if step.state != StepState::Fired {
            assert!(old.is_none_or(|old| old.state == StepState::Pending), "what is over stays over");
            return;
        }
        assert!(old.is_none_or(|old| old.state == StepState::Pending), "a rung fires once: {step:?}");
        assert_eq!(step.fired_at, Some(now));
        assert!(step.due_at <= now, "early: {step:?}");
        let alert = &self.alerts[&alert_id];
        assert!(!step.held || alert.live_claim(now).is_none(), "fired under a claim that holds it: {step:?}");
        assert_eq!(step.epoch, alert.epoch, "a rung of a past epoch");
        let pace = LadderRules::default().repeat.0;
        let before = self.paces.insert((alert_id, step.epoch, step.level, step.act), now);
        // Being opened again, or seen shut, calls the assigned member once more.
        if step.act != StepAct::Call {
            assert!(before.is_none_or(|before| now - before >= pace), "told again too soon: {step:?}");
        }
        if !self.hurried.contains(&alert_id) && step.act != StepAct::Call {
            let earliest = alert.epoch_at + minutes_of(alert.ladder, step.act, &LadderRules::default());
            assert!(now >= earliest, "{step:?} before {earliest}");
        }
    }
}

/// The table of the ladder, written a second time. A cry waits longer for the family than a press for help.
fn minutes_of(ladder: Ladder, act: StepAct, rules: &LadderRules) -> TimeDelta {
    let minutes = match (ladder, act) {
        (
            _,
            StepAct::Look
            | StepAct::Call
            | StepAct::Night
            | StepAct::Confirm
            | StepAct::ContactGoing
            | StepAct::ContactReached
            | StepAct::ContactCannot,
        )
        | (Ladder::Help, StepAct::Door) => 0,
        (Ladder::Missed, StepAct::Door) | (Ladder::Help, StepAct::Enter) => 5,
        (_, StepAct::Again) | (Ladder::Help, StepAct::Command) => 10,
        (Ladder::Help, StepAct::Family | StepAct::Contact) => 3,
        (Ladder::Help, StepAct::Final) => 15,
        (Ladder::Missed, StepAct::Family | StepAct::Contact) => 20,
        (Ladder::Missed, StepAct::Enter) => 30,
        (Ladder::Missed, StepAct::Command) => 45,
        (Ladder::Missed, StepAct::Final) => 60,
    };
    assert_eq!(rules.l5.0, TimeDelta::minutes(60), "this table is that of the default rules");
    TimeDelta::minutes(minutes)
}
