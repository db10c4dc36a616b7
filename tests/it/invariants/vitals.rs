//! What the watcher knows of itself: its clock, its ears, and whether there is anybody to watch over (I24, I26).

use chenlian::app::App;
use chenlian::clock::Clock;
use chenlian::domain::health::Ailment;
use chenlian::jobs::{escalate, heartbeat, plan_day, watch};
use chenlian::store::{clock, life};
use chrono::TimeDelta;

use super::another;
use crate::harness::{World, local, on_each_engine};
use crate::morning::{alerts, pass_at, planned, set};

async fn ailments(app: &App) -> Vec<Ailment> {
    heartbeat::look(app).await.expect("a look")
}

/// One server's word about sensors.
async fn hears(app: &App, up: bool) {
    let (instance, now) = (app.instance, app.clock.now());
    app.write(move |mut tx| async move {
        life::hears(&mut tx, instance, up, now).await?;
        Ok((tx, ()))
    })
    .await
    .expect("it is on record");
}

/// Planned, watched, heard.
async fn well(app: &App) {
    plan_day::run_once(app).await.expect("the day is planned");
    watch::run_once(app).await.expect("the watch passes");
    hears(app, true).await;
}

// I24, I5
#[tokio::test]
async fn a_clock_that_jumps_an_hour_ahead_shows_and_calls_nobody_for_five_minutes() {
    on_each_engine(|app| async move {
        planned(&app, 2).await;
        pass_at(&app, local("08:50:00")).await;
        well(&app).await;
        assert_eq!(ailments(&app).await, []);

        app.clock.turn(TimeDelta::hours(1));
        let report = watch::run_once(&app).await.expect("the watch passes");
        assert!(report.waits && report.seniors == 0);
        assert!(alerts(&app).await.is_empty(), "an hour before the agreed time nobody is called");
        hears(&app, true).await;
        assert_eq!(ailments(&app).await, [Ailment::Undecided, Ailment::ClockSuspect]);

        app.clock.turn(-TimeDelta::hours(1));
        assert!(watch::run_once(&app).await.expect("the watch passes").waits);
        app.clock.advance(TimeDelta::minutes(5));
        well(&app).await;
        assert_eq!(ailments(&app).await, [], "set right again");
        assert!(alerts(&app).await.is_empty());

        app.clock.turn(TimeDelta::hours(1));
        watch::run_once(&app).await.expect("the watch passes");
        app.clock.advance(TimeDelta::seconds(299));
        assert!(escalate::run_once(&app).await.expect("the ladder passes").waits);
        watch::run_once(&app).await.expect("the watch passes");
        assert!(alerts(&app).await.is_empty());
        app.clock.advance(TimeDelta::seconds(1));
        watch::run_once(&app).await.expect("the watch passes");
        assert_eq!(alerts(&app).await.len(), 2, "perhaps it was right: nobody waits longer than that");
    })
    .await;
}

// I24
#[tokio::test]
async fn an_hour_that_passes_while_the_machine_is_busy_is_no_jump() {
    on_each_engine(|app| async move {
        planned(&app, 1).await;
        set(&app, local("10:00:00")).await;
        assert!(!watch::run_once(&app).await.expect("the watch passes").waits);
        assert_eq!(alerts(&app).await.len(), 1);
    })
    .await;
}

// I24
#[tokio::test]
async fn the_databases_clock_is_asked_where_it_has_one() {
    on_each_engine(|app| async move {
        let shown = app.read(|mut tx| async move { clock::shown(&mut tx).await.map(|at| (tx, at)) }).await.expect("it answers");
        assert_eq!(shown.is_some(), app.db.is_postgres());
        if let Some(shown) = shown {
            assert!((Clock::System.now() - shown).abs() < TimeDelta::minutes(10), "{shown}");
        }
    })
    .await;
}

// I26, I24
#[tokio::test]
async fn after_the_clock_is_set_back_yesterdays_good_word_does_not_count_and_a_new_one_does() {
    on_each_engine(|app| async move {
        planned(&app, 1).await;
        well(&app).await;
        app.clock.turn(-TimeDelta::hours(1));
        assert_eq!(ailments(&app).await, [Ailment::WatchStopped, Ailment::MqttDown, Ailment::ClockSuspect]);
        app.clock.advance(TimeDelta::minutes(5));
        well(&app).await;
        assert_eq!(ailments(&app).await, []);
        app.clock.advance(TimeDelta::seconds(91));
        assert_eq!(ailments(&app).await, [Ailment::WatchStopped, Ailment::MqttDown]);
    })
    .await;
}

// I26
#[tokio::test]
async fn a_server_that_is_killed_while_it_hears_sensors_leaves_no_ear_behind() {
    on_each_engine(|app| async move {
        planned(&app, 1).await;
        let other = another(&app);
        well(&app).await;
        hears(&other, false).await;
        assert_eq!(ailments(&other).await, [], "one of them hears");
        // Killed: it says nothing more, not even that it no longer hears.
        other.clock.advance(TimeDelta::seconds(90));
        watch::run_once(&other).await.expect("the watch passes");
        hears(&other, false).await;
        assert_eq!(ailments(&other).await, []);
        other.clock.advance(TimeDelta::seconds(1));
        assert_eq!(ailments(&other).await, [Ailment::MqttDown]);
        hears(&other, true).await;
        assert_eq!(ailments(&other).await, []);
    })
    .await;
}

// I26
#[tokio::test]
async fn a_server_on_an_empty_database_does_not_say_that_all_is_well() {
    on_each_engine(|app| async move {
        well(&app).await;
        assert_eq!(ailments(&app).await, [Ailment::Empty]);
        let world = World::seed(&app, 1).await;
        well(&app).await;
        assert_eq!(ailments(&app).await, []);
        super::meddle(&app, &format!("update senior set ended_at = created_at where site_id = {}", super::literal(&app, world.site))).await;
        assert_eq!(ailments(&app).await, [Ailment::Empty], "nobody is left");
    })
    .await;
}

// I26
#[tokio::test]
async fn a_site_without_tomorrows_checks_is_noticed_soon_after_midnight() {
    on_each_engine(|app| async move {
        planned(&app, 1).await;
        set(&app, local("00:01:29") + TimeDelta::days(1)).await;
        assert!(!ailments(&app).await.contains(&Ailment::Unplanned));
        app.clock.advance(TimeDelta::seconds(1));
        assert!(ailments(&app).await.contains(&Ailment::Unplanned));
        plan_day::run_once(&app).await.expect("the day is planned");
        assert!(!ailments(&app).await.contains(&Ailment::Unplanned));
    })
    .await;
}
