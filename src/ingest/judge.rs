//! One message against one device: decodes, asks the rules, brings the device's row up to date and says what follows. No I/O: the
//! writer loads the row before and stores it afterwards, so that a whole batch shares one transaction.

use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::facts::{self, Delivery};
use super::native::{self, Channel, Key, Kind, StatusState};
use crate::domain::device::{DeviceRole, DeviceStatus, battery_percent};
use crate::domain::evidence::{self, Class, Deed, EventKey, Fact, ReplayWindow, Seen, SensorRules, Verdict};
use crate::domain::quarantine::{Proof, Reason, is_worth_a_call};
use crate::domain::signal::{Evidence, SignalKind};
use crate::store::Result;
use crate::store::device::Device;

mod bought;

pub use bought::{Heard, link, report, settings, told};

/// A signal that a device gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceSignal {
    pub device_id: Uuid,
    pub key: EventKey,
    pub kind: SignalKind,
    pub class: Evidence,
    /// What was seen to happen; a press for help is its own word.
    pub deed: Option<Deed>,
    pub observed_at: DateTime<Utc>,
}

/// What follows from a message.
#[derive(Debug, Default)]
pub struct Consequence {
    pub signals: Vec<DeviceSignal>,
    /// Why a person should look at it.
    pub aside: Option<Aside>,
    /// Presses for help in a message that was handled before, by the ids of their events and the name of the press: the caller knows
    /// whether they were.
    pub repeated: Vec<(EventKey, String)>,
    /// To be acknowledged to a native device by (boot, seq) after the commit.
    pub receipt: Option<(u32, u32)>,
}

/// Why a message is put aside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Aside {
    pub reason: Reason,
    /// For whoever mends the device.
    pub why: String,
    /// A press for help that it may hold and a person must hear of at once.
    pub press: Option<String>,
}

impl Consequence {
    pub fn aside(reason: Reason, why: impl ToString, press: Option<String>) -> Self {
        Self { aside: Some(Aside { reason, why: why.to_string(), press }), ..Self::default() }
    }
}

/// The keys of a device.
#[derive(Clone, Copy, Default)]
pub struct Keys<'a> {
    pub valid: &'a [Key],
    /// Their time has run out: what they sign is refused, and still came from the device.
    pub old: &'a [Key],
}

/// How a message came.
#[derive(Debug, Clone, Copy)]
pub struct Way {
    pub delivery: Delivery,
    /// Came by the password of the device itself.
    pub own_password: bool,
    /// Came by a broker that other instances hear as well; the number tells the instances apart.
    pub shared_by: Option<u32>,
}

/// A message of a native device.
pub fn native(
    device: &mut Device,
    (topic, channel): (&str, Channel),
    payload: &[u8],
    keys: Keys<'_>,
    way: Way,
    rules: &SensorRules,
) -> Result<Consequence> {
    match channel {
        Channel::Events | Channel::Telemetry => envelope(device, (topic, channel), payload, keys, way, rules),
        Channel::Status => status(device, payload, way, rules),
        // The level for home automation says nothing that events do not say better.
        Channel::State => Ok(Consequence::default()),
    }
}

