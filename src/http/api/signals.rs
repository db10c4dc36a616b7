//! What was seen or heard: one signal, up to 500, or a whole sheet typed in from paper. Each has a client-made id, so that
//! a phone may send it again as often as it likes.

mod sheet;

use std::collections::BTreeSet;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use garde::Validate;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::app::App;
use crate::domain::refusal::Refusal;
use crate::domain::signal::{SignalKind, Source, Standing};
use crate::http::HttpState;
use crate::http::answer::{Answer, IdempotencyKey, no_key};
use crate::http::caller::Caller;
use crate::http::error::{HttpError, Problem};
use crate::http::json::{self, BatchJson};
use crate::http::value::{Text, Timestamp};
use crate::store::signal::{self, NewSignal, Receipt};
use crate::store::{self, Tx, access};
use crate::text;

pub fn routes() -> OpenApiRouter<HttpState> {
    OpenApiRouter::new().routes(routes!(create)).merge(sheet::routes())
}

/// One signal, or `signals` alone: up to 500 of them.
#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[garde(allow_unvalidated)]
struct Body {
    /// Each is judged by itself: one that is malformed refuses only itself.
    #[serde(default)]
    #[garde(length(min = 1, max = 500))]
    #[schema(value_type = Option<Vec<SignalInput>>)]
    signals: Option<Vec<Value>>,
    /// Of a single signal; the header Idempotency-Key names one as well.
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
    /// As it was sent; null if it was no id.
    id: Option<Uuid>,
    /// Of a sheet, whose ids are made here: whom it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    senior_id: Option<Uuid>,
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
async fn create(
    State(app): State<App>,
    caller: Caller,
    key: IdempotencyKey,
    BatchJson(body, _): BatchJson<Body>,
) -> Result<Response, HttpError> {
    match body.inputs(&caller, &key)? {
        Inputs::One(input) => {
            let signal = input.signal(&caller)?;
            let (id, mut receipts) = (signal.id, keep(&app, &caller, vec![signal]).await?.1);
            match receipts.remove(0) {
                Receipt::Conflict => Err(Refusal::conflict("problem.same_id_other_content").into()),
                Receipt::Refused(refusal) => Err(refusal.into()),
                receipt @ Receipt::Known(_) => Ok(Answer::ok(&result(id, receipt, caller.locale)).into_response()),
                receipt @ Receipt::Stored(_) => Ok(Answer::created(&result(id, receipt, caller.locale)).into_response()),
            }
        }
        Inputs::Many(items) => Ok(Answer::ok(&batch(&app, &caller, items).await?).into_response()),
    }
}

/// What can be read is stored; the rest is refused one by one, in its place.
async fn batch(app: &App, caller: &Caller, items: Vec<Value>) -> Result<Results, HttpError> {
    let mut readable = Vec::new();
    let read: Vec<Option<ItemResult>> = items
        .into_iter()
        .map(|item| {
            let id = item.get("id").and_then(|id| id.as_str()?.parse().ok());
            match json::read_tree::<SignalInput>(item).and_then(|input| input.signal(caller)) {
                Ok(signal) => {
                    readable.push(signal);
                    None
                }
                Err(error) => Some(refused(id, &error, caller.locale)),
            }
        })
        .collect();
    let Results { received_at, results } = results(app, caller, readable).await?;
    let mut stored = results.into_iter();
    let results = read.into_iter().filter_map(|refused| refused.or_else(|| stored.next())).collect();
    Ok(Results { received_at, results })
}

fn refused(id: Option<Uuid>, error: &HttpError, locale: &str) -> ItemResult {
    let (field, detail) = error.first_field(locale);
    ItemResult { id, senior_id: None, status: ItemStatus::Refused, standing: None, detail: Some(detail), field }
}

enum Inputs {
    One(SignalInput),
    Many(Vec<Value>),
}

impl Body {
    fn inputs(self, caller: &Caller, key: &IdempotencyKey) -> Result<Inputs, HttpError> {
        let named = self.id.or(self.senior_id).or(self.observed_by).or(self.replaces);
        let said = self.kind.is_some() || self.observed_at.is_some() || self.reason.is_some() || self.note.is_some();
        let alone = named.is_none() && !said;
        if let Some(signals) = self.signals {
            return if alone { Ok(Inputs::Many(signals)) } else { Err(Refusal::invalid("signals", "http.signals_alone").into()) };
        }
        let missing = |field| HttpError::field(field, "http.field_missing", "expected a value");
        Ok(Inputs::One(SignalInput {
            id: key.id(caller.member_id, self.id).ok_or_else(no_key)?,
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
    fn signal(self, caller: &Caller) -> Result<NewSignal, HttpError> {
        if self.kind == SignalKind::Activity {
            return Err(Refusal::invalid("kind", "http.signal_of_person").into());
        }
        if self.replaces.is_some() && self.reason.is_none() {
            return Err(HttpError::field("reason", "http.correction_reason", "expected a reason with a correction"));
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
            deed: None,
            replaces: self.replaces,
            reason: self.reason.map(|text| text.0),
            note: self.note.map(|text| text.0),
        })
    }
}

/// Stores what the caller may report; a senior whom she does not see is refused like an unknown one.
async fn keep(app: &App, caller: &Caller, signals: Vec<NewSignal>) -> Result<(DateTime<Utc>, Vec<Receipt>), HttpError> {
    let (caller, now) = (caller.clone(), app.clock.now());
    let receipts = app
        .write(move |mut tx| async move {
            let receipts = append(&mut tx, &caller, &signals, now).await?;
            Ok((tx, receipts))
        })
        .await?;
    app.wake.all();
    Ok((now, receipts))
}

async fn append(tx: &mut Tx, caller: &Caller, signals: &[NewSignal], now: DateTime<Utc>) -> store::Result<Vec<Receipt>> {
    let who = caller.who();
    // Whoever sees a senior may report about her (a test of `domain::access` says so).
    let visible = access::visible(tx, &who).await?;
    let watchers: BTreeSet<Uuid> = signals.iter().filter_map(|signal| signal.observed_by).filter(|id| *id != who.member_id).collect();
    let known = access::members_among(tx, who.site_id, &watchers).await?;
    let refused = |signal: &NewSignal| {
        if !visible.contains(&signal.senior_id) {
            return Some(Refusal { field: Some("senior_id".to_owned()), ..Refusal::not_found() });
        }
        let by = signal.observed_by.filter(|id| *id != who.member_id && !known.contains(id));
        by.map(|_| Refusal::invalid("observed_by", "register.unknown_reference"))
    };
    let allowed: Vec<NewSignal> = signals.iter().filter(|signal| refused(signal).is_none()).cloned().collect();
    let mut stored = signal::append(tx, who.site_id, &allowed, now).await?.into_iter();
    let receipts = signals.iter().filter_map(|signal| refused(signal).map(Receipt::Refused).or_else(|| stored.next()));
    Ok(receipts.collect())
}

async fn results(app: &App, caller: &Caller, signals: Vec<NewSignal>) -> Result<Results, HttpError> {
    let ids: Vec<Uuid> = signals.iter().map(|signal| signal.id).collect();
    let (received_at, receipts) = keep(app, caller, signals).await?;
    let results = ids.into_iter().zip(receipts).map(|(id, receipt)| result(id, receipt, caller.locale)).collect();
    Ok(Results { received_at, results })
}

fn result(id: Uuid, receipt: Receipt, locale: &str) -> ItemResult {
    let said = |status, detail, field| ItemResult { id: Some(id), senior_id: None, status, standing: None, detail, field };
    match receipt {
        Receipt::Stored(standing) => ItemResult { standing: Some(standing), ..said(ItemStatus::Stored, None, None) },
        Receipt::Known(standing) => ItemResult { standing: Some(standing), ..said(ItemStatus::Known, None, None) },
        Receipt::Conflict => said(ItemStatus::Conflict, Some(text::plain(locale, "problem.same_id_other_content")), Some("id".to_owned())),
        Receipt::Refused(refusal) => said(ItemStatus::Refused, Some(text::render(locale, refusal.key, &refusal.arguments)), refusal.field),
    }
}
