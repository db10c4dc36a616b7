//! What changes while people walk: the numbers of today, the open alerts, who has not been looked at, and what is left to write.

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use crate::app::App;
use crate::domain::access::Capability;
use crate::domain::check::{Cause, CheckState, Slot};
use crate::domain::statistics::CheckFigures;
use crate::http::caller::Caller;
use crate::http::error::HttpError;
use crate::http::pages::frame::Frame;
use crate::store::alert::{self, AlertItem, Filter};
use crate::store::board::{self, Counted, Unfinished, Waiting};

/// Rows of a list; beyond them the number says how many more, and a filter finds them.
const ALERTS_MAX: i64 = 100;
const WAITING_MAX: i64 = 40;
const UNFINISHED_MAX: i64 = 20;
/// What was left unwritten longer ago than this is found in the list of alerts.
const UNFINISHED_DAYS: i64 = 30;

pub struct NowPart {
    /// By the site's clock.
    pub at: String,
    pub at_millis: i64,
    pub slots: Vec<SlotNumbers>,
    pub buildings: Vec<BuildingNumbers>,
    /// Looked at, asked for, or called for: these go first.
    pub looked: AlertList,
    /// Nobody has looked.
    pub unlooked: AlertList,
    pub shut: WaitingList,
    pub unseen: WaitingList,
    pub unfinished: Vec<UnfinishedRow>,
    pub missing_total: i64,
    pub review_total: i64,
    /// Whether there is anything of today at all.
    pub is_planned: bool,
}

pub struct SlotNumbers {
    pub title: String,
    pub due: i64,
    pub seen: i64,
    pub late: i64,
    pub excused: i64,
    pub waiting: i64,
    pub missed: i64,
    pub nobody_looked: i64,
    pub percent: Option<i64>,
}

pub struct BuildingNumbers {
    pub name: String,
    pub link: String,
    pub due: i64,
    pub seen: i64,
    pub excused: i64,
    pub unseen: i64,
    pub waiting: i64,
    pub missed: i64,
}

pub struct AlertList {
    pub rows: Vec<AlertRow>,
    pub total: i64,
    pub more: i64,
}

pub struct AlertRow {
    pub id: Uuid,
    pub who: String,
    pub cause: String,
    pub is_urgent: bool,
    pub minutes: i64,
    pub since: String,
    pub level: i64,
    pub level_word: String,
    pub going: Option<String>,
    pub is_on_site: bool,
    pub notes: Vec<String>,
    pub may_claim: bool,
    pub may_escalate: bool,
    pub may_command: bool,
}

pub struct WaitingList {
    pub rows: Vec<WaitingRow>,
    pub total: i64,
    pub more: i64,
}

pub struct WaitingRow {
    pub senior_id: Uuid,
    pub who: String,
    pub until: String,
    pub state: Option<String>,
}

pub struct UnfinishedRow {
    pub id: Uuid,
    pub who: String,
    pub resolved: String,
    pub outcome_missing: bool,
    /// What it was is written: she has only to look it over.
    pub may_review: bool,
}

pub async fn read(app: &App, caller: &Caller, frame: &Frame, place: Option<Uuid>) -> Result<NowPart, HttpError> {
    let (now, asked) = (app.clock.now(), caller.clone());
    let filter = Filter {
        open_only: true,
        place,
        senior: None,
        cause: None,
        state: None,
        opened_from: None,
        opened_before: None,
        after: None,
        limit: ALERTS_MAX,
    };
    let found = app.read(move |mut tx| async move {
        if let Some(place) = place {
            asked.place(&mut tx, place, Capability::SeniorRead).await?;
        }
        let who = asked.who();
        let counted = board::counted(&mut tx, &who, place, now).await?;
        let alerts = alert::list(&mut tx, &who, &filter).await?;
        let open = board::open_alerts(&mut tx, &who, place).await?;
        let shut = board::waiting(&mut tx, &who, place, false, WAITING_MAX, now).await?;
        let unseen = board::waiting(&mut tx, &who, place, true, WAITING_MAX, now).await?;
        let since = now - TimeDelta::days(UNFINISHED_DAYS);
        let unfinished = board::unfinished(&mut tx, &who, place, since, UNFINISHED_MAX).await?;
        Ok((tx, (counted, alerts, open, shut, unseen, unfinished)))
    });
    let (counted, alerts, open, shut, unseen, unfinished) = found.await?;
    let (unlooked, looked): (Vec<AlertItem>, Vec<AlertItem>) = alerts.into_iter().partition(|item| item.cause == Cause::NotObserved);
    let total_of = |nobody: bool| open.iter().filter(|of| (of.cause == Cause::NotObserved) == nobody).map(|of| of.count).sum();
    let missing_total = unfinished.first().map_or(0, |first| first.missing_total);
    let all_unfinished = unfinished.first().map_or(0, |first| first.total);
    Ok(NowPart {
        at: frame.time(&now),
        at_millis: now.timestamp_millis(),
        slots: slots(frame, &counted),
        buildings: buildings(&counted),
        looked: alert_list(frame, caller, looked, total_of(false), now),
        unlooked: alert_list(frame, caller, unlooked, total_of(true), now),
        shut: waiting_list(frame, shut),
        unseen: waiting_list(frame, unseen),
        is_planned: !counted.is_empty(),
        missing_total,
        review_total: all_unfinished - missing_total,
        unfinished: unfinished.into_iter().map(|row| unfinished_row(frame, caller, row)).collect(),
    })
}

