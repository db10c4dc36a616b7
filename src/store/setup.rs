//! How far a site is from its first round: a few numbers, read together.

use chrono::NaiveDate;
use uuid::Uuid;

use super::{Result, Tx};
use crate::domain::id;
use crate::on;

#[derive(Debug, Clone, Copy, PartialEq, Eq, sqlx::FromRow)]
pub struct Setup {
    pub buildings: i64,
    /// People who walk or go, whatever their role.
    pub volunteers: i64,
    pub seniors: i64,
    pub without_agreement: i64,
    /// Without a primary or without a backup.
    pub without_pair: i64,
    /// People of whom nothing says how a message would reach them.
    pub without_channel: i64,
    /// Alerts of a canary: somebody has tried whether they arrive.
    pub drills: i64,
}

/// Nobody is looked after yet: what remains to be done stands in [`Setup`].
pub async fn is_empty(tx: &mut Tx, site_id: Uuid) -> Result<bool> {
    let sql = "select not exists (select 1 from senior where site_id = $1 and ended_at is null and purpose = 'real')";
    Ok(on!(tx, |conn| sqlx::query_scalar(sql).bind(site_id).fetch_one(conn).await)?)
}

pub async fn of(tx: &mut Tx, site_id: Uuid, today: NaiveDate) -> Result<Setup> {
    let sql = "with looked_after as (select id from senior where site_id = $1 and ended_at is null and purpose = 'real'),
            walking as (select distinct member_id as id from role_grant where site_id = $1 and role not in ('administrator', 'operator')
                and from_date <= $2 and (to_date is null or to_date > $2))
        select
            (select count(*) from place where site_id = $1 and kind = 'building' and ended_at is null) as buildings,
            (select count(*) from walking) as volunteers,
            (select count(*) from looked_after) as seniors,
            (select count(*) from looked_after s where not exists (select 1 from agreement a
                where a.site_id = $1 and a.senior_id = s.id and (a.to_date is null or a.to_date > $2))) as without_agreement,
            (select count(*) from looked_after s where (select count(distinct p.kind) from pairing p
                where p.site_id = $1 and p.senior_id = s.id and (p.to_date is null or p.to_date > $2)) < 2) as without_pair,
            (select count(*) from walking w where not exists (select 1 from member_channel c
                where c.site_id = $1 and c.member_id = w.id and c.disabled_at is null and c.verified_at is not null)) as without_channel,
            (select count(*) from alert a join senior s on s.site_id = a.site_id and s.id = a.senior_id
                where a.site_id = $1 and s.purpose = 'canary' and s.id <> $3) as drills";
    Ok(on!(tx, |conn| sqlx::query_as(sql).bind(site_id).bind(today).bind(id::canary(site_id)).fetch_one(conn).await)?)
}
