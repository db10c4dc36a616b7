//! What an attempt came to: the attempt's row, the message, its notices, and, if nothing is left to try, its alerts; all in
//! one small transaction per message.

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use super::fail::{Escalate, Rung, tell_broken, undeliverable};
use super::lease::Leased;
use super::leave::{self, Carrier, Rest};
use super::ring;
use crate::domain::alert::TimelineKind;
use crate::domain::message::Channel;
use crate::domain::message::elsewhere::Elsewhere;
use crate::domain::message::retry::{AWAY_AFTER, Outcome, OutcomeClass, RetryRules, Settle, after_attempt, is_away, pause, refusal};
use crate::domain::notice::{RecipientKind, arguments};
use crate::on;
use crate::store::{Result, Tx, audit, channel_account, contact_call, feed, journey, naming, watch};

/// Attempts that are older say nothing about a provider now.
const AWAY_WITHIN: TimeDelta = TimeDelta::minutes(5);
/// The last attempts of a site, over all channels, among which those of one provider are looked for.
const ATTEMPTS_LOOKED_AT: i64 = 100;

/// An attempt that has ended.
#[derive(Debug, Clone)]
pub struct Attempt {
    pub leased: Leased,
    pub outcome: Outcome,
    pub rules: RetryRules,
    /// 0..1
    pub jitter: f64,
    pub instance: Uuid,
    pub escalate: Escalate,
}

/// Settles an attempt and returns what was decided.
///
/// "Sent" counts whoever holds the lease by now: it is a fact. A failure counts only while the lease is ours, because the
/// one who took over tries again anyway.
pub async fn settle(tx: &mut Tx, attempt: &Attempt, now: DateTime<Utc>) -> Result<Settle> {
    let rungs = if attempt.outcome.class == OutcomeClass::Sent {
        Vec::new()
    } else {
        lock_rungs(tx, attempt.leased.site_id, attempt.leased.id).await?
    };
    let judged = judged(tx, attempt, now).await?;
    let attempt = judged.as_ref().unwrap_or(attempt);
    record(tx, attempt, now).await?;
    journey::note(tx, attempt.leased.site_id, attempt.leased.id, now).await?;
    let carrier = Carrier::of(&attempt.leased);
    let rest = if attempt.outcome.class == OutcomeClass::Sent { Rest::default() } else { leave::rest(tx, &carrier, now).await? };
    let settled = decide(attempt, rest.elsewhere(), now);
    // What no earlier message can carry again stays with this one, if that may wait.
    let itself =
        if matches!(settled, Settle::BackAt(_)) && !rest.is_left_by_all() { decide(attempt, Elsewhere::Nowhere, now) } else { settled };
    match attempt.outcome.class {
        OutcomeClass::Gone => disable(tx, attempt, now).await?,
        OutcomeClass::Config => refuse(tx, attempt, now).await?,
        OutcomeClass::Broken => tell_broken(tx, attempt.leased.site_id, attempt.leased.id, now).await?,
        // A message that only met the pause must not make it longer.
        OutcomeClass::Throttled if attempt.leased.paused_until.is_none() => {
            pause_endpoint(tx, attempt, attempt.outcome.whole_account, now).await?;
        }
        // Whoever has another channel is told by that one at once, and for the others other people are asked meanwhile (I15).
        OutcomeClass::SafeRetry | OutcomeClass::Ambiguous if provider_is_away(tx, &attempt.leased, now).await? => {
            pause_endpoint(tx, attempt, true, now).await?;
        }
        _ => {}
    }
    let ours = match itself {
        Settle::Sent => mark_sent(tx, attempt, now).await?,
        Settle::RetryAt(at) | Settle::HeldUp(at) => retry(tx, attempt, at).await?,
        Settle::NextChannel | Settle::BackAt(_) | Settle::Failed => mark_failed(tx, attempt).await?,
    };
    if !ours {
        return Ok(settled);
    }
    let tell = match settled {
        Settle::Sent => {
            arrived(tx, attempt, now).await?;
            false
        }
        Settle::RetryAt(_) => false,
        Settle::HeldUp(_) => leave::wait(tx, &carrier, &rest).await?,
        Settle::NextChannel | Settle::BackAt(_) | Settle::Failed => {
            leave::leave(tx, &carrier, &rest, matches!(itself, Settle::HeldUp(_)), now).await?
        }
    };
    if tell && attempt.escalate == Escalate::Yes {
        undeliverable(tx, &rungs, now).await?;
    }
    Ok(settled)
}

