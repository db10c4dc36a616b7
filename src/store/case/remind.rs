//! Reminders of a round: one notice per person, building and moment, with counts only; and beside them a word about each senior
//! of whom somebody says that she is away, or of whom nobody knows whether she is back (domain.md §6).
//!
//! What is counted is the round as it is stored, not what happens to be decided in this transaction: the watch takes a large
//! round in several, and the first of them tells.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use chrono_tz::Tz;
use sqlx::FromRow;
use uuid::Uuid;

use super::Outcome;
use super::apply::send;
use super::load;
use crate::domain::absence::{ABSENCE_DAYS_MAX, AbsenceFact};
use crate::domain::case::Command;
use crate::domain::check::{CheckState, ReminderKind, Slot};
use crate::domain::notice::{NewNotice, arguments};
use crate::domain::roster::Roster;
use crate::domain::{day, id};
use crate::on;
use crate::store::{Result, Tx, roster};

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
    id: Uuid,
    senior_id: Uuid,
    #[sqlx(try_from = "String")]
    state: CheckState,
    building_id: Uuid,
    building: String,
    called: String,
    unit: String,
    cutoff_at: DateTime<Utc>,
}

/// What is left of a round, and until when it makes sense to say so.
#[derive(Default)]
struct Counted {
    unseen: u32,
    again: u32,
    until: DateTime<Utc>,
}

/// Who is told what about an absence, once: the notice carries its own id.
type Words = BTreeMap<Uuid, NewNotice>;

/// When the rounds of several buildings end together.
type Deadline = (NaiveDate, Slot, DateTime<Utc>);

pub async fn remind(tx: &mut Tx, site_id: Uuid, outcomes: &[Outcome], now: DateTime<Utc>) -> Result<()> {
    let mut due: BTreeMap<Deadline, BTreeMap<Uuid, ReminderKind>> = BTreeMap::new();
    for outcome in outcomes {
        for command in &outcome.commands {
            let Command::Remind { check_id, kind } = command else { continue };
            let Some(check) = outcome.case.checks.iter().find(|check| check.id == *check_id) else { continue };
            due.entry((check.local_date, check.slot, check.deadline_at)).or_default().insert(check.id, *kind);
        }
    }
    let Some(first) = outcomes.first().filter(|_| !due.is_empty()) else { return Ok(()) };
    let (zone, today) = (first.case.senior.zone, first.case.today(now));
    // Any verified channel: a word that may not arrive is better than none to the person who was asked.
    let reachable = roster::reachable(tx, site_id).await?;
    let mut rounds: BTreeMap<Round, Counted> = BTreeMap::new();
    let mut words = Words::new();
    for (deadline, checks) in due {
        let left = left(tx, site_id, deadline).await?;
        let kinds: BTreeSet<(ReminderKind, Uuid)> =
            left.iter().filter_map(|check| checks.get(&check.id).map(|kind| (*kind, check.building_id))).collect();
        let mut seniors: Vec<Uuid> =
            left.iter().filter(|check| kinds.iter().any(|(_, of)| *of == check.building_id)).map(|check| check.senior_id).collect();
        seniors.sort_unstable();
        seniors.dedup();
        let rosters = roster::load(tx, site_id, &seniors, today).await?;
        let absences = load::absences(tx, site_id, &seniors, deadline.0 - TimeDelta::days(ABSENCE_DAYS_MAX)).await?;
        for (kind, building) in kinds {
            for check in left.iter().filter(|check| check.building_id == building) {
                let Some(roster) = rosters.get(&check.senior_id) else { continue };
                count(&mut rounds, kind, deadline, check, roster, zone);
                let of_senior = absences.get(&check.senior_id).map(Vec::as_slice).unwrap_or_default();
                about_absences(&mut words, site_id, (kind, deadline), check, of_senior, (roster, &reachable), now);
            }
        }
    }
    let counted = rounds.iter().map(|(round, counted)| round.notice(site_id, counted, now));
    send(tx, counted.chain(words.into_values()).map(|notice| (site_id, notice)), now).await?;
    Ok(())
}

