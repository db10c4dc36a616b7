//! 公众号模板消息. Evidence: vendor documentation; no live vendor was asked.
//!
//! - `POST /cgi-bin/stable_token` gives a token without ending the one that others hold.
//! - `POST /cgi-bin/message/template/send?access_token=` with `touser` (openid), `template_id`, `url`, `client_msg_id`, `data`. The same
//!   openid and `client_msg_id` are sent once within ten minutes: a repeat is the same message (I12). Success is `errcode` 0.
//! - Keywords: `thing` takes 20 characters, `time` a formatted time; more is refused with 47003.
//! - 45009: the quota of the day is used up. 43004: she does not follow. 40003: openid unknown.
//! - What became of it comes as an event, signed with SHA-1 over the sorted token, timestamp and nonce.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, json};
use sha1::{Digest, Sha1};

use super::http::{Reply, exchange};
use super::token::{Token, TokenCache};
use super::wechat::{Answer, is_dead_token, shared, token};
use super::{Envelope, Outgoing};
use crate::config::OfficialAccount as Settings;
use crate::domain::message::Channel;
use crate::domain::message::receipt::{Receipt, ReceiptState};
use crate::domain::message::retry::{Outcome, OutcomeClass};

const THING_CHARS_MAX: usize = 20;
/// The quota is a day's; the outbox asks again every hour at most.
const QUOTA: TimeDelta = TimeDelta::hours(1);

#[derive(Debug, Clone)]
pub struct OfficialAccount {
    client: reqwest::Client,
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

pub fn body(envelope: &Envelope<'_>) -> Vec<u8> {
    let place = format!("{} {}", envelope.brief.place, envelope.brief.count);
    let sealed = Sealed {
        what: thing(envelope.brief.code.as_deref().unwrap_or(envelope.title)),
        place: thing(&place),
        time: envelope.sealed_at,
        url: envelope.link.map(str::to_owned),
    };
    serde_json::to_vec(&sealed).expect("plain data")
}

fn thing(text: &str) -> String {
    text.chars().take(THING_CHARS_MAX).collect()
}

impl OfficialAccount {
    pub fn new(client: reqwest::Client, settings: Settings) -> Self {
        Self { client, settings, tokens: TokenCache::default() }
    }

    pub async fn send(&self, outgoing: &Outgoing) -> Outcome {
        let Ok(sealed) = serde_json::from_slice::<Sealed>(&outgoing.body) else {
            return Outcome::new(OutcomeClass::Broken, "sealed body unreadable");
        };
        let (json, mut dead) = (self.json(outgoing, &sealed), None);
        loop {
            let token = match self.tokens.get(dead.as_deref(), outgoing.at, || self.fetch(outgoing)).await {
                Ok(token) => token,
                Err(outcome) => return outcome,
            };
            let url = format!("{}/cgi-bin/message/template/send", self.settings.base_url);
            let request = self.client.post(url).query(&[("access_token", &token)]);
            let request = request.header("content-type", "application/json").body(json.clone());
            let reply = match exchange(request, outgoing.at).await {
                Ok(reply) => reply,
                Err(outcome) => return outcome,
            };
            let Some(answer) = reply.json::<Answer>().filter(|_| reply.status == 200) else { return reply.unclear() };
            if dead.is_none() && is_dead_token(answer.errcode) {
                dead = Some(token);
                continue;
            }
            return judge(&answer);
        }
    }

    fn json(&self, outgoing: &Outgoing, sealed: &Sealed) -> String {
        let settings = &self.settings;
        // The platform shows times of China.
        let time = sealed.time.with_timezone(&chrono_tz::Asia::Shanghai).format("%Y-%m-%d %H:%M").to_string();
        let mut data = Map::new();
        for (keyword, value) in [(&settings.what, &sealed.what), (&settings.place, &sealed.place), (&settings.time, &time)] {
            if !keyword.is_empty() {
                data.insert(keyword.clone(), json!({ "value": value }));
            }
        }
        let mut json = json!({
            "touser": outgoing.address, "template_id": settings.template_id, "client_msg_id": outgoing.dedupe_key, "data": data,
        });
        if let Some(url) = &sealed.url {
            json["url"] = json!(url);
        }
        json.to_string()
    }

    async fn fetch(&self, outgoing: &Outgoing) -> Result<Token, Outcome> {
        let url = format!("{}/cgi-bin/stable_token", self.settings.base_url);
        let json = json!({
            "grant_type": "client_credential", "appid": self.settings.app_id, "secret": self.settings.app_secret.expose(),
        });
        let reply = exchange(self.client.post(url).json(&json), outgoing.at).await;
        // Whatever happened to this request, no message was sent.
        let reply: Reply = reply.map_err(|outcome| Outcome { class: OutcomeClass::SafeRetry, ..outcome })?;
        token(&reply, outgoing.at)
    }
}

fn judge(answer: &Answer) -> Outcome {
    let detail = format!("errcode {}", answer.errcode);
    match answer.errcode {
        0 => Outcome::sent(answer.number()),
        45009 => Outcome::account_throttled(Some(QUOTA), detail),
        code => Outcome::new(shared(code).unwrap_or(OutcomeClass::Permanent), detail),
    }
}

/// What the platform signs its events with.
pub fn signature(token: &str, timestamp: &str, nonce: &str) -> String {
    let mut parts = [token, timestamp, nonce];
    parts.sort_unstable();
    Sha1::digest(parts.concat().as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[derive(Deserialize)]
struct Event {
    #[serde(rename = "Event")]
    event: String,
    #[serde(rename = "MsgID")]
    msgid: Option<String>,
    #[serde(rename = "Status")]
    status: Option<String>,
}

/// The report in an event; `None` for every other event.
pub fn receipt(xml: &str) -> Option<Receipt> {
    let event: Event = quick_xml::de::from_str(xml).ok()?;
    if event.event != "TEMPLATESENDJOBFINISH" {
        return None;
    }
    let detail = event.status?;
    let state = if detail == "success" { ReceiptState::Delivered } else { ReceiptState::Failed };
    Some(Receipt { channel: Channel::OfficialAccount, reference: event.msgid?, state, detail: detail.chars().take(40).collect() })
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
        assert_eq!(event("subscribe", "success"), None);
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
            (48001, Config),
            (40003, Permanent),
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
