//! The level of a curtain: when a change of it says that somebody got up.
//!
//! A cover's way from shut to open may come in several readings: it counts once, where it is first seen far enough open, and a
//! reading that is taken back at once (Tuya's first message of two, an echo of a target) never counts.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::{
    COVER_CLOSED_PERCENT_MAX, COVER_DRAWN_PERCENT_MIN, COVER_OPEN_PERCENT_MIN, Class, Deed, DeviceState, Fact, HeldLevel, Level, Opening,
    Polarity, Rejection, SensorRules, Silent, Verdict, light, schedule,
};

/// What can have opened a curtain, by the sensor that says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Opener {
    /// A contact: somebody drew it.
    Hand,
    /// A cover: its motor did, for whatever reason.
    Motor,
}

/// What is read of a curtain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sight {
    pub level: Level,
    /// How far open in percent, from those that say so.
    percent: Option<u8>,
    by: Opener,
}

impl Sight {
    pub fn of_contact(open: bool, polarity: Polarity) -> Self {
        let open = open == (polarity == Polarity::Normal);
        Self { level: if open { Level::Open } else { Level::Closed }, percent: None, by: Opener::Hand }
    }

    pub fn of_cover(percent: u8, polarity: Polarity) -> Self {
        let percent = match polarity {
            Polarity::Normal => percent,
            Polarity::Inverted => 100_u8.saturating_sub(percent),
        };
        let level = match percent {
            0..=COVER_CLOSED_PERCENT_MAX => Level::Closed,
            COVER_OPEN_PERCENT_MIN.. => Level::Open,
            _ => Level::Partial,
        };
        Self { level, percent: Some(percent), by: Opener::Motor }
    }

    pub fn of_cover_word(level: Level) -> Self {
        Self { level, percent: None, by: Opener::Motor }
    }

    /// Whether it is open far enough to be an opening of a curtain that was shut at that position.
    fn is_drawn(self, shut: Option<Shut>) -> bool {
        let from = shut.map_or(COVER_CLOSED_PERCENT_MAX, |shut| shut.percent);
        self.level == Level::Open || self.percent.is_some_and(|percent| percent >= from + COVER_DRAWN_PERCENT_MIN)
    }

    /// "Not shut" of a cover that also says how far: its position comes before or after, and decides.
    fn is_told_better(self, shut: Option<Shut>) -> bool {
        self.by == Opener::Motor && self.percent.is_none() && self.level == Level::Partial && shut.is_some()
    }
}

/// The date of a state comes so soon after the state.
const DATED_WITHIN: TimeDelta = TimeDelta::seconds(2);

/// From where a cover opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Shut {
    /// Where it was last while it counted as shut.
    percent: u8,
    /// It is a little open: since when it had been shut, and when it began to open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    left: Option<(DateTime<Utc>, DateTime<Utc>)>,
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

pub(super) fn level_read(state: &mut DeviceState, sight: Sight, fact: &Fact, rules: &SensorRules) -> Vec<Verdict> {
    let level = sight.level;
    let silent = silent(state, fact, rules);
    let waited = fact.cached && !fact.time_certain;
    let Some(held) = state.held else {
        if !waited {
            take_over(state, sight, fact.observed_at);
        }
        return vec![Verdict::Baseline(silent.unwrap_or(Silent::FirstLevel))];
    };
    let is_same = held.level == level || (held.level != Level::Closed && sight.is_told_better(state.memory.shut));
    // Without a number nobody knows which of the two is newer: another instance may have handed in what came after it (F5), and a
    // broker keeps what was once told to keep. It takes the stored level away and gives none.
    let contradicts = !is_same && (waited || (fact.cached && fact.retained));
    if let Some(why) = silent {
        if contradicts {
            state.forget_level();
        } else if !is_same {
            take_over(state, sight, fact.received_at);
        }
        forget_way(state);
        return vec![Verdict::Baseline(why)];
    }
    if held.level == Level::Closed && sight.is_told_better(state.memory.shut) {
        return vec![Verdict::Unchanged];
    }
    if level == Level::Closed && is_same {
        note_shut(state, sight);
        return vec![lasted(state, fact.observed_at, rules).unwrap_or(Verdict::Unchanged)];
    }
    if !is_same && fact.observed_at < held.since && !fact.cached {
        return vec![Verdict::Rejected(Rejection::OutOfOrder)];
    }
    // A gateway's messages carry no event time, only ours; between instances our clocks differ a little and arrival order decides.
    let fact = &Fact { observed_at: fact.observed_at.max(held.since), ..*fact };
    let lasted = lasted(state, fact.observed_at, rules);
    let now = if held.level == Level::Closed || level == Level::Closed {
        changed(state, sight, (held, fact), rules)
    } else {
        vec![further(state, sight, is_same, fact, rules)]
    };
    if contradicts {
        state.forget_level();
    }
    let says_more = lasted.is_none() || now[..] != [Verdict::Unchanged];
    lasted.into_iter().chain(now.into_iter().filter(|_| says_more)).collect()
}

/// From shut to not shut, or the other way round.
fn changed(state: &mut DeviceState, sight: Sight, (held, fact): (HeldLevel, &Fact), rules: &SensorRules) -> Vec<Verdict> {
    let disturbed = state.opening.map(|_| Verdict::Disturbed);
    let said_how_far = sight.percent.is_some();
    take_over(state, sight, fact.observed_at);
    let told = if held.level != Level::Closed {
        // Only an opening that starts from closed says that somebody got up.
        Verdict::Moved
    } else if said_how_far && !sight.is_drawn(state.memory.shut) {
        // It may be on its way.
        let shut = state.memory.shut.map_or(COVER_CLOSED_PERCENT_MAX, |shut| shut.percent);
        state.memory.shut = Some(Shut { percent: shut, left: Some((held.since, fact.observed_at)) });
        Verdict::Moved
    } else {
        opened(state, sight, (held.since, fact), rules)
    };
    disturbed.into_iter().chain([told]).collect()
}

