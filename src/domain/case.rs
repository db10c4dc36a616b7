//! One senior's case: `(view, event, now) → commands`. Every writer (a signal, the watch, the ladder, a person's act) goes
//! through `decide`; the store loads the view under the senior's lock and applies the commands in the same transaction.
//!
//! Commands carry their preconditions (`before`, `before_version`), so that a history can be replayed on any store.

use std::sync::Arc;

use chrono::{DateTime, NaiveDate, Utc};
use chrono_tz::Tz;
use uuid::Uuid;

use super::absence::{AbsenceFact, AbsenceKind};
use super::alert::{Alert, AlertState, ContactAnswer, ContactCall, Ladder, Step, StepAct, StepState, TimelineKind, Trigger, TriggerKind};
use super::check::{Cause, CheckState, CheckView, ReminderKind};
use super::notice::{Arguments, NewNotice, arguments};
use super::outcome::Outcome;
use super::refusal::Refusal;
use super::roster::Roster;
use super::rules::Rules;
use super::signal::SignalFact;
use super::silence::Silenced;

mod act;
mod canary;
mod contact;
mod fire;
pub mod possible;
mod raise;
mod sighting;

pub use act::{Act, Actor, Resolution};
pub use canary::KEY as CANARY_KEY;

/// Who and where, as far as decisions and notices ask.
#[derive(Debug, Clone, PartialEq)]
pub struct CaseSenior {
    pub site_id: Uuid,
    pub id: Uuid,
    pub called: String,
    pub building_name: String,
    pub unit: String,
    pub zone: Tz,
    pub rules: Arc<Rules>,
    pub trial_until: Option<NaiveDate>,
    pub canary: bool,
}

/// The view of one senior.
#[derive(Debug, Clone, PartialEq)]
pub struct Case {
    pub senior: CaseSenior,
    pub checks: Vec<CheckView>,
    /// All signals from the earliest span that a loaded check or trigger asks about.
    pub signals: Vec<SignalFact>,
    pub absences: Vec<AbsenceFact>,
    /// The unresolved alert, or else the latest one (for undo, review and reopening).
    pub alert: Option<Alert>,
    /// A break of service that explains lateness, if one lies behind us.
    pub outage: Option<(DateTime<Utc>, DateTime<Utc>)>,
}

/// What happened.
#[derive(Debug, Clone)]
pub enum Event {
    /// Time passed.
    Tick,
    /// Absences or agreements changed: look again.
    Changed,
    /// These signals were appended; they are already in the view.
    Signals(Vec<SignalFact>),
    /// A person acts on the alert.
    Act(Actor, Act),
    /// Every message of this step to somebody failed on all channels.
    Undeliverable { epoch: i64, step: i64, operators: Vec<Uuid> },
    /// Whoever of this step has not failed has a text and took no call.
    Unanswered { epoch: i64, step: i64 },
    /// A contact answers by the link of her message.
    ContactAnswered { contact: Uuid, answer: ContactAnswer, minutes: Option<i64> },
    /// This member has left: a claim of hers holds nothing any more.
    Left(Uuid),
    /// The message of the daily self-test has been delivered.
    CanaryArrived,
}

/// Which notices of an alert are no longer wanted, unless somebody has sealed them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unwanted {
    /// These rungs of the epoch, because somebody is going. Never those of L4 and L5, nor what a person asked for.
    Rungs { epoch: i64, steps: Vec<i64> },
    /// All of them: it is over.
    All,
}

/// What the store must write. Order matters: rows first, then what refers to them.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    SaveCheck {
        before: CheckState,
        check: CheckView,
    },
    /// `before_version` 0 inserts.
    SaveAlert {
        before_version: i64,
        alert: Box<Alert>,
    },
    AddTrigger {
        alert_id: Uuid,
        trigger: Trigger,
    },
    SaveStep {
        alert_id: Uuid,
        step: Step,
    },
    SaveContact {
        alert_id: Uuid,
        call: ContactCall,
    },
    Record(TimelineRow),
    Tell(NewNotice),
    /// The recipient is a contact and no member.
    TellContact(NewNotice),
    CancelPending {
        alert_id: Uuid,
        unwanted: Unwanted,
    },
    /// What cancelled notices of this epoch's rungs is over: their people are told after all.
    TellAgain {
        alert_id: Uuid,
        epoch: i64,
        except: Option<Uuid>,
    },
    /// Everybody who was told hears that it is open again.
    Recall {
        alert_id: Uuid,
        epoch: i64,
        key: &'static str,
        arguments: Arguments,
        except: Option<Uuid>,
    },
    /// Everybody who was told hears that it is over.
    StandDown {
        alert_id: Uuid,
        epoch: i64,
        key: &'static str,
        arguments: Arguments,
        except: Option<Uuid>,
        bundle: bool,
    },
    /// What is left of the check's round; how much that is stands in the store.
    Remind {
        check_id: Uuid,
        kind: ReminderKind,
    },
    AddAbsence {
        id: Uuid,
        kind: AbsenceKind,
        from_date: NaiveDate,
        return_date: NaiveDate,
        by: Uuid,
        /// By somebody who may say so; else it is proposed and excuses nothing.
        confirmed: bool,
    },
    EndAgreements {
        outcome: Outcome,
        from_date: NaiveDate,
    },
    /// What the outcome said is not so after all.
    CancelAbsence {
        id: Uuid,
        by: Option<Uuid>,
    },
    /// Good news about this senior that nobody has read yet is not true any more.
    CancelStandDown,
    /// The others concerned hear of it.
    Silenced {
        what: Silenced,
        by: Uuid,
    },
}

