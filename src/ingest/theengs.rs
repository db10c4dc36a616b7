//! Bluetooth gateways, Theengs and OpenMQTTGateway: `home/<gateway>/BTtoMQTT/<address>`. The radio is not authenticated; several
//! gateways hear the same packet; what is encrypted says nothing without its key. SwitchBot counts a curtain's position from open.

use serde_json::Value;

use super::said::{Gather, Note, Refusal, Saying, object, reachable, said};
use super::settings::Settings;

pub fn owns(topic: &str) -> bool {
    topic.contains("/BTtoMQTT") || (topic.starts_with("home/") && (topic.ends_with("/LWT") || topic.ends_with("toMQTT")))
}

pub fn decode(topic: &str, payload: &[u8], settings: &Settings) -> Result<Saying, Refusal> {
    if topic.ends_with("/LWT") {
        return reachable(payload, "online", "offline");
    }
    if !topic.contains("/BTtoMQTT") {
        return Ok(Saying::nothing(Note::Ignored));
    }
    if payload.is_empty() {
        return Ok(Saying::nothing(Note::Emptied));
    }
    let fields = object(payload)?;
    let mut gather = Gather::default();
    let contact = said(&fields, "contact");
    if let Some(contact) = contact {
        gather.contact(match contact.as_str() {
            Some("closed") => Some(settings.opens(false)),
            Some("open" | "timeout not closed") => Some(settings.opens(true)),
            _ => None,
        });
    } else if let Some(Value::Bool(open)) = said(&fields, "open") {
        gather.contact(Some(settings.opens(*open)));
    }
    if let Some(position) = said(&fields, "position") {
        let from_open = fields.get("brand").is_some_and(|brand| brand == "SwitchBot");
        let towards_zero = settings.is_towards_zero(from_open);
        gather.cover(position.as_f64(), &Settings { opens_towards_zero: Some(towards_zero), is_reversed: false, ..settings.clone() });
    } else if let Some(motion) = said(&fields, "motion").filter(|_| contact.is_none()) {
        // Beside a contact it is the contact's own guess of who passes.
        gather.motion(motion.as_bool());
    }
    if let Some(lux) = said(&fields, "lux") {
        gather.illuminance(lux.as_f64());
    }
    if let Some(degrees) = said(&fields, "rot") {
        gather.tilt(degrees.as_f64());
    }
    if let Some(button) = said(&fields, "button") {
        gather.press(&button.to_string(), settings);
    }
    if let Some(percent) = said(&fields, "batt") {
        gather.battery(percent.as_f64());
    }
    if said(&fields, "encr").is_some() || said(&fields, "cipher").is_some() {
        gather.note(Note::Encrypted);
    }
    gather.finish()
}
