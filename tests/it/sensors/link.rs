//! The link to an external broker: what comes through it, what lies there for devices, and who sees when it is broken.

use chenlian::clock::Clock;
use chenlian::jobs::{heartbeat, settle};
use chenlian::mqtt::external::url::BrokerUrl;
use chenlian::mqtt::external::{self, Settings};
use chenlian::mqtt::ports::{Fault, Inbound, Outcome, Ports, Source};
use chrono::TimeDelta;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::several::{GATEWAY, SERVER, instance};
use super::*;
use crate::harness::broker::Broker;
use crate::harness::{World, local, on_each_engine};
use crate::morning::set;

const TOPIC: &str = "zigbee2mqtt/curtain";

async fn curtain(app: &App) -> (World, (Uuid, Uuid)) {
    let world = World::seed(app, 1).await;
    let home = install(app, &world, gateway(&world, "gw-1"), None).await;
    let sensor = install(app, &world, behind(&world, home.device.id, "curtain"), Some(world.seniors[0])).await;
    let id = (world.site, sensor.device.id);
    (world, id)
}

async fn battery_is(app: &App, id: (Uuid, Uuid), percent: i64) {
    until("the message is handed in", async || device(app, id).await.battery_percent == Some(percent)).await;
}

/// F2. A broker without a limit keeps what is large and sends it to every new connection.
#[tokio::test]
async fn a_large_message_that_the_broker_keeps_stops_no_other() {
    let Some(broker) = Broker::start_without_size_limit(&[SERVER, GATEWAY]) else { return };
    assert!(broker.publish_kept(GATEWAY, "zigbee2mqtt/picture", &"x".repeat(200_000)));
    on_each_engine(async |app: App| {
        let (_, id) = curtain(&app).await;
        let (app, running) = instance(&app, &broker, "", 0).await;
        for percent in 50..60 {
            assert!(broker.publish(Some(GATEWAY), TOPIC, &format!(r#"{{"contact":true,"battery":{percent}}}"#)));
        }
        battery_is(&app, id, 59).await;
        assert!(broker.publish(Some(GATEWAY), TOPIC, &"x".repeat(3_000_000)));
        assert!(broker.publish(Some(GATEWAY), TOPIC, r#"{"contact":true,"battery":60}"#));
        battery_is(&app, id, 60).await;
        assert_eq!(quarantine(&app).await, ["too_large"; 2]);
        assert_eq!(running.broker().expect("a link").borrow().last_error, None, "the connection was never lost");
        running.stop().await;
    })
    .await;
}

/// I8.
#[tokio::test]
async fn an_opening_that_the_broker_kept_is_no_sign_of_life() {
    let Some(broker) = Broker::start(&[SERVER, GATEWAY]) else { return };
    on_each_engine(async |app: App| {
        assert!(broker.forget(GATEWAY, TOPIC), "what the other engine's turn left there");
        let (world, id) = curtain(&app).await;
        let (night, running) = instance(&app, &broker, "", 0).await;
        assert!(broker.publish(Some(GATEWAY), TOPIC, r#"{"contact":true,"battery":90}"#));
        battery_is(&night, id, 90).await;
        running.stop().await;
        assert!(broker.publish_kept(GATEWAY, TOPIC, r#"{"contact":false,"battery":89}"#));
        set(&app, local("07:30:00")).await;
        let (morning, running) = instance(&app, &broker, "", 0).await;
        battery_is(&morning, id, 89).await;
        morning.clock.advance(TimeDelta::minutes(5));
        settle::run_once(&morning).await.unwrap();
        assert_eq!(signals(&morning, world.seniors[0]).await, []);
        running.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_native_device_finds_its_settings_at_the_broker_until_it_is_revoked() {
    let Some(broker) = Broker::start(&[SERVER, "d-1"]) else { return };
    let (settings, status) = ("chk/1/d-1/dn/cfg", "chk/1/d-1/up/status");
    on_each_engine(async |app: App| {
        let world = World::seed(&app, 1).await;
        let sensor = install(&app, &world, native(&world, "d-1"), None).await;
        let (app, running) = instance(&app, &broker, "", 0).await;
        until("its settings lie there", async || broker.kept("d-1", settings).is_some()).await;
        assert!(broker.publish_kept("d-1", status, r#"{"s":"on","bn":7,"bd":15,"next_s":600}"#));
        let (id, by, now) = ((world.site, sensor.device.id), world.social_worker, app.clock.now());
        until("it is heard", async || device(&app, id).await.status.as_str() == "online").await;
        app.write(move |mut tx| async move { devices::revoke(&mut tx, id, by, now).await.map(|()| (tx, ())) }).await.unwrap();
        until("nothing lies there", async || broker.kept("d-1", settings).is_none()).await;
        until("nothing of it either", async || broker.kept(SERVER, status).is_none()).await;
        assert_eq!(quarantine(&app).await, Vec::<String>::new(), "and our own removal is not put aside");
        running.stop().await;
    })
    .await;
}

async fn ready(address: std::net::SocketAddr) -> bool {
    let mut stream = TcpStream::connect(address).await.expect("the operator's listener");
    stream.write_all(b"GET /ready HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer.starts_with("HTTP/1.1 200")
}

#[tokio::test]
async fn the_server_is_ready_only_while_sensors_can_be_heard() {
    on_each_engine(async |app: App| {
        let Some(mut broker) = Broker::start(&[SERVER]) else { return };
        let (app, running) = instance(&app, &broker, "", 0).await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, stop) = (listener.local_addr().unwrap(), CancellationToken::new());
        tokio::spawn(chenlian::http::ops::serve(app.clone(), listener, stop.clone()));
        assert!(!ready(address).await, "nobody has looked yet");
        let (_going_on, stopped) = watch::channel(false);
        tokio::spawn(heartbeat::follow_sensors(app.clone(), running.broker(), stopped));
        until("the link is seen", async || ready(address).await).await;
        broker.pause();
        until("the broken link is seen", async || !ready(address).await).await;
        broker.go_on();
        until("the mended link is seen", async || ready(address).await).await;
        stop.cancel();
        running.stop().await;
    })
    .await;
}

async fn arrival(messages: &mut mpsc::Receiver<Inbound>) -> Inbound {
    timeout(SOON, messages.recv()).await.expect("a message arrives").expect("the client lives")
}

#[tokio::test]
async fn a_real_broker_delivers_live_kept_and_waiting_messages_each_marked_as_such() {
    let Some(broker) = Broker::start_without_size_limit(&[SERVER, GATEWAY]) else { return };
    let url = BrokerUrl { host: "127.0.0.1".to_owned(), port: broker.port(), tls: false };
    let settings = Settings {
        username: Some(SERVER.to_owned()),
        password: Some(SERVER.to_owned()),
        // A slow machine is no end of a backlog.
        backlog_idle: SOON,
        filters: vec!["zigbee2mqtt/+".to_owned()],
        ..Settings::new(url, "instance-1".to_owned())
    };
    let (authenticate, _) = mpsc::channel(1);
    let (inbound, mut messages) = mpsc::channel(64);
    let ports = Ports { authenticate, inbound, clock: Clock::System };
    let client = external::start(settings.clone(), ports.clone()).unwrap();
    let subscribed = async |client: &external::External| {
        let mut status = client.status();
        timeout(SOON, status.wait_for(|status| status.subscribed)).await.expect("subscribed in time").unwrap();
    };
    subscribed(&client).await;
    assert!(broker.publish(Some(GATEWAY), "zigbee2mqtt/bridge/devices", "not subscribed"));
    assert!(broker.publish_kept(GATEWAY, "zigbee2mqtt/a", "live"));
    let live = arrival(&mut messages).await;
    assert_eq!((&live.payload[..], live.retain), (&b"live"[..], false));
    assert!(matches!(live.source, Source::Broker { waited: false }));
    live.ack.send(Outcome::Committed).unwrap();
    client.listener().listen("zigbee2mqtt/3栋/窗帘");
    let mut named = false;
    while !named {
        // The subscription is on its way beside the publication.
        assert!(broker.publish(Some(GATEWAY), "zigbee2mqtt/3栋/窗帘", "named"));
        tokio::task::yield_now().await;
        named = timeout(Duration::from_millis(500), messages.recv())
            .await
            .is_ok_and(|message| message.is_some_and(|message| message.ack.send(Outcome::Committed).is_ok()));
    }
    assert!(broker.publish(Some(GATEWAY), "zigbee2mqtt/a", &"x".repeat(65 * 1024)));
    let mut large = arrival(&mut messages).await;
    while large.fault.is_none() {
        large.ack.send(Outcome::Committed).unwrap();
        large = arrival(&mut messages).await;
    }
    assert_eq!((large.fault, large.payload.len()), (Some(Fault::TooLarge), 1024));
    large.ack.send(Outcome::Committed).unwrap();
    // What is not acknowledged in time comes again, marked as waiting.
    client.stop().await;

    assert!(broker.publish(Some(GATEWAY), "zigbee2mqtt/b", "while away"));
    let client = external::start(settings, ports).unwrap();
    let mut heard = std::collections::BTreeSet::new();
    while heard.len() < 2 {
        let message = arrival(&mut messages).await;
        assert!(matches!(message.source, Source::Broker { waited: true }));
        if message.fault.is_none() && message.topic != "zigbee2mqtt/3栋/窗帘" {
            heard.insert((String::from_utf8_lossy(&message.payload).into_owned(), message.retain));
        }
        message.ack.send(Outcome::Committed).unwrap();
    }
    assert_eq!(heard.into_iter().collect::<Vec<_>>(), [("live".to_owned(), true), ("while away".to_owned(), false)]);
    client.stop().await;
}
