//! 钉钉自定义机器人. Evidence: vendor documentation, signature reproduced against the vendor's client; no live vendor was asked.
//!
//! `POST /robot/send?access_token=T&timestamp=MS&sign=S`, `{"msgtype":"text","text":{"content":…}}`, at most 20,000 bytes. The signature is
//! base64(HMAC-SHA256(secret, "MS\nsecret")), milliseconds, within an hour of the platform's clock, percent-encoded exactly once. Success
//! is `errcode` 0 in a 200. 310000: signature, clock, keyword or address refused; 130101: over 20 a minute, then the robot is blocked for
//! ten minutes; 300001, 400101, 400102: token unknown or robot stopped; -1 busy.

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

const BLOCKED: TimeDelta = TimeDelta::seconds(600);

#[derive(Deserialize)]
struct Answer {
    errcode: i64,
}

pub fn request(client: &reqwest::Client, base_url: &str, key: &RobotKey, text: &str, now: DateTime<Utc>) -> RequestBuilder {
    let body = json!({ "msgtype": "text", "text": { "content": text }, "at": { "isAtAll": false } });
    let mut request = client.post(format!("{base_url}/robot/send")).query(&[("access_token", &key.key)]);
    if let Some(secret) = &key.sign {
        let millis = now.timestamp_millis();
        request = request.query(&[("timestamp", millis.to_string()), ("sign", sign(secret, millis))]);
    }
    request.json(&body)
}

fn sign(secret: &str, millis: i64) -> String {
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(secret.as_bytes()).expect("HMAC takes any key length");
    mac.update(format!("{millis}\n{secret}").as_bytes());
    STANDARD.encode(mac.finalize().into_bytes())
}

pub fn outcome(reply: &Reply) -> Outcome {
    let Some(Answer { errcode }) = reply.json().filter(|_| reply.status == 200) else { return reply.unclear() };
    let detail = format!("errcode {errcode}");
    match errcode {
        0 => Outcome::sent(None),
        -1 => Outcome::new(OutcomeClass::SafeRetry, detail),
        130_101 | 410_100 => Outcome::throttled(Some(BLOCKED), detail),
        310_000 => Outcome::new(OutcomeClass::Gone, "errcode 310000: signature, clock, keyword or address refused"),
        300_001 | 400_101 | 400_102 => Outcome::new(OutcomeClass::Gone, detail),
        _ => Outcome::new(OutcomeClass::Permanent, detail),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_equals_the_vendors() {
        let vectors: serde_json::Value = serde_json::from_str(include_str!("../../tests/data/channels.json")).unwrap();
        let vector = &vectors["dingtalk"];
        let signed = sign(vector["secret"].as_str().unwrap(), vector["ts_ms"].as_str().map_or_else(|| vector["ts_ms"].as_i64().unwrap(), |ms| ms.parse().unwrap()));
        assert_eq!(signed, "dtd37dhR3HsNTaOo6CmylEGVRJgxtDo78XNpqpCU0xI=");
        let key = RobotKey { key: "tok0".to_owned(), sign: vector["secret"].as_str().map(str::to_owned) };
        let now = DateTime::from_timestamp_millis(1_700_000_000_000).unwrap();
        let request = request(&super::super::http::client(std::time::Duration::from_secs(1)).build().unwrap(), "https://oapi.dingtalk.com", &key, "x", now);
        assert_eq!(request.build().unwrap().url().as_str(), vector["webhook"].as_str().unwrap());
    }
}
