//! Drills: starts the weekly one of each site at its time, and makes the report of every drill when people have had time to answer.
//! Whatever is done twice, by two servers or after a restart, is done once: the id of a week's drill is derived, its report is a row.

use chrono::{DateTime, Utc};
use tokio::sync::watch as signal;
use uuid::Uuid;

use super::by_the_clock;
use crate::app::App;
use crate::domain::ladder::drill::{due_week, turn};
use crate::domain::{day, id};
use crate::store::drill::{self, Terms};
use crate::store::plan::SitePlan;
use crate::store::register::By;
use crate::store::{Error, Result, plan};

/// What a pass did.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Report {
    pub started: usize,
    pub reported: usize,
}

pub async fn run_once(app: &App) -> Result<Report> {
    let now = app.clock.now();
    let found = app.read(move |mut tx| async move {
        let found = (plan::sites(&mut tx).await?, drill::unreported(&mut tx, now).await?);
        Ok((tx, found))
    });
    let (sites, unreported) = found.await?;
    let mut report = Report::default();
    for (site_id, drill_id) in unreported {
        let Some(site) = sites.iter().find(|site| site.id == site_id) else { continue };
        report.reported += usize::from(close(app, site, drill_id, now).await?);
    }
    for site in &sites {
        report.started += usize::from(start(app, site, now).await?);
    }
    if report != Report::default() {
        app.wake.deliver.notify_one();
    }
    Ok(report)
}

/// The loop: looks at the time of day once per tick.
pub async fn run(app: App, stop: signal::Receiver<bool>) {
    by_the_clock("drill", app, stop, |app| async move { run_once(&app).await.map(|_| None) }).await;
}

async fn start(app: &App, site: &SitePlan, now: DateTime<Utc>) -> Result<bool> {
    let rules = &site.rules.notify.drill;
    let Some(week) = due_week(rules, site.zone, now) else { return Ok(false) };
    let (by, drill_id) = (By { site_id: site.id, actor_id: None, now }, id::weekly_drill(site.id, week));
    let terms = Terms { date: day::local_date(site.zone, now), report_after: rules.report_after.0, street_duty: rules.street_duty };
    let known = app.read(move |mut tx| async move {
        let known = (drill::is_known(&mut tx, by.site_id, drill_id).await?, drill::compounds(&mut tx, by.site_id).await?);
        Ok((tx, known))
    });
    let (is_known, compounds) = known.await?;
    let Some(place) = turn(&compounds, week).filter(|_| !is_known) else { return Ok(false) };
    let started = app.write(move |mut tx| async move {
        let started = drill::start(&mut tx, &by, drill_id, place, terms).await?;
        Ok((tx, started.is_some()))
    });
    match started.await {
        // Somebody's drill is still running, or nobody is there to be told: looked at again until the time is over.
        Err(Error::Refused(refusal)) => {
            tracing::warn!(site = %site.id, why = refusal.key, "the weekly drill does not begin");
            Ok(false)
        }
        other => other,
    }
}

async fn close(app: &App, site: &SitePlan, drill_id: Uuid, now: DateTime<Utc>) -> Result<bool> {
    let (site_id, date) = (site.id, day::local_date(site.zone, now));
    app.write(move |mut tx| async move {
        let made = drill::report(&mut tx, site_id, drill_id, date, now).await?;
        Ok((tx, made))
    })
    .await
}
