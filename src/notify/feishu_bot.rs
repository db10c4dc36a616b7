//! 飞书自定义机器人. Evidence: vendor documentation, signature reproduced against public clients; no live vendor was asked.
//!
//! `POST /open-apis/bot/v2/hook/TOKEN`, `{"timestamp":"S","sign":…,"msg_type":"text","content":{"text":…}}`, the body at most 20 KB, 100 a
//! minute and 5 a second. The signature stands in the body: base64(HMAC-SHA256("S\nsecret", "")), seconds, within an hour of the platform's
//! clock: key and message the other way round than DingTalk's. `<at user_id="all">` in a text calls everybody.
//!
//! Success is `code` 0 in a 200. A throttled answer says `StatusCode` 0 beside `code` 9499, so `StatusCode` means nothing. 11232: too many
//! on the platform, above all at :00 and :30; 9499 "too many request": throttled, otherwise a bad request; both also with HTTP 400. 19001:
//! token unknown; 19007: robot off; 19021: signature or clock (its text does not say which, the date of its answer does); 19022: address, 19024: keyword refused.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, TimeDelta, Utc};
use reqwest::{RequestBuilder, Url};
use serde::Deserialize;
use serde_json::json;

use super::digest::hmac_sha256;
use super::fit;
use super::group::RobotKey;
use super::http::Reply;
use crate::domain::message::retry::{Outcome, OutcomeClass};

/// Of a text: the body holds it escaped, so that a byte may take six.
const CONTENT_BYTES_MAX: usize = 3_000;
/// The pause after 11232 in seconds: the least, and what comes on top, spread so that not all come back at once.
const BUSY: (i64, i64) = (30, 60);
/// The same after 9499.
const TOO_MANY: (i64, i64) = (1, 1);
/// A signature is good for an hour; the answer is dated to the second.
const CLOCK_OFF_MAX: TimeDelta = TimeDelta::minutes(55);
/// A bracket that opens no tag.
const BRACKET: &str = "\u{ff1c}";

#[derive(Deserialize)]
struct Answer {
    code: i64,
    #[serde(default)]
    msg: String,
}

/// The token in an address as the platform shows it.
pub fn key_of(address: &Url) -> Option<String> {
    Some(address.path().strip_prefix("/open-apis/bot/v2/hook/")?.trim_end_matches('/').to_owned())
}

/// No name in the text can call anybody.
pub fn request(client: &reqwest::Client, base_url: &str, key: &RobotKey, text: &str, now: DateTime<Utc>) -> RequestBuilder {
    let text = fit::bytes(&text.replace('<', BRACKET), None, CONTENT_BYTES_MAX);
    let mut body = json!({ "msg_type": "text", "content": { "text": text } });
    if let Some(secret) = &key.sign {
        let seconds = now.timestamp();
        body["timestamp"] = json!(seconds.to_string());
        body["sign"] = json!(sign(secret, seconds));
    }
    client.post(format!("{base_url}/open-apis/bot/v2/hook/{}", key.key)).json(&body)
}

fn sign(secret: &str, seconds: i64) -> String {
    STANDARD.encode(hmac_sha256(format!("{seconds}\n{secret}").as_bytes(), b""))
}

/// `spread` says where in the range of a pause this robot comes back.
pub fn outcome(reply: &Reply, spread: u8) -> Outcome {
    let Some(Answer { code, msg }) = reply.json().filter(|_| matches!(reply.status, 200 | 400)) else { return reply.unclear() };
    let detail = format!("code {code}");
    let pause = |(least, more)| Some(TimeDelta::milliseconds(least * 1_000 + more * 1_000 * i64::from(spread) / i64::from(u8::MAX)));
    let gone = |why| Outcome::new(OutcomeClass::Gone, format!("code {code}: {why}"));
    match code {
        0 if reply.status == 200 => Outcome::sent(None),
        11232 => Outcome::throttled(pause(BUSY), detail),
        9499 if msg.to_lowercase().contains("too many request") => Outcome::throttled(pause(TOO_MANY), detail),
        19001 => gone("token unknown"),
        19007 => gone("robot off"),
        // A wrong clock is no fault of the robot: it goes on when the clock is right.
        19021 if reply.ahead.is_some_and(|ahead| ahead.abs() > CLOCK_OFF_MAX) => {
            Outcome::new(OutcomeClass::Config, "code 19021: clock refused")
        }
        19021 => gone("signature or clock refused"),
        19022 => gone("address refused"),
        19024 => gone("keyword refused"),
        _ => Outcome::new(OutcomeClass::Permanent, detail),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_equals_public_clients_and_is_not_dingtalks() {
        let vectors: serde_json::Value = serde_json::from_str(include_str!("../../tests/data/channels.json")).unwrap();
        let vector = &vectors["feishu"];
        assert_eq!(vector["golark xxx@1661860880"], sign("xxx", 1_661_860_880));
        assert_eq!(vector["feishu-secret-0001@1700000000"], sign("feishu-secret-0001", 1_700_000_000));
        let swapped = STANDARD.encode(hmac_sha256(b"feishu-secret-0001", b"1700000000\nfeishu-secret-0001"));
        assert_eq!(vector["WRONG (dingtalk style key/msg order)"], swapped);
        assert_ne!(swapped, sign("feishu-secret-0001", 1_700_000_000));
    }

    #[test]
    fn a_refused_signature_is_the_clocks_fault_if_the_answer_is_dated_elsewhere() {
        for (ahead, class) in [
            (None, OutcomeClass::Gone),
            (Some(TimeDelta::minutes(10)), OutcomeClass::Gone),
            (Some(TimeDelta::hours(2)), OutcomeClass::Config),
            (Some(TimeDelta::hours(-2)), OutcomeClass::Config),
        ] {
            let reply = Reply { status: 200, body: br#"{"code":19021,"msg":"x"}"#.to_vec(), ahead, ..Reply::default() };
            assert_eq!(outcome(&reply, 0).class, class, "{ahead:?}");
        }
    }

    #[test]
    fn robots_come_back_at_different_moments() {
        let wait = |body: &str, spread| {
            let reply = Reply { status: 400, body: body.as_bytes().to_vec(), ..Reply::default() };
            outcome(&reply, spread).wait.unwrap().num_milliseconds()
        };
        let busy = r#"{"code":11232,"msg":"frequency limited psm"}"#;
        let too_many = r#"{"StatusCode":0,"StatusMessage":"","code":9499,"msg":"too many request"}"#;
        assert_eq!([0, 51, 255].map(|spread| wait(busy, spread)), [30_000, 42_000, 90_000]);
        assert_eq!([0, 51, 255].map(|spread| wait(too_many, spread)), [1_000, 1_200, 2_000]);
    }
}
