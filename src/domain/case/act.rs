//! What a person does with an alert: claim, knock, hand over, resolve, review. Each act is a row of the timeline.

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use uuid::Uuid;

use super::{Alert, AlertState, Arguments, Case, Cause, Command, Judge, TimelineKind, Trigger, TriggerKind, Unwanted, arguments, record};
use crate::domain::absence::{ABSENCE_DAYS_MAX, AbsenceFact};
use crate::domain::outcome::{ContactProof, Outcome, OutcomeClass};
use crate::domain::refusal::Refusal;
use crate::domain::silence::Silenced;
use crate::domain::{id, ladder};

/// "Seen by a named person" may lie this far before the cutoff.
const NAMED_SIGHTING_BEFORE: TimeDelta = TimeDelta::minutes(60);

/// Who acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Actor {
    pub id: Uuid,
    /// A role above volunteer, recently authenticated: may close without proof and end an agreement.
    pub may_silence: bool,
    /// Primary, branch or social worker, recently authenticated: may say that a senior is away. Anybody else proposes.
    pub may_confirm: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    /// 我去看看
    Claim,
    Release,
    Extend,
    /// 到门口了
    OnSite,
    /// 敲门没人应
    NoAnswerAtDoor,
    Assign {
        to: Uuid,
    },
    /// 我需要人手, or a social worker who does not want to wait.
    Escalate,
    /// 110, 119 or 120 has been called.
    Emergency {
        service: String,
    },
    Resolve(Resolution),
    Reopen {
        reason: String,
    },
    Review {
        outcome: Option<Outcome>,
        /// First day back, if the outcome is now "not at home".
        return_date: Option<NaiveDate>,
    },
    /// "Someone should look at her." `request` makes it idempotent.
    Raise {
        request: Uuid,
        note: Option<String>,
    },
}

/// How it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolution {
    /// 人平安？
    pub safe: bool,
    pub proof: Option<ContactProof>,
    pub proof_by: Option<String>,
    pub proof_at: Option<DateTime<Utc>>,
    pub outcome: Option<Outcome>,
    pub note: Option<String>,
    /// First day back, for outcomes that mean "not at home".
    pub return_date: Option<NaiveDate>,
}

impl Case {
    pub(super) fn act(&mut self, actor: &Actor, act: &Act, extra: &mut Vec<Command>, now: DateTime<Utc>) -> Result<(), Refusal> {
        if let Act::Raise { request, note } = act {
            self.raise_by_hand(actor, *request, note.clone(), extra, now);
            return Ok(());
        }
        let alert = self.alert.as_ref().ok_or_else(Refusal::not_found)?;
        match act {
            Act::Reopen { reason } => self.reopen_by_hand(actor, reason, extra, now),
            Act::Review { outcome, return_date } => self.review(actor, *outcome, *return_date, extra, now),
            // After a sign closed the alert by itself, the outcome is completed by the same form.
            Act::Resolve(resolution) if !alert.is_unresolved() && alert.outcome.is_none() => self.complete(actor, resolution, extra, now),
            _ if !alert.is_unresolved() => Err(Refusal::conflict("problem.alert_already_resolved")),
            Act::Resolve(resolution) => self.resolve(actor, resolution, extra, now),
            _ => self.act_on_open(actor, act, extra, now),
        }
    }

    fn act_on_open(&mut self, actor: &Actor, act: &Act, extra: &mut Vec<Command>, now: DateTime<Utc>) -> Result<(), Refusal> {
        let (rules, on_duty) = (self.senior.rules.clone(), self.on_duty(now));
        let Some(alert) = self.alert.as_mut() else { return Err(Refusal::not_found()) };
        // Whoever acts on an alert of the list takes it off the list.
        ladder::ensure(alert, &rules.ladder, on_duty, now);
        let (alert_id, by) = (alert.id, actor.id);
        let mut note = |kind, detail| extra.push(record(alert_id, now, kind, Some(by), detail));
        match act {
            Act::Claim if alert.live_claim(now).is_some_and(|(member, _)| member == by) => {}
            Act::Claim => {
                refuse_other_claim(alert, by, now)?;
                alert.take(by, AlertState::Claimed, now + rules.ladder.claim.0);
                note(TimelineKind::Claimed, Arguments::new());
                let unwanted = Unwanted::Rungs { epoch: alert.epoch, steps: ladder::held_by_claim(alert) };
                extra.push(Command::CancelPending { alert_id, unwanted });
            }
            Act::Release => {
                require_claim(alert, by, now)?;
                self.end_claim(TimelineKind::Released, Some(by), extra, now);
            }
            Act::Extend => {
                require_claim(alert, by, now)?;
                let hold = if alert.state == AlertState::OnSite { rules.ladder.on_site } else { rules.ladder.claim };
                alert.claim_until = Some(now + hold.0);
                note(TimelineKind::Extended, Arguments::new());
            }
            Act::OnSite => {
                refuse_other_claim(alert, by, now)?;
                alert.take(by, AlertState::OnSite, now + rules.ladder.on_site.0);
                note(TimelineKind::OnSite, Arguments::new());
            }
            Act::NoAnswerAtDoor => {
                alert.looked_at = alert.looked_at.or(Some(now));
                ladder::start_at_door(alert, now);
                note(TimelineKind::NoAnswerAtDoor, Arguments::new());
            }
            Act::Assign { to } => self.assign(by, *to, extra, now),
            Act::Escalate => {
                ladder::start_now(alert, &[alert.level + 1], now);
                ladder::advance(alert, now);
                note(TimelineKind::Escalated, Arguments::new());
            }
            Act::Emergency { service } => {
                alert.emergency_at = alert.emergency_at.or(Some(now));
                ladder::start_emergency(alert, now);
                note(TimelineKind::Emergency, arguments([("service", service.clone())]));
            }
            Act::Resolve(_) | Act::Reopen { .. } | Act::Review { .. } | Act::Raise { .. } => {}
        }
        Ok(())
    }

