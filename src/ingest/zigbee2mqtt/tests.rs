use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;

use super::*;
use crate::domain::device::Ecosystem;
use crate::domain::evidence::{DeviceState, HeldLevel, Level, SensorRules, Verdict, assess};
use crate::ingest::facts::{Delivery, of_saying};
use crate::ingest::said::{Saying, Word};
use crate::ingest::settings::Settings;
use crate::ingest::stamp;

fn decode(payload: &[u8]) -> Result<Saying, Refusal> {
    saying::decode("zigbee2mqtt", "zigbee2mqtt/device", payload, &Settings::default())
}

fn rows() -> Vec<Value> {
    include_str!("../../../tests/data/zigbee2mqtt.jsonl").lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn recorded_stale_messages_never_prove_that_somebody_rose() {
    let rules = SensorRules::default();
    let mut stale = 0;
    for row in rows().iter().filter(|row| row["stale"] == true) {
        let received_at: DateTime<Utc> = row["recv_time"].as_str().unwrap().parse().unwrap();
        let payload = row["payload"].as_str().unwrap().as_bytes();
        let Some(Topic::Device(_)) = Topic::parse("zigbee2mqtt", row["topic"].as_str().unwrap()) else {
            continue;
        };
        let retained = row["retain_seen"] == true;
        let delivery = Delivery { received_at, retained, waited: row["delivery"] == "queued_offline" };
        let night = HeldLevel { level: Level::Closed, since: received_at - TimeDelta::hours(9) };
        let online_since = row["why"].as_str().unwrap().contains("restart").then(|| received_at - TimeDelta::seconds(2));
        let before = DeviceState { held: Some(night), calibrated: true, online_since, ..DeviceState::default() };
        let last_seen = stamp::read(Ecosystem::Zigbee2Mqtt, "", payload, &Settings::default(), received_at).at;
        let moves =
            |said: &crate::ingest::said::Said| said.word.as_str().starts_with("contact") || said.word.as_str().starts_with("curtain");
        let mut said = decode(payload).unwrap();
        said.facts.retain(moves);
        said.note = None;
        for fact in of_saying(&said, last_seen, delivery) {
            let (_, verdicts) = assess(before.clone(), &fact, &rules);
            assert!(matches!(verdicts[..], [Verdict::Baseline(_) | Verdict::Unchanged]), "{}: {verdicts:?}", row["id"]);
            stale += 1;
        }
    }
    assert!(stale >= 6, "{stale}");
}

#[test]
fn fields_that_make_no_sense_are_dropped_and_never_guessed() {
    let check = |payload: &str, expected: Result<(&[Word], bool), Refusal>| {
        let said = decode(payload.as_bytes()).map(|said| (said.facts.iter().map(|said| said.word).collect::<Vec<_>>(), said.is_moving));
        assert_eq!(said, expected.map(|(words, moving)| (words.to_vec(), moving)), "{payload}");
    };
    let (nothing, open) = (Ok((&[][..], false)), Ok((&[Word::ContactOpen][..], false)));
    let cover = |word: &'static [Word], moving| Ok((word, moving));
    check("", nothing);
    check("{}", nothing);
    check(r#"{"contact":null,"battery":null,"position":null,"state":null}"#, nothing);
    check(r#"{"contact":false,"battery":255}"#, open);
    check(r#"{"contact":"false"}"#, Err(Refusal::Malformed));
    check(r#"{"contact":0}"#, Err(Refusal::Malformed));
    check(r#"{"position":101,"state":"OPEN"}"#, Err(Refusal::Malformed));
    check(r#"{"position":"100","state":"OPEN"}"#, Err(Refusal::Malformed));
    check(r#"{"position":-1,"contact":false}"#, open);
    check(r#"{"position":0,"state":"OPEN"}"#, cover(&[Word::CurtainClosed], false));
    check(r#"{"position":63.4}"#, cover(&[Word::CurtainPartial], false));
    check(r#"{"position":100,"running":true}"#, cover(&[Word::CurtainOpen], true));
    check(r#"{"position":100,"motor_state":"closing"}"#, cover(&[Word::CurtainOpen], true));
    check(r#"{"state":"OPEN"}"#, cover(&[Word::CurtainOpen], false));
    check(r#"{"state":"ON"}"#, nothing);
    check(r#"{"opening_state":"tilted"}"#, cover(&[Word::Tilt], false));
    check(r#"{"opening_state":5}"#, Err(Refusal::Malformed));
    check(r#"{"contact":true,"contact":false}"#, Err(Refusal::Malformed));
    check("[true]", Err(Refusal::Malformed));
    check("true", Err(Refusal::Malformed));
    check(&format!("{{\"contact\":false,\"x\":{}1{}}}", "[".repeat(40), "]".repeat(40)), Err(Refusal::Malformed));
    check(&format!("{{\"contact\":false,\"x\":\"{}\"}}", "x".repeat(PAYLOAD_BYTES_MAX)), Err(Refusal::TooLarge));
}

#[test]
fn names_keep_their_slashes_and_commands_are_not_reports() {
    let parse = |topic| Topic::parse("zigbee2mqtt", topic);
    assert_eq!(parse("zigbee2mqtt/3栋2单元501/卧室/窗帘磁"), Some(Topic::Device("3栋2单元501/卧室/窗帘磁")));
    assert_eq!(parse("zigbee2mqtt/a/availability"), Some(Topic::Availability("a")));
    for topic in ["zigbee2mqtt/a/set", "zigbee2mqtt/a/set/state", "zigbee2mqtt/a/get", "zigbee2mqtt/bridge/devices"] {
        assert_eq!(parse(topic), Some(Topic::Ignored), "{topic}");
    }
    assert_eq!(parse("zigbee2mqtt2/a"), None);
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(payload in prop::collection::vec(any::<u8>(), 0..400), topic in ".{0,60}") {
        let _ = decode(&payload);
        let _ = decode_online(&payload);
        let _ = Topic::parse("zigbee2mqtt", &topic);
    }
}
