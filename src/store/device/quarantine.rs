//! Messages put aside for a person to look at: kept as samples, listed, told of, and forgotten after a while.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use sqlx::FromRow;
use uuid::Uuid;

use super::super::{Result, Tx, bulk, plan, roster};
use super::around::{Around, Placed, around, placed_columns, placed_joins};
use crate::domain::notice::{NewNotice, arguments};
use crate::domain::quarantine::{Reason, report_at};
use crate::domain::{day, id};
use crate::on;
use crate::store::{case, watch};

/// Kept of a quarantined message.
const SAMPLE_BYTES_MAX: usize = 1024;
const TOPIC_CHARS_MAX: usize = 256;
/// Raw sensor messages live this long (domain.md §9).
const KEPT: TimeDelta = TimeDelta::days(30);

/// A message that nobody could use.
#[derive(Debug, Clone)]
pub struct Quarantined {
    pub site_id: Option<Uuid>,
    pub device_id: Option<Uuid>,
    pub topic: String,
    pub reason: Reason,
    /// What the reader of the bytes said, for whoever mends the device.
    pub why: String,
    /// Somebody may have pressed for help by it, and a person must hear at once. Names the press, so that it is told once.
    pub press: Option<String>,
    pub payload: Vec<u8>,
    pub size_bytes: usize,
    pub received_at: DateTime<Utc>,
}

/// Keeps samples. What names no device belongs to the site if there is only one.
pub async fn keep(tx: &mut Tx, messages: &[Quarantined]) -> Result<()> {
    let rows: Vec<Value> = messages
        .iter()
        .map(|message| {
            let topic: String = message.topic.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).take(TOPIC_CHARS_MAX).collect();
            let sample = &message.payload[..message.payload.len().min(SAMPLE_BYTES_MAX)];
            json!({
                "id": Uuid::now_v7(), "site": message.site_id, "device": message.device_id, "topic": topic,
                "reason": message.reason.as_str(), "why": message.why, "sample": bulk::hex(sample), "size": message.size_bytes,
                "at": bulk::time(message.received_at),
            })
        })
        .collect();
    let template = "insert into quarantined_message (id, site_id, device_id, topic, reason, why, sample, size_bytes, received_at)
        select {id:uuid}, coalesce({site:uuid}, (select s.id from site s where (select count(*) from site) = 1)), {device:uuid},
            {topic:text}, {reason:text}, {why:text}, {sample:bytes}, {size:int}, {at:time} from {rows}";
    bulk::execute(tx, template, &rows).await?;
    Ok(())
}

#[derive(FromRow)]
struct Pressed {
    #[sqlx(flatten)]
    device: Placed,
    installed_by: Option<Uuid>,
}

/// Tells at once of presses for help that were refused: who answers for the senior is asked to ring her, and the operators to see
/// that somebody does. Of a button that is bound to nobody they and its installer hear. Returns how many notices were written.
pub async fn tell_presses(tx: &mut Tx, messages: &[Quarantined], now: DateTime<Utc>) -> Result<u64> {
    let presses: BTreeSet<(Uuid, &str)> =
        messages.iter().filter_map(|message| Some((message.device_id?, message.press.as_deref()?))).collect();
    if presses.is_empty() {
        return Ok(0);
    }
    let rows: BTreeSet<Uuid> = presses.iter().map(|(device, _)| *device).collect();
    let rows = Value::from(bulk::ids(&rows.into_iter().collect::<Vec<_>>())).to_string();
    let template = concat!(
        "select ",
        placed_columns!(),
        ", (select m.id from member m where m.site_id = d.site_id and m.id = d.installed_by and m.ended_at is null) as installed_by
        from {rows} join device d on d.id = {id:uuid} ",
        placed_joins!()
    );
    let sql = bulk::text(tx, template);
    let found: Vec<Pressed> = on!(tx, |conn| sqlx::query_as(sqlx::AssertSqlSafe(sql)).bind(rows).fetch_all(conn).await)?;
    let sites = around(tx, &found.iter().map(|pressed| &pressed.device).collect::<Vec<_>>(), now).await?;
    let mut reachable = BTreeMap::new();
    for site_id in sites.keys() {
        reachable.insert(*site_id, roster::reachable(tx, *site_id).await?);
    }
    let mut notices = Vec::new();
    for pressed in &found {
        let site_id = pressed.device.site_id;
        let (Some(site), Some(reachable)) = (sites.get(&site_id), reachable.get(&site_id)) else { continue };
        for (_, press) in presses.iter().filter(|(device, _)| *device == pressed.device.id) {
            notices.extend(words(pressed, press, site, reachable, now).into_iter().map(|notice| (site_id, notice)));
        }
    }
    case::send(tx, notices, now).await
}

