//! 户. Who keeps a key is for those who may read contacts.

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
use crate::store::register::home::{self, Home, HomeFilter, HomePatch, NewHome};

pub fn routes() -> OpenApiRouter<HttpState> {
    OpenApiRouter::new().routes(routes!(create, list)).routes(routes!(get, change))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct ListQuery {
    /// The homes of this place and below; may be left out by those whose role covers the whole site.
    #[serde(default)]
    place: Option<Uuid>,
    /// Also those that have ended.
    #[serde(default)]
    with_ended: bool,
    #[serde(default)]
    #[param(inline, required = false)]
    limit: Limit,
    #[serde(default)]
    #[param(value_type = Option<String>)]
    cursor: Option<Cursor<Uuid>>,
}

/// Make a home in a building.
#[utoipa::path(post, path = "/api/v1/homes", tag = "homes", request_body = NewHome,
    responses((status = 201, body = Home), (status = 400, body = Problem), (status = 409, body = Problem)))]
async fn create(
    State(app): State<App>,
    caller: Caller,
    key: IdempotencyKey,
    StrictJson(mut body, hash): StrictJson<NewHome>,
) -> Result<Answer, HttpError> {
    caller.require(Capability::SeniorWrite)?;
    let once = entry::once(key, &caller, &mut body.id, hash)?;
    let by = by(&caller, &app);
    made_once!(app, once, by, |tx| caller.place(&mut tx, body.building_id, Capability::SeniorWrite).await?, {
        let made = home::create(&mut tx, &by, body).await?;
        Answer::created(&made).version(made.version)
    })
}

/// Homes of a place, in the order of their ids.
#[utoipa::path(get, path = "/api/v1/homes", tag = "homes", params(ListQuery), responses((status = 200, body = Page<Home>)))]
async fn list(State(app): State<App>, caller: Caller, StrictQuery(query): StrictQuery<ListQuery>) -> Result<Answer, HttpError> {
    let page = entry::page(query.cursor, query.limit);
    let filter = HomeFilter { id: None, under: query.place, with_ended: query.with_ended };
    let keys = caller.may(Capability::SensitiveRead);
    if query.place.is_none() {
        caller.require_site(Capability::SeniorRead)?;
    }
    let rows = looked_up!(app, |tx| {
        if let Some(place) = query.place {
            caller.place(&mut tx, place, Capability::SeniorRead).await?;
        }
        home::list(&mut tx, caller.site_id, filter, page).await?
    });
    Ok(Answer::ok(&Page::cut(rows, query.limit, |row| row.id).map(|home| if keys { home } else { without_keys(home) })))
}

/// One home.
#[utoipa::path(get, path = "/api/v1/homes/{id}", tag = "homes", params(("id" = Uuid, Path)),
    responses((status = 200, body = Home), (status = 404, body = Problem)))]
async fn get(State(app): State<App>, caller: Caller, Segments(id): Segments<Uuid>) -> Result<Answer, HttpError> {
    let keys = caller.may(Capability::SensitiveRead);
    let home = looked_up!(app, |tx| {
        let home = home::get(&mut tx, caller.site_id, id).await?;
        caller.place(&mut tx, home.building_id, Capability::SeniorRead).await?;
        home
    });
    let version = home.version;
    Ok(Answer::ok(&if keys { home } else { without_keys(home) }).version(version))
}

fn without_keys(home: Home) -> Home {
    Home { key_holder_member_id: None, key_holder_name: None, key_holder_phone: None, ..home }
}

/// Correct a home or end it.
#[utoipa::path(patch, path = "/api/v1/homes/{id}", tag = "homes", params(("id" = Uuid, Path), ("If-Match" = String, Header)),
    request_body = HomePatch, responses((status = 200, body = Home), (status = 409, body = Problem), (status = 412, body = Problem)))]
async fn change(
    State(app): State<App>,
    caller: Caller,
    Segments(id): Segments<Uuid>,
    if_match: IfMatch,
    StrictJson(body, _): StrictJson<HomePatch>,
) -> Result<Answer, HttpError> {
    let ending = is_ending(&body, "ended", body.ended)?;
    let by = by(&caller, &app);
    changed!(
        app,
        if_match,
        |tx| {
            let home = home::get(&mut tx, caller.site_id, id).await?;
            caller.place(&mut tx, home.building_id, Capability::SeniorWrite).await?;
            if let Some(building) = body.building_id {
                caller.place(&mut tx, building, Capability::SeniorWrite).await?;
            }
            home
        },
        if ending { home::end(&mut tx, &by, id, if_match.0).await? } else { home::patch(&mut tx, &by, id, if_match.0, body).await? }
    )
}
