//! `golden/*.json` is the contract with the server: messages as bytes and what they mean. The encoder makes each of them
//! again here; a changed byte fails. After an intended change: `GOLDEN_WRITE=1 cargo test -p firmware-sim --test golden`.

use std::collections::BTreeSet;
use std::path::PathBuf;

use firmware_sim::discovery::announcement;
use firmware_sim::downlink::{Ack, Config, read_ack, read_config};
use firmware_sim::envelope::{Channel, Header, Key, Refusal, Wall, device_id, open, seal, seal_events};
use firmware_sim::event::{BootReason, Event, Fact, Press, Value};
use firmware_sim::status::{Level, state};
use serde_json::{Value as Json, json};

const TOPIC: &str = "chk/1/d-7Q2F/up/evt";
const TELEMETRY: &str = "chk/1/d-7Q2F/up/tele";
const UP_MS: u64 = 86_520_000;

fn key() -> Key {
    std::array::from_fn(|at| u8::try_from(at).unwrap())
}

fn header(seq: u32, up_ms: u64) -> Header {
    let wall = Some(Wall { ms: 1_788_734_472_000 + up_ms - UP_MS, uncertainty_s: 2 });
    Header { kid: 1, boot_n: 7, boot_id: 0x9f3c_21aa, seq, up_ms, wall }
}

fn event(t_up_ms: u64, fact: Fact) -> Event {
    Event { t_up_ms, fact }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]).map(|digit| char::from_digit(digit.into(), 16).unwrap()).collect()
}

/// A message that must be accepted, with its meaning.
fn message(name: &str, topic: &str, header: Header, events: &[Event]) -> Json {
    let payload = seal_events(topic, &key(), &header, events);
    assert!(open(topic, &key(), &payload).is_ok());
    let events: Vec<Json> = events
        .iter()
        .map(|event| match event.fact.value() {
            Value::One(value) => json!([event.t_up_ms, event.fact.kind(), value]),
            Value::Two(first, second) => json!([event.t_up_ms, event.fact.kind(), [first, second]]),
        })
        .collect();
    json!({
        "name": name,
        "key_hex": hex(&key()),
        "topic": topic,
        "payload_hex": hex(&payload),
        "verdict": "accepted",
        "meaning": {
            "kid": header.kid,
            "boot_n": header.boot_n,
            "boot_id": header.boot_id,
            "seq": header.seq,
            "up_ms": header.up_ms,
            "wall_ms": header.wall.map(|wall| wall.ms),
            "wall_uncertainty_s": header.wall.map(|wall| wall.uncertainty_s),
            "events": events,
        },
    })
}

fn one(name: &str, seq: u32, fact: Fact) -> Json {
    message(name, TOPIC, header(seq, UP_MS + u64::from(seq) * 1000), &[event(UP_MS + u64::from(seq) * 1000 - 900, fact)])
}

/// A message that must be refused, and why.
fn refused(name: &str, topic: &str, payload: &[u8], verdict: Refusal) -> Json {
    assert_eq!(open(topic, &key(), payload), Err(verdict));
    let verdict = match verdict {
        Refusal::Malformed => "malformed",
        Refusal::WrongMac => "wrong_mac",
    };
    json!({"name": name, "key_hex": hex(&key()), "topic": topic, "payload_hex": hex(payload), "verdict": verdict, "meaning": null})
}

fn single_events() -> Vec<Json> {
    vec![
        one("contact_open", 50, Fact::Contact { open: true }),
        one("contact_closed", 51, Fact::Contact { open: false }),
        one("sos_short", 52, Fact::Sos(Press::Short)),
        one("sos_long", 53, Fact::Sos(Press::Long)),
        one("ok_button", 54, Fact::Ok),
        one("tamper", 55, Fact::Tamper),
        one("lux_jump", 56, Fact::LuxJump { before: 3, after: 640 }),
        one("time_jump_backwards", 57, Fact::TimeJump { seconds: -86_400 }),
    ]
}

