//! What a sensor reading proves. A reading alone proves little: gateways repeat cached states, brokers deliver hours-old
//! messages that look live, a motor opens a curtain without a person. Evidence is therefore a *transition* of a durably stored
//! level, seen live, that lasts; everything else moves the stored level or the device's health and nothing more.
//!
//! What must stay true: a duplicate, a replay, a retained message or a gateway's start never becomes evidence, nor does it become
//! the level from which evidence starts; the wall clock of a device never decides; a pressed help button is reported once per
//! press. `crate::ingest` makes the facts, the store keeps the state.

use chrono::{DateTime, TimeDelta, Utc};

use crate::words;

pub mod hint;
mod level;
mod light;
mod memory;
mod replay;
mod rising;
mod schedule;
pub mod sun;

use level::{Sight, interrupt, lasted, level_read, silent};
pub use memory::{Lasting, Memory, Mover};
pub use replay::{RecentPayloads, ReplayWindow, Seen};
pub use sun::Place;

/// Position of a cover, in percent, from which it counts as open; rails often stop at 97–99.
pub const COVER_OPEN_PERCENT_MIN: u8 = 80;
/// Position of a cover, in percent, up to which it counts as closed.
pub const COVER_CLOSED_PERCENT_MAX: u8 = 5;
/// A cover that is so many points further open than when it was shut was opened, though it stopped half-way.
pub const COVER_DRAWN_PERCENT_MIN: u8 = 30;
/// A motor's opening that is only a hint must last this long: some gateways say an old position first and correct it at once.
const HINT_SETTLE: TimeDelta = TimeDelta::seconds(2);

/// The durations of the rules. All are settings, so that a demonstration can hurry them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SensorRules {
    /// An opening must last this long; a tug or a draught does not.
    pub settle: TimeDelta,
    /// The curtain must have been stored as closed for this long before an opening says somebody got up.
    pub closed_min: TimeDelta,
    /// After a gateway starts it publishes cached states that look live; during this time levels are taken over silently.
    pub online_grace: TimeDelta,
    /// An event dated further ahead than this has a wrong clock and decides nothing.
    pub future_max: TimeDelta,
    /// How far the wall clock of a device may be off before it is ignored.
    pub wall_tolerance: TimeDelta,
    /// A gateway's `last_seen` older than this marks a cached state, whatever the broker says about it.
    pub last_seen_age_max: TimeDelta,
    /// Two instances that read the same broker see each message within this time of each other.
    pub copy_window: TimeDelta,
}

impl Default for SensorRules {
    fn default() -> Self {
        Self {
            settle: TimeDelta::seconds(60),
            closed_min: TimeDelta::minutes(30),
            online_grace: TimeDelta::seconds(15),
            future_max: TimeDelta::minutes(10),
            wall_tolerance: TimeDelta::seconds(120),
            last_seen_age_max: TimeDelta::minutes(10),
            copy_window: TimeDelta::seconds(10),
        }
    }
}

words! {
    /// How open the curtain is.
    pub enum Level { Closed = "closed", Partial = "partial", Open = "open" }
}

/// Which way round the sensor is mounted; found by closing and opening the curtain once at installation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Polarity {
    #[default]
    Normal,
    Inverted,
}

impl Polarity {
    #[must_use]
    pub fn reversed(self) -> Self {
        match self {
            Self::Normal => Self::Inverted,
            Self::Inverted => Self::Normal,
        }
    }
}

/// Names one event of one device for ever, so that the signal made from it has a derived id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventKey {
    /// Numbered by the device itself.
    Numbered { boot_n: u32, seq: u32, index: u8 },
    /// An ecosystem without numbers: the moment at which the stored level changed, in ms since 1970.
    Edge { at_ms: i64 },
    /// Something else that the same message says.
    Beside { at_ms: i64, nth: u8 },
}

impl EventKey {
    /// The text from which ids are derived and in which a pending opening is stored.
    pub fn text(self) -> String {
        match self {
            Self::Numbered { boot_n, seq, index } => format!("{boot_n}.{seq}.{index}"),
            Self::Edge { at_ms } => format!("e{at_ms}"),
            Self::Beside { at_ms, nth } => format!("b{nth}.{at_ms}"),
        }
    }

    /// Reads what [`EventKey::text`] wrote.
    pub fn parse(text: &str) -> Option<Self> {
        if let Some(at_ms) = text.strip_prefix('e') {
            return Some(Self::Edge { at_ms: at_ms.parse().ok()? });
        }
        if let Some((nth, at_ms)) = text.strip_prefix('b').and_then(|rest| rest.split_once('.')) {
            return Some(Self::Beside { at_ms: at_ms.parse().ok()?, nth: nth.parse().ok()? });
        }
        let mut parts = text.split('.');
        let key =
            Self::Numbered { boot_n: parts.next()?.parse().ok()?, seq: parts.next()?.parse().ok()?, index: parts.next()?.parse().ok()? };
        parts.next().is_none().then_some(key)
    }
}

/// The stored level and since when it has been so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeldLevel {
    pub level: Level,
    pub since: DateTime<Utc>,
}

