//! The caller's own site: its name, its position, its times.

use axum::extract::State;
use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::entry::by;
use crate::app::App;
use crate::domain::access::Capability;
use crate::domain::refusal::Refusal;
use crate::domain::rules::Rules;
use crate::http::HttpState;
use crate::http::answer::Answer;
use crate::http::caller::Caller;
use crate::http::error::{HttpError, Problem};
use crate::http::json::{Segments, StrictJson};
use crate::http::page::{IfMatch, Page};
use crate::store::register::site::{self, SitePatch};
use crate::store::{self, Error};

pub fn routes() -> OpenApiRouter<HttpState> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(get, change))
}

#[derive(Serialize, ToSchema)]
struct Site {
    id: Uuid,
    name: String,
    timezone: String,
    latitude: f64,
    longitude: f64,
    /// `check`, `ladder` and `notify` as they are in force here.
    #[schema(value_type = Object)]
    settings: Rules,
    version: i64,
    created_at: DateTime<Utc>,
}

fn shown(site: site::Site) -> store::Result<Site> {
    let settings = site.rules()?;
    let site::Site { id, name, timezone, latitude, longitude, version, created_at, .. } = site;
    Ok(Site { id, name, timezone, latitude, longitude, settings, version, created_at })
}

/// The one site that the caller belongs to.
#[utoipa::path(get, path = "/api/v1/sites", tag = "sites", responses((status = 200, body = Page<Site>), (status = 401, body = Problem)))]
async fn list(State(app): State<App>, caller: Caller) -> Result<Answer, HttpError> {
    let site = looked_up!(app, |tx| shown(site::get(&mut tx, caller.site_id).await?)?);
    Ok(Answer::ok(&Page { items: vec![site], next: None }))
}

/// The caller's site; any other does not exist for her.
#[utoipa::path(get, path = "/api/v1/sites/{id}", tag = "sites", params(("id" = Uuid, Path)),
    responses((status = 200, body = Site), (status = 404, body = Problem)))]
async fn get(State(app): State<App>, caller: Caller, Segments(id): Segments<Uuid>) -> Result<Answer, HttpError> {
    require_own(&caller, id)?;
    let site = looked_up!(app, |tx| shown(site::get(&mut tx, id).await?)?);
    Ok(Answer::ok(&site).version(site.version))
}

/// Change name, position or times. Position and times decide when people are told: they need the right to silence and a recent
/// sign-in.
#[utoipa::path(patch, path = "/api/v1/sites/{id}", tag = "sites", params(("id" = Uuid, Path), ("If-Match" = String, Header)),
    request_body = SitePatch, responses((status = 200, body = Site), (status = 403, body = Problem), (status = 412, body = Problem)))]
async fn change(
    State(app): State<App>,
    caller: Caller,
    Segments(id): Segments<Uuid>,
    if_match: IfMatch,
    StrictJson(body, _): StrictJson<SitePatch>,
) -> Result<Answer, HttpError> {
    require_own(&caller, id)?;
    caller.require_site(Capability::RegisterWrite)?;
    if body.settings.is_some() || body.latitude.is_some() || body.longitude.is_some() {
        caller.require_site(Capability::Silence)?;
        caller.require_recent()?;
    }
    let by = by(&caller, &app);
    let answer = changed!(app, if_match, |tx| shown(site::get(&mut tx, id).await?)?, {
        shown(site::patch(&mut tx, &by, if_match.0, body, true).await?)?
    });
    app.wake.all();
    answer
}

fn require_own(caller: &Caller, id: Uuid) -> Result<(), Error> {
    if id == caller.site_id { Ok(()) } else { Err(Refusal::not_found().into()) }
}
