//! 企业微信群机器人. Evidence: vendor documentation; no live vendor was asked.
//!
//! `POST /cgi-bin/webhook/send?key=KEY`, `{"msgtype":"text","text":{"content":…}}`, at most 2,048 bytes, 20 posts a minute for each robot.
//! Success is `errcode` 0 and nothing else. -1 is busy; 45009 too many (a minute's limit blocks for 60 s); 93000 the key is unknown or the
//! robot was removed.

use chrono::TimeDelta;
use reqwest::RequestBuilder;
use serde::Deserialize;
use serde_json::json;

use super::group::RobotKey;
use super::http::Reply;
use crate::domain::message::retry::{Outcome, OutcomeClass};

const THROTTLED: TimeDelta = TimeDelta::seconds(60);

#[derive(Deserialize)]
struct Answer {
    errcode: i64,
}

pub fn request(client: &reqwest::Client, base_url: &str, key: &RobotKey, text: &str) -> RequestBuilder {
    let body = json!({ "msgtype": "text", "text": { "content": text } });
    client.post(format!("{base_url}/cgi-bin/webhook/send")).query(&[("key", &key.key)]).json(&body)
}

pub fn outcome(reply: &Reply) -> Outcome {
    let Some(Answer { errcode }) = reply.json().filter(|_| reply.status == 200) else { return reply.unclear() };
    let detail = format!("errcode {errcode}");
    match errcode {
        0 => Outcome::sent(None),
        -1 => Outcome::new(OutcomeClass::SafeRetry, detail),
        45009 => Outcome::throttled(Some(THROTTLED), detail),
        93000 => Outcome::new(OutcomeClass::Gone, detail),
        _ => Outcome::new(OutcomeClass::Permanent, detail),
    }
}
