//! Against a hand-made broker, for what a real one cannot be made to do; `tests/it/sensors/link.rs` has the real one.

use bytes::BytesMut;
use rumqttc::{ConnAck, ConnectReturnCode, Packet, Publish, SubAck, SubscribeReasonCode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use super::*;
use crate::clock::Clock;
use crate::mqtt::ports::{Fault, Inbound, Outcome, Source};

const SOON: Duration = Duration::from_secs(10);
const A_WHILE: Duration = Duration::from_millis(200);

fn settings(port: u16) -> Settings {
    let url = BrokerUrl { host: "127.0.0.1".to_owned(), port, tls: false };
    Settings {
        retry_pause: Duration::from_millis(20),
        room_timeout: Duration::from_millis(300),
        // A slow machine is no end of a backlog.
        backlog_idle: SOON,
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
    client.stop().await;
}

#[tokio::test]
async fn a_backlog_is_over_when_the_broker_has_nothing_more_for_us() {
    let idle = Settings { backlog_idle: Duration::from_millis(20), ..settings(0) };
    let pinging = Settings { keep_alive: Duration::from_secs(1), ..settings(0) };
    for (settings, pings) in [(idle, false), (pinging, true)] {
        let broker = Script::new().await;
        let (ports, mut messages) = ports(8);
        let url = BrokerUrl { port: broker.port, ..settings.url.clone() };
        let client = start(Settings { url, ..settings }, ports).unwrap();
        let mut talk = broker.greet(true).await;
        if pings {
            assert_eq!(talk.hear().await, Some(Packet::PingReq));
            talk.say(Packet::PingResp).await;
        } else {
            tokio::time::sleep(Duration::from_millis(40)).await;
        }
        talk.publish(3, "fresh").await;
        assert!(matches!(arrival(&mut messages).await.source, Source::Broker { waited: false }), "pings: {pings}");
        client.stop().await;
    }
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

/// F2. Its sample is kept, and it is acknowledged, so that it does not come again.
#[tokio::test]
async fn a_message_far_larger_than_a_sensor_sends_is_handed_in_as_a_sample() {
    let broker = Script::new().await;
    let (ports, mut messages) = ports(8);
    let client = start(settings(broker.port), ports).unwrap();
    let mut talk = broker.greet(false).await;
    talk.publish(1, &"x".repeat(5_000_000)).await;
    talk.publish(2, "next").await;
    let large = arrival(&mut messages).await;
    assert_eq!((large.fault, large.size_bytes, large.payload.len()), (Some(Fault::TooLarge), 5_000_000, 1024));
    large.ack.send(Outcome::Committed).unwrap();
    talk.hears_ack(1).await;
    assert_eq!(&arrival(&mut messages).await.payload[..], b"next");
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
        // A PUBLISH of 32 MiB begins.
        talk.stream.write_all(&[0x30, 0x80, 0x80, 0x80, 0x10]).await.unwrap();
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
