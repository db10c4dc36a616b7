//! 企业微信群机器人. Evidence: vendor documentation; no live vendor was asked.
//!
//! `POST /cgi-bin/webhook/send?key=KEY`, `{"msgtype":"text","text":{"content":…}}`, at most 2,048 bytes, 20 posts a minute for each robot.
//! Always HTTP 200; success is `errcode` 0 and nothing else. -1 is busy; 45009 too many (60 s, or an hour if its text speaks of the hour); 93000 the key
//! is unknown or the robot was removed; 40058, 40008, 44004 and 40035 the text is too long, empty or wrong.

use reqwest::{RequestBuilder, Url};
use serde::Deserialize;
use serde_json::json;

use super::fit;
use super::group::RobotKey;
use super::http::Reply;
use super::wechat::limit;
use crate::domain::message::retry::{Outcome, OutcomeClass};

const CONTENT_BYTES_MAX: usize = 2_048;

#[derive(Deserialize)]
struct Answer {
    errcode: i64,
    #[serde(default)]
    errmsg: String,
}

/// The key in an address as the platform shows it; an authority may run the platform itself, under a host of its own.
pub fn key_of(address: &Url) -> Option<String> {
    let is_ours = address.path() == "/cgi-bin/webhook/send";
    address.query_pairs().find(|(name, _)| is_ours && name == "key").map(|(_, value)| value.into_owned())
}

pub fn request(client: &reqwest::Client, base_url: &str, key: &RobotKey, text: &str) -> RequestBuilder {
    let body = json!({ "msgtype": "text", "text": { "content": fit::bytes(text, None, CONTENT_BYTES_MAX) } });
    client.post(format!("{base_url}/cgi-bin/webhook/send")).query(&[("key", &key.key)]).json(&body)
}

pub fn outcome(reply: &Reply) -> Outcome {
    let Some(Answer { errcode, errmsg }) = reply.json().filter(|_| reply.status == 200) else { return reply.unclear() };
    let detail = format!("errcode {errcode}");
    match errcode {
        0 => Outcome::sent(None),
        -1 => Outcome::new(OutcomeClass::SafeRetry, detail),
        45009 => Outcome::throttled(Some(limit(&errmsg)), detail),
        93000 => Outcome::new(OutcomeClass::Gone, "errcode 93000: key unknown or robot removed"),
        _ => Outcome::new(OutcomeClass::Permanent, detail),
    }
}
