//! One's own devices and second factor.

use std::collections::HashMap;

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::channels::Ways;
use super::frame::Frame;
use super::page;
use crate::app::App;
use crate::domain::access::Capability;
use crate::http::HttpState;
use crate::http::api::sessions::{self, Session};
use crate::http::api::web_push;
use crate::http::caller::Caller;
use crate::http::error::HttpError;
use crate::http::page::Limit;
use crate::store;
use crate::store::bulk::hex;
use crate::store::delivery_log::{self, LastMessage};
use crate::store::register::member::{self, Member};
use crate::store::register::screen;

pub fn routes() -> Router<HttpState> {
    Router::new()
        .route("/me", get(me))
        .route("/me/sessions", get(devices))
        .route("/me/channels", get(channels))
        .route("/me/second-factor", get(second_factor))
}

#[derive(Template)]
#[template(path = "me.html")]
struct MePage {
    frame: Frame,
    member_id: Uuid,
    member: Member,
    /// Whoever does acts that silence has a password.
    has_password: bool,
}

async fn me(State(app): State<App>, caller: Caller) -> Result<Response, HttpError> {
    let (site_id, member_id) = (caller.site_id, caller.member_id);
    let found = app.read(move |mut tx| async move {
        let member = member::get(&mut tx, site_id, member_id).await?;
        let account = store::session::account(&mut tx, site_id, member_id).await?;
        Ok((tx, (member, account.is_some_and(|(account, _)| account.password_hash.is_some()))))
    });
    let (member, has_password) = found.await?;
    page(&MePage { frame: Frame::of(&caller, "/me"), member_id, member, has_password })
}

#[derive(Template)]
#[template(path = "me_channels.html")]
struct ChannelsPage {
    frame: Frame,
    member: Member,
    ways: Ways,
    last_messages: HashMap<Uuid, LastMessage>,
    may_confirm: bool,
    here: &'static str,
    /// `None`: this installation has no key for them.
    push: Option<Push>,
}

/// Pop-ups on the computer that the page is open on.
struct Push {
    /// What the browser is given.
    key: String,
    /// The browsers that are on, as SHA-256 of their endpoints, by which a browser finds itself; the endpoints are secrets.
    known: String,
}

/// How she is reached: added and verified by herself.
async fn channels(State(app): State<App>, caller: Caller) -> Result<Response, HttpError> {
    let (site_id, member_id, seal) = (caller.site_id, caller.member_id, app.seal.clone());
    let found = app.read(move |mut tx| async move {
        let member = member::get(&mut tx, site_id, member_id).await?;
        let last_messages = delivery_log::last_messages(&mut tx, site_id, member_id).await?;
        let ways = Ways::of(&mut tx, site_id, member_id).await?;
        let endpoints = screen::endpoints(&mut tx, site_id, &seal, member_id).await?;
        Ok((tx, (member, last_messages, ways, endpoints)))
    });
    let (member, last_messages, ways, endpoints) = found.await?;
    let known = endpoints.iter().map(|endpoint| hex(&Sha256::digest(endpoint))).collect::<Vec<_>>().join(" ");
    let push = web_push::public_key(&app).map(|key| Push { key, known });
    let may_confirm = caller.may(Capability::MembersWrite);
    page(&ChannelsPage { frame: Frame::of(&caller, "/me"), member, ways, last_messages, may_confirm, here: "/me/channels", push })
}

#[derive(Template)]
#[template(path = "me_sessions.html")]
struct DevicesPage {
    frame: Frame,
    member_id: Uuid,
    sessions: Vec<Session>,
}

async fn devices(State(app): State<App>, caller: Caller) -> Result<Response, HttpError> {
    let sessions = sessions::of(&app, &caller, caller.member_id, None, Limit::default()).await?.items;
    page(&DevicesPage { frame: Frame::of(&caller, "/me"), member_id: caller.member_id, sessions })
}

#[derive(Template)]
#[template(path = "me_second_factor.html")]
struct FactorPage {
    frame: Frame,
    member_id: Uuid,
    is_on: bool,
    /// An administrator in waiting.
    must: bool,
}

async fn second_factor(State(app): State<App>, caller: Caller) -> Result<Response, HttpError> {
    let (site_id, member_id) = (caller.site_id, caller.member_id);
    let since = app.read(move |mut tx| async move {
        let since = store::second_factor::since(&mut tx, site_id, member_id).await?;
        Ok((tx, since))
    });
    let is_on = since.await?.is_some();
    let must = app.config.http.totp_required && !is_on && !caller.may(Capability::MembersWrite);
    page(&FactorPage { frame: Frame::of(&caller, "/me"), member_id, is_on, must })
}
