//! Signals meet the alert: a sight or voice closes a purely missed one, a look that found the sign missing makes it more
//! pressing, a late sensor is only a note (I6), and an undone sighting opens it again at the same level.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{Alert, AlertState, Arguments, Case, Cause, Command, Judge, SignalFact, TimelineKind, Unwanted, arguments, record};
use crate::domain::alert::StepState;
use crate::domain::outcome::{ContactProof, Outcome};
use crate::domain::signal::{Evidence, Polarity, SensorPolicy, Sign, SignalKind, Source, Standing};
use crate::domain::silence::Silenced;
use crate::domain::{id, ladder};

impl Case {
    pub(super) fn apply_sightings(&mut self, fresh: &[SignalFact], extra: &mut Vec<Command>, now: DateTime<Utc>) {
        self.reopen_if_undone(extra, now);
        let Some(alert) = self.alert.clone().filter(Alert::is_unresolved) else { return };
        // Only what has just come: an alert that a person opened again is not closed by the sign that she did not believe.
        let is_fresh = |signal: &SignalFact| fresh.iter().any(|new| new.id == signal.id);
        if let Some((signal, proof)) = self.proof_among(&alert, is_fresh) {
            self.close_by_signal(&signal, proof, extra, now);
            return;
        }
        if let Some(cause) = fresh.iter().rev().find_map(|signal| self.negative_look(signal, &alert)) {
            self.note_negative_look(cause, extra, now);
        }
        if fresh.iter().any(|signal| !signal.is_human() && signal.evidence == Some(Evidence::A) && signal.standing == Standing::Accepted) {
            extra.push(record(alert.id, now, TimelineKind::SensorNote, None, Arguments::new()));
        }
        if fresh.iter().any(|signal| self.is_late_reading(signal, &alert)) {
            self.ask_for_a_call(now);
        }
    }

    /// A sensor shows the agreed sign after all.
    fn is_late_reading(&self, signal: &SignalFact, alert: &Alert) -> bool {
        let (sign, policy) = self.agreed(alert);
        let recent = alert.proof_from().is_some_and(|from| signal.observed_at >= from);
        let shows_it = signal.polarity(sign, SensorPolicy::Sufficient) == Polarity::Matches;
        !signal.is_human() && signal.standing == Standing::Accepted && recent && policy != SensorPolicy::None && shows_it
    }

    /// A late reading never resolves: it moves the alert down the list and asks for a call, once (I6).
    fn ask_for_a_call(&mut self, now: DateTime<Utc>) {
        let Some(alert) = self.alert.as_mut().filter(|alert| alert.is_purely_missed() && alert.sensor_noted_at.is_none()) else { return };
        alert.sensor_noted_at = Some(now);
        ladder::confirm_now(alert, now);
    }

    /// The sign agreed for the latest missed check, and the policy; an alert without a check expects an open curtain.
    fn agreed(&self, alert: &Alert) -> (Sign, SensorPolicy) {
        let latest = alert.triggers.iter().filter(|t| t.check_id.is_some()).max_by_key(|t| (t.local_date, t.slot));
        let check = latest.and_then(|t| self.checks.iter().find(|check| Some(check.id) == t.check_id));
        check.map_or((Sign::Open, SensorPolicy::None), |check| (check.expected_sign, check.sensor_policy))
    }

    fn is_replaced(&self, id: Uuid) -> bool {
        self.signals.iter().any(|signal| signal.standing == Standing::Accepted && signal.replaces == Some(id))
    }

    /// The first human signal that proves something about every trigger of a purely missed alert.
    fn proof_among(&self, alert: &Alert, may_prove: impl Fn(&SignalFact) -> bool) -> Option<(SignalFact, ContactProof)> {
        let proof_from = alert.proof_from().filter(|_| alert.is_purely_missed())?;
        let (sign, policy) = self.agreed(alert);
        self.signals
            .iter()
            .filter(|signal| signal.is_human() && signal.standing == Standing::Accepted && signal.observed_at >= proof_from)
            .filter(|signal| may_prove(signal) && !self.is_replaced(signal.id) && signal.polarity(sign, policy) == Polarity::Matches)
            // Paper typed in later proves only what it saw before the alert opened.
            .filter(|signal| signal.source != Source::Sheet || signal.observed_at < alert.opened_at)
            .min_by_key(|signal| (signal.observed_at, signal.id))
            .map(|signal| {
                let proof = match signal.kind {
                    SignalKind::SeenInPerson => ContactProof::SeenInPerson,
                    SignalKind::SpokeWithPerson => ContactProof::SpokeWithPerson,
                    _ => ContactProof::AgreedSignSeenLate,
                };
                (signal.clone(), proof)
            })
    }

    fn close_by_signal(&mut self, signal: &SignalFact, proof: ContactProof, extra: &mut Vec<Command>, now: DateTime<Utc>) {
        let details = self.arguments();
        let Some(alert) = self.alert.as_mut() else { return };
        alert.state = AlertState::Resolved;
        alert.resolved_at = Some(now);
        alert.resolved_by_signal = Some(signal.id);
        alert.contact_proof = Some(proof);
        alert.proof_at = Some(signal.observed_at);
        alert.safe = Some(true);
        let bundle = alert.cause == Cause::NotObserved;
        let (id, epoch) = (alert.id, alert.epoch);
        extra.push(record(id, now, TimelineKind::Resolved, None, arguments([("proof", proof.to_string())])));
        extra.push(Command::CancelPending { alert_id: id, unwanted: Unwanted::All });
        extra.push(Command::StandDown { alert_id: id, epoch, key: "notice.stand_down_well", arguments: details, except: None, bundle });
    }

