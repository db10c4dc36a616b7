//! WeCom application messages, against a company that checks token, shape and size as the vendor does, drops what it has had before if
//! its JSON is identical, and ends tokens when it likes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use chenlian::config::{Config, Secret};
use chenlian::domain::message::Channel;
use chenlian::domain::message::retry::{Outcome, OutcomeClass};
use chenlian::domain::rules::Span;
use chenlian::notify::{self, Envelope, Notifier, Outgoing};
use chrono::TimeDelta;
use futures_util::future::join_all;
use serde_json::{Value, json};
use uuid::Uuid;

use super::fake::{Answer, Break, Fake, Play, Request};
use super::{brief, links, notifier, outgoing, repeated, sealed, start};

/// Her colleagues have a number behind it.
pub const USER: &str = "WangXiuLan";
const SECRET: &str = "corp-secret-0001";
const CONTENT_BYTES_MAX: usize = 2_048;

/// A company: only the token of the present number is good.
pub struct Company {
    pub fake: Fake,
    number: Arc<AtomicU32>,
}

impl Company {
    async fn start(plays: &[Play]) -> Self {
        Self::start_forgetful(plays, usize::MAX).await
    }

    /// One that ends its token after every so many messages.
    pub async fn start_forgetful(plays: &[Play], lasts: usize) -> Self {
        let number = Arc::new(AtomicU32::new(1));
        let (of_judge, mut known, mut ended_at) = (number.clone(), Vec::new(), 0);
        let fake = Fake::start(plays, move |request, accepted| {
            if accepted.len() - ended_at >= lasts {
                ended_at = accepted.len();
                of_judge.fetch_add(1, Ordering::Relaxed);
            }
            let token = format!("token-{}", of_judge.load(Ordering::Relaxed));
            match request.path.as_str() {
                "/cgi-bin/gettoken" => grant(request, &token),
                "/cgi-bin/message/send" => message(request, &token, &mut known, accepted),
                other => error(404, &format!("no such path: {other}")),
            }
        })
        .await;
        Self { fake, number }
    }

    fn end_token(&self) {
        self.number.fetch_add(1, Ordering::Relaxed);
    }

    /// Long enough for a burst on a busy machine.
    fn notifier(&self, secret: &str) -> Notifier {
        self.notifier_within(secret, 20)
    }

    fn notifier_within(&self, secret: &str, seconds: i64) -> Notifier {
        notifier(|config: &mut Config| {
            config.outbox.attempt_timeout = Span::seconds(seconds);
            self.settings(config);
            config.channels.wecom_app.corp_secret = Secret::new(secret);
        })
    }

    pub fn settings(&self, config: &mut Config) {
        let wecom = &mut config.channels.wecom_app;
        wecom.base_url = format!("{}/", self.fake.url);
        (wecom.corp_id, wecom.corp_secret, wecom.agent_id) = ("ww1".to_owned(), Secret::new(SECRET), 1_000_002);
    }

    /// One attempt, a second at most.
    async fn send(&self, outgoing: &Outgoing) -> Outcome {
        self.notifier_within(SECRET, 1).send(outgoing).await
    }

    fn asked(&self, path: &str) -> Vec<Request> {
        self.fake.requests().into_iter().filter(|request| request.path == path).collect()
    }

    pub fn tokens(&self) -> usize {
        self.asked("/cgi-bin/gettoken").len()
    }

    fn messages(&self) -> Vec<Request> {
        self.asked("/cgi-bin/message/send")
    }
}

fn error(errcode: i64, errmsg: &str) -> Answer {
    Answer::json(200, &json!({"errcode": errcode, "errmsg": errmsg}))
}

fn grant(request: &Request, token: &str) -> Answer {
    let expected = [("corpid", "ww1"), ("corpsecret", SECRET)].map(|(name, value)| (name.to_owned(), value.to_owned()));
    if request.method != "GET" || !request.body.is_empty() || request.parameters() != expected {
        return error(40001, "invalid credential");
    }
    Answer::json(200, &json!({"errcode": 0, "errmsg": "ok", "access_token": token, "expires_in": 7200}))
}

