//! The second factor of members: a sealed secret and hashed codes for a lost phone.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::register::By;
use super::{Error, Result, Tx, audit};
use crate::domain::second_factor;
use crate::on;
use crate::seal::SealKey;

/// What is known of a member's second factor.
#[derive(Debug, Clone, sqlx::FromRow)]
struct Row {
    secret_sealed: Vec<u8>,
    confirmed_at: Option<DateTime<Utc>>,
    last_step: i64,
}

async fn row(tx: &mut Tx, site_id: Uuid, member_id: Uuid) -> Result<Option<Row>> {
    let sql = "select secret_sealed, confirmed_at, last_step from second_factor where site_id = $1 and member_id = $2";
    Ok(on!(tx, |conn| sqlx::query_as(sql).bind(site_id).bind(member_id).fetch_optional(conn).await)?)
}

/// Since when a member has one in force.
pub async fn since(tx: &mut Tx, site_id: Uuid, member_id: Uuid) -> Result<Option<DateTime<Utc>>> {
    Ok(row(tx, site_id, member_id).await?.and_then(|row| row.confirmed_at))
}

/// A secret on its way: in force once its first code is typed. One that is in force is not replaced.
pub async fn begin(tx: &mut Tx, by: &By, seal: &SealKey, member_id: Uuid, secret: &[u8]) -> Result<bool> {
    let sql = "insert into second_factor (site_id, member_id, secret_sealed, last_step, created_at) values ($1, $2, $3, 0, $4)
        on conflict (site_id, member_id) do update set secret_sealed = excluded.secret_sealed, last_step = 0, created_at = excluded.created_at
        where second_factor.confirmed_at is null";
    let sealed = seal.seal(&place(member_id), secret);
    let rows =
        on!(tx, |conn| sqlx::query(sql).bind(by.site_id).bind(member_id).bind(sealed).bind(by.now).execute(conn).await?.rows_affected());
    Ok(rows > 0)
}

/// Whether the code is right; it is used up by that. `confirmed`: only of a factor that is in force.
pub async fn take(tx: &mut Tx, by: &By, seal: &SealKey, member_id: Uuid, code: &str, confirmed: bool) -> Result<bool> {
    tx.lock_named(&format!("second factor {member_id}")).await?;
    let Some(found) = row(tx, by.site_id, member_id).await?.filter(|row| row.confirmed_at.is_some() == confirmed) else {
        return Ok(false);
    };
    let broken = |why| Error::broken("second_factor", member_id, why);
    let secret = seal.open(&place(member_id), &found.secret_sealed).map_err(broken)?;
    if let Some(step) = second_factor::step_of(&secret, code, found.last_step, by.now) {
        let sql =
            "update second_factor set last_step = $3, confirmed_at = coalesce(confirmed_at, $4) where site_id = $1 and member_id = $2";
        on!(tx, |conn| sqlx::query(sql).bind(by.site_id).bind(member_id).bind(step).bind(by.now).execute(conn).await.map(|_| ()))?;
        return Ok(true);
    }
    if !confirmed {
        return Ok(false);
    }
    let sql = "update recovery_code set used_at = $4
        where site_id = $1 and member_id = $2 and code_hash = $3 and used_at is null";
    let hash = hashed(seal, member_id, code);
    let rows =
        on!(tx, |conn| sqlx::query(sql).bind(by.site_id).bind(member_id).bind(hash).bind(by.now).execute(conn).await?.rows_affected());
    if rows > 0 {
        audit::write(tx, &entry(by, member_id, "use_recovery_code")).await?;
    }
    Ok(rows > 0)
}

/// New codes for a lost phone, instead of the old ones.
pub async fn set_recovery(tx: &mut Tx, by: &By, seal: &SealKey, member_id: Uuid, codes: &[String]) -> Result<()> {
    let sql = "update recovery_code set used_at = $3 where site_id = $1 and member_id = $2 and used_at is null";
    on!(tx, |conn| sqlx::query(sql).bind(by.site_id).bind(member_id).bind(by.now).execute(conn).await.map(|_| ()))?;
    for code in codes {
        let sql = "insert into recovery_code (site_id, member_id, code_hash, created_at) values ($1, $2, $3, $4)";
        let hash = hashed(seal, member_id, code);
        on!(tx, |conn| sqlx::query(sql).bind(by.site_id).bind(member_id).bind(hash).bind(by.now).execute(conn).await.map(|_| ()))?;
    }
    audit::write(tx, &entry(by, member_id, "begin_second_factor")).await
}

/// Takes it away, with its codes; `false`: there is none.
pub async fn end(tx: &mut Tx, by: &By, member_id: Uuid) -> Result<bool> {
    let sql = "delete from recovery_code where site_id = $1 and member_id = $2";
    on!(tx, |conn| sqlx::query(sql).bind(by.site_id).bind(member_id).execute(conn).await.map(|_| ()))?;
    let sql = "delete from second_factor where site_id = $1 and member_id = $2";
    let rows = on!(tx, |conn| sqlx::query(sql).bind(by.site_id).bind(member_id).execute(conn).await?.rows_affected());
    if rows > 0 {
        audit::write(tx, &entry(by, member_id, "end_second_factor")).await?;
    }
    Ok(rows > 0)
}

fn place(member_id: Uuid) -> String {
    format!("second_factor/{member_id}")
}

fn hashed(seal: &SealKey, member_id: Uuid, code: &str) -> Vec<u8> {
    seal.mac("recovery code", format!("{member_id} {}", second_factor::recovery(code)).as_bytes())
}

fn entry<'a>(by: &By, member_id: Uuid, act: &'a str) -> audit::Entry<'a> {
    let (site_id, at, actor_id) = (by.site_id, by.now, by.actor_id);
    audit::Entry { site_id, at, actor_id, act, object_kind: "member", object_id: Some(member_id), fields: &[] }
}
