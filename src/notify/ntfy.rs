//! ntfy, on a server of one's own: the person's phone listens to a topic that nobody guesses, and the topic is her address.
//!
//! `POST /TOPIC`, the text as body, the rest in headers: `X-Title` (RFC 2047, because proxies spoil other letters), `X-Priority` 1–5,
//! `X-Click`, `Authorization: Bearer tk_…`. `X-Sequence-ID` makes a repeat replace the first copy from server 2.16 on; an older one
//! shows a second. A text of more than 4,096 bytes becomes a file.
//!
//! Accepted is 200 with JSON that has an `id`. 429 is a limit of the whole account (42901 requests, 42908 messages of the day); 401 and
//! 403 are the account's; 507 says that the server is full.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::Client;
use serde::Deserialize;

use super::Outgoing;
use super::http::{Reply, exchange};
use super::note::{Note, at_base, in_path, number};
use crate::config;
use crate::domain::message::retry::{Outcome, OutcomeClass};

const TOPIC_LENGTH_MAX: usize = 64;

#[derive(Debug, Clone)]
pub struct Ntfy {
    client: Client,
    settings: config::Ntfy,
}

impl Ntfy {
    pub fn new(client: &Client, settings: &config::Ntfy) -> Self {
        Self { client: client.clone(), settings: settings.clone() }
    }

    pub async fn send(&self, outgoing: &Outgoing) -> Result<Outcome, Outcome> {
        let note = Note::open(outgoing)?;
        let url = at_base(&self.settings.base_url, in_path(&outgoing.address, TOPIC_LENGTH_MAX)?)?;
        let mut request = self
            .client
            .post(url)
            .header("content-type", "text/plain; charset=utf-8")
            .header("x-title", format!("=?UTF-8?B?{}?=", STANDARD.encode(&note.title)))
            .header("x-priority", if note.level.is_urgent() { "5" } else { "3" })
            .header("x-sequence-id", &outgoing.dedupe_key);
        if let Some(link) = &note.link {
            request = request.header("x-click", link);
        }
        if !self.settings.token.is_empty() {
            request = request.bearer_auth(self.settings.token.expose());
        }
        Ok(of_reply(&exchange(request.body(note.body), outgoing.at).await?))
    }
}

#[derive(Deserialize)]
struct Accepted {
    id: String,
}

fn of_reply(reply: &Reply) -> Outcome {
    let class = match reply.status {
        200 => {
            let accepted = reply.json::<Accepted>().filter(|accepted| !accepted.id.is_empty());
            return accepted.map_or_else(|| reply.unclear(), |accepted| Outcome::sent(number(&accepted.id)));
        }
        401 | 403 => OutcomeClass::Config,
        429 => return Outcome::account_throttled(reply.retry_after, "status 429"),
        507 => OutcomeClass::SafeRetry,
        _ => return reply.unclear(),
    };
    Outcome::new(class, format!("status {}", reply.status))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::message::retry::OutcomeClass::{Ambiguous, Config, Permanent, SafeRetry, Sent, Throttled};

    #[test]
    fn only_an_id_says_that_ntfy_has_it() {
        for (status, body, expected) in [
            (200, r#"{"id":"hwQ2YpKdmg","time":1,"event":"message","topic":"t"}"#, Sent),
            (200, r#"{"id":"","event":"message"}"#, Ambiguous),
            (200, "<html></html>", Ambiguous),
            (200, "", Ambiguous),
            (204, "", Ambiguous),
            (302, "", Permanent),
            (400, r#"{"code":40009,"http":400}"#, Permanent),
            (401, r#"{"code":40101,"http":401}"#, Config),
            (403, r#"{"code":40301,"http":403}"#, Config),
            (404, "", Permanent),
            (413, r#"{"code":41301,"http":413}"#, Permanent),
            (429, r#"{"code":42901,"http":429}"#, Throttled),
            (429, r#"{"code":42908,"http":429}"#, Throttled),
            (500, "", Ambiguous),
            (502, "", Ambiguous),
            (503, "", SafeRetry),
            (507, "", SafeRetry),
        ] {
            let outcome = of_reply(&Reply { status, body: body.into(), ..Reply::default() });
            assert_eq!(outcome.class, expected, "{status} {body}");
            assert_eq!(outcome.whole_account, status == 429, "{status}");
        }
    }
}
