//! What every request gets, whatever its route: an id, a line in the log, safe headers, an answer in the reader's language,
//! and a 500 instead of a dropped connection when a handler panics.
//!
//! The log line holds the route's template, never the path or the query: ids and searches stay out of logs (I34).

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, OnceLock};

use axum::extract::{FromRequestParts, MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, header, request::Parts};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use uuid::Uuid;

use super::HttpState;
use super::crowd::{Holding, Place};
use super::error::{self, HttpError};
use super::pages;
use super::throttle::household;
use crate::text;

/// The documentation page runs its own scripts and styles, and nothing else does.
const DOCS_PATH: &str = "/api/docs";
const POLICY_API: &str = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";
const POLICY_DOCS: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
    connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

/// The socket's other end, put into each request by `server`.
#[derive(Debug, Clone, Copy)]
pub struct Socket(pub SocketAddr);

/// The client's address: the socket's, or what a trusted proxy says.
#[derive(Debug, Clone, Copy)]
pub struct Peer(pub IpAddr);

/// The id of this request, as in the log and in problems.
#[derive(Debug, Clone)]
pub struct RequestId(pub String);

/// What the sign-in has to say to the answer.
#[derive(Debug, Clone, Default)]
pub struct SignInNote(Arc<Noted>);

#[derive(Debug, Default)]
struct Noted {
    locale: OnceLock<&'static str>,
    cookie: OnceLock<HeaderValue>,
}

impl SignInNote {
    /// A member reads her own language, whatever the browser says.
    pub fn speaks(&self, locale: &'static str) {
        let _ = self.0.locale.set(locale);
    }

    /// The session was prolonged: the browser keeps its cookie as long.
    pub fn prolongs(&self, cookie: HeaderValue) {
        let _ = self.0.cookie.set(cookie);
    }
}

/// The outermost layer of every route.
pub async fn envelope(State(state): State<HttpState>, mut request: Request, next: Next) -> Response {
    let started = tokio::time::Instant::now();
    let request_id = Uuid::now_v7().simple().to_string();
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().map_or_else(|| "unknown".to_owned(), |path| path.as_str().to_owned());
    let wanted = accepted_locale(request.headers());
    let page = pages::wants_page(request.uri(), request.headers()).then(|| request.uri().clone());
    let note = SignInNote::default();
    let peer = peer_of(&request, state.app.config.http.trusted_proxy);
    request.extensions_mut().insert(RequestId(request_id.clone()));
    request.extensions_mut().insert(note.clone());
    request.extensions_mut().insert(peer);

    let place = enter(&state, peer);
    let response = if let Err(crowded) = &place {
        HttpError::TooMany { retry_seconds: *crowded }.into_response()
    } else {
        let answered = AssertUnwindSafe(next.run(request)).catch_unwind().await;
        answered.unwrap_or_else(|_| HttpError::Panicked.into_response())
    };
    let locale = note.0.locale.get().copied().unwrap_or(wanted);
    let mut response = error::render(response, locale, &request_id, page.as_ref());
    protect(response.headers_mut(), &route, &request_id);
    if let Some(cookie) = note.0.cookie.get() {
        // A sign-out in the same answer wins.
        response.headers_mut().entry(header::SET_COOKIE).or_insert(cookie.clone());
    }

    let (status, took) = (response.status().as_u16(), started.elapsed());
    tracing::info!(request_id, %method, route, status, ms = took.as_millis(), "request");
    let labels = [("method", method.to_string()), ("route", route), ("status", status.to_string())];
    metrics::histogram!("chenlian_http_request_seconds", &labels).record(took.as_secs_f64());
    match place {
        Ok(Some(place)) => response.map(|body| Holding::body(body, place)),
        _ => response,
    }
}

/// Seconds after which a client with too many open requests may try again.
const CROWDED_SECONDS: u64 = 2;

/// Behind a proxy every connection is the proxy's, so the clients that it names are counted by their open requests.
fn enter(state: &HttpState, Peer(client): Peer) -> Result<Option<Place<IpAddr>>, u64> {
    if !state.app.config.http.trusted_proxy {
        return Ok(None);
    }
    state.requests.enter(household(client)).map(Some).ok_or(CROWDED_SECONDS)
}

fn protect(headers: &mut HeaderMap, route: &str, request_id: &str) {
    let policy = if route.starts_with(DOCS_PATH) { POLICY_DOCS } else { POLICY_API };
    let fixed = [
        (header::CONTENT_SECURITY_POLICY, policy),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        (HeaderName::from_static("permissions-policy"), "camera=(), geolocation=(), microphone=()"),
    ];
    for (name, value) in fixed {
        // A page may set a wider policy of its own.
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    let id = HeaderValue::from_str(request_id).expect("an id is hexadecimal");
    headers.insert(HeaderName::from_static("x-request-id"), id);
}

/// The first language of the client's list that is spoken here.
pub fn accepted_locale(headers: &HeaderMap) -> &'static str {
    let list = headers.get(header::ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let tags = list.split(',').map(|tag| tag.split(';').next().unwrap_or_default().trim().to_ascii_lowercase());
    let known = tags.into_iter().find(|tag| tag.starts_with("en") || tag.starts_with("zh"));
    text::locale(known.as_deref().unwrap_or(text::DEFAULT_LOCALE))
}

/// The last entry of X-Forwarded-For is the one that the proxy in front has written; the others may be made up.
fn peer_of(request: &Request, trusted_proxy: bool) -> Peer {
    let socket = request.extensions().get::<Socket>().map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |socket| socket.0.ip());
    if !trusted_proxy {
        return Peer(socket);
    }
    let said = request.headers().get_all("x-forwarded-for").iter().next_back().and_then(|value| value.to_str().ok());
    let last = said.and_then(|list| list.rsplit(',').next()).and_then(|address| address.trim().parse().ok());
    Peer(last.unwrap_or(socket))
}

impl<S: Send + Sync> FromRequestParts<S> for Peer {
    type Rejection = HttpError;
    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, HttpError> {
        Ok(*parts.extensions.get::<Self>().expect("the envelope is around every route"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_trusted_proxy_may_say_where_a_request_comes_from() {
        let mut request = Request::new(axum::body::Body::empty());
        request.extensions_mut().insert(Socket("127.0.0.1:5000".parse().unwrap()));
        request.headers_mut().insert("x-forwarded-for", HeaderValue::from_static("203.0.113.9, 198.51.100.7"));
        assert_eq!(peer_of(&request, false).0.to_string(), "127.0.0.1");
        assert_eq!(peer_of(&request, true).0.to_string(), "198.51.100.7");
    }

    #[test]
    fn the_first_language_that_we_speak_is_taken() {
        for (accepted, expected) in [("fr, en-GB;q=0.8", "en"), ("zh-TW,en", "zh-CN"), ("fr", "zh-CN"), ("", "zh-CN")] {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT_LANGUAGE, HeaderValue::from_str(accepted).unwrap());
            assert_eq!(accepted_locale(&headers), expected, "{accepted}");
        }
    }
}
