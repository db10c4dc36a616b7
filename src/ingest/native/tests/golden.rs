//! The contract with the firmware: `firmware-sim/golden/*.json`, written by it and read by both. No types are shared.

use std::fs;
use std::path::Path;

use serde_json::Value;

use super::hex;

use crate::ingest::native::downlink::{self, Settings};
use crate::ingest::native::{Channel, Key, Kind, Message, Refusal, Topic, decode};

fn vectors() -> Vec<Value> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("firmware-sim/golden");
    let files = fs::read_dir(folder).expect("the golden messages are there");
    files.map(|file| serde_json::from_slice(&fs::read(file.unwrap().path()).unwrap()).unwrap()).collect()
}

fn key(vector: &Value) -> Key {
    let kid = vector["meaning"]["kid"].as_u64().unwrap_or(1);
    Key { kid: u32::try_from(kid).unwrap(), secret: hex(vector["key_hex"].as_str().unwrap()).try_into().unwrap() }
}

/// The meaning of a decoded message in the words of the golden files.
fn meaning(message: &Message) -> Value {
    let events: Vec<Value> =
        message.events.iter().map(|event| serde_json::json!([event.up_ms, number(event.kind), value(event.kind)])).collect();
    serde_json::json!({
        "boot_id": message.boot_id, "boot_n": message.boot_n, "events": events, "kid": message.kid, "seq": message.seq,
        "up_ms": message.up_ms, "wall_ms": message.wall.map(|wall| wall.unix_ms),
        "wall_uncertainty_s": message.wall.map(|wall| wall.uncertainty_s),
    })
}

fn number(kind: Kind) -> u32 {
    match kind {
        Kind::Contact { .. } => 1,
        Kind::CoverPercent(_) => 2,
        Kind::CentiLux(_) => 3,
        Kind::Motion(_) => 4,
        Kind::Vibration(_) => 5,
        Kind::TiltDegrees(_) => 6,
        Kind::HelpButton { .. } => 7,
        Kind::OkButton => 8,
        Kind::Tamper(_) => 9,
        Kind::BatteryMillivolt(_) => 10,
        Kind::BootReason(_) => 11,
        Kind::TimeJump(_) => 12,
        Kind::Heartbeat { .. } => 13,
        Kind::LuxJump { .. } => 14,
        Kind::Lost(_) => 15,
        Kind::Unknown(number) => number,
    }
}

fn value(kind: Kind) -> Value {
    match kind {
        Kind::Contact { open } => u32::from(open).into(),
        Kind::HelpButton { long } => (1 + u32::from(long)).into(),
        Kind::OkButton => 1.into(),
        Kind::CoverPercent(percent) => percent.into(),
        Kind::TiltDegrees(degrees) => degrees.into(),
        Kind::TimeJump(seconds) => seconds.into(),
        Kind::Heartbeat { rssi_dbm, queued } => serde_json::json!([rssi_dbm, queued]),
        Kind::LuxJump { before, after } => serde_json::json!([before, after]),
        Kind::CentiLux(n)
        | Kind::Motion(n)
        | Kind::Vibration(n)
        | Kind::Tamper(n)
        | Kind::BatteryMillivolt(n)
        | Kind::BootReason(n)
        | Kind::Lost(n)
        | Kind::Unknown(n) => n.into(),
    }
}

#[test]
fn every_golden_message_upward_means_what_the_firmware_meant() {
    let mut read = 0;
    for vector in vectors() {
        let (name, topic) = (&vector["name"], vector["topic"].as_str().unwrap());
        if Topic::parse(topic).is_none() {
            continue;
        }
        read += 1;
        if vector["verdict"] == "never_evidence" {
            // The level for home automation: not signed, and judged as nothing whatever it says.
            assert_eq!(Topic::parse(topic).map(|topic| topic.channel), Some(Channel::State), "{name}");
            continue;
        }
        let decoded = decode(topic, &hex(vector["payload_hex"].as_str().unwrap()), &[key(&vector)]);
        match vector["verdict"].as_str().unwrap_or("accepted") {
            "accepted" => assert_eq!(meaning(&decoded.expect("a golden message is genuine")), vector["meaning"], "{name}"),
            "wrong_mac" => assert_eq!(decoded, Err(Refusal::Forged), "{name}"),
            "malformed" => assert_eq!(decoded, Err(Refusal::Malformed), "{name}"),
            other => panic!("{name}: the verdict {other} is not known here"),
        }
    }
    assert!(read >= 20, "{read}");
}

#[test]
fn receipts_and_settings_are_written_as_the_firmware_reads_them() {
    let mut written = 0;
    for vector in vectors() {
        let (topic, meant) = (vector["topic"].as_str().unwrap(), &vector["meaning"]);
        let number = |name: &str| meant[name].as_u64().map(|value| u32::try_from(value).unwrap());
        let payload = hex(vector["payload_hex"].as_str().unwrap());
        let ours = match topic.rsplit('/').next() {
            Some("ack") => {
                let now = meant["now_s"].as_i64().unwrap();
                downlink::receipt(number("boot_n").unwrap(), number("seq").unwrap(), now).into_bytes()
            }
            Some("cfg") => {
                let settings = Settings {
                    config_n: number("config_n").unwrap(),
                    heartbeat_s: number("heartbeat_s"),
                    contact_debounce_ms: number("contact_debounce_ms"),
                    lux_ratio: number("lux_ratio"),
                    lux_floor: number("lux_floor"),
                };
                downlink::settings(topic, settings, &key(&vector))
            }
            _ => continue,
        };
        assert_eq!(ours, payload, "{}", vector["name"]);
        written += 1;
    }
    assert_eq!(written, 2);
}
