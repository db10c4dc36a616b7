//! What one message alone says, in the words that all ecosystems share, and the strict reading that their decoders have in common:
//! sizes before anything is parsed, UTF-8, JSON or one bare value. A decoder knows no clock, no other message and no database.
//!
//! What must stay true: a field that makes no sense is dropped and never guessed; if nothing is left the message is unreadable.

use serde_json::{Map, Value};

use super::settings::{Press, Settings};
use crate::domain::evidence::{COVER_CLOSED_PERCENT_MAX, COVER_OPEN_PERCENT_MIN};
use crate::domain::quarantine::Reason;

/// Largest payload that is parsed at all; a device snapshot has a few hundred bytes.
pub const PAYLOAD_BYTES_MAX: usize = 64 * 1024;
/// Characters of one bare number.
const NUMBER_BYTES_MAX: usize = 64;

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("payload is larger than {PAYLOAD_BYTES_MAX} bytes")]
    TooLarge,
    #[error("not strict JSON or one bare value with a field that makes sense")]
    Malformed,
}

impl Refusal {
    /// Why the message is put aside.
    pub fn reason(self) -> Reason {
        match self {
            Self::TooLarge => Reason::TooLarge,
            Self::Malformed => Reason::Unreadable,
        }
    }
}

/// One fact of a message, polarity applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Word {
    ContactOpen,
    ContactClosed,
    CurtainOpen,
    CurtainClosed,
    CurtainPartial,
    /// lx
    Illuminance,
    Motion,
    MotionClear,
    Vibration,
    /// Degrees, if it has a value.
    Tilt,
    Help,
    /// A call for help that is repeated until it is cleared.
    HelpState,
    /// A motorised curtain was pulled by hand.
    ManualAction,
    /// Percent.
    Battery,
    /// mV
    BatteryMillivolt,
    BatteryLow,
    Tamper,
    Online,
    Offline,
}

impl Word {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ContactOpen => "contact_open",
            Self::ContactClosed => "contact_closed",
            Self::CurtainOpen => "curtain_open",
            Self::CurtainClosed => "curtain_closed",
            Self::CurtainPartial => "curtain_partial",
            Self::Illuminance => "illuminance",
            Self::Motion => "motion",
            Self::MotionClear => "motion_clear",
            Self::Vibration => "vibration",
            Self::Tilt => "tilt",
            Self::Help | Self::HelpState => "sos",
            Self::ManualAction => "manual_action",
            Self::Battery => "battery",
            Self::BatteryMillivolt => "battery_mv",
            Self::BatteryLow => "battery_low",
            Self::Tamper => "tamper",
            Self::Online => "availability_online",
            Self::Offline => "availability_offline",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Said {
    pub word: Word,
    /// As the device gave it, before polarity.
    pub value: Option<f64>,
    /// How far open a cover is, in percent, polarity applied; of one that says how far.
    pub open_percent: Option<u8>,
}

/// Why a message says less than one might think.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Note {
    /// Belongs to no device that reports: settings, logs, groups, names.
    Ignored,
    /// A command or its echo, or where a motor is going: not where it is.
    Command,
    /// The retained topic was emptied.
    Emptied,
    /// A button that the register gives no meaning.
    Button,
    /// The button for "I am fine".
    OkButton,
    /// A vibration or a call for help that is over.
    Cleared,
    /// The device knows no position, or is not calibrated.
    NoPosition,
    /// The gateway reaches the device no longer, or does not know its state.
    NoLevel,
    /// Encrypted, and no key.
    Encrypted,
    /// The topic belongs to no known ecosystem.
    Foreign,
    /// A will of a session before the last one.
    LateWill,
}

/// Who or what moved a motorised curtain, as far as the device says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// Somebody pulled at it and it opened.
    PulledOpen,
    /// The button on the wall.
    Button,
    /// A command: from a telephone, a scene, a timer.
    Afar,
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct Saying {
    pub facts: Vec<Said>,
    pub note: Option<Note>,
    pub cause: Option<Cause>,
    /// A motor is under way: its position may be where it goes.
    pub is_moving: bool,
    /// It says that its cells are not low.
    pub cells_fine: bool,
}

impl Saying {
    pub fn nothing(note: Note) -> Self {
        Self { note: Some(note), ..Self::default() }
    }

    pub fn only(word: Word, value: Option<f64>) -> Self {
        Self { facts: vec![Said { word, value, open_percent: None }], ..Self::default() }
    }

    pub fn reachable(online: bool) -> Self {
        Self::only(if online { Word::Online } else { Word::Offline }, None)
    }

