//! A JSON answer that can be kept and given again, and the key under which it is kept (I20).

use axum::extract::FromRequestParts;
use axum::http::{HeaderValue, StatusCode, header, request::Parts};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use super::caller::Caller;
use super::error::HttpError;
use super::json::ContentHash;
use super::page;
use crate::domain::id;
use crate::store::idempotency::{self, Keyed, Stored};
use crate::store::{self, Tx};

/// What a handler answers.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    status: StatusCode,
    body: Value,
    version: Option<i64>,
}

impl Answer {
    pub fn ok(body: &impl Serialize) -> Self {
        Self::new(StatusCode::OK, body)
    }

    pub fn created(body: &impl Serialize) -> Self {
        Self::new(StatusCode::CREATED, body)
    }

    pub fn no_content() -> Self {
        Self { status: StatusCode::NO_CONTENT, body: Value::Null, version: None }
    }

    fn new(status: StatusCode, body: &impl Serialize) -> Self {
        Self { status, body: serde_json::to_value(body).expect("answers are plain data"), version: None }
    }

    /// Adds the ETag that a later change must send as If-Match.
    #[must_use]
    pub fn version(mut self, version: i64) -> Self {
        self.version = Some(version);
        self
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let mut response = if self.status == StatusCode::NO_CONTENT {
            self.status.into_response()
        } else {
            (self.status, axum::Json(self.body)).into_response()
        };
        if let Some(version) = self.version {
            response.headers_mut().insert(header::ETAG, page::etag(version));
        }
        response
    }
}

/// The `Idempotency-Key` header, if there is one.
#[derive(Debug, Clone)]
pub struct IdempotencyKey(Option<String>);

/// One request under its key.
#[derive(Debug, Clone)]
pub struct Once {
    /// The id of the new thing: the client's, or a fresh one.
    pub id: Uuid,
    keyed: Keyed,
}

const KEY_CHARACTERS_MIN: usize = 8;
const KEY_CHARACTERS_MAX: usize = 128;
/// A client that repeats does so within days; a phone may have been without a network for two weeks.
const KEPT_DAYS: i64 = 14;

impl<S: Send + Sync> FromRequestParts<S> for IdempotencyKey {
    type Rejection = HttpError;
    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, HttpError> {
        let Some(value) = parts.headers.get("idempotency-key") else { return Ok(Self(None)) };
        let key = value.to_str().ok().filter(|key| (KEY_CHARACTERS_MIN..=KEY_CHARACTERS_MAX).contains(&key.len()));
        let key = key.ok_or_else(|| HttpError::field("Idempotency-Key", "http.idempotency_key", "expected 8 to 128 ASCII characters"))?;
        Ok(Self(Some(key.to_owned())))
    }
}

impl IdempotencyKey {
    /// A key that the server itself gives.
    pub fn of(key: &str) -> Self {
        Self(Some(key.to_owned()))
    }

    /// The key of a POST: the header, or else the client-made `id` of the body; 400 if there is neither.
    pub fn once(self, caller: &Caller, body_id: Option<Uuid>, hash: ContentHash) -> Result<Once, HttpError> {
        self.maybe(caller, body_id, hash).ok_or_else(no_key)
    }

    /// The same where If-Match already makes a repeat harmless: with a key the repeat also gets the first answer.
    pub fn maybe(self, caller: &Caller, body_id: Option<Uuid>, hash: ContentHash) -> Option<Once> {
        let key = self.0.or_else(|| body_id.map(|id| format!("id:{id}")))?;
        let keyed = Keyed { site_id: caller.site_id, member_id: caller.member_id, key, content_hash: hash.0 };
        Some(Once { id: body_id.unwrap_or_else(Uuid::now_v7), keyed })
    }

    /// For rows that are known by their own id for ever: that of the body, or else one that the header and its sender name.
    pub fn id(&self, sender: Uuid, body_id: Option<Uuid>) -> Option<Uuid> {
        body_id.or_else(|| self.0.as_ref().map(|key| id::keyed(sender, key)))
    }
}

pub fn no_key() -> HttpError {
    HttpError::field("id", "http.id_needed", "expected a UUID, or the header Idempotency-Key")
}

impl Once {
    /// First thing in the transaction: the answer of the first time, if this is a repeat.
    pub async fn replay(&self, tx: &mut Tx, now: DateTime<Utc>) -> store::Result<Option<Answer>> {
        idempotency::forget(tx, self.keyed.site_id, now - TimeDelta::days(KEPT_DAYS)).await?;
        let Some(stored) = idempotency::begin(tx, &self.keyed, now).await? else { return Ok(None) };
        let broken = |why: &dyn std::fmt::Display| store::Error::broken("idempotency", &self.keyed.key, why);
        let (version, body) = serde_json::from_str(&stored.answer).map_err(|error| broken(&error))?;
        let status = u16::try_from(stored.status).ok().and_then(|status| StatusCode::from_u16(status).ok());
        Ok(Some(Answer { status: status.ok_or_else(|| broken(&"no HTTP status"))?, body, version }))
    }

    /// Nothing was done under the key after all: the next request under it is the first.
    pub async fn give_back(&self, tx: &mut Tx) -> store::Result<()> {
        idempotency::give_back(tx, &self.keyed).await
    }

    /// Last thing in the transaction: keeps the answer.
    pub async fn keep(&self, tx: &mut Tx, answer: &Answer) -> store::Result<()> {
        let text = serde_json::to_string(&(answer.version, &answer.body)).expect("answers are plain data");
        idempotency::finish(tx, &self.keyed, &Stored { status: i64::from(answer.status.as_u16()), answer: text }).await
    }
}

/// Marks an answer with a header that [`Answer`] does not keep, such as a cookie.
pub fn with_header(answer: impl IntoResponse, name: header::HeaderName, value: HeaderValue) -> Response {
    let mut response = answer.into_response();
    response.headers_mut().append(name, value);
    response
}
