//! 结对: one primary and one backup in force per senior on any date, never the same person. The senior's lock guards it.

use chrono::{DateTime, NaiveDate, Utc};
use garde::Validate;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{By, Page, Written, id_conflict, leave, lock_id, member, require_version, same_or_conflict, senior, site, wrote};
use crate::domain::place::PairingKind;
use crate::domain::refusal::Refusal;
use crate::domain::register;
use crate::on;
use crate::store::{Result, Tx};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema, sqlx::FromRow)]
pub struct Pairing {
    pub id: Uuid,
    pub senior_id: Uuid,
    pub member_id: Uuid,
    #[sqlx(try_from = "String")]
    pub kind: PairingKind,
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
pub struct NewPairing {
    /// Made by the client, or else by the server.
    #[serde(default)]
    pub id: Uuid,
    pub member_id: Uuid,
    pub kind: PairingKind,
    /// The first day, in the site's zone; today if left out.
    #[serde(default)]
    pub from_date: Option<NaiveDate>,
    /// The first day without (exclusive).
    #[serde(default)]
    pub to_date: Option<NaiveDate>,
}

#[derive(Debug, Clone, Copy, Default)]
pub struct PairingFilter {
    pub id: Option<Uuid>,
    pub senior_id: Option<Uuid>,
    pub member_id: Option<Uuid>,
    /// In force on this date.
    pub on: Option<NaiveDate>,
}

pub async fn create(tx: &mut Tx, by: &By, senior_id: Uuid, new: NewPairing) -> Result<Pairing> {
    senior::lock(tx, by.site_id, senior_id).await?;
    leave::lock(tx, by.site_id).await?;
    lock_id(tx, new.id).await?;
    if let Some(stored) = find(tx, by.site_id, new.id).await? {
        if stored.senior_id != senior_id {
            return Err(id_conflict().into());
        }
        let from_date = new.from_date.or(Some(stored.from_date));
        return same_or_conflict(&NewPairing { from_date, ..new }, stored);
    }
    let from_date = match new.from_date {
        Some(date) => date,
        None => site::get(tx, by.site_id).await?.today(by.now)?,
    };
    register::dates(from_date, "to_date", new.to_date)?;
    member::require(tx, by.site_id, "member_id", new.member_id).await?;
    require_free(tx, by.site_id, senior_id, &new, from_date).await?;
    let sql = "insert into pairing (site_id, id, senior_id, member_id, kind, from_date, to_date, version, created_at)
        values ($1, $2, $3, $4, $5, $6, $7, 1, $8)";
    on!(tx, |conn| sqlx::query(sql)
        .bind(by.site_id)
        .bind(new.id)
        .bind(senior_id)
        .bind(new.member_id)
        .bind(new.kind.as_str())
        .bind(from_date)
        .bind(new.to_date)
        .bind(by.now)
        .execute(conn)
        .await
        .map(|_| ()))?;
    leave::require_one_present(tx, by.site_id, Some(senior_id)).await?;
    wrote(tx, by, written("create", new.id, senior_id), &new).await?;
    get(tx, by.site_id, senior_id, new.id).await
}

/// No other pairing of this kind, and not this member in the other kind, on any of its days.
async fn require_free(tx: &mut Tx, site_id: Uuid, senior_id: Uuid, new: &NewPairing, from: NaiveDate) -> Result<()> {
    let sql = "select m.name, p.kind from pairing p join member m on m.site_id = p.site_id and m.id = p.member_id
        where p.site_id = $1 and p.senior_id = $2 and (p.kind = $3 or p.member_id = $4)
            and ($6 is null or p.from_date < $6) and (p.to_date is null or (p.to_date > $5 and p.to_date > p.from_date))
        order by p.from_date, p.id limit 1";
    let taken: Option<(String, String)> = on!(tx, |conn| sqlx::query_as(sql)
        .bind(site_id)
        .bind(senior_id)
        .bind(new.kind.as_str())
        .bind(new.member_id)
        .bind(from)
        .bind(new.to_date)
        .fetch_optional(conn)
        .await)?;
    match taken {
        None => Ok(()),
        Some((name, kind)) if kind == new.kind.as_str() => Err(Refusal::conflict("register.pairing_taken").with("member", name).into()),
        Some((name, _)) => Err(Refusal::conflict("register.primary_is_backup").with("member", name).into()),
    }
}

pub async fn get(tx: &mut Tx, site_id: Uuid, senior_id: Uuid, id: Uuid) -> Result<Pairing> {
    let found = find(tx, site_id, id).await?.filter(|pairing| pairing.senior_id == senior_id);
    found.ok_or_else(|| Refusal::not_found().into())
}

async fn find(tx: &mut Tx, site_id: Uuid, id: Uuid) -> Result<Option<Pairing>> {
    Ok(list(tx, site_id, PairingFilter { id: Some(id), ..PairingFilter::default() }, Page::default()).await?.pop())
}

pub async fn list(tx: &mut Tx, site_id: Uuid, filter: PairingFilter, page: Page) -> Result<Vec<Pairing>> {
    let sql = "select id, senior_id, member_id, kind, from_date, to_date, version, created_at from pairing
        where site_id = $1 and ($2 is null or id > $2) and ($3 is null or id = $3) and ($4 is null or senior_id = $4)
            and ($5 is null or member_id = $5)
            and ($6 is null or (from_date <= $6 and (to_date is null or to_date > $6)))
        order by id limit $7";
    Ok(on!(tx, |conn| sqlx::query_as(sql)
        .bind(site_id)
        .bind(page.after)
        .bind(filter.id)
        .bind(filter.senior_id)
        .bind(filter.member_id)
        .bind(filter.on)
        .bind(page.limit)
        .fetch_all(conn)
        .await)?)
}

/// Ends the pairing at `to_date` (exclusive), today if left out.
pub async fn end(tx: &mut Tx, by: &By, senior_id: Uuid, id: Uuid, version: i64, to_date: Option<NaiveDate>) -> Result<Pairing> {
    senior::lock(tx, by.site_id, senior_id).await?;
    let old = get(tx, by.site_id, senior_id, id).await?;
    let today = site::get(tx, by.site_id).await?.today(by.now)?;
    let to_date = to_date.unwrap_or(today);
    register::ending(to_date, today, old.to_date)?;
    let sql = "update pairing set to_date = $4, version = version + 1 where site_id = $1 and id = $2 and version = $3";
    let rows = on!(tx, |conn| sqlx::query(sql)
        .bind(by.site_id)
        .bind(id)
        .bind(version)
        .bind(to_date.max(old.from_date))
        .execute(conn)
        .await?
        .rows_affected());
    require_version(rows)?;
    wrote(tx, by, written("end", id, senior_id), &serde_json::json!({"to_date": to_date})).await?;
    get(tx, by.site_id, senior_id, id).await
}

/// All pairings of a senior end on `date`; those that had not begun never do.
pub(super) async fn end_all(tx: &mut Tx, by: &By, senior_id: Uuid, date: NaiveDate) -> Result<()> {
    let sql = "update pairing set to_date = case when from_date > $3 then from_date else $3 end, version = version + 1
        where site_id = $1 and senior_id = $2 and (to_date is null or to_date > $3) returning id";
    let ended: Vec<Uuid> = on!(tx, |conn| sqlx::query_scalar(sql).bind(by.site_id).bind(senior_id).bind(date).fetch_all(conn).await)?;
    for id in ended {
        wrote(tx, by, written("end", id, senior_id), &serde_json::json!({"to_date": date})).await?;
    }
    Ok(())
}

fn written(act: &str, id: Uuid, senior_id: Uuid) -> Written<'_> {
    Written { act, table: "pairing", id, person_id: None, senior_id: Some(senior_id) }
}
