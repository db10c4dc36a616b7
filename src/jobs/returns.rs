//! The day before a senior comes back from an absence somebody is asked whether it is so. Without an answer the first morning
//! begins with a call to whoever had reported her away (`store::case::remind`), and stays an ordinary check.
//!
//! Each absence is asked about once, at the site's time or as soon after it as the server runs, until the first morning opens.

use chrono::{DateTime, NaiveDate, Utc};
use tokio::sync::watch as signal;
use uuid::Uuid;

use super::by_the_clock;
use crate::app::App;
use crate::domain::absence::{Asking, asking};
use crate::domain::notice::{NewNotice, arguments};
use crate::domain::{day, id};
use crate::store::case;
use crate::store::plan::SitePlan;
use crate::store::returns::{self, Unasked};
use crate::store::{Result, plan, roster};

/// Asks about every return that is due to be asked about, and returns how many that were.
pub async fn run_once(app: &App) -> Result<usize> {
    let now = app.clock.now();
    let sites = app.read(|mut tx| async move { plan::sites(&mut tx).await.map(|sites| (tx, sites)) }).await?;
    let mut asked = 0;
    for site in sites {
        let today = day::local_date(site.zone, now);
        for return_date in [Some(today), today.succ_opt()].into_iter().flatten() {
            if let Some(when) = asking(site.zone, &site.rules.check, return_date, now) {
                asked += ask(app, &site, return_date, when, now).await?;
            }
        }
    }
    if asked > 0 {
        app.wake.deliver.notify_one();
    }
    Ok(asked)
}

/// The loop: looks at the time of day once per tick.
pub async fn run(app: App, stop: signal::Receiver<bool>) {
    by_the_clock("returns", app, stop, |app| async move { run_once(&app).await.map(|_| None) }).await;
}

async fn ask(app: &App, site: &SitePlan, return_date: NaiveDate, when: Asking, now: DateTime<Utc>) -> Result<usize> {
    let (site_id, today) = (site.id, day::local_date(site.zone, now));
    // "Tomorrow" is true until midnight.
    let ends = (when == Asking::Eve).then(|| day::day_start(site.zone, return_date)).flatten();
    // Whoever has nobody is left for a later pass: a pairing may still come this evening.
    let questions = app.read(move |mut tx| async move {
        let unasked = returns::unasked(&mut tx, site_id, return_date).await?;
        if unasked.is_empty() {
            return Ok((tx, Vec::new()));
        }
        let seniors: Vec<Uuid> = unasked.iter().map(|absence| absence.senior_id).collect();
        let rosters = roster::load(&mut tx, site_id, &seniors, today).await?;
        let reachable = roster::reachable(&mut tx, site_id).await?;
        let people =
            |absence: &Unasked| rosters.get(&absence.senior_id).map(|roster| roster.asked_about_return(&reachable)).unwrap_or_default();
        let questions: Vec<(Vec<Uuid>, Unasked)> = unasked.into_iter().map(|absence| (people(&absence), absence)).collect();
        Ok((tx, questions))
    });
    let mut questions = questions.await?;
    questions.retain(|(people, _)| !people.is_empty());
    if questions.is_empty() {
        return Ok(0);
    }
    app.write(move |mut tx| async move {
        let mut notices = Vec::new();
        let mut asked = 0;
        for (people, absence) in &questions {
            if returns::mark_asked(&mut tx, site_id, absence.id, now).await? {
                notices.extend(
                    people.iter().map(|member| (site_id, NewNotice { useless_from: ends, ..question(absence, *member, when, now) })),
                );
                asked += 1;
            }
        }
        case::send(&mut tx, notices, now).await?;
        Ok((tx, asked))
    })
    .await
}

fn question(absence: &Unasked, member: Uuid, when: Asking, now: DateTime<Utc>) -> NewNotice {
    let said =
        [("senior", &absence.called), ("building", &absence.building), ("unit", &absence.unit), ("reported_by", &absence.reported_by)];
    NewNotice::report(id::absence_word(absence.id, member, "return"), member, when.key(), arguments(said), now)
}
