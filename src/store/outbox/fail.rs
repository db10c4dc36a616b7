//! When nobody can be reached: the notice ends `failed`, and a step of which nothing reached anybody escalates at once, in
//! the same transaction (I11, I16).

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, FromRow};
use uuid::Uuid;

use super::back;
use crate::domain::case::Event;
use crate::domain::notice::NoticeClass;
use crate::on;
use crate::store::case::{self, Span};
use crate::store::{Result, Tx, bulk, watch};

/// Notices per transaction: each may change an alert.
const UNREACHABLE_MAX: i64 = 200;

/// Whether the alerts are told. `No` only if telling them struck a broken record: the notice must end all the same (I28).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Escalate {
    Yes,
    No,
}

/// One rung that somebody was to be told about.
pub type Rung = (Uuid, Uuid, i64, i64);

#[derive(FromRow)]
struct Unreachable {
    site_id: Uuid,
    id: Uuid,
    alert_id: Option<Uuid>,
    epoch: i64,
    step: i64,
    senior_id: Option<Uuid>,
    class: String,
}

impl Unreachable {
    fn is_broken(&self) -> bool {
        self.class.parse::<NoticeClass>().is_err()
    }

    /// What a broken row was can only be told from where it stands: every notice of a rung asks somebody to go.
    fn is_alert(&self) -> bool {
        self.class == NoticeClass::Alert.as_str() || (self.is_broken() && self.step >= 0)
    }
}

/// Ends the due notices of people who have no working channel left, and those that cannot be read (I28); what a channel that only paused
/// may still carry goes back to that. Returns how many there were.
pub async fn fail_unreachable(tx: &mut Tx, escalate: Escalate, now: DateTime<Utc>) -> Result<usize> {
    let sql = concat!(
        "select n.site_id, n.id, n.alert_id, n.epoch, n.step, a.senior_id, n.class from notice n
         left join alert a on a.site_id = n.site_id and a.id = n.alert_id
         where n.state = 'pending' and n.not_before <= $1 and (n.class not in ",
        known_class!(),
        " or not (",
        reaches_contact!(),
        " or exists (
            select 1 from member m join member_channel c on c.site_id = m.site_id and c.member_id = m.id
            where m.site_id = n.site_id and m.id = n.recipient_id and m.ended_at is null and ",
        usable_channel!(),
        "))) order by n.not_before, n.id limit $2"
    );
    let rows: Vec<Unreachable> = on!(tx, |conn| sqlx::query_as(sql).bind(now).bind(UNREACHABLE_MAX).fetch_all(conn).await)?;
    // Seniors first, as every writer: a claim that waits for our notices must not hold what we need.
    let seniors: Vec<Uuid> = rows.iter().filter_map(|row| row.senior_id).collect();
    tx.lock_seniors(&seniors).await?;
    let row = |row: &Unreachable| json!({ "site": row.site_id, "id": row.id });
    let readable: Vec<Value> = rows.iter().filter(|row| !row.is_broken()).map(row).collect();
    let backs = back::of_notices(tx, &readable, Uuid::nil(), now).await?;
    back::go(tx, &backs, 0).await?;
    let ids: Vec<Value> = rows.iter().map(row).collect();
    let sql = "update notice set state = 'failed' from {rows}
        where notice.site_id = {site:uuid} and notice.id = {id:uuid} and notice.state = 'pending'";
    bulk::execute(tx, sql, &ids).await?;
    let rungs: Vec<Rung> =
        rows.iter().filter(|row| row.is_alert()).filter_map(|row| Some((row.site_id, row.alert_id?, row.epoch, row.step))).collect();
    if escalate == Escalate::Yes {
        undeliverable(tx, &rungs, now).await?;
    }
    for row in rows.iter().filter(|row| row.is_broken()) {
        tracing::error!(notice = %row.id, "broken notice isolated");
        tell_broken(tx, row.site_id, row.id, now).await?;
    }
    Ok(rows.len())
}

/// A row of the outbox cannot be read: the operators hear of it once a day.
pub(super) async fn tell_broken(tx: &mut Tx, site_id: Uuid, id: Uuid, now: DateTime<Utc>) -> Result<()> {
    let arguments = [("id".to_owned(), id.to_string())].into();
    watch::tell_operators(tx, site_id, "notice.message_broken", "outbox_broken", &arguments, now).await?;
    Ok(())
}

/// Tells the alerts of those rungs of which every notice has failed, or is held up by a receiver that asked for a pause; and of those
/// where whoever has a text has taken no call. The caller holds the locks of their seniors.
pub async fn undeliverable(tx: &mut Tx, rungs: &[Rung], now: DateTime<Utc>) -> Result<()> {
    if rungs.is_empty() {
        return Ok(());
    }
    let rows = rungs.iter().map(|(site, alert, epoch, step)| json!({ "site": site, "alert": alert, "epoch": epoch, "step": step }));
    let rows = Value::from(rows.collect::<Vec<_>>()).to_string();
    let sql = bulk::text(
        tx,
        "select distinct a.site_id, a.senior_id, {epoch:int} as epoch, {step:int} as step,
            exists (select 1 from notice n where n.site_id = a.site_id and n.alert_id = a.id
                and n.epoch = {epoch:int} and n.step = {step:int} and n.class = 'alert' and n.state = 'delivered') as texted
         from {rows}
         join alert a on a.site_id = {site:uuid} and a.id = {alert:uuid} and a.resolved_at is null
         where not exists (select 1 from notice n where n.site_id = a.site_id and n.alert_id = a.id
            and n.epoch = {epoch:int} and n.step = {step:int} and n.class = 'alert' and n.state <> 'failed'
            and not (n.state = 'delivered' and exists (select 1 from notice r
                join message c on c.site_id = r.site_id and c.id = r.message_id
                join message_receipt u on u.site_id = c.site_id and u.message_id = c.id and u.state = 'unanswered'
                where r.site_id = n.site_id and r.alert_id = n.alert_id and r.epoch = n.epoch and r.step = n.step
                  and r.recipient_id = n.recipient_id and r.class = 'alert' and r.id <> n.id and r.state = 'failed'))
            and not exists (select 1 from message s join message_attempt t on t.site_id = s.site_id and t.message_id = s.id
                where s.site_id = n.site_id and s.id = n.message_id and s.state = 'ready' and s.next_at > $2 and t.outcome = 'throttled'))",
    );
    let dead: Vec<(Uuid, Uuid, i64, i64, bool)> =
        on!(tx, |conn| sqlx::query_as(AssertSqlSafe(sql)).bind(&rows).bind(now).fetch_all(conn).await)?;
    let mut sites: BTreeMap<Uuid, Vec<(Uuid, i64, i64, bool)>> = BTreeMap::new();
    for (site, senior, epoch, step, texted) in dead {
        sites.entry(site).or_default().push((senior, epoch, step, texted));
    }
    for (site, rungs) in sites {
        let (_, operators) = watch::operators(tx, site, now).await?;
        let event = |(senior, epoch, step, texted)| {
            if texted {
                (senior, Event::Unanswered { epoch, step })
            } else {
                (senior, Event::Undeliverable { epoch, step, operators: operators.clone() })
            }
        };
        let events: Vec<(Uuid, Event)> = rungs.into_iter().map(event).collect();
        case::react(tx, site, &events, Span::due(now), now).await?;
    }
    Ok(())
}
