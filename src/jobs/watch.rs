//! Takes what is due by `next_action_at`, in chunks: views in, pure decisions, one set-based write out. SQL decides nothing,
//! and the cost grows with what is due.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::app::App;
use crate::domain::case::Event;
use crate::store::case::{self, Span};
use crate::store::watch::{self as due, Clockwork};
use crate::store::{Error, Result, health, life};

/// Seniors per transaction: short enough that a volunteer's tap does not wait.
pub const CHUNK_SENIORS: i64 = 1_000;
/// A pass takes at most this many chunks before it lets others breathe.
const CHUNKS_PER_PASS_MAX: usize = 1_000;

/// What a pass did.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Report {
    pub seniors: usize,
    /// Records taken out so that the others go on (I28).
    pub unmonitored: usize,
    pub next: Option<DateTime<Utc>>,
}

/// Decides every due check.
pub async fn run_once(app: &App) -> Result<Report> {
    let now = app.clock.now();
    let report = drive(app, Clockwork::Checks, now).await?;
    let instance = app.instance;
    let detail = format!("{} seniors", report.seniors);
    app.write(move |mut tx| async move {
        life::alive(&mut tx, instance, now).await?;
        health::passed(&mut tx, "watch", now, &detail).await?;
        Ok((tx, ()))
    })
    .await?;
    app.note_watch_passed(now);
    Ok(report)
}

/// One pass for the loop.
pub async fn pass(app: App) -> Result<Option<DateTime<Utc>>> {
    Ok(run_once(&app).await?.next)
}

/// Drives one clockwork until nothing of it is due at `now`.
pub async fn drive(app: &App, clockwork: Clockwork, now: DateTime<Utc>) -> Result<Report> {
    let mut report = Report::default();
    for _ in 0..CHUNKS_PER_PASS_MAX {
        let chunk = app
            .read(move |mut tx| async move { due::due_seniors(&mut tx, clockwork, now, CHUNK_SENIORS).await.map(|due| (tx, due)) })
            .await?;
        let Some((site, seniors)) = chunk else { break };
        report.seniors += seniors.len();
        match tick(app, site, seniors.clone(), now).await {
            Ok(()) => {}
            Err(Error::Broken { .. } | Error::Refused(_)) => report.unmonitored += one_by_one(app, site, seniors, now).await?,
            Err(other) => return Err(other),
        }
        app.wake.deliver.notify_one();
        app.wake.escalate.notify_one();
    }
    report.next = app.read(move |mut tx| async move { due::next_due(&mut tx, clockwork).await.map(|next| (tx, next)) }).await?;
    Ok(report)
}

async fn tick(app: &App, site: Uuid, seniors: Vec<Uuid>, now: DateTime<Utc>) -> Result<()> {
    app.write(move |mut tx| async move {
        let events: Vec<(Uuid, Event)> = seniors.into_iter().map(|senior| (senior, Event::Tick)).collect();
        case::react(&mut tx, site, &events, Span::due(now), now).await?;
        Ok((tx, ()))
    })
    .await
}

/// I28: a chunk with a broken record is decided senior by senior; what cannot be decided is marked, told to the operator,
/// and no longer holds up the others.
async fn one_by_one(app: &App, site: Uuid, seniors: Vec<Uuid>, now: DateTime<Utc>) -> Result<usize> {
    let mut unmonitored = 0;
    for senior in seniors {
        match tick(app, site, vec![senior], now).await {
            Ok(()) => {}
            // Refused: the senior's home or building is gone, so nothing can be loaded.
            Err(error @ (Error::Broken { .. } | Error::Refused(_))) => {
                tracing::error!(%senior, %error, "broken record isolated");
                app.write(move |mut tx| async move {
                    due::isolate(&mut tx, site, senior, now).await?;
                    Ok((tx, ()))
                })
                .await?;
                unmonitored += 1;
            }
            Err(other) => return Err(other),
        }
    }
    Ok(unmonitored)
}
