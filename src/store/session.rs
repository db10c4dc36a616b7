//! Sign-ins: opaque random tokens of which only the SHA-256 is kept. A lookup by the hash of 32 random bytes tells nobody
//! anything by its time.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::{Error, Result, Tx};
use crate::domain::access::Grant;
use crate::domain::place::Role;
use crate::{on, words};

words! {
    /// How a token travels: a browser's cookie or a program's `Authorization: Bearer`.
    pub enum SessionKind { Cookie = "cookie", Bearer = "bearer" }
}

const TOKEN_BYTES: usize = 32;

/// A fresh token; shown once, never stored.
pub struct Token(String);

impl Token {
    pub fn random() -> Self {
        Self(URL_SAFE_NO_PAD.encode(rand::random::<[u8; TOKEN_BYTES]>()))
    }
    pub fn text(&self) -> &str {
        &self.0
    }
    pub fn hash(&self) -> TokenHash {
        TokenHash::of(&self.0).expect("a fresh token has the shape of a token")
    }
}

/// What is stored of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TokenHash([u8; 32]);

impl TokenHash {
    /// `None`: this text was never a token of ours.
    pub fn of(token: &str) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(token).ok().filter(|bytes| bytes.len() == TOKEN_BYTES)?;
        Some(Self(Sha256::digest(bytes).into()))
    }
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

/// A session that is in force, with what a caller needs of its member and site.
#[derive(Debug, Clone)]
pub struct Found {
    pub site_id: Uuid,
    pub id: Uuid,
    pub member_id: Uuid,
    pub kind: SessionKind,
    pub authenticated_at: Option<DateTime<Utc>>,
    pub second_factor_at: Option<DateTime<Utc>>,
    pub expires_at: DateTime<Utc>,
    pub locale: String,
    pub timezone: chrono_tz::Tz,
}

#[derive(sqlx::FromRow)]
struct FoundRow {
    site_id: Uuid,
    id: Uuid,
    member_id: Uuid,
    #[sqlx(try_from = "String")]
    kind: SessionKind,
    authenticated_at: Option<DateTime<Utc>>,
    second_factor_at: Option<DateTime<Utc>>,
    expires_at: DateTime<Utc>,
    locale: String,
    timezone: String,
}

/// The session of a token: not expired, not revoked, of a member who has not ended.
pub async fn find(tx: &mut Tx, token: &TokenHash, now: DateTime<Utc>) -> Result<Option<Found>> {
    let sql = "select s.site_id, s.id, s.member_id, s.kind, s.authenticated_at, s.second_factor_at, s.expires_at, m.locale, t.timezone
        from session s
        join member m on m.site_id = s.site_id and m.id = s.member_id
        join site t on t.id = s.site_id
        where s.token_hash = $1 and s.revoked_at is null and s.expires_at > $2 and m.ended_at is null";
    let row: Option<FoundRow> = on!(tx, |conn| sqlx::query_as(sql).bind(token.0.to_vec()).bind(now).fetch_optional(conn).await)?;
    row.map(|row| {
        let timezone = row.timezone.parse().map_err(|why| Error::broken("site", row.site_id, why))?;
        Ok(Found {
            site_id: row.site_id,
            id: row.id,
            member_id: row.member_id,
            kind: row.kind,
            authenticated_at: row.authenticated_at,
            second_factor_at: row.second_factor_at,
            expires_at: row.expires_at,
            locale: row.locale,
            timezone,
        })
    })
    .transpose()
}

