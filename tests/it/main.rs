//! The integration tests, one crate: each file is a room, each test name a sentence.

mod alerts;
mod browser;
mod care;
mod cli;
mod compound;
mod deploy;
mod end_to_end;
mod harness;
mod histories;
mod http;
mod interleaving;
mod invariants;
mod morning;
mod outbox;
mod register;
mod register_care;
mod register_changes;
mod register_corrections;
mod register_http;
mod register_races;
mod returns;
mod sensors;
mod statistics;
mod tidy;
mod visits;
mod wording;
