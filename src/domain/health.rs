//! Whether the watcher itself is well (I26): only then the heartbeat goes out, so that silence there is the alarm.

use chrono::{DateTime, Days, NaiveDate, TimeDelta, Utc};
use chrono_tz::Tz;

use super::day::local_date;
use crate::words;

words! {
    pub enum Ailment {
        /// The watch has not committed a pass lately.
        WatchStopped = "watch_stopped",
        /// Something due has not been decided.
        Undecided = "undecided",
        /// A message or notice is due and nobody sends it.
        OutboxStuck = "outbox_stuck",
        /// No server hears the sensors.
        MqttDown = "mqtt_down",
        /// The wall clock jumped against the steady one, or is far from the database's.
        ClockSuspect = "clock_suspect",
        /// A site has no checks for tomorrow, or cannot be read at all.
        Unplanned = "unplanned",
        /// The daily self-test of a site has not reached its operators in time.
        CanarySilent = "canary_silent",
        /// There is nobody to watch over: perhaps the server runs on a new database instead of its own.
        Empty = "empty"
    }
}

words! {
    /// A setting by which something would go wrong quietly, worst first.
    pub enum Weakness {
        /// Nobody would hear that the system itself is ill.
        NoOperator = "no_operator",
        /// Nobody outside notices when the whole machine is gone.
        NoHeartbeat = "no_heartbeat",
        /// A line in the log counts as "somebody was told".
        LogCounts = "log_counts",
        /// Passwords travel in the clear, unless people stay on this machine.
        PlainHttp = "plain_http",
        /// Nobody has decided whether the ladder is tried every week.
        DrillUndecided = "drill_undecided",
        /// Links in messages do not know where this server is.
        NoPublicUrl = "no_public_url",
        /// Anybody on this machine may speak as a sensor.
        AnonymousSensors = "anonymous_sensors",
        /// Webhooks may be sent into the private network.
        PrivateTargets = "private_targets"
    }
}

/// What is set up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Setup {
    pub has_operator: bool,
    pub has_heartbeat: bool,
    pub log_counts: bool,
    pub has_public_url: bool,
    pub is_encrypted: bool,
    pub anonymous_sensors: bool,
    pub private_targets: bool,
    pub drill_undecided: bool,
}

/// What somebody should set otherwise.
pub fn weaknesses(setup: &Setup) -> Vec<Weakness> {
    [
        (!setup.has_operator, Weakness::NoOperator),
        (!setup.has_heartbeat, Weakness::NoHeartbeat),
        (setup.log_counts, Weakness::LogCounts),
        (!setup.is_encrypted, Weakness::PlainHttp),
        (setup.drill_undecided, Weakness::DrillUndecided),
        (!setup.has_public_url, Weakness::NoPublicUrl),
        (setup.anonymous_sensors, Weakness::AnonymousSensors),
        (setup.private_targets, Weakness::PrivateTargets),
    ]
    .into_iter()
    .filter_map(|(holds, weakness)| holds.then_some(weakness))
    .collect()
}

/// What was observed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Vitals {
    pub watch_passed_at: Option<DateTime<Utc>>,
    /// The oldest moment at which a check, ladder or device became due and still is.
    pub undecided_since: Option<DateTime<Utc>>,
    /// The oldest moment at which a notice, message or expired lease became due and still is.
    pub outbox_due_since: Option<DateTime<Utc>>,
    pub sensors: Sensors,
    pub clock_suspect: bool,
    /// Some site is not planned, see [`is_planned`], or cannot be read.
    pub unplanned: bool,
    /// The daily self-test of some site has not arrived in time (I27).
    pub canary_late: bool,
    /// No senior has an agreement in force.
    pub is_empty: bool,
}

/// Whether sensors can be heard.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Sensors {
    /// Switched off by a setting.
    #[default]
    Off,
    /// The last moment at which some running server could hear them; a server that dies no longer renews it.
    HeardAt(Option<DateTime<Utc>>),
}

/// Clocks of servers may differ by this; a sign of life from further ahead says nothing about now.
pub const SKEW_MAX: TimeDelta = TimeDelta::seconds(10);
/// A jump of the wall clock beyond this is suspect (I24).
const CLOCK_JUMP_MAX: TimeDelta = TimeDelta::minutes(10);
/// So long the watch waits after a jump; then the new time is taken for true (I24).
const CLOCK_WAIT: TimeDelta = TimeDelta::minutes(5);

/// How long everything may take that the heartbeat vouches for: one look and a half, so that after two periods every look
/// finds what has failed (I26). The jobs sleep half a period at most.
fn patience(period: TimeDelta) -> TimeDelta {
    period * 3 / 2
}

