use base64::Engine;
use chrono::{DateTime, Utc};
use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::domain::evidence::{Class, DeviceState, HeldLevel, Level, ReplayWindow, Seen, SensorRules, Verdict, assess, settle};
use crate::ingest::facts::{Delivery, of_native};

mod golden;

const TOPIC: &str = "chk/1/d-7Q2F/up/evt";

fn key() -> Key {
    Key { kid: 1, secret: std::array::from_fn(|n| u8::try_from(n).unwrap()) }
}

fn hex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

/// Signs a body as a device does.
fn signed(body: &[u8]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(&key().secret).unwrap();
    mac.update(format!("chk/1\0{TOPIC}\0").as_bytes());
    mac.update(body);
    let code = mac.finalize().into_bytes();
    let length = u8::try_from(body.len()).unwrap();
    let mut payload = if length < 24 { vec![0x82, 0x40 | length] } else { vec![0x82, 0x58, length] };
    payload.extend(body);
    payload.push(0x50);
    payload.extend(&code[..16]);
    payload
}

const VECTOR: &str = "825838a9000101010207031a9f3c21aa041829051a052830c0061b000001a078e1ff4007020882831a05282da001\
                      01831a0528305c0e82031902805092744d1cc03a70fd88c5294a6a655ebc";

/// The body of the vector: 0x38 bytes after the head.
fn vector_body() -> Vec<u8> {
    hex(VECTOR)[3..3 + 0x38].to_vec()
}

#[test]
fn the_reference_message_reads_as_documented() {
    let payload = hex(VECTOR);
    assert_eq!(payload.len(), 76);
    let message = decode(TOPIC, &payload, &[key()]).unwrap();
    let expected = Message {
        kid: 1,
        boot_n: 7,
        boot_id: 0x9f3c_21aa,
        seq: 41,
        up_ms: 86_520_000,
        wall: Some(WallHint { unix_ms: 1_788_734_472_000, uncertainty_s: 2 }),
        events: vec![
            Event { index: 0, up_ms: 86_519_200, kind: Kind::Contact { open: true } },
            Event { index: 1, up_ms: 86_519_900, kind: Kind::LuxJump { before: 3, after: 640 } },
        ],
    };
    assert_eq!(message, expected);
    assert_eq!(signed(&vector_body())[2..], payload[2..], "the test signs as the reference does");
}

#[test]
fn any_changed_byte_any_other_key_and_any_other_topic_is_refused() {
    let payload = hex(VECTOR);
    for at in 0..payload.len() {
        for bit in 0..8 {
            let mut changed = payload.clone();
            changed[at] ^= 1 << bit;
            assert!(decode(TOPIC, &changed, &[key()]).is_err(), "byte {at} bit {bit}");
        }
    }
    assert_eq!(decode("chk/1/d-OTHER/up/evt", &payload, &[key()]), Err(Refusal::Forged));
    assert_eq!(decode("chk/1/d-7Q2F/up/tele", &payload, &[key()]), Err(Refusal::Forged));
    assert_eq!(decode(TOPIC, &payload, &[Key { secret: [9; 32], ..key() }]), Err(Refusal::Forged));
    assert_eq!(decode(TOPIC, &payload, &[Key { kid: 2, ..key() }]), Err(Refusal::Forged), "right secret, wrong name");
    assert_eq!(decode(TOPIC, &payload, &[]), Err(Refusal::Forged));
    let other = Key { kid: 2, secret: [9; 32] };
    assert!(decode(TOPIC, &payload, &[other, key()]).is_ok(), "two keys are valid while one is rotated");
}

