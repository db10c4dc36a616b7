//! Channels: the ways by which a sealed message leaves. A new one is one file, its word in [`Channel`], and one line wherever
//! the compiler or a test then says that it is missing.
//!
//! A channel never throws: every ending is an [`Outcome`], and the outbox decides what follows. Nothing here knows the
//! database; what is sent was sealed before, byte for byte, so that a repeat is the same message.

pub mod compose;
pub mod target;

mod log;
pub mod webhook;

use std::time::Duration;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::config::Outbox;
use crate::domain::message::Channel;
use crate::domain::message::retry::{Outcome, OutcomeClass};

/// One attempt at one message.
#[derive(Clone)]
pub struct Outgoing {
    pub message_id: Uuid,
    pub channel: Channel,
    pub address: String,
    pub secret: Option<Vec<u8>>,
    pub body: Vec<u8>,
    /// The same over all attempts (I12).
    pub dedupe_key: String,
    pub call_no: i64,
    /// An attempt of unknown outcome came before; channels without identity mark the repeat.
    pub repeated: bool,
    pub at: DateTime<Utc>,
}

/// What a sealed body is made of.
#[derive(Debug, Clone)]
pub struct Envelope<'a> {
    pub message_id: Uuid,
    pub call_no: i64,
    pub recipient_id: Uuid,
    /// The key of the most urgent sentence.
    pub kind: &'a str,
    pub class: &'a str,
    pub text: &'a str,
    pub alerts: &'a [Uuid],
    pub sealed_at: DateTime<Utc>,
}

/// The bytes of a message on a channel; they never change after sealing.
pub fn seal(channel: Channel, envelope: &Envelope<'_>) -> Vec<u8> {
    match channel {
        Channel::Log => envelope.text.as_bytes().to_vec(),
        Channel::Webhook => webhook::body(envelope),
    }
}

/// What is slow together: messages to one endpoint share a limit, others do not wait for them (I15).
pub fn endpoint(channel: Channel, address: &str) -> String {
    match channel {
        Channel::Log => channel.to_string(),
        Channel::Webhook => target::host(address).unwrap_or_else(|| channel.to_string()),
    }
}

/// The open clients of all channels.
#[derive(Debug, Clone)]
pub struct Notifier {
    webhook: webhook::Webhook,
    log_text: bool,
    attempt_timeout: Duration,
}

impl Notifier {
    /// # Errors
    /// The TLS client cannot be set up.
    pub fn new(settings: &Outbox) -> Result<Self, reqwest::Error> {
        let attempt_timeout = settings.attempt_timeout.std();
        let webhook = webhook::Webhook::new(attempt_timeout, settings.allow_private_targets)?;
        Ok(Self { webhook, log_text: settings.log_text, attempt_timeout })
    }

    /// One attempt, bounded in time whatever the channel does.
    pub async fn send(&self, outgoing: &Outgoing) -> Outcome {
        let attempt = async {
            match outgoing.channel {
                Channel::Log => log::send(outgoing, self.log_text),
                Channel::Webhook => self.webhook.send(outgoing).await,
            }
        };
        let bounded = tokio::time::timeout(self.attempt_timeout, attempt).await;
        bounded.unwrap_or_else(|_| Outcome::new(OutcomeClass::Ambiguous, "timeout"))
    }
}
