//! States that a person causes and a gateway repeats: a call for help, movement, a shaken rail. Only their beginning is news.

use chrono::TimeDelta;

use super::{Class, Deed, DeviceState, Fact, Lasting, Rejection, SensorRules, Silent, Verdict, silent};

/// Movement after a quiet of this length says that somebody got up or came in.
const QUIET_MIN: TimeDelta = TimeDelta::minutes(20);
/// A rail shakes many times while a curtain is drawn, and all day long in a draught: one hint for each time it begins.
const STILL_MIN: TimeDelta = TimeDelta::minutes(10);

/// A call that lasts until it is cleared. From "no call" to "call" it is told, once, and with a label if it may be old; what a
/// gateway remembers from before is not told. An unknown state before counts as none: a call is not missed for want of history.
pub(super) fn help(state: &mut DeviceState, on: bool, fact: &Fact, rules: &SensorRules) -> Verdict {
    let before = state.memory.call;
    if before.is_some_and(|call| call.on == on) {
        return Verdict::Unchanged;
    }
    let silent = silent(state, fact, rules);
    let remembered = fact.last_seen.is_some_and(|seen| fact.received_at - seen > rules.last_seen_age_max);
    state.memory.call = Some(Lasting { on, since: fact.received_at });
    let told = |possibly_old| Verdict::Help { press: fact.key, observed_at: fact.observed_at, possibly_old };
    match silent {
        None if on => told(!fact.time_certain),
        None => Verdict::Moved,
        Some(Silent::GatewayStarted | Silent::WaitedSomewhere) if on && before.is_some() && !remembered => told(true),
        Some(why) => Verdict::Baseline(why),
    }
}

/// Movement: a hint after a quiet, otherwise only the stored state.
pub(super) fn motion(state: &mut DeviceState, seen: bool, fact: &Fact, rules: &SensorRules) -> Verdict {
    let before = state.memory.motion;
    if before.is_some_and(|motion| motion.on == seen) {
        return Verdict::Unchanged;
    }
    let silent = silent(state, fact, rules);
    state.memory.motion = Some(Lasting { on: seen, since: fact.observed_at });
    match (silent, before) {
        (Some(why), _) => Verdict::Baseline(why),
        (None, None) => Verdict::Baseline(Silent::FirstLevel),
        (None, Some(_)) if !fact.time_certain => Verdict::Baseline(Silent::WaitedSomewhere),
        (None, Some(quiet)) if seen && fact.observed_at - quiet.since >= QUIET_MIN => {
            Verdict::Evidence { class: Class::B, deed: Deed::Stirred, observed_at: fact.observed_at, key: fact.key }
        }
        (None, Some(_)) => Verdict::Moved,
    }
}

/// A shaken rail: a hint after a quiet.
pub(super) fn shaken(state: &mut DeviceState, fact: &Fact, rules: &SensorRules) -> Verdict {
    if fact.retained {
        return Verdict::Rejected(Rejection::Retained);
    }
    if let Some(why) = silent(state, fact, rules).or((!fact.time_certain).then_some(Silent::WaitedSomewhere)) {
        return Verdict::Baseline(why);
    }
    let before = state.memory.shaken_at;
    state.memory.shaken_at = before.max(Some(fact.observed_at));
    if before.is_some_and(|before| fact.observed_at - before < STILL_MIN) {
        return Verdict::Moved;
    }
    Verdict::Evidence { class: Class::B, deed: Deed::Shaken, observed_at: fact.observed_at, key: fact.key }
}
