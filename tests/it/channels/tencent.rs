//! Text messages over Tencent, against a service that checks signature and shape as the vendor does, and refuses the same text to the
//! same number within 30 seconds.

use std::collections::HashMap;

use chenlian::config::{Config, Secret, Templates};
use chenlian::domain::message::Channel;
use chenlian::domain::message::brief::{Brief, Template};
use chenlian::domain::message::retry::{Outcome, OutcomeClass};
use chenlian::notify::Outgoing;
use chrono::{DateTime, TimeDelta};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::fake::{Answer, Break, Fake, Play, Request};
use super::{brief, notifier, outgoing, repeated, sealed};

/// What a text says that may be the second.
const MARK: &str = "补发";
const CONTENT_TYPE: &str = "application/json; charset=utf-8";

pub fn settings(config: &mut Config, fake: &Fake) {
    let tencent = &mut config.channels.tencent_sms;
    tencent.base_url.clone_from(&fake.url);
    "testSID".clone_into(&mut tencent.secret_id);
    tencent.secret_key = Secret::new("testSKEY");
    "1400006666".clone_into(&mut tencent.sdk_app_id);
    "平安社区".clone_into(&mut tencent.sign_name);
    let of = |number: u32| number.to_string();
    tencent.templates = Templates {
        help: of(1),
        alert: of(2),
        stand_down: of(3),
        notice: of(4),
        drill: of(5),
        code: of(6),
        contact: of(7),
        contact_well: of(8),
        contact_handled: of(9),
    };
}

async fn send(fake: &Fake, outgoing: &Outgoing) -> Outcome {
    notifier(|config| settings(config, fake)).send(outgoing).await
}

fn sms() -> Outgoing {
    outgoing(Channel::TencentSms, "13800001111", sealed(Channel::TencentSms, &brief()))
}

fn error(code: &str) -> Answer {
    Answer::json(200, &json!({"Response": {"Error": {"Code": code, "Message": "13800001111"}, "RequestId": "R"}}))
}

fn status(code: &str, serial: &str) -> Answer {
    let status =
        json!({"SerialNo": serial, "PhoneNumber": "+8613800001111", "Fee": 1, "Code": code, "Message": "", "SessionContext": "c123"});
    Answer::json(200, &json!({"Response": {"SendStatusSet": [status], "RequestId": "R"}}))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat()
}

