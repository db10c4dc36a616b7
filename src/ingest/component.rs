//! The part of a message that is about one of several devices: a Zigbee device inside Tasmota's `ZbReceived`, a sensor behind a
//! Shelly's Bluetooth, a radio sensor inside the events of `rtl_433`, an address behind a Bluetooth gateway.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::said::{object, said};
use crate::domain::device::Ecosystem;

/// The message with nothing in it of other components; `None` if it says nothing of this one. Several are written with commas.
pub fn only<'a>(ecosystem: Ecosystem, component: &str, topic: &str, payload: &'a [u8]) -> Option<Cow<'a, [u8]>> {
    if component.is_empty() {
        return Some(Cow::Borrowed(payload));
    }
    let wanted: Vec<&str> = component.split(',').map(str::trim).filter(|part| !part.is_empty()).collect();
    let is_wanted = |name: &str| wanted.iter().any(|wanted| wanted.eq_ignore_ascii_case(name.trim()));
    // A topic of its own: `stat/<device>/SWITCH2`, `<id>/status/cover:0`, `<id>/input_event/0`.
    if wanted.iter().any(|wanted| has_levels(topic, wanted)) {
        return Some(Cow::Borrowed(payload));
    }
    let fields = object(payload).ok()?;
    let kept = match ecosystem {
        Ecosystem::Shelly2 => shelly(&fields, &is_wanted),
        Ecosystem::Tasmota => tasmota(&fields, &is_wanted),
        Ecosystem::Rtl433 => radio(&fields, &is_wanted).then(|| fields.clone()),
        Ecosystem::Theengs => said(&fields, "id").and_then(Value::as_str).is_some_and(is_wanted).then(|| fields.clone()),
        _ => some(fields.into_iter().filter(|(name, _)| is_wanted(name)).collect()),
    };
    Some(Cow::Owned(serde_json::to_vec(&kept?).ok()?))
}

/// The components that a message speaks of, for whoever enters one of them.
pub fn named(ecosystem: Ecosystem, payload: &[u8]) -> Vec<String> {
    let Ok(fields) = object(payload) else { return Vec::new() };
    let keys = |part: &Value| part.as_object().map(|part| part.keys().map(|key| key.trim().to_owned()).collect()).unwrap_or_default();
    match ecosystem {
        Ecosystem::Tasmota => said(&fields, "ZbReceived").map(keys).unwrap_or_default(),
        Ecosystem::Shelly2 => {
            let parts: Vec<String> = said(&fields, "params").map(keys).unwrap_or_default();
            parts.into_iter().filter(|part| part.contains(':')).collect()
        }
        Ecosystem::Rtl433 => radio_name(&fields).into_iter().collect(),
        _ => Vec::new(),
    }
}

/// True if the topic ends with these levels, or they stand in it.
fn has_levels(topic: &str, levels: &str) -> bool {
    let (topic, levels) = (topic.to_ascii_lowercase(), levels.to_ascii_lowercase());
    topic.ends_with(&format!("/{levels}")) || topic.contains(&format!("/{levels}/"))
}

fn some(fields: Map<String, Value>) -> Option<Map<String, Value>> {
    (!fields.is_empty()).then_some(fields)
}

fn with(mut whole: Map<String, Value>, name: &str, part: Map<String, Value>) -> Map<String, Value> {
    whole.insert(name.to_owned(), Value::Object(part));
    whole
}

fn tasmota(fields: &Map<String, Value>, is_wanted: &dyn Fn(&str) -> bool) -> Option<Map<String, Value>> {
    if let Some(Value::Object(inner)) = fields.get("StatusSNS") {
        return tasmota(inner, is_wanted).map(|kept| with(Map::new(), "StatusSNS", kept));
    }
    let of = |fields: &Map<String, Value>| -> Map<String, Value> {
        fields.iter().filter(|(name, _)| is_wanted(name)).map(|(name, value)| (name.clone(), value.clone())).collect()
    };
    let kept = match fields.get("ZbReceived") {
        Some(Value::Object(devices)) => some(of(devices)).map(|devices| with(Map::new(), "ZbReceived", devices)),
        _ => some(of(fields)),
    };
    let time = fields.get("Time").cloned();
    kept.map(|mut kept| {
        kept.extend(time.map(|time| ("Time".to_owned(), time)));
        kept
    })
}

