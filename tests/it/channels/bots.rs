//! Posts of group robots, against platforms that check key, signature, clock, shape and size as the vendors do. None of them knows a
//! repeat from a new post.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chenlian::config::Config;
use chenlian::domain::message::channel::GroupChannel;
use chenlian::domain::message::retry::{Outcome, OutcomeClass};
use chenlian::domain::rules::Span;
use chenlian::notify::group::{GroupNotifier, GroupPost, parse_key};
use chrono::{DateTime, TimeDelta, Utc};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

use super::fake::{Answer, Fake, Play, Request};
use super::{links, start};

pub const KEY: &str = "693a91f6-7xxx-4bc4-97a0-0ec2sifa5aaa";
pub const SIGN: &str = "SECdeadbeefcafe0123456789";
const TEXT: &str = "3号楼 2户待上门\n5号楼 1户待上门";

fn refused(errcode: i64, errmsg: &str) -> Answer {
    Answer::json(200, &json!({"errcode": errcode, "errmsg": errmsg}))
}

fn feishu_refused(code: i64, msg: &str) -> Answer {
    Answer::json(200, &json!({"code": code, "data": {}, "msg": msg}))
}

fn hmac(key: &str, text: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(key.as_bytes()).expect("any key");
    mac.update(text.as_bytes());
    STANDARD.encode(mac.finalize().into_bytes())
}

fn within_an_hour(seconds: i64, now: DateTime<Utc>) -> bool {
    (seconds - now.timestamp()).abs() <= 3_600
}

fn names(value: &Value) -> Vec<&String> {
    value.as_object().map(|fields| fields.keys().collect()).unwrap_or_default()
}

fn is_json_post(request: &Request) -> bool {
    request.method == "POST" && request.header("content-type") == "application/json"
}

fn wecom(request: &Request, accepted: &mut Vec<String>) -> Answer {
    let json = request.json();
    if request.path != "/cgi-bin/webhook/send" || request.parameters() != [("key".to_owned(), KEY.to_owned())] {
        return refused(93000, "invalid webhook url");
    }
    if !is_json_post(request) || names(&json) != ["msgtype", "text"] || json["msgtype"] != "text" || names(&json["text"]) != ["content"] {
        return refused(40008, "invalid message type");
    }
    match json["text"]["content"].as_str() {
        None | Some("") => return refused(44004, "text content is empty"),
        Some(text) if text.len() > 2_048 => return refused(40058, "text exceed max length 2048"),
        Some(text) => accepted.push(text.to_owned()),
    }
    Answer::json(200, &json!({"errcode": 0, "errmsg": "ok"}))
}

fn dingtalk(request: &Request, accepted: &mut Vec<String>, now: Option<DateTime<Utc>>) -> Answer {
    let (json, millis) = (request.json(), request.parameter("timestamp"));
    let found: Vec<String> = request.parameters().into_iter().map(|(name, _)| name).collect();
    let expected: &[&str] = if now.is_some() { &["access_token", "timestamp", "sign"] } else { &["access_token"] };
    if request.path != "/robot/send" || found != expected || request.parameter("access_token") != KEY {
        return refused(300_001, "token is not exist");
    }
    if now.is_some_and(|now| millis.len() != 13 || !millis.parse().is_ok_and(|millis: i64| within_an_hour(millis / 1_000, now))) {
        return refused(310_000, "invalid timestamp");
    }
    if now.is_some() && request.parameter("sign") != hmac(SIGN, &format!("{millis}\n{SIGN}")) {
        return refused(310_000, "sign not match");
    }
    if request.body.len() > 20_000 {
        return refused(460_101, "message too long, exceed 20000 bytes");
    }
    let calls_nobody = json["at"].is_null() || json["at"] == json!({"isAtAll": false});
    let is_text = json["msgtype"] == "text" && names(&json["text"]) == ["content"] && calls_nobody;
    let Some(text) = json["text"]["content"].as_str().filter(|text| is_json_post(request) && is_text && !text.is_empty()) else {
        return refused(40035, "invalid parameter");
    };
    accepted.push(text.to_owned());
    Answer::json(200, &json!({"errcode": 0, "errmsg": "ok"}))
}

