//! 企业微信应用消息. Evidence: vendor documentation, behaviour rehearsed against a strict local server; no live vendor was asked.
//!
//! - `GET /cgi-bin/gettoken?corpid=&corpsecret=` gives `access_token` and `expires_in` (7,200 s); WeCom may end it early.
//! - `POST /cgi-bin/message/send?access_token=` with `touser`, `msgtype` text, `agentid` (a number), `text.content` (2,048 bytes; more is
//!   cut in silence). Success is `errcode` 0 and neither `invaliduser` nor, as public clients report, `unlicenseduser`.
//! - `touser` is one user id: `a|b` would be two people and `@all` everybody whom the application sees.
//! - A repeat is the same message within `duplicate_check_interval` if its JSON is identical: no attempt number, no time of day in it (I12).
//! - Over 30 a minute or 1,000 an hour to one member it drops messages and says 0: `Channel::limits` keeps that from happening.
//! - 45009: too many, 60 s for the whole account, or an hour if its text speaks of the hour. 60020: this server's address is
//!   not allowed. 81013: user unknown, or not among those who see the application.
//! - Markdown shows only in WeCom itself, text also in the WeChat of those who follow the plug-in.

use chrono::{DateTime, Utc};
use serde_json::json;

use super::token::{Token, TokenCache};
use super::wechat::{self, Answer, limit};
use super::{Envelope, Outgoing, fit};
use crate::config::WecomApp as Settings;
use crate::domain::message::retry::{Outcome, OutcomeClass};

const CONTENT_BYTES_MAX: usize = 2_048;
/// Room for the words that say that this may be a second copy.
const MARK_BYTES_MAX: usize = 64;
/// How long a repeat is known, the longest that WeCom allows.
const DUPLICATE_SECONDS: i64 = 14_400;

#[derive(Debug, Clone)]
pub struct WecomApp {
    client: reqwest::Client,
    base_url: String,
    settings: Settings,
    tokens: TokenCache,
}

/// The text, cut to what arrives whole.
pub fn body(envelope: &Envelope<'_>) -> Vec<u8> {
    fit::bytes(envelope.text, envelope.link, CONTENT_BYTES_MAX - MARK_BYTES_MAX).into_bytes()
}

impl WecomApp {
    pub fn new(client: reqwest::Client, settings: Settings) -> Self {
        let base_url = settings.base_url.trim_end_matches('/').to_owned();
        Self { client, base_url, settings, tokens: TokenCache::default() }
    }

    pub async fn send(&self, outgoing: &Outgoing) -> Outcome {
        let Ok(text) = std::str::from_utf8(&outgoing.body) else {
            return Outcome::new(OutcomeClass::Broken, "unreadable message");
        };
        if !is_one_user(&outgoing.address) {
            return Outcome::new(OutcomeClass::Permanent, "no user id");
        }
        let json = json!({
            "touser": outgoing.address, "msgtype": "text", "agentid": self.settings.agent_id,
            "text": { "content": outgoing.second_mark() + text },
            "enable_duplicate_check": 1, "duplicate_check_interval": DUPLICATE_SECONDS,
        });
        let request = || self.client.post(format!("{}/cgi-bin/message/send", self.base_url));
        let answer = wechat::post(request, &json.to_string(), &self.tokens, || self.fetch(outgoing.at), outgoing.at).await;
        answer.map_or_else(|outcome| outcome, |answer| judge(&answer))
    }

    async fn fetch(&self, now: DateTime<Utc>) -> Result<Token, Outcome> {
        let pairs = [("corpid", self.settings.corp_id.as_str()), ("corpsecret", self.settings.corp_secret.expose())];
        wechat::grant(self.client.get(format!("{}/cgi-bin/gettoken", self.base_url)).query(&pairs), now).await
    }
}

/// Never everybody, whatever stands in the register.
fn is_one_user(address: &str) -> bool {
    !address.is_empty() && !address.contains('|') && !address.starts_with('@')
}

fn judge(answer: &Answer) -> Outcome {
    let detail = format!("errcode {}", answer.errcode);
    match answer.errcode {
        // One recipient a message, so what is said of some is said of her.
        0 if !answer.invaliduser.is_empty() => Outcome::new(OutcomeClass::Permanent, "invaliduser"),
        0 if !answer.unlicenseduser.is_empty() => Outcome::new(OutcomeClass::Permanent, "unlicenseduser"),
        0 => Outcome::sent(answer.number()),
        45009 => Outcome::account_throttled(Some(limit(&answer.errmsg)), detail),
        code => Outcome::new(wechat::class(code), detail),
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
            (r#"{"errcode":0,"errmsg":"ok","invaliduser":"","unlicenseduser":"","msgid":"m1"}"#, Sent),
            (r#"{"errcode":0,"errmsg":"ok","invaliduser":"wang","msgid":"m1"}"#, Permanent),
            (r#"{"errcode":0,"errmsg":"ok","unlicenseduser":"wang","msgid":"m1"}"#, Permanent),
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
            (r#"{"errcode":99999}"#, Permanent),
        ] {
            assert_eq!(judge(&serde_json::from_str(body).unwrap()).class, class, "{body}");
        }
        serde_json::from_str::<Answer>(r#"{"errmsg":"ok"}"#).unwrap_err();
        for (said, seconds) in [
            ("api freq out of limit", 60),
            ("reach hour limit", 3_600),
            ("\u{8d85}\u{8fc7}\u{6bcf}\u{5c0f}\u{65f6}\u{4e0a}\u{9650}", 3_600),
        ] {
            let throttled = judge(&Answer { errcode: 45009, errmsg: said.to_owned(), ..Answer::default() });
            assert!(throttled.whole_account && throttled.wait.is_some_and(|wait| wait.num_seconds() == seconds), "{said}");
        }
    }

    #[test]
    fn a_message_is_for_one_person() {
        for (address, one) in [("WangXiuLan", true), ("wang@example.org", true), ("", false), ("a|b", false), ("@all", false)] {
            assert_eq!(is_one_user(address), one, "{address}");
        }
    }
}