fn decide(attempt: &Attempt, elsewhere: Elsewhere, now: DateTime<Utc>) -> Settle {
    let (outcome, leased) = (&attempt.outcome, &attempt.leased);
    let attempts = if outcome.class == OutcomeClass::Throttled { leased.attempts } else { leased.tries() };
    after_attempt(outcome, attempts, elsewhere, &attempt.rules, attempt.jitter, now)
}

/// What follows when a message has been accepted.
async fn arrived(tx: &mut Tx, attempt: &Attempt, now: DateTime<Utc>) -> Result<()> {
    let leased = &attempt.leased;
    deliver_notices(tx, leased).await?;
    if leased.account_refused {
        channel_account::accept(tx, &leased.channel).await?;
    }
    ring::put(tx, leased, now).await?;
    if leased.recipient_kind == RecipientKind::Contact {
        let rings = leased.channel.parse::<Channel>().is_ok_and(Channel::rings);
        let kind = if rings { TimelineKind::ContactCalled } else { TimelineKind::ContactTexted };
        contact_call::note(tx, leased.site_id, leased.id, kind, now).await?;
    }
    Ok(())
}

/// The rungs behind a message, with their seniors locked before any other row, as every writer does.
pub(super) async fn lock_rungs(tx: &mut Tx, site_id: Uuid, message_id: Uuid) -> Result<Vec<Rung>> {
    let sql = "select distinct n.alert_id, n.epoch, n.step, a.senior_id from notice n
        join alert a on a.site_id = n.site_id and a.id = n.alert_id
        where n.site_id = $1 and n.message_id = $2 and n.class = 'alert'";
    let rows: Vec<(Uuid, i64, i64, Uuid)> = on!(tx, |conn| sqlx::query_as(sql).bind(site_id).bind(message_id).fetch_all(conn).await)?;
    let seniors: Vec<Uuid> = rows.iter().map(|row| row.3).collect();
    tx.lock_seniors(&seniors).await?;
    Ok(rows.into_iter().map(|(alert, epoch, step, _)| (site_id, alert, epoch, step)).collect())
}

/// Others that took messages within this time show that our key and clock are right.
const WORKED_LATELY: TimeDelta = TimeDelta::days(1);

/// The attempt as it counts, if that is another thing than the channel could know: see [`refusal`].
async fn judged(tx: &mut Tx, attempt: &Attempt, now: DateTime<Utc>) -> Result<Option<Attempt>> {
    let class = attempt.outcome.class;
    let bound = attempt.leased.channel.parse().is_ok_and(Channel::is_bound_to_key);
    if refusal(class, bound, true) == class {
        return Ok(None);
    }
    let sql = "select count(*) from message where channel = $1 and state = 'sent' and sent_at > $2 and channel_id <> $3";
    let others: i64 = on!(tx, |conn| sqlx::query_scalar(sql)
        .bind(&attempt.leased.channel)
        .bind(now - WORKED_LATELY)
        .bind(attempt.leased.channel_id)
        .fetch_one(conn)
        .await)?;
    let class = refusal(class, bound, others > 0);
    let outcome = Outcome { class, ..attempt.outcome.clone() };
    Ok(Some(Attempt { outcome, ..attempt.clone() }))
}

