//! Members, their passwords and the ways to reach them. Everybody reads her own entry; administrators keep all of them.

mod channel_code;
pub mod channel_test;
pub mod channels;
pub mod sign_ins;
mod ways;

use axum::extract::State;
use garde::Validate;
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::entry::{self, by, require_alone};
use crate::app::App;
use crate::domain::access::Capability;
use crate::domain::place::Role;
use crate::http::HttpState;
use crate::http::answer::{Answer, IdempotencyKey};
use crate::http::caller::Caller;
use crate::http::error::{HttpError, Problem};
use crate::http::json::{Segments, StrictJson, StrictQuery};
use crate::http::page::{Cursor, IfMatch, Limit, Page};
use crate::http::password;
use crate::store::register::member::{self, Member, MemberFilter, MemberPatch, NewMember};

pub fn routes() -> OpenApiRouter<HttpState> {
    OpenApiRouter::new()
        .routes(routes!(create, list))
        .routes(routes!(get, change))
        .routes(routes!(set_password))
        .merge(channels::routes())
        .merge(channel_test::routes())
        .merge(channel_code::routes())
        .merge(ways::routes())
        .merge(sign_ins::routes())
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct ListQuery {
    #[serde(default)]
    role: Option<Role>,
    /// Holders of a role at this place or below.
    #[serde(default)]
    place: Option<Uuid>,
    /// Also those who have left.
    #[serde(default)]
    with_ended: bool,
    #[serde(default)]
    #[param(inline, required = false)]
    limit: Limit,
    #[serde(default)]
    #[param(value_type = Option<String>)]
    cursor: Option<Cursor<Uuid>>,
}

#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[garde(allow_unvalidated)]
struct Password {
    /// 8 to 128 characters of any kind; null: this member signs in no more by password.
    password: Option<String>,
}

/// Make a member. A password is set apart.
#[utoipa::path(post, path = "/api/v1/members", tag = "members", request_body = NewMember,
    responses((status = 201, body = Member), (status = 400, body = Problem), (status = 409, body = Problem)))]
async fn create(
    State(app): State<App>,
    caller: Caller,
    key: IdempotencyKey,
    StrictJson(mut body, hash): StrictJson<NewMember>,
) -> Result<Answer, HttpError> {
    caller.require_site(Capability::MembersWrite)?;
    let once = entry::once(key, &caller, &mut body.id, hash)?;
    let by = by(&caller, &app);
    made_once!(app, once, by, |tx| (), {
        let made = member::create(&mut tx, &by, body, None).await?;
        Answer::created(&made).version(made.version)
    })
}

/// Members, in the order of their ids. Who keeps part of the register sees those who have to do with it, others their own entry.
#[utoipa::path(get, path = "/api/v1/members", tag = "members", params(ListQuery), responses((status = 200, body = Page<Member>)))]
async fn list(State(app): State<App>, caller: Caller, StrictQuery(query): StrictQuery<ListQuery>) -> Result<Answer, HttpError> {
    let filter = MemberFilter { id: None, role: query.role, under: query.place, with_ended: query.with_ended };
    let page = entry::page(query.cursor, query.limit);
    let rows = looked_up!(app, |tx| {
        let members = caller.members(&mut tx).await?;
        full_page!(page, |after| member::list(&mut tx, caller.site_id, filter, after).await?, |row| members.contains(row.id))
    });
    Ok(Answer::ok(&Page::cut(rows, query.limit, |row| row.id)))
}

/// One member.
#[utoipa::path(get, path = "/api/v1/members/{id}", tag = "members", params(("id" = Uuid, Path)),
    responses((status = 200, body = Member), (status = 404, body = Problem)))]
async fn get(State(app): State<App>, caller: Caller, Segments(id): Segments<Uuid>) -> Result<Answer, HttpError> {
    let member = looked_up!(app, |tx| {
        caller.members(&mut tx).await?.require(id)?;
        member::get(&mut tx, caller.site_id, id).await?
    });
    Ok(Answer::ok(&member).version(member.version))
}

/// Change or end a member, or open one again who was ended by mistake. Whoever leaves takes her roles, pairings, duties, leaves and
/// sign-ins along; alerts stay. The end, its undoing and another phone, which signs in, need a recent sign-in.
#[utoipa::path(patch, path = "/api/v1/members/{id}", tag = "members", params(("id" = Uuid, Path), ("If-Match" = String, Header)),
    request_body = MemberPatch, responses((status = 200, body = Member), (status = 403, body = Problem), (status = 409, body = Problem), (status = 412, body = Problem)))]
async fn change(
    State(app): State<App>,
    caller: Caller,
    Segments(id): Segments<Uuid>,
    if_match: IfMatch,
    StrictJson(body, _): StrictJson<MemberPatch>,
) -> Result<Answer, HttpError> {
    caller.require_site(Capability::MembersWrite)?;
    if body.ended.is_some() {
        require_alone(&body, "ended", &[])?;
    }
    if body.ended.is_some() || body.phone.is_some() {
        caller.require_recent()?;
    }
    let by = by(&caller, &app);
    changed!(
        app,
        if_match,
        |tx| member::get(&mut tx, caller.site_id, id).await?,
        match body.ended {
            Some(true) => member::end(&mut tx, &by, id, if_match.0).await?,
            Some(false) => member::reopen(&mut tx, &by, id, if_match.0).await?,
            None => member::patch(&mut tx, &by, id, if_match.0, body).await?,
        }
    )
}

/// Set or remove a password, one's own or, as an administrator, another's; its owner is signed out everywhere.
#[utoipa::path(put, path = "/api/v1/members/{id}/password", tag = "members", params(("id" = Uuid, Path)), request_body = Password,
    responses((status = 204), (status = 400, body = Problem), (status = 403, body = Problem)))]
async fn set_password(
    State(state): State<HttpState>,
    caller: Caller,
    Segments(id): Segments<Uuid>,
    StrictJson(body, _): StrictJson<Password>,
) -> Result<Answer, HttpError> {
    if id != caller.member_id {
        caller.require_site(Capability::MembersWrite)?;
    }
    caller.require_recent()?;
    let hash = match body.password {
        None => None,
        Some(plain) => Some(
            state
                .hashing
                .run(move || password::hash(&plain))
                .await?
                .map_err(|why| HttpError::field("password", "http.password_length", why))?,
        ),
    };
    let by = by(&caller, &state.app);
    state
        .app
        .write(move |mut tx| async move {
            member::set_password(&mut tx, &by, id, hash).await?;
            Ok((tx, ()))
        })
        .await?;
    Ok(Answer::no_content())
}
