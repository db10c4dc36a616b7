//! One message explained: which ecosystem it comes from, what it says and why. No I/O; what it remembers of earlier messages is only
//! what tells a native device's old message from a new one.

use std::collections::BTreeMap;

use super::native::{self, saying::Told};
use super::said::{self, Note, Said, Saying, Word};
use super::settings::Settings;
use super::{esphome, homie, rtl433, shelly1, shelly2, statestream, tasmota, theengs, tuya, zigbee2mqtt, zwave};
use crate::domain::device::Ecosystem;
use crate::words;

/// Longest topic that a device may have.
const TOPIC_BYTES_MAX: usize = 1024;
/// Native devices whose numbers are remembered at once; more than anybody explains in one go.
const DEVICES_MAX: usize = 4096;

words! {
    /// Where a message comes from.
    pub enum Family {
        Native = "native_chk1", Zigbee2Mqtt = "zigbee2mqtt", Tasmota = "tasmota", Esphome = "esphome", Shelly1 = "shelly_gen1",
        Shelly2 = "shelly_gen2", Statestream = "ha_statestream", Tuya = "tuya-mqtt", Theengs = "theengs_omg", Homie4 = "homie4",
        Homie5 = "homie5", Zwave = "zwave-js-ui", Rtl433 = "rtl_433", Broker = "mosquitto", Unknown = "unknown"
    }
}

impl Family {
    /// How the register calls it; `None` for what no device behind a gateway is.
    pub fn ecosystem(self) -> Option<Ecosystem> {
        Some(match self {
            Self::Zigbee2Mqtt => Ecosystem::Zigbee2Mqtt,
            Self::Tasmota => Ecosystem::Tasmota,
            Self::Esphome => Ecosystem::Esphome,
            Self::Shelly1 => Ecosystem::Shelly1,
            Self::Shelly2 => Ecosystem::Shelly2,
            Self::Statestream => Ecosystem::Statestream,
            Self::Tuya => Ecosystem::Tuya,
            Self::Theengs => Ecosystem::Theengs,
            Self::Homie4 => Ecosystem::Homie4,
            Self::Homie5 => Ecosystem::Homie5,
            Self::Zwave => Ecosystem::Zwave,
            Self::Rtl433 => Ecosystem::Rtl433,
            Self::Native | Self::Broker | Self::Unknown => return None,
        })
    }

    /// Whose decoder reads a device of the register.
    pub fn of(ecosystem: Ecosystem) -> Self {
        Self::ALL.iter().copied().find(|family| family.ecosystem() == Some(ecosystem)).unwrap_or(Self::Unknown)
    }
}

/// Why nothing of a message is believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    TooLarge,
    Malformed,
    Forged,
    Version,
    Replay,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Explanation {
    pub family: Family,
    pub said: Result<Saying, Refused>,
}

impl Explanation {
    /// The fact that matters most.
    pub fn primary(&self) -> Option<Said> {
        self.said.as_ref().ok().and_then(primary)
    }

    /// The one word for it.
    pub fn meaning(&self) -> &'static str {
        match (&self.said, self.primary().map(|said| said.word)) {
            (Err(_), _) => "malformed",
            (Ok(_), Some(Word::Battery | Word::BatteryMillivolt)) => "battery_only",
            (Ok(_), Some(word)) => word.as_str(),
            (Ok(_), None) => "irrelevant",
        }
    }

    /// The number of the primary fact. Millivolts are not a charge.
    pub fn value(&self) -> Option<f64> {
        self.primary().filter(|said| said.word != Word::BatteryMillivolt)?.value
    }
}

/// In the order in which they matter to whoever asks whether somebody is up.
fn primary(saying: &Saying) -> Option<Said> {
    let find = |words: &[Word]| saying.facts.iter().find(|said| words.contains(&said.word)).copied();
    let contact = find(&[Word::ContactOpen, Word::ContactClosed]);
    // A press or a vibration that is over, or a button without meaning, is what the message is about; the charge comes along.
    let about_a_press = matches!(saying.note, Some(Note::Cleared | Note::Button | Note::OkButton));
    find(&[Word::Help, Word::HelpState])
        .or_else(|| find(&[Word::CurtainOpen, Word::CurtainClosed, Word::CurtainPartial]))
        .or_else(|| find(&[Word::Motion]).filter(|_| contact.is_none()))
        .or_else(|| find(&[Word::Vibration]))
        .or(contact)
        .or_else(|| find(&[Word::Motion, Word::MotionClear]))
        .or_else(|| find(&[Word::Tilt]))
        .or_else(|| find(&[Word::Illuminance]))
        .or_else(|| find(&[Word::Online, Word::Offline]))
        .or_else(|| find(&[Word::Battery, Word::BatteryMillivolt]).filter(|_| !about_a_press))
}

/// Explains messages in the order of their arrival.
#[derive(Debug, Default)]
pub struct Explainer {
    boots: BTreeMap<String, u32>,
    births: BTreeMap<String, u32>,
}

impl Explainer {
    pub fn explain(&mut self, topic: &str, payload: &[u8], settings: &Settings) -> Explanation {
        let family = family(topic, payload);
        let said = match family {
            Family::Native => self.native(topic, payload, settings),
            Family::Broker => Ok(Saying::nothing(Note::Ignored)),
            Family::Unknown => Ok(Saying::nothing(Note::Foreign)),
            _ if is_discovery(topic) => Ok(Saying::nothing(Note::Ignored)),
            _ => decode(family, topic, payload, settings).map_err(|refusal| match refusal {
                said::Refusal::TooLarge => Refused::TooLarge,
                said::Refusal::Malformed => Refused::Malformed,
            }),
        };
        Explanation { family, said }
    }

