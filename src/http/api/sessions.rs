//! Sign-in and sign-out. An unknown phone, a member without a password and a wrong password get the same answer after the
//! same work; attempts are throttled without locking the owner out.

use std::net::IpAddr;

use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use garde::Validate;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::app::App;
use crate::domain::refusal::Refusal;
use crate::http::HttpState;
use crate::http::answer::{Answer, IdempotencyKey, with_header};
use crate::http::caller::{Caller, is_cross_site};
use crate::http::devices;
use crate::http::envelope::Peer;
use crate::http::error::{HttpError, Problem};
use crate::http::json::{Segments, StrictJson, StrictQuery};
use crate::http::page::{Cursor, Limit, Page};
use crate::http::password;
use crate::http::value::{MaybeText, Phone};
use crate::store;
use crate::store::audit::{self, Entry};
use crate::store::register::By;
use crate::store::session::{Account, Listed, NewSession, SessionKind, Token};

/// Sites in which one phone number is looked for.
const SITES_MAX: i64 = 4;

pub fn routes() -> OpenApiRouter<HttpState> {
    OpenApiRouter::new().routes(routes!(sign_in, list)).routes(routes!(confirm)).routes(routes!(sign_out)).routes(routes!(end))
}

#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
struct SignIn {
    /// Names this sign-in: a repeat after a lost answer gets a fresh token for the same one. The header does as well.
    #[serde(default)]
    #[garde(skip)]
    id: Option<Uuid>,
    #[garde(skip)]
    phone: Phone,
    /// 8 to 128 characters of any kind.
    #[garde(length(chars, max = 128))]
    password: String,
    /// For a member with a second factor: what her phone shows now, or a recovery code.
    #[serde(default)]
    #[garde(skip)]
    code: MaybeText<32>,
    /// Only for a person who is a member of several sites.
    #[serde(default)]
    #[garde(skip)]
    site_id: Option<Uuid>,
    /// `cookie` for browsers, `bearer` for programs: then the answer holds the token, once.
    #[serde(default = "cookie")]
    #[garde(skip)]
    kind: SessionKind,
    /// To recognise this sign-in in the list of one's own.
    #[serde(default)]
    #[garde(skip)]
    label: MaybeText<60>,
}

fn cookie() -> SessionKind {
    SessionKind::Cookie
}

/// Who has signed in.
#[derive(Serialize, ToSchema)]
pub struct SignedIn {
    pub id: Uuid,
    pub site_id: Uuid,
    pub member_id: Uuid,
    pub expires_at: DateTime<Utc>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
}

#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
struct Confirmation {
    #[garde(length(chars, max = 128))]
    password: String,
    /// For a member with a second factor who has not typed a code in this sign-in.
    #[serde(default)]
    #[garde(skip)]
    code: MaybeText<32>,
}

/// One of the caller's own sign-ins.
#[derive(Serialize, ToSchema)]
pub struct Session {
    pub id: Uuid,
    pub kind: SessionKind,
    pub label: String,
    pub created_at: DateTime<Utc>,
    pub authenticated_at: Option<DateTime<Utc>>,
    pub expires_at: DateTime<Utc>,
    /// The one that asks.
    pub current: bool,
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

/// Sign in with phone and password. A token is kept nowhere, so a repeat under the same id or key does not get the first answer but
/// a fresh token, and the first one ends.
#[utoipa::path(post, path = "/api/v1/sessions", tag = "sessions", security(()), request_body = SignIn,
    responses((status = 201, body = SignedIn), (status = 401, body = Problem), (status = 429, body = Problem)))]
async fn sign_in(
    State(state): State<HttpState>,
    Peer(address): Peer,
    headers: HeaderMap,
    key: IdempotencyKey,
    StrictJson(body, _): StrictJson<SignIn>,
) -> Result<Response, HttpError> {
    if is_cross_site(&headers, &state.app.config.http.public_url) {
        return Err(HttpError::CrossSite);
    }
    state.throttle.turn(&body.phone.0, address).await?;
    let accounts = accounts(&state.app, body.phone.0.clone(), body.site_id).await?;
    let password = body.password.clone();
    let (tried, right) = state.hashing.run(move || check(accounts, &password)).await?;
    let Some(account) = right else {
        record_failure(&state.app, tried).await?;
        return Err(HttpError::WrongPassword);
    };
    let with_code = second_factor(&state.app, &account, &body.code.0, false).await?;
    let id = key.id(account.member_id, body.id).unwrap_or_else(Uuid::now_v7);
    let label = if body.label.0.is_empty() { devices::label(&headers) } else { body.label.0.clone() };
    let (token, signed_in) = open(&state.app, &account, id, (body.kind, label, with_code)).await?;
    let created = Answer::created(&signed_in);
    Ok(match body.kind {
        SessionKind::Cookie => with_header(created, header::SET_COOKIE, state.cookie(token.text())),
        SessionKind::Bearer => created.into_response(),
    })
}

