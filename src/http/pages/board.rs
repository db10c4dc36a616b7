//! The social worker's board. It has two parts, which the browser fetches again by themselves: what changes while people walk
//! (`/board/now`) and what changes in the course of a day (`/board/care`). The page itself holds both, made by the same functions.

mod care;
mod lists;
mod now;

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use serde::Deserialize;
use uuid::Uuid;

use self::care::CarePart;
use self::now::NowPart;
use super::filter::{self, Choice, blank};
use super::frame::Frame;
use super::page;
use crate::app::App;
use crate::domain::access::Capability;
use crate::http::HttpState;
use crate::http::caller::Caller;
use crate::http::error::HttpError;
use crate::http::json::StrictQuery;

pub fn routes() -> Router<HttpState> {
    Router::new().route("/board", get(board)).route("/board/now", get(part_now)).route("/board/care", get(part_care)).merge(lists::routes())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BoardQuery {
    /// This place and below.
    #[serde(default, deserialize_with = "blank")]
    place: Option<Uuid>,
}

#[derive(Template)]
#[template(path = "board.html")]
struct BoardPage {
    frame: Frame,
    where_to: String,
    choices: Vec<Choice>,
    /// Of the list to print.
    sheet_query: String,
    now: NowPart,
    care: CarePart,
}

#[derive(Template)]
#[template(path = "board/now.html")]
struct NowFragment {
    frame: Frame,
    now: NowPart,
}

#[derive(Template)]
#[template(path = "board/care.html")]
struct CareFragment {
    frame: Frame,
    care: CarePart,
}

async fn board(State(app): State<App>, caller: Caller, StrictQuery(query): StrictQuery<BoardQuery>) -> Result<Response, HttpError> {
    caller.require(Capability::MembersRead)?;
    let places = filter::read_places(&app, &caller, query.place, Capability::SeniorRead).await?;
    let frame = Frame::of(&caller, "/board");
    let choices = filter::choices(&places, query.place);
    let now = now::read(&app, &caller, &frame, query.place).await?;
    let care = care::read(&app, &caller, &frame, query.place).await?;
    let sheet_query = query_of(query.place);
    page(&BoardPage { where_to: filter::title(&frame, &choices), choices, sheet_query, now, care, frame })
}

async fn part_now(State(app): State<App>, caller: Caller, StrictQuery(query): StrictQuery<BoardQuery>) -> Result<Response, HttpError> {
    caller.require(Capability::MembersRead)?;
    let frame = Frame::of(&caller, "/board");
    let now = now::read(&app, &caller, &frame, query.place).await?;
    page(&NowFragment { frame, now })
}

async fn part_care(State(app): State<App>, caller: Caller, StrictQuery(query): StrictQuery<BoardQuery>) -> Result<Response, HttpError> {
    caller.require(Capability::MembersRead)?;
    let frame = Frame::of(&caller, "/board");
    let care = care::read(&app, &caller, &frame, query.place).await?;
    page(&CareFragment { frame, care })
}

/// `?place=…` of a link that keeps the filter.
fn query_of(place: Option<Uuid>) -> String {
    place.map(|place| format!("?place={place}")).unwrap_or_default()
}
