//! A way in without a password: a link that opens one sign-in, once. Only the hash of its token is kept, and a new invitation ends
//! the ones before it.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::register::By;
use super::session::TokenHash;
use super::{Result, Tx, audit};
use crate::domain::refusal::Refusal;
use crate::on;

/// An invitation to be written.
#[derive(Debug, Clone, Copy)]
pub struct NewInvitation {
    pub id: Uuid,
    pub member_id: Uuid,
    pub expires_at: DateTime<Utc>,
}

/// Whom a link lets in.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct Invited {
    pub site_id: Uuid,
    pub id: Uuid,
    pub member_id: Uuid,
    /// How texts address the person.
    pub called: String,
    pub locale: String,
    /// The sign-in that it has opened already.
    pub session_id: Option<Uuid>,
}

/// Invites a member; what was handed out before opens nothing any more. The same id once more gets a fresh token.
pub async fn create(tx: &mut Tx, by: &By, new: NewInvitation, token: &TokenHash) -> Result<()> {
    tx.lock_named(&format!("invitation {}", new.member_id)).await?;
    let end = "update invitation set ended_at = $3 where site_id = $1 and member_id = $2 and used_at is null and ended_at is null";
    on!(tx, |conn| sqlx::query(end).bind(by.site_id).bind(new.member_id).bind(by.now).execute(conn).await.map(|_| ()))?;
    let sql = "insert into invitation (site_id, id, member_id, token_hash, invited_by, created_at, expires_at)
        values ($1, $2, $3, $4, $5, $6, $7)
        on conflict (site_id, id) do update set token_hash = excluded.token_hash, created_at = excluded.created_at,
            expires_at = excluded.expires_at, ended_at = null
        where invitation.member_id = excluded.member_id and invitation.used_at is null";
    let rows = on!(tx, |conn| sqlx::query(sql)
        .bind(by.site_id)
        .bind(new.id)
        .bind(new.member_id)
        .bind(token.bytes().to_vec())
        .bind(by.actor_id.unwrap_or_default())
        .bind(by.now)
        .bind(new.expires_at)
        .execute(conn)
        .await?
        .rows_affected());
    if rows == 0 {
        return Err(Refusal::conflict("problem.same_id_other_content").into());
    }
    audit::write(tx, &entry(by.site_id, by.now, by.actor_id, "invite", new.member_id)).await
}

/// Whom a token lets in now; `None`: unknown, expired or ended. A used one is found, so that its own browser may ask again.
pub async fn find(tx: &mut Tx, token: &TokenHash, now: DateTime<Utc>) -> Result<Option<Invited>> {
    let sql = "select i.site_id, i.id, i.member_id, m.called, m.locale, i.session_id
        from invitation i join member m on m.site_id = i.site_id and m.id = i.member_id
        where i.token_hash = $1 and i.expires_at > $2 and i.ended_at is null and m.ended_at is null";
    Ok(on!(tx, |conn| sqlx::query_as(sql).bind(token.bytes().to_vec()).bind(now).fetch_optional(conn).await)?)
}

/// Uses it up; `false`: somebody else was first.
pub async fn claim(tx: &mut Tx, invited: &Invited, session_id: Uuid, now: DateTime<Utc>) -> Result<bool> {
    let sql = "update invitation set used_at = $3, session_id = $4
        where site_id = $1 and id = $2 and used_at is null and ended_at is null and expires_at > $3";
    let rows = on!(tx, |conn| sqlx::query(sql)
        .bind(invited.site_id)
        .bind(invited.id)
        .bind(now)
        .bind(session_id)
        .execute(conn)
        .await?
        .rows_affected());
    if rows == 0 {
        return Ok(false);
    }
    audit::write(tx, &entry(invited.site_id, now, Some(invited.member_id), "join", invited.member_id)).await?;
    Ok(true)
}

fn entry(site_id: Uuid, at: DateTime<Utc>, actor_id: Option<Uuid>, act: &str, member_id: Uuid) -> audit::Entry<'_> {
    audit::Entry { site_id, at, actor_id, act, object_kind: "member", object_id: Some(member_id), fields: &[] }
}
