//! The signed envelope of `chk/1`: deterministic CBOR (RFC 8949 §4.2.1) under HMAC-SHA-256 cut to 16 bytes.
//!
//! `[body: bstr, mac: bstr16]`, body `{0:ver,1:kid,2:boot_n,3:boot_id,4:seq,5:up_ms_at_send,6?:wall_ms,
//! 7?:wall_uncertainty_s,8:[[t_up_ms,kind,value]…]}`, mac over `"chk/1\0" ‖ topic ‖ "\0" ‖ body`. The topic is inside the
//! mac because brokers and bridges are not trusted: a message moved to another device's topic is a forgery.

use core::fmt::Write as _;

use hmac::{Hmac, KeyInit as _, Mac as _};
use minicbor::encode::write::{Cursor, EndOfSlice};
use minicbor::{Decoder, Encoder};
use sha2::Sha256;

use crate::event::{Event, Value};

pub const PROTOCOL_VERSION: u8 = 1;
pub const KEY_BYTES: usize = 32;
pub const MAC_BYTES: usize = 16;
/// Events in one message; the rest waits for the next sequence number.
pub const EVENTS_MAX: usize = 16;
/// The largest body: 52 bytes of header and 16 events of 22.
pub const BODY_BYTES_MAX: usize = 448;
/// The body, its length, the mac and two brackets.
pub const PAYLOAD_BYTES_MAX: usize = BODY_BYTES_MAX + MAC_BYTES + 8;
pub const DEVICE_ID_BYTES_MAX: usize = 64;
/// The longest is that of the discovery.
pub const TOPIC_BYTES_MAX: usize = DEVICE_ID_BYTES_MAX + 32;

pub type Key = [u8; KEY_BYTES];
pub type Payload = heapless::Vec<u8, PAYLOAD_BYTES_MAX>;
pub type Topic = heapless::String<TOPIC_BYTES_MAX>;
pub type DeviceId = heapless::String<DEVICE_ID_BYTES_MAX>;

/// The topics of one device: `chk/1/<device>/<channel>`, and one for home automation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channel {
    Events,
    Telemetry,
    Status,
    State,
    Ack,
    Config,
    /// Where home automation learns what the device is: the only topic outside `chk/1/`.
    Discovery,
}

impl Channel {
    pub const fn suffix(self) -> &'static str {
        match self {
            Self::Events => "up/evt",
            Self::Telemetry => "up/tele",
            Self::Status => "up/status",
            Self::State => "up/state",
            Self::Ack => "dn/ack",
            Self::Config => "dn/cfg",
            Self::Discovery => "config",
        }
    }

    pub fn topic(self, device: &DeviceId) -> Topic {
        let mut topic = Topic::new();
        let family = if self == Self::Discovery { "homeassistant/device" } else { "chk/1" };
        write!(topic, "{family}/{device}/{}", self.suffix()).expect("a topic is longer than the longest device id by less than 32");
        topic
    }
}

/// `None` for a name that could reach beyond its own topics or that no topic can carry.
pub fn device_id(name: &str) -> Option<DeviceId> {
    let plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'+' | b'#' | b'/' | b'"' | b'\\');
    if name.is_empty() || name.starts_with('$') || !name.bytes().all(plain) {
        return None;
    }
    name.try_into().ok()
}

/// Who speaks, in which life, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Names the key, so that two are valid while they are exchanged.
    pub kid: u8,
    /// Grows by one on each cold boot; kept in flash.
    pub boot_n: u32,
    /// Random per boot: tells two devices apart that were given the same counter by a flash copy.
    pub boot_id: u32,
    pub seq: u32,
    /// Time since boot at *this* sending: the age of an event is the difference.
    pub up_ms: u64,
    pub wall: Option<Wall>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wall {
    pub ms: u64,
    pub uncertainty_s: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Not `[bstr, bstr16]`, or bytes left over.
    Malformed,
    /// Another key, another topic, or a changed byte: they cannot be told apart.
    WrongMac,
}

