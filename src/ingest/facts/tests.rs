//! The rules of freshness over all collected messages in the order of time.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;

use super::*;
use crate::domain::evidence::{DeviceState, HeldLevel, Lasting, Level, Memory, Verdict, assess, settle};
use crate::ingest::explain::{Explainer, Family};
use crate::ingest::settings::Settings;

/// The change before these was not collected: they come from another home or device with the same topic, or after a gap.
const STARTS_ANEW: [&str; 5] = ["z2m-0326", "z2m-0327", "z1x-0005", "bad-0097", "tas-0010"];

struct Row {
    at: DateTime<Utc>,
    fields: Value,
}

impl Row {
    fn text(&self, name: &str) -> &str {
        self.fields[name].as_str().unwrap_or_default()
    }

    fn is(&self, name: &str) -> bool {
        self.fields[name] == true
    }

    /// One state is kept for each sensor: the topic, with the part or the device that it names inside.
    fn sensor(&self, reading: Reading) -> String {
        let payload: Value = serde_json::from_str(self.text("payload")).unwrap_or_default();
        let inside = match &payload["params"] {
            Value::Object(params) => params.keys().filter(|key| *key != "ts").cloned().collect(),
            _ => format!("{}{}", payload["model"], payload["id"]),
        };
        let kind = match reading {
            Reading::CoverWord { .. } => std::mem::discriminant(&Reading::Cover { percent: 0, moving: false }),
            _ => std::mem::discriminant(&reading),
        };
        format!("{} {inside} {kind:?}", self.text("topic"))
    }
}

/// What has no time of its own came a minute after the one before.
fn rows() -> Vec<Row> {
    let mut before: DateTime<Utc> = "2026-09-06T22:00:00Z".parse().unwrap();
    let mut rows = Vec::new();
    for line in include_str!("../../../tests/data/sensors.jsonl").lines() {
        let fields: Value = serde_json::from_str(line).unwrap();
        before = fields["recv_time"].as_str().map_or(before + TimeDelta::minutes(1), |at| at.parse().unwrap());
        rows.push(Row { at: before, fields });
    }
    rows.sort_by_key(|row| row.at);
    rows
}

fn last_seen(row: &Row) -> Option<DateTime<Utc>> {
    let fields: Value = serde_json::from_str(row.text("payload")).ok()?;
    DateTime::parse_from_rfc3339(fields["last_seen"].as_str()?).ok().map(|at| at.to_utc())
}

/// What asks for a person's attention or counts for a person.
fn is_news(verdict: Verdict) -> bool {
    matches!(verdict, Verdict::Evidence { .. } | Verdict::Settling { .. } | Verdict::Help { .. })
}

