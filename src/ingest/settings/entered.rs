//! What people may enter of a device's settings: only what a decoder reads, each with the sentence that says what is allowed.

use serde_json::{Map, Value};

use super::{Misset, Settings};

/// Buttons or numbered parts of one device.
const ENTRIES_MAX: usize = 32;
/// Characters of a name.
const TEXT_MAX: usize = 64;
/// What a numbered part of a device may measure.
const PARTS: [&str; 10] = ["contact", "window", "position", "illuminance", "motion", "vibration", "tilt", "rotation", "battery", "sos"];

impl Settings {
    /// Whether a person may enter these; the first that makes no sense is named.
    pub fn entered(fields: &Map<String, Value>) -> Result<(), Misset> {
        fields.iter().find_map(|(name, value)| wrong(name, value)).map_or(Ok(()), Err)
    }
}

fn wrong(name: &str, value: &Value) -> Option<Misset> {
    let word_of = |words: &[&str]| value.as_str().is_some_and(|word| words.contains(&word));
    let (fits, allowed) = match name {
        "open_position" => (value.as_u64().is_some_and(|end| [0, 100].contains(&end)), "problem.device_setting_end"),
        "max" => (value.as_f64().is_some_and(|max| max > 0.0), "problem.device_setting_max"),
        "group" | "sleeps" | "encrypted" => (value.is_boolean(), "problem.device_setting_bool"),
        "on" => (word_of(&["open", "closed"]), "problem.device_setting_on"),
        "device_class" => (value.as_str().is_some_and(is_name), "problem.device_setting_text"),
        "output" => (word_of(&["json", "attribute"]), "problem.device_setting_output"),
        "zone" => (value.as_str().is_some_and(|zone| zone.parse::<chrono_tz::Tz>().is_ok()), "problem.device_setting_zone"),
        "actions" => return of_entries(name, value, &["sos", "ok"], "problem.device_setting_actions"),
        "parts" => return of_entries(name, value, &PARTS, "problem.device_setting_parts"),
        _ => (false, "problem.device_setting_unknown"),
    };
    (!fits).then(|| Misset { field: format!("settings.{name}"), allowed })
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().count() <= TEXT_MAX && !text.chars().any(char::is_control)
}

fn of_entries(name: &str, value: &Value, words: &[&str], allowed: &'static str) -> Option<Misset> {
    let field = |below: &str| Some(Misset { field: format!("settings.{name}{below}"), allowed });
    let Value::Object(entries) = value else { return field("") };
    if entries.len() > ENTRIES_MAX {
        return field("");
    }
    let fits = |(name, word): &(&String, &Value)| is_name(name) && word.as_str().is_some_and(|word| words.contains(&word));
    entries.iter().find(|entry| !fits(entry)).and_then(|(entry, _)| field(&format!(".{entry}")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_no_decoder_reads_is_refused_by_its_name() {
        for (entered, field) in [
            (
                json!({"open_position": 0, "on": "closed", "actions": {"long": "sos"}, "parts": {"202": "contact"}, "zone": "Asia/Shanghai"}),
                None,
            ),
            (json!({"open_position": 50}), Some("settings.open_position")),
            (json!({"on": "maybe"}), Some("settings.on")),
            (json!({"actions": {"long": "call"}}), Some("settings.actions.long")),
            (json!({"parts": {"1": "smoke"}}), Some("settings.parts.1")),
            (json!({"zone": "Shanghai"}), Some("settings.zone")),
            (json!({"key": "00"}), Some("settings.key")),
        ] {
            let found = Settings::entered(entered.as_object().unwrap()).err().map(|misset| misset.field);
            assert_eq!(found.as_deref(), field, "{entered}");
        }
    }
}
