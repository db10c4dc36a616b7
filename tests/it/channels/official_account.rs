//! Template messages of the official account, against a platform that checks token, template, keywords and recipient as the vendor does,
//! and sends one message for each openid and `client_msg_id`.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use chenlian::config::{Config, Secret};
use chenlian::domain::message::Channel;
use chenlian::domain::message::brief::{Brief, Template};
use chenlian::domain::message::retry::{Outcome, OutcomeClass};
use chenlian::domain::rules::Span;
use chenlian::notify::{Notifier, Outgoing};
use chrono::{DateTime, NaiveDateTime, TimeDelta, Utc};
use futures_util::future::join_all;
use serde_json::{Value, json};
use uuid::Uuid;

use super::fake::{Answer, Break, Fake, Play, Request};
use super::{brief, links, notifier, outgoing, repeated, sealed, start};

/// Others have a number behind it.
pub const OPENID: &str = "oABCDEF-1234567890_abcdefg";
const SECRET: &str = "app-secret-0001";
const THING_CHARS_MAX: usize = 20;
/// How long a number is known.
const KNOWN: TimeDelta = TimeDelta::minutes(10);
/// What a message says that may be the second.
const MARK: &str = "补发";

fn error(errcode: i64) -> Answer {
    Answer::json(200, &json!({"errcode": errcode, "errmsg": "invalid credential, access_token is invalid or not latest"}))
}

async fn platform(plays: &[Play], dies_after: usize) -> Fake {
    platform_at(plays, dies_after, super::start).await
}

/// A platform whose clock shows `now` and whose first token dies with the message number `dies_after`.
pub async fn platform_at(plays: &[Play], dies_after: usize, now: impl Fn() -> DateTime<Utc> + Send + 'static) -> Fake {
    let (mut asked, mut known) = (0, HashMap::new());
    Fake::start(plays, move |request, accepted| match request.path.as_str() {
        "/cgi-bin/stable_token" => {
            let expected = json!({"grant_type": "client_credential", "appid": "wx1", "secret": SECRET});
            if request.method != "POST" || request.header("content-type") != "application/json" || request.json() != expected {
                return error(40125);
            }
            let live = if asked > dies_after { 2 } else { 1 };
            Answer::json(200, &json!({"access_token": format!("token/{live}+="), "expires_in": 7200}))
        }
        "/cgi-bin/message/template/send" => {
            asked += 1;
            let live = if asked > dies_after { 2 } else { 1 };
            if request.parameters() != [("access_token".to_owned(), format!("token/{live}+="))] {
                return error(40001);
            }
            known.retain(|_, (since, _)| now() - *since < KNOWN);
            message(request, &mut known, accepted, now())
        }
        _ => Answer::text(404, ""),
    })
    .await
}

/// What was sent to whom under which number: when, and its body.
type Known = HashMap<(String, String), (DateTime<Utc>, Vec<u8>)>;

fn message(request: &Request, known: &mut Known, accepted: &mut Vec<String>, now: DateTime<Utc>) -> Answer {
    let json = request.json();
    let names: Vec<&String> = json.as_object().map(|fields| fields.keys().filter(|name| *name != "url").collect()).unwrap_or_default();
    let shape = ["client_msg_id", "data", "template_id", "touser"];
    if request.method != "POST" || request.header("content-type") != "application/json" || names != shape {
        return error(47001);
    }
    if json["template_id"] != "template-1" {
        return error(40037);
    }
    if !json["touser"].as_str().is_some_and(|openid| openid.starts_with(OPENID)) {
        return error(40003);
    }
    if !keywords_fit(&json["data"]) {
        return error(47003);
    }
    let text = |name: &str| json[name].as_str().unwrap_or_default().to_owned();
    let mark = if request.text().contains(MARK) { MARK } else { "" };
    let (_, first) = known.entry((text("touser"), text("client_msg_id"))).or_insert_with(|| {
        accepted.push(format!("{}{mark}", text("client_msg_id")));
        (now, request.body.clone())
    });
    if *first != request.body && mark.is_empty() {
        accepted.push("the same number on another message".to_owned());
    }
    Answer::json(200, &json!({"errcode": 0, "errmsg": "ok", "msgid": 200_228_332}))
}

