//! States that a person causes and a gateway repeats: a call for help, movement. Only their beginning is news.

use chrono::TimeDelta;

use super::{Class, Deed, DeviceState, Fact, Level, SensorRules, Silent, Verdict, silent, take_over};

/// Movement after a quiet of this length says that somebody got up or came in.
const QUIET_MIN: TimeDelta = TimeDelta::minutes(20);

fn level(on: bool) -> Level {
    if on { Level::Open } else { Level::Closed }
}

/// A call that lasts until it is cleared. From "no call" to "call" it is told, once, and with a label if it may be old; what a
/// gateway remembers from before is not told. An unknown state before counts as none: a call is not missed for want of history.
pub(super) fn help(state: &mut DeviceState, on: bool, fact: &Fact, rules: &SensorRules) -> Verdict {
    let before = state.held.map(|held| held.level);
    if before == Some(level(on)) {
        return Verdict::Unchanged;
    }
    let silent = silent(state, fact, rules);
    let remembered = fact.last_seen.is_some_and(|seen| fact.received_at - seen > rules.last_seen_age_max);
    take_over(state, level(on), fact.received_at);
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
    let before = state.held;
    if before.is_some_and(|held| held.level == level(seen)) {
        return Verdict::Unchanged;
    }
    let silent = silent(state, fact, rules);
    take_over(state, level(seen), fact.received_at);
    match (silent, before) {
        (Some(why), _) => Verdict::Baseline(why),
        (None, None) => Verdict::Baseline(Silent::FirstLevel),
        (None, Some(held)) if seen && fact.observed_at - held.since >= QUIET_MIN => {
            Verdict::Evidence { class: Class::B, deed: Deed::Stirred, observed_at: fact.observed_at, key: fact.key }
        }
        (None, Some(_)) => Verdict::Moved,
    }
}
