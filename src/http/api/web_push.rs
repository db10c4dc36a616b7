//! Pop-ups on the computer: a browser switches itself on and off for whoever is signed in there. An extra beside the ways that reach
//! somebody, never one of them (`domain::message::Channel::is_beside`).

use axum::extract::State;
use axum::http::HeaderMap;
use garde::Validate;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::members::channel_test::sent_test;
use crate::app::App;
use crate::domain::refusal::Refusal;
use crate::http::HttpState;
use crate::http::answer::{Answer, IdempotencyKey};
use crate::http::api::entry::{self, by};
use crate::http::caller::Caller;
use crate::http::devices;
use crate::http::error::{HttpError, Problem};
use crate::http::json::StrictJson;
use crate::notify::target::check_saved;
use crate::notify::web_push::Subscription;
use crate::notify::web_push::vapid::ServerKey;
use crate::store::register::channel::Channel;
use crate::store::register::screen::{self, NewScreen};

pub fn routes() -> OpenApiRouter<HttpState> {
    OpenApiRouter::new().routes(routes!(key)).routes(routes!(subscribe)).routes(routes!(unsubscribe))
}

#[derive(Serialize, ToSchema)]
struct WebPushKey {
    /// The page gives it to the browser as `applicationServerKey`; null where the operator has made no key.
    public_key: Option<String>,
}

/// As browsers write it, and nothing else.
#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[garde(allow_unvalidated)]
struct NewSubscription {
    /// Names the test message. Made by the client, or else by the server.
    #[serde(default)]
    id: Uuid,
    /// Of the push service, `https://`, public.
    endpoint: String,
    /// Milliseconds since 1970; it is not used, because a service says by itself when one has ended.
    #[serde(default, rename = "expirationTime")]
    _expiration_time: Option<f64>,
    keys: SubscriptionKeys,
    /// The endpoint that the browser had until now, when it has changed it by itself; then no test message is sent.
    #[serde(default)]
    replaces: Option<String>,
}

#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[garde(allow_unvalidated)]
struct SubscriptionKeys {
    /// 65 bytes, an uncompressed point of P-256, in base64url.
    p256dh: String,
    /// 16 bytes in base64url.
    auth: String,
}

#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[garde(allow_unvalidated)]
struct EndedSubscription {
    endpoint: String,
}

/// The public key of this installation, if there is one.
pub fn public_key(app: &App) -> Option<String> {
    ServerKey::read(app.config.channels.web_push.private_key.expose()).map(|key| key.public_key())
}

/// What a browser needs to switch pop-ups on.
#[utoipa::path(get, path = "/api/v1/web-push", tag = "web-push", responses((status = 200, body = WebPushKey)))]
async fn key(State(app): State<App>, _caller: Caller) -> Answer {
    Answer::ok(&WebPushKey { public_key: public_key(&app) })
}

/// Switch pop-ups on in this browser, for the caller; the browser shows a test message. The same browser again is the same channel, and
/// shows the messages of whoever switched it on last.
#[utoipa::path(post, path = "/api/v1/web-push/subscriptions", tag = "web-push", request_body = NewSubscription,
    responses((status = 201, body = Channel), (status = 400, body = Problem), (status = 409, body = Problem)))]
async fn subscribe(
    State(app): State<App>,
    caller: Caller,
    headers: HeaderMap,
    key: IdempotencyKey,
    StrictJson(mut body, hash): StrictJson<NewSubscription>,
) -> Result<Answer, HttpError> {
    if public_key(&app).is_none() {
        return Err(Refusal::conflict("channel.no_account").into());
    }
    let once = entry::once(key, &caller, &mut body.id, hash)?;
    let given = Subscription::of(body.endpoint, body.keys.p256dh, body.keys.auth);
    let subscription = given.map_err(|field| Refusal::invalid(field, "channel.subscription_key"))?;
    check_saved(&subscription.endpoint, app.config.outbox.allow_private_targets).await.map_err(of_endpoint)?;
    let (by, seal, is_new) = (by(&caller, &app), app.seal.clone(), body.replaces.is_none());
    let new = NewScreen {
        id: Uuid::now_v7(),
        secret: subscription.secret(),
        endpoint: subscription.endpoint,
        label: devices::label(&headers),
        replaces: body.replaces,
    };
    let answer = made_once!(app, once, by, |tx| (), {
        let channel = screen::subscribe(&mut tx, &by, &seal, caller.member_id, new).await?;
        if is_new {
            sent_test(&mut tx, &by, body.id, caller.member_id, &channel).await?;
        }
        Answer::created(&channel).version(channel.version)
    })?;
    app.wake.all();
    Ok(answer)
}

/// The same refusal for the field of this body.
fn of_endpoint(refusal: Refusal) -> Refusal {
    Refusal::invalid("endpoint", refusal.key)
}

/// Switch pop-ups off in this browser.
#[utoipa::path(post, path = "/api/v1/web-push/unsubscribe", tag = "web-push", request_body = EndedSubscription,
    responses((status = 204), (status = 400, body = Problem)))]
async fn unsubscribe(
    State(app): State<App>,
    caller: Caller,
    StrictJson(body, _): StrictJson<EndedSubscription>,
) -> Result<Answer, HttpError> {
    let (by, seal, member_id) = (by(&caller, &app), app.seal.clone(), caller.member_id);
    app.write(move |mut tx| async move {
        screen::unsubscribe(&mut tx, &by, &seal, member_id, &body.endpoint).await?;
        Ok((tx, ()))
    })
    .await?;
    Ok(Answer::no_content())
}
