//! The one page that is read to a senior, signed or agreed to before a witness, and the form by which it is typed in.

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use uuid::Uuid;

use crate::app::App;
use crate::domain::access::Capability;
use crate::domain::place::ConsentScope;
use crate::http::HttpState;
use crate::http::api::seniors::{self, SeniorView};
use crate::http::caller::Caller;
use crate::http::error::HttpError;
use crate::http::json::Segments;
use crate::http::pages::frame::Frame;
use crate::http::pages::page;
use crate::store::register::site;

pub fn routes() -> Router<HttpState> {
    Router::new().route("/seniors/{id}/consent-sheet", get(sheet))
}

#[derive(Template)]
#[template(path = "admin/consent_sheet.html")]
struct SheetPage {
    frame: Frame,
    senior: SeniorView,
    site: String,
    scopes: &'static [ConsentScope],
}

async fn sheet(State(app): State<App>, caller: Caller, Segments(id): Segments<Uuid>) -> Result<Response, HttpError> {
    let asker = caller.clone();
    let allowed = app.read(move |mut tx| async move {
        asker.senior(&mut tx, id, Capability::SeniorWrite).await?;
        let site = site::get(&mut tx, asker.site_id).await?;
        Ok((tx, site.name))
    });
    let site = allowed.await?;
    let (senior, _) = seniors::opened(&app, &caller, id).await?;
    page(&SheetPage { frame: Frame::of(&caller, "/seniors"), senior, site, scopes: ConsentScope::ALL })
}
