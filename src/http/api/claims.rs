//! "I am going", said by the link of a message: without a sign-in, for one person and the alerts of that message only. Opening the
//! link shows; only this act claims, because chat programs open links before people do.

use axum::extract::State;
use axum::http::HeaderMap;
use chrono::{DateTime, Utc};
use garde::Validate;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::app::App;
use crate::domain::case::{Act, Actor};
use crate::domain::refusal::{Refusal, RefusalKind};
use crate::http::HttpState;
use crate::http::answer::Answer;
use crate::http::caller::admit_bearer;
use crate::http::envelope::Peer;
use crate::http::error::{HttpError, Problem};
use crate::http::json::StrictJson;
use crate::http::value::MaybeText;
use crate::store::audit;
use crate::store::case;
use crate::store::claim_link::{self, Offer};

pub fn routes() -> OpenApiRouter<HttpState> {
    OpenApiRouter::new().routes(routes!(claim))
}

#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[garde(allow_unvalidated)]
struct Claim {
    /// From the link of the message.
    key: MaybeText<100>,
    alert_id: Uuid,
}

/// Who goes, and until when others wait for her.
#[derive(Serialize, ToSchema)]
struct Claimed {
    alert_id: Uuid,
    claim_until: Option<DateTime<Utc>>,
}

/// Say "I am going" with the key of a message. A repeat of the same person holds the alert as long again.
#[utoipa::path(post, path = "/api/v1/claims", tag = "alerts", security(()), request_body = Claim,
    responses((status = 200, body = Claimed), (status = 404, body = Problem), (status = 409, body = Problem), (status = 429, body = Problem)))]
async fn claim(
    State(state): State<HttpState>,
    Peer(address): Peer,
    headers: HeaderMap,
    StrictJson(body, _): StrictJson<Claim>,
) -> Result<Answer, HttpError> {
    admit_bearer(&state, &headers, address)?;
    let app = &state.app;
    let (now, key, alert_id) = (app.clock.now(), body.key.0, body.alert_id);
    let claimed = app
        .write(move |mut tx| async move {
            let offer = claim_link::find(&mut tx, &key).await?.filter(|offer| offer.alerts.iter().any(|alert| alert.id == alert_id));
            let offer = offer.ok_or_else(unknown)?;
            let actor = Actor { id: offer.member_id, may_silence: false, may_confirm: false };
            let alert = case::act(&mut tx, offer.site_id, alert_id, actor, Act::Claim, now).await?;
            let entry = audit::Entry {
                site_id: offer.site_id,
                at: now,
                actor_id: Some(offer.member_id),
                act: "claim_by_link",
                object_kind: "alert",
                object_id: Some(alert_id),
                fields: &[],
            };
            audit::write(&mut tx, &entry).await?;
            Ok((tx, Claimed { alert_id, claim_until: alert.claim_until }))
        })
        .await?;
    app.wake.all();
    Ok(Answer::ok(&claimed))
}

/// What a key opens, for the page; ended and unknown answer alike.
pub async fn offered(app: &App, key: String) -> Result<Offer, HttpError> {
    let found = app.read(move |mut tx| async move {
        let found = claim_link::find(&mut tx, &key).await?;
        Ok((tx, found))
    });
    found.await?.ok_or_else(|| unknown().into())
}

fn unknown() -> Refusal {
    Refusal::new(RefusalKind::NotFound, "door.link_over")
}
