//! What ties a member to a senior today: role scope, pairing, duty, standing in, an open alert. One senior is asked with
//! [`relation`], lists with `visible_seniors!` inside their own statement, so that a filter is never forgotten between
//! two queries. `domain::access` says what a relation allows.

use std::collections::BTreeSet;

use chrono::NaiveDate;
use serde_json::json;
use uuid::Uuid;

use super::{Error, Result, Tx, bulk};
use crate::domain::access::{Capability, Relation, Who, allows};
use crate::domain::place::Role;
use crate::domain::refusal::Refusal;
use crate::on;

/// The ids of the seniors that a member sees, as a subselect for `concat!`:
/// `concat!("select … from senior s where s.site_id = $1 and s.id in (", visible_seniors!(), ")")`.
///
/// Binds `$1` site, `$2` member, `$3` today; own parameters begin at `$4`. The roles are those that allow `SeniorRead`. Told is
/// whom a rung asked to go, or whom somebody sent: a notice about the alert to the operator opens nobody's door.
#[macro_export]
macro_rules! visible_seniors {
    () => {
        "select s.id from senior s join home h on h.site_id = s.site_id and h.id = s.home_id
            where s.site_id = $1 and h.building_id in (
                select c.descendant_id from role_grant g
                    join place_closure c on c.site_id = g.site_id and c.ancestor_id = g.place_id
                    where g.site_id = $1 and g.member_id = $2 and g.from_date <= $3 and (g.to_date is null or g.to_date > $3)
                        and g.role in ('administrator', 'building_lead', 'grid_officer_full_time', 'grid_officer_part_time',
                            'social_worker', 'branch_secretary', 'street_duty')
                union select c.descendant_id from role_grant g
                    join grid_place gp on gp.site_id = g.site_id and gp.grid_id = g.grid_id
                        and gp.from_date <= $3 and (gp.to_date is null or gp.to_date > $3)
                    join place_closure c on c.site_id = gp.site_id and c.ancestor_id = gp.place_id
                    where g.site_id = $1 and g.member_id = $2 and g.from_date <= $3 and (g.to_date is null or g.to_date > $3)
                        and g.role in ('administrator', 'building_lead', 'grid_officer_full_time', 'grid_officer_part_time',
                            'social_worker', 'branch_secretary', 'street_duty')
                union select ds.scope_id from duty d
                    join duty_scope ds on ds.site_id = d.site_id and ds.duty_id = d.id and ds.scope_kind = 'building'
                    where d.site_id = $1 and d.from_date <= $3 and (d.to_date is null or d.to_date > $3)
                        and (d.member_id = $2 or d.member_id in (
                            select l.member_id from leave_of_absence l where l.site_id = $1 and l.substitute_id = $2
                                and l.from_date <= $3 and l.return_date > $3 and l.cancelled_at is null)))
        union select s.id from senior s
            where s.site_id = $1 and exists (select 1 from role_grant g
                where g.site_id = $1 and g.member_id = $2 and g.from_date <= $3 and (g.to_date is null or g.to_date > $3)
                    and g.place_id is null and g.grid_id is null
                    and g.role in ('administrator', 'building_lead', 'grid_officer_full_time', 'grid_officer_part_time',
                        'social_worker', 'branch_secretary', 'street_duty'))
        union select ds.scope_id from duty d
            join duty_scope ds on ds.site_id = d.site_id and ds.duty_id = d.id and ds.scope_kind = 'senior'
            where d.site_id = $1 and d.from_date <= $3 and (d.to_date is null or d.to_date > $3)
                and (d.member_id = $2 or d.member_id in (
                    select l.member_id from leave_of_absence l where l.site_id = $1 and l.substitute_id = $2
                        and l.from_date <= $3 and l.return_date > $3 and l.cancelled_at is null))
        union select p.senior_id from pairing p
            where p.site_id = $1 and p.from_date <= $3 and (p.to_date is null or p.to_date > $3)
                and (p.member_id = $2 or p.member_id in (
                    select l.member_id from leave_of_absence l where l.site_id = $1 and l.substitute_id = $2
                        and l.from_date <= $3 and l.return_date > $3 and l.cancelled_at is null))
        union select a.senior_id from alert a
            where a.site_id = $1 and a.resolved_at is null and (a.claimed_by = $2 or exists (select 1 from notice n
                where n.site_id = $1 and n.alert_id = a.id and n.recipient_id = $2 and n.state <> 'cancelled'
                    and (n.key like 'notice.alert_%' or n.key like 'notice.manual_%' or n.key like 'notice.help_%' or n.key = 'notice.assigned')))"
    };
}

