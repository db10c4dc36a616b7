//! What groups know and what is so: read together, leased to one sender, settled afterwards.

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;
use sqlx::FromRow;
use uuid::Uuid;

use super::register::JsonText;
use super::{Result, Tx, watch};
use crate::domain::group_post::{Counts, Known};
use crate::domain::message::channel::GroupChannel;
use crate::domain::notice::arguments;
use crate::on;

/// Longer than any attempt.
const LEASE: TimeDelta = TimeDelta::minutes(1);

/// A group that may be told something.
#[derive(Debug, Clone)]
pub struct Group {
    pub site_id: Uuid,
    pub id: Uuid,
    pub channel: GroupChannel,
    pub key_sealed: Vec<u8>,
    pub known: Known,
    /// A failed post waits until then.
    pub next_at: Option<DateTime<Utc>>,
    pub attempts: i64,
    pub repeated: bool,
    pub counts: Counts,
}

#[derive(FromRow)]
struct Row {
    site_id: Uuid,
    id: Uuid,
    channel: String,
    key_sealed: Vec<u8>,
    #[sqlx(try_from = "String")]
    posted: JsonText<Counts>,
    posted_at: Option<DateTime<Utc>>,
    changed_at: Option<DateTime<Utc>>,
    next_at: Option<DateTime<Utc>>,
    attempts: i64,
    repeated: bool,
}

/// All groups that work, with what is so now: open alerts by building, drills left out.
pub async fn groups(tx: &mut Tx, now: DateTime<Utc>) -> Result<Vec<Group>> {
    // A lease that nobody ended was a sender's that died: whether its post arrived is unknown.
    let sql = "select site_id, id, channel, key_sealed, posted, posted_at, changed_at, next_at, attempts,
            (repeated or lease_until is not null) as repeated from group_chat
        where ended_at is null and disabled_at is null and (lease_until is null or lease_until <= $1) order by site_id, id";
    let rows: Vec<Row> = on!(tx, |conn| sqlx::query_as(sql).bind(now).fetch_all(conn).await)?;
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let sql = "select g.site_id, g.id, b.name, count(*) from group_chat g
        join place_closure p on p.site_id = g.site_id and p.ancestor_id = g.place_id
        join place b on b.site_id = p.site_id and b.id = p.descendant_id
        join home h on h.site_id = b.site_id and h.building_id = b.id
        join senior s on s.site_id = h.site_id and s.home_id = h.id
        join alert a on a.site_id = s.site_id and a.senior_id = s.id
        where g.ended_at is null and g.disabled_at is null and a.resolved_at is null and not a.drill
        group by g.site_id, g.id, b.id, b.name order by g.site_id, g.id, b.name, b.id";
    let counted: Vec<(Uuid, Uuid, String, i64)> = on!(tx, |conn| sqlx::query_as(sql).fetch_all(conn).await)?;
    let mut counts: HashMap<(Uuid, Uuid), Counts> = HashMap::new();
    for (site, id, building, count) in counted {
        counts.entry((site, id)).or_default().push((building, count));
    }
    let group = |row: Row| {
        let counts = counts.remove(&(row.site_id, row.id)).unwrap_or_default();
        let known = Known { posted: row.posted.0, posted_at: row.posted_at, changed_at: row.changed_at };
        let (site_id, id, key_sealed, next_at) = (row.site_id, row.id, row.key_sealed, row.next_at);
        // A word of another version is no group of this one.
        let channel = row.channel.parse().ok()?;
        Some(Group { site_id, id, channel, key_sealed, known, next_at, attempts: row.attempts, repeated: row.repeated, counts })
    };
    Ok(rows.into_iter().filter_map(group).collect())
}

/// Notes since when a group no longer knows how it is; `None` when it knows again.
pub async fn note(tx: &mut Tx, group: &Group, changed_at: Option<DateTime<Utc>>) -> Result<()> {
    let sql = "update group_chat set changed_at = $3 where site_id = $1 and id = $2";
    on!(tx, |conn| sqlx::query(sql).bind(group.site_id).bind(group.id).bind(changed_at).execute(conn).await.map(|_| ()))?;
    Ok(())
}

/// Takes a group for one post; `false`: another instance was first.
pub async fn lease(tx: &mut Tx, group: &Group, now: DateTime<Utc>) -> Result<bool> {
    let sql = "update group_chat set lease_until = $3, attempts = attempts + 1, repeated = (repeated or lease_until is not null)
        where site_id = $1 and id = $2 and ended_at is null and disabled_at is null and (lease_until is null or lease_until <= $4)";
    let taken = on!(tx, |conn| sqlx::query(sql)
        .bind(group.site_id)
        .bind(group.id)
        .bind(now + LEASE)
        .bind(now)
        .execute(conn)
        .await?
        .rows_affected());
    Ok(taken > 0)
}

/// The group has been told.
pub async fn told(tx: &mut Tx, group: &Group, now: DateTime<Utc>) -> Result<()> {
    let sql = "update group_chat set posted = $3, posted_at = $4, changed_at = null, next_at = null, lease_until = null, attempts = 0,
            repeated = $5, last_error = null where site_id = $1 and id = $2";
    let posted =
        Value::from(group.counts.iter().map(|(building, count)| serde_json::json!([building, count])).collect::<Vec<_>>()).to_string();
    on!(tx, |conn| sqlx::query(sql).bind(group.site_id).bind(group.id).bind(posted).bind(now).bind(false).execute(conn).await.map(|_| ()))?;
    Ok(())
}

/// The post did not go through: again at `next_at`.
pub async fn failed(tx: &mut Tx, group: &Group, next_at: DateTime<Utc>, unknown: bool, why: &str) -> Result<()> {
    let sql = "update group_chat set next_at = $3, lease_until = null, repeated = (repeated or $4), last_error = $5
        where site_id = $1 and id = $2";
    on!(tx, |conn| sqlx::query(sql)
        .bind(group.site_id)
        .bind(group.id)
        .bind(next_at)
        .bind(unknown)
        .bind(why)
        .execute(conn)
        .await
        .map(|_| ()))?;
    Ok(())
}

/// The platform refuses everything until something here is mended, which is no fault of the robot: it is asked again at `next_at`, and
/// the operators hear of it.
pub async fn wait_for_mending(tx: &mut Tx, group: &Group, next_at: DateTime<Utc>, why: &str, now: DateTime<Utc>) -> Result<()> {
    failed(tx, group, next_at, false, why).await?;
    let said = arguments([("channel", group.channel.as_str()), ("why", why)]);
    watch::tell_operators(tx, group.site_id, "notice.group_clock", &format!("group_clock/{}", group.channel), &said, now).await?;
    Ok(())
}

/// This robot takes nothing any more: off until somebody has seen to it, and the operators hear of it.
pub async fn give_up(tx: &mut Tx, group: &Group, why: &str, now: DateTime<Utc>) -> Result<()> {
    let sql = "update group_chat set lease_until = null, next_at = null, last_error = $3, disabled_at = $4, disabled_why = $3, version = version + 1
        where site_id = $1 and id = $2 returning name";
    let name: String =
        on!(tx, |conn| sqlx::query_scalar(sql).bind(group.site_id).bind(group.id).bind(why).bind(now).fetch_one(conn).await)?;
    let said = arguments([("group", name.as_str()), ("why", why)]);
    watch::tell_operators(tx, group.site_id, "notice.group_refused", &format!("group_chat/{}", group.id), &said, now).await?;
    Ok(())
}
