//! A rung fires: people are found, told, and the next rung is set (I13, I14, I16).

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{Alert, Arguments, CANARY_KEY, Case, Cause, Command, Roster, TimelineKind, arguments, record};
use crate::domain::alert::{Step, StepAct, StepState, TriggerKind};
use crate::domain::check::Slot;
use crate::domain::notice::{NewNotice, NoticeClass, key_of};
use crate::domain::{absence, day, id, ladder};

/// More rungs than any ladder has: a guard against a loop that would never end.
const STEPS_PER_PASS_MAX: usize = 32;

/// The number of a word about a rung that is not the rung itself: whether it arrives says nothing about the rung.
fn aside(step: i64) -> i64 {
    -2 - step
}

fn fired(alert: &Alert, step: i64) -> Option<Step> {
    alert.steps.iter().find(|known| known.epoch == alert.epoch && known.step == step && known.state == StepState::Fired).cloned()
}

impl Case {
    pub(super) fn fire_due_steps(&mut self, roster: &Roster, operators: &[Uuid], extra: &mut Vec<Command>, now: DateTime<Utc>) {
        for _ in 0..STEPS_PER_PASS_MAX {
            let Some(alert) = self.alert.as_ref().filter(|alert| alert.is_unresolved()) else { return };
            let Some(index) = ladder::next_due(alert, now) else { return };
            if alert.steps[index].act == StepAct::Contact {
                self.tell_contact(index, roster, extra, now);
                continue;
            }
            let (step, people) = (alert.steps[index].clone(), self.audience(alert, index, roster, operators, now));
            let (alert_id, epoch) = (alert.id, alert.epoch);
            let is_self_test = self.senior.is_daily_canary();
            let key = if is_self_test { CANARY_KEY } else { key_of(step.act, alert.is_urgent(), alert.cause) };
            let remark = match step.act {
                StepAct::Call | StepAct::Look => self.remark(),
                act => self.contact_said(act),
            };
            for member in &people {
                let mut notice = self.notice(alert_id, epoch, (step.step, step.level), *member, key, now);
                notice.arguments.extend(remark.clone());
                extra.push(Command::Tell(notice));
            }
            let detail = arguments([("level", step.level.to_string()), ("act", step.act.to_string()), ("told", people.len().to_string())]);
            let kind = if people.is_empty() { TimelineKind::StepFoundNobody } else { TimelineKind::StepFired };
            extra.push(record(alert_id, now, kind, None, detail));
            if people.is_empty() {
                // I16: a ladder that reaches nobody is an alarm of its own.
                for operator in operators {
                    extra.push(self.tell(alert_id, epoch, aside(step.step), *operator, "notice.step_found_nobody", now));
                }
            }
            let rules = self.senior.rules.clone();
            if let Some(alert) = self.alert.as_mut() {
                ladder::mark_fired(alert, index, people.len(), &rules.ladder, now);
            }
            if step.act == StepAct::Family {
                self.begin_contacts(roster, step.held, extra, now);
            }
        }
    }

    /// What the first word of a missed sign says of an absence that excused nothing. A call for help is a call for help, wherever
    /// she is said to be.
    fn remark(&self) -> Arguments {
        let Some(alert) = self.alert.as_ref().filter(|alert| !alert.is_urgent()) else { return Arguments::new() };
        let latest = alert
            .triggers
            .iter()
            .filter(|trigger| trigger.kind == TriggerKind::Missed)
            .max_by_key(|trigger| (trigger.local_date, trigger.slot));
        let said = latest.and_then(|trigger| absence::remark(&self.absences, trigger.check_id?, trigger.local_date));
        said.map_or_else(Arguments::new, |(remark, by)| arguments([("remark", remark.to_string()), ("reported_by", by.to_owned())]))
    }

