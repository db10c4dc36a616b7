//! What a device would be entered as, of which only messages are known so far: read from its topic, to be confirmed by a person.

use uuid::Uuid;

use super::native;
use super::zigbee2mqtt;
use crate::domain::device::Ecosystem;

/// The entry that would make its messages count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proposal {
    pub name: String,
    pub ecosystem: Ecosystem,
    /// The gateway whose topic it is below.
    pub gateway_id: Option<Uuid>,
}

/// `None`: nobody can say what it is. Of nested base topics the longest counts, as when messages are read.
pub fn propose(topic: &str, gateways: &[(Uuid, String)]) -> Option<Proposal> {
    if let Some(topic) = native::Topic::parse(topic) {
        return Some(Proposal { name: topic.device.to_owned(), ecosystem: Ecosystem::Native, gateway_id: None });
    }
    let below = |base: &str| topic.strip_prefix(base).is_some_and(|rest| rest.starts_with('/'));
    let (gateway, base) = gateways.iter().filter(|(_, base)| below(base)).max_by_key(|(_, base)| base.len())?;
    match zigbee2mqtt::Topic::parse(base, topic)? {
        zigbee2mqtt::Topic::Device(name) => {
            Some(Proposal { name: name.to_owned(), ecosystem: Ecosystem::Zigbee2Mqtt, gateway_id: Some(*gateway) })
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
            assert_eq!(propose(topic, &gateways), expected, "{topic}");
        }
    }
}
