use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::*;

type Facts = Option<Vec<(String, Option<f64>)>>;

/// `tests/data/sensors.jsonl`: collected messages; `README.md` beside it says from where.
pub(super) fn rows() -> Vec<Value> {
    include_str!("../../../tests/data/sensors.jsonl").lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Rows that we believe to be labelled wrongly, with the reason.
const DISPUTED: [(&str, &str); 0] = [];

pub(super) fn payload(row: &Value) -> Vec<u8> {
    match row["payload"].as_str() {
        Some(text) => text.as_bytes().to_vec(),
        None => STANDARD.decode(row["payload_b64"].as_str().unwrap()).unwrap(),
    }
}

fn facts(explanation: &Explanation) -> Facts {
    let said = explanation.said.as_ref().ok()?;
    Some(said.facts.iter().map(|said| (said.word.as_str().to_owned(), said.value)).collect())
}

/// Right, and all, by ecosystem or by meaning.
#[derive(Default)]
struct Shares(BTreeMap<String, (u32, u32)>);

impl Shares {
    fn count(&mut self, name: &str, right: bool) {
        let (good, all) = self.0.entry(name.to_owned()).or_default();
        *good += u32::from(right);
        *all += 1;
    }
}

#[test]
fn nearly_every_collected_message_is_explained_as_it_is_meant() {
    let mut explainer = Explainer::default();
    let (mut shares, mut wrong) = (Shares::default(), Vec::new());
    for row in rows() {
        let (id, topic) = (row["id"].as_str().unwrap(), row["topic"].as_str().unwrap());
        let settings = row["registry"].as_object().map_or_else(Settings::default, |entry| Settings::read(entry).unwrap());
        let found = explainer.explain(topic, &payload(&row), &settings);
        if DISPUTED.iter().any(|(disputed, _)| *disputed == id) {
            continue;
        }
        let (ecosystem, meaning) = (row["ecosystem"].as_str().unwrap(), row["meaning"].as_str().unwrap());
        let expected: Facts = serde_json::from_value(row["facts"].clone()).unwrap();
        let right = found.meaning() == meaning
            && found.value() == row["value"].as_f64()
            && facts(&found) == expected
            && found.family.as_str() == ecosystem;
        for name in ["all", ecosystem, meaning] {
            shares.count(name, right);
        }
        if !right {
            wrong.push(format!(
                "{id}: read as {} {} {:?} {:?}, and it is {ecosystem} {meaning} {} {expected:?}",
                found.family,
                found.meaning(),
                found.value(),
                facts(&found),
                row["value"]
            ));
        }
    }
    let table: Vec<String> = shares.0.iter().map(|(name, (right, all))| format!("{name}: {right} of {all}")).collect();
    let (right, all) = shares.0["all"];
    assert!(all > 500, "only {all} messages");
    assert!(right * 100 >= all * 99, "{}\n{}", table.join("\n"), wrong.join("\n"));
}

fn explained(topic: &str, payload: &[u8]) -> Explanation {
    Explainer::default().explain(topic, payload, &Settings::default())
}

#[test]
fn hostile_payloads_are_malformed_for_every_decoder_of_objects() {
    let long = format!("{{\"contact\":false,\"x\":\"{}\"}}", "x".repeat(said::PAYLOAD_BYTES_MAX));
    let deep = format!("{{\"contact\":false,\"x\":{}1{}}}", "[".repeat(40), "]".repeat(40));
    let many = format!("{{\"contact\":false,{}}}", (0..600).map(|n| format!("\"k{n}\":1")).collect::<Vec<_>>().join(","));
    let hostile: Vec<&[u8]> = vec![
        long.as_bytes(),
        deep.as_bytes(),
        many.as_bytes(),
        b"{\"contact\":false,\"contact\":true}",
        b"\xef\xbb\xbf{\"contact\":false}",
        b"{\"contact\":false}garbage",
        b"{\"contact\":false,\"battery\":NaN}",
        b"{\"contact\":false,\"battery\":1e999}",
        b"{\"contact\":\xff}",
        b"{\"contact\":false,\"x\":\"\\ud800\"}",
        b"[1]",
    ];
    let objects =
        ["zigbee2mqtt/a", "tele/a/SENSOR", "shellies/a/info", "a/events/rpc", "tuya/a/dps/state", "home/a/BTtoMQTT/b", "rtl_433/a/events"];
    for topic in objects {
        for payload in &hostile {
            let shown = String::from_utf8_lossy(&payload[..payload.len().min(50)]).into_owned();
            assert_eq!(explained(topic, payload).meaning(), "malformed", "{topic} {shown}");
        }
    }
}

#[test]
fn topics_that_nobody_may_publish_on_belong_to_nobody() {
    let long = format!("zigbee2mqtt/{}", "x".repeat(TOPIC_BYTES_MAX));
    for topic in ["", "#", "zigbee2mqtt/+", "zigbee2mqtt/a\u{0}b", "zigbee2mqtt/a\nb", "Zigbee2MQTT/a", "zigbee2mqttx/a", &long] {
        assert_eq!(explained(topic, b"{\"contact\":false}").meaning(), "irrelevant", "{topic:?}");
    }
}

#[test]
fn an_invalid_position_is_no_position_and_what_is_unknown_is_not_closed() {
    for (topic, payload, meaning) in [
        ("zigbee2mqtt/a", "{\"position\":150,\"state\":\"OPEN\"}", "malformed"),
        ("zigbee2mqtt/a", "{\"position\":\"100\",\"state\":\"OPEN\"}", "malformed"),
        ("zigbee2mqtt/a", "{\"contact\":null,\"battery\":null}", "irrelevant"),
        ("zigbee2mqtt/a", "{\"contact\":\"false\",\"battery\":90}", "battery_only"),
        ("zigbee2mqtt/a", "{\"contact\":false,\"battery\":255}", "contact_open"),
        ("zigbee2mqtt/a", "{\"occupancy\":1}", "motion"),
        ("zigbee2mqtt/a", "{\"action\":\"tilt\",\"angle\":33}", "tilt"),
        ("zigbee2mqtt/a", "{\"action\":\"single\",\"battery\":90}", "irrelevant"),
        ("zigbee2mqtt/a/sos", "true", "sos"),
        ("zigbee2mqtt/a/position", "1e2", "malformed"),
        ("zigbee2mqtt/bridge/devices", "garbage", "irrelevant"),
        ("tele/a/SENSOR", "{\"Shutter1\":{\"Position\":101}}", "malformed"),
        ("a/cover/b/position/state", "-1", "malformed"),
        ("ha/cover/b/state", "unknown", "irrelevant"),
        ("ha/cover/b/state", "open", "curtain_partial"),
        ("ha/cover/b/current_position", "100", "curtain_open"),
        ("home/a/BTtoMQTT/b", "{\"brand\":\"SwitchBot\",\"position\":0}", "curtain_open"),
        ("home/a/BTtoMQTT/b", "{\"encr\":2,\"cipher\":\"00\"}", "irrelevant"),
        ("homie/a/b/position/set", "100", "irrelevant"),
        ("zwave/a/switch_multilevel/endpoint_0/currentValue", "100", "malformed"),
        ("zwave/hall/128/notification/endpoint_0/Access_Control/Door_state", "{\"value\":22}", "contact_open"),
        ("zwave/hall/128/128/0/level", "70", "battery_only"),
        ("shellies/a/roller/0/pos", "-1", "irrelevant"),
        ("tuya/a/dps/state", "{\"3\":120}", "malformed"),
    ] {
        assert_eq!(explained(topic, payload.as_bytes()).meaning(), meaning, "{topic} {payload}");
    }
}

#[test]
fn an_older_boot_is_a_replay_and_a_late_will_says_nothing() {
    let mut explainer = Explainer::default();
    let status = |bd| format!("{{\"s\":\"off\",\"bn\":8,\"bd\":{bd}}}");
    for (bd, meaning) in [(15, "availability_offline"), (14, "irrelevant"), (15, "availability_offline")] {
        let found = explainer.explain("chk/1/a/up/status", status(bd).as_bytes(), &Settings::default());
        assert_eq!(found.meaning(), meaning, "{bd}");
    }
}
