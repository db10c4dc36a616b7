//! The lists that can be taken away as tables.

use askama::Template;
use axum::Router;
use axum::response::Response;
use axum::routing::get;
use chrono::{NaiveDate, TimeDelta};

use super::HERE;
use crate::domain::access::Capability;
use crate::http::HttpState;
use crate::http::caller::Caller;
use crate::http::error::HttpError;
use crate::http::pages::frame::Frame;
use crate::http::pages::page;

pub fn routes() -> Router<HttpState> {
    Router::new().route("/admin/export", get(export))
}

#[derive(Template)]
#[template(path = "admin/export.html")]
struct ExportPage {
    frame: Frame,
    lists: Vec<&'static str>,
    periods: [&'static str; 2],
    from: NaiveDate,
}

async fn export(caller: Caller) -> Result<Response, HttpError> {
    caller.require(Capability::SeniorWrite)?;
    let lists = ["seniors", "agreements", "members"].into_iter();
    let may_members = caller.require_site(Capability::MembersWrite).is_ok();
    let lists = lists.filter(|list| *list != "members" || may_members).collect();
    page(&ExportPage { from: caller.today - TimeDelta::days(30), frame: Frame::of(&caller, HERE), lists, periods: ["visits", "alerts"] })
}
