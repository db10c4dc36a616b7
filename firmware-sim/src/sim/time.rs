//! The device's time: milliseconds since its cold boot, from an oscillator that may run fast, skipping sleep when hurried.

use std::time::{Duration, UNIX_EPOCH};

use tokio::time::Instant;

use crate::envelope::Wall;

pub(super) struct UpTime {
    started: Instant,
    skipped_ms: u64,
    /// Device milliseconds per real one.
    rate: f64,
}

pub(super) fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl UpTime {
    pub fn start(drift: f64) -> Self {
        Self { started: Instant::now(), skipped_ms: 0, rate: 1.0 + drift }
    }

    pub fn now_ms(&self) -> u64 {
        ms(self.started.elapsed().mul_f64(self.rate)) + self.skipped_ms
    }

    /// How long until then; never less than the clock's grain, so that a wait ends after its time and not just before.
    pub fn until(&self, at_ms: u64) -> Duration {
        Duration::from_millis(at_ms.saturating_sub(self.now_ms())).div_f64(self.rate)
    }

    /// Sleeps through, in no time. Tells how much was skipped.
    pub fn skip_to(&mut self, at_ms: u64) -> u64 {
        let skipped = at_ms.saturating_sub(self.now_ms());
        self.skipped_ms += skipped;
        skipped
    }
}

/// The host's clock, wrong by so much: what a device that knows the time would claim.
pub(super) fn host_wall(error_s: i64) -> Option<Wall> {
    let now_ms = ms(UNIX_EPOCH.elapsed().ok()?);
    Some(Wall { ms: now_ms.saturating_add_signed(error_s.saturating_mul(1000)), uncertainty_s: 2 })
}