/// Whether a code was typed. One is asked of whoever has a second factor, unless she typed one in this sign-in already.
async fn second_factor(app: &App, account: &Account, code: &str, was_typed: bool) -> Result<bool, HttpError> {
    let by = By { site_id: account.site_id, actor_id: Some(account.member_id), now: app.clock.now() };
    let (member_id, code, seal) = (account.member_id, code.to_owned(), app.seal.clone());
    let (has_one, is_right) = app
        .write(move |mut tx| async move {
            let has_one = store::second_factor::since(&mut tx, by.site_id, member_id).await?.is_some();
            let asks = has_one && !code.is_empty();
            let is_right = asks && store::second_factor::take(&mut tx, &by, &seal, member_id, &code, true).await?;
            Ok((tx, (has_one, asks.then_some(is_right))))
        })
        .await?;
    match is_right {
        Some(true) => Ok(true),
        Some(false) => {
            record_failure(app, Some(account.clone())).await?;
            Err(HttpError::WrongCode)
        }
        None if has_one && !was_typed => Err(HttpError::CodeNeeded),
        None => Ok(false),
    }
}

async fn accounts(app: &App, phone: String, site_id: Option<Uuid>) -> Result<Vec<Account>, store::Error> {
    let found = app.read(move |mut tx| async move {
        let accounts = store::session::accounts(&mut tx, &phone, SITES_MAX).await?;
        Ok((tx, accounts))
    });
    Ok(found.await?.into_iter().filter(|account| site_id.is_none_or(|site| site == account.site_id)).collect())
}

/// The account whose password this is. At least one password is hashed, whoever asks.
fn check(accounts: Vec<Account>, password: &str) -> (Option<Account>, Option<Account>) {
    let first = accounts.first().cloned();
    if first.is_none() {
        password::verify(password, None);
    }
    let right = accounts.into_iter().find(|account| password::verify(password, account.password_hash.as_deref()));
    (first, right)
}

/// One row for every failure, also for unknown phones: it takes the same time, and somebody can see that it happened.
pub async fn record_failure(app: &App, tried: Option<Account>) -> Result<(), store::Error> {
    let at = app.clock.now();
    app.write(move |mut tx| async move {
        let site_id = tried.as_ref().map_or(Uuid::nil(), |account| account.site_id);
        let object_id = tried.map(|account| account.member_id);
        let entry = Entry { site_id, at, actor_id: None, act: "login_failed", object_kind: "member", object_id, fields: &[] };
        audit::write(&mut tx, &entry).await?;
        Ok((tx, ()))
    })
    .await
}

async fn open(
    app: &App,
    account: &Account,
    id: Uuid,
    (kind, label, with_code): (SessionKind, String, bool),
) -> Result<(Token, SignedIn), store::Error> {
    let (now, token) = (app.clock.now(), Token::random());
    let (site_id, member_id, hash) = (account.site_id, account.member_id, token.hash());
    let expires_at = now + app.config.http.session.0;
    app.write(move |mut tx| async move {
        let new = NewSession { site_id, id, member_id, kind, label: &label, created_at: now, authenticated_at: Some(now), expires_at };
        if !store::session::again(&mut tx, &new, &hash).await? {
            store::session::create(&mut tx, &new, &hash).await?;
        }
        if with_code {
            store::session::confirm(&mut tx, site_id, id, now, true).await?;
        }
        audit::write(&mut tx, &entry(site_id, now, member_id, "login", id)).await?;
        Ok((tx, ()))
    })
    .await?;
    let shown = (kind == SessionKind::Bearer).then(|| token.text().to_owned());
    Ok((token, SignedIn { id, site_id, member_id, expires_at, token: shown }))
}

pub fn entry(site_id: Uuid, at: DateTime<Utc>, member_id: Uuid, act: &str, id: Uuid) -> Entry<'_> {
    Entry { site_id, at, actor_id: Some(member_id), act, object_kind: "session", object_id: Some(id), fields: &[] }
}

/// My own sign-ins, newest first.
#[utoipa::path(get, path = "/api/v1/sessions", tag = "sessions", params(ListQuery),
    responses((status = 200, body = Page<Session>), (status = 401, body = Problem)))]
