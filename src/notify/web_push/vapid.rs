//! Who sends (RFC 8292): each request to a push service is signed with the key of the settings. Browsers subscribe to its public half,
//! so a new key ends all subscriptions.
//!
//! `Authorization: vapid t=JWT, k=PUBLIC KEY`, the JWT with ES256: `aud` is the endpoint's origin, `exp` at most 24 hours ahead, `sub`
//! how the service's operators reach ours.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use p256::SecretKey;
use p256::ecdsa::signature::Signer;
use p256::ecdsa::{Signature, SigningKey};
use p256::elliptic_curve::sec1::ToSec1Point;
use serde_json::json;

use super::encryption::random_key;

const LASTS: TimeDelta = TimeDelta::hours(12);
const KEY_BYTES: usize = 32;

/// The key by which push services know this installation.
#[derive(Clone)]
pub struct ServerKey(SecretKey);

impl std::fmt::Debug for ServerKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("(hidden)")
    }
}

impl ServerKey {
    pub fn make() -> Self {
        Self(random_key())
    }

    /// As `channels.web_push.private_key` has it; `None` if it is none.
    pub fn read(text: &str) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(text.trim()).ok().filter(|bytes| bytes.len() == KEY_BYTES)?;
        SecretKey::from_slice(&bytes).ok().map(Self)
    }

    /// As [`ServerKey::read`] takes it.
    pub fn private_key(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.0.to_bytes())
    }

    /// What a page gives to the browser as `applicationServerKey`.
    pub fn public_key(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.0.public_key().to_sec1_point(false).as_bytes())
    }

    /// The header for a push service, the same for the same arguments.
    pub fn authorization(&self, origin: &str, subject: &str, now: DateTime<Utc>) -> String {
        let claims = json!({ "aud": origin, "exp": (now + LASTS).timestamp(), "sub": subject }).to_string();
        let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(r#"{"typ":"JWT","alg":"ES256"}"#), URL_SAFE_NO_PAD.encode(claims));
        let signature: Signature = SigningKey::from(&self.0).sign(signed.as_bytes());
        format!("vapid t={signed}.{}, k={}", URL_SAFE_NO_PAD.encode(signature.to_bytes()), self.public_key())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_the_one_of_rfc_6979() {
        let vectors: serde_json::Value = serde_json::from_str(include_str!("../../../tests/data/channels.json")).unwrap();
        let vector = |name: &str| vectors["vapid_rfc6979"][name].as_str().unwrap().to_owned();
        // The sender's key of RFC 8291, appendix A.
        let key = ServerKey::read("yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw").unwrap();
        let now = DateTime::from_timestamp(1_700_000_000, 0).unwrap();
        let header = key.authorization("https://push.example.net", "mailto:ops@example.com", now);
        assert_eq!(header, format!("vapid t={}, k={}", vector("jwt"), vector("k")));
        assert!(header.contains(&vector("signing_input")));
    }

    #[test]
    fn a_made_key_is_read_again_and_never_printed() {
        let made = ServerKey::make();
        let read = ServerKey::read(&made.private_key()).unwrap();
        assert_eq!(read.public_key(), made.public_key());
        assert_ne!(ServerKey::make().private_key(), made.private_key());
        assert!(!format!("{made:?}").contains(&made.private_key()));
        for wrong in ["", "AAAA", "not base64!", &URL_SAFE_NO_PAD.encode([0; 32]), &URL_SAFE_NO_PAD.encode([255; 32])] {
            assert!(ServerKey::read(wrong).is_none(), "{wrong}");
        }
    }
}
