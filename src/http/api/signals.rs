//! What was seen or heard: one signal, up to 500, or a whole sheet typed in from paper. Each has a client-made id, so that
//! a phone may send it again as often as it likes.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use garde::Validate;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::app::App;
use crate::domain::access::Capability;
use crate::domain::check::Slot;
use crate::domain::id;
use crate::domain::refusal::Refusal;
use crate::domain::signal::{SignalKind, Source, Standing};
use crate::http::HttpState;
use crate::http::answer::Answer;
use crate::http::caller::Caller;
use crate::http::error::{HttpError, Problem};
use crate::http::json::{BatchJson, StrictJson};
use crate::http::value::{Text, Timestamp};
use crate::store::signal::{self, BATCH_MAX, NewSignal, Receipt};
use crate::store::{access, round};
use crate::text;

pub fn routes() -> OpenApiRouter<HttpState> {
    OpenApiRouter::new().routes(routes!(create)).routes(routes!(sheet))
}

/// One signal, or `signals` alone: up to 500 of them.
#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[garde(allow_unvalidated)]
struct Body {
    #[serde(default)]
    #[garde(length(min = 1, max = 500))]
    signals: Option<Vec<SignalInput>>,
    id: Option<Uuid>,
    senior_id: Option<Uuid>,
    kind: Option<SignalKind>,
    #[schema(value_type = Option<String>)]
    observed_at: Option<Timestamp>,
    observed_by: Option<Uuid>,
    replaces: Option<Uuid>,
    reason: Option<Text<200>>,
    note: Option<Text<200>>,
}

#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[garde(allow_unvalidated)]
struct SignalInput {
    /// Made by the client; the same id with the same content changes nothing.
    id: Uuid,
    senior_id: Uuid,
    kind: SignalKind,
    #[schema(value_type = String)]
    observed_at: Timestamp,
    /// Who looked, if not the caller.
    #[serde(default)]
    observed_by: Option<Uuid>,
    /// The signal that this one corrects; needs a reason.
    #[serde(default)]
    replaces: Option<Uuid>,
    #[serde(default)]
    reason: Option<Text<200>>,
    #[serde(default)]
    note: Option<Text<200>>,
}

/// "Whole sheet looked at HH:MM by N, except …"
#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[garde(allow_unvalidated)]
struct Sheet {
    id: Uuid,
    /// A building, or a place above it.
    place_id: Uuid,
    slot: Slot,
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

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum ItemStatus {
    Stored,
    /// Sent before with the same content.
    Known,
    /// The id stands for other content; the first is kept.
    Conflict,
    Refused,
}

/// What became of one signal.
#[derive(Serialize, ToSchema)]
struct ItemResult {
    id: Uuid,
    status: ItemStatus,
    /// Whether it may decide anything.
    #[serde(skip_serializing_if = "Option::is_none")]
    standing: Option<Standing>,
    /// Why not, in the reader's language.
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<String>,
}

#[derive(Serialize, ToSchema)]
struct Results {
    received_at: DateTime<Utc>,
    results: Vec<ItemResult>,
}

/// Report one signal (201, 200 if known, 409) or many (200 with a result for each, in order).
#[utoipa::path(post, path = "/api/v1/signals", tag = "signals", request_body = Body,
    responses((status = 201, body = ItemResult), (status = 200, body = Results), (status = 409, body = Problem)))]
async fn create(State(app): State<App>, caller: Caller, BatchJson(body, _): BatchJson<Body>) -> Result<Response, HttpError> {
    match body.inputs()? {
        Inputs::One(input) => {
            let signal = input.signal(&caller, "")?;
            let (id, mut receipts) = (signal.id, store(&app, &caller, vec![signal]).await?.1);
            match receipts.remove(0) {
                Receipt::Conflict => Err(Refusal::conflict("problem.same_id_other_content").into()),
                Receipt::Refused(refusal) => Err(refusal.into()),
                receipt @ Receipt::Known(_) => Ok(Answer::ok(&result(id, receipt, caller.locale)).into_response()),
                receipt @ Receipt::Stored(_) => Ok(Answer::created(&result(id, receipt, caller.locale)).into_response()),
            }
        }
        Inputs::Many(inputs) => {
            let signals: Vec<NewSignal> = inputs
                .into_iter()
                .enumerate()
                .map(|(index, input)| input.signal(&caller, &format!("signals[{index}].")))
                .collect::<Result<_, _>>()?;
            Ok(Answer::ok(&results(&app, &caller, signals).await?).into_response())
        }
    }
}

/// Type in a paper sheet: one look per senior of the place who had a check in that slot.
#[utoipa::path(post, path = "/api/v1/signals/sheet", tag = "signals", request_body = Sheet,
    responses((status = 200, body = Results), (status = 404, body = Problem)))]
async fn sheet(State(app): State<App>, caller: Caller, StrictJson(sheet, _): StrictJson<Sheet>) -> Result<Response, HttpError> {
    let (asker, place, slot) = (caller.clone(), sheet.place_id, sheet.slot);
    let date = sheet.looked_at.0.with_timezone(&caller.timezone).date_naive();
    let stops = app
        .read(move |mut tx| async move {
            asker.place(&mut tx, place, Capability::SignalCreate).await?;
            let stops = round::of_place(&mut tx, asker.site_id, place, date, slot).await?;
            Ok((tx, stops))
        })
        .await?;
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
        Some(sheet.look(&caller, stop.senior_id, kind))
    });
    let signals: Vec<NewSignal> = looked.collect();
    Ok((StatusCode::OK, Answer::ok(&results(&app, &caller, signals).await?)).into_response())
}

