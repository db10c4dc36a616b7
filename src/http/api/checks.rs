//! Checks of a date for staff, also by state: the list of those not yet looked at, apart from those seen shut.

use axum::extract::State;
use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::app::App;
use crate::domain::check::{CheckState, Slot};
use crate::domain::register::masked;
use crate::domain::signal::Sign;
use crate::http::HttpState;
use crate::http::answer::Answer;
use crate::http::caller::Caller;
use crate::http::error::HttpError;
use crate::http::json::StrictQuery;
use crate::http::page::{Cursor, Limit, Page};
use crate::http::value::Day;
use crate::store::check::{self, Filter};

pub fn routes() -> OpenApiRouter<HttpState> {
    OpenApiRouter::new().routes(routes!(list))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct ListQuery {
    /// Today if left out.
    #[serde(default)]
    #[param(value_type = Option<String>)]
    date: Option<Day>,
    #[serde(default)]
    slot: Option<Slot>,
    #[serde(default)]
    state: Option<CheckState>,
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

#[derive(Serialize, ToSchema)]
struct Check {
    id: Uuid,
    senior_id: Uuid,
    /// Masked: 张**.
    name: String,
    called: String,
    building: String,
    unit: String,
    room: String,
    local_date: NaiveDate,
    slot: Slot,
    state: CheckState,
    expected_sign: Sign,
    deadline_at: DateTime<Utc>,
    cutoff_at: DateTime<Utc>,
    /// The sign was seen in time and sent later.
    received_late: bool,
    decided_at: Option<DateTime<Utc>>,
}

/// Checks that the caller may see, in the order of their ids.
#[utoipa::path(get, path = "/api/v1/checks", tag = "checks", params(ListQuery), responses((status = 200, body = Page<Check>)))]
async fn list(State(app): State<App>, caller: Caller, StrictQuery(query): StrictQuery<ListQuery>) -> Result<Answer, HttpError> {
    let filter = Filter {
        date: query.date.map_or(caller.today, |day| day.0),
        slot: query.slot,
        state: query.state,
        place: query.place,
        after: query.cursor.map(|cursor| cursor.0),
        limit: query.limit.rows(),
    };
    let who = caller.who();
    let rows = app.read(move |mut tx| async move { check::list(&mut tx, &who, &filter).await.map(|rows| (tx, rows)) }).await?;
    let page = Page::cut(rows, query.limit, |row| row.id).map(|row| Check {
        id: row.id,
        senior_id: row.senior_id,
        name: masked(&row.name),
        called: row.called,
        building: row.building,
        unit: row.unit,
        room: row.room,
        local_date: row.local_date,
        slot: row.slot,
        state: row.state,
        expected_sign: row.expected_sign,
        deadline_at: row.deadline_at,
        cutoff_at: row.cutoff_at,
        received_late: row.received_late,
        decided_at: row.decided_at,
    });
    Ok(Answer::ok(&page))
}
