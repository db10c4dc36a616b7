//! A trigger meets the alert: it opens one, joins it, or raises its epoch (I2).

use chrono::{DateTime, Utc};

use super::{Alert, AlertState, Arguments, Case, Cause, Command, SignalFact, TimelineKind, Trigger, TriggerKind, arguments, record};
use crate::domain::signal::{Polarity, SensorPolicy, Sign, SignalKind, Standing};
use crate::domain::{id, ladder};

impl Case {
    /// Every press for help and every "cry" raises a trigger of its own, whether or not a check is planned.
    pub(super) fn raise_help(&mut self, fresh: &[SignalFact], extra: &mut Vec<Command>, now: DateTime<Utc>) {
        // A clock that is ahead satisfies nothing (I7), but a call for help with a wrong time is still a call for help.
        let heard = |signal: &&SignalFact| matches!(signal.standing, Standing::Accepted | Standing::ClockSuspect);
        for signal in fresh.iter().filter(heard) {
            // The sign and policy do not matter for a call for help.
            if signal.polarity(Sign::Open, SensorPolicy::None) != Polarity::Urgent {
                continue;
            }
            let trigger = Trigger {
                id: id::request_trigger(self.senior.site_id, signal.id),
                check_id: None,
                kind: TriggerKind::Help,
                cause: if signal.kind == SignalKind::Cry { Cause::Cry } else { Cause::Help },
                local_date: self.today(signal.observed_at.min(now)),
                slot: None,
                proof_from: signal.observed_at.min(now),
                note: None,
                raised_by: None,
                at: now,
            };
            self.raise(trigger, true, extra, now);
        }
    }

    /// `is_current`: the trigger's day is not over. Days missed while the service was down only go on the list.
    pub(super) fn raise(&mut self, trigger: Trigger, is_current: bool, extra: &mut Vec<Command>, now: DateTime<Utc>) {
        match self.alert.as_mut().filter(|alert| alert.is_unresolved()) {
            Some(alert) if alert.has_trigger(trigger.id) => {}
            Some(_) => self.join(trigger, is_current, extra, now),
            None => self.open(trigger, is_current, extra, now),
        }
    }

    fn open(&mut self, trigger: Trigger, is_current: bool, extra: &mut Vec<Command>, now: DateTime<Utc>) {
        let (trial, on_duty) = (self.in_trial(now), self.on_duty(now));
        let mut alert = Alert {
            id: id::alert(trigger.id),
            state: AlertState::Open,
            ladder: trigger.ladder(),
            cause: trigger.cause,
            epoch: 1,
            level: 0,
            trial,
            drill: self.senior.canary,
            opened_at: now,
            epoch_at: now,
            claimed_by: None,
            claim_until: None,
            assigned_by: None,
            emergency_at: None,
            looked_at: None,
            sensor_noted_at: None,
            resolved_at: None,
            resolved_by: None,
            resolved_by_signal: None,
            contact_proof: None,
            proof_by: None,
            proof_at: None,
            safe: None,
            outcome: None,
            outcome_note: None,
            reviewed_at: None,
            reviewed_by: None,
            outage: self.outage,
            next_action_at: None,
            version: 0,
            triggers: Vec::new(),
            steps: Vec::new(),
            contacts: Vec::new(),
        };
        if is_current {
            self.senior.begin_ladder(&mut alert, on_duty, now);
        }
        extra.push(Command::CancelStandDown);
        extra.push(record(alert.id, now, TimelineKind::Opened, trigger.raised_by, describe(&trigger)));
        alert.triggers.push(trigger);
        self.alert = Some(alert);
    }

    fn join(&mut self, trigger: Trigger, is_current: bool, extra: &mut Vec<Command>, now: DateTime<Utc>) {
        let (trial, on_duty) = (self.in_trial(now), self.on_duty(now));
        let senior = self.senior.clone();
        let Some(alert) = self.alert.as_mut() else { return };
        let more_urgent = trigger.cause.urgency() > alert.cause.urgency();
        let new_date = alert.triggers.iter().all(|known| known.local_date < trigger.local_date);
        extra.push(record(alert.id, now, TimelineKind::TriggerAdded, trigger.raised_by, describe(&trigger)));
        if is_current && (more_urgent || new_date) {
            alert.epoch += 1;
            alert.epoch_at = now;
            alert.level = 0;
            alert.trial = trial;
            // Urgency never falls while the alert is open.
            alert.ladder = alert.ladder.max(trigger.ladder());
            alert.cause = if trigger.cause.urgency() >= alert.cause.urgency() { trigger.cause } else { alert.cause };
            alert.looked_at = None;
            alert.sensor_noted_at = None;
            alert.drop_claim();
            senior.begin_ladder(alert, on_duty, now);
            let detail = arguments([("epoch", alert.epoch.to_string())]);
            extra.push(record(alert.id, now, TimelineKind::EpochRaised, None, detail));
        } else if is_current {
            ladder::ensure(alert, &senior.rules.ladder, on_duty, now);
        }
        alert.triggers.push(trigger);
    }

    fn in_trial(&self, now: DateTime<Utc>) -> bool {
        let today = self.today(now);
        self.senior.trial_until.is_some_and(|until| today < until)
    }
}

fn describe(trigger: &Trigger) -> Arguments {
    arguments([
        ("kind", trigger.kind.to_string()),
        ("cause", trigger.cause.to_string()),
        ("date", trigger.local_date.to_string()),
        ("slot", trigger.slot.map_or_else(String::new, |slot| slot.to_string())),
    ])
}
