//! Reports of the providers: kept once each, applied to their message whenever both are there, in any order.

use chrono::{DateTime, Utc};
use sqlx::FromRow;
use uuid::Uuid;

use super::fail::{Rung, undeliverable};
use super::lease::Leased;
use super::leave::{self, Carrier};
use super::ring;
use super::settle::lock_rungs;
use crate::domain::alert::TimelineKind;
use crate::domain::message::Channel;
use crate::domain::message::receipt::{Consequence, Receipt, ReceiptState, call_no, consequence};
use crate::domain::notice::RecipientKind;
use crate::on;
use crate::store::{Result, Tx, contact_call, journey};

/// A message that a report is about.
#[derive(FromRow)]
struct Sent {
    site_id: Uuid,
    id: Uuid,
    recipient_id: Uuid,
    #[sqlx(try_from = "String")]
    recipient_kind: RecipientKind,
    channel_id: Option<Uuid>,
    state: String,
}

/// Takes one report; one that came before changes nothing. A report of a message that is not known yet waits for it.
pub async fn arrive(tx: &mut Tx, receipt: &Receipt, now: DateTime<Utc>) -> Result<()> {
    let sql = "insert into message_receipt (channel, reference, state, detail, at) values ($1, $2, $3, $4, $5)
        on conflict (channel, reference, state) do nothing";
    let new = on!(tx, |conn| sqlx::query(sql)
        .bind(receipt.channel.as_str())
        .bind(&receipt.reference)
        .bind(receipt.state.as_str())
        .bind(&receipt.detail)
        .bind(now)
        .execute(conn)
        .await?
        .rows_affected());
    if new > 0 { apply(tx, receipt, now).await } else { Ok(()) }
}

/// Applies the reports that came before the provider's answer did. In a transaction of its own: the seniors are locked first.
pub async fn apply_waiting(tx: &mut Tx, message: &Leased, provider_id: Option<&str>, now: DateTime<Utc>) -> Result<()> {
    let sql = "select channel, reference, state, detail from message_receipt
        where channel = $1 and (reference in ($2, $3) or (site_id = $4 and message_id = $5)) and handled_at is null order by at, state";
    let rows: Vec<(String, String, String, String)> = on!(tx, |conn| sqlx::query_as(sql)
        .bind(&message.channel)
        .bind(provider_id)
        .bind(format!("c{}", message.call_no))
        .bind(message.site_id)
        .bind(message.id)
        .fetch_all(conn)
        .await)?;
    for (channel, reference, state, detail) in rows {
        // A word of another version says nothing here.
        let (Ok(channel), Ok(state)) = (channel.parse::<Channel>(), state.parse::<ReceiptState>()) else { continue };
        apply(tx, &Receipt { channel, reference, call_no: Some(message.call_no), state, detail }, now).await?;
    }
    Ok(())
}

async fn apply(tx: &mut Tx, receipt: &Receipt, now: DateTime<Utc>) -> Result<()> {
    // By our own number where the provider's is not known, and never by that of another call over the same message.
    let sql = "select site_id, id, recipient_id, recipient_kind, channel_id, state from message
        where channel = $1 and (provider_id = $2 or (call_no = $3 and ($4 or provider_id is null)))";
    let sent: Option<Sent> = on!(tx, |conn| sqlx::query_as(sql)
        .bind(receipt.channel.as_str())
        .bind(&receipt.reference)
        .bind(receipt.call_no)
        .bind(call_no(&receipt.reference).is_some())
        .fetch_optional(conn)
        .await)?;
    let Some(sent) = sent else { return Ok(()) };
    let rungs = lock_rungs(tx, sent.site_id, sent.id).await?;
    // Of a message that is in doubt or was given up it is kept, too: people ask later what became of it.
    let is_sent = sent.state == "sent";
    let sql = "update message_receipt set handled_at = $4, site_id = $5, message_id = $6
        where channel = $1 and reference = $2 and state = $3 and handled_at is null";
    on!(tx, |conn| sqlx::query(sql)
        .bind(receipt.channel.as_str())
        .bind(&receipt.reference)
        .bind(receipt.state.as_str())
        .bind(is_sent.then_some(now))
        .bind(sent.site_id)
        .bind(sent.id)
        .execute(conn)
        .await
        .map(|_| ()))?;
    journey::note(tx, sent.site_id, sent.id, now).await?;
    if !is_sent {
        return Ok(());
    }
    if sent.recipient_kind == RecipientKind::Contact {
        note(tx, &sent, receipt, now).await?;
    }
    match consequence(sent.recipient_kind, receipt.state, calls(tx, &sent).await?) {
        Consequence::None => Ok(()),
        Consequence::Again(pause) => again(tx, &sent, now + pause).await,
        Consequence::NextChannel => give_up(tx, &sent, receipt, &rungs, now).await,
    }
}

