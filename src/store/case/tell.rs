//! Stand-down: everybody who was told hears that it is over, and if it is opened again, that too.
//!
//! While a person still has other seniors of the same look-round open, the word about those who are well waits a few minutes
//! for the next one and comes in one message: sixty single messages on one morning would hide the one that matters. Whoever
//! has said that she is going to this door hears it at once.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, FromRow};
use uuid::Uuid;

use super::Outcome;
use super::apply::send_to;
use crate::domain::case::Command;
use crate::domain::id;
use crate::domain::notice::{Arguments, NewNotice, NoticeClass, RecipientKind, for_contact};
use crate::on;
use crate::store::register::By;
use crate::store::{Result, Tx, bulk, silence};

/// The longest that good news of a look-round waits for more of it: a round of a dozen windows then makes two messages.
const BUNDLE_MAX: TimeDelta = TimeDelta::minutes(10);

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
    let people: BTreeSet<Uuid> = told.iter().map(|told| told.member).collect();
    let busy = if let Some((site, ..)) = downs.first() { still_busy(tx, *site, &people, now).await? } else { BTreeMap::new() };
    let mut rows = Vec::new();
    for (site, alert, epoch, key, arguments, except, bundle) in downs {
        for Told { member, kind, going, .. } in told.iter().filter(|told| told.alert == alert && Some(told.member) != except) {
            let (key, arguments) = said_to(*kind, key, arguments);
            let bundled_at = busy.get(member).filter(|_| bundle && !going);
            let notice = NewNotice {
                id: id::notice(alert, epoch, now.timestamp_millis(), *member, key),
                alert_id: Some(alert),
                epoch,
                step: -1,
                level: 0,
                recipient_id: *member,
                key,
                arguments,
                class: NoticeClass::StandDown,
                not_before: bundled_at.copied().unwrap_or(now),
                useless_from: None,
            };
            rows.push((site, *kind, notice));
        }
    }
    send_to(tx, rows, now).await?;
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
            let recalled: Vec<(Uuid, RecipientKind, NewNotice)> = told
                .iter()
                .filter(|told| Some(told.member) != *except)
                .map(|Told { member, kind, .. }| {
                    let step = now.timestamp_millis();
                    let (key, arguments) = said_to(*kind, key, arguments);
                    let notice = NewNotice {
                        id: id::notice(*alert_id, *epoch, step, *member, key),
                        alert_id: Some(*alert_id),
                        epoch: *epoch,
                        step,
                        level: 0,
                        recipient_id: *member,
                        key,
                        arguments,
                        class: NoticeClass::Alert,
                        not_before: now,
                        useless_from: None,
                    };
                    (site, *kind, notice)
                })
                .collect();
            send_to(tx, recalled, now).await?;
        }
    }
    Ok(())
}

/// What a contact reads says nothing about anybody.
fn said_to(kind: RecipientKind, key: &'static str, arguments: &Arguments) -> (&'static str, Arguments) {
    match kind {
        RecipientKind::Member => (key, arguments.clone()),
        RecipientKind::Contact => (for_contact(key), Arguments::new()),
    }
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

/// Somebody who believes that a door still waits.
#[derive(FromRow)]
struct Told {
    alert: Uuid,
    /// Or a contact, as `kind` says.
    member: Uuid,
    #[sqlx(try_from = "String")]
    kind: RecipientKind,
    /// She has said that she goes there.
    going: bool,
}

/// Who was told about these alerts, and who is on the way: a sealed text cannot be recalled, also if a next channel was
/// cancelled; a pending one was cancelled. Good news would frighten a contact whom nothing has reached.
async fn told_about(tx: &mut Tx, alerts: &str) -> Result<Vec<Told>> {
    let sql = bulk::text(
        tx,
        "select alert, member, max(kind) as kind, max(going) = 1 as going from (
            select n.alert_id as alert, n.recipient_id as member, n.recipient_kind as kind, 0 as going from {rows}
            join notice n on n.site_id = {site:uuid} and n.alert_id = {id:uuid}
            where n.class = 'alert' and (n.state in ('sealed', 'delivered') or n.message_id is not null)
              and not (n.recipient_kind = 'contact' and n.state = 'failed')
            union all
            select e.alert_id, e.actor_id, 'member', 1 from {rows}
            join alert_event e on e.site_id = {site:uuid} and e.alert_id = {id:uuid}
            where e.kind in ('claimed', 'on_site') and e.actor_id is not null) told
         group by alert, member",
    );
    Ok(on!(tx, |conn| sqlx::query_as(AssertSqlSafe(sql)).bind(alerts).fetch_all(conn).await)?)
}

/// Which of these people were told about another alert that nobody has looked at yet, and when they hear the next good news:
/// with what waits for them already, so that the first word keeps its time.
async fn still_busy(tx: &mut Tx, site: Uuid, people: &BTreeSet<Uuid>, now: DateTime<Utc>) -> Result<BTreeMap<Uuid, DateTime<Utc>>> {
    let rows = Value::from(people.iter().map(|id| json!({ "site": site, "id": id })).collect::<Vec<_>>()).to_string();
    let sql = bulk::text(
        tx,
        "select n.recipient_id, (select min(w.not_before) from notice w
                where w.site_id = n.site_id and w.recipient_id = n.recipient_id and w.class = 'stand_down' and w.state = 'pending') as next
         from {rows}
         join notice n on n.site_id = {site:uuid} and n.recipient_id = {id:uuid}
         join alert a on a.site_id = n.site_id and a.id = n.alert_id
         where n.class = 'alert' and n.state in ('sealed', 'delivered') and a.resolved_at is null and a.cause = 'not_observed'
         group by n.site_id, n.recipient_id",
    );
    let busy: Vec<(Uuid, Option<DateTime<Utc>>)> = on!(tx, |conn| sqlx::query_as(AssertSqlSafe(sql)).bind(&rows).fetch_all(conn).await)?;
    Ok(busy.into_iter().map(|(id, next)| (id, next.map_or(now + BUNDLE_MAX, |next| next.max(now)))).collect())
}

/// People whose round is done hear the good news that had waited.
async fn release_waiting(tx: &mut Tx, people: &BTreeSet<Uuid>, busy: &BTreeMap<Uuid, DateTime<Utc>>, now: DateTime<Utc>) -> Result<()> {
    let rows: Vec<Value> =
        people.iter().filter(|id| !busy.contains_key(id)).map(|id| json!({ "id": id, "now": bulk::time(now) })).collect();
    let sql = "update notice set not_before = {now:time} from {rows}
        where notice.recipient_id = {id:uuid} and notice.class = 'stand_down' and notice.state = 'pending' and notice.not_before > {now:time}";
    bulk::execute(tx, sql, &rows).await?;
    Ok(())
}