    fn native(&mut self, topic: &str, payload: &[u8], settings: &Settings) -> Result<Saying, Refused> {
        let Told { saying, boot_n, birth_n } = native::saying::tell(topic, payload, settings).map_err(|refusal| match refusal {
            native::Refusal::TooLarge => Refused::TooLarge,
            native::Refusal::Malformed => Refused::Malformed,
            native::Refusal::Forged => Refused::Forged,
            native::Refusal::Version(_) => Refused::Version,
        })?;
        let device = topic.split('/').nth(2).unwrap_or_default();
        if boot_n.is_some_and(|boot_n| is_older(&mut self.boots, device, boot_n)) {
            return Err(Refused::Replay);
        }
        if birth_n.is_some_and(|birth_n| is_older(&mut self.births, device, birth_n)) {
            return Ok(Saying::nothing(Note::LateWill));
        }
        Ok(saying)
    }
}

fn is_older(known: &mut BTreeMap<String, u32>, device: &str, number: u32) -> bool {
    let known_as = known.get(device).copied();
    if known_as.is_some_and(|known_as| number < known_as) {
        return true;
    }
    if known_as.is_some() || known.len() < DEVICES_MAX {
        known.insert(device.to_owned(), number);
    }
    false
}

/// What one message of an ecosystem says; the topic as that ecosystem's own documents write it.
pub fn decode(family: Family, topic: &str, payload: &[u8], settings: &Settings) -> Result<Saying, said::Refusal> {
    match family {
        Family::Zigbee2Mqtt => zigbee2mqtt::saying::decode(ZIGBEE2MQTT, topic, payload, settings),
        Family::Tasmota => tasmota::decode(topic, payload, settings),
        Family::Esphome => esphome::decode(topic, payload, settings),
        Family::Shelly1 => shelly1::decode(topic, payload, settings),
        Family::Shelly2 => shelly2::decode(topic, payload, settings),
        Family::Statestream => statestream::decode(topic, payload, settings),
        Family::Tuya => tuya::decode(topic, payload, settings),
        Family::Theengs => theengs::decode(topic, payload, settings),
        Family::Homie4 | Family::Homie5 => homie::decode(topic, payload, settings),
        Family::Zwave => zwave::decode(topic, payload, settings),
        Family::Rtl433 => rtl433::decode(topic, payload, settings),
        Family::Native | Family::Broker | Family::Unknown => Ok(Saying::nothing(Note::Foreign)),
    }
}

/// The base topic that Zigbee2MQTT has unless somebody changes it.
pub(super) const ZIGBEE2MQTT: &str = "zigbee2mqtt";

/// Which ecosystem publishes on such a topic. Most say it in the first word; the others by how a topic ends.
pub fn family(topic: &str, payload: &[u8]) -> Family {
    let wild = topic.contains(['+', '#']) || topic.chars().any(char::is_control);
    if topic.is_empty() || topic.len() > TOPIC_BYTES_MAX || wild {
        return Family::Unknown;
    }
    if is_discovery(topic) {
        return announced(topic, payload);
    }
    let first = topic.split('/').next().unwrap_or_default();
    match first {
        "$SYS" => Family::Broker,
        "chk" => Family::Native,
        ZIGBEE2MQTT => Family::Zigbee2Mqtt,
        "tuya" => Family::Tuya,
        "rtl_433" => Family::Rtl433,
        "zwave" => Family::Zwave,
        "homie" if homie::is_version_5(topic) => Family::Homie5,
        "homie" => Family::Homie4,
        _ if theengs::owns(topic) => Family::Theengs,
        _ if shelly2::owns(topic) => Family::Shelly2,
        _ if shelly1::owns(topic) => Family::Shelly1,
        _ if tasmota::owns(topic) => Family::Tasmota,
        _ if statestream::owns(topic, payload) => Family::Statestream,
        _ if esphome::owns(topic) => Family::Esphome,
        _ => Family::Unknown,
    }
}

/// Home Assistant's discovery: a proposal of how to read a device, not a report.
pub fn is_discovery(topic: &str) -> bool {
    topic == "homeassistant/status" || (topic.starts_with("homeassistant/") && topic.ends_with("/config"))
}

/// Who announces itself: every ecosystem leaves its name in the announcement.
fn announced(topic: &str, payload: &[u8]) -> Family {
    let holds = |word: &str| {
        let word = word.as_bytes();
        payload.len() <= said::PAYLOAD_BYTES_MAX && payload.windows(word.len()).any(|window| window.eq_ignore_ascii_case(word))
    };
    let known = [
        ("chk/1/", Family::Native),
        ("esphome", Family::Esphome),
        ("zigbee2mqtt", Family::Zigbee2Mqtt),
        ("tasmota", Family::Tasmota),
        ("zwave", Family::Zwave),
        ("BTtoMQTT", Family::Theengs),
        ("rtl_433", Family::Rtl433),
        ("homie", Family::Homie4),
    ];
    let found = known.into_iter().find(|(word, _)| holds(word)).map(|(_, family)| family);
    found.unwrap_or(if topic.starts_with("homeassistant/device/") { Family::Native } else { Family::Unknown })
}

#[cfg(test)]
mod fuzz;
#[cfg(test)]
mod tests;
