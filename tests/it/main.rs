//! The integration tests, one crate: each file is a room, each test name a sentence.

mod deploy;
mod harness;
mod http;
mod morning;
mod register;
mod register_care;
mod register_http;
mod sensors;
mod outbox;
mod tidy;
mod visits;
