//! What is due, asked by one indexed time; and how a broken record is taken out.

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use super::{Result, Tx, bulk, plan, roster};
use crate::domain::day;
use crate::domain::id;
use crate::domain::notice::{Arguments, NewNotice, NoticeClass};
use crate::on;

/// Which clockwork a pass drives: due checks, or due rungs of open alerts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clockwork {
    Checks,
    Alerts,
}

/// Seniors of one site with something due at `now`, earliest first.
pub async fn due_seniors(tx: &mut Tx, clockwork: Clockwork, now: DateTime<Utc>, limit: i64) -> Result<Option<(Uuid, Vec<Uuid>)>> {
    let sql = match clockwork {
        Clockwork::Checks => "select site_id, senior_id from daily_check where next_action_at <= $1 order by next_action_at limit $2",
        Clockwork::Alerts => "select site_id, senior_id from alert where next_action_at <= $1 order by next_action_at limit $2",
    };
    let due: Vec<(Uuid, Uuid)> = on!(tx, |conn| sqlx::query_as(sql).bind(now).bind(limit).fetch_all(conn).await)?;
    let Some((site, _)) = due.first().copied() else { return Ok(None) };
    let mut seniors: Vec<Uuid> = due.into_iter().filter(|(of, _)| *of == site).map(|(_, senior)| senior).collect();
    seniors.sort_unstable();
    seniors.dedup();
    Ok(Some((site, seniors)))
}

/// The next moment at which something is due.
pub async fn next_due(tx: &mut Tx, clockwork: Clockwork) -> Result<Option<DateTime<Utc>>> {
    let sql = match clockwork {
        Clockwork::Checks => "select min(next_action_at) from daily_check where next_action_at is not null",
        Clockwork::Alerts => "select min(next_action_at) from alert where next_action_at is not null",
    };
    Ok(on!(tx, |conn| sqlx::query_scalar(sql).fetch_one(conn).await)?)
}

/// An alert that cannot be read is tried again after this: once it is mended, its ladder goes on by itself.
const BROKEN_ALERT_PAUSE: TimeDelta = TimeDelta::minutes(5);

/// Takes a senior whose records cannot be read out of the clockwork, and tells the operators (I28). Checks of days that have
/// not begun stay: they may be mended until then.
pub async fn isolate(tx: &mut Tx, site_id: Uuid, senior_id: Uuid, now: DateTime<Utc>) -> Result<()> {
    let sql = "update daily_check set state = 'unmonitored', next_action_at = null
        where site_id = $1 and senior_id = $2 and next_action_at is not null and (next_action_at <= $3 or counts_from <= $3)";
    on!(tx, |conn| sqlx::query(sql).bind(site_id).bind(senior_id).bind(now).execute(conn).await.map(|_| ()))?;
    let sql = "update alert set next_action_at = $4 where site_id = $1 and senior_id = $2 and next_action_at <= $3";
    let later = now + BROKEN_ALERT_PAUSE;
    on!(tx, |conn| sqlx::query(sql).bind(site_id).bind(senior_id).bind(now).bind(later).execute(conn).await.map(|_| ()))?;
    tell_broken(tx, site_id, senior_id, now).await
}

/// One record of one senior cannot be read.
pub async fn tell_broken(tx: &mut Tx, site_id: Uuid, senior_id: Uuid, now: DateTime<Utc>) -> Result<()> {
    let arguments = [("senior_id".to_owned(), senior_id.to_string())].into();
    tell_operators(tx, site_id, "notice.record_broken", &format!("broken/{senior_id}"), &arguments, now).await
}

/// Tells the operators something about the system itself: once a day for each reason, however often it is met.
pub async fn tell_operators(
    tx: &mut Tx,
    site_id: Uuid,
    key: &'static str,
    reason: &str,
    arguments: &Arguments,
    now: DateTime<Utc>,
) -> Result<()> {
    // The zone may be what is broken: the date only keeps the notice from coming more than once a day.
    let today = plan::site(tx, site_id).await.map_or_else(|_| now.date_naive(), |site| day::local_date(site.zone, now));
    let operators = roster::operators(tx, site_id, today).await?;
    let rows: Vec<serde_json::Value> = operators
        .into_iter()
        .map(|operator| NewNotice {
            id: id::daily_notice(site_id, operator, today, reason),
            alert_id: None,
            epoch: 0,
            step: 0,
            level: 0,
            recipient_id: operator,
            key,
            arguments: arguments.clone(),
            class: NoticeClass::Report,
            not_before: now,
        })
        .map(|notice| super::case::notice_row(site_id, &notice, now))
        .collect();
    bulk::execute(tx, super::case::INSERT_NOTICE, &rows).await?;
    Ok(())
}