/// The signed message of up to [`EVENTS_MAX`] events; further ones would be a caller's mistake and are refused by panic.
pub fn seal_events(topic: &str, key: &Key, header: &Header, events: &[Event]) -> Payload {
    assert!(events.len() <= EVENTS_MAX, "a message carries at most {EVENTS_MAX} events");
    let mut buffer = [0_u8; BODY_BYTES_MAX];
    let mut encoder = Encoder::new(Cursor::new(&mut buffer[..]));
    encode_body(&mut encoder, header, events).expect("the largest message fits, as a property test shows");
    let length = encoder.writer().position();
    seal(topic, key, &buffer[..length])
}

/// Signs any body, also a downlink's.
pub fn seal(topic: &str, key: &Key, body: &[u8]) -> Payload {
    let mac = mac(topic, key, body);
    let mut buffer = [0_u8; PAYLOAD_BYTES_MAX];
    let mut encoder = Encoder::new(Cursor::new(&mut buffer[..]));
    encoder
        .array(2)
        .and_then(|encoder| encoder.bytes(body))
        .and_then(|encoder| encoder.bytes(&mac))
        .expect("a body of the largest size fits with its mac");
    let length = encoder.writer().position();
    Payload::from_slice(&buffer[..length]).expect("the buffer has the payload's capacity")
}

/// The body of a message that was signed with this key for this topic.
pub fn open<'a>(topic: &str, key: &Key, payload: &'a [u8]) -> Result<&'a [u8], Refusal> {
    let (body, tag) = parts(payload).ok_or(Refusal::Malformed)?;
    authenticator(topic, key, body).verify_truncated_left(tag).map_err(|_| Refusal::WrongMac)?;
    Ok(body)
}

fn parts(payload: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut decoder = Decoder::new(payload);
    if decoder.array().ok()? != Some(2) {
        return None;
    }
    let body = decoder.bytes().ok()?;
    let tag = decoder.bytes().ok()?;
    (tag.len() == MAC_BYTES && decoder.position() == payload.len()).then_some((body, tag))
}

fn mac(topic: &str, key: &Key, body: &[u8]) -> [u8; MAC_BYTES] {
    let full = authenticator(topic, key, body).finalize().into_bytes();
    let mut short = [0; MAC_BYTES];
    short.copy_from_slice(&full[..MAC_BYTES]);
    short
}

fn authenticator(topic: &str, key: &Key, body: &[u8]) -> Hmac<Sha256> {
    let mut hmac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length");
    hmac.update(b"chk/1\0");
    hmac.update(topic.as_bytes());
    hmac.update(b"\0");
    hmac.update(body);
    hmac
}

type Encoding<'a, 'b> = &'a mut Encoder<Cursor<&'b mut [u8]>>;

