//! 窗帘约定. An agreement is never edited: a new one takes its weekdays over on its first day. The answer names that day
//! (`effective_from`) and what it took (`replaces`).

use axum::extract::State;
use chrono::NaiveDate;
use garde::Validate;
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::app::App;
use crate::domain::access::Capability;
use crate::http::HttpState;
use crate::http::answer::{Answer, IdempotencyKey};
use crate::http::api::entry::{self, by};
use crate::http::caller::Caller;
use crate::http::error::{HttpError, Problem};
use crate::http::json::{Segments, StrictJson};
use crate::http::page::Page;
use crate::store::register::agreement::{self, Agreement, NewAgreement};

pub fn routes() -> OpenApiRouter<HttpState> {
    OpenApiRouter::new().routes(routes!(create, list)).routes(routes!(end))
}

#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[garde(allow_unvalidated)]
struct AgreementEnd {
    /// Names this request, so that a repeat does nothing.
    #[serde(default)]
    id: Uuid,
    /// The first day without, in the site's zone; tomorrow if left out. Today is possible while the cutoff lies ahead.
    #[serde(default)]
    to_date: Option<NaiveDate>,
}

/// Agree anew for a slot and its weekdays; other weekdays stay as they are agreed. Later, longer or more trust in a sensor needs
/// the right to silence and a recent sign-in. To have fewer days, end the old agreement.
#[utoipa::path(post, path = "/api/v1/seniors/{id}/agreements", tag = "seniors", params(("id" = Uuid, Path)), request_body = NewAgreement,
    responses((status = 201, body = Agreement), (status = 400, body = Problem), (status = 403, body = Problem), (status = 409, body = Problem)))]
async fn create(
    State(app): State<App>,
    caller: Caller,
    Segments(senior_id): Segments<Uuid>,
    key: IdempotencyKey,
    StrictJson(mut body, hash): StrictJson<NewAgreement>,
) -> Result<Answer, HttpError> {
    let once = entry::once(key, &caller, &mut body.id, hash)?;
    let (by, recent) = (by(&caller, &app), caller.authenticated_recently());
    let answer = made_once!(app, once, by, |tx| caller.senior(&mut tx, senior_id, Capability::SeniorWrite).await?, {
        let relation = caller.senior(&mut tx, senior_id, Capability::SeniorWrite).await?;
        let may_silence = recent && relation.may(Capability::Silence);
        Answer::created(&agreement::create(&mut tx, &by, senior_id, body, may_silence).await?)
    });
    app.wake.all();
    answer
}

/// All agreements with their history, oldest first.
#[utoipa::path(get, path = "/api/v1/seniors/{id}/agreements", tag = "seniors", params(("id" = Uuid, Path)),
    responses((status = 200, body = Page<Agreement>), (status = 404, body = Problem)))]
async fn list(State(app): State<App>, caller: Caller, Segments(senior_id): Segments<Uuid>) -> Result<Answer, HttpError> {
    let items = listed(&app, &caller, senior_id).await?;
    Ok(Answer::ok(&Page { items, next: None }))
}

/// The same for the senior's page.
pub async fn listed(app: &App, caller: &Caller, senior_id: Uuid) -> Result<Vec<Agreement>, HttpError> {
    let caller = caller.clone();
    Ok(looked_up!(app, |tx| {
        caller.senior(&mut tx, senior_id, Capability::SeniorRead).await?;
        agreement::list(&mut tx, caller.site_id, senior_id).await?
    }))
}

/// End an agreement: nobody is looked for after that, so it needs the right to silence and a recent sign-in.
#[utoipa::path(post, path = "/api/v1/seniors/{id}/agreements/{agreement}/end", tag = "seniors",
    params(("id" = Uuid, Path), ("agreement" = Uuid, Path)), request_body = AgreementEnd,
    responses((status = 200, body = Agreement), (status = 403, body = Problem), (status = 409, body = Problem)))]
async fn end(
    State(app): State<App>,
    caller: Caller,
    Segments((senior_id, id)): Segments<(Uuid, Uuid)>,
    key: IdempotencyKey,
    StrictJson(mut body, hash): StrictJson<AgreementEnd>,
) -> Result<Answer, HttpError> {
    let once = entry::once(key, &caller, &mut body.id, hash)?;
    let (by, recent) = (by(&caller, &app), caller.authenticated_recently());
    let answer = made_once!(app, once, by, |tx| caller.senior(&mut tx, senior_id, Capability::SeniorWrite).await?, {
        let relation = caller.senior(&mut tx, senior_id, Capability::SeniorWrite).await?;
        let may_silence = recent && relation.may(Capability::Silence);
        Answer::ok(&agreement::end(&mut tx, &by, senior_id, id, body.to_date, may_silence).await?)
    });
    app.wake.all();
    answer
}
