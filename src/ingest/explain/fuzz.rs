//! A fuzz target for every decoder: collected messages with a few cuts, flips and foreign words in topic, payload and register
//! entry. `cargo test` plays each for a bounded number of chance inputs; `cargo bolero test ingest::explain::fuzz::tasmota` (from
//! `cargo install cargo-bolero`) lets libFuzzer look for new ways through one decoder for as long as one likes.
//!
//! What must stay true of every input: nothing panics, the same message says the same, numbers are numbers, and a message without
//! a payload says nothing of a person.

use std::sync::LazyLock;

use bolero::{TypeGenerator, check};
use serde_json::{Map, Value};

use super::tests::{payload, rows};
use super::*;

/// Of one target in one run of the tests.
const ITERATIONS: usize = 3_000;

/// What decoders look for, and what makes numbers, texts and brackets end where they should not.
const WORDS: [&str; 32] = [
    "null",
    "true",
    "-1",
    "101",
    "1e999",
    "0.",
    "\"",
    "{",
    "}",
    "[",
    "]",
    ":",
    ",",
    "\\u0000",
    "\u{7a97}",
    "ON",
    "OPEN",
    "open",
    "online",
    "\"contact\":false",
    "\"position\":50",
    "\"action\":\"sos\"",
    "\"battery\":0",
    "\"value\":",
    "/",
    "/state",
    "/set",
    "+",
    "#",
    "\n",
    "NaN",
    "\u{0}",
];

#[derive(Debug, TypeGenerator)]
struct Attempt {
    row: u16,
    topic: Vec<Edit>,
    payload: Vec<Edit>,
    entry: Vec<Edit>,
    /// Instead of the collected payload.
    bytes: Option<Vec<u8>>,
}

#[derive(Debug, TypeGenerator)]
enum Edit {
    Flip { at: u16, bit: u8 },
    Put { at: u16, byte: u8 },
    Cut { at: u16, length: u8 },
    Double { at: u16, length: u8 },
    Insert { at: u16, word: u8 },
}

impl Edit {
    fn make(&self, text: &mut Vec<u8>) {
        let end = text.len();
        let at = |at: u16| usize::from(at) % (end + 1);
        match *self {
            Self::Flip { at: place, bit } => {
                if let Some(byte) = text.get_mut(at(place)) {
                    *byte ^= 1 << (bit % 8);
                }
            }
            Self::Put { at: place, byte } => text.insert(at(place), byte),
            Self::Cut { at: place, length } => drop(text.drain(at(place)..(at(place) + usize::from(length)).min(end))),
            Self::Double { at: place, length } => {
                let part = text[at(place)..(at(place) + usize::from(length)).min(end)].to_vec();
                text.splice(at(place)..at(place), part);
            }
            Self::Insert { at: place, word } => {
                text.splice(at(place)..at(place), WORDS[usize::from(word) % WORDS.len()].bytes());
            }
        }
    }
}

/// A few are enough: what is all edits is refused at its first byte.
fn edited(text: &[u8], edits: &[Edit]) -> Vec<u8> {
    let mut text = text.to_vec();
    edits.iter().take(4).for_each(|edit| edit.make(&mut text));
    text
}

struct Row {
    family: String,
    topic: String,
    payload: Vec<u8>,
    entry: Vec<u8>,
}

static ROWS: LazyLock<Vec<Row>> = LazyLock::new(|| {
    let read = |row: &Value| Row {
        family: row["ecosystem"].as_str().expect("a word").to_owned(),
        topic: row["topic"].as_str().expect("a topic").to_owned(),
        payload: payload(row),
        entry: row["registry"].as_object().map_or_else(|| b"{}".to_vec(), |entry| serde_json::to_vec(entry).expect("plain JSON")),
    };
    rows().iter().map(read).collect()
});