fn slots(frame: &Frame, counted: &[Counted]) -> Vec<SlotNumbers> {
    let numbers = |slot: &Slot| {
        let of_slot = counted.iter().filter(|count| count.slot == *slot);
        let figures = CheckFigures::of(of_slot.map(|count| (count.state, count.count)));
        let is_there = figures.due + figures.excused > 0;
        is_there.then(|| SlotNumbers {
            title: frame.say(&format!("board.slot_{slot}")).to_string(),
            due: figures.due,
            seen: figures.seen(),
            late: figures.ok_late,
            excused: figures.excused,
            waiting: figures.undecided,
            missed: figures.missed(),
            nobody_looked: figures.not_observed,
            percent: (figures.seen() * 100).checked_div(figures.due),
        })
    };
    Slot::ALL.iter().filter_map(numbers).collect()
}

fn buildings(counted: &[Counted]) -> Vec<BuildingNumbers> {
    // Rows of one building stand together.
    let of_building = counted.chunk_by(|one, next| one.building_id == next.building_id);
    let numbers = |rows: &[Counted]| {
        let first = rows.first()?;
        let figures = CheckFigures::of(rows.iter().map(|count| (count.state, count.count)));
        Some(BuildingNumbers {
            name: first.building.clone(),
            link: format!("/board?place={}", first.building_id),
            due: figures.due,
            seen: figures.seen(),
            excused: figures.excused,
            unseen: rows.iter().map(|count| count.unseen).sum(),
            waiting: figures.undecided,
            missed: figures.missed(),
        })
    };
    of_building.filter_map(numbers).collect()
}

fn alert_list(frame: &Frame, caller: &Caller, items: Vec<AlertItem>, total: i64, now: DateTime<Utc>) -> AlertList {
    let rows: Vec<AlertRow> = items.into_iter().map(|item| alert_row(frame, caller, &item, now)).collect();
    let more = (total - i64::try_from(rows.len()).unwrap_or(total)).max(0);
    AlertList { rows, total, more }
}

fn alert_row(frame: &Frame, caller: &Caller, item: &AlertItem, now: DateTime<Utc>) -> AlertRow {
    let is_held = item.claim_until.is_some_and(|until| until > now);
    let going = item.claimed_by_called.as_ref().zip(item.claim_until).filter(|_| is_held);
    let notes = [
        (item.emergency_at.is_some(), "board.note_emergency"),
        (item.drill, "board.note_drill"),
        (item.trial, "board.note_trial"),
        (item.sensor_noted_at.is_some(), "board.note_sensor"),
        (item.outage_from.is_some(), "board.note_outage"),
    ];
    AlertRow {
        id: item.id,
        who: person(frame, &item.building, &item.unit, &item.called),
        cause: frame.say(&format!("board.cause_{}", item.cause)).to_string(),
        is_urgent: item.emergency_at.is_some() || matches!(item.cause, Cause::Help | Cause::Cry),
        minutes: (now - item.opened_at).num_minutes().max(0),
        since: frame.when(&item.opened_at),
        level: item.level,
        level_word: frame.say(&format!("board.level_{}", item.level.clamp(0, 5))).to_string(),
        going: going.map(|(called, until)| frame.say("board.going").with("member", called).with("time", frame.time(&until)).to_string()),
        is_on_site: is_held && item.state == crate::domain::alert::AlertState::OnSite,
        notes: notes.into_iter().filter(|(holds, _)| *holds).map(|(_, key)| frame.say(key).to_string()).collect(),
        may_claim: !is_held && caller.may(Capability::AlertAct),
        may_escalate: caller.may(Capability::AlertAct),
        may_command: caller.may(Capability::AlertCommand),
    }
}

fn waiting_list(frame: &Frame, items: Vec<Waiting>) -> WaitingList {
    let total = items.first().map_or(0, |first| first.total);
    let rows: Vec<WaitingRow> = items
        .into_iter()
        .map(|item| WaitingRow {
            senior_id: item.senior_id,
            who: frame
                .say("board.person_room")
                .with("building", &item.building)
                .with("unit", &item.unit)
                .with("room", &item.room)
                .with("senior", &item.called)
                .to_string(),
            until: frame.time(&item.deadline_at),
            state: (item.state != CheckState::Expected).then(|| frame.say(&format!("board.check_{}", item.state)).to_string()),
        })
        .collect();
    WaitingList { total, more: (total - i64::try_from(rows.len()).unwrap_or(total)).max(0), rows }
}

fn unfinished_row(frame: &Frame, caller: &Caller, row: Unfinished) -> UnfinishedRow {
    UnfinishedRow {
        id: row.id,
        who: person(frame, &row.building, &row.unit, &row.called),
        resolved: frame.when(&row.resolved_at),
        outcome_missing: row.outcome_missing,
        may_review: !row.outcome_missing && caller.may(Capability::AlertCommand),
    }
}

/// A senior as staff call her: building, unit, name.
pub fn person(frame: &Frame, building: &str, unit: &str, called: &str) -> String {
    frame.say("board.person").with("building", building).with("unit", unit).with("senior", called).to_string()
}
