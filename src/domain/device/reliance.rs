//! Whether a home's sensors can be relied on this morning. If not, somebody looks, and knows it before the round starts.

use chrono::{DateTime, Utc};

use super::care::at_curtain;
use super::{DeviceRole, DeviceStatus};
use crate::domain::signal::SensorPolicy;
use crate::words;

words! {
    /// Why a sensor will say nothing that counts.
    pub enum Unfit {
        Silent = "silent",
        /// Everything behind this gateway is unheard.
        GatewaySilent = "gateway_silent",
        Tampered = "tampered",
        Uncalibrated = "uncalibrated",
        /// It may fall silent at any moment.
        BatteryLow = "battery_low"
    }
}

/// A bound device in use, as far as it is relied on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Relied {
    pub role: DeviceRole,
    pub status: DeviceStatus,
    pub gateway_silent: bool,
    pub battery_low: bool,
    pub calibrated_at: Option<DateTime<Utc>>,
    pub tampered_at: Option<DateTime<Utc>>,
}

impl Relied {
    /// Since somebody has seen to it. What was never calibrated is unfit for that reason.
    fn is_torn_off(self) -> bool {
        self.calibrated_at.zip(self.tampered_at).is_some_and(|(seen_to, torn_off)| torn_off > seen_to)
    }

    fn unfit(self) -> Option<Unfit> {
        let reasons = [
            (Unfit::GatewaySilent, self.gateway_silent),
            (Unfit::Silent, self.status == DeviceStatus::Offline),
            (Unfit::Tampered, self.is_torn_off()),
            (Unfit::Uncalibrated, at_curtain(self.role) && self.calibrated_at.is_none()),
            (Unfit::BatteryLow, self.battery_low),
        ];
        reasons.into_iter().find_map(|(why, is_so)| is_so.then_some(why))
    }
}

/// Why a person must look where the agreement would otherwise rely on a sensor. `None`: a sensor that proves something is well, or
/// nobody relies on any. What only hints (light, movement) is relied on by nobody.
pub fn human_look(policy: SensorPolicy, devices: &[Relied]) -> Option<Unfit> {
    if policy != SensorPolicy::Sufficient {
        return None;
    }
    let of = |is_of: fn(DeviceRole) -> bool| devices.iter().filter(move |device| is_of(device.role)).collect::<Vec<_>>();
    let curtain = of(at_curtain);
    let proving = if curtain.is_empty() { of(|role| role == DeviceRole::OkButton) } else { curtain };
    let why: Option<Vec<Unfit>> = proving.iter().map(|device| device.unfit()).collect();
    why?.into_iter().min()
}

#[cfg(test)]
mod tests {
    use super::*;

    const WELL: Relied = Relied {
        role: DeviceRole::CurtainContact,
        status: DeviceStatus::Asleep,
        gateway_silent: false,
        battery_low: false,
        calibrated_at: Some(DateTime::UNIX_EPOCH),
        tampered_at: None,
    };

    #[test]
    fn a_person_looks_where_no_sensor_that_proves_something_is_fit() {
        let silent = Relied { status: DeviceStatus::Offline, ..WELL };
        let button = Relied { role: DeviceRole::OkButton, calibrated_at: None, ..WELL };
        let mute_button = Relied { status: DeviceStatus::Offline, ..button };
        let help = Relied { role: DeviceRole::HelpButton, status: DeviceStatus::Offline, ..WELL };
        for (name, devices, expected) in [
            ("no sensor", vec![], None),
            ("a good one", vec![WELL], None),
            ("silent", vec![silent], Some(Unfit::Silent)),
            ("its gateway", vec![Relied { gateway_silent: true, ..WELL }], Some(Unfit::GatewaySilent)),
            ("not calibrated", vec![Relied { calibrated_at: None, ..WELL }], Some(Unfit::Uncalibrated)),
            ("torn off", vec![Relied { tampered_at: Some(DateTime::<Utc>::MAX_UTC), ..WELL }], Some(Unfit::Tampered)),
            ("low", vec![Relied { battery_low: true, ..WELL }], Some(Unfit::BatteryLow)),
            ("another one is well", vec![silent, WELL], None),
            ("a button beside a silent contact", vec![silent, button], Some(Unfit::Silent)),
            ("a button alone", vec![button], None),
            ("a silent button alone", vec![mute_button], Some(Unfit::Silent)),
            ("a help button is no sign of life", vec![help], None),
        ] {
            assert_eq!(human_look(SensorPolicy::Sufficient, &devices), expected, "{name}");
            for policy in [SensorPolicy::Assist, SensorPolicy::None] {
                assert_eq!(human_look(policy, &devices), None, "{name}: a person looks anyway");
            }
        }
    }
}