/// A notice with only these components; one that is about none of them says nothing.
fn shelly(fields: &Map<String, Value>, is_wanted: &dyn Fn(&str) -> bool) -> Option<Map<String, Value>> {
    let params = said(fields, "params")?.as_object()?;
    let mut kept: Map<String, Value> =
        params.iter().filter(|(name, _)| is_wanted(name)).map(|(name, value)| (name.clone(), value.clone())).collect();
    let events: Vec<Value> = said(params, "events")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter(|event| event.get("component").and_then(Value::as_str).is_some_and(is_wanted))
        .cloned()
        .collect();
    if kept.is_empty() && events.is_empty() {
        return None;
    }
    if !events.is_empty() {
        kept.insert("events".to_owned(), Value::Array(events));
    }
    kept.extend(params.get("ts").map(|ts| ("ts".to_owned(), ts.clone())));
    Some(with(fields.clone(), "params", kept))
}

/// Model and number, as `Acurite-606TX/42`.
fn radio_name(fields: &Map<String, Value>) -> Option<String> {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    Some(format!("{}/{}", text(said(fields, "model")?), text(said(fields, "id")?)))
}

fn radio(fields: &Map<String, Value>, is_wanted: &dyn Fn(&str) -> bool) -> bool {
    radio_name(fields).is_some_and(|name| is_wanted(&name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(ecosystem: Ecosystem, component: &str, topic: &str, payload: &str) -> Option<String> {
        only(ecosystem, component, topic, payload.as_bytes()).map(|kept| String::from_utf8_lossy(&kept).into_owned())
    }

    #[test]
    fn of_several_devices_in_one_message_each_gets_its_own_part() {
        let two = r#"{"ZbReceived":{"0x1":{"Contact":1},"0x2":{"Contact":0}}}"#;
        assert_eq!(kept(Ecosystem::Tasmota, "0x2", "tele/b/SENSOR", two).as_deref(), Some(r#"{"ZbReceived":{"0x2":{"Contact":0}}}"#));
        assert_eq!(kept(Ecosystem::Tasmota, "0x3", "tele/b/SENSOR", two), None);
        assert_eq!(kept(Ecosystem::Tasmota, "Switch2", "stat/b/SWITCH2", "ON").as_deref(), Some("ON"));
        let notice =
            r#"{"method":"NotifyStatus","params":{"bthomesensor:202":{"value":true},"bthomesensor:302":{"value":false},"ts":1.5}}"#;
        let own = r#"{"method":"NotifyStatus","params":{"bthomesensor:302":{"value":false},"ts":1.5}}"#;
        assert_eq!(kept(Ecosystem::Shelly2, "bthomesensor:300, bthomesensor:302", "gw/events/rpc", notice).as_deref(), Some(own));
        assert_eq!(kept(Ecosystem::Shelly2, "cover:0", "gw/events/rpc", notice), None);
        let radio = r#"{"model":"Honeywell","id":42,"reed_open":1}"#;
        assert!(kept(Ecosystem::Rtl433, "Honeywell/42", "rtl_433/h/events", radio).is_some());
        assert_eq!(kept(Ecosystem::Rtl433, "Honeywell/43", "rtl_433/h/events", radio), None);
        assert_eq!(named(Ecosystem::Tasmota, two.as_bytes()), ["0x1", "0x2"]);
        assert_eq!(named(Ecosystem::Rtl433, radio.as_bytes()), ["Honeywell/42"]);
    }
}
