//! Who did what to which object. For administrators of the whole site; there is no route that changes a row.

use axum::extract::State;
use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::app::App;
use crate::domain::access::Capability;
use crate::domain::day;
use crate::http::HttpState;
use crate::http::answer::Answer;
use crate::http::caller::Caller;
use crate::http::error::{HttpError, Problem};
use crate::http::json::StrictQuery;
use crate::http::page::{Cursor, Limit, Page};
use crate::http::value::{Day, Text};
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
    /// On this local date or later.
    #[serde(default)]
    #[param(value_type = Option<String>, format = Date)]
    from: Option<Day>,
    /// On this local date or earlier.
    #[serde(default)]
    #[param(value_type = Option<String>, format = Date)]
    to: Option<Day>,
}

/// One act.
#[derive(Serialize, ToSchema)]
pub struct AuditRow {
    pub seq: i64,
    pub id: Uuid,
    pub at: DateTime<Utc>,
    /// Absent: the server itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actor_id: Option<Uuid>,
    pub act: String,
    pub object_kind: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub object_id: Option<Uuid>,
    /// Names of the fields written, never their values.
    pub fields: Vec<String>,
}

/// Acts, newest first.
#[utoipa::path(get, path = "/api/v1/audit", tag = "audit", params(ListQuery),
    responses((status = 200, body = Page<AuditRow>), (status = 401, body = Problem), (status = 403, body = Problem)))]
async fn list(State(app): State<App>, caller: Caller, StrictQuery(query): StrictQuery<ListQuery>) -> Result<Answer, HttpError> {
    let asked = Asked {
        limit: query.limit,
        cursor: query.cursor,
        actor_id: query.actor_id,
        object_id: query.object_id,
        act: query.act.map(|act| act.0),
        from: query.from.map(|day| day.0),
        to: query.to.map(|day| day.0),
    };
    Ok(Answer::ok(&of(&app, &caller, asked).await?))
}

/// Which acts somebody asks for.
pub struct Asked {
    pub limit: Limit,
    pub cursor: Option<Cursor<i64>>,
    pub actor_id: Option<Uuid>,
    pub object_id: Option<Uuid>,
    pub act: Option<String>,
    pub from: Option<NaiveDate>,
    pub to: Option<NaiveDate>,
}

/// Acts of the site, newest first, for those who may read all of them.
pub async fn of(app: &App, caller: &Caller, asked: Asked) -> Result<Page<AuditRow>, HttpError> {
    caller.require_site(Capability::Audit)?;
    let begins = |date: Option<NaiveDate>| date.and_then(|date| day::day_start(caller.timezone, date));
    let search = Search {
        before: asked.cursor.map(|cursor| cursor.0),
        actor_id: asked.actor_id,
        object_id: asked.object_id,
        act: asked.act,
        since: begins(asked.from),
        until: begins(asked.to.and_then(|day| day.succ_opt())),
    };
    let (site_id, limit) = (caller.site_id, asked.limit);
    let rows = app.read(move |mut tx| async move {
        let rows = audit::list(&mut tx, site_id, &search, limit.rows()).await?;
        Ok((tx, rows))
    });
    Ok(Page::cut(rows.await?, limit, |row| row.seq).map(shown))
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
