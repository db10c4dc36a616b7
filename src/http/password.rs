//! Passwords: 8 to 128 characters of any kind, never truncated, Argon2id with the crate's OWASP parameters.
//!
//! Both functions take tens of milliseconds and much memory: call them in `spawn_blocking`, as [`Hashing`] does.

use std::sync::{Arc, LazyLock};

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use tokio::sync::Semaphore;
use unicode_normalization::UnicodeNormalization;

use super::error::HttpError;

const CHARACTERS_MIN: usize = 8;
const CHARACTERS_MAX: usize = 128;
/// Hashes at once; each takes 19 MiB and a core.
const AT_ONCE_MAX: usize = 2;
/// Sign-ins that wait for a turn; beyond it the caller is told to come back.
const WAITING_MAX: usize = 64;

#[derive(Debug, thiserror::Error)]
#[error("a password has {CHARACTERS_MIN} to {CHARACTERS_MAX} characters")]
pub struct BadLength;

/// The string to store, with its parameters and its salt.
pub fn hash(password: &str) -> Result<String, BadLength> {
    let plain: String = password.nfc().collect();
    if !(CHARACTERS_MIN..=CHARACTERS_MAX).contains(&plain.chars().count()) {
        return Err(BadLength);
    }
    let hash: PasswordHash = Argon2::default().hash_password(plain.as_bytes()).expect("the default parameters are valid");
    Ok(hash.to_string())
}

/// Whether the password is the stored one. Without a stored one it takes the same time and is never right.
pub fn verify(password: &str, stored: Option<&str>) -> bool {
    static NOBODY: LazyLock<String> = LazyLock::new(|| hash("nobody has this password").expect("its length is allowed"));
    let plain: String = password.nfc().take(CHARACTERS_MAX + 1).collect();
    let parsed = PasswordHash::new(stored.unwrap_or(&NOBODY)).or_else(|_| PasswordHash::new(&NOBODY));
    let right = parsed.is_ok_and(|hash| Argon2::default().verify_password(plain.as_bytes(), &hash).is_ok());
    right && stored.is_some()
}

/// Bounds the hashing of a whole server.
#[derive(Debug, Clone)]
pub struct Hashing {
    running: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
}

impl Default for Hashing {
    fn default() -> Self {
        // The first unknown account must not take longer than the first known one.
        std::thread::spawn(|| verify("", None));
        Self { running: Arc::new(Semaphore::new(AT_ONCE_MAX)), waiting: Arc::new(Semaphore::new(WAITING_MAX)) }
    }
}

impl Hashing {
    /// Runs `work` on a thread of its own when it is its turn. A client that leaves does not free the turn early.
    pub async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, HttpError> {
        let place = self.waiting.clone().try_acquire_owned().map_err(|_| HttpError::TooMany { retry_seconds: 5 })?;
        let turn = self.running.clone().acquire_owned().await.map_err(|_| HttpError::Panicked)?;
        let task = tokio::task::spawn_blocking(move || {
            let _held = (place, turn);
            work()
        });
        task.await.map_err(|_| HttpError::Panicked)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_password_counts_to_its_last_character() {
        let long = "晨".repeat(128);
        let stored = hash(&long).unwrap();
        assert!(verify(&long, Some(&stored)));
        assert!(!verify(&"晨".repeat(127), Some(&stored)));
        assert!(!verify(&format!("{long}x"), Some(&stored)));
        assert!(hash(&"晨".repeat(129)).is_err());
        assert!(hash("1234567").is_err());
    }

    #[test]
    fn nobody_signs_in_without_a_stored_password() {
        assert!(!verify("nobody has this password", None));
        assert!(!verify("anything else", Some("not a hash")));
    }
}
