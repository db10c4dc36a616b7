//! A senior: what is agreed with her, who is there for her, a year of her mornings, what happened lately, and what can be done.

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use chrono::{DateTime, Days, NaiveDate, TimeDelta, Utc};
use uuid::Uuid;

use super::calendar::{Calendar, Look};
use super::frame::Frame;
use super::page;
use crate::app::App;
use crate::domain::absence::{ABSENCE_DAYS_MAX, AbsenceKind, may_confirm_return};
use crate::domain::access::{Capability, Relation};
use crate::http::HttpState;
use crate::http::api::seniors::{self, SeniorView, absences, agreements, days, pairings};
use crate::http::api::{alerts, devices, visits};
use crate::http::caller::Caller;
use crate::http::error::HttpError;
use crate::http::json::Segments;
use crate::http::value::Day;
use crate::store::naming;
use crate::store::register::absence::Absence;
use crate::store::register::agreement::Agreement;
use crate::store::register::pairing::Pairing;
use crate::store::register::senior::RevealReason;

/// How far back the timeline reads looks, and visits.
const LOOK_DAYS: i64 = 14;
const VISIT_DAYS: i64 = 90;
/// Alerts and entries on the page; the rest is in their own lists.
const ENTRIES_MAX: usize = 40;

pub fn routes() -> Router<HttpState> {
    Router::new().route("/seniors/{id}", get(senior))
}

#[derive(Template)]
#[template(path = "senior.html")]
struct SeniorPage {
    frame: Frame,
    senior: SeniorView,
    relation: Relation,
    agreements: Vec<Agreement>,
    pairings: Vec<(Pairing, String)>,
    absences: Vec<Absence>,
    devices: Vec<devices::Listed>,
    calendar: Calendar,
    entries: Vec<Entry>,
    open_alert: Option<Uuid>,
    /// Who proposes an absence says by whom she knows it.
    me: String,
}

/// One line of what happened.
struct Entry {
    at: DateTime<Utc>,
    /// `looked`, `alert` or `visit`; the sentence is `door.entry_…`.
    kind: &'static str,
    word: String,
    by: String,
    alert: Option<Uuid>,
}

impl SeniorPage {
    /// What the forms of the page begin with.
    fn path(&self) -> String {
        format!("/api/v1/seniors/{}", self.senior.id)
    }

    fn may(&self, word: &str) -> bool {
        word.parse::<Capability>().is_ok_and(|capability| self.relation.may(capability))
    }

    /// The weekdays of an agreement as words.
    fn weekdays(&self, agreement: &Agreement) -> String {
        if agreement.weekdays == crate::domain::day::EVERY_DAY {
            return self.frame.say("door.every_day").to_string();
        }
        let days = (0..7).filter(|day| agreement.weekdays & (1 << day) != 0);
        days.map(|day| self.frame.word("page.weekday", day + 1).to_string()).collect::<Vec<_>>().join(" ")
    }

    fn looks(&self) -> [Look; 5] {
        Look::ALL
    }

    fn columns(&self) -> Vec<(u32, u32)> {
        Calendar::columns()
    }

    fn width(&self) -> u32 {
        Calendar::WIDTH
    }

    fn kinds(&self) -> &'static [AbsenceKind] {
        AbsenceKind::ALL
    }

    fn reasons(&self) -> &'static [RevealReason] {
        RevealReason::ALL
    }

    fn after(&self, days: u64) -> NaiveDate {
        self.frame.today.checked_add_days(Days::new(days)).unwrap_or(self.frame.today)
    }

    fn latest_return(&self) -> NaiveDate {
        self.after(ABSENCE_DAYS_MAX.unsigned_abs())
    }

    fn may_say_she_is_back(&self, absence: &Absence) -> bool {
        let waits = absence.confirmed_at.is_some() && absence.return_confirmed_at.is_none();
        waits && self.relation.may(Capability::ReturnConfirm) && may_confirm_return(absence.return_date, self.frame.today)
    }
}