enum Inputs {
    One(SignalInput),
    Many(Vec<SignalInput>),
}

impl Body {
    fn inputs(self) -> Result<Inputs, HttpError> {
        let alone = self.id.is_none() && self.senior_id.is_none() && self.kind.is_none() && self.observed_at.is_none();
        if let Some(signals) = self.signals {
            return if alone { Ok(Inputs::Many(signals)) } else { Err(Refusal::invalid("signals", "http.signals_alone").into()) };
        }
        let missing = |field| HttpError::field(field, "http.field_missing", "expected a value");
        Ok(Inputs::One(SignalInput {
            id: self.id.ok_or_else(|| missing("id"))?,
            senior_id: self.senior_id.ok_or_else(|| missing("senior_id"))?,
            kind: self.kind.ok_or_else(|| missing("kind"))?,
            observed_at: self.observed_at.ok_or_else(|| missing("observed_at"))?,
            observed_by: self.observed_by,
            replaces: self.replaces,
            reason: self.reason,
            note: self.note,
        }))
    }
}

impl SignalInput {
    fn signal(self, caller: &Caller, path: &str) -> Result<NewSignal, HttpError> {
        if self.kind == SignalKind::Activity {
            return Err(Refusal::invalid(format!("{path}kind"), "http.signal_of_person").into());
        }
        if self.replaces.is_some() && self.reason.is_none() {
            return Err(HttpError::field(format!("{path}reason"), "http.correction_reason", "expected a reason with a correction"));
        }
        Ok(NewSignal {
            id: self.id,
            senior_id: self.senior_id,
            kind: self.kind,
            observed_at: self.observed_at.0,
            observed_by: self.observed_by.or(Some(caller.member_id)),
            entered_by: Some(caller.member_id),
            device_id: None,
            source: Source::Member,
            evidence: None,
            replaces: self.replaces,
            reason: self.reason.map(|text| text.0),
            note: self.note.map(|text| text.0),
        })
    }
}

impl Sheet {
    fn look(&self, caller: &Caller, senior_id: Uuid, kind: SignalKind) -> NewSignal {
        NewSignal {
            id: id::sheet_signal(self.id, senior_id),
            senior_id,
            kind,
            observed_at: self.looked_at.0,
            observed_by: self.observed_by.or(Some(caller.member_id)),
            entered_by: Some(caller.member_id),
            device_id: None,
            source: Source::Sheet,
            evidence: None,
            replaces: None,
            reason: None,
            note: None,
        }
    }
}

/// Stores what the caller may report; a senior whom she does not see is refused like an unknown one.
async fn store(app: &App, caller: &Caller, signals: Vec<NewSignal>) -> Result<(DateTime<Utc>, Vec<Receipt>), HttpError> {
    let (who, now) = (caller.who(), app.clock.now());
    let receipts = app
        .write(move |mut tx| async move {
            // Whoever sees a senior may report about her (a test of `domain::access` says so).
            let visible = access::visible(&mut tx, &who).await?;
            let allowed: Vec<NewSignal> = signals.iter().filter(|signal| visible.contains(&signal.senior_id)).cloned().collect();
            let mut stored = signal::append(&mut tx, who.site_id, &allowed, now).await?.into_iter();
            let unseen = || Receipt::Refused(Refusal { field: Some("senior_id".to_owned()), ..Refusal::not_found() });
            let receipts = signals
                .iter()
                .map(|signal| if visible.contains(&signal.senior_id) { stored.next() } else { None }.unwrap_or_else(unseen))
                .collect();
            Ok((tx, receipts))
        })
        .await?;
    app.wake.all();
    Ok((now, receipts))
}

async fn results(app: &App, caller: &Caller, signals: Vec<NewSignal>) -> Result<Results, HttpError> {
    let ids: Vec<Uuid> = signals.iter().map(|signal| signal.id).collect();
    let (received_at, receipts) = store(app, caller, signals).await?;
    let results = ids.into_iter().zip(receipts).map(|(id, receipt)| result(id, receipt, caller.locale)).collect();
    Ok(Results { received_at, results })
}

fn result(id: Uuid, receipt: Receipt, locale: &str) -> ItemResult {
    let said = |status, detail, field| ItemResult { id, status, standing: None, detail, field };
    match receipt {
        Receipt::Stored(standing) => ItemResult { standing: Some(standing), ..said(ItemStatus::Stored, None, None) },
        Receipt::Known(standing) => ItemResult { standing: Some(standing), ..said(ItemStatus::Known, None, None) },
        Receipt::Conflict => said(ItemStatus::Conflict, Some(text::plain(locale, "problem.same_id_other_content")), Some("id".to_owned())),
        Receipt::Refused(refusal) => said(ItemStatus::Refused, Some(text::render(locale, refusal.key, &refusal.arguments)), refusal.field),
    }
}
