//! What a message of a bought device says of its own time and number. A time is that of the event or of the last radio contact; it
//! vetoes "now" and never wins (sensors.md §3.5). A number names a press, so that its repeat is told from the next one.

use chrono::{DateTime, NaiveDateTime, TimeDelta, Utc};
use serde_json::{Map, Value};

use super::said::{json, said, text};
use super::settings::Settings;
use crate::domain::device::Ecosystem;
use crate::domain::evidence::EPOCH_2020_SECONDS;

/// How far a clock may be ahead of ours and still be believed.
const AHEAD_MAX: TimeDelta = TimeDelta::seconds(120);

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Stamp {
    pub at: Option<DateTime<Utc>>,
    pub number: Option<String>,
}

/// Since when a state is what it is, where that is said on a topic of its own: Home Assistant with `publish_timestamps`.
pub fn of_state(ecosystem: Ecosystem, topic: &str, payload: &[u8], received_at: DateTime<Utc>) -> Option<DateTime<Utc>> {
    if ecosystem != Ecosystem::Statestream || !topic.ends_with("/last_changed") {
        return None;
    }
    let at = DateTime::parse_from_rfc3339(text(payload).ok()?.trim_matches('"')).ok()?.to_utc();
    is_plausible(at, received_at).then_some(at)
}

fn is_plausible(at: DateTime<Utc>, received_at: DateTime<Utc>) -> bool {
    at.timestamp() >= EPOCH_2020_SECONDS && at <= received_at + AHEAD_MAX
}

pub fn read(ecosystem: Ecosystem, topic: &str, payload: &[u8], settings: &Settings, received_at: DateTime<Utc>) -> Stamp {
    let Ok(Value::Object(fields)) = json(payload) else { return Stamp::default() };
    let (at, number) = match ecosystem {
        Ecosystem::Zigbee2Mqtt => (said(&fields, "last_seen").and_then(contact), None),
        Ecosystem::Tasmota => (local(&fields, settings), None),
        Ecosystem::Shelly1 => (seconds(said(&fields, "timestamp")), numbered(topic, said(&fields, "event_cnt"))),
        Ecosystem::Shelly2 => shelly(topic, &fields),
        Ecosystem::Zwave => (said(&fields, "time").and_then(Value::as_i64).and_then(DateTime::from_timestamp_millis), None),
        Ecosystem::Theengs => (None, numbered("packet", said(&fields, "packet"))),
        _ => (None, None),
    };
    Stamp { at: at.filter(|at| is_plausible(*at, received_at)), number }
}

/// ISO 8601 with offset, or milliseconds since 1970.
fn contact(value: &Value) -> Option<DateTime<Utc>> {
    match value {
        Value::String(text) => DateTime::parse_from_rfc3339(text).ok().map(|at| at.to_utc()),
        value => value.as_i64().and_then(DateTime::from_timestamp_millis),
    }
}

/// Seconds since 1970, with or without a fraction.
fn seconds(value: Option<&Value>) -> Option<DateTime<Utc>> {
    let seconds = value?.as_f64().filter(|seconds| (0.0..1e11).contains(seconds))?;
    #[expect(clippy::cast_possible_truncation, reason = "bounded above, whole milliseconds")]
    DateTime::from_timestamp_millis((seconds * 1000.0) as i64)
}

/// Local time says something only where the register knows the zone.
fn local(fields: &Map<String, Value>, settings: &Settings) -> Option<DateTime<Utc>> {
    let time = said(fields, "Time")?.as_str()?;
    let naive: NaiveDateTime = time.parse().ok()?;
    naive.and_local_timezone(settings.zone?).earliest().map(|at| at.to_utc())
}

fn numbered(of: &str, number: Option<&Value>) -> Option<String> {
    number.filter(|number| number.is_number()).map(|number| format!("{of}:{number}"))
}

