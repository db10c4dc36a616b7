//! PushPlus, a private company that passes a message on to the person's WeChat. Her token is the secret.
//!
//! `POST https://www.pushplus.plus/send`, JSON `token`, `title`, `content` (20,000 characters), `template` "txt", `channel` "wechat",
//! and `callbackUrl`: what became of the message is posted there as `{"event":"message_complate","messageInfo":{"shortCode",
//! "sendStatus":2 or 3}}`. Nothing tells a repeat from the first copy, so it says so itself.
//!
//! `code` 200 means queued, and `data` is the short code that the callback names. 900: the token has sent too much, and whoever goes on
//! is shut out for longer, so it rests until the day is over. 500 is busy; 888 (no credit), 903 (token), 905 (no real name), 999 and
//! 6xx are final.

use chrono::{DateTime, Utc};
use reqwest::Client;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Outgoing;
use super::http::{Reply, exchange};
use super::note::{Note, at_base, number, rest_of_day, token};
use crate::config::{Config, Secret};
use crate::domain::message::retry::{Outcome, OutcomeClass};

#[derive(Debug, Clone)]
pub struct PushPlus {
    client: Client,
    base_url: String,
    /// Holds the key of all callbacks, so it is never shown.
    callback_url: Option<Secret>,
}

impl PushPlus {
    pub fn new(client: &Client, settings: &Config) -> Self {
        let (own, public_url, key) = (&settings.channels.push_plus, &settings.http.public_url, &settings.channels.callback_key);
        let calls_back = !public_url.is_empty() && !key.is_empty();
        let callback_url = || format!("{}/callbacks/push_plus/{}", public_url.trim_end_matches('/'), key.expose());
        Self {
            client: client.clone(),
            base_url: if own.on { own.base_url.clone() } else { String::new() },
            callback_url: calls_back.then(|| Secret::new(callback_url())),
        }
    }

    pub async fn send(&self, outgoing: &Outgoing) -> Result<Outcome, Outcome> {
        let note = Note::open_marked(outgoing)?;
        let url = at_base(&self.base_url, "send")?;
        let mut message = json!({
            "token": token(outgoing)?,
            "title": note.title,
            "content": note.body,
            "template": "txt",
            "channel": "wechat",
        });
        if let Some(callback_url) = &self.callback_url {
            message["callbackUrl"] = callback_url.expose().into();
        }
        Ok(of_reply(&exchange(self.client.post(url).json(&message), outgoing.at).await?, outgoing.at))
    }
}

#[derive(Deserialize)]
struct Answer {
    code: i64,
    #[serde(default)]
    data: Value,
}

fn of_reply(reply: &Reply, now: DateTime<Utc>) -> Outcome {
    let answer = reply.json::<Answer>().filter(|_| reply.status == 200);
    let Some(Answer { code, data }) = answer else { return reply.unclear() };
    let detail = format!("code {code}");
    match code {
        200 => Outcome::sent(data.as_str().and_then(number)),
        500 => Outcome::new(OutcomeClass::SafeRetry, detail),
        900 => Outcome::throttled(Some(rest_of_day(now)), detail),
        _ => Outcome::new(OutcomeClass::Permanent, detail),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::message::retry::OutcomeClass::{Ambiguous, Permanent, SafeRetry, Sent, Throttled};

    #[test]
    fn a_code_in_the_body_says_what_became_of_it() {
        for (status, body, expected) in [
            (200, r#"{"code":200,"msg":"请求成功","data":"d4de2b53"}"#, Sent),
            (200, r#"{"code":500,"msg":"系统异常"}"#, SafeRetry),
            (200, r#"{"code":600,"msg":"数据异常"}"#, Permanent),
            (200, r#"{"code":888,"msg":"积分不足"}"#, Permanent),
            (200, r#"{"code":900,"msg":"用户账号使用受限"}"#, Throttled),
            (200, r#"{"code":903,"msg":"无效的用户token"}"#, Permanent),
            (200, r#"{"code":905,"msg":"账户未进行实名认证"}"#, Permanent),
            (200, r#"{"code":999,"msg":"服务端验证错误"}"#, Permanent),
            (200, "<html></html>", Ambiguous),
            (200, r#"{"data":"d4de2b53"}"#, Ambiguous),
            (302, r#"{"code":200}"#, Permanent),
            (404, "", Permanent),
            (429, "", Throttled),
            (500, "", Ambiguous),
            (502, "", Ambiguous),
            (503, "", SafeRetry),
        ] {
            let now = DateTime::from_timestamp(1_700_000_000, 0).unwrap();
            let outcome = of_reply(&Reply { status, body: body.into(), ..Reply::default() }, now);
            assert_eq!(outcome.class, expected, "{status} {body}");
            assert_eq!(outcome.provider_id.as_deref(), (expected == Sent).then_some("d4de2b53"));
        }
    }
}
