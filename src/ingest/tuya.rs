//! tuya-mqtt: `tuya/<name>/…`, friendly topics and numbered data points (`dps`) whose meaning depends on the product. Without an entry
//! in the register the values themselves and the device's name tell it; where they do not, nothing is said.

use serde_json::Value;

use super::said::{Gather, Note, Refusal, Saying, Word, either, number, object, reachable, text};
use super::settings::Settings;

pub fn owns(topic: &str) -> bool {
    topic.starts_with("tuya/")
}

pub fn decode(topic: &str, payload: &[u8], settings: &Settings) -> Result<Saying, Refusal> {
    let Some((name, below)) = topic.strip_prefix("tuya/").and_then(|rest| rest.split_once('/')) else {
        return Ok(Saying::nothing(Note::Ignored));
    };
    if below == "status" {
        return reachable(payload, "online", "offline");
    }
    if payload.is_empty() {
        return Ok(Saying::nothing(Note::Emptied));
    }
    let mut gather = Gather::default();
    match below {
        "dps/state" => {
            for (point, value) in &object(payload)? {
                data_point(&mut gather, name, point, value, settings);
            }
        }
        "state" => gather.contact(either(text(payload)?, "ON", "OFF").map(|on| settings.opens(on))),
        "position" => gather.cover(number(text(payload)?), settings),
        "battery" => battery(&mut gather, &bare(text(payload)?)),
        "control" | "work_state" => gather.note(Note::Command),
        _ => match below.strip_prefix("dps/").and_then(|point| point.strip_suffix("/state")) {
            Some(point) => data_point(&mut gather, name, point, &bare(text(payload)?), settings),
            None => gather.note(if below.ends_with("command") { Note::Command } else { Note::Ignored }),
        },
    }
    gather.finish()
}

fn bare(text: &str) -> Value {
    match text {
        "true" => Value::Bool(true),
        "false" => Value::Bool(false),
        _ => number(text).map_or_else(|| Value::String(text.to_owned()), Value::from),
    }
}

fn data_point(gather: &mut Gather, name: &str, point: &str, value: &Value, settings: &Settings) {
    let named = |words: &[&str]| words.iter().any(|word| name.to_lowercase().contains(word));
    let part = settings.parts.get(point).map(String::as_str);
    match (part, point, value) {
        (Some("contact"), _, Value::Bool(open)) | (None, "1", Value::Bool(open)) => gather.contact(Some(settings.opens(*open))),
        (Some("battery"), ..) | (None, "4", Value::Number(_)) => battery(gather, value),
        (Some("position"), ..) => gather.cover(value.as_f64(), settings),
        (Some("illuminance"), ..) => gather.illuminance(value.as_f64()),
        (Some("motion"), _, Value::Bool(seen)) => gather.motion(Some(*seen)),
        (Some("motion") | None, _, Value::String(word)) if word == "pir" => gather.motion(Some(true)),
        (Some("motion") | None, "1", Value::String(word)) if word == "none" => gather.motion(Some(false)),
        (Some("sos"), _, Value::Bool(pressed)) | (None, "26", Value::Bool(pressed)) => help(gather, *pressed),
        (None, "2", Value::String(word)) if battery_words(word).is_some() => battery(gather, value),
        // The same number is the light of a sensor and the target of a motor. Escaped: 光, 按钮.
        (None, "2", Value::Number(lux)) if named(&["light", "lux", "illum", "\u{5149}"]) => gather.illuminance(lux.as_f64()),
        (None, "3", Value::Number(_)) if named(&["sos", "button", "pir", "\u{6309}\u{94ae}"]) => battery(gather, value),
        (None, "3", Value::Number(percent)) => gather.cover(percent.as_f64(), settings),
        (None, "1" | "2" | "7", _) => gather.note(Note::Command),
        _ => gather.note(Note::Ignored),
    }
}

fn help(gather: &mut Gather, pressed: bool) {
    if pressed { gather.say(Word::HelpState, None) } else { gather.note(Note::Cleared) }
}

/// Percent for the three words that some products use.
fn battery_words(word: &str) -> Option<f64> {
    match word {
        "high" => Some(90.0),
        "middle" => Some(50.0),
        "low" => Some(10.0),
        _ => None,
    }
}

fn battery(gather: &mut Gather, value: &Value) {
    gather.battery(value.as_f64().or_else(|| battery_words(value.as_str()?)));
}
