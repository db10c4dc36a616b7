//! Figures of a period for those who answer for a place: by day, by cause, by class of outcome.

use axum::extract::State;
use chrono::{NaiveDate, TimeDelta};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::app::App;
use crate::domain::access::Capability;
use crate::domain::refusal::Refusal;
use crate::domain::statistics::Statistics;
use crate::http::HttpState;
use crate::http::answer::Answer;
use crate::http::caller::Caller;
use crate::http::error::{HttpError, Problem};
use crate::http::json::StrictQuery;
use crate::http::value::Day;
use crate::store::statistics::{self, Period};

/// One period.
const DAYS_MAX: i64 = 366;
/// The period if nothing is said.
const DAYS_DEFAULT: i64 = 30;

pub fn routes() -> OpenApiRouter<HttpState> {
    OpenApiRouter::new().routes(routes!(get))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct Query {
    /// First day; 30 days back if left out.
    #[serde(default)]
    #[param(value_type = Option<String>, format = Date)]
    from: Option<Day>,
    /// Last day; today if left out.
    #[serde(default)]
    #[param(value_type = Option<String>, format = Date)]
    to: Option<Day>,
    /// This place and below; all that the caller's roles answer for if left out.
    #[serde(default)]
    place: Option<Uuid>,
}

/// Checks and how many were looked at, alerts per 100 senior-days, and minutes to claim and to contact (median and p90), at
/// most 366 days. Canaries and drills are not counted.
#[utoipa::path(get, path = "/api/v1/statistics", tag = "statistics", params(Query),
    responses((status = 200, body = Statistics), (status = 400, body = Problem), (status = 403, body = Problem)))]
async fn get(State(app): State<App>, caller: Caller, StrictQuery(query): StrictQuery<Query>) -> Result<Answer, HttpError> {
    let asked = Asked { from: query.from.map(|day| day.0), to: query.to.map(|day| day.0), place: query.place };
    Ok(Answer::ok(&of(&app, &caller, asked).await?))
}

/// Which figures somebody asks for.
#[derive(Debug, Clone, Copy, Default)]
pub struct Asked {
    pub from: Option<NaiveDate>,
    pub to: Option<NaiveDate>,
    pub place: Option<Uuid>,
}

/// The figures of a period over the places for which the caller's roles answer.
pub async fn of(app: &App, caller: &Caller, asked: Asked) -> Result<Statistics, HttpError> {
    caller.require(Capability::HealthRead)?;
    let to = asked.to.unwrap_or(caller.today);
    let from = asked.from.unwrap_or(to - TimeDelta::days(DAYS_DEFAULT - 1));
    if from > to || (to - from).num_days() >= DAYS_MAX {
        return Err(Refusal::invalid("to", "register.days_span").with("days", DAYS_MAX).into());
    }
    let (period, caller) = (Period { from, to, zone: caller.timezone, place: asked.place }, caller.clone());
    Ok(looked_up!(app, |tx| {
        if let Some(place) = asked.place {
            caller.place(&mut tx, place, Capability::HealthRead).await?;
        }
        statistics::statistics(&mut tx, &caller.who(), &period).await?
    }))
}
