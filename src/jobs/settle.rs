//! Openings that have lasted: a curtain that opened and stayed open for the settling time becomes evidence, although no message
//! says so. The due moment stands in the device's row, so a restart forgets nothing.

use chrono::{DateTime, Utc};

use crate::app::App;
use crate::ingest::writer;
use crate::store::Result;

/// What a pass did.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Report {
    pub settled: usize,
    pub next: Option<DateTime<Utc>>,
}

/// Confirms every opening that is due.
pub async fn run_once(app: &App) -> Result<Report> {
    let (settled, next) = writer::settle(app).await?;
    Ok(Report { settled, next })
}

/// One pass for the loop.
pub async fn pass(app: App) -> Result<Option<DateTime<Utc>>> {
    Ok(run_once(&app).await?.next)
}
