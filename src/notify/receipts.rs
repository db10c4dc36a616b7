//! Reports of the providers as facts. Evidence: vendor documentation; no live vendor was asked. What is missing or strange in one report
//! drops that report alone: the next one of the same push may be the one that matters.
//!
//! - Aliyun SMS (SmsReport): JSON array, `success`, `err_code`, `biz_id`, `out_id`; pushed again after 1, 5 and 10 minutes.
//! - Aliyun voice (VoiceReport): JSON array or one object, `call_id`, `out_id`, `status_code`.
//! - Tencent SMS: JSON array, `sid` (the SerialNo), `report_status`, `errmsg`.
//! - PushPlus: one object, `messageInfo.shortCode`, `sendStatus` 2 done, 3 failed.

use serde_json::Value;

use crate::domain::message::Channel;
use crate::domain::message::receipt::{Receipt, ReceiptState, call_no};

/// The fields by which providers give back our own short number.
const OURS: [&str; 2] = ["out_id", "session_context"];
/// Of a provider's code; longer ones are cut.
const DETAIL_CHARS_MAX: usize = 40;

/// The reports of a push and what it is answered; `None`: not a push of this channel.
pub fn parse(channel: Channel, body: &[u8]) -> Option<(Vec<Receipt>, &'static str)> {
    let value: Value = serde_json::from_slice(body).ok()?;
    let one: fn(&Value) -> Option<Fact> = match channel {
        Channel::AliyunSms => aliyun_sms,
        Channel::AliyunVoice => aliyun_voice,
        Channel::TencentSms => tencent_sms,
        Channel::PushPlus => push_plus,
        _ => return None,
    };
    let items = match value {
        Value::Array(items) => items,
        Value::Object(_) => vec![value],
        _ => return None,
    };
    let receipts = items.iter().filter_map(|item| Some((item, one(item)?))).map(|(item, (reference, state, detail))| {
        let detail = detail.chars().take(DETAIL_CHARS_MAX).collect();
        let call_no = OURS.iter().find_map(|name| call_no(&text(item, name)));
        Receipt { channel, reference, call_no, state, detail }
    });
    let answer = if channel == Channel::TencentSms { r#"{"result":0,"errmsg":"OK"}"# } else { r#"{"code":0,"msg":"OK"}"# };
    Some((receipts.collect(), answer))
}

type Fact = (String, ReceiptState, String);

/// The provider's number if there is one, or else ours.
fn reference(item: &Value, provider: &str, ours: &str) -> Option<String> {
    [provider, ours].iter().map(|name| text(item, name)).find(|found| !found.is_empty())
}

/// Codes come as text or as number.
fn text(item: &Value, name: &str) -> String {
    match &item[name] {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => String::new(),
    }
}

fn aliyun_sms(item: &Value) -> Option<Fact> {
    let state = if item["success"].as_bool()? { ReceiptState::Delivered } else { ReceiptState::Failed };
    Some((reference(item, "biz_id", "out_id")?, state, text(item, "err_code")))
}

fn aliyun_voice(item: &Value) -> Option<Fact> {
    let code = text(item, "status_code");
    let state = match code.as_str() {
        "200000" | "200001" => ReceiptState::Heard,
        // Busy, not answered, refused or unreachable, no coverage, switched off.
        "200002" | "200003" | "200005" | "200007" | "200010" => ReceiptState::Unanswered,
        "" => return None,
        _ => ReceiptState::Failed,
    };
    Some((reference(item, "call_id", "out_id")?, state, code))
}

fn tencent_sms(item: &Value) -> Option<Fact> {
    let state = if item["report_status"].as_str()? == "SUCCESS" { ReceiptState::Delivered } else { ReceiptState::Failed };
    Some((reference(item, "sid", "session_context")?, state, text(item, "errmsg")))
}

fn push_plus(item: &Value) -> Option<Fact> {
    let info = &item["messageInfo"];
    let state = match info["sendStatus"].as_i64()? {
        2 => ReceiptState::Delivered,
        3 => ReceiptState::Failed,
        _ => return None,
    };
    Some((info["shortCode"].as_str()?.to_owned(), state, text(info, "sendStatus")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(channel: Channel, body: &str, expected: &[(&str, ReceiptState, &str)]) {
        let (found, _) = parse(channel, body.as_bytes()).unwrap_or_else(|| panic!("{body}"));
        let found: Vec<(&str, ReceiptState, &str)> =
            found.iter().map(|receipt| (receipt.reference.as_str(), receipt.state, receipt.detail.as_str())).collect();
        assert_eq!(found, expected, "{body}");
    }

    #[test]
    fn a_push_is_read_report_by_report() {
        use ReceiptState::{Delivered, Failed, Heard, Unanswered};
        check(
            Channel::AliyunSms,
            r#"[{"phone_number":"13900000001","success":true,"err_code":"DELIVERED","biz_id":"b1","out_id":"c7"},
                {"phone_number":"13900000001","success":false,"err_code":"MOBILE_NOT_ON_SERVICE","out_id":"c8"},{"success":true},17]"#,
            &[("b1", Delivered, "DELIVERED"), ("c8", Failed, "MOBILE_NOT_ON_SERVICE")],
        );
        for (code, state) in [("200000", Heard), ("200002", Unanswered), ("200003", Unanswered), ("200010", Unanswered), ("200004", Failed)]
        {
            let body = format!(r#"[{{"call_id":"v1","out_id":"c9","status_code":"{code}","duration":3}}]"#);
            check(Channel::AliyunVoice, &body, &[("v1", state, code)]);
        }
        check(Channel::AliyunVoice, r#"{"call_id":"v2","status_code":200005}"#, &[("v2", Unanswered, "200005")]);
        check(
            Channel::TencentSms,
            r#"[{"sid":"s1","mobile":"13900000001","report_status":"SUCCESS","errmsg":"DELIVRD"},{"sid":"s2","report_status":"FAIL","errmsg":"ID:0013"}]"#,
            &[("s1", Delivered, "DELIVRD"), ("s2", Failed, "ID:0013")],
        );
        let pushed = r#"{"event":"message_complate","messageInfo":{"shortCode":"p1","sendStatus":3,"message":"x"}}"#;
        check(Channel::PushPlus, pushed, &[("p1", Failed, "3")]);
    }

    #[test]
    fn what_is_no_push_is_refused() {
        assert_eq!(parse(Channel::AliyunSms, b"<html>"), None);
        assert_eq!(parse(Channel::AliyunSms, b"17"), None);
        assert_eq!(parse(Channel::Email, b"[]"), None);
    }
}
