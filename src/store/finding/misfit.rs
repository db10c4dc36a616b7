//! Opens the question whether another time or sign should be agreed, in the transaction that settles a false alarm or cuts off a
//! check at which nothing could be seen. The caller holds the seniors' locks, so one question stands open per senior.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, NaiveDate, Utc};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, FromRow};
use uuid::Uuid;

use crate::domain::id;
use crate::domain::misfit::{Misfit, Mishap, WEEK, agree_anew};
use crate::domain::notice::NewNotice;
use crate::domain::outcome::Outcome;
use crate::domain::visit::{FindingKind, FindingState};
use crate::on;
use crate::store::audit::{self, Entry};
use crate::store::case;
use crate::store::{Result, Tx, bulk, feed, naming, roster};

/// Looks at these seniors of one site and asks where two mishaps of a kind fall within a week.
pub async fn look(tx: &mut Tx, site_id: Uuid, seniors: &[Uuid], today: NaiveDate, now: DateTime<Utc>) -> Result<()> {
    let mut asked: BTreeMap<Uuid, Mishap> = BTreeMap::new();
    for chunk in seniors.chunks(bulk::ROWS_MAX) {
        let rows: Vec<Value> = chunk.iter().map(|id| json!({ "site": site_id, "id": id })).collect();
        let rows = Value::from(rows).to_string();
        let questions = questions(tx, &rows).await?;
        let mishaps = mishaps(tx, &rows, now - WEEK - WEEK).await?;
        for (senior, mishaps) in mishaps {
            let known = questions.get(&senior);
            if known.is_some_and(|known| known.is_open) {
                continue;
            }
            if let Some(mishap) = agree_anew(&mishaps, known.and_then(|known| known.closed_at), now) {
                asked.insert(senior, mishap.clone());
            }
        }
    }
    if asked.is_empty() {
        return Ok(());
    }
    open(tx, site_id, &asked, now).await?;
    tell(tx, site_id, &asked, today, now).await
}

/// What has been asked about one senior before.
#[derive(FromRow)]
struct Known {
    senior_id: Uuid,
    is_open: bool,
    closed_at: Option<DateTime<Utc>>,
}

async fn questions(tx: &mut Tx, rows: &str) -> Result<BTreeMap<Uuid, Known>> {
    let sql = bulk::text(
        tx,
        "select f.senior_id, max(case when f.closed_at is null then 1 else 0 end) = 1 as is_open, max(f.closed_at) as closed_at from {rows}
         join finding f on f.site_id = {site:uuid} and f.senior_id = {id:uuid} and f.kind = 'agreement' group by f.senior_id",
    );
    let known: Vec<Known> = on!(tx, |conn| sqlx::query_as(AssertSqlSafe(sql)).bind(rows).fetch_all(conn).await)?;
    Ok(known.into_iter().map(|known| (known.senior_id, known)).collect())
}

/// The mishaps since `since`. A look that was sent late and had seen the sign in time was none.
async fn mishaps(tx: &mut Tx, rows: &str, since: DateTime<Utc>) -> Result<BTreeMap<Uuid, Vec<Mishap>>> {
    let mut of_senior: BTreeMap<Uuid, Vec<Mishap>> = BTreeMap::new();
    let sql = bulk::text(
        tx,
        "select a.senior_id, a.id, a.opened_at, a.outcome from {rows}
         join alert a on a.site_id = {site:uuid} and a.senior_id = {id:uuid} and a.opened_at >= $2
         where a.resolved_at is not null and a.outcome is not null and not a.drill and a.cause in ('not_observed', 'not_open', 'blind')",
    );
    let alerts: Vec<(Uuid, Uuid, DateTime<Utc>, String)> =
        on!(tx, |conn| sqlx::query_as(AssertSqlSafe(sql)).bind(rows).bind(since).fetch_all(conn).await)?;
    for (senior, id, at, outcome) in alerts {
        if outcome.parse().is_ok_and(Outcome::is_false_alarm) {
            of_senior.entry(senior).or_default().push(Mishap { id, misfit: Misfit::FalseAlarm, at });
        }
    }
    let sql = bulk::text(
        tx,
        "select a.senior_id, c.id, c.cutoff_at from {rows}
         join alert a on a.site_id = {site:uuid} and a.senior_id = {id:uuid}
         join alert_trigger t on t.site_id = a.site_id and t.alert_id = a.id and t.cause = 'blind'
         join daily_check c on c.site_id = t.site_id and c.id = t.check_id
         where c.cutoff_at >= $2 and c.state not in ('ok', 'excused')",
    );
    let checks: Vec<(Uuid, Uuid, DateTime<Utc>)> =
        on!(tx, |conn| sqlx::query_as(AssertSqlSafe(sql)).bind(rows).bind(since).fetch_all(conn).await)?;
    for (senior, id, at) in checks {
        of_senior.entry(senior).or_default().push(Mishap { id, misfit: Misfit::Blind, at });
    }
    Ok(of_senior)
}

async fn open(tx: &mut Tx, site_id: Uuid, asked: &BTreeMap<Uuid, Mishap>, now: DateTime<Utc>) -> Result<()> {
    let kind = FindingKind::Agreement.as_str();
    let row = |(senior, mishap): (&Uuid, &Mishap)| {
        json!({
            "site": site_id, "id": id::misfit(mishap.id), "senior": senior, "kind": kind, "item": mishap.misfit.as_str(),
            "state": FindingState::Requested.as_str(), "at": bulk::time(now),
        })
    };
    let rows: Vec<Value> = asked.iter().map(row).collect();
    let sql = "insert into finding (site_id, id, senior_id, kind, item, state, created_at, version)
        select {site:uuid}, {id:uuid}, {senior:uuid}, {kind:text}, {item:text}, {state:text}, {at:time}, 1 from {rows} where true
        on conflict (site_id, id) do nothing";
    bulk::execute(tx, sql, &rows).await?;
    let entry = |mishap: &Mishap| Entry {
        site_id,
        at: now,
        actor_id: None,
        act: "create",
        object_kind: "finding",
        object_id: Some(id::misfit(mishap.id)),
        fields: &["kind", "item"],
    };
    audit::write_many(tx, &asked.values().map(entry).collect::<Vec<_>>()).await?;
    let changed: Vec<(Uuid, Uuid)> = asked.iter().map(|(senior, mishap)| (id::misfit(mishap.id), *senior)).collect();
    feed::note_many(tx, site_id, "finding", &changed, now).await
}

/// Whoever decides what is agreed hears of each question once.
async fn tell(tx: &mut Tx, site_id: Uuid, asked: &BTreeMap<Uuid, Mishap>, today: NaiveDate, now: DateTime<Utc>) -> Result<()> {
    let seniors: Vec<Uuid> = asked.keys().copied().collect();
    let rosters = roster::load(tx, site_id, &seniors, today).await?;
    let operators = roster::operators(tx, site_id, today).await?;
    let mut notices = Vec::new();
    for (senior, said) in naming::doors(tx, site_id, &seniors).await? {
        let Some(mishap) = asked.get(&senior) else { continue };
        let people: BTreeSet<Uuid> =
            rosters.get(&senior).map(|roster| roster.deciders(&operators)).unwrap_or_default().into_iter().collect();
        notices.extend(people.into_iter().map(|member| {
            let id = id::daily_notice(site_id, member, today, &format!("misfit/{}", id::misfit(mishap.id)));
            (site_id, NewNotice::report(id, member, mishap.misfit.key(), said.clone(), now))
        }));
    }
    case::send(tx, notices, now).await?;
    Ok(())
}
