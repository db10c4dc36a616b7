//! 公众号模板消息. Evidence: vendor documentation; no live vendor was asked.
//!
//! - `POST /cgi-bin/stable_token` with `grant_type` client_credential, `appid`, `secret` gives a token without ending the one that others
//!   hold, perhaps with the rest of its life only.
//! - `POST /cgi-bin/message/template/send?access_token=` with `touser` (openid), `template_id`, `url`, `client_msg_id`, `data`. The same
//!   openid and `client_msg_id` are sent once within ten minutes: a repeat is the same message (I12), and later a second one, which
//!   says so. Success is `errcode` 0.
//! - Keywords: `thing` takes 20 characters, `time` the hour, with the date before it if need be; more is refused with 47003.
//! - 45009: the quota of the day is used up. 43004: she does not follow. 40003: openid unknown. 40037: template unknown.
//! - What became of it comes as an event, XML, signed with SHA-1 over the sorted token, timestamp and nonce: `TEMPLATESENDJOBFINISH` with
//!   `MsgID` and `Status`, which is `success`, `failed:user block` or `failed: system failed`.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, json};
use sha1::{Digest, Sha1};

use super::digest::hex;
use super::token::{Token, TokenCache};
use super::wechat::{self, Answer};
use super::{Envelope, Outgoing, fit};
use crate::config::OfficialAccount as Settings;
use crate::domain::message::Channel;
use crate::domain::message::receipt::{Receipt, ReceiptState};
use crate::domain::message::retry::{Outcome, OutcomeClass};

const THING_CHARS_MAX: usize = 20;
/// Year, month, day and time as the vendor writes them, with the words for year, month and day behind the numbers.
const TIME: &str = "%Y\u{5e74}%-m\u{6708}%-d\u{65e5} %H:%M";
/// How long the platform knows a repeat.
const REMEMBERED: TimeDelta = TimeDelta::minutes(10);
/// The quota is a day's; the outbox asks again every hour at most.
const QUOTA: TimeDelta = TimeDelta::hours(1);
/// Of a status, for the delivery log.
const DETAIL_CHARS_MAX: usize = 40;

#[derive(Debug, Clone)]
pub struct OfficialAccount {
    client: reqwest::Client,
    base_url: String,
    settings: Settings,
    tokens: TokenCache,
}

/// What goes into the keywords; which keyword, the settings say when it is sent.
#[derive(Serialize, Deserialize)]
struct Sealed {
    what: String,
    place: String,
    time: DateTime<Utc>,
    url: Option<String>,
}

/// No number of households stands behind the place: it would be read as that of a unit.
pub fn body(envelope: &Envelope<'_>) -> Vec<u8> {
    let what = match &envelope.brief.code {
        Some(code) => format!("{} {code}", envelope.title),
        None => envelope.title.to_owned(),
    };
    let sealed = Sealed {
        what: fit::chars(&what, THING_CHARS_MAX),
        place: fit::chars(&envelope.brief.place, THING_CHARS_MAX),
        time: envelope.sealed_at,
        url: envelope.link.map(str::to_owned),
    };
    serde_json::to_vec(&sealed).expect("plain data")
}

impl OfficialAccount {
    pub fn new(client: reqwest::Client, settings: Settings) -> Self {
        let base_url = settings.base_url.trim_end_matches('/').to_owned();
        Self { client, base_url, settings, tokens: TokenCache::default() }
    }

    pub async fn send(&self, outgoing: &Outgoing) -> Outcome {
        let Ok(sealed) = serde_json::from_slice::<Sealed>(&outgoing.body) else {
            return Outcome::new(OutcomeClass::Broken, "unreadable message");
        };
        if outgoing.address.is_empty() {
            return Outcome::new(OutcomeClass::Permanent, "no openid");
        }
        let json = self.json(outgoing, &sealed);
        let request = || self.client.post(format!("{}/cgi-bin/message/template/send", self.base_url));
        let answer = wechat::post(request, &json, &self.tokens, || self.fetch(outgoing.at), outgoing.at).await;
        answer.map_or_else(|outcome| outcome, |answer| judge(&answer))
    }

    fn json(&self, outgoing: &Outgoing, sealed: &Sealed) -> String {
        let settings = &self.settings;
        // The platform shows times of China.
        let time = sealed.time.with_timezone(&chrono_tz::Asia::Shanghai).format(TIME).to_string();
        // Before the place, because what happened may end in a code that must not be cut off.
        let mark = if is_forgotten(outgoing, sealed) { outgoing.repeat_mark() } else { outgoing.second_mark() };
        let place = fit::chars(&format!("{mark}{}", sealed.place), THING_CHARS_MAX);
        let mut data = Map::new();
        for (keyword, value) in [(&settings.what, &sealed.what), (&settings.place, &place), (&settings.time, &time)] {
            data.insert(keyword.clone(), json!({ "value": value }));
        }
        let mut json = json!({
            "touser": outgoing.address, "template_id": settings.template_id, "client_msg_id": outgoing.dedupe_key, "data": data,
        });
        if let Some(url) = &sealed.url {
            json["url"] = json!(url);
        }
        json.to_string()
    }

