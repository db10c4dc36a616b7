//! What the register knows of a device and a message does not say: which way round it is mounted, what its buttons are for, what
//! stands behind a number. Absent means what is usual in the ecosystem.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

mod entered;

/// What a press is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Press {
    Help,
    Ok,
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct Settings {
    /// Position 0 is open, found by calibration.
    pub opens_towards_zero: Option<bool>,
    /// Whether "on", "true" or 1 means open.
    pub on_is_open: Option<bool>,
    /// Home Assistant's class of a sensor that only says on and off.
    pub device_class: Option<String>,
    /// Presses by their names on the device.
    pub presses: BTreeMap<String, Press>,
    /// What numbered parts of a device measure.
    pub parts: BTreeMap<String, String>,
    /// The end of the position's scale.
    pub position_max: Option<f64>,
    /// The topic stands for several devices at once.
    pub group: bool,
    /// Calibration has shown that what it calls open is closed.
    pub is_reversed: bool,
    /// It goes offline between reports and is well: its will says that it sleeps.
    pub sleeps: Option<bool>,
    /// Its radio messages are encrypted, and its gateway has the key.
    pub is_encrypted: bool,
    /// Each of its values comes on a topic of its own (`output: attribute` of Zigbee2MQTT).
    pub by_attribute: bool,
    /// Where its clock is, if it tells local time without saying so.
    pub zone: Option<chrono_tz::Tz>,
    /// Key of a native device and the number that messages name it by.
    pub key: Option<(u32, [u8; 32])>,
}

/// A setting that makes no sense: its name and the key of the sentence that says what is allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Misset {
    pub field: String,
    pub allowed: &'static str,
}

impl Settings {
    /// Reads the register's entry of one device. Entries that no decoder knows are left alone.
    pub fn read(fields: &Map<String, Value>) -> Result<Self, Misset> {
        let mut settings = Self { key: key(fields)?, ..Self::default() };
        for (name, value) in fields {
            let wrong = |allowed| Misset { field: format!("registry.{name}"), allowed };
            match (name.as_str(), value) {
                ("open_position", value) => {
                    let open = value.as_u64().filter(|open| [0, 100].contains(open)).ok_or_else(|| wrong("sensor.allowed_end"))?;
                    settings.opens_towards_zero = Some(open == 0);
                }
                ("max", value) => {
                    let max = value.as_f64().filter(|max| *max > 0.0).ok_or_else(|| wrong("sensor.allowed_max"))?;
                    settings.position_max = Some(max);
                }
                ("group", Value::Bool(group)) => settings.group = *group,
                ("encrypted", Value::Bool(encrypted)) => settings.is_encrypted = *encrypted,
                ("sleeps", Value::Bool(sleeps)) => settings.sleeps = Some(*sleeps),
                ("output", Value::String(output)) => settings.by_attribute = output == "attribute",
                ("zone", Value::String(zone)) => settings.zone = Some(zone.parse().map_err(|_| wrong("sensor.allowed_zone"))?),
                ("device_class", Value::String(class)) => settings.device_class = Some(class.clone()),
                (name, Value::String(word)) if ["open", "closed", "close"].contains(&word.as_str()) => {
                    let off = ["off", "false", "_0"].iter().any(|end| name.ends_with(end));
                    settings.on_is_open = Some((word == "open") != off);
                }
                (_, Value::Object(entries)) => settings.entries(entries),
                _ => {}
            }
        }
        Ok(settings)
    }

    fn entries(&mut self, entries: &Map<String, Value>) {
        for (name, value) in entries {
            match value.as_str() {
                Some("sos") => drop(self.presses.insert(name.clone(), Press::Help)),
                Some("ok") => drop(self.presses.insert(name.clone(), Press::Ok)),
                Some(part) => drop(self.parts.insert(name.clone(), part.to_owned())),
                None => {}
            }
        }
    }

    /// Whether "on" stands for open here.
    pub fn opens(&self, on: bool) -> bool {
        (on == self.on_is_open.unwrap_or(true)) != self.is_reversed
    }

    /// Whether position 0 is open here; `usual` is what the device's make says without an entry.
    pub fn is_towards_zero(&self, usual: bool) -> bool {
        self.opens_towards_zero.unwrap_or(usual) != self.is_reversed
    }
}

fn key(fields: &Map<String, Value>) -> Result<Option<(u32, [u8; 32])>, Misset> {
    let Some(value) = fields.get("key") else { return Ok(None) };
    let wrong = |field: &str, allowed| Misset { field: format!("registry.{field}"), allowed };
    let digits = value.as_str().filter(|digits| digits.len() == 64 && digits.is_ascii());
    let secret = digits.and_then(|digits| {
        let mut secret = [0; 32];
        for (n, byte) in secret.iter_mut().enumerate() {
            *byte = u8::from_str_radix(digits.get(2 * n..2 * n + 2)?, 16).ok()?;
        }
        Some(secret)
    });
    let kid = match fields.get("kid") {
        None => Some(1),
        Some(kid) => kid.as_u64().and_then(|kid| u32::try_from(kid).ok()),
    };
    Ok(Some((kid.ok_or_else(|| wrong("kid", "sensor.allowed_kid"))?, secret.ok_or_else(|| wrong("key", "sensor.allowed_key"))?)))
}
