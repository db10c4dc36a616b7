//! Whom to visit next.

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use chrono::NaiveDate;
use serde::Deserialize;
use uuid::Uuid;

use super::frame::Frame;
use super::page;
use crate::app::App;
use crate::domain::place::RiskBand;
use crate::http::HttpState;
use crate::http::api::visits::{self, DueQuery};
use crate::http::caller::Caller;
use crate::http::error::HttpError;
use crate::http::json::StrictQuery;
use crate::http::page::{Cursor, Limit, Page};
use crate::store::visit::Due;

pub fn routes() -> Router<HttpState> {
    Router::new().route("/visits/due", get(due))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    #[serde(default)]
    band: Option<RiskBand>,
    #[serde(default)]
    cursor: Option<Cursor<(NaiveDate, Uuid)>>,
}

#[derive(Template)]
#[template(path = "visits_due.html")]
struct DuePage {
    frame: Frame,
    band: Option<RiskBand>,
    is_first: bool,
    due: Page<Due>,
}

impl DuePage {
    fn bands(&self) -> &'static [RiskBand] {
        RiskBand::ALL
    }

    fn is_band(&self, band: &RiskBand) -> bool {
        self.band == Some(*band)
    }

    fn address(&self, cursor: Option<&String>) -> String {
        let band = self.band.map(|band| format!("band={band}&")).unwrap_or_default();
        format!("/visits/due?{band}{}", cursor.map(|cursor| format!("cursor={cursor}")).unwrap_or_default())
    }
}

async fn due(State(app): State<App>, caller: Caller, StrictQuery(asked): StrictQuery<Asked>) -> Result<Response, HttpError> {
    let is_first = asked.cursor.is_none();
    let query = DueQuery { until: None, band: asked.band, place: None, limit: Limit::default(), cursor: asked.cursor };
    let due = visits::due_of(&app, &caller, query).await?;
    page(&DuePage { frame: Frame::of(&caller, "/seniors"), band: asked.band, is_first, due })
}