    /// Whether the device is reached, if that is what is said.
    pub fn link(&self) -> Option<bool> {
        match self.facts[..] {
            [Said { word: Word::Online, .. }] => Some(true),
            [Said { word: Word::Offline, .. }] => Some(false),
            _ => None,
        }
    }

    /// Whether it comes from the device at all: an echo of a command and an emptied topic do not.
    pub fn is_heard(&self) -> bool {
        !self.facts.is_empty() || !matches!(self.note, Some(Note::Command | Note::Emptied | Note::Foreign | Note::NoLevel))
    }
}

/// Collects what a message says, and whether something of it had to be dropped.
#[derive(Debug, Default)]
pub struct Gather {
    saying: Saying,
    dropped: bool,
}

impl Gather {
    pub fn say(&mut self, word: Word, value: Option<f64>) {
        self.saying.facts.push(Said { word, value, open_percent: None });
    }

    /// The first note stands.
    pub fn note(&mut self, note: Note) {
        self.saying.note.get_or_insert(note);
    }

    /// What set the motor going.
    pub fn moved_by(&mut self, cause: Cause) {
        self.saying.cause = Some(cause);
    }

    pub fn drop_field(&mut self) {
        self.dropped = true;
    }

    /// Its motor is under way.
    pub fn moving(&mut self) {
        self.saying.is_moving = true;
    }

    /// Whether the cells are low, from a device that says no more.
    pub fn cells(&mut self, low: Option<bool>) {
        match self.keep(low) {
            Some(true) => self.say(Word::BatteryLow, Some(1.0)),
            Some(false) => self.saying.cells_fine = true,
            None => {}
        }
    }

    pub fn keep<T>(&mut self, read: Option<T>) -> Option<T> {
        self.dropped |= read.is_none();
        read
    }

    pub fn contact(&mut self, open: Option<bool>) {
        if let Some(open) = self.keep(open) {
            self.say(if open { Word::ContactOpen } else { Word::ContactClosed }, None);
        }
    }

    pub fn motion(&mut self, seen: Option<bool>) {
        match self.keep(seen) {
            Some(true) => self.say(Word::Motion, Some(1.0)),
            Some(false) => self.say(Word::MotionClear, Some(0.0)),
            None => {}
        }
    }

    pub fn vibration(&mut self, shaken: Option<bool>) {
        match self.keep(shaken) {
            Some(true) => self.say(Word::Vibration, None),
            Some(false) => self.note(Note::Cleared),
            None => {}
        }
    }

    pub fn illuminance(&mut self, lux: Option<f64>) {
        if let Some(lux) = self.keep(lux.filter(|lux| *lux >= 0.0)) {
            self.say(Word::Illuminance, Some(lux));
        }
    }

    pub fn tilt(&mut self, degrees: Option<f64>) {
        if let Some(degrees) = self.keep(degrees) {
            self.say(Word::Tilt, Some(degrees));
        }
    }

    pub fn battery(&mut self, percent: Option<f64>) {
        if let Some(percent) = self.keep(percent.filter(|percent| (0.0..=100.0).contains(percent))) {
            self.say(Word::Battery, Some(percent));
        }
    }

    /// A position in the device's own scale, which ends at 100 unless the register says otherwise.
    pub fn cover(&mut self, position: Option<f64>, settings: &Settings) {
        let max = settings.position_max.unwrap_or(100.0);
        if let Some(position) = self.keep(position.filter(|position| (0.0..=max).contains(position))) {
            let (word, percent) = openness(position * 100.0 / max, settings);
            self.saying.facts.push(Said { word, value: Some(position), open_percent: Some(percent) });
        }
    }

    /// The end that a cover without position reports; `open` in the sense of its ecosystem.
    pub fn cover_end(&mut self, open: bool, settings: &Settings) {
        self.say(openness(if open { 100.0 } else { 0.0 }, settings).0, None);
    }

    /// A press by its name on the device; the register knows what it is for.
    pub fn press(&mut self, name: &str, settings: &Settings) {
        match settings.presses.get(name) {
            Some(Press::Help) => self.say(Word::Help, None),
            Some(Press::Ok) => self.note(Note::OkButton),
            None => self.note(Note::Button),
        }
    }

    pub fn finish(self) -> Result<Saying, Refusal> {
        if self.dropped && self.saying.facts.is_empty() { Err(Refusal::Malformed) } else { Ok(self.saying) }
    }
}

