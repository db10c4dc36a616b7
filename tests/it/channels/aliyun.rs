//! Text messages and calls over Aliyun, against a gateway that checks signature, order and shape as the vendor does.

use std::collections::HashSet;

use chenlian::config::{Config, Secret, Templates};
use chenlian::domain::message::Channel;
use chenlian::domain::message::brief::{Brief, Template};
use chenlian::domain::message::retry::{Outcome, OutcomeClass};
use chenlian::notify::Outgoing;
use chrono::{DateTime, TimeDelta, Utc};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::fake::{Answer, Break, Fake, Play, Request};
use super::{brief, notifier, outgoing, repeated, sealed};

/// What a text says that may be the second.
const MARK: &str = "补发";
const NUMBER: &str = "13800001111";
const SECRET: &str = "testSK";

pub fn templates(prefix: &str) -> Templates {
    let of = |template: Template| format!("{prefix}_{}", template.as_str().to_uppercase());
    Templates {
        help: of(Template::Help),
        alert: of(Template::Alert),
        stand_down: of(Template::StandDown),
        notice: of(Template::Notice),
        drill: of(Template::Drill),
        code: of(Template::Code),
        contact: of(Template::Contact),
        contact_well: of(Template::ContactWell),
        contact_handled: of(Template::ContactHandled),
    }
}

pub fn settings(config: &mut Config, fake: &Fake) {
    let (sms, voice) = (&mut config.channels.aliyun_sms, &mut config.channels.aliyun_voice);
    (sms.base_url, voice.base_url) = (fake.url.clone(), format!("{}/", fake.url));
    (sms.access_key_id, voice.access_key_id) = ("testAK".to_owned(), "testAK".to_owned());
    (sms.access_key_secret, voice.access_key_secret) = (Secret::new(SECRET), Secret::new(SECRET));
    "平安社区".clone_into(&mut sms.sign_name);
    (sms.templates, voice.templates) = (templates("SMS"), templates("TTS"));
}

async fn send(fake: &Fake, outgoing: &Outgoing) -> Outcome {
    notifier(|config| settings(config, fake)).send(outgoing).await
}

fn sms() -> Outgoing {
    outgoing(Channel::AliyunSms, NUMBER, sealed(Channel::AliyunSms, &brief()))
}

fn call() -> Outgoing {
    outgoing(Channel::AliyunVoice, NUMBER, sealed(Channel::AliyunVoice, &brief()))
}

fn error(status: u16, code: &str, message: &str) -> Answer {
    Answer::json(status, &json!({"Code": code, "Message": message, "RequestId": "R"}))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat()
}

