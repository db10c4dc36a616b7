//! What a native message says, for whoever reads it alone. Without the device's key nothing in it is believed; the key of the golden
//! messages stands in where none is given, so that the examples can be read.

use serde_json::Value;

use super::{Channel, Key, Kind, StatusState, Topic, decode, decode_status};
use crate::ingest::said::{Gather, Note, Saying, Word, either, object, said};
use crate::ingest::settings::Settings;

/// What a message says, and by which numbers an older one is told from a newer one.
#[derive(Debug, Clone, PartialEq)]
pub struct Told {
    pub saying: Saying,
    /// Of an envelope: the count of cold boots.
    pub boot_n: Option<u32>,
    /// Of a status: the count of births.
    pub birth_n: Option<u32>,
}

/// Key 00..1f of `firmware-sim/golden`.
fn golden() -> Key {
    Key { kid: 1, secret: std::array::from_fn(|n| u8::try_from(n).unwrap_or_default()) }
}

pub fn tell(topic: &str, payload: &[u8], settings: &Settings) -> Result<Told, super::Refusal> {
    let told = |saying| Told { saying, boot_n: None, birth_n: None };
    let Some(Topic { channel, .. }) = Topic::parse(topic) else { return Ok(told(Saying::nothing(Note::Command))) };
    if payload.is_empty() {
        return Ok(told(Saying::nothing(Note::Emptied)));
    }
    match channel {
        Channel::Status => {
            let status = decode_status(payload)?;
            Ok(Told { birth_n: Some(status.birth_n), ..told(Saying::reachable(status.state != StatusState::Off)) })
        }
        Channel::State => level(payload).map(told),
        Channel::Events | Channel::Telemetry => {
            let key = settings.key.map_or_else(golden, |(kid, secret)| Key { kid, secret });
            let message = decode(topic, payload, &[key])?;
            let mut gather = Gather::default();
            for event in &message.events {
                say(&mut gather, event.kind, settings);
            }
            let saying = gather.finish().map_err(|_| super::Refusal::Malformed)?;
            Ok(Told { boot_n: Some(message.boot_n), ..told(saying) })
        }
    }
}

fn say(gather: &mut Gather, kind: Kind, settings: &Settings) {
    match kind {
        Kind::Contact { open } => gather.contact(Some(settings.opens(open))),
        Kind::CoverPercent(percent) => gather.cover(Some(f64::from(percent)), settings),
        Kind::CentiLux(value) => gather.illuminance(Some(f64::from(value) / 100.0)),
        Kind::LuxJump { after, .. } => gather.illuminance(Some(f64::from(after))),
        Kind::Motion(value) => gather.motion(Some(value > 0)),
        Kind::Vibration(value) => gather.say(Word::Vibration, Some(f64::from(value))),
        Kind::TiltDegrees(value) => gather.tilt(Some(f64::from(value))),
        Kind::HelpButton { .. } => gather.say(Word::Help, None),
        Kind::OkButton => gather.note(Note::OkButton),
        Kind::Tamper(value) => gather.say(Word::Tamper, Some(f64::from(value))),
        Kind::BatteryMillivolt(value) => gather.say(Word::BatteryMillivolt, Some(f64::from(value))),
        Kind::BootReason(_) | Kind::TimeJump(_) | Kind::Heartbeat { .. } | Kind::Lost(_) | Kind::Unknown(_) => gather.note(Note::Ignored),
    }
}

/// The retained level for home automation; never evidence.
fn level(payload: &[u8]) -> Result<Saying, super::Refusal> {
    let fields = object(payload).map_err(|_| super::Refusal::Malformed)?;
    let mut gather = Gather::default();
    if let Some(contact) = said(&fields, "contact") {
        gather.contact(contact.as_str().and_then(|word| either(word, "ON", "OFF")));
    }
    if let Some(position) = said(&fields, "position") {
        gather.cover(position.as_f64(), &Settings::default());
    }
    for (name, read) in [("lux", Gather::illuminance as fn(&mut Gather, Option<f64>)), ("battery", Gather::battery)] {
        if let Some(value) = said(&fields, name) {
            read(&mut gather, value.as_f64());
        }
    }
    if said(&fields, "sos") == Some(&Value::from("ON")) {
        gather.note(Note::Button);
    }
    gather.finish().map_err(|_| super::Refusal::Malformed)
}
