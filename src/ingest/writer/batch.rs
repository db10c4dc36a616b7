//! One transaction for many messages: find, lock, judge in order, store. Seniors are locked before devices, both in the order of
//! their ids, as everywhere.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::route::{self, Behind, Target};
use super::{Aftermath, Answer, Message, Work};
use crate::domain::evidence::EventKey;
use crate::domain::id;
use crate::domain::quarantine::Reason;
use crate::domain::signal::{Evidence, SignalKind, Source};
use crate::ingest::discovery;
use crate::ingest::judge::{self, Aside, Consequence, DeviceSignal, Heard, Keys};
use crate::ingest::native::Key;
use crate::ingest::{behind, proposal};
use crate::store::device::{self, Announcing, Device, Quarantined};
use crate::store::signal::{self, NewSignal};
use crate::store::{Error, Result, Tx};

/// The keys of one device: valid ones, and those whose time has run out.
#[derive(Default)]
struct OwnKeys {
    valid: Vec<Key>,
    old: Vec<Key>,
}

/// What is needed to judge, loaded and locked.
struct Loaded {
    devices: BTreeMap<Uuid, Device>,
    keys: BTreeMap<Uuid, OwnKeys>,
    /// The devices behind each gateway.
    children: BTreeMap<Uuid, Vec<Uuid>>,
}

/// Stores a batch and returns one answer per message, and what it leaves to do.
pub async fn store(tx: &mut Tx, messages: &[Message], work: &Arc<Work>, now: DateTime<Utc>) -> Result<(Vec<Answer>, Aftermath)> {
    let targets = route::resolve(tx, messages).await?;
    let mut loaded = load(tx, &targets, work, now).await?;
    let before = loaded.devices.clone();
    let mut signals = Vec::new();
    let mut quarantined = Vec::new();
    let mut repeated = Vec::new();
    let mut answers = Vec::with_capacity(messages.len());
    for (message, target) in messages.iter().zip(&targets) {
        let consequence = judge_one(message, target, &mut loaded, work)?;
        if let Some(aside) = consequence.aside {
            quarantined.push(sample(message, target, &loaded, aside));
        }
        if let Target::Native { device, .. } = target {
            repeated
                .extend(consequence.repeated.into_iter().map(|(key, press)| (signal_id(*device, key), *device, message, target, press)));
        }
        signals.extend(consequence.signals);
        answers.push(Answer { revoked: *target == Target::Revoked, receipt: consequence.receipt });
    }
    let announced: Vec<Announcing> = messages.iter().zip(&targets).filter_map(|(message, target)| announcing(message, target)).collect();
    device::keep_announced(tx, &announced, now).await?;
    let signalled = !signals.is_empty();
    quarantined.extend(store_signals(tx, &loaded.devices, signals, now).await?);
    // A repeat of a press that never became a signal is no repeat: it was refused, or the device counts anew.
    let site = |device: &Uuid| loaded.devices.get(device).map(|device| device.site_id);
    let ids: Vec<(Uuid, Uuid)> = repeated.iter().filter_map(|(id, device, ..)| Some((site(device)?, *id))).collect();
    let known = signal::stored(tx, &ids).await?;
    for (_, _, message, target, press) in repeated.into_iter().filter(|(id, ..)| !known.contains(id)) {
        let why = "numbered like a message that was handled, and no such press is known".to_owned();
        quarantined.push(sample(message, target, &loaded, Aside { reason: Reason::Replay, why, press: Some(press) }));
    }
    let changed: Vec<Device> = loaded.devices.into_values().filter(|device| before.get(&device.id) != Some(device)).collect();
    device::save(tx, &changed).await?;
    let told = work.put_aside(tx, quarantined, now).await?;
    let settling = changed.iter().any(|device| device.settle_at.is_some());
    Ok((answers, Aftermath { signals: signalled, settling, told }))
}

fn announcing(message: &Message, target: &Target) -> Option<Announcing> {
    let Target::Announcement { gateway } = target else { return None };
    Some(Announcing { gateway_id: *gateway, by: message.topic.clone(), devices: discovery::read(&message.topic, &message.payload) })
}

/// Confirms pending openings whose time has come.
pub async fn settle(tx: &mut Tx, ids: &[Uuid], work: &Arc<Work>, now: DateTime<Utc>) -> Result<usize> {
    let mut devices = lock(tx, &ids.iter().copied().collect()).await?;
    let mut signals = Vec::new();
    for device in devices.values_mut() {
        // Before this server listened, a closing may have been missed.
        let heard_all = device.opening_since.is_none_or(|opening| opening >= work.listening_since);
        let said = if heard_all { judge::settle(device, now, &work.rules)? } else { judge::unheard(device, &work.rules)? };
        signals.extend(said);
    }
    let settled = signals.len();
    store_signals(tx, &devices, signals, now).await?;
    device::save(tx, &devices.into_values().collect::<Vec<_>>()).await?;
    Ok(settled)
}