fn encode_body(encoder: Encoding, header: &Header, events: &[Event]) -> Result<(), minicbor::encode::Error<EndOfSlice>> {
    let entries = if header.wall.is_some() { 9 } else { 7 };
    encoder.map(entries)?.u8(0)?.u8(PROTOCOL_VERSION)?;
    encoder.u8(1)?.u8(header.kid)?;
    encoder.u8(2)?.u32(header.boot_n)?;
    encoder.u8(3)?.u32(header.boot_id)?;
    encoder.u8(4)?.u32(header.seq)?;
    encoder.u8(5)?.u64(header.up_ms)?;
    if let Some(wall) = header.wall {
        encoder.u8(6)?.u64(wall.ms)?;
        encoder.u8(7)?.u32(wall.uncertainty_s)?;
    }
    encoder.u8(8)?.array(events.len() as u64)?;
    for event in events {
        encoder.array(3)?.u64(event.t_up_ms)?.u8(event.fact.kind())?;
        match event.fact.value() {
            Value::One(value) => encoder.i64(value)?,
            Value::Two(first, second) => encoder.array(2)?.i64(first)?.i64(second)?,
        };
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::event::Fact;

    /// The vector of the protocol's description, byte for byte.
    const VECTOR: &str = "825838a9000101010207031a9f3c21aa041829051a052830c0061b000001a078e1ff4007020882831a05282da00101831a0528305c0e82031902805092744d1cc03a70fd88c5294a6a655ebc";

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]).map(|digit| char::from_digit(digit.into(), 16).unwrap()).collect()
    }

    fn key() -> Key {
        core::array::from_fn(|at| u8::try_from(at).unwrap())
    }

    fn header() -> Header {
        let wall = Some(Wall { ms: 1_788_734_472_000, uncertainty_s: 2 });
        Header { kid: 1, boot_n: 7, boot_id: 0x9f3c_21aa, seq: 41, up_ms: 86_520_000, wall }
    }

    #[test]
    fn the_published_vector_is_met_byte_for_byte() {
        let events = [
            Event { t_up_ms: 86_519_200, fact: Fact::Contact { open: true } },
            Event { t_up_ms: 86_519_900, fact: Fact::LuxJump { before: 3, after: 640 } },
        ];
        let payload = seal_events("chk/1/d-7Q2F/up/evt", &key(), &header(), &events);
        assert_eq!(hex(&payload), VECTOR);
        assert_eq!(payload.len(), 76);
    }

    #[test]
    fn a_device_name_that_reaches_beyond_its_topics_is_refused() {
        for name in ["", "+", "#", "a/b", "a#", "$SYS", "a b", "窗", "a\"b", &"x".repeat(65)] {
            assert_eq!(device_id(name), None, "{name}");
        }
        assert!(device_id("d-7Q2F").is_some());
        assert!(device_id(&"x".repeat(64)).is_some());
    }

    #[test]
    fn the_longest_device_name_has_all_its_topics() {
        let longest = device_id(&"x".repeat(DEVICE_ID_BYTES_MAX)).unwrap();
        assert_eq!(Channel::Telemetry.topic(&device_id("d-1").unwrap()), "chk/1/d-1/up/tele");
        assert_eq!(Channel::Discovery.topic(&longest), format!("homeassistant/device/{longest}/config").as_str());
    }

    #[test]
    fn bytes_after_the_envelope_are_malformed() {
        let mut payload = seal("t", &key(), b"body");
        payload.push(0).unwrap();
        assert_eq!(open("t", &key(), &payload), Err(Refusal::Malformed));
    }

    proptest! {
        #[test]
        fn the_largest_message_fits_and_opens_only_under_its_own_topic(
            up_ms: u64, boot_n: u32, seq: u32, ms: u64, uncertainty_s: u32, before: u32, after: u32, seconds: i64, count in 0..=EVENTS_MAX,
        ) {
            let wall = Some(Wall { ms, uncertainty_s });
            let header = Header { kid: 255, boot_n, boot_id: u32::MAX, seq, up_ms, wall };
            let jump = Event { t_up_ms: u64::MAX, fact: Fact::LuxJump { before, after } };
            let clock = Event { t_up_ms: u64::MAX, fact: Fact::TimeJump { seconds } };
            let events: Vec<Event> = (0..count).map(|at| if at % 2 == 0 { jump } else { clock }).collect();
            let payload = seal_events("chk/1/a/up/evt", &key(), &header, &events);
            prop_assert!(open("chk/1/a/up/evt", &key(), &payload).is_ok());
            prop_assert_eq!(open("chk/1/b/up/evt", &key(), &payload), Err(Refusal::WrongMac));
        }

        #[test]
        fn one_changed_bit_is_never_accepted(at in 0_usize..76, bit in 0_u8..8) {
            let events = [Event { t_up_ms: 86_519_200, fact: Fact::Contact { open: true } }];
            let mut payload = seal_events("t", &key(), &header(), &events);
            let at = at % payload.len();
            payload[at] ^= 1 << bit;
            prop_assert!(open("t", &key(), &payload).is_err());
        }

        #[test]
        fn any_bytes_are_refused_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(open("t", &key(), &bytes).is_err());
        }
    }
}
