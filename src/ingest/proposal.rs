//! What a device would be entered as, of which only messages are known so far: read from its topic and a sample of what it said, to
//! be confirmed by a person.

use std::borrow::Cow;

use uuid::Uuid;

use super::behind::{self, Below};
use super::explain::{self, Family};
use super::said::{Note, Refusal, Saying, Word, json};
use super::settings::Settings;
use super::{component, native, zwave};
use crate::domain::device::{DeviceRole, Ecosystem};

/// The entry that would make its messages count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proposal {
    pub name: String,
    /// `None`: nobody can say which; a person may know.
    pub ecosystem: Option<Ecosystem>,
    /// The gateway whose topic it is below.
    pub gateway_id: Option<Uuid>,
    /// The part of the message that is one device; of several the first.
    pub component: String,
    /// What it looks like.
    pub role: Option<DeviceRole>,
}

/// `None`: nobody can say what it is. `speaks_for` is the gateway by whose password it came, if it came by one.
pub fn propose(topic: &str, payload: &[u8], speaks_for: Option<Uuid>, gateways: &[(Uuid, String)]) -> Option<Proposal> {
    if let Some(topic) = native::Topic::parse(topic) {
        let role = Some(DeviceRole::CurtainContact);
        let ecosystem = Some(Ecosystem::Native);
        return Some(Proposal { name: topic.device.to_owned(), ecosystem, gateway_id: None, component: String::new(), role });
    }
    let Below::One(gateway, base) = behind::below(topic, speaks_for, gateways) else { return None };
    let rest = base.len() + 1;
    if rest >= topic.len() || !is_worth_entering(topic, rest, payload) {
        return None;
    }
    let (family, own) = guess(topic, rest, payload);
    let ecosystem = family.ecosystem();
    let component = ecosystem.and_then(|ecosystem| component::named(ecosystem, payload).into_iter().next()).unwrap_or_default();
    let role = role_of(family, own, payload);
    Some(Proposal { name: name(family, &topic[rest..]).to_owned(), ecosystem, gateway_id: Some(gateway), component, role })
}

/// Whether a message of nobody may come from a sensor that somebody wants to enter: a home has many things that are none of our
/// business, and what is not understood is shown.
pub fn is_worth_entering(topic: &str, rest: usize, payload: &[u8]) -> bool {
    if payload.is_empty() {
        return false;
    }
    let (family, own) = guess(topic, rest, payload);
    if family.ecosystem().is_none() {
        return behind::link(&topic[rest..]).is_none();
    }
    match saying(family, own, payload) {
        Ok(saying) => saying.link().is_none() && (!saying.facts.is_empty() || matches!(saying.note, Some(Note::Button | Note::OkButton))),
        Err(_) => true,
    }
}

/// The ecosystem, and the topic as that one writes it: what bridges put before it is taken off level by level.
fn guess<'a>(topic: &'a str, rest: usize, payload: &[u8]) -> (Family, &'a str) {
    let borders = topic.match_indices('/').map(|(border, _)| border + 1).take_while(|start| *start <= rest);
    let known = std::iter::once(0).chain(borders).find_map(|start| {
        let family = explain::family(&topic[start..], payload);
        family.ecosystem().map(|_| (family, &topic[start..]))
    });
    // Whatever its base topic is called, a Zigbee device comes with the quality of its link.
    let zigbee = || json(payload).is_ok_and(|value| value.get("linkquality").is_some());
    known.unwrap_or_else(|| if zigbee() { (Family::Zigbee2Mqtt, &topic[rest..]) } else { (Family::Unknown, &topic[rest..]) })
}

/// The levels of a topic that name the device.
fn name(family: Family, rest: &str) -> &str {
    let until = |mark: &str| rest.find(mark).map_or(rest, |end| &rest[..end]);
    let without_last = |count: usize| {
        let mut name = rest;
        for _ in 0..count {
            name = name.rsplit_once('/').map_or(name, |(above, _)| above);
        }
        name
    };
    match family {
        Family::Shelly1 => {
            let ends = ["/sensor/", "/roller/", "/input", "/status", "/info", "/relay/"];
            ends.into_iter().map(until).min_by_key(|name| name.len()).unwrap_or(rest)
        }
        Family::Shelly2 => [until("/events/rpc"), until("/status/")].into_iter().min_by_key(|name| name.len()).unwrap_or(rest),
        Family::Tuya => ["/dps/", "/state", "/position", "/battery"].into_iter().map(until).min_by_key(|name| name.len()).unwrap_or(rest),
        Family::Tasmota => {
            let own = behind::without_kind(rest);
            let above = own.rsplit_once('/').map_or(own, |(above, _)| above);
            ["/tele", "/stat"].into_iter().find_map(|kind| above.strip_suffix(kind)).unwrap_or(above)
        }
        Family::Esphome if rest.ends_with("/position/state") => without_last(2),
        Family::Esphome | Family::Statestream | Family::Homie4 | Family::Homie5 => without_last(1),
        Family::Zwave => {
            let parts: Vec<&str> = rest.split('/').collect();
            let own = zwave::class(&parts).map(|place| parts[..place].join("/").len());
            own.and_then(|end| rest.get(..end)).unwrap_or(rest)
        }
        Family::Rtl433 if !rest.ends_with("/events") => without_last(1),
        _ => rest,
    }
}

