//! 街道 · 社区 · 小区 · 楼栋.

use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::entry::{self, by, is_ending};
use crate::app::App;
use crate::domain::access::Capability;
use crate::domain::place::PlaceKind;
use crate::http::HttpState;
use crate::http::answer::{Answer, IdempotencyKey};
use crate::http::caller::Caller;
use crate::http::error::{HttpError, Problem};
use crate::http::json::{Segments, StrictJson, StrictQuery};
use crate::http::page::{Cursor, IfMatch, Limit, Page};
use crate::store::register::place::{self, NewPlace, Place, PlaceFilter, PlacePatch};

pub fn routes() -> OpenApiRouter<HttpState> {
    OpenApiRouter::new().routes(routes!(create, list)).routes(routes!(get, change))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct ListQuery {
    #[serde(default)]
    kind: Option<PlaceKind>,
    #[serde(default)]
    parent: Option<Uuid>,
    /// This place and below.
    #[serde(default)]
    place: Option<Uuid>,
    #[serde(default)]
    #[param(inline, required = false)]
    limit: Limit,
    #[serde(default)]
    #[param(value_type = Option<String>)]
    cursor: Option<Cursor<Uuid>>,
}

/// Make a place under its parent. A compound begins in trial mode.
#[utoipa::path(post, path = "/api/v1/places", tag = "places", request_body = NewPlace,
    responses((status = 201, body = Place), (status = 400, body = Problem), (status = 409, body = Problem)))]
async fn create(
    State(app): State<App>,
    caller: Caller,
    key: IdempotencyKey,
    StrictJson(mut body, hash): StrictJson<NewPlace>,
) -> Result<Answer, HttpError> {
    caller.require(Capability::RegisterWrite)?;
    let once = entry::once(key, &caller, &mut body.id, hash)?;
    let by = by(&caller, &app);
    made_once!(
        app,
        once,
        by,
        |tx| match body.parent_id {
            Some(parent) => caller.place(&mut tx, parent, Capability::RegisterWrite).await?,
            None => caller.require_site(Capability::RegisterWrite)?,
        },
        {
            let made = place::create(&mut tx, &by, body).await?;
            Answer::created(&made).version(made.version)
        }
    )
}

/// Places of the site, in the order of their ids.
#[utoipa::path(get, path = "/api/v1/places", tag = "places", params(ListQuery), responses((status = 200, body = Page<Place>)))]
async fn list(State(app): State<App>, caller: Caller, StrictQuery(query): StrictQuery<ListQuery>) -> Result<Answer, HttpError> {
    caller.require(Capability::RegisterRead)?;
    let filter = PlaceFilter { id: None, kind: query.kind, parent_id: query.parent, under: query.place };
    let page = entry::page(query.cursor, query.limit);
    let rows = looked_up!(app, |tx| place::list(&mut tx, caller.site_id, filter, page).await?);
    Ok(Answer::ok(&Page::cut(rows, query.limit, |row| row.id)))
}

/// The places of the site, for choosing one on a page.
pub async fn all(app: &App, caller: &Caller) -> Result<Vec<Place>, HttpError> {
    caller.require(Capability::RegisterRead)?;
    let site = caller.site_id;
    let every = crate::store::register::Page::default();
    Ok(looked_up!(app, |tx| place::list(&mut tx, site, PlaceFilter::default(), every).await?))
}

/// One place.
#[utoipa::path(get, path = "/api/v1/places/{id}", tag = "places", params(("id" = Uuid, Path)),
    responses((status = 200, body = Place), (status = 404, body = Problem)))]
async fn get(State(app): State<App>, caller: Caller, Segments(id): Segments<Uuid>) -> Result<Answer, HttpError> {
    caller.require(Capability::RegisterRead)?;
    let place = looked_up!(app, |tx| place::get(&mut tx, caller.site_id, id).await?);
    Ok(Answer::ok(&place).version(place.version))
}

/// Correct or end a place. A longer trial, also by another parent, silences: it needs the right to and a recent sign-in.
#[utoipa::path(patch, path = "/api/v1/places/{id}", tag = "places", params(("id" = Uuid, Path), ("If-Match" = String, Header)),
    request_body = PlacePatch, responses((status = 200, body = Place), (status = 409, body = Problem), (status = 412, body = Problem)))]
async fn change(
    State(app): State<App>,
    caller: Caller,
    Segments(id): Segments<Uuid>,
    if_match: IfMatch,
    StrictJson(body, _): StrictJson<PlacePatch>,
) -> Result<Answer, HttpError> {
    let ending = is_ending(&body, "ended", body.ended)?;
    let may_silence = caller.may(Capability::Silence) && caller.authenticated_recently();
    let by = by(&caller, &app);
    changed!(
        app,
        if_match,
        |tx| {
            caller.place(&mut tx, id, Capability::RegisterWrite).await?;
            if let Some(parent) = body.parent_id {
                caller.place(&mut tx, parent, Capability::RegisterWrite).await?;
            }
            place::get(&mut tx, caller.site_id, id).await?
        },
        if ending {
            place::end(&mut tx, &by, id, if_match.0).await?
        } else {
            place::patch(&mut tx, &by, id, if_match.0, body, may_silence).await?
        }
    )
}
