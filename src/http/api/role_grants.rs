//! Who has which role where, and when. Granting decides who sees what, so administrators of the whole site do it.

use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::entry::{self, Ending, by};
use crate::app::App;
use crate::domain::access::Capability;
use crate::domain::place::Role;
use crate::http::HttpState;
use crate::http::answer::{Answer, IdempotencyKey};
use crate::http::caller::Caller;
use crate::http::error::{HttpError, Problem};
use crate::http::json::{Segments, StrictJson, StrictQuery};
use crate::http::page::{Cursor, IfMatch, Limit, Page};
use crate::http::value::Day;
use crate::store::register::role_grant::{self, NewRoleGrant, RoleGrant, RoleGrantFilter};

pub fn routes() -> OpenApiRouter<HttpState> {
    OpenApiRouter::new().routes(routes!(create, list)).routes(routes!(get, change))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct ListQuery {
    #[serde(default)]
    member: Option<Uuid>,
    #[serde(default)]
    role: Option<Role>,
    #[serde(default)]
    place: Option<Uuid>,
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

/// Grant a role: whoever has it may do more, so it needs a recent sign-in.
#[utoipa::path(post, path = "/api/v1/role-grants", tag = "role-grants", request_body = NewRoleGrant,
    responses((status = 201, body = RoleGrant), (status = 400, body = Problem), (status = 403, body = Problem), (status = 409, body = Problem)))]
async fn create(
    State(app): State<App>,
    caller: Caller,
    key: IdempotencyKey,
    StrictJson(mut body, hash): StrictJson<NewRoleGrant>,
) -> Result<Answer, HttpError> {
    caller.require_site(Capability::MembersWrite)?;
    caller.require_recent()?;
    let once = entry::once(key, &caller, &mut body.id, hash)?;
    let by = by(&caller, &app);
    made_once!(app, once, by, |tx| (), {
        let made = role_grant::create(&mut tx, &by, body).await?;
        Answer::created(&made).version(made.version)
    })
}

/// Grants, in the order of their ids. Who keeps part of the register sees those of its members, others their own.
#[utoipa::path(get, path = "/api/v1/role-grants", tag = "role-grants", params(ListQuery), responses((status = 200, body = Page<RoleGrant>)))]
async fn list(State(app): State<App>, caller: Caller, StrictQuery(query): StrictQuery<ListQuery>) -> Result<Answer, HttpError> {
    let filter =
        RoleGrantFilter { id: None, member_id: query.member, role: query.role, place_id: query.place, on: query.on.map(|day| day.0) };
    let page = entry::page(query.cursor, query.limit);
    let rows = looked_up!(app, |tx| {
        let members = caller.members(&mut tx).await?;
        full_page!(page, |after| role_grant::list(&mut tx, caller.site_id, filter, after).await?, |row| members.contains(row.member_id))
    });
    Ok(Answer::ok(&Page::cut(rows, query.limit, |row| row.id)))
}

/// One grant.
#[utoipa::path(get, path = "/api/v1/role-grants/{id}", tag = "role-grants", params(("id" = Uuid, Path)),
    responses((status = 200, body = RoleGrant), (status = 404, body = Problem)))]
async fn get(State(app): State<App>, caller: Caller, Segments(id): Segments<Uuid>) -> Result<Answer, HttpError> {
    let grant = looked_up!(app, |tx| {
        let found = role_grant::get(&mut tx, caller.site_id, id).await?;
        caller.members(&mut tx).await?.require(found.member_id)?;
        found
    });
    Ok(Answer::ok(&grant).version(grant.version))
}

/// End a grant. Somebody is asked no more, so it needs a recent sign-in.
#[utoipa::path(patch, path = "/api/v1/role-grants/{id}", tag = "role-grants", params(("id" = Uuid, Path), ("If-Match" = String, Header)),
    request_body = Ending, responses((status = 200, body = RoleGrant), (status = 403, body = Problem), (status = 409, body = Problem), (status = 412, body = Problem)))]
async fn change(
    State(app): State<App>,
    caller: Caller,
    Segments(id): Segments<Uuid>,
    if_match: IfMatch,
    StrictJson(body, _): StrictJson<Ending>,
) -> Result<Answer, HttpError> {
    caller.require_site(Capability::MembersWrite)?;
    caller.require_recent()?;
    let by = by(&caller, &app);
    changed!(
        app,
        if_match,
        |tx| role_grant::get(&mut tx, caller.site_id, id).await?,
        role_grant::end(&mut tx, &by, id, if_match.0, Some(body.to_date)).await?
    )
}