    /// Somebody is sent. Her claim is named by the moment at which it ends, so that it can be taken back if the word to her fails.
    fn assign(&mut self, by: Uuid, to: Uuid, extra: &mut Vec<Command>, now: DateTime<Utc>) {
        let until = now + self.senior.rules.ladder.claim.0;
        let Some(alert) = self.alert.as_mut() else { return };
        let displaced = alert.live_claim(now).map(|(member, _)| member).filter(|member| *member != to);
        alert.take(to, AlertState::Claimed, until);
        alert.assigned_by = Some(by);
        let (id, epoch, step) = (alert.id, alert.epoch, until.timestamp_millis());
        let key = if alert.is_urgent() { "notice.help_assigned" } else { "notice.assigned" };
        extra.push(record(id, now, TimelineKind::Assigned, Some(by), arguments([("to", to.to_string())])));
        extra.push(self.tell(id, epoch, step, to, key, now));
        if let Some(member) = displaced {
            extra.push(self.tell_stand_down(id, epoch, step, member, "notice.passed_on", now));
        }
    }

    /// The word to whoever was sent has failed: nobody is going, and who sent her must know.
    pub(super) fn assignment_failed(&mut self, extra: &mut Vec<Command>, now: DateTime<Utc>) {
        let Some(alert) = self.alert.as_ref() else { return };
        let (id, epoch, by) = (alert.id, alert.epoch, alert.assigned_by);
        self.end_claim(TimelineKind::ClaimVoid, None, extra, now);
        if let Some(by) = by {
            extra.push(self.tell(id, epoch, now.timestamp_millis(), by, "notice.assigned_unreachable", now));
        }
    }

    fn raise_by_hand(&mut self, actor: &Actor, request: Uuid, note: Option<String>, extra: &mut Vec<Command>, now: DateTime<Utc>) {
        let trigger = Trigger {
            id: id::request_trigger(self.senior.site_id, request),
            check_id: None,
            kind: TriggerKind::Manual,
            cause: Cause::Manual,
            local_date: self.today(now),
            slot: None,
            proof_from: now,
            note,
            raised_by: Some(actor.id),
            at: now,
        };
        self.raise(trigger, true, extra, now);
    }

    fn resolve(&mut self, actor: &Actor, resolution: &Resolution, extra: &mut Vec<Command>, now: DateTime<Utc>) -> Result<(), Refusal> {
        self.validate(actor, resolution, now)?;
        let details = self.arguments();
        let Some(alert) = self.alert.as_mut() else { return Err(Refusal::not_found()) };
        alert.state = AlertState::Resolved;
        alert.resolved_at = Some(now);
        alert.resolved_by = Some(actor.id);
        alert.fill(resolution);
        let confidential = !resolution.safe || resolution.outcome.is_some_and(Outcome::is_confidential);
        let key = if confidential { "notice.stand_down_handled" } else { "notice.stand_down_well" };
        let (alert_id, epoch) = (alert.id, alert.epoch);
        let detail = arguments([
            ("proof", resolution.proof.map_or_else(String::new, |proof| proof.to_string())),
            ("outcome", resolution.outcome.map_or_else(String::new, |outcome| outcome.to_string())),
        ]);
        extra.push(record(alert_id, now, TimelineKind::Resolved, Some(actor.id), detail));
        extra.push(Command::CancelPending { alert_id, unwanted: Unwanted::All });
        extra.push(Command::StandDown { alert_id, epoch, key, arguments: details, except: Some(actor.id), bundle: false });
        if resolution.proof.is_none() {
            extra.push(Command::Silenced { what: Silenced::WithoutProof, by: actor.id });
        }
        self.follow(actor, resolution.outcome, resolution.return_date, extra, now);
        Ok(())
    }

