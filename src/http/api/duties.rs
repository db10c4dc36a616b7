//! 看窗值班. A duty lets its member see the seniors behind those windows, so each window must lie in the giver's scope.

use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::entry::{self, Ending, by};
use crate::app::App;
use crate::domain::access::Capability;
use crate::http::HttpState;
use crate::http::answer::{Answer, IdempotencyKey};
use crate::http::caller::Caller;
use crate::http::error::{HttpError, Problem};
use crate::http::json::{Segments, StrictJson, StrictQuery};
use crate::http::page::{Cursor, IfMatch, Limit, Page};
use crate::http::value::Day;
use crate::store::register::duty::{self, Duty, DutyFilter, NewDuty};
use crate::store::{self, Tx, access};

pub fn routes() -> OpenApiRouter<HttpState> {
    OpenApiRouter::new().routes(routes!(create, list)).routes(routes!(get, change))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct ListQuery {
    #[serde(default)]
    member: Option<Uuid>,
    /// In force on this date.
    #[serde(default)]
    #[param(value_type = Option<String>)]
    on: Option<Day>,
    #[serde(default)]
    #[param(inline, required = false)]
    limit: Limit,
    #[serde(default)]
    #[param(value_type = Option<String>)]
    cursor: Option<Cursor<Uuid>>,
}

/// Give somebody windows to look at.
#[utoipa::path(post, path = "/api/v1/duties", tag = "duties", request_body = NewDuty,
    responses((status = 201, body = Duty), (status = 400, body = Problem), (status = 409, body = Problem)))]
async fn create(
    State(app): State<App>,
    caller: Caller,
    key: IdempotencyKey,
    StrictJson(mut body, hash): StrictJson<NewDuty>,
) -> Result<Answer, HttpError> {
    caller.require(Capability::SeniorWrite)?;
    let once = entry::once(key, &caller, &mut body.id, hash)?;
    let by = by(&caller, &app);
    made_once!(
        app,
        once,
        by,
        |tx| require_scopes(&mut tx, &caller, &body.building_ids, &body.senior_ids, Capability::SeniorWrite).await?,
        {
            let made = duty::create(&mut tx, &by, body).await?;
            Answer::created(&made).version(made.version)
        }
    )
}

async fn require_scopes(tx: &mut Tx, caller: &Caller, buildings: &[Uuid], seniors: &[Uuid], need: Capability) -> store::Result<()> {
    let set = |ids: &[Uuid]| ids.iter().copied().collect();
    access::require_places(tx, &caller.who(), &set(buildings), need).await?;
    access::require_all(tx, &caller.who(), &set(seniors), need).await
}

/// Duties, in the order of their ids. Who keeps part of the register sees those of its members, others their own.
#[utoipa::path(get, path = "/api/v1/duties", tag = "duties", params(ListQuery), responses((status = 200, body = Page<Duty>)))]
async fn list(State(app): State<App>, caller: Caller, StrictQuery(query): StrictQuery<ListQuery>) -> Result<Answer, HttpError> {
    let filter = DutyFilter { id: None, member_id: query.member, on: query.on.map(|day| day.0) };
    let page = entry::page(query.cursor, query.limit);
    let rows = looked_up!(app, |tx| {
        let members = caller.members(&mut tx).await?;
        full_page!(page, |after| duty::list(&mut tx, caller.site_id, filter, after).await?, |row| members.contains(row.member_id))
    });
    Ok(Answer::ok(&Page::cut(rows, query.limit, |row| row.id)))
}

/// One duty.
#[utoipa::path(get, path = "/api/v1/duties/{id}", tag = "duties", params(("id" = Uuid, Path)),
    responses((status = 200, body = Duty), (status = 404, body = Problem)))]
async fn get(State(app): State<App>, caller: Caller, Segments(id): Segments<Uuid>) -> Result<Answer, HttpError> {
    let duty = looked_up!(app, |tx| {
        let found = duty::get(&mut tx, caller.site_id, id).await?;
        caller.members(&mut tx).await?.require(found.member_id)?;
        found
    });
    Ok(Answer::ok(&duty).version(duty.version))
}

/// End a duty: nobody may walk afterwards, so it needs the right to silence and a recent sign-in.
#[utoipa::path(patch, path = "/api/v1/duties/{id}", tag = "duties", params(("id" = Uuid, Path), ("If-Match" = String, Header)),
    request_body = Ending, responses((status = 200, body = Duty), (status = 403, body = Problem), (status = 409, body = Problem), (status = 412, body = Problem)))]
async fn change(
    State(app): State<App>,
    caller: Caller,
    Segments(id): Segments<Uuid>,
    if_match: IfMatch,
    StrictJson(body, _): StrictJson<Ending>,
) -> Result<Answer, HttpError> {
    let (by, recent) = (by(&caller, &app), caller.authenticated_recently());
    changed!(
        app,
        if_match,
        |tx| {
            let duty = duty::get(&mut tx, caller.site_id, id).await?;
            require_scopes(&mut tx, &caller, &duty.building_ids, &duty.senior_ids, Capability::Silence).await?;
            if !recent {
                return Ok((tx, Err(HttpError::RecentSignInRequired)));
            }
            duty
        },
        duty::end(&mut tx, &by, id, if_match.0, Some(body.to_date)).await?
    )
}
