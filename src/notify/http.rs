//! One HTTP exchange with a provider, for every channel that speaks HTTP: the request as it was built, the answer as far as it may
//! be read, and what a broken link says about whether the message arrived (I12).
//!
//! A status of 200 is not delivery: each channel reads the body and takes nothing for success but what says so.

use std::error::Error as _;
use std::sync::OnceLock;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use reqwest::header::{DATE, RETRY_AFTER};
use reqwest::{ClientBuilder, RequestBuilder, redirect};
use rustls::ClientConfig;
use rustls_platform_verifier::ConfigVerifierExt;
use serde::de::DeserializeOwned;

use super::target::PrivateTarget;
use crate::domain::message::retry::{Outcome, OutcomeClass};

const CONNECT_SECONDS_MAX: u64 = 5;
/// Of an answer; what is longer is no answer of a provider.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// What every client of the channels is: no redirect (a followed one turns the POST into a GET and loses the alert), no proxy of the
/// environment, bounded in time.
pub fn client(attempt_timeout: Duration) -> ClientBuilder {
    speaking(attempt_timeout, &[b"h2", b"http/1.1"])
}

/// The same for a provider whose request must keep its form on the wire.
pub fn client_http1(attempt_timeout: Duration) -> ClientBuilder {
    speaking(attempt_timeout, &[b"http/1.1"]).http1_only()
}

fn speaking(attempt_timeout: Duration, protocols: &[&[u8]]) -> ClientBuilder {
    let builder = reqwest::Client::builder()
        .redirect(redirect::Policy::none())
        .connect_timeout(Duration::from_secs(CONNECT_SECONDS_MAX))
        .timeout(attempt_timeout)
        .no_proxy()
        .user_agent(concat!("chenlian/", env!("CARGO_PKG_VERSION")));
    match trust() {
        Some(mut trust) => {
            trust.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
            builder.tls_backend_preconfigured(trust)
        }
        None => builder,
    }
}

/// Whom the machine trusts, read once: there are more than a hundred authorities, and half a dozen clients ask for them. `None`:
/// they cannot be read, which building a client then says.
fn trust() -> Option<ClientConfig> {
    static TRUST: OnceLock<Option<ClientConfig>> = OnceLock::new();
    TRUST
        .get_or_init(|| {
            // The process has one TLS provider; whoever installed it first chose the same one.
            let _ = rustls::crypto::ring::default_provider().install_default();
            ClientConfig::with_platform_verifier().ok()
        })
        .clone()
}

/// An answer that arrived whole.
#[derive(Debug, Clone, Default)]
pub struct Reply {
    pub status: u16,
    pub body: Vec<u8>,
    /// What the receiver asked for, from the moment of sending.
    pub retry_after: Option<TimeDelta>,
    /// How far our clock is ahead of the one that the answer was dated by, if it was.
    pub ahead: Option<TimeDelta>,
}

impl Reply {
    /// The body, if it is what the provider's answers are.
    pub fn json<T: DeserializeOwned>(&self) -> Option<T> {
        serde_json::from_slice(&self.body).ok()
    }

    /// What the status alone says, for answers whose body says nothing; `None` for 2xx.
    pub fn by_status(&self) -> Option<Outcome> {
        let class = match self.status {
            200..=299 => return None,
            429 => OutcomeClass::Throttled,
            503 if self.retry_after.is_some() => OutcomeClass::Throttled,
            503 | 408 | 425 => OutcomeClass::SafeRetry,
            500..=599 => OutcomeClass::Ambiguous,
            _ => OutcomeClass::Permanent,
        };
        Some(Outcome { wait: self.retry_after, ..Outcome::new(class, format!("status {}", self.status)) })
    }

    /// A 2xx whose body is not an answer (HTML of a gateway, cut off): the message may have been accepted.
    pub fn unclear(&self) -> Outcome {
        self.by_status().unwrap_or_else(|| Outcome::new(OutcomeClass::Ambiguous, "unreadable answer"))
    }
}

/// Sends and reads the answer whole.
///
/// # Errors
/// How the attempt ended when no whole answer came.
pub async fn exchange(request: RequestBuilder, now: DateTime<Utc>) -> Result<Reply, Outcome> {
    let mut response = request.send().await.map_err(|error| of_error(&error))?;
    let status = response.status().as_u16();
    let retry_after = response.headers().get(RETRY_AFTER).and_then(|value| retry_after(value.to_str().ok()?, now));
    let dated = response.headers().get(DATE).and_then(|value| DateTime::parse_from_rfc2822(value.to_str().ok()?).ok());
    let ahead = dated.map(|dated| now - dated.to_utc());
    let mut body = Vec::new();
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) => body.extend_from_slice(&chunk),
            Ok(None) => return Ok(Reply { status, body, retry_after, ahead }),
            Err(error) => return Err(of_error(&error)),
        }
        if body.len() > ANSWER_BYTES_MAX {
            return Err(Outcome::new(OutcomeClass::Ambiguous, "answer too long"));
        }
    }
}

/// What the header `host` of a request to this address says; signatures cover it.
pub fn host(base_url: &str) -> String {
    let Ok(url) = reqwest::Url::parse(base_url) else { return String::new() };
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// Seconds, or a date as HTTP writes it.
pub fn retry_after(text: &str, now: DateTime<Utc>) -> Option<TimeDelta> {
    if let Ok(seconds) = text.trim().parse::<u32>() {
        return Some(TimeDelta::seconds(i64::from(seconds)));
    }
    let date = DateTime::parse_from_rfc2822(text.trim()).ok()?.to_utc();
    Some((date - now).max(TimeDelta::zero()))
}

/// The details never hold the address: it may carry a token.
pub fn of_error(error: &reqwest::Error) -> Outcome {
    if leads_inside(error) {
        return Outcome::new(OutcomeClass::Permanent, "target refused");
    }
    if error.is_builder() {
        return Outcome::new(OutcomeClass::Permanent, "request cannot be built");
    }
    if error.is_connect() {
        return Outcome::new(OutcomeClass::SafeRetry, "no connection");
    }
    let detail = if error.is_timeout() { "timeout" } else { "link broke" };
    Outcome::new(OutcomeClass::Ambiguous, detail)
}

/// Whether the resolver refused the name: the client reports that as a failed connection.
fn leads_inside(error: &reqwest::Error) -> bool {
    let mut cause = error.source();
    while let Some(inner) = cause {
        if inner.is::<PrivateTarget>() {
            return true;
        }
        cause = inner.source();
    }
    false
}

/// A provider's code as it may stand in the delivery log: it comes from outside.
pub fn word(code: &str) -> String {
    const LENGTH_MAX: usize = 64;
    code.chars().filter(|c| c.is_ascii_alphanumeric() || "._-".contains(*c)).take(LENGTH_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_cannot_smuggle_text_into_the_log() {
        assert_eq!(word("isv.X\n13800001111 张"), "isv.X13800001111");
        assert_eq!(word(&"A".repeat(100)).len(), 64);
    }
}
