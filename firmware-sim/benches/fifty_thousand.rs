//! How much one sleeping sensor costs and how long a fleet takes to start, with an acceptor in the same process:
//! `cargo bench -p firmware-sim --bench fifty_thousand -- 50000`.
//!
//! First the sensors live in real time: each boots, says so, is receipted and sleeps. Then as many are hurried through one day with
//! faults. The numbers are of this process, the acceptor's notes included.

#[expect(dead_code, reason = "the bench needs a part of it")]
#[path = "../tests/acceptor/mod.rs"]
mod acceptor;

use std::time::{Duration, Instant};

use firmware_sim::envelope::device_id;
use firmware_sim::sim::SensorConfig;
use firmware_sim::sim::faults::Faults;
use firmware_sim::sim::fleet::{CONNECTIONS_MAX, Days, Fleet, Part, run_fleet};
use firmware_sim::sim::room::Act;
use firmware_sim::sim::sockets;
use serde_json::json;
use tokio::time::{interval, timeout};
use tokio_util::sync::CancellationToken;

use acceptor::{Book, KEY, Rules, acceptor_with};

const COUNT: usize = 50_000;
/// A fleet that has not started by then never will.
const PATIENCE: Duration = Duration::from_mins(10);
const PAGE_BYTES: u64 = 4096;

#[tokio::main]
async fn main() {
    // Cargo adds its own.
    let count = std::env::args().find_map(|word| word.parse().ok()).unwrap_or(COUNT);
    let room = sockets::raise_limit().unwrap_or(CONNECTIONS_MAX * 2);
    // Both ends of a connection are in this process.
    let connections_max = CONNECTIONS_MAX.min(room / 2);
    let asleep = asleep(count, connections_max).await;
    let hurried = hurried(count, connections_max).await;
    println!("{:#}", json!({ "sensors": count, "connections_max": connections_max, "asleep": asleep, "hurried_day": hurried }));
}

fn sensors(count: usize) -> impl Iterator<Item = SensorConfig> {
    (0..count).map(|at| SensorConfig::new(device_id(&format!("sim-{at:05}")).expect("a plain name"), KEY))
}

async fn asleep(count: usize, connections_max: usize) -> serde_json::Value {
    let rules = Rules { forgetful: true, ..Rules::default() };
    let (broker, book) = acceptor_with(rules).await;
    let (before, started) = (resident_bytes(), Instant::now());
    let (stop, fleet) = (CancellationToken::new(), Fleet { broker, drain: Duration::from_secs(1), connections_max });
    let stopped = stop.clone();
    let parts = sensors(count).map(|config| Part { config, acts: vec![(Duration::from_hours(24), Act::OpenCurtain)] });
    let running = tokio::spawn(async move { run_fleet(&fleet, parts, stopped).await });
    let all = timeout(PATIENCE, async {
        let mut look = interval(Duration::from_millis(100));
        while heard(&book) < count {
            look.tick().await;
        }
    });
    let reached = all.await.is_ok();
    let seconds = started.elapsed().as_secs_f64();
    let grown = resident_bytes().saturating_sub(before);
    stop.cancel();
    let report = running.await.expect("the fleet ends when it is stopped");
    json!({
        "all_heard": reached, "start_seconds": seconds, "bytes_per_sensor": grown / count.max(1) as u64,
        "sent": report.total.sent, "acknowledged": report.total.acknowledged, "receipts": report.total.receipts,
        "connections": report.total.connections,
    })
}

async fn hurried(count: usize, connections_max: usize) -> serde_json::Value {
    let (broker, _) = acceptor_with(Rules { forgetful: true, ..Rules::default() }).await;
    let started = Instant::now();
    let faults = Faults {
        loss: 0.02,
        duplicate: 0.02,
        reorder: 0.02,
        replay: 0.01,
        cut: 0.01,
        bounce: 0.2,
        restart: 0.05,
        flat: 0.001,
        clock_jump: 0.05,
        magnet: 0.01,
        broker_down: 1.0,
        drift: 0.03,
    };
    let days = Days { duration: Duration::from_hours(24), seed: 7, faults };
    let fleet = Fleet { broker, drain: Duration::from_secs(20), connections_max };
    let hurried = sensors(count).map(|config| SensorConfig { hurry: true, ..config });
    let report = run_fleet(&fleet, days.parts(hurried), CancellationToken::new()).await;
    json!({
        "seconds": started.elapsed().as_secs_f64(), "resident_megabytes": resident_bytes() / 1_000_000,
        "undelivered": report.undelivered.len(), "total": report.total,
    })
}

/// Devices of which a message with events has arrived.
fn heard(book: &Book) -> usize {
    book.lock().expect("nobody dies with the book").values().filter(|known| !known.messages.is_empty()).count()
}

fn resident_bytes() -> u64 {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    text.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap_or(0) * PAGE_BYTES
}
