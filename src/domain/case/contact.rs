//! Family who agreed at enrolment to be told by message: at L2, one contact after the other, each with her turn to answer, until one
//! takes it on. It happens beside the ladder: no rung waits for it, and a claim that holds L2 holds the turns that are left.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{Alert, Arguments, Case, Command, Roster, TimelineKind, Unwanted, arguments, record};
use crate::domain::alert::{ContactAnswer, ContactCall, StepAct, StepState};
use crate::domain::id;
use crate::domain::ladder;
use crate::domain::notice::{NewNotice, NoticeClass, key_of};
use crate::domain::refusal::Refusal;

/// L2, whose turns these are.
const LEVEL: i64 = 2;
/// An answer may say so many minutes at most: a day.
const MINUTES_MAX: i64 = 24 * 60;

impl Case {
    /// L2 has fired. `held`: a claim holds it; where somebody stands before a closed door, the family is told whoever goes.
    pub(super) fn begin_contacts(&mut self, roster: &Roster, held: bool, extra: &mut Vec<Command>, now: DateTime<Utc>) {
        // A canary and a drill send nobody's daughter across the city.
        if roster.contacts.is_empty() || self.senior.canary || self.alert.as_ref().is_none_or(|alert| alert.drill) {
            return;
        }
        let Some(alert) = self.alert.as_mut() else { return };
        if roster.contacts_reachable {
            ladder::call_contact(alert, held, now);
        } else {
            extra.push(record(alert.id, now, TimelineKind::ContactsUntold, None, Arguments::new()));
        }
    }

    /// The turn of the next contact who has not been told in this epoch.
    pub(super) fn tell_contact(&mut self, index: usize, roster: &Roster, extra: &mut Vec<Command>, now: DateTime<Utc>) {
        let rules = self.senior.rules.clone();
        let Some(alert) = self.alert.as_mut() else { return };
        let (step, urgent) = (alert.steps[index].clone(), alert.is_urgent());
        let mut untold = roster.contacts.iter().filter(|contact| !is_told(alert, contact.id)).cloned().collect::<Vec<_>>().into_iter();
        let next = untold.next();
        let told = usize::from(next.is_some() && roster.contacts_reachable);
        ladder::mark_fired(alert, index, told, &rules.ladder, now);
        let Some(contact) = next else { return };
        if !roster.contacts_reachable {
            extra.push(record(alert.id, now, TimelineKind::ContactsUntold, None, Arguments::new()));
            return;
        }
        let (alert_id, epoch, key) = (alert.id, alert.epoch, key_of(StepAct::Contact, urgent, alert.cause));
        // Nothing about anybody: the message holds a link, and what stands behind it is read there.
        extra.push(Command::TellContact(NewNotice {
            id: id::notice(alert_id, epoch, step.step, contact.id, key),
            alert_id: Some(alert_id),
            epoch,
            step: step.step,
            level: LEVEL,
            recipient_id: contact.id,
            key,
            arguments: Arguments::new(),
            class: NoticeClass::Alert,
            not_before: now,
            useless_from: None,
        }));
        alert.contacts.push(ContactCall {
            epoch,
            contact_id: contact.id,
            step: step.step,
            relation: contact.relation,
            told_at: now,
            answer: None,
            minutes: None,
            answered_at: None,
        });
        if untold.next().is_some() {
            ladder::call_contact(alert, step.held, now + rules.ladder.contact_turn.0);
        }
    }

