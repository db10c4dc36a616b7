//! What providers report of a message after they have accepted it. They cannot sign in: those that cannot sign either show a key in the
//! address that only they and this server know, the official account signs with its token. A report is kept once, however often it
//! comes, and whatever cannot be read is refused, so that it is sent again or seen by whoever set it up.

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde::Deserialize;
use subtle::ConstantTimeEq;

use super::HttpState;
use super::envelope::Peer;
use super::error::HttpError;
use crate::app::App;
use crate::domain::message::Channel;
use crate::domain::message::receipt::Receipt;
use crate::notify::{official_account, receipts};
use crate::store::outbox::receipt;

pub fn routes() -> Router<HttpState> {
    Router::new().route("/callbacks/{channel}/{key}", post(report)).route("/callbacks/official_account", get(prove).post(event))
}

async fn report(
    State(state): State<HttpState>,
    Peer(address): Peer,
    Path((channel, key)): Path<(String, String)>,
    body: Bytes,
) -> Result<Response, HttpError> {
    let expected = state.app.config.channels.callback_key.expose();
    if expected.is_empty() || !bool::from(expected.as_bytes().ct_eq(key.as_bytes())) {
        state.rates.stranger(address)?;
        return Err(HttpError::NotFound);
    }
    let channel: Channel = channel.parse().map_err(|_| HttpError::NotFound)?;
    let (found, answer) = receipts::parse(channel, &body).ok_or(HttpError::NotFound)?;
    keep(&state.app, found).await?;
    Ok(([(header::CONTENT_TYPE, "application/json")], answer).into_response())
}

/// Each in a transaction of its own: two that lock the same seniors in another order would strike each other down.
async fn keep(app: &App, receipts: Vec<Receipt>) -> Result<(), HttpError> {
    for found in receipts {
        let now = app.clock.now();
        app.write(move |mut tx| async move {
            receipt::arrive(&mut tx, &found, now).await?;
            Ok((tx, ()))
        })
        .await?;
    }
    app.wake.all();
    Ok(())
}

/// What the platform puts into the address of every call.
#[derive(Deserialize)]
struct Signed {
    signature: String,
    timestamp: String,
    nonce: String,
    /// Of the first call only: to be given back.
    #[serde(default)]
    echostr: String,
}

impl Signed {
    fn require(&self, app: &App) -> Result<(), HttpError> {
        let token = app.config.channels.official_account.event_token.expose();
        let expected = official_account::signature(token, &self.timestamp, &self.nonce);
        let holds = !token.is_empty() && bool::from(expected.as_bytes().ct_eq(self.signature.as_bytes()));
        if holds { Ok(()) } else { Err(HttpError::NotFound) }
    }
}

/// The platform asks once whether this server is the one that its owner means.
async fn prove(State(app): State<App>, Query(signed): Query<Signed>) -> Result<String, HttpError> {
    signed.require(&app)?;
    Ok(signed.echostr)
}

/// Other events than reports are taken and mean nothing here.
async fn event(State(app): State<App>, Query(signed): Query<Signed>, body: Bytes) -> Result<Response, HttpError> {
    signed.require(&app)?;
    let found = std::str::from_utf8(&body).ok().and_then(official_account::receipt);
    keep(&app, found.into_iter().collect()).await?;
    Ok((StatusCode::OK, "success").into_response())
}
