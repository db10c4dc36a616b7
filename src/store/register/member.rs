//! Everybody who acts. A member who leaves is ended: grants, pairings, duties, leaves and sessions end with her, alerts stay.
//! One who was ended by mistake is opened again; what ended with her is given anew, so that somebody decides it.

use chrono::{DateTime, NaiveDate, Utc};
use garde::Validate;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{By, Held, Page, Written, hold, lock_id, present, require_open, require_version, role_grant, same_or_conflict, site};
use super::{unknown, wrote};
use crate::domain::place::Role;
use crate::domain::refusal::Refusal;
use crate::domain::register;
use crate::store::{Result, Tx, audit, case};
use crate::{on, text};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema, sqlx::FromRow)]
pub struct Member {
    pub id: Uuid,
    pub name: String,
    /// How texts address the person: 王师傅.
    pub called: String,
    pub phone: String,
    pub locale: String,
    pub ended_at: Option<DateTime<Utc>>,
    pub version: i64,
    pub created_at: DateTime<Utc>,
}

#[derive(Debug, Clone, Serialize, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[garde(allow_unvalidated)]
pub struct NewMember {
    /// Made by the client, or else by the server.
    #[serde(default)]
    pub id: Uuid,
    pub name: String,
    pub called: String,
    pub phone: String,
    #[serde(default = "default_locale")]
    pub locale: String,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[garde(allow_unvalidated)]
pub struct MemberPatch {
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub called: Option<String>,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub phone: Option<String>,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub locale: Option<String>,
    /// True: she leaves. False: it was a mistake; her roles, pairings and duties are then given anew. Nothing else is changed in the
    /// same request.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub ended: Option<bool>,
}

#[derive(Debug, Clone, Copy, Default)]
pub struct MemberFilter {
    pub id: Option<Uuid>,
    /// Holders of this role, today or at any time.
    pub role: Option<Role>,
    /// Holders of a role at this place or below.
    pub under: Option<Uuid>,
    pub with_ended: bool,
}

fn default_locale() -> String {
    text::DEFAULT_LOCALE.to_owned()
}

impl NewMember {
    fn checked(self) -> Result<Self, Refusal> {
        if !text::LOCALES.contains(&self.locale.as_str()) {
            return Err(Refusal::invalid("locale", "register.locale").with("allowed", text::LOCALES.join(", ")));
        }
        Ok(Self {
            name: register::name("name", &self.name)?,
            called: register::name("called", &self.called)?,
            phone: register::phone("phone", &self.phone)?,
            ..self
        })
    }
}

/// Makes a member; `password_hash` is hashed outside the transaction, because that takes long on purpose.
pub async fn create(tx: &mut Tx, by: &By, new: NewMember, password_hash: Option<String>) -> Result<Member> {
    let new = new.checked()?;
    lock_id(tx, new.id).await?;
    if let Some(stored) = find(tx, by.site_id, new.id).await? {
        return same_or_conflict(&new, stored);
    }
    require_free_phone(tx, by.site_id, new.id, &new.phone).await?;
    let sql = "insert into member (site_id, id, name, called, phone, locale, password_hash, version, created_at)
        values ($1, $2, $3, $4, $5, $6, $7, 1, $8)";
    on!(tx, |conn| sqlx::query(sql)
        .bind(by.site_id)
        .bind(new.id)
        .bind(&new.name)
        .bind(&new.called)
        .bind(&new.phone)
        .bind(&new.locale)
        .bind(password_hash)
        .bind(by.now)
        .execute(conn)
        .await
        .map(|_| ()))?;
    wrote(tx, by, written("create", new.id), &new).await?;
    get(tx, by.site_id, new.id).await
}

/// A phone number signs in one member; those who ended have given it back.
async fn require_free_phone(tx: &mut Tx, site_id: Uuid, id: Uuid, phone: &str) -> Result<()> {
    tx.lock_named(&format!("phone {site_id} {phone}")).await?;
    let sql = "select id from member where site_id = $1 and phone = $2 and ended_at is null and id <> $3";
    let taken: Option<Uuid> = on!(tx, |conn| sqlx::query_scalar(sql).bind(site_id).bind(phone).bind(id).fetch_optional(conn).await)?;
    if taken.is_some() {
        return Err(Refusal { field: Some("phone".to_owned()), ..Refusal::conflict("register.phone_taken") }.into());
    }
    Ok(())
}

pub async fn get(tx: &mut Tx, site_id: Uuid, id: Uuid) -> Result<Member> {
    find(tx, site_id, id).await?.ok_or_else(|| Refusal::not_found().into())
}

async fn find(tx: &mut Tx, site_id: Uuid, id: Uuid) -> Result<Option<Member>> {
    let filter = MemberFilter { id: Some(id), with_ended: true, ..MemberFilter::default() };
    Ok(list(tx, site_id, filter, Page::default()).await?.pop())
}

pub async fn list(tx: &mut Tx, site_id: Uuid, filter: MemberFilter, page: Page) -> Result<Vec<Member>> {
    let sql = "select id, name, called, phone, locale, ended_at, version, created_at from member
        where site_id = $1 and ($2 is null or id > $2) and ($3 is null or id = $3) and (ended_at is null or $4)
            and ($5 is null or id in (select member_id from role_grant where site_id = $1 and role = $5))
            and ($6 is null or id in (select g.member_id from role_grant g
                join place_closure c on c.site_id = g.site_id and c.descendant_id = g.place_id
                where g.site_id = $1 and c.ancestor_id = $6))
        order by id limit $7";
    Ok(on!(tx, |conn| sqlx::query_as(sql)
        .bind(site_id)
        .bind(page.after)
        .bind(filter.id)
        .bind(filter.with_ended)
        .bind(filter.role.map(Role::as_str))
        .bind(filter.under)
        .bind(page.limit)
        .fetch_all(conn)
        .await)?)
}

/// A reference must name a member who has not ended; her ending then waits for what refers to her.
pub async fn require(tx: &mut Tx, site_id: Uuid, field: &str, id: Uuid) -> Result<()> {
    hold(tx, Held::Member, site_id, id).await?;
    match find(tx, site_id, id).await? {
        Some(member) if member.ended_at.is_none() => Ok(()),
        _ => Err(unknown(field).into()),
    }
}

pub async fn patch(tx: &mut Tx, by: &By, id: Uuid, version: i64, patch: MemberPatch) -> Result<Member> {
    let old = get(tx, by.site_id, id).await?;
    require_open(old.ended_at)?;
    let kept = patch.clone();
    let merged = NewMember {
        id,
        name: patch.name.unwrap_or(old.name),
        called: patch.called.unwrap_or(old.called),
        phone: patch.phone.unwrap_or(old.phone),
        locale: patch.locale.unwrap_or(old.locale),
    }
    .checked()?;
    require_free_phone(tx, by.site_id, id, &merged.phone).await?;
    let sql = "update member set name = $4, called = $5, phone = $6, locale = $7, version = version + 1
        where site_id = $1 and id = $2 and version = $3 and ended_at is null";
    let rows = on!(tx, |conn| sqlx::query(sql)
        .bind(by.site_id)
        .bind(id)
        .bind(version)
        .bind(merged.name)
        .bind(merged.called)
        .bind(merged.phone)
        .bind(merged.locale)
        .execute(conn)
        .await?
        .rows_affected());
    require_version(rows)?;
    wrote(tx, by, written("change", id), &kept).await?;
    get(tx, by.site_id, id).await
}

/// Sets or removes the password; sessions opened with the old one end.
pub async fn set_password(tx: &mut Tx, by: &By, id: Uuid, password_hash: Option<String>) -> Result<()> {
    let sql = "update member set password_hash = $3, version = version + 1 where site_id = $1 and id = $2 and ended_at is null";
    let rows = on!(tx, |conn| sqlx::query(sql).bind(by.site_id).bind(id).bind(password_hash).execute(conn).await?.rows_affected());
    if rows == 0 {
        return Err(Refusal::not_found().into());
    }
    revoke_sessions(tx, by, id).await?;
    wrote(tx, by, Written { person_id: None, ..written("change", id) }, &serde_json::json!({"password": null})).await
}

/// Ends the member today. What she held ends with her; an alert that she claimed stays, and is open to others at once (domain.md §5).
pub async fn end(tx: &mut Tx, by: &By, id: Uuid, version: i64) -> Result<Member> {
    require_open(get(tx, by.site_id, id).await?.ended_at)?;
    let claimed = case::claimed_by(tx, by.site_id, id).await?;
    let today = site::get(tx, by.site_id).await?.today(by.now)?;
    let administrators = role_grant::before_ending(tx, by.site_id, today).await?;
    // Waits for whoever is giving her something; what was given is found below.
    let sql = "update member set ended_at = $4, version = version + 1 where site_id = $1 and id = $2 and version = $3 and ended_at is null";
    let rows = on!(tx, |conn| sqlx::query(sql).bind(by.site_id).bind(id).bind(version).bind(by.now).execute(conn).await?.rows_affected());
    require_version(rows)?;
    for (table, sql) in END_WITH_MEMBER {
        end_rows(tx, by, id, today, table, sql).await?;
    }
    case::void_claims(tx, by.site_id, &claimed, id, by.now).await?;
    cancel_leaves(tx, by, id, today).await?;
    revoke_sessions(tx, by, id).await?;
    administrators.require_one_left(tx, today).await?;
    wrote(tx, by, written("end", id), &serde_json::json!({"ended_at": by.now})).await?;
    get(tx, by.site_id, id).await
}

/// The member had been ended by mistake. Her phone number must still be free; old sign-ins stay ended.
pub async fn reopen(tx: &mut Tx, by: &By, id: Uuid, version: i64) -> Result<Member> {
    let old = get(tx, by.site_id, id).await?;
    if old.ended_at.is_none() {
        return Err(Refusal::conflict("register.not_ended").into());
    }
    require_free_phone(tx, by.site_id, id, &old.phone).await?;
    let sql = "update member set ended_at = null, version = version + 1 where site_id = $1 and id = $2 and version = $3";
    let rows = on!(tx, |conn| sqlx::query(sql).bind(by.site_id).bind(id).bind(version).execute(conn).await?.rows_affected());
    require_version(rows)?;
    wrote(tx, by, written("reopen", id), &serde_json::json!({"ended_at": null})).await?;
    get(tx, by.site_id, id).await
}

/// Who has left is not on leave, and the days of her leaves are free for others.
async fn cancel_leaves(tx: &mut Tx, by: &By, id: Uuid, today: NaiveDate) -> Result<()> {
    let sql = "update leave_of_absence set cancelled_at = $4, version = version + 1
        where site_id = $1 and member_id = $2 and return_date > $3 and cancelled_at is null returning id";
    let cancelled: Vec<Uuid> =
        on!(tx, |conn| sqlx::query_scalar(sql).bind(by.site_id).bind(id).bind(today).bind(by.now).fetch_all(conn).await)?;
    record(tx, by, "cancel", "leave_of_absence", "cancelled_at", &cancelled).await
}

/// Rows in force end today; rows that had not begun never do.
const END_WITH_MEMBER: [(&str, &str); 3] = [
    (
        "role_grant",
        "update role_grant set to_date = case when from_date > $3 then from_date else $3 end, version = version + 1
         where site_id = $1 and member_id = $2 and (to_date is null or to_date > $3) returning id",
    ),
    (
        "pairing",
        "update pairing set to_date = case when from_date > $3 then from_date else $3 end, version = version + 1
         where site_id = $1 and member_id = $2 and (to_date is null or to_date > $3) returning id",
    ),
    (
        "duty",
        "update duty set to_date = case when from_date > $3 then from_date else $3 end, version = version + 1
         where site_id = $1 and member_id = $2 and (to_date is null or to_date > $3) returning id",
    ),
];

async fn end_rows(tx: &mut Tx, by: &By, member: Uuid, today: NaiveDate, table: &str, sql: &'static str) -> Result<()> {
    let ended: Vec<Uuid> = on!(tx, |conn| sqlx::query_scalar(sql).bind(by.site_id).bind(member).bind(today).fetch_all(conn).await)?;
    record(tx, by, "end", table, "to_date", &ended).await
}

/// The audit rows of what changed along with something else.
pub(super) async fn record(tx: &mut Tx, by: &By, act: &str, table: &str, field: &str, ids: &[Uuid]) -> Result<()> {
    let fields = [field];
    let entry = |id: &Uuid| audit::Entry {
        site_id: by.site_id,
        at: by.now,
        actor_id: by.actor_id,
        act,
        object_kind: table,
        object_id: Some(*id),
        fields: &fields,
    };
    let entries: Vec<audit::Entry> = ids.iter().map(entry).collect();
    audit::write_many(tx, &entries).await
}

async fn revoke_sessions(tx: &mut Tx, by: &By, member: Uuid) -> Result<()> {
    let sql = "update session set revoked_at = $3 where site_id = $1 and member_id = $2 and revoked_at is null";
    on!(tx, |conn| sqlx::query(sql).bind(by.site_id).bind(member).bind(by.now).execute(conn).await.map(|_| ()))?;
    Ok(())
}

fn written(act: &str, id: Uuid) -> Written<'_> {
    Written { act, table: "member", id, person_id: Some(id), senior_id: None }
}
