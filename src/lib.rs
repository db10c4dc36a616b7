//! Chenlian (晨帘): a missed curtain is noticed, a named person goes, the visit is on record.
//!
//! The whole system in eight lines; every writer has this shape:
//!
//! ```text
//! let now = app.clock.now();                                         // the only clock
//! app.write(|mut tx| async move {                                    // owned task, one transaction, bounded
//!     tx.lock_seniors(&[senior]).await?;                             // one writer per senior
//!     let mut case = store::case::load(&mut tx, …).await?;           // I/O in
//!     let commands = domain::case::decide(&mut case, &event, now)?;  // pure decision
//!     store::case::apply(&mut tx, commands).await?;                  // I/O out: alert, steps, notices, audit
//!     Ok((tx, answer))                                               // write() commits, then answers the sender
//! }).await?;
//! ```
//!
//! Read in the order of the modules below. Numbers in comments, such as I3 or F1, are the rules of `docs/invariants.md`.

rust_i18n::i18n!("locales", fallback = "zh-CN");

pub mod domain;

pub mod app;
pub mod cli;
pub mod clock;
pub mod config;
pub mod demo;
pub mod http;
pub mod jobs;
pub mod notify;
pub mod seal;
pub mod serve;
pub mod sheet;
pub mod store;

pub mod ingest;
pub mod mqtt;

pub mod text;
