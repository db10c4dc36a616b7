//! Group chats and the keys of their robots. A key goes in and never comes out.

use chrono::{DateTime, Utc};
use garde::Validate;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{By, Held, Written, hold, lock_id, place, present, require_open, require_version, same_or_conflict, wrote};
use crate::domain::message::channel::GroupChannel;
use crate::domain::refusal::Refusal;
use crate::domain::register;
use crate::on;
use crate::seal::SealKey;
use crate::store::{Result, Tx};

/// Groups of one site.
const GROUPS_MAX: usize = 200;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema, sqlx::FromRow)]
pub struct GroupChat {
    pub id: Uuid,
    pub place_id: Uuid,
    pub name: String,
    #[sqlx(try_from = "String")]
    pub channel: GroupChannel,
    /// When it was last told.
    pub posted_at: Option<DateTime<Utc>>,
    pub last_error: Option<String>,
    pub disabled_at: Option<DateTime<Utc>>,
    pub disabled_why: Option<String>,
    pub ended_at: Option<DateTime<Utc>>,
    pub version: i64,
    pub created_at: DateTime<Utc>,
}

#[derive(Debug, Clone, Serialize, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[garde(allow_unvalidated)]
pub struct NewGroupChat {
    /// Made by the client, or else by the server.
    #[serde(default)]
    pub id: Uuid,
    /// Alerts of this place and all below it are counted.
    pub place_id: Uuid,
    pub name: String,
    pub channel: GroupChannel,
    /// The robot's key or its whole address, as its platform shows it. It is sealed and never shown again.
    #[serde(skip_serializing)]
    pub key: String,
    /// The robot's signing secret, where its platform was told to check signatures.
    #[serde(default, skip_serializing)]
    pub sign: Option<String>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[garde(allow_unvalidated)]
pub struct GroupChatPatch {
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub disabled: Option<bool>,
    /// True ends it; the next one is a new group.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub ended: Option<bool>,
}

/// Where the key of a group is sealed, see `seal::SealKey`.
pub fn key_place(id: Uuid) -> String {
    format!("group_chat/{id}")
}

/// `secret` is the key as the robot's client reads it.
pub async fn create(tx: &mut Tx, by: &By, seal: &SealKey, new: NewGroupChat, secret: &[u8]) -> Result<GroupChat> {
    let new = NewGroupChat { name: register::name("name", &new.name)?, ..new };
    lock_id(tx, new.id).await?;
    if let Some(stored) = find(tx, by.site_id, new.id).await? {
        return same_or_conflict(&new, stored);
    }
    hold(tx, Held::Place, by.site_id, new.place_id).await?;
    place::get(tx, by.site_id, new.place_id).await.map_err(|_| super::unknown("place_id"))?;
    if list(tx, by.site_id).await?.len() >= GROUPS_MAX {
        return Err(Refusal::conflict("visit.too_many").with("max", GROUPS_MAX).into());
    }
    let sql = "insert into group_chat (site_id, id, place_id, name, channel, key_sealed, posted, attempts, repeated, version, created_at)
        values ($1, $2, $3, $4, $5, $6, '[]', 0, $7, 1, $8)";
    on!(tx, |conn| sqlx::query(sql)
        .bind(by.site_id)
        .bind(new.id)
        .bind(new.place_id)
        .bind(&new.name)
        .bind(new.channel.as_str())
        .bind(seal.seal(&key_place(new.id), secret))
        .bind(false)
        .bind(by.now)
        .execute(conn)
        .await
        .map(|_| ()))?;
    wrote(tx, by, written("create", new.id), &new).await?;
    get(tx, by.site_id, new.id).await
}

pub async fn get(tx: &mut Tx, site_id: Uuid, id: Uuid) -> Result<GroupChat> {
    find(tx, site_id, id).await?.ok_or_else(|| Refusal::not_found().into())
}

async fn find(tx: &mut Tx, site_id: Uuid, id: Uuid) -> Result<Option<GroupChat>> {
    Ok(select(tx, site_id, Some(id)).await?.pop())
}

/// Those that have not ended.
pub async fn list(tx: &mut Tx, site_id: Uuid) -> Result<Vec<GroupChat>> {
    select(tx, site_id, None).await
}

async fn select(tx: &mut Tx, site_id: Uuid, id: Option<Uuid>) -> Result<Vec<GroupChat>> {
    let sql = "select id, place_id, name, channel, posted_at, last_error, disabled_at, disabled_why, ended_at, version, created_at
        from group_chat where site_id = $1 and (id = $2 or ($2 is null and ended_at is null)) order by name, id";
    Ok(on!(tx, |conn| sqlx::query_as(sql).bind(site_id).bind(id).fetch_all(conn).await)?)
}

pub async fn patch(tx: &mut Tx, by: &By, id: Uuid, version: i64, patch: GroupChatPatch) -> Result<GroupChat> {
    let old = get(tx, by.site_id, id).await?;
    require_open(old.ended_at)?;
    let name = patch.name.as_deref().map(|name| register::name("name", name)).transpose()?.unwrap_or(old.name);
    let disabled_at = match patch.disabled {
        Some(true) => old.disabled_at.or(Some(by.now)),
        Some(false) => None,
        None => old.disabled_at,
    };
    let ended_at = patch.ended.unwrap_or(false).then_some(by.now);
    let sql = "update group_chat set name = $4, disabled_at = $5, disabled_why = case when $5 is null then null else disabled_why end,
            ended_at = $6, attempts = 0, next_at = null, last_error = null, version = version + 1
        where site_id = $1 and id = $2 and version = $3 and ended_at is null";
    let rows = on!(tx, |conn| sqlx::query(sql)
        .bind(by.site_id)
        .bind(id)
        .bind(version)
        .bind(name)
        .bind(disabled_at)
        .bind(ended_at)
        .execute(conn)
        .await?
        .rows_affected());
    require_version(rows)?;
    wrote(tx, by, written(if ended_at.is_some() { "end" } else { "change" }, id), &patch).await?;
    get(tx, by.site_id, id).await
}

/// The sealed key, for a post by hand.
pub async fn key(tx: &mut Tx, site_id: Uuid, id: Uuid) -> Result<Vec<u8>> {
    let sql = "select key_sealed from group_chat where site_id = $1 and id = $2 and ended_at is null";
    let key: Option<Vec<u8>> = on!(tx, |conn| sqlx::query_scalar(sql).bind(site_id).bind(id).fetch_optional(conn).await)?;
    key.ok_or_else(|| Refusal::not_found().into())
}

/// On record that a test post went to it.
pub async fn tested(tx: &mut Tx, by: &By, id: Uuid) -> Result<()> {
    wrote(tx, by, written("test", id), &serde_json::json!({})).await
}

fn written(act: &str, id: Uuid) -> Written<'_> {
    Written { act, table: "group_chat", id, person_id: None, senior_id: None }
}
