//! Alibaba Cloud (阿里云): its signature, and what its answers mean. Text messages and calls share both.
//!
//! Wire: `POST https://HOST/?QUERY` with an empty body; the parameters stand in the query, sorted by name, percent-encoded as RFC 3986
//! says (space `%20`, `*` `%2A`, `~` as it is), because the signature covers them so. Headers: `host`, `x-acs-action`,
//! `x-acs-version: 2017-05-25`, `x-acs-date: 2023-11-14T22:13:20Z`, `x-acs-signature-nonce`, `x-acs-content-sha256`, and
//! `Authorization: ACS3-HMAC-SHA256 Credential=KEY,SignedHeaders=a;b,Signature=HEX` (commas without spaces).
//!
//! Signature: the canonical request is `POST\n/\nQUERY\nname:value\n…\nnames;joined\nSHA256(body)`, headers in small letters and sorted;
//! it is the HMAC-SHA256, under the secret, of `ACS3-HMAC-SHA256\n` and the SHA-256 of that. Dates may be 15 minutes off. A nonce is
//! taken once: who sends the same bytes again learns by `SignatureNonceUsed` that the first copy reached the gateway.
//!
//! Answers: JSON with `Code`, `Message`, `RequestId`. The gateway's errors come with 4xx or 5xx, those of the service (`isv.`, `isp.`)
//! with 200; only 200 with `Code` `OK` is acceptance. HTTP/1.1, so that the `host` that is signed is also sent under this name.
//!
//! Sources: the vendor's pages on request signing (V3) and on error codes; vectors in `tests/data/channels.json`.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde::Deserialize;

use super::digest::{hex, hmac_sha256, sha256_hex};
use super::http::{self, Reply, word};
use crate::config::Secret;
use crate::domain::message::retry::{Outcome, OutcomeClass};

const ALGORITHM: &str = "ACS3-HMAC-SHA256";
/// Of both services.
const VERSION: &str = "2017-05-25";
const NONCE_LENGTH: usize = 32;
/// The words for minute, hour and day in the message of a limit: 分钟, 小时, 天.
const LIMITS: [(&str, TimeDelta); 3] =
    [("\u{5206}\u{949f}", TimeDelta::minutes(1)), ("\u{5c0f}\u{65f6}", TimeDelta::hours(1)), ("\u{5929}", TimeDelta::hours(24))];

/// Everything that a signature covers.
#[derive(Debug, Clone, Copy)]
pub struct Signed<'a> {
    pub host: &'a str,
    pub action: &'a str,
    pub version: &'a str,
    pub date: &'a str,
    pub nonce: &'a str,
    /// Canonical, see [`canonical_query`].
    pub query: &'a str,
}

impl Signed<'_> {
    /// The value of `Authorization`.
    pub fn authorization(&self, key_id: &str, key_secret: &str) -> String {
        let body = sha256_hex(b"");
        let headers = [
            ("host", self.host),
            ("x-acs-action", self.action),
            ("x-acs-content-sha256", &body),
            ("x-acs-date", self.date),
            ("x-acs-signature-nonce", self.nonce),
            ("x-acs-version", self.version),
        ];
        let lines = headers.map(|(name, value)| format!("{name}:{value}\n")).concat();
        let names = headers.map(|(name, _)| name).join(";");
        let canonical = format!("POST\n/\n{}\n{lines}\n{names}\n{body}", self.query);
        let to_sign = format!("{ALGORITHM}\n{}", sha256_hex(canonical.as_bytes()));
        let signature = hex(&hmac_sha256(key_secret.as_bytes(), to_sign.as_bytes()));
        format!("{ALGORITHM} Credential={key_id},SignedHeaders={names},Signature={signature}")
    }
}

/// Sorted by name and encoded as the signature wants it; the address carries the same bytes.
pub fn canonical_query(parameters: &[(&str, &str)]) -> String {
    let mut sorted = parameters.to_vec();
    sorted.sort_unstable();
    sorted.iter().map(|(name, value)| format!("{}={}", encoded(name), encoded(value))).collect::<Vec<_>>().join("&")
}

/// RFC 3986: everything but the unreserved characters.
fn encoded(text: &str) -> String {
    use std::fmt::Write;
    text.bytes().fold(String::with_capacity(text.len()), |mut encoded, byte| {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
        encoded
    })
}

/// When a request is signed, and its nonce. The same of both makes the same request, byte for byte.
#[derive(Debug, Clone)]
pub struct Stamp {
    date: String,
    nonce: String,
}

impl Stamp {
    /// Nothing here is random: `what` names the message and the act.
    pub fn new(what: &str, at: DateTime<Utc>) -> Self {
        let mut nonce = sha256_hex(format!("{what}\n{}", at.timestamp_millis()).as_bytes());
        nonce.truncate(NONCE_LENGTH);
        Self { date: at.format("%Y-%m-%dT%H:%M:%SZ").to_string(), nonce }
    }
}

/// An account at one of the two services.
#[derive(Debug, Clone)]
pub struct Gateway {
    client: reqwest::Client,
    base_url: String,
    host: String,
    key_id: String,
    key_secret: Secret,
}

impl Gateway {
    pub fn new(base_url: &str, key_id: &str, key_secret: &Secret, attempt_timeout: Duration) -> Result<Self, reqwest::Error> {
        Ok(Self {
            client: http::client_http1(attempt_timeout).build()?,
            base_url: base_url.trim_end_matches('/').to_owned(),
            host: http::host(base_url),
            key_id: key_id.to_owned(),
            key_secret: key_secret.clone(),
        })
    }