/// The seniors that a member sees, as a set: for streams, which filter in memory.
pub async fn visible(tx: &mut Tx, who: &Who) -> Result<BTreeSet<Uuid>> {
    let sql = visible_seniors!();
    let ids: Vec<Uuid> =
        on!(tx, |conn| sqlx::query_scalar(sql).bind(who.site_id).bind(who.member_id).bind(who.today).fetch_all(conn).await)?;
    Ok(ids.into_iter().collect())
}

/// What ties a member to one senior; `None`: there is no such senior in the member's site.
pub async fn relation(tx: &mut Tx, who: &Who, senior_id: Uuid) -> Result<Option<Relation>> {
    let sql = "select h.building_id from senior s join home h on h.site_id = s.site_id and h.id = s.home_id
        where s.site_id = $1 and s.id = $2";
    let building: Option<Uuid> = on!(tx, |conn| sqlx::query_scalar(sql).bind(who.site_id).bind(senior_id).fetch_optional(conn).await)?;
    let Some(building) = building else { return Ok(None) };
    let roles = roles_over(tx, who, building).await?;
    let ties = ties(tx, who, senior_id, building).await?;
    Ok(Some(Relation { roles, paired: ties.paired, primary: ties.primary, on_duty: ties.on_duty, told: ties.told }))
}

/// The relation, if it allows this.
///
/// # Errors
/// Not found for a senior whom the member does not see, whether she exists or not (I30); forbidden for one whom she sees.
pub async fn require(tx: &mut Tx, who: &Who, senior_id: Uuid, need: Capability) -> Result<Relation> {
    let relation = relation(tx, who, senior_id).await?.filter(|relation| relation.may(Capability::SeniorRead));
    let relation = relation.ok_or_else(Refusal::not_found)?;
    if relation.may(need) { Ok(relation) } else { Err(Refusal::forbidden("problem.forbidden").into()) }
}

/// The same for a place of the tree: some role whose scope holds it must allow it.
///
/// # Errors
/// Not found for a place of another site, or one outside the scope of every role of the member; forbidden if none allows it.
pub async fn require_place(tx: &mut Tx, who: &Who, place_id: Uuid, need: Capability) -> Result<()> {
    let roles = roles_over(tx, who, place_id).await?;
    if !place_exists(tx, who.site_id, place_id).await? || roles.is_empty() {
        return Err(Refusal::not_found().into());
    }
    if roles.iter().any(|role| allows(*role, need)) { Ok(()) } else { Err(Refusal::forbidden("problem.forbidden").into()) }
}

/// The members whom somebody may read about who keeps part of a register: holders of a role in her scope, and those who look after
/// anybody there. The roles are those that allow `MembersRead`.
pub async fn members_in_scope(tx: &mut Tx, who: &Who) -> Result<BTreeSet<Uuid>> {
    let sql = MEMBERS_IN_SCOPE;
    let ids: Vec<Uuid> =
        on!(tx, |conn| sqlx::query_scalar(sql).bind(who.site_id).bind(who.member_id).bind(who.today).fetch_all(conn).await)?;
    Ok(ids.into_iter().collect())
}

