//! 腾讯云短信: one text message from an approved template to one number.
//!
//! Wire: `POST https://sms.tencentcloudapi.com/` with JSON. Headers: `content-type: application/json; charset=utf-8`, `host`,
//! `x-tc-action: SendSms`, `x-tc-version: 2021-01-11`, `x-tc-region`, `x-tc-timestamp` (seconds, at most 5 minutes off), and
//! `Authorization: TC3-HMAC-SHA256 Credential=ID/DATE/sms/tc3_request, SignedHeaders=content-type;host, Signature=HEX`.
//!
//! Signature: the canonical request is `POST\n/\n\nname:value\n…\nnames;joined\nSHA256(body)`; signed is `TC3-HMAC-SHA256\nTIMESTAMP\n` +
//! `DATE/sms/tc3_request\n` + its SHA-256, with DATE the day in UTC and the key `HMAC(HMAC(HMAC("TC3" + secret, DATE), "sms"), "tc3_request")`.
//! HTTP/1.1, so that the `host` that is signed is also sent under this name.
//!
//! Body: `{"PhoneNumberSet":["+86…"],"SmsSdkAppId","TemplateId","SignName","TemplateParamSet":[…],"SessionContext"}`. Templates count their
//! variables: `{1}` is who is called, `{2}` the place, `{3}` the number of households; that of the code has `{1}` alone, those for contacts none. There is none
//! for the link: the provider forbids even parts of addresses in variables, so `https://HOST/alerts` stands in the approved text.
//!
//! Answer: always HTTP 200, `Response` with either `Error {Code, Message}` or `SendStatusSet [{SerialNo, Code, …}]`; only `Ok` in every
//! entry is acceptance. Receipts name `SerialNo` as `sid`.
//!
//! There is no idempotency, and no nonce either, so each attempt is signed anew. But the account refuses the same text to the same number
//! within 30 seconds (default policy): a repeat in that time is the probe, and its refusal says that the first was accepted. A later
//! repeat is a second message and says so in the place. Also by default: 2 messages a day to one number; raise it in the console.
//!
//! Sources: the vendor's pages on signing (v3), on the action, on error codes and on templates; vectors in `tests/data/channels.json`.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::Outgoing;
use super::digest::{hex, hmac_sha256, sha256_hex};
use super::http::{self, Reply, word};
use crate::config;
use crate::domain::message::brief::Brief;
use crate::domain::message::retry::{Outcome, OutcomeClass};
use crate::domain::phone;

const ALGORITHM: &str = "TC3-HMAC-SHA256";
const CONTENT_TYPE: &str = "application/json; charset=utf-8";
const SAME_TEXT: &str = "LimitExceeded.PhoneNumberThirtySecondLimit";
/// A little less than the 30 seconds in which the same text is refused: both ways take time.
const PROBE_MAX: TimeDelta = TimeDelta::seconds(25);

#[derive(Debug, Clone)]
pub struct TencentSms {
    client: reqwest::Client,
    host: String,
    settings: config::TencentSms,
}

impl TencentSms {
    pub fn new(settings: &config::TencentSms, attempt_timeout: Duration) -> Result<Self, reqwest::Error> {
        let client = http::client_http1(attempt_timeout).build()?;
        Ok(Self { client, host: http::host(&settings.base_url), settings: settings.clone() })
    }

    pub async fn send(&self, outgoing: &Outgoing) -> Outcome {
        let Ok(brief) = serde_json::from_slice::<Brief>(&outgoing.body) else {
            return Outcome::new(OutcomeClass::Broken, "unreadable message");
        };
        let Some(number) = number(&outgoing.address) else {
            return Outcome::new(OutcomeClass::Permanent, "no telephone number");
        };
        let (values, context) = (values(&brief, outgoing), outgoing.short_id());
        let body = Body {
            phone_number_set: [&number],
            sms_sdk_app_id: &self.settings.sdk_app_id,
            template_id: self.settings.templates.of(brief.template),
            sign_name: &self.settings.sign_name,
            template_param_set: &values,
            session_context: &context,
        };
        match self.ask(body.bytes(), outgoing.at).await {
            Ok(answer) if outgoing.repeated && answer.is_same_text() => Outcome::sent(None),
            Ok(answer) => answer.outcome(),
            Err(outcome) => outcome,
        }
    }

    async fn ask(&self, body: Vec<u8>, now: DateTime<Utc>) -> Result<Answer, Outcome> {
        let headers = [("content-type", CONTENT_TYPE), ("host", self.host.as_str())];
        let key = (self.settings.secret_id.as_str(), self.settings.secret_key.expose());
        let request = self
            .client
            .post(format!("{}/", self.settings.base_url.trim_end_matches('/')))
            .header("content-type", CONTENT_TYPE)
            .header("x-tc-action", "SendSms")
            .header("x-tc-version", "2021-01-11")
            .header("x-tc-region", &self.settings.region)
            .header("x-tc-timestamp", now.timestamp())
            .header("authorization", authorization(key, "sms", &headers, &body, now))
            .body(body);
        let reply = http::exchange(request, now).await?;
        let body: Option<Envelope> = reply.json();
        body.map(|body| Answer { response: body.response, reply: reply.clone() }).ok_or_else(|| reply.unclear())
    }
}

