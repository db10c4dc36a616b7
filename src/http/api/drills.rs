//! Drills of the ladder: start one by hand, stop it, see who was reached, and say that one has read it.

use axum::extract::State;
use axum::http::HeaderMap;
use chrono::{DateTime, Utc};
use garde::Validate;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::entry::{self, by};
use crate::app::App;
use crate::domain::access::Capability;
use crate::domain::refusal::{Refusal, RefusalKind};
use crate::http::HttpState;
use crate::http::answer::{Answer, IdempotencyKey};
use crate::http::caller::{Caller, admit_bearer};
use crate::http::envelope::Peer;
use crate::http::error::{HttpError, Problem};
use crate::http::json::{Segments, StrictJson, StrictQuery};
use crate::http::page::{Cursor, Limit, Page};
use crate::http::value::MaybeText;
use crate::store::drill::{self, Drill, DrillPerson, Invited, Terms};
use crate::store::plan;
use crate::store::register::By;

pub fn routes() -> OpenApiRouter<HttpState> {
    OpenApiRouter::new()
        .routes(routes!(start, list))
        .routes(routes!(get))
        .routes(routes!(stop))
        .routes(routes!(confirm))
        .routes(routes!(confirm_by_link))
}

#[derive(Debug, Serialize, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[garde(allow_unvalidated)]
struct NewDrill {
    /// Made by the client, or else by the server.
    #[serde(default)]
    id: Uuid,
    /// Everybody is told whom an alert of somebody living there would tell.
    place_id: Uuid,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct ListQuery {
    #[serde(default)]
    #[param(inline, required = false)]
    limit: Limit,
    #[serde(default)]
    #[param(value_type = Option<String>)]
    cursor: Option<Cursor<(DateTime<Utc>, Uuid)>>,
}

/// A drill with everybody whom it tells.
#[derive(Serialize, ToSchema)]
pub struct DrillReport {
    #[serde(flatten)]
    pub drill: Drill,
    pub reached: Vec<DrillPerson>,
}

#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[garde(allow_unvalidated)]
struct DrillKey {
    /// From the link of the message.
    key: MaybeText<100>,
}

/// Whose word it was.
#[derive(Serialize, ToSchema)]
struct DrillRead {
    drill_id: Uuid,
}

/// Start a drill now: everybody whom an alert at the place would tell gets one message that says so, and confirms it.
#[utoipa::path(post, path = "/api/v1/drills", tag = "drills", request_body = NewDrill,
    responses((status = 201, body = Drill), (status = 400, body = Problem), (status = 409, body = Problem)))]
async fn start(
    State(app): State<App>,
    caller: Caller,
    key: IdempotencyKey,
    StrictJson(mut body, hash): StrictJson<NewDrill>,
) -> Result<Answer, HttpError> {
    caller.require_site(Capability::RegisterWrite)?;
    let once = entry::once(key, &caller, &mut body.id, hash)?;
    let (by, date) = (by(&caller, &app), caller.today);
    let answer = made_once!(app, once, by, |tx| (), {
        let rules = plan::site(&mut tx, by.site_id).await?.rules.notify.drill;
        let terms = Terms { date, report_after: rules.report_after.0, street_duty: rules.street_duty };
        let started = drill::start(&mut tx, &by, body.id, body.place_id, terms).await?;
        Answer::created(&started.ok_or_else(|| Refusal::conflict("problem.same_id_other_content"))?)
    })?;
    app.wake.all();
    Ok(answer)
}

/// The drills of the site, newest first.
#[utoipa::path(get, path = "/api/v1/drills", tag = "drills", params(ListQuery), responses((status = 200, body = Page<Drill>)))]
async fn list(State(app): State<App>, caller: Caller, StrictQuery(query): StrictQuery<ListQuery>) -> Result<Answer, HttpError> {
    caller.require_site(Capability::RegisterWrite)?;
    let before = query.cursor.map(|cursor| cursor.0);
    let items = looked_up!(app, |tx| drill::list(&mut tx, caller.site_id, before, query.limit.rows()).await?);
    Ok(Answer::ok(&Page::cut(items, query.limit, |drill| (drill.started_at, drill.id))))
}

