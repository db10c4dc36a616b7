//! From sensor messages to signals: pure decoders, one per ecosystem; `judge` applies the rules of `crate::domain::evidence` to a
//! device's row; `writer` does it for many messages in one transaction; `doorkeeper` says who may connect; `running` starts it all.
//!
//! What must stay true: arbitrary bytes never panic, sizes are bounded before anything is parsed, and what is not understood is
//! said to be so instead of guessed.

mod cbor;
mod json;
pub mod native;
pub mod zigbee2mqtt;

pub mod facts;
pub mod judge;
pub mod proposal;

pub mod doorkeeper;
pub mod writer;

pub mod running;
