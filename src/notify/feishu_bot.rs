//! 飞书自定义机器人. Evidence: vendor documentation, signature reproduced against public clients; no live vendor was asked.
//!
//! `POST /open-apis/bot/v2/hook/TOKEN`, `{"timestamp":"S","sign":…,"msg_type":"text","content":{"text":…}}`, at most 20 KB. The signature
//! stands in the body: base64(HMAC-SHA256("S\nsecret", "")), seconds: the other way round than DingTalk's. Success is `code` 0; a throttled
//! answer says `StatusCode` 0 beside `code` 9499, so `StatusCode` means nothing. 11232 and 9499 "too many request": throttled; 9499
//! otherwise: a bad request. 19001, 19007: token unknown, robot off; 19021 signature or clock, 19022 address, 19024 keyword refused.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, TimeDelta, Utc};
use hmac::{Hmac, KeyInit, Mac};
use reqwest::RequestBuilder;
use serde::Deserialize;
use serde_json::json;

use super::group::RobotKey;
use super::http::Reply;
use crate::domain::message::retry::{Outcome, OutcomeClass};

/// The vendor asks for 30 to 90 s; what is posted then is the state of then.
const THROTTLED: TimeDelta = TimeDelta::seconds(60);
const TOO_MANY: TimeDelta = TimeDelta::seconds(2);

#[derive(Deserialize)]
struct Answer {
    code: i64,
    #[serde(default)]
    msg: String,
}

pub fn request(client: &reqwest::Client, base_url: &str, key: &RobotKey, text: &str, now: DateTime<Utc>) -> RequestBuilder {
    let mut body = json!({ "msg_type": "text", "content": { "text": text } });
    if let Some(secret) = &key.sign {
        let seconds = now.timestamp();
        body["timestamp"] = json!(seconds.to_string());
        body["sign"] = json!(sign(secret, seconds));
    }
    client.post(format!("{base_url}/open-apis/bot/v2/hook/{}", key.key)).json(&body)
}

fn sign(secret: &str, seconds: i64) -> String {
    let key = format!("{seconds}\n{secret}");
    let mac = Hmac::<sha2::Sha256>::new_from_slice(key.as_bytes()).expect("HMAC takes any key length");
    STANDARD.encode(mac.finalize().into_bytes())
}

/// Feishu sends its codes with 200 and with 400.
pub fn outcome(reply: &Reply) -> Outcome {
    let Some(Answer { code, msg }) = reply.json().filter(|_| matches!(reply.status, 200 | 400)) else { return reply.unclear() };
    let detail = format!("code {code}");
    match code {
        0 if reply.status == 200 => Outcome::sent(None),
        11232 => Outcome::throttled(Some(THROTTLED), detail),
        9499 if msg.to_lowercase().contains("too many request") => Outcome::throttled(Some(TOO_MANY), detail),
        19021 => Outcome::new(OutcomeClass::Gone, "code 19021: signature or clock refused"),
        19001 | 19007 | 19022 | 19024 => Outcome::new(OutcomeClass::Gone, detail),
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
        assert_ne!(vector["WRONG (dingtalk style key/msg order)"], sign("feishu-secret-0001", 1_700_000_000));
    }
}