async fn record(tx: &mut Tx, attempt: &Attempt, now: DateTime<Utc>) -> Result<()> {
    let sql = "insert into message_attempt (site_id, id, message_id, at, outcome, detail) values ($1, $2, $3, $4, $5, $6)";
    on!(tx, |conn| sqlx::query(sql)
        .bind(attempt.leased.site_id)
        .bind(Uuid::now_v7())
        .bind(attempt.leased.id)
        .bind(now)
        .bind(attempt.outcome.class.as_str())
        .bind(&attempt.outcome.detail)
        .execute(conn)
        .await
        .map(|_| ()))?;
    Ok(())
}

async fn mark_sent(tx: &mut Tx, attempt: &Attempt, now: DateTime<Utc>) -> Result<bool> {
    let sql = "update message set state = 'sent', sent_at = $3, provider_id = $4, last_error = null, leased_by = null, lease_until = null
        where site_id = $1 and id = $2 and state in ('leased', 'ready')";
    let changed = on!(tx, |conn| sqlx::query(sql)
        .bind(attempt.leased.site_id)
        .bind(attempt.leased.id)
        .bind(now)
        .bind(&attempt.outcome.provider_id)
        .execute(conn)
        .await
        .map(|done| done.rows_affected()))?;
    Ok(changed > 0)
}

async fn retry(tx: &mut Tx, attempt: &Attempt, at: DateTime<Utc>) -> Result<bool> {
    let sql = "update message set state = 'ready', next_at = $5, last_error = $6, repeated = (repeated or $7), leased_by = null, lease_until = null
        where site_id = $1 and id = $2 and state = 'leased' and leased_by = $3 and attempts = $4";
    let unknown = attempt.outcome.class == OutcomeClass::Ambiguous;
    let changed = on!(tx, |conn| sqlx::query(sql)
        .bind(attempt.leased.site_id)
        .bind(attempt.leased.id)
        .bind(attempt.instance)
        .bind(attempt.leased.attempts)
        .bind(at)
        .bind(&attempt.outcome.detail)
        .bind(unknown)
        .execute(conn)
        .await
        .map(|done| done.rows_affected()))?;
    Ok(changed > 0)
}

async fn mark_failed(tx: &mut Tx, attempt: &Attempt) -> Result<bool> {
    let sql = "update message set state = 'failed', last_error = $5, leased_by = null, lease_until = null
        where site_id = $1 and id = $2 and state = 'leased' and leased_by = $3 and attempts = $4";
    let changed = on!(tx, |conn| sqlx::query(sql)
        .bind(attempt.leased.site_id)
        .bind(attempt.leased.id)
        .bind(attempt.instance)
        .bind(attempt.leased.attempts)
        .bind(&attempt.outcome.detail)
        .execute(conn)
        .await
        .map(|done| done.rows_affected()))?;
    Ok(changed > 0)
}

async fn deliver_notices(tx: &mut Tx, leased: &Leased) -> Result<()> {
    let sql = "update notice set state = 'delivered' where site_id = $1 and message_id = $2 and state = 'sealed'";
    on!(tx, |conn| sqlx::query(sql).bind(leased.site_id).bind(leased.id).execute(conn).await.map(|_| ()))?;
    Ok(())
}

/// The receiver asked for a pause: whatever goes to the same address waits as long, also what is sealed later. The address
/// and not its host, because a host often serves many people's robots, and one of them must not silence the others. Where the
/// provider speaks of the whole account, all its addresses wait.
async fn pause_endpoint(tx: &mut Tx, attempt: &Attempt, whole_account: bool, now: DateTime<Utc>) -> Result<()> {
    let sql = "insert into endpoint_pause (channel, address, paused_until) values ($1, $2, $3)
        on conflict (channel, address) do update set paused_until = excluded.paused_until
            where endpoint_pause.paused_until < excluded.paused_until";
    let (leased, until) = (&attempt.leased, now + pause(&attempt.outcome));
    let paused = if whole_account { Some("*") } else { leased.address.as_deref() };
    let Some(paused) = paused else { return Ok(()) };
    on!(tx, |conn| sqlx::query(sql).bind(&leased.channel).bind(paused).bind(until).execute(conn).await.map(|_| ()))?;
    Ok(())
}

