//! The way in without a password: an administrator hands out a link, printed or sent, and the phone that opens it stays signed in.
//! The token travels in the body and is kept nowhere; what it opens carries no password, so it can do no silencing act.

use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::Response;
use chrono::{DateTime, Utc};
use garde::Validate;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::entry::by;
use super::sessions::{SignedIn, entry};
use crate::app::App;
use crate::domain::access::{Capability, may_let_in};
use crate::domain::refusal::{Refusal, RefusalKind};
use crate::http::answer::{Answer, IdempotencyKey, with_header};
use crate::http::caller::{Caller, is_cross_site};
use crate::http::envelope::Peer;
use crate::http::error::{HttpError, Problem};
use crate::http::json::{Segments, StrictJson};
use crate::http::value::MaybeText;
use crate::http::{HttpState, devices, qr};
use crate::store::audit;
use crate::store::invitation::{self, Invited, NewInvitation};
use crate::store::register::member;
use crate::store::session::{self, NewSession, SessionKind, Token, TokenHash};

pub fn routes() -> OpenApiRouter<HttpState> {
    OpenApiRouter::new().routes(routes!(create)).routes(routes!(join))
}

#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[garde(allow_unvalidated)]
struct NewLink {
    /// A repeat under the same id gets a fresh link, and the first one ends.
    #[serde(default)]
    id: Option<Uuid>,
}

/// A link that opens one sign-in, once. It is shown here and nowhere else.
#[derive(Serialize, ToSchema)]
#[expect(clippy::struct_field_names, reason = "the names of the API")]
struct Link {
    id: Uuid,
    member_id: Uuid,
    link: String,
    /// The link as a picture for a phone's camera: the address of an image.
    qr: Option<String>,
    expires_at: DateTime<Utc>,
}

#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[garde(allow_unvalidated)]
struct Join {
    token: MaybeText<100>,
}

/// Invite a member: she needs no password then. What was handed out before opens nothing any more.
#[utoipa::path(post, path = "/api/v1/members/{id}/invitations", tag = "members", params(("id" = Uuid, Path)), request_body = NewLink,
    responses((status = 201, body = Link), (status = 403, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem)))]
async fn create(
    State(app): State<App>,
    caller: Caller,
    Segments(member_id): Segments<Uuid>,
    headers: HeaderMap,
    key: IdempotencyKey,
    StrictJson(body, _): StrictJson<NewLink>,
) -> Result<Answer, HttpError> {
    caller.require_site(Capability::MembersWrite)?;
    caller.require_recent()?;
    let id = key.id(caller.member_id, body.id).ok_or_else(crate::http::answer::no_key)?;
    let (by, token, today, grants) = (by(&caller, &app), Token::random(), caller.today, caller.grants.clone());
    let expires_at = by.now + app.config.http.invitation.0;
    let hash = token.hash();
    app.write(move |mut tx| async move {
        let guest = member::get(&mut tx, by.site_id, member_id).await?;
        if guest.ended_at.is_some() {
            return Err(Refusal::conflict("register.already_ended").into());
        }
        if !may_let_in(&grants, &session::grants(&mut tx, by.site_id, member_id, today).await?) {
            return Err(Refusal::forbidden("problem.forbidden").into());
        }
        invitation::create(&mut tx, &by, NewInvitation { id, member_id, expires_at }, &hash).await?;
        Ok((tx, ()))
    })
    .await?;
    let link = format!("{}/join/{}", base(&app, &headers), token.text());
    Ok(Answer::created(&Link { id, member_id, qr: qr::address(&link), link, expires_at }))
}

/// The address under which people reach this server: what the settings say, or else the one that was asked.
pub fn base(app: &App, headers: &HeaderMap) -> String {
    let http = &app.config.http;
    if !http.public_url.is_empty() {
        return http.public_url.trim_end_matches('/').to_owned();
    }
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let scheme = if http.trusted_proxy { "https" } else { "http" };
    format!("{scheme}://{host}")
}

/// Sign in with the token of an invitation. It opens one sign-in; only its own browser, under the same key, may ask once more.
#[utoipa::path(post, path = "/api/v1/sessions/join", tag = "sessions", security(()), request_body = Join,
    responses((status = 201, body = SignedIn), (status = 404, body = Problem), (status = 429, body = Problem)))]
async fn join(
    State(state): State<HttpState>,
    Peer(address): Peer,
    headers: HeaderMap,
    key: IdempotencyKey,
    StrictJson(body, _): StrictJson<Join>,
) -> Result<Response, HttpError> {
    let app = &state.app;
    if is_cross_site(&headers, &app.config.http.public_url) {
        return Err(HttpError::CrossSite);
    }
    state.throttle.turn(&body.token.0, address).await?;
    let invited = invited(app, &body.token.0).await?;
    let id = key.id(invited.id, None).unwrap_or_else(Uuid::now_v7);
    if invited.session_id.is_some_and(|used| used != id) {
        return Err(gone());
    }
    let (now, token, label) = (app.clock.now(), Token::random(), devices::label(&headers));
    let (hash, expires_at) = (token.hash(), now + app.config.http.session.0);
    let signed_in = SignedIn { id, site_id: invited.site_id, member_id: invited.member_id, expires_at, token: None };
    let is_open = app
        .write(move |mut tx| async move {
            let (site_id, member_id) = (invited.site_id, invited.member_id);
            let kind = SessionKind::Cookie;
            let new = NewSession { site_id, id, member_id, kind, label: &label, created_at: now, authenticated_at: None, expires_at };
            let is_repeat = invited.session_id.is_some() && session::again(&mut tx, &new, &hash).await?;
            if !is_repeat {
                if !invitation::claim(&mut tx, &invited, id, now).await? {
                    return Ok((tx, false));
                }
                session::create(&mut tx, &new, &hash).await?;
            }
            audit::write(&mut tx, &entry(site_id, now, member_id, "login", id)).await?;
            Ok((tx, true))
        })
        .await?;
    if !is_open {
        return Err(gone());
    }
    Ok(with_header(Answer::created(&signed_in), header::SET_COOKIE, state.cookie(token.text())))
}

/// Whom a token lets in; used, expired, ended and unknown answer alike.
pub async fn invited(app: &App, token: &str) -> Result<Invited, HttpError> {
    let (now, hash) = (app.clock.now(), TokenHash::of(token).ok_or_else(gone)?);
    let found = app.read(move |mut tx| async move {
        let found = invitation::find(&mut tx, &hash, now).await?;
        Ok((tx, found))
    });
    found.await?.ok_or_else(gone)
}

pub fn gone() -> HttpError {
    Refusal::new(RefusalKind::NotFound, "office.invitation_gone").into()
}
