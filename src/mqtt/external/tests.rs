//! Against a real mosquitto where it is installed, and against a hand-made broker for what mosquitto cannot be made to do.

use std::net::TcpListener as StdListener;
use std::process::{Child, Command};

use bytes::BytesMut;
use rumqttc::{ConnAck, ConnectReturnCode, Event, Packet, Publish, PublishOptions, SubAck, SubscribeReasonCode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use super::*;
use crate::clock::Clock;
use crate::mqtt::ports::{Inbound, Outcome, Source};

const SOON: Duration = Duration::from_secs(10);
const A_WHILE: Duration = Duration::from_millis(200);

fn settings(port: u16) -> Settings {
    let url = BrokerUrl { host: "127.0.0.1".to_owned(), port, tls: false };
    Settings {
        retry_pause: Duration::from_millis(20),
        room_timeout: Duration::from_millis(300),
        backlog_idle: Duration::from_millis(300),
        poison_max: 3,
        ..Settings::new(url, "instance-1".to_owned())
    }
}

fn ports(room: usize) -> (Ports, mpsc::Receiver<Inbound>) {
    let (authenticate, _) = mpsc::channel(1);
    let (inbound, messages) = mpsc::channel(room);
    (Ports { authenticate, inbound, clock: Clock::System }, messages)
}

async fn arrival(messages: &mut mpsc::Receiver<Inbound>) -> Inbound {
    timeout(SOON, messages.recv()).await.expect("a message arrives").unwrap()
}

async fn subscribed(client: &External) {
    let mut status = client.status();
    timeout(SOON, status.wait_for(|status| status.subscribed)).await.expect("subscribed in time").unwrap();
}

/// A broker that says what the test wants; one connection at a time.
struct Script {
    listener: TcpListener,
    port: u16,
}

struct Talk {
    stream: TcpStream,
    incoming: BytesMut,
    clean: bool,
}

impl Script {
    async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        Self { listener, port }
    }

    /// Accepts, greets and grants the subscription.
    async fn greet(&self, session_present: bool) -> Talk {
        let mut talk = self.greet_only(session_present).await;
        let Packet::Subscribe(subscribe) = talk.hear().await.unwrap() else { panic!("no subscription") };
        let codes = vec![SubscribeReasonCode::Success(QoS::AtLeastOnce); subscribe.filters.len()];
        talk.say(Packet::SubAck(SubAck::new(subscribe.pkid, codes))).await;
        talk
    }

    async fn greet_only(&self, session_present: bool) -> Talk {
        let (stream, _) = timeout(SOON, self.listener.accept()).await.expect("a connection in time").unwrap();
        let mut talk = Talk { stream, incoming: BytesMut::new(), clean: false };
        let Packet::Connect(connect) = talk.hear().await.unwrap() else { panic!("no CONNECT") };
        talk.clean = connect.clean_session;
        talk.say(Packet::ConnAck(ConnAck::new(ConnectReturnCode::Success, session_present))).await;
        talk
    }
}

impl Talk {
    async fn say(&mut self, packet: Packet) {
        let mut bytes = BytesMut::new();
        packet.write(&mut bytes, usize::MAX).unwrap();
        let _ = self.stream.write_all(&bytes).await;
    }

    async fn publish(&mut self, packet_id: u16, payload: &str) {
        let mut publish = Publish::new("zigbee2mqtt/a", QoS::AtLeastOnce, payload);
        publish.pkid = packet_id;
        self.say(Packet::Publish(publish)).await;
    }

    async fn hear(&mut self) -> Option<Packet> {
        timeout(SOON, async {
            loop {
                match Packet::read(&mut self.incoming, usize::MAX) {
                    Ok(packet) => return Some(packet),
                    Err(rumqttc::Error::InsufficientBytes(_)) => {}
                    Err(error) => panic!("the client sent nonsense: {error}"),
                }
                if self.stream.read_buf(&mut self.incoming).await.unwrap_or(0) == 0 {
                    return None;
                }
            }
        })
        .await
        .expect("something is heard in time")
    }

