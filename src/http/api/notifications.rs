//! The delivery log: was somebody told, over which channel, and if not, why not.

use axum::extract::State;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::app::App;
use crate::domain::access::Capability;
use crate::domain::notice::RecipientKind;
use crate::http::HttpState;
use crate::http::answer::Answer;
use crate::http::caller::Caller;
use crate::http::error::{HttpError, Problem};
use crate::http::json::StrictQuery;
use crate::http::page::{Cursor, Limit, Page};
use crate::store::delivery_log::{self, Search, Sent};
use crate::words;

words! {
    /// Where a message is on its way.
    pub enum MessageState { Ready = "ready", Leased = "leased", Sent = "sent", Failed = "failed" }
}

pub fn routes() -> OpenApiRouter<HttpState> {
    OpenApiRouter::new().routes(routes!(list))
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
    #[param(inline)]
    state: Option<MessageState>,
    #[serde(default)]
    recipient_id: Option<Uuid>,
    #[serde(default)]
    alert_id: Option<Uuid>,
}

/// One message to one person over one channel.
#[derive(Serialize, ToSchema)]
pub struct Notification {
    pub id: Uuid,
    pub recipient_id: Uuid,
    pub recipient_kind: RecipientKind,
    pub channel: String,
    /// A short number to quote on the phone.
    pub call_no: i64,
    pub state: String,
    pub sealed_at: DateTime<Utc>,
    /// When the next try is due, while it is ready.
    pub next_at: DateTime<Utc>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sent_at: Option<DateTime<Utc>>,
    /// A try of unknown outcome came before.
    pub repeated: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
    pub says: Vec<NotificationPart>,
    pub attempts: Vec<NotificationAttempt>,
}

/// What it says, as the key of the sentence.
#[derive(Serialize, ToSchema)]
pub struct NotificationPart {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alert_id: Option<Uuid>,
    pub key: String,
    pub class: String,
    pub level: i64,
}

#[derive(Serialize, ToSchema)]
pub struct NotificationAttempt {
    pub at: DateTime<Utc>,
    pub outcome: String,
    pub detail: String,
}

/// Messages, newest first: of the whole site, or about the seniors in the caller's scope.
#[utoipa::path(get, path = "/api/v1/notifications", tag = "notifications", params(ListQuery),
    responses((status = 200, body = Page<Notification>), (status = 401, body = Problem), (status = 403, body = Problem)))]
async fn list(State(app): State<App>, caller: Caller, StrictQuery(query): StrictQuery<ListQuery>) -> Result<Answer, HttpError> {
    let ListQuery { limit, cursor, state, recipient_id, alert_id } = query;
    Ok(Answer::ok(&of(&app, &caller, Asked { limit, cursor, state, recipient_id, alert_id }).await?))
}

/// Which messages somebody asks for.
pub struct Asked {
    pub limit: Limit,
    pub cursor: Option<Cursor<(DateTime<Utc>, Uuid)>>,
    pub state: Option<MessageState>,
    pub recipient_id: Option<Uuid>,
    pub alert_id: Option<Uuid>,
}

/// Messages, newest first, as far as the caller may read them.
pub async fn of(app: &App, caller: &Caller, asked: Asked) -> Result<Page<Notification>, HttpError> {
    caller.require(Capability::Notifications)?;
    let search = Search {
        whole_site: caller.require_site(Capability::Notifications).is_ok(),
        state: asked.state.map(|state| state.to_string()),
        recipient_id: asked.recipient_id,
        alert_id: asked.alert_id,
        before: asked.cursor.map(|cursor| cursor.0),
    };
    let (who, limit) = (caller.who(), asked.limit);
    let page = app.read(move |mut tx| async move {
        let rows = delivery_log::list(&mut tx, &who, &search, limit.rows()).await?;
        let page = Page::cut(rows, limit, |row| (row.sealed_at, row.id));
        let ids: Vec<Uuid> = page.items.iter().map(|row| row.id).collect();
        let mut says = delivery_log::said(&mut tx, who.site_id, &ids).await?;
        let mut tries = delivery_log::tries(&mut tx, who.site_id, &ids).await?;
        let shown = page.map(|row| {
            let (says, tries) = (says.remove(&row.id).unwrap_or_default(), tries.remove(&row.id).unwrap_or_default());
            shown(row, says, tries)
        });
        Ok((tx, shown))
    });
    Ok(page.await?)
}

fn shown(row: Sent, says: Vec<delivery_log::Said>, tries: Vec<delivery_log::Try>) -> Notification {
    let part = |said: delivery_log::Said| NotificationPart { alert_id: said.alert_id, key: said.key, class: said.class, level: said.level };
    let attempt = |tried: delivery_log::Try| NotificationAttempt { at: tried.at, outcome: tried.outcome, detail: tried.detail };
    Notification {
        id: row.id,
        recipient_id: row.recipient_id,
        recipient_kind: row.recipient_kind,
        channel: row.channel,
        call_no: row.call_no,
        state: row.state,
        sealed_at: row.sealed_at,
        next_at: row.next_at,
        sent_at: row.sent_at,
        repeated: row.repeated,
        last_error: row.last_error,
        says: says.into_iter().map(part).collect(),
        attempts: tries.into_iter().map(attempt).collect(),
    }
}
