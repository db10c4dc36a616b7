//! 待上门: the reader's alerts, the most urgent first.

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use chrono::{DateTime, Utc};
use serde::Deserialize;
use uuid::Uuid;

use super::frame::Frame;
use super::page;
use crate::app::App;
use crate::http::HttpState;
use crate::http::api::alerts::{self, Alert, ListQuery};
use crate::http::caller::Caller;
use crate::http::error::HttpError;
use crate::http::json::StrictQuery;
use crate::http::page::{Cursor, Page};
use crate::store::drill::{self, Drill};

pub fn routes() -> Router<HttpState> {
    Router::new().route("/alerts", get(list))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AlertsQuery {
    /// Also those that are over.
    #[serde(default)]
    all: Option<bool>,
    /// The one that the reader has just closed.
    #[serde(default)]
    done: Option<Uuid>,
    #[serde(default)]
    cursor: Option<Cursor<(i64, DateTime<Utc>, Uuid)>>,
}

#[derive(Template)]
#[template(path = "alerts.html")]
struct AlertsPage {
    frame: Frame,
    now: DateTime<Utc>,
    all: bool,
    is_first: bool,
    done: Option<Uuid>,
    alerts: Page<Alert>,
    /// Drills that wait for the reader's word.
    drills: Vec<Drill>,
    reader: Uuid,
}

impl AlertsPage {
    /// Whose claim lives, by name: hers and nobody's are said in other words.
    fn goes<'a>(&self, alert: &'a Alert) -> Option<&'a str> {
        let is_live = alert.claim_until.is_some_and(|until| until > self.now);
        alert.claimed_by_called.as_deref().filter(|_| is_live && alert.claimed_by != Some(self.reader))
    }

    fn is_mine(&self, alert: &Alert) -> bool {
        alert.claimed_by == Some(self.reader) && alert.claim_until.is_some_and(|until| until > self.now)
    }
}

async fn list(State(app): State<App>, caller: Caller, StrictQuery(query): StrictQuery<AlertsQuery>) -> Result<Response, HttpError> {
    let all = query.all.unwrap_or_default();
    let is_first = query.cursor.is_none();
    let alerts = alerts::listed(&app, &caller, ListQuery { open: !all, cursor: query.cursor, ..ListQuery::default() }).await?;
    let (site_id, member_id) = (caller.site_id, caller.member_id);
    let drills = app.read(move |mut tx| async move { drill::waiting_for(&mut tx, site_id, member_id).await.map(|drills| (tx, drills)) });
    let drills = drills.await?;
    page(&AlertsPage {
        frame: Frame::of(&caller, "/alerts"),
        now: app.clock.now(),
        all,
        is_first,
        done: query.done,
        alerts,
        drills,
        reader: caller.member_id,
    })
}