fn hmac(key: &[u8], text: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("any key");
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

/// Whether the request is signed for the second that it names.
fn is_signed(request: &Request) -> bool {
    let stamp = request.header("x-tc-timestamp");
    let Some(at) = stamp.parse().ok().and_then(|seconds| DateTime::from_timestamp(seconds, 0)) else { return false };
    let date = at.format("%Y-%m-%d").to_string();
    let (host, body) = (request.header("host"), hex(&Sha256::digest(&request.body)));
    let canonical = format!("POST\n/\n\ncontent-type:{CONTENT_TYPE}\nhost:{host}\n\ncontent-type;host\n{body}");
    let to_sign = format!("TC3-HMAC-SHA256\n{stamp}\n{date}/sms/tc3_request\n{}", hex(&Sha256::digest(canonical.as_bytes())));
    let key = hmac(&hmac(&hmac(b"TC3testSKEY", &date), "sms"), "tc3_request");
    let expected = format!(
        "TC3-HMAC-SHA256 Credential=testSID/{date}/sms/tc3_request, SignedHeaders=content-type;host, Signature={}",
        hex(&hmac(&key, &to_sign))
    );
    (request.method.as_str(), request.path.as_str(), request.query.as_str()) == ("POST", "/", "")
        && request.header("authorization") == expected
        && request.header("content-type") == CONTENT_TYPE
        && request.header("x-tc-action") == "SendSms"
        && request.header("x-tc-version") == "2021-01-11"
        && request.header("x-tc-region") == "ap-guangzhou"
}

/// Templates with their number of variables; every value a text, none of them an address.
fn is_shaped(body: &Value) -> bool {
    let mut names: Vec<&str> = body.as_object().into_iter().flatten().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    let variables = if body["TemplateId"] == "6" { 1 } else { 3 };
    let values = body["TemplateParamSet"].as_array().cloned().unwrap_or_default();
    names == ["PhoneNumberSet", "SessionContext", "SignName", "SmsSdkAppId", "TemplateId", "TemplateParamSet"]
        && body["PhoneNumberSet"].as_array().is_some_and(|numbers| matches!(&numbers[..], [number] if is_number(number)))
        && body["SmsSdkAppId"] == "1400006666"
        && body["SignName"] == "平安社区"
        && values.len() == variables
        && values.iter().all(|value| value.as_str().is_some_and(|text| !text.is_empty() && !text.contains('/')))
}

fn is_number(number: &Value) -> bool {
    number.as_str().and_then(|number| number.strip_prefix("+861")).is_some_and(|rest| rest.len() == 10)
}

async fn service(plays: &[Play]) -> Fake {
    service_at(plays, |stamp| stamp).await
}

/// The service; `now` says what its clock shows, given what the request claims. What it accepts is known by our short number, with the
/// mark of a repeat behind it if the text has one.
pub async fn service_at(plays: &[Play], now: impl Fn(i64) -> i64 + Send + 'static) -> Fake {
    let mut sent: HashMap<String, i64> = HashMap::new();
    Fake::start(plays, move |request, accepted| {
        let body = request.json();
        if !is_signed(request) {
            return error("AuthFailure.SignatureFailure");
        }
        if !is_shaped(&body) {
            return error("InvalidParameterValue.TemplateParameterFormatError");
        }
        let stamp: i64 = request.header("x-tc-timestamp").parse().expect("checked");
        let now = now(stamp);
        if (stamp - now).abs() > 300 {
            return error("AuthFailure.SignatureExpire");
        }
        let content = format!("{} {} {}", body["PhoneNumberSet"], body["TemplateId"], body["TemplateParamSet"]);
        if sent.get(&content).is_some_and(|at| now - at <= 30) {
            return status("LimitExceeded.PhoneNumberThirtySecondLimit", "");
        }
        sent.insert(content, now);
        let mark = if body["TemplateParamSet"].to_string().contains(MARK) { MARK } else { "" };
        accepted.push(format!("{}{mark}", body["SessionContext"].as_str().unwrap_or_default()));
        status("Ok", "2019:538884")
    })
    .await
}

#[tokio::test]
async fn a_text_leaves_in_the_vendors_shape_and_its_number_is_kept() {
    let fake = service(&[]).await;
    assert_eq!(send(&fake, &sms()).await, Outcome::sent(Some("2019:538884".to_owned())));
    let body = fake.requests()[0].json();
    assert_eq!(body["TemplateId"], "2");
    assert_eq!(body["TemplateParamSet"], json!(["王师傅", "3号楼", "2"]));
    assert_eq!(fake.accepted(), ["c123"]);
}

#[tokio::test]
async fn a_code_leaves_with_the_code_alone() {
    let fake = service(&[]).await;
    let code = Brief { template: Template::Code, code: Some("048151".to_owned()), ..brief() };
    let message = outgoing(Channel::TencentSms, "13800001111", sealed(Channel::TencentSms, &code));
    assert_eq!(send(&fake, &message).await.class, OutcomeClass::Sent);
    assert_eq!(fake.requests()[0].json()["TemplateParamSet"], json!(["048151"]));
}

#[tokio::test]
async fn every_broken_link_says_whether_the_message_may_have_arrived() {
    use OutcomeClass::{Ambiguous, Permanent, SafeRetry, Throttled};
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
        (Play::Answer(Answer::json(200, &json!({"Response": {"SendStatusSet": []}}))), Ambiguous),
        (Play::Answer(Answer::json(200, &json!({"Response": {}}))), Ambiguous),
        (Play::Answer(error("SomethingNew")), Ambiguous),
        (Play::Answer(error("InternalError.Timeout")), Ambiguous),
        (Play::Answer(error("RequestLimitExceeded")), Throttled),
        (Play::Answer(status("LimitExceeded.PhoneNumberDailyLimit", "")), Throttled),
        (Play::Answer(status("LimitExceeded.PhoneNumberThirtySecondLimit", "")), Throttled),
        (Play::Answer(status("FailedOperation.PhoneNumberInBlacklist", "")), Permanent),
    ] {
        let fake = service(std::slice::from_ref(&play)).await;
        let outcome = send(&fake, &sms()).await;
        assert_eq!(outcome.class, class, "{play:?}: {}", outcome.detail);
        assert_eq!(fake.requests().len(), 1, "{play:?}: nothing is followed or repeated inside an attempt");
    }
}

