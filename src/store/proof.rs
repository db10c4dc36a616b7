//! What the words of every day count: one statement each, over everybody concerned.

use std::collections::{BTreeMap, BTreeSet};

use chrono::NaiveDate;
use sqlx::FromRow;
use uuid::Uuid;

use super::{Result, Tx, roster};
use crate::domain::check::Slot;
use crate::domain::day;
use crate::on;

/// One person's numbers of a morning, over the seniors of all her places and grids. Canaries are in no statistic.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct Proof {
    pub member_id: Uuid,
    pub total: i64,
    pub seen: i64,
    /// Found by somebody who went, after the sign was missing.
    pub visited: i64,
    /// Somebody still has to go.
    pub open: i64,
    pub excused: i64,
}

/// The buildings of every operator and branch secretary, `scope(member_id, building_id)`. Binds `$1` site, `$2` date.
macro_rules! scope {
    () => {
        "with of_role as (
            select g.member_id, g.place_id, g.grid_id from role_grant g
            join member m on m.site_id = g.site_id and m.id = g.member_id and m.ended_at is null
            where g.site_id = $1 and g.role in ('operator', 'branch_secretary')
              and g.from_date <= $2 and (g.to_date is null or g.to_date > $2)),
        scope as (
            select o.member_id, c.descendant_id as building_id from of_role o
            join place_closure c on c.site_id = $1 and c.ancestor_id = o.place_id
            union
            select o.member_id, c.descendant_id from of_role o
            join grid_place gp on gp.site_id = $1 and gp.grid_id = o.grid_id
                and gp.from_date <= $2 and (gp.to_date is null or gp.to_date > $2)
            join place_closure c on c.site_id = $1 and c.ancestor_id = gp.place_id)"
    };
}

/// The numbers for every operator and branch secretary of a site.
pub async fn mornings(tx: &mut Tx, site_id: Uuid, date: NaiveDate) -> Result<Vec<Proof>> {
    let sql = concat!(
        scope!(),
        ",
        morning as (
            select s.member_id, d.state,
                exists (select 1 from alert_trigger t join alert a on a.site_id = t.site_id and a.id = t.alert_id
                    where t.site_id = d.site_id and t.check_id = d.id and a.resolved_at is not null) as settled,
                exists (select 1 from alert_trigger t join alert a on a.site_id = t.site_id and a.id = t.alert_id
                    where t.site_id = d.site_id and t.check_id = d.id and a.resolved_at is null) as waiting
            from scope s
            join home h on h.site_id = $1 and h.building_id = s.building_id
            join senior_residence r on r.site_id = h.site_id and r.home_id = h.id
                and r.from_date <= $2 and (r.to_date is null or r.to_date > $2)
            join senior p on p.site_id = r.site_id and p.id = r.senior_id and p.purpose = 'real'
            join daily_check d on d.site_id = p.site_id and d.senior_id = p.id and d.local_date = $2 and d.slot = 'morning')
        select member_id,
            count(*) as total,
            count(case when state in ('ok', 'ok_late') then 1 end) as seen,
            count(case when state not in ('ok', 'ok_late', 'excused') and settled and not waiting then 1 end) as visited,
            count(case when waiting then 1 end) as open,
            count(case when state = 'excused' then 1 end) as excused
        from morning group by member_id order by member_id"
    );
    Ok(on!(tx, |conn| sqlx::query_as(sql).bind(site_id).bind(date).fetch_all(conn).await)?)
}

/// For every operator and branch secretary, how many of these seniors live in her places and grids.
pub async fn among(tx: &mut Tx, site_id: Uuid, date: NaiveDate, seniors: &BTreeSet<Uuid>) -> Result<BTreeMap<Uuid, i64>> {
    let sql = concat!(
        scope!(),
        " select s.member_id, p.id from scope s
        join home h on h.site_id = $1 and h.building_id = s.building_id
        join senior p on p.site_id = h.site_id and p.home_id = h.id and p.ended_at is null"
    );
    let pairs: Vec<(Uuid, Uuid)> = on!(tx, |conn| sqlx::query_as(sql).bind(site_id).bind(date).fetch_all(conn).await)?;
    let mut counts = BTreeMap::new();
    for (member, _) in pairs.into_iter().filter(|(_, senior)| seniors.contains(senior)) {
        *counts.entry(member).or_default() += 1;
    }
    Ok(counts)
}

/// Somebody about whom nobody has good news yet, and where.
#[derive(Debug, Clone, FromRow)]
pub struct Unresolved {
    pub senior_id: Uuid,
    pub building_id: Uuid,
    pub building: String,
}

/// Every alert that stands open, building by building in walking order.
pub async fn unresolved(tx: &mut Tx, site_id: Uuid) -> Result<Vec<Unresolved>> {
    let sql = "select a.senior_id, b.id as building_id, b.name as building from alert a
        join senior s on s.site_id = a.site_id and s.id = a.senior_id
        join home h on h.site_id = s.site_id and h.id = s.home_id
        join place b on b.site_id = h.site_id and b.id = h.building_id
        where a.site_id = $1 and a.resolved_at is null and not a.drill and s.purpose = 'real'
        order by b.walk_order, b.name, b.id, a.senior_id";
    Ok(on!(tx, |conn| sqlx::query_as(sql).bind(site_id).fetch_all(conn).await)?)
}

/// A planned check of a date that nothing excuses yet, and where it is.
#[derive(Debug, Clone, FromRow)]
pub struct Planned {
    pub senior_id: Uuid,
    #[sqlx(try_from = "String")]
    pub slot: Slot,
    pub building_id: Uuid,
    pub building: String,
}

/// The checks of a date that somebody has to walk for.
pub async fn planned(tx: &mut Tx, site_id: Uuid, date: NaiveDate) -> Result<Vec<Planned>> {
    let sql = "select d.senior_id, d.slot, b.id as building_id, b.name as building from daily_check d
        join senior s on s.site_id = d.site_id and s.id = d.senior_id
        join home h on h.site_id = s.site_id and h.id = s.home_id
        join place b on b.site_id = h.site_id and b.id = h.building_id
        where d.site_id = $1 and d.local_date = $2 and d.state = 'expected' and s.purpose = 'real'
          and not exists (select 1 from absence a where a.site_id = d.site_id and a.senior_id = d.senior_id
            and a.from_date <= $2 and a.return_date > $2 and a.confirmed_at is not null and a.cancelled_at is null)
        order by b.id, d.senior_id, d.slot";
    Ok(on!(tx, |conn| sqlx::query_as(sql).bind(site_id).bind(date).fetch_all(conn).await)?)
}

/// The checks of a date for which nobody walks: no duty, and whoever is paired is away without anybody standing in.
pub async fn uncovered(tx: &mut Tx, site_id: Uuid, date: NaiveDate) -> Result<Vec<Planned>> {
    let mut open = planned(tx, site_id, date).await?;
    let rosters = roster::load(tx, site_id, &seniors_of(&open), date).await?;
    let weekday = day::weekday_bit(date);
    open.retain(|check| rosters.get(&check.senior_id).is_none_or(|roster| roster.walkers(check.slot, weekday).is_empty()));
    Ok(open)
}

/// The seniors of these checks, each once.
pub fn seniors_of(checks: &[Planned]) -> Vec<Uuid> {
    let seniors: BTreeSet<Uuid> = checks.iter().map(|check| check.senior_id).collect();
    seniors.into_iter().collect()
}
