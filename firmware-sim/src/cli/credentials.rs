//! Keys and passwords, read from a file that only its owner should be able to read.

use std::path::Path;

use firmware_sim::envelope::{KEY_BYTES, Key, device_id};
use firmware_sim::keyring::SigningKey;
use firmware_sim::sim::chance::Chance;
use firmware_sim::sim::{NextKey, SensorConfig};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::Failure;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Credentials {
    device_id: String,
    key_hex: String,
    #[serde(default = "first")]
    kid: u8,
    password: Option<String>,
    /// What a technician hands in later.
    next: Option<Next>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Next {
    kid: u8,
    key_hex: String,
    password: Option<String>,
}

const fn first() -> u8 {
    1
}

pub fn one(path: &Path) -> Result<Credentials, Failure> {
    read(path)
}

pub fn many(path: &Path) -> Result<Vec<Credentials>, Failure> {
    read(path)
}

/// Devices that no server knows, to load a bare broker.
pub fn invented(count: usize, seed: u64) -> Vec<Credentials> {
    (0..count)
        .map(|index| {
            let mut chance = Chance::stream(seed, index as u64);
            let words: Vec<String> = (0..KEY_BYTES / 8).map(|_| format!("{:016x}", chance.next())).collect();
            let key_hex = words.concat();
            Credentials { device_id: format!("sim-{index:05}"), key_hex, kid: 1, password: None, next: None }
        })
        .collect()
}

fn read<T: DeserializeOwned>(path: &Path) -> Result<T, Failure> {
    let text = std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(serde_json::from_slice(&text).map_err(|error| format!("{}: {error}", path.display()))?)
}

impl Credentials {
    pub fn sensor(&self) -> Result<SensorConfig, Failure> {
        let name = &self.device_id;
        let device = device_id(name).ok_or_else(|| format!("{name:?} cannot be a device id"))?;
        let wrong = |field: &str| format!("{name}: {field} is not {} hexadecimal digits", KEY_BYTES * 2);
        let own = key(&self.key_hex).ok_or_else(|| wrong("key_hex"))?;
        let next = match &self.next {
            Some(next) if next.kid == self.kid => return Err(format!("{name}: next.kid is the kid of the key in use").into()),
            Some(next) => {
                let signing = SigningKey { kid: next.kid, key: key(&next.key_hex).ok_or_else(|| wrong("next.key_hex"))? };
                Some(NextKey { signing, password: next.password.clone() })
            }
            None => None,
        };
        Ok(SensorConfig { kid: self.kid, password: self.password.clone(), next, ..SensorConfig::new(device, own) })
    }
}

fn key(hex: &str) -> Option<Key> {
    if hex.len() != KEY_BYTES * 2 || !hex.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    let mut key = [0; KEY_BYTES];
    for (at, byte) in key.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&hex[at * 2..at * 2 + 2], 16).ok()?;
    }
    Some(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_sixty_four_digits_and_nothing_else() {
        assert_eq!(key(&"0f".repeat(32)), Some([15; 32]));
        for wrong in ["", "0f", &"0g".repeat(32), &"0f".repeat(33), &"é".repeat(32)] {
            assert_eq!(key(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn invented_devices_have_keys_of_their_own() {
        let two = invented(2, 7);
        assert!(two.iter().all(|credentials| credentials.sensor().is_ok()));
        assert_ne!(two[0].key_hex, two[1].key_hex);
    }

    #[test]
    fn a_misspelt_field_is_refused() {
        assert!(serde_json::from_str::<Credentials>(r#"{"device_id":"d-1","key_hex":"","pasword":"x"}"#).is_err());
    }
}