#[tokio::test]
async fn one_refused_entry_is_not_success() {
    let set = json!([{"SerialNo": "1", "Code": "Ok"}, {"SerialNo": "", "Code": "FailedOperation.ContainSensitiveWord"}]);
    let fake = service(&[Play::Answer(Answer::json(200, &json!({"Response": {"SendStatusSet": set}})))]).await;
    assert_eq!(send(&fake, &sms()).await.class, OutcomeClass::Permanent);
}

#[tokio::test]
async fn an_account_that_is_refused_and_a_wrong_clock_are_told_apart_from_a_bad_message() {
    for (answer, detail) in [
        (error("AuthFailure.SignatureExpire"), "clock: AuthFailure.SignatureExpire"),
        (error("UnauthorizedOperation.RequestIpNotInWhitelist"), "UnauthorizedOperation.RequestIpNotInWhitelist"),
        (status("FailedOperation.InsufficientBalanceInSmsPackage", ""), "FailedOperation.InsufficientBalanceInSmsPackage"),
    ] {
        let fake = service(&[Play::Answer(answer)]).await;
        assert_eq!(send(&fake, &sms()).await, Outcome::new(OutcomeClass::Config, detail));
    }
    let fake = service(&[]).await;
    let wrong = notifier(|config| {
        settings(config, &fake);
        config.channels.tencent_sms.secret_key = Secret::new("other");
    });
    assert_eq!(wrong.send(&sms()).await.class, OutcomeClass::Config, "the fake checks the signature");
}

#[tokio::test]
async fn an_unusable_number_or_body_asks_nobody() {
    let fake = service(&[]).await;
    let nobody = outgoing(Channel::TencentSms, "", sealed(Channel::TencentSms, &brief()));
    assert_eq!(send(&fake, &nobody).await.class, OutcomeClass::Permanent);
    assert_eq!(send(&fake, &outgoing(Channel::TencentSms, "13800001111", b"{}".to_vec())).await.class, OutcomeClass::Broken);
    assert_eq!(fake.requests(), []);
}

#[tokio::test]
async fn a_repeat_soon_after_is_the_probe_of_what_arrived() {
    for fault in [Break::Reset, Break::Hang, Break::Cut, Break::Html, Break::Status(504)] {
        let fake = service(&[Play::After(fault)]).await;
        assert_eq!(send(&fake, &sms()).await.class, OutcomeClass::Ambiguous);
        assert_eq!(send(&fake, &repeated(&sms(), 20)).await, Outcome::sent(None), "{fault:?}");
        assert_eq!(fake.accepted(), ["c123"], "{fault:?}");
        let requests = fake.requests();
        assert_eq!(requests[0].text(), requests[1].text(), "the probe is the same text");
    }
}

#[tokio::test]
async fn a_text_that_never_arrived_is_sent_by_a_probe() {
    let fake = service(&[Play::Before(Break::Reset)]).await;
    send(&fake, &sms()).await;
    fake.then(&[Play::Before(Break::Hang)]);
    assert_eq!(send(&fake, &repeated(&sms(), 5)).await.class, OutcomeClass::Ambiguous);
    assert_eq!(send(&fake, &repeated(&sms(), 15)).await.class, OutcomeClass::Sent);
    assert_eq!(fake.accepted(), ["c123"]);
}

#[tokio::test]
async fn a_late_repeat_says_that_it_is_one() {
    let moved_on = {
        let at = sms().at + TimeDelta::minutes(11);
        Outgoing { repeated: true, signed_at: at, at, ..sms() }
    };
    for late in [repeated(&sms(), 40), repeated(&sms(), 500), moved_on] {
        let fake = service(&[]).await;
        assert_eq!(send(&fake, &late).await.class, OutcomeClass::Sent);
        let place = fake.requests()[0].json()["TemplateParamSet"][1].as_str().unwrap_or_default().to_owned();
        assert!(place.ends_with("3号楼") && place.contains("123") && place != "3号楼", "{place}");
    }
}
