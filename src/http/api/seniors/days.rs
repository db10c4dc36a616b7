//! What was seen of a senior, day by day.

use axum::extract::State;
use chrono::{Months, NaiveDate, TimeDelta};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::app::App;
use crate::domain::access::Capability;
use crate::domain::refusal::Refusal;
use crate::http::HttpState;
use crate::http::answer::Answer;
use crate::http::caller::Caller;
use crate::http::error::{HttpError, Problem};
use crate::http::json::{Segments, StrictQuery};
use crate::http::page::Page;
use crate::http::value::Day as DateText;
use crate::store::register::day::{self, DAYS_MAX, Day, Morning};

pub fn routes() -> OpenApiRouter<HttpState> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(year))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct SpanQuery {
    #[param(value_type = String)]
    from: DateText,
    /// Included; at most 62 days.
    #[param(value_type = String)]
    to: DateText,
}

/// The checks of these days, each with its looks.
#[utoipa::path(get, path = "/api/v1/seniors/{id}/days", tag = "seniors", params(("id" = Uuid, Path), SpanQuery),
    responses((status = 200, body = Page<Day>), (status = 400, body = Problem), (status = 404, body = Problem)))]
async fn list(
    State(app): State<App>,
    caller: Caller,
    Segments(senior_id): Segments<Uuid>,
    StrictQuery(query): StrictQuery<SpanQuery>,
) -> Result<Answer, HttpError> {
    let items = listed(&app, &caller, senior_id, query.from.0, query.to.0).await?;
    Ok(Answer::ok(&Page { items, next: None }))
}

/// The same for the senior's page.
pub async fn listed(app: &App, caller: &Caller, senior_id: Uuid, from: NaiveDate, to: NaiveDate) -> Result<Vec<Day>, HttpError> {
    let caller = caller.clone();
    if !(0..DAYS_MAX).contains(&(to - from).num_days()) {
        return Err(Refusal::invalid("to", "register.days_span").with("days", DAYS_MAX).into());
    }
    Ok(looked_up!(app, |tx| {
        caller.senior(&mut tx, senior_id, Capability::SeniorRead).await?;
        day::list(&mut tx, caller.site_id, senior_id, from, to).await?
    }))
}

/// The mornings of the year that ends today, oldest first: for the picture, which needs no more than how each went.
#[utoipa::path(get, path = "/api/v1/seniors/{id}/year", tag = "seniors", params(("id" = Uuid, Path)),
    responses((status = 200, body = Page<Morning>), (status = 404, body = Problem)))]
async fn year(State(app): State<App>, caller: Caller, Segments(senior_id): Segments<Uuid>) -> Result<Answer, HttpError> {
    let items = mornings(&app, &caller, senior_id).await?;
    Ok(Answer::ok(&Page { items, next: None }))
}

/// The same for the senior's page.
pub async fn mornings(app: &App, caller: &Caller, senior_id: Uuid) -> Result<Vec<Morning>, HttpError> {
    let caller = caller.clone();
    let from = caller.today.checked_sub_months(Months::new(12)).unwrap_or(caller.today) + TimeDelta::days(1);
    Ok(looked_up!(app, |tx| {
        caller.senior(&mut tx, senior_id, Capability::SeniorRead).await?;
        day::mornings(&mut tx, caller.site_id, senior_id, from, caller.today).await?
    }))
}