fn play(family: Family) {
    let rows: Vec<&Row> = ROWS.iter().filter(|row| row.family == family.as_str()).collect();
    assert!(!rows.is_empty(), "messages of {} were collected", family.as_str());
    check!().with_iterations(ITERATIONS).with_type::<Attempt>().for_each(|attempt| {
        let row = rows[usize::from(attempt.row) % rows.len()];
        let topic = String::from_utf8_lossy(&edited(row.topic.as_bytes(), &attempt.topic)).into_owned();
        let payload = edited(attempt.bytes.as_deref().unwrap_or(&row.payload), &attempt.payload);
        let entry: Map<String, Value> = serde_json::from_slice(&edited(&row.entry, &attempt.entry)).unwrap_or_default();
        let settings = Settings::read(&entry).unwrap_or_default();
        holds(&topic, &payload, &settings);
        // Also where the topic no longer leads to it.
        let once = decode(family, &topic, &payload, &settings);
        assert_eq!(once, decode(family, &topic, &payload, &settings), "{topic}");
        if let Ok(saying) = &once {
            numbers(&topic, saying);
        }
    });
}

fn holds(topic: &str, payload: &[u8], settings: &Settings) {
    let found = Explainer::default().explain(topic, payload, settings);
    assert_eq!(found, Explainer::default().explain(topic, payload, settings), "{topic}");
    let Ok(saying) = &found.said else { return };
    numbers(topic, saying);
    if payload.is_empty() {
        assert_eq!(saying.facts, [], "{topic}");
    }
}

fn numbers(topic: &str, saying: &Saying) {
    for said in &saying.facts {
        assert!(said.value.is_none_or(f64::is_finite), "{topic}: {said:?}");
    }
}

macro_rules! targets {
    ($($name:ident => $family:expr),+ $(,)?) => {
        $(
            #[test]
            fn $name() {
                play($family);
            }
        )+

        /// A decoder without a target would be forgotten.
        #[test]
        fn every_decoder_has_a_target() {
            let with = [$($family),+];
            let without = [Family::Broker, Family::Unknown];
            assert!(Family::ALL.iter().all(|family| with.contains(family) || without.contains(family)));
        }
    };
}

targets! {
    native => Family::Native,
    zigbee2mqtt => Family::Zigbee2Mqtt,
    tasmota => Family::Tasmota,
    esphome => Family::Esphome,
    shelly1 => Family::Shelly1,
    shelly2 => Family::Shelly2,
    statestream => Family::Statestream,
    tuya => Family::Tuya,
    theengs => Family::Theengs,
    homie4 => Family::Homie4,
    homie5 => Family::Homie5,
    zwave => Family::Zwave,
    rtl433 => Family::Rtl433,
}

/// Whoever holds a key can sign anything: what is inside is read as strictly as what is outside.
#[test]
fn signed_by_a_broken_device() {
    const TOPIC: &str = "chk/1/d-7Q2F/up/evt";
    let key = [7; 32];
    let settings = Settings { key: Some((1, key)), ..Settings::default() };
    // {0: 1, 1: 1, 2: 7, 3: 9, 4: 41, 5: 1000, 8: [[900, 1, 1]]}
    let body = [0xa7, 0, 1, 1, 1, 2, 7, 3, 9, 4, 0x18, 41, 5, 0x19, 3, 0xe8, 8, 0x81, 0x83, 0x19, 3, 0x84, 1, 1];
    let found = Explainer::default().explain(TOPIC, &signed(TOPIC, &body, key), &settings);
    assert_eq!(found.meaning(), "contact_open", "the seed is a message: {found:?}");
    check!().with_iterations(ITERATIONS).with_type::<Vec<Edit>>().for_each(|edits| {
        holds(TOPIC, &signed(TOPIC, &edited(&body, edits), key), &settings);
    });
}

fn signed(topic: &str, body: &[u8], key: [u8; 32]) -> Vec<u8> {
    let code = native::sign(topic, body, &native::Key { kid: 1, secret: key });
    let mut whole = minicbor::Encoder::new(Vec::new());
    let written = whole.array(2).and_then(|whole| whole.bytes(body)?.bytes(&code));
    written.expect("writing to memory");
    whole.into_writer()
}
