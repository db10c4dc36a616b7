//! Several instances hear the same broker (F5), and all of them must be one.

use chenlian::app::App;
use chenlian::clock::Clock;
use chenlian::config::MqttMode;
use chenlian::domain::rules::Span;
use chenlian::jobs::{plan_day, settle};
use chrono::TimeDelta;

use super::*;
use crate::harness::broker::Broker;
use crate::harness::{World, local, on_each_engine};
use crate::morning::set;

/// Accounts of the shipped access rules.
pub const SERVER: &str = "chenlian";
pub const GATEWAY: &str = "zigbee2mqtt";

/// One more instance on the same database, under a name of its own if it has none. Its clock differs a little, as clocks do.
pub async fn instance(app: &App, broker: &Broker, name: &str, ahead_ms: i64) -> (App, Running) {
    let url = format!("mqtt://127.0.0.1:{}", broker.port());
    let app = with_settings(app, |config| {
        config.mqtt.mode = MqttMode::External;
        // A session of its own: what a resumed one delivers first counts as a backlog.
        config.mqtt.client_id = if name.is_empty() { Uuid::new_v4().to_string() } else { name.to_owned() };
        config.mqtt.url = url;
        SERVER.clone_into(&mut config.mqtt.user);
        SERVER.clone_into(&mut config.mqtt.password);
    });
    let clock = Clock::manual(app.clock.now() + TimeDelta::milliseconds(ahead_ms));
    let app = App::new(app.config.clone(), app.db.clone(), clock, SealKey::from_bytes([42; 32]));
    let running = running::start(&app).await.unwrap();
    let mut status = running.broker().unwrap();
    tokio::time::timeout(SOON, status.wait_for(|status| status.subscribed)).await.expect("subscribed in time").unwrap();
    (app, running)
}

#[tokio::test]
async fn two_instances_on_one_broker_see_one_opening_and_keep_the_last_level() {
    let Some(broker) = Broker::start(&[SERVER, GATEWAY]) else { return };
    on_each_engine(async |app: App| {
        let world = World::seed(&app, 1).await;
        plan_day::run_once(&app).await.unwrap();
        let home = install(&app, &world, gateway(&world, "gw-1"), None).await;
        let sensor = install(&app, &world, behind(&world, home.device.id, "卧室/窗帘"), Some(world.seniors[0])).await;
        let id = (world.site, sensor.device.id);
        let (first, one) = instance(&app, &broker, "", 0).await;
        let (second, two) = instance(&app, &broker, "", 137).await;
        // Moving the clock while one of them lags would make its copies old messages: they are told by when they arrived.
        let battery = async |percent| {
            until("both instances have handed in", async || {
                let device = device(&first, id).await;
                let last = device.state().unwrap().recent.0.pop();
                device.battery_percent == Some(percent) && last.is_some_and(|last| last.instances.len() == 2)
            })
            .await;
        };
        let publish = |lines: &str| assert!(broker.publish(Some(GATEWAY), "zigbee2mqtt/卧室/窗帘", lines));
        publish(r#"{"contact":true,"battery":90}"#);
        battery(90).await;
        let both_at = async |now| {
            set(&first, now).await;
            set(&second, now + TimeDelta::milliseconds(137)).await;
        };
        both_at(local("07:30:00")).await;
        let restless = [
            r#"{"contact":false}"#,
            r#"{"contact":true}"#,
            r#"{"contact":false}"#,
            r#"{"contact":true}"#,
            r#"{"contact":true,"battery":89}"#,
        ];
        publish(&restless.join("\n"));
        battery(89).await;
        assert_eq!(device(&first, id).await.level.as_deref(), Some("closed"), "a copy of an older message is not the latest level");
        let shown = [("open".to_owned(), "B".to_owned(), "accepted".to_owned())];
        assert_eq!(signals(&first, world.seniors[0]).await, shown, "the first did not last, the second only shows, and once");
        both_at(local("08:10:00")).await;
        publish(r#"{"contact":false,"battery":88}"#);
        battery(88).await;
        both_at(local("08:11:01")).await;
        settle::run_once(&first).await.unwrap();
        let proofs = signals(&first, world.seniors[0]).await.into_iter().filter(|(_, class, _)| class == "A").count();
        assert_eq!(proofs, 1);
        assert_eq!(check_state(&first, world.seniors[0]).await, "ok");
        one.stop().await;
        two.stop().await;
    })
    .await;
}

/// I8. The broker keeps for a stopped instance what another one has long handed in; its last message is dropped as a copy.
#[tokio::test]
async fn what_waited_for_an_instance_does_not_close_a_curtain_that_another_saw_open() {
    let Some(broker) = Broker::start(&[SERVER, GATEWAY]) else { return };
    on_each_engine(async |app: App| {
        let world = World::seed(&app, 1).await;
        let app = with_settings(&app, |config| config.sensor.settle = Span(TimeDelta::seconds(1)));
        let home = install(&app, &world, gateway(&world, "gw-1"), None).await;
        let sensor = install(&app, &world, behind(&world, home.device.id, "curtain"), Some(world.seniors[0])).await;
        let id = (world.site, sensor.device.id);
        let publish = |line: &str| assert!(broker.publish(Some(GATEWAY), "zigbee2mqtt/curtain", line));
        let battery = async |percent| {
            until("it is handed in", async || device(&app, id).await.battery_percent == Some(percent)).await;
        };
        let late = format!("late-{}", Uuid::new_v4());
        instance(&app, &broker, &late, 0).await.1.stop().await;
        let (first, one) = instance(&app, &broker, "", 0).await;
        publish(r#"{"contact":true,"battery":90}"#);
        battery(90).await;
        set(&first, local("07:30:00")).await;
        publish(r#"{"contact":false,"battery":89}"#);
        battery(89).await;
        set(&first, local("07:30:02")).await;
        settle::run_once(&first).await.unwrap();
        let proof = [("open".to_owned(), "A".to_owned(), "accepted".to_owned())];
        assert_eq!(signals(&first, world.seniors[0]).await, proof);

        set(&app, local("07:30:05")).await;
        let (second, two) = instance(&app, &broker, &late, 0).await;
        battery(90).await;
        publish(r#"{"contact":false,"battery":88}"#);
        battery(88).await;
        assert_ne!(device(&first, id).await.level.as_deref(), Some("closed"));
        for instance in [&first, &second] {
            set(instance, local("08:10:00")).await;
        }
        publish(r#"{"contact":false,"battery":87}"#);
        battery(87).await;
        set(&first, local("08:10:30")).await;
        settle::run_once(&first).await.unwrap();
        assert_eq!(signals(&first, world.seniors[0]).await, proof, "a battery report is not a second rising");
        one.stop().await;
        two.stop().await;
    })
    .await;
}
