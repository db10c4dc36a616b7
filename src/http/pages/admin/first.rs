//! The first page of whoever keeps the register. While something is missing it is a path of steps, each ticked by what is there.

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;

use super::HERE;
use crate::app::App;
use crate::domain::access::Capability;
use crate::http::HttpState;
use crate::http::caller::Caller;
use crate::http::error::HttpError;
use crate::http::pages::frame::Frame;
use crate::http::pages::page;
use crate::store::setup::{self, Setup};

pub fn routes() -> Router<HttpState> {
    Router::new().route("/admin", get(first))
}

/// One step of the way to the first round.
struct Step {
    /// `office.step_…`, its title, and `office.step_…_why`.
    word: &'static str,
    path: &'static str,
    is_done: bool,
    is_next: bool,
}

#[derive(Template)]
#[template(path = "admin/first.html")]
struct FirstPage {
    frame: Frame,
    steps: Vec<Step>,
    done: usize,
    is_ready: bool,
    may_members: bool,
    may_devices: bool,
}

async fn first(State(app): State<App>, caller: Caller) -> Result<Response, HttpError> {
    caller.require(Capability::RegisterWrite)?;
    let (site_id, today) = (caller.site_id, caller.today);
    let found = app.read(move |mut tx| async move {
        let setup = setup::of(&mut tx, site_id, today).await?;
        Ok((tx, setup))
    });
    let steps = steps(&found.await?);
    let done = steps.iter().filter(|step| step.is_done).count();
    page(&FirstPage {
        frame: Frame::of(&caller, HERE),
        is_ready: done == steps.len(),
        done,
        steps,
        may_members: caller.require_site(Capability::MembersWrite).is_ok(),
        may_devices: caller.require_site(Capability::DevicesWrite).is_ok(),
    })
}

fn steps(setup: &Setup) -> Vec<Step> {
    let facts = [
        ("place", "/admin/places", setup.buildings > 0),
        ("member", "/admin/members", setup.volunteers > 0),
        ("import", "/admin/import", setup.seniors > 0),
        ("agreement", "/seniors", setup.seniors > 0 && setup.without_agreement == 0 && setup.without_pair == 0),
        ("channel", "/admin/members", setup.volunteers > 0 && setup.without_channel == 0),
        ("drill", "/admin/places", setup.drills > 0),
    ];
    let next = facts.iter().position(|(.., is_done)| !is_done);
    let step =
        |(at, (word, path, is_done)): (usize, (&'static str, &'static str, bool))| Step { word, path, is_done, is_next: next == Some(at) };
    facts.into_iter().enumerate().map(step).collect()
}