/// A watch that has only failed for this long is given to the service manager to be started anew. That cures what is stuck in
/// this process and nothing else, so it must not happen while a database restarts, is restored, or a disk is made free (I21);
/// readiness and heartbeat have told of it within the minute, and at two restarts an hour it is no crash loop.
const WATCH_FAILING_MAX: TimeDelta = TimeDelta::minutes(30);

/// Whether what gave a sign of life at `at` still runs.
pub fn is_fresh(at: DateTime<Utc>, period: TimeDelta, now: DateTime<Utc>) -> bool {
    now - at <= patience(period) && at - now <= SKEW_MAX
}

/// Whether the watch may go on trying in this process.
pub fn may_watch_go_on(passed_at: DateTime<Utc>, now: DateTime<Utc>) -> bool {
    now - passed_at <= WATCH_FAILING_MAX
}

/// What is wrong at `now`; nothing means healthy.
pub fn ailments(vitals: &Vitals, period: TimeDelta, now: DateTime<Utc>) -> Vec<Ailment> {
    let late = |since: Option<DateTime<Utc>>| since.is_some_and(|since| now - since > patience(period));
    let fresh = |at: Option<DateTime<Utc>>| at.is_some_and(|at| is_fresh(at, period, now));
    let deaf = match vitals.sensors {
        Sensors::Off => false,
        Sensors::HeardAt(at) => !fresh(at),
    };
    [
        (!fresh(vitals.watch_passed_at), Ailment::WatchStopped),
        (late(vitals.undecided_since), Ailment::Undecided),
        (late(vitals.outbox_due_since), Ailment::OutboxStuck),
        (deaf, Ailment::MqttDown),
        (vitals.clock_suspect, Ailment::ClockSuspect),
        (vitals.unplanned, Ailment::Unplanned),
        (vitals.canary_late, Ailment::CanarySilent),
        (vitals.is_empty, Ailment::Empty),
    ]
    .into_iter()
    .filter_map(|(ill, ailment)| ill.then_some(ailment))
    .collect()
}

/// Whether a site's checks are made as far ahead as they must be: to tomorrow, with a little time after midnight to do so.
pub fn is_planned(planned_through: Option<NaiveDate>, zone: Tz, period: TimeDelta, now: DateTime<Utc>) -> bool {
    let tomorrow = local_date(zone, now - patience(period)) + Days::new(1);
    planned_through.is_some_and(|through| through >= tomorrow)
}

/// Whether the wall clock ran this far ahead of another one (or behind it) because somebody set it.
pub fn clock_jumped(step: TimeDelta) -> bool {
    step.abs() > CLOCK_JUMP_MAX
}

/// Whether the wall clock can be believed (I24). A clock that jumped is doubted for a while: perhaps somebody corrects it before
/// people are called too early. Perhaps it is right, so the doubt ends, and no further jump makes it longer.
#[derive(Debug, Clone, Copy, Default)]
pub struct ClockTrust {
    /// Steady time at which the doubt began.
    doubted_since: Option<TimeDelta>,
    apart: bool,
}

/// What follows from a look at the clocks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Doubt {
    /// The operator is to know.
    pub shows: bool,
    /// Nothing that is due is decided yet.
    pub waits: bool,
}

