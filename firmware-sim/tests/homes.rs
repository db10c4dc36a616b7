//! A compound's mornings from the oracle to what a server would have heard: nobody who stayed shut is heard to open.

#[expect(dead_code, reason = "these tests need a part of it")]
mod acceptor;

use std::time::Duration;

use firmware_sim::envelope::device_id;
use firmware_sim::settings::Settings;
use firmware_sim::sim::SensorConfig;
use firmware_sim::sim::faults::Faults;
use firmware_sim::sim::fleet::{Fleet, FleetReport, run_fleet};
use firmware_sim::sim::homes::{self, Truth};
use firmware_sim::sim::link::Broker;
use firmware_sim::sim::resident::Resident;
use firmware_sim::sim::scenario::{ClockTime, Scenario};
use tokio_util::sync::CancellationToken;

use acceptor::{Book, KEY, acceptor};

const LIMIT: Duration = Duration::from_mins(1);

async fn played(scenario: &Scenario, broker: Broker) -> (Vec<Truth>, FleetReport) {
    let settings = Settings { ack_wait_ms: 150, config_wait_ms: 20, ..Settings::default() };
    let sensors = (0..scenario.homes.len() * 2)
        .map(|at| SensorConfig { settings, hurry: true, ..SensorConfig::new(device_id(&format!("h-{at}")).unwrap(), KEY) })
        .collect();
    let plan = homes::plan(scenario, sensors, None).unwrap();
    let fleet = Fleet { broker, drain: LIMIT, connections_max: 64 };
    (plan.oracle, run_fleet(&fleet, plan.parts, CancellationToken::new()).await)
}

/// Openings that the acceptor heard of a device, and openings that were.
fn heard_and_true(book: &Book, oracle: &[Truth], device: &str) -> (usize, usize) {
    let heard = book.lock().unwrap()[device].count(1, 1);
    (heard, oracle.iter().filter(|truth| truth.device == device && truth.opened_at.is_some()).count())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_compound_is_heard_to_open_exactly_as_often_as_it_did() {
    let (broker, book) = acceptor().await;
    let usual = Resident { sleeps_in: 0.1, forgets: 0.1, stays_shut: 0.1, presses_ok: 0.3, calls_for_help: 0.1, ..Resident::default() };
    let mut scenario = homes::compound(40, 4, 3, 5, usual, (ClockTime::of(5, 30), ClockTime::of(8, 30)));
    scenario.faults = Faults { loss: 0.1, duplicate: 0.1, reorder: 0.1, bounce: 0.3, broker_down: 0.3, ..Faults::default() };
    let (oracle, report) = played(&scenario, broker).await;
    assert_eq!((report.sensors, report.undelivered), (40, Vec::new()));
    let shut = oracle.iter().filter(|truth| truth.opened_at.is_none()).count();
    assert!(shut > 5, "{shut}");
    for at in 0..40 {
        let (heard, opened) = heard_and_true(&book, &oracle, &format!("h-{at}"));
        assert_eq!(heard, opened, "h-{at}");
    }
    let called: usize = oracle.iter().map(|truth| truth.help_after_s.len()).sum();
    let help: usize = book.lock().unwrap().values().map(|known| known.count(7, 1) + known.count(7, 2)).sum();
    assert!(called > 0);
    assert_eq!(help, called);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_fails_no_curtain_is_heard_to_open_more_often_than_it_did() {
    let (broker, book) = acceptor().await;
    let usual = Resident { sleeps_in: 0.1, forgets: 0.3, stays_shut: 0.2, ..Resident::default() };
    let mut scenario = homes::compound(30, 2, 4, 8, usual, (ClockTime::of(5, 30), ClockTime::of(8, 30)));
    scenario.faults =
        Faults { restart: 0.4, flat: 0.03, magnet: 0.5, clock_jump: 0.3, replay: 0.2, drift: 0.05, cut: 0.1, ..Faults::default() };
    let (oracle, report) = played(&scenario, broker).await;
    assert!(report.total.restarts > 0 && report.total.died > 0 && report.total.replayed > 0, "{report:?}");
    for at in 0..30 {
        let (heard, opened) = heard_and_true(&book, &oracle, &format!("h-{at}"));
        // After a restart the level is told once more, as a level.
        let levels = book.lock().unwrap()[&format!("h-{at}")].messages.values().filter(|events| is_open_at_boot(events)).count();
        assert!(heard <= opened + levels, "h-{at}: {heard} heard, {opened} opened, {levels} levels");
    }
}

/// The contact directly after a boot is the level found there.
fn is_open_at_boot(events: &[(u8, i64)]) -> bool {
    events.windows(2).any(|pair| pair[0].0 == 11 && pair[1] == (1, 1))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_hard_week_runs_as_it_is_written() {
    let (broker, book) = acceptor().await;
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios/hard_week.toml");
    let scenario = Scenario::read(&std::fs::read_to_string(path).unwrap()).unwrap();
    let (oracle, report) = played(&scenario, broker).await;
    assert_eq!((report.sensors, report.total.died), (3, 1));
    let (heard, opened) = heard_and_true(&book, &oracle, "h-1");
    assert!(heard < opened, "the flat battery heard {heard} of {opened}");
    assert!(book.lock().unwrap()["h-2"].count(9, 1) > 0, "the magnet was missed");
    assert_eq!(report.total.outages, 3, "the outage of the third day is everybody's");
}
