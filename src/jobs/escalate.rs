//! Drives open alerts: rungs that are due, claims that ran out. The clock of the ladder runs beside delivery, so a dead
//! channel cannot hold it back.

use chrono::{DateTime, Utc};

use super::watch::{Report, drive};
use crate::app::App;
use crate::store::Result;
use crate::store::watch::Clockwork;

pub async fn run_once(app: &App) -> Result<Report> {
    drive(app, Clockwork::Alerts, app.clock.now()).await
}

/// One pass for the loop.
pub async fn pass(app: App) -> Result<Option<DateTime<Utc>>> {
    Ok(run_once(&app).await?.next)
}
