//! The page behind an invitation: one button. Opening it uses nothing up, because chat programs look at links before people do.

use askama::Template;
use axum::Router;
use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::get;

use super::frame::Frame;
use super::page;
use crate::http::HttpState;
use crate::http::api::invitations::{gone, invited};
use crate::http::envelope::Peer;
use crate::http::error::HttpError;
use crate::text;

pub fn routes() -> Router<HttpState> {
    Router::new().route("/join/{token}", get(join))
}

#[derive(Template)]
#[template(path = "join.html")]
struct JoinPage {
    frame: Frame,
    called: String,
    token: String,
}

async fn join(State(state): State<HttpState>, Peer(address): Peer, Path(token): Path<String>) -> Result<Response, HttpError> {
    state.rates.stranger(address)?;
    let invited = invited(&state.app, &token).await?;
    if invited.session_id.is_some() {
        return Err(gone());
    }
    page(&JoinPage { frame: Frame::of_stranger(text::locale(&invited.locale)), called: invited.called, token })
}
