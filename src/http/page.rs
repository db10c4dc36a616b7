//! Lists in pages and changes with If-Match.

use axum::extract::FromRequestParts;
use axum::http::{HeaderValue, header, request::Parts};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use super::error::HttpError;

/// Items of one page.
pub const PAGE_ITEMS_MAX: i64 = 200;
const PAGE_ITEMS_DEFAULT: i64 = 50;
const CURSOR_BYTES_MAX: usize = 512;

/// How many items a page holds: 1 to 200, 50 if nothing is said. Give it `#[serde(default)]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit(i64);

impl Limit {
    /// As many as a page may hold.
    pub const FULL: Self = Self(PAGE_ITEMS_MAX);

    /// Rows to ask the database for: one more than the page holds tells whether there is a next page.
    pub fn rows(self) -> i64 {
        self.0 + 1
    }
}

impl Default for Limit {
    fn default() -> Self {
        Self(PAGE_ITEMS_DEFAULT)
    }
}

impl<'de> Deserialize<'de> for Limit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let items = i64::deserialize(deserializer)?;
        if (1..=PAGE_ITEMS_MAX).contains(&items) { Ok(Self(items)) } else { Err(D::Error::custom("expected 1 to 200")) }
    }
}

impl PartialSchema for Limit {
    fn schema() -> RefOr<Schema> {
        let number = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(1)).maximum(Some(PAGE_ITEMS_MAX));
        RefOr::T(Schema::Object(number.build()))
    }
}
impl ToSchema for Limit {}

/// The sort key of the last item of the page before, opaque to clients. Give it `#[serde(default)]` as an `Option`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor<K>(pub K);

impl<K: Serialize> Cursor<K> {
    pub fn text(&self) -> String {
        URL_SAFE_NO_PAD.encode(serde_json::to_vec(&self.0).expect("sort keys are plain data"))
    }
}

impl<'de, K: DeserializeOwned> Deserialize<'de> for Cursor<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = Some(text).filter(|text| text.len() <= CURSOR_BYTES_MAX).and_then(|text| URL_SAFE_NO_PAD.decode(text).ok());
        let key = bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        key.map(Self).ok_or_else(|| D::Error::custom("expected the `next` of the page before"))
    }
}

impl<K> PartialSchema for Cursor<K> {
    fn schema() -> RefOr<Schema> {
        RefOr::T(Schema::Object(ObjectBuilder::new().schema_type(Type::String).build()))
    }
}
impl<K> ToSchema for Cursor<K> {
    fn name() -> std::borrow::Cow<'static, str> {
        "Cursor".into()
    }
}

/// One page of a list.
#[derive(Debug, Serialize, ToSchema)]
pub struct Page<T> {
    pub items: Vec<T>,
    /// The `cursor` of the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

impl<T> Page<T> {
    /// Cuts rows asked for with [`Limit::rows`] to a page; `key` is the sort key of an item.
    pub fn cut<K: Serialize>(mut items: Vec<T>, limit: Limit, key: impl Fn(&T) -> K) -> Self {
        let keep = usize::try_from(limit.0).expect("a limit is at most 200");
        let more = items.len() > keep;
        items.truncate(keep);
        let next = items.last().filter(|_| more).map(|last| Cursor(key(last)).text());
        Self { items, next }
    }

    /// The same page with other items.
    pub fn map<U>(self, change: impl FnMut(T) -> U) -> Page<U> {
        Page { items: self.items.into_iter().map(change).collect(), next: self.next }
    }
}

/// The tag of a version of an editable row.
pub fn etag(version: i64) -> HeaderValue {
    HeaderValue::from_str(&format!("\"{version}\"")).expect("a number in quotes is a header value")
}

/// The version that the client saw; 428 without it, 400 if it is no tag of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IfMatch(pub i64);

impl IfMatch {
    /// Compares with what is stored; the refusal shows the current value.
    pub fn check(self, version: i64, current: &impl Serialize) -> Result<(), HttpError> {
        if self.0 == version { Ok(()) } else { Err(HttpError::stale(version, current)) }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for IfMatch {
    type Rejection = HttpError;
    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, HttpError> {
        let value = parts.headers.get(header::IF_MATCH).ok_or(HttpError::IfMatchRequired)?;
        let tag = value.to_str().ok().and_then(|tag| tag.strip_prefix('"')?.strip_suffix('"')?.parse().ok());
        tag.map(Self).ok_or_else(|| HttpError::field("If-Match", "http.field_if_match", "expected the ETag of the last answer"))
    }
}
