//! Posts to group chats by their robots. A robot's key is its only secret and stands in the address, so no address is ever logged.
//!
//! None of the three platforms knows a repeat from a new post: one that may be a second copy says so. All of them answer 200 whatever
//! happened; only the code in the body says what did. They take about twenty posts a minute, and `domain::group_post` sends one.

use chrono::{DateTime, Utc};
use reqwest::RequestBuilder;
use serde::{Deserialize, Serialize};

use super::http::{Reply, client, exchange};
use super::{dingtalk_bot, feishu_bot, wecom_bot};
use crate::config::{Channels, Config};
use crate::domain::message::channel::GroupChannel;
use crate::domain::message::retry::{Outcome, OutcomeClass};
use crate::text;

/// One post.
#[derive(Clone)]
pub struct GroupPost {
    pub channel: GroupChannel,
    /// What [`parse_key`] made.
    pub key: Vec<u8>,
    pub text: String,
    /// A post of unknown outcome came before.
    pub repeated: bool,
    pub locale: &'static str,
    pub at: DateTime<Utc>,
}

/// The key of a robot, and the secret by which its platform checks signatures.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RobotKey {
    pub key: String,
    pub sign: Option<String>,
}

/// The clients of all robots.
#[derive(Debug, Clone)]
pub struct GroupNotifier {
    client: reqwest::Client,
    channels: Channels,
}

impl GroupNotifier {
    /// # Errors
    /// The TLS client cannot be set up.
    pub fn new(config: &Config) -> Result<Self, reqwest::Error> {
        Ok(Self { client: client(config.outbox.attempt_timeout.std()).build()?, channels: Channels::clone(&config.channels) })
    }

    pub async fn send(&self, post: &GroupPost) -> Outcome {
        let Ok(key) = serde_json::from_slice::<RobotKey>(&post.key) else {
            return Outcome::new(OutcomeClass::Permanent, "key unusable");
        };
        let mark = if post.repeated { text::plain(post.locale, "notice.group_repeated") } else { String::new() };
        let text = format!("{mark}{}", post.text);
        let (request, judge) = self.request(post, &key, &text);
        match exchange(request, post.at).await {
            Ok(reply) => judge(&reply),
            Err(outcome) => outcome,
        }
    }

    fn request(&self, post: &GroupPost, key: &RobotKey, text: &str) -> (RequestBuilder, fn(&Reply) -> Outcome) {
        match post.channel {
            GroupChannel::WecomBot => (wecom_bot::request(&self.client, &self.channels.wecom_bot.base_url, key, text), wecom_bot::outcome),
            GroupChannel::DingtalkBot => {
                (dingtalk_bot::request(&self.client, &self.channels.dingtalk_bot.base_url, key, text, post.at), dingtalk_bot::outcome)
            }
            GroupChannel::FeishuBot => {
                (feishu_bot::request(&self.client, &self.channels.feishu_bot.base_url, key, text, post.at), feishu_bot::outcome)
            }
        }
    }
}

/// The sealed form of what a platform shows when a robot is added: its key, or the whole address that holds it.
pub fn parse_key(channel: GroupChannel, typed: &str, sign: Option<&str>) -> Option<Vec<u8>> {
    let typed = typed.trim();
    let key = match reqwest::Url::parse(typed) {
        Ok(url) => {
            let of_query = |name: &str| url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned());
            match channel {
                GroupChannel::WecomBot => of_query("key")?,
                GroupChannel::DingtalkBot => of_query("access_token")?,
                GroupChannel::FeishuBot => url.path_segments()?.next_back()?.to_owned(),
            }
        }
        Err(_) => typed.to_owned(),
    };
    let is_word = |text: &str| !text.is_empty() && text.len() <= 200 && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
    let sign = sign.map(str::trim).filter(|sign| !sign.is_empty());
    if !is_word(&key) || sign.is_some_and(|sign| !is_word(sign)) {
        return None;
    }
    serde_json::to_vec(&RobotKey { key, sign: sign.map(str::to_owned) }).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The vendors' codes, as a body with a status of 200.
    fn check(channel: GroupChannel, body: &str, expected: OutcomeClass) {
        let reply = Reply { status: 200, body: body.as_bytes().to_vec(), retry_after: None };
        let outcome = match channel {
            GroupChannel::WecomBot => wecom_bot::outcome(&reply),
            GroupChannel::DingtalkBot => dingtalk_bot::outcome(&reply),
            GroupChannel::FeishuBot => feishu_bot::outcome(&reply),
        };
        assert_eq!(outcome.class, expected, "{channel} {body}");
    }

    #[test]
    fn only_a_zero_in_the_body_is_success_and_every_code_has_its_class() {
        use OutcomeClass::{Ambiguous, Gone, Permanent, SafeRetry, Sent, Throttled};
        for channel in GroupChannel::ALL {
            for unclear in ["", "<html>", "{}", "[]", r#"{"errmsg":"ok","msg":"ok"}"#, r#"{"errcode":"#] {
                check(*channel, unclear, Ambiguous);
            }
        }
        for (code, class) in [(0, Sent), (-1, SafeRetry), (45009, Throttled), (93000, Gone), (40058, Permanent), (40008, Permanent)] {
            check(GroupChannel::WecomBot, &format!(r#"{{"errcode":{code},"errmsg":"x"}}"#), class);
        }
        for (code, class) in [
            (0, Sent),
            (-1, SafeRetry),
            (130_101, Throttled),
            (410_100, Throttled),
            (310_000, Gone),
            (300_001, Gone),
            (400_101, Gone),
            (400_102, Gone),
            (460_101, Permanent),
            (40035, Permanent),
        ] {
            check(GroupChannel::DingtalkBot, &format!(r#"{{"errcode":{code},"errmsg":"x"}}"#), class);
        }
        for (code, class) in
            [(0, Sent), (11232, Throttled), (19001, Gone), (19007, Gone), (19021, Gone), (19022, Gone), (19024, Gone), (9499, Permanent)]
        {
            check(GroupChannel::FeishuBot, &format!(r#"{{"code":{code},"msg":"Bad Request"}}"#), class);
        }
        let busy = r#"{"StatusCode":0,"StatusMessage":"","code":9499,"msg":"too many request"}"#;
        check(GroupChannel::FeishuBot, busy, Throttled);
    }

    #[test]
    fn a_key_is_taken_from_what_the_platform_shows() {
        let key = |channel, typed: &str, sign| parse_key(channel, typed, sign).map(|bytes| serde_json::from_slice::<RobotKey>(&bytes).unwrap());
        let plain = |key: &str| Some(RobotKey { key: key.to_owned(), sign: None });
        assert_eq!(key(GroupChannel::WecomBot, " 693a91f6-7xxx ", None), plain("693a91f6-7xxx"));
        assert_eq!(key(GroupChannel::WecomBot, "https://bot.example/cgi-bin/webhook/send?key=693a", Some(" ")), plain("693a"));
        assert_eq!(key(GroupChannel::FeishuBot, "https://bot.example/open-apis/bot/v2/hook/abc-1", None), plain("abc-1"));
        assert_eq!(
            key(GroupChannel::DingtalkBot, "https://bot.example/robot/send?access_token=t0", Some("SECabc")),
            Some(RobotKey { key: "t0".to_owned(), sign: Some("SECabc".to_owned()) })
        );
        for wrong in ["", "a b", "https://bot.example/robot/send", "../x"] {
            assert_eq!(key(GroupChannel::DingtalkBot, wrong, None), None, "{wrong}");
        }
    }
}
