//! role × scope × time. A grant ends by its last date; who had which role on which day stays readable.

use chrono::{DateTime, NaiveDate, Utc};
use garde::Validate;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{
    By, Held, Page, Written, channel_order, grid, hold, lock_id, member, place, require_version, same_or_conflict, site, unknown, wrote,
};
use crate::domain::place::Role;
use crate::domain::refusal::Refusal;
use crate::domain::register;
use crate::on;
use crate::store::{Result, Tx, bulk};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema, sqlx::FromRow)]
pub struct RoleGrant {
    pub id: Uuid,
    pub member_id: Uuid,
    #[sqlx(try_from = "String")]
    pub role: Role,
    pub place_id: Option<Uuid>,
    pub grid_id: Option<Uuid>,
    pub from_date: NaiveDate,
    /// The first day without the role (exclusive); null: no end is known.
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
    /// The first day, in the site's zone; today if left out.
    #[serde(default)]
    pub from_date: Option<NaiveDate>,
    /// The first day without the role (exclusive).
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
    if let Some(place) = new.place_id {
        hold(tx, Held::Place, by.site_id, place).await?;
    }
    if let Some(grid) = new.grid_id {
        hold(tx, Held::Grid, by.site_id, grid).await?;
    }
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
    channel_order::follow_site(tx, by, Some(new.member_id)).await?;
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
    let administrators = before_ending(tx, by.site_id, today).await?;
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
    administrators.require_one_left(tx, to_date).await?;
    wrote(tx, by, written("end", id), &serde_json::json!({"to_date": to_date})).await?;
    channel_order::follow_site(tx, by, Some(old.member_id)).await?;
    get(tx, by.site_id, id).await
}

/// Whether the site had an administrator, and one without a last day, before something ended by which it might lose her.
pub(super) struct Administrators {
    site_id: Uuid,
    had: (i64, i64),
}

/// One ending of roles at a time per site: two administrators who end each other at once would both find that one is left.
pub(super) async fn before_ending(tx: &mut Tx, site_id: Uuid, today: NaiveDate) -> Result<Administrators> {
    tx.lock_named(&format!("roles/{site_id}")).await?;
    Ok(Administrators { site_id, had: administrators(tx, site_id, today).await? })
}

impl Administrators {
    /// Refuses the ending after which nobody could let anybody in, from `date` on.
    pub(super) async fn require_one_left(&self, tx: &mut Tx, date: NaiveDate) -> Result<()> {
        let (in_force, lasting) = administrators(tx, self.site_id, date).await?;
        if (self.had.0 > 0 && in_force == 0) || (self.had.1 > 0 && lasting == 0) {
            return Err(Refusal::conflict("register.last_administrator").into());
        }
        Ok(())
    }
}

/// Grants by which somebody administers the whole site on a date, and how many of them have no last day.
async fn administrators(tx: &mut Tx, site_id: Uuid, date: NaiveDate) -> Result<(i64, i64)> {
    let sql = "select count(*), count(case when g.to_date is null then 1 end) from role_grant g join member m on m.site_id = g.site_id and m.id = g.member_id and m.ended_at is null
        where g.site_id = $1 and g.role = 'administrator' and g.from_date <= $2 and (g.to_date is null or g.to_date > $2)
            and g.grid_id is null and (g.place_id is null or g.place_id in (
                select id from place where site_id = $1 and parent_id is null and ended_at is null))";
    Ok(on!(tx, |conn| sqlx::query_as(sql).bind(site_id).bind(date).fetch_one(conn).await)?)
}

/// With a grid or places that end, the roles granted there end: they reach nobody any more.
pub(super) async fn end_of_scopes(tx: &mut Tx, by: &By, today: NaiveDate, scopes: &[Uuid]) -> Result<()> {
    let rows: Vec<_> = scopes.iter().map(|id| serde_json::json!({"site": by.site_id, "scope": id})).collect();
    let sql = bulk::text(
        tx,
        "update role_grant set to_date = case when from_date > $2 then from_date else $2 end, version = version + 1 from {rows}
         where role_grant.site_id = {site:uuid} and (role_grant.place_id = {scope:uuid} or role_grant.grid_id = {scope:uuid})
             and (to_date is null or to_date > $2) returning role_grant.id",
    );
    let rows = serde_json::Value::from(rows).to_string();
    let ended: Vec<Uuid> = on!(tx, |conn| sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).bind(rows).bind(today).fetch_all(conn).await)?;
    member::record(tx, by, "end", "role_grant", "to_date", &ended).await
}

fn written(act: &str, id: Uuid) -> Written<'_> {
    Written { act, table: "role_grant", id, person_id: None, senior_id: None }
}
