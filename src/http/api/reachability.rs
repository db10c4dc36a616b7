//! Whom an alert would not reach: red until somebody closes the gap.

use axum::extract::State;
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
use crate::http::json::StrictQuery;
use crate::http::value::Day;
use crate::store::register::reach::{self, Reachability};

pub fn routes() -> OpenApiRouter<HttpState> {
    OpenApiRouter::new().routes(routes!(get))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct Query {
    /// This place and below; may be left out by those whose role covers the whole site.
    #[serde(default)]
    place: Option<Uuid>,
    /// Today if left out; tomorrow shows who has no cover.
    #[serde(default)]
    #[param(value_type = Option<String>)]
    date: Option<Day>,
}

/// Gaps per senior as the ladder would meet them: agreement and its weekdays, primary, backup, verified channels, leave, who
/// could enter, and the roles above. Each is also counted in the metrics and told to those who can close it.
#[utoipa::path(get, path = "/api/v1/reachability", tag = "reachability", params(Query),
    responses((status = 200, body = Reachability), (status = 403, body = Problem)))]
async fn get(State(app): State<App>, caller: Caller, StrictQuery(query): StrictQuery<Query>) -> Result<Answer, HttpError> {
    if query.place.is_none() {
        // Whoever answers for a part of the site is told what to add, not merely refused.
        caller.require(Capability::SeniorRead)?;
        caller.require_site(Capability::SeniorRead).map_err(|_| Refusal::forbidden("problem.place_needed"))?;
    }
    let date = query.date.map_or(caller.today, |day| day.0);
    let found = looked_up!(app, |tx| {
        if let Some(place) = query.place {
            caller.place(&mut tx, place, Capability::SeniorRead).await?;
        }
        reach::reachability(&mut tx, caller.site_id, query.place, date).await?
    });
    Ok(Answer::ok(&found))
}
