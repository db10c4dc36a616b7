//! Home Assistant's statestream, by which Matter, ZHA and cloud devices come: `<base>/<domain>/<object>/<state or attribute>`, all of
//! it retained, attributes as JSON. `unavailable` and `unknown` are no level; what follows `unavailable` is a snapshot.

use super::esphome::{cover_state, measured, on_off};
use super::said::{Gather, Note, Refusal, Saying, either, number, sense, text};
use super::settings::Settings;

/// Usual names of the base topic.
const BASES: [&str; 6] = ["ha", "hass", "homeassistant", "home-assistant", "statestream", "ha_statestream"];
const DOMAINS: [&str; 12] =
    ["binary_sensor", "cover", "sensor", "event", "switch", "light", "button", "lock", "person", "device_tracker", "sun", "input_boolean"];

/// Domain, object and attribute.
fn parts(topic: &str) -> Option<(&str, &str, &str)> {
    let (rest, attribute) = topic.rsplit_once('/')?;
    let (rest, object) = rest.rsplit_once('/')?;
    let (_, domain) = rest.rsplit_once('/')?;
    DOMAINS.contains(&domain).then_some((domain, object, attribute))
}

/// The topics of ESPHome look alike; the base and the small letters of the words tell.
pub fn owns(topic: &str, payload: &[u8]) -> bool {
    let small = matches!(payload, b"on" | b"off" | b"unavailable");
    let attributes = ["last_changed", "last_updated", "device_class", "friendly_name", "current_position", "event_type"];
    parts(topic).is_some_and(|(_, _, attribute)| {
        attribute != "config" && (BASES.iter().any(|base| is_below(topic, base)) || small || attributes.contains(&attribute))
    })
}

fn is_below(topic: &str, base: &str) -> bool {
    topic.strip_prefix(base).is_some_and(|rest| rest.starts_with('/'))
}

pub fn decode(topic: &str, payload: &[u8], settings: &Settings) -> Result<Saying, Refusal> {
    let Some((domain, object, attribute)) = parts(topic) else { return Ok(Saying::nothing(Note::Ignored)) };
    if !["binary_sensor", "cover", "sensor", "event"].contains(&domain) {
        return Ok(Saying::nothing(Note::Ignored));
    }
    if payload.is_empty() {
        return Ok(Saying::nothing(Note::Emptied));
    }
    let class = settings.device_class.as_deref();
    let mut gather = Gather::default();
    match (domain, attribute, payload) {
        (_, "state", b"unavailable") => return Ok(Saying { note: Some(Note::NoLevel), ..Saying::reachable(false) }),
        (_, "state" | "current_position", b"unknown" | b"null" | b"None") => gather.note(Note::NoLevel),
        ("binary_sensor", "state", _) => on_off(&mut gather, either(text(payload)?, "on", "off"), sense(class, object), settings),
        ("cover", "state", _) => cover_state(&mut gather, text(payload)?, settings)?,
        ("cover", "current_position", _) => gather.cover(number(text(payload)?), settings),
        ("sensor", "state", _) => measured(&mut gather, number(text(payload)?), sense(class, object)),
        // The state of an event is its time; its kind stands beside it.
        ("event", "event_type", _) => gather.press(text(payload)?.trim_matches('"'), settings),
        _ => gather.note(Note::Ignored),
    }
    gather.finish()
}
