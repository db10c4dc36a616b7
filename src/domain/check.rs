//! What one senior's morning or evening means at a given moment: a pure function of the *set* of committed signals and
//! absences (I8), half open at the cutoff (I4).

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use uuid::Uuid;

use super::absence::AbsenceFact;
use super::rules::CheckRules;
use super::signal::{Polarity, SensorPolicy, Sign, SignalFact, SignalKind, Standing};
use crate::words;

words! {
    /// 早上看窗 / 晚上看窗
    pub enum Slot { Morning = "morning", Evening = "evening" }
}

words! {
    pub enum CheckState {
        Expected = "expected", Tentative = "tentative", TentativeBlind = "tentative_blind", Ok = "ok", OkLate = "ok_late",
        Excused = "excused", NotObserved = "not_observed", NotOpen = "not_open", NotSeen = "not_seen", Help = "help",
        /// Older than the look-back when somebody first had a chance to evaluate it.
        NotEvaluated = "not_evaluated",
        /// A broken record, taken out so that the others go on (I28); the operator has been told, and it is tried again.
        Unmonitored = "unmonitored"
    }
}

impl CheckState {
    /// The cutoff has not judged it yet.
    pub fn is_undecided(self) -> bool {
        matches!(self, Self::Expected | Self::Tentative | Self::TentativeBlind)
    }

    /// Nobody has judged it, or could: what is unmonitored gets its verdict once its record is mended (I28).
    pub fn awaits_verdict(self) -> bool {
        self.is_undecided() || self == Self::Unmonitored
    }

    /// Somebody on the round should look, or go: all that is not settled well.
    pub fn wants_a_look(self) -> bool {
        !matches!(self, Self::Ok | Self::OkLate | Self::Excused | Self::NotEvaluated)
    }

    /// The cause of the missed trigger, for states that need one.
    pub fn missed_cause(self) -> Option<Cause> {
        match self {
            Self::NotObserved => Some(Cause::NotObserved),
            Self::NotOpen => Some(Cause::NotOpen),
            Self::NotSeen => Some(Cause::Blind),
            _ => None,
        }
    }
}

words! {
    /// Why someone must go; it changes wording and order, never whether.
    pub enum Cause {
        NotObserved = "not_observed", NotOpen = "not_open", Blind = "blind", Help = "help", Cry = "cry", Manual = "manual"
    }
}

impl Cause {
    /// A pressed button is more certain than a card, and both are more urgent than a missing sign.
    pub fn urgency(self) -> i64 {
        match self {
            Self::Help => 2,
            Self::Cry => 1,
            Self::NotObserved | Self::NotOpen | Self::Blind | Self::Manual => 0,
        }
    }
}

words! {
    /// The reminders of one round, before any alert.
    pub enum ReminderKind {
        /// T−30: the count left.
        Round = "round",
        /// T−10: not looked at yet, or look again.
        Last = "last",
        /// T+5: the second call for those seen shut or not visible.
        LookAgain = "look_again"
    }
}

/// A missed check starts its ladder at least this long after its alert was due, although midnight has passed: an evening that
/// ends at 23:59 and a restart at 00:01 are no history yet.
const CURRENT_MIN: TimeDelta = TimeDelta::hours(1);
/// From noon to three in the morning, when a morning begins to count.
const EVENING_BEFORE_MORNING: TimeDelta = TimeDelta::hours(15);

/// One check with everything that decides it.
#[derive(Debug, Clone, PartialEq)]
pub struct CheckView {
    pub id: Uuid,
    pub local_date: NaiveDate,
    pub slot: Slot,
    pub state: CheckState,
    pub expected_sign: Sign,
    pub sensor_policy: SensorPolicy,
    /// An open curtain counts only if it was seen closed since the last evening.
    pub require_change: bool,
    pub counts_from: DateTime<Utc>,
    pub deadline_at: DateTime<Utc>,
    pub cutoff_at: DateTime<Utc>,
    pub day_ends_at: DateTime<Utc>,
    pub unobserved_delay: TimeDelta,
    pub received_late: bool,
    pub triggered: bool,
    pub next_action_at: Option<DateTime<Utc>>,
    pub decided_at: Option<DateTime<Utc>>,
}

/// The verdict on a check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assessment {
    pub state: CheckState,
    pub received_late: bool,
    /// Raise the missed trigger now, with this cause.
    pub missed: Option<Cause>,
    pub reminder: Option<ReminderKind>,
    pub next_action_at: Option<DateTime<Utc>>,
}

impl CheckView {
    /// Assesses the check at `now`. `signals` may hold signals of other days; only those of this check's span count.
    pub fn assess(&self, signals: &[SignalFact], absences: &[AbsenceFact], rules: &CheckRules, now: DateTime<Utc>) -> Assessment {
        let looks = Looks::of(self, signals);
        let excused = absences.iter().any(|absence| absence.excuses(self.local_date, self.cutoff_at));
        let state = self.state_at(&looks, excused, rules, now);
        let alert_due = match state {
            CheckState::NotObserved => self.cutoff_at + self.unobserved_delay,
            _ => self.cutoff_at,
        };
        let missed = state.missed_cause().filter(|_| !self.triggered && now >= alert_due);
        let waits_for_delay = state == CheckState::NotObserved && !self.triggered && now < alert_due;
        Assessment {
            state,
            received_late: state == CheckState::Ok && looks.on_time_but_received_late,
            missed,
            reminder: self.reminder_due(state, rules, now),
            next_action_at: match state {
                _ if state.is_undecided() => Some(self.next_moment(state, rules, now)),
                _ if waits_for_delay => Some(alert_due),
                _ => None,
            },
        }
    }

