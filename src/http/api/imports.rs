//! The register from a table: an empty one to fill in, a dry run that names every bad cell, and then everything or nothing.

mod words;

use axum::extract::{FromRequest, Request, State};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::entry::by;
use crate::app::App;
use crate::domain::access::Capability;
use crate::domain::import::{self, Known, Problem as CellProblem, Reading};
use crate::domain::refusal::Refusal;
use crate::http::HttpState;
use crate::http::answer::{Answer, IdempotencyKey};
use crate::http::caller::Caller;
use crate::http::error::{HttpError, Problem};
use crate::http::json::StrictQuery;
use crate::http::upload::Upload;
use crate::http::value::Text;
use crate::store::register::intake;
use crate::{sheet, text};

pub fn routes() -> OpenApiRouter<HttpState> {
    OpenApiRouter::new().routes(routes!(try_out)).routes(routes!(commit)).routes(routes!(template))
}

/// What a table would do.
#[derive(Serialize, ToSchema)]
struct Report {
    /// Names exactly this content; it is asked for when the table is taken.
    hash: String,
    /// Seniors whose rows are right.
    seniors: usize,
    /// What is wrong, in the order of the table; with one of them nothing is taken.
    problems: Vec<ReportedCell>,
    /// There are more than are told here.
    more: bool,
}

#[derive(Serialize, ToSchema)]
struct ReportedCell {
    /// As the table program counts; absent: the table as a whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    row: Option<usize>,
    /// The column's heading.
    #[serde(skip_serializing_if = "Option::is_none")]
    column: Option<String>,
    /// What to do, in the reader's language.
    detail: String,
    key: &'static str,
}

#[derive(Serialize, ToSchema)]
struct Taken {
    seniors: usize,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct CommitQuery {
    /// Of the report: only the table that was tried out is taken.
    #[param(value_type = String)]
    hash: Text<64>,
}

/// Try a table out: nothing is kept. The body is the file, .xlsx or .csv (UTF-8 or GB18030), at most 5 MB.
#[utoipa::path(post, path = "/api/v1/imports", tag = "imports", request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    responses((status = 200, body = Report), (status = 400, body = Problem), (status = 413, body = Problem), (status = 415, body = Problem)))]
async fn try_out(State(state): State<HttpState>, caller: Caller, request: Request) -> Result<Answer, HttpError> {
    // Before the file is read: nobody else makes the server unpack anything.
    caller.require(Capability::SeniorWrite)?;
    let upload = Upload::from_request(request, &state).await?;
    let hash = upload.hash();
    let reading = read(&state.app, &caller, upload).await?;
    let reported = |problem: CellProblem| ReportedCell {
        row: problem.row,
        column: problem.column.map(|column| words::heading(caller.locale, column)),
        detail: text::render(caller.locale, problem.key, &problem.arguments),
        key: problem.key,
    };
    let problems = reading.problems.into_iter().map(reported).collect();
    Ok(Answer::ok(&Report { hash, seniors: reading.entries.len(), problems, more: reading.is_cut }))
}

/// Take a table that was tried out: everything in it, or nothing. The body is the same file.
#[utoipa::path(post, path = "/api/v1/imports/commit", tag = "imports", params(CommitQuery),
    request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    responses((status = 201, body = Taken), (status = 400, body = Problem), (status = 409, body = Problem), (status = 413, body = Problem)))]
async fn commit(
    State(state): State<HttpState>,
    caller: Caller,
    StrictQuery(query): StrictQuery<CommitQuery>,
    key: IdempotencyKey,
    request: Request,
) -> Result<Answer, HttpError> {
    caller.require(Capability::SeniorWrite)?;
    let app = state.app.clone();
    let upload = Upload::from_request(request, &state).await?;
    if query.hash.0 != upload.hash() {
        return Err(Refusal::conflict("import.other_content").into());
    }
    let once = key.once(&caller, None, upload.1)?;
    let parsed = parsed(upload).await?;
    let (by, locale, words) = (by(&caller, &app), caller.locale, words::vocabulary());
    made_once!(app, once, by, |tx| (), {
        // One table at a time, against the register as it is now.
        tx.lock_named(&format!("import {}", by.site_id)).await?;
        let known = known(&mut tx, &caller).await?;
        let reading = import::read(&parsed, &words, &known, this_year(&caller));
        if !reading.problems.is_empty() {
            return Err(Refusal::conflict("import.not_clean").into());
        }
        let seniors = intake::take(&mut tx, &by, reading.entries, &text::plain(locale, "import.given_how")).await?;
        Answer::created(&Taken { seniors })
    })
}

/// An empty table with headings, an example and the words to choose from.
#[utoipa::path(get, path = "/api/v1/imports/template", tag = "imports", responses((status = 200, content_type = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet")))]
async fn template(caller: Caller) -> Result<Response, HttpError> {
    caller.require(Capability::SeniorWrite)?;
    let bytes = sheet::write(&[words::template(caller.locale)], caller.timezone).map_err(|_| HttpError::Panicked)?;
    Ok(attachment(bytes, "chenlian-register.xlsx"))
}

/// A table to take away.
pub fn attachment(bytes: Vec<u8>, name: &str) -> Response {
    let mut response = bytes.into_response();
    let kind = HeaderValue::from_static("application/vnd.openxmlformats-officedocument.spreadsheetml.sheet");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    let name = HeaderValue::from_str(&format!("attachment; filename=\"{name}\"")).expect("names of ours are ASCII");
    response.headers_mut().insert(header::CONTENT_DISPOSITION, name);
    response
}

async fn read(app: &App, caller: &Caller, upload: Upload) -> Result<Reading, HttpError> {
    let parsed = parsed(upload).await?;
    let asker = caller.clone();
    let known = looked_up!(app, |tx| known(&mut tx, &asker).await?);
    Ok(import::read(&parsed, &words::vocabulary(), &known, this_year(caller)))
}

async fn parsed(upload: Upload) -> Result<Vec<import::Line>, HttpError> {
    let read = tokio::task::spawn_blocking(move || sheet::read(&upload.0)).await.map_err(|_| HttpError::Panicked)?;
    read.map_err(|why| Refusal::invalid("file", why.key()).into())
}

fn this_year(caller: &Caller) -> i64 {
    use chrono::Datelike;
    i64::from(caller.today.year())
}

/// The register around the table: only buildings that the caller may fill exist for her.
async fn known(tx: &mut crate::store::Tx, caller: &Caller) -> crate::store::Result<Known> {
    let mut buildings = Vec::new();
    for building in intake::buildings(tx, caller.site_id).await? {
        match caller.place(tx, building.id, Capability::SeniorWrite).await {
            Ok(()) => buildings.push(building),
            Err(crate::store::Error::Refused(_)) => {}
            Err(other) => return Err(other),
        }
    }
    let members = intake::people(tx, caller.site_id).await?;
    Ok(Known { buildings, members, seniors: intake::doors(tx, caller.site_id).await? })
}
