//! 不在家登记: proposed by whoever hears of it, confirmed by somebody who answers for it.

use axum::extract::State;
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
use crate::http::json::{ContentHash, Segments, StrictJson};
use crate::http::page::{IfMatch, Page};
use crate::store::register::absence::{self, Absence, NewAbsence};

pub fn routes() -> OpenApiRouter<HttpState> {
    OpenApiRouter::new().routes(routes!(create, list)).routes(routes!(confirm)).routes(routes!(cancel)).routes(routes!(confirm_return))
}

/// Say that the senior is away. It excuses nothing until it is confirmed.
#[utoipa::path(post, path = "/api/v1/seniors/{id}/absences", tag = "seniors", params(("id" = Uuid, Path)), request_body = NewAbsence,
    responses((status = 201, body = Absence), (status = 400, body = Problem), (status = 409, body = Problem)))]
async fn create(
    State(app): State<App>,
    caller: Caller,
    Segments(senior_id): Segments<Uuid>,
    key: IdempotencyKey,
    StrictJson(mut body, hash): StrictJson<NewAbsence>,
) -> Result<Answer, HttpError> {
    let once = entry::once(key, &caller, &mut body.id, hash)?;
    let by = by(&caller, &app);
    made_once!(app, once, by, |tx| caller.senior(&mut tx, senior_id, Capability::AbsencePropose).await?, {
        let made = absence::propose(&mut tx, &by, senior_id, body).await?;
        Answer::created(&made).version(made.version)
    })
}

/// All absences, oldest first.
#[utoipa::path(get, path = "/api/v1/seniors/{id}/absences", tag = "seniors", params(("id" = Uuid, Path)),
    responses((status = 200, body = Page<Absence>), (status = 404, body = Problem)))]
async fn list(State(app): State<App>, caller: Caller, Segments(senior_id): Segments<Uuid>) -> Result<Answer, HttpError> {
    let items = listed(&app, &caller, senior_id).await?;
    Ok(Answer::ok(&Page { items, next: None }))
}

/// The same for the senior's page.
pub async fn listed(app: &App, caller: &Caller, senior_id: Uuid) -> Result<Vec<Absence>, HttpError> {
    let caller = caller.clone();
    Ok(looked_up!(app, |tx| {
        caller.senior(&mut tx, senior_id, Capability::SeniorRead).await?;
        absence::list(&mut tx, caller.site_id, senior_id).await?
    }))
}

/// Confirm an absence: it silences checks, so it needs the right to and a recent sign-in. If-Match makes a repeat harmless.
#[utoipa::path(post, path = "/api/v1/seniors/{id}/absences/{absence}/confirm", tag = "seniors",
    params(("id" = Uuid, Path), ("absence" = Uuid, Path), ("If-Match" = String, Header)),
    responses((status = 200, body = Absence), (status = 403, body = Problem), (status = 412, body = Problem)))]
async fn confirm(
    State(app): State<App>,
    caller: Caller,
    Segments((senior_id, id)): Segments<(Uuid, Uuid)>,
    if_match: IfMatch,
    key: IdempotencyKey,
) -> Result<Answer, HttpError> {
    let once = key.maybe(&caller, None, ContentHash::of(&("confirm", senior_id, id)));
    let by = by(&caller, &app);
    let recent = caller.authenticated_recently();
    let answer = changed_once!(
        app,
        once,
        by,
        if_match,
        |tx| {
            caller.senior(&mut tx, senior_id, Capability::AbsenceConfirm).await?;
            if !recent {
                return Ok((tx, Err(HttpError::RecentSignInRequired)));
            }
            absence::get(&mut tx, by.site_id, senior_id, id).await?
        },
        absence::confirm(&mut tx, &by, senior_id, id, if_match.0, true).await?
    );
    app.wake.all();
    answer
}

/// Say that the senior comes back as was entered, or is back: for those paired with her, branch and social worker, from the day
/// before on. If she stays away longer, enter an absence that begins on the return date, and confirm that.
#[utoipa::path(post, path = "/api/v1/seniors/{id}/absences/{absence}/confirm-return", tag = "seniors",
    params(("id" = Uuid, Path), ("absence" = Uuid, Path), ("If-Match" = String, Header)),
    responses((status = 200, body = Absence), (status = 403, body = Problem), (status = 409, body = Problem), (status = 412, body = Problem)))]
async fn confirm_return(
    State(app): State<App>,
    caller: Caller,
    Segments((senior_id, id)): Segments<(Uuid, Uuid)>,
    if_match: IfMatch,
    key: IdempotencyKey,
) -> Result<Answer, HttpError> {
    let once = key.maybe(&caller, None, ContentHash::of(&("confirm-return", senior_id, id)));
    let by = by(&caller, &app);
    changed_once!(
        app,
        once,
        by,
        if_match,
        |tx| {
            caller.senior(&mut tx, senior_id, Capability::ReturnConfirm).await?;
            absence::get(&mut tx, by.site_id, senior_id, id).await?
        },
        absence::confirm_return(&mut tx, &by, senior_id, id, if_match.0).await?
    )
}

/// Cancel an absence: she is at home after all.
#[utoipa::path(post, path = "/api/v1/seniors/{id}/absences/{absence}/cancel", tag = "seniors",
    params(("id" = Uuid, Path), ("absence" = Uuid, Path), ("If-Match" = String, Header)),
    responses((status = 200, body = Absence), (status = 412, body = Problem)))]
async fn cancel(
    State(app): State<App>,
    caller: Caller,
    Segments((senior_id, id)): Segments<(Uuid, Uuid)>,
    if_match: IfMatch,
    key: IdempotencyKey,
) -> Result<Answer, HttpError> {
    let once = key.maybe(&caller, None, ContentHash::of(&("cancel", senior_id, id)));
    let by = by(&caller, &app);
    let answer = changed_once!(
        app,
        once,
        by,
        if_match,
        |tx| {
            caller.senior(&mut tx, senior_id, Capability::AbsencePropose).await?;
            absence::get(&mut tx, by.site_id, senior_id, id).await?
        },
        absence::cancel(&mut tx, &by, senior_id, id, if_match.0).await?
    );
    app.wake.all();
    answer
}