async fn senior(State(app): State<App>, caller: Caller, Segments(id): Segments<Uuid>) -> Result<Response, HttpError> {
    let (senior, relation) = seniors::opened(&app, &caller, id).await?;
    let today = caller.today;
    let mut agreements = agreements::listed(&app, &caller, id).await?;
    agreements.retain(|agreement| agreement.to_date.is_none_or(|to| to > today));
    let mut absences = absences::listed(&app, &caller, id).await?;
    absences.retain(|absence| absence.cancelled_at.is_none() && absence.return_date >= today - TimeDelta::days(1));
    let mut pairings = pairings::listed(&app, &caller, id).await?;
    pairings.retain(|pairing| pairing.to_date.is_none_or(|to| to > today));
    let (pairings, me) = named(&app, &caller, pairings).await?;
    let devices = if relation.may(Capability::DevicesRead) { devices::of_senior(&app, &caller, id).await? } else { Vec::new() };
    let mornings = days::mornings(&app, &caller, id).await?;
    let (entries, open_alert) = entries(&app, &caller, id).await?;
    page(&SeniorPage {
        frame: Frame::of(&caller, "/seniors"),
        calendar: Calendar::of(&mornings, today),
        senior,
        relation,
        agreements,
        pairings,
        absences,
        devices,
        entries,
        open_alert,
        me,
    })
}

/// Who is paired, by name, and how the reader is called.
async fn named(app: &App, caller: &Caller, pairings: Vec<Pairing>) -> Result<(Vec<(Pairing, String)>, String), HttpError> {
    let (site, member) = (caller.site_id, caller.member_id);
    let named = app
        .read(move |mut tx| async move {
            let mut named = Vec::with_capacity(pairings.len());
            for pairing in pairings {
                let called = naming::member(&mut tx, site, pairing.member_id).await?;
                named.push((pairing, called));
            }
            let me = naming::member(&mut tx, site, member).await?;
            Ok((tx, (named, me)))
        })
        .await?;
    Ok(named)
}

/// Looks, alerts and visits of the last weeks, the latest first, and the alert that is open.
async fn entries(app: &App, caller: &Caller, id: Uuid) -> Result<(Vec<Entry>, Option<Uuid>), HttpError> {
    let today = caller.today;
    let days = days::listed(app, caller, id, today - TimeDelta::days(LOOK_DAYS - 1), today).await?;
    let looks = days.into_iter().flat_map(|day| day.checks).flat_map(|check| check.signals);
    let mut entries: Vec<Entry> = looks
        .map(|look| Entry {
            at: look.observed_at,
            kind: "looked",
            word: format!("door.sign_{}", look.kind),
            by: format!("door.source_{}", look.source),
            alert: None,
        })
        .collect();
    let alerts = alerts::listed(app, caller, alerts::ListQuery { senior: Some(id), ..alerts::ListQuery::default() }).await?.items;
    let open = alerts.iter().find(|alert| alert.resolved_at.is_none()).map(|alert| alert.id);
    entries.extend(alerts.into_iter().map(|alert| Entry {
        at: alert.opened_at,
        kind: "alert",
        word: format!("door.cause_{}", alert.cause),
        by: if alert.resolved_at.is_some() { "door.over".to_owned() } else { "door.still_open".to_owned() },
        alert: Some(alert.id),
    }));
    let lately = Some(Day(today - TimeDelta::days(VISIT_DAYS)));
    let visits = visits::listed(app, caller, visits::ListQuery { senior: Some(id), from: lately, ..visits::ListQuery::default() }).await?;
    entries.extend(visits.items.into_iter().map(|visit| Entry {
        at: visit.started_at,
        kind: "visit",
        word: format!("door.kind_{}", visit.kind),
        by: format!("door.visit_{}", visit.result),
        alert: None,
    }));
    // A look at couples of both slots is one look.
    entries.sort_by(|a, b| (b.at, b.kind, &b.word).cmp(&(a.at, a.kind, &a.word)));
    entries.dedup_by(|a, b| (a.at, a.kind, &a.word) == (b.at, b.kind, &b.word));
    entries.truncate(ENTRIES_MAX);
    Ok((entries, open))
}