/// Neither was it shut nor is it: an opening may have come far enough to count, or go back before it lasted.
fn further(state: &mut DeviceState, sight: Sight, is_same: bool, fact: &Fact, rules: &SensorRules) -> Verdict {
    let is_known = sight.level == Level::Open || sight.percent.is_some();
    let is_drawn = sight.is_drawn(state.memory.shut);
    if !is_same {
        state.held = Some(HeldLevel { level: sight.level, since: fact.observed_at });
    }
    if is_known && !is_drawn && state.opening.take().is_some() {
        return Verdict::Disturbed;
    }
    let left = state.memory.shut.and_then(|shut| shut.left).filter(|(_, left)| fact.observed_at - *left <= schedule::RUN_MAX);
    match left {
        Some((shut_since, _)) if is_drawn => {
            forget_way(state);
            opened(state, sight, (shut_since, fact), rules)
        }
        _ if is_same => Verdict::Unchanged,
        _ => Verdict::Moved,
    }
}

/// What an opening from closed is worth.
fn opened(state: &mut DeviceState, sight: Sight, (closed_since, fact): (DateTime<Utc>, &Fact), rules: &SensorRules) -> Verdict {
    let by = sight.by;
    let (best, deed) = match by {
        Opener::Hand => (Class::A, Deed::Opened),
        Opener::Motor => schedule::motor_opened(state, fact.observed_at),
    };
    let well_known = state.calibrated && fact.time_certain && sight.is_drawn(state.memory.shut);
    let mut closed_long = fact.observed_at - closed_since >= rules.closed_min;
    if by == Opener::Hand && well_known && !fact.cached {
        state.memory.uncovered_at = Some(fact.observed_at);
        closed_long |= state.memory.brightened_at.is_some_and(|at| light::together(at, fact.observed_at));
    }
    if best == Class::A && well_known && closed_long {
        return wait(state, fact, None, rules);
    }
    // The next message of a motor may take this one back.
    if by == Opener::Motor && fact.time_certain {
        return wait(state, fact, Some(deed), rules);
    }
    Verdict::Evidence { class: best.max(Class::B), deed, observed_at: fact.observed_at, key: fact.key }
}

/// Whether it lasts is seen later. `hinted`: what it was, if it is a hint at best.
pub(super) fn wait(state: &mut DeviceState, fact: &Fact, hinted: Option<Deed>, rules: &SensorRules) -> Verdict {
    state.opening = Some(Opening { at: fact.observed_at, key: fact.key });
    state.memory.hinted = hinted;
    Verdict::Settling { until: state.settles_at(rules).unwrap_or(fact.observed_at) }
}

fn take_over(state: &mut DeviceState, sight: Sight, since: DateTime<Utc>) {
    state.held = Some(HeldLevel { level: sight.level, since });
    state.opening = None;
    state.memory.uncovered_at = None;
    note_shut(state, sight);
}

/// Where it is while it is shut; nothing is on its way.
fn note_shut(state: &mut DeviceState, sight: Sight) {
    let percent = sight.percent.filter(|_| sight.level == Level::Closed).or(state.memory.shut.map(|shut| shut.percent));
    state.memory.shut = percent.map(|percent| Shut { percent, left: None });
}

/// What is a little open stays so for all that is known: whatever it does next does not begin at shut.
fn forget_way(state: &mut DeviceState) {
    if let Some(shut) = &mut state.memory.shut {
        shut.left = None;
    }
}

pub(super) fn lasted(state: &mut DeviceState, until: DateTime<Utc>, rules: &SensorRules) -> Option<Verdict> {
    let due = state.settles_at(rules).is_some_and(|due| until >= due);
    let opening = state.opening.take_if(|_| due)?;
    state.memory.uncovered_at = None;
    let (class, deed) = worth(state, opening);
    Some(Verdict::Evidence { class, deed, observed_at: opening.at, key: opening.key })
}

pub(super) fn interrupt(state: &mut DeviceState) -> Option<Verdict> {
    let opening = state.opening.take()?;
    let (class, deed) = worth(state, opening);
    Some(Verdict::Evidence { class: class.max(Class::B), deed, observed_at: opening.at, key: opening.key })
}

/// What an opening is that has lasted.
fn worth(state: &mut DeviceState, opening: Opening) -> (Class, Deed) {
    match state.memory.hinted.take() {
        None => (Class::A, schedule::deed_of(state, opening.at)),
        Some(deed @ (Deed::OpenedOnTime | Deed::OpenedFromAfar)) => (Class::C, deed),
        Some(deed) => (Class::B, deed),
    }
}

/// Home Assistant says apart, and a moment later, since when a state is what it is. If that is long ago, what has just been heard
/// was no change of now: an opening that is still pending is none. A hint that was told stays; it decides nothing.
pub(super) fn dated(state: &mut DeviceState, fact: &Fact, rules: &SensorRules) -> Verdict {
    if silent(state, fact, rules) != Some(Silent::CachedState) {
        return Verdict::Unchanged;
    }
    state.opening.take_if(|opening| (fact.received_at - opening.at).abs() <= DATED_WITHIN);
    forget_way(state);
    Verdict::Baseline(Silent::CachedState)
}

#[cfg(test)]
mod tests;
