//! A small MQTT acceptor that does what the server promises: it acknowledges, checks the mac, drops what it has, and sends a receipt
//! for every good message, also for one it has already. The password of a connection says which key its settings are signed with.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use bytes::BytesMut;
use firmware_sim::envelope::{Key, open, seal};
use firmware_sim::sim::link::Broker;
use minicbor::Decoder;
use rumqttc::mqttbytes::Error as CodecError;
use rumqttc::{ConnAck, ConnectAuth, ConnectReturnCode, Packet, PubAck, Publish, QoS, SubAck, SubscribeReasonCode};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

pub const KEY: Key = [3; 32];
pub const NEXT_KEY: Key = [4; 32];
/// Belongs to the next key.
pub const NEXT_PASSWORD: &str = "next";

/// What the acceptor knows of one device.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// Events by (boot_n, seq), as (kind, first value).
    pub messages: BTreeMap<(u32, u32), Vec<(u8, i64)>>,
    /// The keys that messages named, in the order of their first use.
    pub kids: Vec<u8>,
    pub duplicates: usize,
    /// Of an earlier boot than the newest.
    pub replays: usize,
    pub statuses: Vec<String>,
    pub wills: usize,
    /// What is kept: the last retained message of each topic outside `up/status`.
    pub retained: BTreeMap<String, Vec<u8>>,
    /// Everything that was published, in order: topic and payload.
    pub heard: Vec<(String, Vec<u8>)>,
}

impl Known {
    pub fn count(&self, kind: u8, value: i64) -> usize {
        self.messages.values().flatten().filter(|event| **event == (kind, value)).count()
    }

    /// Events but the gap markers, and the sum of the gaps.
    pub fn events_and_gaps(&self) -> (u64, u64) {
        let all: Vec<_> = self.messages.values().flatten().collect();
        let gaps = all.iter().filter(|(kind, _)| *kind == 15).map(|(_, lost)| u64::try_from(*lost).unwrap()).sum();
        (all.iter().filter(|(kind, _)| *kind != 15).count() as u64, gaps)
    }
}

pub type Book = Arc<Mutex<BTreeMap<String, Known>>>;

/// What an acceptor is to do beyond accepting.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rules {
    /// It has heard of the next key, and takes its password.
    pub knows_next_key: bool,
    /// It hangs up when it hears this topic.
    pub hangs_up_at: Option<&'static str>,
    /// Writes down nothing but what it needs, for fleets whose messages would fill the memory that is to be measured.
    pub forgetful: bool,
}

pub async fn acceptor() -> (Broker, Book) {
    acceptor_with(Rules::default()).await
}

pub async fn acceptor_with(rules: Rules) -> (Broker, Book) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let book = Book::default();
    let shared = Arc::clone(&book);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let book = Arc::clone(&shared);
            tokio::spawn(async move { serve(stream, book, rules).await });
        }
    });
    (Broker { host: "127.0.0.1".to_owned(), port }, book)
}

async fn serve(mut stream: TcpStream, book: Book, rules: Rules) {
    let mut received = BytesMut::new();
    let Some(Packet::Connect(connect)) = next(&mut stream, &mut received).await else { return };
    let device = connect.client_id.clone();
    if let Some(will) = &connect.last_will {
        assert!(will.retain && will.topic == format!("chk/1/{device}/up/status"));
    }
    let next = matches!(&connect.auth, ConnectAuth::UsernamePassword { password, .. } if password == NEXT_PASSWORD.as_bytes());
    if next && !rules.knows_next_key {
        say(&mut stream, Packet::ConnAck(ConnAck::new(ConnectReturnCode::BadUserNamePassword, false))).await;
        return;
    }
    let talk = Talk { device: &device, book: &book, rules, signing: if next { (2, NEXT_KEY) } else { (1, KEY) } };
    if talk.converse(&mut stream, &mut received).await.is_none() {
        book.lock().unwrap().entry(device).or_default().wills += 1;
    }
}

/// One connection.
struct Talk<'a> {
    device: &'a str,
    book: &'a Book,
    rules: Rules,
    /// What the settings are signed with.
    signing: (u8, Key),
}