    fn complete(&mut self, actor: &Actor, resolution: &Resolution, extra: &mut Vec<Command>, now: DateTime<Utc>) -> Result<(), Refusal> {
        if resolution.outcome.is_none() {
            return Err(Refusal::invalid("outcome", "problem.outcome_required"));
        }
        self.validate_consequences(resolution, now)?;
        let Some(alert) = self.alert.as_mut() else { return Err(Refusal::not_found()) };
        let (proof, proof_by, proof_at) = (alert.contact_proof, alert.proof_by.clone(), alert.proof_at);
        alert.fill(resolution);
        // What the sign proved stays.
        alert.contact_proof = proof.or(resolution.proof);
        alert.proof_by = proof_by.or_else(|| resolution.proof_by.clone());
        alert.proof_at = proof_at.or(resolution.proof_at);
        let outcome = resolution.outcome.map_or_else(String::new, |outcome| outcome.to_string());
        extra.push(record(alert.id, now, TimelineKind::OutcomeCompleted, Some(actor.id), arguments([("outcome", outcome)])));
        self.follow(actor, resolution.outcome, resolution.return_date, extra, now);
        Ok(())
    }

    /// Consequences in the same request: an absence, the end of the agreement. Both silence, so whoever may not do that only
    /// proposes: tomorrow is an ordinary day until somebody who may has looked at it.
    fn follow(
        &mut self,
        actor: &Actor,
        outcome: Option<Outcome>,
        return_date: Option<NaiveDate>,
        extra: &mut Vec<Command>,
        now: DateTime<Utc>,
    ) {
        let Some(outcome) = outcome else { return };
        let (today, by) = (self.today(now), actor.id);
        let alert_id = self.alert.as_ref().map_or_else(Uuid::nil, |alert| alert.id);
        let mut proposed = false;
        if let (Some(kind), Some(return_date)) = (outcome.absence(), return_date) {
            let (id, confirmed) = (id::absence(alert_id, return_date), actor.may_confirm);
            extra.push(Command::AddAbsence { id, kind, from_date: today, return_date, by, confirmed });
            self.absences.push(AbsenceFact {
                id,
                kind,
                from_date: today,
                return_date,
                // The store knows the name; nothing in this transaction says it.
                reported_by: String::new(),
                confirmed_at: confirmed.then_some(now),
                cancelled_at: None,
                return_confirmed_at: None,
                first_check: None,
            });
            if confirmed {
                extra.push(Command::Silenced { what: Silenced::Absence, by });
                self.assess_checks(Judge::Only, extra, now);
            }
            proposed |= !confirmed;
        }
        if outcome.ends_agreement() {
            if actor.may_silence {
                extra.push(Command::EndAgreements { outcome, from_date: today });
                extra.push(Command::Silenced { what: Silenced::Ended, by });
            }
            proposed |= !actor.may_silence;
        }
        if proposed {
            extra.push(Command::Silenced { what: Silenced::Proposed, by });
        }
    }

    fn validate(&self, actor: &Actor, resolution: &Resolution, now: DateTime<Utc>) -> Result<(), Refusal> {
        match resolution.proof {
            None => {
                let equipment = resolution.outcome.is_some_and(|outcome| outcome.class() == OutcomeClass::DataEquipment);
                if !equipment {
                    return Err(Refusal::invalid("contact_proof", "problem.proof_required"));
                }
                if !actor.may_silence {
                    return Err(Refusal::forbidden("problem.closing_without_proof"));
                }
            }
            Some(ContactProof::SeenByNamedPerson) => {
                if resolution.proof_by.as_deref().is_none_or(|name| name.trim().is_empty()) {
                    return Err(Refusal::invalid("proof_by", "problem.proof_by_required"));
                }
                let at = resolution.proof_at.ok_or_else(|| Refusal::invalid("proof_at", "problem.proof_at_required"))?;
                let earliest = self.alert.as_ref().and_then(|alert| self.named_sighting_from(alert));
                if at > now || earliest.is_some_and(|earliest| at < earliest) {
                    return Err(Refusal::invalid("proof_at", "problem.proof_at_range"));
                }
            }
            Some(_) => {}
        }
        self.validate_consequences(resolution, now)
    }

    fn validate_consequences(&self, resolution: &Resolution, now: DateTime<Utc>) -> Result<(), Refusal> {
        let Some(outcome) = resolution.outcome else { return Ok(()) };
        if let Some(field) = outcome.contradicted_by(resolution.safe, resolution.proof) {
            return Err(Refusal::invalid(field, "problem.outcome_contradicts"));
        }
        if outcome == Outcome::Other && resolution.note.as_deref().is_none_or(|note| note.trim().is_empty()) {
            return Err(Refusal::invalid("note", "problem.note_required"));
        }
        self.validate_return(outcome, resolution.return_date, now)
    }

