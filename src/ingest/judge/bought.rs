//! One message against one device behind a gateway, of whatever ecosystem: what its role may hear of it, what tells a repeat from
//! news, and how much it can prove.

use std::borrow::Cow;

use serde_json::Value;

use super::{Aside, Consequence, DeviceSignal, Way, hash, judge, unheard};
use crate::domain::device::{DeviceRole, DeviceStatus, Ecosystem};
use crate::domain::evidence::{DeviceState, Level, Polarity, SensorRules};
use crate::domain::quarantine::Reason;
use crate::ingest::explain::{self, Family};
use crate::ingest::facts;
use crate::ingest::said::{Cause, Note, Refusal, Saying, Word};
use crate::ingest::settings::Settings;
use crate::ingest::stamp::{self, Stamp};
use crate::ingest::{behind, component};
use crate::store::device::Device;
use crate::store::{Error, Result};

/// A message below a gateway's base topic.
#[derive(Debug, Clone, Copy)]
pub struct Heard<'a> {
    /// Below the base topic.
    pub rest: &'a str,
    pub payload: &'a [u8],
}

/// What the register knows of a device, for its decoder.
pub fn settings(device: &Device) -> Result<Settings> {
    let entry = serde_json::from_str(&device.settings).map_err(|error| Error::broken("device", device.id, error))?;
    let read = Settings::read(&entry).map_err(|misset| Error::broken("device", device.id, misset.field))?;
    Ok(Settings { is_reversed: device.polarity() == Polarity::Inverted, ..read })
}

/// What the message says of this device, and the part of it that says so.
pub struct Told<'a> {
    pub saying: Saying,
    part: Cow<'a, [u8]>,
}

/// `None` if it is about another component or comes in a form that is not this device's.
pub fn told<'a>(device: &Device, settings: &Settings, heard: Heard<'a>) -> Option<std::result::Result<Told<'a>, Refusal>> {
    let topic = behind::own_topic(device.ecosystem, heard.rest);
    let family = Family::of(device.ecosystem);
    let read = |part: Cow<'a, [u8]>| explain::decode(family, &topic, &part, settings).map(|saying| Told { saying, part });
    let whole = read(Cow::Borrowed(heard.payload));
    if whole.as_ref().is_ok_and(|told| told.saying.link().is_some()) {
        return Some(whole);
    }
    if device.component.is_empty() {
        let is_attribute = device.ecosystem == Ecosystem::Zigbee2Mqtt && heard.rest != device.name;
        return (is_attribute == settings.by_attribute).then_some(whole);
    }
    component::only(device.ecosystem, &device.component, &topic, heard.payload).map(read)
}

