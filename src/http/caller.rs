//! Who is calling: a browser's cookie or a program's bearer token, looked up by its hash on every request, so that a
//! sign-out, an ended member or a changed role counts at once.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use axum::extract::{FromRef, FromRequestParts, MatchedPath};
use axum::http::{HeaderMap, Method, header, request::Parts};
use chrono::{DateTime, NaiveDate, Utc};
use uuid::Uuid;

use super::HttpState;
use super::document::Parameters;
use super::envelope::{Peer, SignInNote};
use super::error::HttpError;
use crate::app::App;
use crate::domain::access::{Capability, Grant, Relation, Who, allows};
use crate::domain::refusal::Refusal;
use crate::domain::second_factor::in_force;
use crate::store::session::{SessionKind, TokenHash};
use crate::store::{self, Tx};

/// A session is prolonged after this part of its length was used, so that a request seldom writes.
const RENEW_PARTS: i32 = 24;

/// A signed-in member. A handler that takes a `Caller` answers 401 to everybody else, and to a cookie sent by another site
/// 403.
#[derive(Debug, Clone)]
pub struct Caller {
    pub site_id: Uuid,
    pub member_id: Uuid,
    pub session_id: Uuid,
    pub via: SessionKind,
    pub locale: &'static str,
    pub timezone: chrono_tz::Tz,
    /// The site's local date of this request: roles, pairings and duties in force are those of today.
    pub today: NaiveDate,
    /// Roles in force today.
    pub grants: Vec<Grant>,
    /// When the password was typed; a token made by the command line has none.
    pub authenticated_at: Option<DateTime<Utc>>,
    /// To look again later whether the sign-in still holds.
    pub token: TokenHash,
    /// A code of the second factor was typed in this sign-in.
    pub typed_code: bool,
    recent: bool,
    /// The browser must be told; a program keeps its token as it is.
    prolonged: bool,
}

/// Whom a caller may read about.
#[derive(Debug)]
pub enum Members {
    All,
    These(BTreeSet<Uuid>),
}

impl Members {
    pub fn contains(&self, id: Uuid) -> bool {
        match self {
            Self::All => true,
            Self::These(ids) => ids.contains(&id),
        }
    }

    /// Somebody outside does not exist (I30).
    pub fn require(&self, id: Uuid) -> Result<(), Refusal> {
        if self.contains(id) { Ok(()) } else { Err(Refusal::not_found()) }
    }
}

impl Caller {
    /// A capability that is not about one senior. Anywhere within the site is enough; lists narrow by scope.
    pub fn require(&self, capability: Capability) -> Result<(), Refusal> {
        if self.may(capability) { Ok(()) } else { Err(Refusal::forbidden("problem.forbidden")) }
    }

    /// A capability about one senior, asked inside the transaction that uses it: 404 for a senior whom the caller does not
    /// see, 403 for one whom she sees.
    pub async fn senior(&self, tx: &mut Tx, senior_id: Uuid, need: Capability) -> store::Result<Relation> {
        store::access::require(tx, &self.who(), senior_id, need).await
    }

    /// What ties the caller to the seniors of a list, asked for all of them at once.
    pub async fn seniors(&self, tx: &mut Tx, seniors: impl Iterator<Item = Uuid>) -> store::Result<BTreeMap<Uuid, Relation>> {
        store::access::relations(tx, &self.who(), &seniors.collect()).await
    }

    /// The members about whom the caller may read: all for whoever keeps the whole site's register, those of her scope for
    /// whoever keeps part of it, else herself.
    pub async fn members(&self, tx: &mut Tx) -> store::Result<Members> {
        if self.require_site(Capability::MembersRead).is_ok() {
            return Ok(Members::All);
        }
        if self.may(Capability::MembersRead) {
            return Ok(Members::These(store::access::members_in_scope(tx, &self.who()).await?));
        }
        Ok(Members::These(BTreeSet::from([self.member_id])))
    }

    /// A capability about a place and what is below it.
    pub async fn place(&self, tx: &mut Tx, place_id: Uuid, need: Capability) -> store::Result<()> {
        store::access::require_places(tx, &self.who(), &BTreeSet::from([place_id]), need).await
    }

    /// What `visible_seniors!` and the other functions of `store::access` ask.
    pub fn who(&self) -> Who {
        Who { site_id: self.site_id, member_id: self.member_id, today: self.today }
    }

    /// The same as [`Self::require`], but for the whole site: settings, members, audit.
    pub fn require_site(&self, capability: Capability) -> Result<(), Refusal> {
        let holds = self.grants.iter().any(|grant| grant.whole_site && allows(grant.role, capability));
        if holds { Ok(()) } else { Err(Refusal::forbidden("problem.forbidden")) }
    }

    pub fn may(&self, capability: Capability) -> bool {
        self.grants.iter().any(|grant| allows(grant.role, capability))
    }

    /// Silencing acts need a password typed within `http.recent_authentication`.
    pub fn require_recent(&self) -> Result<(), HttpError> {
        if self.recent { Ok(()) } else { Err(HttpError::RecentSignInRequired) }
    }

    /// For the domain's `Actor::may_silence`.
    pub fn authenticated_recently(&self) -> bool {
        self.recent
    }
}