fn feishu(request: &Request, accepted: &mut Vec<String>, now: Option<DateTime<Utc>>) -> Answer {
    let json = request.json();
    if request.path != format!("/open-apis/bot/v2/hook/{KEY}") || !request.query.is_empty() {
        return feishu_refused(19001, "param invalid: incoming webhook access token invalid");
    }
    let expected: &[&str] = if now.is_some() { &["content", "msg_type", "sign", "timestamp"] } else { &["content", "msg_type"] };
    let is_text = json["msg_type"] == "text" && names(&json["content"]) == ["text"];
    if !is_json_post(request) || names(&json) != expected || !is_text || request.body.len() > 20_480 {
        return Answer::json(400, &json!({"code": 9499, "msg": "Bad Request", "data": {}}));
    }
    let seconds = json["timestamp"].as_str().unwrap_or_default();
    let signed =
        |now| seconds.parse().is_ok_and(|seconds| within_an_hour(seconds, now)) && json["sign"] == hmac(&format!("{seconds}\n{SIGN}"), "");
    if let Some(now) = now.filter(|now| !signed(*now)) {
        let mut refused = feishu_refused(19021, "sign match fail or timestamp is not within one hour from current time");
        refused.headers.push(("date", now.format("%a, %d %b %Y %H:%M:%S GMT").to_string()));
        return refused;
    }
    let text = json["content"]["text"].as_str().unwrap_or_default();
    let called = if text.contains("<at") { "everybody was called: " } else { "" };
    accepted.push(format!("{called}{text}"));
    Answer::json(200, &json!({"StatusCode": 0, "StatusMessage": "success", "code": 0, "data": {}, "msg": "success"}))
}

/// One whose clock stands at [`start`], if it checks signatures.
async fn platform(channel: GroupChannel, plays: &[Play], signed: bool) -> Fake {
    platform_at(channel, plays, move || signed.then(start)).await
}

/// One whose clock shows `now`, if it checks signatures.
pub async fn platform_at(channel: GroupChannel, plays: &[Play], now: impl Fn() -> Option<DateTime<Utc>> + Send + 'static) -> Fake {
    Fake::start(plays, move |request, accepted| match channel {
        GroupChannel::WecomBot => wecom(request, accepted),
        GroupChannel::DingtalkBot => dingtalk(request, accepted, now()),
        GroupChannel::FeishuBot => feishu(request, accepted, now()),
    })
    .await
}

fn post_with(channel: GroupChannel, key: &str, sign: Option<&str>, text: &str) -> GroupPost {
    let key = parse_key(channel, key, sign).expect("a key");
    GroupPost { channel, key, text: text.to_owned(), repeated: false, locale: "zh-CN", at: start() }
}

/// As the group is registered: with a signature where the platform has one.
fn post(channel: GroupChannel) -> GroupPost {
    post_with(channel, KEY, (channel != GroupChannel::WecomBot).then_some(SIGN), TEXT)
}

async fn send(fake: &Fake, post: &GroupPost) -> Outcome {
    let mut config = Config::defaults();
    config.outbox.attempt_timeout = Span::seconds(1);
    let channels = &mut config.channels;
    for base_url in [&mut channels.wecom_bot.base_url, &mut channels.dingtalk_bot.base_url, &mut channels.feishu_bot.base_url] {
        *base_url = format!("{}/", fake.url);
    }
    let outcome = GroupNotifier::new(&config).expect("the client is set up").send(post).await;
    assert!(![KEY, SIGN, "3号楼"].iter().any(|secret| outcome.detail.contains(secret)), "{}", outcome.detail);
    outcome
}

#[tokio::test]
async fn a_post_arrives_as_text_signed_or_not() {
    for channel in GroupChannel::ALL.iter().copied() {
        let fake = platform(channel, &[], true).await;
        assert_eq!(send(&fake, &post(channel)).await, Outcome::sent(None), "{channel}");
        assert_eq!(fake.accepted(), [TEXT], "{channel}");
        let fake = platform(channel, &[], false).await;
        assert_eq!(send(&fake, &post_with(channel, KEY, None, TEXT)).await, Outcome::sent(None), "{channel}");
    }
}

#[tokio::test]
async fn every_broken_link_says_whether_the_post_may_have_arrived() {
    for channel in GroupChannel::ALL.iter().copied() {
        for (play, class) in links::broken() {
            let fake = platform(channel, std::slice::from_ref(&play), true).await;
            let outcome = send(&fake, &post(channel)).await;
            assert_eq!(outcome.class, class, "{play:?} on {channel}: {}", outcome.detail);
            assert_eq!(fake.requests().len(), 1, "{play:?}: nothing is followed or repeated inside an attempt");
        }
    }
}

#[tokio::test]
async fn a_second_copy_says_that_it_is_one() {
    for channel in GroupChannel::ALL.iter().copied() {
        for fault in links::LOST {
            let fake = platform(channel, &[Play::After(fault)], true).await;
            assert_eq!(send(&fake, &post(channel)).await.class, OutcomeClass::Ambiguous, "{fault:?} on {channel}");
            let again = GroupPost { repeated: true, at: start() + TimeDelta::seconds(30), ..post(channel) };
            assert_eq!(send(&fake, &again).await.class, OutcomeClass::Sent);
            assert_eq!(fake.accepted(), [TEXT.to_owned(), format!("（补发）{TEXT}")], "{fault:?} on {channel}");
        }
    }
}

