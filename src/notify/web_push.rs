//! Web Push (RFC 8030): a note on the screens of a browser, also when no page is open. For desks: most phones in mainland China do not
//! reach the push services, so it is nobody's only way.
//!
//! The browser gives a subscription, JSON `{"endpoint", "keys": {"p256dh", "auth"}}`, which is the person's secret. `POST ENDPOINT` with
//! `TTL` (seconds that the service keeps it for a browser that is off; without it nothing is kept), `Urgency`, `Topic` (32 letters: a
//! newer message with the same one replaces an undelivered one), `Content-Encoding: aes128gcm` ([`encryption`], at most 4,096 bytes) and
//! `Authorization: vapid …` ([`vapid`]). Each attempt is encrypted anew, so a repeat is known by its topic and, on the screen, by the
//! `tag` of the note: `{"title", "body", "link", "tag", "level", "at", "alerts", "is_over"}`, which `static/sw.js` shows.
//!
//! 201 is accepted (some answer 200 or 202). 404 and 410: the subscription has ended. 401 and 403: the key of the settings, or the
//! clock; while other browsers take messages, this one's subscription was made with an older key and is over (`retry::refusal`).
//! 413 is too long, 429 and 503 too much. The endpoint is a foreign address, so it is judged like a webhook's.

use std::time::Duration;

use base64::Engine;
use base64::alphabet::URL_SAFE;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde::{Deserialize, Serialize};

use super::Outgoing;
use super::http::{self, Reply, exchange};
use super::note::Note;
use super::target::{Resolver, check_target};
use crate::config;
use crate::domain::message::retry::{Outcome, OutcomeClass};

pub mod encryption;
pub mod vapid;

use encryption::{AUTH_BYTES, Encryption, Keys};
use vapid::ServerKey;

const TTL_SECONDS: u32 = 86_400;
/// Browsers write base64url without padding; what people paste may have it.
const BASE64URL: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new().with_encode_padding(false).with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// What a browser gives.
#[derive(Serialize, Deserialize)]
pub struct Subscription {
    pub endpoint: String,
    keys: SubscriptionKeys,
}

#[derive(Serialize, Deserialize)]
struct SubscriptionKeys {
    p256dh: String,
    auth: String,
}

impl Subscription {
    /// # Errors
    /// The field of a key that none can be encrypted for.
    pub fn of(endpoint: String, p256dh: String, auth: String) -> Result<Self, &'static str> {
        if BASE64URL.decode(&auth).ok().is_none_or(|bytes| bytes.len() != AUTH_BYTES) {
            return Err("keys.auth");
        }
        let given = Self { endpoint, keys: SubscriptionKeys { p256dh, auth } };
        if given.keys().is_some() { Ok(given) } else { Err("keys.p256dh") }
    }

    /// As [`Subscription::read`] takes it.
    pub fn secret(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("texts are JSON")
    }

    /// The address to send to and the keys to encrypt for; `None` if nothing can be sent by it.
    pub fn read(json: &[u8]) -> Option<(String, Keys)> {
        let given: Self = serde_json::from_slice(json).ok()?;
        let keys = given.keys()?;
        Some((given.endpoint, keys))
    }

    fn keys(&self) -> Option<Keys> {
        Keys::read(&BASE64URL.decode(&self.keys.p256dh).ok()?, &BASE64URL.decode(&self.keys.auth).ok()?)
    }
}

#[derive(Debug, Clone)]
pub struct WebPush {
    client: reqwest::Client,
    allow_private: bool,
    key: Option<ServerKey>,
    subject: String,
}

impl WebPush {
    pub fn new(settings: &config::WebPush, attempt_timeout: Duration, allow_private: bool) -> Result<Self, reqwest::Error> {
        let client = http::client(attempt_timeout).dns_resolver(Resolver { allow_private }).build()?;
        let key = ServerKey::read(settings.private_key.expose());
        Ok(Self { client, allow_private, key, subject: settings.subject.clone() })
    }

