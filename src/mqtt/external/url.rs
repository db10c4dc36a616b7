//! The address of a broker: `mqtt://host[:port]` or `mqtts://host[:port]`. Names and passwords have settings of their own, since
//! addresses end up in logs.

const PORT_PLAIN: u16 = 1883;
const PORT_TLS: u16 = 8883;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokerUrl {
    pub host: String,
    pub port: u16,
    pub tls: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a broker's address is mqtt://host:port or mqtts://host:port, without user, password or path")]
pub struct BadBrokerUrl;

impl BrokerUrl {
    pub fn parse(text: &str) -> Result<Self, BadBrokerUrl> {
        let (rest, tls) = match (text.strip_prefix("mqtt://"), text.strip_prefix("mqtts://")) {
            (Some(rest), _) => (rest, false),
            (None, Some(rest)) => (rest, true),
            (None, None) => return Err(BadBrokerUrl),
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (host, port) = match rest.strip_prefix('[') {
            // An IPv6 address in brackets.
            Some(rest) => rest.split_once(']').ok_or(BadBrokerUrl)?,
            None => rest.find(':').map_or((rest, ""), |colon| rest.split_at(colon)),
        };
        let port = match port.strip_prefix(':') {
            Some(port) => port.parse().map_err(|_| BadBrokerUrl)?,
            None if port.is_empty() => {
                if tls {
                    PORT_TLS
                } else {
                    PORT_PLAIN
                }
            }
            None => return Err(BadBrokerUrl),
        };
        if host.is_empty() || port == 0 || host.contains(|c: char| c.is_whitespace() || "@/?#".contains(c)) {
            return Err(BadBrokerUrl);
        }
        Ok(Self { host: host.to_owned(), port, tls })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_secrets_in_them_refused() {
        let check = |text, expected: Option<(&str, u16, bool)>| {
            let expected = expected.map(|(host, port, tls)| BrokerUrl { host: host.to_owned(), port, tls });
            assert_eq!(BrokerUrl::parse(text).ok(), expected, "{text}");
        };
        check("mqtt://broker", Some(("broker", 1883, false)));
        check("mqtts://broker/", Some(("broker", 8883, true)));
        check("mqtt://10.0.0.1:11883", Some(("10.0.0.1", 11883, false)));
        check("mqtts://[::1]:8884", Some(("::1", 8884, true)));
        check("mqtt://[::1]", Some(("::1", 1883, false)));
        for wrong in [
            "broker",
            "http://broker",
            "mqtt://",
            "mqtt://user:secret@broker",
            "mqtt://b:x",
            "mqtt://b:0",
            "mqtt://b/p",
            "mqtt://[::1",
            "mqtt://b:70000",
        ] {
            check(wrong, None);
        }
    }
}