/// The vendor's encoding, written down once more.
fn encoded(text: &str) -> String {
    let kept = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    text.bytes().map(|byte| if kept(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect::<Vec<_>>().concat()
}

/// What is wrong with the signature and everything that it covers.
fn unsigned(request: &Request) -> Option<String> {
    if request.method != "POST" || request.path != "/" || !request.body.is_empty() {
        return Some(format!("{} {} with {} bytes", request.method, request.path, request.body.len()));
    }
    let mut sorted = request.parameters();
    sorted.sort();
    let query = sorted.iter().map(|(name, value)| format!("{}={}", encoded(name), encoded(value))).collect::<Vec<_>>().join("&");
    if query != request.query {
        return Some(format!("not canonical: {}", request.query));
    }
    let body = hex(&Sha256::digest(b""));
    let mut covered: Vec<(&str, &str)> = request
        .headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .filter(|(name, _)| *name == "host" || *name == "content-type" || name.starts_with("x-acs-"))
        .collect();
    covered.sort_unstable();
    let names = covered.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(";");
    let lines = covered.iter().map(|(name, value)| format!("{name}:{value}\n")).collect::<Vec<_>>().concat();
    let canonical = format!("POST\n/\n{query}\n{lines}\n{names}\n{body}");
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).expect("any key");
    mac.update(format!("ACS3-HMAC-SHA256\n{}", hex(&Sha256::digest(canonical.as_bytes()))).as_bytes());
    let signature = hex(&mac.finalize().into_bytes());
    let expected = format!("ACS3-HMAC-SHA256 Credential=testAK,SignedHeaders={names},Signature={signature}");
    let right = request.header("authorization") == expected
        && names == "host;x-acs-action;x-acs-content-sha256;x-acs-date;x-acs-signature-nonce;x-acs-version"
        && request.header("x-acs-content-sha256") == body
        && request.header("x-acs-version") == "2017-05-25"
        && request.header("x-acs-signature-nonce").len() == 32;
    (!right).then(|| format!("signature: {:?}", request.headers))
}

/// The names of the parameters, and those among them that must be filled; every value of the JSON is a string.
fn ill_shaped(request: &Request, names: &[&str], json: &str) -> bool {
    let found: Vec<String> = request.parameters().into_iter().map(|(name, _)| name).collect();
    let values: Value = serde_json::from_str(&request.parameter(json)).unwrap_or_default();
    let strings = values.as_object().is_some_and(|values| values.values().all(|value| value.as_str().is_some_and(|text| !text.is_empty())));
    found != names || !strings || request.parameters().iter().any(|(_, value)| value.is_empty())
}

async fn sms_service(plays: &[Play], listed: bool) -> Fake {
    sms_service_at(plays, listed, super::start).await
}

/// The text service, whose clock shows `now`. What it accepts stands on its list, unless `listed` is false.
pub async fn sms_service_at(plays: &[Play], listed: bool, now: impl Fn() -> DateTime<Utc> + Send + 'static) -> Fake {
    let mut nonces = HashSet::new();
    let mut sent: Vec<(String, String)> = Vec::new();
    Fake::start(plays, move |request, accepted| {
        if let Some(wrong) = unsigned(request) {
            return error(400, "SignatureDoesNotMatch", &wrong);
        }
        let date = request.header("x-acs-date").parse::<DateTime<Utc>>();
        if !date.is_ok_and(|date| (date - now()).abs() <= TimeDelta::minutes(15)) {
            return error(400, "InvalidTimeStamp.Expired", "Specified time stamp or date value is expired.");
        }
        if !nonces.insert(request.header("x-acs-signature-nonce").to_owned()) {
            return error(400, "SignatureNonceUsed", "");
        }
        if request.header("x-acs-action") == "QuerySendDetails" {
            return list(request, if listed { &sent } else { &[] }, now());
        }
        let names = ["OutId", "PhoneNumbers", "SignName", "TemplateCode", "TemplateParam"];
        if request.header("x-acs-action") != "SendSms" || ill_shaped(request, &names, "TemplateParam") {
            return error(200, "isv.INVALID_PARAMETERS", "");
        }
        let number = request.parameter("PhoneNumbers");
        if !is_number(&number) || request.parameter("SignName") != "平安社区" {
            return error(200, "isv.MOBILE_NUMBER_ILLEGAL", "");
        }
        sent.push((number, request.parameter("OutId")));
        let mark = if request.parameter("TemplateParam").contains(MARK) { MARK } else { "" };
        accepted.push(format!("{}{mark}", request.parameter("OutId")));
        Answer::json(200, &json!({"Code": "OK", "Message": "OK", "RequestId": "R", "BizId": "900619746936498440^0"}))
    })
    .await
}

/// Of a telephone in China, without country code.
fn is_number(text: &str) -> bool {
    text.len() == 11 && text.starts_with('1') && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// What was sent to the number on the day, which is that of China; all of it was sent today.
fn list(request: &Request, sent: &[(String, String)], now: DateTime<Utc>) -> Answer {
    let names: Vec<String> = request.parameters().into_iter().map(|(name, _)| name).collect();
    let number = request.parameter("PhoneNumber");
    if names != ["CurrentPage", "PageSize", "PhoneNumber", "SendDate"] || !is_number(&number) {
        return error(200, "isv.INVALID_PARAMETERS", "");
    }
    let today = now.with_timezone(&chrono_tz::Asia::Shanghai);
    let is_today = request.parameter("SendDate") == today.format("%Y%m%d").to_string();
    let detail =
        |out_id: &str| json!({"OutId": out_id, "PhoneNum": number, "SendStatus": 1, "SendDate": today.format("%F %T").to_string()});
    let mut details = vec![json!({"OutId": "c99", "PhoneNum": number, "SendStatus": 3})];
    details.extend(sent.iter().filter(|(to, _)| is_today && *to == number).map(|(_, out_id)| detail(out_id)));
    Answer::json(200, &json!({"Code": "OK", "TotalCount": details.len().to_string(), "SmsSendDetailDTOs": {"SmsSendDetailDTO": details}}))
}

/// The voice service; one call a minute to a number.
async fn voice_service(plays: &[Play]) -> Fake {
    let mut nonces = HashSet::new();
    Fake::start(plays, move |request, accepted| {
        if let Some(wrong) = unsigned(request) {
            return error(400, "SignatureDoesNotMatch", &wrong);
        }
        if !nonces.insert(request.header("x-acs-signature-nonce").to_owned()) {
            return error(400, "SignatureNonceUsed", "");
        }
        let names = ["CalledNumber", "OutId", "PlayTimes", "TtsCode", "TtsParam"];
        let out_id = request.parameter("OutId");
        let right = request.header("x-acs-action") == "SingleCallByTts"
            && !ill_shaped(request, &names, "TtsParam")
            && out_id.len() <= 15
            && !request.parameter("TtsParam").contains("http");
        if !right {
            return error(200, "isv.INVALID_PARAMETERS", "");
        }
        let minute = request.header("x-acs-date")[..16].to_owned();
        if accepted.last().is_some_and(|last| last.ends_with(&minute)) {
            return error(200, "isv.BUSINESS_LIMIT_CONTROL", "触发分钟级流控Permits:1");
        }
        accepted.push(format!("{out_id} {minute}"));
        Answer::json(200, &json!({"Code": "OK", "Message": "OK", "RequestId": "R", "CallId": "116012854210^10281427****"}))
    })
    .await
}

#[tokio::test]
async fn a_text_leaves_in_the_vendors_shape_and_its_number_is_kept() {
    let fake = sms_service(&[], true).await;
    assert_eq!(send(&fake, &sms()).await, Outcome::sent(Some("900619746936498440^0".to_owned())));
    let request = &fake.requests()[0];
    assert_eq!(request.parameter("TemplateCode"), "SMS_ALERT");
    assert_eq!(request.parameter("TemplateParam"), r#"{"called":"王师傅","place":"3号楼","count":"2","link":"c/0123456789abcdef"}"#);
    assert_eq!(fake.accepted(), ["c123"]);
}

#[tokio::test]
async fn a_code_leaves_with_the_code_alone_by_text_and_by_call() {
    let code = Brief { template: Template::Code, code: Some("048151".to_owned()), ..brief() };
    let (text, voice) = (sms_service(&[], true).await, voice_service(&[]).await);
    for (fake, channel, name, param) in
        [(&text, Channel::AliyunSms, "TemplateCode", "TemplateParam"), (&voice, Channel::AliyunVoice, "TtsCode", "TtsParam")]
    {
        let outcome = send(fake, &outgoing(channel, "+86 138 0000 1111", sealed(channel, &code))).await;
        assert_eq!(outcome.class, OutcomeClass::Sent, "{}", outcome.detail);
        let request = &fake.requests()[0];
        assert!(request.parameter(name).ends_with("_CODE"));
        assert_eq!(request.parameter(param), r#"{"code":"048151"}"#);
    }
}

#[tokio::test]
async fn a_call_reads_the_place_and_the_number_of_households() {
    let fake = voice_service(&[]).await;
    assert_eq!(send(&fake, &call()).await, Outcome::sent(Some("116012854210^10281427****".to_owned())));
    let request = &fake.requests()[0];
    let [code, param, times] = ["TtsCode", "TtsParam", "PlayTimes"].map(|name| request.parameter(name));
    assert_eq!((code.as_str(), param.as_str(), times.as_str()), ("TTS_ALERT", r#"{"place":"3号楼","count":"2"}"#, "2"));
}

#[tokio::test]
async fn a_call_shows_the_number_that_the_account_owns() {
    let fake = Fake::start(&[], |request, _| match unsigned(request) {
        None => Answer::json(200, &json!({"Code": "OK", "CallId": request.parameter("CalledShowNumber")})),
        Some(wrong) => error(400, "SignatureDoesNotMatch", &wrong),
    })
    .await;
    let notifier = notifier(|config| {
        settings(config, &fake);
        config.channels.aliyun_voice.shown_number = "03517001234".to_owned();
    });
    assert_eq!(notifier.send(&call()).await, Outcome::sent(Some("03517001234".to_owned())));
}

#[tokio::test]
async fn every_broken_link_says_whether_the_message_may_have_arrived() {
    use OutcomeClass::{Ambiguous, Permanent, SafeRetry, Throttled};
    let limit = error(200, "isv.BUSINESS_LIMIT_CONTROL", "触发小时级流控Permits:5");
    for (play, class) in [
        (Play::Before(Break::Reset), Ambiguous),
        (Play::After(Break::Reset), Ambiguous),
        (Play::Before(Break::Hang), Ambiguous),
        (Play::After(Break::Cut), Ambiguous),
        (Play::After(Break::Slow), Ambiguous),
        (Play::After(Break::Huge), Ambiguous),
        (Play::After(Break::Html), Ambiguous),
        (Play::After(Break::Status(502)), Ambiguous),
        (Play::Before(Break::Status(503)), SafeRetry),
        (Play::Before(Break::Redirect), Permanent),
        (Play::Answer(Answer::later(429, 7)), Throttled),
        (Play::Answer(Answer::text(200, "")), Ambiguous),
        (Play::Answer(Answer::json(200, &json!({"RequestId": "R"}))), Ambiguous),
        (Play::Answer(error(500, "OK", "")), Ambiguous),
        (Play::Answer(error(200, "isp.SYSTEM_ERROR", "")), Ambiguous),
        (Play::Answer(error(400, "Throttling.User", "")), SafeRetry),
        (Play::Answer(error(400, "MissingSomething", "")), Permanent),
        (Play::Answer(error(200, "isv.MOBILE_NUMBER_ILLEGAL", "")), Permanent),
        (Play::Answer(limit), Throttled),
    ] {
        for (fake, message) in
            [(sms_service(std::slice::from_ref(&play), true).await, sms()), (voice_service(std::slice::from_ref(&play)).await, call())]
        {
            let outcome = send(&fake, &message).await;
            assert_eq!(outcome.class, class, "{play:?} on {}: {}", message.channel, outcome.detail);
            assert_eq!(fake.requests().len(), 1, "{play:?}: nothing is followed or repeated inside an attempt");
        }
    }
}

#[tokio::test]
async fn an_account_that_is_refused_and_a_wrong_clock_are_told_apart_from_a_bad_message() {
    for (status, code, detail) in [
        (200, "isv.AMOUNT_NOT_ENOUGH", "isv.AMOUNT_NOT_ENOUGH"),
        (400, "InvalidTimeStamp.Expired", "clock: InvalidTimeStamp.Expired"),
        (404, "InvalidAccessKeyId.NotFound", "InvalidAccessKeyId.NotFound"),
    ] {
        let fake = sms_service(&[Play::Answer(error(status, code, "13800001111"))], true).await;
        assert_eq!(send(&fake, &sms()).await, Outcome::new(OutcomeClass::Config, detail));
    }
    let fake = sms_service(&[], true).await;
    let wrong = notifier(|config| {
        settings(config, &fake);
        config.channels.aliyun_sms.access_key_secret = Secret::new("other");
    });
    assert_eq!(wrong.send(&sms()).await.class, OutcomeClass::Config, "the fake checks the signature");
}

#[tokio::test]
async fn an_unusable_number_or_body_asks_nobody() {
    let fake = sms_service(&[], true).await;
    for channel in [Channel::AliyunSms, Channel::AliyunVoice] {
        let nobody = outgoing(channel, "", sealed(channel, &brief()));
        assert_eq!(send(&fake, &nobody).await.class, OutcomeClass::Permanent);
        assert_eq!(send(&fake, &outgoing(channel, NUMBER, b"{}".to_vec())).await.class, OutcomeClass::Broken);
    }
    assert_eq!(fake.requests(), []);
}

#[tokio::test]
async fn a_text_whose_answer_was_lost_is_found_on_the_list_and_not_sent_twice() {
    for fault in [Break::Reset, Break::Hang, Break::Cut, Break::Html, Break::Status(504)] {
        let fake = sms_service(&[Play::After(fault)], true).await;
        assert_eq!(send(&fake, &sms()).await.class, OutcomeClass::Ambiguous);
        let again = send(&fake, &repeated(&sms(), 5)).await;
        assert_eq!(again, Outcome::sent(None), "{fault:?}");
        assert_eq!(fake.accepted(), ["c123"], "{fault:?}");
        let requests = fake.requests();
        assert_eq!(requests[0], requests[1], "the repeat is the same request byte for byte");
    }
}

#[tokio::test]
async fn a_text_that_never_arrived_is_sent_by_the_repeat() {
    let fake = sms_service(&[Play::Before(Break::Reset)], true).await;
    assert_eq!(send(&fake, &sms()).await.class, OutcomeClass::Ambiguous);
    assert_eq!(send(&fake, &repeated(&sms(), 5)).await.class, OutcomeClass::Sent);
    assert_eq!(fake.accepted(), ["c123"]);
    assert_eq!(fake.requests().len(), 2);
}

#[tokio::test]
async fn a_text_that_reached_the_gateway_and_is_not_listed_yet_waits() {
    let fake = sms_service(&[Play::After(Break::Reset)], false).await;
    send(&fake, &sms()).await;
    for seconds in [5, 15] {
        let again = send(&fake, &repeated(&sms(), seconds)).await;
        assert_eq!(again, Outcome::new(OutcomeClass::Ambiguous, "arrived, not listed yet"));
    }
    assert_eq!(fake.accepted(), ["c123"]);
}

#[tokio::test]
async fn a_text_that_must_be_signed_anew_is_looked_for_first() {
    let late = |message: Outgoing| {
        let at = message.at + TimeDelta::minutes(11);
        Outgoing { repeated: true, signed_at: at, at, ..message }
    };
    let arrived = sms_service(&[Play::After(Break::Reset)], true).await;
    send(&arrived, &sms()).await;
    assert_eq!(send(&arrived, &late(sms())).await, Outcome::sent(None));
    assert_eq!(arrived.accepted(), ["c123"]);

    let lost = sms_service(&[Play::Before(Break::Reset)], true).await;
    send(&lost, &sms()).await;
    assert_eq!(send(&lost, &late(sms())).await.class, OutcomeClass::Sent);
    assert_eq!(lost.accepted(), ["c123"]);

    for unreadable in [Play::Before(Break::Reset), Play::Answer(error(400, "Forbidden.RAM", "")), Play::Answer(Answer::text(200, "?"))] {
        let blind = sms_service(&[Play::After(Break::Reset), unreadable.clone()], true).await;
        send(&blind, &sms()).await;
        let outcome = send(&blind, &late(sms())).await;
        assert_eq!(outcome.class, OutcomeClass::Ambiguous, "{unreadable:?}");
        assert!(outcome.detail.starts_with("list not read"), "{}", outcome.detail);
        assert_eq!(blind.accepted(), ["c123"], "without the list there is no second copy");
    }
}

#[tokio::test]
async fn a_text_that_the_carrier_refused_goes_on_to_the_next_channel() {
    let failed =
        json!({"Code": "OK", "SmsSendDetailDTOs": {"SmsSendDetailDTO": [{"OutId": "c123", "SendStatus": 2, "ErrCode": "MK:0001"}]}});
    let plays = [Play::After(Break::Reset), Play::Judge, Play::Answer(Answer::json(200, &failed))];
    let fake = sms_service(&plays, true).await;
    send(&fake, &sms()).await;
    assert_eq!(send(&fake, &repeated(&sms(), 5)).await, Outcome::new(OutcomeClass::Permanent, "refused by the carrier"));
}

#[tokio::test]
async fn a_call_whose_answer_was_lost_is_known_by_the_limit_of_the_minute() {
    let fake = voice_service(&[Play::After(Break::Reset)]).await;
    assert_eq!(send(&fake, &call()).await.class, OutcomeClass::Ambiguous);
    assert_eq!(send(&fake, &repeated(&call(), 5)).await, Outcome::sent(None));
    assert_eq!(fake.accepted(), ["c123 2023-11-14T22:13"]);
}

#[tokio::test]
async fn a_call_that_was_never_placed_is_placed_by_the_repeat() {
    let fake = voice_service(&[Play::Before(Break::Reset)]).await;
    send(&fake, &call()).await;
    assert_eq!(send(&fake, &repeated(&call(), 5)).await.class, OutcomeClass::Sent);
    assert_eq!(fake.accepted().len(), 1);
}

#[tokio::test]
async fn the_limit_of_the_hour_proves_no_call() {
    let limit = Play::Answer(error(200, "isv.BUSINESS_LIMIT_CONTROL", "触发小时级流控Permits:5"));
    let fake = voice_service(&[limit]).await;
    let outcome = send(&fake, &repeated(&call(), 5)).await;
    assert_eq!((outcome.class, outcome.wait), (OutcomeClass::Throttled, Some(TimeDelta::hours(1))));
}