    /// What a person saw who looked after the alert opened: the sign missing, or nothing at all.
    fn negative_look(&self, signal: &SignalFact, alert: &Alert) -> Option<Cause> {
        let (sign, policy) = self.agreed(alert);
        let recent = alert.proof_from().is_some_and(|from| signal.observed_at >= from);
        if !signal.is_human() || signal.standing != Standing::Accepted || !recent {
            return None;
        }
        match signal.polarity(sign, policy) {
            Polarity::Contradicts => Some(Cause::NotOpen),
            Polarity::Blind => Some(Cause::Blind),
            _ => None,
        }
    }

    fn note_negative_look(&mut self, cause: Cause, extra: &mut Vec<Command>, now: DateTime<Utc>) {
        let Some(alert) = self.alert.as_mut() else { return };
        // A knock without an answer has set `looked_at` already; the window is news all the same.
        if alert.cause != Cause::NotObserved {
            return;
        }
        alert.looked_at = alert.looked_at.or(Some(now));
        alert.cause = cause;
        extra.push(record(alert.id, now, TimelineKind::Looked, None, Arguments::new()));
        // The look is done; now the assigned party member phones and knocks.
        if alert.has_ladder() {
            ladder::call_now(alert, now);
        }
    }

    /// The signal that closed the alert was corrected and nothing else proves contact.
    fn reopen_if_undone(&mut self, extra: &mut Vec<Command>, now: DateTime<Utc>) {
        let Some(alert) = self.alert.clone().filter(|alert| !alert.is_unresolved()) else { return };
        let Some(closing) = alert.resolved_by_signal.filter(|signal| self.is_replaced(*signal)) else { return };
        if let Some((other, proof)) = self.proof_among(&alert, |_| true) {
            if let Some(alert) = self.alert.as_mut() {
                alert.resolved_by_signal = Some(other.id);
                alert.contact_proof = Some(proof);
            }
            return;
        }
        let detail = arguments([("signal", closing.to_string())]);
        self.reopen(None, detail, extra, now);
    }

    /// Opens a resolved alert again; the ladder goes on where it stood, and everybody who was told hears of it.
    pub(super) fn reopen(&mut self, by: Option<Uuid>, detail: Arguments, extra: &mut Vec<Command>, now: DateTime<Utc>) {
        self.take_back_consequences(by, extra, now);
        let (rules, on_duty, details) = (self.senior.rules.clone(), self.on_duty(now), self.arguments());
        let Some(alert) = self.alert.as_mut() else { return };
        let paused = alert.resolved_at.map_or_else(chrono::TimeDelta::zero, |at| now - at);
        for step in alert.steps.iter_mut().filter(|step| step.state == StepState::Pending) {
            step.due_at += paused;
            step.due_if_claimed_at += paused;
            step.due_if_unseen_at += paused;
        }
        alert.drop_claim();
        alert.resolved_at = None;
        alert.resolved_by = None;
        alert.resolved_by_signal = None;
        alert.contact_proof = None;
        alert.proof_by = None;
        alert.proof_at = None;
        alert.safe = None;
        alert.outcome = None;
        alert.outcome_note = None;
        alert.reviewed_at = None;
        alert.reviewed_by = None;
        extra.push(record(alert.id, now, TimelineKind::Reopened, by, detail));
        let (alert_id, epoch) = (alert.id, alert.epoch);
        let key = if alert.is_urgent() { "notice.help_open_again" } else { "notice.open_again" };
        extra.push(Command::CancelStandDown);
        extra.push(Command::TellAgain { alert_id, epoch, except: None });
        extra.push(Command::Recall { alert_id, epoch, key, arguments: details, except: by });
        // Somebody answers for it at once, whoever was told before.
        if !ladder::ensure(alert, &rules.ladder, on_duty, now) {
            ladder::call_now(alert, now);
        }
    }

    /// The closing said that she was away: then nobody would look tomorrow either. An ended agreement is history and cannot be
    /// taken back, so those concerned hear that it has to be made anew.
    fn take_back_consequences(&mut self, by: Option<Uuid>, extra: &mut Vec<Command>, now: DateTime<Utc>) {
        let Some(alert) = &self.alert else { return };
        let (alert_id, ended) = (alert.id, alert.outcome.is_some_and(Outcome::ends_agreement));
        let mut taken_back = false;
        for absence in &mut self.absences {
            if absence.cancelled_at.is_none() && absence.id == id::absence(alert_id, absence.return_date) {
                absence.cancelled_at = Some(now);
                extra.push(Command::CancelAbsence { id: absence.id, by });
                taken_back = true;
            }
        }
        if let Some(by) = by.filter(|_| ended) {
            extra.push(Command::Silenced { what: Silenced::StillEnded, by });
        }
        if taken_back {
            self.assess_checks(Judge::Only, extra, now);
        }
    }
}
