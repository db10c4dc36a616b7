//! 请假 · 替班. The primary and the backup of a senior are never away on the same day, and whoever stands in is there.

use chrono::{DateTime, NaiveDate, Utc};
use garde::Validate;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{By, Page, Written, lock_id, member, nullable, present, require_open, require_version, same_or_conflict, wrote};
use crate::domain::refusal::Refusal;
use crate::domain::register;
use crate::on;
use crate::store::{Result, Tx};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema, sqlx::FromRow)]
pub struct Leave {
    pub id: Uuid,
    pub member_id: Uuid,
    pub from_date: NaiveDate,
    /// The first day back.
    pub return_date: NaiveDate,
    /// Who stands in.
    pub substitute_id: Option<Uuid>,
    pub cancelled_at: Option<DateTime<Utc>>,
    pub version: i64,
    pub created_at: DateTime<Utc>,
}

#[derive(Debug, Clone, Serialize, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[garde(allow_unvalidated)]
pub struct NewLeave {
    /// Made by the client, or else by the server.
    #[serde(default)]
    pub id: Uuid,
    pub member_id: Uuid,
    /// The first day away, in the site's zone.
    pub from_date: NaiveDate,
    /// The first day back; at most 366 days later.
    pub return_date: NaiveDate,
    /// Who stands in; may also be named later.
    #[serde(default)]
    pub substitute_id: Option<Uuid>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[garde(allow_unvalidated)]
pub struct LeavePatch {
    /// Somebody else stands in from now on; null: nobody.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Uuid>)]
    pub substitute_id: Option<Option<Uuid>>,
    /// Only true: the member is there after all; nothing else is then changed in the same request.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub cancelled: Option<bool>,
}

#[derive(Debug, Clone, Copy, Default)]
pub struct LeaveFilter {
    pub id: Option<Uuid>,
    pub member_id: Option<Uuid>,
    /// Away on this date.
    pub on: Option<NaiveDate>,
    pub with_cancelled: bool,
}

/// One writer of leaves and pairings per site: who is away when is judged over all of them.
pub(super) async fn lock(tx: &mut Tx, site_id: Uuid) -> Result<()> {
    tx.lock_named(&format!("leave/{site_id}")).await
}

pub async fn create(tx: &mut Tx, by: &By, new: NewLeave) -> Result<Leave> {
    register::leave(new.from_date, new.return_date)?;
    lock(tx, by.site_id).await?;
    lock_id(tx, new.id).await?;
    if let Some(stored) = find(tx, by.site_id, new.id).await? {
        return same_or_conflict(&new, stored);
    }
    member::require(tx, by.site_id, "member_id", new.member_id).await?;
    require_substitute(tx, by.site_id, new.member_id, new.substitute_id).await?;
    require_present(tx, by.site_id, &new).await?;
    let sql = "insert into leave_of_absence (site_id, id, member_id, from_date, return_date, substitute_id, version, created_at)
        values ($1, $2, $3, $4, $5, $6, 1, $7)";
    on!(tx, |conn| sqlx::query(sql)
        .bind(by.site_id)
        .bind(new.id)
        .bind(new.member_id)
        .bind(new.from_date)
        .bind(new.return_date)
        .bind(new.substitute_id)
        .bind(by.now)
        .execute(conn)
        .await
        .map(|_| ()))?;
    require_one_present(tx, by.site_id, None).await?;
    wrote(tx, by, written("create", new.id), &new).await?;
    get(tx, by.site_id, new.id).await
}

async fn require_substitute(tx: &mut Tx, site_id: Uuid, member_id: Uuid, substitute_id: Option<Uuid>) -> Result<()> {
    let Some(substitute) = substitute_id else { return Ok(()) };
    if substitute == member_id {
        return Err(Refusal::invalid("substitute_id", "register.own_substitute").into());
    }
    member::require(tx, site_id, "substitute_id", substitute).await
}

/// The substitute is there on all these days, and the member stands in for nobody on them. Other leaves are asked, not this one.
async fn require_present(tx: &mut Tx, site_id: Uuid, new: &NewLeave) -> Result<()> {
    let sql = "select m.name, l.substitute_id from leave_of_absence l
        join member m on m.site_id = l.site_id and m.id = l.member_id
        where l.site_id = $1 and l.id <> $6 and l.cancelled_at is null and l.from_date < $3 and l.return_date > $2
            and (l.member_id = $4 or l.member_id = $5 or l.substitute_id = $4)
        order by l.from_date, l.id";
    let meeting: Vec<(String, Option<Uuid>)> = on!(tx, |conn| sqlx::query_as(sql)
        .bind(site_id)
        .bind(new.from_date)
        .bind(new.return_date)
        .bind(new.member_id)
        .bind(new.substitute_id)
        .bind(new.id)
        .fetch_all(conn)
        .await)?;
    match meeting.into_iter().next() {
        None => Ok(()),
        Some((name, Some(substitute))) if substitute == new.member_id => {
            Err(Refusal::conflict("register.stands_in").with("member", name).into())
        }
        Some((name, _)) => Err(Refusal::conflict("register.already_on_leave").with("member", name).into()),
    }
}

/// After a leave or a pairing was written: no senior has a day on which both are away. The refusal names both.
pub(super) async fn require_one_present(tx: &mut Tx, site_id: Uuid, senior_id: Option<Uuid>) -> Result<()> {
    // Four spans share a day if each two of them do.
    let sql = "select a.name, b.name from pairing p
        join pairing q on q.site_id = p.site_id and q.senior_id = p.senior_id and q.kind = 'backup'
        join leave_of_absence l on l.site_id = p.site_id and l.member_id = p.member_id and l.cancelled_at is null
        join leave_of_absence k on k.site_id = q.site_id and k.member_id = q.member_id and k.cancelled_at is null
        join member a on a.site_id = p.site_id and a.id = p.member_id
        join member b on b.site_id = q.site_id and b.id = q.member_id
        where p.site_id = $1 and p.kind = 'primary' and ($2 is null or p.senior_id = $2)
            and (p.to_date is null or (p.to_date > q.from_date and p.to_date > l.from_date and p.to_date > k.from_date))
            and (q.to_date is null or (q.to_date > p.from_date and q.to_date > l.from_date and q.to_date > k.from_date))
            and l.return_date > p.from_date and l.return_date > q.from_date and l.return_date > k.from_date
            and k.return_date > p.from_date and k.return_date > q.from_date and k.return_date > l.from_date
            and (p.to_date is null or p.to_date > p.from_date) and (q.to_date is null or q.to_date > q.from_date)
        limit 1";
    let both: Option<(String, String)> = on!(tx, |conn| sqlx::query_as(sql).bind(site_id).bind(senior_id).fetch_optional(conn).await)?;
    match both {
        None => Ok(()),
        Some((primary, backup)) => Err(Refusal::conflict("register.both_on_leave").with("primary", primary).with("backup", backup).into()),
    }
}

pub async fn get(tx: &mut Tx, site_id: Uuid, id: Uuid) -> Result<Leave> {
    find(tx, site_id, id).await?.ok_or_else(|| Refusal::not_found().into())
}

async fn find(tx: &mut Tx, site_id: Uuid, id: Uuid) -> Result<Option<Leave>> {
    let filter = LeaveFilter { id: Some(id), with_cancelled: true, ..LeaveFilter::default() };
    Ok(list(tx, site_id, filter, Page::default()).await?.pop())
}

pub async fn list(tx: &mut Tx, site_id: Uuid, filter: LeaveFilter, page: Page) -> Result<Vec<Leave>> {
    let sql = "select id, member_id, from_date, return_date, substitute_id, cancelled_at, version, created_at from leave_of_absence
        where site_id = $1 and ($2 is null or id > $2) and ($3 is null or id = $3) and ($4 is null or member_id = $4)
            and ($5 is null or (from_date <= $5 and return_date > $5)) and (cancelled_at is null or $6)
        order by id limit $7";
    Ok(on!(tx, |conn| sqlx::query_as(sql)
        .bind(site_id)
        .bind(page.after)
        .bind(filter.id)
        .bind(filter.member_id)
        .bind(filter.on)
        .bind(filter.with_cancelled)
        .bind(page.limit)
        .fetch_all(conn)
        .await)?)
}

/// Somebody else stands in, or nobody.
pub async fn patch(tx: &mut Tx, by: &By, id: Uuid, version: i64, patch: LeavePatch) -> Result<Leave> {
    lock(tx, by.site_id).await?;
    let old = get(tx, by.site_id, id).await?;
    require_open(old.cancelled_at)?;
    let substitute_id = patch.substitute_id.unwrap_or(old.substitute_id);
    require_substitute(tx, by.site_id, old.member_id, substitute_id).await?;
    let (member_id, from_date, return_date) = (old.member_id, old.from_date, old.return_date);
    require_present(tx, by.site_id, &NewLeave { id, member_id, from_date, return_date, substitute_id }).await?;
    let sql = "update leave_of_absence set substitute_id = $4, version = version + 1
        where site_id = $1 and id = $2 and version = $3 and cancelled_at is null";
    let rows =
        on!(tx, |conn| sqlx::query(sql).bind(by.site_id).bind(id).bind(version).bind(substitute_id).execute(conn).await?.rows_affected());
    require_version(rows)?;
    wrote(tx, by, written("change", id), &patch).await?;
    get(tx, by.site_id, id).await
}

/// The member is there after all.
pub async fn cancel(tx: &mut Tx, by: &By, id: Uuid, version: i64) -> Result<Leave> {
    require_open(get(tx, by.site_id, id).await?.cancelled_at)?;
    let sql = "update leave_of_absence set cancelled_at = $4, version = version + 1
        where site_id = $1 and id = $2 and version = $3 and cancelled_at is null";
    let rows = on!(tx, |conn| sqlx::query(sql).bind(by.site_id).bind(id).bind(version).bind(by.now).execute(conn).await?.rows_affected());
    require_version(rows)?;
    wrote(tx, by, written("cancel", id), &serde_json::json!({"cancelled_at": by.now})).await?;
    get(tx, by.site_id, id).await
}

fn written(act: &str, id: Uuid) -> Written<'_> {
    Written { act, table: "leave_of_absence", id, person_id: None, senior_id: None }
}