/// An opening that has not lasted long enough yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Opening {
    pub at: DateTime<Utc>,
    pub key: EventKey,
}

/// What is remembered of a device between two messages.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct DeviceState {
    /// `None` until the first reading: an unknown previous level proves nothing.
    pub held: Option<HeldLevel>,
    /// Last time the gateway (or the device) came online.
    pub online_since: Option<DateTime<Utc>>,
    /// Without the two-click calibration the polarity is a guess, so its openings only show.
    pub calibrated: bool,
    pub polarity: Polarity,
    pub window: Option<ReplayWindow>,
    pub opening: Option<Opening>,
    pub recent: RecentPayloads,
    /// Everything that is not the level of the curtain.
    pub memory: Memory,
    /// Where the device is; without it light says nothing, and no time of day can be told.
    pub place: Option<Place>,
}

impl DeviceState {
    /// When a pending opening is to be looked at again.
    pub fn settles_at(&self, rules: &SensorRules) -> Option<DateTime<Utc>> {
        let settle = if self.memory.hinted.is_some() { rules.settle.min(HINT_SETTLE) } else { rules.settle };
        self.opening.map(|opening| opening.at + settle)
    }

    /// Whether its gateway, or it itself, has just come online: what it says now may be a cached state.
    pub fn is_starting(&self, at: DateTime<Utc>, rules: &SensorRules) -> bool {
        self.online_since.is_some_and(|since| at < since + rules.online_grace)
    }

    /// A device that was without power cannot say when its level changed: the next reading is a level, not an event.
    pub fn forget_level(&mut self) {
        self.held = None;
        self.opening = None;
    }
}

/// What a decoder read, polarity not yet applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// A contact; `open` in the sense of its ecosystem.
    Contact { open: bool },
    /// A cover's position, 0 closed to 100 open. While it moves the position may be the target.
    Cover { percent: u8, moving: bool },
    /// A cover that says in a word how it is, polarity applied; partial: "not shut", and nobody knows how far.
    CoverWord { level: Level },
    /// Since when the state that was told last is what it is; `last_seen` says so.
    Dated,
    /// The "I am fine" button.
    OkButton,
    /// The help button.
    HelpButton,
    /// A call for help that a gateway repeats until it is cleared.
    HelpState { on: bool },
    /// Somebody moves, or no longer.
    Motion { seen: bool },
    /// A motorised curtain was pulled open by hand, as its motor noticed.
    PulledOpen,
    /// Who or what has just set the motor of a curtain going; the positions follow.
    Moved { by: Mover },
    /// How bright it is, in hundredths of a lux.
    Light { centilux: u32 },
    /// A sudden change of light, seen by the device itself, in hundredths of a lux.
    LightJump { before: u32, after: u32 },
    /// Something shook the rail.
    Shaken,
    /// The gateway or device came online: a snapshot of cached states follows.
    Online,
    /// Battery, heartbeat, tamper, lost events: says how the device is, nothing about the person.
    Health,
}

/// One reading with what is known about its time and its way here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fact {
    pub reading: Reading,
    pub key: EventKey,
    pub observed_at: DateTime<Utc>,
    pub received_at: DateTime<Utc>,
    /// False if the message may have waited somewhere for an unknown time.
    pub time_certain: bool,
    /// The broker kept it: says what was, not what happens.
    pub retained: bool,
    /// The ecosystem repeats cached levels in every message (Zigbee2MQTT), so start-up and age rules apply.
    pub cached: bool,
    /// The gateway's last radio contact with the device, where it says so.
    pub last_seen: Option<DateTime<Utc>>,
}

/// How much an observation is worth (sensors.md §4): A suffices, B is a hint on the list, C is context.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    A,
    B,
    C,
}

words! {
    /// What was seen to happen.
    pub enum Deed {
        Opened = "opened",
        /// A motor opened the curtain, and nobody knows who had set it going.
        MotorOpened = "motor_opened",
        /// A motor opened it because somebody pressed the button on the wall.
        ButtonOpened = "button_opened",
        /// A motor opened it at its usual time.
        OpenedOnTime = "opened_on_time",
        /// A motor opened it because it was told to from afar.
        OpenedFromAfar = "opened_from_afar",
        PressedOk = "pressed_ok",
        LightChanged = "light_changed",
        /// Moved after a quiet.
        Stirred = "stirred",
        /// The rail was shaken after a quiet.
        Shaken = "shaken"
    }
}

/// Why a level was taken over without being evidence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Silent {
    FirstLevel,
    Retained,
    GatewayStarted,
    CachedState,
    WaitedSomewhere,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rejection {
    /// A retained press or event: it happened some other time.
    Retained,
    /// Dated too far ahead.
    ClockSuspect,
    /// Older than the level already stored.
    OutOfOrder,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The level is known now; nothing happened.
    Baseline(Silent),
    /// The level is what it was.
    Unchanged,
    /// The level changed in a way that says nothing about the person (closing, moving).
    Moved,
    Evidence {
        class: Class,
        deed: Deed,
        observed_at: DateTime<Utc>,
        key: EventKey,
    },
    /// An opening that counts if it lasts until then.
    Settling {
        until: DateTime<Utc>,
    },
    /// Closed again before it lasted: a tug or a draught.
    Disturbed,
    Help {
        press: EventKey,
        observed_at: DateTime<Utc>,
        /// The press may have waited somewhere; it is told anyway, with this label.
        possibly_old: bool,
    },
    Health,
    Rejected(Rejection),
}

