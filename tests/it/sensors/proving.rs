//! What readings prove for a person, from the message to the page of the volunteer (sensors.md §4).

use chenlian::app::App;
use chenlian::jobs::{plan_day, settle};
use chrono::TimeDelta;
use serde_json::json;

use super::client::{Client, Envelope};
use super::*;
use crate::harness::{World, at, local, on_each_engine};
use crate::http::Server;
use crate::morning::set;

const CONTACT: u32 = 1;
const MOTION: u32 = 4;
/// In hundredths of a lux.
const LIGHT: u32 = 3;
const UP_MS: u64 = 40_000_000;

/// Kind, class and deed of every signal of a senior.
async fn deeds(app: &App, senior: Uuid) -> Vec<(String, String, String)> {
    ask!(app, query_as, "select kind, evidence, deed from signal where senior_id = $1 order by observed_at, id", senior)
}

fn deed(kind: &str, class: &str, deed: &str) -> (String, String, String) {
    (kind.to_owned(), class.to_owned(), deed.to_owned())
}

/// Her stop in the round of the primary, and the page on which it stands.
async fn round(server: &Server, app: &App, world: &World, senior: Uuid) -> (serde_json::Value, String) {
    let client = server.client(app, world.site, world.primary).await;
    let (status, round) = client.get("/api/v1/rounds").await;
    assert_eq!(status, 200, "{round}");
    let stop =
        round["stops"].as_array().expect("stops").iter().find(|stop| stop["senior_id"] == json!(senior)).expect("she is in it").clone();
    let page = client.request(reqwest::Method::GET, "/round").send().await.expect("the page").text().await.expect("text");
    (stop, page)
}

/// Says events of one moment in one message.
async fn events(client: &mut Client, sensor: &Installed, seq: u32, events: &[(u64, u32, i64)]) {
    let topic = format!("chk/1/{}/up/evt", sensor.device.name);
    let message = Envelope { topic: &topic, key: sensor.key(), boot_n: 1, seq, up_ms: UP_MS };
    let events: Vec<(u64, u32, i64)> = events.iter().map(|(ago, kind, value)| (UP_MS - ago, *kind, *value)).collect();
    client.tell(&topic, message.sign(&events)).await;
}

