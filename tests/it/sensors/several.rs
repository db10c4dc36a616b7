//! Several instances hear the same broker (F5), and all of them must be one.

use chenlian::app::App;
use chenlian::config::MqttMode;
use chenlian::jobs::{plan_day, settle};
use rumqttc::{AsyncClient, Broker, Event, MqttOptions, Packet, PublishOptions};

use super::*;
use crate::harness::{World, local, on_each_engine};
use crate::morning::set;

/// A broker of the test's own; `None`, said by name, where none is installed.
struct Mosquitto {
    process: std::process::Child,
    port: u16,
    _folder: tempfile::TempDir,
}

impl Mosquitto {
    fn start() -> Option<Self> {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("mosquitto.conf");
        std::fs::write(&file, format!("listener {port} 127.0.0.1\nallow_anonymous true\nlog_type none\n")).unwrap();
        let start = |program: &&str| std::process::Command::new(program).arg("-c").arg(&file).spawn().ok();
        let Some(process) = ["mosquitto", "/usr/sbin/mosquitto"].iter().find_map(start) else {
            assert!(std::env::var("CI").is_err(), "mosquitto is missing");
            eprintln!("left out: mosquitto is not installed");
            return None;
        };
        Some(Self { process, port, _folder: folder })
    }

    /// Publishes each payload and waits until the broker has it.
    async fn publish(&self, topic: &str, payloads: &[&str]) {
        let options = MqttOptions::new("gateway", Broker::tcp("127.0.0.1", self.port));
        let (client, mut events) = AsyncClient::builder(options).capacity(8).build();
        for payload in payloads {
            client.publish(topic.to_owned(), (*payload).to_owned(), PublishOptions::at_least_once()).await.unwrap();
        }
        let mut acknowledged = 0;
        while acknowledged < payloads.len() {
            if let Ok(Event::Incoming(Packet::PubAck(_))) = events.poll().await {
                acknowledged += 1;
            }
        }
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

async fn instance(app: &App, broker: &Mosquitto) -> (App, Running) {
    let url = format!("mqtt://127.0.0.1:{}", broker.port);
    let app = with_settings(app, |config| {
        config.mqtt.mode = MqttMode::External;
        config.mqtt.url = url;
    });
    let running = running::start(&app).await.unwrap();
    let mut status = running.broker().unwrap();
    tokio::time::timeout(SOON, status.wait_for(|status| status.subscribed)).await.expect("subscribed in time").unwrap();
    (app, running)
}

#[tokio::test]
async fn two_instances_on_one_broker_see_one_opening_and_keep_the_last_level() {
    let Some(broker) = Mosquitto::start() else { return };
    on_each_engine(async |app: App| {
        let world = World::seed(&app, 1).await;
        plan_day::run_once(&app).await.unwrap();
        let home = install(&app, &world, gateway(&world, "gw-1"), None).await;
        let sensor = install(&app, &world, behind(&world, home.device.id, "contact"), Some(world.seniors[0])).await;
        let id = (world.site, sensor.device.id);
        let (first, one) = instance(&app, &broker).await;
        let (_second, two) = instance(&app, &broker).await;
        let battery = async |percent| {
            until("both instances have handed in", async || device(&first, id).await.battery_percent == Some(percent)).await;
        };
        broker.publish("zigbee2mqtt/contact", &[r#"{"contact":true,"battery":90}"#]).await;
        battery(90).await;
        set(&first, local("07:30:00")).await;
        let restless = [
            r#"{"contact":false}"#,
            r#"{"contact":true}"#,
            r#"{"contact":false}"#,
            r#"{"contact":true}"#,
            r#"{"contact":true,"battery":89}"#,
        ];
        broker.publish("zigbee2mqtt/contact", &restless).await;
        battery(89).await;
        assert_eq!(device(&first, id).await.level.as_deref(), Some("closed"), "a copy of an older message is not the latest level");
        set(&first, local("08:10:00")).await;
        broker.publish("zigbee2mqtt/contact", &[r#"{"contact":false,"battery":88}"#]).await;
        battery(88).await;
        set(&first, local("08:11:00")).await;
        settle::run_once(&first).await.unwrap();
        let proofs = signals(&first, world.seniors[0]).await.into_iter().filter(|(_, class, _)| class == "A").count();
        assert_eq!(proofs, 1);
        assert_eq!(check_state(&first, world.seniors[0]).await, "ok");
        one.stop().await;
        two.stop().await;
    })
    .await;
}
