//! Every "no" of the API as an RFC 9457 problem, in the reader's language. Only this file makes a 5xx, and only here is one
//! logged: once, with the request id, without a word of what the person sent (I18, I34).
//!
//! An error becomes a response in two steps: `IntoResponse` sets the status and leaves the error in the response, and
//! [`render`], called by `envelope`, writes the body when the language is known.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::http::{HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::pages;
use crate::domain::misread::{Misread, misread};
use crate::domain::refusal::{Refusal, RefusalKind};
use crate::{store, text};

/// After a failure of ours a program tries again this much later.
const RETRY_SECONDS: u64 = 2;

/// Why a request was not done.
#[derive(Debug)]
pub enum HttpError {
    /// 400: malformed; every field is named.
    Invalid(Vec<FieldError>),
    /// 400, 403, 404, 409 or 412: what the domain or the store refused.
    Refused(Refusal),
    /// 401: no sign-in, or one that has ended.
    SignInRequired,
    /// 401: phone or password is wrong; which one stays unsaid.
    WrongPassword,
    /// 401: phone and password are right, and this member also has a code to type.
    CodeNeeded,
    /// 401: that code is wrong, too old, or was used before.
    WrongCode,
    /// 403: this act needs a password typed a moment ago.
    RecentSignInRequired,
    /// 403: a page of another site sent this.
    CrossSite,
    /// 404: unknown, or somebody else's: both answer alike (I30).
    NotFound,
    /// 405
    Method,
    /// 408: the body did not arrive in time.
    BodyTimeout,
    /// 412: somebody else changed it first; `current` is what is there now.
    Stale { version: i64, current: Value },
    /// 413
    TooLarge { bytes_max: usize },
    /// 415
    MediaType,
    /// 428: a change needs If-Match.
    IfMatchRequired,
    /// 429
    TooMany { retry_seconds: u64 },
    /// 503 or 500: the store could not do it, or its outcome is unknown.
    Store(store::Error),
    /// 500: a bug.
    Panicked,
}

/// One field that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldError {
    /// As the client wrote it: `signals[3].observed_at`.
    pub field: String,
    /// The sentence for people, and what is filled in.
    pub key: &'static str,
    pub arguments: BTreeMap<&'static str, String>,
    /// The exact words for programmers: what was expected. Never repeats what was sent.
    pub expected: String,
}

/// The body of every error.
#[derive(Debug, Serialize, ToSchema)]
pub struct Problem {
    /// A name for programs: `urn:chenlian:` and the key.
    pub r#type: String,
    /// What kind of problem, in the reader's language.
    pub title: String,
    pub status: u16,
    /// What to do, in the reader's language.
    pub detail: String,
    /// The sentence's key.
    pub key: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<ProblemField>,
    /// On 412: the current value.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub current: Option<Value>,
    /// To quote when asking for help.
    pub request_id: String,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct ProblemField {
    pub field: String,
    /// What to do, in the reader's language.
    pub detail: String,
    /// For programmers, in English: what was expected there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected: Option<String>,
}

impl HttpError {
    /// A field, the sentence for people, and for programs what was expected there.
    pub fn field(field: impl Into<String>, key: &'static str, expected: impl ToString) -> Self {
        Self::Invalid(vec![FieldError { field: field.into(), key, arguments: BTreeMap::new(), expected: expected.to_string() }])
    }

    pub fn stale(version: i64, current: &impl Serialize) -> Self {
        Self::Stale { version, current: serde_json::to_value(current).expect("answers are plain data") }
    }

