//! What a chip must bring so that [`crate::sensor::Sensor`] runs on it, and the one piece of code that puts the two together.
//!
//! A firmware author writes five traits and a loop:
//!
//! ```text
//! let mut runner = Runner::boot(device, settings, reason, &mut board);
//! loop {
//!     let why = sleep_or_wait(runner.rest());    // a pin, a packet, a timer
//!     runner.wake(why, &mut board);
//! }
//! ```
//!
//! Must stay true:
//! - No method waits for the network: what becomes of a connection or a message comes back later as a [`Wake`]. A runner that waits
//!   for a router would not hear the help button.
//! - What [`Storage`] was told to keep is in flash when the method returns: the power may fail in the next line.

mod runner;

pub use runner::Runner;

use crate::envelope::{Channel, Wall};
use crate::keyring::Keys;
use crate::sensor::Publish;

pub trait Clock {
    /// Milliseconds since the cold boot, deep sleep included. A counter of 32 bits is made longer by [`crate::clock::extend`].
    fn up_ms(&mut self) -> u64;

    /// What a battery-backed clock or a time server says. Most boards have neither, and learn the time from their first receipt.
    fn wall(&mut self) -> Option<Wall>;
}

/// Flash. Written a few times a day.
pub trait Storage {
    fn kept(&mut self) -> Kept;

    fn keep(&mut self, kept: Kept);

    fn keys(&mut self) -> Keys;

    /// The key of this number is the one to use from now on; what is older may be erased, with its password.
    fn keep_only_key(&mut self, kid: u8);
}

/// What outlives the power.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// Cold boots so far. The server takes a number that does not grow for a replay.
    pub boot_n: u32,
    /// Connections made in all lives.
    pub births: u32,
    /// Events that ended lives still owed.
    pub owed: u32,
}

/// Wi-Fi, IP and MQTT 3.1.1. It keeps the password that belongs to each key.
pub trait Radio {
    /// Begins a connection with a persistent session and this retained will on `up/status`, followed by a subscription to `dn/#` at
    /// QoS 1. Answered by [`Wake::Connected`] or [`Wake::LinkLost`].
    fn connect(&mut self, will: &str, kid: u8);

    /// Hands over a message. One that cannot be sent is dropped here and sent again by the core.
    fn publish(&mut self, message: &Publish);

    /// After what was handed over, and with a DISCONNECT, so that the will is not sent. Also ends an attempt.
    fn disconnect(&mut self);

    /// Of the connection that was just made.
    fn rssi_dbm(&mut self) -> i8;
}

pub trait Pins {
    /// As they are now, bounces and all.
    fn levels(&mut self) -> Levels;

    /// The latest sample of the light, in lux.
    fn lux(&mut self) -> u32;

    fn battery_mv(&mut self) -> u16;

    fn beep(&mut self, on: bool);
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Levels {
    /// After the calibrated polarity.
    pub contact_open: bool,
    pub sos_pressed: bool,
    pub ok_pressed: bool,
    /// The lid is off, or the second reed says that the magnet is gone.
    pub tamper: bool,
}

pub trait Entropy {
    /// From a true source: two devices with the same flash image must not draw the same.
    fn random(&mut self) -> u32;
}

pub trait Board: Clock + Storage + Radio + Pins + Entropy {}

impl<B: Clock + Storage + Radio + Pins + Entropy> Board for B {}

/// Why the processor runs again.
#[derive(Clone, Copy, Debug)]
pub enum Wake<'a> {
    /// The time that [`Runner::rest`] named has come.
    Time,
    /// A pin changed.
    Pins,
    /// The light was sampled.
    Light,
    /// The wall clock was set, or jumped.
    WallSet,
    /// The wall clock is no longer to be trusted.
    WallLost,
    /// Connected and subscribed.
    Connected,
    /// The connection failed or broke, or the password was refused.
    LinkLost,
    Downlink {
        channel: Channel,
        payload: &'a [u8],
    },
    /// A technician has written the next key, and its password, into the flash.
    KeyWritten,
}

#[cfg(test)]
mod tests;