    /// One request and its answer, whatever that says.
    ///
    /// # Errors
    /// How the attempt ended when no answer of the provider came.
    pub async fn ask(&self, action: &str, parameters: &[(&str, &str)], stamp: &Stamp, now: DateTime<Utc>) -> Result<Answer, Outcome> {
        let query = canonical_query(parameters);
        let Stamp { date, nonce } = stamp;
        let signed = Signed { host: &self.host, action, version: VERSION, date, nonce, query: &query };
        let request = self
            .client
            .post(format!("{}/?{query}", self.base_url))
            .header("x-acs-action", action)
            .header("x-acs-version", VERSION)
            .header("x-acs-date", date)
            .header("x-acs-signature-nonce", nonce)
            .header("x-acs-content-sha256", sha256_hex(b""))
            .header("authorization", signed.authorization(&self.key_id, self.key_secret.expose()));
        let reply = http::exchange(request, now).await?;
        let body: Option<Body> = reply.json();
        body.map(|body| Answer { body, reply: reply.clone() }).ok_or_else(|| reply.unclear())
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Body {
    code: String,
    #[serde(default)]
    message: String,
    /// The provider's number of what it accepted.
    #[serde(default, alias = "CallId")]
    biz_id: Option<String>,
    #[serde(default, rename = "SmsSendDetailDTOs")]
    details: Details,
}

#[derive(Debug, Default, Deserialize)]
struct Details {
    #[serde(default, rename = "SmsSendDetailDTO")]
    list: Vec<Detail>,
}

/// A text message that the provider has on its list.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Detail {
    #[serde(default)]
    pub out_id: String,
    /// 1 waits for the carrier, 2 failed, 3 delivered.
    #[serde(default)]
    pub send_status: i64,
    #[serde(default)]
    pub biz_id: Option<String>,
}

/// What the provider said.
#[derive(Debug)]
pub struct Answer {
    body: Body,
    reply: Reply,
}

impl Answer {
    pub fn is_ok(&self) -> bool {
        self.reply.status == 200 && self.body.code == "OK"
    }

    /// A copy with the same nonce came before.
    pub fn is_replay(&self) -> bool {
        self.body.code == "SignatureNonceUsed"
    }

    /// The limit for one number that is counted in minutes: the last message or call to it was a moment ago.
    pub fn is_limit_of_the_minute(&self) -> bool {
        self.body.code == "isv.BUSINESS_LIMIT_CONTROL" && limit(&self.body.message).is_none_or(|wait| wait == LIMITS[0].1)
    }

    pub fn details(&self) -> &[Detail] {
        &self.body.details.list
    }

    pub fn outcome(self) -> Outcome {
        if self.is_ok() {
            return Outcome::sent(self.body.biz_id);
        }
        refusal(&self.body.code, &self.body.message).unwrap_or_else(|| {
            let outcome = self.reply.unclear();
            Outcome { detail: format!("{}: {}", outcome.detail, word(&self.body.code)), ..outcome }
        })
    }
}

/// What an error code means; `None`: not known, the status decides.
pub fn refusal(code: &str, message: &str) -> Option<Outcome> {
    let isv = code.strip_prefix("isv.");
    let class = match code {
        "isv.BUSINESS_LIMIT_CONTROL" => return Some(Outcome::throttled(limit(message), word(code))),
        _ if code.starts_with("InvalidTimeStamp") => return Some(Outcome::new(OutcomeClass::Config, format!("clock: {}", word(code)))),
        "ServiceUnavailable" | "isv.VOICE_CALL_FAIL" => OutcomeClass::SafeRetry,
        _ if code.starts_with("Throttling") => OutcomeClass::SafeRetry,
        "InternalError" | "SignatureNonceUsed" => OutcomeClass::Ambiguous,
        "isp.RAM_PERMISSION_DENY" | "SignatureDoesNotMatch" | "IncompleteSignature" => OutcomeClass::Config,
        _ if ["InvalidAccessKeyId", "Forbidden", "NoPermission"].iter().any(|start| code.starts_with(start)) => OutcomeClass::Config,
        _ if isv.is_some_and(is_about_the_account) => OutcomeClass::Config,
        _ if isv.is_some() => OutcomeClass::Permanent,
        _ if code.starts_with("isp.") => OutcomeClass::Ambiguous,
        _ => return None,
    };
    Some(Outcome::new(class, word(code)))
}

/// Money, contract, signature, template, limits of the whole account: every message would be refused.
fn is_about_the_account(code: &str) -> bool {
    const STARTS: [&str; 7] = ["ACCOUNT_", "SIGN", "SMS_SIGN", "SMS_TEMPLATE", "TTS_TEMPLATE", "PRODUCT_", "TEMPLATE_ILLEGAL"];
    const CODES: [&str; 8] = [
        "OUT_OF_SERVICE",
        "AMOUNT_NOT_ENOUGH",
        "DAY_LIMIT_CONTROL",
        "MONTH_LIMIT_CONTROL",
        "DENY_IP_RANGE",
        "EXTEND_CODE_ERROR",
        "DISPLAY_NUMBER_ILLEGAL",
        "BILLID_NOT_EXIST",
    ];
    CODES.contains(&code) || STARTS.iter().any(|start| code.starts_with(start))
}

/// How long a limit lasts, by its message.
fn limit(message: &str) -> Option<TimeDelta> {
    LIMITS.iter().find(|(word, _)| message.contains(word)).map(|(_, wait)| *wait)
}

#[cfg(test)]
mod tests;
