//! The key that a device signs with and, while keys are exchanged, the one to come.
//!
//! A technician hands in the next key at the device itself; it is never sent. The server takes both for a while. Must stay true:
//! - The old key goes only when the server has shown that it knows the new one: by the receipt of a message signed with it, or by
//!   settings signed with it.
//! - A next key that fails (a wrong code, a server that has not heard of it) costs one connection and no event: the next connection
//!   uses the other one.
//! - One connection uses one key throughout, because the password that opened it belongs to the key.

use crate::envelope::Key;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SigningKey {
    /// The number by which messages name it.
    pub kid: u8,
    pub key: Key,
}

/// What a device has in its flash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keys {
    pub current: SigningKey,
    pub next: Option<SigningKey>,
}

#[derive(Clone, Debug)]
pub struct Keyring {
    keys: Keys,
    /// The next connection is to try the next key.
    wants_next: bool,
    /// This connection does.
    uses_next: bool,
}

impl Keyring {
    pub const fn new(keys: Keys) -> Self {
        Self { keys, wants_next: keys.next.is_some(), uses_next: false }
    }

    /// The next key was handed in.
    pub const fn offer(&mut self, next: SigningKey) {
        self.keys.next = Some(next);
        self.wants_next = true;
    }

    /// Whether a connection is worth its while only to try the next key.
    pub const fn wants_next(&self) -> bool {
        self.wants_next && self.keys.next.is_some()
    }

    /// A connection begins.
    pub const fn choose(&mut self) {
        self.uses_next = self.wants_next();
    }

    pub fn used(&self) -> &SigningKey {
        self.keys.next.as_ref().filter(|_| self.uses_next).unwrap_or(&self.keys.current)
    }

    /// The keys that the server may have signed with.
    pub fn all(&self) -> impl Iterator<Item = &SigningKey> {
        [Some(&self.keys.current), self.keys.next.as_ref()].into_iter().flatten()
    }

    /// A connection came to nothing: perhaps by its key.
    pub const fn failed(&mut self) {
        self.wants_next = !self.uses_next;
    }

    /// A connection ended well without proof: the next heartbeat tries again.
    pub const fn ended(&mut self) {
        self.wants_next = false;
    }

    pub const fn try_again(&mut self) {
        self.wants_next = true;
    }

    /// The server knows the key of this number. The number if that ends the exchange.
    pub fn proved(&mut self, kid: u8) -> Option<u8> {
        let next = self.keys.next.filter(|next| self.uses_next && next.kid == kid)?;
        *self = Self::new(Keys { current: next, next: None });
        Some(kid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: SigningKey = SigningKey { kid: 1, key: [1; 32] };
    const NEW: SigningKey = SigningKey { kid: 2, key: [2; 32] };

    #[test]
    fn a_failing_next_key_alternates_with_the_old_one() {
        let mut keys = Keyring::new(Keys { current: OLD, next: Some(NEW) });
        let mut used = std::vec::Vec::new();
        for _ in 0..4 {
            keys.choose();
            used.push(keys.used().kid);
            keys.failed();
        }
        assert_eq!(used, [2, 1, 2, 1]);
    }

    #[test]
    fn the_old_key_goes_only_with_a_proof_of_the_one_in_use() {
        let mut keys = Keyring::new(Keys { current: OLD, next: None });
        keys.choose();
        assert_eq!(keys.proved(1), None, "nothing is being exchanged");
        keys.offer(NEW);
        assert_eq!(keys.proved(2), None, "this connection began with the old one");
        keys.choose();
        assert_eq!(keys.proved(1), None);
        assert_eq!(keys.proved(2), Some(2));
        assert_eq!((keys.used(), keys.all().count(), keys.wants_next()), (&NEW, 1, false));
    }

    #[test]
    fn a_connection_without_proof_is_not_repeated_before_the_heartbeat() {
        let mut keys = Keyring::new(Keys { current: OLD, next: Some(NEW) });
        keys.choose();
        keys.ended();
        assert!(!keys.wants_next());
        keys.choose();
        assert_eq!(keys.used(), &OLD);
        keys.try_again();
        assert!(keys.wants_next());
    }
}
