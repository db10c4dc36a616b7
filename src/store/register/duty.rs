//! 看窗值班: who walks under which windows, on which weekdays. The round of a day is computed from it.

use chrono::{DateTime, NaiveDate, Utc};
use garde::Validate;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{By, Page, Written, grid, lock_id, member, place, require_version, same_or_conflict, senior, site, unknown, wrote};
use crate::domain::check::Slot;
use crate::domain::place::PlaceKind;
use crate::domain::refusal::Refusal;
use crate::domain::register;
use crate::on;
use crate::store::{Result, Tx, bulk};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema, sqlx::FromRow)]
pub struct Duty {
    pub id: Uuid,
    pub member_id: Uuid,
    #[sqlx(try_from = "String")]
    pub slot: Slot,
    /// The days on which she walks, as bits: 1 is Monday, 2 Tuesday, 4 Wednesday … 64 Sunday; 31 is Monday to Friday, 96 the weekend.
    pub weekdays: i64,
    #[sqlx(skip)]
    pub building_ids: Vec<Uuid>,
    #[sqlx(skip)]
    pub senior_ids: Vec<Uuid>,
    /// The first day, in the site's zone.
    pub from_date: NaiveDate,
    /// The first day without (exclusive); null: no end is known.
    pub to_date: Option<NaiveDate>,
    pub version: i64,
    pub created_at: DateTime<Utc>,
}

#[derive(Debug, Clone, Serialize, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[garde(allow_unvalidated)]
pub struct NewDuty {
    /// Made by the client, or else by the server.
    #[serde(default)]
    pub id: Uuid,
    pub member_id: Uuid,
    pub slot: Slot,
    /// The days on which she walks, as bits: 1 is Monday, 2 Tuesday, 4 Wednesday … 64 Sunday; 31 is Monday to Friday, 96 the weekend.
    pub weekdays: i64,
    /// Everybody who lives there; buildings or seniors, at least one.
    #[serde(default)]
    pub building_ids: Vec<Uuid>,
    #[serde(default)]
    pub senior_ids: Vec<Uuid>,
    /// The first day, in the site's zone; today if left out.
    #[serde(default)]
    pub from_date: Option<NaiveDate>,
    /// The first day without (exclusive).
    #[serde(default)]
    pub to_date: Option<NaiveDate>,
}

#[derive(Debug, Clone, Copy, Default)]
pub struct DutyFilter {
    pub id: Option<Uuid>,
    pub member_id: Option<Uuid>,
    /// In force on this date.
    pub on: Option<NaiveDate>,
}

pub async fn create(tx: &mut Tx, by: &By, mut new: NewDuty) -> Result<Duty> {
    register::weekdays("weekdays", new.weekdays)?;
    new.building_ids = grid::ordered("building_ids", new.building_ids)?;
    new.senior_ids = grid::ordered("senior_ids", new.senior_ids)?;
    lock_id(tx, new.id).await?;
    if let Some(stored) = find(tx, by.site_id, new.id).await? {
        let from_date = new.from_date.or(Some(stored.from_date));
        return same_or_conflict(&NewDuty { from_date, ..new }, stored);
    }
    if new.building_ids.is_empty() && new.senior_ids.is_empty() {
        return Err(Refusal::invalid("building_ids", "register.duty_scope").into());
    }
    let from_date = match new.from_date {
        Some(date) => date,
        None => site::get(tx, by.site_id).await?.today(by.now)?,
    };
    register::dates(from_date, "to_date", new.to_date)?;
    member::require(tx, by.site_id, "member_id", new.member_id).await?;
    let sql = "insert into duty (site_id, id, member_id, slot, weekdays, from_date, to_date, version, created_at)
        values ($1, $2, $3, $4, $5, $6, $7, 1, $8)";
    on!(tx, |conn| sqlx::query(sql)
        .bind(by.site_id)
        .bind(new.id)
        .bind(new.member_id)
        .bind(new.slot.as_str())
        .bind(new.weekdays)
        .bind(from_date)
        .bind(new.to_date)
        .bind(by.now)
        .execute(conn)
        .await
        .map(|_| ()))?;
    add_scopes(tx, by.site_id, &new).await?;
    wrote(tx, by, written("create", new.id), &new).await?;
    get(tx, by.site_id, new.id).await
}

