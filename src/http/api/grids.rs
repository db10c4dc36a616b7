//! 网格: groups of buildings.

use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::entry::{self, by, is_ending};
use crate::app::App;
use crate::domain::access::Capability;
use crate::http::HttpState;
use crate::http::answer::{Answer, IdempotencyKey};
use crate::http::caller::Caller;
use crate::http::error::{HttpError, Problem};
use crate::http::json::{Segments, StrictJson, StrictQuery};
use crate::http::page::{Cursor, IfMatch, Limit, Page};
use crate::store::register::grid::{self, Grid, GridPatch, NewGrid};

pub fn routes() -> OpenApiRouter<HttpState> {
    OpenApiRouter::new().routes(routes!(create, list)).routes(routes!(get, change))
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
    cursor: Option<Cursor<Uuid>>,
}

/// Make a grid. A grid widens what its officers see, so it is made for the whole site.
#[utoipa::path(post, path = "/api/v1/grids", tag = "grids", request_body = NewGrid,
    responses((status = 201, body = Grid), (status = 400, body = Problem), (status = 409, body = Problem)))]
async fn create(
    State(app): State<App>,
    caller: Caller,
    key: IdempotencyKey,
    StrictJson(mut body, hash): StrictJson<NewGrid>,
) -> Result<Answer, HttpError> {
    caller.require_site(Capability::RegisterWrite)?;
    let once = entry::once(key, &caller, &mut body.id, hash)?;
    let by = by(&caller, &app);
    made_once!(app, once, by, |tx| (), {
        let made = grid::create(&mut tx, &by, body).await?;
        Answer::created(&made).version(made.version)
    })
}

/// Grids of the site, in the order of their ids.
#[utoipa::path(get, path = "/api/v1/grids", tag = "grids", params(ListQuery), responses((status = 200, body = Page<Grid>)))]
async fn list(State(app): State<App>, caller: Caller, StrictQuery(query): StrictQuery<ListQuery>) -> Result<Answer, HttpError> {
    caller.require(Capability::RegisterRead)?;
    let page = entry::page(query.cursor, query.limit);
    let rows = looked_up!(app, |tx| grid::list(&mut tx, caller.site_id, page).await?);
    Ok(Answer::ok(&Page::cut(rows, query.limit, |row| row.id)))
}

/// One grid.
#[utoipa::path(get, path = "/api/v1/grids/{id}", tag = "grids", params(("id" = Uuid, Path)),
    responses((status = 200, body = Grid), (status = 404, body = Problem)))]
async fn get(State(app): State<App>, caller: Caller, Segments(id): Segments<Uuid>) -> Result<Answer, HttpError> {
    caller.require(Capability::RegisterRead)?;
    let grid = looked_up!(app, |tx| grid::get(&mut tx, caller.site_id, id).await?);
    Ok(Answer::ok(&grid).version(grid.version))
}

/// Change or end a grid.
#[utoipa::path(patch, path = "/api/v1/grids/{id}", tag = "grids", params(("id" = Uuid, Path), ("If-Match" = String, Header)),
    request_body = GridPatch, responses((status = 200, body = Grid), (status = 412, body = Problem)))]
async fn change(
    State(app): State<App>,
    caller: Caller,
    Segments(id): Segments<Uuid>,
    if_match: IfMatch,
    StrictJson(body, _): StrictJson<GridPatch>,
) -> Result<Answer, HttpError> {
    caller.require_site(Capability::RegisterWrite)?;
    let ending = is_ending(&body, "ended", body.ended)?;
    let by = by(&caller, &app);
    changed!(
        app,
        if_match,
        |tx| grid::get(&mut tx, caller.site_id, id).await?,
        if ending { grid::end(&mut tx, &by, id, if_match.0).await? } else { grid::patch(&mut tx, &by, id, if_match.0, body).await? }
    )
}
