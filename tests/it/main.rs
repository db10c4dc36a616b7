//! The integration tests, one crate: each file is a room, each test name a sentence.

mod deploy;
mod harness;
mod morning;
mod outbox;
mod tidy;
