//! All that a message of Zigbee2MQTT says: every kind of sensor, and attribute output, where each value has a topic of its own
//! (`<name>/contact`).

use serde_json::{Map, Value};

use super::{Topic, decode_online};
use crate::ingest::said::{Cause, Gather, Note, Refusal, Saying, Word, bit, json, number, said, text, truth};
use crate::ingest::settings::Settings;

pub fn decode(base: &str, topic: &str, payload: &[u8], settings: &Settings) -> Result<Saying, Refusal> {
    match Topic::parse(base, topic) {
        None => Ok(Saying::nothing(Note::Foreign)),
        Some(Topic::Ignored) => Ok(Saying::nothing(if topic.contains("/bridge/") { Note::Ignored } else { Note::Command })),
        Some(Topic::Gateway | Topic::Availability(_)) => {
            Ok(decode_online(payload)?.map_or(Saying::nothing(Note::Emptied), Saying::reachable))
        }
        Some(Topic::Device(_)) if settings.group => Ok(Saying::nothing(Note::Ignored)),
        Some(Topic::Device(_)) if payload.is_empty() => Ok(Saying::nothing(Note::Emptied)),
        Some(Topic::Device(name)) => {
            let mut gather = Gather::default();
            match (json(payload), name.rsplit_once('/')) {
                (Ok(Value::Object(fields)), _) => device(&mut gather, &fields, settings),
                (_, Some((_, attribute))) if is_attribute(attribute) => scalar(&mut gather, attribute, text(payload)?, settings),
                (Err(refusal), _) => return Err(refusal),
                (Ok(_), _) => return Err(Refusal::Malformed),
            }
            gather.finish()
        }
    }
}

/// Names of attributes are small ASCII words; devices are named by people.
fn is_attribute(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-".contains(&byte))
}

fn device(gather: &mut Gather, fields: &Map<String, Value>, settings: &Settings) {
    let field = |name: &str| said(fields, name);
    if let Some(contact) = field("contact") {
        gather.contact(contact.as_bool().map(|closed| settings.opens(!closed)));
    } else if let Some(state) = field("opening_state") {
        opening_state(gather, state.as_str(), settings);
    }
    if let Some(position) = field("position") {
        gather.cover(position.as_f64(), settings);
    } else {
        cover_word(gather, field("state").and_then(Value::as_str), settings);
    }
    let direction = ["motor_state", "moving"].into_iter().find_map(|name| field(name)?.as_str());
    if field("running") == Some(&Value::Bool(true)) || matches!(direction, Some("opening" | "closing" | "UP" | "DOWN")) {
        gather.moving();
    }
    // Before version 2 `illuminance` was the raw logarithm, with the lux beside it.
    if let Some(lux) = field("illuminance_lux").or_else(|| field("illuminance")) {
        gather.illuminance(lux.as_f64());
    }
    if let Some(seen) = field("occupancy").or_else(|| field("presence")) {
        gather.motion(bit(seen));
    }
    for name in ["vibration", "moving"] {
        match field(name) {
            // Of a cover `moving` is a word for its direction.
            Some(Value::String(_)) if name == "moving" => {}
            Some(shaken) => gather.vibration(shaken.as_bool()),
            None => {}
        }
    }
    let angle = field("angle").and_then(Value::as_f64);
    let action = field("action").and_then(Value::as_str);
    if angle.is_some() && action != Some("tilt") {
        gather.tilt(angle);
    }
    match field("sos") {
        Some(Value::Bool(true)) => gather.say(Word::HelpState, None),
        Some(Value::Bool(false)) => gather.note(Note::Cleared),
        Some(_) => gather.drop_field(),
        None => {}
    }
    match field("action") {
        Some(Value::String(action)) => press(gather, action, angle, settings),
        Some(_) => gather.drop_field(),
        None => {}
    }
    if let Some(percent) = field("battery") {
        gather.battery(percent.as_f64());
    }
    if let Some(low) = field("battery_low") {
        gather.cells(low.as_bool());
    }
    match field("tamper") {
        Some(Value::Bool(true)) => gather.say(Word::Tamper, Some(1.0)),
        Some(Value::Bool(false)) | None => {}
        Some(_) => gather.drop_field(),
    }
}

/// A tilted window is neither open nor closed.
fn opening_state(gather: &mut Gather, state: Option<&str>, settings: &Settings) {
    match state {
        Some("open") => gather.contact(Some(settings.opens(true))),
        Some("closed") => gather.contact(Some(settings.opens(false))),
        Some("tilted") => gather.say(Word::Tilt, None),
        _ => gather.drop_field(),
    }
}

fn cover_word(gather: &mut Gather, word: Option<&str>, settings: &Settings) {
    match word {
        Some("OPEN") => gather.cover_end(true, settings),
        Some("CLOSE") => gather.cover_end(false, settings),
        _ => {}
    }
}

fn press(gather: &mut Gather, action: &str, angle: Option<f64>, settings: &Settings) {
    match action {
        _ if settings.presses.contains_key(action) => gather.press(action, settings),
        // The empty one follows each action for the sake of old Home Assistants.
        "" | "none" => gather.note(Note::Cleared),
        "emergency" | "sos" | "SOS" | "panic" => gather.say(Word::Help, None),
        "vibration" | "shake" | "drop" | "triple_strike" => gather.vibration(Some(true)),
        "tilt" => gather.say(Word::Tilt, angle),
        "manual_open" => {
            gather.moved_by(Cause::PulledOpen);
            gather.say(Word::ManualAction, Some(1.0));
        }
        "manual_close" => gather.say(Word::ManualAction, Some(1.0)),
        _ => gather.note(Note::Button),
    }
}

fn scalar(gather: &mut Gather, attribute: &str, value: &str, settings: &Settings) {
    if value == "null" {
        return gather.note(Note::NoLevel);
    }
    let seen = || {
        truth(value).or(match value {
            "0" => Some(false),
            "1" => Some(true),
            _ => None,
        })
    };
    match attribute {
        "contact" => gather.contact(truth(value).map(|closed| settings.opens(!closed))),
        "opening_state" => opening_state(gather, Some(value), settings),
        "position" => gather.cover(number(value), settings),
        "state" => cover_word(gather, Some(value), settings),
        "illuminance" | "illuminance_lux" => gather.illuminance(number(value)),
        "occupancy" | "presence" => gather.motion(seen()),
        "vibration" => gather.vibration(truth(value)),
        "angle" => gather.tilt(number(value)),
        "sos" => match gather.keep(truth(value)) {
            Some(true) => gather.say(Word::HelpState, None),
            _ => gather.note(Note::Cleared),
        },
        "action" => press(gather, value, None, settings),
        "battery" => gather.battery(number(value)),
        "battery_low" => gather.cells(truth(value)),
        _ => gather.note(Note::Ignored),
    }
}