    fn status(&self) -> StatusCode {
        match self {
            Self::Invalid(_) => StatusCode::BAD_REQUEST,
            Self::Refused(refusal) => match refusal.kind {
                RefusalKind::NotFound => StatusCode::NOT_FOUND,
                RefusalKind::Invalid => StatusCode::BAD_REQUEST,
                RefusalKind::Conflict => StatusCode::CONFLICT,
                RefusalKind::Forbidden => StatusCode::FORBIDDEN,
                RefusalKind::Stale => StatusCode::PRECONDITION_FAILED,
            },
            Self::SignInRequired | Self::WrongPassword | Self::CodeNeeded | Self::WrongCode => StatusCode::UNAUTHORIZED,
            Self::RecentSignInRequired | Self::CrossSite => StatusCode::FORBIDDEN,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::BodyTimeout => StatusCode::REQUEST_TIMEOUT,
            Self::Stale { .. } => StatusCode::PRECONDITION_FAILED,
            Self::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::MediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::IfMatchRequired => StatusCode::PRECONDITION_REQUIRED,
            Self::TooMany { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::Store(store::Error::Broken { .. }) | Self::Panicked => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Store(_) => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    fn key(&self) -> &'static str {
        match self {
            Self::Invalid(_) => "http.invalid",
            Self::Refused(refusal) => refusal.key,
            Self::SignInRequired => "problem.sign_in_required",
            Self::WrongPassword => "http.wrong_password",
            Self::CodeNeeded => "http.code_needed",
            Self::WrongCode => "http.wrong_code",
            Self::RecentSignInRequired => "http.recent_sign_in_required",
            Self::CrossSite => "http.cross_site",
            Self::NotFound => "problem.not_found",
            Self::Method => "http.method",
            Self::BodyTimeout => "http.body_timeout",
            Self::Stale { .. } => "http.stale",
            Self::TooLarge { .. } => "http.too_large",
            Self::MediaType => "http.media_type",
            Self::IfMatchRequired => "http.if_match_required",
            Self::TooMany { .. } => "http.too_many",
            Self::Store(store::Error::Broken { .. }) | Self::Panicked => "http.broken",
            Self::Store(_) => "http.unavailable",
        }
    }

    fn detail(&self, locale: &str) -> String {
        match self {
            Self::Refused(refusal) => text::render(locale, refusal.key, &refusal.arguments),
            Self::TooLarge { bytes_max } => text::render(locale, self.key(), &[("bytes", bytes_max.to_string())].into_iter().collect()),
            Self::TooMany { retry_seconds } => {
                text::render(locale, self.key(), &[("seconds", retry_seconds.to_string())].into_iter().collect())
            }
            _ => text::plain(locale, self.key()),
        }
    }

    fn fields(&self, locale: &str) -> Vec<ProblemField> {
        match self {
            Self::Invalid(errors) => errors
                .iter()
                .map(|error| ProblemField {
                    field: error.field.clone(),
                    detail: text::render(locale, error.key, &error.arguments),
                    expected: Some(error.expected.clone()),
                })
                .collect(),
            Self::Refused(refusal) => {
                let said = |field: &String| ProblemField { field: field.clone(), detail: self.detail(locale), expected: None };
                refusal.field.iter().map(said).collect()
            }
            _ => Vec::new(),
        }
    }

    /// Title and sentence, in the reader's language.
    pub fn told(&self, locale: &str) -> (String, String) {
        (text::plain(locale, &format!("http.status_{}", self.status().as_u16())), self.detail(locale))
    }

    /// For one item of a list: its field, if one is named, and the sentence.
    pub fn first_field(&self, locale: &str) -> (Option<String>, String) {
        match self.fields(locale).into_iter().next() {
            Some(field) => (Some(field.field), field.detail),
            None => (None, self.detail(locale)),
        }
    }

    fn retry_seconds(&self) -> Option<u64> {
        match self {
            Self::TooMany { retry_seconds } => Some(*retry_seconds),
            Self::Store(store::Error::Database(_) | store::Error::Unknown(_) | store::Error::Busy) => Some(RETRY_SECONDS),
            _ => None,
        }
    }

    /// One line for the operator; a 4xx is the client's business.
    fn log(&self, request_id: &str) {
        match self {
            Self::Store(store::Error::Database(error)) => {
                tracing::error!(request_id, cause = %describe(error), "the database did not do its work");
            }
            Self::Store(store::Error::Unknown(error)) => {
                tracing::error!(request_id, cause = %describe(error), "nobody knows whether the database has committed");
            }
            Self::Store(store::Error::Busy) => tracing::error!(request_id, cause = "busy", "the database is busy"),
            Self::Store(store::Error::Broken { what, id, why }) => {
                tracing::error!(request_id, what, id, why, "a record cannot be read");
            }
            Self::Panicked => tracing::error!(request_id, "a handler panicked"),
            _ => {}
        }
    }
}

/// What failed, without values: a database quotes them only in the texts of data errors, which are left out.
fn describe(error: &sqlx::Error) -> String {
    match error.as_database_error() {
        None => error.to_string(),
        Some(refused) => {
            let code = refused.code().unwrap_or_default().into_owned();
            // 42: a statement that does not fit the schema; 1: the same on SQLite.
            if code.starts_with("42") || code == "1" { format!("{code} {}", refused.message()) } else { code }
        }
    }
}

impl FieldError {
    /// What a library says about a field.
    pub fn misread(field: impl Into<String>, reason: &str) -> Self {
        let Misread { key, arguments, expected, missing } = misread(reason);
        let (mut field, missing) = (field.into(), missing.unwrap_or_default());
        if !field.is_empty() && !missing.is_empty() {
            field.push('.');
        }
        Self { field: field + &missing, key, arguments: arguments.into_iter().collect(), expected }
    }
}

impl From<store::Error> for HttpError {
    fn from(error: store::Error) -> Self {
        match error {
            store::Error::Refused(refusal) => Self::Refused(refusal),
            // The store's own look before the insert lost a race: the thing is there, which is no failure of ours.
            store::Error::Database(error) if error.as_database_error().is_some_and(sqlx::error::DatabaseError::is_unique_violation) => {
                Self::Refused(Refusal::conflict("http.already_exists"))
            }
            other => Self::Store(other),
        }
    }
}

impl From<Refusal> for HttpError {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// The error on its way from the handler to [`render`].
#[derive(Clone)]
struct Carried(Arc<HttpError>);

impl IntoResponse for HttpError {
    fn into_response(self) -> Response {
        let mut response = self.status().into_response();
        response.extensions_mut().insert(Carried(Arc::new(self)));
        response
    }
}

/// Writes the body of an error, for a browser at `page` as HTML; any other response passes unchanged.
pub fn render(mut response: Response, locale: &'static str, request_id: &str, page: Option<&Uri>) -> Response {
    let Some(Carried(error)) = response.extensions_mut().remove::<Carried>() else { return response };
    error.log(request_id);
    let status = error.status();
    if let Some(uri) = page {
        let mut rendered = pages::problem(&error, uri, locale, request_id);
        if !rendered.status().is_redirection() {
            *rendered.status_mut() = status;
        }
        if let Some(seconds) = error.retry_seconds() {
            rendered.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        return rendered;
    }
    let key = error.key();
    let (title, detail) = error.told(locale);
    let problem = Problem {
        r#type: format!("urn:chenlian:{key}"),
        title,
        status: status.as_u16(),
        detail,
        key,
        errors: error.fields(locale),
        current: if let HttpError::Stale { current, .. } = &*error { Some(current.clone()) } else { None },
        request_id: request_id.to_owned(),
    };
    let mut rendered = (status, Json(problem)).into_response();
    // What the router set beside the status (Allow on 405) stays.
    for (name, value) in response.headers() {
        if *name != header::CONTENT_LENGTH && *name != header::CONTENT_TYPE {
            rendered.headers_mut().insert(name, value.clone());
        }
    }
    let headers = rendered.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    headers.insert(header::CONTENT_LANGUAGE, HeaderValue::from_str(locale).expect("a locale is a word"));
    if let Some(seconds) = error.retry_seconds() {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    if let HttpError::Stale { version, .. } = &*error {
        headers.insert(header::ETAG, super::page::etag(*version));
    }
    if status == StatusCode::UNAUTHORIZED {
        headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    rendered
}

/// For the operator's probe (`ops`): this process should get no requests now.
pub const NOT_READY: StatusCode = StatusCode::SERVICE_UNAVAILABLE;
