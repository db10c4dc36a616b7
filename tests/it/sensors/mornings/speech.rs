//! How the sensor at a window speaks, in each ecosystem: what the register is told of it, and its words for open and shut.

use serde_json::json;

use super::*;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Native,
    Zigbee,
    /// A motorised rail: who moves it is not known, so it is never proof.
    Cover,
    Tasmota,
    Esphome,
    Shelly1,
    Shelly2,
    Statestream,
    Tuya,
    Theengs,
    Homie,
    Zwave,
    /// Anybody in the street can send it: context and never more.
    Rtl433,
}

pub const KINDS: [Kind; 13] = [
    Kind::Zigbee,
    Kind::Native,
    Kind::Tasmota,
    Kind::Esphome,
    Kind::Shelly1,
    Kind::Cover,
    Kind::Shelly2,
    Kind::Statestream,
    Kind::Tuya,
    Kind::Theengs,
    Kind::Homie,
    Kind::Zwave,
    Kind::Rtl433,
];

impl Kind {
    /// Whether its word for an opening suffices.
    pub fn is_proof(self) -> bool {
        !matches!(self, Self::Cover | Self::Rtl433)
    }

    /// Whether it says when it spoke, so that an old word is known for one.
    pub fn is_dated(self) -> bool {
        matches!(self, Self::Native | Self::Zigbee | Self::Shelly2 | Self::Zwave)
    }

    /// Whether its makers let the broker keep every word.
    pub fn is_kept(self) -> bool {
        matches!(self, Self::Statestream | Self::Esphome | Self::Homie)
    }

    /// The register's entry behind that gateway.
    pub fn entry(self, world: &World, gateway: Uuid, number: usize) -> NewDevice {
        let (ecosystem, component, settings) = match self {
            Self::Native => return native(world, &format!("window-{number}")),
            Self::Zigbee | Self::Cover => (Ecosystem::Zigbee2Mqtt, String::new(), json!({})),
            Self::Tasmota => (Ecosystem::Tasmota, String::new(), json!({})),
            Self::Esphome => (Ecosystem::Esphome, String::new(), json!({})),
            Self::Shelly1 => (Ecosystem::Shelly1, String::new(), json!({})),
            Self::Shelly2 => (Ecosystem::Shelly2, "input:0".to_owned(), json!({})),
            Self::Statestream => (Ecosystem::Statestream, String::new(), json!({ "device_class": "door" })),
            Self::Tuya => (Ecosystem::Tuya, String::new(), json!({})),
            Self::Theengs => (Ecosystem::Theengs, String::new(), json!({ "encrypted": true })),
            Self::Homie => (Ecosystem::Homie5, String::new(), json!({})),
            Self::Zwave => (Ecosystem::Zwave, String::new(), json!({})),
            Self::Rtl433 => (Ecosystem::Rtl433, format!("Honeywell/{number}"), json!({})),
        };
        let role = if self == Self::Cover { DeviceRole::Cover } else { DeviceRole::CurtainContact };
        let settings = settings.as_object().expect("an object").clone();
        NewDevice { ecosystem, role, component, settings, ..behind(world, gateway, &self.name(number)) }
    }

    /// Below the gateway's base topic.
    fn name(self, number: usize) -> String {
        match self {
            Self::Native => String::new(),
            Self::Zigbee | Self::Cover => format!("zigbee2mqtt/窗/{number}"),
            Self::Tasmota => format!("reed-{number}"),
            Self::Esphome => format!("room-{number}/binary_sensor/curtain"),
            Self::Shelly1 => format!("shellydw2-{number}"),
            Self::Shelly2 => format!("shellyplusi4-{number}"),
            Self::Statestream => format!("binary_sensor/window_{number}"),
            Self::Tuya => format!("tuya/window-{number}"),
            Self::Theengs => format!("gw/BTtoMQTT/AA{number:04}"),
            Self::Homie => format!("homie/5/room-{number}/door"),
            Self::Zwave => format!("zwave/hall/{number}"),
            Self::Rtl433 => "rtl_433/pi/events".to_owned(),
        }
    }

    /// Topic below the gateway's base topic, and payload. Each word has a number of its own.
    pub fn word(self, number: usize, is_open: bool, seen_at: DateTime<Utc>, count: u32) -> (String, String) {
        let name = self.name(number);
        let one_of = |open: &str, shut: &str| if is_open { open.to_owned() } else { shut.to_owned() };
        let seen = seen_at.to_rfc3339();
        match self {
            Self::Native => unreachable!("it signs"),
            Self::Zigbee => (name, json!({ "battery": 80, "contact": !is_open, "last_seen": seen, "linkquality": 87 }).to_string()),
            Self::Cover => {
                let position = if is_open { 100 } else { 0 };
                (name, json!({ "position": position, "state": one_of("OPEN", "CLOSE"), "last_seen": seen }).to_string())
            }
            Self::Tasmota => (format!("tele/{name}/SENSOR"), json!({ "Switch1": one_of("ON", "OFF") }).to_string()),
            Self::Esphome => (format!("{name}/state"), one_of("ON", "OFF")),
            Self::Shelly1 => (format!("{name}/sensor/state"), one_of("open", "close")),
            Self::Shelly2 => {
                let parameters = json!({ "ts": seen_at.timestamp(), "input:0": { "id": 0, "state": is_open } });
                (format!("{name}/events/rpc"), json!({ "src": name, "method": "NotifyStatus", "params": parameters }).to_string())
            }
            Self::Statestream => (format!("{name}/state"), one_of("on", "off")),
            Self::Tuya => (format!("{name}/dps/1/state"), is_open.to_string()),
            Self::Theengs => (name, json!({ "open": is_open, "packet": count }).to_string()),
            Self::Homie => (format!("{name}/contact"), is_open.to_string()),
            Self::Zwave => {
                let value = if is_open { 22 } else { 23 };
                let topic = format!("{name}/notification/endpoint_0/Access_Control/Door_state");
                (topic, json!({ "time": seen_at.timestamp_millis(), "value": value }).to_string())
            }
            Self::Rtl433 => (name, json!({ "model": "Honeywell", "id": number, "reed_open": u8::from(is_open) }).to_string()),
        }
    }

    /// What it says when it has just come back to its broker, before it repeats its state; `None` if that is its gateway's word.
    pub fn greeting(self, number: usize) -> Option<(String, &'static str)> {
        match self {
            Self::Tasmota => Some((format!("tele/reed-{number}/LWT"), "Online")),
            Self::Esphome => Some((format!("room-{number}/status"), "online")),
            _ => None,
        }
    }
}