async fn list(State(app): State<App>, caller: Caller, StrictQuery(query): StrictQuery<ListQuery>) -> Result<Answer, HttpError> {
    Ok(Answer::ok(&of(&app, &caller, caller.member_id, query.cursor.map(|cursor| cursor.0), query.limit).await?))
}

/// The sign-ins of a member that are in force.
pub async fn of(
    app: &App,
    caller: &Caller,
    member_id: Uuid,
    before: Option<(DateTime<Utc>, Uuid)>,
    limit: Limit,
) -> Result<Page<Session>, HttpError> {
    let (now, site_id) = (app.clock.now(), caller.site_id);
    let rows = app
        .read(move |mut tx| async move {
            let rows = store::session::list(&mut tx, site_id, member_id, now, before, limit.rows()).await?;
            Ok((tx, rows))
        })
        .await?;
    Ok(Page::cut(rows, limit, |row| (row.created_at, row.id)).map(|row| shown(row, caller)))
}

/// Type the password again, for an act that needs a recent sign-in.
#[utoipa::path(post, path = "/api/v1/sessions/current/confirm", tag = "sessions", request_body = Confirmation,
    responses((status = 204), (status = 401, body = Problem), (status = 429, body = Problem)))]
async fn confirm(
    State(state): State<HttpState>,
    caller: Caller,
    Peer(address): Peer,
    StrictJson(body, _): StrictJson<Confirmation>,
) -> Result<Answer, HttpError> {
    let app = &state.app;
    let account = own_account(&state, &caller, address, &body.password).await?;
    let with_code = second_factor(app, &account, &body.code.0, caller.typed_code).await?;
    let (site_id, id, member_id, now) = (caller.site_id, caller.session_id, caller.member_id, app.clock.now());
    app.write(move |mut tx| async move {
        store::session::confirm(&mut tx, site_id, id, now, with_code).await?;
        audit::write(&mut tx, &entry(site_id, now, member_id, "confirm_password", id)).await?;
        Ok((tx, ()))
    })
    .await?;
    Ok(Answer::no_content())
}

/// The caller's own account, if this is its password; counted like a sign-in.
pub async fn own_account(state: &HttpState, caller: &Caller, address: IpAddr, password: &str) -> Result<Account, HttpError> {
    let (site_id, member_id) = (caller.site_id, caller.member_id);
    let found = state.app.read(move |mut tx| async move {
        let account = store::session::account(&mut tx, site_id, member_id).await?;
        Ok((tx, account))
    });
    let (account, phone) = found.await?.ok_or(HttpError::SignInRequired)?;
    state.throttle.turn(&phone, address).await?;
    let (password, account) = (password.to_owned(), vec![account]);
    let (tried, right) = state.hashing.run(move || check(account, &password)).await?;
    let Some(account) = right else {
        record_failure(&state.app, tried).await?;
        return Err(HttpError::WrongPassword);
    };
    Ok(account)
}

fn shown(row: Listed, caller: &Caller) -> Session {
    Session {
        id: row.id,
        kind: row.kind,
        label: row.label,
        created_at: row.created_at,
        authenticated_at: row.authenticated_at,
        expires_at: row.expires_at,
        current: row.id == caller.session_id,
    }
}

/// Sign out here.
#[utoipa::path(delete, path = "/api/v1/sessions/current", tag = "sessions",
    responses((status = 204), (status = 401, body = Problem)))]
async fn sign_out(State(state): State<HttpState>, caller: Caller) -> Result<Response, HttpError> {
    revoke(&state.app, &caller, caller.session_id).await?;
    Ok(with_header(Answer::no_content(), header::SET_COOKIE, state.cookie_gone()))
}

/// Sign out another of my devices.
#[utoipa::path(delete, path = "/api/v1/sessions/{id}", tag = "sessions", params(("id" = Uuid, Path)),
    responses((status = 204), (status = 401, body = Problem), (status = 404, body = Problem)))]
async fn end(State(app): State<App>, caller: Caller, Segments(id): Segments<Uuid>) -> Result<Answer, HttpError> {
    revoke(&app, &caller, id).await?;
    Ok(Answer::no_content())
}

async fn revoke(app: &App, caller: &Caller, id: Uuid) -> Result<(), store::Error> {
    let now = app.clock.now();
    let (site_id, member_id) = (caller.site_id, caller.member_id);
    app.write(move |mut tx| async move {
        if !store::session::revoke(&mut tx, site_id, member_id, id, now).await? {
            return Err(Refusal::not_found().into());
        }
        audit::write(&mut tx, &entry(site_id, now, member_id, "logout", id)).await?;
        Ok((tx, ()))
    })
    .await
}
