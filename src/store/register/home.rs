//! 户: what one window and one door belong to; couples share it.

use chrono::{DateTime, Utc};
use garde::Validate;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{By, Page, Written, lock_id, member, nullable, place, require_version, same_or_conflict, wrote};
use crate::domain::place::PlaceKind;
use crate::domain::refusal::Refusal;
use crate::domain::register::{self, HINT_CHARS_MAX, NAME_CHARS_MAX};
use crate::on;
use crate::store::{Result, Tx};

/// Basements and the tallest towers lie within.
const FLOORS: std::ops::RangeInclusive<i64> = -10..=200;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema, sqlx::FromRow)]
pub struct Home {
    pub id: Uuid,
    pub building_id: Uuid,
    pub unit: String,
    pub floor: Option<i64>,
    pub room: String,
    /// Which window, seen from the ground.
    pub window_hint: String,
    pub walk_order: i64,
    pub key_holder_member_id: Option<Uuid>,
    pub key_holder_name: Option<String>,
    pub key_holder_phone: Option<String>,
    pub version: i64,
    pub created_at: DateTime<Utc>,
}

#[derive(Debug, Clone, Serialize, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[garde(allow_unvalidated)]
pub struct NewHome {
    /// Made by the client, or else by the server.
    #[serde(default)]
    pub id: Uuid,
    pub building_id: Uuid,
    pub unit: String,
    #[serde(default)]
    pub floor: Option<i64>,
    pub room: String,
    #[serde(default)]
    pub window_hint: String,
    #[serde(default)]
    pub walk_order: i64,
    #[serde(default)]
    pub key_holder_member_id: Option<Uuid>,
    #[serde(default)]
    pub key_holder_name: Option<String>,
    #[serde(default)]
    pub key_holder_phone: Option<String>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[garde(allow_unvalidated)]
pub struct HomePatch {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub floor: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub room: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window_hint: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub walk_order: Option<i64>,
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Uuid>)]
    pub key_holder_member_id: Option<Option<Uuid>>,
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub key_holder_name: Option<Option<String>>,
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub key_holder_phone: Option<Option<String>>,
}

impl NewHome {
    fn checked(self) -> Result<Self, Refusal> {
        if self.floor.is_some_and(|floor| !FLOORS.contains(&floor)) {
            return Err(Refusal::invalid("floor", "register.floor"));
        }
        Ok(Self {
            unit: register::text("unit", &self.unit, NAME_CHARS_MAX)?,
            room: register::name("room", &self.room)?,
            window_hint: register::text("window_hint", &self.window_hint, HINT_CHARS_MAX)?,
            walk_order: register::position("walk_order", self.walk_order)?,
            key_holder_name: register::optional("key_holder_name", self.key_holder_name.as_deref(), NAME_CHARS_MAX)?,
            key_holder_phone: register::optional_phone("key_holder_phone", self.key_holder_phone.as_deref())?,
            ..self
        })
    }
}

pub async fn create(tx: &mut Tx, by: &By, new: NewHome) -> Result<Home> {
    let new = new.checked()?;
    lock_id(tx, new.id).await?;
    if let Some(stored) = find(tx, by.site_id, new.id).await? {
        return same_or_conflict(&new, stored);
    }
    place::require(tx, by.site_id, "building_id", new.building_id, PlaceKind::Building).await?;
    if let Some(holder) = new.key_holder_member_id {
        member::require(tx, by.site_id, "key_holder_member_id", holder).await?;
    }
    let sql = "insert into home (site_id, id, building_id, unit, floor, room, window_hint, walk_order, key_holder_member_id,
            key_holder_name, key_holder_phone, version, created_at)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, 1, $12)";
    on!(tx, |conn| sqlx::query(sql)
        .bind(by.site_id)
        .bind(new.id)
        .bind(new.building_id)
        .bind(&new.unit)
        .bind(new.floor)
        .bind(&new.room)
        .bind(&new.window_hint)
        .bind(new.walk_order)
        .bind(new.key_holder_member_id)
        .bind(&new.key_holder_name)
        .bind(&new.key_holder_phone)
        .bind(by.now)
        .execute(conn)
        .await
        .map(|_| ()))?;
    wrote(tx, by, written("create", new.id), &new).await?;
    get(tx, by.site_id, new.id).await
}

