//! Thirty mornings of two hundred homes with sensors of every ecosystem in hurried time, through the endpoint and through a real broker, with restarts between. An
//! oracle knows who really opened. Messages are lost, doubled, replayed, kept and repeated by gateways; curtains are tugged at,
//! sensors lose their memory and their cells (I8, I9). The endpoint with SQLite is a station, the broker with PostgreSQL a city.

mod door;
mod homes;
mod speech;

use chenlian::jobs::{plan_day, settle};
use chrono::{DateTime, Days, NaiveDate, TimeDelta, Utc};
use firmware_sim::sim::chance::Chance;

use self::door::Door;
use self::homes::{Homes, Keep, Said};
use super::*;
use crate::harness::{World, at, on_postgres, on_sqlite};
use crate::morning::set;

const SENIORS: usize = 200;
const MORNINGS: u64 = 30;
const SEED: u64 = 20_261_127;
/// From the first to the last moment at which somebody opens, and one step between: minutes of the day. All lie before the
/// deadline, so that whoever opened is not late.
const OPENINGS: (i64, i64) = (6 * 60 + 30, 9 * 60);
const STEP_MINUTES: usize = 10;
/// Longer than a tug, and shorter than an opening that counts.
const TUG: TimeDelta = TimeDelta::seconds(20);
/// Of every hundred; see [`Tally`] for what must be true all the same.
const LOST_PERCENT: u64 = 2;

/// What thirty mornings came to.
#[derive(Debug, Default)]
struct Tally {
    opened: usize,
    /// Opened behind a sensor whose word suffices, and shown as ok by it.
    heard: usize,
    /// The same, and not shown.
    missed: usize,
    /// Messages that no radio brought.
    lost: usize,
    shut: usize,
    /// Missed although every message of hers since the evening came through.
    unexplained: Vec<String>,
    /// Stayed shut, or only a hint was given, and shown as ok.
    wrong: Vec<String>,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thirty_mornings_at_the_endpoint_show_nobody_as_well_who_did_not_open() {
    on_sqlite(&async |app: App| {
        let app = hurried(&app);
        let world = World::seed(&app, SENIORS).await;
        let homes = Homes::installed(&app, &world, SEED).await;
        let door = Door::endpoint(&app, &homes).await;
        assert_well(&mornings(&app, homes, door).await);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thirty_mornings_behind_a_broker_show_nobody_as_well_who_did_not_open() {
    on_postgres(&async |app: App| {
        let app = hurried(&app);
        let world = World::seed(&app, SENIORS).await;
        let homes = Homes::installed(&app, &world, SEED + 1).await;
        let Some(door) = Door::broker(&app, &homes).await else { return };
        assert_well(&mornings(&app, homes, door).await);
    })
    .await;
}

/// A month of messages comes within a minute.
fn hurried(app: &App) -> App {
    with_settings(app, |config| config.mqtt.device_rate_per_minute = 1_000_000)
}

fn assert_well(tally: &Tally) {
    println!("{tally:?}");
    assert_eq!(tally.wrong, Vec::<String>::new(), "I8: a sensor never says that somebody is well who did not open");
    assert_eq!(tally.unexplained, Vec::<String>::new(), "only what was lost is missed");
    assert!(tally.missed <= tally.lost, "{} openings were missed, and only {} messages lost", tally.missed, tally.lost);
    assert!(tally.shut > 100 && tally.lost > 100, "there was something to get wrong: {tally:?}");
    assert!(tally.heard * 10 > tally.opened * 5, "most are heard: {tally:?}");
}

async fn mornings(app: &App, mut homes: Homes, mut door: Door) -> Tally {
    let (mut tally, mut chance) = (Tally::default(), Chance::new(SEED));
    for number in 0..MORNINGS {
        // After the day on which the sensors were put up.
        let date = NaiveDate::from_ymd_opt(2026, 11, 24).expect("a literal date") + Days::new(number);
        let minute = |minute: i64| at(&format!("{date}T00:00:00+08:00")) + TimeDelta::minutes(minute);
        set(app, minute(4 * 60)).await;
        plan_day::run_once(app).await.expect("the day is planned");
        // Over night: the server is renewed, or the broker's machine loses its power.
        match number % 10 {
            4 => door.restart_the_server(app, &homes).await,
            7 => door.kill_the_broker(app, &homes).await,
            _ => {}
        }
        homes.wake(app.clock.now(), number, &mut chance);
        set(app, minute(5 * 60 + 30)).await;
        door.bring(app, homes.ghosts(app.clock.now())).await;
        set(app, minute(5 * 60 + 50)).await;
        door.bring(app, homes.reports(app.clock.now())).await;
        set(app, minute(6 * 60 + 5)).await;
        door.bring(app, homes.tugged(app.clock.now(), true)).await;
        set(app, app.clock.now() + TUG).await;
        door.bring(app, homes.tugged(app.clock.now(), false)).await;
        set(app, minute(6 * 60 + 10)).await;
        door.bring(app, homes.gateways_restart(app.clock.now(), number)).await;
        for moment in (OPENINGS.0..=OPENINGS.1).step_by(STEP_MINUTES) {
            set(app, minute(moment)).await;
            settle::run_once(app).await.expect("what has lasted is confirmed");
            door.bring(app, homes.opened(app.clock.now(), moment)).await;
        }
        set(app, minute(9 * 60 + 30)).await;
        settle::run_once(app).await.expect("what has lasted is confirmed");
        let shown: Vec<(Uuid, String)> = ask!(app, query_as, "select senior_id, state from daily_check where local_date = $1", date);
        homes.compare(date, &shown.into_iter().collect(), &mut tally);
        set(app, minute(21 * 60 + 30)).await;
        door.bring(app, homes.closed(app.clock.now())).await;
    }
    door.close().await;
    tally
}
