//! 请假 · 替班. Everybody enters her own leave; the register's keepers enter it for others.
//!
//! Whoever stands in sees every senior of the member who is away, so who enters a leave for another must keep the register of all
//! of them, and must have typed the password just now: the member is asked no more. One's own leave needs neither: the backup is
//! never away on the same day.

use axum::extract::State;
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
use crate::http::value::Day;
use crate::store::register::leave::{self, Leave, LeaveFilter, LeavePatch, NewLeave};
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
    /// Away on this date.
    #[serde(default)]
    #[param(value_type = Option<String>)]
    on: Option<Day>,
    #[serde(default)]
    with_cancelled: bool,
    #[serde(default)]
    #[param(inline, required = false)]
    limit: Limit,
    #[serde(default)]
    #[param(value_type = Option<String>)]
    cursor: Option<Cursor<Uuid>>,
}

/// What can be said before anything is read.
fn require(caller: &Caller, member_id: Uuid) -> Result<(), HttpError> {
    if member_id != caller.member_id {
        caller.require(Capability::SeniorWrite)?;
        caller.require_recent()?;
    }
    Ok(())
}

/// Asked when the leave is written, and no pairing can slip in any more: all that the member looks after on these days.
async fn require_scope(tx: &mut Tx, caller: &Caller, leave: &Leave) -> store::Result<()> {
    if leave.member_id == caller.member_id {
        return Ok(());
    }
    let held = access::held_by(tx, caller.site_id, leave.member_id, leave.from_date, leave.return_date).await?;
    let all = async {
        access::require_all(tx, &caller.who(), &held.seniors, Capability::SeniorWrite).await?;
        access::require_places(tx, &caller.who(), &held.buildings, Capability::SeniorWrite).await
    };
    all.await.map_err(|error| match error {
        store::Error::Refused(_) => Refusal::forbidden("problem.forbidden").into(),
        other => other,
    })
}

/// Enter a leave, with or without somebody who stands in.
#[utoipa::path(post, path = "/api/v1/leaves", tag = "leaves", request_body = NewLeave,
    responses((status = 201, body = Leave), (status = 400, body = Problem), (status = 403, body = Problem), (status = 409, body = Problem)))]
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
        // Somebody outside the caller's scope is as unknown as somebody who does not exist.
        let known = body.member_id == caller.member_id || caller.members(&mut tx).await?.contains(body.member_id);
        if !known {
            return Err(Refusal::invalid("member_id", "register.unknown_reference").into());
        }
        let made = leave::create(&mut tx, &by, body).await?;
        require_scope(&mut tx, &caller, &made).await?;
        Answer::created(&made).version(made.version)
    })
}

/// Leaves, in the order of their ids. Who keeps part of the register sees those of its members, others their own.
#[utoipa::path(get, path = "/api/v1/leaves", tag = "leaves", params(ListQuery), responses((status = 200, body = Page<Leave>)))]
async fn list(State(app): State<App>, caller: Caller, StrictQuery(query): StrictQuery<ListQuery>) -> Result<Answer, HttpError> {
    let filter = LeaveFilter { id: None, member_id: query.member, on: query.on.map(|day| day.0), with_cancelled: query.with_cancelled };
    let page = entry::page(query.cursor, query.limit);
    let rows = looked_up!(app, |tx| {
        let members = caller.members(&mut tx).await?;
        full_page!(page, |after| leave::list(&mut tx, caller.site_id, filter, after).await?, |row| members.contains(row.member_id))
    });
    Ok(Answer::ok(&Page::cut(rows, query.limit, |row| row.id)))
}

/// One leave.
#[utoipa::path(get, path = "/api/v1/leaves/{id}", tag = "leaves", params(("id" = Uuid, Path)),
    responses((status = 200, body = Leave), (status = 404, body = Problem)))]
async fn get(State(app): State<App>, caller: Caller, Segments(id): Segments<Uuid>) -> Result<Answer, HttpError> {
    let leave = looked_up!(app, |tx| {
        let found = leave::get(&mut tx, caller.site_id, id).await?;
        caller.members(&mut tx).await?.require(found.member_id)?;
        found
    });
    Ok(Answer::ok(&leave).version(leave.version))
}

/// Name another substitute, or cancel a leave.
#[utoipa::path(patch, path = "/api/v1/leaves/{id}", tag = "leaves", params(("id" = Uuid, Path), ("If-Match" = String, Header)),
    request_body = LeavePatch,
    responses((status = 200, body = Leave), (status = 403, body = Problem), (status = 409, body = Problem), (status = 412, body = Problem)))]
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
            caller.members(&mut tx).await?.require(leave.member_id)?;
            if let Err(refused) = require(&caller, leave.member_id) {
                return Ok((tx, Err(refused)));
            }
            require_scope(&mut tx, &caller, &leave).await?;
            leave
        },
        if cancelling {
            leave::cancel(&mut tx, &by, id, if_match.0).await?
        } else {
            leave::patch(&mut tx, &by, id, if_match.0, body).await?
        }
    )
}
