//! Words and health rules of devices. A silent device is a maintenance item, never a statement about a person.

use chrono::{DateTime, TimeDelta, Utc};

use super::evidence::{Level, Polarity};
use crate::words;

mod care;
mod outage;
mod reliance;

pub use care::{Bring, Care, CareFacts, TROUBLE_SHOWN, bring, care};
pub use outage::{Behind, GATHER, is_outage};
pub use reliance::{Relied, Unfit, human_look};

words! {
    /// Which decoder reads its messages. A gateway speaks for the devices behind it.
    pub enum Ecosystem {
        Native = "native", Gateway = "gateway", Zigbee2Mqtt = "zigbee2mqtt", Tasmota = "tasmota", Esphome = "esphome",
        Shelly1 = "shelly_gen1", Shelly2 = "shelly_gen2", Statestream = "ha_statestream", Tuya = "tuya", Theengs = "theengs",
        Homie4 = "homie4", Homie5 = "homie5", Zwave = "zwave", Rtl433 = "rtl_433"
    }
}

impl Ecosystem {
    /// Whether a gateway hands on its messages: it has neither a password nor a topic of its own.
    pub fn is_behind_gateway(self) -> bool {
        !matches!(self, Self::Native | Self::Gateway)
    }

    /// Whether a press for help can come from it at all. What anybody in the street can send and repeat is none, and of Z-Wave no
    /// button is read.
    pub fn has_help_buttons(self) -> bool {
        !matches!(self, Self::Gateway | Self::Zwave | Self::Rtl433)
    }

    /// Whether one of its buttons calls for help only if the register says so.
    pub fn names_presses(self) -> bool {
        matches!(self, Self::Tasmota | Self::Esphome | Self::Shelly1 | Self::Shelly2 | Self::Statestream | Self::Theengs)
    }
}

words! {
    /// What a device is for.
    pub enum DeviceRole {
        CurtainContact = "curtain_contact", Cover = "cover", HelpButton = "sos", OkButton = "ok_button", Lux = "lux", Motion = "motion",
        Vibration = "vibration", Gateway = "gateway"
    }
}

words! {
    /// What is known of a device's link.
    pub enum DeviceStatus {
        /// Never heard.
        New = "new",
        Online = "online",
        /// Said good night and when it will be back.
        Asleep = "asleep",
        Offline = "offline"
    }
}

/// Which way round a sensor is mounted, from what was shown of it, read as `known`, while somebody closed and opened the curtain in
/// front of it. `None`: what was shown did not follow the curtain from one end to the other.
pub fn calibrated(known: Polarity, while_closed: Level, while_open: Level) -> Option<Polarity> {
    match (while_closed, while_open) {
        (Level::Closed, Level::Open) => Some(known),
        (Level::Open, Level::Closed) => Some(known.reversed()),
        _ => None,
    }
}

/// Longest promise of a next report that is believed.
const NEXT_SECONDS_MAX: i64 = 7 * 24 * 3600;
const SILENCE_GRACE: TimeDelta = TimeDelta::minutes(10);
/// A gateway that said that it goes is missed after this time; an update takes less.
pub const GATEWAY_AWAY_MAX: TimeDelta = TimeDelta::minutes(10);
/// Two alkaline cells: full at 3.0 V, and at 2.0 V the regulator gives up.
const BATTERY_EMPTY_MILLIVOLT: u32 = 2000;
const BATTERY_FULL_MILLIVOLT: u32 = 3000;

/// When silence becomes a warning: one and a half times the promised interval, and ten minutes.
pub fn silent_after(heard_at: DateTime<Utc>, next_seconds: i64) -> DateTime<Utc> {
    let promised = TimeDelta::seconds(next_seconds.clamp(0, NEXT_SECONDS_MAX));
    heard_at + promised + promised / 2 + SILENCE_GRACE
}

