//! The level of a curtain: when a change of it says that somebody got up.

use chrono::{DateTime, Utc};

use super::{
    COVER_CLOSED_PERCENT_MAX, COVER_OPEN_PERCENT_MIN, Class, Deed, DeviceState, Fact, HeldLevel, Level, Opening, Polarity, Rejection,
    SensorRules, Silent, Verdict, light, schedule,
};

/// What can have opened a curtain, by the sensor that says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Opener {
    /// A contact: somebody drew it.
    Hand,
    /// A cover: its motor did, for whatever reason.
    Motor,
}

pub(super) fn cover_level(percent: u8, polarity: Polarity) -> Level {
    let percent = match polarity {
        Polarity::Normal => percent,
        Polarity::Inverted => 100_u8.saturating_sub(percent),
    };
    match percent {
        0..=COVER_CLOSED_PERCENT_MAX => Level::Closed,
        COVER_OPEN_PERCENT_MIN.. => Level::Open,
        _ => Level::Partial,
    }
}

/// Why this level may not be taken as something that happened now.
pub(super) fn silent(state: &DeviceState, fact: &Fact, rules: &SensorRules) -> Option<Silent> {
    if fact.retained {
        return Some(Silent::Retained);
    }
    if !fact.cached {
        return None;
    }
    if state.is_starting(fact.received_at, rules) {
        return Some(Silent::GatewayStarted);
    }
    match fact.last_seen {
        Some(at) if fact.received_at - at > rules.last_seen_age_max => Some(Silent::CachedState),
        None if !fact.time_certain => Some(Silent::WaitedSomewhere),
        _ => None,
    }
}

pub(super) fn level_read(state: &mut DeviceState, level: Level, by: Opener, fact: &Fact, rules: &SensorRules) -> Vec<Verdict> {
    let silent = silent(state, fact, rules);
    let waited = fact.cached && !fact.time_certain;
    let Some(held) = state.held else {
        if !waited {
            take_over(state, level, fact.observed_at);
        }
        return vec![Verdict::Baseline(silent.unwrap_or(Silent::FirstLevel))];
    };
    // Without a number nobody knows which of the two is newer: another instance may have handed in what came after it (F5), and a
    // broker keeps what was once told to keep. It takes the stored level away and gives none.
    let contradicts = held.level != level && (waited || (fact.cached && fact.retained));
    if let Some(why) = silent {
        if contradicts {
            state.forget_level();
        } else if held.level != level {
            take_over(state, level, fact.received_at);
        }
        return vec![Verdict::Baseline(why)];
    }
    if held.level == level {
        let later = fact.observed_at.max(held.since);
        return vec![lasted(state, later, rules).unwrap_or(Verdict::Unchanged)];
    }
    if fact.observed_at < held.since && !fact.cached {
        return vec![Verdict::Rejected(Rejection::OutOfOrder)];
    }
    // A gateway's messages carry no event time, only ours; between instances our clocks differ a little and arrival order decides.
    let fact = &Fact { observed_at: fact.observed_at.max(held.since), ..*fact };
    let mut verdicts = Vec::new();
    if state.opening.is_some() {
        verdicts.push(lasted(state, fact.observed_at, rules).unwrap_or(Verdict::Disturbed));
    }
    take_over(state, level, fact.observed_at);
    if contradicts {
        state.forget_level();
    }
    if held.level != Level::Closed {
        // Only an opening that starts from closed says that somebody got up.
        verdicts.push(Verdict::Moved);
        return verdicts;
    }
    verdicts.push(opened(state, level, by, (held.since, fact), rules));
    verdicts
}

/// What an opening from closed is worth.
fn opened(state: &mut DeviceState, level: Level, by: Opener, (closed_since, fact): (DateTime<Utc>, &Fact), rules: &SensorRules) -> Verdict {
    let (best, deed) = match by {
        Opener::Hand => (Class::A, Deed::Opened),
        Opener::Motor => schedule::motor_opened(state, fact.observed_at),
    };
    let well_known = state.calibrated && fact.time_certain && level == Level::Open;
    let mut closed_long = fact.observed_at - closed_since >= rules.closed_min;
    if by == Opener::Hand && well_known && !fact.cached {
        state.memory.uncovered_at = Some(fact.observed_at);
        closed_long |= state.memory.brightened_at.is_some_and(|at| light::together(at, fact.observed_at));
    }
    if best == Class::A && well_known && closed_long {
        state.opening = Some(Opening { at: fact.observed_at, key: fact.key });
        return Verdict::Settling { until: fact.observed_at + rules.settle };
    }
    Verdict::Evidence { class: best.max(Class::B), deed, observed_at: fact.observed_at, key: fact.key }
}

fn take_over(state: &mut DeviceState, level: Level, since: DateTime<Utc>) {
    state.held = Some(HeldLevel { level, since });
    state.opening = None;
    state.memory.uncovered_at = None;
}

pub(super) fn lasted(state: &mut DeviceState, until: DateTime<Utc>, rules: &SensorRules) -> Option<Verdict> {
    let opening = state.opening.filter(|opening| until >= opening.at + rules.settle)?;
    state.opening = None;
    state.memory.uncovered_at = None;
    let deed = schedule::deed_of(state, opening.at);
    Some(Verdict::Evidence { class: Class::A, deed, observed_at: opening.at, key: opening.key })
}

pub(super) fn interrupt(state: &mut DeviceState) -> Option<Verdict> {
    let opening = state.opening.take()?;
    let deed = schedule::deed_of(state, opening.at);
    Some(Verdict::Evidence { class: Class::B, deed, observed_at: opening.at, key: opening.key })
}
