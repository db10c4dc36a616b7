//! 钉钉自定义机器人. Evidence: vendor documentation, signature reproduced against the vendor's client; no live vendor was asked.
//!
//! `POST /robot/send?access_token=T&timestamp=MS&sign=S`, `{"msgtype":"text","text":{"content":…}}`, the body at most 20,000 bytes. The
//! signature is base64(HMAC-SHA256(secret, "MS\nsecret")), milliseconds, within an hour of the platform's clock, percent-encoded exactly
//! once; its secret begins with `SEC`.
//!
//! Always HTTP 200; success is `errcode` 0. 310000: signature, clock, keyword or address refused; only the text says which, in English
//! ("invalid timestamp", "sign not match", "keywords not in content", "ip … not in whitelist") or in Chinese. 130101, 410100: over 20 a
//! minute, then the robot is blocked for ten minutes. 300001, 400101: token unknown; 400102: robot stopped. -1: busy. 460101: too long;
//! 40035, 4301..: text refused. 300001, 4001.. and 4301.. are from vendor tables that were not seen again.

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
const BLOCKED: TimeDelta = TimeDelta::seconds(600);
/// What the text of 310000 says in English or in Chinese (has run out; the signature does not match; keyword; white list), and what is
/// refused then. The clock comes first: the advice about it names the signature as well.
const REFUSED: [(&str, &str, &str); 4] = [
    ("invalid timestamp", "\u{8fc7}\u{671f}", CLOCK),
    ("sign not match", "\u{7b7e}\u{540d}\u{4e0d}\u{5339}\u{914d}", "signature"),
    ("keywords", "\u{5173}\u{952e}\u{8bcd}", "keyword"),
    ("whitelist", "\u{767d}\u{540d}\u{5355}", "address"),
];
const CLOCK: &str = "clock";

#[derive(Deserialize)]
struct Answer {
    errcode: i64,
    #[serde(default)]
    errmsg: String,
}

/// The token in an address as the platform shows it.
pub fn key_of(address: &Url) -> Option<String> {
    let is_ours = address.path() == "/robot/send";
    address.query_pairs().find(|(name, _)| is_ours && name == "access_token").map(|(_, value)| value.into_owned())
}

/// Whether signatures can be made with it.
pub fn is_sign(sign: &str) -> bool {
    sign.starts_with("SEC")
}

pub fn request(client: &reqwest::Client, base_url: &str, key: &RobotKey, text: &str, now: DateTime<Utc>) -> RequestBuilder {
    let body = json!({ "msgtype": "text", "text": { "content": fit::bytes(text, None, CONTENT_BYTES_MAX) }, "at": { "isAtAll": false } });
    let mut request = client.post(format!("{base_url}/robot/send")).query(&[("access_token", &key.key)]);
    if let Some(secret) = &key.sign {
        let millis = now.timestamp_millis();
        request = request.query(&[("timestamp", millis.to_string()), ("sign", sign(secret, millis))]);
    }
    request.json(&body)
}

fn sign(secret: &str, millis: i64) -> String {
    STANDARD.encode(hmac_sha256(secret.as_bytes(), format!("{millis}\n{secret}").as_bytes()))
}

pub fn outcome(reply: &Reply) -> Outcome {
    let Some(Answer { errcode, errmsg }) = reply.json().filter(|_| reply.status == 200) else { return reply.unclear() };
    let detail = format!("errcode {errcode}");
    match errcode {
        0 => Outcome::sent(None),
        -1 => Outcome::new(OutcomeClass::SafeRetry, detail),
        130_101 | 410_100 => Outcome::throttled(Some(BLOCKED), detail),
        310_000 => refused(&detail, &errmsg),
        300_001 | 400_101 => Outcome::new(OutcomeClass::Gone, format!("{detail}: token unknown")),
        400_102 => Outcome::new(OutcomeClass::Gone, format!("{detail}: robot stopped")),
        _ => Outcome::new(OutcomeClass::Permanent, detail),
    }
}

/// A wrong clock is no fault of the robot: it goes on when the clock is right.
fn refused(detail: &str, said: &str) -> Outcome {
    let said = said.to_lowercase();
    let found = REFUSED.iter().find(|(english, chinese, _)| said.contains(english) || said.contains(chinese));
    match found.map(|(.., what)| *what) {
        Some(CLOCK) => Outcome::new(OutcomeClass::Config, format!("{detail}: clock refused")),
        Some(what) => Outcome::new(OutcomeClass::Gone, format!("{detail}: {what} refused")),
        None => Outcome::new(OutcomeClass::Gone, format!("{detail}: signature, clock, keyword or address refused")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_equals_the_vendors_and_stands_in_the_address_as_they_write_it() {
        let vectors: serde_json::Value = serde_json::from_str(include_str!("../../tests/data/channels.json")).unwrap();
        let vector = &vectors["dingtalk"];
        let (secret, millis) = (vector["secret"].as_str().unwrap(), vector["ts_ms"].as_i64().unwrap());
        let key = RobotKey { key: "tok0".to_owned(), sign: Some(secret.to_owned()) };
        let now = DateTime::from_timestamp_millis(millis).unwrap();
        let client = super::super::http::client(std::time::Duration::from_secs(1)).build().unwrap();
        let request = request(&client, "https://oapi.dingtalk.com", &key, "x", now).build().unwrap();
        assert_eq!(request.url().as_str(), vector["webhook"].as_str().unwrap());
        assert_eq!(format!("{}%3D", sign(secret, millis).trim_end_matches('=')), vector["apprise"][1].as_str().unwrap());
    }

    #[test]
    fn what_was_refused_is_told_apart_as_far_as_the_text_says_it() {
        use OutcomeClass::{Config, Gone};
        for (said, class, detail) in [
            ("invalid timestamp", Config, "clock refused"),
            ("description:机器人发送签名过期;solution:签名生成时间和发送时间请保持在timestampms以内", Config, "clock refused"),
            ("sign not match, more: [https://ding-doc.dingtalk.com]", Gone, "signature refused"),
            ("description:机器人发送签名不匹配;solution:请确认签名和生成签名的时间戳", Gone, "signature refused"),
            ("keywords not in content", Gone, "keyword refused"),
            ("description:关键词不匹配;solution:请联系群管理员", Gone, "keyword refused"),
            ("ip 203.0.113.9 not in whitelist", Gone, "address refused"),
            ("description:IP地址不在白名单中", Gone, "address refused"),
            ("something else", Gone, "signature, clock, keyword or address refused"),
        ] {
            let outcome = refused("errcode 310000", said);
            assert_eq!((outcome.class, outcome.detail), (class, format!("errcode 310000: {detail}")), "{said}");
        }
    }

    #[test]
    fn the_longest_text_fits_the_body() {
        let client = super::super::http::client(std::time::Duration::from_secs(1)).build().unwrap();
        let key = RobotKey { key: "tok0".to_owned(), sign: None };
        let built = request(&client, "https://oapi.dingtalk.com", &key, &"\u{1}".repeat(9_000), DateTime::UNIX_EPOCH).build().unwrap();
        assert!(built.body().unwrap().as_bytes().unwrap().len() <= 20_000);
    }
}
