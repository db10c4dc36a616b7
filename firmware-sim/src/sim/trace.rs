//! A sensor's story, line by line, for a technician's eyes.

use std::fmt;

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
    Connecting,
    Connected,
    Disconnected,
    LinkLost(String),
    Published { topic: &'static str, seq: Option<u32>, bytes: usize, resent: bool, fate: Fate },
    Replayed,
    Receipt { boot_n: u32, seq: u32, lost: bool },
    Settings,
    Beep(bool),
    Restarted { boot_n: u32, owed: u32 },
    Died,
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let (seconds, millis) = (self.up_ms / 1000, self.up_ms % 1000);
        write!(f, "{seconds:>7}.{millis:03} s  {}  {}", self.device_id, self.moment)
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Acted(act) => write!(f, "hand: {act:?}"),
            Self::Connecting => f.write_str("wakes, connects"),
            Self::Connected => f.write_str("connected, subscribed"),
            Self::Disconnected => f.write_str("sleeps"),
            Self::LinkLost(why) => write!(f, "no connection: {why}"),
            Self::Published { topic, seq, bytes, resent, fate } => {
                write!(f, "-> {topic} {bytes} bytes")?;
                if let Some(seq) = seq {
                    write!(f, ", seq {seq}")?;
                }
                f.write_str(if *resent { ", again" } else { "" })?;
                f.write_str(match fate {
                    Fate::Sent => "",
                    Fate::Lost => " (lost on purpose)",
                    Fate::Doubled => " (twice on purpose)",
                    Fate::Late => " (held back on purpose)",
                })
            }
            Self::Replayed => f.write_str("-> an old recorded message, on purpose"),
            Self::Receipt { boot_n, seq, lost } => {
                write!(f, "<- receipt for boot {boot_n}, seq {seq}{}", if *lost { " (lost on purpose)" } else { "" })
            }
            Self::Settings => f.write_str("<- settings"),
            Self::Beep(true) => f.write_str("beeps until somebody knows"),
            Self::Beep(false) => f.write_str("stops beeping: somebody knows"),
            Self::Restarted { boot_n, owed } => write!(f, "power failed; boot {boot_n}, {owed} events lost"),
            Self::Died => f.write_str("battery flat"),
        }
    }
}
