//! The integration tests, one crate: each file is a room, each test name a sentence.

mod deploy;
mod harness;
mod interleaving;
mod invariants;
mod morning;
mod tidy;
