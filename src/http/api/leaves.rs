//! 请假 · 替班. Everybody enters her own leave; the register's keepers enter it for others.

use axum::extract::State;
use chrono::NaiveDate;
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::entry::{self, by, is_ending};
use crate::app::App;
use crate::domain::access::Capability;
use crate::domain::refusal::Refusal;
use crate::http::HttpState;
use crate::http::answer::{Answer, IdempotencyKey};
use crate::http::caller::Caller;
use crate::http::error::{HttpError, Problem};
use crate::http::json::{Segments, StrictJson, StrictQuery};
use crate::http::page::{Cursor, IfMatch, Limit, Page};
use crate::store::register::leave::{self, Leave, LeaveFilter, LeavePatch, NewLeave};

pub fn routes() -> OpenApiRouter<HttpState> {
    OpenApiRouter::new().routes(routes!(create, list)).routes(routes!(get, change))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct ListQuery {
    #[serde(default)]
    member: Option<Uuid>,
    /// Away on this date.
    #[serde(default)]
    on: Option<NaiveDate>,
    #[serde(default)]
    with_cancelled: bool,
    #[serde(default)]
    #[param(inline, required = false)]
    limit: Limit,
    #[serde(default)]
    #[param(value_type = Option<String>)]
    cursor: Option<Cursor<Uuid>>,
}

fn require(caller: &Caller, member_id: Uuid) -> Result<(), Refusal> {
    if member_id == caller.member_id { Ok(()) } else { caller.require(Capability::SeniorWrite) }
}

/// Enter a leave, with or without somebody who stands in.
#[utoipa::path(post, path = "/api/v1/leaves", tag = "leaves", request_body = NewLeave,
    responses((status = 201, body = Leave), (status = 400, body = Problem), (status = 409, body = Problem)))]
async fn create(
    State(app): State<App>,
    caller: Caller,
    key: IdempotencyKey,
    StrictJson(mut body, hash): StrictJson<NewLeave>,
) -> Result<Answer, HttpError> {
    require(&caller, body.member_id)?;
    let once = entry::once(key, &caller, &mut body.id, hash)?;
    let by = by(&caller, &app);
    made_once!(app, once, by, |tx| (), {
        let made = leave::create(&mut tx, &by, body).await?;
        Answer::created(&made).version(made.version)
    })
}

/// Leaves, in the order of their ids. Who keeps no register sees her own.
#[utoipa::path(get, path = "/api/v1/leaves", tag = "leaves", params(ListQuery), responses((status = 200, body = Page<Leave>)))]
async fn list(State(app): State<App>, caller: Caller, StrictQuery(query): StrictQuery<ListQuery>) -> Result<Answer, HttpError> {
    let member_id = if caller.may(Capability::MembersRead) { query.member } else { Some(caller.member_id) };
    let filter = LeaveFilter { id: None, member_id, on: query.on, with_cancelled: query.with_cancelled };
    let page = entry::page(query.cursor, query.limit);
    let rows = looked_up!(app, |tx| leave::list(&mut tx, caller.site_id, filter, page).await?);
    Ok(Answer::ok(&Page::cut(rows, query.limit, |row| row.id)))
}

/// One leave.
#[utoipa::path(get, path = "/api/v1/leaves/{id}", tag = "leaves", params(("id" = Uuid, Path)),
    responses((status = 200, body = Leave), (status = 404, body = Problem)))]
async fn get(State(app): State<App>, caller: Caller, Segments(id): Segments<Uuid>) -> Result<Answer, HttpError> {
    let leave = looked_up!(app, |tx| leave::get(&mut tx, caller.site_id, id).await?);
    if leave.member_id != caller.member_id && !caller.may(Capability::MembersRead) {
        return Err(HttpError::NotFound);
    }
    Ok(Answer::ok(&leave).version(leave.version))
}

/// Name another substitute, or cancel a leave.
#[utoipa::path(patch, path = "/api/v1/leaves/{id}", tag = "leaves", params(("id" = Uuid, Path), ("If-Match" = String, Header)),
    request_body = LeavePatch, responses((status = 200, body = Leave), (status = 409, body = Problem), (status = 412, body = Problem)))]
async fn change(
    State(app): State<App>,
    caller: Caller,
    Segments(id): Segments<Uuid>,
    if_match: IfMatch,
    StrictJson(body, _): StrictJson<LeavePatch>,
) -> Result<Answer, HttpError> {
    let cancelling = is_ending(&body, "cancelled", body.cancelled)?;
    let by = by(&caller, &app);
    changed!(
        app,
        if_match,
        |tx| {
            let leave = leave::get(&mut tx, caller.site_id, id).await?;
            require(&caller, leave.member_id)?;
            leave
        },
        if cancelling {
            leave::cancel(&mut tx, &by, id, if_match.0).await?
        } else {
            leave::patch(&mut tx, &by, id, if_match.0, body).await?
        }
    )
}
