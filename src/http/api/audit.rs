//! Who did what to which object. For administrators of the whole site; there is no route that changes a row.

use axum::extract::State;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::app::App;
use crate::domain::access::Capability;
use crate::http::HttpState;
use crate::http::answer::Answer;
use crate::http::caller::Caller;
use crate::http::error::{HttpError, Problem};
use crate::http::json::StrictQuery;
use crate::http::page::{Cursor, Limit, Page};
use crate::http::value::Text;
use crate::store::audit::{self, Search};

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
    cursor: Option<Cursor<i64>>,
    #[serde(default)]
    actor_id: Option<Uuid>,
    #[serde(default)]
    object_id: Option<Uuid>,
    #[serde(default)]
    #[param(value_type = Option<String>)]
    act: Option<Text<60>>,
}

/// One act.
#[derive(Serialize, ToSchema)]
struct AuditRow {
    seq: i64,
    id: Uuid,
    at: DateTime<Utc>,
    /// Absent: the server itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    actor_id: Option<Uuid>,
    act: String,
    object_kind: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    object_id: Option<Uuid>,
    /// Names of the fields written, never their values.
    fields: Vec<String>,
}

/// Acts, newest first.
#[utoipa::path(get, path = "/api/v1/audit", tag = "audit", params(ListQuery),
    responses((status = 200, body = Page<AuditRow>), (status = 401, body = Problem), (status = 403, body = Problem)))]
async fn list(State(app): State<App>, caller: Caller, StrictQuery(query): StrictQuery<ListQuery>) -> Result<Answer, HttpError> {
    caller.require_site(Capability::Audit)?;
    let search = Search {
        before: query.cursor.map(|cursor| cursor.0),
        actor_id: query.actor_id,
        object_id: query.object_id,
        act: query.act.map(|act| act.0),
    };
    let rows = app
        .read(move |mut tx| async move {
            let rows = audit::list(&mut tx, caller.site_id, &search, query.limit.rows()).await?;
            Ok((tx, rows))
        })
        .await?;
    Ok(Answer::ok(&Page::cut(rows, query.limit, |row| row.seq).map(shown)))
}

fn shown(row: audit::Row) -> AuditRow {
    AuditRow {
        seq: row.seq,
        id: row.id,
        at: row.at,
        actor_id: row.actor_id,
        act: row.act,
        object_kind: row.object_kind,
        object_id: row.object_id,
        fields: row.fields.split_whitespace().map(str::to_owned).collect(),
    }
}