/// Whether nothing has come of the last attempts over this message's provider. An address of the web is one person's own, and says
/// nothing about another.
async fn provider_is_away(tx: &mut Tx, leased: &Leased, now: DateTime<Utc>) -> Result<bool> {
    if !leased.channel.parse::<Channel>().is_ok_and(Channel::has_account) {
        return Ok(false);
    }
    let sql =
        "select t.outcome from (select id, message_id, at, outcome from message_attempt where site_id = $1 order by id desc limit $4) t
        join message m on m.site_id = $1 and m.id = t.message_id
        where m.channel = $2 and t.at > $3 order by t.id desc limit $5";
    let last: Vec<String> = on!(tx, |conn| sqlx::query_scalar(sql)
        .bind(leased.site_id)
        .bind(&leased.channel)
        .bind(now - AWAY_WITHIN)
        .bind(ATTEMPTS_LOOKED_AT)
        .bind(i64::try_from(AWAY_AFTER).unwrap_or(i64::MAX))
        .fetch_all(conn)
        .await)?;
    let last: Vec<OutcomeClass> = last.iter().filter_map(|word| word.parse().ok()).collect();
    Ok(is_away(&last))
}

/// The provider refuses the account: nothing more leaves by it, and all operators hear of it by whatever else they have.
async fn refuse(tx: &mut Tx, attempt: &Attempt, now: DateTime<Utc>) -> Result<()> {
    let channel = &attempt.leased.channel;
    if !channel_account::refuse(tx, channel, &attempt.outcome.detail, now).await? {
        return Ok(());
    }
    tracing::error!(
        channel,
        why = attempt.outcome.detail,
        "the provider refuses the account: nothing leaves by it until somebody mends it"
    );
    let said = arguments([("channel", channel.as_str()), ("why", attempt.outcome.detail.as_str())]);
    for site_id in channel_account::sites(tx).await? {
        // Boards show whom no message reaches any more.
        feed::note(tx, site_id, "site", site_id, None, now).await?;
        watch::tell_operators(tx, site_id, "notice.account_refused", &format!("account/{channel}"), &said, now).await?;
    }
    Ok(())
}

/// The receiver says that this address is gone for good.
async fn disable(tx: &mut Tx, attempt: &Attempt, now: DateTime<Utc>) -> Result<()> {
    let sql = "update member_channel set disabled_at = $3, disabled_why = $4, version = version + 1
        where site_id = $1 and id = $2 and disabled_at is null";
    let (site_id, channel) = (attempt.leased.site_id, attempt.leased.channel_id);
    let changed = on!(tx, |conn| sqlx::query(sql)
        .bind(site_id)
        .bind(channel)
        .bind(now)
        .bind(&attempt.outcome.detail)
        .execute(conn)
        .await
        .map(|done| done.rows_affected()))?;
    if changed > 0 {
        tracing::warn!(?channel, why = attempt.outcome.detail, "the receiver says that this address is gone");
        let fields = ["disabled_at", "disabled_why"];
        let entry = audit::Entry {
            site_id,
            at: now,
            actor_id: None,
            act: "disable",
            object_kind: "member_channel",
            object_id: channel,
            fields: &fields,
        };
        audit::write(tx, &entry).await?;
        tell_disabled(tx, attempt, now).await?;
    }
    Ok(())
}

/// Nobody else would notice before the next alert does not arrive.
async fn tell_disabled(tx: &mut Tx, attempt: &Attempt, now: DateTime<Utc>) -> Result<()> {
    let leased = &attempt.leased;
    let called = naming::member(tx, leased.site_id, leased.recipient_id).await?;
    let said = arguments([("member", called)]);
    let reason = format!("channel/{}", leased.channel_id.unwrap_or_default());
    watch::tell_operators(tx, leased.site_id, "notice.channel_disabled", &reason, &said, now).await?;
    Ok(())
}
