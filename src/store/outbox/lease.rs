//! Leases: who sends what now. At most a few messages per endpoint are in flight, so that a hanging receiver keeps nobody
//! else waiting (I15).

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::FromRow;
use uuid::Uuid;

use super::limit;
use crate::domain::message::channel::SIGNATURE_AGE_MAX;
use crate::domain::notice::RecipientKind;
use crate::on;
use crate::store::contact_call::agreed;
use crate::store::{Result, Tx};

/// The last error of a message whose sender never said how it ended.
pub const LEASE_RAN_OUT: &str = "lease ran out";

/// A message to be sent now.
#[derive(Debug, Clone, FromRow)]
pub struct Leased {
    pub site_id: Uuid,
    pub id: Uuid,
    pub recipient_id: Uuid,
    #[sqlx(try_from = "String")]
    pub recipient_kind: RecipientKind,
    pub channel_id: Option<Uuid>,
    /// As stored: a word that nobody knows breaks this message and no other (I28).
    pub channel: String,
    pub endpoint: String,
    /// `None`: the channel's row is gone, or the contact may not be told any more.
    pub address: Option<String>,
    pub secret_sealed: Option<Vec<u8>>,
    pub body: Vec<u8>,
    pub locale: String,
    /// What signed requests say: the time of the first attempt whose outcome is in doubt; see `SIGNATURE_AGE_MAX`.
    pub signed_at: DateTime<Utc>,
    pub dedupe_key: String,
    pub call_no: i64,
    /// This attempt included; it also fences the lease against a later one of the same instance.
    pub attempts: i64,
    /// How many of them only met a pause that the receiver had asked for.
    pub pauses: i64,
    pub repeated: bool,
    /// Another channel may have shown the same before this one could.
    pub after_doubt: bool,
    pub last_error: Option<String>,
    /// Its receiver asked for a pause that is not over.
    pub paused_until: Option<DateTime<Utc>>,
    /// Its provider refuses the account.
    pub account_refused: bool,
    /// It goes all the same: it is how one finds out that the account works again.
    pub is_test: bool,
}

impl Leased {
    /// Site, recipient, and what she is.
    pub fn person(&self) -> (Uuid, Uuid, RecipientKind) {
        (self.site_id, self.recipient_id, self.recipient_kind)
    }

    /// Attempts that count: over a limit nothing is dropped.
    pub fn tries(&self) -> i64 {
        self.attempts - self.pauses
    }

    /// Every attempt has been used up, the last one by a sender that never settled it: it is given up, not sent once more.
    pub fn is_spent(&self, attempts_max: i64) -> bool {
        self.tries() > attempts_max && self.last_error.as_deref() == Some(LEASE_RAN_OUT)
    }
}

/// How many and for how long.
#[derive(Debug, Clone, Copy)]
pub struct Terms {
    pub instance: Uuid,
    pub lease: TimeDelta,
    /// In flight at once per endpoint, live leases of this instance included.
    pub per_endpoint_max: i64,
    pub messages_max: i64,
}

