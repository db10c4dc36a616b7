//! Shelly of the first generation: `shellies/<id>/…`, one bare value a topic, and JSON on `status`, `info` and `input_event`.
//!
//! `roller/0` is the motion, `roller/0/pos` the position; −1 and 101 are "unknown". A battery sensor is offline nearly always.

use serde_json::{Map, Value};

use super::said::{Gather, Note, Refusal, Saying, bit, either, number, object, reachable, said, text};
use super::settings::Settings;

pub fn owns(topic: &str) -> bool {
    topic.starts_with("shellies/")
}

pub fn decode(topic: &str, payload: &[u8], settings: &Settings) -> Result<Saying, Refusal> {
    let Some((_, below)) = topic.strip_prefix("shellies/").and_then(|rest| rest.split_once('/')) else {
        return Ok(Saying::nothing(Note::Ignored));
    };
    if below.ends_with("command") {
        return Ok(Saying::nothing(Note::Command));
    }
    if payload.is_empty() {
        return Ok(Saying::nothing(Note::Emptied));
    }
    let mut gather = Gather::default();
    match below {
        "online" => return reachable(payload, "true", "false"),
        "sensor/state" => gather.contact(either(text(payload)?, "open", "close").map(|open| settings.opens(open))),
        "sensor/lux" => gather.illuminance(number(text(payload)?)),
        "sensor/battery" => gather.battery(number(text(payload)?)),
        "sensor/vibration" => gather.vibration(either(text(payload)?, "1", "0")),
        "sensor/motion" => gather.motion(either(text(payload)?, "1", "0")),
        "sensor/tilt" => match number(text(payload)?) {
            Some(degrees) if degrees < 0.0 => gather.note(Note::NoPosition),
            degrees => gather.tilt(degrees),
        },
        "status" => flat(&mut gather, &object(payload)?),
        "info" => nested(&mut gather, &object(payload)?, settings),
        _ => numbered(&mut gather, below, payload, settings)?,
    }
    gather.finish()
}

/// Topics with the number of a channel.
fn numbered(gather: &mut Gather, below: &str, payload: &[u8], settings: &Settings) -> Result<(), Refusal> {
    let parts: Vec<&str> = below.split('/').collect();
    match parts[..] {
        ["roller", _, "pos"] => match number(text(payload)?) {
            Some(unknown) if [-1.0, 101.0].contains(&unknown) => gather.note(Note::NoPosition),
            position => gather.cover(position, settings),
        },
        ["roller", ..] => gather.note(Note::Command),
        ["input", _] => gather.contact(either(text(payload)?, "1", "0").map(|on| settings.opens(on))),
        ["input_event", _] => {
            let fields = object(payload)?;
            match said(&fields, "event").and_then(Value::as_str) {
                Some("") => gather.note(Note::Cleared),
                Some(event) => gather.press(event, settings),
                None => gather.drop_field(),
            }
        }
        _ => gather.note(Note::Ignored),
    }
    Ok(())
}

/// The state of a motion sensor.
fn flat(gather: &mut Gather, fields: &Map<String, Value>) {
    presence(gather, fields);
    if let Some(lux) = said(fields, "lux") {
        gather.illuminance(lux.as_f64());
    }
    if let Some(percent) = said(fields, "bat") {
        gather.battery(percent.as_f64());
    }
}

fn presence(gather: &mut Gather, fields: &Map<String, Value>) {
    if let Some(motion) = said(fields, "motion") {
        gather.motion(bit(motion));
    }
    if let Some(vibration) = said(fields, "vibration")
        && gather.keep(bit(vibration)) == Some(true)
    {
        gather.vibration(Some(true));
    }
}

fn nested(gather: &mut Gather, fields: &Map<String, Value>, settings: &Settings) {
    let valid = |name: &str| fields.get(name).and_then(Value::as_object).filter(|part| part.get("is_valid") != Some(&Value::Bool(false)));
    if let Some(sensor) = valid("sensor") {
        match said(sensor, "state").and_then(Value::as_str) {
            Some("unknown") | None => {}
            Some(state) => gather.contact(either(state, "open", "close").map(|open| settings.opens(open))),
        }
        presence(gather, sensor);
    }
    if let Some(lux) = valid("lux").and_then(|lux| said(lux, "value")) {
        gather.illuminance(lux.as_f64());
    }
    if let Some(percent) = valid("bat").and_then(|battery| said(battery, "value")) {
        gather.battery(percent.as_f64());
    }
}