    /// Whether somebody must still go for its sake; a day that an outage missed only goes on the list.
    pub fn is_current(&self, now: DateTime<Utc>) -> bool {
        now < self.day_ends_at.max(self.cutoff_at + self.unobserved_delay + CURRENT_MIN)
    }

    fn state_at(&self, looks: &Looks, excused: bool, rules: &CheckRules, now: DateTime<Utc>) -> CheckState {
        if looks.urgent {
            return CheckState::Help;
        }
        if looks.on_time {
            return CheckState::Ok;
        }
        if excused {
            return CheckState::Excused;
        }
        let latest = looks.latest_negative;
        if now < self.cutoff_at {
            return match latest {
                Some(Polarity::Contradicts) => CheckState::Tentative,
                Some(_) => CheckState::TentativeBlind,
                None => CheckState::Expected,
            };
        }
        if looks.after_cutoff {
            return CheckState::OkLate;
        }
        // A verdict once given stays; only what was never evaluated can fall out of the look-back.
        if self.state.awaits_verdict() && now - self.cutoff_at > rules.look_back.0 || self.state == CheckState::NotEvaluated {
            return CheckState::NotEvaluated;
        }
        match latest {
            Some(Polarity::Contradicts) => CheckState::NotOpen,
            Some(_) => CheckState::NotSeen,
            None => CheckState::NotObserved,
        }
    }

    fn moments(&self, rules: &CheckRules) -> [(DateTime<Utc>, ReminderKind); 3] {
        [
            (self.deadline_at - rules.remind_round.0, ReminderKind::Round),
            (self.deadline_at - rules.remind_last.0, ReminderKind::Last),
            (rules.look_again_at(self.deadline_at), ReminderKind::LookAgain),
        ]
    }

    fn next_moment(&self, state: CheckState, rules: &CheckRules, now: DateTime<Utc>) -> DateTime<Utc> {
        let reminder = self
            .moments(rules)
            .into_iter()
            .filter(|(at, kind)| *at > now && *at < self.cutoff_at && (*kind != ReminderKind::LookAgain || state != CheckState::Expected))
            .map(|(at, _)| at)
            .min();
        reminder.unwrap_or(self.cutoff_at)
    }

    /// The latest reminder whose moment came since the last pass; after a break only one is sent, not all.
    fn reminder_due(&self, state: CheckState, rules: &CheckRules, now: DateTime<Utc>) -> Option<ReminderKind> {
        let since = self.next_action_at?;
        if !state.is_undecided() || now >= self.cutoff_at {
            return None;
        }
        self.moments(rules)
            .into_iter()
            .filter(|(at, kind)| since <= *at && *at <= now && (*kind != ReminderKind::LookAgain || state != CheckState::Expected))
            .max_by_key(|(at, _)| *at)
            .map(|(_, kind)| kind)
    }

    /// From when on a closed curtain answers `require_change`: the noon before, when an evening begins to count.
    pub fn change_from(&self) -> DateTime<Utc> {
        self.counts_from - EVENING_BEFORE_MORNING
    }

    /// A curtain that is always open shows nothing: a person's "open" needs a "closed" before it. Sensors prove the change
    /// themselves.
    fn was_seen_closed_before(&self, signal: &SignalFact, signals: &[SignalFact], replaced: &[Uuid]) -> bool {
        let answers = |other: &SignalFact| {
            other.kind == SignalKind::Closed
                && other.standing == Standing::Accepted
                && !replaced.contains(&other.id)
                && (self.change_from()..signal.observed_at).contains(&other.observed_at)
        };
        signal.kind != SignalKind::Open || !signal.is_human() || signals.iter().any(answers)
    }
}

/// What the signals of one check's span say, independent of their order.
struct Looks {
    urgent: bool,
    on_time: bool,
    on_time_but_received_late: bool,
    after_cutoff: bool,
    latest_negative: Option<Polarity>,
}

impl Looks {
    fn of(check: &CheckView, signals: &[SignalFact]) -> Self {
        let replaced: Vec<Uuid> = signals.iter().filter(|s| s.standing == Standing::Accepted).filter_map(|s| s.replaces).collect();
        let mut looks = Self { urgent: false, on_time: false, on_time_but_received_late: true, after_cutoff: false, latest_negative: None };
        let mut latest = None;
        for signal in signals {
            let counts = signal.standing == Standing::Accepted && !replaced.contains(&signal.id);
            if !counts || signal.observed_at < check.counts_from || signal.observed_at >= check.day_ends_at {
                continue;
            }
            let in_time = signal.observed_at < check.cutoff_at;
            if check.require_change && !check.was_seen_closed_before(signal, signals, &replaced) {
                continue;
            }
            match signal.polarity(check.expected_sign, check.sensor_policy) {
                Polarity::Urgent => looks.urgent = true,
                Polarity::Matches if in_time => {
                    looks.on_time = true;
                    looks.on_time_but_received_late &= signal.received_at >= check.cutoff_at;
                }
                // A late reading of a sensor never resolves: it asks for a call.
                Polarity::Matches => looks.after_cutoff |= signal.is_human(),
                negative @ (Polarity::Contradicts | Polarity::Blind)
                    if in_time && latest.is_none_or(|key| key < (signal.observed_at, signal.id)) =>
                {
                    latest = Some((signal.observed_at, signal.id));
                    looks.latest_negative = Some(negative);
                }
                _ => {}
            }
        }
        looks.on_time_but_received_late &= looks.on_time;
        looks
    }
}

#[cfg(test)]
mod tests;
