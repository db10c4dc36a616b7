//! After a text that nobody answered, the telephone rings: a second notice of the same rung to the same person, which a claim cancels
//! like any other.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use uuid::Uuid;

use super::lease::Leased;
use super::leave::rank;
use super::seal::recipients;
use crate::domain::id;
use crate::domain::message::Channel;
use crate::domain::message::channel::ring_after;
use crate::on;
use crate::store::{Result, Tx, bulk};

/// A message of an alert has arrived as text: puts the call after it, for a person whose later channels ring.
pub(super) async fn put(tx: &mut Tx, leased: &Leased, now: DateTime<Utc>) -> Result<()> {
    if leased.channel.parse::<Channel>().is_ok_and(Channel::rings) {
        return Ok(());
    }
    let sql =
        "select id, key, channels_tried from notice where site_id = $1 and message_id = $2 and class = 'alert' and state = 'delivered'";
    let told: Vec<(Uuid, String, i64)> = on!(tx, |conn| sqlx::query_as(sql).bind(leased.site_id).bind(leased.id).fetch_all(conn).await)?;
    if told.is_empty() {
        return Ok(());
    }
    let rank = rank(tx, leased.person(), leased.channel_id, &leased.channel).await?;
    // A telephone that has been tried before does not come after it once more.
    let used = told.iter().map(|(.., tried)| *tried).fold(rank, i64::max);
    let person = (leased.site_id, leased.recipient_id);
    let recipient = recipients(tx, &[person]).await?.remove(&person);
    let routes = recipient.map(|recipient| recipient.routes).unwrap_or_default();
    let Some(ringing) = routes.iter().find(|route| route.channel.rings() && route.rank > used) else { return Ok(()) };
    let rows: Vec<Value> = told
        .iter()
        .map(|(notice, key, _)| {
            let at = now + ring_after(key);
            json!({ "site": leased.site_id, "of": notice, "id": id::ring(*notice), "tried": ringing.rank - 1, "at": bulk::time(at), "now": bulk::time(now) })
        })
        .collect();
    let sql = "insert into notice (site_id, id, alert_id, epoch, step, level, recipient_id, recipient_kind, key, arguments, class, state,
            channels_tried, not_before, created_at)
        select n.site_id, {id:uuid}, n.alert_id, n.epoch, n.step, n.level, n.recipient_id, n.recipient_kind, n.key, n.arguments, n.class, 'pending', {tried:int},
            {at:time}, n.created_at
        from {rows} join notice n on n.site_id = {site:uuid} and n.id = {of:uuid}
        join alert a on a.site_id = n.site_id and a.id = n.alert_id and a.resolved_at is null
            and (n.level >= 4 or a.claim_until is null or a.claim_until <= {now:time} or exists (select 1 from ladder_step l
                where l.site_id = n.site_id and l.alert_id = n.alert_id and l.epoch = n.epoch and l.step = n.step and l.act = 'contact' and not l.held))
            and not exists (select 1 from contact_call c where c.site_id = n.site_id and c.alert_id = n.alert_id and c.epoch = n.epoch
                and c.contact_id = n.recipient_id and c.answer is not null)
        where true on conflict (site_id, id) do nothing";
    bulk::execute(tx, sql, &rows).await?;
    Ok(())
}

/// The text did not arrive, so what follows it is sent anew anyway: not twice. It goes without a trace, because a notice that is neither
/// sent nor failed would say that somebody may still be reached.
pub(super) async fn take_back(tx: &mut Tx, site_id: Uuid, message_id: Uuid) -> Result<()> {
    let sql = "select id from notice where site_id = $1 and message_id = $2";
    let told: Vec<Uuid> = on!(tx, |conn| sqlx::query_scalar(sql).bind(site_id).bind(message_id).fetch_all(conn).await)?;
    let rows: Vec<Value> = told.iter().map(|notice| json!({ "site": site_id, "id": id::ring(*notice) })).collect();
    let sql = "delete from notice where state = 'pending' and (site_id, id) in (select {site:uuid}, {id:uuid} from {rows})";
    bulk::execute(tx, sql, &rows).await?;
    Ok(())
}
