//! What a sensor's messages become: proof, help, a hint, or nothing.

use chenlian::app::App;
use chenlian::jobs::{plan_day, settle};
use chenlian::on;
use chrono::TimeDelta;

use super::client::{Client, Envelope, Heard};
use super::*;
use crate::harness::{World, local, on_each_engine};
use crate::morning::set;

const HOUR_MS: u64 = 3_600_000;
/// Contact, help button, ok button.
const CONTACT: u32 = 1;
const HELP: u32 = 7;
const OK: u32 = 8;

async fn street(app: &App, seniors: usize) -> World {
    let world = World::seed(app, seniors).await;
    plan_day::run_once(app).await.expect("the day is planned");
    world
}

fn envelope<'a>(installed: &Installed, topic: &'a str, seq: u32) -> Envelope<'a> {
    Envelope { topic, key: installed.key(), boot_n: 7, seq, up_ms: 20 * HOUR_MS + u64::from(seq) * HOUR_MS }
}

#[tokio::test]
async fn a_curtain_that_opens_and_stays_open_makes_the_check_ok_by_itself() {
    on_each_engine(async |app: App| {
        let world = street(&app, 1).await;
        let (app, running) = started(&app).await;
        let sensor = install(&app, &world, native(&world, "d-1"), Some(world.seniors[0])).await;
        let topic = "chk/1/d-1/up/evt";
        let mut client = Client::of(&running, &sensor).await;
        client.listen("chk/1/d-1/dn/ack").await;
        let night = envelope(&sensor, topic, 1);
        client.say(topic, night.sign(&[(night.up_ms - 8 * HOUR_MS, CONTACT, 0)])).await;
        let receipt = format!(r#"{{"bn":7,"seq":1,"now":{}}}"#, app.clock.now().timestamp());
        let receipt = Heard::Message { topic: "chk/1/d-1/dn/ack".to_owned(), payload: receipt.into_bytes() };
        let heard = [client.next().await, client.next().await];
        assert!(heard.contains(&receipt) && heard.contains(&Heard::Acknowledged), "{heard:?}");

        set(&app, local("07:30:00")).await;
        let opening = envelope(&sensor, topic, 2);
        client.tell(topic, opening.sign(&[(opening.up_ms - 1000, CONTACT, 1)])).await;
        assert_eq!(settle::run_once(&app).await.unwrap().next, Some(local("07:30:59")), "a due moment in the row");
        assert_eq!(check_state(&app, world.seniors[0]).await, "expected");
        set(&app, local("07:30:59")).await;
        assert_eq!(settle::run_once(&app).await.unwrap().settled, 1);
        assert_eq!(settle::run_once(&app).await.unwrap().settled, 0, "told once");
        assert_eq!(check_state(&app, world.seniors[0]).await, "ok");
        assert_eq!(signals(&app, world.seniors[0]).await, [("open".to_owned(), "A".to_owned(), "accepted".to_owned())]);
        running.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_press_for_help_alerts_once_however_often_it_is_sent() {
    on_each_engine(async |app: App| {
        let world = street(&app, 1).await;
        let (app, running) = started(&app).await;
        let sensor = install(&app, &world, native(&world, "d-1"), Some(world.seniors[0])).await;
        let topic = "chk/1/d-1/up/evt";
        let mut client = Client::of(&running, &sensor).await;
        let press = envelope(&sensor, topic, 1);
        let message = press.sign(&[(press.up_ms - 10, HELP, 2)]);
        client.tell(topic, message.clone()).await;
        client.tell(topic, message).await;
        // The firmware writes the same press again with a later sending time.
        let again = Envelope { up_ms: press.up_ms + 9000, ..envelope(&sensor, topic, 1) };
        client.tell(topic, again.sign(&[(press.up_ms - 10, HELP, 2)])).await;
        assert_eq!(alerts(&app, world.seniors[0]).await, 1);
        assert_eq!(signals(&app, world.seniors[0]).await.len(), 1);
        assert_eq!(check_state(&app, world.seniors[0]).await, "help");

        let ok = envelope(&sensor, topic, 2);
        client.tell(topic, ok.sign(&[(ok.up_ms, OK, 1)])).await;
        let kinds: Vec<String> = signals(&app, world.seniors[0]).await.into_iter().map(|(kind, ..)| kind).collect();
        assert_eq!(kinds, ["help", "activity"], "an all-is-well press is kept beside it");
        running.stop().await;
    })
    .await;
}

#[tokio::test]
async fn forged_replayed_and_broken_messages_are_put_aside_and_stop_nobody() {
    on_each_engine(async |app: App| {
        let world = street(&app, 2).await;
        let (app, running) = started(&app).await;
        let sensor = install(&app, &world, native(&world, "d-1"), Some(world.seniors[0])).await;
        let broken = install(&app, &world, native(&world, "d-2"), Some(world.seniors[1])).await;
        let id = broken.device.id;
        app.write(move |mut tx| async move {
            let sql = "update device set level = 'nonsense', level_since = created_at where id = $1";
            on!(&mut tx, |conn| sqlx::query(sql).bind(id).execute(conn).await.map(|_| ()))?;
            Ok((tx, ()))
        })
        .await
        .unwrap();
        let topic = "chk/1/d-1/up/evt";
        let mut client = Client::of(&running, &sensor).await;
        let mut other = Client::of(&running, &broken).await;
        let good = envelope(&sensor, topic, 5);
        client.tell(topic, good.sign(&[(good.up_ms, OK, 1)])).await;
        let forged = Envelope { key: [9; 32], ..envelope(&sensor, topic, 6) };
        client.tell(topic, forged.sign(&[(1, HELP, 1)])).await;
        let replay = Envelope { boot_n: 6, ..envelope(&sensor, topic, 9) };
        client.tell(topic, replay.sign(&[(1, HELP, 1)])).await;
        client.tell(topic, vec![0xff; 700]).await;
        client.tell(topic, vec![0xff; 10_000]).await;
        client.tell("chk/1/d-2/up/evt", envelope(&broken, "chk/1/d-2/up/evt", 1).sign(&[(1, HELP, 1)])).await;
        let own = "chk/1/d-2/up/evt";
        other.tell(own, envelope(&broken, own, 1).sign(&[(1, CONTACT, 1)])).await;
        let after = envelope(&sensor, topic, 7);
        client.tell(topic, after.sign(&[(after.up_ms, OK, 1)])).await;

        let mut why = quarantine(&app).await;
        why.sort();
        assert_eq!(why, ["broken", "foreign_topic", "forged", "replay", "too_large", "unreadable"]);
        assert_eq!(signals(&app, world.seniors[0]).await.len(), 2, "the two honest presses");
        assert_eq!(alerts(&app, world.seniors[0]).await + alerts(&app, world.seniors[1]).await, 0);
        running.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_bought_contact_behind_a_gateway_proves_an_opening_and_not_a_repeated_state() {
    on_each_engine(async |app: App| {
        let world = street(&app, 2).await;
        let (app, running) = started(&app).await;
        let home = install(&app, &world, gateway(&world, "gw-1"), None).await;
        let sensor = install(&app, &world, behind(&world, home.device.id, "卧室/窗帘磁"), Some(world.seniors[0])).await;
        // Another home uses the same friendly name.
        let elsewhere = install(&app, &world, gateway(&world, "gw-2"), None).await;
        install(&app, &world, behind(&world, elsewhere.device.id, "卧室/窗帘磁"), Some(world.seniors[1])).await;
        let topic = "zigbee2mqtt/卧室/窗帘磁";
        let mut client = Client::of(&running, &home).await;
        client.tell("zigbee2mqtt/bridge/state", r#"{"state":"online"}"#).await;
        client.tell(topic, r#"{"contact":true,"battery":87}"#).await;
        set(&app, local("07:00:00")).await;
        client.tell("zigbee2mqtt/bridge/state", "online").await;
        client.tell(topic, r#"{"contact":false}"#).await;
        assert_eq!(signals(&app, world.seniors[0]).await, [], "cached states after a start are not news");
        client.tell(topic, r#"{"contact":true}"#).await;

        set(&app, local("07:40:00")).await;
        client.tell(topic, r#"{"contact":false,"battery":86}"#).await;
        set(&app, local("07:42:00")).await;
        client.tell(topic, r#"{"contact":false,"battery":85}"#).await;
        assert_eq!(signals(&app, world.seniors[0]).await, [("open".to_owned(), "A".to_owned(), "accepted".to_owned())]);
        assert_eq!(check_state(&app, world.seniors[0]).await, "ok");
        assert_eq!(signals(&app, world.seniors[1]).await, [], "the namesake in the other home said nothing");
        let row = device(&app, (world.site, sensor.device.id)).await;
        assert_eq!((row.battery_percent, row.last_seen_at), (Some(85), Some(local("07:42:00"))));

        client.tell("zigbee2mqtt/unknown", r#"{"contact":false}"#).await;
        client.tell("zigbee2mqtt/bridge/devices", "[]").await;
        assert_eq!(quarantine(&app).await, ["unknown_device"]);
        running.stop().await;
    })
    .await;
}

#[tokio::test]
async fn an_uncalibrated_contact_and_a_motor_only_show() {
    on_each_engine(async |app: App| {
        let world = street(&app, 1).await;
        let (app, running) = started(&app).await;
        let home = install(&app, &world, gateway(&world, "gw-1"), None).await;
        let motor = NewDevice { role: DeviceRole::Cover, ..behind(&world, home.device.id, "motor") };
        install(&app, &world, motor, Some(world.seniors[0])).await;
        let mut client = Client::of(&running, &home).await;
        client.tell("zigbee2mqtt/motor", r#"{"position":0}"#).await;
        set(&app, local("07:00:00")).await;
        client.tell("zigbee2mqtt/motor", r#"{"position":100,"running":true}"#).await;
        client.tell("zigbee2mqtt/motor", r#"{"position":100,"running":false}"#).await;
        assert_eq!(signals(&app, world.seniors[0]).await, [], "the next message may take it back");
        set(&app, local("07:00:02")).await;
        assert_eq!(settle::run_once(&app).await.unwrap().settled, 1);
        assert_eq!(signals(&app, world.seniors[0]).await, [("open".to_owned(), "B".to_owned(), "accepted".to_owned())]);
        assert_eq!(check_state(&app, world.seniors[0]).await, "expected", "a human has to look");
        running.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_device_says_how_it_is_and_its_silence_shows() {
    on_each_engine(async |app: App| {
        let world = street(&app, 1).await;
        let (app, running) = started(&app).await;
        let sensor = install(&app, &world, native(&world, "d-1"), Some(world.seniors[0])).await;
        let id = (world.site, sensor.device.id);
        let mut client = Client::of(&running, &sensor).await;
        let status = "chk/1/d-1/up/status";
        client.tell(status, r#"{"s":"on","bn":7,"bd":15,"fw":"1.4.0","next_s":600}"#).await;
        client.tell(status, r#"{"s":"off","bn":7,"bd":14}"#).await;
        let row = device(&app, id).await;
        assert_eq!((row.status.as_str(), row.firmware.as_deref()), ("online", Some("1.4.0")), "a late will of an older birth");
        client.tell(status, r#"{"s":"sleep","bn":7,"bd":15,"next_s":600}"#).await;
        assert_eq!(device(&app, id).await.status.as_str(), "asleep");
        let tele = "chk/1/d-1/up/tele";
        let beat = envelope(&sensor, tele, 3);
        client.tell(tele, beat.sign(&[(beat.up_ms, 10, 2912), (beat.up_ms, 15, 3), (beat.up_ms, 9, 1)])).await;
        let row = device(&app, id).await;
        assert_eq!((row.battery_percent, row.battery_millivolt, row.lost_events), (Some(91), Some(2912), 3));
        assert_eq!(row.tampered_at, Some(app.clock.now()));

        let silent = async |now| {
            let found = app.write(move |mut tx| async move { devices::mark_silent(&mut tx, now, 10).await.map(|found| (tx, found)) });
            found.await.unwrap()
        };
        let later = app.clock.now() + TimeDelta::hours(9) + TimeDelta::minutes(10);
        assert_eq!(silent(later).await, 0);
        assert_eq!(silent(later + TimeDelta::seconds(1)).await, 1);
        running.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_message_is_not_acknowledged_while_the_database_is_away() {
    on_each_engine(async |app: App| {
        let world = street(&app, 1).await;
        let (app, running) = started(&app).await;
        let sensor = install(&app, &world, native(&world, "d-1"), Some(world.seniors[0])).await;
        let mut client = Client::of(&running, &sensor).await;
        app.db.close().await;
        let topic = "chk/1/d-1/up/evt";
        client.say(topic, envelope(&sensor, topic, 1).sign(&[(1, HELP, 1)])).await;
        assert_eq!(client.next().await, Heard::Lost);
        running.stop().await;
    })
    .await;
}