const MEMBERS_IN_SCOPE: &str = "with mine as (
        select g.place_id, g.grid_id from role_grant g
        where g.site_id = $1 and g.member_id = $2 and g.from_date <= $3 and (g.to_date is null or g.to_date > $3)
            and g.role in ('administrator', 'building_lead', 'grid_officer_full_time', 'grid_officer_part_time',
                'social_worker', 'branch_secretary', 'street_duty')),
    scope as (
        select c.descendant_id as id from mine join place_closure c on c.site_id = $1 and c.ancestor_id = mine.place_id
        union select c.descendant_id from mine join grid_place gp on gp.site_id = $1 and gp.grid_id = mine.grid_id
            join place_closure c on c.site_id = $1 and c.ancestor_id = gp.place_id),
    looked_after as (
        select s.id from senior s join home h on h.site_id = s.site_id and h.id = s.home_id
        where s.site_id = $1 and h.building_id in (select id from scope))
    select $2 as id
    union select g.member_id from role_grant g where g.site_id = $1 and (g.place_id in (select id from scope)
        or g.grid_id in (select gp.grid_id from grid_place gp where gp.site_id = $1 and gp.place_id in (select id from scope)))
    union select p.member_id from pairing p where p.site_id = $1 and p.senior_id in (select id from looked_after)
    union select d.member_id from duty d join duty_scope ds on ds.site_id = d.site_id and ds.duty_id = d.id
        where d.site_id = $1 and ((ds.scope_kind = 'building' and ds.scope_id in (select id from scope))
            or (ds.scope_kind = 'senior' and ds.scope_id in (select id from looked_after)))";

/// Which of these are members of the site, also those who have left: they may have seen something before.
pub async fn members_among(tx: &mut Tx, site_id: Uuid, ids: &BTreeSet<Uuid>) -> Result<BTreeSet<Uuid>> {
    if ids.is_empty() {
        return Ok(BTreeSet::new());
    }
    let rows: Vec<_> = ids.iter().map(|id| json!({ "site": site_id, "id": id })).collect();
    let sql = bulk::text(tx, "select m.id from {rows} join member m on m.site_id = {site:uuid} and m.id = {id:uuid}");
    let rows = serde_json::Value::from(rows).to_string();
    let found: Vec<Uuid> = on!(tx, |conn| sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).bind(&rows).fetch_all(conn).await)?;
    Ok(found.into_iter().collect())
}

/// What a member looks after on any day of a span, by pairing or duty: seniors and buildings.
#[derive(Debug, Default)]
pub struct Held {
    pub seniors: Vec<Uuid>,
    pub buildings: Vec<Uuid>,
}

/// Whoever stands in for the member from `from` to the day before `to` sees all of this.
pub async fn held_by(tx: &mut Tx, site_id: Uuid, member_id: Uuid, from: NaiveDate, to: NaiveDate) -> Result<Held> {
    let sql = "select 'senior' as kind, p.senior_id as id from pairing p
            where p.site_id = $1 and p.member_id = $2 and p.from_date < $4 and (p.to_date is null or p.to_date > $3)
        union select ds.scope_kind, ds.scope_id from duty d join duty_scope ds on ds.site_id = d.site_id and ds.duty_id = d.id
            where d.site_id = $1 and d.member_id = $2 and d.from_date < $4 and (d.to_date is null or d.to_date > $3)";
    let rows: Vec<(String, Uuid)> =
        on!(tx, |conn| sqlx::query_as(sql).bind(site_id).bind(member_id).bind(from).bind(to).fetch_all(conn).await)?;
    let mut held = Held::default();
    for (kind, id) in rows {
        if kind == "building" { held.buildings.push(id) } else { held.seniors.push(id) }
    }
    Ok(held)
}

async fn place_exists(tx: &mut Tx, site_id: Uuid, place_id: Uuid) -> Result<bool> {
    let sql = "select count(*) from place where site_id = $1 and id = $2";
    let rows: i64 = on!(tx, |conn| sqlx::query_scalar(sql).bind(site_id).bind(place_id).fetch_one(conn).await)?;
    Ok(rows > 0)
}