fn message(request: &Request, token: &str, known: &mut Vec<Vec<u8>>, accepted: &mut Vec<String>) -> Answer {
    if request.parameters() != [("access_token".to_owned(), token.to_owned())] {
        return error(42001, "access_token expired");
    }
    if request.method != "POST" || !request.header("content-type").starts_with("application/json") {
        return error(43002, "require POST method");
    }
    let json = request.json();
    let names: Vec<&String> = json.as_object().map(|fields| fields.keys().collect()).unwrap_or_default();
    let shape = ["agentid", "duplicate_check_interval", "enable_duplicate_check", "msgtype", "text", "touser"];
    if names != shape || json["msgtype"] != "text" || json["text"].as_object().is_none_or(|text| text.len() != 1) {
        return error(40035, "invalid parameter");
    }
    if json["agentid"] != json!(1_000_002) {
        return error(40056, "invalid agentid");
    }
    let span = json["duplicate_check_interval"].as_i64().unwrap_or_default();
    if json["enable_duplicate_check"] != json!(1) || !(1..=14_400).contains(&span) {
        return error(40035, "invalid parameter");
    }
    match json["text"]["content"].as_str() {
        None | Some("") => return error(44004, "empty content"),
        Some(text) if text.len() > CONTENT_BYTES_MAX => return error(40058, "content exceed max length"),
        Some(_) => {}
    }
    let said = json["touser"].as_str().filter(|user| !user.starts_with(USER)).unwrap_or_default();
    if said.is_empty() && !known.contains(&request.body) {
        known.push(request.body.clone());
        accepted.push(request.text().to_owned());
    }
    Answer::json(200, &json!({"errcode": 0, "errmsg": "ok", "invaliduser": said, "msgid": "msg-1"}))
}

fn message_to(user: &str) -> Outgoing {
    outgoing(Channel::WecomApp, user, sealed(Channel::WecomApp, &brief()))
}

fn to_her() -> Outgoing {
    message_to(USER)
}

fn sealed_text(text: &str, link: Option<&str>) -> Vec<u8> {
    let brief = brief();
    let envelope = Envelope {
        message_id: Uuid::from_u128(7),
        call_no: 123,
        recipient_id: Uuid::from_u128(8),
        kind: "notice.alert_call",
        class: "alert",
        text,
        title: "还没有消息",
        link,
        brief: &brief,
        alerts: &[],
        sealed_at: start(),
    };
    notify::seal(Channel::WecomApp, &envelope)
}

#[tokio::test]
async fn a_message_arrives_as_text_with_its_number() {
    let company = Company::start(&[]).await;
    assert_eq!(company.send(&to_her()).await, Outcome::sent(Some("msg-1".to_owned())));
    let sent: Value = serde_json::from_str(&company.fake.accepted()[0]).unwrap();
    assert_eq!(sent["text"]["content"], "王师傅：3号楼2户今早还没有消息。");
}

#[tokio::test]
async fn a_long_text_is_cut_at_a_character_and_keeps_its_link() {
    let company = Company::start(&[]).await;
    let link = "https://cl.example.org/c/0123456789abcdef";
    for letters in [639, 647, 2_000] {
        let body = sealed_text(&format!("{} {link}", "楼".repeat(letters)), Some(link));
        let text = String::from_utf8(body.clone()).unwrap();
        assert!(text.ends_with(&format!(" {link}")) && text.matches("https://").count() == 1, "{letters}: {text}");
        // With the words in front that a second copy begins with it is taken whole, too.
        for after_doubt in [false, true] {
            let message = Outgoing { after_doubt, ..outgoing(Channel::WecomApp, USER, body.clone()) };
            assert_eq!(company.send(&message).await.class, OutcomeClass::Sent, "{letters}");
        }
    }
    assert_eq!(company.fake.accepted().len(), 6);
}

#[tokio::test]
async fn every_broken_link_says_whether_the_message_may_have_arrived() {
    for (play, class) in links::broken() {
        let company = Company::start(&[Play::Judge, play.clone()]).await;
        let outcome = company.send(&to_her()).await;
        assert_eq!(outcome.class, class, "{play:?}: {}", outcome.detail);
        assert_eq!(company.fake.requests().len(), 2, "{play:?}: nothing is followed or repeated inside an attempt");
    }
}

#[tokio::test]
async fn without_a_token_nothing_was_sent_and_another_attempt_is_safe() {
    for fault in [Break::Reset, Break::Cut, Break::Html, Break::Huge, Break::Redirect, Break::Status(502), Break::Status(503)] {
        let company = Company::start(&[Play::Before(fault)]).await;
        let outcome = company.send(&to_her()).await;
        assert_eq!(outcome.class, OutcomeClass::SafeRetry, "{fault:?}: {}", outcome.detail);
        assert!(outcome.detail.starts_with("token: "), "{}", outcome.detail);
        assert_eq!(company.messages(), []);
    }
    let limited = Company::start(&[Play::Answer(error(45009, "api freq out of limit"))]).await;
    let outcome = limited.send(&to_her()).await;
    assert_eq!(outcome, Outcome::account_throttled(Some(TimeDelta::seconds(60)), "token: errcode 45009"));
}

#[tokio::test]
async fn a_burst_that_waits_for_a_token_that_hangs_fails_together_and_in_time() {
    let company = Company::start(&[Play::Before(Break::Hang)]).await;
    let notifier = company.notifier_within(SECRET, 8);
    let (mine, all) = (to_her(), 0..50);
    let outcomes = join_all(all.map(|_| notifier.send(&mine))).await;
    assert!(
        outcomes
            .iter()
            .all(|outcome| *outcome == Outcome { whole_account: true, ..Outcome::new(OutcomeClass::SafeRetry, "token: timeout") }),
        "{outcomes:?}"
    );
    assert_eq!(company.tokens(), 1);
    assert_eq!(notifier.send(&mine).await.class, OutcomeClass::Sent, "the failure is kept for nobody");
}

