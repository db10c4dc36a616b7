//! Server酱, a private company that passes a message on to the person's WeChat. Her send key is the secret.
//!
//! `POST https://sctapi.ftqq.com/KEY.send`; keys `sctp<N>t…` go to `https://<N>.push.ft07.com/send/KEY.send`. JSON `title` (32
//! characters) and `desp` (32 KB). Nothing tells a repeat from the first copy, and the same text again is refused for a while: a
//! repeat says that it is one, which makes it another text.
//!
//! Accepted is `code` 0 and no other `data.errno`. 40001 is a key that is wrong and also a day's quota that is used up: only the words
//! tell them apart.

use chrono::{DateTime, Utc};
use reqwest::Client;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Outgoing;
use super::http::{Reply, exchange};
use super::note::{Note, at_base, in_path, number, rest_of_day, token};
use crate::config::Switched;
use crate::domain::message::retry::{Outcome, OutcomeClass};

const KEY_LENGTH_MAX: usize = 128;
const TITLE_CHARACTERS_MAX: usize = 32;
/// 超过 and 次数: what the words of a used-up quota have in common.
const QUOTA_WORDS: [&str; 2] = ["\u{8d85}\u{8fc7}", "\u{6b21}\u{6570}"];

#[derive(Debug, Clone)]
pub struct ServerChan {
    client: Client,
    settings: Switched,
}

impl ServerChan {
    pub fn new(client: &Client, settings: &Switched) -> Self {
        Self { client: client.clone(), settings: settings.clone() }
    }

    pub async fn send(&self, outgoing: &Outgoing) -> Result<Outcome, Outcome> {
        if !self.settings.on {
            return Err(Outcome::new(OutcomeClass::Config, "not set up"));
        }
        let note = Note::open_marked(outgoing)?;
        let url = url(&self.settings.base_url, in_path(token(outgoing)?, KEY_LENGTH_MAX)?)?;
        let title: String = note.title.chars().take(TITLE_CHARACTERS_MAX).collect();
        let request = self.client.post(url).json(&json!({ "title": title, "desp": note.body }));
        Ok(of_reply(&exchange(request, outgoing.at).await?, outgoing.at))
    }
}

/// Where a key is used: the settings, or what belongs to its form.
fn url(base_url: &str, key: &str) -> Result<String, Outcome> {
    let Some(number) = server_number(key) else {
        return at_base(if base_url.is_empty() { "https://sctapi.ftqq.com" } else { base_url }, &format!("{key}.send"));
    };
    let own = format!("https://{number}.push.ft07.com");
    at_base(if base_url.is_empty() { &own } else { base_url }, &format!("send/{key}.send"))
}

/// The number in `sctp<N>t…`.
fn server_number(key: &str) -> Option<&str> {
    let (number, _) = key.strip_prefix("sctp")?.split_once('t')?;
    let is_number = (1..=9).contains(&number.len()) && number.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then_some(number)
}

#[derive(Deserialize)]
struct Answer {
    code: i64,
    #[serde(default)]
    message: Value,
    #[serde(default)]
    data: Value,
}

fn of_reply(reply: &Reply, now: DateTime<Utc>) -> Outcome {
    let answer = reply.json::<Answer>().filter(|_| reply.status < 500);
    let Some(Answer { code, message, data }) = answer else { return reply.unclear() };
    let errno = data.get("errno").and_then(Value::as_i64).unwrap_or_default();
    let detail = format!("code {}", if code == 0 { errno } else { code });
    match (reply.status, code, errno) {
        (200, 0, 0) => Outcome::sent(data.get("pushid").and_then(Value::as_str).and_then(number)),
        (_, 0, 0) => reply.unclear(),
        (_, 40001, _) if QUOTA_WORDS.iter().any(|word| message.as_str().is_some_and(|said| said.contains(word))) => {
            Outcome::throttled(Some(rest_of_day(now)), detail)
        }
        _ => Outcome::new(OutcomeClass::Permanent, detail),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::message::retry::OutcomeClass::{Ambiguous, Permanent, SafeRetry, Sent, Throttled};

    #[test]
    fn a_zero_in_the_body_says_that_it_is_queued() {
        for (status, body, expected) in [
            (200, r#"{"code":0,"message":"","data":{"pushid":"1","readkey":"k","error":"SUCCESS","errno":0}}"#, Sent),
            (200, r#"{"code":0,"message":"SUCCESS"}"#, Sent),
            (200, r#"{"code":0,"data":{"errno":1024}}"#, Permanent),
            (200, r#"{"code":40001,"message":"[AUTH]错误的Key"}"#, Permanent),
            (400, r#"{"code":40001,"message":"[AUTH]错误的Key"}"#, Permanent),
            (200, r#"{"code":40001,"message":"[AUTH]超过当天的发送次数限制[5]"}"#, Throttled),
            (400, r#"{"code":40001,"message":"[AUTH]超过当天的发送次数限制[5]"}"#, Throttled),
            (200, r#"{"data":{}}"#, Ambiguous),
            (200, "<html></html>", Ambiguous),
            (302, "", Permanent),
            (404, "", Permanent),
            (429, "", Throttled),
            (500, r#"{"code":0}"#, Ambiguous),
            (502, "", Ambiguous),
            (503, "", SafeRetry),
        ] {
            let now = DateTime::from_timestamp(1_700_000_000, 0).unwrap();
            let outcome = of_reply(&Reply { status, body: body.into(), ..Reply::default() }, now);
            assert_eq!(outcome.class, expected, "{status} {body}");
            assert!(!outcome.whole_account, "a quota is one person's");
        }
    }

    #[test]
    fn each_form_of_key_has_its_server_and_the_settings_may_name_another() {
        for (base_url, key, expected) in [
            ("", "SCT12345Tabc", "https://sctapi.ftqq.com/SCT12345Tabc.send"),
            ("", "sctp77tXyz", "https://77.push.ft07.com/send/sctp77tXyz.send"),
            ("", "sctpevil.example.orgtX", "https://sctapi.ftqq.com/sctpevil.example.orgtX.send"),
            ("https://sc.example.org/", "SCT1T", "https://sc.example.org/SCT1T.send"),
            ("https://sc.example.org", "sctp7tX", "https://sc.example.org/send/sctp7tX.send"),
        ] {
            assert_eq!(url(base_url, key).unwrap(), expected);
        }
    }
}
