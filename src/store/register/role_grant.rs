//! role × scope × time. A grant ends by its last date; who had which role on which day stays readable.

use chrono::{DateTime, NaiveDate, Utc};
use garde::Validate;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{By, Page, Written, grid, lock_id, member, place, require_version, same_or_conflict, site, unknown, wrote};
use crate::domain::place::Role;
use crate::domain::refusal::Refusal;
use crate::domain::register;
use crate::on;
use crate::store::{Result, Tx};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema, sqlx::FromRow)]
pub struct RoleGrant {
    pub id: Uuid,
    pub member_id: Uuid,
    #[sqlx(try_from = "String")]
    pub role: Role,
    pub place_id: Option<Uuid>,
    pub grid_id: Option<Uuid>,
    pub from_date: NaiveDate,
    /// Exclusive.
    pub to_date: Option<NaiveDate>,
    pub version: i64,
    pub created_at: DateTime<Utc>,
}

#[derive(Debug, Clone, Serialize, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[garde(allow_unvalidated)]
pub struct NewRoleGrant {
    /// Made by the client, or else by the server.
    #[serde(default)]
    pub id: Uuid,
    pub member_id: Uuid,
    pub role: Role,
    /// Exactly one of `place_id` and `grid_id`.
    #[serde(default)]
    pub place_id: Option<Uuid>,
    #[serde(default)]
    pub grid_id: Option<Uuid>,
    /// Today if left out.
    #[serde(default)]
    pub from_date: Option<NaiveDate>,
    #[serde(default)]
    pub to_date: Option<NaiveDate>,
}

#[derive(Debug, Clone, Copy, Default)]
pub struct RoleGrantFilter {
    pub id: Option<Uuid>,
    pub member_id: Option<Uuid>,
    pub role: Option<Role>,
    pub place_id: Option<Uuid>,
    /// In force on this date.
    pub on: Option<NaiveDate>,
}

pub async fn create(tx: &mut Tx, by: &By, new: NewRoleGrant) -> Result<RoleGrant> {
    lock_id(tx, new.id).await?;
    if let Some(stored) = find(tx, by.site_id, new.id).await? {
        let from_date = new.from_date.or(Some(stored.from_date));
        return same_or_conflict(&NewRoleGrant { from_date, ..new }, stored);
    }
    let from_date = match new.from_date {
        Some(date) => date,
        None => site::get(tx, by.site_id).await?.today(by.now)?,
    };
    register::dates(from_date, "to_date", new.to_date)?;
    member::require(tx, by.site_id, "member_id", new.member_id).await?;
    match (new.place_id, new.grid_id) {
        (Some(place), None) if place::get(tx, by.site_id, place).await.is_ok_and(|place| place.ended_at.is_none()) => {}
        (None, Some(grid)) if grid::get(tx, by.site_id, grid).await.is_ok_and(|grid| grid.ended_at.is_none()) => {}
        (Some(_), None) => return Err(unknown("place_id").into()),
        (None, Some(_)) => return Err(unknown("grid_id").into()),
        _ => return Err(Refusal::invalid("place_id", "register.one_scope").into()),
    }
    let sql = "insert into role_grant (site_id, id, member_id, role, place_id, grid_id, from_date, to_date, version, created_at)
        values ($1, $2, $3, $4, $5, $6, $7, $8, 1, $9)";
    on!(tx, |conn| sqlx::query(sql)
        .bind(by.site_id)
        .bind(new.id)
        .bind(new.member_id)
        .bind(new.role.as_str())
        .bind(new.place_id)
        .bind(new.grid_id)
        .bind(from_date)
        .bind(new.to_date)
        .bind(by.now)
        .execute(conn)
        .await
        .map(|_| ()))?;
    wrote(tx, by, written("create", new.id), &new).await?;
    get(tx, by.site_id, new.id).await
}

pub async fn get(tx: &mut Tx, site_id: Uuid, id: Uuid) -> Result<RoleGrant> {
    find(tx, site_id, id).await?.ok_or_else(|| Refusal::not_found().into())
}

async fn find(tx: &mut Tx, site_id: Uuid, id: Uuid) -> Result<Option<RoleGrant>> {
    Ok(list(tx, site_id, RoleGrantFilter { id: Some(id), ..RoleGrantFilter::default() }, Page::default()).await?.pop())
}

pub async fn list(tx: &mut Tx, site_id: Uuid, filter: RoleGrantFilter, page: Page) -> Result<Vec<RoleGrant>> {
    let sql = "select id, member_id, role, place_id, grid_id, from_date, to_date, version, created_at from role_grant
        where site_id = $1 and ($2 is null or id > $2) and ($3 is null or id = $3) and ($4 is null or member_id = $4)
            and ($5 is null or role = $5) and ($6 is null or place_id = $6)
            and ($7 is null or (from_date <= $7 and (to_date is null or to_date > $7)))
        order by id limit $8";
    Ok(on!(tx, |conn| sqlx::query_as(sql)
        .bind(site_id)
        .bind(page.after)
        .bind(filter.id)
        .bind(filter.member_id)
        .bind(filter.role.map(Role::as_str))
        .bind(filter.place_id)
        .bind(filter.on)
        .bind(page.limit)
        .fetch_all(conn)
        .await)?)
}

/// Ends the grant at `to_date` (exclusive), today if left out.
pub async fn end(tx: &mut Tx, by: &By, id: Uuid, version: i64, to_date: Option<NaiveDate>) -> Result<RoleGrant> {
    let old = get(tx, by.site_id, id).await?;
    let today = site::get(tx, by.site_id).await?.today(by.now)?;
    let to_date = to_date.unwrap_or(today);
    register::ending(to_date, today, old.to_date)?;
    let sql = "update role_grant set to_date = $4, version = version + 1 where site_id = $1 and id = $2 and version = $3";
    let rows = on!(tx, |conn| sqlx::query(sql)
        .bind(by.site_id)
        .bind(id)
        .bind(version)
        .bind(to_date.max(old.from_date))
        .execute(conn)
        .await?
        .rows_affected());
    require_version(rows)?;
    wrote(tx, by, written("end", id), &serde_json::json!({"to_date": to_date})).await?;
    get(tx, by.site_id, id).await
}

fn written(act: &str, id: Uuid) -> Written<'_> {
    Written { act, table: "role_grant", id, person_id: None, senior_id: None }
}
