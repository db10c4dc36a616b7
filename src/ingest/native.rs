//! The native protocol `chk/1` (sensors.md §6): a signed envelope of numbered events, and the JSON status of a device.
//!
//! What must stay true: nothing inside an envelope is interpreted before its authentication code has been checked over topic and
//! body, with one exception ([`claimed_press`]: reason to ring, never evidence), and one message has exactly one encoding. Bridges
//! and brokers on the way are not trusted.

use hmac::{Hmac, KeyInit, Mac};
use serde::Deserialize;
use sha2::Sha256;
use subtle::ConstantTimeEq;

use super::cbor::{NotDeterministic, Reader};
use crate::domain::quarantine::Reason;

pub mod downlink;
pub mod saying;
mod topic;

pub use topic::{Channel, Topic, valid_device_name};

/// Largest native payload; a full queue of 16 events needs less than half of it.
pub const PAYLOAD_BYTES_MAX: usize = 1024;
/// Events in one envelope.
pub const EVENTS_MAX: u64 = 16;
/// Numbers in the value of one event.
const VALUES_MAX: u64 = 4;
const MAC_BYTES: usize = 16;
const VERSION: u32 = 1;

/// A device key, 32 bytes, and the number that messages name it by. Two are valid while a rotation is under way.
#[derive(Clone)]
pub struct Key {
    pub kid: u32,
    pub secret: [u8; 32],
}

/// A genuine message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    pub kid: u32,
    /// Counts cold boots; lower than one already seen is a replay.
    pub boot_n: u32,
    pub boot_id: u32,
    pub seq: u32,
    /// Uptime when it was sent, in ms; an event's age is the distance to it.
    pub up_ms: u64,
    pub wall: Option<WallHint>,
    pub events: Vec<Event>,
}

/// What the device believes the time is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WallHint {
    pub unix_ms: i64,
    pub uncertainty_s: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event {
    /// Place in the envelope, part of the event's name for ever.
    pub index: u8,
    /// Uptime when it happened, in ms, never after the sending.
    pub up_ms: u64,
    pub kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Contact {
        open: bool,
    },
    CoverPercent(u8),
    CentiLux(u32),
    Motion(u32),
    Vibration(u32),
    TiltDegrees(i32),
    HelpButton {
        long: bool,
    },
    OkButton,
    Tamper(u32),
    BatteryMillivolt(u32),
    BootReason(u32),
    TimeJump(i64),
    Heartbeat {
        rssi_dbm: i32,
        queued: u32,
    },
    LuxJump {
        before: u32,
        after: u32,
    },
    Lost(u32),
    /// Newer firmware, or a known kind with a value that makes no sense. Counted, never guessed.
    Unknown(u32),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("payload is larger than {PAYLOAD_BYTES_MAX} bytes")]
    TooLarge,
    #[error("not a deterministic envelope")]
    Malformed,
    #[error("authentication code does not match")]
    Forged,
    #[error("protocol version {0} is not supported")]
    Version(u32),
}

impl From<NotDeterministic> for Refusal {
    fn from(_: NotDeterministic) -> Self {
        Self::Malformed
    }
}

impl Refusal {
    /// Why the message is put aside.
    pub fn reason(self) -> Reason {
        match self {
            Self::TooLarge => Reason::TooLarge,
            Self::Malformed => Reason::Unreadable,
            Self::Forged => Reason::Forged,
            Self::Version(_) => Reason::Version,
        }
    }
}

/// Checks and reads an envelope. The topic is part of what is signed: a message cannot be moved to another device.
pub fn decode(topic: &str, payload: &[u8], keys: &[Key]) -> Result<Message, Refusal> {
    if payload.len() > PAYLOAD_BYTES_MAX {
        return Err(Refusal::TooLarge);
    }
    let mut reader = Reader::new(payload);
    if reader.array()? != 2 {
        return Err(Refusal::Malformed);
    }
    let body = reader.bytes()?;
    let code = reader.bytes()?;
    reader.end()?;
    let key = keys.iter().find(|key| authentic(topic, body, code, key)).ok_or(Refusal::Forged)?;
    let message = read_body(body)?;
    if message.kid == key.kid { Ok(message) } else { Err(Refusal::Forged) }
}

impl Message {
    /// The name of the press for help that it holds, if any: the same however often it is sent.
    pub fn press(&self) -> Option<String> {
        let holds = self.events.iter().any(|event| matches!(event.kind, Kind::HelpButton { .. }));
        holds.then(|| format!("{}.{}.{}", self.boot_n, self.boot_id, self.seq))
    }
}

/// The press for help that a message without valid signature claims to hold. It proves nothing.
pub fn claimed_press(payload: &[u8]) -> Option<String> {
    if payload.len() > PAYLOAD_BYTES_MAX {
        return None;
    }
    let mut reader = Reader::new(payload);
    let body = reader.array().ok().filter(|parts| *parts == 2).and_then(|_| reader.bytes().ok())?;
    read_body(body).ok()?.press()
}

/// What a device says about itself; `off` is also its will.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Status {
    #[serde(rename = "s")]
    pub state: StatusState,
    #[serde(rename = "bn")]
    pub boot_n: u32,
    /// Pairs a will with its birth: an `off` older than the last birth is a late will and says nothing.
    #[serde(rename = "bd")]
    pub birth_n: u32,
    #[serde(rename = "fw")]
    pub firmware: Option<String>,
    /// Seconds until the device will be heard again.
    #[serde(rename = "next_s")]
    pub next_seconds: Option<u32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StatusState {
    On,
    Sleep,
    Off,
}

