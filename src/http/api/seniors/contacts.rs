//! Whom to phone about a senior, in order. Reading is logged, with its reason unless an open alert is the reason.

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
use crate::http::answer::{Answer, IdempotencyKey};
use crate::http::api::entry::{self, by};
use crate::http::caller::Caller;
use crate::http::error::{HttpError, Problem};
use crate::http::json::{Segments, StrictJson, StrictQuery};
use crate::http::page::{IfMatch, Page};
use crate::store::register::contact::{self, Contact, ContactPatch, NewContact};
use crate::store::register::senior::{self, RevealReason};

pub fn routes() -> OpenApiRouter<HttpState> {
    OpenApiRouter::new().routes(routes!(create, list)).routes(routes!(change))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct ReadQuery {
    /// Why the list is opened; may be left out by whoever was told of an open alert.
    #[serde(default)]
    pub reason: Option<RevealReason>,
}

/// The reason that goes on record: the one given, or the alert that the reader was told of.
pub(super) fn reason(given: Option<RevealReason>, told: bool) -> Result<RevealReason, Refusal> {
    let reason = given.or_else(|| told.then_some(RevealReason::Alert));
    reason.ok_or_else(|| Refusal::invalid("reason", "register.reason_required"))
}

/// Add a contact.
#[utoipa::path(post, path = "/api/v1/seniors/{id}/contacts", tag = "seniors", params(("id" = Uuid, Path)), request_body = NewContact,
    responses((status = 201, body = Contact), (status = 400, body = Problem), (status = 409, body = Problem)))]
async fn create(
    State(app): State<App>,
    caller: Caller,
    Segments(senior_id): Segments<Uuid>,
    key: IdempotencyKey,
    StrictJson(mut body, hash): StrictJson<NewContact>,
) -> Result<Answer, HttpError> {
    let once = entry::once(key, &caller, &mut body.id, hash)?;
    let by = by(&caller, &app);
    made_once!(app, once, by, |tx| caller.senior(&mut tx, senior_id, Capability::SeniorWrite).await?, {
        let made = contact::create(&mut tx, &by, senior_id, body).await?;
        Answer::created(&made).version(made.version)
    })
}

/// The contacts in the order in which they are phoned.
#[utoipa::path(get, path = "/api/v1/seniors/{id}/contacts", tag = "seniors", params(("id" = Uuid, Path), ReadQuery),
    responses((status = 200, body = Page<Contact>), (status = 403, body = Problem), (status = 404, body = Problem)))]
async fn list(
    State(app): State<App>,
    caller: Caller,
    Segments(senior_id): Segments<Uuid>,
    StrictQuery(query): StrictQuery<ReadQuery>,
) -> Result<Answer, HttpError> {
    let by = by(&caller, &app);
    let items = app
        .write(move |mut tx| async move {
            let relation = caller.senior(&mut tx, senior_id, Capability::SensitiveRead).await?;
            senior::reveal(&mut tx, &by, senior_id, reason(query.reason, relation.told)?).await?;
            let items = contact::list(&mut tx, by.site_id, senior_id).await?;
            Ok((tx, items))
        })
        .await?;
    Ok(Answer::ok(&Page { items, next: None }))
}

/// Change or end a contact.
#[utoipa::path(patch, path = "/api/v1/seniors/{id}/contacts/{contact}", tag = "seniors",
    params(("id" = Uuid, Path), ("contact" = Uuid, Path), ("If-Match" = String, Header)), request_body = ContactPatch,
    responses((status = 200, body = Contact), (status = 412, body = Problem)))]
async fn change(
    State(app): State<App>,
    caller: Caller,
    Segments((senior_id, id)): Segments<(Uuid, Uuid)>,
    if_match: IfMatch,
    StrictJson(body, _): StrictJson<ContactPatch>,
) -> Result<Answer, HttpError> {
    let ending = entry::is_ending(&body, "ended", body.ended)?;
    let by = by(&caller, &app);
    changed!(
        app,
        if_match,
        |tx| {
            caller.senior(&mut tx, senior_id, Capability::SeniorWrite).await?;
            contact::get(&mut tx, by.site_id, senior_id, id).await?
        },
        if ending {
            contact::end(&mut tx, &by, senior_id, id, if_match.0).await?
        } else {
            contact::patch(&mut tx, &by, senior_id, id, if_match.0, body).await?
        }
    )
}
