//! The only clock. Whole milliseconds, because PostgreSQL keeps microseconds and SQLite keeps text: what is compared in
//! memory must equal what is read back.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Instant;

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};

/// The time of the machine, or a time that a test moves by hand.
#[derive(Debug, Clone)]
pub enum Clock {
    System,
    /// Milliseconds since 1970.
    Manual(Arc<AtomicI64>),
}

impl Clock {
    /// A clock that stands still until it is moved.
    pub fn manual(start: DateTime<Utc>) -> Self {
        Self::Manual(Arc::new(AtomicI64::new(start.timestamp_millis())))
    }

    /// Now, in whole milliseconds.
    pub fn now(&self) -> DateTime<Utc> {
        match self {
            #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the time")]
            Self::System => Utc::now().trunc_subsecs(3),
            Self::Manual(millis) => {
                DateTime::from_timestamp_millis(millis.load(Ordering::SeqCst)).expect("a clock is set within the calendar")
            }
        }
    }

    /// Moves a manual clock forward; the system clock does not move by hand.
    pub fn advance(&self, by: TimeDelta) {
        if let Self::Manual(millis) = self {
            millis.fetch_add(by.num_milliseconds(), Ordering::SeqCst);
        }
    }
}

/// Notices that the wall clock was set or that the machine slept: then it and the monotonic clock went different ways (I24).
#[derive(Debug)]
pub struct StepWatch {
    wall: DateTime<Utc>,
    monotonic: Instant,
}

impl StepWatch {
    pub fn new(clock: &Clock) -> Self {
        Self { wall: clock.now(), monotonic: Instant::now() }
    }

    /// How far the wall clock ran ahead of the monotonic one since the last call; negative after it was set back.
    pub fn step(&mut self, clock: &Clock) -> TimeDelta {
        let current = Self::new(clock);
        let passed = TimeDelta::from_std(current.monotonic - self.monotonic).unwrap_or(TimeDelta::MAX);
        let step = (current.wall - self.wall) - passed;
        *self = current;
        step
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_set_is_told_apart_from_time_that_passes() {
        let clock = Clock::manual(DateTime::from_timestamp(1_800_000_000, 0).unwrap());
        let mut steps = StepWatch::new(&clock);
        for (moved, least, most) in [(0, -5, 5), (3_600, 3_595, 3_605), (-90_000, -90_005, -89_995), (0, -5, 5)] {
            clock.advance(TimeDelta::seconds(moved));
            let step = steps.step(&clock).num_seconds();
            assert!((least..=most).contains(&step), "moved by {moved}, noticed {step}");
        }
    }
}