fn composed() -> Vec<Json> {
    let opened = event(86_519_200, Fact::Contact { open: true });
    let bright = event(86_519_900, Fact::LuxJump { before: 3, after: 640 });
    let telemetry = [event(UP_MS, Fact::Battery { millivolts: 2912 }), event(UP_MS, Fact::Heartbeat { rssi_dbm: -71, queued: 0 })];
    let boot = Header { kid: 1, boot_n: 8, boot_id: 0x1122_3344, seq: 1, up_ms: 9000, wall: None };
    let booted = [event(100, Fact::Boot(BootReason::PowerOn)), event(100, Fact::Contact { open: true })];
    let gap = [event(UP_MS - 5000, Fact::Lost { events: 3 }), event(UP_MS - 4000, Fact::Contact { open: false })];
    let sixteen: Vec<Event> = (0..16).map(|at| event(UP_MS - 60_000 + at * 3000, Fact::Contact { open: at % 2 == 0 })).collect();
    let offline = [event(UP_MS, Fact::Contact { open: true }), event(UP_MS + 3_600_000, Fact::Contact { open: false })];
    vec![
        message("vector", TOPIC, header(41, UP_MS), &[opened, bright]),
        message("heartbeat", TELEMETRY, header(60, UP_MS), &telemetry),
        message("boot_level_is_no_edge", TOPIC, boot, &booted),
        message("no_wall_time", TOPIC, Header { wall: None, ..header(61, UP_MS) }, &[opened]),
        message("lost_three", TOPIC, header(62, UP_MS), &gap),
        message("sixteen_events", TOPIC, header(63, UP_MS), &sixteen),
        message("offline_seven_hours", TOPIC, header(64, UP_MS + 25_560_000), &offline),
        // One message sent twice: same seq, same events, dated by each sending. The second must count as a duplicate.
        message("resend_first", TOPIC, header(65, UP_MS), &[opened]),
        message("resend_again", TOPIC, header(65, UP_MS + 12_000), &[opened]),
    ]
}

fn refusals() -> Vec<Json> {
    let good = seal_events(TOPIC, &key(), &header(70, UP_MS), &[event(UP_MS - 900, Fact::Contact { open: true })]);
    let mut flipped = good.to_vec();
    *flipped.last_mut().unwrap() ^= 1;
    let mut longer = good.to_vec();
    longer.push(0);
    let foreign = seal_events(TOPIC, &[9; 32], &header(70, UP_MS), &[event(UP_MS - 900, Fact::Sos(Press::Short))]);
    vec![
        refused("refused_wrong_mac", TOPIC, &flipped, Refusal::WrongMac),
        refused("refused_other_key", TOPIC, &foreign, Refusal::WrongMac),
        refused("refused_wrong_topic", "chk/1/d-OTHER/up/evt", &good, Refusal::WrongMac),
        refused("refused_other_channel", TELEMETRY, &good, Refusal::WrongMac),
        refused("refused_truncated", TOPIC, &good[..good.len() - 8], Refusal::Malformed),
        refused("refused_trailing_byte", TOPIC, &longer, Refusal::Malformed),
    ]
}

