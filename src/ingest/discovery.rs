//! Home Assistant's discovery as a proposal: Zigbee2MQTT, ESPHome, Theengs, zwave-js-ui and others announce at `…homeassistant/…/config`
//! where a device reports and how to read it. Only two forms of a template are understood, `{{ value_json.x }}` and
//! `{{ value_json["x"] }}`; whatever is said otherwise is left to a person. Nothing is bound by it.

use serde_json::{Map, Value, json};

use super::said::object;
use crate::domain::device::DeviceRole;

/// Parts of one announcement that are read.
const PARTS_MAX: usize = 32;
/// Longest topic that is remembered.
const TOPIC_BYTES_MAX: usize = 256;

/// How one topic of a device may be read.
#[derive(Debug, Clone, PartialEq)]
pub struct Announced {
    /// As the device's own gateway writes it.
    pub topic: String,
    pub role: DeviceRole,
    pub settings: Map<String, Value>,
}

/// What an announcement proposes; nothing if it was emptied, is about something else or says it in a way that is not understood.
pub fn read(topic: &str, payload: &[u8]) -> Vec<Announced> {
    let Some((_, kind)) = topic.rsplit_once("homeassistant/").filter(|_| topic.len() <= TOPIC_BYTES_MAX) else { return Vec::new() };
    let kind = kind.split('/').next().unwrap_or_default();
    let Ok(fields) = object(payload) else { return Vec::new() };
    if kind != "device" {
        return part(kind, &fields, &fields).into_iter().collect();
    }
    let parts = word(&fields, "components", "cmps").and_then(Value::as_object);
    let parts = parts.into_iter().flat_map(Map::values).filter_map(Value::as_object).take(PARTS_MAX);
    parts.filter_map(|fields_of| part(text(fields_of, "platform", "p")?, fields_of, &fields)).collect()
}

fn word<'a>(fields: &'a Map<String, Value>, name: &str, short: &str) -> Option<&'a Value> {
    fields.get(name).or_else(|| fields.get(short))
}

fn text<'a>(fields: &'a Map<String, Value>, name: &str, short: &str) -> Option<&'a str> {
    word(fields, name, short).and_then(Value::as_str)
}

fn part(kind: &str, fields: &Map<String, Value>, whole: &Map<String, Value>) -> Option<Announced> {
    let class = text(fields, "device_class", "dev_cla").unwrap_or_default();
    let mut settings = Map::new();
    let (topic, template) = match kind {
        "cover" => {
            let open = word(fields, "position_open", "pos_open").and_then(Value::as_i64);
            if open == Some(0) {
                settings.insert("open_position".to_owned(), json!(0));
            }
            (text(fields, "position_topic", "pos_t"), text(fields, "position_template", "pos_tpl"))
        }
        _ => (None, None),
    };
    let state = || text(fields, "state_topic", "stat_t").or_else(|| text(whole, "state_topic", "stat_t"));
    let field = understood(template.or_else(|| text(fields, "value_template", "val_tpl")))?;
    let topic = in_full(topic.or_else(state)?, fields, whole);
    let role = match (kind, class) {
        ("cover", _) => DeviceRole::Cover,
        ("sensor", "illuminance") => DeviceRole::Lux,
        ("binary_sensor", "motion" | "occupancy" | "presence") => DeviceRole::Motion,
        ("binary_sensor", "vibration") => DeviceRole::Vibration,
        ("binary_sensor", "safety") if field.as_deref() == Some("sos") => DeviceRole::HelpButton,
        ("binary_sensor", "door" | "window" | "opening" | "garage_door") => DeviceRole::CurtainContact,
        _ => return None,
    };
    // A bare word says neither what it is about nor which way round.
    if kind == "binary_sensor" && field.is_none() {
        settings.insert("device_class".to_owned(), json!(class));
        let on = word(fields, "payload_on", "pl_on").map(|on| on.as_str().map_or_else(|| on.to_string(), str::to_lowercase));
        if role == DeviceRole::CurtainContact && matches!(on.as_deref(), Some("off" | "false" | "0")) {
            settings.insert("on".to_owned(), json!("closed"));
        }
    }
    let fits = topic.len() <= TOPIC_BYTES_MAX && !topic.contains(['+', '#']) && !topic.chars().any(char::is_control);
    fits.then_some(Announced { topic, role, settings })
}