    pub async fn send(&self, outgoing: &Outgoing) -> Result<Outcome, Outcome> {
        let refused = |class: OutcomeClass, detail: &str| Outcome::new(class, detail);
        let key = self.key.as_ref().ok_or_else(|| refused(OutcomeClass::Config, "not set up"))?;
        let note = Note::open(outgoing)?;
        let subscription = outgoing.secret.as_deref().and_then(Subscription::read);
        let (endpoint, keys) = subscription.ok_or_else(|| refused(OutcomeClass::Permanent, "secret unusable"))?;
        let url = check_target(&endpoint, self.allow_private).map_err(|_| refused(OutcomeClass::Permanent, "target refused"))?;
        let request = self
            .client
            .post(url.clone())
            .header("ttl", TTL_SECONDS)
            .header("urgency", if note.level.is_urgent() { "high" } else { "normal" })
            .header("topic", &note.tag)
            .header("content-type", "application/octet-stream")
            .header("content-encoding", "aes128gcm")
            .header("authorization", key.authorization(&url.origin().ascii_serialization(), &self.subject, outgoing.signed_at))
            .body(Encryption::random().seal(&keys, &outgoing.body));
        Ok(of_reply(&exchange(request, outgoing.at).await?))
    }
}

fn of_reply(reply: &Reply) -> Outcome {
    let class = match reply.status {
        200..=202 => return Outcome::sent(None),
        401 | 403 => OutcomeClass::Config,
        404 | 410 => OutcomeClass::Gone,
        _ => return reply.unclear(),
    };
    Outcome::new(class, format!("status {}", reply.status))
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    #[test]
    fn an_answer_says_whether_the_subscription_lives() {
        use OutcomeClass::{Ambiguous, Config, Gone, Permanent, SafeRetry, Sent, Throttled};
        for (status, expected) in [
            (200, Sent),
            (201, Sent),
            (202, Sent),
            (204, Ambiguous),
            (301, Permanent),
            (400, Permanent),
            (401, Config),
            (403, Config),
            (404, Gone),
            (410, Gone),
            (413, Permanent),
            (429, Throttled),
            (500, Ambiguous),
            (502, Ambiguous),
            (503, SafeRetry),
            (504, Ambiguous),
        ] {
            let outcome = of_reply(&Reply { status, ..Reply::default() });
            assert_eq!(outcome.class, expected, "{status}");
        }
        for status in [429, 503] {
            let wait = Some(TimeDelta::seconds(7));
            let outcome = of_reply(&Reply { status, retry_after: wait, ..Reply::default() });
            assert_eq!((outcome.class, outcome.wait), (Throttled, wait), "{status}");
        }
    }

    #[test]
    fn a_subscription_is_what_a_browser_gives_and_nothing_less() {
        let whole = r#"{"endpoint":"https://push.example.net/1","expirationTime":null,"keys":{"p256dh":"BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4","auth":"BTBZMqHH6r4Tts7J_aSIgg"}}"#;
        assert!(Subscription::read(whole.as_bytes()).is_some_and(|(endpoint, _)| endpoint == "https://push.example.net/1"));
        assert!(Subscription::read(whole.replace("aSIgg", "aSIgg==").as_bytes()).is_some(), "padding does no harm");
        let whole_value: serde_json::Value = serde_json::from_str(whole).unwrap();
        let given = |name: &str| whole_value["keys"][name].as_str().unwrap().to_owned();
        let of = |p256dh: String, auth: String| Subscription::of("https://push.example.net/1".to_owned(), p256dh, auth);
        let made = of(given("p256dh"), given("auth")).ok().map(|made| made.secret());
        assert!(made.is_some_and(|secret| Subscription::read(&secret).is_some()));
        for (p256dh, auth, wrong) in [
            (given("p256dh"), "BTBZMqHH6r4Tts7J_aSI".to_owned(), "keys.auth"),
            (given("p256dh"), "!".to_owned(), "keys.auth"),
            (given("p256dh").replace("BCVx", "BCV"), given("auth"), "keys.p256dh"),
            (given("auth"), given("auth"), "keys.p256dh"),
        ] {
            assert_eq!(of(p256dh, auth).err(), Some(wrong));
        }
        for broken in [
            whole.replace("auth", "other"),
            whole.replace("endpoint", "address"),
            whole.replace("BCVxsr7N", "BCVxsr7M"),
            whole.replace("BTBZ", ""),
            String::new(),
        ] {
            assert!(Subscription::read(broken.as_bytes()).is_none(), "{broken}");
        }
    }
}
