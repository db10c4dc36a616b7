//! The endpoint driven over real sockets on the loopback address, with the receiver of messages in the test's hand.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use rumqttc::{Connect, ConnectReturnCode, LastWill, Packet, Publish, QoS, Subscribe};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::timeout;
use uuid::Uuid;

use super::{Endpoint, Settings, start};
use crate::clock::Clock;
use crate::mqtt::ports::{AuthRequest, DeviceRef, Downlink, Identity, Inbound, Outcome, Ports, Refused};

mod ending;
mod exchange;
mod hostile;

/// Long enough for anything that is going to happen.
const SOON: Duration = Duration::from_secs(5);
/// Long enough to believe that nothing happens.
const A_WHILE: Duration = Duration::from_millis(80);

const PASSWORD: &str = "right";

struct World {
    endpoint: Endpoint,
    inbound: mpsc::Receiver<Inbound>,
}

fn device_id(name: &str) -> Uuid {
    Uuid::new_v5(&Uuid::NAMESPACE_OID, name.as_bytes())
}

/// Everybody with the right password is the device of their name; `gateway` speaks for a whole home.
fn identity(name: &str) -> Identity {
    let cfg = Downlink { topic: format!("chk/1/{name}/dn/cfg"), payload: Bytes::from_static(b"cfg"), retain: true };
    let publish_below = if name == "gateway" { "zigbee2mqtt/".to_owned() } else { format!("chk/1/{name}/up/") };
    Identity {
        principal: name.to_owned(),
        device: Some(DeviceRef { site_id: Uuid::nil(), device_id: device_id(name) }),
        publish_below: vec![publish_below],
        subscribe_below: vec![format!("chk/1/{name}/dn/")],
        retained: vec![cfg],
        messages_per_minute: 60,
    }
}

async fn doorkeeper(mut asked: mpsc::Receiver<AuthRequest>) {
    while let Some(request) = asked.recv().await {
        let known = request.password.as_deref() == Some(PASSWORD.as_bytes());
        let name = request.username.unwrap_or_default();
        let _ = request.reply.send(if known { Ok(identity(&name)) } else { Err(Refused::BadCredentials) });
    }
}

async fn world_with(change: impl FnOnce(&mut Settings)) -> World {
    let mut settings = Settings::new(SocketAddr::from(([127, 0, 0, 1], 0)));
    change(&mut settings);
    let (authenticate, asked) = mpsc::channel(8);
    tokio::spawn(doorkeeper(asked));
    let (sender, inbound) = mpsc::channel(64);
    let ports = Ports { authenticate, inbound: sender, clock: Clock::System };
    World { endpoint: start(settings, ports).await.unwrap(), inbound }
}

async fn world() -> World {
    world_with(|_| ()).await
}

impl World {
    async fn arrival(&mut self) -> Inbound {
        timeout(SOON, self.inbound.recv()).await.expect("a message arrives").unwrap()
    }

    async fn nothing_arrives(&mut self) {
        assert!(!matches!(timeout(A_WHILE, self.inbound.recv()).await, Ok(Some(_))), "a message arrived");
    }

    async fn connect(&self, name: &str) -> Peer {
        Peer::admitted(&self.endpoint, hello(name)).await
    }
}

/// A well-meant CONNECT with the device's own name as client id.
fn hello(name: &str) -> Connect {
    let mut connect = Connect::new(name);
    connect.set_credentials(name, PASSWORD);
    connect
}

fn with_will(name: &str) -> Connect {
    let will = LastWill::new(format!("chk/1/{name}/up/status"), "off", QoS::AtLeastOnce, true);
    Connect { last_will: Some(will), ..hello(name) }
}

fn event(name: &str, packet_id: u16) -> Packet {
    let qos = if packet_id == 0 { QoS::AtMostOnce } else { QoS::AtLeastOnce };
    let mut publish = Publish::new(format!("chk/1/{name}/up/evt"), qos, format!("{packet_id}"));
    publish.pkid = packet_id;
    Packet::Publish(publish)
}

fn subscription(filters: &[&str]) -> Packet {
    let filters = filters.iter().map(|path| rumqttc::SubscribeFilter::new((*path).to_owned(), QoS::ExactlyOnce));
    Packet::Subscribe(Subscribe { pkid: 9, ..Subscribe::new_many(filters) })
}

/// A client that says exactly what the test wants.
struct Peer {
    stream: TcpStream,
    incoming: BytesMut,
}

impl Peer {
    async fn stranger(endpoint: &Endpoint) -> Self {
        let stream = TcpStream::connect(endpoint.local_addr()).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, incoming: BytesMut::new() }
    }

    async fn answered(endpoint: &Endpoint, connect: Connect) -> (Self, rumqttc::ConnAck) {
        let mut peer = Self::stranger(endpoint).await;
        peer.say(Packet::Connect(connect)).await;
        match peer.hear().await {
            Some(Packet::ConnAck(ack)) => (peer, ack),
            other => panic!("no CONNACK but {other:?}"),
        }
    }

    async fn admitted(endpoint: &Endpoint, connect: Connect) -> Self {
        let (peer, ack) = Self::answered(endpoint, connect).await;
        assert_eq!(ack.code, ConnectReturnCode::Success);
        peer
    }

    async fn say(&mut self, packet: Packet) {
        let mut bytes = BytesMut::new();
        packet.write(&mut bytes, usize::MAX).unwrap();
        self.say_raw(&bytes).await;
    }

    /// The endpoint may close while we still talk; what was said is then lost, as on any network.
    async fn say_raw(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes).await;
    }

    /// The next packet, or `None` once the connection is closed.
    async fn hear(&mut self) -> Option<Packet> {
        timeout(SOON, self.read()).await.expect("an answer or an end in time")
    }

    async fn read(&mut self) -> Option<Packet> {
        loop {
            match Packet::read(&mut self.incoming, usize::MAX) {
                Ok(packet) => return Some(packet),
                Err(rumqttc::Error::InsufficientBytes(_)) => {}
                Err(error) => panic!("the endpoint sent nonsense: {error}"),
            }
            if self.stream.read_buf(&mut self.incoming).await.unwrap_or(0) == 0 {
                return None;
            }
        }
    }

    async fn hears_nothing(&mut self) {
        let heard = timeout(A_WHILE, self.read()).await;
        assert!(heard.is_err(), "heard {heard:?}");
    }

    async fn hears_ack(&mut self, packet_id: u16) {
        let heard = self.hear().await;
        assert!(matches!(&heard, Some(Packet::PubAck(ack)) if ack.pkid == packet_id), "{packet_id}: {heard:?}");
    }

    async fn hears_message(&mut self) -> Publish {
        match self.hear().await {
            Some(Packet::Publish(publish)) => publish,
            other => panic!("no message but {other:?}"),
        }
    }

    async fn is_alive(&mut self) {
        self.say(Packet::PingReq).await;
        assert_eq!(self.hear().await, Some(Packet::PingResp));
    }

    async fn is_closed(&mut self) {
        assert_eq!(self.hear().await, None);
    }
}