    /// A contact answers, or changes her answer. "We have talked with her" resolves nothing: whoever goes hears of it and looks.
    ///
    /// # Errors
    /// A refusal if the alert is over, if she was never told, or if nobody needs so long.
    pub(super) fn contact_answers(
        &mut self,
        contact: Uuid,
        answer: ContactAnswer,
        minutes: Option<i64>,
        extra: &mut Vec<Command>,
        now: DateTime<Utc>,
    ) -> Result<(), Refusal> {
        let minutes = minutes.filter(|_| answer == ContactAnswer::Going);
        if minutes.is_some_and(|minutes| !(0..=MINUTES_MAX).contains(&minutes)) {
            return Err(Refusal::invalid("minutes", "family.minutes").with("max", MINUTES_MAX));
        }
        let alert = self.alert.as_mut().filter(|alert| alert.is_unresolved()).ok_or_else(Refusal::not_found)?;
        let (alert_id, epoch) = (alert.id, alert.epoch);
        let told = alert.contacts.iter_mut().filter(|call| call.contact_id == contact).max_by_key(|call| call.epoch);
        let call = told.ok_or_else(Refusal::not_found)?;
        if call.answer == Some(answer) && call.minutes == minutes {
            return Ok(());
        }
        let before = call.answer.replace(answer);
        call.minutes = minutes;
        call.answered_at = Some(now);
        let mut detail = arguments([("relation", call.relation.as_str())]);
        detail.extend(minutes.map(|minutes| ("minutes".to_owned(), minutes.to_string())));
        let ((act, kind), step) = (answer.told_as(), (call.epoch == epoch).then_some(call.step));
        extra.push(record(alert_id, now, kind, None, detail));
        if answer.takes_it_on() {
            if let Some(turn) = ladder::contact_turn(alert) {
                turn.state = StepState::Void;
            }
            // Nobody of the family is rung any more, neither she nor the others.
            extra.push(Command::CancelPending { alert_id, unwanted: Unwanted::Rungs { epoch, steps: ladder::contact_steps(alert) } });
        } else {
            extra.push(Command::CancelPending { alert_id, unwanted: Unwanted::Rungs { epoch, steps: step.into_iter().collect() } });
            let taken_on = alert.contacts.iter().any(|call| call.epoch == epoch && call.answer.is_some_and(ContactAnswer::takes_it_on));
            let took_it_on = before.is_some_and(ContactAnswer::takes_it_on);
            if took_it_on && !taken_on && ladder::contact_turn(alert).is_none() {
                ladder::call_contact(alert, true, now);
            }
            if let Some(step) = step {
                self.contact_turn_over(step, now);
            }
        }
        // A "no" is news only to those who have heard a "yes".
        let news = if answer.takes_it_on() { before != Some(answer) } else { before.is_some_and(ContactAnswer::takes_it_on) };
        if let Some(alert) = self.alert.as_mut().filter(|_| news) {
            ladder::relay(alert, act, now);
        }
        Ok(())
    }

    /// No message reaches the contact of this step.
    pub(super) fn contact_unreached(&mut self, step: i64, extra: &mut Vec<Command>, now: DateTime<Utc>) {
        let Some(alert) = self.alert.as_ref() else { return };
        if let Some(call) = alert.contacts.iter().find(|call| call.epoch == alert.epoch && call.step == step) {
            let detail = arguments([("relation", call.relation.as_str())]);
            extra.push(record(alert.id, now, TimelineKind::ContactUnreached, None, detail));
        }
        self.contact_turn_over(step, now);
    }

    /// The contact of this step is out: the next turn comes now, unless the turn is somebody else's already.
    pub(super) fn contact_turn_over(&mut self, step: i64, now: DateTime<Utc>) {
        let Some(alert) = self.alert.as_mut().filter(|alert| ladder::contact_steps(alert).last() == Some(&step)) else { return };
        if let Some(turn) = ladder::contact_turn(alert) {
            turn.due_at = turn.due_at.min(now);
            turn.due_if_claimed_at = turn.due_if_claimed_at.min(now);
        }
    }

    /// What the word to whoever goes says of a contact's answer.
    pub(super) fn contact_said(&self, act: StepAct) -> Arguments {
        let Some(alert) = &self.alert else { return Arguments::new() };
        let told_so = alert.contacts.iter().filter(|call| call.answer.is_some_and(|answer| answer.told_as().0 == act));
        let said = told_so.max_by_key(|call| call.answered_at);
        said.map_or_else(Arguments::new, |call| arguments([("remark", act.to_string()), ("reported_by", call.relation.clone())]))
    }
}

fn is_told(alert: &Alert, contact: Uuid) -> bool {
    alert.contacts.iter().any(|call| call.epoch == alert.epoch && call.contact_id == contact)
}
