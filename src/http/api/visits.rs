//! 走访 · 探访. Whoever may visit a senior writes the record; what it says about health is for those who may read that.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::entry::{self, by};
use crate::app::App;
use crate::domain::access::{Capability, Relation};
use crate::domain::refusal::Refusal;
use crate::http::HttpState;
use crate::http::answer::{Answer, IdempotencyKey};
use crate::http::caller::Caller;
use crate::http::error::{HttpError, Problem};
use crate::http::json::{Segments, StrictJson, StrictQuery};
use crate::http::page::{Cursor, Limit, Page};
use crate::store::register::JsonText;
use crate::store::visit::{self, NewVisit, Visit, VisitFilter};

pub fn routes() -> OpenApiRouter<HttpState> {
    OpenApiRouter::new().routes(routes!(create, list)).routes(routes!(get))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct ListQuery {
    #[serde(default)]
    senior: Option<Uuid>,
    #[serde(default)]
    alert: Option<Uuid>,
    /// Also records that were corrected by a later one.
    #[serde(default)]
    with_replaced: bool,
    #[serde(default)]
    #[param(inline, required = false)]
    limit: Limit,
    #[serde(default)]
    #[param(value_type = Option<String>)]
    cursor: Option<Cursor<Uuid>>,
}

/// Record a visit. A follow-up may resolve its alert in the same request: both are written or neither.
#[utoipa::path(post, path = "/api/v1/visits", tag = "visits", request_body = NewVisit,
    responses((status = 201, body = Visit), (status = 400, body = Problem), (status = 409, body = Problem)))]
async fn create(
    State(app): State<App>,
    caller: Caller,
    key: IdempotencyKey,
    StrictJson(mut body, hash): StrictJson<NewVisit>,
) -> Result<Answer, HttpError> {
    let once = entry::once(key, &caller, &mut body.id, hash)?;
    let by = by(&caller, &app);
    let answer = made_once!(app, once, by, |tx| require(&mut tx, &caller, &body).await?, {
        let relation = require(&mut tx, &caller, &body).await?;
        Answer::created(&visit::create(&mut tx, &by, body, actor(&caller, &relation)).await?)
    });
    app.wake.all();
    answer
}

async fn require(tx: &mut crate::store::Tx, caller: &Caller, visit: &NewVisit) -> crate::store::Result<Relation> {
    let relation = caller.senior(tx, visit.senior_id, Capability::VisitCreate).await?;
    if visit.resolve.is_some() && !relation.may(Capability::AlertAct) {
        return Err(Refusal::forbidden("problem.forbidden").into());
    }
    Ok(relation)
}

/// Visits of the seniors whom the caller sees, in the order of their ids.
#[utoipa::path(get, path = "/api/v1/visits", tag = "visits", params(ListQuery), responses((status = 200, body = Page<Visit>)))]
async fn list(State(app): State<App>, caller: Caller, StrictQuery(query): StrictQuery<ListQuery>) -> Result<Answer, HttpError> {
    let filter = VisitFilter { id: None, senior_id: query.senior, alert_id: query.alert, with_replaced: query.with_replaced };
    let page = entry::page(query.cursor, query.limit);
    let rows = looked_up!(app, |tx| {
        let mut relations: BTreeMap<Uuid, Relation> = BTreeMap::new();
        let mut shown = Vec::new();
        for visit in visit::visible(&mut tx, &caller.who(), filter, page).await? {
            if let Entry::Vacant(unknown) = relations.entry(visit.senior_id) {
                unknown.insert(caller.senior(&mut tx, visit.senior_id, Capability::SeniorRead).await?);
            }
            shown.push(readable(visit, &caller, &relations));
        }
        shown
    });
    Ok(Answer::ok(&Page::cut(rows, query.limit, |row| row.id)))
}

/// Without the right to read about health a record says that somebody came, unless one wrote it oneself.
fn readable(mut visit: Visit, caller: &Caller, relations: &BTreeMap<Uuid, Relation>) -> Visit {
    let health = relations.get(&visit.senior_id).is_some_and(|relation| relation.may(Capability::HealthRead));
    if !health && visit.entered_by != caller.member_id {
        visit.conditions = JsonText::default();
        visit.safety = JsonText::default();
        visit.dossier = JsonText(None);
        visit.family_visits_last_month = None;
        visit.note = None;
    }
    visit
}

/// One visit.
#[utoipa::path(get, path = "/api/v1/visits/{id}", tag = "visits", params(("id" = Uuid, Path)),
    responses((status = 200, body = Visit), (status = 404, body = Problem)))]
async fn get(State(app): State<App>, caller: Caller, Segments(id): Segments<Uuid>) -> Result<Answer, HttpError> {
    let visit = looked_up!(app, |tx| {
        let visit = visit::get(&mut tx, caller.site_id, id).await?;
        let relation = caller.senior(&mut tx, visit.senior_id, Capability::SeniorRead).await?;
        let relations = BTreeMap::from([(visit.senior_id, relation)]);
        readable(visit, &caller, &relations)
    });
    Ok(Answer::ok(&visit))
}
