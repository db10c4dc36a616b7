//! Gotify, on a server of one's own: each person has an application there, whose token is her secret here.
//!
//! `POST /message`, `X-Gotify-Key: A…`, JSON `title`, `message`, `priority` (8 and more rings), and under `extras` where a tap leads.
//! Nothing tells a repeat from the first copy, so it says so itself.
//!
//! Accepted is 200 with JSON that has an `id`. 401 in Gotify's own JSON means that the application is gone; 401 of a proxy does not.

use reqwest::Client;
use serde::Deserialize;
use serde_json::json;

use super::Outgoing;
use super::http::{Reply, exchange};
use super::note::{Note, at_base, token};
use crate::config::BaseUrl;
use crate::domain::message::retry::{Outcome, OutcomeClass};

#[derive(Debug, Clone)]
pub struct Gotify {
    client: Client,
    settings: BaseUrl,
}

impl Gotify {
    pub fn new(client: &Client, settings: &BaseUrl) -> Self {
        Self { client: client.clone(), settings: settings.clone() }
    }

    pub async fn send(&self, outgoing: &Outgoing) -> Result<Outcome, Outcome> {
        let note = Note::open_marked(outgoing)?;
        let url = at_base(&self.settings.base_url, "message")?;
        let mut message = json!({
            "title": note.title,
            "message": note.body,
            "priority": if note.level.is_urgent() { 8 } else { 5 },
        });
        if let Some(link) = &note.link {
            message["extras"] = json!({ "client::notification": { "click": { "url": link } } });
        }
        let request = self.client.post(url).header("x-gotify-key", token(outgoing)?).json(&message);
        Ok(of_reply(&exchange(request, outgoing.at).await?))
    }
}

#[derive(Deserialize)]
struct Accepted {
    id: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Refused {
    error_code: u16,
}

fn of_reply(reply: &Reply) -> Outcome {
    if reply.status == 200
        && let Some(accepted) = reply.json::<Accepted>()
    {
        return Outcome::sent(Some(accepted.id.to_string()));
    }
    if reply.status == 401 && reply.json::<Refused>().is_some_and(|refused| refused.error_code == 401) {
        return Outcome::new(OutcomeClass::Gone, "status 401");
    }
    reply.unclear()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::message::retry::OutcomeClass::{Ambiguous, Gone, Permanent, SafeRetry, Sent, Throttled};

    #[test]
    fn only_an_id_says_that_gotify_has_it() {
        for (status, body, expected) in [
            (200, r#"{"id":25,"appid":5,"message":"x"}"#, Sent),
            (200, r#"{"message":"x"}"#, Ambiguous),
            (200, "<html></html>", Ambiguous),
            (302, "", Permanent),
            (400, r#"{"error":"Bad Request","errorCode":400,"errorDescription":"…"}"#, Permanent),
            (401, r#"{"error":"Unauthorized","errorCode":401,"errorDescription":"…"}"#, Gone),
            (401, "<html></html>", Permanent),
            (403, "", Permanent),
            (404, "", Permanent),
            (429, "", Throttled),
            (500, r#"{"error":"Internal Server Error","errorCode":500}"#, Ambiguous),
            (502, "", Ambiguous),
            (503, "", SafeRetry),
        ] {
            let outcome = of_reply(&Reply { status, body: body.into(), ..Reply::default() });
            assert_eq!(outcome.class, expected, "{status} {body}");
        }
    }
}
