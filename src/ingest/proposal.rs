//! What a device would be entered as, of which only messages are known so far: read from its topic, to be confirmed by a person.

use uuid::Uuid;

use super::native;
use super::zigbee2mqtt::{self, Below};
use crate::domain::device::Ecosystem;

/// The entry that would make its messages count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proposal {
    pub name: String,
    pub ecosystem: Ecosystem,
    /// The gateway whose topic it is below.
    pub gateway_id: Option<Uuid>,
}

/// `None`: nobody can say what it is. `speaks_for` is the gateway by whose password it came, if it came by one.
pub fn propose(topic: &str, speaks_for: Option<Uuid>, gateways: &[(Uuid, String)]) -> Option<Proposal> {
    if let Some(topic) = native::Topic::parse(topic) {
        return Some(Proposal { name: topic.device.to_owned(), ecosystem: Ecosystem::Native, gateway_id: None });
    }
    let Below::One(gateway, base) = zigbee2mqtt::below(topic, speaks_for, gateways) else { return None };
    match zigbee2mqtt::Topic::parse(base, topic)? {
        zigbee2mqtt::Topic::Device(name) => {
            Some(Proposal { name: name.to_owned(), ecosystem: Ecosystem::Zigbee2Mqtt, gateway_id: Some(gateway) })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_says_what_its_device_would_be_entered_as() {
        let (outer, inner) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let gateways = [(outer, "site/7".to_owned()), (inner, "site/7/zigbee2mqtt".to_owned())];
        let behind = |name: &str, gateway| Proposal { name: name.to_owned(), ecosystem: Ecosystem::Zigbee2Mqtt, gateway_id: Some(gateway) };
        for (topic, expected) in [
            ("site/7/zigbee2mqtt/卧室/窗帘", Some(behind("卧室/窗帘", inner))),
            ("site/7/other", Some(behind("other", outer))),
            ("site/7/zigbee2mqtt/bridge/devices", None),
            ("site/7/zigbee2mqtt/curtain/availability", None),
            ("site/77/zigbee2mqtt/curtain", None),
            ("shellies/door/sensor/state", None),
            ("chk/1/d-7Q2F/up/evt", Some(Proposal { name: "d-7Q2F".to_owned(), ecosystem: Ecosystem::Native, gateway_id: None })),
        ] {
            assert_eq!(propose(topic, None, &gateways), expected, "{topic}");
        }
    }

    #[test]
    fn homes_with_the_same_topic_are_told_apart_by_whose_password_it_was() {
        let (one, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let gateways = [(one, "zigbee2mqtt".to_owned()), (other, "zigbee2mqtt".to_owned())];
        let gateway = |speaks_for| propose("zigbee2mqtt/curtain", speaks_for, &gateways).and_then(|found| found.gateway_id);
        assert_eq!(gateway(Some(other)), Some(other));
        assert_eq!(gateway(Some(Uuid::from_u128(3))), None, "a stranger's");
        assert_eq!(gateway(None), None, "nobody can say");
    }
}
