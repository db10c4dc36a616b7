//! Homie 4 and 5: `homie/<device>/<node>/<property>`, with a `5` after the base in version 5. What begins with `$` describes;
//! `$target` and `/set` are not state. The polarity of a boolean is defined nowhere and found by calibration.

use super::said::{Gather, Note, Refusal, Saying, Sense, number, sense, text, truth};
use super::settings::Settings;

pub fn owns(topic: &str) -> bool {
    topic.starts_with("homie/")
}

pub fn is_version_5(topic: &str) -> bool {
    topic.starts_with("homie/5/")
}

pub fn decode(topic: &str, payload: &[u8], settings: &Settings) -> Result<Saying, Refusal> {
    let rest = topic.strip_prefix("homie/5/").or_else(|| topic.strip_prefix("homie/")).unwrap_or_default();
    if payload.is_empty() {
        return Ok(Saying::nothing(Note::Emptied));
    }
    if rest.ends_with("/set") || rest.ends_with("/$target") {
        return Ok(Saying::nothing(Note::Command));
    }
    let Some((device, below)) = rest.split_once('/') else { return Ok(Saying::nothing(Note::Ignored)) };
    if below == "$state" {
        return state(payload);
    }
    let described = device.starts_with('$') || below.split('/').any(|part| part.starts_with('$'));
    let Some((_, property)) = below.split_once('/').filter(|_| !described) else { return Ok(Saying::nothing(Note::Ignored)) };
    let mut gather = Gather::default();
    value(&mut gather, property, text(payload)?, settings);
    gather.finish()
}

fn state(payload: &[u8]) -> Result<Saying, Refusal> {
    match text(payload)? {
        // A device in alert is there; whoever looks after it reads why on its own page.
        "ready" | "sleeping" | "alert" => Ok(Saying::reachable(true)),
        "disconnected" | "lost" => Ok(Saying::reachable(false)),
        "init" => Ok(Saying::nothing(Note::Ignored)),
        _ => Err(Refusal::Malformed),
    }
}

fn value(gather: &mut Gather, property: &str, value: &str, settings: &Settings) {
    let has = |words: &[&str]| words.iter().any(|word| property.contains(word));
    if has(&["position", "percent-open"]) {
        return gather.cover(number(value), settings);
    }
    if has(&["pressed", "button", "sos", "action"]) {
        // The long press is the one for help, unless the register says otherwise.
        return match value {
            "long" if settings.presses.is_empty() => gather.say(super::said::Word::Help, None),
            name => gather.press(name, settings),
        };
    }
    if has(&["tilt", "angle"]) {
        return gather.tilt(number(value));
    }
    match sense(settings.device_class.as_deref(), property) {
        Some(Sense::Contact) => gather.contact(truth(value).map(|on| settings.opens(on))),
        Some(Sense::Motion) => gather.motion(truth(value)),
        Some(Sense::Vibration) => gather.vibration(truth(value)),
        Some(Sense::Illuminance) => gather.illuminance(number(value)),
        Some(Sense::Battery) => gather.battery(number(value)),
        Some(Sense::Tamper | Sense::Other) | None => gather.note(Note::Ignored),
    }
}
