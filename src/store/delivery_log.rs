//! What was sent to whom over which channel, and how each try ended. Bodies stay out: the log shows that somebody was told,
//! not what.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;
use uuid::Uuid;

use super::{Result, Tx, bulk};
use crate::domain::access::Who;
use crate::domain::notice::RecipientKind;
use crate::{on, visible_seniors};

#[derive(Debug, Clone, sqlx::FromRow)]
pub struct Sent {
    pub id: Uuid,
    pub recipient_id: Uuid,
    #[sqlx(try_from = "String")]
    pub recipient_kind: RecipientKind,
    pub channel: String,
    pub call_no: i64,
    pub state: String,
    pub sealed_at: DateTime<Utc>,
    pub next_at: DateTime<Utc>,
    pub sent_at: Option<DateTime<Utc>>,
    pub repeated: bool,
    pub last_error: Option<String>,
}

/// What a message says: the key of its sentence, not the sentence.
#[derive(Debug, Clone)]
pub struct Said {
    pub alert_id: Option<Uuid>,
    pub key: String,
    pub class: String,
    pub level: i64,
}

#[derive(Debug, Clone)]
pub struct Try {
    pub at: DateTime<Utc>,
    pub outcome: String,
    pub detail: String,
}

/// The newest message over one channel.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct LastMessage {
    pub channel_id: Uuid,
    /// A word of the outbox: ready, leased, sent or failed.
    pub state: String,
    /// When it was sent, or else made.
    pub at: DateTime<Utc>,
    pub attempts: i64,
}

/// What to look for.
#[derive(Debug, Clone, Default)]
pub struct Search {
    /// Everything of the site; otherwise only messages about seniors whom the member sees.
    pub whole_site: bool,
    pub state: Option<String>,
    pub recipient_id: Option<Uuid>,
    pub alert_id: Option<Uuid>,
    pub before: Option<(DateTime<Utc>, Uuid)>,
}

/// Messages, newest first.
pub async fn list(tx: &mut Tx, who: &Who, search: &Search, rows_max: i64) -> Result<Vec<Sent>> {
    let sql = concat!(
        "select m.id, m.recipient_id, m.recipient_kind, m.channel, m.call_no, m.state, m.sealed_at, m.next_at, m.sent_at, m.repeated, m.last_error
        from message m
        where m.site_id = $1 and ($4 or exists (select 1 from message_alert t
                join alert a on a.site_id = t.site_id and a.id = t.alert_id
                where t.site_id = $1 and t.message_id = m.id and a.senior_id in (",
        visible_seniors!(),
        ")))
            and ($5 is null or m.state = $5) and ($6 is null or m.recipient_id = $6)
            and ($7 is null or exists (select 1 from message_alert t where t.site_id = $1 and t.message_id = m.id and t.alert_id = $7))
            and ($8 is null or m.sealed_at < $8 or (m.sealed_at = $8 and m.id < $9))
        order by m.sealed_at desc, m.id desc limit $10"
    );
    let (at, id) = search.before.unzip();
    Ok(on!(tx, |conn| sqlx::query_as(sql)
        .bind(who.site_id)
        .bind(who.member_id)
        .bind(who.today)
        .bind(search.whole_site)
        .bind(&search.state)
        .bind(search.recipient_id)
        .bind(search.alert_id)
        .bind(at)
        .bind(id)
        .bind(rows_max)
        .fetch_all(conn)
        .await)?)
}

/// What each of these messages says.
pub async fn said(tx: &mut Tx, site_id: Uuid, messages: &[Uuid]) -> Result<HashMap<Uuid, Vec<Said>>> {
    let sql = bulk::text(
        tx,
        "select n.message_id, n.alert_id, n.key, n.class, n.level from {rows}
         join notice n on n.site_id = {site:uuid} and n.message_id = {id:uuid} order by n.created_at, n.id",
    );
    let rows: Vec<(Uuid, Option<Uuid>, String, String, i64)> =
        on!(tx, |conn| sqlx::query_as(AssertSqlSafe(sql)).bind(input(site_id, messages)).fetch_all(conn).await)?;
    let mut said: HashMap<Uuid, Vec<Said>> = HashMap::new();
    for (message, alert_id, key, class, level) in rows {
        said.entry(message).or_default().push(Said { alert_id, key, class, level });
    }
    Ok(said)
}

/// Every try of each of these messages, oldest first.
pub async fn tries(tx: &mut Tx, site_id: Uuid, messages: &[Uuid]) -> Result<HashMap<Uuid, Vec<Try>>> {
    let sql = bulk::text(
        tx,
        "select t.message_id, t.at, t.outcome, t.detail from {rows}
         join message_attempt t on t.site_id = {site:uuid} and t.message_id = {id:uuid} order by t.at, t.id",
    );
    let rows: Vec<(Uuid, DateTime<Utc>, String, String)> =
        on!(tx, |conn| sqlx::query_as(AssertSqlSafe(sql)).bind(input(site_id, messages)).fetch_all(conn).await)?;
    let mut tries: HashMap<Uuid, Vec<Try>> = HashMap::new();
    for (message, at, outcome, detail) in rows {
        tries.entry(message).or_default().push(Try { at, outcome, detail });
    }
    Ok(tries)
}

/// What became of the last message over each channel of a member.
pub async fn last_messages(tx: &mut Tx, site_id: Uuid, member_id: Uuid) -> Result<HashMap<Uuid, LastMessage>> {
    let sql = "select c.id as channel_id, m.state, coalesce(m.sent_at, m.sealed_at) as at, m.attempts from member_channel c
        join message m on m.site_id = c.site_id and m.id = (
            select l.id from message l where l.site_id = c.site_id and l.recipient_id = c.member_id and l.channel_id = c.id
            order by l.sealed_at desc, l.id desc limit 1)
        where c.site_id = $1 and c.member_id = $2";
    let rows: Vec<LastMessage> = on!(tx, |conn| sqlx::query_as(sql).bind(site_id).bind(member_id).fetch_all(conn).await)?;
    Ok(rows.into_iter().map(|row| (row.channel_id, row)).collect())
}

fn input(site_id: Uuid, ids: &[Uuid]) -> String {
    let rows: Vec<Value> = ids.iter().map(|id| json!({ "site": site_id, "id": id })).collect();
    Value::from(rows).to_string()
}
