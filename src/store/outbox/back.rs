//! Back to a channel that was left because it asked for a pause: its message, as it was sealed, carries its notices again (I11, I12).

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, FromRow};
use uuid::Uuid;

use crate::domain::message::elsewhere::{Earlier, first_awake};
use crate::on;
use crate::store::contact_call::agreed;
use crate::store::{Result, Tx, bulk};

/// The earlier message that carries a notice again, and when.
#[derive(Debug, Clone, Copy)]
pub struct Back {
    pub site_id: Uuid,
    pub notice: Uuid,
    pub message: Uuid,
    pub at: DateTime<Utc>,
}

#[derive(FromRow)]
struct Row {
    site_id: Uuid,
    notice_id: Uuid,
    message_id: Uuid,
    attempts: i64,
    last: String,
    works: bool,
    paused_until: Option<DateTime<Utc>>,
}

/// Of these notices (JSON: site, id) those that an earlier message may carry again, other than the message `except`.
pub async fn of_notices(tx: &mut Tx, notices: &[Value], except: Uuid, now: DateTime<Utc>) -> Result<Vec<Back>> {
    let mut backs = Vec::new();
    for chunk in notices.chunks(bulk::ROWS_MAX) {
        let mut earlier: BTreeMap<(Uuid, Uuid), Vec<(Uuid, Earlier)>> = BTreeMap::new();
        for row in rows(tx, Value::from(chunk).to_string(), except, now).await? {
            // A word of another version is no pause.
            let Ok(last) = row.last.parse() else { continue };
            let one = Earlier { last, attempts: row.attempts, works: row.works, paused_until: row.paused_until };
            earlier.entry((row.site_id, row.notice_id)).or_default().push((row.message_id, one));
        }
        for ((site_id, notice), messages) in earlier {
            let facts: Vec<Earlier> = messages.iter().map(|(_, earlier)| *earlier).collect();
            let first = first_awake(&facts, now);
            backs.extend(first.map(|(place, at)| Back { site_id, notice, message: messages[place].0, at }));
        }
    }
    Ok(backs)
}

async fn rows(tx: &mut Tx, notices: String, except: Uuid, now: DateTime<Utc>) -> Result<Vec<Row>> {
    let sql = bulk::text(
        tx,
        concat!(
            "select n.site_id, n.id as notice_id, m.id as message_id, m.attempts,
                coalesce((select t.outcome from message_attempt t where t.site_id = m.site_id and t.message_id = m.id
                    order by t.at desc, t.id desc limit 1), '') as last,
                (exists (select 1 from member_channel c join member p on p.site_id = c.site_id and p.id = c.member_id and p.ended_at is null
                        where c.site_id = m.site_id and c.id = m.channel_id and ",
            carries!(),
            ") or (m.recipient_kind = 'contact'
                    and exists (select 1 from contact k where k.site_id = m.site_id and k.id = m.recipient_id and ",
            agreed!(),
            ") and exists (select 1 from channel_account u where u.channel = m.channel and u.configured and u.tells_contacts
                        and u.fault_at is null))) as works,
                (select max(p.paused_until) from endpoint_pause p where p.channel = m.channel and p.paused_until > $3 and (p.address = '*'
                    or p.address = coalesce((select c.address from member_channel c where c.site_id = m.site_id and c.id = m.channel_id),
                        (select k.phone from contact k where k.site_id = m.site_id and k.id = m.recipient_id)))) as paused_until
             from {rows} join notice n on n.site_id = {site:uuid} and n.id = {id:uuid}
             join message_notice l on l.site_id = n.site_id and l.notice_id = n.id
             join message m on m.site_id = l.site_id and m.id = l.message_id and m.id <> $2 and m.state in ('failed', 'ready', 'leased')
             order by m.sealed_at, m.call_no"
        ),
    );
    Ok(on!(tx, |conn| sqlx::query_as(AssertSqlSafe(sql)).bind(&notices).bind(except).bind(now).fetch_all(conn).await)?)
}

/// Gives them to their earlier messages, which are due when their pauses end. `used` counts the person's channels that have been tried.
/// What another channel may have shown in between, a message that nobody can have seen yet says again with a mark.
pub async fn go(tx: &mut Tx, backs: &[Back], used: i64) -> Result<()> {
    let row =
        |back: &Back| json!({ "site": back.site_id, "id": back.notice, "message": back.message, "at": bulk::time(back.at), "used": used });
    let rows: Vec<Value> = backs.iter().map(row).collect();
    let sql = "update notice set message_id = {message:uuid}, state = 'sealed',
            channels_tried = case when {used:int} > channels_tried then {used:int} else channels_tried end
        from {rows} where notice.site_id = {site:uuid} and notice.id = {id:uuid} and notice.state in ('sealed', 'pending')";
    bulk::execute(tx, sql, &rows).await?;
    let mut messages = rows;
    messages.sort_by_key(|row| row["message"].to_string());
    messages.dedup_by_key(|row| row["message"].to_string());
    let sql = concat!(
        "update message set state = 'ready', next_at = {at:time}, after_doubt = (message.after_doubt or (not ",
        in_doubt!("message"),
        " and exists (select 1 from message_notice a
                join message_notice b on b.site_id = a.site_id and b.notice_id = a.notice_id
                join message o on o.site_id = b.site_id and o.id = b.message_id
                where a.site_id = message.site_id and a.message_id = message.id and ",
        in_doubt!("o"),
        ")))
        from {rows} where message.site_id = {site:uuid} and message.id = {message:uuid} and message.state = 'failed'
          and exists (select 1 from notice n where n.site_id = message.site_id and n.message_id = message.id and n.state = 'sealed')"
    );
    bulk::execute(tx, sql, &messages).await?;
    Ok(())
}
