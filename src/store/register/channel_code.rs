//! Codes that verify an address: whoever types what was sent there reads what is sent there.

use chrono::{DateTime, TimeDelta, Utc};
use subtle::ConstantTimeEq;
use uuid::Uuid;

use super::By;
use crate::domain::refusal::Refusal;
use crate::on;
use crate::seal::SealKey;
use crate::store::{Result, Tx};

/// Of a code; a text message may take minutes.
const LIFE: TimeDelta = TimeDelta::minutes(10);
/// Between two codes to one address: each may cost money, and the providers refuse more.
const PAUSE: TimeDelta = TimeDelta::minutes(1);
/// A million codes and so many guesses.
const TRIES_MAX: i64 = 5;

/// Six digits.
pub fn random() -> String {
    format!("{:06}", rand::random_range(0..1_000_000_u32))
}

/// Keeps a fresh code; the one before it is worth nothing any more.
pub async fn keep(tx: &mut Tx, by: &By, key: &SealKey, channel_id: Uuid, code: &str) -> Result<()> {
    let sql = "insert into channel_code (site_id, channel_id, code_sealed, sent_at, expires_at, tries_left) values ($1, $2, $3, $4, $5, $6)
        on conflict (site_id, channel_id) do update set code_sealed = excluded.code_sealed, sent_at = excluded.sent_at,
            expires_at = excluded.expires_at, tries_left = excluded.tries_left
        where channel_code.sent_at <= $7";
    let kept = on!(tx, |conn| sqlx::query(sql)
        .bind(by.site_id)
        .bind(channel_id)
        .bind(key.seal(&place(channel_id), code.as_bytes()))
        .bind(by.now)
        .bind(by.now + LIFE)
        .bind(TRIES_MAX)
        .bind(by.now - PAUSE)
        .execute(conn)
        .await?
        .rows_affected());
    if kept == 0 { Err(Refusal::conflict("channel.code_soon").into()) } else { Ok(()) }
}

/// What a typed code comes to. A wrong one is counted, so the answer must be committed, too.
pub async fn check(tx: &mut Tx, by: &By, key: &SealKey, channel_id: Uuid, typed: &str) -> Result<std::result::Result<(), Refusal>> {
    tx.lock_named(&format!("channel_code {channel_id}")).await?;
    let sql = "select code_sealed, expires_at, tries_left from channel_code where site_id = $1 and channel_id = $2";
    let found: Option<(Vec<u8>, DateTime<Utc>, i64)> =
        on!(tx, |conn| sqlx::query_as(sql).bind(by.site_id).bind(channel_id).fetch_optional(conn).await)?;
    let over = || Refusal::invalid("code", "channel.code_over");
    let Some((sealed, _, left)) = found.filter(|(_, expires_at, left)| *expires_at > by.now && *left > 0) else { return Ok(Err(over())) };
    let Ok(code) = key.open(&place(channel_id), &sealed) else { return Ok(Err(over())) };
    if bool::from(code.ct_eq(typed.trim().as_bytes())) {
        let sql = "delete from channel_code where site_id = $1 and channel_id = $2";
        on!(tx, |conn| sqlx::query(sql).bind(by.site_id).bind(channel_id).execute(conn).await.map(|_| ()))?;
        return Ok(Ok(()));
    }
    let sql = "update channel_code set tries_left = tries_left - 1 where site_id = $1 and channel_id = $2";
    on!(tx, |conn| sqlx::query(sql).bind(by.site_id).bind(channel_id).execute(conn).await.map(|_| ()))?;
    Ok(Err(Refusal::invalid("code", "channel.code_wrong").with("left", left - 1)))
}

/// Where a code is sealed, see `seal::SealKey`.
fn place(channel_id: Uuid) -> String {
    format!("channel_code/{channel_id}")
}
