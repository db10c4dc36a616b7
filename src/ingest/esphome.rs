//! ESPHome: `<prefix>/<component>/<object>/state`. States are retained by default, events too, and repeated after every reconnect.
//!
//! `open` of a cover means "not closed"; its position says how far, and is published before. `nan` is a broken sensor, not zero.

use serde_json::Value;

use super::said::{Gather, Note, Refusal, Saying, Sense, Word, either, number, object, reachable, said, sense, text};
use super::settings::Settings;

const COMPONENTS: [&str; 12] =
    ["binary_sensor", "cover", "sensor", "event", "switch", "light", "text_sensor", "button", "number", "select", "fan", "lock"];

/// Component, object and what of it.
fn parts(topic: &str) -> Option<(&str, &str, &str)> {
    let (_, rest) = topic.split_once('/')?;
    let (component, rest) = rest.split_once('/')?;
    let (object, what) = rest.split_once('/')?;
    COMPONENTS.contains(&component).then_some((component, object, what))
}

pub fn owns(topic: &str) -> bool {
    parts(topic).is_some() || matches!(topic.split_once('/'), Some((_, "status" | "debug")))
}

pub fn decode(topic: &str, payload: &[u8], settings: &Settings) -> Result<Saying, Refusal> {
    if let Some((_, "status")) = topic.split_once('/') {
        return reachable(payload, "online", "offline");
    }
    let Some((component, object, what)) = parts(topic) else { return Ok(Saying::nothing(Note::Ignored)) };
    if what.ends_with("command") {
        return Ok(Saying::nothing(Note::Command));
    }
    if payload.is_empty() {
        return Ok(Saying::nothing(Note::Emptied));
    }
    let mut gather = Gather::default();
    let class = settings.device_class.as_deref();
    match (component, what) {
        ("binary_sensor", "state") => on_off(&mut gather, either(text(payload)?, "ON", "OFF"), sense(class, object), settings),
        ("cover", "position/state") => gather.cover(number(text(payload)?), settings),
        ("cover", "state") => cover_state(&mut gather, text(payload)?, settings)?,
        ("sensor", "state") => measured(&mut gather, number(text(payload)?), sense(class, object)),
        ("event", "state") => press(&mut gather, payload, settings)?,
        _ => gather.note(Note::Ignored),
    }
    gather.finish()
}

/// A sensor that only knows on and off; what is not known to be something else is a contact.
pub fn on_off(gather: &mut Gather, on: Option<bool>, sense: Option<Sense>, settings: &Settings) {
    match sense {
        Some(Sense::Motion) => gather.motion(on),
        Some(Sense::Vibration) => gather.vibration(on),
        Some(Sense::Battery) => gather.cells(on),
        Some(Sense::Tamper) => match gather.keep(on) {
            Some(true) => gather.say(Word::Tamper, Some(1.0)),
            Some(false) => gather.note(Note::Cleared),
            None => {}
        },
        Some(Sense::Other | Sense::Illuminance) => gather.note(Note::Ignored),
        Some(Sense::Contact) | None => gather.contact(on.map(|on| settings.opens(on))),
    }
}

/// What a cover says in one word, as ESPHome and Home Assistant use it.
pub fn cover_state(gather: &mut Gather, word: &str, settings: &Settings) -> Result<(), Refusal> {
    match word {
        "closed" => gather.cover_end(false, settings),
        "open" => gather.say(Word::CurtainPartial, None),
        "opening" | "closing" | "stopped" => gather.note(Note::Command),
        "unknown" => gather.note(Note::NoLevel),
        _ => return Err(Refusal::Malformed),
    }
    Ok(())
}

/// A number, by what is measured.
pub fn measured(gather: &mut Gather, value: Option<f64>, sense: Option<Sense>) {
    match sense {
        Some(Sense::Illuminance) => gather.illuminance(value),
        Some(Sense::Battery) => gather.battery(value),
        _ => gather.note(Note::Ignored),
    }
}

fn press(gather: &mut Gather, payload: &[u8], settings: &Settings) -> Result<(), Refusal> {
    let fields = object(payload)?;
    let kind = said(&fields, "event_type").and_then(Value::as_str).ok_or(Refusal::Malformed)?;
    gather.press(kind, settings);
    Ok(())
}
