//! Bark, on a server of one's own, and from there through Apple's push service to an iPhone. The device key is the person's secret.
//!
//! `POST /push`, JSON in which every value is a string: `device_key`, `title`, `body`, `group`, `url`; `level` `timeSensitive` passes a
//! focus, `critical` passes mute as well, and `call` "1" rings for half a minute. `id` becomes Apple's collapse id: a repeat replaces
//! the first copy. Apple keeps a message for 24 hours for a phone that is off.
//!
//! Accepted is 200 with `code` 200 in the body. 400 is a device key that the server does not know, 500 that Apple did not take it
//! (of a token that has died: the next answer is 400).

use reqwest::Client;
use serde::Deserialize;
use serde_json::json;

use super::Outgoing;
use super::http::{Reply, exchange};
use super::note::{Level, Note, at_base, token};
use crate::config::BaseUrl;
use crate::domain::message::retry::{Outcome, OutcomeClass};

#[derive(Debug, Clone)]
pub struct Bark {
    client: Client,
    settings: BaseUrl,
}

impl Bark {
    pub fn new(client: &Client, settings: &BaseUrl) -> Self {
        Self { client: client.clone(), settings: settings.clone() }
    }

    pub async fn send(&self, outgoing: &Outgoing) -> Result<Outcome, Outcome> {
        let note = Note::open(outgoing)?;
        let url = at_base(&self.settings.base_url, "push")?;
        let level = match note.level {
            Level::Help => "critical",
            Level::Alert => "timeSensitive",
            Level::Notice => "active",
        };
        let mut message = json!({
            "device_key": token(outgoing)?,
            "title": note.title,
            "body": note.body,
            "level": level,
            "group": "chenlian",
            "id": outgoing.dedupe_key,
        });
        if note.level == Level::Help {
            message["call"] = "1".into();
        }
        if let Some(link) = note.link {
            message["url"] = link.into();
        }
        Ok(of_reply(&exchange(self.client.post(url).json(&message), outgoing.at).await?))
    }
}

#[derive(Deserialize)]
struct Answer {
    code: u16,
}

fn of_reply(reply: &Reply) -> Outcome {
    let code = reply.json::<Answer>().map(|answer| answer.code);
    let class = match (reply.status, code) {
        (200, Some(200)) => return Outcome::sent(None),
        (200 | 400, Some(400)) => OutcomeClass::Permanent,
        (200 | 500, Some(500)) => OutcomeClass::SafeRetry,
        _ => return reply.unclear(),
    };
    Outcome::new(class, format!("code {}", code.unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::message::retry::OutcomeClass::{Ambiguous, Permanent, SafeRetry, Sent, Throttled};

    #[test]
    fn status_and_code_must_both_say_that_bark_has_it() {
        for (status, body, expected) in [
            (200, r#"{"code":200,"message":"success","timestamp":1700000000}"#, Sent),
            (200, r#"{"code":400,"message":"failed to get device token"}"#, Permanent),
            (200, "<html></html>", Ambiguous),
            (200, r#"{"message":"pong"}"#, Ambiguous),
            (302, "", Permanent),
            (400, r#"{"code":400,"message":"failed to get device token"}"#, Permanent),
            (404, "", Permanent),
            (429, "", Throttled),
            (500, r#"{"code":500,"message":"push failed: BadDeviceToken"}"#, SafeRetry),
            (500, "", Ambiguous),
            (502, "", Ambiguous),
            (503, "", SafeRetry),
        ] {
            let outcome = of_reply(&Reply { status, body: body.into(), ..Reply::default() });
            assert_eq!(outcome.class, expected, "{status} {body}");
        }
    }
}
