//! The last good pass of each job: what the heartbeat and the health page go by.

use chrono::{DateTime, NaiveDate, Utc};
use sqlx::FromRow;
use uuid::Uuid;

use super::{Result, Tx};
use crate::on;

pub async fn passed(tx: &mut Tx, job: &str, now: DateTime<Utc>, detail: &str) -> Result<()> {
    let sql = "insert into job_pass (job, at, detail) values ($1, $2, $3)
        on conflict (job) do update set at = excluded.at, detail = excluded.detail";
    on!(tx, |conn| sqlx::query(sql).bind(job).bind(now).bind(detail).execute(conn).await.map(|_| ()))?;
    Ok(())
}

/// When a job last passed, and what it said.
pub async fn last_pass(tx: &mut Tx, job: &str) -> Result<Option<(DateTime<Utc>, String)>> {
    let sql = "select at, detail from job_pass where job = $1";
    Ok(on!(tx, |conn| sqlx::query_as(sql).bind(job).fetch_optional(conn).await)?)
}

/// The last pass of every job that is not about one site.
pub async fn passes(tx: &mut Tx) -> Result<Vec<(String, DateTime<Utc>)>> {
    let sql = "select job, at from job_pass where job not like '%/%' order by job";
    Ok(on!(tx, |conn| sqlx::query_as(sql).fetch_all(conn).await)?)
}

/// What waits to be done, over all sites of this database, and when the oldest of it became due.
#[derive(Debug, Clone, Default, FromRow)]
pub struct Backlog {
    pub checks: i64,
    pub alerts: i64,
    pub notices: i64,
    pub messages: i64,
    pub oldest_due_at: Option<DateTime<Utc>>,
    /// Servers that gave a sign of life since the moment asked about.
    pub servers: i64,
}

pub async fn backlog(tx: &mut Tx, alive_since: DateTime<Utc>, now: DateTime<Utc>) -> Result<Backlog> {
    let sql = "select
            (select count(*) from daily_check where next_action_at <= $1) as checks,
            (select count(*) from alert where next_action_at <= $1) as alerts,
            (select count(*) from notice where state = 'pending' and not_before <= $1) as notices,
            (select count(*) from message where state in ('ready', 'leased') and next_at <= $1) as messages,
            (select min(due) from (select min(next_action_at) as due from daily_check where next_action_at <= $1
                union all select min(next_action_at) from alert where next_action_at <= $1
                union all select min(not_before) from notice where state = 'pending' and not_before <= $1
                union all select min(next_at) from message where state in ('ready', 'leased') and next_at <= $1) waiting) as oldest_due_at,
            (select count(*) from server_life where stopped_at is null and alive_at > $2) as servers";
    Ok(on!(tx, |conn| sqlx::query_as(sql).bind(now).bind(alive_since).fetch_one(conn).await)?)
}

/// How large a site is, and how far it is planned.
#[derive(Debug, Clone, FromRow)]
pub struct Extent {
    pub planned_through: Option<NaiveDate>,
    pub seniors: i64,
    pub devices: i64,
}

pub async fn extent(tx: &mut Tx, site_id: Uuid) -> Result<Extent> {
    let sql = "select s.planned_through,
            (select count(*) from senior where site_id = $1 and ended_at is null and purpose = 'real') as seniors,
            (select count(*) from device where site_id = $1 and revoked_at is null) as devices
        from site s where s.id = $1";
    Ok(on!(tx, |conn| sqlx::query_as(sql).bind(site_id).fetch_one(conn).await)?)
}

/// Which database this is, as it names itself.
pub async fn database_version(tx: &mut Tx) -> Result<String> {
    match tx {
        Tx::Sqlite(tx) => {
            let version: String = sqlx::query_scalar("select sqlite_version()").fetch_one(&mut **tx).await?;
            Ok(format!("SQLite {version}"))
        }
        Tx::Postgres(tx) => {
            let version: String = sqlx::query_scalar("show server_version").fetch_one(&mut **tx).await?;
            Ok(format!("PostgreSQL {version}"))
        }
    }
}