fn envelope(
    device: &mut Device,
    (topic, channel): (&str, Channel),
    payload: &[u8],
    keys: Keys<'_>,
    way: Way,
    rules: &SensorRules,
) -> Result<Consequence> {
    let delivery = way.delivery;
    let message = match native::decode(topic, payload, keys.valid) {
        Ok(message) => message,
        Err(refusal) => return Ok(refused(device, (topic, channel), payload, keys, way, refusal)),
    };
    let mut state = device.state()?;
    let known = state.window.is_some();
    let same_boot = device.boot_id.is_none_or(|known| known == i64::from(message.boot_id));
    let receipt = (channel == Channel::Events).then_some((message.boot_n, message.seq));
    match ReplayWindow::admit(&mut state.window, message.boot_n, message.seq) {
        Seen::OldBoot => return Ok(Consequence::aside(Reason::Replay, "a message of an earlier boot", message.press())),
        Seen::Before if !same_boot => {
            return Ok(Consequence::aside(Reason::Replay, "numbers that were used up before the device lost its memory", message.press()));
        }
        // Handed in before, and the receipt was lost: say it again, or the device never lets go of it.
        Seen::Before => return Ok(Consequence { receipt, repeated: presses(&message), ..Consequence::default() }),
        Seen::NewBoot if known => state.forget_level(),
        Seen::NewBoot | Seen::New => {}
    }
    let native = facts::of_native(&message, delivery, rules);
    device.boot_id = Some(i64::from(message.boot_id));
    device.kid = Some(i64::from(message.kid));
    device.clock_suspect = native.clock_bad;
    for event in &message.events {
        note_health(device, event.kind, delivery.received_at);
    }
    let signals = judge(device, state, &native.facts, delivery.received_at, rules);
    if !delivery.waited && !delivery.retained {
        device.heard(delivery.received_at, None);
    }
    let told = signals.iter().filter(|signal| signal.kind == SignalKind::Help).count();
    let aside = message.press().filter(|_| told < presses(&message).len()).map(|press| Aside {
        reason: Reason::Kept,
        why: "a press that was kept by somebody on the way".to_owned(),
        press: Some(press),
    });
    Ok(Consequence { signals, aside, receipt, ..Consequence::default() })
}

/// Presses for help by the ids of their events.
fn presses(message: &native::Message) -> Vec<(EventKey, String)> {
    let press = message.press().unwrap_or_default();
    let pressed = message.events.iter().filter(|event| matches!(event.kind, Kind::HelpButton { .. }));
    let key = |index| EventKey::Numbered { boot_n: message.boot_n, seq: message.seq, index };
    pressed.map(|event| (key(event.index), press.clone())).collect()
}

/// An envelope that is not believed. Whatever a help button says by its own password and nobody can read may be a press.
fn refused(
    device: &Device,
    (topic, channel): (&str, Channel),
    payload: &[u8],
    keys: Keys<'_>,
    way: Way,
    refusal: native::Refusal,
) -> Consequence {
    if let Ok(message) = native::decode(topic, payload, keys.old) {
        let press = message.press().filter(|_| is_worth_a_call(Proof::Signed, Reason::OldKey));
        return Consequence::aside(Reason::OldKey, "signed with a key that is no longer valid", press);
    }
    let reason = refusal.reason();
    let proof = if way.own_password { Proof::OwnPassword } else { Proof::None };
    let unread = (device.role == DeviceRole::HelpButton && channel == Channel::Events && reason != Reason::Forged)
        .then(|| format!("unread.{:016x}", hash(payload)));
    let press = native::claimed_press(payload).or(unread).filter(|_| is_worth_a_call(proof, reason));
    Consequence::aside(reason, refusal, press)
}

fn note_health(device: &mut Device, kind: Kind, at: DateTime<Utc>) {
    match kind {
        Kind::BatteryMillivolt(millivolt) => {
            device.battery_millivolt = Some(i64::from(millivolt));
            device.cells_read(Some(battery_percent(millivolt)), at);
        }
        Kind::Tamper(_) => device.tampered_at = Some(at),
        Kind::Lost(count) => {
            device.lost_events = device.lost_events.saturating_add(i64::from(count));
            device.lost_at = Some(at);
        }
        _ => {}
    }
}