/// The value of `Authorization`; `headers` are those that it covers, sorted, names in small letters.
pub fn authorization(key: (&str, &str), service: &str, headers: &[(&str, &str)], body: &[u8], at: DateTime<Utc>) -> String {
    let (id, secret) = key;
    let lines: Vec<String> = headers.iter().map(|(name, value)| format!("{name}:{}\n", value.to_lowercase())).collect();
    let names = headers.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(";");
    let canonical = format!("POST\n/\n\n{}\n{names}\n{}", lines.concat(), sha256_hex(body));
    let (date, scope_end) = (at.format("%Y-%m-%d").to_string(), "tc3_request");
    let scope = format!("{date}/{service}/{scope_end}");
    let to_sign = format!("{ALGORITHM}\n{}\n{scope}\n{}", at.timestamp(), sha256_hex(canonical.as_bytes()));
    let of_day = hmac_sha256(format!("TC3{secret}").as_bytes(), date.as_bytes());
    let of_request = hmac_sha256(&hmac_sha256(&of_day, service.as_bytes()), scope_end.as_bytes());
    let signature = hex(&hmac_sha256(&of_request, to_sign.as_bytes()));
    format!("{ALGORITHM} Credential={id}/{scope}, SignedHeaders={names}, Signature={signature}")
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Body<'a> {
    phone_number_set: [&'a str; 1],
    sms_sdk_app_id: &'a str,
    template_id: &'a str,
    sign_name: &'a str,
    template_param_set: &'a [String],
    session_context: &'a str,
}

impl Body<'_> {
    fn bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("texts are JSON")
    }
}

/// With country code, as E.164 says.
fn number(address: &str) -> Option<String> {
    let number = phone::normalise(address)?;
    Some(if number.starts_with('+') { number } else { format!("+86{number}") })
}

/// The variables in their order. A repeat that is too late to be a probe says that it is one.
fn values(brief: &Brief, outgoing: &Outgoing) -> Vec<String> {
    let age = outgoing.at - outgoing.signed_at;
    let is_probe = age > TimeDelta::zero() && age <= PROBE_MAX;
    let mark = if is_probe { outgoing.second_mark() } else { outgoing.repeat_mark() };
    let marked = |(name, value): (&str, String)| if name == "place" { format!("{mark}{value}") } else { value };
    brief.values().into_iter().filter(|(name, _)| *name != "link").map(marked).collect()
}

#[derive(Deserialize)]
struct Envelope {
    #[serde(rename = "Response")]
    response: Response,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Response {
    error: Option<Coded>,
    #[serde(default)]
    send_status_set: Vec<Coded>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Coded {
    code: String,
    serial_no: Option<String>,
}

/// What the provider said.
struct Answer {
    response: Response,
    reply: Reply,
}

impl Answer {
    /// What it has against the message.
    fn code(&self) -> Option<&str> {
        let refused = self.response.send_status_set.iter().find(|status| status.code != "Ok");
        self.response.error.as_ref().or(refused).map(|coded| coded.code.as_str())
    }

    fn is_same_text(&self) -> bool {
        self.code() == Some(SAME_TEXT)
    }

    fn outcome(self) -> Outcome {
        match (self.code(), self.response.send_status_set.first()) {
            (None, Some(accepted)) if self.reply.status == 200 => Outcome::sent(accepted.serial_no.clone()),
            (None, _) => self.reply.unclear(),
            (Some(code), _) => refusal(code).unwrap_or_else(|| {
                let outcome = self.reply.unclear();
                Outcome { detail: format!("{}: {}", outcome.detail, word(code)), ..outcome }
            }),
        }
    }
}

/// What an error code means; `None`: not known, the status decides.
pub fn refusal(code: &str) -> Option<Outcome> {
    let (group, name) = code.split_once('.').unwrap_or((code, ""));
    let wait = |seconds| Some(Outcome::throttled(Some(TimeDelta::seconds(seconds)), word(code)));
    let class = match (group, name) {
        ("LimitExceeded", "GlobalSmsSendingRateLimit") | ("RequestLimitExceeded", _) => {
            return Some(Outcome::account_throttled(Some(TimeDelta::seconds(1)), word(code)));
        }
        ("LimitExceeded", "PhoneNumberOneHourLimit") => return wait(3_600),
        ("LimitExceeded", "PhoneNumberDailyLimit" | "PhoneNumberSameContentDailyLimit") => return wait(86_400),
        ("LimitExceeded", _) => return wait(30),
        ("AuthFailure", "SignatureExpire") => return Some(Outcome::new(OutcomeClass::Config, format!("clock: {}", word(code)))),
        ("AuthFailure" | "UnauthorizedOperation" | "IpNotInWhitelist" | "IpInBlacklist" | "UnsupportedRegion", _)
        | ("InvalidParameterValue", "SdkAppIdNotExist") => OutcomeClass::Config,
        ("FailedOperation", _) if is_about_the_account(name) => OutcomeClass::Config,
        // Says nothing but that something failed.
        ("FailedOperation", "") | ("InternalError", _) => OutcomeClass::Ambiguous,
        ("FailedOperation" | "InvalidParameter" | "InvalidParameterValue" | "MissingParameter" | "UnsupportedOperation", _) => {
            OutcomeClass::Permanent
        }
        ("ResourceInsufficient" | "ResourceUnavailable" | "ServiceUnavailable", _) => OutcomeClass::SafeRetry,
        _ => return None,
    };
    Some(Outcome::new(class, word(code)))
}

fn is_about_the_account(name: &str) -> bool {
    ["Signature", "Template", "InsufficientBalance"].iter().any(|start| name.starts_with(start))
}

#[cfg(test)]
mod tests;
