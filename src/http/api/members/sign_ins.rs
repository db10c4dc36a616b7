//! Where a member is signed in, and the end of it when her phone is lost; her second factor ends with the phone that had it.

use axum::extract::State;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::app::App;
use crate::domain::access::Capability;
use crate::domain::refusal::Refusal;
use crate::http::HttpState;
use crate::http::answer::Answer;
use crate::http::api::entry::by;
use crate::http::api::sessions::{self, Session, entry};
use crate::http::caller::Caller;
use crate::http::error::{HttpError, Problem};
use crate::http::json::Segments;
use crate::http::page::{Limit, Page};
use crate::store::register::{member, screen};
use crate::store::{audit, second_factor, session};

pub fn routes() -> OpenApiRouter<HttpState> {
    OpenApiRouter::new().routes(routes!(list, end_all)).routes(routes!(end_second_factor))
}

/// Where a member is signed in, newest first.
#[utoipa::path(get, path = "/api/v1/members/{id}/sessions", tag = "members", params(("id" = Uuid, Path)),
    responses((status = 200, body = Page<Session>), (status = 404, body = Problem)))]
async fn list(State(app): State<App>, caller: Caller, Segments(id): Segments<Uuid>) -> Result<Answer, HttpError> {
    Ok(Answer::ok(&of(&app, &caller, id).await?))
}

pub async fn of(app: &App, caller: &Caller, member_id: Uuid) -> Result<Page<Session>, HttpError> {
    caller.require_site(Capability::MembersWrite)?;
    let site_id = caller.site_id;
    looked_up!(app, |tx| member::get(&mut tx, site_id, member_id).await?);
    sessions::of(app, caller, member_id, None, Limit::default()).await
}

/// Sign a member out everywhere: her phone is lost. Pop-ups end with it.
#[utoipa::path(delete, path = "/api/v1/members/{id}/sessions", tag = "members", params(("id" = Uuid, Path)),
    responses((status = 204), (status = 403, body = Problem), (status = 404, body = Problem)))]
async fn end_all(State(app): State<App>, caller: Caller, Segments(id): Segments<Uuid>) -> Result<Answer, HttpError> {
    caller.require_site(Capability::MembersWrite)?;
    caller.require_recent()?;
    let (by, seal) = (by(&caller, &app), app.seal.clone());
    app.write(move |mut tx| async move {
        member::get(&mut tx, by.site_id, id).await?;
        screen::switch_all_off(&mut tx, &by, &seal, id).await?;
        session::revoke_all(&mut tx, by.site_id, id, by.now).await?;
        audit::write(
            &mut tx,
            &audit::Entry { actor_id: by.actor_id, object_kind: "member", ..entry(by.site_id, by.now, id, "logout", id) },
        )
        .await?;
        Ok((tx, ()))
    })
    .await?;
    Ok(Answer::no_content())
}

/// Take a member's second factor away, because the phone that had it is lost. She sets up another one.
#[utoipa::path(delete, path = "/api/v1/members/{id}/second-factor", tag = "members", params(("id" = Uuid, Path)),
    responses((status = 204), (status = 403, body = Problem), (status = 404, body = Problem)))]
async fn end_second_factor(State(app): State<App>, caller: Caller, Segments(id): Segments<Uuid>) -> Result<Answer, HttpError> {
    if id != caller.member_id {
        caller.require_site(Capability::MembersWrite)?;
    }
    caller.require_recent()?;
    let by = by(&caller, &app);
    app.write(move |mut tx| async move {
        member::get(&mut tx, by.site_id, id).await?;
        if !second_factor::end(&mut tx, &by, id).await? {
            return Err(Refusal::conflict("office.no_second_factor").into());
        }
        Ok((tx, ()))
    })
    .await?;
    Ok(Answer::no_content())
}