#[test]
fn a_message_has_one_encoding_only() {
    let body = vector_body();
    let replaced = |at: usize, old: &[u8], new: &[u8]| {
        assert_eq!(&body[at..at + old.len()], old);
        signed(&[&body[..at], new, &body[at + old.len()..]].concat())
    };
    let cases = [
        ("kid in two bytes", replaced(3, &[0x01, 0x01], &[0x01, 0x18, 0x01])),
        ("indefinite map", replaced(0, &[0xa9], &[0xbf])),
        ("field twice", replaced(3, &[0x01, 0x01], &[0x00, 0x01])),
        ("missing field", replaced(0, &[0xa9], &[0xa8])),
        ("bytes after the body", signed(&[&body[..], &[0x00]].concat())),
        ("bytes after the code", [&signed(&body)[..], &[0x00]].concat()),
        ("no events", signed(&hex("a70001010102070300040105010880"))),
        ("seventeen events", signed(&[&hex("a7000101010207030004010501")[..], &hex("0891"), &hex("83000101").repeat(17)].concat())),
        ("event after the sending", signed(&hex("a7000101010207030004010501088183020101"))),
        ("larger than one kibibyte", vec![0; PAYLOAD_BYTES_MAX + 1]),
        ("nothing", vec![]),
    ];
    assert!(decode(TOPIC, &signed(&hex("a7000101010207030004010501088183010101")), &[key()]).is_ok());
    for (name, payload) in cases {
        let refused = decode(TOPIC, &payload, &[key()]);
        assert!(matches!(refused, Err(Refusal::Malformed | Refusal::TooLarge)), "{name}: {refused:?}");
    }
    assert_eq!(decode(TOPIC, &signed(&hex("a70002")), &[key()]), Err(Refusal::Version(2)));
}

#[test]
fn values_that_make_no_sense_are_unknown_but_a_press_for_help_stays_one() {
    let cases: [(u32, &[i64], Kind); 9] = [
        (1, &[2], Kind::Unknown(1)),
        (2, &[101], Kind::Unknown(2)),
        (3, &[-1], Kind::Unknown(3)),
        (6, &[-37], Kind::TiltDegrees(-37)),
        (7, &[1], Kind::HelpButton { long: false }),
        (7, &[9], Kind::HelpButton { long: true }),
        (13, &[-71, 3], Kind::Heartbeat { rssi_dbm: -71, queued: 3 }),
        (14, &[3], Kind::Unknown(14)),
        (99, &[1], Kind::Unknown(99)),
    ];
    for (number, value, expected) in cases {
        assert_eq!(kind(number, value), expected, "{number} {value:?}");
    }
}

#[test]
fn topics_belong_to_one_device_and_names_cannot_widen_them() {
    let events = Topic { device: "d-7Q2F", channel: Channel::Events };
    assert_eq!(Topic::parse(TOPIC), Some(events));
    for topic in ["chk/1/d-7Q2F/dn/ack", "chk/1//up/evt", "chk/1/+/up/evt", "chk/1/a/b/up/evt", "chk/1/d/up/evt/x", "chk/2/d/up/evt"] {
        assert_eq!(Topic::parse(topic), None, "{topic}");
    }
    assert!(!valid_device_name(&"x".repeat(65)));
}

