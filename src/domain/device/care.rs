//! Why somebody should look after a device, and what to take along.

use chrono::{DateTime, TimeDelta, Utc};

use super::{DeviceRole, DeviceStatus};
use crate::words;

/// How long a device is shown as one that had lost events.
pub const TROUBLE_SHOWN: TimeDelta = TimeDelta::days(7);

words! {
    /// Why somebody should look after a device.
    pub enum Care {
        Offline = "offline", BatteryLow = "battery_low",
        /// Bound, and nobody has shown it which reading is an open curtain: its openings only show.
        Uncalibrated = "uncalibrated",
        /// It was opened or torn off, and nobody has calibrated it since.
        Tampered = "tampered",
        /// Its queue ran over lately: what happened then is not known.
        EventsLost = "events_lost",
        /// Its clock contradicts ours.
        ClockWrong = "clock_wrong",
        /// Messages of it were put aside lately.
        Quarantined = "quarantined"
    }
}

words! {
    /// What somebody takes along who goes to mend it.
    pub enum Bring {
        /// It hangs at the rail.
        Ladder = "ladder",
        Batteries = "batteries"
    }
}

/// What speaks for care about one device in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CareFacts {
    pub status: DeviceStatus,
    pub battery_low: bool,
    pub role: DeviceRole,
    pub is_bound: bool,
    pub quarantined: bool,
    pub tampered_at: Option<DateTime<Utc>>,
    pub calibrated_at: Option<DateTime<Utc>>,
    pub lost_lately: bool,
    pub clock_suspect: bool,
}

impl CareFacts {
    /// Opened or torn off since somebody last saw to it. What hangs at no curtain is never calibrated: there it is shown for a while.
    pub fn is_tampered(&self, now: DateTime<Utc>) -> bool {
        let shown = |at: DateTime<Utc>| at_curtain(self.role) || now - at < TROUBLE_SHOWN;
        self.tampered_at.is_some_and(|at| self.calibrated_at.is_none_or(|seen_to| seen_to < at) && shown(at))
    }
}

/// It tells of the curtain itself.
pub(super) fn at_curtain(role: DeviceRole) -> bool {
    matches!(role, DeviceRole::CurtainContact | DeviceRole::Cover)
}

/// The reasons, in the order of the list.
pub fn care(facts: &CareFacts, now: DateTime<Utc>) -> Vec<Care> {
    Care::ALL
        .iter()
        .copied()
        .filter(|reason| match reason {
            Care::Offline => facts.status == DeviceStatus::Offline,
            Care::BatteryLow => facts.battery_low,
            Care::Uncalibrated => at_curtain(facts.role) && facts.is_bound && facts.calibrated_at.is_none(),
            Care::Tampered => facts.is_tampered(now),
            Care::EventsLost => facts.lost_lately,
            Care::ClockWrong => facts.clock_suspect,
            Care::Quarantined => facts.quarantined,
        })
        .collect()
}

/// What to take along for these reasons. A silent device may be an empty one.
pub fn bring(role: DeviceRole, care: &[Care]) -> Vec<Bring> {
    let on_the_spot = care.iter().any(|reason| matches!(reason, Care::Offline | Care::BatteryLow | Care::Tampered));
    let empty = care.iter().any(|reason| matches!(reason, Care::Offline | Care::BatteryLow));
    let has_cells = !matches!(role, DeviceRole::Gateway | DeviceRole::Cover);
    let needs = |what: &Bring| match what {
        Bring::Ladder => on_the_spot && at_curtain(role),
        Bring::Batteries => empty && has_cells,
    };
    Bring::ALL.iter().copied().filter(needs).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_that_was_torn_off_needs_care_until_somebody_calibrated_it_again() {
        let at = |minute: i64| DateTime::from_timestamp(1_788_734_472 + minute * 60, 0).unwrap();
        let well = CareFacts {
            status: DeviceStatus::Asleep,
            battery_low: false,
            role: DeviceRole::CurtainContact,
            is_bound: true,
            quarantined: false,
            tampered_at: None,
            calibrated_at: Some(at(0)),
            lost_lately: false,
            clock_suspect: false,
        };
        let month = 30 * 24 * 60;
        for (name, facts, minute, expected) in [
            ("well", well, month, vec![]),
            ("torn off", CareFacts { tampered_at: Some(at(1)), ..well }, month, vec![Care::Tampered]),
            ("and seen to", CareFacts { tampered_at: Some(at(1)), calibrated_at: Some(at(2)), ..well }, 3, vec![]),
            (
                "a button, lately",
                CareFacts { role: DeviceRole::OkButton, tampered_at: Some(at(1)), calibrated_at: None, ..well },
                2,
                vec![Care::Tampered],
            ),
            (
                "a button, long ago",
                CareFacts { role: DeviceRole::OkButton, tampered_at: Some(at(1)), calibrated_at: None, ..well },
                month,
                vec![],
            ),
            (
                "everything",
                CareFacts {
                    status: DeviceStatus::Offline,
                    battery_low: true,
                    quarantined: true,
                    tampered_at: Some(at(1)),
                    calibrated_at: None,
                    lost_lately: true,
                    clock_suspect: true,
                    ..well
                },
                2,
                Care::ALL.to_vec(),
            ),
        ] {
            assert_eq!(care(&facts, at(minute)), expected, "{name}");
        }
    }

    #[test]
    fn a_ladder_is_for_rails_and_batteries_for_what_has_some() {
        use Bring::{Batteries, Ladder};
        use DeviceRole::{Cover, CurtainContact, Gateway, OkButton};
        for (role, reasons, expected) in [
            (CurtainContact, vec![Care::BatteryLow], vec![Ladder, Batteries]),
            (CurtainContact, vec![Care::Tampered], vec![Ladder]),
            (CurtainContact, vec![Care::Uncalibrated, Care::ClockWrong], vec![]),
            (Cover, vec![Care::Offline], vec![Ladder]),
            (OkButton, vec![Care::Offline], vec![Batteries]),
            (Gateway, vec![Care::Offline], vec![]),
        ] {
            assert_eq!(bring(role, &reasons), expected, "{role} {reasons:?}");
        }
    }
}
