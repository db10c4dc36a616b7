//! The words of every day: the proof that the watching works ("38 of 40 seen, 2 visited"), so that our own silence is noticed;
//! at noon and at six what nobody has settled yet; in the afternoon the buildings that nobody will look at tomorrow.
//!
//! Each is sent once per site, date and moment, at its local time or as soon after it on that date as the server runs.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate, NaiveTime, Utc};
use chrono_tz::Tz;
use serde_json::json;
use tokio::sync::watch as signal;
use uuid::Uuid;

use super::by_the_clock;
use crate::app::App;
use crate::domain::notice::{NewNotice, arguments};
use crate::domain::place::Role;
use crate::domain::{day, id, ladder};
use crate::store::case;
use crate::store::plan::SitePlan;
use crate::store::proof;
use crate::store::{Result, Tx, health, plan, roster, unheard};

/// How many notices a pass wrote.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Report {
    pub proofs: usize,
    pub uncovered: usize,
    pub unresolved: usize,
}

#[derive(Debug, Clone, Copy)]
enum Word {
    Proof,
    Cover,
    Unresolved,
}

pub async fn run_once(app: &App) -> Result<Report> {
    let now = app.clock.now();
    let sites = app.read(|mut tx| async move { plan::sites(&mut tx).await.map(|sites| (tx, sites)) }).await?;
    let mut report = Report::default();
    for site in sites {
        report.proofs += say(app, &site, Word::Proof, site.rules.check.proof_at, now).await?;
        report.uncovered += say(app, &site, Word::Cover, site.rules.check.cover_notice_at, now).await?;
        if let Some(at) = ladder::listing(site.zone, now) {
            report.unresolved += say(app, &site, Word::Unresolved, at, now).await?;
        }
    }
    if report != Report::default() {
        app.wake.deliver.notify_one();
    }
    Ok(report)
}

/// The loop: looks at the time of day once per tick.
pub async fn run(app: App, stop: signal::Receiver<bool>) {
    by_the_clock("prove", app, stop, |app| async move { run_once(&app).await.map(|_| None) }).await;
}

/// Writes one word for one site, unless it is too early or it is written.
async fn say(app: &App, site: &SitePlan, word: Word, at: NaiveTime, now: DateTime<Utc>) -> Result<usize> {
    let today = day::local_date(site.zone, now);
    if day::instant(site.zone, today, at).is_none_or(|at| now < at) {
        return Ok(0);
    }
    let job = match word {
        Word::Proof => format!("proof/{}", site.id),
        Word::Cover => format!("cover/{}", site.id),
        Word::Unresolved => format!("unresolved/{}", site.id),
    };
    let moment = match word {
        Word::Proof | Word::Cover => today.to_string(),
        Word::Unresolved => format!("{today} {at}"),
    };
    let asked = job.clone();
    let last = app.read(move |mut tx| async move { health::last_pass(&mut tx, &asked).await.map(|last| (tx, last)) }).await?;
    if last.is_some_and(|(_, said)| said == moment) {
        return Ok(0);
    }
    let (site_id, zone) = (site.id, site.zone);
    app.write(move |mut tx| async move {
        let notices = match word {
            Word::Proof => proofs(&mut tx, site_id, zone, now).await?,
            Word::Cover => uncovered(&mut tx, site_id, today, now).await?,
            Word::Unresolved => unresolved(&mut tx, site_id, (today, at), now).await?,
        };
        // Every one of them speaks of today.
        let ends = today.succ_opt().and_then(|tomorrow| day::day_start(zone, tomorrow));
        let told = |notice: NewNotice| (site_id, NewNotice { useless_from: ends, ..notice });
        let written = case::send(&mut tx, notices.into_iter().map(told), now).await?;
        health::passed(&mut tx, &job, now, &moment).await?;
        Ok((tx, usize::try_from(written).unwrap_or(usize::MAX)))
    })
    .await
}

