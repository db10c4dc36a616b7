//! Hazards, needs and questions that visits found, and agreements that do not fit: 点单 → 派单 → 领单 → 督单 → 评单.

use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::entry::{self, by};
use crate::app::App;
use crate::domain::access::Capability;
use crate::domain::visit::{FindingKind, FindingState};
use crate::http::HttpState;
use crate::http::answer::Answer;
use crate::http::caller::Caller;
use crate::http::error::{HttpError, Problem};
use crate::http::json::{Segments, StrictJson, StrictQuery};
use crate::http::page::{Cursor, IfMatch, Limit, Page};
use crate::store::finding::{self, Finding, FindingFilter, FindingPatch};

pub fn routes() -> OpenApiRouter<HttpState> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(get, change))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct ListQuery {
    #[serde(default)]
    senior: Option<Uuid>,
    #[serde(default)]
    visit: Option<Uuid>,
    #[serde(default)]
    kind: Option<FindingKind>,
    #[serde(default)]
    state: Option<FindingState>,
    #[serde(default)]
    #[param(inline, required = false)]
    limit: Limit,
    #[serde(default)]
    #[param(value_type = Option<String>)]
    cursor: Option<Cursor<Uuid>>,
}

/// Findings, in the order of their ids. Those about a senior of whose health the caller may not read come without their note.
#[utoipa::path(get, path = "/api/v1/findings", tag = "visits", params(ListQuery),
    responses((status = 200, body = Page<Finding>), (status = 403, body = Problem)))]
async fn list(State(app): State<App>, caller: Caller, StrictQuery(query): StrictQuery<ListQuery>) -> Result<Answer, HttpError> {
    caller.require(Capability::HealthRead)?;
    let filter = FindingFilter { visit_id: query.visit, senior_id: query.senior, kind: query.kind, state: query.state };
    let page = entry::page(query.cursor, query.limit);
    let rows = looked_up!(app, |tx| {
        let mut rows = finding::visible(&mut tx, &caller.who(), filter, page).await?;
        let relations = caller.seniors(&mut tx, rows.iter().map(|row| row.senior_id)).await?;
        for row in &mut rows {
            let health = relations.get(&row.senior_id).is_some_and(|relation| relation.may(Capability::HealthRead));
            row.note = row.note.take().filter(|_| health);
        }
        rows
    });
    Ok(Answer::ok(&Page::cut(rows, query.limit, |row| row.id)))
}

/// One finding.
#[utoipa::path(get, path = "/api/v1/findings/{id}", tag = "visits", params(("id" = Uuid, Path)),
    responses((status = 200, body = Finding), (status = 404, body = Problem)))]
async fn get(State(app): State<App>, caller: Caller, Segments(id): Segments<Uuid>) -> Result<Answer, HttpError> {
    let finding = looked_up!(app, |tx| {
        let finding = finding::get(&mut tx, caller.site_id, id).await?;
        caller.senior(&mut tx, finding.senior_id, Capability::HealthRead).await?;
        finding
    });
    Ok(Answer::ok(&finding).version(finding.version))
}

/// Move a finding on.
#[utoipa::path(patch, path = "/api/v1/findings/{id}", tag = "visits", params(("id" = Uuid, Path), ("If-Match" = String, Header)),
    request_body = FindingPatch, responses((status = 200, body = Finding), (status = 409, body = Problem), (status = 412, body = Problem)))]
async fn change(
    State(app): State<App>,
    caller: Caller,
    Segments(id): Segments<Uuid>,
    if_match: IfMatch,
    StrictJson(body, _): StrictJson<FindingPatch>,
) -> Result<Answer, HttpError> {
    let by = by(&caller, &app);
    changed!(
        app,
        if_match,
        |tx| {
            let finding = finding::get(&mut tx, by.site_id, id).await?;
            caller.senior(&mut tx, finding.senior_id, Capability::HealthRead).await?;
            finding
        },
        finding::patch(&mut tx, &by, id, if_match.0, body).await?
    )
}
