//! Group chats whose robots are told how many households wait, by building.

use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::entry::{self, by};
use crate::app::App;
use crate::domain::access::Capability;
use crate::domain::message::retry::OutcomeClass;
use crate::domain::refusal::Refusal;
use crate::http::HttpState;
use crate::http::answer::{Answer, IdempotencyKey};
use crate::http::caller::Caller;
use crate::http::error::{HttpError, Problem};
use crate::http::json::{Segments, StrictJson};
use crate::http::page::{IfMatch, Page};
use crate::notify::group::{GroupPost, parse_key};
use crate::notify::trial;
use crate::store::Error;
use crate::store::register::group_chat::{self, GroupChat, GroupChatPatch, NewGroupChat, key_place};
use crate::text;

pub fn routes() -> OpenApiRouter<HttpState> {
    OpenApiRouter::new().routes(routes!(create, list)).routes(routes!(change)).routes(routes!(test))
}

/// Add a group. What it sees concerns the whole place, so it needs whoever keeps the members of the site.
#[utoipa::path(post, path = "/api/v1/groups", tag = "groups", request_body = NewGroupChat,
    responses((status = 201, body = GroupChat), (status = 400, body = Problem), (status = 409, body = Problem)))]
async fn create(
    State(app): State<App>,
    caller: Caller,
    key: IdempotencyKey,
    StrictJson(mut body, hash): StrictJson<NewGroupChat>,
) -> Result<Answer, HttpError> {
    caller.require_site(Capability::MembersWrite)?;
    let once = entry::once(key, &caller, &mut body.id, hash)?;
    let secret = parse_key(body.channel, &body.key, body.sign.as_deref()).ok_or_else(|| Refusal::invalid("key", "channel.group_key"))?;
    let (by, seal) = (by(&caller, &app), app.seal.clone());
    let answer = made_once!(app, once, by, |tx| (), {
        let made = group_chat::create(&mut tx, &by, &seal, body, &secret).await?;
        Answer::created(&made).version(made.version)
    })?;
    app.wake.all();
    Ok(answer)
}

/// The groups of the site.
#[utoipa::path(get, path = "/api/v1/groups", tag = "groups", responses((status = 200, body = Page<GroupChat>)))]
async fn list(State(app): State<App>, caller: Caller) -> Result<Answer, HttpError> {
    caller.require_site(Capability::MembersWrite)?;
    let items = looked_up!(app, |tx| group_chat::list(&mut tx, caller.site_id).await?);
    Ok(Answer::ok(&Page { items, next: None }))
}

/// Rename, switch off and on, or end a group.
#[utoipa::path(patch, path = "/api/v1/groups/{id}", tag = "groups", params(("id" = Uuid, Path), ("If-Match" = String, Header)),
    request_body = GroupChatPatch, responses((status = 200, body = GroupChat), (status = 412, body = Problem)))]
async fn change(
    State(app): State<App>,
    caller: Caller,
    Segments(id): Segments<Uuid>,
    if_match: IfMatch,
    StrictJson(body, _): StrictJson<GroupChatPatch>,
) -> Result<Answer, HttpError> {
    caller.require_site(Capability::MembersWrite)?;
    let by = by(&caller, &app);
    let answer = changed!(
        app,
        if_match,
        |tx| group_chat::get(&mut tx, caller.site_id, id).await?,
        group_chat::patch(&mut tx, &by, id, if_match.0, body).await?
    );
    app.wake.all();
    answer
}

/// The robot's platform has taken a test post.
#[derive(Serialize, ToSchema)]
struct Posted {
    id: Uuid,
}

/// Post a test, marked as a drill, and hear at once what the robot's platform says.
#[utoipa::path(post, path = "/api/v1/groups/{id}/test", tag = "groups", params(("id" = Uuid, Path)),
    responses((status = 200, body = Posted), (status = 404, body = Problem), (status = 409, body = Problem)))]
async fn test(State(app): State<App>, caller: Caller, Segments(id): Segments<Uuid>) -> Result<Answer, HttpError> {
    caller.require_site(Capability::MembersWrite)?;
    let site_id = caller.site_id;
    let (group, sealed) =
        looked_up!(app, |tx| (group_chat::get(&mut tx, site_id, id).await?, group_chat::key(&mut tx, site_id, id).await?));
    let key = app.seal.open(&key_place(id), &sealed).map_err(|error| Error::broken("group_chat", id, error))?;
    let locale = text::DEFAULT_LOCALE;
    let text = text::plain(locale, "notice.group_test");
    let post = GroupPost { channel: group.channel, key, text, repeated: false, locale, at: app.clock.now() };
    let outcome = app.group_notifier()?.send(&post).await;
    if outcome.class != OutcomeClass::Sent {
        return Err(trial::refusal(&outcome).into());
    }
    let by = by(&caller, &app);
    app.write(move |mut tx| async move { group_chat::tested(&mut tx, &by, id).await.map(|()| (tx, ())) }).await?;
    Ok(Answer::ok(&Posted { id }))
}
