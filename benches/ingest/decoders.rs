//! Nanoseconds per message: topic and bytes in, facts out, over the collected messages of each ecosystem.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chenlian::ingest::explain::Explainer;
use chenlian::ingest::settings::Settings;
use serde_json::Value;

const RUN: Duration = Duration::from_millis(200);
const RUNS: usize = 5;

struct Row {
    topic: String,
    payload: Vec<u8>,
    settings: Settings,
}

pub fn measure() {
    println!("decoders: ns per message (median of {RUNS} runs), beside serde_json reading the same bytes into a value");
    for (family, rows) in rows() {
        // A fresh one each time: an old number of a native device would be refused before it is read.
        let ours = nanoseconds(&rows, |row| drop(black_box(Explainer::default().explain(&row.topic, &row.payload, &row.settings))));
        let parsed = nanoseconds(&rows, |row| drop(black_box(serde_json::from_slice::<Value>(&row.payload))));
        let bytes = rows.iter().map(|row| row.payload.len()).sum::<usize>() / rows.len();
        println!(
            "  {family:<16} {:>4} messages of {bytes:>5} bytes {ours:>8.0} ns   JSON alone {parsed:>8.0} ns   {:>4.1} x",
            rows.len(),
            ours / parsed
        );
    }
}

fn rows() -> BTreeMap<String, Vec<Row>> {
    let mut families: BTreeMap<String, Vec<Row>> = BTreeMap::new();
    for line in include_str!("../../tests/data/sensors.jsonl").lines() {
        let row: Value = serde_json::from_str(line).expect("a row of the collection");
        let word = |name: &str| row[name].as_str();
        let payload = match word("payload") {
            Some(text) => text.as_bytes().to_vec(),
            None => STANDARD.decode(word("payload_b64").expect("one of the two")).expect("base64"),
        };
        let settings = row["registry"].as_object().map_or_else(Settings::default, |entry| Settings::read(entry).expect("settings"));
        let topic = word("topic").expect("a topic").to_owned();
        families.entry(word("ecosystem").expect("an ecosystem").to_owned()).or_default().push(Row { topic, payload, settings });
    }
    families
}

fn nanoseconds(rows: &[Row], mut read: impl FnMut(&Row)) -> f64 {
    let mut runs: Vec<f64> = (0..RUNS)
        .map(|_| {
            let (began, mut rounds) = (Instant::now(), 0_u32);
            while began.elapsed() < RUN {
                rows.iter().for_each(&mut read);
                rounds += 1;
            }
            let messages = f64::from(rounds) * f64::from(u32::try_from(rows.len()).expect("few"));
            began.elapsed().as_secs_f64() * 1e9 / messages
        })
        .collect();
    runs.sort_unstable_by(f64::total_cmp);
    runs[RUNS / 2]
}
