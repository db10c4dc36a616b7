//! Where a message of a bought device belongs. A gateway has a base topic; a device behind it is named by its topic below that, in
//! whatever ecosystem, and is the longest name entered that fits at a border of levels.

use std::borrow::Cow;

use uuid::Uuid;

use super::said::{Refusal, json};
use super::{esphome, explain, zigbee2mqtt};
use crate::domain::device::Ecosystem;

/// Levels of a name; a deeper topic is a detail of its device.
const LEVELS_MAX: usize = 12;

/// Whose base topic a message was published below.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Below<'a> {
    One(Uuid, &'a str),
    /// The same base topic serves several gateways, and nothing tells them apart.
    Several,
    Nobody,
}

/// Of nested base topics the innermost counts. What came by the password of one gateway is that one's: every home may use the same.
pub fn below<'a>(topic: &str, speaks_for: Option<Uuid>, gateways: &'a [(Uuid, String)]) -> Below<'a> {
    let mine = |gateway: &&(Uuid, String)| speaks_for.is_none_or(|device| device == gateway.0);
    let is_below = |base: &str| topic.strip_prefix(base).is_some_and(|rest| rest.starts_with('/'));
    let candidates: Vec<&(Uuid, String)> = gateways.iter().filter(mine).filter(|(_, base)| is_below(base)).collect();
    let longest = candidates.iter().map(|(_, base)| base.len()).max();
    let mut best = candidates.into_iter().filter(|(_, base)| Some(base.len()) == longest);
    match (best.next(), best.next()) {
        (Some((gateway, base)), None) => Below::One(*gateway, base),
        (Some(_), Some(_)) => Below::Several,
        (None, _) => Below::Nobody,
    }
}

/// Tasmota may put the kind of message before the device.
pub fn without_kind(rest: &str) -> &str {
    ["tele/", "stat/"].into_iter().find_map(|kind| rest.strip_prefix(kind)).unwrap_or(rest)
}

/// The names under which the device of this topic may be entered, the longest first.
pub fn names(rest: &str) -> Vec<&str> {
    let mut names: Vec<&str> = Vec::new();
    for own in [rest, without_kind(rest)] {
        names.extend(own.match_indices('/').take(LEVELS_MAX).map(|(border, _)| &own[..border]));
        names.push(own);
    }
    names.sort_unstable_by_key(|name| std::cmp::Reverse(name.len()));
    names.dedup();
    names
}

/// Of whom a topic may say whether they are reached: a name, or one that others are below; empty is the gateway itself.
pub fn link(rest: &str) -> Option<&str> {
    let of_gateway = ["bridge/state", "_CLIENTS"].into_iter().find_map(|mark| {
        let place = rest.find(mark)?;
        let at_border = place == 0 || rest.as_bytes()[place - 1] == b'/';
        (at_border && (mark == "_CLIENTS" || rest.ends_with(mark))).then(|| rest[..place].trim_end_matches('/'))
    });
    of_gateway.or_else(|| {
        let own = without_kind(rest);
        let (owner, last) = own.rsplit_once('/').unwrap_or(("", own));
        let owner = owner.strip_suffix("/tele").unwrap_or(owner);
        ["availability", "LWT", "status", "online", "$state"].contains(&last).then_some(owner)
    })
}

/// Whether a gateway itself runs, in the words of whatever it is; `None` for an emptied topic.
pub fn is_online(payload: &[u8]) -> Result<Option<bool>, Refusal> {
    match payload {
        b"Online" | b"true" => Ok(Some(true)),
        b"Offline" | b"false" => Ok(Some(false)),
        _ => match json(payload).ok().and_then(|whole| whole.get("value")?.as_bool()) {
            Some(online) => Ok(Some(online)),
            None => zigbee2mqtt::decode_online(payload),
        },
    }
}

/// The first level of an ecosystem's topics where nobody has changed it.
fn root(ecosystem: Ecosystem) -> Option<&'static str> {
    Some(match ecosystem {
        Ecosystem::Zigbee2Mqtt => explain::ZIGBEE2MQTT,
        Ecosystem::Shelly1 => "shellies",
        Ecosystem::Tuya => "tuya",
        Ecosystem::Zwave => "zwave",
        Ecosystem::Homie4 | Ecosystem::Homie5 => "homie",
        Ecosystem::Theengs => "home",
        Ecosystem::Rtl433 => "rtl_433",
        Ecosystem::Statestream => "ha",
        _ => return None,
    })
}

