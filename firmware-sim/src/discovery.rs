//! The device introduces itself to Home Assistant: one retained message names its four entities, all read from `up/state`.
//!
//! Templates are of the form `{{ value_json.x }}`, the only one that other readers of discovery can be expected to understand.
//! Source: the device discovery of Home Assistant's MQTT integration, with its abbreviated names.

use core::fmt::Write as _;

use heapless::String;

use crate::envelope::{Channel, DeviceId};
use crate::status::FIRMWARE_VERSION;

/// The longest device name stands in it nine times.
pub const DISCOVERY_BYTES_MAX: usize = 1536;

pub type Discovery = String<DISCOVERY_BYTES_MAX>;

/// The name of its value in `up/state`, its name for people, and its platform and class.
const ENTITIES: [(&str, &str, &str); 4] = [
    ("contact", "Curtain", r#""p":"binary_sensor","dev_cla":"opening""#),
    ("lux", "Light", r#""p":"sensor","dev_cla":"illuminance","unit_of_meas":"lx","stat_cla":"measurement""#),
    ("battery", "Battery", r#""p":"sensor","dev_cla":"battery","unit_of_meas":"%","ent_cat":"diagnostic""#),
    ("sos", "Help", r#""p":"binary_sensor","dev_cla":"safety""#),
];

pub fn announcement(device: &DeviceId) -> Discovery {
    let mut text = Discovery::new();
    write_announcement(&mut text, device).expect("the longest announcement is shorter than the buffer");
    text
}

fn write_announcement(text: &mut Discovery, device: &DeviceId) -> core::fmt::Result {
    write!(text, r#"{{"dev":{{"ids":"{device}","name":"{device}","mf":"Chenlian","mdl":"chk/1","sw":"{FIRMWARE_VERSION}"}},"#)?;
    write!(text, r#""o":{{"name":"firmware-sim","sw":"{FIRMWARE_VERSION}"}},"cmps":{{"#)?;
    for (at, (value, name, kind)) in ENTITIES.into_iter().enumerate() {
        let comma = if at == 0 { "" } else { "," };
        write!(
            text,
            r#"{comma}"{value}":{{{kind},"name":"{name}","uniq_id":"{device}_{value}","val_tpl":"{{{{ value_json.{value} }}}}"}}"#
        )?;
    }
    let (state, status) = (Channel::State.topic(device), Channel::Status.topic(device));
    write!(text, r#"}},"stat_t":"{state}","qos":1,"avty_t":"{status}","#)?;
    // Asleep is well: only what died without a goodbye is gone.
    write!(text, r#""avty_tpl":"{{{{ 'offline' if value_json.s == 'off' else 'online' }}}}"}}"#)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::envelope::{DEVICE_ID_BYTES_MAX, device_id};

    #[test]
    fn the_longest_announcement_fits() {
        let longest = device_id(&"x".repeat(DEVICE_ID_BYTES_MAX)).unwrap();
        assert!(announcement(&longest).ends_with('}'));
    }
}