fn words(pressed: &Pressed, press: &str, site: &Around, reachable: &BTreeSet<Uuid>, now: DateTime<Utc>) -> Vec<NewNotice> {
    let Pressed { device, installed_by } = pressed;
    let notice = |member, key, details| NewNotice::report(id::refused_press(device.id, press, member), member, key, details, now);
    let named = arguments([("device", &device.name)]);
    let Some((senior, home)) = device.home() else {
        let people: BTreeSet<Uuid> = site.operators.iter().copied().chain(*installed_by).collect();
        return people.into_iter().map(|member| notice(member, "notice.help_refused_unbound", named.clone())).collect();
    };
    let ring = site.roster(senior).map(|roster| roster.ring(reachable, site.on_duty)).unwrap_or_default();
    let details: crate::domain::notice::Arguments = home.clone().into_iter().chain(named).collect();
    let others = site.operators.iter().filter(|operator| !ring.contains(operator));
    let others: Vec<NewNotice> = others.map(|operator| notice(*operator, "notice.help_refused_bound", details.clone())).collect();
    ring.iter().map(|member| notice(*member, "notice.help_refused", home.clone()).reminder()).chain(others).collect()
}

/// One message as the list shows it.
#[derive(Debug, Clone, FromRow)]
pub struct Kept {
    pub id: Uuid,
    pub device_id: Option<Uuid>,
    pub device_name: Option<String>,
    pub topic: String,
    #[sqlx(try_from = "String")]
    pub reason: Reason,
    pub why: String,
    pub sample: Vec<u8>,
    pub size_bytes: i64,
    pub received_at: DateTime<Utc>,
}

macro_rules! kept_columns {
    () => {
        "q.id, q.device_id, d.name as device_name, q.topic, q.reason, q.why, q.sample, q.size_bytes, q.received_at
        from quarantined_message q left join device d on d.site_id = q.site_id and d.id = q.device_id"
    };
}

/// A page, newest first, before `before`.
pub async fn page(
    tx: &mut Tx,
    site_id: Uuid,
    device_id: Option<Uuid>,
    before: Option<(DateTime<Utc>, Uuid)>,
    limit: i64,
) -> Result<Vec<Kept>> {
    let sql = concat!(
        "select ",
        kept_columns!(),
        " where q.site_id = $1 and ($2 is null or q.device_id = $2)
          and ($3 is null or q.received_at < $3 or (q.received_at = $3 and q.id < $4))
        order by q.received_at desc, q.id desc limit $5"
    );
    let (at, id) = before.unzip();
    Ok(on!(tx, |conn| sqlx::query_as(sql).bind(site_id).bind(device_id).bind(at).bind(id).bind(limit).fetch_all(conn).await)?)
}

/// A topic that belongs to no device in use.
#[derive(Debug, Clone, FromRow)]
pub struct Unassigned {
    pub topic: String,
    /// The gateway by whose password they came.
    pub gateway_id: Option<Uuid>,
    pub messages: i64,
    pub last_at: DateTime<Utc>,
    /// Of the last message.
    pub sample: Vec<u8>,
}

/// The topics of no device that spoke last, of all messages kept.
pub async fn unassigned(tx: &mut Tx, site_id: Uuid, limit: i64) -> Result<Vec<Unassigned>> {
    let sql = "select topic, gateway_id, messages, last_at, sample from (
            select topic, device_id as gateway_id, sample, received_at as last_at,
                count(*) over (partition by topic, device_id) as messages,
                row_number() over (partition by topic, device_id order by received_at desc, id desc) as place
            from quarantined_message where site_id = $1 and reason = $2
        ) of_topics where place = 1 order by last_at desc, topic limit $3";
    let reason = Reason::UnknownDevice.as_str();
    Ok(on!(tx, |conn| sqlx::query_as(sql).bind(site_id).bind(reason).bind(limit).fetch_all(conn).await)?)
}

/// One message.
pub async fn kept(tx: &mut Tx, site_id: Uuid, id: Uuid) -> Result<Option<Kept>> {
    let sql = concat!("select ", kept_columns!(), " where q.site_id = $1 and q.id = $2");
    Ok(on!(tx, |conn| sqlx::query_as(sql).bind(site_id).bind(id).fetch_optional(conn).await)?)
}

/// Messages of one device, or of none, of which nobody has been told.
#[derive(FromRow)]
struct Untold {
    site_id: Uuid,
    device_id: Option<Uuid>,
    device_name: Option<String>,
    messages: i64,
    first_at: DateTime<Utc>,
}

