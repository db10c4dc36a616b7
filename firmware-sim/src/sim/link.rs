//! One MQTT 3.1.1 connection over TCP, on rumqttc's codec. No resending, no session of its own: what is sent twice is
//! the core's decision, as it is on a microcontroller that forgets its connection in deep sleep.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::BytesMut;
use rumqttc::mqttbytes::Error as CodecError;
use rumqttc::{Connect, ConnectReturnCode, LastWill, Packet, PubAck, Publish, QoS, Subscribe};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// A device's downlinks are a receipt and its settings.
const INCOMING_BYTES_MAX: usize = 4096;
/// Recorded messages of gateways are large.
const OUTGOING_BYTES_MAX: usize = 1024 * 1024;
const KEEP_ALIVE_S: u16 = 30;
/// A broker that takes no more bytes for so long is gone.
const WRITE_WAIT: Duration = Duration::from_secs(5);
const GOODBYE_WAIT: Duration = Duration::from_secs(1);

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broker {
    pub host: String,
    pub port: u16,
}

pub struct Hello {
    pub client_id: String,
    /// Said only with a password.
    pub user: String,
    pub password: Option<String>,
    /// Topic and payload, retained. With a will comes a session that outlives the connection.
    pub will: Option<(String, String)>,
    pub subscribe: Option<String>,
}

pub struct Link {
    stream: TcpStream,
    received: BytesMut,
    /// Messages that came before the subscription was confirmed.
    early: VecDeque<Packet>,
    next_packet_id: u16,
}

#[derive(Debug)]
pub enum LinkError {
    Io(std::io::Error),
    /// The broker said no: an unknown device, a wrong password.
    Refused(ConnectReturnCode),
    Protocol(String),
    Closed,
}

impl std::fmt::Display for LinkError {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        match self {
            Self::Io(error) => write!(f, "{error}"),
            Self::Refused(code) => write!(f, "refused: {code:?}"),
            Self::Protocol(what) => write!(f, "not MQTT: {what}"),
            Self::Closed => f.write_str("closed by the broker"),
        }
    }
}

impl From<std::io::Error> for LinkError {
    fn from(error: std::io::Error) -> Self {
        Self::Io(error)
    }
}

impl Link {
    /// Connected and, where that is wished, subscribed.
    pub async fn open(broker: &Broker, hello: Hello) -> Result<Self, LinkError> {
        let stream = TcpStream::connect((broker.host.as_str(), broker.port)).await?;
        stream.set_nodelay(true)?;
        let mut link = Self { stream, received: BytesMut::new(), early: VecDeque::new(), next_packet_id: 1 };
        let mut connect = Connect::new(hello.client_id);
        connect.keep_alive = KEEP_ALIVE_S;
        connect.clean_session = hello.will.is_none();
        connect.last_will = hello.will.map(|(topic, payload)| LastWill::new(topic, payload, QoS::AtLeastOnce, true));
        if let Some(password) = hello.password {
            connect.set_credentials(hello.user, password);
        }
        link.write(Packet::Connect(connect)).await?;
        match link.read().await? {
            Packet::ConnAck(answer) if answer.code == ConnectReturnCode::Success => {}
            Packet::ConnAck(answer) => return Err(LinkError::Refused(answer.code)),
            other => return Err(LinkError::Protocol(format!("{:?} instead of CONNACK", other.packet_type()))),
        }
        let Some(filter) = hello.subscribe else { return Ok(link) };
        let mut subscribe = Subscribe::new(filter, QoS::AtLeastOnce);
        subscribe.pkid = link.packet_id();
        link.write(Packet::Subscribe(subscribe)).await?;
        loop {
            match link.read().await? {
                Packet::SubAck(_) => return Ok(link),
                early => link.early.push_back(early),
            }
        }
    }

    /// Numbers a message that is to be acknowledged.
    pub fn number(&mut self, publish: &mut Publish) {
        if publish.qos != QoS::AtMostOnce {
            publish.pkid = self.packet_id();
        }
    }

    pub async fn publish(&mut self, publish: Publish) -> Result<(), LinkError> {
        self.write(Packet::Publish(publish)).await
    }

    /// Keeps a connection that says nothing else.
    pub async fn ping(&mut self) -> Result<(), LinkError> {
        self.write(Packet::PingReq).await
    }

    /// Says goodbye and waits until the broker has closed: closing with an unread acknowledgement in the buffer would
    /// reset the connection, and the broker might lose the goodbye with what came before it.
    pub async fn disconnect(mut self) {
        let goodbye = async {
            self.write(Packet::Disconnect).await?;
            self.stream.shutdown().await?;
            while self.stream.read_buf(&mut self.received).await? > 0 {
                self.received.clear();
            }
            Ok::<(), LinkError>(())
        };
        // A broker that does not answer learns it from the closed connection, and sends the will.
        let _ = timeout(GOODBYE_WAIT, goodbye).await;
    }

    /// The next message or acknowledgement. May be dropped while it waits: nothing is lost.
    pub async fn receive(&mut self) -> Result<Packet, LinkError> {
        if let Some(packet) = self.early.pop_front() {
            return Ok(packet);
        }
        self.read().await
    }

    /// Tells the broker that a message arrived.
    pub async fn acknowledge(&mut self, publish: &Publish) -> Result<(), LinkError> {
        if publish.qos == QoS::AtMostOnce {
            return Ok(());
        }
        self.write(Packet::PubAck(PubAck::new(publish.pkid))).await
    }

    const fn packet_id(&mut self) -> u16 {
        let id = self.next_packet_id;
        self.next_packet_id = if id == u16::MAX { 1 } else { id + 1 };
        id
    }

    async fn write(&mut self, packet: Packet) -> Result<(), LinkError> {
        let mut bytes = BytesMut::new();
        packet.write(&mut bytes, OUTGOING_BYTES_MAX).map_err(|error| LinkError::Protocol(error.to_string()))?;
        timeout(WRITE_WAIT, self.stream.write_all(&bytes)).await.map_err(|_| LinkError::Closed)??;
        Ok(())
    }

    async fn read(&mut self) -> Result<Packet, LinkError> {
        loop {
            match Packet::read(&mut self.received, INCOMING_BYTES_MAX) {
                Ok(packet) => return Ok(packet),
                Err(CodecError::InsufficientBytes(_)) => {}
                Err(error) => return Err(LinkError::Protocol(error.to_string())),
            }
            if self.stream.read_buf(&mut self.received).await? == 0 {
                return Err(LinkError::Closed);
            }
        }
    }
}
