//! From sensor messages to facts: one pure decoder per ecosystem. A decoder reads bytes and knows nothing of senior, time or
//! database; what a fact proves is decided in `crate::domain::evidence`.
//!
//! What must stay true: arbitrary bytes never panic, sizes are bounded before anything is parsed, and what is not understood is
//! said to be so instead of guessed.

mod cbor;
pub mod facts;
mod json;
pub mod judge;
pub mod native;
pub mod zigbee2mqtt;
