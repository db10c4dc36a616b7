//! Tasmota: reeds on switch inputs, shutters, light and presence sensors, and Zigbee devices behind a Zigbee2Tasmota bridge. Both
//! orders of the topic, `tele/<device>/SENSOR` and `<device>/tele/SENSOR`.
//!
//! `Contact` of Zigbee2Tasmota is 1 for open, the opposite of Zigbee2MQTT. A reed's polarity is found by calibration. `Target` is
//! where a shutter goes, `Position` where it is. A clock of 1970 says nothing about the event.

use serde_json::{Map, Value};

use super::said::{Gather, Note, Refusal, Saying, Word, bit, either, json, number, object, reachable, said, text};
use super::settings::Settings;

/// The last part of the topic and whether it reports; `None` if the topic is not of this kind.
fn channel(topic: &str) -> Option<(&str, bool)> {
    let mut parts = topic.split('/');
    let (channel, first) = (parts.next_back()?, parts.next()?);
    let before = parts.next_back().unwrap_or_default();
    let prefix = [first, before].into_iter().find(|part| ["tele", "stat", "cmnd"].contains(part))?;
    Some((channel, prefix != "cmnd"))
}

pub fn owns(topic: &str) -> bool {
    channel(topic).is_some()
}

pub fn decode(topic: &str, payload: &[u8], settings: &Settings) -> Result<Saying, Refusal> {
    let Some((channel, true)) = channel(topic) else { return Ok(Saying::nothing(Note::Command)) };
    let numbered = |name: &str| channel.strip_prefix(name).is_some_and(|end| end.bytes().all(|byte| byte.is_ascii_digit()));
    if payload.is_empty() {
        return Ok(Saying::nothing(Note::Emptied));
    }
    let mut gather = Gather::default();
    match channel {
        "LWT" => return reachable(payload, "Online", "Offline"),
        "SENSOR" | "RESULT" | "STATUS8" | "STATUS10" => {
            let fields = object(payload)?;
            let fields = said(&fields, "StatusSNS").and_then(Value::as_object).unwrap_or(&fields);
            readings(&mut gather, fields, settings);
        }
        _ if numbered("SWITCH") => {
            let word = match json(payload) {
                Ok(Value::Object(fields)) => said(&fields, "STATE").and_then(Value::as_str).unwrap_or_default().to_owned(),
                _ => text(payload)?.to_owned(),
            };
            gather.contact(either(&word, "ON", "OFF").map(|on| settings.opens(on)));
        }
        _ if numbered("SHUTTER") => gather.cover(number(text(payload)?), settings),
        // A topic that a rule makes; the name is a custom of the project's handbook.
        _ if numbered("PIR") => gather.motion(either(text(payload)?, "ON", "OFF")),
        _ => gather.note(Note::Ignored),
    }
    gather.finish()
}

fn readings(gather: &mut Gather, fields: &Map<String, Value>, settings: &Settings) {
    let numbered = |name: &str| -> Option<&Value> {
        let mut found: Vec<(u32, &Value)> =
            fields.iter().filter_map(|(key, value)| Some((key.strip_prefix(name)?.parse().ok()?, value))).collect();
        found.sort_by_key(|(number, _)| *number);
        found.first().map(|(_, value)| *value)
    };
    for device in said(fields, "ZbReceived").and_then(Value::as_object).into_iter().flat_map(Map::values) {
        if let Value::Object(device) = device {
            zigbee(gather, device, settings);
        }
    }
    // The reed is the first input; the others are something else.
    if let Some(switch) = numbered("Switch") {
        let word = switch.as_str().or_else(|| switch.get("Action").and_then(Value::as_str));
        gather.contact(word.and_then(|word| either(word, "ON", "OFF")).map(|on| settings.opens(on)));
    }
    if let Some(action) = numbered("Button").and_then(|button| button.get("Action")).and_then(Value::as_str) {
        gather.press(action, settings);
    }
    if numbered("Shutter").and_then(|shutter| shutter.get("Direction")?.as_i64()).is_some_and(|direction| direction != 0) {
        gather.moving();
    }
    if let Some(position) = numbered("Shutter").and_then(|shutter| shutter.get("Position")) {
        gather.cover(position.as_f64(), settings);
    }
    for sensor in fields.values().filter_map(Value::as_object) {
        if let Some(lux) = said(sensor, "Illuminance") {
            gather.illuminance(lux.as_f64());
        }
    }
    let distance = said(fields, "LD2410").and_then(|radar| radar.get("Distance"));
    if let Some(distance) = distance {
        // The first distance is the one of whatever is there.
        let nearest = distance.get(0).unwrap_or(distance);
        gather.motion(nearest.as_f64().map(|centimetres| centimetres > 0.0));
    }
}

fn zigbee(gather: &mut Gather, device: &Map<String, Value>, settings: &Settings) {
    if let Some(contact) = said(device, "Contact") {
        gather.contact(bit(contact).map(|open| settings.opens(open)));
    }
    if let Some(occupancy) = said(device, "Occupancy") {
        gather.motion(bit(occupancy));
    }
    let strength = said(device, "AqaraVibrationsOrAngle").and_then(Value::as_f64);
    match said(device, "AqaraVibrationMode").and_then(Value::as_str) {
        Some("tilt") => gather.say(Word::Tilt, strength),
        Some("vibrate" | "vibration" | "drop") => gather.vibration(Some(true)),
        _ => {}
    }
    if let Some(lux) = said(device, "Illuminance") {
        gather.illuminance(lux.as_f64());
    }
    if let Some(percent) = said(device, "BatteryPercentage").or_else(|| said(device, "Battery")) {
        gather.battery(percent.as_f64());
    }
    if said(device, "Power").is_some() {
        gather.note(Note::Button);
    }
}
