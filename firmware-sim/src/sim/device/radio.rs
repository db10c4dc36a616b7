//! The device's radio: off, trying, or on.

use std::future::pending;

use tokio::sync::OwnedSemaphorePermit;
use tokio::task::JoinHandle;

use super::Happened;
use crate::sim::link::{Link, LinkError};

pub(super) enum Radio {
    Off,
    Opening(JoinHandle<Result<Connection, LinkError>>),
    On(Connection),
}

pub(super) struct Connection {
    pub link: Link,
    /// Its share of the connections that a fleet may have at a time.
    pub _permit: Option<OwnedSemaphorePermit>,
}

impl Radio {
    pub(super) const fn take(&mut self) -> Self {
        std::mem::replace(self, Self::Off)
    }

    /// Ends a connection, or the attempt at one, without a word to the broker.
    pub(super) fn cut(&mut self) {
        if let Self::Opening(attempt) = self.take() {
            attempt.abort();
        }
    }

    pub(super) async fn happened(&mut self) -> Happened {
        match self {
            Self::Off => pending().await,
            Self::Opening(attempt) => Happened::Opened(attempt.await.unwrap_or(Err(LinkError::Closed))),
            Self::On(connection) => Happened::Packet(connection.link.receive().await),
        }
    }
}
