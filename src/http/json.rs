//! Strict input: what a client sends is read completely or refused with the name of the field (reliability.md §6).
//!
//! [`StrictJson`] reads a body in two passes. The first builds a tree and refuses what no field may hold: bytes that are not
//! UTF-8, NUL, lone surrogates, duplicate keys, too much depth; strings become NFC. The second turns the tree into the
//! request type, whose `deny_unknown_fields` refuses the rest; then garde checks the values.

use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::{HeaderMap, header, request::Parts};
use garde::Validate;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::de::DeserializeOwned;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::HttpState;
use super::error::{FieldError, HttpError};
use super::object::Written;
use super::tree;

/// Bytes of an ordinary body.
pub const BODY_BYTES_MAX: usize = 64 * 1024;
/// Bytes of a body that carries a list (`POST /signals`).
pub const BATCH_BYTES_MAX: usize = 1024 * 1024;

/// SHA-256 of what a request says: the same content has the same hash, whatever its spacing and key order (I20).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ContentHash(pub [u8; 32]);

impl ContentHash {
    /// Of a value in canonical form; for the `content_hash` column of a row with a client-made id.
    pub fn of(value: &impl serde::Serialize) -> Self {
        let value = serde_json::to_value(value).expect("contents are plain data");
        Self(Sha256::digest(tree::canonical(&value)).into())
    }
}

/// A JSON body of at most [`BODY_BYTES_MAX`], with the hash of its content.
#[derive(Debug)]
pub struct StrictJson<T>(pub T, pub ContentHash);

/// A JSON body of at most [`BATCH_BYTES_MAX`].
#[derive(Debug)]
pub struct BatchJson<T>(pub T, pub ContentHash);

/// A query string: every parameter known, given once, valid.
#[derive(Debug)]
pub struct StrictQuery<T>(pub T);

/// Parameters of the path. One that is malformed names nothing that exists: 404, like an unknown id.
#[derive(Debug)]
pub struct Segments<T>(pub T);

impl<T> FromRequest<HttpState> for StrictJson<T>
where
    T: DeserializeOwned + Validate<Context = ()>,
{
    type Rejection = HttpError;
    async fn from_request(request: Request, state: &HttpState) -> Result<Self, HttpError> {
        let (value, hash) = read(request, state, BODY_BYTES_MAX).await?;
        Ok(Self(value, hash))
    }
}

impl<T> FromRequest<HttpState> for BatchJson<T>
where
    T: DeserializeOwned + Validate<Context = ()>,
{
    type Rejection = HttpError;
    async fn from_request(request: Request, state: &HttpState) -> Result<Self, HttpError> {
        let (value, hash) = read(request, state, BATCH_BYTES_MAX).await?;
        Ok(Self(value, hash))
    }
}

impl<T, S> FromRequestParts<S> for StrictQuery<T>
where
    T: DeserializeOwned,
    S: Send + Sync,
{
    type Rejection = HttpError;
    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, HttpError> {
        parse_query(parts.uri.query().unwrap_or_default()).map(Self)
    }
}

impl<T, S> FromRequestParts<S> for Segments<T>
where
    T: DeserializeOwned + Send,
    S: Send + Sync,
{
    type Rejection = HttpError;
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, HttpError> {
        let axum::extract::Path(value) =
            axum::extract::Path::<T>::from_request_parts(parts, state).await.map_err(|_| HttpError::NotFound)?;
        Ok(Self(value))
    }
}

async fn read<T>(request: Request, state: &HttpState, bytes_max: usize) -> Result<(T, ContentHash), HttpError>
where
    T: DeserializeOwned + Validate<Context = ()>,
{
    require_json(request.headers())?;
    // Hash and route: the same key on another route is another request.
    let place = format!("{} {}", request.method(), request.uri().path());
    let bytes = read_body(request, bytes_max, state.app.config.http.header_timeout.std()).await?;
    parse_json(&bytes, &place)
}

fn require_json(headers: &HeaderMap) -> Result<(), HttpError> {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if essence == "application/json" { Ok(()) } else { Err(HttpError::MediaType) }
}

pub(super) async fn read_body(request: Request, bytes_max: usize, time: Duration) -> Result<Bytes, HttpError> {
    let body = Limited::new(request.into_body(), bytes_max).collect();
    match tokio::time::timeout(time, body).await {
        Err(_) => Err(HttpError::BodyTimeout),
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(HttpError::TooLarge { bytes_max }),
        // The client went away in the middle: nobody reads the answer.
        Ok(Err(_)) => Err(HttpError::field("", "http.field_cut_off", "expected the whole body")),
    }
}

/// Bytes to a request type.
pub fn parse_json<T>(bytes: &[u8], place: &str) -> Result<(T, ContentHash), HttpError>
where
    T: DeserializeOwned + Validate<Context = ()>,
{
    let text = std::str::from_utf8(bytes)
        .map_err(|error| HttpError::field("", "http.field_text", format!("expected UTF-8 from byte {} on", error.valid_up_to())))?;
    let tree = tree::parse(text)?;
    let mut hasher = Sha256::new();
    hasher.update(place.as_bytes());
    hasher.update([0]);
    hasher.update(tree::canonical(&tree));
    Ok((read_tree(tree)?, ContentHash(hasher.finalize().into())))
}

/// One item of a list whose items are judged one by one.
pub fn read_tree<T>(tree: Value) -> Result<T, HttpError>
where
    T: DeserializeOwned + Validate<Context = ()>,
{
    let value: T = from_tree(tree)?;
    validate(&value)?;
    Ok(value)
}

fn from_tree<T: DeserializeOwned>(tree: Value) -> Result<T, HttpError> {
    // A request type that is no struct by its form (a flattened one) is still an object.
    if !tree.is_object() {
        return Err(HttpError::field("", "http.field_object", "expected an object"));
    }
    serde_path_to_error::deserialize(Written(tree)).map_err(|error| {
        let path = error.path().to_string();
        refuse(&path, &error.into_inner().to_string())
    })
}

/// Percent-encoded text to a request type.
pub fn parse_query<T: DeserializeOwned>(query: &str) -> Result<T, HttpError> {
    let mut seen = std::collections::BTreeSet::new();
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        // The decoder puts U+FFFD where bytes are not UTF-8.
        let broken = |text: &str| text.contains(['\0', char::REPLACEMENT_CHARACTER]);
        if broken(&name) || broken(&value) {
            return Err(HttpError::field(name, "http.field_text", "expected UTF-8 without NUL"));
        }
        if !seen.insert(name.to_string()) {
            return Err(HttpError::field(name, "http.field_twice", "expected once"));
        }
    }
    let parser = serde_urlencoded::Deserializer::new(form_urlencoded::parse(query.as_bytes()));
    serde_path_to_error::deserialize(parser).map_err(|error| {
        let path = error.path().to_string();
        refuse(&path, &error.into_inner().to_string())
    })
}

/// Serde's path and sentence.
fn refuse(path: &str, reason: &str) -> HttpError {
    HttpError::Invalid(vec![FieldError::misread(if path == "." { "" } else { path }, reason)])
}

fn validate<T: Validate<Context = ()>>(value: &T) -> Result<(), HttpError> {
    let Err(report) = value.validate() else { return Ok(()) };
    let errors = report.iter().map(|(path, error)| FieldError::misread(path.to_string(), error.message())).collect();
    Err(HttpError::Invalid(errors))
}
