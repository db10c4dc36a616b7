//! Words and health rules of devices. A silent device is a maintenance item, never a statement about a person.

use chrono::{DateTime, TimeDelta, Utc};

use crate::words;

words! {
    /// Which decoder reads its messages. A gateway speaks for the devices behind it.
    pub enum Ecosystem { Native = "native", Zigbee2Mqtt = "zigbee2mqtt", Gateway = "gateway" }
}

words! {
    /// What a device is for.
    pub enum DeviceRole {
        CurtainContact = "curtain_contact", Cover = "cover", HelpButton = "sos", OkButton = "ok_button", Gateway = "gateway"
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

/// Longest promise of a next report that is believed.
const NEXT_SECONDS_MAX: i64 = 7 * 24 * 3600;
const SILENCE_GRACE: TimeDelta = TimeDelta::minutes(10);
/// Two alkaline cells: full at 3.0 V, and at 2.0 V the regulator gives up.
const BATTERY_EMPTY_MILLIVOLT: u32 = 2000;
const BATTERY_FULL_MILLIVOLT: u32 = 3000;

/// When silence becomes a warning: one and a half times the promised interval, and ten minutes.
pub fn silent_after(heard_at: DateTime<Utc>, next_seconds: i64) -> DateTime<Utc> {
    let promised = TimeDelta::seconds(next_seconds.clamp(0, NEXT_SECONDS_MAX));
    heard_at + promised + promised / 2 + SILENCE_GRACE
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
    fn silence_is_a_warning_after_one_and_a_half_intervals_and_ten_minutes() {
        let heard_at = DateTime::from_timestamp(1_788_734_472, 0).expect("a literal time");
        assert_eq!(silent_after(heard_at, 21_600), heard_at + TimeDelta::minutes(9 * 60 + 10));
        assert_eq!(silent_after(heard_at, -5), heard_at + SILENCE_GRACE);
        assert_eq!(silent_after(heard_at, i64::MAX), heard_at + TimeDelta::days(7) * 3 / 2 + SILENCE_GRACE);
    }

    #[test]
    fn cells_are_empty_at_two_volts() {
        for (millivolt, percent) in [(0, 0), (2000, 0), (2912, 91), (3000, 100), (u32::MAX, 100)] {
            assert_eq!(battery_percent(millivolt), percent, "{millivolt}");
        }
    }
}