fn keywords_fit(data: &Value) -> bool {
    let names: Vec<&String> = data.as_object().map(|fields| fields.keys().collect()).unwrap_or_default();
    let value = |name: &str| data[name].as_object().filter(|fields| fields.len() == 1).and_then(|fields| fields["value"].as_str());
    let thing = |name| value(name).is_some_and(|text| (1..=THING_CHARS_MAX).contains(&text.chars().count()) && !text.contains('\n'));
    let time = value("time3").is_some_and(|text| NaiveDateTime::parse_from_str(text, "%Y年%m月%d日 %H:%M").is_ok());
    names == ["thing1", "thing2", "time3"] && thing("thing1") && thing("thing2") && time
}

fn account(fake: &Fake, secret: &str, seconds: i64) -> Notifier {
    notifier(|config: &mut Config| {
        config.outbox.attempt_timeout = Span::seconds(seconds);
        settings(config, fake);
        config.channels.official_account.app_secret = Secret::new(secret);
    })
}

pub fn settings(config: &mut Config, fake: &Fake) {
    let account = &mut config.channels.official_account;
    account.base_url.clone_from(&fake.url);
    (account.app_id, account.app_secret, account.template_id) = ("wx1".to_owned(), Secret::new(SECRET), "template-1".to_owned());
}

async fn send(fake: &Fake, outgoing: &Outgoing) -> Outcome {
    account(fake, SECRET, 1).send(outgoing).await
}

fn of(brief: &Brief) -> Outgoing {
    outgoing(Channel::OfficialAccount, OPENID, sealed(Channel::OfficialAccount, brief))
}

fn to_her() -> Outgoing {
    of(&brief())
}

#[tokio::test]
async fn a_message_says_what_where_and_when_and_leads_to_the_list() {
    let fake = platform(&[], usize::MAX).await;
    assert_eq!(send(&fake, &to_her()).await, Outcome::sent(Some("200228332".to_owned())));
    let sent = fake.requests()[1].json();
    let expected = json!({
        "touser": OPENID, "template_id": "template-1", "url": "https://cl.example.org/c/0123456789abcdef",
        "client_msg_id": "msg_00000000000000000000000000000007",
        "data": {"thing1": {"value": "还没有消息"}, "thing2": {"value": "3号楼"}, "time3": {"value": "2023年11月15日 06:13"}},
    });
    assert_eq!(sent, expected);
}

#[tokio::test]
async fn a_long_name_does_not_cost_the_message_and_a_code_stands_in_it() {
    let long = Brief { place: "楼".repeat(60), ..brief() };
    let code = Brief { template: Template::Code, code: Some("481516".to_owned()), ..brief() };
    let shortened = format!("{}…", "楼".repeat(THING_CHARS_MAX - 1));
    for (brief, keyword, value) in [(long, "thing2", shortened.as_str()), (code, "thing1", "还没有消息 481516")] {
        let fake = platform(&[], usize::MAX).await;
        assert_eq!(send(&fake, &of(&brief)).await.class, OutcomeClass::Sent);
        assert_eq!(fake.requests()[1].json()["data"][keyword]["value"], value);
    }
}

#[tokio::test]
async fn every_broken_link_says_whether_the_message_may_have_arrived() {
    for (play, class) in links::broken() {
        let fake = platform(&[Play::Judge, play.clone()], usize::MAX).await;
        let outcome = send(&fake, &to_her()).await;
        assert_eq!(outcome.class, class, "{play:?}: {}", outcome.detail);
        assert_eq!(fake.requests().len(), 2, "{play:?}: nothing is followed or repeated inside an attempt");
    }
}

#[tokio::test]
async fn a_token_that_dies_in_a_burst_of_fifty_is_fetched_once() {
    let fake = platform(&[], 1).await;
    let notifier = account(&fake, SECRET, 20);
    let numbered = |number: u128| Outgoing { dedupe_key: format!("msg_{}", Uuid::from_u128(number).simple()), ..to_her() };
    assert_eq!(notifier.send(&numbered(0)).await.class, OutcomeClass::Sent);
    let burst: Vec<Outgoing> = (1..=50).map(numbered).collect();
    let outcomes = join_all(burst.iter().map(|outgoing| notifier.send(outgoing))).await;
    assert!(outcomes.iter().all(|outcome| outcome.class == OutcomeClass::Sent), "{outcomes:?}");
    let tokens = fake.requests().iter().filter(|request| request.path == "/cgi-bin/stable_token").count();
    assert_eq!((tokens, fake.accepted().len()), (2, 51));
}