/// The roles of a member in force on a date.
pub async fn grants(tx: &mut Tx, site_id: Uuid, member_id: Uuid, today: NaiveDate) -> Result<Vec<Grant>> {
    #[derive(sqlx::FromRow)]
    struct Row {
        #[sqlx(try_from = "String")]
        role: Role,
        place_id: Option<Uuid>,
        grid_id: Option<Uuid>,
        whole_site: bool,
    }
    // The only root of the tree is the whole site; with two streets in one site neither is.
    let sql = "select g.role, g.place_id, g.grid_id,
            case when g.grid_id is not null then false when g.place_id is null then true
                else g.place_id in (select id from place where site_id = $1 and parent_id is null)
                    and (select count(*) from place where site_id = $1 and parent_id is null and ended_at is null) = 1
            end as whole_site
        from role_grant g
        where g.site_id = $1 and g.member_id = $2 and g.from_date <= $3 and (g.to_date is null or g.to_date > $3) order by g.id";
    let rows: Vec<Row> = on!(tx, |conn| sqlx::query_as(sql).bind(site_id).bind(member_id).bind(today).fetch_all(conn).await)?;
    Ok(rows
        .into_iter()
        .map(|row| Grant { role: row.role, place_id: row.place_id, grid_id: row.grid_id, whole_site: row.whole_site })
        .collect())
}

/// A session to be written.
#[derive(Debug)]
pub struct NewSession<'a> {
    pub site_id: Uuid,
    pub id: Uuid,
    pub member_id: Uuid,
    pub kind: SessionKind,
    pub label: &'a str,
    pub created_at: DateTime<Utc>,
    pub authenticated_at: Option<DateTime<Utc>>,
    pub expires_at: DateTime<Utc>,
}

pub async fn create(tx: &mut Tx, new: &NewSession<'_>, token: &TokenHash) -> Result<()> {
    let sql = "insert into session (site_id, id, member_id, kind, token_hash, label, created_at, authenticated_at, expires_at)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
    on!(tx, |conn| sqlx::query(sql)
        .bind(new.site_id)
        .bind(new.id)
        .bind(new.member_id)
        .bind(new.kind.as_str())
        .bind(token.0.to_vec())
        .bind(new.label)
        .bind(new.created_at)
        .bind(new.authenticated_at)
        .bind(new.expires_at)
        .execute(conn)
        .await
        .map(|_| ()))?;
    Ok(())
}

/// The same sign-in once more: its member has typed the password again, and the first token ends. `false`: there is none of this id
/// in force.
pub async fn again(tx: &mut Tx, new: &NewSession<'_>, token: &TokenHash) -> Result<bool> {
    let sql = "update session set token_hash = $5, authenticated_at = $6, expires_at = $7
        where site_id = $1 and id = $2 and member_id = $3 and kind = $4 and revoked_at is null";
    let rows = on!(tx, |conn| sqlx::query(sql)
        .bind(new.site_id)
        .bind(new.id)
        .bind(new.member_id)
        .bind(new.kind.as_str())
        .bind(token.0.to_vec())
        .bind(new.authenticated_at)
        .bind(new.expires_at)
        .execute(conn)
        .await?
        .rows_affected());
    Ok(rows > 0)
}

/// A token for a program, as `token create` prints it. It carries no password, so it can do no silencing act.
pub async fn create_bearer(
    tx: &mut Tx,
    site_id: Uuid,
    member_id: Uuid,
    label: &str,
    now: DateTime<Utc>,
    lasts: TimeDelta,
) -> Result<Token> {
    let token = Token::random();
    let new = NewSession {
        site_id,
        id: Uuid::now_v7(),
        member_id,
        kind: SessionKind::Bearer,
        label,
        created_at: now,
        authenticated_at: None,
        expires_at: now + lasts,
    };
    create(tx, &new, &token.hash()).await?;
    Ok(token)
}

/// The password was typed once more in a sign-in, and perhaps a code.
pub async fn confirm(tx: &mut Tx, site_id: Uuid, id: Uuid, now: DateTime<Utc>, with_code: bool) -> Result<()> {
    let sql = "update session set authenticated_at = $3, second_factor_at = case when $4 then $3 else second_factor_at end
        where site_id = $1 and id = $2 and revoked_at is null";
    on!(tx, |conn| sqlx::query(sql).bind(site_id).bind(id).bind(now).bind(with_code).execute(conn).await.map(|_| ()))?;
    Ok(())
}

