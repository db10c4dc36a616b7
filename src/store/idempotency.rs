//! The first answer to a request with a key, kept in the transaction of its write: a repeat gets the same answer, another
//! request under the same key a conflict, and the first is kept (I20).

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{Error, Result, Tx};
use crate::domain::refusal::Refusal;
use crate::on;

/// A request that may be sent twice.
#[derive(Debug, Clone)]
pub struct Keyed {
    pub site_id: Uuid,
    pub member_id: Uuid,
    pub key: String,
    pub content_hash: [u8; 32],
}

/// What was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    pub status: i64,
    /// JSON.
    pub answer: String,
}

/// The status of a row whose transaction has not answered yet; it is never committed.
const UNANSWERED: i64 = 0;
/// Old answers that one request takes along.
const FORGOTTEN_AT_ONCE: i64 = 20;

/// Takes the key, or returns the answer that its first request got. A concurrent repeat waits here for the first to commit.
pub async fn begin(tx: &mut Tx, request: &Keyed, now: DateTime<Utc>) -> Result<Option<Stored>> {
    let insert = "insert into idempotency (site_id, member_id, key, content_hash, status, answer, at)
        values ($1, $2, $3, $4, $5, '', $6) on conflict do nothing";
    let rows = on!(tx, |conn| sqlx::query(insert)
        .bind(request.site_id)
        .bind(request.member_id)
        .bind(&request.key)
        .bind(request.content_hash.to_vec())
        .bind(UNANSWERED)
        .bind(now)
        .execute(conn)
        .await?
        .rows_affected());
    if rows == 1 {
        return Ok(None);
    }
    let select = "select content_hash, status, answer from idempotency where site_id = $1 and member_id = $2 and key = $3";
    let (hash, status, answer): (Vec<u8>, i64, String) =
        on!(tx, |conn| sqlx::query_as(select).bind(request.site_id).bind(request.member_id).bind(&request.key).fetch_one(conn).await)?;
    if hash != request.content_hash {
        return Err(Refusal::conflict("http.other_content").into());
    }
    if status == UNANSWERED {
        return Err(Error::broken("idempotency", &request.key, "committed without an answer"));
    }
    Ok(Some(Stored { status, answer }))
}

/// Lets go of a key that [`begin`] took in this transaction and under which nothing was done.
pub async fn give_back(tx: &mut Tx, request: &Keyed) -> Result<()> {
    let sql = "delete from idempotency where site_id = $1 and member_id = $2 and key = $3 and status = $4";
    on!(tx, |conn| sqlx::query(sql)
        .bind(request.site_id)
        .bind(request.member_id)
        .bind(&request.key)
        .bind(UNANSWERED)
        .execute(conn)
        .await
        .map(|_| ()))?;
    Ok(())
}

/// Keeps the answer; in the same transaction as the write and [`begin`].
pub async fn finish(tx: &mut Tx, request: &Keyed, answer: &Stored) -> Result<()> {
    let sql = "update idempotency set status = $4, answer = $5 where site_id = $1 and member_id = $2 and key = $3";
    on!(tx, |conn| sqlx::query(sql)
        .bind(request.site_id)
        .bind(request.member_id)
        .bind(&request.key)
        .bind(answer.status)
        .bind(&answer.answer)
        .execute(conn)
        .await
        .map(|_| ()))?;
    Ok(())
}

/// For rows with a client-made id and a `content_hash`: `true` if the stored row is this very request again.
///
/// # Errors
/// A conflict if the id stands for other content.
pub fn is_repeat(stored_hash: Option<&[u8]>, content_hash: &[u8; 32]) -> Result<bool, Refusal> {
    match stored_hash {
        None => Ok(false),
        Some(hash) if hash == content_hash => Ok(true),
        Some(_) => Err(Refusal::conflict("http.other_content")),
    }
}

/// Answers hold what was answered, names and phones among it, so they are not kept for ever. Each new request takes a few old ones
/// along: never many at once, and none that another transaction is taking.
pub async fn forget(tx: &mut Tx, site_id: Uuid, before: DateTime<Utc>) -> Result<u64> {
    let sql = match tx {
        Tx::Sqlite(_) => {
            "delete from idempotency where rowid in (select rowid from idempotency where site_id = $1 and at < $2 order by at limit $3)"
        }
        Tx::Postgres(_) => {
            "delete from idempotency where ctid = any (array (
                select ctid from idempotency where site_id = $1 and at < $2 order by at limit $3 for update skip locked))"
        }
    };
    Ok(on!(tx, |conn| sqlx::query(sql).bind(site_id).bind(before).bind(FORGOTTEN_AT_ONCE).execute(conn).await?.rows_affected()))
}