/// The member's roles whose scope holds a place: granted for it or above it, for a grid that holds it, or for the site.
async fn roles_over(tx: &mut Tx, who: &Who, place_id: Uuid) -> Result<Vec<Role>> {
    let sql = "select distinct g.role from role_grant g
        where g.site_id = $1 and g.member_id = $2 and g.from_date <= $3 and (g.to_date is null or g.to_date > $3)
            and ((g.place_id is null and g.grid_id is null)
                or g.place_id in (select c.ancestor_id from place_closure c where c.site_id = $1 and c.descendant_id = $4)
                or g.grid_id in (select gp.grid_id from grid_place gp
                    join place_closure c on c.site_id = gp.site_id and c.ancestor_id = gp.place_id
                    where gp.site_id = $1 and c.descendant_id = $4
                        and gp.from_date <= $3 and (gp.to_date is null or gp.to_date > $3)))";
    let words: Vec<String> =
        on!(tx, |conn| sqlx::query_scalar(sql).bind(who.site_id).bind(who.member_id).bind(who.today).bind(place_id).fetch_all(conn).await)?;
    words.into_iter().map(|word| word.parse().map_err(|why| Error::broken("role_grant", who.member_id, why))).collect()
}

#[derive(sqlx::FromRow)]
struct Ties {
    paired: bool,
    primary: bool,
    on_duty: bool,
    told: bool,
}

async fn ties(tx: &mut Tx, who: &Who, senior_id: Uuid, building: Uuid) -> Result<Ties> {
    let sql = "with mine as (select $2 as id union select l.member_id from leave_of_absence l
            where l.site_id = $1 and l.substitute_id = $2 and l.from_date <= $3 and l.return_date > $3 and l.cancelled_at is null)
        select
            exists (select 1 from pairing p where p.site_id = $1 and p.senior_id = $4 and p.member_id in (select id from mine)
                and p.from_date <= $3 and (p.to_date is null or p.to_date > $3)) as paired,
            exists (select 1 from pairing p where p.site_id = $1 and p.senior_id = $4 and p.member_id in (select id from mine)
                and p.kind = 'primary' and p.from_date <= $3 and (p.to_date is null or p.to_date > $3)) as \"primary\",
            exists (select 1 from duty d join duty_scope ds on ds.site_id = d.site_id and ds.duty_id = d.id
                where d.site_id = $1 and d.member_id in (select id from mine)
                    and d.from_date <= $3 and (d.to_date is null or d.to_date > $3)
                    and ((ds.scope_kind = 'senior' and ds.scope_id = $4) or (ds.scope_kind = 'building' and ds.scope_id = $5))) as on_duty,
            exists (select 1 from alert a where a.site_id = $1 and a.senior_id = $4 and a.resolved_at is null
                and (a.claimed_by = $2 or exists (select 1 from notice n where n.site_id = $1 and n.alert_id = a.id
                    and n.recipient_id = $2 and n.state <> 'cancelled'
                    and (n.key like 'notice.alert_%' or n.key like 'notice.manual_%' or n.key like 'notice.help_%' or n.key = 'notice.assigned')))) as told";
    Ok(on!(tx, |conn| sqlx::query_as(sql)
        .bind(who.site_id)
        .bind(who.member_id)
        .bind(who.today)
        .bind(senior_id)
        .bind(building)
        .fetch_one(conn)
        .await)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::alert::StepAct;
    use crate::domain::check::Cause;
    use crate::domain::notice::key_of;

    #[test]
    fn every_rung_of_the_ladder_counts_as_having_been_told() {
        const COUNTED: [&str; 3] = ["notice.alert_", "notice.manual_", "notice.help_"];
        for (act, cause) in StepAct::ALL.iter().flat_map(|act| Cause::ALL.iter().map(move |cause| (*act, *cause))) {
            for key in [key_of(act, false, cause), key_of(act, true, cause)] {
                assert!(COUNTED.iter().any(|counted| key.starts_with(counted)), "{key} is not in the statements of this file");
            }
        }
        let sql = visible_seniors!();
        assert!(COUNTED.iter().all(|counted| sql.contains(&format!("like '{counted}%'"))));
    }

    #[test]
    fn the_list_shows_by_role_exactly_what_the_rules_show_by_role() {
        let sql = visible_seniors!();
        for role in Role::ALL {
            let named = sql.matches(&format!("'{role}'")).count();
            assert_eq!(named, if allows(*role, Capability::SeniorRead) { 3 } else { 0 }, "{role}");
            let named = MEMBERS_IN_SCOPE.contains(&format!("'{role}'"));
            assert_eq!(named, allows(*role, Capability::MembersRead), "{role}");
        }
    }
}