async fn add_scopes(tx: &mut Tx, site_id: Uuid, new: &NewDuty) -> Result<()> {
    for building in &new.building_ids {
        place::require(tx, site_id, "building_ids", *building, PlaceKind::Building).await?;
    }
    // Whoever ends the care for one of them waits, or was first and is seen.
    tx.lock_seniors(&new.senior_ids).await?;
    for id in &new.senior_ids {
        if senior::get(tx, site_id, *id).await.is_ok_and(|senior| senior.ended_at.is_none()) {
            continue;
        }
        return Err(unknown("senior_ids").into());
    }
    let row = |kind: &str, id: &Uuid| json!({"site": site_id, "duty": new.id, "kind": kind, "scope": id});
    let buildings = new.building_ids.iter().map(|id| row("building", id));
    let rows: Vec<_> = buildings.chain(new.senior_ids.iter().map(|id| row("senior", id))).collect();
    let sql = "insert into duty_scope (site_id, duty_id, scope_kind, scope_id)
        select {site:uuid}, {duty:uuid}, {kind:text}, {scope:uuid} from {rows}";
    bulk::execute(tx, sql, &rows).await?;
    Ok(())
}

pub async fn get(tx: &mut Tx, site_id: Uuid, id: Uuid) -> Result<Duty> {
    find(tx, site_id, id).await?.ok_or_else(|| Refusal::not_found().into())
}

async fn find(tx: &mut Tx, site_id: Uuid, id: Uuid) -> Result<Option<Duty>> {
    Ok(list(tx, site_id, DutyFilter { id: Some(id), ..DutyFilter::default() }, Page::default()).await?.pop())
}

pub async fn list(tx: &mut Tx, site_id: Uuid, filter: DutyFilter, page: Page) -> Result<Vec<Duty>> {
    let sql = "select id, member_id, slot, weekdays, from_date, to_date, version, created_at from duty
        where site_id = $1 and ($2 is null or id > $2) and ($3 is null or id = $3) and ($4 is null or member_id = $4)
            and ($5 is null or (from_date <= $5 and (to_date is null or to_date > $5)))
        order by id limit $6";
    let mut duties: Vec<Duty> = on!(tx, |conn| sqlx::query_as(sql)
        .bind(site_id)
        .bind(page.after)
        .bind(filter.id)
        .bind(filter.member_id)
        .bind(filter.on)
        .bind(page.limit)
        .fetch_all(conn)
        .await)?;
    let ids: Vec<_> = duties.iter().map(|duty| json!({"site": site_id, "id": duty.id})).collect();
    let sql = bulk::text(
        tx,
        "select s.duty_id, s.scope_kind, s.scope_id from {rows}
         join duty_scope s on s.site_id = {site:uuid} and s.duty_id = {id:uuid} order by s.scope_id",
    );
    let scopes: Vec<(Uuid, String, Uuid)> =
        on!(tx, |conn| sqlx::query_as(sqlx::AssertSqlSafe(sql)).bind(serde_json::Value::from(ids).to_string()).fetch_all(conn).await)?;
    for duty in &mut duties {
        for (_, kind, scope) in scopes.iter().filter(|(of, ..)| *of == duty.id) {
            if kind == "building" { duty.building_ids.push(*scope) } else { duty.senior_ids.push(*scope) }
        }
    }
    Ok(duties)
}

/// Ends the duty at `to_date` (exclusive), today if left out.
pub async fn end(tx: &mut Tx, by: &By, id: Uuid, version: i64, to_date: Option<NaiveDate>) -> Result<Duty> {
    let old = get(tx, by.site_id, id).await?;
    let today = site::get(tx, by.site_id).await?.today(by.now)?;
    let to_date = to_date.unwrap_or(today);
    register::ending(to_date, today, old.to_date)?;
    let sql = "update duty set to_date = $4, version = version + 1 where site_id = $1 and id = $2 and version = $3";
    let rows = on!(tx, |conn| sqlx::query(sql)
        .bind(by.site_id)
        .bind(id)
        .bind(version)
        .bind(to_date.max(old.from_date))
        .execute(conn)
        .await?
        .rows_affected());
    require_version(rows)?;
    wrote(tx, by, written("end", id), &json!({"to_date": to_date})).await?;
    get(tx, by.site_id, id).await
}

fn written(act: &str, id: Uuid) -> Written<'_> {
    Written { act, table: "duty", id, person_id: None, senior_id: None }
}
