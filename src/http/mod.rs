//! The API over HTTP, and the pages (`pages`). A route is a file in `api/` that looks like this:
//!
//! ```text
//! pub fn routes() -> OpenApiRouter<HttpState> {
//!     OpenApiRouter::new().routes(routes!(create, list)).routes(routes!(change))
//! }
//!
//! #[derive(Deserialize, Validate, ToSchema)]
//! #[serde(deny_unknown_fields)]                       // an unknown field is a 400
//! #[garde(allow_unvalidated)]                         // the types of `value` check themselves
//! struct NewGrid {
//!     id: Option<Uuid>,                               // made by the client: a repeat is safe
//!     name: Text<60>,                                 // trimmed, 1 to 60 characters
//! }
//!
//! /// Make a grid.
//! #[utoipa::path(post, path = "/api/v1/grids", tag = "grids", request_body = NewGrid,
//!     responses((status = 201, body = Grid), (status = 409, body = Problem)))]
//! async fn create(
//!     State(app): State<App>,
//!     caller: Caller,                                 // 401 without a sign-in, 403 from another site's page
//!     key: IdempotencyKey,
//!     StrictJson(body, hash): StrictJson<NewGrid>,    // last, because it reads the body
//! ) -> Result<Answer, HttpError> {
//!     caller.require(Capability::RegisterWrite)?;     // default deny: say what the route needs
//!     let once = key.once(&caller, body.id, hash)?;   // header or body id; 400 without
//!     let now = app.clock.now();
//!     app.write(move |mut tx| async move {
//!         if let Some(answer) = once.replay(&mut tx, now).await? { return Ok((tx, answer)); }
//!         let grid = store::grid::create(&mut tx, caller.site_id, once.id, &body.name.0, now).await?;
//!         audit::write(&mut tx, &…).await?;
//!         let answer = Answer::created(&grid).version(grid.version);
//!         once.keep(&mut tx, &answer).await?;         // in the same transaction
//!         Ok((tx, answer))
//!     }).await.map_err(HttpError::from)
//! }
//!
//! /// Change a grid.
//! #[utoipa::path(patch, path = "/api/v1/grids/{id}", tag = "grids", params(("id" = Uuid, Path), ("If-Match" = String, Header)),
//!     request_body = GridChange, responses((status = 200, body = Grid), (status = 412, body = Problem)))]
//! async fn change(State(app): State<App>, caller: Caller, Segments(id): Segments<Uuid>, if_match: IfMatch,
//!     StrictJson(body, _): StrictJson<GridChange>) -> Result<Answer, HttpError> {
//!     caller.require(Capability::RegisterWrite)?;
//!     app.write(move |mut tx| async move {
//!         let old = store::grid::get(&mut tx, caller.site_id, id).await?.ok_or_else(Refusal::not_found)?;
//!         if let Err(stale) = if_match.check(old.version, &old) { return Ok((tx, Err(stale))); }   // 412 with the current value
//!         …
//!         Ok((tx, Ok(Answer::ok(&new).version(new.version))))
//!     }).await?
//! }
//!
//! #[derive(Deserialize, IntoParams)]
//! #[into_params(parameter_in = Query)]
//! #[serde(deny_unknown_fields)]
//! struct ListQuery { … }
//!
//! /// Grids by name.
//! #[utoipa::path(get, path = "/api/v1/grids", tag = "grids", params(ListQuery), responses((status = 200, body = Page<Grid>)))]
//! async fn list(State(app): State<App>, caller: Caller, StrictQuery(query): StrictQuery<ListQuery>) -> Result<Answer, HttpError> {
//!     caller.require(Capability::RegisterRead)?;
//!     // rows after query.cursor (Option<Cursor<K>>, K the sort key), query.limit.rows() of them
//!     Ok(Answer::ok(&Page::cut(rows, query.limit, |row| (row.name.clone(), row.id))))
//! }
//! ```
//!
//! `api/sessions.rs` is a complete example. A route about one senior asks
//! `caller.senior(&mut tx, id, Capability::AlertAct).await?` inside its transaction, one about a place `caller.place(…)`; a list
//! of seniors filters with `visible_seniors!` in its SQL. `Caller` stands before every extractor that can refuse for another
//! reason, so that a stranger always gets 401; `tests/it/http/access.rs` walks every route of the OpenAPI document. Values of one field (`Text`, `Timestamp`, `Day`, `TimeOfDay`, `Phone`) are in `value`, JSON and query
//! strings in `json`, pages and If-Match in `page`, kept answers in `answer`, every error in `error`.
//!
//! Read in the order of the modules below.

pub mod error;

pub mod tree;
pub mod value;

pub mod json;
mod object;
pub mod page;
pub mod upload;

