//! From notices to messages, in a handful of set-based statements however many are due.

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, FromRow};
use uuid::Uuid;

use super::limit::WAITS_ITS_TURN;
use crate::domain::message::Channel;
use crate::domain::notice::{NoticeClass, RecipientKind};
use crate::on;
use crate::store::contact_call::agreed;
use crate::store::{Error, Result, Tx, bulk, channel_account};
use crate::text::DEFAULT_LOCALE;

/// Notices sealed in one transaction; the rest follows in the next.
pub const NOTICES_PER_PASS_MAX: i64 = 5_000;
/// After a message the next one of the same kind to the same person waits this long for more to join it, so that an
/// outbreak is two messages and not twenty. The first goes at once; calls for help and second channels never wait.
pub const BUNDLE: TimeDelta = TimeDelta::seconds(5);
/// A call that waits its turn for at most this long is joined by what comes after it, in one call more instead of many.
const JOINS_WITHIN: TimeDelta = TimeDelta::minutes(1);
/// Messages per bound JSON array: their bodies travel in it.
const MESSAGES_PER_STATEMENT_MAX: usize = 200;

/// A notice taken for sealing.
#[derive(Debug, Clone, FromRow)]
pub struct Due {
    pub site_id: Uuid,
    pub id: Uuid,
    pub alert_id: Option<Uuid>,
    pub recipient_id: Uuid,
    #[sqlx(try_from = "String")]
    pub recipient_kind: RecipientKind,
    pub key: String,
    /// JSON.
    pub arguments: String,
    #[sqlx(try_from = "String")]
    pub class: NoticeClass,
    pub channels_tried: i64,
    pub drill: Option<bool>,
    /// A stand-down follows the alert over the same channel.
    pub carried_by: Option<Uuid>,
    /// Another channel may have shown it.
    pub in_doubt: bool,
}

/// A way to reach a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// The member's channel; `None` for a contact, who has a number only.
    pub id: Option<Uuid>,
    pub channel: Channel,
    pub address: String,
    /// 1 is the first channel of the person.
    pub rank: i64,
}

#[derive(Debug, Clone)]
pub struct Recipient {
    pub called: String,
    pub locale: String,
    /// Working channels in order.
    pub routes: Vec<Route>,
    /// Browsers that show a copy of whatever is sent to her.
    pub screens: Vec<Route>,
}

impl Recipient {
    /// The channel for a notice: after those used up; for a stand-down first the one that carried the alert.
    pub fn route(&self, due: &Due) -> Option<&Route> {
        let carried = self.routes.iter().find(|route| due.channels_tried == 0 && route.id.is_some() && route.id == due.carried_by);
        carried.or_else(|| self.routes.iter().find(|route| route.rank > due.channels_tried))
    }
}

/// A message with its sealed body.
#[derive(Debug, Clone)]
pub struct NewMessage {
    pub site_id: Uuid,
    pub id: Uuid,
    pub recipient_id: Uuid,
    pub recipient_kind: RecipientKind,
    pub route: Route,
    pub endpoint: String,
    pub priority: i64,
    pub body: Vec<u8>,
    pub locale: &'static str,
    pub dedupe_key: String,
    pub call_no: i64,
    /// See `store::claim_link`.
    pub claim_hash: Option<Vec<u8>>,
    /// Another channel may have shown the same.
    pub after_doubt: bool,
    pub alerts: Vec<Uuid>,
    /// Empty in a copy for a screen and in a test: nothing depends on whether it arrives.
    pub notices: Vec<Uuid>,
}

/// Takes back what would now be said as if it were still due: it waited for the end of quiet hours, or for a server that was down.
pub async fn drop_useless(tx: &mut Tx, now: DateTime<Utc>) -> Result<()> {
    let sql = "update notice set state = 'cancelled' where state = 'pending' and useless_from <= $1";
    on!(tx, |conn| sqlx::query(sql).bind(now).execute(conn).await.map(|_| ()))?;
    Ok(())
}