async fn load(tx: &mut Tx, targets: &[Target], work: &Arc<Work>, now: DateTime<Utc>) -> Result<Loaded> {
    let mut ids = BTreeSet::new();
    let mut native = BTreeSet::new();
    let mut gateways = Vec::new();
    for target in targets {
        match target {
            Target::Native { device, .. } => {
                ids.insert(*device);
                native.insert(*device);
            }
            Target::Behind(about) => {
                ids.extend(about.devices.iter().chain(&about.concerned));
                if about.of_gateway {
                    ids.insert(about.gateway);
                    gateways.push(about.gateway);
                }
            }
            Target::Announcement { .. } | Target::Ignored | Target::Unknown(_) | Target::Revoked => {}
        }
    }
    let mut children: BTreeMap<Uuid, Vec<Uuid>> = BTreeMap::new();
    if !gateways.is_empty() {
        gateways.sort_unstable();
        gateways.dedup();
        for (gateway, child) in device::children(tx, &gateways).await? {
            ids.insert(child);
            children.entry(gateway).or_default().push(child);
        }
    }
    let devices = lock(tx, &ids).await?;
    let mut keys: BTreeMap<Uuid, OwnKeys> = BTreeMap::new();
    if !native.is_empty() {
        for sealed in device::sealed_keys(tx, &native.into_iter().collect::<Vec<_>>(), now).await? {
            match device::unseal(&work.seal, &sealed) {
                Ok(key) => {
                    let own = keys.entry(sealed.device_id).or_default();
                    if sealed.is_valid { own.valid.push(key) } else { own.old.push(key) }
                }
                // Its messages are then refused as forged and shown; the others go on.
                Err(error) => tracing::error!(%error, "a device key cannot be opened"),
            }
        }
    }
    Ok(Loaded { devices, keys, children })
}

async fn lock(tx: &mut Tx, ids: &BTreeSet<Uuid>) -> Result<BTreeMap<Uuid, Device>> {
    if ids.is_empty() {
        return Ok(BTreeMap::new());
    }
    let ids: Vec<Uuid> = ids.iter().copied().collect();
    let bound = device::seniors_of(tx, &ids).await?;
    let seniors: Vec<Uuid> = bound.values().copied().flatten().collect();
    tx.lock_seniors(&seniors).await?;
    let devices = device::lock(tx, &ids).await?;
    // Somebody bound a device between the two reads: its senior is not locked. The messages come again.
    if devices.iter().any(|device| bound.get(&device.id) != Some(&device.senior_id)) {
        return Err(Error::Busy);
    }
    Ok(devices.into_iter().map(|device| (device.id, device)).collect())
}

fn judge_one(message: &Message, target: &Target, loaded: &mut Loaded, work: &Arc<Work>) -> Result<Consequence> {
    let way = message.way(work.instance);
    let vanished = || Consequence::aside(Reason::Removed, "the device was removed", None);
    match target {
        Target::Announcement { .. } | Target::Ignored | Target::Revoked => Ok(Consequence::default()),
        Target::Unknown(reason) => Ok(Consequence::aside(*reason, "nothing of it was read", None)),
        Target::Native { device, channel } => {
            let keys = loaded.keys.get(device).map_or_else(Keys::default, |own| Keys { valid: &own.valid, old: &own.old });
            let Some(device) = loaded.devices.get_mut(device) else { return Ok(vanished()) };
            judge::native(device, (&message.topic, *channel), &message.payload, keys, way, &work.rules)
        }
        Target::Behind(about) => behind_gateway(message, about, loaded, work),
    }
}

/// What a message says of devices behind a gateway: whether they are reached, and what they report.
fn behind_gateway(message: &Message, about: &Behind, loaded: &mut Loaded, work: &Arc<Work>) -> Result<Consequence> {
    let heard = Heard { rest: &message.topic[about.rest..], payload: &message.payload };
    let mut consequence = if about.of_gateway { of_gateway(message, about, heard, loaded, work)? } else { Consequence::default() };
    if consequence.aside.is_some() {
        return Ok(consequence);
    }
    let mut is_taken = about.of_gateway || !about.concerned.is_empty();
    let others = about.concerned.iter().filter(|id| !about.devices.contains(id));
    for id in about.devices.iter().chain(others) {
        let Some(device) = loaded.devices.get_mut(id) else { continue };
        let settings = judge::settings(device)?;
        is_taken |= device.component.is_empty();
        let Some(told) = judge::told(device, &settings, heard) else { continue };
        is_taken = true;
        let way = message.way(work.instance);
        match told {
            Ok(told) => match told.saying.link() {
                Some(online) => {
                    let is_itself = behind::link(heard.rest).is_none_or(|owner| owner == device.name && device.component.is_empty());
                    consequence.signals.extend(if online || is_itself {
                        judge::link(device, &settings, online, way, &work.rules)?
                    } else {
                        judge::unheard(device, &work.rules)?
                    });
                }
                None if about.devices.contains(id) => {
                    let said = judge::report(device, (&settings, told), heard, way, &work.rules)?;
                    consequence.signals.extend(said.signals);
                    consequence.aside = said.aside.or(consequence.aside);
                }
                None => {}
            },
            Err(refusal) if about.devices.contains(id) => consequence.aside = Consequence::aside(refusal.reason(), refusal, None).aside,
            Err(_) => {}
        }
    }
    if !is_taken && proposal::is_worth_entering(&message.topic, about.rest, &message.payload) {
        return Ok(Consequence::aside(Reason::UnknownDevice, "no device of this name has this part", None));
    }
    Ok(consequence)
}