/// I8. Of the messages that are of another day none becomes news, nor does a repeat; what happened is seen to have happened.
#[test]
fn what_is_stale_or_repeated_is_no_news_and_every_fresh_change_is_seen() {
    let rules = SensorRules::default();
    let mut explainer = Explainer::default();
    let mut states: BTreeMap<String, DeviceState> = BTreeMap::new();
    let (mut wrong, mut stale, mut fresh) = (Vec::new(), 0, 0);
    for row in rows() {
        let settings = row.fields["registry"].as_object().map_or_else(Settings::default, |entry| Settings::read(entry).unwrap());
        let found = explainer.explain(row.text("topic"), row.text("payload").as_bytes(), &settings);
        // Numbered and dated by the device itself: `tests/it/sensors/corpus.rs`.
        let (Ok(saying), false) = (found.said, found.family == Family::Native) else { continue };
        let waited = row.text("delivery") == "queued_offline";
        let delivery = Delivery { received_at: row.at, retained: row.is("retain_seen"), waited };
        stale += u32::from(row.is("stale"));
        for fact in of_saying(&saying, last_seen(&row), delivery) {
            let held = match fact.reading {
                Reading::Contact { open } => {
                    if open {
                        Level::Closed
                    } else {
                        Level::Open
                    }
                }
                Reading::Cover { percent, .. } => {
                    if percent > 50 {
                        Level::Closed
                    } else {
                        Level::Open
                    }
                }
                Reading::CoverWord { level: Level::Closed } | Reading::Motion { seen: false } => Level::Open,
                Reading::HelpState { .. } | Reading::Motion { .. } | Reading::HelpButton | Reading::CoverWord { .. } => Level::Closed,
                _ => continue,
            };
            let state =
                states.entry(row.sensor(fact.reading)).or_insert_with(|| DeviceState { calibrated: true, ..DeviceState::default() });
            // The messages begin in the middle of a life: what changes was the other way round before.
            let known = state.held.is_some() || state.memory != Memory::default();
            if row.is("edge") && (!known || STARTS_ANEW.contains(&row.text("id"))) {
                let since = row.at - TimeDelta::hours(9);
                let before = Some(Lasting { on: held == Level::Open, since });
                match fact.reading {
                    Reading::Motion { .. } => state.memory.motion = before,
                    Reading::HelpState { .. } => state.memory.call = before,
                    _ => state.held = Some(HeldLevel { level: held, since }),
                }
            }
            // What has lasted was told meanwhile, by the clock.
            let (lasted, told) = settle(state.clone(), row.at, &rules);
            let (next, verdicts) = assess(lasted, &fact, &rules);
            *state = next;
            let news = verdicts.iter().copied().any(is_news);
            if (row.is("stale") || row.fields["edge"] == false) && news {
                wrong.push(format!("{}: {verdicts:?} ({})", row.text("id"), row.text("why")));
            }
            let seen = news || told.is_some() || verdicts.iter().any(|verdict| matches!(verdict, Verdict::Moved | Verdict::Disturbed));
            let main = found_word(&row, fact.reading);
            fresh += u32::from(row.is("edge") && main);
            if row.is("edge") && main && !seen {
                wrong.push(format!("{}: a change, and only {verdicts:?}", row.text("id")));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(stale >= 18 && fresh > 150, "{stale} stale and {fresh} fresh ones");
}

/// Whether the reading is what the message is about.
fn found_word(row: &Row, about: Reading) -> bool {
    let meaning = row.text("meaning");
    match about {
        Reading::Contact { .. } => meaning.starts_with("contact_"),
        Reading::Cover { .. } | Reading::CoverWord { .. } => meaning.starts_with("curtain_"),
        Reading::Motion { .. } => meaning.starts_with("motion"),
        _ => meaning == "sos",
    }
}

/// A timer's movement ends at the limit switch as well: only where it begins says who set it going.
#[test]
fn who_moves_a_motor_is_read_where_the_movement_begins() {
    use Mover::{Afar, Button};
    let delivery = Delivery { received_at: "2026-11-23T07:00:00+08:00".parse().unwrap(), retained: false, waited: false };
    let movers = |fields: &str| -> Vec<Reading> {
        let payload = format!(r#"{{"id":0,{fields}}}"#);
        let saying = crate::ingest::shelly2::decode("shelly/status/cover:0", payload.as_bytes(), &Settings::default()).unwrap();
        of_saying(&saying, None, delivery).into_iter().map(|fact| fact.reading).collect()
    };
    let open = Reading::Cover { percent: 100, moving: false };
    for (fields, expected) in [
        (r#""source":"button","state":"opening","target_pos":100"#, vec![Reading::Moved { by: Button }]),
        (r#""source":"MQTT","state":"opening","target_pos":100"#, vec![Reading::Moved { by: Afar }]),
        (r#""source":"something new","state":"opening""#, vec![Reading::Moved { by: Afar }]),
        (r#""source":"button","state":"closing""#, vec![]),
        (r#""source":"limit_switch","state":"open","current_pos":100"#, vec![open]),
    ] {
        assert_eq!(movers(fields), expected, "{fields}");
    }
    let pulled = |action: &str| {
        let payload = format!(r#"{{"action":"{action}"}}"#);
        let saying =
            crate::ingest::zigbee2mqtt::saying::decode("zigbee2mqtt", "zigbee2mqtt/motor", payload.as_bytes(), &Settings::default())
                .unwrap();
        of_saying(&saying, None, delivery).into_iter().any(|fact| fact.reading == Reading::PulledOpen)
    };
    assert!(pulled("manual_open") && !pulled("manual_close"), "who pulls it shut has not opened it");
}

#[test]
fn what_one_message_says_at_once_are_signals_of_their_own() {
    let delivery = Delivery { received_at: "2026-11-23T07:00:00+08:00".parse().unwrap(), retained: false, waited: false };
    let mut saying = Saying::default();
    for (word, value) in [(Word::ContactOpen, None), (Word::Motion, None), (Word::Illuminance, Some(1e30)), (Word::Vibration, None)] {
        saying.facts.push(Said { word, value, open_percent: None });
    }
    let facts = of_saying(&saying, None, delivery);
    let keys: std::collections::BTreeSet<String> = facts.iter().map(|fact| fact.key.text()).collect();
    assert_eq!(keys.len(), 4);
    assert_eq!(facts[2].reading, Reading::Light { centilux: u32::MAX });
}