/// The word for a position, and whole percents that the same word stands for.
fn openness(percent: f64, settings: &Settings) -> (Word, u8) {
    let percent = if settings.is_towards_zero(false) { 100.0 - percent } else { percent };
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and 100")]
    let whole = percent.round() as u8;
    if percent >= f64::from(COVER_OPEN_PERCENT_MIN) {
        (Word::CurtainOpen, whole)
    } else if percent <= f64::from(COVER_CLOSED_PERCENT_MAX) {
        (Word::CurtainClosed, whole)
    } else {
        (Word::CurtainPartial, whole.clamp(COVER_CLOSED_PERCENT_MAX + 1, COVER_OPEN_PERCENT_MIN - 1))
    }
}

/// The payload as text, if it is short enough and UTF-8.
pub fn text(payload: &[u8]) -> Result<&str, Refusal> {
    if payload.len() > PAYLOAD_BYTES_MAX {
        return Err(Refusal::TooLarge);
    }
    std::str::from_utf8(payload).map_err(|_| Refusal::Malformed)
}

/// The payload as one strict JSON value.
pub fn json(payload: &[u8]) -> Result<Value, Refusal> {
    if payload.len() > PAYLOAD_BYTES_MAX {
        return Err(Refusal::TooLarge);
    }
    super::json::parse(payload).map_err(|_| Refusal::Malformed)
}

/// The payload as one strict JSON object.
pub fn object(payload: &[u8]) -> Result<Map<String, Value>, Refusal> {
    match json(payload)? {
        Value::Object(fields) => Ok(fields),
        _ => Err(Refusal::Malformed),
    }
}

/// A bare decimal number: sign, digits, one point. No exponent, no `nan`, no digits of other scripts.
pub fn number(text: &str) -> Option<f64> {
    if text.len() > NUMBER_BYTES_MAX {
        return None;
    }
    let (whole, fraction) = text.strip_prefix('-').unwrap_or(text).split_once('.').unwrap_or((text.strip_prefix('-').unwrap_or(text), "0"));
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    (digits(whole) && digits(fraction)).then(|| text.parse().ok()).flatten()
}

/// A bare `true` or `false`.
pub fn truth(text: &str) -> Option<bool> {
    match text {
        "true" => Some(true),
        "false" => Some(false),
        _ => None,
    }
}

/// One of two bare words.
pub fn either(text: &str, yes: &str, no: &str) -> Option<bool> {
    if text == yes { Some(true) } else { (text == no).then_some(false) }
}

/// `0` or `1`, as a number or as a truth.
pub fn bit(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(truth) => Some(*truth),
        value => match value.as_u64() {
            Some(0) => Some(false),
            Some(1) => Some(true),
            _ => None,
        },
    }
}

/// The field if it is there and not `null`: `null` is unknown.
pub fn said<'a>(fields: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    fields.get(name).filter(|value| !value.is_null())
}

/// Whether a device is reached, from a bare word.
pub fn reachable(payload: &[u8], online: &str, offline: &str) -> Result<Saying, Refusal> {
    match text(payload)? {
        "" => Ok(Saying::nothing(Note::Emptied)),
        word => either(word, online, offline).map(Saying::reachable).ok_or(Refusal::Malformed),
    }
}

/// What a sensor without a field of its own measures, by the class that the register gives it or by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sense {
    Contact,
    Motion,
    Vibration,
    Illuminance,
    Battery,
    Tamper,
    Other,
}

/// `None` if neither class nor name tells.
pub fn sense(class: Option<&str>, name: &str) -> Option<Sense> {
    let name = class.unwrap_or(name).to_ascii_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| name.contains(word));
    // Escaped: 震动 振动, 人体, 光照 亮度, 门 窗 as people name their devices; no text for anybody to read.
    Some(if has(&["voltage", "smoke", "moisture", "leak", "connectivity", "problem", "update", "temperature", "humidity", "pressure"]) {
        Sense::Other
    } else if has(&["battery"]) {
        Sense::Battery
    } else if has(&["tamper"]) {
        Sense::Tamper
    } else if has(&["vibration", "shock", "\u{9707}\u{52a8}", "\u{632f}\u{52a8}"]) {
        Sense::Vibration
    } else if has(&["motion", "occupancy", "presence", "pir", "\u{4eba}\u{4f53}"]) {
        Sense::Motion
    } else if has(&["illuminance", "lux", "light_level", "lightlevel", "\u{5149}\u{7167}", "\u{4eae}\u{5ea6}"]) {
        Sense::Illuminance
    } else if has(&["contact", "door", "window", "opening", "open", "curtain", "magnet", "reed", "\u{95e8}", "\u{7a97}"]) {
        Sense::Contact
    } else {
        return None;
    })
}
