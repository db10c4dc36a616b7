//! The import of the register: download, fill in, check, take.

use askama::Template;
use axum::Router;
use axum::response::Response;
use axum::routing::get;

use super::HERE;
use crate::domain::access::Capability;
use crate::http::HttpState;
use crate::http::caller::Caller;
use crate::http::error::HttpError;
use crate::http::pages::frame::Frame;
use crate::http::pages::page;

pub fn routes() -> Router<HttpState> {
    Router::new().route("/admin/import", get(import))
}

#[derive(Template)]
#[template(path = "admin/import.html")]
struct ImportPage {
    frame: Frame,
}

async fn import(caller: Caller) -> Result<Response, HttpError> {
    caller.require(Capability::SeniorWrite)?;
    page(&ImportPage { frame: Frame::of(&caller, HERE) })
}