#[derive(Debug, Clone, PartialEq)]
pub struct TimelineRow {
    pub alert_id: Uuid,
    pub at: DateTime<Utc>,
    pub kind: TimelineKind,
    pub actor_id: Option<Uuid>,
    pub detail: Arguments,
}

/// Decides one event. The view is brought forward, so that several events can follow one another in one transaction.
///
/// # Errors
/// A [`Refusal`] if a person's act is not possible; the view is then unchanged.
pub fn decide(case: &mut Case, event: &Event, now: DateTime<Utc>) -> Result<Vec<Command>, Refusal> {
    let before = case.clone();
    let mut extra = Vec::new();
    let acted = match event {
        Event::Tick => {
            case.assess_checks(Judge::AndRemind, &mut extra, now);
            Ok(())
        }
        Event::Changed => {
            case.assess_checks(Judge::Only, &mut extra, now);
            Ok(())
        }
        Event::Signals(fresh) => {
            case.raise_help(fresh, &mut extra, now);
            case.assess_checks(Judge::Only, &mut extra, now);
            case.apply_sightings(fresh, &mut extra, now);
            Ok(())
        }
        // An act means the alert that the person saw: a check that falls due in the same second may not put another alert in
        // its place. The watch judges it within its bound.
        Event::Act(actor, act) => case.act(actor, act, &mut extra, now),
        Event::Undeliverable { epoch, step, operators } => {
            case.undeliverable((*epoch, *step), operators, &mut extra, now);
            Ok(())
        }
        Event::Unanswered { epoch, step } => {
            case.unanswered((*epoch, *step), &mut extra, now);
            Ok(())
        }
        Event::ContactAnswered { contact, answer, minutes } => case.contact_answers(*contact, *answer, *minutes, &mut extra, now),
        Event::Left(member) => {
            if case.alert.as_ref().is_some_and(|alert| alert.is_unresolved() && alert.claimed_by == Some(*member)) {
                case.end_claim(TimelineKind::ClaimVoid, None, &mut extra, now);
            }
            Ok(())
        }
        Event::CanaryArrived => {
            case.end_canary(&mut extra, now);
            Ok(())
        }
    };
    if let Err(refusal) = acted {
        *case = before;
        return Err(refusal);
    }
    case.run_out_claim(&mut extra, now);
    case.set_next_action(now);
    Ok(commands(&before, case, extra))
}

/// A reminder counts what is left of a whole round, so only the watch, which sees the round at once, may take its moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Judge {
    Only,
    AndRemind,
}

/// Whether a rung is due, so that the roster is worth loading.
pub fn step_is_due(case: &Case, now: DateTime<Utc>) -> bool {
    case.alert.as_ref().is_some_and(|alert| alert.is_unresolved() && super::ladder::next_due(alert, now).is_some())
}

/// Whether the contacts may be asked for when something fires: L2 or one of their turns lies ahead.
pub fn may_tell_contacts(case: &Case) -> bool {
    let ahead = |step: &Step| step.state == StepState::Pending && matches!(step.act, StepAct::Family | StepAct::Contact);
    case.alert.as_ref().is_some_and(|alert| alert.steps.iter().any(|step| step.epoch == alert.epoch && ahead(step)))
}

/// Fires every rung that is due, in order, resolving people from the roster of this moment.
pub fn fire(case: &mut Case, roster: &Roster, operators: &[Uuid], now: DateTime<Utc>) -> Vec<Command> {
    let before = case.clone();
    let mut extra = Vec::new();
    case.fire_due_steps(roster, operators, &mut extra, now);
    case.set_next_action(now);
    commands(&before, case, extra)
}

impl Case {
    pub fn today(&self, now: DateTime<Utc>) -> NaiveDate {
        super::day::local_date(self.senior.zone, now)
    }

    fn assess_checks(&mut self, judge: Judge, extra: &mut Vec<Command>, now: DateTime<Utc>) {
        let rules = Arc::clone(&self.senior.rules);
        let mut missed: Vec<(Trigger, bool)> = Vec::new();
        for check in &mut self.checks {
            let verdict = check.assess(&self.signals, &self.absences, &rules.check, now);
            check.state = verdict.state;
            check.received_late = verdict.received_late;
            match verdict.reminder {
                Some(_) if judge == Judge::Only => {}
                Some(kind) => {
                    extra.push(Command::Remind { check_id: check.id, kind });
                    check.next_action_at = verdict.next_action_at;
                }
                None => check.next_action_at = verdict.next_action_at,
            }
            check.decided_at = if verdict.state.is_undecided() { None } else { check.decided_at.or(Some(now)) };
            if let Some(cause) = verdict.missed {
                check.triggered = true;
                missed.push((Trigger::of_check(check, cause, now), check.is_current(now)));
            }
        }
        for (trigger, is_current) in missed {
            self.raise(trigger, is_current, extra, now);
        }
    }