/// A drill, and who was reached how.
#[utoipa::path(get, path = "/api/v1/drills/{id}", tag = "drills", params(("id" = Uuid, Path)),
    responses((status = 200, body = DrillReport), (status = 404, body = Problem)))]
async fn get(State(app): State<App>, caller: Caller, Segments(id): Segments<Uuid>) -> Result<Answer, HttpError> {
    Ok(Answer::ok(&of(&app, &caller, id).await?))
}

/// The same for the page.
pub async fn of(app: &App, caller: &Caller, id: Uuid) -> Result<DrillReport, HttpError> {
    caller.require_site(Capability::RegisterWrite)?;
    let site_id = caller.site_id;
    Ok(looked_up!(app, |tx| DrillReport {
        drill: drill::get(&mut tx, site_id, id).await?,
        reached: drill::people(&mut tx, site_id, id).await?,
    }))
}

/// Stop a drill: what has not left is taken back, and no report is made.
#[utoipa::path(post, path = "/api/v1/drills/{id}/stop", tag = "drills", params(("id" = Uuid, Path)),
    responses((status = 200, body = Drill), (status = 404, body = Problem), (status = 409, body = Problem)))]
async fn stop(State(app): State<App>, caller: Caller, Segments(id): Segments<Uuid>) -> Result<Answer, HttpError> {
    caller.require_site(Capability::RegisterWrite)?;
    let by = by(&caller, &app);
    let stopped = app.write(move |mut tx| async move { drill::stop(&mut tx, &by, id).await.map(|stopped| (tx, stopped)) });
    Ok(Answer::ok(&stopped.await?))
}

/// Say that one has read the word of a drill. Whoever was not told has nothing to say.
#[utoipa::path(post, path = "/api/v1/drills/{id}/confirm", tag = "drills", params(("id" = Uuid, Path)),
    responses((status = 200, body = DrillRead), (status = 404, body = Problem)))]
async fn confirm(State(app): State<App>, caller: Caller, Segments(id): Segments<Uuid>) -> Result<Answer, HttpError> {
    let by = by(&caller, &app);
    read(&app, by, id, caller.member_id).await
}

/// The same with the key of the message, without a sign-in. Opening the link says nothing yet: chat programs open links, too.
#[utoipa::path(post, path = "/api/v1/claims/drill", tag = "drills", security(()), request_body = DrillKey,
    responses((status = 200, body = DrillRead), (status = 404, body = Problem), (status = 429, body = Problem)))]
async fn confirm_by_link(
    State(state): State<HttpState>,
    Peer(address): Peer,
    headers: HeaderMap,
    StrictJson(body, _): StrictJson<DrillKey>,
) -> Result<Answer, HttpError> {
    admit_bearer(&state, &headers, address)?;
    let app = &state.app;
    let invited = invited(app, body.key.0).await?.ok_or_else(unknown)?;
    let by = By { site_id: invited.site_id, actor_id: Some(invited.member_id), now: app.clock.now() };
    read(app, by, invited.drill_id, invited.member_id).await
}

async fn read(app: &App, by: By, drill_id: Uuid, member_id: Uuid) -> Result<Answer, HttpError> {
    let read = app.write(move |mut tx| async move {
        let read = drill::confirm(&mut tx, &by, drill_id, member_id).await?;
        Ok((tx, read))
    });
    if read.await? { Ok(Answer::ok(&DrillRead { drill_id })) } else { Err(Refusal::not_found().into()) }
}

/// Whom the key of a message names, if it is the key of a drill.
pub async fn invited(app: &App, key: String) -> Result<Option<Invited>, HttpError> {
    let found = app.read(move |mut tx| async move { drill::invited(&mut tx, &key).await.map(|found| (tx, found)) });
    Ok(found.await?)
}

fn unknown() -> Refusal {
    Refusal::new(RefusalKind::NotFound, "door.link_over")
}