    fn validate_return(&self, outcome: Outcome, return_date: Option<NaiveDate>, now: DateTime<Utc>) -> Result<(), Refusal> {
        if outcome.absence().is_some() {
            let date = return_date.ok_or_else(|| Refusal::invalid("return_date", "problem.return_date_required"))?;
            let today = self.today(now);
            if date <= today || date > today + TimeDelta::days(ABSENCE_DAYS_MAX) {
                return Err(Refusal::invalid("return_date", "problem.return_date_range").with("days", ABSENCE_DAYS_MAX));
            }
        }
        Ok(())
    }

    /// A sighting by a named person must answer every trigger: a missed sign from an hour before its cutoff on, a call for
    /// help or a person's request only from its own moment on.
    fn named_sighting_from(&self, alert: &Alert) -> Option<DateTime<Utc>> {
        let check_of = |trigger: &Trigger| self.checks.iter().find(|check| Some(check.id) == trigger.check_id);
        let from = |trigger: &Trigger| check_of(trigger).map_or(trigger.proof_from, |check| check.cutoff_at - NAMED_SIGHTING_BEFORE);
        alert.triggers.iter().map(from).max()
    }

    fn reopen_by_hand(&mut self, actor: &Actor, reason: &str, extra: &mut Vec<Command>, now: DateTime<Utc>) -> Result<(), Refusal> {
        if self.alert.as_ref().is_some_and(Alert::is_unresolved) {
            return Err(Refusal::conflict("problem.alert_not_resolved"));
        }
        self.reopen(Some(actor.id), arguments([("reason", reason.to_owned())]), extra, now);
        Ok(())
    }

    /// What the reviewer finds out has the same consequences as if it had been known at the door.
    fn review(
        &mut self,
        actor: &Actor,
        outcome: Option<Outcome>,
        return_date: Option<NaiveDate>,
        extra: &mut Vec<Command>,
        now: DateTime<Utc>,
    ) -> Result<(), Refusal> {
        let Some(alert) = self.alert.as_ref().filter(|alert| !alert.is_unresolved()) else {
            return Err(Refusal::conflict("problem.alert_not_resolved"));
        };
        let (alert_id, known) = (alert.id, alert.outcome);
        let chosen = outcome.or(known).ok_or_else(|| Refusal::invalid("outcome", "problem.outcome_required"))?;
        if Some(chosen) != known || return_date.is_some() {
            self.validate_return(chosen, return_date, now)?;
        }
        let Some(alert) = self.alert.as_mut() else { return Err(Refusal::not_found()) };
        alert.outcome = Some(chosen);
        // The reviewer's word is the later one: nobody stays "safe" who was found to be dead or missing.
        alert.safe = alert.safe.map(|safe| safe && chosen.class() != OutcomeClass::Severe);
        alert.state = AlertState::Reviewed;
        alert.reviewed_at = Some(now);
        alert.reviewed_by = Some(actor.id);
        extra.push(record(alert_id, now, TimelineKind::Reviewed, Some(actor.id), Arguments::new()));
        // Also what a volunteer had only proposed.
        self.follow(actor, Some(chosen), return_date, extra, now);
        Ok(())
    }
}

impl Alert {
    fn take(&mut self, member: Uuid, state: AlertState, until: DateTime<Utc>) {
        self.state = state;
        self.claimed_by = Some(member);
        self.claim_until = Some(until);
        self.assigned_by = None;
    }

    /// Nobody is going any more.
    pub(super) fn drop_claim(&mut self) {
        self.state = AlertState::Open;
        self.claimed_by = None;
        self.claim_until = None;
        self.assigned_by = None;
    }

    fn fill(&mut self, resolution: &Resolution) {
        self.safe = Some(resolution.safe);
        self.contact_proof = resolution.proof;
        self.proof_by.clone_from(&resolution.proof_by);
        self.proof_at = resolution.proof_at;
        self.outcome = resolution.outcome;
        self.outcome_note.clone_from(&resolution.note);
    }
}

fn refuse_other_claim(alert: &Alert, by: Uuid, now: DateTime<Utc>) -> Result<(), Refusal> {
    match alert.live_claim(now) {
        Some((other, _)) if other != by => Err(Refusal::conflict("problem.claimed_by_other").with("member_id", other)),
        _ => Ok(()),
    }
}

fn require_claim(alert: &Alert, by: Uuid, now: DateTime<Utc>) -> Result<(), Refusal> {
    match alert.live_claim(now) {
        Some((holder, _)) if holder == by => Ok(()),
        Some((other, _)) => Err(Refusal::conflict("problem.claimed_by_other").with("member_id", other)),
        None => Err(Refusal::conflict("problem.not_claimed")),
    }
}
