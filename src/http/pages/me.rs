//! One's own devices and second factor.

use std::collections::HashMap;

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use uuid::Uuid;

use super::channels::{Kind, kinds};
use super::frame::Frame;
use super::page;
use crate::app::App;
use crate::domain::access::Capability;
use crate::http::HttpState;
use crate::http::api::sessions::{self, Session};
use crate::http::caller::Caller;
use crate::http::error::HttpError;
use crate::http::page::Limit;
use crate::store;
use crate::store::delivery_log::{self, LastMessage};
use crate::store::register::channel::{self, Channel};
use crate::store::register::member::{self, Member};

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
    channels: Vec<Channel>,
    last_messages: HashMap<Uuid, LastMessage>,
    kinds: Vec<Kind>,
    may_confirm: bool,
    here: &'static str,
}

/// How she is reached: added and verified by herself.
async fn channels(State(app): State<App>, caller: Caller) -> Result<Response, HttpError> {
    let (site_id, member_id) = (caller.site_id, caller.member_id);
    let found = app.read(move |mut tx| async move {
        let member = member::get(&mut tx, site_id, member_id).await?;
        let channels = channel::list(&mut tx, site_id, member_id).await?;
        let last_messages = delivery_log::last_messages(&mut tx, site_id, member_id).await?;
        let kinds = kinds(&mut tx).await?;
        Ok((tx, (member, channels, last_messages, kinds)))
    });
    let (member, channels, last_messages, kinds) = found.await?;
    let may_confirm = caller.may(Capability::MembersWrite);
    page(&ChannelsPage { frame: Frame::of(&caller, "/me"), member, channels, last_messages, kinds, may_confirm, here: "/me/channels" })
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
