//! What a sensor can say. The numbers are the wire's (`chk/1` kinds) and never change their meaning.

/// One thing that happened, dated by the time since boot so that no wall clock is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// Milliseconds since the cold boot. A `u64` never wraps; a board with a 32-bit counter extends it
    /// (see [`crate::clock::extend`]).
    pub t_up_ms: u64,
    pub fact: Fact,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fact {
    /// Kind 1. Directly after a [`Fact::Boot`] in the same message it is the level found at boot, not an edge: the
    /// curtain may have moved at any time while the device was dead.
    Contact { open: bool },
    /// Kind 7.
    Sos(Press),
    /// Kind 8: the "I am fine" button.
    Ok,
    /// Kind 9: the case was opened or the magnet taken away.
    Tamper,
    /// Kind 10.
    Battery { millivolts: u16 },
    /// Kind 11.
    Boot(BootReason),
    /// Kind 12: the wall clock was wrong by so many seconds; positive when it was behind.
    TimeJump { seconds: i64 },
    /// Kind 13.
    Heartbeat { rssi_dbm: i8, queued: u8 },
    /// Kind 14: light rose at once, in lux. The second witness of an opened curtain.
    LuxJump { before: u32, after: u32 },
    /// Kind 15: so many events older than everything that follows were dropped because the queue was full.
    Lost { events: u32 },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Press {
    Short,
    Long,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BootReason {
    PowerOn = 1,
    BrownOut = 2,
    Watchdog = 3,
    Update = 4,
}

/// The value of an event as it is written: one integer or two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value {
    One(i64),
    Two(i64, i64),
}

impl Fact {
    pub const fn kind(self) -> u8 {
        match self {
            Self::Contact { .. } => 1,
            Self::Sos(_) => 7,
            Self::Ok => 8,
            Self::Tamper => 9,
            Self::Battery { .. } => 10,
            Self::Boot(_) => 11,
            Self::TimeJump { .. } => 12,
            Self::Heartbeat { .. } => 13,
            Self::LuxJump { .. } => 14,
            Self::Lost { .. } => 15,
        }
    }

    pub fn value(self) -> Value {
        match self {
            Self::Contact { open } => Value::One(i64::from(open)),
            Self::Sos(Press::Short) | Self::Ok | Self::Tamper => Value::One(1),
            Self::Sos(Press::Long) => Value::One(2),
            Self::Battery { millivolts } => Value::One(i64::from(millivolts)),
            Self::Boot(reason) => Value::One(reason as i64),
            Self::TimeJump { seconds } => Value::One(seconds),
            Self::Heartbeat { rssi_dbm, queued } => Value::Two(i64::from(rssi_dbm), i64::from(queued)),
            Self::LuxJump { before, after } => Value::Two(i64::from(before), i64::from(after)),
            Self::Lost { events } => Value::One(i64::from(events)),
        }
    }

    pub const fn is_sos(self) -> bool {
        matches!(self, Self::Sos(_))
    }
}