/// Below this many percent somebody should bring new cells.
const BATTERY_LOW_PERCENT: i64 = 15;
/// From this many percent on the cells are new ones: between the two a cold night and a warm day are no news.
const BATTERY_RECOVERED_PERCENT: i64 = 30;
/// Converters now and then report 0 % of full cells (sensors.md §2): one reading proves nothing.
const BATTERY_LOW_REPORTS: i64 = 2;

/// What is remembered of a device's cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cells {
    /// Readings below the threshold in a row.
    pub low_reports: i64,
    /// The episode of low cells that nobody has ended with new ones.
    pub low_since: Option<DateTime<Utc>>,
}

impl Cells {
    /// One reading.
    #[must_use]
    pub fn read(self, percent: i64, at: DateTime<Utc>) -> Self {
        if percent >= BATTERY_RECOVERED_PERCENT {
            return Self::default();
        }
        let low_reports = if percent < BATTERY_LOW_PERCENT { (self.low_reports + 1).min(BATTERY_LOW_REPORTS) } else { 0 };
        let is_low = low_reports >= BATTERY_LOW_REPORTS;
        Self { low_reports, low_since: self.low_since.or(is_low.then_some(at)) }
    }

    /// Cells that say only that they are not low.
    #[must_use]
    pub fn fine(self) -> Self {
        Self::default()
    }
}

/// Linear between empty and full, which is good enough to know when to bring new cells.
pub fn battery_percent(millivolt: u32) -> i64 {
    let above = millivolt.clamp(BATTERY_EMPTY_MILLIVOLT, BATTERY_FULL_MILLIVOLT) - BATTERY_EMPTY_MILLIVOLT;
    i64::from(above * 100 / (BATTERY_FULL_MILLIVOLT - BATTERY_EMPTY_MILLIVOLT))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_clicks_say_which_way_round_a_sensor_is_and_a_reading_that_stays_says_nothing() {
        use Level::{Closed, Open, Partial};
        use Polarity::{Inverted, Normal};
        for (known, closed, open, expected) in [
            (Normal, Closed, Open, Some(Normal)),
            (Normal, Open, Closed, Some(Inverted)),
            (Inverted, Closed, Open, Some(Inverted)),
            (Inverted, Open, Closed, Some(Normal)),
            (Normal, Closed, Closed, None),
            (Normal, Open, Open, None),
            (Normal, Closed, Partial, None),
            (Inverted, Partial, Open, None),
        ] {
            assert_eq!(calibrated(known, closed, open), expected, "{known:?} {closed:?} {open:?}");
        }
    }

    #[test]
    fn silence_is_a_warning_after_one_and_a_half_intervals_and_ten_minutes() {
        let heard_at = DateTime::from_timestamp(1_788_734_472, 0).expect("a literal time");
        assert_eq!(silent_after(heard_at, 21_600), heard_at + TimeDelta::minutes(9 * 60 + 10));
        assert_eq!(silent_after(heard_at, -5), heard_at + SILENCE_GRACE);
        assert_eq!(silent_after(heard_at, i64::MAX), heard_at + TimeDelta::days(7) * 3 / 2 + SILENCE_GRACE);
    }

    #[test]
    fn low_cells_are_one_episode_until_new_ones_are_in() {
        let at = |minute: i64| DateTime::from_timestamp(1_788_734_472 + minute * 60, 0).expect("a literal time");
        let mut cells = Cells::default();
        let mut said = Vec::new();
        for (minute, percent) in (0..).zip([90, 0, 90, 14, 14, 20, 13, 29, 14, 14, 30, 14, 14]) {
            cells = cells.read(percent, at(minute));
            said.push(cells.low_since);
        }
        let (first, second) = (Some(at(4)), Some(at(12)));
        assert_eq!(said, [None, None, None, None, first, first, first, first, first, first, None, None, second]);
        assert_eq!(cells.fine(), Cells::default());
    }

    #[test]
    fn cells_are_empty_at_two_volts() {
        for (millivolt, percent) in [(0, 0), (2000, 0), (2912, 91), (3000, 100), (u32::MAX, 100)] {
            assert_eq!(battery_percent(millivolt), percent, "{millivolt}");
        }
    }
}
