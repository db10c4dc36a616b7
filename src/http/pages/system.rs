//! How the server itself is doing. Red when nobody would hear that it is ill.

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;

use super::frame::Frame;
use super::page;
use crate::app::App;
use crate::domain::access::Capability;
use crate::domain::health::Weakness;
use crate::http::HttpState;
use crate::http::api::system::{self, System};
use crate::http::caller::Caller;
use crate::http::error::HttpError;

pub fn routes() -> Router<HttpState> {
    Router::new().route("/system", get(system_page))
}

#[derive(Template)]
#[template(path = "system.html")]
struct SystemPage {
    frame: Frame,
    system: System,
    /// What is wrong now, as sentences: first the server, then its settings.
    wrong: Vec<Wrong>,
    weak: Vec<Wrong>,
    clock: Option<String>,
    waiting: i64,
    may_audit: bool,
}

struct Wrong {
    title: String,
    todo: String,
}

async fn system_page(State(app): State<App>, caller: Caller) -> Result<Response, HttpError> {
    let system = system::of(&app, &caller).await?;
    let frame = Frame::of(&caller, "/admin");
    let wrong = |list: &str, word: String| Wrong {
        title: frame.say(&format!("system.{list}_{word}")).to_string(),
        todo: frame.say(&format!("system.{list}_{word}_todo")).to_string(),
    };
    let unready = system.unready.iter().map(|why| wrong("unready", why.to_string()));
    let ailments = system.ailments.iter().map(|ailment| wrong("ailment", ailment.to_string()));
    // Without an operator everything else is said to nobody: this is red, not only a setting.
    let (unheard, weak): (Vec<Weakness>, Vec<Weakness>) =
        system.weaknesses.iter().copied().partition(|weakness| *weakness == Weakness::NoOperator);
    let unheard = unheard.into_iter().map(|weakness| wrong("weakness", weakness.to_string()));
    page(&SystemPage {
        wrong: unheard.chain(unready).chain(ailments).collect(),
        weak: weak.into_iter().map(|weakness| wrong("weakness", weakness.to_string())).collect(),
        clock: system.clock_ahead_seconds.map(|seconds| format!("{seconds:+.1}")),
        waiting: system.backlog.checks + system.backlog.alerts + system.backlog.notices + system.backlog.messages,
        may_audit: caller.require_site(Capability::Audit).is_ok(),
        frame,
        system,
    })
}
