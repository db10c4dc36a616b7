//! The seniors whom the reader sees, in walking order, and the search.

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use serde::Deserialize;
use uuid::Uuid;

use super::frame::Frame;
use super::page;
use crate::app::App;
use crate::domain::access::Capability;
use crate::domain::place::PlaceKind;
use crate::http::HttpState;
use crate::http::api::places;
use crate::http::api::seniors::{self, Search, SeniorView};
use crate::http::caller::Caller;
use crate::http::error::HttpError;
use crate::http::json::StrictQuery;
use crate::http::page::{Cursor, Limit, Page};
use crate::http::value::MaybeText;
use crate::store::register::place::Place;

pub fn routes() -> Router<HttpState> {
    Router::new().route("/seniors", get(list))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SeniorsQuery {
    #[serde(default)]
    q: Option<MaybeText<60>>,
    /// This place and below; an empty choice is none.
    #[serde(default)]
    place: Option<MaybeText<40>>,
    #[serde(default)]
    ended: Option<bool>,
    #[serde(default)]
    cursor: Option<Cursor<Uuid>>,
}

#[derive(Template)]
#[template(path = "seniors.html")]
struct SeniorsPage {
    frame: Frame,
    words: String,
    place: Option<Uuid>,
    ended: bool,
    is_first: bool,
    places: Vec<Place>,
    seniors: Page<SeniorView>,
    may_see_due: bool,
}

impl SeniorsPage {
    fn is_chosen(&self, place: &Place) -> bool {
        self.place == Some(place.id)
    }

    /// The address of this list from another point on.
    fn address(&self, cursor: Option<&String>) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.append_pair("q", &self.words);
        if let Some(place) = self.place {
            query.append_pair("place", &place.to_string());
        }
        if self.ended {
            query.append_pair("ended", "true");
        }
        if let Some(cursor) = cursor {
            query.append_pair("cursor", cursor);
        }
        format!("/seniors?{}", query.finish())
    }
}

async fn list(State(app): State<App>, caller: Caller, StrictQuery(query): StrictQuery<SeniorsQuery>) -> Result<Response, HttpError> {
    let words = query.q.map(|text| text.0).unwrap_or_default();
    let place = match query.place.map(|text| text.0).filter(|text| !text.is_empty()) {
        Some(text) => Some(text.parse().map_err(|_| HttpError::NotFound)?),
        None => None,
    };
    let (ended, is_first) = (query.ended.unwrap_or_default(), query.cursor.is_none());
    let search = Search { words: words.clone(), place, with_ended: ended, limit: Limit::default(), after: query.cursor };
    let seniors = seniors::searched(&app, &caller, search).await?;
    page(&SeniorsPage {
        places: areas(&app, &caller).await?,
        may_see_due: caller.may(Capability::HealthRead),
        frame: Frame::of(&caller, "/seniors"),
        words,
        place,
        ended,
        is_first,
        seniors,
    })
}

/// What a list can be narrowed to, wide before narrow.
async fn areas(app: &App, caller: &Caller) -> Result<Vec<Place>, HttpError> {
    if !caller.may(Capability::RegisterRead) {
        return Ok(Vec::new());
    }
    let mut places = places::all(app, caller).await?;
    places.retain(|place| matches!(place.kind, PlaceKind::Community | PlaceKind::Compound | PlaceKind::Building));
    places.sort_by(|a, b| (a.kind, a.walk_order, &a.name).cmp(&(b.kind, b.walk_order, &b.name)));
    Ok(places)
}
