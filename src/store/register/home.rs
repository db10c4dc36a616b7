//! 户: what one window and one door belong to; couples share it. One door has one entry as long as it is in use.

use chrono::{DateTime, Utc};
use garde::Validate;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{By, Held, Page, Written, hold, lock_id, member, nullable, place, present, require_open, require_version};
use super::{same_or_conflict, unknown, wrote};
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
    pub ended_at: Option<DateTime<Utc>>,
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
    /// It was entered in the wrong building; whoever lives there moves along. A senior who moved gets another home instead.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub building_id: Option<Uuid>,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<i64>)]
    pub floor: Option<Option<i64>>,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub room: Option<String>,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub window_hint: Option<String>,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
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
    /// True ends it, which needs that nobody lives there; nothing else is then changed in the same request.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub ended: Option<bool>,
}

#[derive(Debug, Clone, Copy, Default)]
pub struct HomeFilter {
    pub id: Option<Uuid>,
    /// This place and everything below.
    pub under: Option<Uuid>,
    pub with_ended: bool,
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
    require_free_door(tx, by.site_id, &new).await?;
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

/// The home behind a door, if it is in the register.
pub async fn at_door(tx: &mut Tx, site_id: Uuid, building_id: Uuid, unit: &str, room: &str) -> Result<Option<Uuid>> {
    let sql = "select id from home where site_id = $1 and building_id = $2 and unit = $3 and room = $4 and ended_at is null";
    Ok(on!(tx, |conn| sqlx::query_scalar(sql).bind(site_id).bind(building_id).bind(unit).bind(room).fetch_optional(conn).await)?)
}

/// Two entries of one door would be two rounds, two key holders and two alerts for one person. The unique index holds it when two
/// people enter it at once.
async fn require_free_door(tx: &mut Tx, site_id: Uuid, home: &NewHome) -> Result<()> {
    let sql = "select count(*) from home
        where site_id = $1 and building_id = $2 and unit = $3 and room = $4 and id <> $5 and ended_at is null";
    let taken: i64 = on!(tx, |conn| sqlx::query_scalar(sql)
        .bind(site_id)
        .bind(home.building_id)
        .bind(&home.unit)
        .bind(&home.room)
        .bind(home.id)
        .fetch_one(conn)
        .await)?;
    if taken > 0 {
        return Err(Refusal { field: Some("room".to_owned()), ..Refusal::conflict("register.home_taken") }.into());
    }
    Ok(())
}

/// Somebody moves in: the home must not have ended, and its ending then waits for her.
pub(super) async fn require(tx: &mut Tx, site_id: Uuid, field: &str, id: Uuid) -> Result<()> {
    hold(tx, Held::Home, site_id, id).await?;
    match find(tx, site_id, id).await? {
        Some(home) if home.ended_at.is_none() => Ok(()),
        _ => Err(unknown(field).into()),
    }
}

pub async fn get(tx: &mut Tx, site_id: Uuid, id: Uuid) -> Result<Home> {
    find(tx, site_id, id).await?.ok_or_else(|| Refusal::not_found().into())
}

async fn find(tx: &mut Tx, site_id: Uuid, id: Uuid) -> Result<Option<Home>> {
    let filter = HomeFilter { id: Some(id), with_ended: true, ..HomeFilter::default() };
    Ok(list(tx, site_id, filter, Page::default()).await?.pop())
}

pub async fn list(tx: &mut Tx, site_id: Uuid, filter: HomeFilter, page: Page) -> Result<Vec<Home>> {
    let sql = "select id, building_id, unit, floor, room, window_hint, walk_order, key_holder_member_id, key_holder_name,
            key_holder_phone, ended_at, version, created_at
        from home where site_id = $1 and ($2 is null or id > $2) and ($3 is null or id = $3) and (ended_at is null or $4)
            and ($5 is null or building_id in (select descendant_id from place_closure where site_id = $1 and ancestor_id = $5))
        order by id limit $6";
    Ok(on!(tx, |conn| sqlx::query_as(sql)
        .bind(site_id)
        .bind(page.after)
        .bind(filter.id)
        .bind(filter.with_ended)
        .bind(filter.under)
        .bind(page.limit)
        .fetch_all(conn)
        .await)?)
}

pub async fn patch(tx: &mut Tx, by: &By, id: Uuid, version: i64, patch: HomePatch) -> Result<Home> {
    let old = get(tx, by.site_id, id).await?;
    require_open(old.ended_at)?;
    let kept = patch.clone();
    let merged = NewHome {
        id,
        building_id: patch.building_id.unwrap_or(old.building_id),
        unit: patch.unit.unwrap_or(old.unit),
        floor: patch.floor.unwrap_or(old.floor),
        room: patch.room.unwrap_or(old.room),
        window_hint: patch.window_hint.unwrap_or(old.window_hint),
        walk_order: patch.walk_order.unwrap_or(old.walk_order),
        key_holder_member_id: patch.key_holder_member_id.unwrap_or(old.key_holder_member_id),
        key_holder_name: patch.key_holder_name.unwrap_or(old.key_holder_name),
        key_holder_phone: patch.key_holder_phone.unwrap_or(old.key_holder_phone),
    }
    .checked()?;
    place::require(tx, by.site_id, "building_id", merged.building_id, PlaceKind::Building).await?;
    require_free_door(tx, by.site_id, &merged).await?;
    if let Some(Some(holder)) = kept.key_holder_member_id {
        member::require(tx, by.site_id, "key_holder_member_id", holder).await?;
    }
    let sql = "update home set unit = $4, floor = $5, room = $6, window_hint = $7, walk_order = $8, key_holder_member_id = $9,
            key_holder_name = $10, key_holder_phone = $11, building_id = $12, version = version + 1
        where site_id = $1 and id = $2 and version = $3 and ended_at is null";
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
        .bind(merged.building_id)
        .execute(conn)
        .await?
        .rows_affected());
    require_version(rows)?;
    wrote(tx, by, written("change", id), &kept).await?;
    get(tx, by.site_id, id).await
}

/// Ends the home, unless seniors still live there.
pub async fn end(tx: &mut Tx, by: &By, id: Uuid, version: i64) -> Result<Home> {
    require_open(get(tx, by.site_id, id).await?.ended_at)?;
    // Waits for whoever is moving in; who came is counted afterwards.
    let sql = "update home set ended_at = $4, version = version + 1 where site_id = $1 and id = $2 and version = $3 and ended_at is null";
    let rows = on!(tx, |conn| sqlx::query(sql).bind(by.site_id).bind(id).bind(version).bind(by.now).execute(conn).await?.rows_affected());
    require_version(rows)?;
    let living = "select count(*) from senior where site_id = $1 and home_id = $2 and ended_at is null";
    let seniors: i64 = on!(tx, |conn| sqlx::query_scalar(living).bind(by.site_id).bind(id).fetch_one(conn).await)?;
    if seniors > 0 {
        return Err(Refusal::conflict("register.place_not_empty").with("count", seniors).into());
    }
    wrote(tx, by, written("end", id), &serde_json::json!({"ended_at": by.now})).await?;
    get(tx, by.site_id, id).await
}

/// The values of a home (room, window, key holder) concern the people who live there: their HMAC goes under the home's own salt.
fn written(act: &str, id: Uuid) -> Written<'_> {
    Written { act, table: "home", id, person_id: Some(id), senior_id: None }
}
