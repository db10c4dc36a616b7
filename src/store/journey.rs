//! What became of the messages that carried an alert; `domain::message::journey` says it as facts.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sqlx::FromRow;
use uuid::Uuid;

use super::{Result, Tx};
use crate::domain::message::Channel;
use crate::domain::message::journey::{Fact, Journey, Told, told};
use crate::on;

/// One fact about one person.
#[derive(Debug, Clone)]
pub struct Happened {
    pub recipient_id: Uuid,
    pub called: String,
    /// `None`: there is no way to reach her.
    pub channel: Option<Channel>,
    pub told: Told,
}

#[derive(FromRow)]
struct Carried {
    id: Uuid,
    recipient_id: Uuid,
    called: String,
    channel: String,
    state: String,
}

type Known = HashMap<Uuid, Vec<(DateTime<Utc>, String, String)>>;

/// Everything that is known of the messages that asked somebody to go because of this alert, and of the people whom none could be sent.
/// A word of another version is left out: it must not hide the rest (I28).
pub async fn of_alert(tx: &mut Tx, site_id: Uuid, alert: Uuid) -> Result<Vec<Happened>> {
    // Calls for help and alerts; that it is over stands in the timeline itself.
    let sql = "select m.id, m.recipient_id, r.called, m.channel, m.state from message_alert t
        join message m on m.site_id = t.site_id and m.id = t.message_id and m.priority <= 1
        join member r on r.site_id = m.site_id and r.id = m.recipient_id
        where t.site_id = $1 and t.alert_id = $2 order by m.sealed_at, m.call_no";
    let carried: Vec<Carried> = on!(tx, |conn| sqlx::query_as(sql).bind(site_id).bind(alert).fetch_all(conn).await)?;
    let attempts = "select k.message_id, k.at, k.outcome, k.detail from message_alert t
        join message_attempt k on k.site_id = t.site_id and k.message_id = t.message_id
        where t.site_id = $1 and t.alert_id = $2 order by k.at, k.id";
    let reports = "select k.message_id, k.at, k.state, k.detail from message_alert t
        join message_receipt k on k.site_id = t.site_id and k.message_id = t.message_id
        where t.site_id = $1 and t.alert_id = $2 order by k.at, k.state";
    let (mut attempts, mut reports) = (known(tx, attempts, site_id, alert).await?, known(tx, reports, site_id, alert).await?);
    let mut happened = unreachable(tx, site_id, alert).await?;
    for (place, message) in carried.iter().enumerate() {
        let Ok(channel) = message.channel.parse::<Channel>() else { continue };
        let later = carried[place + 1..].iter().filter(|later| later.recipient_id == message.recipient_id);
        let journey = Journey {
            channel,
            is_failed: message.state == "failed",
            attempts: read(attempts.remove(&message.id)),
            reports: read(reports.remove(&message.id)),
            next: later.filter_map(|later| later.channel.parse().ok()).find(|next: &Channel| !next.is_beside()),
        };
        happened.extend(told(&journey).into_iter().map(|told| Happened {
            recipient_id: message.recipient_id,
            called: message.called.clone(),
            channel: Some(channel),
            told,
        }));
    }
    happened.sort_by_key(|one| one.told.at);
    Ok(happened)
}

async fn known(tx: &mut Tx, sql: &'static str, site_id: Uuid, alert: Uuid) -> Result<Known> {
    let rows: Vec<(Uuid, DateTime<Utc>, String, String)> =
        on!(tx, |conn| sqlx::query_as(sql).bind(site_id).bind(alert).fetch_all(conn).await)?;
    let mut known = Known::new();
    for (message, at, word, detail) in rows {
        known.entry(message).or_default().push((at, word, detail));
    }
    Ok(known)
}

fn read<T: std::str::FromStr>(rows: Option<Vec<(DateTime<Utc>, String, String)>>) -> Vec<(DateTime<Utc>, T, String)> {
    rows.into_iter().flatten().filter_map(|(at, word, detail)| Some((at, word.parse().ok()?, detail))).collect()
}

/// People for whom no message could be made at all.
async fn unreachable(tx: &mut Tx, site_id: Uuid, alert: Uuid) -> Result<Vec<Happened>> {
    let sql = "select n.recipient_id, r.called, max(n.not_before) as at from notice n
        join member r on r.site_id = n.site_id and r.id = n.recipient_id
        where n.site_id = $1 and n.alert_id = $2 and n.class = 'alert' and n.state = 'failed' and n.message_id is null
        group by n.recipient_id, r.called";
    let rows: Vec<(Uuid, String, DateTime<Utc>)> = on!(tx, |conn| sqlx::query_as(sql).bind(site_id).bind(alert).fetch_all(conn).await)?;
    let one = |(recipient_id, called, at)| {
        let told = Told { at, fact: Fact::NoChannel, times: 1, next: None };
        Happened { recipient_id, called, channel: None, told }
    };
    Ok(rows.into_iter().map(one).collect())
}

/// Screens that show an alert of this message hear that there is something new to read.
pub async fn note(tx: &mut Tx, site_id: Uuid, message: Uuid, now: DateTime<Utc>) -> Result<()> {
    let sql = "insert into change_feed (site_id, at, kind, object_id, senior_id)
        select t.site_id, $3, 'delivery', t.alert_id, a.senior_id from message_alert t
        join alert a on a.site_id = t.site_id and a.id = t.alert_id
        where t.site_id = $1 and t.message_id = $2 order by t.alert_id";
    on!(tx, |conn| sqlx::query(sql).bind(site_id).bind(message).bind(now).execute(conn).await.map(|_| ()))?;
    Ok(())
}