fn downlinks() -> Vec<Json> {
    let receipt = br#"{"bn":7,"seq":41,"now":1788734480}"#;
    assert_eq!(read_ack(receipt), Some(Ack { boot_n: 7, seq: 41, now_s: Some(1_788_734_480) }));
    let topic = "chk/1/d-7Q2F/dn/cfg";
    // {0:1, 1:1, 2:3, 3:3600, 4:1500, 5:6, 6:25}
    let body = [0xa7, 0, 1, 1, 1, 2, 3, 3, 0x19, 0x0e, 0x10, 4, 0x19, 0x05, 0xdc, 5, 6, 6, 0x18, 0x19];
    let settings = seal(topic, &key(), &body);
    let expected =
        Config { config_n: 3, heartbeat_s: Some(3600), contact_debounce_ms: Some(1500), lux_ratio: Some(6), lux_floor: Some(25) };
    assert_eq!(read_config(topic, &key(), &settings), Some(expected));
    vec![
        json!({
            "name": "down_receipt", "key_hex": hex(&key()), "topic": "chk/1/d-7Q2F/dn/ack", "payload_hex": hex(receipt), "verdict": "accepted",
            "meaning": {"boot_n": 7, "seq": 41, "now_s": 1_788_734_480},
        }),
        json!({
            "name": "down_settings", "key_hex": hex(&key()), "topic": topic, "payload_hex": hex(&settings), "verdict": "accepted",
            "meaning": {"kid": 1, "config_n": 3, "heartbeat_s": 3600, "contact_debounce_ms": 1500, "lux_ratio": 6, "lux_floor": 25},
        }),
    ]
}

/// What home automation is shown: JSON without a signature, and for the server never evidence.
fn shown() -> Vec<Json> {
    let device = device_id("d-7Q2F").unwrap();
    let level = Level { contact_open: true, lux: Some(640), battery_percent: Some(91), sos: false, boot_n: 7 };
    let unknown = Level { lux: None, battery_percent: None, contact_open: false, ..level };
    let one = |name: &str, channel: Channel, payload: &str| {
        let meaning: Json = serde_json::from_str(payload).unwrap();
        json!({
            "name": name, "key_hex": hex(&key()), "topic": channel.topic(&device).as_str(), "payload_hex": hex(payload.as_bytes()),
            "verdict": "never_evidence", "meaning": meaning,
        })
    };
    vec![
        one("shown_level", Channel::State, &state(level)),
        one("shown_level_unknown", Channel::State, &state(unknown)),
        one("shown_discovery", Channel::Discovery, &announcement(&device)),
    ]
}

#[test]
fn the_discovery_names_a_value_of_the_level_for_each_of_its_entities() {
    let shown = shown();
    let (level, discovery) = (&shown[0]["meaning"], &shown[2]["meaning"]);
    assert_eq!(discovery["stat_t"], shown[0]["topic"]);
    let entities = discovery["cmps"].as_object().unwrap();
    assert_eq!(entities.len(), 4);
    for (name, entity) in entities {
        assert!(level.get(name).is_some(), "{name}");
        assert_eq!(entity["val_tpl"], format!("{{{{ value_json.{name} }}}}"));
        assert_eq!(entity["uniq_id"], format!("d-7Q2F_{name}"));
    }
}

#[test]
fn a_recorded_message_is_genuine_only_where_and_as_it_was_sent() {
    let recorded = seal_events(TOPIC, &key(), &header(41, UP_MS), &[event(UP_MS - 900, Fact::Contact { open: true })]);
    assert!(open(TOPIC, &key(), &recorded).is_ok(), "byte for byte it is genuine: its number is what tells that it was heard before");
    assert_eq!(open("chk/1/d-OTHER/up/evt", &key(), &recorded), Err(Refusal::WrongMac));
    assert_eq!(open(TOPIC, &[9; 32], &recorded), Err(Refusal::WrongMac), "after the key was exchanged");
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("golden")
}

#[test]
fn every_golden_message_is_what_the_encoder_makes() {
    let cases = [single_events(), composed(), refusals(), downlinks(), shown()].concat();
    let mut names = BTreeSet::new();
    for case in &cases {
        let name = format!("{}.json", case["name"].as_str().unwrap());
        let path = folder().join(&name);
        if std::env::var_os("GOLDEN_WRITE").is_some() {
            std::fs::write(&path, format!("{case:#}\n")).unwrap();
        }
        let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{name}: {error}"));
        let stored: Json = serde_json::from_str(&text).unwrap();
        assert_eq!(&stored, case, "{name}");
        assert!(names.insert(name), "two cases of one name");
    }
    let files: BTreeSet<String> =
        std::fs::read_dir(folder()).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(files, names, "a file that no case makes, or a case without its file");
}
