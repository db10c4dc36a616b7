//! What one address takes at most is kept here and not by the provider: beyond it some drop messages in silence, others bar the
//! number. What exceeds goes back and waits its turn; later news of the same person joins it (see `claim_due`).

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;
use uuid::Uuid;

use super::lease::Leased;
use crate::domain::message::Channel;
use crate::domain::message::limit::free_at;
use crate::on;
use crate::store::{Result, Tx, bulk};

/// The last error of a message that waits for its turn.
pub const WAITS_ITS_TURN: &str = "waits its turn";
/// The longest window of any limit.
const WINDOW_MAX: TimeDelta = TimeDelta::hours(24);

/// Channel word and address: what a limit counts by.
type Key = (String, String);

/// Gives back what exceeds a limit, and returns the rest.
pub async fn hold_back(tx: &mut Tx, leased: Vec<Leased>, now: DateTime<Utc>) -> Result<Vec<Leased>> {
    let limited = |message: &Leased| message.channel.parse::<Channel>().is_ok_and(|channel| !channel.limits().is_empty());
    if !leased.iter().any(limited) {
        return Ok(leased);
    }
    let mut gone = gone(tx, leased.iter().filter(|message| limited(message)), now).await?;
    let (mut free, mut held) = (Vec::new(), Vec::new());
    for message in leased {
        let limits = message.channel.parse().map_or(&[][..], Channel::limits);
        let Some(address) = message.address.clone().filter(|_| !limits.is_empty()) else {
            free.push(message);
            continue;
        };
        let times = gone.entry((message.channel.clone(), address)).or_default();
        if let Some(turn) = free_at(limits, times, now) {
            held.push(json!({ "site": message.site_id, "id": message.id, "at": bulk::time(turn) }));
        } else {
            times.push(now);
            free.push(message);
        }
    }
    let sql = "update message set state = 'ready', next_at = {at:time}, attempts = attempts - 1, leased_by = null, lease_until = null,
            last_error = 'waits its turn'
        from {rows} where message.site_id = {site:uuid} and message.id = {id:uuid} and message.state = 'leased'";
    bulk::execute(tx, sql, &held).await?;
    Ok(free)
}

/// When messages last went to the addresses of these; what is in flight counts as gone now.
async fn gone(tx: &mut Tx, leased: impl Iterator<Item = &Leased>, now: DateTime<Utc>) -> Result<HashMap<Key, Vec<DateTime<Utc>>>> {
    let mut rows: Vec<Value> = Vec::new();
    let mut mine: Vec<Uuid> = Vec::new();
    for message in leased {
        mine.push(message.id);
        let row = json!({ "channel": message.channel, "address": message.address });
        if message.address.is_some() && !rows.contains(&row) {
            rows.push(row);
        }
    }
    let rows = Value::from(rows).to_string();
    let sql = bulk::text(
        tx,
        "select {channel:text} as channel, {address:text} as address, m.id, t.at, t.outcome
         from {rows}
         join member_channel c on c.channel = {channel:text} and c.address = {address:text}
         join message m on m.site_id = c.site_id and m.channel_id = c.id
         left join message_attempt t on t.site_id = m.site_id and t.message_id = m.id and t.at > $2
         where t.id is not null or m.state = 'leased'
         union all
         select {channel:text}, {address:text}, m.id, t.at, t.outcome
         from {rows}
         join contact k on k.phone = {address:text}
         join message m on m.site_id = k.site_id and m.recipient_id = k.id and m.channel = {channel:text} and m.sealed_at > $2
         left join message_attempt t on t.site_id = m.site_id and t.message_id = m.id and t.at > $2
         where t.id is not null or m.state = 'leased'",
    );
    let found: Vec<(String, String, Uuid, Option<DateTime<Utc>>, Option<String>)> =
        on!(tx, |conn| sqlx::query_as(AssertSqlSafe(sql)).bind(&rows).bind(now - WINDOW_MAX).fetch_all(conn).await)?;
    let mut gone: HashMap<Key, Vec<DateTime<Utc>>> = HashMap::new();
    for (channel, address, id, at, outcome) in found {
        let at = match (at, outcome.as_deref()) {
            (Some(at), Some("sent" | "ambiguous" | "throttled")) => at,
            (None, _) if !mine.contains(&id) => now,
            _ => continue,
        };
        gone.entry((channel, address)).or_default().push(at);
    }
    Ok(gone)
}
