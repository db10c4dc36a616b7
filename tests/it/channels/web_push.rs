//! Web Push against a push service that checks who sends, and a browser that opens what comes.

use std::sync::{Arc, Mutex};

use aes_gcm::Aes128Gcm;
use aes_gcm::aead::{Aead, KeyInit};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chenlian::config::{Config, Secret};
use chenlian::domain::message::Channel;
use chenlian::domain::message::brief::{Brief, Template};
use chenlian::domain::message::retry::{Outcome, OutcomeClass};
use chenlian::notify::Outgoing;
use chenlian::notify::web_push::vapid::ServerKey;
use hkdf::Hkdf;
use p256::ecdh::diffie_hellman;
use p256::ecdsa::signature::Verifier;
use p256::ecdsa::{Signature, VerifyingKey};
use p256::elliptic_curve::sec1::ToSec1Point;
use p256::{PublicKey, SecretKey};
use serde_json::{Value, json};
use sha2::Sha256;

use super::fake::{Answer, Break, Fake, Play, Request};
use super::{brief, notifier, outgoing, push, repeated, sealed, start};

const SERVER_KEY: &str = "yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw";
const AUTH: [u8; 16] = [9; 16];
const HOUR_SECONDS: i64 = 3_600;

pub(super) fn browser() -> SecretKey {
    SecretKey::from_slice(&[7; 32]).expect("a key")
}