/// The age of a Bluetooth sensor's value is its own; everything else is dated by the notice.
fn shelly(topic: &str, fields: &Map<String, Value>) -> (Option<DateTime<Utc>>, Option<String>) {
    let params = said(fields, "params").and_then(Value::as_object).unwrap_or(fields);
    let parts = params.values().filter_map(Value::as_object).chain([params]);
    let updated = parts.filter_map(|part| seconds(said(part, "last_updated_ts"))).max();
    let event = said(params, "events").and_then(Value::as_array).and_then(|events| events.last());
    let event_ts = event.and_then(|event| event.get("ts")).or(event.and(params.get("ts")));
    let at = updated.or_else(|| seconds(event_ts)).or_else(|| seconds(said(params, "ts")));
    (at, numbered(topic, event_ts))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_ecosystem_dates_its_events_as_it_can_and_a_clock_that_was_never_set_says_nothing() {
        let received_at: DateTime<Utc> = "2026-09-07T00:30:00Z".parse().unwrap();
        let settings = Settings { zone: Some(chrono_tz::Asia::Shanghai), ..Settings::default() };
        for (ecosystem, payload, expected) in [
            (Ecosystem::Zigbee2Mqtt, r#"{"last_seen":"2026-09-07T06:40:08+08:00"}"#, Some("2026-09-06T22:40:08Z")),
            (Ecosystem::Zigbee2Mqtt, r#"{"last_seen":1788734408000}"#, Some("2026-09-06T22:40:08Z")),
            (Ecosystem::Tasmota, r#"{"Time":"2026-09-07T07:12:33"}"#, Some("2026-09-06T23:12:33Z")),
            (Ecosystem::Tasmota, r#"{"Time":"1970-01-01T00:00:07"}"#, None),
            (Ecosystem::Shelly1, r#"{"motion":true,"timestamp":1788734408}"#, Some("2026-09-06T22:40:08Z")),
            (Ecosystem::Shelly2, r#"{"params":{"ts":1.61}}"#, None),
            (
                Ecosystem::Shelly2,
                r#"{"params":{"ts":1788734466.3,"bthomesensor:2":{"last_updated_ts":1788734408}}}"#,
                Some("2026-09-06T22:40:08Z"),
            ),
            (Ecosystem::Zwave, r#"{"time":1788734408000,"value":22}"#, Some("2026-09-06T22:40:08Z")),
            (Ecosystem::Zwave, r#"{"time":1988734408000,"value":22}"#, None),
        ] {
            let expected = expected.map(|at| at.parse::<DateTime<Utc>>().unwrap());
            assert_eq!(read(ecosystem, "t", payload.as_bytes(), &settings, received_at).at, expected, "{payload}");
        }
        let unset = read(Ecosystem::Tasmota, "t", br#"{"Time":"2026-09-07T07:12:33"}"#, &Settings::default(), received_at);
        assert_eq!(unset.at, None, "without a zone");
    }

    #[test]
    fn home_assistant_dates_a_state_on_a_topic_of_its_own() {
        let received_at: DateTime<Utc> = "2026-11-23T20:49:25Z".parse().unwrap();
        let at = Some("2026-11-23T20:49:24.084800Z".parse::<DateTime<Utc>>().unwrap());
        for (topic, payload, expected) in [
            ("ha/binary_sensor/curtain/last_changed", "2026-11-23T20:49:24.084800+00:00", at),
            ("ha/binary_sensor/curtain/last_changed", r#""2026-11-23T20:49:24.084800+00:00""#, at),
            ("ha/binary_sensor/curtain/last_updated", "2026-11-23T20:49:24.084800+00:00", None),
            ("ha/binary_sensor/curtain/last_changed", "2026-11-23T21:49:24+00:00", None),
            ("ha/binary_sensor/curtain/last_changed", "2026-11-23T20:49:24", None),
            ("ha/binary_sensor/curtain/last_changed", "", None),
        ] {
            assert_eq!(of_state(Ecosystem::Statestream, topic, payload.as_bytes(), received_at), expected, "{topic} {payload}");
        }
    }

    #[test]
    fn a_press_is_named_by_its_count() {
        let number = |payload: &str| {
            read(Ecosystem::Shelly1, "b/input_event/0", payload.as_bytes(), &Settings::default(), DateTime::UNIX_EPOCH).number
        };
        assert_eq!(number(r#"{"event":"L","event_cnt":17}"#), number(r#"{"event":"L","event_cnt":17,"x":1}"#));
        assert_ne!(number(r#"{"event":"L","event_cnt":17}"#), number(r#"{"event":"L","event_cnt":18}"#));
    }
}
