//! Programs that others wrote, at the server's own endpoint.

use chenlian::jobs::settle;
use chrono::TimeDelta;

use super::client::{Client, Heard};
use super::*;
use crate::harness::{World, local, needs, on_each_engine};
use crate::morning::set;

const TOPIC: &str = "zigbee2mqtt/卧室/窗帘";

/// A home with one contact, known to be closed since before dawn.
async fn closed_curtain(app: &App, running: &Running) -> (World, Installed, Client) {
    let world = World::seed(app, 1).await;
    let home = install(app, &world, gateway(&world, "gw-1"), None).await;
    install(app, &world, behind(&world, home.device.id, "卧室/窗帘"), Some(world.seniors[0])).await;
    let mut client = Client::of(running, &home).await;
    client.tell(TOPIC, r#"{"contact":true}"#).await;
    set(app, local("07:30:00")).await;
    (world, home, client)
}

/// What came of it, later than anything takes to be confirmed.
async fn signs_after(app: &App, world: &World) -> Vec<(String, String, String)> {
    app.clock.advance(TimeDelta::minutes(5));
    settle::run_once(app).await.expect("due openings are confirmed");
    signals(app, world.seniors[0]).await
}

async fn battery(app: &App) -> Option<i64> {
    let found: Vec<i64> = ask!(app, query_scalar, "select battery_percent from device where battery_percent is not null");
    found.first().copied()
}

/// Zigbee2MQTT 2 ends when it may not subscribe to its own topics, and repeats what is not acknowledged after each reconnect (F2).
#[tokio::test]
async fn zigbee2mqtt_starts_as_it_does_anywhere_and_its_sensors_are_heard() {
    on_each_engine(async |app: App| {
        let (app, running) = started(&app).await;
        let (world, _, mut client) = closed_curtain(&app, &running).await;
        client.keep("zigbee2mqtt/bridge/state", r#"{"state":"online"}"#).await;
        client.listen("zigbee2mqtt/#").await;
        client.listen("homeassistant/#").await;
        client.keep("zigbee2mqtt/bridge/devices", "x".repeat(230_000)).await;
        client.keep("zigbee2mqtt/bridge/definitions", "x".repeat(291_000)).await;
        client.keep("homeassistant/binary_sensor/0x1/contact/config", "{}").await;
        assert_eq!(quarantine(&app).await, Vec::<String>::new(), "of no interest, whatever its size");
        client.tell(TOPIC, "x".repeat(70_000)).await;
        assert_eq!(quarantine(&app).await, ["too_large"]);
        // A minute after the start, and live.
        app.clock.advance(TimeDelta::minutes(1));
        client.tell(TOPIC, r#"{"contact":false}"#).await;
        assert_eq!(signs_after(&app, &world).await, [("open".to_owned(), "A".to_owned(), "accepted".to_owned())]);
        running.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_gateway_hears_nothing_of_other_homes() {
    on_each_engine(async |app: App| {
        let (app, running) = started(&app).await;
        let (_, _, mut client) = closed_curtain(&app, &running).await;
        for filter in ["#", "zigbee2mqtt", "zigbee2mqtt2/#", "chk/1/+/up/#", "$SYS/#"] {
            assert_eq!(client.ask_for(filter).await, Heard::Refused, "{filter}");
        }
        running.stop().await;
    })
    .await;
}

/// I8.
#[tokio::test]
async fn an_opening_that_its_sender_marks_to_be_kept_is_no_sign_of_life() {
    on_each_engine(async |app: App| {
        let (app, running) = started(&app).await;
        let (world, _, mut client) = closed_curtain(&app, &running).await;
        client.keep(TOPIC, r#"{"contact":false}"#).await;
        assert_eq!(signs_after(&app, &world).await, []);
        client.tell(TOPIC, r#"{"contact":false,"battery":80}"#).await;
        assert_eq!(signs_after(&app, &world).await, [], "nor is the report that repeats it");
        running.stop().await;
    })
    .await;
}

/// I8. A will was written when the connection began.
#[tokio::test]
async fn the_will_of_a_gateway_opens_no_curtain_and_says_that_it_is_gone() {
    on_each_engine(async |app: App| {
        let (app, running) = started(&app).await;
        let (world, home, client) = closed_curtain(&app, &running).await;
        drop(client);
        let last = Client::with_will(&running, &home, (TOPIC, r#"{"contact":false,"battery":41}"#)).await;
        last.vanish();
        until("the will is read", async || battery(&app).await == Some(41)).await;
        assert_eq!(signs_after(&app, &world).await, []);

        let last = Client::with_will(&running, &home, ("zigbee2mqtt/bridge/state", r#"{"state":"offline"}"#)).await;
        last.vanish();
        let id = (world.site, home.device.id);
        until("it is said to be gone", async || device(&app, id).await.status.as_str() == "offline").await;
        running.stop().await;
    })
    .await;
}

#[tokio::test]
async fn the_clients_of_mosquitto_are_served_or_refused_cleanly() {
    let Some(program) = needs::program("mosquitto_pub") else { return };
    on_each_engine(async |app: App| {
        let world = World::seed(&app, 1).await;
        let (app, running) = started(&app).await;
        let sensor = install(&app, &world, native(&world, "d-1"), None).await;
        let port = running.listens_on().expect("an endpoint").port().to_string();
        let publish = |version: &str, password: &str| {
            let mut command = std::process::Command::new(&program);
            command.args(["-h", "127.0.0.1", "-p", &port, "-V", version, "-u", "d-1", "-P", password]);
            command.args(["-q", "1", "-m", "x", "-t", "chk/1/d-1/up/evt"]);
            let run = tokio::task::spawn_blocking(move || command.output().expect("mosquitto_pub runs"));
            async move {
                let output = run.await.expect("it does not panic");
                (output.status.success(), String::from_utf8_lossy(&output.stderr).to_lowercase())
            }
        };
        let (published, said) = publish("mqttv311", sensor.password()).await;
        assert!(published, "{said}");
        let (published, said) = publish("mqttv5", sensor.password()).await;
        assert!(!published && said.contains("protocol version"), "{said}");
        let (published, said) = publish("mqttv311", "wrong").await;
        assert!(!published && said.contains("bad user name or password"), "{said}");
        running.stop().await;
    })
    .await;
}