    fn run_out_claim(&mut self, extra: &mut Vec<Command>, now: DateTime<Utc>) {
        let Some(alert) = self.alert.as_ref().filter(|alert| alert.is_unresolved()) else { return };
        let (Some(member), Some(until)) = (alert.claimed_by, alert.claim_until) else { return };
        if until > now {
            return;
        }
        let (id, epoch) = (alert.id, alert.epoch);
        self.end_claim(TimelineKind::ClaimRanOut, Some(member), extra, now);
        extra.push(self.tell(id, epoch, until.timestamp_millis(), member, "notice.claim_ran_out", now));
    }

    /// Nobody is going any more: whoever the claim kept from being told hears of it now.
    fn end_claim(&mut self, kind: TimelineKind, actor: Option<Uuid>, extra: &mut Vec<Command>, now: DateTime<Utc>) {
        let Some(alert) = self.alert.as_mut() else { return };
        let except = alert.claimed_by;
        alert.drop_claim();
        extra.push(record(alert.id, now, kind, actor, Arguments::new()));
        extra.push(Command::TellAgain { alert_id: alert.id, epoch: alert.epoch, except });
    }

    fn on_duty(&self, now: DateTime<Utc>) -> bool {
        self.senior.rules.ladder.is_on_duty(now.with_timezone(&self.senior.zone).time())
    }

    fn set_next_action(&mut self, now: DateTime<Utc>) {
        if let Some(alert) = &mut self.alert {
            alert.next_action_at = super::ladder::next_action_at(alert, now);
        }
    }

    /// Arguments that a message about this senior may hold: called, building and unit, and of which slot the sign was missed;
    /// no room, no health.
    fn arguments(&self) -> Arguments {
        let cause = self.alert.as_ref().map_or("", |alert| alert.cause.as_str());
        let slot = self.alert.as_ref().and_then(|alert| alert.triggers.iter().filter_map(|trigger| trigger.slot).next_back());
        let said = [
            ("senior", self.senior.called.as_str()),
            ("building", &self.senior.building_name),
            ("unit", &self.senior.unit),
            ("cause", cause),
        ];
        arguments(said.into_iter().chain(slot.map(|slot| ("slot", slot.as_str()))))
    }
}

impl Trigger {
    fn of_check(check: &CheckView, cause: Cause, now: DateTime<Utc>) -> Self {
        Self {
            id: super::id::check_trigger(check.id, TriggerKind::Missed.as_str()),
            check_id: Some(check.id),
            kind: TriggerKind::Missed,
            cause,
            local_date: check.local_date,
            slot: Some(check.slot),
            proof_from: check.counts_from,
            note: None,
            raised_by: None,
            at: now,
        }
    }

    /// The ladder that this trigger asks for.
    fn ladder(&self) -> Ladder {
        if self.kind == TriggerKind::Help { Ladder::Help } else { Ladder::Missed }
    }
}

fn record(alert_id: Uuid, at: DateTime<Utc>, kind: TimelineKind, actor_id: Option<Uuid>, detail: Arguments) -> Command {
    Command::Record(TimelineRow { alert_id, at, kind, actor_id, detail })
}

/// The difference of two views as commands with preconditions, then the appended facts.
fn commands(before: &Case, after: &Case, extra: Vec<Command>) -> Vec<Command> {
    let mut commands = Vec::new();
    for (old, new) in before.checks.iter().zip(&after.checks) {
        if old != new {
            commands.push(Command::SaveCheck { before: old.state, check: new.clone() });
        }
    }
    if let Some(alert) = &after.alert {
        let old = before.alert.as_ref().filter(|old| old.id == alert.id);
        if old != Some(alert) {
            commands.push(Command::SaveAlert { before_version: old.map_or(0, |old| old.version), alert: Box::new(alert.clone()) });
        }
        for trigger in alert.triggers.iter().filter(|trigger| !old.is_some_and(|old| old.has_trigger(trigger.id))) {
            commands.push(Command::AddTrigger { alert_id: alert.id, trigger: trigger.clone() });
        }
        for step in alert.steps.iter().filter(|step| !old.is_some_and(|old| old.steps.contains(step))) {
            commands.push(Command::SaveStep { alert_id: alert.id, step: step.clone() });
        }
        for call in alert.contacts.iter().filter(|call| !old.is_some_and(|old| old.contacts.contains(call))) {
            commands.push(Command::SaveContact { alert_id: alert.id, call: call.clone() });
        }
    }
    commands.extend(extra);
    commands
}

#[cfg(test)]
mod tests;
