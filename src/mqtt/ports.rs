//! What MQTT asks of the rest of the program and hands to it. Every question carries its answer channel; a dropped answer is
//! "not committed", so that a crash between receiving and committing makes the device send again.

use bytes::Bytes;
use chrono::{DateTime, Utc};
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

use crate::clock::Clock;

/// The three things given at start.
#[derive(Clone)]
pub struct Ports {
    pub authenticate: mpsc::Sender<AuthRequest>,
    pub inbound: mpsc::Sender<Inbound>,
    pub clock: Clock,
}

/// Who is at the door?
pub struct AuthRequest {
    pub client_id: String,
    pub username: Option<String>,
    pub password: Option<Bytes>,
    pub peer_is_loopback: bool,
    pub reply: oneshot::Sender<Result<Identity, Refused>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// Unknown name or wrong password; the two are not told apart.
    BadCredentials,
    /// Known, but not allowed (any more).
    NotAuthorized,
    /// Cannot be decided now; the device tries again later.
    Unavailable,
}

/// What a credential may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The credential's name. Sessions, rates and take-over are per principal: nobody throws out another's session.
    pub principal: String,
    /// The device that the credential belongs to; `None` for a session that speaks for several (a gateway's bridge, the demo).
    pub device: Option<DeviceRef>,
    /// Topics it may publish below; each ends with `/`.
    pub publish_below: Vec<String>,
    /// Topics it may subscribe to below; each ends with `/`.
    pub subscribe_below: Vec<String>,
    /// Sent on subscription, like a broker's retained messages: the device's configuration.
    pub retained: Vec<Downlink>,
    pub messages_per_minute: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeviceRef {
    pub site_id: Uuid,
    pub device_id: Uuid,
}

/// A message to a device, sent with `QoS` 1 where the subscription allows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Downlink {
    pub topic: String,
    pub payload: Bytes,
    /// Kept for later subscriptions of the same principal.
    pub retain: bool,
}

/// Where a message came from.
#[derive(Debug, Clone)]
pub enum Source {
    /// A session of the endpoint: the topic is within what its credential allows.
    Session(Arc<Identity>),
    /// The external broker. `waited`: part of a backlog, sent at an unknown time.
    Broker { waited: bool },
}

/// What is kept of a faulty message for a person to look at.
pub const SAMPLE_BYTES_MAX: usize = 1024;

/// Why a message must not be interpreted, only shown to a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    TooLarge,
    TopicNotAllowed,
}

/// A received message. It is acknowledged to the sender when `ack` says [`Outcome::Committed`].
pub struct Inbound {
    pub source: Source,
    pub topic: String,
    /// A copy of its own; of a faulty message only the first [`SAMPLE_BYTES_MAX`].
    pub payload: Bytes,
    /// Size as received.
    pub size_bytes: usize,
    pub retain: bool,
    pub dup: bool,
    /// Raised by the endpoint because its connection ended without a word.
    pub will: bool,
    pub fault: Option<Fault>,
    pub received_at: DateTime<Utc>,
    pub ack: oneshot::Sender<Outcome>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Durable, or decided to be quarantined or dropped for good: acknowledge.
    Committed,
    /// Could not be stored now: do not acknowledge, close, so that it is sent again.
    Failed,
    /// The sender's credential is no longer valid: do not acknowledge, close.
    Revoked,
}