    fn audience(&self, alert: &Alert, index: usize, roster: &Roster, operators: &[Uuid], now: DateTime<Utc>) -> Vec<Uuid> {
        // A canary proves that alerts work; it must not send anybody to a door.
        if self.senior.canary {
            return operators.to_vec();
        }
        let slot = alert.triggers.iter().filter_map(|trigger| trigger.slot).next_back().unwrap_or(Slot::Morning);
        let claimed = alert.live_claim(now).map(|(member, _)| member);
        let weekday = day::weekday_bit(self.today(now));
        roster.audience(alert.steps[index].act, slot, weekday, claimed, alert.cause == Cause::NotObserved)
    }

    /// All messages of a step failed: the next rung comes at once (I11). A word that is no rung brings none forward.
    pub(super) fn undeliverable(&mut self, (epoch, step): (i64, i64), operators: &[Uuid], extra: &mut Vec<Command>, now: DateTime<Utc>) {
        let Some(alert) = self.alert.as_mut().filter(|alert| alert.is_unresolved() && alert.epoch == epoch) else { return };
        let of_assignment = alert.assigned_by.is_some() && alert.claim_until.is_some_and(|until| until.timestamp_millis() == step);
        if of_assignment {
            return self.assignment_failed(extra, now);
        }
        if let Some(fired) = fired(alert, step) {
            if fired.act == StepAct::Contact {
                return self.contact_unreached(step, extra, now);
            }
            extra.push(record(alert.id, now, TimelineKind::Undeliverable, None, arguments([("step", step.to_string())])));
            // The heartbeat tells of a self-test that did not arrive.
            if !ladder::advance(alert, now) && !self.senior.is_daily_canary() {
                // I16: there is no next rung to hear it instead.
                let alert_id = alert.id;
                for operator in operators {
                    extra.push(self.tell(alert_id, epoch, aside(step), *operator, "notice.step_unheard", now));
                }
            }
        }
    }

    /// Nobody of a step took the telephone: a text that lies unread has told nobody, so the rung after it comes now.
    pub(super) fn unanswered(&mut self, (epoch, step): (i64, i64), extra: &mut Vec<Command>, now: DateTime<Utc>) {
        let Some(alert) = self.alert.as_mut().filter(|alert| alert.is_unresolved() && alert.epoch == epoch) else { return };
        let Some(fired) = fired(alert, step) else { return };
        if fired.act == StepAct::Contact {
            return self.contact_turn_over(step, now);
        }
        extra.push(record(alert.id, now, TimelineKind::Unanswered, None, arguments([("step", step.to_string())])));
        ladder::advance_past(alert, &fired, now);
    }

    pub(super) fn tell(&self, alert_id: Uuid, epoch: i64, step: i64, member: Uuid, key: &'static str, now: DateTime<Utc>) -> Command {
        Command::Tell(self.notice(alert_id, epoch, (step, 0), member, key, now))
    }

    /// The same as good news: it follows the word that it takes back.
    pub(super) fn tell_stand_down(
        &self,
        alert_id: Uuid,
        epoch: i64,
        step: i64,
        member: Uuid,
        key: &'static str,
        now: DateTime<Utc>,
    ) -> Command {
        Command::Tell(NewNotice { class: NoticeClass::StandDown, ..self.notice(alert_id, epoch, (step, 0), member, key, now) })
    }

    fn notice(
        &self,
        alert_id: Uuid,
        epoch: i64,
        (step, level): (i64, i64),
        member: Uuid,
        key: &'static str,
        now: DateTime<Utc>,
    ) -> NewNotice {
        let mut details: Arguments = self.arguments();
        if let Some((from, to)) = self.alert.as_ref().and_then(|alert| alert.outage) {
            let local = |at: DateTime<Utc>| at.with_timezone(&self.senior.zone).format("%H:%M").to_string();
            details.insert("outage_from".to_owned(), local(from));
            details.insert("outage_to".to_owned(), local(to));
        }
        NewNotice {
            id: id::notice(alert_id, epoch, step, member, key),
            alert_id: Some(alert_id),
            epoch,
            step,
            level,
            recipient_id: member,
            key,
            arguments: details,
            class: NoticeClass::Alert,
            not_before: now,
            useless_from: None,
        }
    }
}
