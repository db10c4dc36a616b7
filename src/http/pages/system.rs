//! How the server itself is doing. Red when nobody would hear that it is ill.

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use serde::Deserialize;

use super::frame::Frame;
use super::page;
use crate::app::App;
use crate::domain::access::Capability;
use crate::domain::health::Weakness;
use crate::http::HttpState;
use crate::http::api::system::{self, System};
use crate::http::caller::Caller;
use crate::http::error::HttpError;
use crate::http::json::StrictQuery;

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
    /// The channel whose test message the provider has just accepted.
    tried: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SystemQuery {
    #[serde(default)]
    tried: Option<String>,
}

struct Wrong {
    title: String,
    todo: String,
}

async fn system_page(State(app): State<App>, caller: Caller, StrictQuery(query): StrictQuery<SystemQuery>) -> Result<Response, HttpError> {
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
    let refused = system.channels.iter().filter(|item| item.refused_at.is_some()).map(|item| Wrong {
        title: frame.say("system.channel_refused_title").with("channel", frame.word("channel.name", item.channel)).to_string(),
        todo: frame.say("system.channel_refused_todo").with("why", item.refused_why.as_deref().unwrap_or_default()).to_string(),
    });
    let refused: Vec<Wrong> = refused.collect();
    let unheard = unheard.into_iter().map(|weakness| wrong("weakness", weakness.to_string()));
    page(&SystemPage {
        wrong: unheard.chain(unready).chain(ailments).chain(refused).collect(),
        weak: weak.into_iter().map(|weakness| wrong("weakness", weakness.to_string())).collect(),
        clock: system.clock_ahead_seconds.map(|seconds| format!("{seconds:+.1}")),
        waiting: system.backlog.checks + system.backlog.alerts + system.backlog.notices + system.backlog.messages,
        may_audit: caller.require_site(Capability::Audit).is_ok(),
        tried: query.tried,
        frame,
        system,
    })
}
