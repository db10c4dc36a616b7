use chrono::TimeDelta;
use proptest::prelude::*;

use super::*;
use crate::domain::evidence::{
    COVER_CLOSED_PERCENT_MAX, COVER_OPEN_PERCENT_MIN, DeviceState, HeldLevel, Level, SensorRules, Verdict, assess,
};
use crate::ingest::facts::{Delivery, of_zigbee2mqtt};

fn rows() -> Vec<Value> {
    include_str!("../../../tests/data/zigbee2mqtt.jsonl").lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The names under which the corpus states contact, cover and battery.
fn stated(report: &Report, open_position: i64) -> Vec<(String, Option<i64>)> {
    let mut facts = Vec::new();
    if let Some(open) = report.contact_open {
        facts.push((if open { "contact_open" } else { "contact_closed" }.to_owned(), None));
    }
    if let Some(cover) = report.cover {
        let openness = if open_position == 0 { 100 - cover.percent } else { cover.percent };
        let name = match openness {
            0..=COVER_CLOSED_PERCENT_MAX => "curtain_closed",
            COVER_OPEN_PERCENT_MIN.. => "curtain_open",
            _ => "curtain_partial",
        };
        facts.push((name.to_owned(), Some(i64::from(cover.percent))));
    }
    facts.extend(report.battery_percent.map(|percent| ("battery".to_owned(), Some(i64::from(percent)))));
    facts
}

fn expected(row: &Value) -> Vec<(String, Option<i64>)> {
    let facts = row["facts"].as_array().into_iter().flatten();
    facts
        .map(|fact| (fact[0].as_str().unwrap().to_owned(), fact[1].as_i64()))
        .filter(|(name, _)| name.starts_with("contact_") || name.starts_with("curtain_") || name == "battery")
        .collect()
}

#[test]
fn recorded_messages_read_as_their_meaning_says() {
    let (mut devices, mut online) = (0, 0);
    for row in rows() {
        let (id, topic) = (row["id"].as_str().unwrap(), row["topic"].as_str().unwrap());
        let payload = row["payload"].as_str().unwrap_or_default().as_bytes();
        match Topic::parse("zigbee2mqtt", topic).unwrap() {
            Topic::Gateway | Topic::Availability(_) => {
                let meant = row["meaning"] == "availability_online";
                assert_eq!(decode_online(payload), Ok(Some(meant)), "{id}");
                online += 1;
            }
            Topic::Ignored => assert_eq!(row["meaning"], "irrelevant", "{id}"),
            // Attribute output publishes scalars on topics of their own; no device of that name is registered.
            Topic::Device(_) if !payload.is_empty() && !payload.starts_with(b"{") => {
                assert_eq!(decode(payload), Err(Refusal::Malformed), "{id}");
            }
            Topic::Device(_) => {
                let open_position = row["registry"]["open_position"].as_i64().unwrap_or(100);
                let mut found = stated(&decode(payload).unwrap(), open_position);
                for (fact, wanted) in found.iter_mut().zip(expected(&row)) {
                    // Without a position the corpus gives no number.
                    fact.1 = wanted.1.and(fact.1);
                }
                assert_eq!(found, expected(&row), "{id}");
                devices += 1;
            }
        }
    }
    assert!(devices > 80 && online > 5, "{devices} device messages, {online} others");
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
        for fact in of_zigbee2mqtt(&decode(payload).unwrap(), delivery) {
            let (_, verdicts) = assess(before.clone(), &fact, &rules);
            assert!(matches!(verdicts[..], [Verdict::Baseline(_) | Verdict::Unchanged]), "{}: {verdicts:?}", row["id"]);
            stale += 1;
        }
    }
    assert!(stale >= 6, "{stale}");
}

#[test]
fn fields_that_make_no_sense_are_dropped_and_never_guessed() {
    let check = |payload: &str, expected: Result<Report, Refusal>| {
        assert_eq!(decode(payload.as_bytes()), expected, "{payload}");
    };
    let open = Report { contact_open: Some(true), ..Report::default() };
    let cover = |percent, moving| Ok(Report { cover: Some(Cover { percent, moving }), ..Report::default() });
    check("", Ok(Report::default()));
    check("{}", Ok(Report::default()));
    check(r#"{"contact":null,"battery":null,"position":null,"state":null}"#, Ok(Report::default()));
    check(r#"{"contact":false,"battery":255}"#, Ok(open));
    check(r#"{"contact":"false"}"#, Err(Refusal::Malformed));
    check(r#"{"contact":0}"#, Err(Refusal::Malformed));
    check(r#"{"position":101,"state":"OPEN"}"#, Err(Refusal::Malformed));
    check(r#"{"position":"100","state":"OPEN"}"#, Err(Refusal::Malformed));
    check(r#"{"position":-1,"contact":false}"#, Ok(open));
    check(r#"{"position":0,"state":"OPEN"}"#, cover(0, false));
    check(r#"{"position":63.4}"#, cover(63, false));
    check(r#"{"position":100,"running":true}"#, cover(100, true));
    check(r#"{"position":100,"motor_state":"closing"}"#, cover(100, true));
    check(r#"{"state":"OPEN"}"#, cover(100, false));
    check(r#"{"state":"ON"}"#, Ok(Report::default()));
    check(r#"{"opening_state":"tilted"}"#, Ok(Report::default()));
    check(r#"{"opening_state":5}"#, Err(Refusal::Malformed));
    check(r#"{"contact":true,"contact":false}"#, Err(Refusal::Malformed));
    check("[true]", Err(Refusal::Malformed));
    check("true", Err(Refusal::Malformed));
    check(&format!("{{\"contact\":false,\"x\":{}1{}}}", "[".repeat(40), "]".repeat(40)), Err(Refusal::Malformed));
    check(&format!("{{\"contact\":false,\"x\":\"{}\"}}", "x".repeat(PAYLOAD_BYTES_MAX)), Err(Refusal::TooLarge));
}

#[test]
fn last_seen_is_read_in_both_forms() {
    for payload in [r#"{"last_seen":"2026-09-07T06:40:08+08:00"}"#, r#"{"last_seen":1788734408000}"#] {
        let seen = decode(payload.as_bytes()).unwrap().last_seen.unwrap();
        assert_eq!(seen.timestamp_millis(), 1_788_734_408_000, "{payload}");
    }
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
