//! Time on a device that has no battery-backed clock: exact intervals since boot, and a wall clock that the server's
//! receipts calibrate and that grows less certain with each hour.

use crate::envelope::Wall;

/// The RC oscillator that runs in deep sleep may be wrong by one part in so many (5 %).
const DRIFT_PART: u64 = 20;
/// A correction beyond this is reported as an event: earlier wall times of this boot were wrong.
pub const TIME_JUMP_MIN_S: u64 = 120;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WallClock {
    reference: Option<(u64, Wall)>,
}

impl WallClock {
    pub const fn new(now_up_ms: u64, wall: Option<Wall>) -> Self {
        Self { reference: if let Some(wall) = wall { Some((now_up_ms, wall)) } else { None } }
    }

    /// What to claim now, if anything is known.
    pub fn at(&self, now_up_ms: u64) -> Option<Wall> {
        let (reference_ms, wall) = self.reference?;
        let elapsed_ms = now_up_ms.saturating_sub(reference_ms);
        let drift_s = u32::try_from(elapsed_ms / 1000 / DRIFT_PART).unwrap_or(u32::MAX);
        Some(Wall { ms: wall.ms.saturating_add(elapsed_ms), uncertainty_s: wall.uncertainty_s.saturating_add(drift_s) })
    }

    /// Takes a new wall time and tells by how many seconds the old one was behind, when that is too much to keep silent.
    pub fn calibrate(&mut self, now_up_ms: u64, wall: Wall) -> Option<i64> {
        let before = self.at(now_up_ms);
        self.reference = Some((now_up_ms, wall));
        let wrong_ms = i64::try_from(wall.ms).ok()?.checked_sub(i64::try_from(before?.ms).ok()?)?;
        (wrong_ms.unsigned_abs() / 1000 > TIME_JUMP_MIN_S).then_some(wrong_ms / 1000)
    }

    pub const fn forget(&mut self) {
        self.reference = None;
    }
}

/// The uptime of a board whose millisecond counter has 32 bits and wraps after 49.7 days. `previous_ms` is the extended
/// value of the last reading, which must be younger than one wrap: a heartbeat a day is plenty.
pub const fn extend(previous_ms: u64, counter: u32) -> u64 {
    let high = previous_ms & !0xffff_ffff;
    let candidate = high | counter as u64;
    if candidate < previous_ms { candidate + (1 << 32) } else { candidate }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_uptime_survives_the_wrap_of_a_32_bit_counter() {
        let before = extend(0, u32::MAX - 5);
        let after = extend(before, 10);
        assert_eq!(after - before, 16);
        assert_eq!(extend(after, 10), after);
        assert_eq!(extend(after, u32::MAX) >> 32, 1);
        assert_eq!(extend(extend(after, u32::MAX), 0) >> 32, 2);
    }

    #[test]
    fn a_clock_that_was_set_long_ago_says_so() {
        let clock = WallClock::new(0, Some(Wall { ms: 1_000_000, uncertainty_s: 2 }));
        assert_eq!(clock.at(3_600_000), Some(Wall { ms: 4_600_000, uncertainty_s: 182 }));
        assert_eq!(WallClock::default().at(1), None);
    }

    #[test]
    fn only_a_large_correction_is_told() {
        let mut clock = WallClock::default();
        assert_eq!(clock.calibrate(0, Wall { ms: 1_000_000, uncertainty_s: 2 }), None, "nothing was claimed before");
        assert_eq!(clock.calibrate(1000, Wall { ms: 1_121_000, uncertainty_s: 2 }), None);
        assert_eq!(clock.calibrate(1000, Wall { ms: 1_000_000, uncertainty_s: 2 }), Some(-121));
        assert_eq!(clock.calibrate(1000, Wall { ms: 9_000_000, uncertainty_s: 2 }), Some(8000));
    }
}