/// Whether the family took the telephone stands in the timeline of the alert.
async fn note(tx: &mut Tx, sent: &Sent, receipt: &Receipt, now: DateTime<Utc>) -> Result<()> {
    let kind = match receipt.state {
        ReceiptState::Heard => TimelineKind::ContactHeard,
        ReceiptState::Unanswered => TimelineKind::ContactNoAnswer,
        ReceiptState::Delivered | ReceiptState::Failed => return Ok(()),
    };
    contact_call::note(tx, sent.site_id, sent.id, kind, now).await
}

/// How often the provider has accepted this message.
async fn calls(tx: &mut Tx, sent: &Sent) -> Result<i64> {
    let sql = "select count(*) from message_attempt where site_id = $1 and message_id = $2 and outcome = 'sent'";
    Ok(on!(tx, |conn| sqlx::query_scalar(sql).bind(sent.site_id).bind(sent.id).fetch_one(conn).await)?)
}

/// The same message is due once more, unless nobody needs it now: the alert has ended, or somebody is going.
async fn again(tx: &mut Tx, sent: &Sent, at: DateTime<Utc>) -> Result<()> {
    let sql = "update message set state = 'ready', next_at = $3, repeated = $4, signed_at = null, provider_id = null
        where site_id = $1 and id = $2 and exists (select 1 from notice n
            join alert a on a.site_id = n.site_id and a.id = n.alert_id and a.resolved_at is null
            where n.site_id = message.site_id and n.message_id = message.id and n.state = 'delivered'
              and (n.level >= 4 or a.claim_until is null or a.claim_until <= $3))";
    on!(tx, |conn| sqlx::query(sql).bind(sent.site_id).bind(sent.id).bind(at).bind(false).execute(conn).await.map(|_| ()))?;
    let sql = "update notice set state = 'sealed' where site_id = $1 and message_id = $2 and state = 'delivered'
        and exists (select 1 from message m where m.site_id = notice.site_id and m.id = notice.message_id and m.state = 'ready')";
    on!(tx, |conn| sqlx::query(sql).bind(sent.site_id).bind(sent.id).execute(conn).await.map(|_| ()))?;
    Ok(())
}

/// The person was not reached this way: the next channel, or the next person.
async fn give_up(tx: &mut Tx, sent: &Sent, receipt: &Receipt, rungs: &[Rung], now: DateTime<Utc>) -> Result<()> {
    let sql = "update message set state = 'failed', last_error = $3 where site_id = $1 and id = $2 and state = 'sent'";
    let why = format!("{} {}", receipt.state, receipt.detail);
    let ours = on!(tx, |conn| sqlx::query(sql).bind(sent.site_id).bind(sent.id).bind(why).execute(conn).await?.rows_affected());
    if ours == 0 {
        return Ok(());
    }
    ring::take_back(tx, sent.site_id, sent.id).await?;
    let sql = "update notice set state = 'sealed' where site_id = $1 and message_id = $2 and state = 'delivered'";
    on!(tx, |conn| sqlx::query(sql).bind(sent.site_id).bind(sent.id).execute(conn).await.map(|_| ()))?;
    let person = (sent.site_id, sent.recipient_id, sent.recipient_kind);
    let carrier = Carrier { id: sent.id, person, channel_id: sent.channel_id, channel: receipt.channel.as_str() };
    let rest = leave::rest(tx, &carrier, now).await?;
    if leave::leave(tx, &carrier, &rest, false, now).await? {
        undeliverable(tx, rungs, now).await?;
    }
    Ok(())
}
