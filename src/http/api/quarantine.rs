//! Messages of sensors that were put aside: what came, from which device, and why nobody could use it.

use axum::extract::State;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::app::App;
use crate::domain::access::Capability;
use crate::domain::quarantine::Reason;
use crate::domain::refusal::Refusal;
use crate::http::HttpState;
use crate::http::answer::Answer;
use crate::http::caller::Caller;
use crate::http::error::{HttpError, Problem};
use crate::http::json::{Segments, StrictQuery};
use crate::http::page::{Cursor, Limit, Page};
use crate::store::audit;
use crate::store::bulk::hex;
use crate::store::device::{self, Kept};
use crate::text;

pub fn routes() -> OpenApiRouter<HttpState> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(get))
}

/// A message that was put aside.
#[derive(Serialize, ToSchema)]
struct Aside {
    id: Uuid,
    /// Absent: it could not be said from which device it came.
    #[serde(skip_serializing_if = "Option::is_none")]
    device_id: Option<Uuid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    device_name: Option<String>,
    topic: String,
    reason: Reason,
    /// The reason as a sentence.
    text: String,
    received_at: DateTime<Utc>,
    /// As it was received.
    size_bytes: i64,
}

/// The same with what is kept of it.
#[derive(Serialize, ToSchema)]
struct AsideWhole {
    #[serde(flatten)]
    aside: Aside,
    /// What the reader of the bytes said, for whoever mends the device.
    detail: String,
    /// The first 1024 bytes at most, hexadecimal.
    sample_hex: String,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct ListQuery {
    #[serde(default)]
    #[param(inline, required = false)]
    limit: Limit,
    #[serde(default)]
    #[param(value_type = Option<String>)]
    cursor: Option<Cursor<(DateTime<Utc>, Uuid)>>,
    #[serde(default)]
    device_id: Option<Uuid>,
}

/// Messages put aside in the last 30 days, newest first.
#[utoipa::path(get, path = "/api/v1/devices/quarantine", tag = "devices", params(ListQuery),
    responses((status = 200, body = Page<Aside>), (status = 403, body = Problem)))]
async fn list(State(app): State<App>, caller: Caller, StrictQuery(query): StrictQuery<ListQuery>) -> Result<Answer, HttpError> {
    caller.require_site(Capability::DevicesRead)?;
    let (locale, before) = (caller.locale, query.cursor.map(|cursor| cursor.0));
    let rows = app
        .read(move |mut tx| async move {
            let rows = device::page(&mut tx, caller.site_id, query.device_id, before, query.limit.rows()).await?;
            Ok((tx, rows))
        })
        .await?;
    Ok(Answer::ok(&Page::cut(rows, query.limit, |row| (row.received_at, row.id)).map(|row| shown(&row, locale))))
}

/// One message with its bytes. They may say when somebody opened her curtain: it needs the right to keep devices, and who has read
/// it is on record.
#[utoipa::path(get, path = "/api/v1/devices/quarantine/{id}", tag = "devices", params(("id" = Uuid, Path)),
    responses((status = 200, body = AsideWhole), (status = 403, body = Problem), (status = 404, body = Problem)))]
async fn get(State(app): State<App>, caller: Caller, Segments(id): Segments<Uuid>) -> Result<Answer, HttpError> {
    caller.require_site(Capability::DevicesWrite)?;
    let (locale, now) = (caller.locale, app.clock.now());
    let row = app
        .write(move |mut tx| async move {
            let row = device::kept(&mut tx, caller.site_id, id).await?.ok_or_else(Refusal::not_found)?;
            let entry = audit::Entry {
                site_id: caller.site_id,
                at: now,
                actor_id: Some(caller.member_id),
                act: "read",
                object_kind: "quarantined_message",
                object_id: Some(id),
                fields: &["sample"],
            };
            audit::write(&mut tx, &entry).await?;
            Ok((tx, row))
        })
        .await?;
    let aside = shown(&row, locale);
    Ok(Answer::ok(&AsideWhole { aside, detail: row.why, sample_hex: hex(&row.sample) }))
}

fn shown(row: &Kept, locale: &str) -> Aside {
    Aside {
        id: row.id,
        device_id: row.device_id,
        device_name: row.device_name.clone(),
        topic: row.topic.clone(),
        reason: row.reason,
        text: text::plain(locale, row.reason.key()),
        received_at: row.received_at,
        size_bytes: row.size_bytes,
    }
}
