//! A device as an outsider sees it: an ordinary MQTT client and the native envelope written by hand.

use std::sync::atomic::{AtomicUsize, Ordering};

use hmac::{Hmac, KeyInit, Mac};
use rumqttc::{AsyncClient, Broker, Event, LastWill, MqttOptions, Packet, PublishOptions, QoS, SubscribeReasonCode};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::{Installed, SOON};
use chenlian::ingest::running::Running;

/// What a client notices.
#[derive(Debug, PartialEq, Eq)]
pub enum Heard {
    Connected,
    Subscribed,
    /// A subscription was not granted.
    Refused,
    Acknowledged,
    Message {
        topic: String,
        payload: Vec<u8>,
    },
    /// The connection ended or was refused.
    Lost,
}

pub struct Client {
    mqtt: AsyncClient,
    heard: mpsc::Receiver<Heard>,
    connection: JoinHandle<()>,
}

impl Client {
    pub async fn connect(running: &Running, name: &str, password: &str) -> Self {
        let mut client = Self::open(running, name, Some(password));
        assert_eq!(client.next().await, Heard::Connected);
        client
    }

    pub async fn of(running: &Running, installed: &Installed) -> Self {
        Self::connect(running, &installed.device.name, installed.password()).await
    }

    pub fn open(running: &Running, name: &str, password: Option<&str>) -> Self {
        Self::begin(options(running, name, password))
    }

    /// Connects with something to be said if it vanishes.
    pub async fn with_will(running: &Running, installed: &Installed, (topic, payload): (&str, &str)) -> Self {
        let mut options = options(running, &installed.device.name, Some(installed.password()));
        options.set_last_will(LastWill::new(topic.to_owned(), payload.to_owned(), QoS::AtLeastOnce, false));
        let mut client = Self::begin(options);
        assert_eq!(client.next().await, Heard::Connected);
        client
    }

    /// The same at a broker's port.
    pub async fn at(port: u16, name: &str, password: &str) -> Self {
        let mut client = Self::begin(options_at(port, name, Some(password)));
        assert_eq!(client.next().await, Heard::Connected);
        client
    }

    /// Loses its power.
    pub fn vanish(self) {
        self.connection.abort();
    }

    fn begin(options: MqttOptions) -> Self {
        let (mqtt, mut events) = AsyncClient::builder(options).capacity(64).build();
        let (sender, heard) = mpsc::channel(256);
        let connection = tokio::spawn(async move {
            loop {
                let heard = match events.poll().await {
                    Ok(Event::Incoming(Packet::ConnAck(_))) => Heard::Connected,
                    Ok(Event::Incoming(Packet::SubAck(ack))) if ack.return_codes.contains(&SubscribeReasonCode::Failure) => Heard::Refused,
                    Ok(Event::Incoming(Packet::SubAck(_))) => Heard::Subscribed,
                    Ok(Event::Incoming(Packet::PubAck(_))) => Heard::Acknowledged,
                    Ok(Event::Incoming(Packet::Publish(publish))) => {
                        Heard::Message { topic: String::from_utf8_lossy(&publish.topic).into_owned(), payload: publish.payload.to_vec() }
                    }
                    Ok(_) => continue,
                    Err(_) => Heard::Lost,
                };
                let lost = heard == Heard::Lost;
                if sender.send(heard).await.is_err() || lost {
                    // A lost connection is not taken up again: the tests say when to come back.
                    return;
                }
            }
        });
        Self { mqtt, heard, connection }
    }

    pub async fn next(&mut self) -> Heard {
        timeout(SOON, self.heard.recv()).await.expect("something is heard in time").unwrap_or(Heard::Lost)
    }

    pub async fn say(&self, topic: &str, payload: impl Into<Vec<u8>>) {
        let payload: Vec<u8> = payload.into();
        self.mqtt.publish(topic.to_owned(), payload, PublishOptions::at_least_once()).await.expect("room for a message");
    }

    /// Publishes and waits for the acknowledgement; a receipt may come before it.
    pub async fn tell(&mut self, topic: &str, payload: impl Into<Vec<u8>>) {
        self.say(topic, payload).await;
        self.is_acknowledged().await;
    }

