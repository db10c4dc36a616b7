//! The small push services, each against a server that takes nothing but what its documentation says.

use chenlian::config::{Config, Secret};
use chenlian::domain::message::Channel;
use chenlian::domain::message::brief::{Brief, Template};
use chenlian::domain::message::retry::{Outcome, OutcomeClass};
use chenlian::notify::Outgoing;
use chrono::TimeDelta;
use futures_util::future::join_all;
use serde_json::{Value, json};

use super::fake::{Answer, Break, Fake, Play, Request};
use super::{brief, notifier, outgoing, repeated, sealed};

const CHANNELS: [Channel; 6] = [Channel::Ntfy, Channel::Gotify, Channel::Bark, Channel::ServerChan, Channel::PushPlus, Channel::Apprise];
const TEXT: &str = "王师傅：3号楼2户今早还没有消息。";
const LINK: &str = "https://cl.example.org/c/0123456789abcdef";

fn settings(config: &mut Config, url: &str) {
    let channels = &mut config.channels;
    url.clone_into(&mut channels.ntfy.base_url);
    channels.ntfy.token = Secret::new("tk_1");
    channels.gotify.base_url = format!("{url}/");
    url.clone_into(&mut channels.bark.base_url);
    channels.server_chan.on = true;
    url.clone_into(&mut channels.server_chan.base_url);
    channels.push_plus.on = true;
    url.clone_into(&mut channels.push_plus.base_url);
    channels.callback_key = Secret::new("KEY");
    "https://cl.example.org/".clone_into(&mut config.http.public_url);
    url.clone_into(&mut channels.apprise.base_url);
}

async fn send(fake: &Fake, outgoing: &Outgoing) -> Outcome {
    notifier(|config| settings(config, &fake.url)).send(outgoing).await
}

fn message(channel: Channel, brief: &Brief) -> Outgoing {
    let (address, secret) = match channel {
        Channel::Ntfy => ("wang-7f3a", None),
        Channel::Apprise => ("wang", None),
        Channel::Gotify => ("", Some("AqPKhQZ7")),
        Channel::Bark => ("", Some("devKey1")),
        Channel::ServerChan => ("", Some("SCT1Tabc")),
        _ => ("", Some("ppToken")),
    };
    Outgoing { secret: secret.map(|text| text.as_bytes().to_vec()), ..outgoing(channel, address, sealed(channel, brief)) }
}

/// The names of a JSON object in order.
fn names(body: &Value) -> Vec<&str> {
    let mut names: Vec<&str> = body.as_object().into_iter().flatten().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    names
}

/// What the service knows the message by, or shows of it; `None` if it would refuse the request.
fn accept(channel: Channel, request: &Request) -> Option<String> {
    let body = request.json();
    let text = |name: &str| body[name].as_str().filter(|text| !text.is_empty()).map(str::to_owned);
    let is_json = request.header("content-type") == "application/json";
    if request.method != "POST" || !request.query.is_empty() || (channel != Channel::Ntfy && !is_json) {
        return None;
    }
    match channel {
        Channel::Ntfy => {
            let is_right = request.path == "/wang-7f3a"
                && request.header("authorization") == "Bearer tk_1"
                && request.header("x-title") == "=?UTF-8?B?6L+Y5rKh5pyJ5raI5oGv?="
                && matches!(request.header("x-priority"), "1" | "2" | "3" | "4" | "5")
                && request.header("x-click") == LINK
                && (1..=4_096).contains(&request.text().len());
            is_right.then(|| request.header("x-sequence-id").to_owned()).filter(|id| !id.is_empty())
        }
        Channel::Gotify => {
            let is_right = request.path == "/message"
                && request.header("x-gotify-key") == "AqPKhQZ7"
                && names(&body) == ["extras", "message", "priority", "title"]
                && body["priority"].is_u64()
                && body["extras"] == json!({"client::notification": {"click": {"url": LINK}}});
            text("message").filter(|_| is_right)
        }
        Channel::Bark => {
            let is_right = request.path == "/push"
                && body["device_key"] == "devKey1"
                && body.as_object().is_some_and(|fields| fields.values().all(Value::is_string))
                && ["critical", "active", "timeSensitive", "passive"].contains(&text("level")?.as_str())
                && body["url"] == LINK
                && body["group"] == "chenlian";
            text("id").filter(|_| is_right && text("body").is_some())
        }
        Channel::ServerChan => {
            let is_right = request.path == "/SCT1Tabc.send" && names(&body) == ["desp", "title"] && text("title")?.chars().count() <= 32;
            text("desp").filter(|_| is_right)
        }
        Channel::PushPlus => {
            let is_right = request.path == "/send"
                && names(&body) == ["callbackUrl", "channel", "content", "template", "title", "token"]
                && (body["token"] == "ppToken" && body["template"] == "txt" && body["channel"] == "wechat")
                && body["callbackUrl"] == "https://cl.example.org/callbacks/push_plus/KEY";
            text("content").filter(|_| is_right)
        }
        _ => {
            let kind = text("type")?;
            let is_right = request.path == "/notify/wang"
                && names(&body) == ["body", "format", "title", "type"]
                && body["format"] == "text"
                && ["info", "success", "warning", "failure"].contains(&kind.as_str());
            text("body").filter(|_| is_right)
        }
    }
}

