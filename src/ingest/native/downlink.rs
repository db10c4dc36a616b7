//! What the server says to a native device: the receipt after a commit and its signed settings.

use super::{Key, VERSION, sign};

/// The receipt: the device drops the events from its queue and sets its clock by it. `now` is in seconds since 1970.
pub fn receipt(boot_n: u32, seq: u32, now: i64) -> String {
    format!(r#"{{"bn":{boot_n},"seq":{seq},"now":{now}}}"#)
}

/// Settings of a device; what is `None` stays as it is built in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Settings {
    /// Grows with every change, so that an old retained copy never undoes a newer one.
    pub config_n: u32,
    pub heartbeat_s: Option<u32>,
    pub contact_debounce_ms: Option<u32>,
    pub lux_ratio: Option<u32>,
    pub lux_floor: Option<u32>,
}

/// Signs settings for one device; deterministic like every envelope.
pub fn settings(topic: &str, settings: Settings, key: &Key) -> Vec<u8> {
    let optional = [settings.heartbeat_s, settings.contact_debounce_ms, settings.lux_ratio, settings.lux_floor];
    let fields = [Some(VERSION), Some(key.kid), Some(settings.config_n)].into_iter().chain(optional);
    let said: Vec<(u32, u32)> = (0..).zip(fields).filter_map(|(number, value)| Some((number, value?))).collect();
    let mut body = Vec::new();
    head(&mut body, 5, u32::try_from(said.len()).expect("at most seven fields"));
    for (number, value) in said {
        head(&mut body, 0, number);
        head(&mut body, 0, value);
    }
    let code = sign(topic, &body, key);
    let mut envelope = Vec::new();
    head(&mut envelope, 4, 2);
    for part in [&body[..], &code[..]] {
        head(&mut envelope, 2, u32::try_from(part.len()).expect("settings are short"));
        envelope.extend_from_slice(part);
    }
    envelope
}

/// One CBOR head in its shortest form.
fn head(out: &mut Vec<u8>, major: u8, argument: u32) {
    let major = major << 5;
    match argument {
        0..=23 => out.push(major | u8::try_from(argument).expect("below 24")),
        24..=0xff => out.extend([major | 0x18, u8::try_from(argument).expect("one byte")]),
        0x100..=0xffff => {
            out.push(major | 0x19);
            out.extend(u16::try_from(argument).expect("two bytes").to_be_bytes());
        }
        _ => {
            out.push(major | 0x1a);
            out.extend(argument.to_be_bytes());
        }
    }
}