/// A gateway that goes says nothing about its devices; one that comes repeats their old levels.
fn of_gateway(message: &Message, about: &Behind, heard: Heard<'_>, loaded: &mut Loaded, work: &Arc<Work>) -> Result<Consequence> {
    let online = match behind::is_online(heard.payload) {
        Ok(Some(online)) => online,
        Ok(None) => return Ok(Consequence::default()),
        Err(refusal) => return Ok(Consequence::aside(refusal.reason(), refusal, None)),
    };
    let mut concerned = vec![about.gateway];
    if online {
        concerned.extend(loaded.children.get(&about.gateway).into_iter().flatten());
    }
    let mut consequence = Consequence::default();
    for id in concerned {
        if let Some(device) = loaded.devices.get_mut(&id) {
            consequence.signals.extend(judge::availability(device, online, message.way(work.instance), &work.rules)?);
        }
    }
    Ok(consequence)
}

/// Appends what devices say about their seniors, and returns what has nobody to be said about.
async fn store_signals(
    tx: &mut Tx,
    devices: &BTreeMap<Uuid, Device>,
    signals: Vec<DeviceSignal>,
    now: DateTime<Utc>,
) -> Result<Vec<Quarantined>> {
    let mut by_site: BTreeMap<Uuid, Vec<NewSignal>> = BTreeMap::new();
    let mut orphans = Vec::new();
    // Somebody may have moved in since it was bound.
    let proving = |said: &&DeviceSignal| said.kind != SignalKind::Help && said.class == Evidence::A;
    let senior = |device: &Device| Some((device.site_id, device.senior_id?));
    let proven: BTreeSet<(Uuid, Uuid)> = signals.iter().filter(proving).filter_map(|said| senior(devices.get(&said.device_id)?)).collect();
    let shared = device::sharing_their_home(tx, &proven.into_iter().collect::<Vec<_>>()).await?;
    for said in signals {
        let Some(device) = devices.get(&said.device_id) else { continue };
        match device.senior_id {
            Some(senior_id) => {
                let mut signal = new_signal(&said, senior_id);
                if proving(&&said) && shared.contains(&senior_id) {
                    signal.evidence = Some(Evidence::B);
                }
                by_site.entry(device.site_id).or_default().push(signal);
            }
            // A press for help must not vanish because nobody finished the set-up.
            None if said.kind == SignalKind::Help => {
                tracing::error!(device = %device.id, "a press for help on a device that is bound to nobody");
                orphans.push(Quarantined {
                    site_id: Some(device.site_id),
                    device_id: Some(device.id),
                    topic: device.name.clone(),
                    reason: Reason::Unbound,
                    why: "a press for help on a device that is bound to nobody".to_owned(),
                    press: Some(said.key.text()),
                    payload: Vec::new(),
                    size_bytes: 0,
                    received_at: said.observed_at,
                });
            }
            None => {}
        }
    }
    for (site_id, signals) in by_site {
        for chunk in signals.chunks(signal::BATCH_MAX) {
            signal::append(tx, site_id, chunk, now).await?;
        }
    }
    Ok(orphans)
}

fn new_signal(said: &DeviceSignal, senior_id: Uuid) -> NewSignal {
    NewSignal {
        id: signal_id(said.device_id, said.key),
        senior_id,
        kind: said.kind,
        observed_at: said.observed_at,
        observed_by: None,
        entered_by: None,
        device_id: Some(said.device_id),
        source: Source::Device,
        evidence: Some(said.class),
        deed: said.deed,
        replaces: None,
        reason: None,
        note: None,
    }
}

fn signal_id(device: Uuid, key: EventKey) -> Uuid {
    match key {
        EventKey::Numbered { boot_n, seq, index } => id::device_signal(device, i64::from(boot_n), i64::from(seq), usize::from(index)),
        EventKey::Edge { at_ms } => id::device_edge(device, at_ms),
        EventKey::Beside { at_ms, nth } => id::device_beside(device, at_ms, nth),
    }
}

fn sample(message: &Message, target: &Target, loaded: &Loaded, aside: Aside) -> Quarantined {
    let device_id = match target {
        Target::Native { device, .. } => Some(*device),
        // What no device has taken came from its gateway.
        Target::Behind(about) if aside.reason == Reason::UnknownDevice => Some(about.gateway),
        Target::Behind(about) => Some(about.devices.first().copied().unwrap_or(about.gateway)),
        _ => message.speaks_for,
    };
    let site_id = device_id.and_then(|id| loaded.devices.get(&id)).map(|device| device.site_id).or(message.site_id);
    message.quarantined(site_id, device_id, aside)
}
