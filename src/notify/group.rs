//! Posts to group chats by their robots. A robot's key is its only secret and stands in the address, so no address is ever logged.
//!
//! None of the three platforms knows a repeat from a new post: one that may be a second copy says so. All of them answer 200 whatever
//! happened; only the code in the body says what did. They take about twenty posts a minute, and `domain::group_post` sends one.

use chrono::{DateTime, Utc};
use reqwest::Url;
use serde::{Deserialize, Serialize};

use super::digest::hmac_sha256;
use super::http::{Reply, client, exchange};
use super::{dingtalk_bot, feishu_bot, wecom_bot};
use crate::config::Config;
use crate::domain::message::channel::GroupChannel;
use crate::domain::message::retry::{Outcome, OutcomeClass};
use crate::text;

const KEY_CHARS_MAX: usize = 200;

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

/// The client of all robots, and where their platforms are.
#[derive(Debug, Clone)]
pub struct GroupNotifier {
    client: reqwest::Client,
    wecom_url: String,
    dingtalk_url: String,
    feishu_url: String,
}

impl GroupNotifier {
    /// # Errors
    /// The TLS client cannot be set up.
    pub fn new(config: &Config) -> Result<Self, reqwest::Error> {
        let url = |typed: &str| typed.trim_end_matches('/').to_owned();
        Ok(Self {
            client: client(config.outbox.attempt_timeout.std()).build()?,
            wecom_url: url(&config.channels.wecom_bot.base_url),
            dingtalk_url: url(&config.channels.dingtalk_bot.base_url),
            feishu_url: url(&config.channels.feishu_bot.base_url),
        })
    }

    pub async fn send(&self, post: &GroupPost) -> Outcome {
        let Ok(key) = serde_json::from_slice::<RobotKey>(&post.key) else {
            return Outcome::new(OutcomeClass::Permanent, "key unusable");
        };
        let mark = if post.repeated { text::plain(post.locale, "notice.group_repeated") } else { String::new() };
        let text = format!("{mark}{}", post.text);
        let request = match post.channel {
            GroupChannel::WecomBot => wecom_bot::request(&self.client, &self.wecom_url, &key, &text),
            GroupChannel::DingtalkBot => dingtalk_bot::request(&self.client, &self.dingtalk_url, &key, &text, post.at),
            GroupChannel::FeishuBot => feishu_bot::request(&self.client, &self.feishu_url, &key, &text, post.at),
        };
        match exchange(request, post.at).await {
            Ok(reply) => judge(post.channel, &reply, spread(&key, post.at)),
            Err(outcome) => outcome,
        }
    }
}

fn judge(channel: GroupChannel, reply: &Reply, spread: u8) -> Outcome {
    match channel {
        GroupChannel::WecomBot => wecom_bot::outcome(reply),
        GroupChannel::DingtalkBot => dingtalk_bot::outcome(reply),
        GroupChannel::FeishuBot => feishu_bot::outcome(reply, spread),
    }
}

/// Where in a range of pauses a robot comes back: another one elsewhere, and the same one elsewhere at another time.
fn spread(key: &RobotKey, at: DateTime<Utc>) -> u8 {
    hmac_sha256(key.key.as_bytes(), &at.timestamp_millis().to_be_bytes())[0]
}

/// The sealed form of what a platform shows when a robot is added: its key, or the whole address that holds it. The address of another
/// platform is refused: its parts would look like a key.
pub fn parse_key(channel: GroupChannel, typed: &str, sign: Option<&str>) -> Option<Vec<u8>> {
    let typed = typed.trim();
    let key = match (Url::parse(typed), channel) {
        (Ok(url), GroupChannel::WecomBot) => wecom_bot::key_of(&url)?,
        (Ok(url), GroupChannel::DingtalkBot) => dingtalk_bot::key_of(&url)?,
        (Ok(url), GroupChannel::FeishuBot) => feishu_bot::key_of(&url)?,
        (Err(_), _) => typed.to_owned(),
    };
    let sign = sign.map(str::trim).filter(|sign| !sign.is_empty());
    let sign_fits = sign.is_none_or(|sign| is_word(sign) && (channel != GroupChannel::DingtalkBot || dingtalk_bot::is_sign(sign)));
    if !is_word(&key) || !sign_fits {
        return None;
    }
    serde_json::to_vec(&RobotKey { key, sign: sign.map(str::to_owned) }).ok()
}

/// What can stand in an address as it is.
fn is_word(text: &str) -> bool {
    (1..=KEY_CHARS_MAX).contains(&text.len()) && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The vendors' codes, as a body with a status of 200.
    fn check(channel: GroupChannel, body: &str, expected: OutcomeClass) {
        let reply = Reply { status: 200, body: body.as_bytes().to_vec(), ..Reply::default() };
        assert_eq!(judge(channel, &reply, 0).class, expected, "{channel} {body}");
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
        use GroupChannel::{DingtalkBot, FeishuBot, WecomBot};
        let key =
            |channel, typed: &str, sign| parse_key(channel, typed, sign).map(|bytes| serde_json::from_slice::<RobotKey>(&bytes).unwrap());
        let of = |key: &str, sign: Option<&str>| Some(RobotKey { key: key.to_owned(), sign: sign.map(str::to_owned) });
        let (wecom, dingtalk, feishu) = (
            "https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key=693a91f6-7xxx",
            "https://oapi.dingtalk.com/robot/send?access_token=t0",
            "https://open.feishu.cn/open-apis/bot/v2/hook/abc-1",
        );
        assert_eq!(key(WecomBot, " 693a91f6-7xxx ", None), of("693a91f6-7xxx", None));
        assert_eq!(key(WecomBot, wecom, Some(" ")), of("693a91f6-7xxx", None));
        assert_eq!(key(DingtalkBot, &format!("{dingtalk}\n"), Some("SECabc")), of("t0", Some("SECabc")));
        assert_eq!(key(DingtalkBot, &format!("{dingtalk}&timestamp=1&sign=x"), None), of("t0", None));
        assert_eq!(key(FeishuBot, feishu, Some("xxx")), of("abc-1", Some("xxx")));
        for (channel, others) in [(WecomBot, [dingtalk, feishu]), (DingtalkBot, [wecom, feishu]), (FeishuBot, [wecom, dingtalk])] {
            for wrong in ["", "a b", "../x", "https://bot.example/send?key=a&access_token=b", others[0], others[1]] {
                assert_eq!(key(channel, wrong, None), None, "{channel} {wrong}");
            }
        }
        assert_eq!(
            key(WecomBot, "https://work.example.org/cgi-bin/webhook/send?key=a-1", None),
            of("a-1", None),
            "a platform of one's own"
        );
        assert_eq!(key(DingtalkBot, "t0", Some("abc")), None, "no secret of DingTalk");
        assert_eq!(key(FeishuBot, "https://open.feishu.cn/open-apis/bot/hook/abc", None), None, "the hooks of before");
    }

    #[test]
    fn robots_do_not_come_back_at_the_same_moment() {
        let at =
            |seconds| spread(&RobotKey { key: "abc-1".to_owned(), sign: None }, DateTime::UNIX_EPOCH + chrono::TimeDelta::seconds(seconds));
        let places: std::collections::BTreeSet<u8> = (0..256).map(at).collect();
        assert!(places.len() > 100, "{} places", places.len());
        assert_eq!(at(7), at(7));
    }
}
