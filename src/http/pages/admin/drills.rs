//! Drills: start one, and see who was reached by which channel; and when the site drills by itself.

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use uuid::Uuid;

use super::HERE;
use super::places::{Branch, branches};
use crate::app::App;
use crate::domain::access::Capability;
use crate::domain::ladder::drill::Reached;
use crate::domain::rules::{DrillRules, WeeklyDrill};
use crate::http::HttpState;
use crate::http::api::drills::{self, DrillReport};
use crate::http::caller::Caller;
use crate::http::error::HttpError;
use crate::http::json::Segments;
use crate::http::pages::frame::Frame;
use crate::http::pages::page;
use crate::store::drill::{self, Drill, DrillPerson};
use crate::store::register::site;

/// As many old drills as one looks back at.
const SHOWN_MAX: i64 = 50;

pub fn routes() -> Router<HttpState> {
    Router::new().route("/admin/drills", get(list)).route("/admin/drills/{id}", get(one))
}

#[derive(Template)]
#[template(path = "admin/drills.html")]
struct DrillsPage {
    frame: Frame,
    drills: Vec<Drill>,
    branches: Vec<Branch>,
    rules: DrillRules,
    is_running: bool,
}

#[derive(Template)]
#[template(path = "admin/drill.html")]
struct DrillPage {
    frame: Frame,
    report: DrillReport,
    unreached: usize,
}

impl DrillPage {
    fn is_missed(&self, person: &DrillPerson) -> bool {
        person.reached.is_missed(self.report.drill.reported_at.is_some())
    }

    /// Minutes from the beginning to her word.
    fn minutes(&self, person: &DrillPerson) -> Option<i64> {
        person.confirmed_at.map(|at| (at - self.report.drill.started_at).num_minutes())
    }
}

async fn list(State(app): State<App>, caller: Caller) -> Result<Response, HttpError> {
    caller.require_site(Capability::RegisterWrite)?;
    let site_id = caller.site_id;
    let found = app.read(move |mut tx| async move {
        let drills = drill::list(&mut tx, site_id, None, SHOWN_MAX).await?;
        let rules = site::get(&mut tx, site_id).await?.rules()?.notify.drill;
        Ok((tx, (drills, rules)))
    });
    let (drills, rules) = found.await?;
    let branches = branches(&app, &caller).await?;
    let is_running = drills.iter().any(Drill::is_running);
    page(&DrillsPage { frame: Frame::of(&caller, HERE), drills, branches, rules, is_running })
}

async fn one(State(app): State<App>, caller: Caller, Segments(id): Segments<Uuid>) -> Result<Response, HttpError> {
    let report = drills::of(&app, &caller, id).await?;
    let mut drill = DrillPage { frame: Frame::of(&caller, HERE), report, unreached: 0 };
    drill.unreached = drill.report.reached.iter().filter(|person| drill.is_missed(person)).count();
    page(&drill)
}
