//! Zigbee2MQTT: door and window contacts and motorised covers (JSON output).
//!
//! A message is a full cached snapshot, not an event: every battery report repeats the contact (Koenkk/zigbee2mqtt#4225). The
//! decoder only says what a message contains; whether anything happened is decided against the stored level. What must stay
//! true: `null` is unknown, not false; a field of the wrong type is dropped, and an invalid `position` never falls back to `state`.

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};
use uuid::Uuid;

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

/// Whose base topic a message was published below.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Below<'a> {
    One(Uuid, &'a str),
    /// The same base topic serves several gateways, and nothing tells them apart.
    Several,
    Nobody,
}

/// Of nested base topics the innermost counts. What came by the password of one gateway is that one's: every home may use the same.
pub fn below<'a>(topic: &str, speaks_for: Option<Uuid>, gateways: &'a [(Uuid, String)]) -> Below<'a> {
    let mine = |gateway: &&(Uuid, String)| speaks_for.is_none_or(|device| device == gateway.0);
    let is_below = |base: &str| topic.strip_prefix(base).is_some_and(|rest| rest.starts_with('/'));
    let candidates: Vec<&(Uuid, String)> = gateways.iter().filter(mine).filter(|(_, base)| is_below(base)).collect();
    let longest = candidates.iter().map(|(_, base)| base.len()).max();
    let mut best = candidates.into_iter().filter(|(_, base)| Some(base.len()) == longest);
    match (best.next(), best.next()) {
        (Some((gateway, base)), None) => Below::One(*gateway, base),
        (Some(_), Some(_)) => Below::Several,
        (None, _) => Below::Nobody,
    }
}

/// What one message says. `None` is "not said".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Report {
    /// True if the contact is open (`contact: false`).
    pub contact_open: Option<bool>,
    pub cover: Option<Cover>,
    /// A motorised curtain noticed that somebody pulled it open. Actions are never cached.
    pub pulled_open: bool,
    pub battery_percent: Option<u8>,
    pub battery_low: Option<bool>,
    pub tamper: Option<bool>,
    /// Last radio contact, not the time of an event: it proves freshness and never dates anything.
    pub last_seen: Option<DateTime<Utc>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cover {
    /// 0 closed, 100 open, before polarity.
    pub percent: u8,
    /// While it runs, the position may be the target.
    pub moving: bool,
}

/// Reads a device message. An empty payload is the tombstone of a retained topic and says nothing.
pub fn decode(payload: &[u8]) -> Result<Report, Refusal> {
    if payload.len() > PAYLOAD_BYTES_MAX {
        return Err(Refusal::TooLarge);
    }
    if payload.is_empty() {
        return Ok(Report::default());
    }
    let Ok(Value::Object(fields)) = super::json::parse(payload) else {
        return Err(Refusal::Malformed);
    };
    let mut fields = Fields { fields: &fields, dropped: false };
    let report = Report {
        contact_open: fields.contact(),
        cover: fields.cover(),
        pulled_open: fields.said("action").and_then(Value::as_str) == Some("manual_open"),
        battery_percent: fields.percent("battery"),
        battery_low: fields.bool("battery_low"),
        tamper: fields.bool("tamper"),
        last_seen: fields.last_seen(),
    };
    // Something recognised made no sense and nothing else was said: a fault to be shown, not silence.
    let nothing = Report { last_seen: None, ..report } == Report::default();
    if nothing && fields.dropped { Err(Refusal::Malformed) } else { Ok(report) }
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

/// Typed access that remembers whether a recognised field had to be dropped.
struct Fields<'a> {
    fields: &'a Map<String, Value>,
    dropped: bool,
}

impl<'a> Fields<'a> {
    /// The field if it is there and not `null`.
    fn said(&self, name: &str) -> Option<&'a Value> {
        self.fields.get(name).filter(|value| !value.is_null())
    }

    fn keep<T>(&mut self, read: Option<T>) -> Option<T> {
        self.dropped |= read.is_none();
        read
    }

    fn bool(&mut self, name: &str) -> Option<bool> {
        let value = self.said(name)?;
        self.keep(value.as_bool())
    }

    fn percent(&mut self, name: &str) -> Option<u8> {
        let value = self.said(name)?;
        self.keep(whole_percent(value))
    }

    fn contact(&mut self) -> Option<bool> {
        if let Some(closed) = self.bool("contact") {
            return Some(!closed);
        }
        let state = self.said("opening_state")?.as_str();
        match state {
            Some("open") => Some(true),
            Some("closed") => Some(false),
            // A tilted window is neither; it is said without being an opening.
            Some("tilted") => None,
            _ => self.keep(None),
        }
    }

    fn cover(&mut self) -> Option<Cover> {
        let percent = if self.said("position").is_some() {
            self.percent("position")?
        } else {
            match self.said("state")?.as_str()? {
                "OPEN" => 100,
                "CLOSE" => 0,
                _ => return None,
            }
        };
        let running = self.bool("running").unwrap_or(false);
        let motor = self.said("motor_state").and_then(Value::as_str);
        Some(Cover { percent, moving: running || matches!(motor, Some("opening" | "closing")) })
    }

    /// ISO 8601 with offset, or milliseconds since 1970.
    fn last_seen(&mut self) -> Option<DateTime<Utc>> {
        let value = self.said("last_seen")?;
        let read = match value {
            Value::String(text) => DateTime::parse_from_rfc3339(text).ok().map(|at| at.to_utc()),
            value => value.as_i64().and_then(DateTime::from_timestamp_millis),
        };
        self.keep(read)
    }
}

fn whole_percent(value: &Value) -> Option<u8> {
    let number = value.as_f64()?;
    // The range check makes the conversion exact.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 100, rounded")]
    (0.0..=100.0).contains(&number).then(|| number.round() as u8)
}

#[cfg(test)]
mod tests;