fn accepted(channel: Channel) -> Answer {
    let body = match channel {
        Channel::Ntfy => json!({"id": "hwQ2YpKdmg", "time": 1_700_000_000, "event": "message", "topic": "wang-7f3a"}),
        Channel::Gotify => json!({"id": 25, "appid": 5, "message": "", "title": "", "priority": 8, "date": ""}),
        Channel::Bark => json!({"code": 200, "message": "success", "timestamp": 1_700_000_000}),
        Channel::ServerChan => json!({"code": 0, "message": "", "data": {"pushid": "9", "readkey": "r", "error": "SUCCESS", "errno": 0}}),
        Channel::PushPlus => json!({"code": 200, "msg": "请求成功", "data": "d4de2b53"}),
        _ => json!({"error": null, "details": []}),
    };
    Answer::json(200, &body)
}

async fn service(channel: Channel, plays: &[Play]) -> Fake {
    Fake::start(plays, move |request, known| match accept(channel, request) {
        Some(identity) => {
            known.push(identity);
            accepted(channel)
        }
        None => Answer::json(400, &json!({"code": 400, "error": "Bad Request", "errorCode": 400})),
    })
    .await
}

#[tokio::test]
async fn a_message_leaves_in_the_shape_of_its_service_and_its_number_is_kept() {
    for channel in CHANNELS {
        let fake = service(channel, &[]).await;
        let outcome = send(&fake, &message(channel, &brief())).await;
        let number = match channel {
            Channel::Ntfy => Some("hwQ2YpKdmg"),
            Channel::Gotify => Some("25"),
            Channel::ServerChan => Some("9"),
            Channel::PushPlus => Some("d4de2b53"),
            _ => None,
        };
        assert_eq!(outcome, Outcome::sent(number.map(str::to_owned)), "{channel}: {:?}", fake.requests());
        assert_eq!(fake.accepted().len(), 1, "{channel}");
    }
}

#[tokio::test]
async fn a_call_for_help_is_louder_than_an_alert_and_news_are_quiet() {
    let levels = |template: Template| async move {
        let mut levels = Vec::new();
        for channel in CHANNELS {
            let fake = service(channel, &[]).await;
            let outcome = send(&fake, &message(channel, &Brief { template, ..brief() })).await;
            assert_eq!(outcome.class, OutcomeClass::Sent, "{channel}");
            let request = &fake.requests()[0];
            let body = request.json();
            levels.push(match channel {
                Channel::Ntfy => request.header("x-priority").to_owned(),
                Channel::Gotify => body["priority"].to_string(),
                Channel::Bark => format!("{} {}", body["level"], body["call"]),
                Channel::Apprise => body["type"].to_string(),
                _ => continue,
            });
        }
        levels
    };
    assert_eq!(levels(Template::Help).await, ["5", "8", "\"critical\" \"1\"", "\"failure\""]);
    assert_eq!(levels(Template::Alert).await, ["5", "8", "\"timeSensitive\" null", "\"warning\""]);
}

#[tokio::test]
async fn a_repeat_has_the_same_identity_or_says_what_it_is() {
    for channel in CHANNELS {
        let fake = service(channel, &[Play::After(Break::Reset)]).await;
        let first = message(channel, &brief());
        assert_eq!(send(&fake, &first).await.class, OutcomeClass::Ambiguous, "{channel}");
        assert_eq!(send(&fake, &repeated(&first, 5)).await.class, OutcomeClass::Sent, "{channel}");
        let known = fake.accepted();
        match channel {
            Channel::Ntfy | Channel::Bark => {
                assert_eq!(known, ["msg_00000000000000000000000000000007"; 2], "{channel}");
                let [one, other] = &fake.requests()[..] else { panic!("two requests") };
                assert_eq!(one, other, "{channel}");
            }
            _ => assert_eq!(known, [TEXT.to_owned(), format!("（补发，编号123）{TEXT}")], "{channel}"),
        }
    }
}

/// How a link breaks, and what that says to every channel over HTTP.
pub fn breaks() -> [(Play, OutcomeClass); 14] {
    use OutcomeClass::{Ambiguous, Permanent, SafeRetry, Throttled};
    [
        (Play::Before(Break::Reset), Ambiguous),
        (Play::After(Break::Reset), Ambiguous),
        (Play::Before(Break::Hang), Ambiguous),
        (Play::After(Break::Hang), Ambiguous),
        (Play::After(Break::Cut), Ambiguous),
        (Play::After(Break::Slow), Ambiguous),
        (Play::After(Break::Huge), Ambiguous),
        (Play::Before(Break::Status(500)), Ambiguous),
        (Play::After(Break::Status(502)), Ambiguous),
        (Play::After(Break::Status(504)), Ambiguous),
        (Play::Before(Break::Status(503)), SafeRetry),
        (Play::Before(Break::Redirect), Permanent),
        (Play::Answer(Answer::later(429, 7)), Throttled),
        (Play::Answer(Answer::later(503, 7)), Throttled),
    ]
}

