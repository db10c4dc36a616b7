//! Reminders of a round: one notice per person, building and moment, with counts only.
//!
//! What is counted is the round as it is stored, not what happens to be decided in this transaction: the watch takes a large
//! round in several, and the first of them tells.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate, Utc};
use chrono_tz::Tz;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, FromRow};
use uuid::Uuid;

use super::Outcome;
use super::apply::{INSERT_NOTICE, notice_row};
use crate::domain::case::Command;
use crate::domain::check::{CheckState, ReminderKind, Slot};
use crate::domain::notice::{NewNotice, NoticeClass};
use crate::domain::{day, id};
use crate::on;
use crate::store::{Result, Tx, bulk, roster};

/// Who is reminded of what: one entry becomes one notice.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Round {
    member: Uuid,
    kind: ReminderKind,
    date: NaiveDate,
    slot: Slot,
    building_id: Uuid,
    building: String,
    deadline: String,
}

/// A check that is left of a round.
#[derive(FromRow)]
struct Left {
    #[sqlx(try_from = "String")]
    kind: ReminderKind,
    building_id: Uuid,
    building: String,
    senior_id: Uuid,
    local_date: NaiveDate,
    #[sqlx(try_from = "String")]
    slot: Slot,
    deadline_at: DateTime<Utc>,
    #[sqlx(try_from = "String")]
    state: CheckState,
}

pub async fn remind(tx: &mut Tx, site_id: Uuid, outcomes: &[Outcome], now: DateTime<Utc>) -> Result<()> {
    let commands = outcomes.iter().flat_map(|outcome| &outcome.commands);
    let due: Vec<Value> = commands
        .filter_map(|command| match command {
            Command::Remind { check_id, kind } => Some(json!({ "site": site_id, "id": check_id, "kind": kind.as_str() })),
            _ => None,
        })
        .collect();
    let Some(first) = outcomes.first().filter(|_| !due.is_empty()) else { return Ok(()) };
    let (zone, today) = (first.case.senior.zone, first.case.today(now));
    let left = left_of_rounds(tx, &Value::from(due).to_string()).await?;
    let mut seniors: Vec<Uuid> = left.iter().map(|check| check.senior_id).collect();
    seniors.sort_unstable();
    seniors.dedup();
    let rosters = roster::load(tx, site_id, &seniors, today).await?;
    // Counted per round: how many nobody looked at, how many need a second look.
    let mut rounds: BTreeMap<Round, (u32, u32)> = BTreeMap::new();
    for check in left {
        let Some(roster) = rosters.get(&check.senior_id) else { continue };
        let mut people = roster.walkers(check.slot, day::weekday_bit(check.local_date));
        if check.kind == ReminderKind::Last {
            people.extend(roster.backup().filter(|backup| !people.contains(backup)));
        }
        for member in people {
            let count = rounds.entry(check.round(member, zone)).or_default();
            if check.state == CheckState::Expected { count.0 += 1 } else { count.1 += 1 }
        }
    }
    let rows: Vec<Value> = rounds.iter().map(|(round, counts)| notice_row(site_id, &round.notice(site_id, *counts, now), now)).collect();
    bulk::execute(tx, INSERT_NOTICE, &rows).await?;
    Ok(())
}

/// Everybody of these checks' rounds (same building, day, slot and deadline) who still has to be looked at.
async fn left_of_rounds(tx: &mut Tx, due: &str) -> Result<Vec<Left>> {
    let sql = bulk::text(
        tx,
        "select round.kind, round.building_id, b.name as building, c.senior_id, c.local_date, c.slot, c.deadline_at, c.state
         from (select distinct {kind:text} as kind, c.site_id, h.building_id, c.local_date, c.slot, c.deadline_at
            from {rows} join daily_check c on c.site_id = {site:uuid} and c.id = {id:uuid}
            join senior s on s.site_id = c.site_id and s.id = c.senior_id
            join home h on h.site_id = s.site_id and h.id = s.home_id) as round
         join place b on b.site_id = round.site_id and b.id = round.building_id
         join home h on h.site_id = round.site_id and h.building_id = round.building_id
         join senior s on s.site_id = h.site_id and s.home_id = h.id
         join daily_check c on c.site_id = s.site_id and c.senior_id = s.id and c.local_date = round.local_date and c.slot = round.slot
            and c.deadline_at = round.deadline_at
         where c.state in ('tentative', 'tentative_blind') or (c.state = 'expected' and round.kind <> 'look_again')",
    );
    Ok(on!(tx, |conn| sqlx::query_as(AssertSqlSafe(sql)).bind(due).fetch_all(conn).await)?)
}

impl Left {
    fn round(&self, member: Uuid, zone: Tz) -> Round {
        Round {
            member,
            kind: self.kind,
            date: self.local_date,
            slot: self.slot,
            building_id: self.building_id,
            building: self.building.clone(),
            deadline: self.deadline_at.with_timezone(&zone).format("%H:%M").to_string(),
        }
    }
}

impl Round {
    fn notice(&self, site: Uuid, (unseen, again): (u32, u32), now: DateTime<Utc>) -> NewNotice {
        let reason = format!("{}/{}/{}/{}", self.kind, self.slot, self.building_id, self.deadline);
        let arguments = [
            ("building", self.building.clone()),
            ("deadline", self.deadline.clone()),
            ("count", (if self.kind == ReminderKind::Round { unseen + again } else { unseen }).to_string()),
            ("again", again.to_string()),
        ];
        NewNotice {
            id: id::daily_notice(site, self.member, self.date, &reason),
            alert_id: None,
            epoch: 0,
            step: 0,
            level: 0,
            recipient_id: self.member,
            key: match self.kind {
                ReminderKind::Round => "notice.remind_round",
                ReminderKind::Last => "notice.remind_last",
                ReminderKind::LookAgain => "notice.remind_again",
            },
            arguments: arguments.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
            class: NoticeClass::Reminder,
            not_before: now,
        }
    }
}
