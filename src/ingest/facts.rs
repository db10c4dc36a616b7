//! Turns decoded messages into the facts that `crate::domain::evidence` judges: each with its time and what is known of its way.

use chrono::{DateTime, TimeDelta, Utc};

use super::native::{Kind, Message};
use super::said::{Cause, Note, Said, Saying, Word};
use crate::domain::evidence::{EventKey, Fact, Level, Mover, Reading, SensorRules, Wall, sent_at};

/// How a message came here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delivery {
    pub received_at: DateTime<Utc>,
    /// The broker or the sender marked it as kept, or it is a will, written when its connection began.
    pub retained: bool,
    /// It may have waited in a queue: a repeated delivery, or the backlog after a reconnect.
    pub waited: bool,
}

/// Facts of a native message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NativeFacts {
    pub facts: Vec<Fact>,
    /// The device's clock contradicts ours.
    pub clock_bad: bool,
}

/// Dates each event by its age when the message was sent, so that no wall clock is needed.
pub fn of_native(message: &Message, delivery: Delivery, rules: &SensorRules) -> NativeFacts {
    let wall = message.wall.and_then(|hint| {
        let at = DateTime::from_timestamp_millis(hint.unix_ms)?;
        Some(Wall { at, uncertainty: TimeDelta::seconds(i64::from(hint.uncertainty_s)) })
    });
    let sent = sent_at(delivery.received_at, wall, delivery.waited, rules);
    let facts = message.events.iter().map(|event| {
        let age_ms = i64::try_from(message.up_ms - event.up_ms).unwrap_or(i64::MAX);
        let observed_at = TimeDelta::try_milliseconds(age_ms).and_then(|age| sent.at.checked_sub_signed(age));
        Fact {
            reading: native_reading(event.kind),
            key: EventKey::Numbered { boot_n: message.boot_n, seq: message.seq, index: event.index },
            observed_at: observed_at.unwrap_or(sent.at),
            received_at: delivery.received_at,
            // An age that no calendar holds is not an age.
            time_certain: sent.certain && observed_at.is_some(),
            retained: delivery.retained,
            cached: false,
            last_seen: None,
        }
    });
    NativeFacts { facts: facts.collect(), clock_bad: sent.clock_bad }
}

/// Facts of a message of a device behind a gateway, polarity applied, all as of its arrival. Every one of them repeats its states after a
/// reconnect, so the start-up and age rules apply.
pub fn of_saying(saying: &Saying, last_seen: Option<DateTime<Utc>>, delivery: Delivery) -> Vec<Fact> {
    // Who moved a curtain comes before where it is.
    let moved = saying.cause.map(|cause| match cause {
        Cause::PulledOpen => Reading::PulledOpen,
        Cause::Button => Reading::Moved { by: Mover::Button },
        Cause::Afar => Reading::Moved { by: Mover::Afar },
    });
    let noted = match saying.note {
        Some(Note::Cleared) => Some(Reading::HelpState { on: false }),
        Some(Note::OkButton) => Some(Reading::OkButton),
        _ => None,
    };
    let said = saying.facts.iter().map(reading);
    moved.into_iter().chain(said).chain(noted).map(|reading| cached(reading, last_seen, delivery)).collect()
}

fn reading(said: &Said) -> Reading {
    match said.word {
        Word::ContactOpen => Reading::Contact { open: true },
        Word::ContactClosed => Reading::Contact { open: false },
        Word::CurtainOpen => cover(said, Level::Open),
        Word::CurtainPartial => cover(said, Level::Partial),
        Word::CurtainClosed => cover(said, Level::Closed),
        Word::Illuminance => said.value.map_or(Reading::Health, |lux| Reading::Light { centilux: centilux(lux) }),
        Word::Motion => Reading::Motion { seen: true },
        Word::MotionClear => Reading::Motion { seen: false },
        Word::Vibration => Reading::Shaken,
        Word::Help => Reading::HelpButton,
        Word::HelpState => Reading::HelpState { on: true },
        Word::Online => Reading::Online,
        // A tilt is how a thing hangs, and a pull by hand may have closed it: `cause` says whether it opened.
        Word::Tilt | Word::ManualAction | Word::Battery | Word::BatteryMillivolt | Word::BatteryLow | Word::Tamper | Word::Offline => {
            Reading::Health
        }
    }
}

fn cover(said: &Said, level: Level) -> Reading {
    said.open_percent.map_or(Reading::CoverWord { level }, |percent| Reading::Cover { percent, moving: false })
}

/// Hundredths of a lux; what no sensor can see counts as the brightest.
fn centilux(lux: f64) -> u32 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a cast of a float keeps to the range")]
    let whole = (lux * 100.0).round() as u32;
    whole
}

/// The gateway or a device of it came online.
pub fn online(delivery: Delivery) -> Fact {
    cached(Reading::Online, None, delivery)
}

/// Since when the state that was told last is what it is.
pub fn dated(at: DateTime<Utc>, delivery: Delivery) -> Fact {
    cached(Reading::Dated, Some(at), delivery)
}

fn cached(reading: Reading, last_seen: Option<DateTime<Utc>>, delivery: Delivery) -> Fact {
    let at_ms = delivery.received_at.timestamp_millis();
    // A message may say several things at once, and each is a signal of its own.
    let key = match reading {
        Reading::Motion { .. } => EventKey::Beside { at_ms, nth: 1 },
        Reading::Light { .. } | Reading::LightJump { .. } => EventKey::Beside { at_ms, nth: 2 },
        Reading::Shaken => EventKey::Beside { at_ms, nth: 3 },
        Reading::OkButton => EventKey::Beside { at_ms, nth: 4 },
        Reading::HelpButton | Reading::HelpState { .. } => EventKey::Beside { at_ms, nth: 5 },
        _ => EventKey::Edge { at_ms },
    };
    Fact {
        reading,
        key,
        observed_at: delivery.received_at,
        received_at: delivery.received_at,
        time_certain: !delivery.waited,
        retained: delivery.retained,
        cached: true,
        last_seen,
    }
}

fn native_reading(kind: Kind) -> Reading {
    match kind {
        Kind::Contact { open } => Reading::Contact { open },
        Kind::CoverPercent(percent) => Reading::Cover { percent, moving: false },
        Kind::HelpButton { .. } => Reading::HelpButton,
        Kind::OkButton => Reading::OkButton,
        Kind::CentiLux(centilux) => Reading::Light { centilux },
        Kind::LuxJump { before, after } => Reading::LightJump { before: before.saturating_mul(100), after: after.saturating_mul(100) },
        Kind::Motion(level) => Reading::Motion { seen: level > 0 },
        Kind::Vibration(level) if level > 0 => Reading::Shaken,
        Kind::Vibration(_)
        | Kind::TiltDegrees(_)
        | Kind::Tamper(_)
        | Kind::BatteryMillivolt(_)
        | Kind::BootReason(_)
        | Kind::TimeJump(_)
        | Kind::Heartbeat { .. }
        | Kind::Lost(_)
        | Kind::Unknown(_) => Reading::Health,
    }
}

#[cfg(test)]
mod tests;
