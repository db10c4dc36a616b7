//! 阿里云短信: one text message from an approved template to one number.
//!
//! Wire (signature and error codes: `aliyun`): `SendSms` at `dysmsapi.aliyuncs.com` with `PhoneNumbers` (mainland: 11
//! digits without country code; elsewhere country code and number without `+`), `SignName`, `TemplateCode` (SMS_…), `TemplateParam`
//! (JSON, every value a string), `OutId` (up to 256 bytes, ours is the short id). Answer: `{"Code":"OK","BizId":…}`.
//!
//! Templates may use the variables `${called}`, `${place}`, `${count}` and `${link}`, that of the code only `${code}`, that of contacts only `${link}`; each up to 35
//! characters. `link` is what follows the host, which stands in the approved text: a whole address in a variable is refused
//! (`isv.PARAM_NOT_SUPPORT_URL`). What a template does not use is ignored.
//!
//! There is no idempotency (the vendor says: look at the receipt before you repeat). So after an unknown outcome the same signed request
//! goes out again: `OK` means that the first was lost and this one counts; `SignatureNonceUsed` means that the first reached the gateway,
//! and `QuerySendDetails` (`PhoneNumber`, `SendDate` as YYYYMMDD in China, `PageSize` up to 50, `CurrentPage`) tells by our `OutId` whether
//! it was accepted: `SmsSendDetailDTOs.SmsSendDetailDTO[]` with `OutId`, `SendStatus` (1 waits, 2 failed, 3 delivered), no `BizId`. A
//! request that had to be signed anew asks that list first, because its nonce proves nothing.
//!
//! Limits: 50 in 24 hours for a sign, template and number; 70 characters, then 67 in a part. Receipts name `biz_id` and `out_id`.
//!
//! Sources: the vendor's pages of both actions. That a nonce is remembered longer than 10 minutes is the vendor's word, not tried live.

use std::time::Duration;

use chrono::{DateTime, FixedOffset, TimeDelta, Utc};

use super::Outgoing;
use super::aliyun::{Gateway, Stamp};
use crate::config;
use crate::domain::message::brief::Brief;
use crate::domain::message::retry::{Outcome, OutcomeClass};
use crate::domain::phone;

/// A page of the list: more than one number may get in a day.
const DETAILS_MAX: &str = "50";
const CHINA_SECONDS_EAST: i32 = 8 * 3_600;

#[derive(Debug, Clone)]
pub struct AliyunSms {
    gateway: Gateway,
    settings: config::AliyunSms,
}

impl AliyunSms {
    pub fn new(settings: &config::AliyunSms, attempt_timeout: Duration) -> Result<Self, reqwest::Error> {
        let gateway = Gateway::new(&settings.base_url, &settings.access_key_id, &settings.access_key_secret, attempt_timeout)?;
        Ok(Self { gateway, settings: settings.clone() })
    }

    pub async fn send(&self, outgoing: &Outgoing) -> Outcome {
        let Some(message) = self.message(outgoing) else {
            return Outcome::new(OutcomeClass::Broken, "unreadable message");
        };
        let Some(number) = number(&outgoing.address) else {
            return Outcome::new(OutcomeClass::Permanent, "no telephone number");
        };
        let signed_anew = outgoing.signed_at >= outgoing.at;
        if outgoing.repeated && signed_anew {
            match self.listed(outgoing, &number).await {
                Ok(None) => {}
                Ok(Some(outcome)) | Err(outcome) => return outcome,
            }
        }
        let stamp = Stamp::new(&outgoing.dedupe_key, outgoing.signed_at);
        match self.submit(outgoing, &message, &number, &stamp).await {
            Submitted::Ended(outcome) => outcome,
            Submitted::Replayed => match self.listed(outgoing, &number).await {
                Ok(None) => Outcome::new(OutcomeClass::Ambiguous, "arrived, not listed yet"),
                Ok(Some(outcome)) | Err(outcome) => outcome,
            },
        }
    }

