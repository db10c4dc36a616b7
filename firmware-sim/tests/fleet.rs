//! Whole devices, alone and as a fleet, against a small acceptor: what goes wrong on purpose, and what must hold all the same.

mod acceptor;

use std::collections::BTreeSet;
use std::time::Duration;

use firmware_sim::envelope::device_id;
use firmware_sim::keyring::SigningKey;
use firmware_sim::settings::Settings;
use firmware_sim::sim::faults::Faults;
use firmware_sim::sim::fleet::{Days, Fleet, FleetReport, run_fleet};
use firmware_sim::sim::link::Broker;
use firmware_sim::sim::room::Act;
use firmware_sim::sim::trace::Moment;
use firmware_sim::sim::{NextKey, SensorConfig, run_planned, run_sensor};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use acceptor::{Book, KEY, Known, NEXT_KEY, NEXT_PASSWORD, Rules, acceptor, acceptor_with};

const LIMIT: Duration = Duration::from_mins(1);

/// Waits on the network are real also in hurried time: they are kept short here.
fn sensor(name: &str) -> SensorConfig {
    let settings = Settings { ack_wait_ms: 150, config_wait_ms: 20, ..Settings::default() };
    SensorConfig { settings, hurry: true, ..SensorConfig::new(device_id(name).unwrap(), KEY) }
}

