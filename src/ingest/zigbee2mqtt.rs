//! Zigbee2MQTT: what its topics are about; [`saying`] reads its messages.
//!
//! A message is a full cached snapshot, not an event: every battery report repeats the contact (Koenkk/zigbee2mqtt#4225). The
//! decoder only says what a message contains; whether anything happened is decided against the stored level. What must stay
//! true: `null` is unknown, not false; a field of the wrong type is dropped, and an invalid `position` never falls back to `state`.

use serde_json::Value;

pub mod list;
pub mod saying;

pub use super::said::{PAYLOAD_BYTES_MAX, Refusal};

/// What a topic below the base topic is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Topic<'a> {
    /// State of a device. Friendly names may contain `/`, spaces and 汉字.
    Device(&'a str),
    /// Whether the gateway reaches a device.
    Availability(&'a str),
    /// Whether Zigbee2MQTT itself runs.
    Gateway,
    /// Commands, groups, logs: not reports.
    Ignored,
}

impl<'a> Topic<'a> {
    /// `None` if the topic is not below `base`.
    pub fn parse(base: &str, topic: &'a str) -> Option<Self> {
        let name = topic.strip_prefix(base)?.strip_prefix('/')?;
        Some(match name {
            "bridge/state" => Self::Gateway,
            _ if name.starts_with("bridge/") => Self::Ignored,
            _ if ["/set", "/get"].iter().any(|command| name.ends_with(command) || name.contains(&format!("{command}/"))) => Self::Ignored,
            _ => match name.strip_suffix("/availability") {
                Some(device) => Self::Availability(device),
                None => Self::Device(name),
            },
        })
    }
}

/// Reads `{"state":"online"}` or, before Zigbee2MQTT 2, bare `online`. `None` for an empty payload.
pub fn decode_online(payload: &[u8]) -> Result<Option<bool>, Refusal> {
    if payload.len() > PAYLOAD_BYTES_MAX {
        return Err(Refusal::TooLarge);
    }
    let word = |word: &str| match word {
        "online" => Ok(Some(true)),
        "offline" => Ok(Some(false)),
        _ => Err(Refusal::Malformed),
    };
    match payload {
        b"" => Ok(None),
        b"online" | b"offline" => word(std::str::from_utf8(payload).map_err(|_| Refusal::Malformed)?),
        _ => match super::json::parse(payload) {
            Ok(Value::Object(fields)) => word(fields.get("state").and_then(Value::as_str).unwrap_or_default()),
            _ => Err(Refusal::Malformed),
        },
    }
}

#[cfg(test)]
mod tests;