/// Where a message goes: to the member's channel, or to the number of a contact who may be told.
macro_rules! address {
    () => {
        concat!(
            "coalesce((select c.address from member_channel c where c.site_id = message.site_id and c.id = message.channel_id),
                (select k.phone from contact k where message.recipient_kind = 'contact' and k.site_id = message.site_id
                    and k.id = message.recipient_id and ",
            agreed!(),
            "))"
        )
    };
}

/// Leases due messages, most urgent first.
///
/// The condition stands again in the outer WHERE: on PostgreSQL a second instance waits for the row and looks at it once
/// more; with the condition in the subquery alone it would lease what the first one has just taken.
pub async fn lease(tx: &mut Tx, terms: Terms, now: DateTime<Utc>) -> Result<Vec<Leased>> {
    // Two instances would lock rows in different orders and strike each other down.
    tx.lock_named("outbox.lease").await?;
    on!(tx, |conn| sqlx::query("delete from endpoint_pause where paused_until <= $1").bind(now).execute(conn).await.map(|_| ()))?;
    let sql = concat!(
        "update message set state = 'leased', leased_by = $2, lease_until = $3, attempts = attempts + 1,
            repeated = (repeated or state = 'leased'), last_error = case when state = 'leased' then $6 else last_error end,
            signed_at = case when (repeated or state = 'leased') and signed_at > $7 then signed_at else $1 end
        where ((state = 'ready' and next_at <= $1) or (state = 'leased' and lease_until <= $1))
          and (site_id, id) in (
            select site_id, id from (
                select m.site_id, m.id, m.priority, m.next_at, m.call_no,
                    (m.state = 'leased' and m.lease_until > $1) as live,
                    row_number() over (partition by m.endpoint
                        order by case when m.state = 'leased' and m.lease_until > $1 then 0 else 1 end, m.priority, m.next_at, m.call_no) as turn
                from message m
                where (m.state = 'ready' and m.next_at <= $1)
                   or (m.state = 'leased' and (m.lease_until <= $1 or m.leased_by = $2))) due
            where turn <= $4 and not live
            order by priority, next_at, call_no limit $5)
        returning site_id, id, recipient_id, recipient_kind, channel_id, channel, endpoint, body, locale, signed_at, dedupe_key, call_no, attempts, repeated, after_doubt, last_error,
            ",
        address!(),
        " as address,
            (select c.secret_sealed from member_channel c where c.site_id = message.site_id and c.id = message.channel_id) as secret_sealed,
            (select max(p.paused_until) from endpoint_pause p where p.channel = message.channel and p.paused_until > $1
                and p.address in ('*', ",
        address!(),
        ")) as paused_until,
            (select count(*) from message_attempt t where t.site_id = message.site_id and t.message_id = message.id
                and t.outcome = 'throttled') as pauses,
            exists (select 1 from channel_account u where u.channel = message.channel and u.fault_at is not null) as account_refused,
            not exists (select 1 from notice n where n.site_id = message.site_id and n.message_id = message.id) as is_test"
    );
    let mut leased: Vec<Leased> = on!(tx, |conn| sqlx::query_as(sql)
        .bind(now)
        .bind(terms.instance)
        .bind(now + terms.lease)
        .bind(terms.per_endpoint_max)
        .bind(terms.messages_max)
        .bind(LEASE_RAN_OUT)
        .bind(now - SIGNATURE_AGE_MAX)
        .fetch_all(conn)
        .await)?;
    leased.sort_by_key(|message| message.call_no);
    limit::hold_back(tx, leased, now).await
}

/// Gives back what an instance still holds when it stops, so that nobody waits for the lease to run out. Whether these were
/// received is unknown (I12). Returns how many there were.
pub async fn release(tx: &mut Tx, instance: Uuid, now: DateTime<Utc>) -> Result<u64> {
    let sql = "update message set state = 'ready', next_at = $2, repeated = $3, leased_by = null, lease_until = null
        where state = 'leased' and leased_by = $1";
    Ok(on!(tx, |conn| sqlx::query(sql).bind(instance).bind(now).bind(true).execute(conn).await.map(|done| done.rows_affected()))?)
}

/// The next moment at which there is something to seal or to send; if it lies behind `now`, that much is late.
pub async fn next_due(tx: &mut Tx) -> Result<Option<DateTime<Utc>>> {
    let mut next: Option<DateTime<Utc>> = None;
    for sql in [
        concat!("select min(n.not_before) from notice n where n.state = 'pending' and not ", before_its_alert!()),
        "select min(next_at) from message where state = 'ready'",
        "select min(lease_until) from message where state = 'leased'",
    ] {
        let at: Option<DateTime<Utc>> = on!(tx, |conn| sqlx::query_scalar(sql).fetch_one(conn).await)?;
        next = next.into_iter().chain(at).min();
    }
    Ok(next)
}