pub async fn get(tx: &mut Tx, site_id: Uuid, id: Uuid) -> Result<Home> {
    find(tx, site_id, id).await?.ok_or_else(|| Refusal::not_found().into())
}

async fn find(tx: &mut Tx, site_id: Uuid, id: Uuid) -> Result<Option<Home>> {
    Ok(select(tx, site_id, Some(id), None, Page::default()).await?.pop())
}

/// The homes below a place, or all.
pub async fn list(tx: &mut Tx, site_id: Uuid, under: Option<Uuid>, page: Page) -> Result<Vec<Home>> {
    select(tx, site_id, None, under, page).await
}

async fn select(tx: &mut Tx, site_id: Uuid, id: Option<Uuid>, under: Option<Uuid>, page: Page) -> Result<Vec<Home>> {
    let sql = "select id, building_id, unit, floor, room, window_hint, walk_order, key_holder_member_id, key_holder_name,
            key_holder_phone, version, created_at
        from home where site_id = $1 and ($2 is null or id > $2) and ($3 is null or id = $3)
            and ($4 is null or building_id in (select descendant_id from place_closure where site_id = $1 and ancestor_id = $4))
        order by id limit $5";
    Ok(on!(tx, |conn| sqlx::query_as(sql).bind(site_id).bind(page.after).bind(id).bind(under).bind(page.limit).fetch_all(conn).await)?)
}

pub async fn patch(tx: &mut Tx, by: &By, id: Uuid, version: i64, patch: HomePatch) -> Result<Home> {
    let old = get(tx, by.site_id, id).await?;
    let kept = patch.clone();
    let merged = NewHome {
        id,
        building_id: old.building_id,
        unit: patch.unit.unwrap_or(old.unit),
        floor: patch.floor.or(old.floor),
        room: patch.room.unwrap_or(old.room),
        window_hint: patch.window_hint.unwrap_or(old.window_hint),
        walk_order: patch.walk_order.unwrap_or(old.walk_order),
        key_holder_member_id: patch.key_holder_member_id.unwrap_or(old.key_holder_member_id),
        key_holder_name: patch.key_holder_name.unwrap_or(old.key_holder_name),
        key_holder_phone: patch.key_holder_phone.unwrap_or(old.key_holder_phone),
    }
    .checked()?;
    if let Some(Some(holder)) = kept.key_holder_member_id {
        member::require(tx, by.site_id, "key_holder_member_id", holder).await?;
    }
    let sql = "update home set unit = $4, floor = $5, room = $6, window_hint = $7, walk_order = $8, key_holder_member_id = $9,
            key_holder_name = $10, key_holder_phone = $11, version = version + 1
        where site_id = $1 and id = $2 and version = $3";
    let rows = on!(tx, |conn| sqlx::query(sql)
        .bind(by.site_id)
        .bind(id)
        .bind(version)
        .bind(merged.unit)
        .bind(merged.floor)
        .bind(merged.room)
        .bind(merged.window_hint)
        .bind(merged.walk_order)
        .bind(merged.key_holder_member_id)
        .bind(merged.key_holder_name)
        .bind(merged.key_holder_phone)
        .execute(conn)
        .await?
        .rows_affected());
    require_version(rows)?;
    wrote(tx, by, written("change", id), &kept).await?;
    get(tx, by.site_id, id).await
}

/// The values of a home (room, window, key holder) concern the people who live there: their HMAC goes under the home's own salt.
fn written(act: &str, id: Uuid) -> Written<'_> {
    Written { act, table: "home", id, person_id: Some(id), senior_id: None }
}