/// Whether there is a message of which nobody has been told, or one that is kept for too long.
pub async fn has_aside_to_do(tx: &mut Tx, now: DateTime<Utc>) -> Result<bool> {
    let sql = "select count(*) from (select 1 from quarantined_message
        where (told_at is null and site_id is not null) or received_at < $1 limit 1) something";
    let found: i64 = on!(tx, |conn| sqlx::query_scalar(sql).bind(now - KEPT).fetch_one(conn).await)?;
    Ok(found > 0)
}

/// Tells the operators of messages put aside: of each device once a day, of all that began together in one notice. Returns how many
/// notices were written and when the next may be due.
pub async fn tell_aside(tx: &mut Tx, now: DateTime<Utc>) -> Result<(u64, Option<DateTime<Utc>>)> {
    // One instance at a time, so that each is told once.
    tx.lock_named("device.quarantine").await?;
    let sql = "select q.site_id, q.device_id, min(d.name) as device_name, count(*) as messages, min(q.received_at) as first_at
        from quarantined_message q left join device d on d.site_id = q.site_id and d.id = q.device_id
        where q.told_at is null and q.site_id is not null group by q.site_id, q.device_id order by q.site_id, q.device_id";
    let untold: Vec<Untold> = on!(tx, |conn| sqlx::query_as(sql).fetch_all(conn).await)?;
    let mut by_site: BTreeMap<Uuid, Vec<Untold>> = BTreeMap::new();
    for one in untold {
        by_site.entry(one.site_id).or_default().push(one);
    }
    let (mut written, mut next) = (0, None);
    for (site_id, untold) in by_site {
        // A site whose zone cannot be read is told by the day of the server's clock.
        let zone = plan::site(tx, site_id).await.map_or(chrono_tz::UTC, |site| site.zone);
        let today = day::local_date(zone, now);
        let told = told_since(tx, site_id, day::day_start(zone, today).unwrap_or(now)).await?;
        let (old, new): (Vec<Untold>, Vec<Untold>) = untold.into_iter().partition(|one| told.contains(&one.device_id));
        mark(tx, site_id, &old, now).await?;
        let Some(due_at) = new.iter().map(|one| report_at(one.first_at)).min() else { continue };
        if due_at > now {
            next = Some(next.map_or(due_at, |next: DateTime<Utc>| next.min(due_at)));
            continue;
        }
        mark(tx, site_id, &new, now).await?;
        let details = arguments([
            ("count", new.len().to_string()),
            ("messages", new.iter().map(|one| one.messages).sum::<i64>().to_string()),
            ("device", new.iter().find_map(|one| one.device_name.clone()).unwrap_or_default()),
        ]);
        let known = new.iter().any(|one| one.device_name.is_some());
        let key = if known { "notice.quarantined" } else { "notice.quarantined_unknown" };
        let reason = format!("quarantined/{}", now.timestamp_millis());
        written += watch::tell_operators(tx, site_id, key, &reason, &details, now).await?;
    }
    Ok((written, next))
}

async fn told_since(tx: &mut Tx, site_id: Uuid, since: DateTime<Utc>) -> Result<BTreeSet<Option<Uuid>>> {
    let sql = "select distinct device_id from quarantined_message where site_id = $1 and told_at >= $2";
    let told: Vec<Option<Uuid>> = on!(tx, |conn| sqlx::query_scalar(sql).bind(site_id).bind(since).fetch_all(conn).await)?;
    Ok(told.into_iter().collect())
}

async fn mark(tx: &mut Tx, site_id: Uuid, devices: &[Untold], now: DateTime<Utc>) -> Result<()> {
    let rows: Vec<Value> = devices.iter().map(|one| json!({ "site": site_id, "device": one.device_id, "at": bulk::time(now) })).collect();
    let sql = "update quarantined_message set told_at = {at:time} from {rows}
        where quarantined_message.site_id = {site:uuid} and quarantined_message.told_at is null
          and quarantined_message.device_id is not distinct from {device:uuid}";
    bulk::execute(tx, sql, &rows).await?;
    Ok(())
}

/// Deletes the oldest of what is kept for too long, so many at once. Returns how many.
pub async fn forget_old(tx: &mut Tx, now: DateTime<Utc>, limit: i64) -> Result<u64> {
    let sql = "delete from quarantined_message where id in
        (select id from quarantined_message where received_at < $1 order by received_at limit $2)";
    Ok(on!(tx, |conn| sqlx::query(sql).bind(now - KEPT).bind(limit).execute(conn).await?.rows_affected()))
}