#[tokio::test]
async fn every_broken_link_says_whether_the_message_may_have_arrived() {
    let pages = [Play::Before(Break::Html), Play::After(Break::Html)].map(|play| (play, OutcomeClass::Ambiguous));
    let all: Vec<(Play, OutcomeClass)> = breaks().into_iter().chain(pages).collect();
    let mut services = Vec::new();
    for channel in CHANNELS {
        let fake = service(channel, &all.iter().map(|(play, _)| play.clone()).collect::<Vec<Play>>()).await;
        let notifier = notifier(|config| settings(config, &fake.url));
        services.push((channel, fake, notifier));
    }
    join_all(services.iter().map(async |(channel, fake, notifier)| {
        for (number, (play, class)) in (1..).zip(&all) {
            let outcome = notifier.send(&message(*channel, &brief())).await;
            assert_eq!(outcome.class, *class, "{channel} {play:?}: {}", outcome.detail);
            assert_eq!(outcome.wait, (*class == OutcomeClass::Throttled).then_some(TimeDelta::seconds(7)), "{channel} {play:?}");
            assert!(fake.requests().len() == number, "{channel} {play:?}: nothing is followed and nothing repeated");
        }
    }))
    .await;
}

#[tokio::test]
async fn a_server_that_is_away_has_certainly_not_taken_it() {
    for channel in CHANNELS {
        let away = format!("http://127.0.0.1:{}", crate::cli::binary::free_port());
        let outcome = notifier(|config| settings(config, &away)).send(&message(channel, &brief())).await;
        assert_eq!(outcome.class, OutcomeClass::SafeRetry, "{channel}");
    }
}

#[tokio::test]
async fn what_a_service_refuses_inside_a_200_was_not_sent() {
    use OutcomeClass::{Ambiguous, Gone, Permanent, SafeRetry, Throttled};
    for (channel, answer, class) in [
        (Channel::Ntfy, Answer::json(200, &json!({})), Ambiguous),
        (Channel::Gotify, Answer::json(200, &json!({"errorCode": 400})), Ambiguous),
        (Channel::Gotify, Answer::json(401, &json!({"errorCode": 401})), Gone),
        (Channel::Bark, Answer::json(200, &json!({"code": 400})), Permanent),
        (Channel::ServerChan, Answer::json(200, &json!({"code": 40001, "message": "[AUTH]错误的Key"})), Permanent),
        (Channel::ServerChan, Answer::json(200, &json!({"code": 40001, "message": "[AUTH]超过当天的发送次数限制[5]"})), Throttled),
        (Channel::PushPlus, Answer::json(200, &json!({"code": 900, "msg": "用户账号使用受限"})), Throttled),
        (Channel::PushPlus, Answer::json(200, &json!({"code": 903, "msg": "无效的用户token"})), Permanent),
        (Channel::Apprise, Answer::text(204, ""), Gone),
        (Channel::Apprise, Answer::json(424, &json!({"error": "One or more notification could not be sent"})), SafeRetry),
    ] {
        let fake = service(channel, &[Play::Answer(answer.clone())]).await;
        let outcome = send(&fake, &message(channel, &brief())).await;
        assert_eq!(outcome.class, class, "{channel} {answer:?}");
    }
}

#[tokio::test]
async fn nothing_leaves_for_an_address_or_a_secret_that_leads_elsewhere() {
    for channel in CHANNELS {
        let fake = service(channel, &[]).await;
        let in_path = matches!(channel, Channel::Ntfy | Channel::Apprise | Channel::ServerChan);
        let elsewhere = ["../admin", "..", "a/b", "a?b=c", "a#b", "%2e%2e"];
        for odd in elsewhere.into_iter().filter(|_| in_path).chain(["a b", "", "三号楼", "a\r\nb: c"]) {
            let odd = Outgoing { address: odd.to_owned(), secret: Some(odd.into()), ..message(channel, &brief()) };
            assert_eq!(send(&fake, &odd).await.class, OutcomeClass::Permanent, "{channel}");
        }
        let broken = Outgoing { body: b"{}".to_vec(), ..message(channel, &brief()) };
        assert_eq!(send(&fake, &broken).await.class, OutcomeClass::Broken, "{channel}");
        assert!(fake.requests().is_empty(), "{channel}");
    }
}

#[tokio::test]
async fn a_service_that_is_not_set_up_sends_nothing() {
    for channel in CHANNELS {
        let outcome = notifier(|_| ()).send(&message(channel, &brief())).await;
        assert_eq!(outcome.class, OutcomeClass::Config, "{channel}");
    }
}

#[tokio::test]
async fn no_address_for_reports_is_given_away_where_none_is_read() {
    let fake = service(Channel::PushPlus, &[]).await;
    let change = |config: &mut Config| {
        settings(config, &fake.url);
        config.channels.callback_key = Secret::default();
    };
    notifier(change).send(&message(Channel::PushPlus, &brief())).await;
    assert!(fake.requests()[0].json().get("callbackUrl").is_none());
}
