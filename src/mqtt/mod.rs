//! MQTT: the ingest endpoint for devices (`endpoint`) and the client of an external broker (`external`). Both hand messages
//! through the same [`ports`] and acknowledge only when the receiver says that the message is committed: a broker that
//! acknowledges from memory loses what it acknowledged (stack.md §0). Neither knows a database.

pub mod endpoint;
pub mod external;
pub mod ports;

use rumqttc::{AsyncClient, PublishOptions};

use self::endpoint::Endpoint;
use self::ports::Downlink;

/// The way down to a device. Nothing sent here is a promise: a device that misses a receipt sends again.
pub enum Downward {
    Endpoint(Endpoint),
    Broker(AsyncClient),
}

impl Downward {
    pub fn send(&self, device_name: &str, downlink: &Downlink) {
        match self {
            Self::Endpoint(endpoint) => endpoint.send(device_name, downlink),
            Self::Broker(client) => {
                // QoS 0: a window full of unacknowledged receipts would hold up the acknowledgements of messages.
                let how = PublishOptions::at_most_once().retain(downlink.retain);
                let _ = client.try_publish(downlink.topic.clone(), downlink.payload.clone(), how);
            }
        }
    }
}