    /// Publishes what a broker would keep.
    pub async fn keep(&mut self, topic: &str, payload: impl Into<Vec<u8>>) {
        let payload: Vec<u8> = payload.into();
        self.mqtt.publish(topic.to_owned(), payload, PublishOptions::at_least_once().retain(true)).await.expect("room for a message");
        self.is_acknowledged().await;
    }

    async fn is_acknowledged(&mut self) {
        let mut heard = self.next().await;
        while matches!(heard, Heard::Message { .. }) {
            heard = self.next().await;
        }
        assert_eq!(heard, Heard::Acknowledged);
    }

    /// Publishes without waiting; [`Client::are_acknowledged`] waits for all of them.
    pub async fn hand_in(&self, topic: &str, payload: Vec<u8>, is_kept: bool) {
        let how = PublishOptions::at_least_once().retain(is_kept);
        self.mqtt.publish(topic.to_owned(), payload, how).await.expect("room for a message");
    }

    /// Sends for ever, as fast as it is let, and counts what was acknowledged.
    pub async fn rave(mut self, topic: &str, acknowledged: &AtomicUsize) {
        let mqtt = self.mqtt.clone();
        let sending = async { while mqtt.publish(topic.to_owned(), vec![b'x'; 200], PublishOptions::at_least_once()).await.is_ok() {} };
        let hearing = async {
            while let Some(Heard::Acknowledged) = self.heard.recv().await {
                acknowledged.fetch_add(1, Ordering::SeqCst);
            }
        };
        tokio::join!(sending, hearing);
    }

    pub async fn are_acknowledged(&mut self, count: usize) {
        for _ in 0..count {
            self.is_acknowledged().await;
        }
    }

    pub async fn listen(&mut self, filter: &str) {
        assert_eq!(self.ask_for(filter).await, Heard::Subscribed);
    }

    /// Asks for a subscription and returns the answer.
    pub async fn ask_for(&mut self, filter: &str) -> Heard {
        self.mqtt.subscribe(filter.to_owned(), QoS::AtLeastOnce).await.expect("room for a subscription");
        self.next().await
    }
}

fn options(running: &Running, name: &str, password: Option<&str>) -> MqttOptions {
    options_at(running.listens_on().expect("an endpoint").port(), name, password)
}

fn options_at(port: u16, name: &str, password: Option<&str>) -> MqttOptions {
    let mut options = MqttOptions::new(name, Broker::tcp("127.0.0.1", port));
    options.set_max_packet_size(1 << 20, 1 << 20);
    if let Some(password) = password {
        options.set_credentials(name, password.to_owned());
    }
    options
}

pub struct Envelope<'a> {
    pub topic: &'a str,
    pub key: [u8; 32],
    pub boot_n: u32,
    pub seq: u32,
    pub up_ms: u64,
}

impl Envelope<'_> {
    /// Signs events `(uptime in ms, kind, value)`.
    pub fn sign(&self, events: &[(u64, u32, i64)]) -> Vec<u8> {
        self.sign_as(1, events)
    }

    /// The same with the key of another number.
    pub fn sign_as(&self, kid: u32, events: &[(u64, u32, i64)]) -> Vec<u8> {
        let mut body = minicbor::Encoder::new(Vec::new());
        let done = (|| {
            body.map(7)?.u32(0)?.u32(1)?.u32(1)?.u32(kid)?.u32(2)?.u32(self.boot_n)?.u32(3)?.u32(77)?;
            body.u32(4)?.u32(self.seq)?.u32(5)?.u64(self.up_ms)?.u32(8)?;
            body.array(events.len() as u64)?;
            for (at, kind, value) in events {
                body.array(3)?.u64(*at)?.u32(*kind)?.i64(*value)?;
            }
            Ok::<(), minicbor::encode::Error<std::convert::Infallible>>(())
        })();
        done.expect("writing to memory");
        let body = body.into_writer();
        let mut mac = Hmac::<sha2::Sha256>::new_from_slice(&self.key).expect("any key length");
        mac.update(format!("chk/1\0{}\0", self.topic).as_bytes());
        mac.update(&body);
        let code = mac.finalize().into_bytes();
        let mut whole = minicbor::Encoder::new(Vec::new());
        whole.array(2).and_then(|whole| whole.bytes(&body)?.bytes(&code[..16])).expect("writing to memory");
        whole.into_writer()
    }
}