impl ClockTrust {
    /// `step`: how far the wall clock ran ahead of the steady one since the last look. `steady`: time since any fixed moment.
    /// `ahead`: how far the wall clock is ahead of the database's, where that is another clock.
    pub fn look(&mut self, step: TimeDelta, steady: TimeDelta, ahead: Option<TimeDelta>) -> Doubt {
        let apart = ahead.is_some_and(clock_jumped);
        let begins = clock_jumped(step) || (apart && !self.apart);
        self.apart = apart;
        self.doubted_since = self.doubted_since.filter(|since| steady - *since < CLOCK_WAIT).or(begins.then_some(steady));
        let waits = self.doubted_since.is_some();
        Doubt { shows: waits || apart, waits }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PERIODS: [i64; 3] = [1, 7, 60];

    fn check(vitals: Vitals, expected: &[Ailment]) {
        assert_eq!(ailments(&vitals, TimeDelta::seconds(60), at(0)), expected, "{vitals:?}");
    }

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_700_000_000 + seconds, 0).unwrap()
    }

    fn well(seconds: i64) -> Vitals {
        Vitals { watch_passed_at: Some(at(seconds)), sensors: Sensors::HeardAt(Some(at(seconds))), ..Vitals::default() }
    }

    #[test]
    fn the_heartbeat_stops_for_each_thing_that_must_hold() {
        let well = well(0);
        check(well, &[]);
        check(Vitals { sensors: Sensors::Off, ..well }, &[]);
        check(Vitals { undecided_since: Some(at(-90)), outbox_due_since: Some(at(-90)), ..well }, &[]);
        check(Vitals { watch_passed_at: Some(at(-91)), ..well }, &[Ailment::WatchStopped]);
        check(Vitals { watch_passed_at: None, ..well }, &[Ailment::WatchStopped]);
        check(Vitals { undecided_since: Some(at(-91)), ..well }, &[Ailment::Undecided]);
        check(Vitals { outbox_due_since: Some(at(-91)), ..well }, &[Ailment::OutboxStuck]);
        check(Vitals { sensors: Sensors::HeardAt(Some(at(-91))), ..well }, &[Ailment::MqttDown]);
        check(Vitals { sensors: Sensors::HeardAt(None), ..well }, &[Ailment::MqttDown]);
        check(Vitals { clock_suspect: true, ..well }, &[Ailment::ClockSuspect]);
        check(Vitals { unplanned: true, ..well }, &[Ailment::Unplanned]);
        check(Vitals { canary_late: true, ..well }, &[Ailment::CanarySilent]);
        check(Vitals { is_empty: true, ..well }, &[Ailment::Empty]);
    }

    // I26
    #[test]
    fn two_periods_after_anything_failed_no_beat_goes_out_however_short_the_period() {
        for seconds in PERIODS {
            let (period, failed) = (TimeDelta::seconds(seconds), -2 * seconds);
            let well = well(0);
            for vitals in [
                Vitals { watch_passed_at: Some(at(failed)), ..well },
                Vitals { sensors: Sensors::HeardAt(Some(at(failed))), ..well },
                Vitals { undecided_since: Some(at(failed)), ..well },
                Vitals { outbox_due_since: Some(at(failed)), ..well },
            ] {
                assert_eq!(ailments(&vitals, period, at(0)).len(), 1, "{vitals:?} every {seconds} s");
            }
            assert_eq!(ailments(&Vitals { undecided_since: Some(at(-seconds)), ..self::well(-seconds) }, period, at(0)), [], "{seconds} s");
        }
    }

    #[test]
    fn a_sign_of_life_from_the_future_is_none() {
        check(well(10), &[]);
        check(well(11), &[Ailment::WatchStopped, Ailment::MqttDown]);
    }

    #[test]
    fn after_midnight_there_is_a_little_time_to_plan_the_next_day() {
        let zone = chrono_tz::Asia::Shanghai;
        let midnight = DateTime::parse_from_rfc3339("2026-11-24T00:00:00+08:00").unwrap().to_utc();
        let date = |day| NaiveDate::from_ymd_opt(2026, 11, day);
        for (planned, seconds, expected) in [
            (date(24), -1, true),
            (date(23), -1, false),
            (date(24), 89, true),
            (date(24), 90, false),
            (date(25), 90, true),
            (None, -1, false),
        ] {
            let now = midnight + TimeDelta::seconds(seconds);
            assert_eq!(is_planned(planned, zone, TimeDelta::seconds(60), now), expected, "{planned:?} {seconds}");
        }
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

    /// Each look: steady minute, step and distance from the database in minutes, then whether it shows and whether it waits.
    fn looks(all: &[(i64, i64, Option<i64>, bool, bool)]) {
        let mut trust = ClockTrust::default();
        for (minute, step, ahead, shows, waits) in all {
            let doubt = trust.look(TimeDelta::minutes(*step), TimeDelta::minutes(*minute), ahead.map(TimeDelta::minutes));
            assert_eq!(doubt, Doubt { shows: *shows, waits: *waits }, "at minute {minute} of {all:?}");
        }
    }

    // I24
    #[test]
    fn a_clock_that_jumped_is_doubted_for_five_minutes_and_then_believed() {
        looks(&[(0, 0, None, false, false), (1, 61, None, true, true), (5, 0, None, true, true), (6, 0, None, false, false)]);
        // Set right again meanwhile, or set over and over: not a minute longer.
        looks(&[(1, 60, None, true, true), (4, -60, None, true, true), (6, 0, None, false, false)]);
        looks(&[
            (1, 60, None, true, true),
            (4, 60, None, true, true),
            (6, 60, None, true, true),
            (10, 60, None, true, true),
            (11, 0, None, false, false),
        ]);
    }

    // I24, I5
    #[test]
    fn a_server_whose_clock_is_not_the_databases_shows_it_all_the_time_and_waits_once() {
        looks(&[
            (0, 0, Some(60), true, true),
            (4, 0, Some(60), true, true),
            (5, 0, Some(60), true, false),
            (90, 0, Some(-60), true, false),
            (91, 0, Some(10), false, false),
            (92, 0, Some(-11), true, true),
        ]);
    }
}