/// What it says by itself, with nothing entered of its device.
fn saying(family: Family, own: &str, payload: &[u8]) -> Result<Saying, Refusal> {
    // Only of Zigbee2MQTT the base topic may be any.
    let own = if family == Family::Zigbee2Mqtt { behind::own_topic(Ecosystem::Zigbee2Mqtt, own) } else { Cow::Borrowed(own) };
    explain::decode(family, &own, payload, &Settings::default())
}

fn role_of(family: Family, own: &str, payload: &[u8]) -> Option<DeviceRole> {
    let saying = saying(family, own, payload).ok()?;
    let has = |words: &[Word]| saying.facts.iter().any(|said| words.contains(&said.word));
    Some(if has(&[Word::Help, Word::HelpState]) {
        DeviceRole::HelpButton
    } else if has(&[Word::CurtainOpen, Word::CurtainClosed, Word::CurtainPartial]) {
        DeviceRole::Cover
    } else if has(&[Word::ContactOpen, Word::ContactClosed]) {
        DeviceRole::CurtainContact
    } else if has(&[Word::Motion, Word::MotionClear]) {
        DeviceRole::Motion
    } else if has(&[Word::Vibration, Word::Tilt]) {
        DeviceRole::Vibration
    } else if has(&[Word::Illuminance]) {
        DeviceRole::Lux
    } else {
        return None;
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_and_a_sample_say_what_their_device_would_be_entered_as() {
        use Ecosystem as E;
        let (outer, inner) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let gateways = [(outer, "site/7".to_owned()), (inner, "site/7/zigbee2mqtt".to_owned())];
        let contact = Some(DeviceRole::CurtainContact);
        for (topic, payload, expected) in [
            ("site/7/zigbee2mqtt/卧室/窗帘", r#"{"contact":true}"#, Some(("卧室/窗帘", Some(E::Zigbee2Mqtt), "", contact))),
            ("site/7/other", r#"{"contact":true,"linkquality":9}"#, Some(("other", Some(E::Zigbee2Mqtt), "", contact))),
            ("site/7/other", "x", Some(("other", None, "", None))),
            ("site/7/zigbee2mqtt/plug", r#"{"state":"ON"}"#, None),
            ("site/7/zigbee2mqtt/curtain/availability", "online", None),
            ("site/7/shellies/door/sensor/state", "open", Some(("shellies/door", Some(E::Shelly1), "", contact))),
            (
                "site/7/plus/events/rpc",
                r#"{"method":"NotifyStatus","params":{"ts":1,"cover:0":{"current_pos":0}}}"#,
                Some(("plus", Some(E::Shelly2), "cover:0", Some(DeviceRole::Cover))),
            ),
            ("site/7/tele/bridge/SENSOR", r#"{"ZbReceived":{"0x1":{"Contact":1}}}"#, Some(("bridge", Some(E::Tasmota), "0x1", contact))),
            ("site/7/wang/binary_sensor/door/state", "ON", Some(("wang/binary_sensor/door", Some(E::Esphome), "", contact))),
            ("site/7/tuya/door/dps/state", r#"{"1":true}"#, Some(("tuya/door", Some(E::Tuya), "", contact))),
            ("site/7/homie/5/x/node/contact", "true", Some(("homie/5/x/node", Some(E::Homie5), "", contact))),
            ("site/77/zigbee2mqtt/curtain", "{}", None),
        ] {
            let found = propose(topic, payload.as_bytes(), None, &gateways);
            let found = found.as_ref().map(|found| (found.name.as_str(), found.ecosystem, found.component.as_str(), found.role));
            assert_eq!(found, expected, "{topic} {payload}");
        }
        let native = propose("chk/1/d-7Q2F/up/evt", b"", None, &gateways).expect("it names itself");
        assert_eq!((native.name.as_str(), native.ecosystem, native.gateway_id), ("d-7Q2F", Some(E::Native), None));
    }

    #[test]
    fn homes_with_the_same_topic_are_told_apart_by_whose_password_it_was() {
        let (one, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let gateways = [(one, "zigbee2mqtt".to_owned()), (other, "zigbee2mqtt".to_owned())];
        let gateway =
            |speaks_for| propose("zigbee2mqtt/curtain", br#"{"contact":true}"#, speaks_for, &gateways).and_then(|found| found.gateway_id);
        assert_eq!(gateway(Some(other)), Some(other));
        assert_eq!(gateway(Some(Uuid::from_u128(3))), None, "a stranger's");
        assert_eq!(gateway(None), None, "nobody can say");
    }
}
