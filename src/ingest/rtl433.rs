//! rtl_433: radio at 433 MHz that anybody nearby can send or repeat, so whatever it says is a hint and never more (class C). On the
//! topic of events the device stands inside the payload. Of a Honeywell contact the reed counts, not the word `state`.

use serde_json::Value;

use super::said::{Gather, Note, Refusal, Saying, Word, bit, json, object, reachable, said};
use super::settings::Settings;

pub fn owns(topic: &str) -> bool {
    topic.starts_with("rtl_433/")
}

pub fn decode(topic: &str, payload: &[u8], settings: &Settings) -> Result<Saying, Refusal> {
    if topic.ends_with("/availability") {
        return reachable(payload, "online", "offline");
    }
    if payload.is_empty() {
        return Ok(Saying::nothing(Note::Emptied));
    }
    let mut gather = Gather::default();
    if topic.ends_with("/events") {
        let fields = object(payload)?;
        let contact = ["reed_open", "opened", "contact_open"].into_iter().find(|name| said(&fields, name).is_some());
        for (name, value) in fields.iter().filter(|(_, value)| !value.is_null()) {
            if contact.is_none_or(|contact| contact == name || !is_contact(name)) {
                field(&mut gather, name, value, settings);
            }
        }
        if let (None, Some(state)) = (contact, said(&fields, "state").and_then(Value::as_str)) {
            match state {
                "open" => gather.contact(Some(settings.opens(true))),
                "close" | "closed" => gather.contact(Some(settings.opens(false))),
                _ => {}
            }
        }
    } else if let Some((_, name)) = topic.split_once("/devices/").and_then(|(_, device)| device.rsplit_once('/')) {
        if is_contact(name) || ["motion", "tamper", "battery_ok"].contains(&name) {
            field(&mut gather, name, &json(payload)?, settings);
        }
    } else {
        gather.note(Note::Ignored);
    }
    gather.finish()
}

fn is_contact(name: &str) -> bool {
    ["reed_open", "opened", "contact_open"].contains(&name)
}

fn field(gather: &mut Gather, name: &str, value: &Value, settings: &Settings) {
    match name {
        "reed_open" | "opened" | "contact_open" => gather.contact(bit(value).map(|open| settings.opens(open))),
        "motion" => gather.motion(bit(value)),
        "tamper" if gather.keep(bit(value)) == Some(true) => gather.say(Word::Tamper, Some(1.0)),
        // Some models give the charge as a fraction.
        "battery_ok" if value.as_f64().is_some() => gather.cells(value.as_f64().map(|charge| charge == 0.0)),
        _ => {}
    }
}
