//! "Whole sheet looked at HH:MM by N, except …": paper typed in later, for those who keep paper.

use std::collections::BTreeSet;

use axum::extract::State;
use garde::Validate;
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::{ItemResult, Results, append, result};
use crate::app::App;
use crate::domain::access::Capability;
use crate::domain::check::Slot;
use crate::domain::id;
use crate::domain::refusal::Refusal;
use crate::domain::signal::{SignalKind, Source, sheet_time};
use crate::http::HttpState;
use crate::http::answer::{Answer, IdempotencyKey, no_key};
use crate::http::api::rounds::{Asked, planned};
use crate::http::caller::Caller;
use crate::http::error::{HttpError, Problem};
use crate::http::json::StrictJson;
use crate::http::value::Timestamp;
use crate::store::signal::{BATCH_MAX, NewSignal};
use crate::store::{access, plan};

pub fn routes() -> OpenApiRouter<HttpState> {
    OpenApiRouter::new().routes(routes!(sheet))
}

#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[garde(allow_unvalidated)]
struct Sheet {
    #[serde(default)]
    id: Option<Uuid>,
    /// A building, or a place above it; the caller's own round of that day if left out.
    #[serde(default)]
    place_id: Option<Uuid>,
    slot: Slot,
    /// Not later than now.
    #[schema(value_type = String)]
    looked_at: Timestamp,
    /// Who looked, if not the caller.
    #[serde(default)]
    observed_by: Option<Uuid>,
    #[serde(default)]
    #[garde(length(max = 500))]
    except: Vec<Exception>,
}

#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[garde(allow_unvalidated)]
struct Exception {
    senior_id: Uuid,
    /// What was seen there; left out: nobody looked at this one.
    #[serde(default)]
    kind: Option<SignalKind>,
}

/// Type in a paper sheet: one look per senior of the place, or of the caller's own round, who had a check in that slot.
#[utoipa::path(post, path = "/api/v1/signals/sheet", tag = "signals", request_body = Sheet,
    responses((status = 200, body = Results), (status = 404, body = Problem), (status = 409, body = Problem)))]
async fn sheet(
    State(app): State<App>,
    caller: Caller,
    key: IdempotencyKey,
    StrictJson(sheet, hash): StrictJson<Sheet>,
) -> Result<Answer, HttpError> {
    let id = key.id(caller.member_id, sheet.id).ok_or_else(no_key)?;
    // Under the sheet's own id: another content of the same paper is a conflict as a whole, whatever it names.
    let once = IdempotencyKey::of(&format!("sheet:{id}")).once(&caller, None, hash)?;
    let now = app.clock.now();
    let signals = looks(&app, &caller, id, sheet).await?;
    let answer = app
        .write(move |mut tx| async move {
            if let Some(answer) = once.replay(&mut tx, now).await? {
                return Ok((tx, answer));
            }
            let receipts = append(&mut tx, &caller, &signals, now).await?;
            let about = |(signal, receipt): (&NewSignal, _)| ItemResult {
                senior_id: Some(signal.senior_id),
                ..result(signal.id, receipt, caller.locale)
            };
            let results = signals.iter().zip(receipts).map(about).collect();
            let answer = Answer::ok(&Results { received_at: now, results });
            once.keep(&mut tx, &answer).await?;
            Ok((tx, answer))
        })
        .await?;
    app.wake.all();
    Ok(answer)
}

/// One look at everybody on the paper, except where it says otherwise.
async fn looks(app: &App, caller: &Caller, id: Uuid, sheet: Sheet) -> Result<Vec<NewSignal>, HttpError> {
    let (asker, now) = (caller.clone(), app.clock.now());
    let (place, slot, looked_at, observed_by) = (sheet.place_id, sheet.slot, sheet.looked_at.0, sheet.observed_by);
    let (stops, known) = app
        .read(move |mut tx| async move {
            let rules = plan::site(&mut tx, asker.site_id).await?.rules.check;
            sheet_time(looked_at, now, rules.future_people.0)?;
            let asked = Asked { date: looked_at.with_timezone(&asker.timezone).date_naive(), slot, place, sheet: false };
            let stops = planned(&mut tx, &asker, asked, Capability::SignalCreate).await?;
            let known = match observed_by {
                Some(member) => access::members_among(&mut tx, asker.site_id, &BTreeSet::from([member])).await?.contains(&member),
                None => true,
            };
            Ok((tx, (stops, known)))
        })
        .await?;
    if !known {
        return Err(Refusal::invalid("observed_by", "register.unknown_reference").into());
    }
    // Whoever walks no round and keeps no place has no paper to type in.
    if stops.is_empty() && sheet.place_id.is_none() && !caller.may(Capability::SignalCreate) {
        return Err(Refusal::forbidden("problem.forbidden").into());
    }
    if stops.is_empty() || stops.len() > BATCH_MAX {
        return Err(Refusal::invalid("place_id", "http.sheet_place").with("max", BATCH_MAX).into());
    }
    for (index, exception) in sheet.except.iter().enumerate() {
        if !stops.iter().any(|stop| stop.senior_id == exception.senior_id) {
            return Err(Refusal::invalid(format!("except[{index}].senior_id"), "http.sheet_except").into());
        }
    }
    let looked = stops.into_iter().filter_map(|stop| {
        let exception = sheet.except.iter().find(|exception| exception.senior_id == stop.senior_id);
        let kind = exception.map_or_else(|| Some(stop.expected_sign.shown_by()), |exception| exception.kind)?;
        Some(sheet.look(caller, id, stop.senior_id, kind))
    });
    Ok(looked.collect())
}

impl Sheet {
    fn look(&self, caller: &Caller, sheet: Uuid, senior_id: Uuid, kind: SignalKind) -> NewSignal {
        NewSignal {
            id: id::sheet_signal(sheet, senior_id),
            senior_id,
            kind,
            observed_at: self.looked_at.0,
            observed_by: self.observed_by.or(Some(caller.member_id)),
            entered_by: Some(caller.member_id),
            device_id: None,
            source: Source::Sheet,
            evidence: None,
            deed: None,
            replaces: None,
            reason: None,
            note: None,
        }
    }
}