#[tokio::test]
async fn one_morning_arrives_as_boot_level_then_opened_curtain_and_light() {
    let (broker, book) = acceptor().await;
    let acts = vec![(Duration::from_hours(7), Act::OpenCurtain)];
    let report = run_planned(broker, sensor("one"), acts, LIMIT, CancellationToken::new()).await;
    let known = book.lock().unwrap()["one"].clone();
    let first = known.messages.values().next().unwrap();
    assert_eq!(first, &[(11, 1), (1, 0)]);
    assert_eq!((known.count(1, 1), known.count(14, 0)), (1, 1));
    assert_eq!((report.events_recorded, report.events_receipted, report.resent), (4, 4, 0));
    assert_eq!(report.acknowledged, report.sent);
    assert!(known.statuses.iter().any(|status| status.contains(r#""s":"sleep""#)));
    assert_eq!(known.wills, 0, "a clean end suppresses the will");
}

#[tokio::test]
async fn a_live_hand_is_followed_and_the_trace_tells_it() {
    let (broker, book) = acceptor().await;
    let (hand, acts) = mpsc::channel(4);
    let (trace, mut told) = mpsc::unbounded_channel();
    let stop = CancellationToken::new();
    let config = SensorConfig { trace: Some(trace), ..sensor("live") };
    let running = tokio::spawn(run_sensor(broker, config, acts, stop.clone()));
    hand.send(Act::HoldSos).await.unwrap();
    let mut silenced = false;
    while !silenced {
        silenced = told.recv().await.unwrap().moment == Moment::Beep(false);
    }
    stop.cancel();
    let report = running.await.unwrap();
    assert_eq!(book.lock().unwrap()["live"].count(7, 2), 1);
    assert_eq!(report.events_waiting, 0);
}

#[tokio::test]
async fn a_power_cut_is_a_new_life_with_a_higher_number_and_a_will() {
    let (broker, book) = acceptor().await;
    let acts = vec![(Duration::from_mins(1), Act::Restart), (Duration::from_mins(2), Act::OpenCurtain)];
    let report = run_planned(broker, sensor("cut"), acts, LIMIT, CancellationToken::new()).await;
    let known = book.lock().unwrap()["cut"].clone();
    let boots: BTreeSet<u32> = known.messages.keys().map(|(boot_n, _)| *boot_n).collect();
    assert_eq!(boots, BTreeSet::from([1, 2]));
    assert_eq!((report.restarts, report.events_waiting), (1, 0));
}

#[tokio::test]
async fn a_refused_or_absent_broker_loses_nothing_but_time() {
    let broker = Broker { host: "127.0.0.1".to_owned(), port: 1 };
    let acts = vec![(Duration::from_mins(1), Act::OpenCurtain)];
    let report = run_planned(broker, sensor("alone"), acts, Duration::from_millis(300), CancellationToken::new()).await;
    assert_eq!((report.connections, report.events_receipted), (0, 0));
    assert_eq!(report.events_waiting, report.events_recorded);
}

#[tokio::test]
async fn a_flat_battery_is_the_end_and_no_farewell() {
    let (broker, _) = acceptor().await;
    let acts = vec![(Duration::from_mins(1), Act::FlatBattery), (Duration::from_secs(90), Act::OpenCurtain)];
    let report = run_planned(broker, sensor("flat"), acts, LIMIT, CancellationToken::new()).await;
    assert_eq!((report.died, report.events_recorded), (1, 2), "the curtain after the end was never seen");
}

/// What the acceptor knows of one device.
fn known(book: &Book, device: &str) -> Known {
    book.lock().unwrap()[device].clone()
}

#[tokio::test]
async fn a_removed_magnet_is_tampering_and_no_opened_curtain() {
    let (broker, book) = acceptor().await;
    let acts = vec![
        (Duration::from_hours(1), Act::RemoveMagnet),
        (Duration::from_hours(2), Act::ReturnMagnet),
        (Duration::from_hours(3), Act::OpenCurtain),
    ];
    let report = run_planned(broker, sensor("magnet"), acts, LIMIT, CancellationToken::new()).await;
    let known = known(&book, "magnet");
    assert_eq!(known.count(9, 1), 1, "somebody's hand was on it");
    assert_eq!(known.count(1, 1), 1, "and the curtain opened once, afterwards");
    assert_eq!(report.events_waiting, 0);
}

#[tokio::test]
async fn a_draught_tells_nothing() {
    let (broker, book) = acceptor().await;
    let acts = (1..20).map(|minute| (Duration::from_mins(minute), Act::Bounce)).collect();
    run_planned(broker, sensor("draught"), acts, LIMIT, CancellationToken::new()).await;
    assert_eq!(known(&book, "draught").count(1, 1), 0);
}

#[tokio::test]
async fn a_wall_clock_that_jumps_is_told_and_put_right_by_the_next_receipt() {
    let (broker, book) = acceptor().await;
    // Live: hurried time gives up the wall clock, and with it what a jump could be measured against.
    let (hand, acts) = mpsc::channel(4);
    let (trace, mut told) = mpsc::unbounded_channel();
    let stop = CancellationToken::new();
    let running = tokio::spawn(run_sensor(broker, SensorConfig { trace: Some(trace), hurry: false, ..sensor("jump") }, acts, stop.clone()));
    let mut sleeps = async || while told.recv().await.unwrap().moment != Moment::Disconnected {};
    sleeps().await;
    hand.send(Act::ClockJump).await.unwrap();
    sleeps().await;
    stop.cancel();
    let report = running.await.unwrap();
    let jumps: Vec<i64> = known(&book, "jump").messages.values().flatten().filter(|(kind, _)| *kind == 12).map(|(_, by)| *by).collect();
    assert_eq!(report.clock_jumps, 1);
    let [jumped, corrected] = jumps[..] else { panic!("{jumps:?}") };
    assert!((jumped + corrected).abs() <= 2 && jumped != 0, "{jumps:?}");
}

#[tokio::test]
async fn an_outage_of_the_broker_costs_time_and_nothing_else() {
    let (broker, book) = acceptor().await;
    let acts = vec![
        (Duration::from_mins(10), Act::BrokerDown),
        (Duration::from_mins(20), Act::OpenCurtain),
        (Duration::from_mins(50), Act::CloseCurtain),
        (Duration::from_mins(70), Act::BrokerUp),
    ];
    let report = run_planned(broker, sensor("outage"), acts, LIMIT, CancellationToken::new()).await;
    let known = known(&book, "outage");
    assert_eq!((known.count(1, 1), known.count(1, 0)), (1, 2), "opened, closed, and the level found at boot");
    assert_eq!((report.outages, report.events_waiting, report.events_dropped), (1, 0, 0));
}

#[tokio::test]
async fn a_storm_during_an_outage_is_an_honest_gap() {
    let (broker, book) = acceptor().await;
    let mut acts = vec![(Duration::from_secs(30), Act::BrokerDown)];
    acts.extend((0..90).map(|at| (Duration::from_mins(1) + Duration::from_secs(20 * at), Act::PressOk)));
    acts.push((Duration::from_mins(40), Act::BrokerUp));
    let report = run_planned(broker, sensor("storm"), acts, LIMIT, CancellationToken::new()).await;
    let (events, gaps) = known(&book, "storm").events_and_gaps();
    assert_eq!(report.events_waiting, 0);
    assert!(report.events_dropped >= 26, "{report:?}");
    assert_eq!((gaps, report.events_told_as_lost), (report.events_dropped, report.events_dropped));
    assert_eq!(events + gaps, report.events_recorded);
}

#[tokio::test]
async fn a_message_recorded_before_a_power_failure_is_refused_afterwards() {
    let (broker, book) = acceptor().await;
    let acts = vec![(Duration::from_mins(1), Act::Restart), (Duration::from_mins(2), Act::OpenCurtain)];
    let faults = Faults { replay: 1.0, ..Faults::default() };
    let report = run_planned(broker, SensorConfig { faults, ..sensor("replay") }, acts, LIMIT, CancellationToken::new()).await;
    let known = known(&book, "replay");
    assert!(report.replayed > 0 && known.replays > 0, "{report:?} {known:?}");
    assert_eq!((known.count(1, 1), report.events_waiting), (1, 0), "and stops nothing that is genuine");
}

fn with_next_key(name: &str) -> SensorConfig {
    let next = NextKey { signing: SigningKey { kid: 2, key: NEXT_KEY }, password: Some(NEXT_PASSWORD.to_owned()) };
    SensorConfig { password: Some("first".to_owned()), next: Some(next), ..sensor(name) }
}

fn days_with_a_new_key() -> Vec<(Duration, Act)> {
    let minutes = |minutes| Duration::from_mins(minutes);
    vec![(minutes(1), Act::OpenCurtain), (minutes(2), Act::NewKey), (minutes(3), Act::CloseCurtain), (minutes(600), Act::OpenCurtain)]
}

#[tokio::test]
async fn a_new_key_takes_over_when_the_server_has_shown_that_it_knows_it() {
    let (broker, book) = acceptor_with(Rules { knows_next_key: true, ..Rules::default() }).await;
    let report = run_planned(broker, with_next_key("key"), days_with_a_new_key(), LIMIT, CancellationToken::new()).await;
    let known = known(&book, "key");
    assert_eq!((known.kids.as_slice(), report.keys_exchanged, report.events_waiting), (&[1, 2][..], 1, 0));
    assert_eq!(known.count(1, 1), 2);
}

#[tokio::test]
async fn a_new_key_that_the_server_refuses_costs_no_event_and_leaves_the_old_one_in_use() {
    let (broker, book) = acceptor().await;
    let report = run_planned(broker, with_next_key("wrong"), days_with_a_new_key(), LIMIT, CancellationToken::new()).await;
    let known = known(&book, "wrong");
    assert_eq!((known.kids.as_slice(), report.keys_exchanged, report.events_waiting), (&[1][..], 0, 0));
    assert_eq!((known.count(1, 1), known.count(1, 0)), (2, 2), "opened twice, closed once and once at boot");
}

#[tokio::test]
async fn home_assistant_is_told_what_the_device_is_and_its_level_only_where_that_is_wanted() {
    let (broker, book) = acceptor().await;
    let quiet = sensor("quiet");
    let mut shown = sensor("shown");
    shown.settings.home_assistant = true;
    for config in [quiet, shown] {
        let acts = vec![(Duration::from_mins(1), Act::OpenCurtain)];
        run_planned(broker.clone(), config, acts, LIMIT, CancellationToken::new()).await;
    }
    let of_home_automation = |device: &str| -> Vec<String> {
        known(&book, device).retained.keys().filter(|topic| !topic.ends_with("up/status")).cloned().collect()
    };
    assert_eq!(of_home_automation("quiet"), [""; 0]);
    assert_eq!(of_home_automation("shown"), ["chk/1/shown/up/state", "homeassistant/device/shown/config"]);
    let retained = known(&book, "shown").retained;
    let level: serde_json::Value = serde_json::from_slice(&retained["chk/1/shown/up/state"]).unwrap();
    assert_eq!((&level["contact"], &level["battery"]), (&"ON".into(), &95.into()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn through_loss_doubling_reordering_replay_cuts_and_restarts_everything_is_receipted_or_named_as_lost() {
    let (broker, book) = acceptor().await;
    let faults = Faults {
        loss: 0.15,
        duplicate: 0.1,
        reorder: 0.1,
        replay: 0.1,
        cut: 0.05,
        bounce: 0.3,
        restart: 0.3,
        flat: 0.0,
        clock_jump: 0.3,
        magnet: 0.2,
        broker_down: 1.0,
        drift: 0.05,
    };
    let report = fleet_of(12, broker, Days { duration: Duration::from_hours(72), seed: 7, faults }).await;
    let total = report.total;
    assert_eq!((report.sensors, report.undelivered), (12, Vec::new()));
    assert!(total.lost_on_purpose > 0 && total.receipts_lost_on_purpose > 0 && total.resent > 0, "{total:?}");
    assert!(total.clock_jumps > 0 && total.outages > 0, "{total:?}");
    assert!(total.duplicated > 0 && total.reordered > 0 && total.replayed > 0 && total.cut > 0 && total.restarts > 0, "{total:?}");
    assert_eq!(total.events_recorded, total.events_receipted + total.events_dropped + total.events_lost_at_restart);
    let book = book.lock().unwrap();
    let (events, gaps) = book.values().map(Known::events_and_gaps).fold((0, 0), |sum, own| (sum.0 + own.0, sum.1 + own.1));
    // A message whose receipt was lost with the power is known here and yet named as lost: never the other way round.
    assert!(events >= total.events_receipted, "{events} {total:?}");
    assert!(events + gaps >= total.events_recorded, "{events} {gaps} {total:?}");
    assert!(gaps >= total.events_told_as_lost, "{gaps} {total:?}");
    assert!(gaps <= total.events_dropped + total.events_lost_at_restart, "{gaps} {total:?}");
    assert!(book.values().any(|known| known.duplicates > 0));
    assert!(book.values().any(|known| known.wills > 0));
}

/// Hurried devices by name f-0, f-1 …
async fn fleet_of(count: usize, broker: Broker, days: Days) -> FleetReport {
    let fleet = Fleet { broker, drain: LIMIT, connections_max: 64 };
    let sensors = (0..count).map(|at| sensor(&format!("f-{at}")));
    run_fleet(&fleet, days.parts(sensors), CancellationToken::new()).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_sensors_share_sixty_four_connections() {
    let (broker, book) = acceptor().await;
    let days = Days { duration: Duration::from_hours(1), seed: 3, faults: Faults::default() };
    let report = fleet_of(1000, broker, days).await;
    assert_eq!((report.sensors, report.undelivered), (1000, Vec::new()));
    let opened = book.lock().unwrap().values().filter(|known| known.count(1, 1) == 1).count();
    assert_eq!(opened, 1000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_seed_brings_the_same_faults_and_the_same_curtains() {
    let faults = Faults { duplicate: 0.2, bounce: 0.5, restart: 0.3, ..Faults::default() };
    let days = Days { duration: Duration::from_hours(48), seed: 9, faults };
    let mut told = Vec::new();
    for _ in 0..2 {
        let (broker, book) = acceptor().await;
        let report = fleet_of(6, broker, days).await;
        let messages: Vec<_> = book.lock().unwrap().values().map(|known| known.messages.clone()).collect();
        told.push((report.total.events_recorded, report.total.restarts, messages));
    }
    assert_eq!(told[0], told[1]);
}