    async fn fetch(&self, now: DateTime<Utc>) -> Result<Token, Outcome> {
        let json = json!({
            "grant_type": "client_credential", "appid": self.settings.app_id, "secret": self.settings.app_secret.expose(),
        });
        wechat::grant(self.client.post(format!("{}/cgi-bin/stable_token", self.base_url)).json(&json), now).await
    }
}

/// Whether a copy in doubt may be older than what the platform remembers; then the repeat is a second message and says so. One that is
/// still remembered is not shown again, whatever it says.
fn is_forgotten(outgoing: &Outgoing, sealed: &Sealed) -> bool {
    outgoing.repeated && (outgoing.signed_at >= outgoing.at || outgoing.at - sealed.time >= REMEMBERED)
}

fn judge(answer: &Answer) -> Outcome {
    let detail = format!("errcode {}", answer.errcode);
    match answer.errcode {
        0 => Outcome::sent(answer.number()),
        45009 => Outcome::account_throttled(Some(QUOTA), detail),
        code => Outcome::new(wechat::class(code), detail),
    }
}

/// What the platform signs its events with.
pub fn signature(token: &str, timestamp: &str, nonce: &str) -> String {
    let mut parts = [token, timestamp, nonce];
    parts.sort_unstable();
    hex(&Sha1::digest(parts.concat().as_bytes()))
}

#[derive(Deserialize)]
struct Event {
    #[serde(rename = "Event")]
    kind: String,
    #[serde(rename = "MsgID")]
    msgid: Option<String>,
    #[serde(rename = "Status")]
    status: Option<String>,
}

/// The report in an event; `None` for every other event.
pub fn receipt(xml: &str) -> Option<Receipt> {
    let event: Event = quick_xml::de::from_str(xml).ok()?;
    if event.kind != "TEMPLATESENDJOBFINISH" {
        return None;
    }
    let status = event.status?;
    let state = if status == "success" { ReceiptState::Delivered } else { ReceiptState::Failed };
    let detail = status.chars().filter(|c| c.is_ascii_alphanumeric() || " :_-".contains(*c)).take(DETAIL_CHARS_MAX).collect();
    Some(Receipt { channel: Channel::OfficialAccount, reference: event.msgid?, call_no: None, state, detail })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_signed_as_the_platform_says() {
        let vectors: serde_json::Value = serde_json::from_str(include_str!("../../tests/data/channels.json")).unwrap();
        assert_eq!(vectors["wechat_event_sha1(token,ts,nonce)"], signature("oa-token", "1700000000", "nonce123"));
    }

    #[test]
    fn only_the_report_of_a_template_message_is_a_receipt() {
        let event = |event: &str, status: &str| {
            receipt(&format!(
                "<xml><ToUserName><![CDATA[gh_1]]></ToUserName><MsgType><![CDATA[event]]></MsgType>\
                 <Event><![CDATA[{event}]]></Event><MsgID>200163836</MsgID><Status><![CDATA[{status}]]></Status></xml>"
            ))
        };
        let done = event("TEMPLATESENDJOBFINISH", "success").unwrap();
        assert_eq!((done.reference.as_str(), done.state), ("200163836", ReceiptState::Delivered));
        let blocked = event("TEMPLATESENDJOBFINISH", "failed:user block").unwrap();
        assert_eq!((blocked.state, blocked.detail.as_str()), (ReceiptState::Failed, "failed:user block"));
        assert_eq!(event("TEMPLATESENDJOBFINISH", "failed: system failed").unwrap().state, ReceiptState::Failed);
        assert_eq!(event("TEMPLATESENDJOBFINISH", "failed: \u{5f20}\n").unwrap().detail, "failed: ", "it is for the log");
        assert_eq!(event("subscribe", "success"), None);
        let bomb =
            "<!DOCTYPE x [<!ENTITY a \"success\">]><xml><Event>TEMPLATESENDJOBFINISH</Event><MsgID>1</MsgID><Status>&a;</Status></xml>";
        assert_eq!(receipt(bomb), None, "an entity of the sender's own is not read");
        assert_eq!(receipt("<xml><Event>"), None);
    }

    #[test]
    fn every_code_has_its_class() {
        use OutcomeClass::{Config, Permanent, SafeRetry, Sent, Throttled};
        for (code, class) in [
            (0, Sent),
            (-1, SafeRetry),
            (45009, Throttled),
            (40001, Config),
            (40014, Config),
            (42001, Config),
            (40013, Config),
            (40125, Config),
            (40056, Config),
            (40164, Config),
            (60020, Config),
            (48001, Config),
            (40003, Permanent),
            (81013, Permanent),
            (40058, Permanent),
            (40008, Permanent),
            (44004, Permanent),
            (40252, Permanent),
            (43004, Permanent),
            (43101, Permanent),
            (47003, Permanent),
            (40037, Permanent),
        ] {
            let body = format!(r#"{{"errcode":{code},"errmsg":"x","msgid":200228332}}"#);
            assert_eq!(judge(&serde_json::from_str(&body).unwrap()).class, class, "{code}");
        }
    }
}
