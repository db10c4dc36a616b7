//! zwave-js-ui: `zwave/<place>/<node>/<class>/endpoint_<n>/<property>`, with `{"time":ms,"value":v}` or the bare value. Of a door 22 is
//! open and 23 closed; 5633 is a window tilted. A multilevel switch ends at 99. A node that sleeps is well.

use serde_json::Value;

use super::said::{Gather, Note, Refusal, Saying, Word, json, said};
use super::settings::Settings;

/// End of the scale of a multilevel switch.
const LEVEL_MAX: f64 = 99.0;
/// A battery's level when it only warns.
const LEVEL_LOW: u64 = 255;

pub fn owns(topic: &str) -> bool {
    topic.starts_with("zwave/")
}

pub fn decode(topic: &str, payload: &[u8], settings: &Settings) -> Result<Saying, Refusal> {
    let topic = topic.replace(' ', "_");
    let parts: Vec<&str> = topic.split('/').collect();
    let class = class(&parts).filter(|place| *place >= 2);
    let last = parts.last().copied().unwrap_or_default();
    if class.is_none() && last != "status" {
        return Ok(Saying::nothing(Note::Ignored));
    }
    if payload.is_empty() {
        return Ok(Saying::nothing(Note::Emptied));
    }
    let whole = json(payload)?;
    let value = match &whole {
        Value::Object(fields) => said(fields, "value").unwrap_or(&Value::Null),
        bare => bare,
    };
    let mut gather = Gather::default();
    match class {
        None => return status(&whole, value),
        Some(_) if value.is_null() => gather.note(Note::NoLevel),
        Some(place) => {
            let property = parts.get(place + 2..).unwrap_or_default().join("/");
            read(&mut gather, parts.get(place).copied().unwrap_or_default(), &property, value, settings);
        }
    }
    gather.finish()
}

/// Where in a topic the class stands. A node may have the number of a class; what follows a class is its endpoint.
pub fn class(parts: &[&str]) -> Option<usize> {
    let is_class = |part: &str| {
        ["notification", "113", "battery", "128", "sensor_multilevel", "49", "switch_multilevel", "38", "sensor_binary", "48"]
            .contains(&part)
    };
    let is_endpoint = |part: &str| part.starts_with("endpoint_") || part.bytes().all(|byte| byte.is_ascii_digit());
    (0..parts.len().saturating_sub(1)).rfind(|place| is_class(parts[*place]) && is_endpoint(parts[place + 1]))
}

fn status(whole: &Value, value: &Value) -> Result<Saying, Refusal> {
    let online = match whole.get("status").and_then(Value::as_str) {
        Some("Dead") => Some(false),
        Some("Alive" | "Asleep" | "Awake") => Some(true),
        _ => value.as_bool(),
    };
    online.map(Saying::reachable).ok_or(Refusal::Malformed)
}

fn read(gather: &mut Gather, class: &str, property: &str, value: &Value, settings: &Settings) {
    let simple = value.as_u64();
    match class {
        "notification" | "113" => notification(gather, property, simple, settings),
        "battery" | "128" if property == "level" && simple == Some(LEVEL_LOW) => gather.say(Word::BatteryLow, Some(1.0)),
        "battery" | "128" if property == "level" => gather.battery(value.as_f64()),
        "battery" | "128" if property == "isLow" => gather.cells(value.as_bool()),
        "sensor_multilevel" | "49" if property == "Illuminance" => gather.illuminance(value.as_f64()),
        "switch_multilevel" | "38" if property == "currentValue" => {
            let max = settings.position_max.or(Some(LEVEL_MAX));
            gather.cover(value.as_f64(), &Settings { position_max: max, ..settings.clone() });
        }
        "switch_multilevel" | "38" => gather.note(Note::Command),
        "sensor_binary" | "48" if property.starts_with("Motion") => gather.motion(value.as_bool()),
        "sensor_binary" | "48" if property.starts_with("Door") || property == "Any" => {
            gather.contact(value.as_bool().map(|on| settings.opens(on)));
        }
        _ => gather.note(Note::Ignored),
    }
}

fn notification(gather: &mut Gather, property: &str, value: Option<u64>, settings: &Settings) {
    let door = property.starts_with("Access_Control/Door_state");
    match (property, value) {
        (_, Some(22 | 5632)) if door => gather.contact(Some(settings.opens(true))),
        (_, Some(23)) if door => gather.contact(Some(settings.opens(false))),
        (_, Some(5633)) if door => gather.say(Word::Tilt, None),
        (_, None) if door => gather.drop_field(),
        ("Home_Security/Motion_sensor_status", Some(0)) => gather.motion(Some(false)),
        ("Home_Security/Motion_sensor_status", Some(7 | 8)) => gather.motion(Some(true)),
        ("Home_Security/Motion_sensor_status", None) => gather.drop_field(),
        ("Home_Security/Cover_status", Some(3)) => gather.say(Word::Tamper, Some(1.0)),
        _ => gather.note(Note::Ignored),
    }
}
