//! Which topics a credential may use. Topics are compared byte by byte; wildcards are only allowed below one's own prefix.

use crate::mqtt::ports::Identity;

/// Longest topic or filter.
pub const TOPIC_BYTES_MAX: usize = 1024;

/// A topic name without wildcards below one of the credential's prefixes.
pub fn may_publish(identity: &Identity, topic: &str) -> bool {
    plain(topic) && !topic.contains(['+', '#']) && below(&identity.publish_below, topic)
}

/// A filter whose fixed part reaches below one of the credential's prefixes, so that no wildcard can match outside it.
pub fn may_subscribe(identity: &Identity, filter: &str) -> bool {
    plain(filter) && rumqttc::valid_filter(filter) && below(&identity.subscribe_below, filter)
}

/// Printable, of bounded length, and not the server's own (`$SYS`, `$share`).
fn plain(topic: &str) -> bool {
    topic.len() <= TOPIC_BYTES_MAX && !topic.starts_with('$') && !topic.contains(char::is_control)
}

fn below(prefixes: &[String], topic: &str) -> bool {
    prefixes.iter().any(|prefix| {
        debug_assert!(prefix.ends_with('/') && !prefix.contains(['+', '#']), "a prefix is a fixed level");
        topic.len() > prefix.len() && topic.starts_with(prefix.as_str())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_credential_reaches_its_own_topics_and_no_others() {
        let identity = Identity {
            principal: "d-1".to_owned(),
            device: None,
            publish_below: vec!["chk/1/d-1/up/".to_owned()],
            subscribe_below: vec!["chk/1/d-1/dn/".to_owned()],
            retained: vec![],
            messages_per_minute: 60,
        };
        let long = format!("chk/1/d-1/up/{}", "x".repeat(TOPIC_BYTES_MAX));
        for (topic, allowed) in [
            ("chk/1/d-1/up/evt", true),
            ("chk/1/d-1/up/", false),
            ("chk/1/d-1/up/+", false),
            ("chk/1/d-1/up/a\u{7}", false),
            ("chk/1/d-1/dn/ack", false),
            ("chk/1/d-12/up/evt", false),
            ("$SYS/broker", false),
            (&long, false),
        ] {
            assert_eq!(may_publish(&identity, topic), allowed, "{topic}");
        }
        for (filter, allowed) in [
            ("chk/1/d-1/dn/#", true),
            ("chk/1/d-1/dn/+", true),
            ("chk/1/d-1/dn/ack", true),
            ("chk/1/d-1/#", false),
            ("chk/1/+/dn/#", false),
            ("chk/1/d-2/dn/#", false),
            ("chk/1/d-1/dn/#/x", false),
            ("#", false),
            ("+/1/d-1/dn/ack", false),
            ("$SYS/#", false),
            ("$share/g/chk/1/d-1/dn/#", false),
        ] {
            assert_eq!(may_subscribe(&identity, filter), allowed, "{filter}");
        }
    }
}
