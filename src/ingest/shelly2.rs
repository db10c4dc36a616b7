//! Shelly from the second generation on: notices on `<id>/events/rpc`, whole components on `<id>/status/<component>`, and Bluetooth
//! sensors behind a gateway as `bthomesensor:<n>`.
//!
//! A component brings only what changed: an energy tick of a cover has no position. Commands and answers on `/rpc` are nobody's news.

use serde_json::{Map, Value};

use super::said::{Cause, Gather, Note, Refusal, Saying, object, reachable, said};
use super::settings::Settings;

/// What the sensors of a Bluetooth contact are when they were paired in the usual order; the register knows better.
const USUAL: [(&str, &str); 4] = [("200", "battery"), ("201", "illuminance"), ("202", "contact"), ("203", "tilt")];

pub fn owns(topic: &str) -> bool {
    let ends = ["/events/rpc", "/rpc", "/debug/log", "/status/sys", "/status/wifi", "/status/mqtt", "/status/cloud", "/status/ble"];
    ends.iter().any(|end| topic.ends_with(end))
        || topic.rsplit_once("/status/").is_some_and(|(_, component)| component.contains(':'))
        || topic.rsplit_once('/').is_some_and(|(id, end)| end == "online" && is_second_generation(id))
}

/// Both generations say `online` alike; the names of the second one tell.
fn is_second_generation(id: &str) -> bool {
    let id = id.to_ascii_lowercase();
    !id.starts_with("shellies/") || ["plus", "pro", "mini", "g3", "g4", "gen3", "blu"].iter().any(|word| id.contains(word))
}

pub fn decode(topic: &str, payload: &[u8], settings: &Settings) -> Result<Saying, Refusal> {
    if payload.is_empty() {
        return Ok(Saying::nothing(Note::Emptied));
    }
    if topic.ends_with("/online") {
        return reachable(payload, "true", "false");
    }
    let mut gather = Gather::default();
    if topic.ends_with("/events/rpc") {
        notice(&mut gather, &object(payload)?, settings);
    } else if let Some((_, name)) = topic.rsplit_once("/status/") {
        component(&mut gather, name, &object(payload)?, settings);
    } else {
        gather.note(Note::Command);
    }
    gather.finish()
}

fn notice(gather: &mut Gather, fields: &Map<String, Value>, settings: &Settings) {
    let method = said(fields, "method").and_then(Value::as_str);
    let Some(params) = said(fields, "params").and_then(Value::as_object) else { return gather.note(Note::Ignored) };
    match method {
        Some("NotifyStatus" | "NotifyFullStatus") => {
            for (name, state) in params {
                if let Value::Object(state) = state {
                    component(gather, name, state, settings);
                }
            }
        }
        Some("NotifyEvent") => {
            for event in said(params, "events").and_then(Value::as_array).into_iter().flatten() {
                match event.get("event").and_then(Value::as_str) {
                    Some("config_changed" | "scheduled_restart" | "ota_begin" | "ota_progress" | "ota_success") => {
                        gather.note(Note::Ignored);
                    }
                    Some(event) => gather.press(event, settings),
                    None => {}
                }
            }
        }
        _ => gather.note(Note::Ignored),
    }
}

fn component(gather: &mut Gather, name: &str, state: &Map<String, Value>, settings: &Settings) {
    let (kind, number) = name.split_once(':').unwrap_or((name, ""));
    if kind == "cover" {
        movement(gather, state, settings);
    }
    match kind {
        "cover" if state.get("pos_control") == Some(&Value::Bool(false)) => gather.note(Note::NoPosition),
        "cover" => match said(state, "current_pos") {
            Some(position) => gather.cover(position.as_f64(), settings),
            None => gather.note(Note::NoPosition),
        },
        "input" => {
            if let Some(on) = said(state, "state") {
                gather.contact(on.as_bool().map(|on| settings.opens(on)));
            }
        }
        "illuminance" => {
            if let Some(lux) = said(state, "lux") {
                gather.illuminance(lux.as_f64());
            }
        }
        "devicepower" => {
            if let Some(percent) = state.get("battery").and_then(|battery| battery.get("percent")).filter(|percent| !percent.is_null()) {
                gather.battery(percent.as_f64());
            }
        }
        "bthomesensor" => {
            if let Some(value) = said(state, "value") {
                bluetooth(gather, number, value, settings);
            }
        }
        _ => gather.note(Note::Ignored),
    }
}

/// A motor under way, and who set it going. Only where it begins to move: where it ends, the source is what stopped it, such as its
/// limit switch, and that is so for timers as well.
fn movement(gather: &mut Gather, state: &Map<String, Value>, settings: &Settings) {
    let word = |name: &str| said(state, name).and_then(Value::as_str);
    let going @ ("opening" | "closing") = word("state").unwrap_or_default() else { return };
    gather.moving();
    if (going == "opening") == settings.is_towards_zero(false) {
        return;
    }
    match word("source") {
        Some("button" | "switch") => gather.moved_by(Cause::Button),
        Some("init" | "limit_switch" | "timeout" | "obstruction" | "safety_switch" | "overpower") | None => {}
        Some(_) => gather.moved_by(Cause::Afar),
    }
}

fn bluetooth(gather: &mut Gather, number: &str, value: &Value, settings: &Settings) {
    let usual = USUAL.iter().find(|(usual, _)| *usual == number).map(|(_, part)| *part);
    match (settings.parts.get(number).map(String::as_str).or(usual), value) {
        (Some("battery"), value) => gather.battery(value.as_f64()),
        (Some("illuminance"), value) => gather.illuminance(value.as_f64()),
        (Some("tilt" | "rotation"), value) => gather.tilt(value.as_f64()),
        (Some("motion"), value) => gather.motion(value.as_bool()),
        (Some("vibration"), value) => gather.vibration(value.as_bool()),
        (Some("contact" | "window"), value) => gather.contact(value.as_bool().map(|open| settings.opens(open))),
        _ => gather.note(Note::Ignored),
    }
}
