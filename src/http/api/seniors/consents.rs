//! What a senior has agreed to. Consents are withdrawn, never deleted.

use axum::extract::State;
use garde::Validate;
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::contacts::{ReadQuery, reason};
use crate::app::App;
use crate::domain::access::Capability;
use crate::http::HttpState;
use crate::http::answer::{Answer, IdempotencyKey};
use crate::http::api::entry::{self, by};
use crate::http::caller::Caller;
use crate::http::error::{HttpError, Problem};
use crate::http::json::{Segments, StrictJson, StrictQuery};
use crate::http::page::{IfMatch, Page};
use crate::store::register::consent::{self, Consent, NewConsent};
use crate::store::register::senior;

pub fn routes() -> OpenApiRouter<HttpState> {
    OpenApiRouter::new().routes(routes!(create, list)).routes(routes!(change))
}

#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[garde(allow_unvalidated)]
struct ConsentChange {
    /// Only true: it is withdrawn.
    withdrawn: bool,
}

/// Record a consent.
#[utoipa::path(post, path = "/api/v1/seniors/{id}/consents", tag = "seniors", params(("id" = Uuid, Path)), request_body = NewConsent,
    responses((status = 201, body = Consent), (status = 400, body = Problem), (status = 409, body = Problem)))]
async fn create(
    State(app): State<App>,
    caller: Caller,
    Segments(senior_id): Segments<Uuid>,
    key: IdempotencyKey,
    StrictJson(mut body, hash): StrictJson<NewConsent>,
) -> Result<Answer, HttpError> {
    let once = entry::once(key, &caller, &mut body.id, hash)?;
    let by = by(&caller, &app);
    made_once!(app, once, by, |tx| caller.senior(&mut tx, senior_id, Capability::SeniorWrite).await?, {
        let made = consent::create(&mut tx, &by, senior_id, body).await?;
        Answer::created(&made).version(made.version)
    })
}

/// All consents with their history.
#[utoipa::path(get, path = "/api/v1/seniors/{id}/consents", tag = "seniors", params(("id" = Uuid, Path), ReadQuery),
    responses((status = 200, body = Page<Consent>), (status = 403, body = Problem), (status = 404, body = Problem)))]
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
            let items = consent::list(&mut tx, by.site_id, senior_id).await?;
            Ok((tx, items))
        })
        .await?;
    Ok(Answer::ok(&Page { items, next: None }))
}

/// Withdraw a consent.
#[utoipa::path(patch, path = "/api/v1/seniors/{id}/consents/{consent}", tag = "seniors",
    params(("id" = Uuid, Path), ("consent" = Uuid, Path), ("If-Match" = String, Header)), request_body = ConsentChange,
    responses((status = 200, body = Consent), (status = 412, body = Problem)))]
async fn change(
    State(app): State<App>,
    caller: Caller,
    Segments((senior_id, id)): Segments<(Uuid, Uuid)>,
    if_match: IfMatch,
    StrictJson(body, _): StrictJson<ConsentChange>,
) -> Result<Answer, HttpError> {
    if !body.withdrawn {
        return Err(HttpError::field("withdrawn", "http.field_only_true", "expected true"));
    }
    let by = by(&caller, &app);
    changed!(
        app,
        if_match,
        |tx| {
            caller.senior(&mut tx, senior_id, Capability::SeniorWrite).await?;
            consent::get(&mut tx, by.site_id, senior_id, id).await?
        },
        consent::withdraw(&mut tx, &by, senior_id, id, if_match.0).await?
    )
}
