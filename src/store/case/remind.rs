//! Reminders of a round: one notice per person, building and moment, with counts only.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate, Utc};
use uuid::Uuid;

use super::Outcome;
use super::apply::{INSERT_NOTICE, notice_row};
use crate::domain::case::Command;
use crate::domain::check::{CheckState, ReminderKind, Slot};
use crate::domain::notice::{NewNotice, NoticeClass};
use crate::domain::{day, id};
use crate::store::{Result, Tx, bulk, roster};

/// Who is reminded of what: one entry becomes one notice.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Round {
    member: Uuid,
    kind: ReminderKind,
    date: NaiveDate,
    slot: Slot,
    building: String,
    deadline: String,
}

pub async fn remind(tx: &mut Tx, site_id: Uuid, outcomes: &[Outcome], now: DateTime<Utc>) -> Result<()> {
    let due: Vec<(&Outcome, Uuid, ReminderKind, CheckState)> = outcomes
        .iter()
        .flat_map(|outcome| {
            outcome.commands.iter().filter_map(move |command| match command {
                Command::Remind { check_id, kind, state } => Some((outcome, *check_id, *kind, *state)),
                _ => None,
            })
        })
        .collect();
    let Some((first, ..)) = due.first() else { return Ok(()) };
    let today = first.case.today(now);
    let seniors: Vec<Uuid> = due.iter().map(|(outcome, ..)| outcome.case.senior.id).collect();
    let rosters = roster::load(tx, site_id, &seniors, today).await?;
    // Counted per round: how many nobody looked at, how many need a second look.
    let mut rounds: BTreeMap<Round, (u32, u32)> = BTreeMap::new();
    for (outcome, check_id, kind, state) in due {
        let case = &outcome.case;
        let (Some(roster), Some(check)) = (rosters.get(&case.senior.id), case.checks.iter().find(|check| check.id == check_id)) else {
            continue;
        };
        let mut people = roster.walkers(check.slot, day::weekday_bit(check.local_date));
        if kind == ReminderKind::Last {
            people.extend(roster.backup().filter(|backup| !people.contains(backup)));
        }
        for member in people {
            let deadline = check.deadline_at.with_timezone(&case.senior.zone).format("%H:%M").to_string();
            let building = case.senior.building_name.clone();
            let count = rounds.entry(Round { member, kind, date: check.local_date, slot: check.slot, building, deadline }).or_default();
            if state == CheckState::Expected { count.0 += 1 } else { count.1 += 1 }
        }
    }
    let rows: Vec<serde_json::Value> =
        rounds.iter().map(|(round, counts)| notice_row(site_id, &round.notice(site_id, *counts, now), now)).collect();
    bulk::execute(tx, INSERT_NOTICE, &rows).await?;
    Ok(())
}

impl Round {
    fn notice(&self, site: Uuid, (unseen, again): (u32, u32), now: DateTime<Utc>) -> NewNotice {
        let reason = format!("{}/{}/{}/{}", self.kind, self.slot, self.building, self.deadline);
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