#[test]
fn a_status_is_read_and_a_broken_one_refused() {
    let status = decode_status(br#"{"s":"on","bn":8,"bid":287454020,"bd":15,"fw":"1.4.0","next_s":21600}"#).unwrap();
    assert_eq!((status.state, status.boot_n, status.birth_n, status.next_seconds), (StatusState::On, 8, 15, Some(21600)));
    for payload in [
        "",
        "{}",
        r#"{"s":"dead","bn":8,"bd":15}"#,
        r#"{"s":"on","s":"off","bn":8,"bd":15}"#,
        r#"["on",8,15,null,600]"#,
        r#"{"s":"on","bn":-1,"bd":15}"#,
    ] {
        assert!(decode_status(payload.as_bytes()).is_err(), "{payload}");
    }
}

struct Row {
    id: String,
    topic: String,
    payload: Vec<u8>,
    meaning: String,
    fields: Value,
}

fn rows() -> Vec<Row> {
    include_str!("../../../tests/data/native.jsonl")
        .lines()
        .map(|line| {
            let row: Value = serde_json::from_str(line).unwrap();
            let text = |name: &str| row[name].as_str().unwrap_or_default().to_owned();
            let payload = match row["payload_b64"].as_str() {
                Some(encoded) => base64::engine::general_purpose::STANDARD.decode(encoded).unwrap(),
                None => text("payload").into_bytes(),
            };
            Row { id: text("id"), topic: text("topic"), payload, meaning: text("meaning"), fields: row }
        })
        .collect()
}

/// Plays the recorded script of one device through decoder, replay window and rules.
#[test]
fn the_recorded_script_of_one_device_means_what_it_says() {
    let rules = SensorRules::default();
    let received_at: DateTime<Utc> = DateTime::from_timestamp_millis(1_788_734_472_000).unwrap();
    let mut window = None;
    let mut envelopes = 0;
    for Row { id, topic, payload, meaning, fields } in rows() {
        let Some(Topic { channel: Channel::Events | Channel::Telemetry, .. }) = Topic::parse(&topic) else {
            continue;
        };
        envelopes += 1;
        let message = decode(&topic, &payload, &[key()]);
        let Ok(message) = message else {
            assert_eq!(meaning, "malformed", "{id}");
            continue;
        };
        let seen = ReplayWindow::admit(&mut window, message.boot_n, message.seq);
        match id.as_str() {
            "nat-0008" => assert_eq!(seen, Seen::Before, "a repeated press"),
            "nat-0015" => assert_eq!(seen, Seen::NewBoot),
            "nat-0018" => assert_eq!(seen, Seen::OldBoot, "a replay"),
            _ => assert!(matches!(seen, Seen::New | Seen::NewBoot), "{id}"),
        }
        let opened = message.events.iter().any(|event| event.kind == Kind::Contact { open: true });
        if seen != Seen::OldBoot {
            assert_eq!(opened, fields["facts"].to_string().contains("contact_open"), "{id}");
            assert_ne!(meaning, "malformed", "{id}");
        }
        let native = of_native(&message, Delivery { received_at, retained: false, waited: false }, &rules);
        if id == "nat-0017" {
            assert!(native.clock_bad, "a clock in 2099 is reported and not believed");
        }
        assert!(native.facts.iter().all(|fact| fact.observed_at <= received_at), "{id}");
    }
    assert_eq!(envelopes, 25);
}

#[test]
fn an_opening_seven_hours_ago_is_dated_seven_hours_ago_without_a_clock() {
    let row = rows().into_iter().find(|row| row.id == "nat-0013").unwrap();
    let message = Message { wall: None, ..decode(&row.topic, &row.payload, &[key()]).unwrap() };
    let received_at = DateTime::from_timestamp_millis(1_788_778_100_000).unwrap();
    let rules = SensorRules::default();
    let facts = of_native(&message, Delivery { received_at, retained: false, waited: false }, &rules).facts;
    assert_eq!((received_at - facts[0].observed_at).num_minutes(), 7 * 60 + 4);
    let night = HeldLevel { level: Level::Closed, since: facts[0].observed_at - chrono::TimeDelta::hours(8) };
    let mut state = DeviceState { held: Some(night), calibrated: true, ..DeviceState::default() };
    let mut verdicts = Vec::new();
    for fact in &facts {
        let (next, said) = assess(state, fact, &rules);
        state = next;
        verdicts.extend(said);
    }
    verdicts.extend(settle(state, received_at, &rules).1);
    let proof = verdicts.iter().find(|verdict| matches!(verdict, Verdict::Evidence { class: Class::A, .. }));
    assert!(
        matches!(proof, Some(Verdict::Evidence { observed_at, .. }) if *observed_at == facts[0].observed_at),
        "it counts for its own time, never for the arrival: {verdicts:?}"
    );
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(payload in prop::collection::vec(any::<u8>(), 0..1200), topic in ".{0,40}") {
        let _ = decode(&topic, &payload, &[key()]);
        let _ = decode_status(&payload);
        let _ = Topic::parse(&topic);
    }

    /// A correct signature lets the bytes reach the parser.
    #[test]
    fn arbitrary_signed_bodies_never_panic(body in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = decode(TOPIC, &signed(&body), &[key()]);
    }

    #[test]
    fn a_damaged_but_signed_body_never_panics(at in 0_usize..0x38, byte: u8) {
        let mut body = vector_body();
        body[at] = byte;
        if let Ok(message) = decode(TOPIC, &signed(&body), &[key()]) {
            let received_at = DateTime::from_timestamp_millis(1_788_734_472_000).unwrap();
            of_native(&message, Delivery { received_at, retained: false, waited: true }, &SensorRules::default());
        }
    }
}
