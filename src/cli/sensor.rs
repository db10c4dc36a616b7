//! Messages explained for whoever stands before a strange device: JSON lines in, one JSON line out for each, without database or
//! settings. The register's entry of a device may come along; without it the ecosystem's habits count.

use std::io::{BufRead, Read};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::DateTime;
use serde_json::{Map, Value, json};

use super::Outcome;
use super::console::Console;
use crate::ingest::explain::{Explainer, Explanation, Family, Refused};
use crate::ingest::said::{Note, Word};
use crate::ingest::settings::Settings;

/// Longest line: the largest payload of a bridge, encoded, with room.
const LINE_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// What is wrong with a line, for the language of the terminal.
struct Wrong {
    key: &'static str,
    field: String,
}

impl Wrong {
    fn new(key: &'static str) -> Self {
        Self { key, field: String::new() }
    }
}

/// Explains what stands on standard input; not done if a line could not be read.
pub fn explain(console: Console) -> Outcome {
    let wrong = explain_lines(&mut std::io::stdin().lock(), console, |line| console.say(&line.to_string()));
    match wrong {
        0 => Ok(()),
        wrong => Err(console.failure("sensor.lines_wrong", &[("count", &wrong.to_string())])),
    }
}

/// Calls `out` once for each line that is not empty; the answer is how many could not be read.
fn explain_lines(input: &mut impl BufRead, console: Console, mut out: impl FnMut(&Value)) -> usize {
    let mut explainer = Explainer::default();
    let mut wrong = 0;
    for number in 1_u64.. {
        let mut line = Vec::new();
        match input.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => break,
            Ok(_) => {}
        }
        let whole = line.ends_with(b"\n") || u64::try_from(line.len()).is_ok_and(|length| length < LINE_BYTES_MAX);
        if whole && line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        if !whole {
            skip_line(input);
        }
        let read = if whole { read(&line) } else { Err(Wrong::new("sensor.line_long")) };
        match read {
            Ok((topic, payload, retained, settings)) => {
                out(&written(&explainer.explain(&topic, &payload, &settings), retained, console));
            }
            Err(found) => {
                wrong += 1;
                let line = number.to_string();
                out(&json!({"line": number, "error": console.render(found.key, &[("line", &line), ("field", &found.field)])}));
            }
        }
    }
    wrong
}

fn skip_line(input: &mut impl BufRead) {
    let mut rest = Vec::new();
    loop {
        rest.clear();
        match input.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut rest) {
            Ok(0) | Err(_) => return,
            Ok(_) if rest.ends_with(b"\n") => return,
            Ok(_) => {}
        }
    }
}

/// Topic, payload, whether it was kept, and the register's entry. Other fields are left alone: recorded messages have many.
fn read(line: &[u8]) -> Result<(String, Vec<u8>, bool, Settings), Wrong> {
    let fields: Map<String, Value> = serde_json::from_slice(line).map_err(|_| Wrong::new("sensor.line_json"))?;
    let said = |name: &str| fields.get(name).filter(|value| !value.is_null());
    let topic = said("topic").and_then(Value::as_str).ok_or(Wrong::new("sensor.line_topic"))?;
    let payload = match (said("payload"), said("payload_b64")) {
        (None, Some(encoded)) => {
            encoded.as_str().and_then(|encoded| STANDARD.decode(encoded).ok()).ok_or(Wrong::new("sensor.line_base64"))?
        }
        (Some(Value::String(text)), None) => text.clone().into_bytes(),
        _ => return Err(Wrong::new("sensor.line_payload")),
    };
    let truth = |name: &str| match said(name) {
        None => Ok(false),
        Some(value) => value.as_bool().ok_or(Wrong { key: "sensor.line_truth", field: name.to_owned() }),
    };
    if said("recv_time").is_some_and(|time| time.as_str().is_none_or(|time| DateTime::parse_from_rfc3339(time).is_err())) {
        return Err(Wrong::new("sensor.line_time"));
    }
    let settings = match said("registry") {
        None => Settings::default(),
        Some(Value::Object(entry)) => Settings::read(entry).map_err(|misset| Wrong { key: misset.allowed, field: misset.field })?,
        Some(_) => return Err(Wrong::new("sensor.line_registry")),
    };
    Ok((topic.to_owned(), payload, truth("retain")? || truth("retain_seen")?, settings))
}

fn written(explanation: &Explanation, retained: bool, console: Console) -> Value {
    let facts = explanation.said.as_ref().ok().map(|saying| {
        let facts = saying.facts.iter().map(|said| json!([said.word.as_str(), said.value.map(number)]));
        facts.collect::<Vec<_>>()
    });
    json!({
        "ecosystem": explanation.family.as_str(),
        "meaning": explanation.meaning(),
        "value": explanation.value().map(number),
        "facts": facts,
        "why": why(explanation, retained, console),
    })
}

/// Whole numbers are written without a point.
fn number(value: f64) -> Value {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if value.fract() == 0.0 && value.abs() < EXACT {
        #[expect(clippy::cast_possible_truncation, reason = "whole and in range")]
        return Value::from(value as i64);
    }
    Value::from(value)
}

/// What it says, why it does not say more, and what it is worth.
fn why(explanation: &Explanation, retained: bool, console: Console) -> String {
    let mut keys = Vec::new();
    match &explanation.said {
        Err(refused) => keys.push(refused_key(*refused)),
        Ok(saying) => {
            keys.extend(explanation.primary().map(|said| word_key(said.word)));
            let matters = explanation.primary().is_none() || !matches!(saying.note, Some(Note::Ignored | Note::Command | Note::Cleared));
            keys.extend(saying.note.filter(|_| matters).map(note_key));
            if keys.is_empty() {
                keys.push("sensor.why_nothing");
            }
            if retained && !saying.facts.is_empty() {
                keys.push("sensor.why_retained");
            }
            if explanation.family == Family::Rtl433 && !saying.facts.is_empty() {
                keys.push("sensor.why_radio");
            }
        }
    }
    let sentences: Vec<String> = keys.into_iter().map(|key| console.render(key, &[])).collect();
    sentences.join(console.render("sensor.between", &[]).trim_matches('|'))
}