/// The topic as the ecosystem's own documents write it, without what a bridge put before it: `site/7/shellies/door/online`, below
/// `site/7` or below `site/7/shellies`, is `shellies/door/online`.
pub fn own_topic(ecosystem: Ecosystem, rest: &str) -> Cow<'_, str> {
    let Some(root) = root(ecosystem) else {
        // A base topic of one node leaves nothing before the component.
        let headless = ecosystem == Ecosystem::Esphome && !esphome::owns(rest) && esphome::owns(&format!("node/{rest}"));
        return if headless { Cow::Owned(format!("node/{rest}")) } else { Cow::Borrowed(rest) };
    };
    if rest.strip_prefix(root).is_some_and(|below| below.starts_with('/')) {
        Cow::Borrowed(rest)
    } else {
        Cow::Owned(format!("{root}/{rest}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_is_named_by_its_topic_below_the_gateway_the_longest_name_first() {
        assert_eq!(
            names("wang/binary_sensor/door/state"),
            ["wang/binary_sensor/door/state", "wang/binary_sensor/door", "wang/binary_sensor", "wang"]
        );
        assert!(names("tele/bridge/SENSOR").contains(&"bridge"), "the kind before the device is not part of its name");
        assert!(names(&"a/".repeat(600)).len() <= LEVELS_MAX + 1);
    }

    #[test]
    fn a_topic_says_whose_link_it_tells_of() {
        for (rest, owner) in [
            ("bridge/state", Some("")),
            ("zigbee2mqtt/bridge/state", Some("zigbee2mqtt")),
            ("卧室/窗帘/availability", Some("卧室/窗帘")),
            ("tele/bridge/LWT", Some("bridge")),
            ("bridge/tele/LWT", Some("bridge")),
            ("door/online", Some("door")),
            ("5/node/$state", Some("5/node")),
            ("_CLIENTS/ZWAVE_GATEWAY-1/status", Some("")),
            ("hall/7/status", Some("hall/7")),
            ("status", Some("")),
            ("wang/binary_sensor/door/state", None),
        ] {
            assert_eq!(link(rest), owner, "{rest}");
        }
    }

    #[test]
    fn what_a_bridge_put_before_a_topic_is_taken_off() {
        for (ecosystem, rest, own) in [
            (Ecosystem::Shelly1, "door/online", "shellies/door/online"),
            (Ecosystem::Shelly1, "shellies/door/online", "shellies/door/online"),
            (Ecosystem::Shelly2, "plug/events/rpc", "plug/events/rpc"),
            (Ecosystem::Homie5, "5/node/a/b", "homie/5/node/a/b"),
            (Ecosystem::Esphome, "binary_sensor/door/state", "node/binary_sensor/door/state"),
            (Ecosystem::Esphome, "wang/binary_sensor/door/state", "wang/binary_sensor/door/state"),
            (Ecosystem::Tasmota, "tele/t/SENSOR", "tele/t/SENSOR"),
        ] {
            assert_eq!(own_topic(ecosystem, rest), own, "{rest}");
        }
    }

    #[test]
    fn of_nested_gateways_the_innermost_counts_and_a_password_decides_between_namesakes() {
        let (one, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let nested = [(one, "site/7".to_owned()), (other, "site/7/zigbee2mqtt".to_owned())];
        assert_eq!(below("site/7/zigbee2mqtt/a", None, &nested), Below::One(other, "site/7/zigbee2mqtt"));
        assert_eq!(below("site/77/a", None, &nested), Below::Nobody);
        let namesakes = [(one, "zigbee2mqtt".to_owned()), (other, "zigbee2mqtt".to_owned())];
        assert_eq!(below("zigbee2mqtt/a", None, &namesakes), Below::Several);
        assert_eq!(below("zigbee2mqtt/a", Some(other), &namesakes), Below::One(other, "zigbee2mqtt"));
    }
}
