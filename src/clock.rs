//! The only clock. Whole milliseconds, because PostgreSQL keeps microseconds and SQLite keeps text: what is compared in
//! memory must equal what is read back.

use std::fs::File;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::Instant;

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};

use crate::domain::health::{ClockTrust, Doubt};

/// The time of the machine, or a time that a test moves by hand.
#[derive(Debug, Clone)]
pub enum Clock {
    System,
    Manual(Arc<Hands>),
}

/// What a manual clock shows, in milliseconds.
#[derive(Debug)]
pub struct Hands {
    /// Since 1970.
    wall: AtomicI64,
    /// Since the clock was made.
    steady: AtomicI64,
}

impl Clock {
    /// A clock that stands still until it is moved.
    pub fn manual(start: DateTime<Utc>) -> Self {
        Self::Manual(Arc::new(Hands { wall: AtomicI64::new(start.timestamp_millis()), steady: AtomicI64::new(0) }))
    }

    /// Now, in whole milliseconds.
    pub fn now(&self) -> DateTime<Utc> {
        match self {
            #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the time")]
            Self::System => Utc::now().trunc_subsecs(3),
            Self::Manual(hands) => {
                DateTime::from_timestamp_millis(hands.wall.load(Ordering::SeqCst)).expect("a clock is set within the calendar")
            }
        }
    }

    /// Time that passed since some fixed moment, whatever the wall clock is set to. It counts while the machine sleeps: work
    /// that fell due meanwhile must not wait (I25).
    fn steady(&self) -> TimeDelta {
        match self {
            Self::System => since_boot().unwrap_or_else(since_start),
            Self::Manual(hands) => TimeDelta::milliseconds(hands.steady.load(Ordering::SeqCst)),
        }
    }

    /// Lets time pass on a manual clock; the system clock does not move by hand.
    pub fn advance(&self, by: TimeDelta) {
        if let Self::Manual(hands) = self {
            hands.wall.fetch_add(by.num_milliseconds(), Ordering::SeqCst);
            hands.steady.fetch_add(by.num_milliseconds(), Ordering::SeqCst);
        }
    }

    /// Sets a manual clock to another time without any passing.
    pub fn turn(&self, by: TimeDelta) {
        if let Self::Manual(hands) = self {
            hands.wall.fetch_add(by.num_milliseconds(), Ordering::SeqCst);
        }
    }
}

/// `Instant` stands still while Linux sleeps; the time since boot does not.
fn since_boot() -> Option<TimeDelta> {
    // Opened once: a process that has run out of files must not take that for a jump of its clock.
    static UPTIME: LazyLock<Option<File>> = LazyLock::new(|| File::open("/proc/uptime").ok());
    let mut text = [0; 32];
    let length = std::os::unix::fs::FileExt::read_at(UPTIME.as_ref()?, &mut text, 0).ok()?;
    let (seconds, rest) = std::str::from_utf8(text.get(..length)?).ok()?.split_once('.')?;
    let hundredths: i64 = rest.get(..2)?.parse().ok()?;
    TimeDelta::try_milliseconds(seconds.parse::<i64>().ok()?.checked_mul(1_000)? + hundredths * 10)
}

/// Elsewhere than on Linux.
fn since_start() -> TimeDelta {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    TimeDelta::from_std(START.elapsed()).unwrap_or(TimeDelta::MAX)
}

/// Notices that the wall clock was set: then it and the steady one went different ways (I24).
#[derive(Debug)]
pub struct StepWatch {
    wall: DateTime<Utc>,
    steady: TimeDelta,
}

impl StepWatch {
    pub fn new(clock: &Clock) -> Self {
        Self { wall: clock.now(), steady: clock.steady() }
    }

    /// How far the wall clock ran ahead of the steady one since the last call; negative after it was set back.
    pub fn step(&mut self, clock: &Clock) -> TimeDelta {
        let current = Self::new(clock);
        let step = (current.wall - self.wall) - (current.steady - self.steady);
        *self = current;
        step
    }
}

/// What a process knows of its clock: one memory for all jobs, so that each acts on a jump that any of them noticed.
#[derive(Debug)]
pub struct ClockSense {
    memory: Mutex<(StepWatch, ClockTrust)>,
}

impl ClockSense {
    pub fn new(clock: &Clock) -> Self {
        Self { memory: Mutex::new((StepWatch::new(clock), ClockTrust::default())) }
    }

    /// `database`: what its clock shows, where that is another clock.
    pub fn look(&self, clock: &Clock, database: Option<DateTime<Utc>>) -> Doubt {
        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        let (steps, trust) = &mut *memory;
        let step = steps.step(clock);
        // A clock that is moved by hand has nothing to do with the database's.
        let ahead = database.filter(|_| matches!(clock, Clock::System)).map(|database| steps.wall - database);
        trust.look(step, steps.steady, ahead)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clock() -> Clock {
        Clock::manual(DateTime::from_timestamp(1_800_000_000, 0).unwrap())
    }

    #[test]
    fn a_clock_that_is_set_is_told_apart_from_time_that_passes() {
        let clock = clock();
        let mut steps = StepWatch::new(&clock);
        for (passed, turned) in [(0, 0), (7_200, 0), (10, 3_600), (10, -90_000), (0, 0)] {
            clock.advance(TimeDelta::seconds(passed));
            clock.turn(TimeDelta::seconds(turned));
            assert_eq!(steps.step(&clock), TimeDelta::seconds(turned), "{passed} s passed");
        }
    }

    #[test]
    fn the_machines_clocks_go_at_the_same_pace() {
        let mut steps = StepWatch::new(&Clock::System);
        let step = steps.step(&Clock::System).num_milliseconds();
        assert!((-1_000..=1_000).contains(&step), "{step}");
    }

    #[test]
    fn every_job_knows_of_a_jump_that_one_of_them_noticed() {
        let clock = clock();
        let sense = ClockSense::new(&clock);
        clock.turn(TimeDelta::hours(1));
        let waits = |minutes| {
            clock.advance(TimeDelta::minutes(minutes));
            sense.look(&clock, None).waits
        };
        assert_eq!([waits(0), waits(0), waits(4), waits(1)], [true, true, true, false]);
    }
}
