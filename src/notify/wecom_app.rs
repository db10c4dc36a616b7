//! 企业微信应用消息. Evidence: vendor documentation, behaviour rehearsed against a strict local server; no live vendor was asked.
//!
//! - `GET /cgi-bin/gettoken?corpid=&corpsecret=` gives `access_token` and `expires_in` (7,200 s); WeCom may end it early.
//! - `POST /cgi-bin/message/send?access_token=` with `touser`, `msgtype` text, `agentid`, `text.content` (2,048 bytes; more is cut in
//!   silence). Success is `errcode` 0 and an empty `invaliduser`.
//! - A repeat is the same message within `duplicate_check_interval` if its JSON is identical: no attempt number, no time of day in it (I12).
//! - Over 30 a minute or 1,000 an hour to one member it drops messages and says 0: `Channel::limits` keeps that from happening.
//! - 40014, 42001, 40001: the token is dead. 45009: too many, 60 s for the whole account. 60020: this server's address is not allowed.

use chrono::TimeDelta;
use serde_json::json;

use super::http::{Reply, exchange};
use super::token::{Token, TokenCache};
use super::wechat::{Answer, cut_bytes, is_dead_token, shared, token};
use super::{Envelope, Outgoing};
use crate::config::WecomApp as Settings;
use crate::domain::message::retry::{Outcome, OutcomeClass};

const CONTENT_BYTES_MAX: usize = 2_048;
/// How long a repeat is known, the longest that WeCom allows.
const DUPLICATE_SECONDS: i64 = 14_400;
const THROTTLED: TimeDelta = TimeDelta::seconds(60);

#[derive(Debug, Clone)]
pub struct WecomApp {
    client: reqwest::Client,
    settings: Settings,
    tokens: TokenCache,
}

/// The text, cut to what arrives whole; the link is kept, because it is what the reader needs.
pub fn body(envelope: &Envelope<'_>) -> Vec<u8> {
    let Some(link) = envelope.link.filter(|_| envelope.text.len() > CONTENT_BYTES_MAX) else {
        return cut_bytes(envelope.text, CONTENT_BYTES_MAX).into_bytes();
    };
    format!("{} {link}", cut_bytes(envelope.text, CONTENT_BYTES_MAX - link.len() - 1)).into_bytes()
}

impl WecomApp {
    pub fn new(client: reqwest::Client, settings: Settings) -> Self {
        Self { client, settings, tokens: TokenCache::default() }
    }

    pub async fn send(&self, outgoing: &Outgoing) -> Outcome {
        let json = json!({
            "touser": outgoing.address, "msgtype": "text", "agentid": self.settings.agent_id,
            "text": { "content": String::from_utf8_lossy(&outgoing.body) },
            "enable_duplicate_check": 1, "duplicate_check_interval": DUPLICATE_SECONDS,
        });
        let (json, mut dead) = (json.to_string(), None);
        loop {
            let token = match self.tokens.get(dead.as_deref(), outgoing.at, || self.fetch(outgoing)).await {
                Ok(token) => token,
                Err(outcome) => return outcome,
            };
            let url = format!("{}/cgi-bin/message/send", self.settings.base_url);
            let request = self.client.post(url).query(&[("access_token", &token)]);
            let request = request.header("content-type", "application/json").body(json.clone());
            let reply = match exchange(request, outgoing.at).await {
                Ok(reply) => reply,
                Err(outcome) => return outcome,
            };
            let Some(answer) = reply.json::<Answer>().filter(|_| reply.status == 200) else { return reply.unclear() };
            if dead.is_none() && is_dead_token(answer.errcode) {
                dead = Some(token);
                continue;
            }
            return judge(&answer);
        }
    }

    async fn fetch(&self, outgoing: &Outgoing) -> Result<Token, Outcome> {
        let url = format!("{}/cgi-bin/gettoken", self.settings.base_url);
        let pairs = [("corpid", self.settings.corp_id.as_str()), ("corpsecret", self.settings.corp_secret.expose())];
        let reply = exchange(self.client.get(url).query(&pairs), outgoing.at).await;
        // Whatever happened to this request, no message was sent.
        let reply: Reply = reply.map_err(|outcome| Outcome { class: OutcomeClass::SafeRetry, ..outcome })?;
        token(&reply, outgoing.at)
    }
}

fn judge(answer: &Answer) -> Outcome {
    let detail = format!("errcode {}", answer.errcode);
    match answer.errcode {
        0 if answer.invaliduser.is_empty() => Outcome::sent(answer.number()),
        // One recipient a message: she is unknown, or the app is not open to her.
        0 => Outcome::new(OutcomeClass::Permanent, "invaliduser"),
        45009 => Outcome::account_throttled(Some(THROTTLED), detail),
        code => Outcome::new(shared(code).unwrap_or(OutcomeClass::Permanent), detail),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_its_class() {
        use OutcomeClass::{Config, Permanent, SafeRetry, Sent, Throttled};
        for (body, class) in [
            (r#"{"errcode":0,"errmsg":"ok","msgid":"m1"}"#, Sent),
            (r#"{"errcode":0,"errmsg":"ok","invaliduser":"wang","msgid":"m1"}"#, Permanent),
            (r#"{"errcode":-1}"#, SafeRetry),
            (r#"{"errcode":45009}"#, Throttled),
            (r#"{"errcode":40014}"#, Config),
            (r#"{"errcode":42001}"#, Config),
            (r#"{"errcode":40001}"#, Config),
            (r#"{"errcode":40013}"#, Config),
            (r#"{"errcode":40056}"#, Config),
            (r#"{"errcode":40125}"#, Config),
            (r#"{"errcode":60020}"#, Config),
            (r#"{"errcode":48001}"#, Config),
            (r#"{"errcode":81013}"#, Permanent),
            (r#"{"errcode":40058}"#, Permanent),
            (r#"{"errcode":40008}"#, Permanent),
            (r#"{"errcode":44004}"#, Permanent),
        ] {
            assert_eq!(judge(&serde_json::from_str(body).unwrap()).class, class, "{body}");
        }
        serde_json::from_str::<Answer>(r#"{"errmsg":"ok"}"#).unwrap_err();
    }
}
