//! Whether the watcher itself is well (I26): only then the heartbeat goes out, so that silence there is the alarm.

use chrono::{DateTime, TimeDelta, Utc};

use crate::words;

words! {
    pub enum Ailment {
        /// The watch has not committed a pass lately.
        WatchStopped = "watch_stopped",
        /// Something due has not been decided.
        Undecided = "undecided",
        /// A message or notice is due and nobody sends it.
        OutboxStuck = "outbox_stuck",
        /// Sensors cannot be heard.
        MqttDown = "mqtt_down",
        /// The wall clock jumped against the monotonic one.
        ClockSuspect = "clock_suspect"
    }
}

/// What was observed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Vitals {
    pub watch_passed_at: Option<DateTime<Utc>>,
    /// The oldest moment at which a check, ladder or device became due and still is.
    pub undecided_since: Option<DateTime<Utc>>,
    /// The oldest moment at which a notice, message or expired lease became due and still is.
    pub outbox_due_since: Option<DateTime<Utc>>,
    /// `None`: sensors are switched off.
    pub mqtt_up: Option<bool>,
    pub clock_suspect: bool,
}

/// How long each may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    pub tick: TimeDelta,
    pub lease: TimeDelta,
}

/// Room for one slow commit beyond two ticks.
const WATCH_SLACK: TimeDelta = TimeDelta::seconds(30);
const UNDECIDED_MAX: TimeDelta = TimeDelta::seconds(60);
/// A jump of the wall clock beyond this is suspect (I24).
const CLOCK_JUMP_MAX: TimeDelta = TimeDelta::minutes(10);

/// A watch that has only failed for this long is given to the service manager to be started anew. That cures what is stuck in
/// this process and nothing else, so it must not happen while a database restarts, is restored, or a disk is made free (I21);
/// readiness and heartbeat have told of it within the minute, and at two restarts an hour it is no crash loop.
const WATCH_FAILING_MAX: TimeDelta = TimeDelta::minutes(30);

/// Whether the watch that committed a pass at `passed_at` still runs.
pub fn is_watch_fresh(passed_at: DateTime<Utc>, tick: TimeDelta, now: DateTime<Utc>) -> bool {
    now - passed_at <= tick * 2 + WATCH_SLACK
}

/// Whether the watch may go on trying in this process.
pub fn may_watch_go_on(passed_at: DateTime<Utc>, now: DateTime<Utc>) -> bool {
    now - passed_at <= WATCH_FAILING_MAX
}

/// What is wrong at `now`; nothing means healthy.
pub fn ailments(vitals: &Vitals, bounds: &Bounds, now: DateTime<Utc>) -> Vec<Ailment> {
    let older_than = |since: Option<DateTime<Utc>>, limit: TimeDelta| since.is_some_and(|since| now - since > limit);
    let watch_fresh = vitals.watch_passed_at.is_some_and(|at| is_watch_fresh(at, bounds.tick, now));
    [
        (!watch_fresh, Ailment::WatchStopped),
        (older_than(vitals.undecided_since, UNDECIDED_MAX), Ailment::Undecided),
        (older_than(vitals.outbox_due_since, bounds.lease * 2), Ailment::OutboxStuck),
        (vitals.mqtt_up == Some(false), Ailment::MqttDown),
        (vitals.clock_suspect, Ailment::ClockSuspect),
    ]
    .into_iter()
    .filter_map(|(ill, ailment)| ill.then_some(ailment))
    .collect()
}

/// Whether the wall clock ran this far ahead of the monotonic one (or behind it) because somebody set it.
pub fn clock_jumped(step: TimeDelta) -> bool {
    step.abs() > CLOCK_JUMP_MAX
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(vitals: Vitals, expected: &[Ailment]) {
        let bounds = Bounds { tick: TimeDelta::seconds(10), lease: TimeDelta::seconds(60) };
        assert_eq!(ailments(&vitals, &bounds, at(0)), expected, "{vitals:?}");
    }

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_700_000_000 + seconds, 0).unwrap()
    }

    #[test]
    fn the_heartbeat_stops_for_each_thing_that_must_hold() {
        let well = Vitals { watch_passed_at: Some(at(-50)), mqtt_up: Some(true), ..Vitals::default() };
        check(well, &[]);
        check(Vitals { mqtt_up: None, ..well }, &[]);
        check(Vitals { undecided_since: Some(at(-60)), outbox_due_since: Some(at(-120)), ..well }, &[]);
        check(Vitals { watch_passed_at: Some(at(-51)), ..well }, &[Ailment::WatchStopped]);
        check(Vitals { watch_passed_at: None, ..well }, &[Ailment::WatchStopped]);
        check(Vitals { undecided_since: Some(at(-61)), ..well }, &[Ailment::Undecided]);
        check(Vitals { outbox_due_since: Some(at(-121)), ..well }, &[Ailment::OutboxStuck]);
        check(Vitals { mqtt_up: Some(false), ..well }, &[Ailment::MqttDown]);
        check(Vitals { clock_suspect: true, ..well }, &[Ailment::ClockSuspect]);
    }

    #[test]
    fn a_watch_that_only_fails_is_started_anew_after_half_an_hour_and_not_at_once() {
        for (seconds, expected) in [(-60, true), (0, true), (1_800, true), (1_801, false)] {
            assert_eq!(may_watch_go_on(at(0), at(seconds)), expected, "after {seconds} seconds");
        }
    }

    #[test]
    fn a_clock_that_is_set_back_or_forth_is_suspect_and_a_drifting_one_is_not() {
        for (minutes, expected) in [(0, false), (10, false), (-10, false), (11, true), (-11, true)] {
            assert_eq!(clock_jumped(TimeDelta::minutes(minutes)), expected, "{minutes} minutes");
        }
    }
}
