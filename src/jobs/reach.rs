//! Would an alert reach somebody? Looked at every day, after the register changed, and half an hour before each deadline, when
//! there is still time to ask somebody (I16). Whoever can close a gap hears of all of them in one notice.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, NaiveTime, Utc};
use tokio::sync::watch as signal;
use uuid::Uuid;

use super::by_the_clock;
use crate::app::App;
use crate::domain::check::Slot;
use crate::domain::notice::{NewNotice, arguments};
use crate::domain::reach::{Gap, Moments, Occasion, occasion};
use crate::domain::{day, id};
use crate::store::case;
use crate::store::plan::SitePlan;
use crate::store::register::reach::{self, Judged};
use crate::store::{Result, health, plan, roster};

/// What is found at night is told in the morning.
const TOLD_FROM: NaiveTime = NaiveTime::from_hms_opt(8, 0, 0).expect("a time of day");

/// What a pass did.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Sites that were looked at.
    pub looked: usize,
    pub notices: usize,
}

/// Looks at every site for which it is time.
pub async fn run_once(app: &App) -> Result<Report> {
    let now = app.clock.now();
    let sites = app.read(|mut tx| async move { plan::sites(&mut tx).await.map(|sites| (tx, sites)) }).await?;
    let mut report = Report::default();
    for site in sites {
        let Some(occasion) = due(app, &site, now).await? else { continue };
        report.looked += 1;
        report.notices += look(app, &site, occasion, now).await?;
    }
    if report.notices > 0 {
        app.wake.deliver.notify_one();
    }
    Ok(report)
}

/// The loop: asks once per tick whether it is time.
pub async fn run(app: App, stop: signal::Receiver<bool>) {
    by_the_clock("reach", app, stop, |app| async move { run_once(&app).await.map(|_| None) }).await;
}

fn job(site: Uuid) -> String {
    format!("reach/{site}")
}

async fn due(app: &App, site: &SitePlan, now: DateTime<Utc>) -> Result<Option<Occasion>> {
    let (site_id, today) = (site.id, day::local_date(site.zone, now));
    let read = app.read(move |mut tx| async move {
        let looked_at = health::last_pass(&mut tx, &job(site_id)).await?.map(|(at, _)| at);
        let changed = reach::changed(&mut tx, site_id, looked_at.unwrap_or(now)).await?;
        Ok((tx, (looked_at, changed)))
    });
    let (looked_at, changed) = read.await?;
    let deadline = |slot| (slot, day::instant(site.zone, today, site.rules.check.deadline(slot, today)).unwrap_or(now));
    let moments = Moments {
        looked_at,
        day_began: day::day_start(site.zone, today).unwrap_or(now),
        changed,
        deadlines: [deadline(Slot::Morning), deadline(Slot::Evening)],
    };
    Ok(occasion(&moments, now))
}

async fn look(app: &App, site: &SitePlan, occasion: Occasion, now: DateTime<Utc>) -> Result<usize> {
    let (site_id, today) = (site.id, day::local_date(site.zone, now));
    let read = app.read(move |mut tx| async move {
        let (judged, _) = reach::judge(&mut tx, site_id, None, today).await?;
        let operators = roster::operators(&mut tx, site_id, today).await?;
        Ok((tx, (judged, operators)))
    });
    let (judged, operators) = read.await?;
    count(site_id, &reach::counts(&judged));
    let reason = match occasion {
        Occasion::Changed => "reach".to_owned(),
        Occasion::Deadline(slot) => format!("reach/{slot}"),
    };
    let not_before = day::instant(site.zone, today, TOLD_FROM).map_or(now, |from| from.max(now));
    let concerned = judged.iter().filter(|one| occasion != Occasion::Deadline(Slot::Evening) || one.has_evening);
    let notices: Vec<(Uuid, NewNotice)> = by_recipient(concerned, &operators)
        .into_iter()
        .map(|(recipient, gaps)| {
            let id = id::daily_notice(site_id, recipient, today, &reason);
            (site_id, notice(id, recipient, &gaps, not_before))
        })
        .collect();
    app.write(move |mut tx| async move {
        let written = case::send(&mut tx, notices, now).await?;
        health::passed(&mut tx, &job(site_id), now, &reason).await?;
        Ok((tx, usize::try_from(written).unwrap_or(usize::MAX)))
    })
    .await
}

/// Who can close a gap: the branch secretary and the social worker of the place, and the operators.
fn by_recipient<'a>(judged: impl Iterator<Item = &'a Judged>, operators: &[Uuid]) -> BTreeMap<Uuid, Vec<&'a Judged>> {
    let mut gaps: BTreeMap<Uuid, Vec<&Judged>> = BTreeMap::new();
    for one in judged.filter(|one| !one.shown.gaps.is_empty()) {
        let people: BTreeSet<Uuid> = one.roster.heads().into_iter().chain(operators.iter().copied()).collect();
        for member in people {
            gaps.entry(member).or_default().push(one);
        }
    }
    gaps
}

fn notice(id: Uuid, recipient_id: Uuid, gaps: &[&Judged], not_before: DateTime<Utc>) -> NewNotice {
    let building = gaps.first().map(|one| one.shown.building_name.clone()).unwrap_or_default();
    let said = arguments([("building", building), ("count", gaps.len().to_string())]);
    NewNotice::report(id, recipient_id, "notice.unreachable", said, not_before)
}

fn count(site: Uuid, counts: &BTreeMap<Gap, usize>) {
    for gap in Gap::ALL.iter().copied() {
        let number = u32::try_from(counts.get(&gap).copied().unwrap_or(0)).unwrap_or(u32::MAX);
        metrics::gauge!("chenlian_reach_gaps", "site" => site.to_string(), "gap" => gap.as_str()).set(number);
    }
}
