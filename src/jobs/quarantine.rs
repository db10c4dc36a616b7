//! Messages put aside: the operators hear of them in time to mend the device, and what is too old is forgotten. A press for help that
//! was refused does not wait for this job: `ingest::writer` tells of it at once.

use chrono::{DateTime, Utc};

use tokio::sync::watch as signal;

use super::by_the_clock;
use crate::app::App;
use crate::store::{Result, device};

/// Rows deleted per transaction.
const CHUNK: i64 = 500;

/// What a pass did.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Report {
    pub notices: u64,
    pub forgotten: u64,
    pub next: Option<DateTime<Utc>>,
}

/// Tells of what is due and forgets what is old.
pub async fn run_once(app: &App) -> Result<Report> {
    let now = app.clock.now();
    // Looks first, because a look keeps no writer waiting.
    if !app.read(move |mut tx| async move { device::has_aside_to_do(&mut tx, now).await.map(|found| (tx, found)) }).await? {
        return Ok(Report::default());
    }
    let (notices, next) = app.write(move |mut tx| async move { device::tell_aside(&mut tx, now).await.map(|told| (tx, told)) }).await?;
    if notices > 0 {
        app.wake.deliver.notify_one();
    }
    let mut report = Report { notices, forgotten: 0, next };
    loop {
        let gone = app.write(move |mut tx| async move { device::forget_old(&mut tx, now, CHUNK).await.map(|gone| (tx, gone)) }).await?;
        report.forgotten += gone;
        if gone == 0 {
            return Ok(report);
        }
    }
}

/// The loop: looks once per tick.
pub async fn run(app: App, stop: signal::Receiver<bool>) {
    by_the_clock("quarantine", app, stop, |app| async move { run_once(&app).await.map(|report| report.next) }).await;
}