    async fn hears_ack(&mut self, packet_id: u16) {
        let heard = self.hear().await;
        assert!(matches!(&heard, Some(Packet::PubAck(ack)) if ack.pkid == packet_id), "{packet_id}: {heard:?}");
    }
}

#[tokio::test]
async fn the_broker_gets_its_acknowledgement_after_the_commit() {
    let broker = Script::new().await;
    let (ports, mut messages) = ports(8);
    let client = start(settings(broker.port), ports).unwrap();
    let mut talk = broker.greet(false).await;
    assert!(!talk.clean, "the broker is to keep the session");
    talk.publish(1, "one").await;
    let message = arrival(&mut messages).await;
    assert!(matches!(message.source, Source::Broker { waited: false }));
    assert!(timeout(A_WHILE, talk.stream.readable()).await.is_err(), "acknowledged before the commit");
    message.ack.send(Outcome::Committed).unwrap();
    talk.hears_ack(1).await;
    client.stop().await;
}

#[tokio::test]
async fn an_acknowledgement_never_crosses_to_the_next_connection() {
    let broker = Script::new().await;
    let (ports, mut messages) = ports(8);
    let client = start(settings(broker.port), ports).unwrap();
    let mut talk = broker.greet(false).await;
    talk.publish(1, "old").await;
    let old = arrival(&mut messages).await;
    drop(talk);
    // A broker that lost its session uses the same packet id for another message.
    let mut talk = broker.greet(false).await;
    talk.publish(1, "new").await;
    let new = arrival(&mut messages).await;
    old.ack.send(Outcome::Committed).unwrap();
    assert!(timeout(A_WHILE, talk.stream.readable()).await.is_err(), "the old answer acknowledged the new message");
    new.ack.send(Outcome::Committed).unwrap();
    talk.hears_ack(1).await;
    client.stop().await;
}

#[tokio::test]
async fn a_message_that_could_not_be_stored_is_asked_for_again_and_nothing_behind_it_is_acknowledged() {
    let broker = Script::new().await;
    let (ports, mut messages) = ports(8);
    let client = start(settings(broker.port), ports).unwrap();
    let mut talk = broker.greet(false).await;
    talk.publish(1, "one").await;
    talk.publish(2, "two").await;
    let (one, two) = (arrival(&mut messages).await, arrival(&mut messages).await);
    two.ack.send(Outcome::Committed).unwrap();
    one.ack.send(Outcome::Failed).unwrap();
    assert_eq!(talk.hear().await, None, "the connection is begun again");
    let mut talk = broker.greet(true).await;
    talk.publish(1, "one").await;
    let again = arrival(&mut messages).await;
    assert!(matches!(again.source, Source::Broker { waited: true }), "nobody knows how long it waited");
    again.ack.send(Outcome::Committed).unwrap();
    talk.hears_ack(1).await;
    tokio::time::sleep(Duration::from_millis(400)).await;
    talk.publish(3, "fresh").await;
    assert!(matches!(arrival(&mut messages).await.source, Source::Broker { waited: false }), "the backlog is over");
    client.stop().await;
}

#[tokio::test]
async fn a_receiver_that_stands_still_costs_no_message() {
    let broker = Script::new().await;
    let (ports, mut messages) = ports(1);
    let client = start(settings(broker.port), ports).unwrap();
    let mut talk = broker.greet(false).await;
    talk.publish(1, "one").await;
    talk.publish(2, "two").await;
    assert_eq!(talk.hear().await, None, "given up for want of room");
    let mut talk = broker.greet(true).await;
    arrival(&mut messages).await;
    talk.publish(2, "two").await;
    assert_eq!(&arrival(&mut messages).await.payload[..], b"two");
    client.stop().await;
}