/// The numbers of the morning, and of those whom nobody has seen or heard for too long.
async fn proofs(tx: &mut Tx, site_id: Uuid, zone: Tz, now: DateTime<Utc>) -> Result<Vec<NewNotice>> {
    let today = day::local_date(zone, now);
    let numbers = proof::mornings(tx, site_id, today).await?;
    let unheard = unheard::overdue(tx, site_id, zone, now).await?.into_iter().collect();
    let unheard = proof::among(tx, site_id, today, &unheard).await?;
    let notices = numbers.into_iter().map(|of| {
        let unheard = unheard.get(&of.member_id).copied().unwrap_or_default();
        let said = [("total", of.total), ("seen", of.seen), ("visited", of.visited), ("open", of.open), ("excused", of.excused)];
        let said = said.into_iter().chain([("unheard", unheard)]);
        NewNotice::report(id::daily_notice(site_id, of.member_id, today, "proof"), of.member_id, "notice.proof", arguments(said), now)
    });
    Ok(notices.collect())
}

/// One notice per person about everybody whom nobody has reached yet, counted by building; none if all is settled.
async fn unresolved(tx: &mut Tx, site_id: Uuid, (today, at): (NaiveDate, NaiveTime), now: DateTime<Utc>) -> Result<Vec<NewNotice>> {
    let open = proof::unresolved(tx, site_id).await?;
    let seniors: Vec<Uuid> = open.iter().map(|alert| alert.senior_id).collect();
    let rosters = roster::load(tx, site_id, &seniors, today).await?;
    let operators = roster::operators(tx, site_id, today).await?;
    // By person: each building with its name and number, in walking order.
    let mut lists: BTreeMap<Uuid, Vec<(Uuid, String, usize)>> = BTreeMap::new();
    for alert in open {
        for member in rosters.get(&alert.senior_id).map(|roster| roster.hear_of_unresolved(&operators)).unwrap_or_default() {
            let list = lists.entry(member).or_default();
            match list.last_mut() {
                Some((building, _, count)) if *building == alert.building_id => *count += 1,
                _ => list.push((alert.building_id, alert.building.clone(), 1)),
            }
        }
    }
    let notices = lists.into_iter().map(|(member, list)| {
        let count: usize = list.iter().map(|(.., count)| count).sum();
        let buildings: Vec<(String, usize)> = list.into_iter().map(|(_, name, count)| (name, count)).collect();
        let said = arguments([("count", json!(count)), ("buildings", json!(buildings))]);
        NewNotice::report(id::daily_notice(site_id, member, today, &format!("unresolved/{at}")), member, "notice.unresolved", said, now)
    });
    Ok(notices.collect())
}

/// One notice per building without a walker tomorrow, to the branch secretary; to the operators where there is none.
async fn uncovered(tx: &mut Tx, site_id: Uuid, today: NaiveDate, now: DateTime<Utc>) -> Result<Vec<NewNotice>> {
    let Some(tomorrow) = today.succ_opt() else { return Ok(Vec::new()) };
    let open = proof::uncovered(tx, site_id, tomorrow).await?;
    let people = roster::load(tx, site_id, &proof::seniors_of(&open), today).await?;
    let operators = roster::operators(tx, site_id, today).await?;
    // (person, building) → name and number of seniors.
    let mut gaps: BTreeMap<(Uuid, Uuid), (String, Vec<Uuid>)> = BTreeMap::new();
    for check in open {
        let secretaries = people.get(&check.senior_id).map(|roster| roster.holders(Role::BranchSecretary)).unwrap_or_default();
        for member in if secretaries.is_empty() { &operators } else { &secretaries } {
            let (_, seniors) = gaps.entry((*member, check.building_id)).or_insert_with(|| (check.building.clone(), Vec::new()));
            if !seniors.contains(&check.senior_id) {
                seniors.push(check.senior_id);
            }
        }
    }
    let notices = gaps.into_iter().map(|((member, building), (name, seniors))| {
        let reason = format!("no_cover/{building}");
        let id = id::daily_notice(site_id, member, tomorrow, &reason);
        NewNotice::report(id, member, "notice.no_cover", arguments([("building", name), ("count", seniors.len().to_string())]), now)
    });
    Ok(notices.collect())
}
