//! The native curtain sensor: the firmware's logic as a state machine that a microcontroller and a simulator run unchanged.
//!
//! Must stay true:
//! - The core (every module but `sim` and `battery`) is `no_std`, allocates nothing, contains no `unsafe`, reads no clock and draws no
//!   random number: a board hands in pin levels, samples and the time since boot, and does what comes out.
//! - No type is shared with the server. `golden/*.json` is the contract; the tests of both read it.
//! - An event leaves the device's queue only when the server's own receipt (`dn/ack`) names its message. A PUBACK is not
//!   a receipt: it may come from a broker that has told nobody.
//!
//! Read in this order: [`event`], [`envelope`], [`outbox`], [`sensor`], [`board`] (what a chip must bring), then `sim`.
#![cfg_attr(not(any(test, feature = "std")), no_std)]
#![forbid(unsafe_code)]

pub mod event;

pub mod envelope;

pub mod downlink;

pub mod keyring;

pub mod settings;

pub mod debounce;

pub mod button;

pub mod lux;

pub mod clock;

pub mod outbox;

pub mod status;

pub mod discovery;

pub mod sensor;

pub mod board;

#[cfg(feature = "std")]
pub mod battery;

#[cfg(feature = "std")]
pub mod sim;