#[tokio::test]
async fn an_answer_that_was_lost_and_repeated_is_one_message() {
    for fault in links::LOST {
        let fake = platform(&[Play::Judge, Play::After(fault)], usize::MAX).await;
        let notifier = account(&fake, SECRET, 1);
        assert_eq!(notifier.send(&to_her()).await.class, OutcomeClass::Ambiguous, "{fault:?}");
        let again = notifier.send(&repeated(&to_her(), 300)).await;
        assert_eq!(again, Outcome::sent(Some("200228332".to_owned())), "{fault:?}");
        assert_eq!(fake.accepted(), ["msg_00000000000000000000000000000007"], "{fault:?}");
    }
}

#[tokio::test]
async fn a_repeat_after_its_number_was_forgotten_says_that_it_is_one() {
    let now = Arc::new(AtomicI64::new(start().timestamp()));
    let of_judge = Arc::clone(&now);
    let at = move || DateTime::from_timestamp(of_judge.load(Ordering::SeqCst), 0).expect("a time");
    let fake = platform_at(&[Play::Judge, Play::After(Break::Reset)], usize::MAX, at).await;
    let notifier = account(&fake, SECRET, 1);
    assert_eq!(notifier.send(&to_her()).await.class, OutcomeClass::Ambiguous);
    // Signed anew after ten minutes, and the next ones under the same time.
    for (seconds, signed) in [(601, 601), (620, 601), (1_300, 1_300)] {
        now.store(start().timestamp() + seconds, Ordering::SeqCst);
        let late = Outgoing { signed_at: start() + TimeDelta::seconds(signed), ..repeated(&to_her(), seconds) };
        assert_eq!(notifier.send(&late).await.class, OutcomeClass::Sent, "{seconds}");
    }
    let id = "msg_00000000000000000000000000000007";
    assert_eq!(fake.accepted(), [id.to_owned(), format!("{id}{MARK}"), format!("{id}{MARK}")], "20 seconds later it is known again");
}

#[tokio::test]
async fn a_token_that_is_dead_twice_or_refused_means_that_somebody_must_look_at_the_account() {
    let fake = platform(&[], 0).await;
    let dead = Play::Answer(error(42001));
    fake.then(&[Play::Judge, dead.clone(), Play::Judge, dead]);
    assert_eq!(send(&fake, &to_her()).await, Outcome::new(OutcomeClass::Config, "errcode 42001"));
    assert_eq!(fake.requests().len(), 4);

    let fake = platform(&[], usize::MAX).await;
    let outcome = account(&fake, "another", 1).send(&to_her()).await;
    assert_eq!(outcome, Outcome::new(OutcomeClass::Config, "token: errcode 40125"));
    assert_eq!(fake.requests().len(), 1);
}

#[tokio::test]
async fn an_error_inside_a_200_is_no_delivery() {
    for (errcode, outcome) in [
        (45009, Outcome::account_throttled(Some(TimeDelta::hours(1)), "errcode 45009")),
        (-1, Outcome::new(OutcomeClass::SafeRetry, "errcode -1")),
        (48001, Outcome::new(OutcomeClass::Config, "errcode 48001")),
        (43004, Outcome::new(OutcomeClass::Permanent, "errcode 43004")),
    ] {
        let fake = platform(&[Play::Judge, Play::Answer(error(errcode))], usize::MAX).await;
        assert_eq!(send(&fake, &to_her()).await, outcome);
    }
    let fake = platform(&[], usize::MAX).await;
    let stranger = Outgoing { address: "oSomebodyElse".to_owned(), ..to_her() };
    assert_eq!(send(&fake, &stranger).await, Outcome::new(OutcomeClass::Permanent, "errcode 40003"));
    assert_eq!(fake.accepted(), Vec::<String>::new());
}

#[tokio::test]
async fn an_unusable_openid_or_body_asks_nobody() {
    let fake = platform(&[], usize::MAX).await;
    let nobody = Outgoing { address: String::new(), ..to_her() };
    assert_eq!(send(&fake, &nobody).await.class, OutcomeClass::Permanent);
    let broken = Outgoing { body: b"{}".to_vec(), ..to_her() };
    assert_eq!(send(&fake, &broken).await.class, OutcomeClass::Broken);
    assert_eq!(fake.requests(), []);
}
