//! An Apprise API server of one's own, which passes a message on to wherever the configuration under a key leads. The key is the
//! person's address, and one key must lead to one target only: of several, a failure of one would repeat the message to the others.
//!
//! `POST /notify/KEY`, JSON `title`, `body`, `type`, `format` "text". Nothing tells a repeat from the first copy, so it says so itself.
//! Not for WeCom, DingTalk, Feishu, Server酱 or Bark: what these refuse inside a 200 Apprise takes for sent.
//!
//! Accepted is 200 alone, and not with a page or an `error` in it. 204 is a key that nothing is stored under: this address never
//! again. 424: the target failed, so with one target the message was not taken.

use reqwest::Client;
use serde_json::{Value, json};

use super::Outgoing;
use super::http::{Reply, exchange};
use super::note::{Level, Note, at_base, in_path};
use crate::config::BaseUrl;
use crate::domain::message::retry::{Outcome, OutcomeClass};

const KEY_LENGTH_MAX: usize = 128;

#[derive(Debug, Clone)]
pub struct Apprise {
    client: Client,
    settings: BaseUrl,
}

impl Apprise {
    pub fn new(client: &Client, settings: &BaseUrl) -> Self {
        Self { client: client.clone(), settings: settings.clone() }
    }

    pub async fn send(&self, outgoing: &Outgoing) -> Result<Outcome, Outcome> {
        let note = Note::open_marked(outgoing)?;
        let url = at_base(&self.settings.base_url, &format!("notify/{}", in_path(&outgoing.address, KEY_LENGTH_MAX)?))?;
        let kind = match note.level {
            Level::Help => "failure",
            Level::Alert => "warning",
            Level::Notice => "info",
        };
        let message = json!({ "title": note.title, "body": note.body, "type": kind, "format": "text" });
        let request = self.client.post(url).header("accept", "application/json").json(&message);
        Ok(of_reply(&exchange(request, outgoing.at).await?))
    }
}

fn of_reply(reply: &Reply) -> Outcome {
    let class = match reply.status {
        // Older servers answer with the lines of their log.
        200 if is_page(&reply.body) || says_error(reply) => OutcomeClass::Ambiguous,
        200 => return Outcome::sent(None),
        204 => OutcomeClass::Gone,
        424 => OutcomeClass::SafeRetry,
        _ => return reply.unclear(),
    };
    Outcome::new(class, format!("status {}", reply.status))
}

fn is_page(body: &[u8]) -> bool {
    body.trim_ascii_start().starts_with(b"<")
}

fn says_error(reply: &Reply) -> bool {
    reply.json::<Value>().is_some_and(|answer| answer.get("error").is_some_and(|error| !error.is_null()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::message::retry::OutcomeClass::{Ambiguous, Gone, Permanent, SafeRetry, Sent, Throttled};

    #[test]
    fn nothing_but_200_says_that_apprise_has_sent_it() {
        for (status, body, expected) in [
            (200, r#"{"error":null,"details":[]}"#, Sent),
            (200, "Sent the notification", Sent),
            (200, r#"{"error":"one or more failed"}"#, Ambiguous),
            (200, " <!DOCTYPE html>", Ambiguous),
            (202, "", Ambiguous),
            (204, "", Gone),
            (302, "", Permanent),
            (400, r#"{"error":"Payload lacks minimum requirements"}"#, Permanent),
            (404, "", Permanent),
            (406, "", Permanent),
            (421, "", Permanent),
            (424, r#"{"error":"One or more notification could not be sent"}"#, SafeRetry),
            (429, "", Throttled),
            (431, "", Permanent),
            (500, r#"{"error":"x"}"#, Ambiguous),
            (503, "", SafeRetry),
        ] {
            let outcome = of_reply(&Reply { status, body: body.into(), ..Reply::default() });
            assert_eq!(outcome.class, expected, "{status} {body}");
        }
    }
}
