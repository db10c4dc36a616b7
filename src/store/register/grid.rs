//! 网格: a second grouping of buildings; roles of grid officers are granted on it. Which buildings it held on which days stays
//! readable.

use chrono::{DateTime, NaiveDate, Utc};
use garde::Validate;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{By, Page, Written, lock_id, place, present, require_open, require_version, role_grant, same_or_conflict, site, wrote};
use crate::domain::place::PlaceKind;
use crate::domain::refusal::Refusal;
use crate::domain::register::{self, SCOPES_MAX};
use crate::on;
use crate::store::{Result, Tx, bulk};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema, sqlx::FromRow)]
pub struct Grid {
    pub id: Uuid,
    pub name: String,
    /// Its buildings; of a grid that ended, none.
    #[sqlx(skip)]
    pub place_ids: Vec<Uuid>,
    pub ended_at: Option<DateTime<Utc>>,
    pub version: i64,
    pub created_at: DateTime<Utc>,
}

#[derive(Debug, Clone, Serialize, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[garde(allow_unvalidated)]
pub struct NewGrid {
    /// Made by the client, or else by the server.
    #[serde(default)]
    pub id: Uuid,
    pub name: String,
    #[serde(default)]
    pub place_ids: Vec<Uuid>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[garde(allow_unvalidated)]
pub struct GridPatch {
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Replaces the list of buildings from today on.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub place_ids: Option<Vec<Uuid>>,
    /// True ends it with the roles granted on it; nothing else is then changed in the same request.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub ended: Option<bool>,
}

pub async fn create(tx: &mut Tx, by: &By, mut new: NewGrid) -> Result<Grid> {
    new.name = register::name("name", &new.name)?;
    new.place_ids = ordered("place_ids", new.place_ids)?;
    lock_id(tx, new.id).await?;
    if let Some(stored) = find(tx, by.site_id, new.id).await? {
        return same_or_conflict(&new, stored);
    }
    let sql = "insert into grid (site_id, id, name, version, created_at) values ($1, $2, $3, 1, $4)";
    on!(tx, |conn| sqlx::query(sql).bind(by.site_id).bind(new.id).bind(&new.name).bind(by.now).execute(conn).await.map(|_| ()))?;
    let today = site::get(tx, by.site_id).await?.today(by.now)?;
    set_places(tx, by.site_id, new.id, &new.place_ids, today).await?;
    wrote(tx, by, written("create", new.id), &new).await?;
    get(tx, by.site_id, new.id).await
}

/// A set of ids in one order, so that the same set is the same content.
pub(super) fn ordered(field: &str, mut ids: Vec<Uuid>) -> Result<Vec<Uuid>, Refusal> {
    ids.sort_unstable();
    ids.dedup();
    if ids.len() > SCOPES_MAX { Err(Refusal::invalid(field, "visit.too_many").with("max", SCOPES_MAX)) } else { Ok(ids) }
}

/// From `today` on the grid holds these buildings: who left keeps the days before, who stayed keeps the first day.
async fn set_places(tx: &mut Tx, site_id: Uuid, id: Uuid, places: &[Uuid], today: NaiveDate) -> Result<()> {
    for place_id in places {
        place::require(tx, site_id, "place_ids", *place_id, PlaceKind::Building).await?;
    }
    let sql = "select place_id from grid_place where site_id = $1 and grid_id = $2 and to_date is null";
    let held: Vec<Uuid> = on!(tx, |conn| sqlx::query_scalar(sql).bind(site_id).bind(id).fetch_all(conn).await)?;
    let row = |place: &Uuid| serde_json::json!({"site": site_id, "grid": id, "place": place, "today": today});
    let left: Vec<_> = held.iter().filter(|place| !places.contains(place)).map(row).collect();
    let sql = "update grid_place set to_date = {today:date} from {rows} where grid_place.site_id = {site:uuid}
        and grid_place.grid_id = {grid:uuid} and grid_place.place_id = {place:uuid} and grid_place.to_date is null";
    bulk::execute(tx, sql, &left).await?;
    let joined: Vec<_> = places.iter().filter(|place| !held.contains(place)).map(row).collect();
    // One that left and came back on the same day has one row.
    let sql = "insert into grid_place (site_id, grid_id, place_id, from_date)
        select {site:uuid}, {grid:uuid}, {place:uuid}, {today:date} from {rows} where true
        on conflict (site_id, grid_id, place_id, from_date) do update set to_date = null";
    bulk::execute(tx, sql, &joined).await?;
    Ok(())
}

pub async fn get(tx: &mut Tx, site_id: Uuid, id: Uuid) -> Result<Grid> {
    find(tx, site_id, id).await?.ok_or_else(|| Refusal::not_found().into())
}

async fn find(tx: &mut Tx, site_id: Uuid, id: Uuid) -> Result<Option<Grid>> {
    Ok(select(tx, site_id, Some(id), Page::default()).await?.pop())
}

pub async fn list(tx: &mut Tx, site_id: Uuid, page: Page) -> Result<Vec<Grid>> {
    select(tx, site_id, None, page).await
}

async fn select(tx: &mut Tx, site_id: Uuid, id: Option<Uuid>, page: Page) -> Result<Vec<Grid>> {
    let sql = "select id, name, ended_at, version, created_at from grid
        where site_id = $1 and ($2 is null or id > $2) and ($3 is null or id = $3) order by id limit $4";
    let mut grids: Vec<Grid> =
        on!(tx, |conn| sqlx::query_as(sql).bind(site_id).bind(page.after).bind(id).bind(page.limit).fetch_all(conn).await)?;
    let sql = "select grid_id, place_id from grid_place
        where site_id = $1 and ($2 is null or grid_id = $2) and to_date is null order by place_id";
    let places: Vec<(Uuid, Uuid)> = on!(tx, |conn| sqlx::query_as(sql).bind(site_id).bind(id).fetch_all(conn).await)?;
    for grid in &mut grids {
        grid.place_ids = places.iter().filter(|(of, _)| *of == grid.id).map(|(_, place)| *place).collect();
    }
    Ok(grids)
}

pub async fn patch(tx: &mut Tx, by: &By, id: Uuid, version: i64, patch: GridPatch) -> Result<Grid> {
    let old = get(tx, by.site_id, id).await?;
    require_open(old.ended_at)?;
    let name = patch.name.as_deref().map(|name| register::name("name", name)).transpose()?.unwrap_or(old.name);
    let sql = "update grid set name = $4, version = version + 1 where site_id = $1 and id = $2 and version = $3 and ended_at is null";
    let rows = on!(tx, |conn| sqlx::query(sql).bind(by.site_id).bind(id).bind(version).bind(name).execute(conn).await?.rows_affected());
    require_version(rows)?;
    if let Some(places) = &patch.place_ids {
        let places = ordered("place_ids", places.clone())?;
        let today = site::get(tx, by.site_id).await?.today(by.now)?;
        set_places(tx, by.site_id, id, &places, today).await?;
    }
    wrote(tx, by, written("change", id), &patch).await?;
    get(tx, by.site_id, id).await
}

/// Ends the grid: from today on it holds no building, and the roles granted on it end.
pub async fn end(tx: &mut Tx, by: &By, id: Uuid, version: i64) -> Result<Grid> {
    require_open(get(tx, by.site_id, id).await?.ended_at)?;
    let today = site::get(tx, by.site_id).await?.today(by.now)?;
    let administrators = role_grant::before_ending(tx, by.site_id, today).await?;
    let sql = "update grid set ended_at = $4, version = version + 1 where site_id = $1 and id = $2 and version = $3 and ended_at is null";
    let rows = on!(tx, |conn| sqlx::query(sql).bind(by.site_id).bind(id).bind(version).bind(by.now).execute(conn).await?.rows_affected());
    require_version(rows)?;
    set_places(tx, by.site_id, id, &[], today).await?;
    role_grant::end_of_scopes(tx, by, today, &[id]).await?;
    administrators.require_one_left(tx, today).await?;
    wrote(tx, by, written("end", id), &serde_json::json!({"ended_at": by.now})).await?;
    get(tx, by.site_id, id).await
}

fn written(act: &str, id: Uuid) -> Written<'_> {
    Written { act, table: "grid", id, person_id: None, senior_id: None }
}
