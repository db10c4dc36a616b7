//! What can go wrong between a device and a server: per message, per device and day, or for all devices at once.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::chance::Chance;
use super::room::Act;

/// Each a probability from 0 to 1. What is not said does not happen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Faults {
    /// A message, or a receipt, is gone.
    pub loss: f64,
    /// A message arrives twice, the second time with the DUP flag.
    pub duplicate: f64,
    /// A message is overtaken by the next signed one.
    pub reorder: f64,
    /// A recorded older message is published again, byte for byte.
    pub replay: f64,
    /// The connection breaks right after a message, and the will is sent.
    pub cut: f64,
    /// Per day: the reed chatters and falls back.
    pub bounce: f64,
    /// Per day: the power fails and the device starts anew.
    pub restart: f64,
    /// Per day: the battery ends for good.
    pub flat: f64,
    /// Per day: the board's wall clock jumps by minutes to days.
    pub clock_jump: f64,
    /// Per day: the magnet is taken off for a while.
    pub magnet: f64,
    /// Per day, for all devices at once: the broker cannot be reached for a while.
    pub broker_down: f64,
    /// How much faster or slower than real a device's oscillator runs, at most: 0.05 is 5 %. Each device draws its own.
    pub drift: f64,
}

/// What happens to one outgoing message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    Sent,
    Lost,
    Doubled,
    Late,
}

impl Faults {
    /// The first value that is none, with its name.
    pub fn wrong(&self) -> Option<(&'static str, f64)> {
        let all = [
            ("loss", self.loss),
            ("duplicate", self.duplicate),
            ("reorder", self.reorder),
            ("replay", self.replay),
            ("cut", self.cut),
            ("bounce", self.bounce),
            ("restart", self.restart),
            ("flat", self.flat),
            ("clock_jump", self.clock_jump),
            ("magnet", self.magnet),
            ("broker_down", self.broker_down),
            // Faster than this the core's own estimate of its clock would be wrong by design.
            ("drift", self.drift * 2.0),
        ];
        all.into_iter().find(|(_, value)| !(0.0..=1.0).contains(value))
    }

    pub fn fate(&self, chance: &mut Chance) -> Fate {
        if chance.happens(self.loss) {
            Fate::Lost
        } else if chance.happens(self.duplicate) {
            Fate::Doubled
        } else if chance.happens(self.reorder) {
            Fate::Late
        } else {
            Fate::Sent
        }
    }

    /// What befalls one device in the day that begins at `start`.
    pub fn day(&self, start: Duration, day: Duration, chance: &mut Chance, acts: &mut Vec<(Duration, Act)>) {
        let befalls = [
            (Act::Bounce, self.bounce),
            (Act::Restart, self.restart),
            (Act::FlatBattery, self.flat),
            (Act::ClockJump, self.clock_jump),
            (Act::RemoveMagnet, self.magnet),
        ];
        for (act, share) in befalls {
            if chance.happens(share) {
                let at = start + part(day, 5, 90, chance);
                acts.push((at, act));
                if act == Act::RemoveMagnet {
                    acts.push((at + part(day, 1, 5, chance), Act::ReturnMagnet));
                }
            }
        }
    }

    /// When the broker is down: the same for every device of a run.
    pub fn outages(&self, days: u32, day: Duration, seed: u64) -> Vec<(Duration, Act)> {
        let mut chance = Chance::stream(seed, u64::MAX);
        let mut acts = Vec::new();
        for start in (0..days).map(|number| day * number) {
            if chance.happens(self.broker_down) {
                let from = start + part(day, 5, 90, &mut chance);
                acts.push((from, Act::BrokerDown));
                acts.push((from + part(day, 1, 5, &mut chance), Act::BrokerUp));
            }
        }
        acts
    }

    /// One device's own oscillator.
    pub fn own_drift(&self, chance: &mut Chance) -> f64 {
        if self.drift <= 0.0 {
            return 0.0;
        }
        let share = u32::try_from(chance.between(0, 2001)).expect("at most two thousand");
        self.drift * (f64::from(share) / 1000.0 - 1.0)
    }
}

/// A moment of the day, between these percents of it.
pub fn part(day: Duration, from_percent: u64, to_percent: u64, chance: &mut Chance) -> Duration {
    let share = u32::try_from(chance.between(from_percent * 100, to_percent * 100)).expect("at most ten thousand");
    day * share / 10_000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_outage_ends_and_is_the_same_for_all() {
        let faults = Faults { broker_down: 0.5, ..Faults::default() };
        let acts = faults.outages(30, Duration::from_hours(24), 7);
        assert!(!acts.is_empty());
        assert_eq!(acts, faults.outages(30, Duration::from_hours(24), 7));
        for pair in acts.chunks(2) {
            assert!(matches!(pair, [(down, Act::BrokerDown), (up, Act::BrokerUp)] if down < up), "{pair:?}");
        }
    }

    #[test]
    fn a_magnet_that_is_taken_comes_back() {
        let (mut acts, mut chance) = (Vec::new(), Chance::new(3));
        Faults { magnet: 1.0, ..Faults::default() }.day(Duration::ZERO, Duration::from_hours(24), &mut chance, &mut acts);
        assert!(matches!(acts[..], [(gone, Act::RemoveMagnet), (back, Act::ReturnMagnet)] if gone < back), "{acts:?}");
    }

    #[test]
    fn devices_drift_either_way_and_no_further_than_said() {
        let (faults, mut chance) = (Faults { drift: 0.05, ..Faults::default() }, Chance::new(3));
        let drifts: Vec<f64> = (0..200).map(|_| faults.own_drift(&mut chance)).collect();
        assert!(drifts.iter().all(|drift| drift.abs() <= 0.05));
        assert!(drifts.iter().any(|drift| *drift > 0.02) && drifts.iter().any(|drift| *drift < -0.02));
    }
}
