//! A sensor's story, line by line, for a technician's eyes.

use std::fmt;
use std::fmt::Write as _;

use minicbor::Decoder;
use minicbor::data::Type;

use super::faults::Fate;
use super::room::Act;

#[derive(Clone, Debug)]
pub struct Trace {
    pub device_id: String,
    /// Device time since the start of the run.
    pub up_ms: u64,
    pub moment: Moment,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Moment {
    Acted(Act),
    Connecting { kid: u8 },
    Connected,
    Disconnected,
    LinkLost(String),
    Published { topic: &'static str, seq: Option<u32>, says: String, resent: bool, fate: Fate },
    Replayed,
    Receipt { boot_n: u32, seq: u32, lost: bool },
    Settings,
    Beep(bool),
    KeyProved(u8),
    Restarted { boot_n: u32, owed: u32 },
    Died,
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let (seconds, millis) = (self.up_ms / 1000, self.up_ms % 1000);
        let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
        if days > 0 {
            write!(f, "{days} d ")?;
        }
        write!(f, "{hours:02}:{minutes:02}:{:02}.{millis:03}  {}  {}", seconds % 60, self.device_id, self.moment)
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Acted(act) => write!(f, "** {}", deed(*act)),
            Self::Connecting { kid } => write!(f, "wakes, connects with key {kid}"),
            Self::Connected => f.write_str("connected, subscribed"),
            Self::Disconnected => f.write_str("sleeps"),
            Self::LinkLost(why) => write!(f, "no connection: {why}"),
            Self::Published { topic, seq, says, resent, fate } => {
                write!(f, "-> {topic}")?;
                if let Some(seq) = seq {
                    write!(f, " {seq}")?;
                }
                f.write_str(if *resent { ", again" } else { "" })?;
                f.write_str(match fate {
                    Fate::Sent => "",
                    Fate::Lost => " (lost on purpose)",
                    Fate::Doubled => " (twice on purpose)",
                    Fate::Late => " (held back on purpose)",
                })?;
                write!(f, ": {says}")
            }
            Self::Replayed => f.write_str("-> an old recorded message, on purpose"),
            Self::Receipt { boot_n, seq, lost } => {
                write!(f, "<- receipt for boot {boot_n}, message {seq}{}", if *lost { " (lost on purpose)" } else { "" })
            }
            Self::Settings => f.write_str("<- settings"),
            Self::Beep(true) => f.write_str("beeps until somebody knows"),
            Self::Beep(false) => f.write_str("stops beeping: somebody knows"),
            Self::KeyProved(kid) => write!(f, "the server knows key {kid}: the old one is erased"),
            Self::Restarted { boot_n, owed } => write!(f, "boot {boot_n}; the next message says that {owed} events are lost"),
            Self::Died => f.write_str("is dead"),
        }
    }
}

const fn deed(act: Act) -> &'static str {
    match act {
        Act::OpenCurtain => "the curtain is opened",
        Act::CloseCurtain => "the curtain is closed",
        Act::PressSos => "the help button is pressed",
        Act::HoldSos => "the help button is held",
        Act::PressOk => "the button \"I am fine\" is pressed",
        Act::Tamper => "the lid is opened and shut",
        Act::RemoveMagnet => "the magnet is taken off",
        Act::ReturnMagnet => "the magnet is put back",
        Act::Bounce => "a draught moves the curtain",
        Act::Restart => "the power fails and returns",
        Act::LowBattery => "the cells are nearly empty",
        Act::FlatBattery => "the cells are empty",
        Act::ClockJump => "the wall clock jumps",
        Act::BrokerDown => "the broker goes away",
        Act::BrokerUp => "the broker is back",
        Act::NewKey => "a technician hands in the next key",
    }
}

/// What a message says: its events in words, or its text.
pub(super) fn said(payload: &[u8]) -> String {
    events(payload).unwrap_or_else(|| String::from_utf8_lossy(payload).into_owned())
}

fn events(payload: &[u8]) -> Option<String> {
    let mut envelope = Decoder::new(payload);
    envelope.array().ok()?;
    let mut body = Decoder::new(envelope.bytes().ok()?);
    let (mut sent_ms, mut text) = (0, String::new());
    for _ in 0..body.map().ok()?? {
        match body.u8().ok()? {
            5 => sent_ms = body.u64().ok()?,
            8 => {
                for _ in 0..body.array().ok()?? {
                    body.array().ok()?;
                    let age_ms = u64::saturating_sub(sent_ms, body.u64().ok()?);
                    let kind = body.u8().ok()?;
                    let values = values(&mut body)?;
                    let comma = if text.is_empty() { "" } else { "; " };
                    write!(text, "{comma}{} {} s ago", words(kind, values), age_ms / 1000).ok()?;
                }
            }
            _ => body.skip().ok()?,
        }
    }
    Some(text)
}

fn values(decoder: &mut Decoder) -> Option<(i64, i64)> {
    if decoder.datatype().ok()? == Type::Array {
        decoder.array().ok()?;
        return Some((decoder.i64().ok()?, decoder.i64().ok()?));
    }
    Some((decoder.i64().ok()?, 0))
}

fn words(kind: u8, (first, second): (i64, i64)) -> String {
    match kind {
        1 => format!("contact {}", if first == 1 { "open" } else { "closed" }),
        7 => format!("help, {} press", if first == 2 { "long" } else { "short" }),
        8 => "I am fine".to_owned(),
        9 => "tampered with".to_owned(),
        10 => format!("battery {first} mV"),
        11 => format!("boot, reason {first}"),
        12 => format!("clock was {first} s behind"),
        13 => format!("heartbeat, {first} dBm, {second} waiting"),
        14 => format!("light {first} to {second} lx"),
        15 => format!("{first} events lost"),
        _ => format!("kind {kind}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::envelope::{Header, seal_events};
    use crate::event::{Event, Fact};

    #[test]
    fn a_message_is_told_in_words() {
        let header = Header { kid: 1, boot_n: 7, boot_id: 1, seq: 41, up_ms: 90_000, wall: None };
        let opened = Event { t_up_ms: 88_000, fact: Fact::Contact { open: true } };
        let bright = Event { t_up_ms: 88_700, fact: Fact::LuxJump { before: 3, after: 640 } };
        let payload = seal_events("t", &[1; 32], &header, &[opened, bright]);
        assert_eq!(said(&payload), "contact open 2 s ago; light 3 to 640 lx 1 s ago");
        assert_eq!(said(br#"{"s":"sleep"}"#), r#"{"s":"sleep"}"#);
    }

    #[test]
    fn a_line_says_when_who_and_what() {
        let trace = Trace { device_id: "d-1".to_owned(), up_ms: 86_400_000 + 25_203_120, moment: Moment::Acted(Act::OpenCurtain) };
        assert_eq!(trace.to_string(), "1 d 07:00:03.120  d-1  ** the curtain is opened");
    }
}