/// A motor that nobody pressed proves nobody: after four mornings at one time it is known to be a timer, and the page says so.
#[tokio::test]
async fn a_motor_that_opens_by_itself_on_five_mornings_is_no_sign_of_life() {
    on_each_engine(async |app: App| {
        let world = World::seed(&app, 1).await;
        let (app, running) = started(&app).await;
        let home = install(&app, &world, gateway(&world, "gw-1"), None).await;
        let motor = NewDevice { role: DeviceRole::Cover, ..behind(&world, home.device.id, "motor") };
        install(&app, &world, motor, Some(world.seniors[0])).await;
        let mut client = Client::of(&running, &home).await;
        let mut expected = Vec::new();
        for (day, (second, class, what)) in [
            (0, "B", "motor_opened"),
            (2, "B", "motor_opened"),
            (1, "B", "motor_opened"),
            (3, "C", "opened_on_time"),
            (0, "C", "opened_on_time"),
        ]
        .into_iter()
        .enumerate()
        {
            let morning = at("2026-11-22T23:00:00Z") + TimeDelta::days(i64::try_from(day).unwrap());
            set(&app, morning - TimeDelta::hours(4)).await;
            plan_day::run_once(&app).await.unwrap();
            client.tell("zigbee2mqtt/motor", r#"{"position":0}"#).await;
            set(&app, morning + TimeDelta::seconds(second)).await;
            client.tell("zigbee2mqtt/motor", r#"{"position":100}"#).await;
            app.clock.advance(TimeDelta::seconds(2));
            settle::run_once(&app).await.unwrap();
            expected.push(deed("open", class, what));
            assert_eq!(deeds(&app, world.seniors[0]).await, expected);
        }
        let server = Server::start(&app).await;
        let (stop, page) = round(&server, &app, &world, world.seniors[0]).await;
        assert_eq!(
            (&stop["state"], &stop["sensor"]["class"], &stop["sensor"]["deed"]),
            (&json!("expected"), &json!("C"), &json!("opened_on_time"))
        );
        assert!(page.contains("电动窗帘按时间自己开的，不算本人"), "the volunteer reads it");
        running.stop().await;
    })
    .await;
}

#[tokio::test]
async fn two_different_hints_are_shown_as_a_strong_one_and_are_never_ok() {
    on_each_engine(async |app: App| {
        let world = World::seed(&app, 1).await;
        plan_day::run_once(&app).await.unwrap();
        let (app, running) = started(&app).await;
        let home = install(&app, &world, gateway(&world, "gw-1"), None).await;
        let motor = NewDevice { role: DeviceRole::Cover, ..behind(&world, home.device.id, "motor") };
        install(&app, &world, motor, Some(world.seniors[0])).await;
        let sensor = install(&app, &world, native(&world, "d-1"), Some(world.seniors[0])).await;
        let mut motor = Client::of(&running, &home).await;
        let mut client = Client::of(&running, &sensor).await;
        motor.tell("zigbee2mqtt/motor", r#"{"position":0}"#).await;
        set(&app, local("07:00:00")).await;
        events(&mut client, &sensor, 1, &[(1_800_000, MOTION, 0), (0, MOTION, 1)]).await;
        let server = Server::start(&app).await;
        let (stop, page) = round(&server, &app, &world, world.seniors[0]).await;
        assert_eq!((&stop["sensor"]["class"], &stop["sensor"]["with"]), (&json!("B"), &json!(null)));
        assert!(page.contains("只作参考"), "one hint");
        set(&app, local("07:06:00")).await;
        motor.tell("zigbee2mqtt/motor", r#"{"position":100}"#).await;
        app.clock.advance(TimeDelta::seconds(2));
        settle::run_once(&app).await.unwrap();
        assert_eq!(deeds(&app, world.seniors[0]).await, [deed("activity", "B", "stirred"), deed("open", "B", "motor_opened")]);
        let (stop, page) = round(&server, &app, &world, world.seniors[0]).await;
        assert_eq!((&stop["sensor"]["deed"], &stop["sensor"]["with"]), (&json!("motor_opened"), &json!("stirred")));
        assert!(page.contains("多半起来了") && page.contains("还不算数"), "a strong hint, and no more");
        set(&app, local("07:20:00")).await;
        settle::run_once(&app).await.unwrap();
        assert_eq!(check_state(&app, world.seniors[0]).await, "expected", "somebody has to look");
        running.stop().await;
    })
    .await;
}

/// In Taiyuan the sun rises at half past seven that day: before it every light is a lamp.
#[tokio::test]
async fn light_is_a_hint_by_day_and_nothing_at_night() {
    on_each_engine(async |app: App| {
        let world = World::seed(&app, 1).await;
        plan_day::run_once(&app).await.unwrap();
        let (app, running) = started(&app).await;
        let sensor = install(&app, &world, native(&world, "d-1"), Some(world.seniors[0])).await;
        let mut client = Client::of(&running, &sensor).await;
        for (seq, time, lux) in [(1, "05:00:00", 700), (2, "07:10:00", 700), (3, "08:00:00", 300), (4, "08:30:00", 700)] {
            set(&app, local(time)).await;
            events(&mut client, &sensor, seq, &[(40_000, LIGHT, 300), (0, LIGHT, lux * 100)]).await;
        }
        let expected = [deed("activity", "C", "light_changed"), deed("activity", "B", "light_changed")];
        assert_eq!(
            deeds(&app, world.seniors[0]).await,
            expected,
            "at night and at dawn a lamp; by day what a lamp could do, and what none can"
        );
        assert_eq!(check_state(&app, world.seniors[0]).await, "expected");

        // A contact that was shut only briefly, and light beside it.
        set(&app, local("09:00:00")).await;
        let opening = [(600_000, CONTACT, 0), (40_000, LIGHT, 300), (1_000, CONTACT, 1), (0, LIGHT, 70_000)];
        events(&mut client, &sensor, 5, &opening).await;
        set(&app, local("09:01:00")).await;
        settle::run_once(&app).await.unwrap();
        assert_eq!(check_state(&app, world.seniors[0]).await, "ok", "two senses agree: {:?}", deeds(&app, world.seniors[0]).await);
        running.stop().await;
    })
    .await;
}