/// Reads the JSON status. It is not signed: it moves a device's health and never proves anything about a person.
pub fn decode_status(payload: &[u8]) -> Result<Status, Refusal> {
    if payload.len() > PAYLOAD_BYTES_MAX {
        return Err(Refusal::TooLarge);
    }
    let value = super::json::parse(payload).map_err(|_| Refusal::Malformed)?;
    // Serde would read a list as an object whose fields come in order.
    if !value.is_object() {
        return Err(Refusal::Malformed);
    }
    serde_json::from_value(value).map_err(|_| Refusal::Malformed)
}

fn authentic(topic: &str, body: &[u8], code: &[u8], key: &Key) -> bool {
    code.len() == MAC_BYTES && bool::from(sign(topic, body, key).ct_eq(code))
}

pub(super) fn sign(topic: &str, body: &[u8], key: &Key) -> [u8; MAC_BYTES] {
    let mut mac = Hmac::<Sha256>::new_from_slice(&key.secret).expect("HMAC takes keys of any length");
    mac.update(b"chk/1\0");
    mac.update(topic.as_bytes());
    mac.update(b"\0");
    mac.update(body);
    let whole = mac.finalize().into_bytes();
    std::array::from_fn(|n| whole[n])
}

fn read_body(body: &[u8]) -> Result<Message, Refusal> {
    let mut reader = Reader::new(body);
    let fields = reader.map()?;
    expect_field(&mut reader, 0)?;
    let version = reader.unsigned32()?;
    if version != VERSION {
        return Err(Refusal::Version(version));
    }
    expect_field(&mut reader, 1)?;
    let kid = reader.unsigned32()?;
    expect_field(&mut reader, 2)?;
    let boot_n = reader.unsigned32()?;
    expect_field(&mut reader, 3)?;
    let boot_id = reader.unsigned32()?;
    expect_field(&mut reader, 4)?;
    let seq = reader.unsigned32()?;
    expect_field(&mut reader, 5)?;
    let up_ms = reader.unsigned()?;
    let wall = match fields {
        7 => None,
        9 => {
            expect_field(&mut reader, 6)?;
            let unix_ms = reader.integer()?;
            expect_field(&mut reader, 7)?;
            Some(WallHint { unix_ms, uncertainty_s: reader.unsigned32()? })
        }
        _ => return Err(Refusal::Malformed),
    };
    expect_field(&mut reader, 8)?;
    let events = read_events(&mut reader, up_ms)?;
    reader.end()?;
    Ok(Message { kid, boot_n, boot_id, seq, up_ms, wall, events })
}

fn expect_field(reader: &mut Reader<'_>, number: u64) -> Result<(), Refusal> {
    if reader.unsigned()? == number { Ok(()) } else { Err(Refusal::Malformed) }
}

fn read_events(reader: &mut Reader<'_>, sent_up_ms: u64) -> Result<Vec<Event>, Refusal> {
    let count = reader.array()?;
    if count == 0 || count > EVENTS_MAX {
        return Err(Refusal::Malformed);
    }
    let mut events = Vec::new();
    for index in 0..count {
        if reader.array()? != 3 {
            return Err(Refusal::Malformed);
        }
        let up_ms = reader.unsigned()?;
        if up_ms > sent_up_ms {
            // An event cannot happen after it was sent; believing it would date it into the future.
            return Err(Refusal::Malformed);
        }
        let number = reader.unsigned32()?;
        let kind = kind(number, &read_value(reader)?);
        let index = u8::try_from(index).expect("an envelope holds at most 16 events");
        events.push(Event { index, up_ms, kind });
    }
    Ok(events)
}

/// One number, or a few in an array.
fn read_value(reader: &mut Reader<'_>) -> Result<Vec<i64>, Refusal> {
    if !reader.is_array_next() {
        return Ok(vec![reader.integer()?]);
    }
    let count = reader.array()?;
    if count > VALUES_MAX {
        return Err(Refusal::Malformed);
    }
    (0..count).map(|_| Ok(reader.integer()?)).collect()
}

fn kind(number: u32, value: &[i64]) -> Kind {
    let unsigned = |value: i64| u32::try_from(value).ok();
    let known = match (number, value) {
        (1, [0]) => Some(Kind::Contact { open: false }),
        (1, [1]) => Some(Kind::Contact { open: true }),
        (2, [percent]) => u8::try_from(*percent).ok().filter(|percent| *percent <= 100).map(Kind::CoverPercent),
        (3, [centilux]) => unsigned(*centilux).map(Kind::CentiLux),
        (4, [level]) => unsigned(*level).map(Kind::Motion),
        (5, [strength]) => unsigned(*strength).map(Kind::Vibration),
        (6, [degrees]) => i32::try_from(*degrees).ok().map(Kind::TiltDegrees),
        (7, [1]) => Some(Kind::HelpButton { long: false }),
        // A press of a length this version does not know is still a press for help.
        (7, [_, ..]) => Some(Kind::HelpButton { long: true }),
        (8, [_]) => Some(Kind::OkButton),
        (9, [cause]) => unsigned(*cause).map(Kind::Tamper),
        (10, [millivolt]) => unsigned(*millivolt).map(Kind::BatteryMillivolt),
        (11, [reason]) => unsigned(*reason).map(Kind::BootReason),
        (12, [seconds]) => Some(Kind::TimeJump(*seconds)),
        (13, [rssi, queued]) => {
            i32::try_from(*rssi).ok().zip(unsigned(*queued)).map(|(rssi_dbm, queued)| Kind::Heartbeat { rssi_dbm, queued })
        }
        (14, [before, after]) => unsigned(*before).zip(unsigned(*after)).map(|(before, after)| Kind::LuxJump { before, after }),
        (15, [count]) => unsigned(*count).map(Kind::Lost),
        _ => None,
    };
    known.unwrap_or(Kind::Unknown(number))
}

#[cfg(test)]
mod tests;