pub mod answer;

pub mod caller;
mod devices;
pub mod password;
pub mod qr;
pub mod throttle;

pub mod api;
pub mod callbacks;
pub mod pages;

pub mod crowd;
pub mod document;
pub mod envelope;

mod patient;
pub mod server;

pub mod ops;

use std::net::IpAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::FromRef;
use axum::http::HeaderValue;
use axum_extra::extract::cookie::{Cookie, SameSite};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use self::error::HttpError;
use crate::app::App;

/// Screens that one member keeps open at once.
const STREAMS_EACH_MAX: usize = 16;

/// What handlers share; `State<App>` works as well.
#[derive(Clone)]
pub struct HttpState {
    pub app: App,
    pub throttle: Arc<throttle::Throttle>,
    pub hashing: password::Hashing,
    /// How often one caller may ask.
    pub rates: Arc<throttle::Rates>,
    /// Open requests by client, behind a proxy that names it.
    requests: crowd::Crowd<IpAddr>,
    /// Event streams by member.
    pub streams: crowd::Crowd<Uuid>,
    /// What may stand in the query of each route.
    parameters: Arc<document::Parameters>,
    /// Long answers (events) end when the server stops.
    pub stop: CancellationToken,
    cookie_name: &'static str,
}

impl FromRef<HttpState> for App {
    fn from_ref(state: &HttpState) -> Self {
        state.app.clone()
    }
}

impl HttpState {
    pub fn new(app: App, stop: CancellationToken) -> Self {
        // A `__Host-` cookie cannot be set by a neighbouring subdomain; browsers want TLS for it.
        let cookie_name = if is_tls(&app) { "__Host-chenlian" } else { "chenlian" };
        let http = &app.config.http;
        Self {
            throttle: Arc::default(),
            hashing: password::Hashing::default(),
            rates: Arc::new(throttle::Rates::new(http.requests_per_minute)),
            requests: crowd::Crowd::new(http.connections_each_max),
            streams: crowd::Crowd::new(STREAMS_EACH_MAX),
            parameters: Arc::default(),
            stop,
            cookie_name,
            app,
        }
    }

    /// Set-Cookie of a sign-in.
    fn cookie(&self, token: &str) -> HeaderValue {
        self.cookie_header(token, self.app.config.http.session.0.num_seconds())
    }

    /// Set-Cookie of a sign-out.
    fn cookie_gone(&self) -> HeaderValue {
        self.cookie_header("", 0)
    }

    fn cookie_header(&self, value: &str, seconds: i64) -> HeaderValue {
        let mut cookie = Cookie::new(self.cookie_name, value);
        cookie.set_path("/");
        cookie.set_http_only(true);
        cookie.set_same_site(SameSite::Lax);
        cookie.set_secure(is_tls(&self.app));
        let header = format!("{cookie}; Max-Age={seconds}");
        HeaderValue::from_str(&header).expect("name, token and attributes are ASCII")
    }
}

/// What the address says that people use; without one a proxy is there to end TLS.
fn is_tls(app: &App) -> bool {
    let http = &app.config.http;
    if http.public_url.is_empty() { http.trusted_proxy } else { http.public_url.starts_with("https://") }
}

/// The whole API with its documentation.
pub fn router(app: App, stop: CancellationToken) -> Router {
    let (api, document) = document::documented().split_for_parts();
    let state = HttpState { parameters: Arc::new(document::parameters(&document)), ..HttpState::new(app, stop) };
    let docs = utoipa_swagger_ui::SwaggerUi::new("/api/docs").url("/api/v1/openapi.json", document);
    enveloped(api.merge(docs).merge(callbacks::routes()).merge(pages::routes()), state)
}

/// Routes with what every answer gets; nothing is served without it.
pub fn enveloped(routes: Router<HttpState>, state: HttpState) -> Router {
    routes
        .fallback(|| async { HttpError::NotFound })
        .method_not_allowed_fallback(|| async { HttpError::Method })
        .layer(axum::middleware::from_fn_with_state(state.clone(), envelope::envelope))
        .with_state(state)
}

/// Serves the API until `stop`.
pub async fn serve(app: App, listener: TcpListener, stop: CancellationToken) {
    let http = &app.config.http;
    let limits = server::Limits {
        header_timeout: http.header_timeout.std(),
        connections_max: http.connections_max,
        connections_each_max: if http.trusted_proxy { http.connections_max } else { http.connections_each_max },
    };
    let router = router(app.clone(), stop.clone());
    server::serve(listener, router, limits, stop).await;
}

/// The OpenAPI 3.1 document, for `chenlian openapi`.
pub fn openapi() -> utoipa::openapi::OpenApi {
    document::documented().into_openapi()
}
