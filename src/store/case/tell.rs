//! Stand-down: everybody who was told hears that it is over, and if it is opened again, that too.
//!
//! While a person still has other seniors of the same look-round open, the word about those who are well waits and comes
//! in one message: sixty single messages on one morning would hide the one that matters.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;
use uuid::Uuid;

use super::Outcome;
use super::apply::{INSERT_NOTICE, notice_row};
use crate::domain::case::Command;
use crate::domain::id;
use crate::domain::notice::{NewNotice, NoticeClass};
use crate::on;
use crate::store::register::By;
use crate::store::{Result, Tx, bulk, silence};

/// The longest that good news of a look-round waits for the rest of it.
const BUNDLE_MAX: TimeDelta = TimeDelta::minutes(30);

pub async fn stand_down(tx: &mut Tx, outcomes: &[Outcome], now: DateTime<Utc>) -> Result<()> {
    let mut downs = Vec::new();
    for outcome in outcomes {
        for command in &outcome.commands {
            if let Command::StandDown { alert_id, epoch, key, arguments, except, bundle } = command {
                downs.push((outcome.case.senior.site_id, *alert_id, *epoch, *key, arguments, *except, *bundle));
            }
        }
    }
    if downs.is_empty() {
        return Ok(());
    }
    let ids: Vec<Value> = downs.iter().map(|(site, alert, ..)| json!({ "site": site, "id": alert })).collect();
    let told = told_about(tx, &Value::from(ids).to_string()).await?;
    let people: BTreeSet<Uuid> = told.iter().map(|(_, member)| *member).collect();
    let busy = if let Some((site, ..)) = downs.first() { still_busy(tx, *site, &people).await? } else { BTreeSet::new() };
    let mut rows = Vec::new();
    for (site, alert, epoch, key, arguments, except, bundle) in downs {
        for (_, member) in told.iter().filter(|(of, member)| *of == alert && Some(*member) != except) {
            let waits = bundle && busy.contains(member);
            let notice = NewNotice {
                id: id::notice(alert, epoch, now.timestamp_millis(), *member, key),
                alert_id: Some(alert),
                epoch,
                step: -1,
                level: 0,
                recipient_id: *member,
                key,
                arguments: arguments.clone(),
                class: NoticeClass::StandDown,
                not_before: if waits { now + BUNDLE_MAX } else { now },
            };
            rows.push(notice_row(site, &notice, now));
        }
    }
    bulk::execute(tx, INSERT_NOTICE, &rows).await?;
    release_waiting(tx, &people, &busy, now).await
}

/// Opened again: whoever was told hears that somebody must go after all.
pub async fn recall(tx: &mut Tx, outcomes: &[Outcome], now: DateTime<Utc>) -> Result<()> {
    for outcome in outcomes {
        for command in &outcome.commands {
            let Command::Recall { alert_id, epoch, key, arguments, except } = command else { continue };
            let site = outcome.case.senior.site_id;
            let ids = vec![json!({ "site": site, "id": alert_id })];
            let told = told_about(tx, &Value::from(ids).to_string()).await?;
            let rows: Vec<Value> = told
                .iter()
                .filter(|(_, member)| Some(*member) != *except)
                .map(|(_, member)| {
                    let step = now.timestamp_millis();
                    let notice = NewNotice {
                        id: id::notice(*alert_id, *epoch, step, *member, key),
                        alert_id: Some(*alert_id),
                        epoch: *epoch,
                        step,
                        level: 0,
                        recipient_id: *member,
                        key,
                        arguments: arguments.clone(),
                        class: NoticeClass::Alert,
                        not_before: now,
                    };
                    notice_row(site, &notice, now)
                })
                .collect();
            bulk::execute(tx, INSERT_NOTICE, &rows).await?;
        }
    }
    Ok(())
}

/// Acts that silence are told to the others concerned, in the same transaction.
pub async fn silenced(tx: &mut Tx, outcomes: &[Outcome], now: DateTime<Utc>) -> Result<()> {
    for outcome in outcomes {
        for command in &outcome.commands {
            let Command::Silenced { what, by } = command else { continue };
            let by = By { site_id: outcome.case.senior.site_id, actor_id: Some(*by), now };
            silence::tell(tx, &by, outcome.case.senior.id, *what).await?;
        }
    }
    Ok(())
}

/// Who was told about these alerts, and who is on the way: a sealed text cannot be recalled, also if a next channel was
/// cancelled; a pending one was cancelled.
async fn told_about(tx: &mut Tx, alerts: &str) -> Result<Vec<(Uuid, Uuid)>> {
    let sql = bulk::text(
        tx,
        "select n.alert_id, n.recipient_id from {rows}
         join notice n on n.site_id = {site:uuid} and n.alert_id = {id:uuid}
         where n.class = 'alert' and (n.state in ('sealed', 'delivered') or n.message_id is not null)
         union
         select e.alert_id, e.actor_id from {rows}
         join alert_event e on e.site_id = {site:uuid} and e.alert_id = {id:uuid}
         where e.kind in ('claimed', 'on_site') and e.actor_id is not null",
    );
    Ok(on!(tx, |conn| sqlx::query_as(AssertSqlSafe(sql)).bind(alerts).fetch_all(conn).await)?)
}

/// Which of these people were told about another alert that nobody has looked at yet.
async fn still_busy(tx: &mut Tx, site: Uuid, people: &BTreeSet<Uuid>) -> Result<BTreeSet<Uuid>> {
    let rows = Value::from(people.iter().map(|id| json!({ "site": site, "id": id })).collect::<Vec<_>>()).to_string();
    let sql = bulk::text(
        tx,
        "select distinct n.recipient_id from {rows}
         join notice n on n.site_id = {site:uuid} and n.recipient_id = {id:uuid}
         join alert a on a.site_id = n.site_id and a.id = n.alert_id
         where n.class = 'alert' and n.state in ('sealed', 'delivered') and a.resolved_at is null and a.cause = 'not_observed'",
    );
    let busy: Vec<(Uuid,)> = on!(tx, |conn| sqlx::query_as(AssertSqlSafe(sql)).bind(&rows).fetch_all(conn).await)?;
    Ok(busy.into_iter().map(|(id,)| id).collect())
}

/// People whose round is done hear the good news that had waited.
async fn release_waiting(tx: &mut Tx, people: &BTreeSet<Uuid>, busy: &BTreeSet<Uuid>, now: DateTime<Utc>) -> Result<()> {
    let rows: Vec<Value> = people.difference(busy).map(|id| json!({ "id": id, "now": bulk::time(now) })).collect();
    let sql = "update notice set not_before = {now:time} from {rows}
        where notice.recipient_id = {id:uuid} and notice.class = 'stand_down' and notice.state = 'pending' and notice.not_before > {now:time}";
    bulk::execute(tx, sql, &rows).await?;
    Ok(())
}
