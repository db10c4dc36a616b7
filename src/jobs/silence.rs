//! Devices that should have been heard by now. A silent device says nothing about a person: it is marked, the people who
//! rely on it are told to look for themselves, and each silence is told once.

use chrono::{DateTime, Utc};
use tokio::sync::watch as signal;

use super::by_the_clock;
use crate::app::App;
use crate::store::{Result, device};

/// Devices per transaction.
const CHUNK: i64 = 200;

/// What a pass did.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Report {
    pub fell_silent: usize,
    pub next: Option<DateTime<Utc>>,
}

/// Marks what is overdue.
pub async fn run_once(app: &App) -> Result<Report> {
    let now = app.clock.now();
    let mut report = Report::default();
    loop {
        let marked =
            app.write(move |mut tx| async move { device::mark_silent(&mut tx, now, CHUNK).await.map(|marked| (tx, marked)) }).await?;
        report.fell_silent += marked;
        if marked == 0 {
            break;
        }
        app.wake.deliver.notify_one();
    }
    report.next = app.read(|mut tx| async move { device::next_silence(&mut tx).await.map(|next| (tx, next)) }).await?;
    Ok(report)
}

/// The loop. Whatever it finds lies days ahead, so it needs no bell: it looks at the next moment, at the latest after a tick.
pub async fn run(app: App, stop: signal::Receiver<bool>) {
    by_the_clock("silence", app, stop, |app| async move { run_once(&app).await.map(|report| report.next) }).await;
}
