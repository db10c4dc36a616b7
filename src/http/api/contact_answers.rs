//! What a contact answers by the link of her message: without a sign-in, for herself and one alert only. Opening the link shows; only
//! this act answers. "We have reached her" resolves nothing: whoever goes is told (domain.md §5).

use axum::extract::State;
use axum::http::HeaderMap;
use garde::Validate;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::app::App;
use crate::domain::alert::ContactAnswer;
use crate::domain::refusal::{Refusal, RefusalKind};
use crate::http::HttpState;
use crate::http::answer::Answer;
use crate::http::api::alerts::TimelineEntry;
use crate::http::caller::admit_bearer;
use crate::http::envelope::Peer;
use crate::http::error::{HttpError, Problem};
use crate::http::json::StrictJson;
use crate::http::value::MaybeText;
use crate::store::contact_link::{self, FamilyOffer};
use crate::store::{alert, case};

pub fn routes() -> OpenApiRouter<HttpState> {
    OpenApiRouter::new().routes(routes!(answer))
}

#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[garde(allow_unvalidated)]
struct NewContactAnswer {
    /// From the link of the message.
    key: MaybeText<100>,
    answer: ContactAnswer,
    /// Until she is there, for `going`.
    #[serde(default)]
    minutes: Option<i64>,
}

/// What she has answered.
#[derive(Serialize, ToSchema)]
struct ContactAnswered {
    alert_id: Uuid,
    answer: ContactAnswer,
}

/// Answer with the key of a message to a contact. The answer can be changed while the alert is open; the same once more changes nothing.
#[utoipa::path(post, path = "/api/v1/contact-answers", tag = "alerts", security(()), request_body = NewContactAnswer,
    responses((status = 200, body = ContactAnswered), (status = 400, body = Problem), (status = 404, body = Problem), (status = 429, body = Problem)))]
async fn answer(
    State(state): State<HttpState>,
    Peer(address): Peer,
    headers: HeaderMap,
    StrictJson(body, _): StrictJson<NewContactAnswer>,
) -> Result<Answer, HttpError> {
    admit_bearer(&state, &headers, address)?;
    let app = &state.app;
    let (now, key, answer, minutes) = (app.clock.now(), body.key.0, body.answer, body.minutes);
    let answered = app
        .write(move |mut tx| async move {
            let offer = contact_link::find(&mut tx, &key).await?.ok_or_else(over)?;
            case::answer(&mut tx, offer.site_id, (offer.alert_id, offer.contact_id), (answer, minutes), now).await?;
            Ok((tx, ContactAnswered { alert_id: offer.alert_id, answer }))
        })
        .await?;
    app.wake.all();
    Ok(Answer::ok(&answered))
}

/// What a key opens, for the page, with what has been done so far; ended and unknown answer alike.
pub async fn offered(app: &App, key: String) -> Result<(FamilyOffer, Vec<TimelineEntry>), HttpError> {
    let found = app.read(move |mut tx| async move {
        let Some(offer) = contact_link::find(&mut tx, &key).await? else { return Ok((tx, None)) };
        let rows = alert::timeline(&mut tx, offer.site_id, offer.alert_id).await?;
        let shown = rows.into_iter().filter(|row| contact_link::SHOWN.contains(&row.kind)).map(TimelineEntry::read);
        let shown = shown.collect::<Result<Vec<_>, _>>()?;
        Ok((tx, Some((offer, shown))))
    });
    found.await?.ok_or_else(|| over().into())
}

fn over() -> Refusal {
    Refusal::new(RefusalKind::NotFound, "family.over")
}