#[tokio::test]
async fn one_message_that_cannot_be_read_does_not_stop_the_others_for_ever() {
    let broker = Script::new().await;
    let (ports, mut messages) = ports(8);
    let client = start(settings(broker.port), ports).unwrap();
    for _ in 0..3 {
        let mut talk = broker.greet(true).await;
        assert!(!talk.clean);
        talk.publish(1, &"x".repeat(INCOMING_BYTES_MAX + 1)).await;
        while talk.hear().await.is_some() {}
    }
    let mut talk = broker.greet_only(false).await;
    assert!(talk.clean, "the session with the message in it is dropped");
    while talk.hear().await.is_some() {}
    let mut talk = broker.greet(false).await;
    assert!(!talk.clean, "and a lasting one is opened");
    talk.publish(2, "readable").await;
    assert_eq!(&arrival(&mut messages).await.payload[..], b"readable");
    assert_eq!(client.status().borrow().sessions_dropped, 1, "and the operator can see it");
    client.stop().await;
}

/// A mosquitto of the test's own.
struct Mosquitto {
    process: Child,
    port: u16,
    _folder: tempfile::TempDir,
}

impl Mosquitto {
    /// `None`, said by name, if it is not installed; on a build server it must be.
    fn start() -> Option<Self> {
        let port = StdListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("mosquitto.conf");
        std::fs::write(&file, format!("listener {port} 127.0.0.1\nallow_anonymous true\nlog_type none\n")).unwrap();
        let program = ["mosquitto", "/usr/sbin/mosquitto"];
        let process = program.iter().find_map(|program| Command::new(program).arg("-c").arg(&file).spawn().ok());
        let Some(process) = process else {
            assert!(std::env::var("CI").is_err(), "mosquitto is missing");
            eprintln!("left out: mosquitto is not installed");
            return None;
        };
        Some(Self { process, port, _folder: folder })
    }

    async fn publish(&self, topic: &str, payload: &str, retain: bool) {
        let mut options = MqttOptions::new("publisher", Broker::tcp("127.0.0.1", self.port));
        options.set_max_packet_size(1 << 20, 1 << 20);
        let (client, mut events) = AsyncClient::builder(options).capacity(8).build();
        let how = PublishOptions::at_least_once().retain(retain);
        client.publish(topic.to_owned(), payload.to_owned(), how).await.unwrap();
        let acknowledged = async {
            while !matches!(events.poll().await, Ok(Event::Incoming(Packet::PubAck(_)))) {
                tokio::task::yield_now().await;
            }
        };
        timeout(SOON, acknowledged).await.unwrap();
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[tokio::test]
async fn a_real_broker_delivers_live_retained_and_waiting_messages_each_marked_as_such() {
    let Some(broker) = Mosquitto::start() else { return };
    let (ports, mut messages) = ports(64);
    let client = start(settings(broker.port), ports.clone()).unwrap();
    subscribed(&client).await;
    broker.publish("zigbee2mqtt/bridge/devices", "not subscribed", false).await;
    broker.publish("zigbee2mqtt/a", "live", true).await;
    let live = arrival(&mut messages).await;
    assert_eq!((&live.payload[..], live.retain), (&b"live"[..], false));
    live.ack.send(Outcome::Committed).unwrap();
    client.listener().listen("zigbee2mqtt/3栋/窗帘");
    broker.publish("zigbee2mqtt/3栋/窗帘", "named", false).await;
    // Listening to a name may race with the publication only if the broker reorders, which it does not.
    arrival(&mut messages).await.ack.send(Outcome::Committed).unwrap();
    broker.publish("zigbee2mqtt/a", &"x".repeat(65 * 1024), false).await;
    let large = arrival(&mut messages).await;
    assert_eq!((large.fault, large.payload.len()), (Some(crate::mqtt::ports::Fault::TooLarge), 1024));
    large.ack.send(Outcome::Committed).unwrap();
    tokio::time::sleep(A_WHILE).await;
    client.stop().await;

    broker.publish("zigbee2mqtt/b", "while away", false).await;
    let client = start(settings(broker.port), ports).unwrap();
    let mut heard = Vec::new();
    for _ in 0..2 {
        let message = arrival(&mut messages).await;
        heard.push((String::from_utf8_lossy(&message.payload).into_owned(), message.retain));
        assert!(matches!(message.source, Source::Broker { waited: true }));
        message.ack.send(Outcome::Committed).unwrap();
    }
    heard.sort();
    assert_eq!(heard, [("live".to_owned(), true), ("while away".to_owned(), false)]);
    client.stop().await;
}
