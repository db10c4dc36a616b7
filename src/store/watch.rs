//! What is due, asked by one indexed time; and how a broken record is taken out.

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use uuid::Uuid;

use super::{Result, Tx, plan, roster};
use crate::domain::day;
use crate::domain::id;
use crate::domain::notice::{Arguments, NewNotice};
use crate::on;

/// Which clockwork a pass drives: due checks, or due rungs of open alerts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clockwork {
    Checks,
    Alerts,
}

/// Seniors of a site with something due at `now`, earliest first.
pub async fn due_seniors(tx: &mut Tx, clockwork: Clockwork, site_id: Uuid, now: DateTime<Utc>, limit: i64) -> Result<Vec<Uuid>> {
    let sql = match clockwork {
        Clockwork::Checks => {
            "select senior_id from daily_check where site_id = $1 and next_action_at <= $2 order by next_action_at, senior_id limit $3"
        }
        Clockwork::Alerts => {
            "select senior_id from alert where site_id = $1 and next_action_at <= $2 order by next_action_at, senior_id limit $3"
        }
    };
    let mut seniors: Vec<Uuid> = on!(tx, |conn| sqlx::query_scalar(sql).bind(site_id).bind(now).bind(limit).fetch_all(conn).await)?;
    seniors.sort_unstable();
    seniors.dedup();
    Ok(seniors)
}

/// The next moment after `now` at which something is due.
pub async fn next_due(tx: &mut Tx, clockwork: Clockwork, now: DateTime<Utc>) -> Result<Option<DateTime<Utc>>> {
    let sql = match clockwork {
        Clockwork::Checks => "select min(next_action_at) from daily_check where next_action_at > $1",
        Clockwork::Alerts => "select min(next_action_at) from alert where next_action_at > $1",
    };
    Ok(on!(tx, |conn| sqlx::query_scalar(sql).bind(now).fetch_one(conn).await)?)
}

/// What cannot be read is tried again after this: once it is mended, it goes on by itself.
const BROKEN_PAUSE: TimeDelta = TimeDelta::minutes(5);

/// Takes the checks of a senior whose records cannot be read out of the way, and tells the operators (I28). They are tried again
/// every few minutes and at their cutoff; if nobody could judge them by then, the operators hear that somebody must go. Checks
/// of days that have not begun stay.
///
/// # Errors
/// If it is the site that cannot be read: then nothing is wrong with the senior, and what is due stays due.
pub async fn isolate(tx: &mut Tx, site_id: Uuid, senior_id: Uuid, now: DateTime<Utc>) -> Result<()> {
    plan::site(tx, site_id).await?;
    let sql = "update daily_check set state = 'unmonitored', next_action_at = case when cutoff_at > $3 and cutoff_at < $4 then cutoff_at else $4 end
        where site_id = $1 and senior_id = $2 and next_action_at is not null and (next_action_at <= $3 or counts_from <= $3)";
    let later = now + BROKEN_PAUSE;
    on!(tx, |conn| sqlx::query(sql).bind(site_id).bind(senior_id).bind(now).bind(later).execute(conn).await.map(|_| ()))?;
    tell_broken(tx, site_id, senior_id, now).await?;
    let sql =
        "select count(*) from daily_check where site_id = $1 and senior_id = $2 and state = 'unmonitored' and next_action_at is not null
        and cutoff_at <= $3";
    let missed: i64 = on!(tx, |conn| sqlx::query_scalar(sql).bind(site_id).bind(senior_id).bind(now).fetch_one(conn).await)?;
    if missed > 0 {
        tell_of_senior(tx, site_id, senior_id, "notice.record_unjudged", "unjudged", now).await?;
    }
    Ok(())
}

/// Lets an alert that cannot be read wait; its ladder goes on once it is mended.
pub async fn postpone(tx: &mut Tx, site_id: Uuid, senior_id: Uuid, now: DateTime<Utc>) -> Result<()> {
    let sql = "update alert set next_action_at = $4 where site_id = $1 and senior_id = $2 and next_action_at <= $3";
    let later = now + BROKEN_PAUSE;
    on!(tx, |conn| sqlx::query(sql).bind(site_id).bind(senior_id).bind(now).bind(later).execute(conn).await.map(|_| ()))?;
    Ok(())
}

/// One record of one senior cannot be read.
pub async fn tell_broken(tx: &mut Tx, site_id: Uuid, senior_id: Uuid, now: DateTime<Utc>) -> Result<()> {
    tell_of_senior(tx, site_id, senior_id, "notice.record_broken", "broken", now).await
}

async fn tell_of_senior(tx: &mut Tx, site_id: Uuid, senior: Uuid, key: &'static str, what: &str, now: DateTime<Utc>) -> Result<()> {
    let arguments = [("senior_id".to_owned(), senior.to_string())].into();
    tell_operators(tx, site_id, key, &format!("{what}/{senior}"), &arguments, now).await?;
    Ok(())
}

/// Tells the operators something about the system itself: once a day for each reason, however often it is met. Returns how
/// many notices were written.
pub async fn tell_operators(
    tx: &mut Tx,
    site_id: Uuid,
    key: &'static str,
    reason: &str,
    arguments: &Arguments,
    now: DateTime<Utc>,
) -> Result<u64> {
    let (today, operators) = operators(tx, site_id, now).await?;
    let notices = operators.into_iter().map(|operator| {
        let id = id::daily_notice(site_id, operator, today, reason);
        (site_id, NewNotice::report(id, operator, key, arguments.clone(), now))
    });
    super::case::send(tx, notices, now).await
}

/// The date at the site, and its operators in force.
pub async fn operators(tx: &mut Tx, site_id: Uuid, now: DateTime<Utc>) -> Result<(NaiveDate, Vec<Uuid>)> {
    // The zone may be what is broken: the date only keeps a notice from coming more than once a day.
    let today = plan::site(tx, site_id).await.map_or_else(|_| now.date_naive(), |site| day::local_date(site.zone, now));
    Ok((today, roster::operators(tx, site_id, today).await?))
}
