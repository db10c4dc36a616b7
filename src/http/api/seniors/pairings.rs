//! 结对: who answers for a senior, and who stands behind.

use axum::extract::State;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::app::App;
use crate::domain::access::Capability;
use crate::http::HttpState;
use crate::http::answer::{Answer, IdempotencyKey};
use crate::http::api::entry::{self, Ending, by};
use crate::http::caller::Caller;
use crate::http::error::{HttpError, Problem};
use crate::http::json::{Segments, StrictJson};
use crate::http::page::{IfMatch, Page};
use crate::store::register::pairing::{self, NewPairing, Pairing, PairingFilter};

pub fn routes() -> OpenApiRouter<HttpState> {
    OpenApiRouter::new().routes(routes!(create, list)).routes(routes!(change))
}

/// Pair a member with the senior.
#[utoipa::path(post, path = "/api/v1/seniors/{id}/pairings", tag = "seniors", params(("id" = Uuid, Path)), request_body = NewPairing,
    responses((status = 201, body = Pairing), (status = 400, body = Problem), (status = 409, body = Problem)))]
async fn create(
    State(app): State<App>,
    caller: Caller,
    Segments(senior_id): Segments<Uuid>,
    key: IdempotencyKey,
    StrictJson(mut body, hash): StrictJson<NewPairing>,
) -> Result<Answer, HttpError> {
    let once = entry::once(key, &caller, &mut body.id, hash)?;
    let by = by(&caller, &app);
    made_once!(app, once, by, |tx| caller.senior(&mut tx, senior_id, Capability::SeniorWrite).await?, {
        let made = pairing::create(&mut tx, &by, senior_id, body).await?;
        Answer::created(&made).version(made.version)
    })
}

/// All pairings with their history.
#[utoipa::path(get, path = "/api/v1/seniors/{id}/pairings", tag = "seniors", params(("id" = Uuid, Path)),
    responses((status = 200, body = Page<Pairing>), (status = 404, body = Problem)))]
async fn list(State(app): State<App>, caller: Caller, Segments(senior_id): Segments<Uuid>) -> Result<Answer, HttpError> {
    let items = listed(&app, &caller, senior_id).await?;
    Ok(Answer::ok(&Page { items, next: None }))
}

/// The same for the senior's page.
pub async fn listed(app: &App, caller: &Caller, senior_id: Uuid) -> Result<Vec<Pairing>, HttpError> {
    let caller = caller.clone();
    Ok(looked_up!(app, |tx| {
        caller.senior(&mut tx, senior_id, Capability::SeniorRead).await?;
        let filter = PairingFilter { senior_id: Some(senior_id), ..PairingFilter::default() };
        pairing::list(&mut tx, caller.site_id, filter, crate::store::register::Page::default()).await?
    }))
}

/// End a pairing: one person fewer is asked, so it needs the right to silence and a recent sign-in.
#[utoipa::path(patch, path = "/api/v1/seniors/{id}/pairings/{pairing}", tag = "seniors",
    params(("id" = Uuid, Path), ("pairing" = Uuid, Path), ("If-Match" = String, Header)), request_body = Ending,
    responses((status = 200, body = Pairing), (status = 403, body = Problem), (status = 409, body = Problem), (status = 412, body = Problem)))]
async fn change(
    State(app): State<App>,
    caller: Caller,
    Segments((senior_id, id)): Segments<(Uuid, Uuid)>,
    if_match: IfMatch,
    StrictJson(body, _): StrictJson<Ending>,
) -> Result<Answer, HttpError> {
    let (by, recent) = (by(&caller, &app), caller.authenticated_recently());
    changed!(
        app,
        if_match,
        |tx| {
            caller.senior(&mut tx, senior_id, Capability::Silence).await?;
            if !recent {
                return Ok((tx, Err(HttpError::RecentSignInRequired)));
            }
            pairing::get(&mut tx, by.site_id, senior_id, id).await?
        },
        pairing::end(&mut tx, &by, senior_id, id, if_match.0, Some(body.to_date)).await?
    )
}