    fn message(&self, outgoing: &Outgoing) -> Option<Message<'_>> {
        let brief: Brief = serde_json::from_slice(&outgoing.body).ok()?;
        Some(Message {
            template: self.settings.templates.of(brief.template),
            parameters: parameters(&brief.marked(&outgoing.second_mark())),
        })
    }

    async fn submit(&self, outgoing: &Outgoing, message: &Message<'_>, number: &str, stamp: &Stamp) -> Submitted {
        let out_id = outgoing.short_id();
        let parameters = [
            ("PhoneNumbers", number),
            ("SignName", &self.settings.sign_name),
            ("TemplateCode", message.template),
            ("TemplateParam", &message.parameters),
            ("OutId", &out_id),
        ];
        match self.gateway.ask("SendSms", &parameters, stamp, outgoing.at).await {
            Ok(answer) if answer.is_replay() => Submitted::Replayed,
            Ok(answer) => Submitted::Ended(answer.outcome()),
            Err(outcome) => Submitted::Ended(outcome),
        }
    }

    /// What the provider's list says of this message; `None`: it is not on it.
    ///
    /// # Errors
    /// The list could not be read, so that nothing is known.
    async fn listed(&self, outgoing: &Outgoing, number: &str) -> Result<Option<Outcome>, Outcome> {
        let out_id = outgoing.short_id();
        for day in days(outgoing.at) {
            let parameters = [("PhoneNumber", number), ("SendDate", &day), ("PageSize", DETAILS_MAX), ("CurrentPage", "1")];
            let stamp = Stamp::new(&format!("{} listed {day}", outgoing.dedupe_key), outgoing.at);
            let unknown = |outcome: Outcome| Outcome::new(OutcomeClass::Ambiguous, format!("list not read: {}", outcome.detail));
            let answer = self.gateway.ask("QuerySendDetails", &parameters, &stamp, outgoing.at).await.map_err(unknown)?;
            if !answer.is_ok() {
                return Err(unknown(answer.outcome()));
            }
            if let Some(detail) = answer.details().iter().find(|detail| detail.out_id == out_id) {
                let failed = detail.send_status == 2;
                return Ok(Some(if failed {
                    Outcome::new(OutcomeClass::Permanent, "refused by the carrier")
                } else {
                    Outcome::sent(detail.biz_id.clone())
                }));
            }
        }
        Ok(None)
    }
}

/// What a body says at the moment of sending: the provider's number of a template may change after sealing.
struct Message<'a> {
    template: &'a str,
    parameters: String,
}

enum Submitted {
    Ended(Outcome),
    /// The nonce was known: an identical request came before.
    Replayed,
}

/// JSON in the order given.
pub fn parameters(values: &[(&str, String)]) -> String {
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    let pairs: Vec<String> = values.iter().map(|(name, value)| format!("{}:{}", quoted(name), quoted(value))).collect();
    format!("{{{}}}", pairs.join(","))
}

/// As both services write it: without country code in China, without `+` elsewhere.
pub fn number(address: &str) -> Option<String> {
    phone::normalise(address).map(|number| number.trim_start_matches('+').to_owned())
}

/// Today and yesterday in China: a copy in doubt may have left before midnight.
fn days(at: DateTime<Utc>) -> [String; 2] {
    let china = FixedOffset::east_opt(CHINA_SECONDS_EAST).expect("a third of a day");
    [at, at - TimeDelta::days(1)].map(|at| at.with_timezone(&china).format("%Y%m%d").to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_asked_for_the_days_of_china() {
        for (at, days_there) in [(1_699_977_599, ["20231114", "20231113"]), (1_699_977_600, ["20231115", "20231114"])] {
            assert_eq!(days(DateTime::from_timestamp(at, 0).unwrap()), days_there);
        }
    }

    #[test]
    fn parameters_are_strings_in_their_order_whatever_they_hold() {
        let values = [("place", "3号\"楼\"".to_owned()), ("count", "2".to_owned())];
        assert_eq!(parameters(&values), r#"{"place":"3号\"楼\"","count":"2"}"#);
    }

    #[test]
    fn a_number_is_written_as_the_provider_wants_it() {
        for (address, expected) in [("+86 138 0000 1111", Some("13800001111")), ("+852 5555 1234", Some("85255551234")), ("", None)] {
            assert_eq!(number(address).as_deref(), expected);
        }
    }
}
