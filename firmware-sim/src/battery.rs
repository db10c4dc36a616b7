//! How long two AA cells last: charge per wake and in sleep, against a derated capacity. An estimate to choose a
//! heartbeat and a mounting place by, not a measurement.

use serde::{Deserialize, Serialize};

/// Two AA cells in series, as printed.
pub const CELL_MAH: f64 = 2000.0;
/// What is left of it after cold rooms, self-discharge and the regulator's cut-off.
pub const DERATING: f64 = 0.65;
/// Alkaline cells leak and age before a very frugal device has used them up.
pub const SHELF_LIFE_YEARS: f64 = 6.0;
/// Mean current of a Wi-Fi module while it is awake.
pub const AWAKE_MA: f64 = 90.0;

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scenario {
    pub wakes_per_day: f64,
    pub seconds_per_wake: f64,
    pub sleep_microampere: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Estimate {
    pub mah_per_day: f64,
    pub years: f64,
    /// The cells' age ends it before their charge.
    pub shelf_life_wins: bool,
}

/// How well the access point is heard decides more than anything else.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LinkQuality {
    #[default]
    Good,
    Typical,
    /// Retries, DHCP each time, a full TLS handshake.
    Bad,
}

impl Scenario {
    /// What the quality of the link makes of so many wakes.
    pub const fn over(link: LinkQuality, wakes_per_day: f64) -> Self {
        Self { wakes_per_day, seconds_per_wake: link.seconds_per_wake(), sleep_microampere: link.sleep_microampere() }
    }
}

impl LinkQuality {
    pub const fn seconds_per_wake(self) -> f64 {
        match self {
            Self::Good => 1.5,
            Self::Typical => 3.0,
            Self::Bad => 9.0,
        }
    }

    pub const fn sleep_microampere(self) -> f64 {
        match self {
            Self::Good => 12.0,
            Self::Typical | Self::Bad => 20.0,
        }
    }
}

pub fn estimate(scenario: Scenario) -> Estimate {
    let awake = scenario.wakes_per_day * scenario.seconds_per_wake / 3600.0 * AWAKE_MA;
    let asleep = scenario.sleep_microampere / 1000.0 * 24.0;
    let mah_per_day = awake + asleep;
    let by_charge = CELL_MAH * DERATING / mah_per_day / 365.25;
    Estimate { mah_per_day, years: by_charge.min(SHELF_LIFE_YEARS), shelf_life_wins: by_charge > SHELF_LIFE_YEARS }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn years(wakes_per_day: f64, link: LinkQuality) -> f64 {
        estimate(Scenario::over(link, wakes_per_day)).years
    }

    #[test]
    fn the_estimates_of_the_hardware_note_are_met() {
        assert!((5.5..=6.0).contains(&years(8.0, LinkQuality::Good)));
        assert!((2.5..=3.2).contains(&years(10.0, LinkQuality::Typical)));
        assert!((0.6..=1.1).contains(&years(14.0, LinkQuality::Bad)));
    }

    #[test]
    fn a_device_that_hardly_ever_wakes_dies_of_age() {
        let estimate = estimate(Scenario { wakes_per_day: 1.0, seconds_per_wake: 1.0, sleep_microampere: 5.0 });
        assert!(estimate.shelf_life_wins);
    }
}
