//! Takes what is due by `next_action_at`, in chunks: views in, pure decisions, one set-based write out. SQL decides nothing,
//! and the cost grows with what is due.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::app::App;
use crate::domain::case::Event;
use crate::store::case::{self, Span};
use crate::store::watch::{self as due, Clockwork};
use crate::store::{Error, Result, clock, health, life, plan};

/// Seniors per transaction: short enough that a volunteer's tap does not wait, and that the first notice of a large street leaves
/// while the others are still decided. With a hundred the whole pass is slower.
pub const CHUNK_SENIORS: i64 = 250;
/// A pass takes at most this many chunks before it lets others breathe.
const CHUNKS_PER_PASS_MAX: usize = 1_000;

/// What a pass did.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Report {
    pub seniors: usize,
    /// Records taken out so that the others go on (I28).
    pub unmonitored: usize,
    /// The clock jumped, so nothing was decided yet (I24).
    pub waits: bool,
    pub next: Option<DateTime<Utc>>,
}

/// Decides every due check.
pub async fn run_once(app: &App) -> Result<Report> {
    let now = app.clock.now();
    let report = drive(app, Clockwork::Checks, now).await?;
    let instance = app.instance;
    let detail = if report.waits { "waits for the clock".to_owned() } else { format!("{} seniors", report.seniors) };
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

/// Drives one clockwork until nothing of it is due at `now`, site by site in turn. What is due at a site that cannot be read
/// stays due, and the heartbeat stops; nothing is wrong with its seniors.
pub async fn drive(app: &App, clockwork: Clockwork, now: DateTime<Utc>) -> Result<Report> {
    let seen = app.read(|mut tx| async move {
        let seen = (clock::shown(&mut tx).await?, plan::sites(&mut tx).await?);
        Ok((tx, seen))
    });
    let (database, sites) = seen.await?;
    if app.clock_sense.look(&app.clock, database).waits {
        tracing::warn!(?clockwork, "the clock jumped or is not the database's: what seems due waits for a moment");
        return Ok(Report { waits: true, ..Report::default() });
    }
    let mut report = Report::default();
    let mut sites: Vec<Uuid> = sites.into_iter().map(|site| site.id).collect();
    for _ in 0..CHUNKS_PER_PASS_MAX {
        let mut busy = Vec::new();
        for site in sites {
            if drive_chunk(app, clockwork, site, now, &mut report).await? {
                busy.push(site);
            }
        }
        sites = busy;
        if sites.is_empty() {
            break;
        }
    }
    report.next = app.read(move |mut tx| async move { due::next_due(&mut tx, clockwork, now).await.map(|next| (tx, next)) }).await?;
    Ok(report)
}

/// Decides what is due first at a site. `false`: nothing was.
async fn drive_chunk(app: &App, clockwork: Clockwork, site: Uuid, now: DateTime<Utc>, report: &mut Report) -> Result<bool> {
    let asked = app.read(move |mut tx| async move {
        let seniors = due::due_seniors(&mut tx, clockwork, site, now, CHUNK_SENIORS).await?;
        Ok((tx, seniors))
    });
    let seniors = asked.await?;
    if seniors.is_empty() {
        return Ok(false);
    }
    report.seniors += seniors.len();
    report.unmonitored += decide(app, clockwork, site, seniors, now).await?;
    app.wake.deliver.notify_one();
    app.wake.escalate.notify_one();
    Ok(true)
}

/// I28: a chunk with a broken record is halved until that record stands alone; what cannot be decided is marked, told to the
/// operators, and no longer holds up the others.
async fn decide(app: &App, clockwork: Clockwork, site: Uuid, seniors: Vec<Uuid>, now: DateTime<Utc>) -> Result<usize> {
    let span = match clockwork {
        Clockwork::Checks => Span::due_or_broken(now),
        Clockwork::Alerts => Span::due(now),
    };
    let mut unmonitored = 0;
    let mut parts = vec![seniors];
    while let Some(part) = parts.pop() {
        match tick(app, site, part.clone(), span, now).await {
            Ok(()) => {}
            // Refused: the senior's home or building is gone, so nothing can be loaded.
            Err(error @ (Error::Broken { .. } | Error::Refused(_))) => match part.as_slice() {
                [senior] => {
                    tracing::error!(%senior, %error, "broken record isolated");
                    isolate(app, site, *senior, now).await?;
                    unmonitored += 1;
                }
                many => {
                    let (first, second) = many.split_at(many.len() / 2);
                    parts.extend([second.to_vec(), first.to_vec()]);
                }
            },
            Err(other) => return Err(other),
        }
    }
    Ok(unmonitored)
}

async fn tick(app: &App, site: Uuid, seniors: Vec<Uuid>, span: Span, now: DateTime<Utc>) -> Result<()> {
    app.write(move |mut tx| async move {
        let events: Vec<(Uuid, Event)> = seniors.into_iter().map(|senior| (senior, Event::Tick)).collect();
        case::react(&mut tx, site, &events, span, now).await?;
        Ok((tx, ()))
    })
    .await
}

/// Takes the checks out, so that the senior's alert goes on; if it is the alert that cannot be read, it waits.
async fn isolate(app: &App, site: Uuid, senior: Uuid, now: DateTime<Utc>) -> Result<()> {
    app.write(move |mut tx| async move {
        due::isolate(&mut tx, site, senior, now).await?;
        Ok((tx, ()))
    })
    .await?;
    match tick(app, site, vec![senior], Span::due(now), now).await {
        Err(Error::Broken { .. } | Error::Refused(_)) => {}
        decided => return decided,
    }
    app.write(move |mut tx| async move {
        due::postpone(&mut tx, site, senior, now).await?;
        Ok((tx, ()))
    })
    .await
}