/// Decides what one fact means and what is remembered of it. At most two verdicts: a closing may complete the opening before it.
pub fn assess(mut state: DeviceState, fact: &Fact, rules: &SensorRules) -> (DeviceState, Vec<Verdict>) {
    let verdicts = if fact.observed_at > fact.received_at + rules.future_max {
        vec![Verdict::Rejected(Rejection::ClockSuspect)]
    } else {
        match fact.reading {
            Reading::Contact { open } => {
                let sight = Sight::of_contact(open, state.polarity);
                level_read(&mut state, sight, fact, rules)
            }
            // A position read while moving may be the target; the final one follows.
            Reading::Cover { moving: true, .. } => vec![Verdict::Moved],
            Reading::Cover { percent, moving: false } => {
                let sight = Sight::of_cover(percent, state.polarity);
                level_read(&mut state, sight, fact, rules)
            }
            Reading::CoverWord { level } => level_read(&mut state, Sight::of_cover_word(level), fact, rules),
            Reading::Dated => vec![level::dated(&mut state, fact, rules)],
            Reading::Moved { by } => vec![schedule::moved(&mut state, by, fact, rules)],
            Reading::Online => {
                state.online_since = Some(fact.received_at);
                interrupt(&mut state).into_iter().chain([Verdict::Health]).collect()
            }
            Reading::OkButton => vec![momentary(fact, Deed::PressedOk, Class::A)],
            Reading::Light { centilux } => light::read(&mut state, centilux, fact, rules),
            Reading::LightJump { before, after } => light::jump(&mut state, (before, after), fact, rules),
            Reading::Shaken => vec![rising::shaken(&mut state, fact, rules)],
            Reading::PulledOpen => vec![momentary(fact, Deed::Opened, Class::A)],
            Reading::HelpState { on } => vec![rising::help(&mut state, on, fact, rules)],
            Reading::Motion { seen } => vec![rising::motion(&mut state, seen, fact, rules)],
            Reading::HelpButton if fact.retained => vec![Verdict::Rejected(Rejection::Retained)],
            Reading::HelpButton => vec![Verdict::Help { press: fact.key, observed_at: fact.observed_at, possibly_old: !fact.time_certain }],
            Reading::Health => vec![Verdict::Health],
        }
    };
    (state, verdicts)
}

/// Completes an opening that has lasted, seen by a later message or by the clock.
pub fn settle(mut state: DeviceState, now: DateTime<Utc>, rules: &SensorRules) -> (DeviceState, Option<Verdict>) {
    let verdict = lasted(&mut state, now, rules);
    (state, verdict)
}

/// Nobody was listening for a while: whether the curtain stayed open is not known, so a pending opening only shows.
pub fn interrupted(mut state: DeviceState) -> (DeviceState, Option<Verdict>) {
    let verdict = interrupt(&mut state);
    (state, verdict)
}

/// When the message left the device. The age of an event needs no wall clock as long as the message came straight here; if it may
/// have waited, only a plausible wall clock can say when it was sent.
pub fn sent_at(received_at: DateTime<Utc>, wall: Option<Wall>, waited: bool, rules: &SensorRules) -> SentAt {
    let plausible = wall.filter(|wall| {
        wall.uncertainty <= rules.wall_tolerance
            && wall.at.timestamp() >= EPOCH_2020_SECONDS
            && wall.at <= received_at + rules.wall_tolerance
    });
    let agrees = plausible.is_some_and(|wall| received_at - wall.at <= rules.wall_tolerance);
    match (plausible, waited) {
        _ if agrees => SentAt { at: received_at, certain: true, clock_bad: false },
        (Some(wall), true) => SentAt { at: wall.at.min(received_at), certain: true, clock_bad: false },
        (_, waited) => SentAt { at: received_at, certain: !waited, clock_bad: wall.is_some() },
    }
}

/// 2020-01-01T00:00:00Z; a clock before it was never set.
pub const EPOCH_2020_SECONDS: i64 = 1_577_836_800;

/// A device's idea of the time when it sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wall {
    pub at: DateTime<Utc>,
    pub uncertainty: TimeDelta,
}

/// When a message was sent, as far as it can be known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SentAt {
    pub at: DateTime<Utc>,
    pub certain: bool,
    /// The device's clock contradicts ours: a maintenance note.
    pub clock_bad: bool,
}

fn momentary(fact: &Fact, deed: Deed, class: Class) -> Verdict {
    if fact.retained {
        return Verdict::Rejected(Rejection::Retained);
    }
    let class = if fact.time_certain { class } else { Class::B };
    Verdict::Evidence { class, deed, observed_at: fact.observed_at, key: fact.key }
}

#[cfg(test)]
mod tests;
