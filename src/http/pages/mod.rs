//! The pages that people see: HTML made here, of the same answers that the API gives. A page reads; whatever it changes goes
//! through the API by `static/form.js`, so there is one place where an act is checked, kept and made repeatable. A page looks
//! like this:
//!
//! ```text
//! #[derive(Template)]
//! #[template(path = "round.html")]                    // extends layout.html, which needs `frame`
//! struct RoundPage { frame: Frame, round: Round }
//!
//! async fn round(State(app): State<App>, caller: Caller) -> Result<Response, HttpError> {
//!     let round = rounds::of_caller(&app, &caller, …).await?;      // what the API's handler calls as well
//!     page(&RoundPage { frame: Frame::of(&caller, "/round"), round })
//! }
//! ```
//!
//! Every word is `frame.say("key")` from `locales/page.*.yml`. Refusals become a page in `problem`.

#![expect(clippy::unused_self, clippy::trivially_copy_pass_by_ref, reason = "templates call methods of what they hold, by reference")]

mod admin;
mod alert;
mod alerts;
pub mod assets;
mod audit;
mod board;
mod calendar;
mod channels;
mod charts;
mod claim;
mod family;
mod filter;
pub mod frame;
mod join;
mod me;
mod offline;
mod problem;
mod round;
mod senior;
mod seniors;
mod sign_in;
mod system;
mod visit;
mod visits;

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::get;
use tower_http::compression::CompressionLayer;

use super::HttpState;
use super::caller::Caller;
use super::error::HttpError;
use crate::app::App;
use crate::domain::access::Capability;
use crate::store::setup;

pub use problem::{problem, wants_page};

/// No inline script or style, nothing from another host.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
    manifest-src 'self'; worker-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

/// All pages and their assets.
pub fn routes() -> Router<HttpState> {
    // What is compressed holds no secret that a stranger's input could be weighed against.
    Router::new()
        .route("/", get(first))
        .merge(sign_in::routes())
        .merge(assets::routes())
        .merge(offline::routes())
        .merge(round::routes())
        .merge(desk())
        .merge(door())
        .merge(office())
        .layer(CompressionLayer::new())
}

/// What is looked at on a desk.
fn desk() -> Router<HttpState> {
    board::routes().merge(charts::routes()).merge(system::routes()).merge(audit::routes())
}

/// What is looked at on the way and at the door.
fn door() -> Router<HttpState> {
    alerts::routes()
        .merge(alert::routes())
        .merge(claim::routes())
        .merge(family::routes())
        .merge(visit::routes())
        .merge(visits::routes())
        .merge(seniors::routes())
        .merge(senior::routes())
}

/// How people come in, and what an administrator keeps.
fn office() -> Router<HttpState> {
    join::routes().merge(me::routes()).merge(admin::routes())
}

/// Everybody begins where her work is; where nobody is looked after yet, that is the guided way to the first round.
async fn first(State(app): State<App>, caller: Caller) -> Result<Redirect, HttpError> {
    if caller.may(Capability::RegisterWrite) {
        let site_id = caller.site_id;
        if app.read(move |mut tx| async move { setup::is_empty(&mut tx, site_id).await.map(|empty| (tx, empty)) }).await? {
            return Ok(Redirect::to("/admin"));
        }
    }
    let work = [(Capability::MembersRead, "/board"), (Capability::SystemRead, "/system")];
    Ok(Redirect::to(work.into_iter().find(|(needs, _)| caller.may(*needs)).map_or("/round", |(_, path)| path)))
}

/// A rendered page with its headers.
pub fn page(template: &impl Template) -> Result<Response, HttpError> {
    let html = template.render().map_err(|_| HttpError::Panicked)?;
    let mut response = Html(html).into_response();
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    // `no-referrer` would make browsers send `Origin: null` with our own writes.
    response.headers_mut().insert(header::REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    Ok(response)
}