/// Rolling expiry: a session lasts as long as it is used.
pub async fn renew(tx: &mut Tx, site_id: Uuid, id: Uuid, expires_at: DateTime<Utc>) -> Result<()> {
    let sql = "update session set expires_at = $3 where site_id = $1 and id = $2 and revoked_at is null";
    on!(tx, |conn| sqlx::query(sql).bind(site_id).bind(id).bind(expires_at).execute(conn).await.map(|_| ()))?;
    Ok(())
}

/// One sign-in of a member, as shown to that member.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct Listed {
    pub id: Uuid,
    #[sqlx(try_from = "String")]
    pub kind: SessionKind,
    pub label: String,
    pub created_at: DateTime<Utc>,
    pub authenticated_at: Option<DateTime<Utc>>,
    pub expires_at: DateTime<Utc>,
}

/// The sessions of a member that are in force, newest first; those before `before` in that order.
pub async fn list(
    tx: &mut Tx,
    site_id: Uuid,
    member_id: Uuid,
    now: DateTime<Utc>,
    before: Option<(DateTime<Utc>, Uuid)>,
    rows_max: i64,
) -> Result<Vec<Listed>> {
    let sql = "select id, kind, label, created_at, authenticated_at, expires_at from session
        where site_id = $1 and member_id = $2 and revoked_at is null and expires_at > $3
            and ($4 is null or created_at < $4 or (created_at = $4 and id < $5))
        order by created_at desc, id desc limit $6";
    let (at, id) = before.unzip();
    Ok(on!(tx, |conn| sqlx::query_as(sql).bind(site_id).bind(member_id).bind(now).bind(at).bind(id).bind(rows_max).fetch_all(conn).await)?)
}

/// Ends one session of a member; `false`: there is none.
pub async fn revoke(tx: &mut Tx, site_id: Uuid, member_id: Uuid, id: Uuid, now: DateTime<Utc>) -> Result<bool> {
    let sql = "update session set revoked_at = $4 where site_id = $1 and member_id = $2 and id = $3 and revoked_at is null";
    let rows = on!(tx, |conn| sqlx::query(sql).bind(site_id).bind(member_id).bind(id).bind(now).execute(conn).await?.rows_affected());
    Ok(rows > 0)
}

/// Ends every session of a member: for a changed password, a lost phone, an ended member.
pub async fn revoke_all(tx: &mut Tx, site_id: Uuid, member_id: Uuid, now: DateTime<Utc>) -> Result<u64> {
    let sql = "update session set revoked_at = $3 where site_id = $1 and member_id = $2 and revoked_at is null";
    Ok(on!(tx, |conn| sqlx::query(sql).bind(site_id).bind(member_id).bind(now).execute(conn).await?.rows_affected()))
}

/// A member who might be signing in.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct Account {
    pub site_id: Uuid,
    pub member_id: Uuid,
    pub password_hash: Option<String>,
}

/// The members with a phone number, one per site, oldest first.
pub async fn accounts(tx: &mut Tx, phone: &str, rows_max: i64) -> Result<Vec<Account>> {
    let sql = "select site_id, id as member_id, password_hash from member
        where phone = $1 and ended_at is null order by created_at, id limit $2";
    Ok(on!(tx, |conn| sqlx::query_as(sql).bind(phone).bind(rows_max).fetch_all(conn).await)?)
}

/// One member by her id, with her phone number, under which her attempts are counted.
pub async fn account(tx: &mut Tx, site_id: Uuid, member_id: Uuid) -> Result<Option<(Account, String)>> {
    let sql = "select password_hash, phone from member where site_id = $1 and id = $2 and ended_at is null";
    let row: Option<(Option<String>, String)> =
        on!(tx, |conn| sqlx::query_as(sql).bind(site_id).bind(member_id).fetch_optional(conn).await)?;
    Ok(row.map(|(password_hash, phone)| (Account { site_id, member_id, password_hash }, phone)))
}
