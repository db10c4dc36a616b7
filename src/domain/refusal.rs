//! A request that cannot be done, said so that a person can act on it. The key names a sentence in `locales/`.

use std::collections::BTreeMap;

/// What kind of "no" it is; HTTP turns it into a status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefusalKind {
    /// The thing does not exist, or belongs to somebody else: both answer alike (I30).
    NotFound,
    /// The request is malformed; `field` says where.
    Invalid,
    /// The request contradicts what is already recorded.
    Conflict,
    /// The person may not do this.
    Forbidden,
    /// An If-Match version that is no longer the current one.
    Stale,
}

/// A refusal with its sentence.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind:?}: {key}")]
pub struct Refusal {
    pub kind: RefusalKind,
    pub key: &'static str,
    pub field: Option<String>,
    pub arguments: BTreeMap<&'static str, String>,
}

impl Refusal {
    pub fn new(kind: RefusalKind, key: &'static str) -> Self {
        Self { kind, key, field: None, arguments: BTreeMap::new() }
    }
    pub fn not_found() -> Self {
        Self::new(RefusalKind::NotFound, "problem.not_found")
    }
    pub fn forbidden(key: &'static str) -> Self {
        Self::new(RefusalKind::Forbidden, key)
    }
    pub fn conflict(key: &'static str) -> Self {
        Self::new(RefusalKind::Conflict, key)
    }
    pub fn invalid(field: impl Into<String>, key: &'static str) -> Self {
        Self { field: Some(field.into()), ..Self::new(RefusalKind::Invalid, key) }
    }
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl ToString) -> Self {
        self.arguments.insert(name, value.to_string());
        self
    }
}
