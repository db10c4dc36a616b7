//! Which device a message is about. A session speaks only for the devices of its credential; behind a broker the topic decides, and
//! only for native messages does a signature prove it.

use std::collections::BTreeMap;

use uuid::Uuid;

use super::Message;
use crate::domain::quarantine::Reason;
use crate::ingest::native::{Channel, Topic};
use crate::ingest::zigbee2mqtt::{self, Below};
use crate::mqtt::ports::Fault;
use crate::store::{Result, Tx, device};

/// Where a message goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    Native {
        device: Uuid,
        channel: Channel,
    },
    Report {
        device: Uuid,
    },
    Availability {
        device: Uuid,
    },
    Gateway {
        gateway: Uuid,
    },
    /// Understood and of no interest.
    Ignored,
    /// For a person to look at.
    Unknown(Reason),
    /// The sender's device is no longer in use.
    Revoked,
}

/// What has to be looked up.
enum Wanted<'a> {
    Found(Target),
    Named { name: &'a str, channel: Channel },
    Behind { gateway: Uuid, topic: zigbee2mqtt::Topic<'a> },
}

/// The targets, in the order of the messages.
pub async fn resolve(tx: &mut Tx, messages: &[Message]) -> Result<Vec<Target>> {
    let foreign = messages.iter().any(|message| !message.topic.starts_with("chk/"));
    let gateways = if foreign { device::gateways(tx).await? } else { Vec::new() };
    let questions: Vec<Wanted> = messages.iter().map(|message| want(message, &gateways)).collect();
    let mut names = Vec::new();
    let mut pairs = Vec::new();
    for question in &questions {
        match question {
            Wanted::Named { name, .. } => names.push(*name),
            Wanted::Behind { gateway, topic: zigbee2mqtt::Topic::Device(name) | zigbee2mqtt::Topic::Availability(name) } => {
                pairs.push((*gateway, *name));
                pairs.extend(above(name).map(|above| (*gateway, above)));
            }
            _ => {}
        }
    }
    names.sort_unstable();
    names.dedup();
    pairs.sort_unstable();
    pairs.dedup();
    let known = if names.is_empty() { BTreeMap::new() } else { device::named(tx, &names).await? };
    let behind = if pairs.is_empty() { BTreeMap::new() } else { device::behind(tx, &pairs).await? };
    Ok(messages.iter().zip(questions).map(|(message, question)| look_up(message, question, &known, &behind)).collect())
}

fn want<'a>(message: &'a Message, gateways: &[(Uuid, String)]) -> Wanted<'a> {
    match message.fault {
        None => addressed(message, gateways),
        Some(Fault::TopicNotAllowed) => Wanted::Found(Target::Unknown(Reason::ForeignTopic)),
        Some(Fault::TooLarge) => match addressed(message, gateways) {
            // Zigbee2MQTT's definitions are large, and of no interest at any size.
            of_no_interest @ (Wanted::Found(Target::Ignored) | Wanted::Behind { topic: zigbee2mqtt::Topic::Ignored, .. }) => of_no_interest,
            _ => Wanted::Found(Target::Unknown(Reason::TooLarge)),
        },
    }
}

/// What the topic asks for.
fn addressed<'a>(message: &'a Message, gateways: &[(Uuid, String)]) -> Wanted<'a> {
    if let Some(Topic { device: name, channel }) = Topic::parse(&message.topic) {
        return Wanted::Named { name, channel };
    }
    if message.topic.starts_with("homeassistant/") {
        return Wanted::Found(Target::Ignored);
    }
    match zigbee2mqtt::below(&message.topic, message.speaks_for, gateways) {
        Below::One(gateway, base) => match zigbee2mqtt::Topic::parse(base, &message.topic) {
            Some(topic) => Wanted::Behind { gateway, topic },
            None => Wanted::Found(Target::Ignored),
        },
        Below::Several => Wanted::Found(Target::Unknown(Reason::SeveralGateways)),
        Below::Nobody if message.speaks_for.is_some_and(|device| !gateways.iter().any(|(gateway, _)| *gateway == device)) => {
            Wanted::Found(Target::Revoked)
        }
        Below::Nobody => Wanted::Found(Target::Unknown(Reason::UnknownDevice)),
    }
}

/// The name without its last level.
fn above(name: &str) -> Option<&str> {
    name.rsplit_once('/').map(|(above, _)| above)
}

fn look_up(message: &Message, wanted: Wanted<'_>, named: &BTreeMap<String, Uuid>, behind: &BTreeMap<(Uuid, String), Uuid>) -> Target {
    let unknown = Target::Unknown(Reason::UnknownDevice);
    match wanted {
        Wanted::Found(target) => target,
        Wanted::Named { name, channel } => match (named.get(name), message.speaks_for) {
            (Some(device), Some(own)) if *device != own => Target::Revoked,
            (Some(device), _) => Target::Native { device: *device, channel },
            (None, Some(_)) => Target::Revoked,
            // What a revoked device left at the broker is being removed.
            (None, None) if message.payload.is_empty() => Target::Ignored,
            (None, None) => unknown,
        },
        Wanted::Behind { gateway, topic } => {
            let find = |name: &str| behind.get(&(gateway, name.to_owned())).copied();
            match topic {
                zigbee2mqtt::Topic::Gateway => Target::Gateway { gateway },
                zigbee2mqtt::Topic::Ignored => Target::Ignored,
                zigbee2mqtt::Topic::Device(name) => match find(name) {
                    Some(device) => Target::Report { device },
                    // One value of a known device on a topic of its own, beside the whole state, which says it as well.
                    None if above(name).and_then(find).is_some() => Target::Ignored,
                    None => unknown,
                },
                // A home has many things that are none of our business; their availability is not worth a look.
                zigbee2mqtt::Topic::Availability(name) => find(name).map_or(Target::Ignored, |device| Target::Availability { device }),
            }
        }
    }
}
