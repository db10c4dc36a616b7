//! Family who are told by message: who of a senior's contacts may be, what became of it, and what she answered.

use std::collections::HashMap;
use std::hash::BuildHasher;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, FromRow};
use uuid::Uuid;

use super::{Result, Tx, audit, bulk, channel_account};
use crate::domain::alert::TimelineKind;
use crate::domain::notice::arguments;
use crate::domain::phone;
use crate::domain::roster::{ContactFact, Roster};
use crate::on;

/// Whether the contact `k` may be told by message: she agreed, the senior's consent lives, and the entry is in force.
macro_rules! agreed {
    () => {
        "(k.ended_at is null and k.agreed_automatic and exists (select 1 from consent g where g.site_id = k.site_id
          and g.senior_id = k.senior_id and g.scope = 'family_contact' and g.withdrawn_at is null))"
    };
}
pub(crate) use agreed;

/// Adds to the rosters of these seniors who of the family may be told, in order, and whether anything here reaches them.
pub async fn around(tx: &mut Tx, site_id: Uuid, seniors: &[Uuid], rosters: &mut HashMap<Uuid, Roster, impl BuildHasher>) -> Result<()> {
    for chunk in seniors.chunks(bulk::ROWS_MAX) {
        let rows: Vec<Value> = chunk.iter().map(|id| json!({ "site": site_id, "id": id })).collect();
        let sql = bulk::text(
            tx,
            concat!(
                "select k.senior_id, k.id, k.relation, k.phone from {rows}
         join contact k on k.site_id = {site:uuid} and k.senior_id = {id:uuid} and ",
                agreed!(),
                " order by k.senior_id, k.position, k.created_at, k.id"
            ),
        );
        let rows = Value::from(rows).to_string();
        let found: Vec<(Uuid, Uuid, String, String)> = on!(tx, |conn| sqlx::query_as(AssertSqlSafe(sql)).bind(rows).fetch_all(conn).await)?;
        for (senior, id, relation, _) in found.into_iter().filter(|(.., number)| phone::takes_texts(number)) {
            rosters.entry(senior).or_default().contacts.push(ContactFact { id, relation });
        }
    }
    if rosters.values().any(|roster| !roster.contacts.is_empty()) {
        let reachable = !channel_account::of_contacts(tx).await?.is_empty();
        for roster in rosters.values_mut() {
            roster.contacts_reachable = reachable;
        }
    }
    Ok(())
}

/// Notes on the alerts of a message to a contact what became of it.
pub async fn note(tx: &mut Tx, site_id: Uuid, message_id: Uuid, kind: TimelineKind, now: DateTime<Utc>) -> Result<()> {
    let sql = "select distinct c.alert_id, c.relation from notice n
        join contact_call c on c.site_id = n.site_id and c.alert_id = n.alert_id and c.epoch = n.epoch and c.contact_id = n.recipient_id
        where n.site_id = $1 and n.message_id = $2 and n.class = 'alert' and n.recipient_kind = 'contact'";
    let calls: Vec<(Uuid, String)> = on!(tx, |conn| sqlx::query_as(sql).bind(site_id).bind(message_id).fetch_all(conn).await)?;
    for (alert_id, relation) in calls {
        let sql = "insert into alert_event (site_id, id, alert_id, at, kind, detail) values ($1, $2, $3, $4, $5, $6)";
        let detail = json!(arguments([("relation", relation)])).to_string();
        on!(tx, |conn| sqlx::query(sql)
            .bind(site_id)
            .bind(Uuid::now_v7())
            .bind(alert_id)
            .bind(now)
            .bind(kind.as_str())
            .bind(detail)
            .execute(conn)
            .await
            .map(|_| ()))?;
        let entry = audit::Entry {
            site_id,
            at: now,
            actor_id: None,
            act: kind.as_str(),
            object_kind: "alert",
            object_id: Some(alert_id),
            fields: &[],
        };
        audit::write(tx, &entry).await?;
    }
    Ok(())
}

/// A contact who was told, as the alert shows her: neither name nor number.
#[derive(Debug, Clone, FromRow)]
pub struct ToldContact {
    pub contact_id: Uuid,
    pub relation: String,
    pub told_at: DateTime<Utc>,
    /// Of the last message to her: the notice's word, its channel, and when it left.
    pub state: Option<String>,
    pub channel: Option<String>,
    pub sent_at: Option<DateTime<Utc>>,
    pub answer: Option<String>,
    pub minutes: Option<i64>,
    pub answered_at: Option<DateTime<Utc>>,
}

/// The contacts of an alert who were told, in the order in which they were.
pub async fn told(tx: &mut Tx, site_id: Uuid, alert_id: Uuid) -> Result<Vec<ToldContact>> {
    let sql = "select c.contact_id, c.relation, c.told_at, n.state, m.channel, m.sent_at, c.answer, c.minutes, c.answered_at
        from contact_call c
        left join notice n on n.site_id = c.site_id and n.id = (select x.id from notice x where x.site_id = c.site_id
            and x.alert_id = c.alert_id and x.epoch = c.epoch and x.step = c.step and x.recipient_id = c.contact_id and x.class = 'alert'
            order by case when x.message_id is null then 1 else 0 end, x.not_before desc, x.id limit 1)
        left join message m on m.site_id = n.site_id and m.id = n.message_id
        where c.site_id = $1 and c.alert_id = $2 order by c.told_at, c.epoch, c.step";
    Ok(on!(tx, |conn| sqlx::query_as(sql).bind(site_id).bind(alert_id).fetch_all(conn).await)?)
}
