//! Standard Webhooks: a signed POST whose id is the same on every attempt, so that a receiver can drop a repeat (I12).
//!
//! 2xx is delivered. A redirect is a failure: followed, it would turn the POST into a GET and lose the alert. The answer's
//! body means nothing and is read only so far that the connection can be used again.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::{SecondsFormat, TimeDelta};
use reqwest::StatusCode;
use reqwest::header::RETRY_AFTER;
use serde_json::{Value, json};

use super::digest::hmac_sha256;
use super::target::{Resolver, check_target};
use super::{Envelope, Outgoing, http};
use crate::domain::message::retry::{Outcome, OutcomeClass};
use crate::domain::message::signing_key;

/// Of an answer; more closes the connection.
const ANSWER_BYTES_MAX: usize = 64 * 1024;
/// An answer that trickles must not hold a place in the queue.
const ANSWER_MILLIS_MAX: u64 = 1_000;

#[derive(Debug, Clone)]
pub struct Webhook {
    client: reqwest::Client,
    allow_private: bool,
}

impl Webhook {
    pub fn new(attempt_timeout: Duration, allow_private: bool) -> Result<Self, reqwest::Error> {
        // The client has no proxy: it would resolve names itself, past the check of private addresses.
        let client = http::client(attempt_timeout).dns_resolver(Resolver { allow_private }).build()?;
        Ok(Self { client, allow_private })
    }

    pub async fn send(&self, outgoing: &Outgoing) -> Outcome {
        let Ok(url) = check_target(&outgoing.address, self.allow_private) else {
            return Outcome::new(OutcomeClass::Permanent, "target refused");
        };
        let stamp = outgoing.at.timestamp();
        let body = marked(outgoing);
        // Never unsigned: a receiver could not tell our alert from anybody's.
        let secret = outgoing.secret.as_ref().and_then(|secret| signing_key(std::str::from_utf8(secret).ok()?));
        let Some(key) = secret else {
            return Outcome::new(OutcomeClass::Permanent, "secret unusable");
        };
        let request = self
            .client
            .post(url)
            .header("content-type", "application/json")
            .header("webhook-id", &outgoing.dedupe_key)
            .header("webhook-timestamp", stamp)
            .header("webhook-signature", sign(&key, &outgoing.dedupe_key, stamp, &body));
        match request.body(body).send().await {
            Ok(response) => {
                let asked = response.headers().get(RETRY_AFTER).and_then(|value| http::retry_after(value.to_str().ok()?, outgoing.at));
                let outcome = of_status(response.status(), asked);
                let _ = tokio::time::timeout(Duration::from_millis(ANSWER_MILLIS_MAX), drain(response)).await;
                outcome
            }
            Err(error) => http::of_error(&error),
        }
    }
}

/// `{"type": …, "timestamp": …, "data": {…}}`: ids, a number, and the text with as little about a person as it needs.
pub fn body(envelope: &Envelope<'_>) -> Vec<u8> {
    let body = json!({
        "type": envelope.kind,
        "timestamp": envelope.sealed_at.to_rfc3339_opts(SecondsFormat::AutoSi, true),
        "data": {
            "message_id": envelope.message_id,
            "call_no": envelope.call_no,
            "recipient": envelope.recipient_id,
            "class": envelope.class,
            "text": envelope.text,
            "alerts": envelope.alerts,
        },
    });
    body.to_string().into_bytes()
}

/// What is sent: as sealed, and in a copy that may be the second one of several channels the text says so.
fn marked(outgoing: &Outgoing) -> Vec<u8> {
    let mark = outgoing.second_mark();
    let sealed: Option<Value> = serde_json::from_slice(&outgoing.body).ok().filter(|_| !mark.is_empty());
    let Some(mut body) = sealed else { return outgoing.body.clone() };
    if let Some(Value::String(text)) = body.pointer_mut("/data/text") {
        text.insert_str(0, &mark);
    }
    body.to_string().into_bytes()
}

/// `v1,` and the HMAC of id, time and body, as the Standard Webhooks specification says.
pub fn sign(key: &[u8], id: &str, stamp: i64, body: &[u8]) -> String {
    let signed = [format!("{id}.{stamp}.").as_bytes(), body].concat();
    format!("v1,{}", STANDARD.encode(hmac_sha256(key, &signed)))
}

async fn drain(mut response: reqwest::Response) {
    let mut read = 0;
    while let Ok(Some(chunk)) = response.chunk().await {
        read += chunk.len();
        if read > ANSWER_BYTES_MAX {
            return;
        }
    }
}

fn of_status(status: StatusCode, wait: Option<TimeDelta>) -> Outcome {
    let class = match status.as_u16() {
        200..=299 => OutcomeClass::Sent,
        410 => OutcomeClass::Gone,
        429 => OutcomeClass::Throttled,
        503 if wait.is_some() => OutcomeClass::Throttled,
        503 | 408 | 425 => OutcomeClass::SafeRetry,
        500..=599 => OutcomeClass::Ambiguous,
        _ => OutcomeClass::Permanent,
    };
    Outcome { wait, ..Outcome::new(class, format!("status {}", status.as_u16())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_equal_the_published_vectors() {
        let vectors: serde_json::Value = serde_json::from_str(include_str!("../../tests/data/standard-webhooks.json")).unwrap();
        for vector in vectors.as_array().unwrap() {
            let text = |name: &str| vector[name].as_str().unwrap();
            let key = signing_key(text("secret")).unwrap();
            let signature = sign(&key, text("id"), vector["ts"].as_i64().unwrap(), text("body").as_bytes());
            assert_eq!(signature, text("signature"), "{}", text("id"));
        }
    }

    #[test]
    fn an_answer_says_whether_to_repeat() {
        use OutcomeClass::{Ambiguous, Gone, Permanent, SafeRetry, Sent, Throttled};
        for (status, expected) in [
            (200, Sent),
            (204, Sent),
            (301, Permanent),
            (302, Permanent),
            (400, Permanent),
            (401, Permanent),
            (404, Permanent),
            (408, SafeRetry),
            (410, Gone),
            (429, Throttled),
            (500, Ambiguous),
            (502, Ambiguous),
            (503, SafeRetry),
            (504, Ambiguous),
        ] {
            assert_eq!(of_status(StatusCode::from_u16(status).unwrap(), None).class, expected, "{status}");
        }
        assert_eq!(of_status(StatusCode::SERVICE_UNAVAILABLE, Some(TimeDelta::seconds(7))).class, Throttled);
    }
}
