//! A city's broker that serves many homes: the access file that the register makes, and the bridge of a home.

use chenlian::config::MqttMode;
use chenlian::jobs::settle;
use chenlian::mqtt::external::acl::{self, Account};
use chrono::TimeDelta;

use super::several::SERVER;
use super::*;
use crate::harness::broker::Broker;
use crate::harness::{World, local, on_each_engine};
use crate::morning::set;

const HOME: &str = "home-7";

/// The access file as `chenlian broker acl` prints it.
async fn access_file(app: &App) -> String {
    let accounts = app.read(|mut tx| async move { devices::accounts(&mut tx).await.map(|accounts| (tx, accounts)) }).await;
    acl::file(SERVER, accounts.expect("the register is read").into_iter().map(Account::of))
}

/// A gateway whose broker hands on to the city's, and a contact behind it at the first senior's.
async fn bridged(app: &App) -> (World, (Uuid, Uuid)) {
    let world = World::seed(app, 1).await;
    let home = NewDevice { base_topic: Some("site/7/zigbee2mqtt".to_owned()), ..gateway(&world, HOME) };
    let home = install(app, &world, home, None).await;
    let sensor = install(app, &world, behind(&world, home.device.id, "卧室窗帘"), Some(world.seniors[0])).await;
    let id = (world.site, sensor.device.id);
    (world, id)
}

/// I31. Revoked devices are no longer in the file.
#[tokio::test]
async fn the_access_file_lets_every_device_of_the_register_speak_for_itself_alone() {
    on_each_engine(async |app: App| {
        let (world, _) = bridged(&app).await;
        let revoked = install(&app, &world, native(&world, "d-0"), None).await;
        install(&app, &world, native(&world, "d-1"), None).await;
        let (id, by, now) = ((world.site, revoked.device.id), world.social_worker, app.clock.now());
        app.write(move |mut tx| async move { devices::revoke(&mut tx, id, by, now).await.map(|()| (tx, ())) }).await.unwrap();
        let Some(broker) = Broker::start_with_rules(&[SERVER, "d-0", "d-1", HOME], &access_file(&app).await) else { return };
        let everything = ["chk/1/+/up/#", "site/7/zigbee2mqtt/#", "site/8/zigbee2mqtt/#"];
        broker.subscribe(SERVER, &everything);
        broker.publish(Some("d-0"), "chk/1/d-0/up/evt", "revoked");
        broker.publish(Some("d-1"), "chk/1/d-0/up/evt", "forged");
        broker.publish(Some("d-1"), "site/7/zigbee2mqtt/curtain", "forged");
        broker.publish(Some(HOME), "chk/1/d-1/up/evt", "forged");
        broker.publish(Some(HOME), "site/8/zigbee2mqtt/curtain", "forged");
        broker.publish(Some("d-1"), "chk/1/d-1/up/evt", "own");
        broker.publish(Some(HOME), "site/7/zigbee2mqtt/curtain", "own");
        let heard = broker.waiting(SERVER, &everything, 2);
        assert_eq!(heard, ["chk/1/d-1/up/evt own", "site/7/zigbee2mqtt/curtain own"]);
    })
    .await;
}

/// F3: what a home says while the city's broker is away arrives when it is back.
#[tokio::test]
async fn a_home_behind_a_bridge_is_heard_also_after_the_city_was_away() {
    on_each_engine(async |app: App| {
        let (world, id) = bridged(&app).await;
        let Some(mut city) = Broker::start_with_rules(&[SERVER, HOME], &access_file(&app).await) else { return };
        let Some(home) = Broker::start_at_home(&city, HOME, "7") else { return };
        let heard = ["site/7/zigbee2mqtt/#"];
        city.subscribe(SERVER, &heard);
        // What is of no interest stays at home, and nothing comes back.
        assert!(home.publish(None, "zigbee2mqtt/bridge/definitions", "large"));
        assert!(home.publish(None, "frigate/events", "private"));
        assert!(home.publish(None, "zigbee2mqtt/卧室窗帘", r#"{"contact":true,"battery":70}"#));
        let first = city.waiting(SERVER, &heard, 1);
        assert_eq!(first, [r#"site/7/zigbee2mqtt/卧室窗帘 {"contact":true,"battery":70}"#]);

        city.pause();
        assert!(home.publish(None, "zigbee2mqtt/卧室窗帘", r#"{"contact":true,"battery":71}"#));
        city.go_on();
        let mut later = city.waiting(SERVER, &heard, 1);
        // At least once: the kill may bring back what was acknowledged just before.
        if later == first {
            later = city.waiting(SERVER, &heard, 1);
        }
        assert_eq!(later, [r#"site/7/zigbee2mqtt/卧室窗帘 {"contact":true,"battery":71}"#]);

        let url = format!("mqtt://127.0.0.1:{}", city.port());
        let app = with_settings(&app, |config| {
            config.mqtt.mode = MqttMode::External;
            config.mqtt.client_id = Uuid::new_v4().to_string();
            config.mqtt.url = url;
            SERVER.clone_into(&mut config.mqtt.user);
            SERVER.clone_into(&mut config.mqtt.password);
        });
        let running = running::start(&app).await.expect("the ingest starts");
        let battery = async |percent| {
            until("the home is heard", async || device(&app, id).await.battery_percent == Some(percent)).await;
        };
        let mut status = running.broker().expect("a link");
        tokio::time::timeout(SOON, status.wait_for(|status| status.subscribed)).await.expect("in time").expect("it lives");
        assert!(home.publish(None, "zigbee2mqtt/卧室窗帘", r#"{"contact":true,"battery":72}"#));
        battery(72).await;
        set(&app, local("07:30:00")).await;
        assert!(home.publish(None, "zigbee2mqtt/卧室窗帘", r#"{"contact":false,"battery":73}"#));
        battery(73).await;
        app.clock.advance(TimeDelta::minutes(5));
        settle::run_once(&app).await.expect("due openings are confirmed");
        assert_eq!(signals(&app, world.seniors[0]).await, [("open".to_owned(), "A".to_owned(), "accepted".to_owned())]);
        running.stop().await;
    })
    .await;
}
