//! Message encryption for Web Push (RFC 8291): what passes the push service only the browser can read.
//!
//! An ephemeral P-256 key and the browser's give the secret, mixed with the browser's `auth`; of it and a salt come AES-128-GCM key and
//! nonce. The body is one record of RFC 8188: salt 16 | record size u32 4096 | 65 | ephemeral public key 65 | ciphertext of text and
//! 0x02.

use aes_gcm::Aes128Gcm;
use aes_gcm::aead::{Aead, KeyInit};
use hkdf::Hkdf;
use p256::ecdh::diffie_hellman;
use p256::elliptic_curve::sec1::ToSec1Point;
use p256::{PublicKey, SecretKey};
use sha2::Sha256;

const RECORD_BYTES: u32 = 4_096;
pub const AUTH_BYTES: usize = 16;
const UNCOMPRESSED_BYTES: usize = 65;
/// Ends the last record.
const LAST: u8 = 2;

/// Of the browser.
pub struct Keys {
    public: PublicKey,
    auth: [u8; AUTH_BYTES],
}

impl Keys {
    pub fn read(p256dh: &[u8], auth: &[u8]) -> Option<Self> {
        let public = PublicKey::from_sec1_bytes(p256dh).ok().filter(|_| p256dh.len() == UNCOMPRESSED_BYTES)?;
        Some(Self { public, auth: auth.try_into().ok()? })
    }
}

/// What is drawn anew for each attempt.
pub struct Encryption {
    pub ephemeral: SecretKey,
    pub salt: [u8; 16],
}

impl Encryption {
    pub fn random() -> Self {
        Self { ephemeral: random_key(), salt: rand::random() }
    }

    /// The body of the request.
    pub fn seal(&self, keys: &Keys, text: &[u8]) -> Vec<u8> {
        let own = self.ephemeral.public_key().to_sec1_point(false);
        let browsers = keys.public.to_sec1_point(false);
        let shared = diffie_hellman(self.ephemeral.to_nonzero_scalar(), keys.public.as_affine());
        let info = [b"WebPush: info\0".as_slice(), browsers.as_bytes(), own.as_bytes()].concat();
        let secret: [u8; 32] = derive(&keys.auth, shared.raw_secret_bytes(), &info);
        let key: [u8; 16] = derive(&self.salt, &secret, b"Content-Encoding: aes128gcm\0");
        let nonce: [u8; 12] = derive(&self.salt, &secret, b"Content-Encoding: nonce\0");
        let record = [text, &[LAST]].concat();
        let cipher = Aes128Gcm::new(&key.into());
        let sealed = cipher.encrypt(&nonce.into(), record.as_slice()).expect("a record is shorter than AES-GCM's limit of 64 GB");
        let key_length = u8::try_from(own.as_bytes().len()).expect("an uncompressed point has 65 bytes");
        [self.salt.as_slice(), &RECORD_BYTES.to_be_bytes(), &[key_length], own.as_bytes(), &sealed].concat()
    }
}

/// A new private key.
pub fn random_key() -> SecretKey {
    loop {
        // All but one in 2³² draws are a key.
        if let Ok(key) = SecretKey::from_slice(&rand::random::<[u8; 32]>()) {
            return key;
        }
    }
}

fn derive<const LENGTH: usize>(salt: &[u8], secret: &[u8], info: &[u8]) -> [u8; LENGTH] {
    let mut derived = [0; LENGTH];
    Hkdf::<Sha256>::new(Some(salt), secret).expand(info, &mut derived).expect("32 bytes and fewer can be derived");
    derived
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    use super::*;
    use crate::notify::note::PUSHED_BYTES_MAX;

    fn bytes(text: &str) -> Vec<u8> {
        URL_SAFE_NO_PAD.decode(text).unwrap()
    }

    #[test]
    fn the_example_of_rfc_8291_is_met_byte_for_byte() {
        let vectors: serde_json::Value = serde_json::from_str(include_str!("../../../tests/data/channels.json")).unwrap();
        let vector = |name: &str| vectors["webpush_rfc8291"][name].as_str().unwrap().to_owned();
        // Appendix A of the RFC.
        let keys = Keys::read(&bytes(&vector("ua_public")), &bytes("BTBZMqHH6r4Tts7J_aSIgg")).unwrap();
        let ephemeral = SecretKey::from_slice(&bytes("yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw")).unwrap();
        assert_eq!(ephemeral.public_key().to_sec1_point(false).as_bytes(), bytes(&vector("as_public")));
        let encryption = Encryption { ephemeral, salt: bytes("DGv6ra1nlYgDCS1FRnbzlw").try_into().unwrap() };
        let body = encryption.seal(&keys, b"When I grow up, I want to be a watermelon");
        assert_eq!(URL_SAFE_NO_PAD.encode(body), vector("body"));
    }

    #[test]
    fn no_two_attempts_look_alike_and_the_longest_note_fits_into_one_record() {
        let keys = Keys { public: random_key().public_key(), auth: [7; AUTH_BYTES] };
        let text = vec![b'x'; PUSHED_BYTES_MAX];
        let sealed = Encryption::random().seal(&keys, &text);
        assert_ne!(sealed, Encryption::random().seal(&keys, &text));
        assert!(sealed.len() <= RECORD_BYTES as usize, "{}", sealed.len());
    }

    #[test]
    fn a_key_that_is_no_point_of_the_curve_is_refused() {
        let public = random_key().public_key();
        let whole = public.to_sec1_point(false);
        assert!(Keys::read(whole.as_bytes(), &[7; 16]).is_some());
        assert!(Keys::read(public.to_sec1_point(true).as_bytes(), &[7; 16]).is_none());
        assert!(Keys::read(&[4; 65], &[7; 16]).is_none());
        assert!(Keys::read(whole.as_bytes(), &[7; 15]).is_none());
    }
}