/// `~` stands for the base topic of the announcement.
fn in_full(topic: &str, fields: &Map<String, Value>, whole: &Map<String, Value>) -> String {
    let base = [fields, whole].into_iter().find_map(|fields| fields.get("~")?.as_str()).unwrap_or_default();
    match (topic.strip_prefix('~'), topic.strip_suffix('~')) {
        (Some(rest), _) => format!("{base}{rest}"),
        (_, Some(rest)) => format!("{rest}{base}"),
        _ => topic.to_owned(),
    }
}

/// The field that a template picks; `Some(None)` without a template; `None` if it does more than that.
#[expect(clippy::option_option, reason = "nothing to pick and nothing understood are two answers")]
fn understood(template: Option<&str>) -> Option<Option<String>> {
    let Some(template) = template else { return Some(None) };
    let inner = template.trim().strip_prefix("{{")?.strip_suffix("}}")?.trim();
    let field = inner.strip_prefix("value_json.").or_else(|| {
        let quoted = inner.strip_prefix("value_json[")?.strip_suffix(']')?;
        ['"', '\''].into_iter().find_map(|quote| quoted.strip_prefix(quote)?.strip_suffix(quote))
    })?;
    let plain = !field.is_empty() && field.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    plain.then(|| Some(field.to_owned()))
}

/// Whether a topic that was heard is the announced one, with or without what bridges put before it.
pub fn is_about(announced: &str, heard: &str) -> bool {
    heard.strip_suffix(announced).is_some_and(|before| before.is_empty() || before.ends_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(topic: &str, payload: &str) -> Vec<(String, DeviceRole, String)> {
        read(topic, payload.as_bytes()).into_iter().map(|one| (one.topic, one.role, Value::Object(one.settings).to_string())).collect()
    }

    #[test]
    fn an_announcement_proposes_what_it_says_in_a_form_that_is_understood() {
        let contact = |topic: &str, settings: &str| vec![(topic.to_owned(), DeviceRole::CurtainContact, settings.to_owned())];
        let one = "homeassistant/binary_sensor/0x1/contact/config";
        for (topic, payload, expected) in [
            (
                one,
                r#"{"state_topic":"zigbee2mqtt/a","device_class":"door","value_template":"{{ value_json.contact }}","payload_on":false}"#,
                contact("zigbee2mqtt/a", "{}"),
            ),
            (
                one,
                r#"{"stat_t":"zigbee2mqtt/a","dev_cla":"door","val_tpl":"{{ value_json[\"contact\"] }}"}"#,
                contact("zigbee2mqtt/a", "{}"),
            ),
            (
                one,
                r#"{"~":"wang","stat_t":"~/binary_sensor/c/state","dev_cla":"door"}"#,
                contact("wang/binary_sensor/c/state", r#"{"device_class":"door"}"#),
            ),
            (one, r#"{"stat_t":"x/c","dev_cla":"door","pl_on":"OFF"}"#, contact("x/c", r#"{"device_class":"door","on":"closed"}"#)),
            (one, r#"{"stat_t":"x/c","dev_cla":"door","val_tpl":"{{ value_json.a | int > 3 }}"}"#, vec![]),
            (one, r#"{"stat_t":"x/c","dev_cla":"battery"}"#, vec![]),
            (one, "[]", vec![]),
            (
                "site/7/homeassistant/cover/m/config",
                r#"{"pos_t":"x/m","pos_open":0,"pos_clsd":100,"pos_tpl":"{{ value_json.position }}"}"#,
                vec![("x/m".to_owned(), DeviceRole::Cover, r#"{"open_position":0}"#.to_owned())],
            ),
            (
                "homeassistant/device/d/config",
                r#"{"stat_t":"x/d","cmps":{"a":{"p":"binary_sensor","dev_cla":"motion","val_tpl":"{{ value_json.pir }}"},"b":{"p":"button"}}}"#,
                vec![("x/d".to_owned(), DeviceRole::Motion, "{}".to_owned())],
            ),
        ] {
            assert_eq!(shown(topic, payload), expected, "{payload}");
        }
        assert!(is_about("zigbee2mqtt/a", "site/7/zigbee2mqtt/a") && !is_about("zigbee2mqtt/a", "xzigbee2mqtt/a"));
    }
}