/// Everybody of the site who still has to be looked at by that moment.
async fn left(tx: &mut Tx, site_id: Uuid, (date, slot, deadline_at): Deadline) -> Result<Vec<Left>> {
    let sql = "select c.id, c.senior_id, c.state, b.id as building_id, b.name as building, s.called, h.unit, c.cutoff_at from daily_check c
        join senior s on s.site_id = c.site_id and s.id = c.senior_id
        join home h on h.site_id = s.site_id and h.id = s.home_id
        join place b on b.site_id = h.site_id and b.id = h.building_id
        where c.site_id = $1 and c.local_date = $2 and c.slot = $3 and c.deadline_at = $4
          and c.state in ('expected', 'tentative', 'tentative_blind')";
    Ok(on!(tx, |conn| sqlx::query_as(sql).bind(site_id).bind(date).bind(slot.as_str()).bind(deadline_at).fetch_all(conn).await)?)
}

/// Counts a check to the rounds that it belongs to: how many nobody looked at, how many need a second look.
fn count(
    rounds: &mut BTreeMap<Round, Counted>,
    kind: ReminderKind,
    (date, slot, deadline_at): Deadline,
    check: &Left,
    roster: &Roster,
    zone: Tz,
) {
    let is_unseen = check.state == CheckState::Expected;
    if is_unseen && kind == ReminderKind::LookAgain {
        return;
    }
    for member in reminded(kind, date, slot, roster) {
        let deadline = deadline_at.with_timezone(&zone).format("%H:%M").to_string();
        let building = check.building.clone();
        let counted = rounds.entry(Round { member, kind, date, slot, building_id: check.building_id, building, deadline }).or_default();
        if is_unseen {
            counted.unseen += 1;
        } else {
            counted.again += 1;
        }
        // The second look is for the time between deadline and cutoff.
        counted.until = counted.until.max(if kind == ReminderKind::LookAgain { check.cutoff_at } else { deadline_at });
    }
}

/// The round, and near its end the backup.
fn reminded(kind: ReminderKind, date: NaiveDate, slot: Slot, roster: &Roster) -> Vec<Uuid> {
    let mut people = roster.walkers(slot, day::weekday_bit(date));
    if kind == ReminderKind::Last {
        people.extend(roster.backup().filter(|backup| !people.contains(backup)));
    }
    people
}

/// What is said of absences that excuse nothing. A proposal stands beside both reminders of the round; a return that nobody
/// confirmed is said once, and also to who was asked about it.
fn about_absences(
    words: &mut Words,
    site: Uuid,
    (kind, (date, slot, deadline_at)): (ReminderKind, Deadline),
    check: &Left,
    absences: &[AbsenceFact],
    (roster, reachable): (&Roster, &BTreeSet<Uuid>),
    now: DateTime<Utc>,
) {
    if kind == ReminderKind::LookAgain {
        return;
    }
    let people = reminded(kind, date, slot, roster);
    let mut tell = |id: Uuid, member: Uuid, key: &'static str, absence: &AbsenceFact| {
        let said = [("senior", &check.called), ("building", &check.building), ("unit", &check.unit), ("reported_by", &absence.reported_by)];
        words.insert(id, NewNotice::report(id, member, key, arguments(said), now).reminder().until(deadline_at));
    };
    for absence in absences {
        if absence.is_proposed_on(date) {
            for member in &people {
                let reason = format!("proposed/{kind}/{slot}/{}", absence.id);
                tell(id::daily_notice(site, *member, date, &reason), *member, "notice.remind_proposed", absence);
            }
        }
        if absence.return_is_in_doubt(check.id) {
            for member in people.iter().copied().chain(roster.asked_about_return(reachable)) {
                tell(id::absence_word(absence.id, member, "in_doubt"), member, "notice.remind_return", absence);
            }
        }
    }
}

impl Round {
    fn notice(&self, site: Uuid, &Counted { unseen, again, until }: &Counted, now: DateTime<Utc>) -> NewNotice {
        let reason = format!("{}/{}/{}/{}", self.kind, self.slot, self.building_id, self.deadline);
        let said = [
            ("building", self.building.clone()),
            ("deadline", self.deadline.clone()),
            ("count", (if self.kind == ReminderKind::Round { unseen + again } else { unseen }).to_string()),
            ("again", again.to_string()),
        ];
        let key = match self.kind {
            ReminderKind::Round => "notice.remind_round",
            ReminderKind::Last => "notice.remind_last",
            ReminderKind::LookAgain => "notice.remind_again",
        };
        let id = id::daily_notice(site, self.member, self.date, &reason);
        NewNotice::report(id, self.member, key, arguments(said), now).reminder().until(until)
    }
}