fn refused_key(refused: Refused) -> &'static str {
    match refused {
        Refused::TooLarge => "sensor.why_too_large",
        Refused::Malformed => "sensor.why_malformed",
        Refused::Forged => "sensor.why_forged",
        Refused::Version => "sensor.why_version",
        Refused::Replay => "sensor.why_replay",
    }
}

fn word_key(word: Word) -> &'static str {
    match word {
        Word::ContactOpen => "sensor.why_contact_open",
        Word::ContactClosed => "sensor.why_contact_closed",
        Word::CurtainOpen => "sensor.why_curtain_open",
        Word::CurtainClosed => "sensor.why_curtain_closed",
        Word::CurtainPartial => "sensor.why_curtain_partial",
        Word::Illuminance => "sensor.why_illuminance",
        Word::Motion => "sensor.why_motion",
        Word::MotionClear => "sensor.why_motion_clear",
        Word::Vibration => "sensor.why_vibration",
        Word::Tilt => "sensor.why_tilt",
        Word::Help | Word::HelpState => "sensor.why_sos",
        Word::ManualAction => "sensor.why_manual_action",
        Word::Battery | Word::BatteryMillivolt => "sensor.why_battery",
        Word::BatteryLow => "sensor.why_battery_low",
        Word::Tamper => "sensor.why_tamper",
        Word::Online => "sensor.why_online",
        Word::Offline => "sensor.why_offline",
    }
}

fn note_key(note: Note) -> &'static str {
    match note {
        Note::Ignored => "sensor.why_ignored",
        Note::Command => "sensor.why_command",
        Note::Emptied => "sensor.why_emptied",
        Note::Button => "sensor.why_button",
        Note::OkButton => "sensor.why_ok_button",
        Note::Cleared => "sensor.why_cleared",
        Note::NoPosition => "sensor.why_no_position",
        Note::NoLevel => "sensor.why_no_level",
        Note::Encrypted => "sensor.why_encrypted",
        Note::Foreign => "sensor.why_foreign",
        Note::LateWill => "sensor.why_late_will",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn explained(input: &[u8]) -> (Vec<Value>, usize) {
        let mut lines = Vec::new();
        let wrong = explain_lines(&mut std::io::Cursor::new(input), Console::of("en"), |line| lines.push(line.clone()));
        (lines, wrong)
    }

    #[test]
    fn each_line_is_answered_and_a_bad_one_does_not_stop_the_others() {
        let input = "{\"topic\":\"zigbee2mqtt/a\",\"payload\":\"{\\\"contact\\\":false,\\\"battery\\\":64}\",\"retain\":true}\n\nnonsense\n\
                     {\"topic\":\"homie/a/light/lux\",\"payload_b64\":\"MTIuNQ==\",\"recv_time\":\"2026-09-07T06:40:00+08:00\"}";
        let (lines, wrong) = explained(input.as_bytes());
        assert_eq!((lines.len(), wrong), (3, 1), "{lines:?}");
        assert_eq!(lines[0]["facts"], json!([["contact_open", null], ["battery", 64]]));
        assert!(lines[0]["why"].as_str().is_some_and(|why| why.contains("kept")), "{}", lines[0]);
        assert_eq!(lines[1]["line"], 3);
        assert_eq!((&lines[2]["meaning"], &lines[2]["value"]), (&json!("illuminance"), &json!(12.5)));
    }

    #[test]
    fn what_a_line_lacks_is_named() {
        for (line, named) in [
            (r#"{"payload":"1"}"#, "topic"),
            (r#"{"topic":"a"}"#, "payload"),
            (r#"{"topic":"a","payload":1}"#, "payload"),
            (r#"{"topic":"a","payload":"1","payload_b64":"MQ=="}"#, "payload_b64"),
            (r#"{"topic":"a","payload_b64":"%"}"#, "payload_b64"),
            (r#"{"topic":"a","payload":"1","retain":"yes"}"#, "retain"),
            (r#"{"topic":"a","payload":"1","recv_time":"yesterday"}"#, "recv_time"),
            (r#"{"topic":"a","payload":"1","registry":[]}"#, "registry"),
            (r#"{"topic":"a","payload":"1","registry":{"open_position":50}}"#, "registry.open_position"),
            (r#"{"topic":"a","payload":"1","registry":{"max":0}}"#, "registry.max"),
            (r#"{"topic":"a","payload":"1","registry":{"key":"00"}}"#, "registry.key"),
            (r#"{"topic":"a","payload":"1","registry":{"key":"00","kid":-1}}"#, "registry.kid"),
        ] {
            let (lines, wrong) = explained(line.as_bytes());
            assert!(wrong == 1 && lines[0]["error"].as_str().is_some_and(|error| error.contains(named)), "{line}: {lines:?}");
        }
    }

    #[test]
    fn a_line_without_end_is_refused_and_skipped() {
        let mut input = vec![b'x'; usize::try_from(LINE_BYTES_MAX * 2 + 5).unwrap()];
        input.extend(b"\n{\"topic\":\"a\",\"payload\":\"1\"}\n");
        let (lines, wrong) = explained(&input);
        assert_eq!((lines.len(), wrong, &lines[1]["meaning"]), (2, 1, &json!("irrelevant")));
    }
}
