//! What the server says to a device: the receipt `dn/ack` and the retained settings `dn/cfg`.
//!
//! The receipt is JSON `{"bn","seq","now"}` and unsigned: whoever can forge it can also drop the message. The settings
//! are signed with the device's key, body `{0:ver,1:kid,2:config_n,3?:heartbeat_s,4?:contact_debounce_ms,5?:lux_ratio,
//! 6?:lux_floor}`; `config_n` grows with every change, so that an old retained copy never undoes a newer one.

use minicbor::Decoder;

use crate::envelope::{Key, PROTOCOL_VERSION, open};

/// A longer receipt is not ours.
pub const ACK_BYTES_MAX: usize = 256;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ack {
    pub boot_n: u32,
    pub seq: u32,
    /// Unix seconds at the server when it wrote the receipt.
    pub now_s: Option<u64>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Config {
    pub config_n: u32,
    pub heartbeat_s: Option<u32>,
    pub contact_debounce_ms: Option<u32>,
    pub lux_ratio: Option<u32>,
    pub lux_floor: Option<u32>,
}

pub fn read_ack(payload: &[u8]) -> Option<Ack> {
    if payload.len() > ACK_BYTES_MAX {
        return None;
    }
    let text = core::str::from_utf8(payload).ok()?.trim();
    if !(text.starts_with('{') && text.ends_with('}')) {
        return None;
    }
    Some(Ack {
        boot_n: number(text, "\"bn\"")?.try_into().ok()?,
        seq: number(text, "\"seq\"")?.try_into().ok()?,
        now_s: number(text, "\"now\""),
    })
}

/// The unsigned integer after a quoted name. The object is flat and its names are fixed, so that no JSON parser is carried.
fn number(text: &str, name: &str) -> Option<u64> {
    let (_, after) = text.split_once(name)?;
    let digits = after.trim_start().strip_prefix(':')?.trim_start();
    let end = digits.find(|letter: char| !letter.is_ascii_digit())?;
    digits[..end].parse().ok()
}

/// `None` for a message that this key did not sign or that is not understood.
pub fn read_config(topic: &str, key: &Key, payload: &[u8]) -> Option<Config> {
    let body = open(topic, key, payload).ok()?;
    let mut decoder = Decoder::new(body);
    let entries = decoder.map().ok()??;
    let mut version = None;
    let mut config = Config::default();
    for _ in 0..entries {
        match decoder.u32().ok()? {
            0 => version = Some(decoder.u8().ok()?),
            2 => config.config_n = decoder.u32().ok()?,
            3 => config.heartbeat_s = Some(decoder.u32().ok()?),
            4 => config.contact_debounce_ms = Some(decoder.u32().ok()?),
            5 => config.lux_ratio = Some(decoder.u32().ok()?),
            6 => config.lux_floor = Some(decoder.u32().ok()?),
            // A newer server may say more than this firmware knows.
            _ => decoder.u64().map(drop).ok()?,
        }
    }
    (version == Some(PROTOCOL_VERSION)).then_some(config)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::envelope::seal;

    #[test]
    fn a_receipt_is_read_with_any_spacing_and_order() {
        let expected = Some(Ack { boot_n: 8, seq: 6, now_s: Some(1_788_734_480) });
        for text in [
            r#"{"bn":8,"seq":6,"now":1788734480}"#,
            r#"{ "now" : 1788734480 , "seq" : 6, "bn": 8 }"#,
            r#"{"bn":8,"seq":6,"now":1788734480.5,"more":"x"}"#,
        ] {
            assert_eq!(read_ack(text.as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn half_a_receipt_or_a_strange_one_is_none() {
        for text in [
            "",
            "{}",
            "null",
            r#"{"bn":8}"#,
            r#"{"bn":-8,"seq":6}"#,
            r#"{"bn":"8","seq":6}"#,
            r#"{"bn":99999999999,"seq":6}"#,
            r#"{"bn":8,"seq":6"#,
        ] {
            assert_eq!(read_ack(text.as_bytes()), None, "{text}");
        }
        assert_eq!(read_ack(&[0xff; 40]), None);
        assert_eq!(read_ack(&[b' '; ACK_BYTES_MAX + 1]), None);
    }

    #[test]
    fn settings_count_only_when_signed_for_this_device() {
        // {0:1, 1:1, 2:3, 3:3600, 9:7}: one entry that this firmware does not know.
        let body = [0xa5, 0, 1, 1, 1, 2, 3, 3, 0x19, 0x0e, 0x10, 9, 7];
        let topic = "chk/1/d-7Q2F/dn/cfg";
        let payload = seal(topic, &[7; 32], &body);
        let expected = Config { config_n: 3, heartbeat_s: Some(3600), ..Config::default() };
        assert_eq!(read_config(topic, &[7; 32], &payload), Some(expected));
        assert_eq!(read_config(topic, &[8; 32], &payload), None);
        assert_eq!(read_config("chk/1/d-OTHER/dn/cfg", &[7; 32], &payload), None);
    }

    #[test]
    fn settings_of_another_protocol_version_are_left_alone() {
        let payload = seal("t", &[7; 32], &[0xa2, 0, 2, 2, 9]);
        assert_eq!(read_config("t", &[7; 32], &payload), None);
    }
}