#[tokio::test]
async fn a_token_that_dies_in_a_burst_of_fifty_is_fetched_once() {
    let company = Company::start(&[]).await;
    let notifier = company.notifier(SECRET);
    let of = |number: usize| outgoing(Channel::WecomApp, USER, sealed_text(&format!("{number}号楼"), None));
    assert_eq!(notifier.send(&of(0)).await.class, OutcomeClass::Sent);
    company.end_token();
    let burst: Vec<Outgoing> = (1..=50).map(of).collect();
    let outcomes = join_all(burst.iter().map(|outgoing| notifier.send(outgoing))).await;
    assert!(outcomes.iter().all(|outcome| outcome.class == OutcomeClass::Sent), "{outcomes:?}");
    assert_eq!((company.tokens(), company.fake.accepted().len()), (2, 51));
}

#[tokio::test]
async fn a_dead_token_costs_one_more_request_with_the_same_json() {
    for errcode in [40001, 40014, 42001] {
        let company = Company::start(&[Play::Judge, Play::Answer(error(errcode, ""))]).await;
        assert_eq!(company.send(&to_her()).await.class, OutcomeClass::Sent, "{errcode}");
        let messages = company.messages();
        assert_eq!((company.tokens(), messages.len()), (2, 2));
        assert_eq!(messages[0].body, messages[1].body);
    }
}

#[tokio::test]
async fn a_token_that_is_dead_twice_or_refused_means_that_somebody_must_look_at_the_account() {
    let dead = Play::Answer(error(40014, ""));
    let company = Company::start(&[Play::Judge, dead.clone(), Play::Judge, dead]).await;
    assert_eq!(company.send(&to_her()).await, Outcome::new(OutcomeClass::Config, "errcode 40014"));
    assert_eq!(company.fake.requests().len(), 4);

    let company = Company::start(&[]).await;
    let outcome = company.notifier("another").send(&to_her()).await;
    assert_eq!(outcome, Outcome::new(OutcomeClass::Config, "token: errcode 40001"));
    assert_eq!(company.messages(), []);
}

#[tokio::test]
async fn an_answer_that_was_lost_and_repeated_is_one_message() {
    for fault in links::LOST {
        let company = Company::start(&[Play::Judge, Play::After(fault)]).await;
        let notifier = company.notifier_within(SECRET, 1);
        assert_eq!(notifier.send(&to_her()).await.class, OutcomeClass::Ambiguous, "{fault:?}");
        for seconds in [5, 3_600] {
            assert_eq!(notifier.send(&repeated(&to_her(), seconds)).await.class, OutcomeClass::Sent, "{fault:?}");
        }
        // Another process, another token: still the same message.
        company.end_token();
        assert_eq!(company.send(&repeated(&to_her(), 3_700)).await.class, OutcomeClass::Sent, "{fault:?}");
        let messages = company.messages();
        assert!(messages.iter().all(|message| message.body == messages[0].body), "{fault:?}: the JSON is identical");
        assert_eq!(company.fake.accepted().len(), 1, "{fault:?}");
    }
}

#[tokio::test]
async fn an_error_inside_a_200_is_no_delivery() {
    for (errcode, outcome) in [
        (45009, Outcome::account_throttled(Some(TimeDelta::seconds(60)), "errcode 45009")),
        (-1, Outcome::new(OutcomeClass::SafeRetry, "errcode -1")),
        (60020, Outcome::new(OutcomeClass::Config, "errcode 60020")),
        (81013, Outcome::new(OutcomeClass::Permanent, "errcode 81013")),
    ] {
        let company = Company::start(&[Play::Judge, Play::Answer(error(errcode, "not allow to access from your ip"))]).await;
        assert_eq!(company.send(&to_her()).await, outcome);
    }
    let company = Company::start(&[]).await;
    let outcome = company.send(&message_to("Nobody")).await;
    assert_eq!(outcome, Outcome::new(OutcomeClass::Permanent, "invaliduser"));
    assert_eq!(company.fake.accepted(), Vec::<String>::new());
}

#[tokio::test]
async fn nobody_and_everybody_are_not_written_to() {
    let company = Company::start(&[]).await;
    for address in ["", "@all", "WangXiuLan|LiJianGuo"] {
        assert_eq!(company.send(&message_to(address)).await, Outcome::new(OutcomeClass::Permanent, "no user id"), "{address}");
    }
    let broken = outgoing(Channel::WecomApp, USER, vec![0xff]);
    assert_eq!(company.send(&broken).await.class, OutcomeClass::Broken);
    assert_eq!(company.fake.requests(), []);
}