impl<S> FromRequestParts<S> for Caller
where
    HttpState: FromRef<S>,
    S: Send + Sync,
{
    type Rejection = HttpError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, HttpError> {
        let state = HttpState::from_ref(state);
        let (text, token, via) = presented(&parts.headers, state.cookie_name).ok_or(HttpError::SignInRequired)?;
        if via == SessionKind::Cookie && !is_safe(&parts.method) && !is_same_site(&parts.headers, &state.app.config.http.public_url) {
            return Err(HttpError::CrossSite);
        }
        let Some(caller) = load(&state.app, token, via).await? else {
            if let Some(Peer(address)) = parts.extensions.get() {
                state.rates.stranger(*address)?;
            }
            return Err(HttpError::SignInRequired);
        };
        state.rates.member(caller.member_id)?;
        require_known_query(parts, &state.parameters)?;
        if let Some(note) = parts.extensions.get::<SignInNote>() {
            note.speaks(caller.locale);
            if caller.prolonged {
                note.prolongs(state.cookie(&text));
            }
        }
        Ok(caller)
    }
}

/// A parameter that the route does not know is a mistake of the client, also where a route knows none (a filter that filters
/// nothing would show too much).
fn require_known_query(parts: &Parts, parameters: &Parameters) -> Result<(), HttpError> {
    let Some(route) = parts.extensions.get::<MatchedPath>() else { return Ok(()) };
    let Some(known) = parameters.get(&(parts.method.to_string(), route.as_str().to_owned())) else { return Ok(()) };
    let query = parts.uri.query().unwrap_or_default();
    match form_urlencoded::parse(query.as_bytes()).find(|(name, _)| !known.contains(name.as_ref())) {
        None => Ok(()),
        Some((name, _)) => Err(HttpError::field(name, "http.field_unknown_alone", "expected no such parameter")),
    }
}

/// Looks a token up; `None`: unknown, ended, or of the other kind.
pub async fn load(app: &App, token: TokenHash, via: SessionKind) -> Result<Option<Caller>, store::Error> {
    let now = app.clock.now();
    let code_required = app.config.http.totp_required;
    let found = app
        .read(move |mut tx| async move {
            let Some(session) = store::session::find(&mut tx, &token, now).await?.filter(|session| session.kind == via) else {
                return Ok((tx, None));
            };
            let today = now.with_timezone(&session.timezone).date_naive();
            let grants = store::session::grants(&mut tx, session.site_id, session.member_id, today).await?;
            // A token made at the machine itself carries no password and no code.
            let is_made_here = session.kind == SessionKind::Bearer && session.authenticated_at.is_none();
            let grants = in_force(grants, code_required && !is_made_here, session.second_factor_at.is_some());
            Ok((tx, Some((session, today, grants))))
        })
        .await?;
    let Some((session, today, grants)) = found else { return Ok(None) };
    let length = app.config.http.session.0;
    let aged = session.expires_at - now < length - length / RENEW_PARTS;
    let prolonged = aged && session.kind == SessionKind::Cookie;
    if aged {
        let (site_id, id) = (session.site_id, session.id);
        app.write(move |mut tx| async move {
            store::session::renew(&mut tx, site_id, id, now + length).await?;
            Ok((tx, ()))
        })
        .await?;
    }
    let recent = session.authenticated_at.is_some_and(|at| now - at < app.config.http.recent_authentication.0);
    Ok(Some(Caller {
        site_id: session.site_id,
        member_id: session.member_id,
        session_id: session.id,
        via,
        locale: crate::text::locale(&session.locale),
        timezone: session.timezone,
        today,
        grants,
        authenticated_at: session.authenticated_at,
        token,
        typed_code: session.second_factor_at.is_some(),
        recent,
        prolonged,
    }))
}

/// The token of a request: a bearer token wins over a cookie, because a program sent it on purpose.
fn presented(headers: &HeaderMap, cookie_name: &str) -> Option<(String, TokenHash, SessionKind)> {
    let (text, kind) = if let Some(value) = headers.get(header::AUTHORIZATION) {
        let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
        (scheme.eq_ignore_ascii_case("bearer").then(|| token.trim().to_owned())?, SessionKind::Bearer)
    } else {
        let jar = axum_extra::extract::CookieJar::from_headers(headers);
        (jar.get(cookie_name)?.value().to_owned(), SessionKind::Cookie)
    };
    let hash = TokenHash::of(&text)?;
    Some((text, hash, kind))
}

fn is_safe(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

/// A browser says where a write comes from. Without a word nothing is believed: every browser sends one of the two.
pub fn is_same_site(headers: &HeaderMap, public_url: &str) -> bool {
    let said = |name: header::HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let fetch_site = headers.get("sec-fetch-site").map(|value| value.as_bytes() == b"same-origin");
    let origin = said(header::ORIGIN).map(|origin| {
        let host = said(header::HOST).unwrap_or_default();
        let own = public_url.trim_end_matches('/');
        if own.is_empty() { origin == format!("http://{host}") || origin == format!("https://{host}") } else { origin == own }
    });
    match (fetch_site, origin) {
        (None, None) => false,
        (fetch_site, origin) => fetch_site.unwrap_or(true) && origin.unwrap_or(true),
    }
}

/// For sign-in, which has no cookie yet: a page of another site must not sign somebody in, a program sends neither header.
pub fn is_cross_site(headers: &HeaderMap, public_url: &str) -> bool {
    let silent = !headers.contains_key("sec-fetch-site") && !headers.contains_key(header::ORIGIN);
    !silent && !is_same_site(headers, public_url)
}

/// For what is done by the link of a message: the key is all that its bearer shows.
pub fn admit_bearer(state: &HttpState, headers: &HeaderMap, address: IpAddr) -> Result<(), HttpError> {
    if is_cross_site(headers, &state.app.config.http.public_url) {
        return Err(HttpError::CrossSite);
    }
    state.rates.stranger(address)
}
