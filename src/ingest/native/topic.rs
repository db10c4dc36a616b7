//! Topics of the native protocol: `chk/1/<device>/<up|dn>/<channel>`.

/// Longest device name; it is also the username of its credential.
const DEVICE_NAME_BYTES_MAX: usize = 64;

/// What a device publishes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Channel {
    /// Signed events.
    Events,
    /// Signed readings of its own health, sent without acknowledgement.
    Telemetry,
    /// JSON birth, sleep and will.
    Status,
    /// JSON levels for home automation; never evidence.
    State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Topic<'a> {
    pub device: &'a str,
    pub channel: Channel,
}

impl<'a> Topic<'a> {
    /// Reads an upward topic; `None` if it is not one.
    pub fn parse(topic: &'a str) -> Option<Self> {
        let (device, channel) = topic.strip_prefix("chk/1/")?.split_once("/up/")?;
        let channel = match channel {
            "evt" => Channel::Events,
            "tele" => Channel::Telemetry,
            "status" => Channel::Status,
            "state" => Channel::State,
            _ => return None,
        };
        valid_device_name(device).then_some(Self { device, channel })
    }
}

/// Letters, digits, `-` and `_`: a name with `+`, `#` or `/` would widen the topics its owner may use.
pub fn valid_device_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= DEVICE_NAME_BYTES_MAX
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}
