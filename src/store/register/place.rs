//! 街道 · 社区 · 小区 · 楼栋 with the closure of the tree. One change of the tree at a time per site.

use chrono::{DateTime, NaiveDate, Utc};
use garde::Validate;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{By, Held, Page, Written, hold, lock_id, nullable, present, require_open, require_version, role_grant};
use super::{same_or_conflict, site, unknown, wrote};
use crate::domain::place::PlaceKind;
use crate::domain::refusal::Refusal;
use crate::domain::register;
use crate::domain::silence::Silenced;
use crate::on;
use crate::store::{Result, Tx, silence};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema, sqlx::FromRow)]
pub struct Place {
    pub id: Uuid,
    #[sqlx(try_from = "String")]
    pub kind: PlaceKind,
    pub name: String,
    pub parent_id: Option<Uuid>,
    pub walk_order: i64,
    /// In trial mode until this date (exclusive).
    pub trial_until: Option<NaiveDate>,
    pub ended_at: Option<DateTime<Utc>>,
    pub version: i64,
    pub created_at: DateTime<Utc>,
}

#[derive(Debug, Clone, Serialize, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[garde(allow_unvalidated)]
pub struct NewPlace {
    /// Made by the client, or else by the server.
    #[serde(default)]
    pub id: Uuid,
    pub kind: PlaceKind,
    pub name: String,
    #[serde(default)]
    pub parent_id: Option<Uuid>,
    #[serde(default)]
    pub walk_order: i64,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[garde(allow_unvalidated)]
pub struct PlacePatch {
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// It was entered under the wrong place: everything below moves along.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub parent_id: Option<Uuid>,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub walk_order: Option<i64>,
    /// The first day without trial; null, today or a day before ends the trial now. A later day than agreed silences.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<NaiveDate>)]
    pub trial_until: Option<Option<NaiveDate>>,
    /// True ends it with everything below; nothing else is then changed in the same request.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub ended: Option<bool>,
}

#[derive(Debug, Clone, Copy, Default)]
pub struct PlaceFilter {
    pub id: Option<Uuid>,
    pub kind: Option<PlaceKind>,
    pub parent_id: Option<Uuid>,
    /// This place and everything below.
    pub under: Option<Uuid>,
}

pub async fn create(tx: &mut Tx, by: &By, new: NewPlace) -> Result<Place> {
    let name = register::name("name", &new.name)?;
    let new = NewPlace { name, walk_order: register::position("walk_order", new.walk_order)?, ..new };
    lock_tree(tx, by.site_id).await?;
    lock_id(tx, new.id).await?;
    if let Some(stored) = find(tx, by.site_id, new.id).await? {
        return same_or_conflict(&new, stored);
    }
    match (new.kind.parent(), new.parent_id) {
        (None, None) => {}
        (Some(kind), Some(parent)) => require(tx, by.site_id, "parent_id", parent, kind).await?,
        _ => return Err(Refusal::invalid("parent_id", "register.parent_kind").into()),
    }
    let trial_until = match new.kind {
        PlaceKind::Compound => {
            let site = site::get(tx, by.site_id).await?;
            Some(site.today(by.now)? + site.rules()?.check.trial.0)
        }
        _ => None,
    };
    let sql = "insert into place (site_id, id, kind, name, parent_id, walk_order, trial_until, version, created_at)
        values ($1, $2, $3, $4, $5, $6, $7, 1, $8)";
    on!(tx, |conn| sqlx::query(sql)
        .bind(by.site_id)
        .bind(new.id)
        .bind(new.kind.as_str())
        .bind(&new.name)
        .bind(new.parent_id)
        .bind(new.walk_order)
        .bind(trial_until)
        .bind(by.now)
        .execute(conn)
        .await
        .map(|_| ()))?;
    close(tx, by.site_id, new.id, new.parent_id).await?;
    wrote(tx, by, written("create", new.id), &new).await?;
    get(tx, by.site_id, new.id).await
}

/// A place that ends or moves takes along what is below: nothing may come below it meanwhile.
async fn lock_tree(tx: &mut Tx, site_id: Uuid) -> Result<()> {
    tx.lock_named(&format!("places/{site_id}")).await
}

/// The new place is below itself and below everything above its parent.
async fn close(tx: &mut Tx, site_id: Uuid, id: Uuid, parent_id: Option<Uuid>) -> Result<()> {
    let itself = "insert into place_closure (site_id, ancestor_id, descendant_id, depth) values ($1, $2, $2, 0)";
    on!(tx, |conn| sqlx::query(itself).bind(site_id).bind(id).execute(conn).await.map(|_| ()))?;
    let above = "insert into place_closure (site_id, ancestor_id, descendant_id, depth)
        select site_id, ancestor_id, $2, depth + 1 from place_closure where site_id = $1 and descendant_id = $3";
    on!(tx, |conn| sqlx::query(above).bind(site_id).bind(id).bind(parent_id).execute(conn).await.map(|_| ()))?;
    Ok(())
}

pub async fn get(tx: &mut Tx, site_id: Uuid, id: Uuid) -> Result<Place> {
    find(tx, site_id, id).await?.ok_or_else(|| Refusal::not_found().into())
}

async fn find(tx: &mut Tx, site_id: Uuid, id: Uuid) -> Result<Option<Place>> {
    Ok(list(tx, site_id, PlaceFilter { id: Some(id), ..PlaceFilter::default() }, Page::default()).await?.pop())
}

pub async fn list(tx: &mut Tx, site_id: Uuid, filter: PlaceFilter, page: Page) -> Result<Vec<Place>> {
    let sql = "select id, kind, name, parent_id, walk_order, trial_until, ended_at, version, created_at from place
        where site_id = $1 and ($2 is null or id > $2) and ($3 is null or id = $3) and ($4 is null or kind = $4)
            and ($5 is null or parent_id = $5)
            and ($6 is null or id in (select descendant_id from place_closure where site_id = $1 and ancestor_id = $6))
        order by id limit $7";
    Ok(on!(tx, |conn| sqlx::query_as(sql)
        .bind(site_id)
        .bind(page.after)
        .bind(filter.id)
        .bind(filter.kind.map(PlaceKind::as_str))
        .bind(filter.parent_id)
        .bind(filter.under)
        .bind(page.limit)
        .fetch_all(conn)
        .await)?)
}

pub async fn patch(tx: &mut Tx, by: &By, id: Uuid, version: i64, patch: PlacePatch, may_silence: bool) -> Result<Place> {
    lock_tree(tx, by.site_id).await?;
    let old = get(tx, by.site_id, id).await?;
    require_open(old.ended_at)?;
    if let Some(until) = patch.trial_until {
        if old.kind != PlaceKind::Compound {
            return Err(Refusal::invalid("trial_until", "register.trial_only_compound").into());
        }
        if let Some(until) = until {
            register::date("trial_until", until)?;
        }
        require_no_longer_trial(old.trial_until, until, may_silence)?;
    }
    if let Some(parent) = patch.parent_id.filter(|parent| Some(*parent) != old.parent_id) {
        move_below(tx, by.site_id, &old, parent, may_silence).await?;
    }
    let name = patch.name.as_deref().map(|name| register::name("name", name)).transpose()?.unwrap_or(old.name);
    let walk_order = register::position("walk_order", patch.walk_order.unwrap_or(old.walk_order))?;
    let sql = "update place set name = $4, walk_order = $5, trial_until = $6, parent_id = $7, version = version + 1
        where site_id = $1 and id = $2 and version = $3 and ended_at is null";
    let rows = on!(tx, |conn| sqlx::query(sql)
        .bind(by.site_id)
        .bind(id)
        .bind(version)
        .bind(name)
        .bind(walk_order)
        .bind(patch.trial_until.unwrap_or(old.trial_until))
        .bind(patch.parent_id.or(old.parent_id))
        .execute(conn)
        .await?
        .rows_affected());
    require_version(rows)?;
    wrote(tx, by, written("change", id), &patch).await?;
    if patch.trial_until.is_some_and(|until| until > old.trial_until) {
        silence::tell_site(tx, by, Silenced::Rules).await?;
    }
    get(tx, by.site_id, id).await
}

/// In a trial fewer people are told, so a longer one needs `may_silence`.
fn require_no_longer_trial(agreed: Option<NaiveDate>, until: Option<NaiveDate>, may_silence: bool) -> Result<(), Refusal> {
    let longer = until.is_some_and(|until| agreed.is_none_or(|agreed| until > agreed));
    if longer && !may_silence { Err(Refusal::forbidden("register.silencing")) } else { Ok(()) }
}

/// Puts the place and everything below under another parent. Each kind stands under the next wider one, so no circle can arise.
async fn move_below(tx: &mut Tx, site_id: Uuid, place: &Place, parent: Uuid, may_silence: bool) -> Result<()> {
    let kind = place.kind.parent().ok_or_else(|| Refusal::invalid("parent_id", "register.parent_kind"))?;
    require(tx, site_id, "parent_id", parent, kind).await?;
    let agreed = match place.parent_id {
        Some(old) => get(tx, site_id, old).await?.trial_until,
        None => None,
    };
    require_no_longer_trial(agreed, get(tx, site_id, parent).await?.trial_until, may_silence)?;
    let leave = "delete from place_closure where site_id = $1
        and descendant_id in (select descendant_id from place_closure where site_id = $1 and ancestor_id = $2)
        and ancestor_id not in (select descendant_id from place_closure where site_id = $1 and ancestor_id = $2)";
    on!(tx, |conn| sqlx::query(leave).bind(site_id).bind(place.id).execute(conn).await.map(|_| ()))?;
    let enter = "insert into place_closure (site_id, ancestor_id, descendant_id, depth)
        select above.site_id, above.ancestor_id, below.descendant_id, above.depth + below.depth + 1
        from place_closure above join place_closure below on below.site_id = above.site_id and below.ancestor_id = $2
        where above.site_id = $1 and above.descendant_id = $3";
    on!(tx, |conn| sqlx::query(enter).bind(site_id).bind(place.id).bind(parent).execute(conn).await.map(|_| ()))?;
    Ok(())
}

/// Ends the place and everything below with its homes and the roles granted there, unless seniors still live there.
pub async fn end(tx: &mut Tx, by: &By, id: Uuid, version: i64) -> Result<Place> {
    lock_tree(tx, by.site_id).await?;
    let old = get(tx, by.site_id, id).await?;
    if old.version != version {
        return Err(super::stale().into());
    }
    require_open(old.ended_at)?;
    let today = site::get(tx, by.site_id).await?.today(by.now)?;
    let administrators = role_grant::before_ending(tx, by.site_id, today).await?;
    let below = "select descendant_id from place_closure where site_id = $1 and ancestor_id = $2";
    let below: Vec<Uuid> = on!(tx, |conn| sqlx::query_scalar(below).bind(by.site_id).bind(id).fetch_all(conn).await)?;
    // Both statements wait for whoever is moving in; who came is counted afterwards.
    let places = "update place set ended_at = $3, version = version + 1 where site_id = $1 and ended_at is null
        and id in (select descendant_id from place_closure where site_id = $1 and ancestor_id = $2)";
    let homes = "update home set ended_at = $3, version = version + 1 where site_id = $1 and ended_at is null
        and building_id in (select descendant_id from place_closure where site_id = $1 and ancestor_id = $2)";
    for sql in [places, homes] {
        on!(tx, |conn| sqlx::query(sql).bind(by.site_id).bind(id).bind(by.now).execute(conn).await.map(|_| ()))?;
    }
    let living = "select count(*) from senior s join home h on h.site_id = s.site_id and h.id = s.home_id
        join place_closure c on c.site_id = h.site_id and c.descendant_id = h.building_id
        where s.site_id = $1 and c.ancestor_id = $2 and s.ended_at is null";
    let seniors: i64 = on!(tx, |conn| sqlx::query_scalar(living).bind(by.site_id).bind(id).fetch_one(conn).await)?;
    if seniors > 0 {
        return Err(Refusal::conflict("register.place_not_empty").with("count", seniors).into());
    }
    role_grant::end_of_scopes(tx, by, today, &below).await?;
    administrators.require_one_left(tx, today).await?;
    wrote(tx, by, written("end", id), &serde_json::json!({"ended_at": by.now})).await?;
    get(tx, by.site_id, id).await
}

/// A reference must name a place of this kind that has not ended; its ending then waits for what refers to it.
pub async fn require(tx: &mut Tx, site_id: Uuid, field: &str, id: Uuid, kind: PlaceKind) -> Result<()> {
    hold(tx, Held::Place, site_id, id).await?;
    match find(tx, site_id, id).await? {
        Some(place) if place.ended_at.is_none() && place.kind == kind => Ok(()),
        Some(place) if place.ended_at.is_none() => Err(Refusal::invalid(field, "register.parent_kind").into()),
        _ => Err(unknown(field).into()),
    }
}

fn written(act: &str, id: Uuid) -> Written<'_> {
    Written { act, table: "place", id, person_id: None, senior_id: None }
}