#[tokio::test]
async fn a_key_or_a_signature_that_is_refused_switches_this_robot_off_and_says_which() {
    use GroupChannel::{DingtalkBot, FeishuBot, WecomBot};
    for (channel, key, sign, detail) in [
        (WecomBot, "another", None, "errcode 93000: key unknown or robot removed"),
        (DingtalkBot, "another", Some(SIGN), "errcode 300001: token unknown"),
        (DingtalkBot, KEY, Some("SECother"), "errcode 310000: signature refused"),
        (FeishuBot, "another", Some(SIGN), "code 19001: token unknown"),
        (FeishuBot, KEY, Some("other"), "code 19021: signature or clock refused"),
    ] {
        let fake = platform(channel, &[], true).await;
        let outcome = send(&fake, &post_with(channel, key, sign, TEXT)).await;
        assert_eq!(outcome, Outcome::new(OutcomeClass::Gone, detail), "{channel}");
        assert_eq!(fake.accepted(), Vec::<String>::new());
    }
}

#[tokio::test]
async fn a_wrong_clock_is_not_the_robots_fault() {
    let at = |hours| start() + TimeDelta::hours(hours);
    let late = |channel, at: DateTime<_>| GroupPost { at, ..post(channel) };
    for (channel, detail) in
        [(GroupChannel::DingtalkBot, "errcode 310000: clock refused"), (GroupChannel::FeishuBot, "code 19021: clock refused")]
    {
        let fake = platform(channel, &[], true).await;
        for hours in [-2, 2] {
            assert_eq!(send(&fake, &late(channel, at(hours))).await, Outcome::new(OutcomeClass::Config, detail), "{channel}");
        }
    }
}

#[tokio::test]
async fn a_platform_that_asks_for_a_pause_gets_it_for_this_robot_alone() {
    use GroupChannel::{DingtalkBot, FeishuBot, WecomBot};
    let too_many = json!({"StatusCode": 0, "StatusMessage": "", "code": 9499, "msg": "too many request"});
    for (channel, answer, seconds) in [
        (WecomBot, refused(45009, "api freq out of limit"), 60..=60),
        (DingtalkBot, Answer::json(200, &json!({"errcode": 130_101, "status": 1111, "wait": 5, "punish": "deny"})), 600..=600),
        (FeishuBot, feishu_refused(11232, "frequency limited psm[lark.oapi.app_platform_runtime]"), 30..=90),
        (FeishuBot, Answer::json(200, &too_many), 1..=2),
        (FeishuBot, Answer::json(400, &too_many), 1..=2),
    ] {
        let fake = platform(channel, &[Play::Answer(answer)], true).await;
        let outcome = send(&fake, &post(channel)).await;
        assert_eq!((outcome.class, outcome.whole_account), (OutcomeClass::Throttled, false), "{channel}");
        assert!(seconds.contains(&outcome.wait.expect("a pause").num_seconds()), "{channel}: {:?}", outcome.wait);
    }
}

#[tokio::test]
async fn an_error_inside_a_200_is_no_delivery() {
    use GroupChannel::{DingtalkBot, FeishuBot, WecomBot};
    for (channel, answer, class) in [
        (WecomBot, refused(-1, "system busy"), OutcomeClass::SafeRetry),
        (WecomBot, refused(40058, "text exceed max length 2048"), OutcomeClass::Permanent),
        (DingtalkBot, refused(-1, ""), OutcomeClass::SafeRetry),
        (DingtalkBot, refused(310_000, "keywords not in content"), OutcomeClass::Gone),
        (DingtalkBot, refused(400_102, ""), OutcomeClass::Gone),
        (FeishuBot, feishu_refused(19024, "Key Words Not Found"), OutcomeClass::Gone),
        (FeishuBot, feishu_refused(9499, "Bad Request"), OutcomeClass::Permanent),
    ] {
        let fake = platform(channel, &[Play::Answer(answer.clone())], true).await;
        assert_eq!(send(&fake, &post(channel)).await.class, class, "{channel} {answer:?}");
    }
}

#[tokio::test]
async fn a_long_post_is_cut_and_a_name_calls_nobody() {
    for channel in GroupChannel::ALL.iter().copied() {
        let fake = platform(channel, &[], true).await;
        let long = format!("<at user_id=\"all\"></at>{}", "楼".repeat(9_000));
        assert_eq!(send(&fake, &GroupPost { text: long, ..post(channel) }).await, Outcome::sent(None), "{channel}");
        let [arrived] = &fake.accepted()[..] else { panic!("one post") };
        assert!(arrived.ends_with("楼…") && !arrived.starts_with("everybody"), "{channel}");
    }
}

#[tokio::test]
async fn an_unusable_key_asks_nobody() {
    let fake = platform(GroupChannel::WecomBot, &[], true).await;
    for key in [b"".to_vec(), b"{}".to_vec(), KEY.as_bytes().to_vec()] {
        assert_eq!(send(&fake, &GroupPost { key, ..post(GroupChannel::WecomBot) }).await.class, OutcomeClass::Permanent);
    }
    assert_eq!(fake.requests(), []);
}
