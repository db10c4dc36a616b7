//! The daily self-test (I27): keeps the invented senior of each site, and closes her alert once its message has arrived. The message
//! itself takes the way of every alert, which is the point: `plan_day` makes her check, `watch` finds it missed and opens the alert,
//! `deliver` tells the operators. If it does not arrive in time the heartbeat stops (`domain::health`), so somebody outside notices.
//!
//! It does not replace the proof of `prove`, nor the other way round. That is a report of the morning's numbers, written straight into
//! the outbox, which waits for quiet hours and says "all seen" although no alert could open; it goes also to the secretaries, who
//! judge the numbers. This one has no numbers, waits for nothing, and is for whoever keeps the system.

use chrono::{DateTime, Utc};
use tokio::sync::watch as signal;
use uuid::Uuid;

use super::by_the_clock;
use crate::app::App;
use crate::domain::case::Event;
use crate::domain::id;
use crate::store::case::{self, Span};
use crate::store::{Result, canary, plan};

/// What a pass did.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Sites whose invented senior or her agreement was missing.
    pub made: usize,
    /// Sites at which the message has arrived.
    pub arrived: usize,
    /// Messages that are tried anew.
    pub again: u64,
}

pub async fn run_once(app: &App) -> Result<Report> {
    let now = app.clock.now();
    let sites = app.read(|mut tx| async move { plan::sites(&mut tx).await.map(|sites| (tx, sites)) }).await?;
    let mut report = Report::default();
    for site in sites {
        let site_id = site.id;
        let seen = site.clone();
        let standing = app.read(move |mut tx| async move { canary::standing(&mut tx, &seen, now).await.map(|standing| (tx, standing)) });
        let standing = standing.await?;
        if standing.missing {
            let made = app.write(move |mut tx| async move { canary::ensure(&mut tx, &site, now).await.map(|made| (tx, made)) });
            report.made += usize::from(made.await?);
        }
        if standing.arrived {
            close(app, site_id, now).await?;
            report.arrived += 1;
        } else if standing.failed {
            let again = app.write(move |mut tx| async move { canary::again(&mut tx, site_id, now).await.map(|again| (tx, again)) });
            report.again += again.await?;
        }
    }
    if report.made > 0 {
        app.wake.plan.notify_one();
    }
    if report.again > 0 {
        app.wake.deliver.notify_one();
    }
    Ok(report)
}

/// The loop: looks once per tick.
pub async fn run(app: App, stop: signal::Receiver<bool>) {
    by_the_clock("canary", app, stop, |app| async move { run_once(&app).await.map(|_| None) }).await;
}

async fn close(app: &App, site_id: Uuid, now: DateTime<Utc>) -> Result<()> {
    app.write(move |mut tx| async move {
        case::react(&mut tx, site_id, &[(id::canary(site_id), Event::CanaryArrived)], Span::due(now), now).await?;
        Ok((tx, ()))
    })
    .await
}
