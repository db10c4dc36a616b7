//! Acknowledges to the broker, in order, what is committed. A task of its own: the connection takes requests through a bounded
//! channel, and the task that polls it must never wait for that channel.

use std::sync::Arc;
use std::time::Duration;

use rumqttc::{AsyncClient, ManualAck};
use tokio::sync::{mpsc, oneshot};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::Link;
use crate::mqtt::ports::Outcome;

/// Pause before a full request channel is tried again.
const FULL_PAUSE: Duration = Duration::from_millis(5);

/// A message handed in, not answered yet.
pub struct Unanswered {
    /// The connection it came by.
    pub epoch: u64,
    pub ack: ManualAck,
    pub answer: oneshot::Receiver<Outcome>,
}

pub struct Acknowledger {
    pub client: AsyncClient,
    pub link: Arc<Link>,
    pub stop: CancellationToken,
}

impl Acknowledger {
    pub async fn run(self, mut unanswered: mpsc::UnboundedReceiver<Unanswered>) {
        // Nothing of this epoch is acknowledged any more: a hole in the order would look like an acknowledgement of the hole.
        let mut given_up = None;
        while let Some(Unanswered { epoch, ack, answer }) = unanswered.recv().await {
            let outcome = tokio::select! {
                outcome = answer => outcome.unwrap_or(Outcome::Failed),
                () = self.stop.cancelled() => return,
            };
            if given_up == Some(epoch) {
                continue;
            }
            match outcome {
                // Behind a broker there is nobody to throw out: a revoked device's message is simply done with.
                Outcome::Committed | Outcome::Revoked => self.acknowledge(epoch, ack).await,
                Outcome::Failed => {
                    given_up = Some(epoch);
                    if *self.link.epoch() == epoch {
                        self.link.redo.notify_one();
                    }
                }
            }
        }
    }

    async fn acknowledge(&self, epoch: u64, ack: ManualAck) {
        while !self.stop.is_cancelled() {
            {
                // Held while the acknowledgement goes in, so that the connection cannot change in between.
                let current = self.link.epoch();
                if *current != epoch || self.client.try_manual_ack(ack.clone()).is_ok() {
                    return;
                }
            }
            sleep(FULL_PAUSE).await;
        }
    }
}