impl Talk<'_> {
    /// `None` when the connection ends without a DISCONNECT.
    async fn converse(&self, stream: &mut TcpStream, received: &mut BytesMut) -> Option<()> {
        let device = self.device;
        say(stream, Packet::ConnAck(ConnAck::new(ConnectReturnCode::Success, false))).await?;
        loop {
            match next(stream, received).await? {
                Packet::Subscribe(subscribe) => {
                    let granted = vec![SubscribeReasonCode::Success(QoS::AtLeastOnce)];
                    say(stream, Packet::SubAck(SubAck::new(subscribe.pkid, granted))).await?;
                    let topic = format!("chk/1/{device}/dn/cfg");
                    // {0:1, 1:kid, 2:kid, 3:7200}
                    let (kid, key) = self.signing;
                    let settings = seal(&topic, &key, &[0xa4, 0, 1, 1, kid, 2, kid, 3, 0x19, 0x1c, 0x20]);
                    publish(stream, &topic, &settings).await?;
                }
                Packet::Publish(message) => {
                    if self.rules.hangs_up_at.is_some_and(|topic| topic.as_bytes() == &message.topic[..]) {
                        return None;
                    }
                    if message.qos == QoS::AtLeastOnce {
                        say(stream, Packet::PubAck(PubAck::new(message.pkid))).await?;
                    }
                    if let Some(text) = self.note(&message) {
                        publish(stream, &format!("chk/1/{device}/dn/ack"), text.as_bytes()).await?;
                    }
                }
                Packet::Disconnect => return Some(()),
                _ => {}
            }
        }
    }

    /// Writes a message down; the receipt if it is one with events.
    fn note(&self, message: &Publish) -> Option<String> {
        let topic = std::str::from_utf8(&message.topic).unwrap();
        let mut book = self.book.lock().unwrap();
        let known = book.entry(self.device.to_owned()).or_default();
        if !self.rules.forgetful {
            known.heard.push((topic.to_owned(), message.payload.to_vec()));
            if message.retain {
                known.retained.insert(topic.to_owned(), message.payload.to_vec());
            }
        }
        match topic.strip_prefix(&format!("chk/1/{}/", self.device)) {
            Some("up/evt") => self.note_events(topic, &message.payload, known),
            Some("up/status") if !self.rules.forgetful => {
                known.statuses.push(String::from_utf8(message.payload.to_vec()).unwrap());
                None
            }
            _ => None,
        }
    }

    fn note_events(&self, topic: &str, payload: &[u8], known: &mut Known) -> Option<String> {
        let next = Some(NEXT_KEY).filter(|_| self.rules.knows_next_key);
        let body =
            [Some(KEY), next].into_iter().flatten().find_map(|key| open(topic, &key, payload).ok()).expect("signed with a known key");
        let Body { kid, boot_n, seq, events } = read(body);
        if !known.kids.contains(&kid) {
            known.kids.push(kid);
        }
        let newest = known.messages.keys().map(|(boot_n, _)| *boot_n).max().unwrap_or(0);
        if boot_n < newest {
            // As the server: put aside, and no receipt for what claims to be of an earlier life.
            known.replays += 1;
            return None;
        }
        if let Some(before) = known.messages.get(&(boot_n, seq)) {
            assert_eq!(before, &events, "one sequence number, one meaning");
            known.duplicates += 1;
        } else {
            if self.rules.forgetful {
                known.messages.clear();
            }
            known.messages.insert((boot_n, seq), events);
        }
        Some(format!(r#"{{"bn":{boot_n},"seq":{seq},"now":1788734480}}"#))
    }
}

struct Body {
    kid: u8,
    boot_n: u32,
    seq: u32,
    events: Vec<(u8, i64)>,
}

fn read(body: &[u8]) -> Body {
    let mut decoder = Decoder::new(body);
    let (mut kid, mut boot_n, mut seq, mut events) = (0, 0, 0, Vec::new());
    for _ in 0..decoder.map().unwrap().unwrap() {
        match decoder.u8().unwrap() {
            1 => kid = decoder.u8().unwrap(),
            2 => boot_n = decoder.u32().unwrap(),
            4 => seq = decoder.u32().unwrap(),
            8 => {
                for _ in 0..decoder.array().unwrap().unwrap() {
                    decoder.array().unwrap();
                    decoder.u64().unwrap();
                    let kind = decoder.u8().unwrap();
                    let value = if kind == 14 { 0 } else { decoder.i64().unwrap() };
                    if kind == 14 {
                        decoder.skip().unwrap();
                    }
                    events.push((kind, value));
                }
            }
            _ => decoder.skip().unwrap(),
        }
    }
    Body { kid, boot_n, seq, events }
}

async fn next(stream: &mut TcpStream, received: &mut BytesMut) -> Option<Packet> {
    loop {
        match Packet::read(received, 4096) {
            Ok(packet) => return Some(packet),
            Err(CodecError::InsufficientBytes(_)) => {}
            Err(error) => panic!("{error}"),
        }
        if stream.read_buf(received).await.ok()? == 0 {
            return None;
        }
    }
}

async fn say(stream: &mut TcpStream, packet: Packet) -> Option<()> {
    let mut bytes = BytesMut::new();
    packet.write(&mut bytes, 4096).unwrap();
    stream.write_all(&bytes).await.ok()
}

async fn publish(stream: &mut TcpStream, topic: &str, payload: &[u8]) -> Option<()> {
    let mut publish = Publish::new(topic, QoS::AtLeastOnce, payload);
    publish.pkid = 1;
    say(stream, Packet::Publish(publish)).await
}