fn bytes(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

pub(super) fn subscription(endpoint: &str) -> Vec<u8> {
    let public = URL_SAFE_NO_PAD.encode(browser().public_key().to_sec1_point(false).as_bytes());
    let keys = json!({"p256dh": public, "auth": URL_SAFE_NO_PAD.encode(AUTH)});
    json!({"endpoint": endpoint, "expirationTime": null, "keys": keys}).to_string().into_bytes()
}

pub(super) fn settings(config: &mut Config) {
    config.outbox.allow_private_targets = true;
    config.channels.web_push.private_key = Secret::new(SERVER_KEY);
    "mailto:ops@example.org".clone_into(&mut config.channels.web_push.subject);
}

async fn send(outgoing: &Outgoing) -> Outcome {
    notifier(settings).send(outgoing).await
}

fn message(fake: &Fake, brief: &Brief) -> Outgoing {
    let secret = Some(subscription(&format!("{}/push/abc?k=1", fake.url)));
    Outgoing { secret, ..outgoing(Channel::WebPush, "", sealed(Channel::WebPush, brief)) }
}

/// Whether the request says who sends it, to this service and for not too long (RFC 8292).
fn is_signed(request: &Request, origin: &str) -> Option<bool> {
    let (token, key) = request.header("authorization").strip_prefix("vapid t=")?.split_once(", k=")?;
    let (signed, signature) = token.rsplit_once('.')?;
    let (head, claims) = signed.split_once('.')?;
    let verifier = VerifyingKey::from_sec1_bytes(&bytes(key)?).ok()?;
    verifier.verify(signed.as_bytes(), &Signature::from_slice(&bytes(signature)?).ok()?).ok()?;
    let head: Value = serde_json::from_slice(&bytes(head)?).ok()?;
    let claims: Value = serde_json::from_slice(&bytes(claims)?).ok()?;
    let ahead = claims["exp"].as_i64()? - start().timestamp();
    Some(
        key == ServerKey::read(SERVER_KEY)?.public_key()
            && head == json!({"typ": "JWT", "alg": "ES256"})
            && claims["aud"] == origin
            && (HOUR_SECONDS..=24 * HOUR_SECONDS).contains(&ahead)
            && claims["sub"] == "mailto:ops@example.org",
    )
}

/// What the browser reads (RFC 8291, the receiver's side).
pub(super) fn opened(body: &[u8]) -> Option<Value> {
    if body.len() > 4_096 || body.get(16..21)? != [0, 0, 16, 0, 65] {
        return None;
    }
    let (salt, sender, sealed) = (&body[..16], body.get(21..86)?, body.get(86..)?);
    let shared = diffie_hellman(browser().to_nonzero_scalar(), PublicKey::from_sec1_bytes(sender).ok()?.as_affine());
    let own = browser().public_key().to_sec1_point(false);
    let derive = |salt: &[u8], secret: &[u8], info: &[u8], out: &mut [u8]| {
        Hkdf::<Sha256>::new(Some(salt), secret).expand(info, out).expect("short");
    };
    let (mut secret, mut key, mut nonce) = ([0; 32], [0; 16], [0; 12]);
    derive(&AUTH, shared.raw_secret_bytes(), &[b"WebPush: info\0", own.as_bytes(), sender].concat(), &mut secret);
    derive(salt, &secret, b"Content-Encoding: aes128gcm\0", &mut key);
    derive(salt, &secret, b"Content-Encoding: nonce\0", &mut nonce);
    let record = Aes128Gcm::new(&key.into()).decrypt(&nonce.into(), sealed).ok()?;
    let (last, text) = record.split_last()?;
    serde_json::from_slice(text).ok().filter(|_| *last == 2)
}

async fn service(plays: &[Play]) -> Fake {
    let origin: Arc<Mutex<String>> = Arc::default();
    let known_origin = Arc::clone(&origin);
    let fake = Fake::start(plays, move |request, accepted| {
        if is_signed(request, &known_origin.lock().expect("not poisoned")) != Some(true) {
            return Answer::text(403, "");
        }
        let topic = request.header("topic");
        let is_right = (request.method.as_str(), request.path.as_str(), request.query.as_str()) == ("POST", "/push/abc", "k=1")
            && request.header("ttl") == "86400"
            && ["very-low", "low", "normal", "high"].contains(&request.header("urgency"))
            && (1..=32).contains(&topic.len())
            && bytes(topic).is_some()
            && request.header("content-encoding") == "aes128gcm";
        let Some(note) = opened(&request.body).filter(|_| is_right) else { return Answer::text(400, "") };
        accepted.push(format!("{topic} {}", note["tag"].as_str().unwrap_or_default()));
        Answer::text(201, "")
    })
    .await;
    fake.url.clone_into(&mut origin.lock().expect("not poisoned"));
    fake
}

#[tokio::test]
async fn the_browser_reads_what_was_sealed_and_nobody_between_does() {
    let fake = service(&[]).await;
    assert_eq!(send(&message(&fake, &brief())).await, Outcome::sent(None));
    let request = &fake.requests()[0];
    let note = opened(&request.body).expect("the browser opens it");
    assert_eq!(note["title"], "还没有消息");
    assert_eq!(note["body"], "王师傅：3号楼2户今早还没有消息。");
    assert_eq!(note["link"], "https://cl.example.org/c/0123456789abcdef");
    assert_eq!(request.header("urgency"), "high");
    assert!(!String::from_utf8_lossy(&request.body).contains("王"));
}

#[tokio::test]
async fn a_repeat_is_encrypted_anew_and_known_by_topic_and_tag() {
    let fake = service(&[Play::After(Break::Reset)]).await;
    let first = message(&fake, &brief());
    assert_eq!(send(&first).await.class, OutcomeClass::Ambiguous);
    assert_eq!(send(&repeated(&first, 5)).await.class, OutcomeClass::Sent);
    let [one, other] = &fake.requests()[..] else { panic!("two requests") };
    assert_ne!(one.body, other.body);
    assert_eq!(opened(&one.body), opened(&other.body));
    let accepted = fake.accepted();
    assert!(accepted.len() == 2 && accepted[0] == accepted[1], "{accepted:?}");
}

#[tokio::test]
async fn the_longest_message_fits_into_one_record() {
    let fake = service(&[]).await;
    let place = "楼".repeat(5_000);
    let long = chenlian::notify::Envelope {
        message_id: uuid::Uuid::from_u128(7),
        call_no: 123,
        recipient_id: uuid::Uuid::from_u128(8),
        kind: "notice.alert_call",
        class: "alert",
        text: &place,
        title: "还没有消息",
        link: None,
        brief: &Brief { template: Template::Alert, ..brief() },
        alerts: &[],
        sealed_at: start(),
    };
    let body = chenlian::notify::seal(Channel::WebPush, &long);
    assert_eq!(send(&Outgoing { body, ..message(&fake, &brief()) }).await.class, OutcomeClass::Sent);
}

#[tokio::test]
async fn every_broken_link_says_whether_the_message_may_have_arrived() {
    let breaks = push::breaks();
    let fake = service(&breaks.clone().map(|(play, _)| play)).await;
    let notifier = notifier(settings);
    for (number, (play, class)) in (1..).zip(&breaks) {
        let outcome = notifier.send(&message(&fake, &brief())).await;
        assert_eq!(outcome.class, *class, "{play:?}: {}", outcome.detail);
        assert!(fake.requests().len() == number, "{play:?}");
    }
}

#[tokio::test]
async fn a_subscription_that_has_ended_is_gone_and_a_key_that_is_refused_is_ours() {
    use OutcomeClass::{Config, Gone, Permanent};
    for (status, class) in [(404, Gone), (410, Gone), (401, Config), (403, Config), (400, Permanent), (413, Permanent)] {
        let fake = service(&[Play::Answer(Answer::text(status, ""))]).await;
        assert_eq!(send(&message(&fake, &brief())).await.class, class, "{status}");
    }
    let fake = service(&[]).await;
    let other = |config: &mut chenlian::config::Config| {
        settings(config);
        config.channels.web_push.private_key = Secret::new(ServerKey::make().private_key());
    };
    assert_eq!(notifier(other).send(&message(&fake, &brief())).await.class, Config, "the service knows another key");
    assert!(fake.accepted().is_empty());
}

#[tokio::test]
async fn a_subscription_leads_neither_inside_nor_to_an_unencrypted_service() {
    let fake = service(&[]).await;
    let strict = |config: &mut Config| {
        settings(config);
        config.outbox.allow_private_targets = false;
    };
    let port = fake.url.rsplit(':').next().expect("a port").to_owned();
    for endpoint in [fake.url.clone(), format!("https://127.0.0.1:{port}/"), format!("https://localhost:{port}/")] {
        let inside = Outgoing { secret: Some(subscription(&endpoint)), ..message(&fake, &brief()) };
        let outcome = notifier(strict).send(&inside).await;
        assert_eq!(outcome, Outcome::new(OutcomeClass::Permanent, "target refused"), "{endpoint}");
    }
    for secret in [None, Some(Vec::new()), Some(b"{}".to_vec())] {
        let odd = Outgoing { secret, ..message(&fake, &brief()) };
        assert_eq!(send(&odd).await.class, OutcomeClass::Permanent);
    }
    assert!(fake.requests().is_empty());
    assert_eq!(notifier(|_| ()).send(&message(&fake, &brief())).await.class, OutcomeClass::Config, "not set up");
}
