//! Secrets that must be read again (device keys, channel secrets) are sealed with a key file that lies outside the database
//! and outside every backup.

use std::path::Path;

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};

const KEY_BYTES: usize = 32;
const NONCE_BYTES: usize = 24;

/// The key of this installation.
#[derive(Clone)]
pub struct SealKey {
    cipher: XChaCha20Poly1305,
    raw: [u8; KEY_BYTES],
}

impl std::fmt::Debug for SealKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SealKey(hidden)")
    }
}

#[derive(Debug, thiserror::Error)]
pub enum SealError {
    #[error("key file {path}: {source}")]
    File { path: String, source: std::io::Error },
    #[error("key file {path} must hold exactly 32 bytes")]
    Length { path: String },
    #[error("a sealed secret does not open with this key file")]
    WrongKey,
}

impl SealKey {
    pub fn from_bytes(raw: [u8; KEY_BYTES]) -> Self {
        Self { cipher: XChaCha20Poly1305::new((&raw).into()), raw }
    }

    /// Reads the key file, or makes it on first start.
    pub fn load_or_create(path: &Path) -> Result<Self, SealError> {
        let file = |source| SealError::File { path: path.display().to_string(), source };
        if !path.exists() {
            let mut options = std::fs::OpenOptions::new();
            options.create_new(true).write(true);
            #[cfg(unix)]
            std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
            let mut created = options.open(path).map_err(file)?;
            std::io::Write::write_all(&mut created, &rand::random::<[u8; KEY_BYTES]>()).map_err(file)?;
            created.sync_all().map_err(file)?;
        }
        let bytes = std::fs::read(path).map_err(file)?;
        let raw = bytes.try_into().map_err(|_| SealError::Length { path: path.display().to_string() })?;
        Ok(Self::from_bytes(raw))
    }

    /// Seals `plain` for one place: `place` (for example `device/<id>/1`) must be the same when it is opened.
    pub fn seal(&self, place: &str, plain: &[u8]) -> Vec<u8> {
        let nonce: [u8; NONCE_BYTES] = rand::random();
        let payload = Payload { msg: plain, aad: place.as_bytes() };
        let mut sealed = nonce.to_vec();
        sealed.extend(self.cipher.encrypt(XNonce::from_slice(&nonce), payload).expect("sealing fits in memory"));
        sealed
    }

    pub fn open(&self, place: &str, sealed: &[u8]) -> Result<Vec<u8>, SealError> {
        let (nonce, text) = sealed.split_at_checked(NONCE_BYTES).ok_or(SealError::WrongKey)?;
        let payload = Payload { msg: text, aad: place.as_bytes() };
        self.cipher.decrypt(XNonce::from_slice(nonce), payload).map_err(|_| SealError::WrongKey)
    }

    /// A keyed hash for the given purpose, so that a stored value cannot be guessed from the database alone.
    pub fn mac(&self, purpose: &str, value: &[u8]) -> Vec<u8> {
        use hmac::{KeyInit as _, Mac};
        let mut mac = hmac::Hmac::<sha2::Sha256>::new_from_slice(&self.raw).expect("HMAC takes any key length");
        mac.update(purpose.as_bytes());
        mac.update(&[0]);
        mac.update(value);
        mac.finalize().into_bytes().to_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_secret_opens_only_in_its_place_and_with_its_key() {
        let key = SealKey::from_bytes([7; 32]);
        let sealed = key.seal("device/a/1", b"secret");
        assert_eq!(key.open("device/a/1", &sealed).unwrap(), b"secret");
        assert!(key.open("device/b/1", &sealed).is_err());
        assert!(SealKey::from_bytes([8; 32]).open("device/a/1", &sealed).is_err());
        assert!(key.open("device/a/1", b"short").is_err());
    }
}
