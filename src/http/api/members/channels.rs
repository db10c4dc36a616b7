//! The ways to reach a member, in order. A secret goes in and never comes out.

use axum::extract::State;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::app::App;
use crate::domain::access::Capability;
use crate::http::HttpState;
use crate::http::answer::{Answer, IdempotencyKey};
use crate::http::api::entry::{self, by};
use crate::http::caller::Caller;
use crate::http::error::{HttpError, Problem};
use crate::http::json::{Segments, StrictJson};
use crate::http::page::{IfMatch, Page};
use crate::notify::target::check_saved;
use crate::store::register::channel::{self, Channel, ChannelPatch, NewChannel};
use crate::store::register::member;

pub fn routes() -> OpenApiRouter<HttpState> {
    OpenApiRouter::new().routes(routes!(create, list)).routes(routes!(change))
}

/// One's own channels, or those that an administrator keeps.
pub(super) fn require(caller: &Caller, member_id: Uuid) -> Result<(), HttpError> {
    if member_id != caller.member_id {
        caller.require_site(Capability::MembersWrite)?;
    }
    Ok(())
}

/// A webhook leads only where the settings allow; its name is resolved and judged here, and again for each sending.
async fn require_target(app: &App, address: &str) -> Result<(), HttpError> {
    if address.trim().starts_with("http") {
        check_saved(address.trim(), app.config.outbox.allow_private_targets).await?;
    }
    Ok(())
}

/// Add a channel.
#[utoipa::path(post, path = "/api/v1/members/{id}/channels", tag = "members", params(("id" = Uuid, Path)), request_body = NewChannel,
    responses((status = 201, body = Channel), (status = 400, body = Problem), (status = 409, body = Problem)))]
async fn create(
    State(app): State<App>,
    caller: Caller,
    Segments(member_id): Segments<Uuid>,
    key: IdempotencyKey,
    StrictJson(mut body, hash): StrictJson<NewChannel>,
) -> Result<Answer, HttpError> {
    require(&caller, member_id)?;
    require_target(&app, &body.address).await?;
    let once = entry::once(key, &caller, &mut body.id, hash)?;
    let (by, seal) = (by(&caller, &app), app.seal.clone());
    made_once!(app, once, by, |tx| member::get(&mut tx, by.site_id, member_id).await?, {
        let made = channel::create(&mut tx, &by, &seal, member_id, body).await?;
        Answer::created(&made).version(made.version)
    })
}

/// The channels of a member, in the order in which they are used.
#[utoipa::path(get, path = "/api/v1/members/{id}/channels", tag = "members", params(("id" = Uuid, Path)),
    responses((status = 200, body = Page<Channel>), (status = 404, body = Problem)))]
async fn list(State(app): State<App>, caller: Caller, Segments(member_id): Segments<Uuid>) -> Result<Answer, HttpError> {
    require(&caller, member_id)?;
    let items = looked_up!(app, |tx| {
        member::get(&mut tx, caller.site_id, member_id).await?;
        channel::list(&mut tx, caller.site_id, member_id).await?
    });
    Ok(Answer::ok(&Page { items, next: None }))
}

/// Change a channel: somebody may not be reached afterwards, so it needs a recent sign-in. Only an administrator says that it is
/// verified.
#[utoipa::path(patch, path = "/api/v1/members/{id}/channels/{channel}", tag = "members",
    params(("id" = Uuid, Path), ("channel" = Uuid, Path), ("If-Match" = String, Header)), request_body = ChannelPatch,
    responses((status = 200, body = Channel), (status = 403, body = Problem), (status = 412, body = Problem)))]
async fn change(
    State(app): State<App>,
    caller: Caller,
    Segments((member_id, id)): Segments<(Uuid, Uuid)>,
    if_match: IfMatch,
    StrictJson(body, _): StrictJson<ChannelPatch>,
) -> Result<Answer, HttpError> {
    require(&caller, member_id)?;
    if body.verified.is_some() {
        caller.require_site(Capability::MembersWrite)?;
    }
    caller.require_recent()?;
    require_target(&app, body.address.as_deref().unwrap_or_default()).await?;
    let by = by(&caller, &app);
    changed!(
        app,
        if_match,
        |tx| channel::get(&mut tx, caller.site_id, id).await?,
        channel::patch(&mut tx, &by, member_id, id, if_match.0, body).await?
    )
}