/// A status is not signed and says only how the device is. A late will of an earlier birth says nothing.
fn status(device: &mut Device, payload: &[u8], way: Way, rules: &SensorRules) -> Result<Consequence> {
    let status = match native::decode_status(payload) {
        Ok(status) => status,
        Err(refusal) => return Ok(Consequence::aside(refusal.reason(), refusal, None)),
    };
    let birth_n = i64::from(status.birth_n);
    if device.bd.is_some_and(|known| birth_n < known) {
        return Ok(Consequence::default());
    }
    device.bd = Some(birth_n);
    device.firmware = status.firmware.map(|text| text.chars().take(32).collect()).or(device.firmware.take());
    if way.shared_by.is_some() && way.delivery.retained {
        // Kept by a broker since nobody knows when.
        return Ok(Consequence::default());
    }
    let at = way.delivery.received_at;
    match status.state {
        StatusState::On => {
            device.status = DeviceStatus::Online;
            device.online_since = Some(at);
            device.heard(at, status.next_seconds);
        }
        StatusState::Sleep => {
            device.heard(at, status.next_seconds);
            device.status = DeviceStatus::Asleep;
        }
        StatusState::Off => {
            device.status = DeviceStatus::Offline;
            return Ok(Consequence { signals: unheard(device, rules)?, ..Consequence::default() });
        }
    }
    Ok(Consequence::default())
}

/// A link is gone: a closing would not have reached us, so nothing that is pending counts as lasting.
pub fn unheard(device: &mut Device, rules: &SensorRules) -> Result<Vec<DeviceSignal>> {
    let (state, said) = evidence::interrupted(device.state()?);
    device.remember(&state, rules);
    Ok(said.into_iter().filter_map(|verdict| signal(device, verdict)).collect())
}

/// A gateway says whether it reaches a device, or for each of its devices whether it runs itself.
pub fn availability(device: &mut Device, online: bool, way: Way, rules: &SensorRules) -> Result<Vec<DeviceSignal>> {
    if !online {
        device.unreachable(way.delivery.received_at);
        return unheard(device, rules);
    }
    device.reachable();
    let state = device.state()?;
    Ok(judge(device, state, &[facts::online(way.delivery)], way.delivery.received_at, rules))
}

/// An opening that the clock has confirmed.
pub fn settle(device: &mut Device, now: DateTime<Utc>, rules: &SensorRules) -> Result<Vec<DeviceSignal>> {
    let state = device.state()?;
    Ok(judge(device, state, &[], now, rules))
}

/// Applies the rules to the facts in order, then lets the time that has passed confirm what is pending.
fn judge(
    device: &mut Device,
    mut state: evidence::DeviceState,
    facts: &[Fact],
    now: DateTime<Utc>,
    rules: &SensorRules,
) -> Vec<DeviceSignal> {
    let mut verdicts = Vec::new();
    for fact in facts {
        let (next, said) = evidence::assess(state, fact, rules);
        state = next;
        verdicts.extend(said);
    }
    let (state, settled) = evidence::settle(state, now, rules);
    verdicts.extend(settled);
    device.remember(&state, rules);
    verdicts.into_iter().filter_map(|verdict| signal(device, verdict)).collect()
}

fn signal(device: &Device, verdict: Verdict) -> Option<DeviceSignal> {
    let device_id = device.id;
    match verdict {
        Verdict::Evidence { class, deed, observed_at, key } => {
            let kind = match deed {
                Deed::Opened | Deed::MotorOpened | Deed::ButtonOpened | Deed::OpenedOnTime | Deed::OpenedFromAfar => SignalKind::Open,
                Deed::PressedOk | Deed::LightChanged | Deed::Stirred | Deed::Shaken => SignalKind::Activity,
            };
            let class = match class {
                _ if bought::is_context_only(device) => Evidence::C,
                Class::A => Evidence::A,
                Class::B => Evidence::B,
                Class::C => Evidence::C,
            };
            Some(DeviceSignal { device_id, key, kind, class, deed: Some(deed), observed_at })
        }
        Verdict::Help { press, observed_at, .. } => {
            Some(DeviceSignal { device_id, key: press, kind: SignalKind::Help, class: Evidence::A, deed: None, observed_at })
        }
        _ => None,
    }
}

fn hash(payload: &[u8]) -> u64 {
    let digest = Sha256::digest(payload);
    u64::from_be_bytes(std::array::from_fn(|n| digest[n]))
}
