//! Which devices a message is about. A session speaks only for the devices of its credential; behind a broker the topic decides, and
//! only for native messages does a signature prove it.

use std::collections::BTreeMap;

use uuid::Uuid;

use super::Message;
use crate::domain::quarantine::Reason;
use crate::ingest::behind::{self, Below};
use crate::ingest::explain::is_discovery;
use crate::ingest::native::{Channel, Topic};
use crate::ingest::proposal;
use crate::mqtt::ports::Fault;
use crate::store::{Result, Tx, device};

/// Where a message goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    Native {
        device: Uuid,
        channel: Channel,
    },
    /// Below the base topic of a gateway.
    Behind(Behind),
    /// Home automation is told of devices of this gateway.
    Announcement {
        gateway: Uuid,
    },
    /// Understood and of no interest.
    Ignored,
    /// For a person to look at.
    Unknown(Reason),
    /// The sender's device is no longer in use.
    Revoked,
}

/// What a message below a base topic concerns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Behind {
    pub gateway: Uuid,
    /// Where in the topic the part below the base topic begins.
    pub rest: usize,
    /// Those of the longest name that fits; several if each is a part of the message.
    pub devices: Vec<Uuid>,
    /// Who else may be told here whether they are reached.
    pub concerned: Vec<Uuid>,
    /// It tells of the gateway itself.
    pub of_gateway: bool,
}

/// What has to be looked up.
enum Wanted<'a> {
    Found(Target),
    Named { name: &'a str, channel: Channel },
    Behind { gateway: Uuid, rest: usize },
}

/// Devices by gateway and name.
type Known = BTreeMap<(Uuid, String), Vec<Uuid>>;

/// The targets, in the order of the messages.
pub async fn resolve(tx: &mut Tx, messages: &[Message]) -> Result<Vec<Target>> {
    let foreign = messages.iter().any(|message| !message.topic.starts_with("chk/"));
    let gateways = if foreign { device::gateways(tx).await? } else { Vec::new() };
    let questions: Vec<Wanted> = messages.iter().map(|message| want(message, &gateways)).collect();
    let (mut names, mut pairs, mut links) = (Vec::new(), Vec::new(), Vec::new());
    for (message, question) in messages.iter().zip(&questions) {
        match question {
            Wanted::Named { name, .. } => names.push(*name),
            Wanted::Behind { gateway, rest } => {
                let rest = &message.topic[*rest..];
                pairs.extend(behind::names(rest).into_iter().map(|name| (*gateway, name)));
                links.extend(behind::link(rest).filter(|owner| !owner.is_empty()).map(|owner| (*gateway, owner)));
            }
            Wanted::Found(_) => {}
        }
    }
    for list in [&mut pairs, &mut links] {
        list.sort_unstable();
        list.dedup();
    }
    names.sort_unstable();
    names.dedup();
    let known = if names.is_empty() { BTreeMap::new() } else { device::named(tx, &names).await? };
    let exact = if pairs.is_empty() { Known::new() } else { device::behind(tx, &pairs).await? };
    let below = if links.is_empty() { Known::new() } else { device::below(tx, &links).await? };
    Ok(messages.iter().zip(questions).map(|(message, question)| look_up(message, question, &known, (&exact, &below))).collect())
}

fn want<'a>(message: &'a Message, gateways: &[(Uuid, String)]) -> Wanted<'a> {
    match message.fault {
        None => addressed(message, gateways),
        Some(Fault::TopicNotAllowed) => Wanted::Found(Target::Unknown(Reason::ForeignTopic)),
        Some(Fault::TooLarge) => match addressed(message, gateways) {
            // Zigbee2MQTT's definitions are large, and of no interest at any size.
            Wanted::Found(Target::Ignored | Target::Announcement { .. }) => Wanted::Found(Target::Ignored),
            Wanted::Behind { rest, .. } if of_no_interest(&message.topic[rest..]) => Wanted::Found(Target::Ignored),
            _ => Wanted::Found(Target::Unknown(Reason::TooLarge)),
        },
    }
}

/// What the topic asks for.
fn addressed<'a>(message: &'a Message, gateways: &[(Uuid, String)]) -> Wanted<'a> {
    let topic = message.topic.as_str();
    if let Some(Topic { device: name, channel }) = Topic::parse(topic) {
        return Wanted::Named { name, channel };
    }
    match behind::below(topic, message.speaks_for, gateways) {
        Below::One(gateway, base) if is_discovery(&topic[base.len() + 1..]) => Wanted::Found(Target::Announcement { gateway }),
        Below::One(gateway, base) => Wanted::Behind { gateway, rest: base.len() + 1 },
        _ if is_discovery(topic) => {
            let own = message.speaks_for.filter(|device| gateways.iter().any(|(gateway, _)| gateway == device));
            Wanted::Found(own.map_or(Target::Ignored, |gateway| Target::Announcement { gateway }))
        }
        Below::Several => Wanted::Found(Target::Unknown(Reason::SeveralGateways)),
        Below::Nobody if message.speaks_for.is_some_and(|device| !gateways.iter().any(|(gateway, _)| *gateway == device)) => {
            Wanted::Found(Target::Revoked)
        }
        Below::Nobody if topic.starts_with("homeassistant/") => Wanted::Found(Target::Ignored),
        Below::Nobody => Wanted::Found(Target::Unknown(Reason::UnknownDevice)),
    }
}

/// What Zigbee2MQTT says of itself at `bridge/…`. A bridge of another make may be called so, too.
fn of_no_interest(rest: &str) -> bool {
    let own = [
        "logging",
        "devices",
        "definitions",
        "groups",
        "info",
        "extensions",
        "converters",
        "event",
        "health",
        "config",
        "log",
        "request",
        "response",
    ];
    let below = rest.strip_prefix("bridge/").or_else(|| rest.split_once("/bridge/").map(|(_, below)| below));
    below.is_some_and(|below| own.contains(&below.split('/').next().unwrap_or_default()))
}

fn look_up(message: &Message, wanted: Wanted<'_>, named: &BTreeMap<String, Uuid>, (exact, below): (&Known, &Known)) -> Target {
    let unknown = Target::Unknown(Reason::UnknownDevice);
    let (gateway, rest) = match wanted {
        Wanted::Found(target) => return target,
        Wanted::Named { name, channel } => {
            return match (named.get(name), message.speaks_for) {
                (Some(device), Some(own)) if *device != own => Target::Revoked,
                (Some(device), _) => Target::Native { device: *device, channel },
                (None, Some(_)) => Target::Revoked,
                // What a revoked device left at the broker is being removed.
                (None, None) if message.payload.is_empty() => Target::Ignored,
                (None, None) => unknown,
            };
        }
        Wanted::Behind { gateway, rest } => (gateway, rest),
    };
    let part = &message.topic[rest..];
    if of_no_interest(part) {
        return Target::Ignored;
    }
    let devices = behind::names(part).into_iter().find_map(|name| exact.get(&(gateway, name.to_owned()))).cloned().unwrap_or_default();
    let owner = behind::link(part);
    let concerned = owner.and_then(|owner| below.get(&(gateway, owner.to_owned()))).cloned().unwrap_or_default();
    let of_gateway = owner == Some("");
    if devices.is_empty() && concerned.is_empty() && !of_gateway {
        return if proposal::is_worth_entering(&message.topic, rest, &message.payload) { unknown } else { Target::Ignored };
    }
    Target::Behind(Behind { gateway, rest, devices, concerned, of_gateway })
}
