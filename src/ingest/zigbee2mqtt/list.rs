//! Zigbee2MQTT's list of its devices, `bridge/devices`: several hundred kilobytes, of which two fields count. Whoever renames a device
//! there changes its topic; the address of its radio stays.

use serde::Deserialize;

/// Largest list that is read: about a thousand devices with their definitions.
pub const BYTES_MAX: usize = 2 * 1024 * 1024;

/// A device of the list; everything else of it is skipped unread.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Named {
    pub ieee_address: String,
    pub friendly_name: String,
}

pub fn is_list(topic: &str) -> bool {
    topic.ends_with("/bridge/devices")
}

/// `None` if it is no such list, or too long.
pub fn decode(payload: &[u8]) -> Option<Vec<Named>> {
    if payload.len() > BYTES_MAX {
        return None;
    }
    serde_json::from_slice(payload).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_list_only_addresses_and_names_are_read() {
        let list = r#"[{"ieee_address":"0x00158d0001","friendly_name":"卧室","definition":{"exposes":[{"a":[1,2]}]}}]"#;
        let named = Named { ieee_address: "0x00158d0001".to_owned(), friendly_name: "卧室".to_owned() };
        assert_eq!(decode(list.as_bytes()), Some(vec![named]));
        assert_eq!(decode(b"xxx"), None);
        assert_eq!(decode(br#"[{"friendly_name":"a"}]"#), None, "a list without addresses is another one");
        assert_eq!(decode(&vec![b' '; BYTES_MAX + 1]), None);
    }
}