/// Takes what is due, most urgent first. The state changes in the same statement that reads, so that a claim which comes
/// before cancels its notice and one which comes after finds it sealed.
pub async fn claim_due(tx: &mut Tx, now: DateTime<Utc>) -> Result<Vec<Due>> {
    // One sealer at a time: otherwise two instances would split one person's message.
    tx.lock_named("outbox.seal").await?;
    let sql = concat!(
        "update notice set state = 'sealed' where state = 'pending' and (site_id, id) in (
            select n.site_id, n.id from notice n
            left join member m on m.site_id = n.site_id and m.id = n.recipient_id and m.ended_at is null
            where n.state = 'pending' and n.not_before <= $1 and n.class in ",
        known_class!(),
        "
              and ((m.id is not null and exists (select 1 from member_channel c
                where c.site_id = n.site_id and c.member_id = n.recipient_id and ",
        usable_channel!(),
        ")) or ",
        reaches_contact!(),
        ")
              and not ",
        before_its_alert!(),
        "
              and (n.channels_tried > 0 or n.key like 'notice.help%' or not exists (
                select 1 from message s join notice t on t.site_id = s.site_id and t.message_id = s.id and t.class = n.class
                where s.site_id = n.site_id and s.recipient_id = n.recipient_id and s.sealed_at > $2))
              and not (n.channels_tried > 0 and exists (
                select 1 from message s where s.site_id = n.site_id and s.recipient_id = n.recipient_id and s.state = 'ready'
                  and s.last_error = $4 and s.next_at > $1 and s.next_at <= $5))
            order by case when n.key like 'notice.help%' then 0 when n.class = 'alert' then 1 when n.class = 'stand_down' then 2
                when n.class = 'reminder' then 3 else 4 end, n.not_before, n.id
            limit $3)
         returning site_id, id, alert_id, recipient_id, recipient_kind, key, arguments, class, channels_tried,
            coalesce((select a.drill from alert a where a.site_id = notice.site_id and a.id = notice.alert_id),
                exists (select 1 from drill_person p where p.site_id = notice.site_id and p.notice_id = notice.id)) as drill,
            case when class = 'stand_down' then (
                select s.channel_id from notice t join message s on s.site_id = t.site_id and s.id = t.message_id
                where t.site_id = notice.site_id and t.alert_id = notice.alert_id and t.recipient_id = notice.recipient_id
                  and t.class = 'alert' and t.message_id is not null
                order by case when t.state = 'delivered' then 0 else 1 end, s.sealed_at desc limit 1) end as carried_by,
            exists (select 1 from message_notice l join message s on s.site_id = l.site_id and s.id = l.message_id
                where l.site_id = notice.site_id and l.notice_id = notice.id and ",
        in_doubt!("s"),
        ") as in_doubt"
    );
    Ok(on!(tx, |conn| sqlx::query_as(sql)
        .bind(now)
        .bind(now - BUNDLE)
        .bind(NOTICES_PER_PASS_MAX)
        .bind(WAITS_ITS_TURN)
        .bind(now + JOINS_WITHIN)
        .fetch_all(conn)
        .await)?)
}

/// The people and their working channels.
pub async fn recipients(tx: &mut Tx, people: &[(Uuid, Uuid)]) -> Result<HashMap<(Uuid, Uuid), Recipient>> {
    let rows = Value::from(people.iter().map(|(site, id)| json!({ "site": site, "id": id })).collect::<Vec<_>>()).to_string();
    let sql = bulk::text(
        tx,
        "select m.site_id, m.id, m.called, m.locale from {rows} join member m on m.site_id = {site:uuid} and m.id = {id:uuid}",
    );
    let members: Vec<(Uuid, Uuid, String, String)> = on!(tx, |conn| sqlx::query_as(AssertSqlSafe(sql)).bind(&rows).fetch_all(conn).await)?;
    let mut found: HashMap<(Uuid, Uuid), Recipient> = members
        .into_iter()
        .map(|(site, id, called, locale)| ((site, id), Recipient { called, locale, routes: Vec::new(), screens: Vec::new() }))
        .collect();
    let sql = bulk::text(
        tx,
        concat!(
            "select c.site_id, c.member_id, c.id, c.channel, c.address, ",
            carries!(),
            " as works, ",
            shows!(),
            " as shows
         from {rows} join member_channel c on c.site_id = {site:uuid} and c.member_id = {id:uuid}
         order by c.site_id, c.member_id, c.position, c.id"
        ),
    );
    let channels: Vec<(Uuid, Uuid, Uuid, String, String, bool, bool)> =
        on!(tx, |conn| sqlx::query_as(AssertSqlSafe(sql)).bind(&rows).fetch_all(conn).await)?;
    let mut ranks: HashMap<(Uuid, Uuid), i64> = HashMap::new();
    for (site, member, id, channel, address, works, shows) in channels {
        let rank = ranks.entry((site, member)).or_default();
        *rank += 1;
        // A channel of an unknown kind is no channel, as in `carries!`.
        let (Some(recipient), Ok(channel), true) = (found.get_mut(&(site, member)), channel.parse(), works || shows) else { continue };
        let ways = if works { &mut recipient.routes } else { &mut recipient.screens };
        ways.push(Route { id: Some(id), channel, address, rank: *rank });
    }
    contacts(tx, &rows, &mut found).await?;
    Ok(found)
}

/// The contacts among them, while they may be told: the telephones of this installation, to the number of their entry.
async fn contacts(tx: &mut Tx, rows: &str, found: &mut HashMap<(Uuid, Uuid), Recipient>) -> Result<()> {
    let sql = bulk::text(
        tx,
        concat!(
            "select k.site_id, k.id, k.phone from {rows} join contact k on k.site_id = {site:uuid} and k.id = {id:uuid} and ",
            agreed!()
        ),
    );
    let known: Vec<(Uuid, Uuid, String)> = on!(tx, |conn| sqlx::query_as(AssertSqlSafe(sql)).bind(rows).fetch_all(conn).await)?;
    if known.is_empty() {
        return Ok(());
    }
    let channels = channel_account::of_contacts(tx).await?;
    for (site, id, address) in known {
        let route = |channel: &Channel| Route { id: None, channel: *channel, address: address.clone(), rank: channel.rank_of_contacts() };
        let recipient = Recipient {
            // Her name would stand in the stored message, and no template says it.
            called: String::new(),
            locale: DEFAULT_LOCALE.to_owned(),
            routes: channels.iter().map(route).collect(),
            screens: Vec::new(),
        };
        found.insert((site, id), recipient);
    }
    Ok(())
}

/// Hands out `count` numbers and returns the first.
pub async fn next_call_no(tx: &mut Tx, count: usize) -> Result<i64> {
    let count = i64::try_from(count).map_err(|error| Error::broken("counter", "call_no", error))?;
    let sql = "insert into counter (name, value) values ('call_no', $1)
        on conflict (name) do update set value = counter.value + excluded.value returning value";
    let last: i64 = on!(tx, |conn| sqlx::query_scalar(sql).bind(count).fetch_one(conn).await)?;
    Ok(last - count + 1)
}

/// Writes the messages and ties their notices to them; `unrouted` lost their channel in between and wait for the next pass.
pub async fn insert(tx: &mut Tx, messages: &[NewMessage], unrouted: &[(Uuid, Uuid)], now: DateTime<Utc>) -> Result<()> {
    let sql =
        "insert into message (site_id, id, recipient_id, recipient_kind, channel_id, channel, endpoint, priority, body, locale, dedupe_key, call_no, claim_hash, state,
            attempts, next_at, repeated, after_doubt, sealed_at)
        select {site:uuid}, {id:uuid}, {recipient:uuid}, {kind:text}, {channel_id:uuid}, {channel:text}, {endpoint:text}, {priority:int}, {body:bytes},
            {locale:text}, {key:text}, {call_no:int}, {claim:bytes}, 'ready', 0, {at:time}, {repeated:bool}, {after_doubt:bool}, {at:time} from {rows}";
    for chunk in messages.chunks(MESSAGES_PER_STATEMENT_MAX) {
        let rows: Vec<Value> = chunk.iter().map(|message| message_row(message, now)).collect();
        bulk::execute(tx, sql, &rows).await?;
    }
    let about: Vec<Value> = messages
        .iter()
        .flat_map(|message| message.alerts.iter().map(|alert| json!({ "site": message.site_id, "alert": alert, "message": message.id })))
        .collect();
    let sql = "insert into message_alert (site_id, alert_id, message_id) select {site:uuid}, {alert:uuid}, {message:uuid} from {rows}";
    bulk::execute(tx, sql, &about).await?;
    let ties: Vec<Value> = messages
        .iter()
        .flat_map(|message| message.notices.iter().map(|id| json!({ "site": message.site_id, "id": id, "message": message.id })))
        .collect();
    let sql = "update notice set message_id = {message:uuid} from {rows} where notice.site_id = {site:uuid} and notice.id = {id:uuid}";
    bulk::execute(tx, sql, &ties).await?;
    let sql = "insert into message_notice (site_id, notice_id, message_id) select {site:uuid}, {id:uuid}, {message:uuid} from {rows}";
    bulk::execute(tx, sql, &ties).await?;
    let back: Vec<Value> = unrouted.iter().map(|(site, id)| json!({ "site": site, "id": id })).collect();
    let sql = "update notice set state = 'pending' from {rows} where notice.site_id = {site:uuid} and notice.id = {id:uuid}";
    bulk::execute(tx, sql, &back).await?;
    Ok(())
}

fn message_row(message: &NewMessage, now: DateTime<Utc>) -> Value {
    json!({
        "site": message.site_id, "id": message.id, "recipient": message.recipient_id, "kind": message.recipient_kind.as_str(), "channel_id": message.route.id,
        "channel": message.route.channel.as_str(), "endpoint": message.endpoint,
        "priority": message.priority, "body": bulk::hex(&message.body), "locale": message.locale, "key": message.dedupe_key,
        "call_no": message.call_no, "claim": message.claim_hash.as_deref().map(bulk::hex), "repeated": false, "after_doubt": message.after_doubt, "at": bulk::time(now),
    })
}