/// Judges what was said.
pub fn report(
    device: &mut Device,
    (settings, told): (&Settings, Told<'_>),
    heard: Heard<'_>,
    way: Way,
    rules: &SensorRules,
) -> Result<Consequence> {
    let received_at = way.delivery.received_at;
    if is_snapshot(device.ecosystem, heard) {
        return Ok(Consequence { signals: unheard(device, rules)?, ..Consequence::default() });
    }
    let mut state = device.state()?;
    // The decoder has applied it.
    state.polarity = Polarity::Normal;
    if let Some(at) = stamp::of_state(device.ecosystem, heard.rest, heard.payload, received_at) {
        return Ok(Consequence {
            signals: judge(device, state, &[facts::dated(at, way.delivery)], received_at, rules),
            ..Consequence::default()
        });
    }
    let Told { mut saying, part } = told;
    // An attribute that is not known says nothing of the state.
    if device.ecosystem == Ecosystem::Statestream && saying.note == Some(Note::NoLevel) && heard.rest.ends_with("/state") {
        return Ok(Consequence { signals: unknown(device, rules)?, ..Consequence::default() });
    }
    let stamp = stamp::read(device.ecosystem, &behind::own_topic(device.ecosystem, heard.rest), &part, settings, received_at);
    let hash = hash(&[heard.rest.as_bytes(), b"\0", heard.payload].concat());
    let is_repeat = is_repeated_press(device, &state, &stamp, hash, way, rules);
    let by_hand = matches!(saying.cause, Some(Cause::PulledOpen | Cause::Button));
    let presses = by_hand || saying.note == Some(Note::OkButton) || saying.facts.iter().any(|said| said.word == Word::Help);
    if way.shared_by.is_some() || presses {
        let by = (way.shared_by.unwrap_or_default(), way.delivery.waited);
        if state.recent.is_copy(hash, by, received_at, rules.copy_window) {
            device.remember(&state, rules);
            return Ok(Consequence::default());
        }
    }
    note_health(device, &saying, way);
    let is_heard = saying.is_heard();
    let aside = kept_press(device, &saying, hash, way);
    // A cached state repeats what was true when the device was last heard, and a gateway that starts repeats them all.
    let is_starting = state.is_starting(received_at, rules);
    let is_news = is_news(device, &state, way, rules);
    concern(&mut saying, device.role, is_repeat, is_news);
    let mut all = facts::of_saying(&saying, stamp.at, way.delivery);
    if state.memory.is_unknown && !all.is_empty() {
        // Known again: a start like that of any other gateway, only that nobody has said so.
        state.memory.is_unknown = false;
        all.insert(0, facts::online(way.delivery));
    }
    if let Some(number) = stamp.number.filter(|_| presses) {
        device.last_press = Some(number);
    }
    let signals = judge(device, state, &all, received_at, rules);
    if is_heard && !way.delivery.retained && !is_starting {
        device.heard(stamp.at.map_or(received_at, |seen| seen.min(received_at)), None);
    }
    Ok(Consequence { signals, aside, ..Consequence::default() })
}

/// A press that its sender marked to be kept is no alert, since nobody knows when it happened, and no silence either. Named by its
/// hour, so that a bridge that hands it in again and again is told of now and then.
fn kept_press(device: &Device, saying: &Saying, hash: u64, way: Way) -> Option<Aside> {
    let calls = saying.facts.iter().any(|said| matches!(said.word, Word::Help | Word::HelpState));
    if !calls || device.role != DeviceRole::HelpButton || !way.delivery.retained || !way.own_password {
        return None;
    }
    let hour = way.delivery.received_at.timestamp() / 3600;
    let why = "a press that was kept by somebody on the way".to_owned();
    Some(Aside { reason: Reason::Kept, why, press: Some(format!("kept.{hash:016x}.{hour}")) })
}

/// A press that was handled: numbered like the last one, or the same bytes within the time in which copies come.
fn is_repeated_press(device: &Device, state: &DeviceState, stamp: &Stamp, hash: u64, way: Way, rules: &SensorRules) -> bool {
    match &stamp.number {
        Some(number) => device.last_press.as_ref() == Some(number),
        None => state.recent.0.iter().any(|seen| seen.hash == hash && way.delivery.received_at - seen.at <= rules.copy_window),
    }
}

/// Whether a hand at the motor's button may be the first of the day: the curtain was shut for a while, and this is no snapshot. What
/// a motor itself calls a pull by hand is believed.
fn is_news(device: &Device, state: &DeviceState, way: Way, rules: &SensorRules) -> bool {
    if device.ecosystem == Ecosystem::Zigbee2Mqtt {
        return true;
    }
    let at = way.delivery.received_at;
    !state.is_starting(at, rules) && state.held.is_some_and(|held| held.level == Level::Closed && at - held.since >= rules.closed_min)
}

/// A sensor that wakes by itself and not because something moved says how things are, not when they became so.
fn is_snapshot(ecosystem: Ecosystem, heard: Heard<'_>) -> bool {
    ecosystem == Ecosystem::Shelly1
        && heard.rest.ends_with("/sensor/act_reasons")
        && serde_json::from_slice::<Vec<Value>>(heard.payload).is_ok_and(|reasons| !reasons.iter().any(|reason| reason == "sensor"))
}

/// Leaves only what this role is there for. Health is noted apart.
fn concern(saying: &mut Saying, role: DeviceRole, is_repeat: bool, is_news: bool) {
    let moving = saying.is_moving;
    saying.facts.retain(|said| match role {
        DeviceRole::CurtainContact => matches!(said.word, Word::ContactOpen | Word::ContactClosed),
        // A position read while moving may be the target; the final one follows.
        DeviceRole::Cover => matches!(said.word, Word::CurtainOpen | Word::CurtainClosed | Word::CurtainPartial) && !moving,
        DeviceRole::HelpButton => said.word == Word::HelpState || (said.word == Word::Help && !is_repeat),
        DeviceRole::Lux => said.word == Word::Illuminance,
        DeviceRole::Motion => matches!(said.word, Word::Motion | Word::MotionClear),
        DeviceRole::Vibration => matches!(said.word, Word::Vibration | Word::Tilt),
        DeviceRole::OkButton | DeviceRole::Gateway => false,
    });
    saying.cause = saying.cause.filter(|cause| match cause {
        Cause::PulledOpen | Cause::Button => role == DeviceRole::Cover && !is_repeat && is_news,
        Cause::Afar => role == DeviceRole::Cover,
    });
    saying.note = saying.note.filter(|note| match note {
        // A vibration that is over is no call for help that is over.
        Note::Cleared => role == DeviceRole::HelpButton,
        Note::OkButton => role == DeviceRole::OkButton && !is_repeat,
        _ => false,
    });
}

fn note_health(device: &mut Device, saying: &Saying, way: Way) {
    let at = way.delivery.received_at;
    let percent = saying.facts.iter().find(|said| said.word == Word::Battery).and_then(|said| said.value);
    if let Some(percent) = percent {
        #[expect(clippy::cast_possible_truncation, reason = "the decoder lets through 0 to 100")]
        device.cells_read(Some(percent.round() as i64), at);
    } else if saying.facts.iter().any(|said| said.word == Word::BatteryLow) {
        // Two cells that only say "low" are as good as empty.
        device.cells_read(Some(0), at);
    } else if saying.cells_fine {
        device.cells_read(None, at);
    }
    if saying.facts.iter().any(|said| said.word == Word::Tamper) {
        device.tampered_at = Some(at);
    }
}

/// What anybody nearby can send and repeat is context and never more (sensors.md §7), unless the register says that its makers
/// encrypt it.
pub(super) fn is_context_only(device: &Device) -> bool {
    match device.ecosystem {
        Ecosystem::Rtl433 => true,
        Ecosystem::Theengs => !settings(device).is_ok_and(|settings| settings.is_encrypted),
        _ => false,
    }
}

/// Home Assistant does not know the state, as after its start: what it says next is what it found, and not what happens.
fn unknown(device: &mut Device, rules: &SensorRules) -> Result<Vec<DeviceSignal>> {
    let signals = unheard(device, rules)?;
    let mut state = device.state()?;
    state.memory.is_unknown = true;
    device.remember(&state, rules);
    Ok(signals)
}

/// Whether the device is reached. A sensor that sleeps between its reports is well, and its waking repeats nothing.
pub fn link(device: &mut Device, settings: &Settings, online: bool, way: Way, rules: &SensorRules) -> Result<Vec<DeviceSignal>> {
    let has_mains = matches!(device.role, DeviceRole::Cover | DeviceRole::Gateway);
    if device.ecosystem == Ecosystem::Statestream && !online {
        device.unreachable(way.delivery.received_at);
        return unknown(device, rules);
    }
    if !settings.sleeps.unwrap_or(device.ecosystem == Ecosystem::Shelly1 && !has_mains) {
        return super::availability(device, online, way, rules);
    }
    device.status = if online { DeviceStatus::Online } else { DeviceStatus::Asleep };
    Ok(Vec::new())
}
