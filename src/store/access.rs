//! What ties a member to a senior today: role scope, pairing, duty, standing in, an open alert. One senior is asked with
//! [`relation`], those of a list together with [`relations`]; which seniors a list holds is asked with `visible_seniors!`
//! inside its own statement, so that a filter is never forgotten between two queries. `domain::access` says what a relation
//! allows.

use std::collections::{BTreeMap, BTreeSet};

use chrono::NaiveDate;
use serde_json::json;
use uuid::Uuid;

use super::{Error, Result, Tx, bulk};
use crate::domain::access::{Capability, Relation, Who, allows};
use crate::domain::place::Role;
use crate::domain::refusal::Refusal;
use crate::on;

/// Whether the alert `a` of the member's site is hers to go to: it is not resolved, and she has claimed it, or a rung or a person
/// has sent her. A notice about the alert to the operator opens nobody's door. Binds as `visible_seniors!` does.
#[macro_export]
macro_rules! told {
    () => {
        "a.resolved_at is null and (a.claimed_by = $2 or exists (select 1 from notice n
            where n.site_id = $1 and n.alert_id = a.id and n.recipient_id = $2 and n.state <> 'cancelled'
                and (n.key like 'notice.alert_%' or n.key like 'notice.manual_%' or n.key like 'notice.help_%' or n.key like 'notice.contact%'
                    or n.key = 'notice.assigned')))"
    };
}

/// The ids of the seniors that a member sees, as a subselect for `concat!`:
/// `concat!("select … from senior s where s.site_id = $1 and s.id in (", visible_seniors!(), ")")`.
///
/// Binds `$1` site, `$2` member, `$3` today; own parameters begin at `$4`. The roles are those that allow `SeniorRead`.
#[macro_export]
macro_rules! visible_seniors {
    () => {
        concat!(
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
            where a.site_id = $1 and ",
            $crate::told!()
        )
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
    Ok(relations(tx, who, &BTreeSet::from([senior_id])).await?.remove(&senior_id))
}

/// What ties a member to each of these seniors, in two statements however many they are. Who is not in the member's site is left out.
pub async fn relations(tx: &mut Tx, who: &Who, seniors: &BTreeSet<Uuid>) -> Result<BTreeMap<Uuid, Relation>> {
    let ties = ties(tx, who, seniors).await?;
    let roles = roles_over(tx, who, &ties.iter().map(|row| row.building_id).collect()).await?;
    let with_roles = |row: Ties| {
        let roles = roles.get(&row.building_id).cloned().unwrap_or_default();
        (row.senior_id, Relation { roles, paired: row.paired, primary: row.primary, on_duty: row.on_duty, told: row.told })
    };
    Ok(ties.into_iter().map(with_roles).collect())
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

/// The same for some seniors at once.
pub async fn require_all(tx: &mut Tx, who: &Who, seniors: &BTreeSet<Uuid>, need: Capability) -> Result<()> {
    let relations = relations(tx, who, seniors).await?;
    let may = |need| seniors.iter().all(|id| relations.get(id).is_some_and(|relation| relation.may(need)));
    if !may(Capability::SeniorRead) {
        return Err(Refusal::not_found().into());
    }
    if may(need) { Ok(()) } else { Err(Refusal::forbidden("problem.forbidden").into()) }
}

/// The same for places of the tree: for each of them some role whose scope holds it must allow it.
///
/// # Errors
/// Not found for a place of another site, or one outside the scope of every role of the member; forbidden if none allows it.
pub async fn require_places(tx: &mut Tx, who: &Who, places: &BTreeSet<Uuid>, need: Capability) -> Result<()> {
    let roles = roles_over(tx, who, places).await?;
    if places.iter().any(|place| !roles.contains_key(place)) {
        return Err(Refusal::not_found().into());
    }
    let allowed = roles.values().all(|roles| roles.iter().any(|role| allows(*role, need)));
    if allowed { Ok(()) } else { Err(Refusal::forbidden("problem.forbidden").into()) }
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
    pub seniors: BTreeSet<Uuid>,
    pub buildings: BTreeSet<Uuid>,
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
        if kind == "building" {
            held.buildings.insert(id)
        } else {
            held.seniors.insert(id)
        };
    }
    Ok(held)
}

/// The member's roles whose scope holds each of these places: granted for it or above it, for a grid that holds it, or for the
/// site. A place that no role of hers holds, and one of another site, is left out.
async fn roles_over(tx: &mut Tx, who: &Who, places: &BTreeSet<Uuid>) -> Result<BTreeMap<Uuid, Vec<Role>>> {
    let sql = bulk::part(
        tx,
        "with asked as (select {id:uuid} as id from {rows})
        select distinct p.id, g.role from asked join place p on p.site_id = $1 and p.id = asked.id join role_grant g
            on g.site_id = $1 and g.member_id = $2 and g.from_date <= $3 and (g.to_date is null or g.to_date > $3)
        where (g.place_id is null and g.grid_id is null)
            or g.place_id in (select c.ancestor_id from place_closure c where c.site_id = $1 and c.descendant_id = p.id)
            or g.grid_id in (select gp.grid_id from grid_place gp
                join place_closure c on c.site_id = gp.site_id and c.ancestor_id = gp.place_id
                where gp.site_id = $1 and c.descendant_id = p.id
                    and gp.from_date <= $3 and (gp.to_date is null or gp.to_date > $3))",
        4,
    );
    let mut roles: BTreeMap<Uuid, Vec<Role>> = BTreeMap::new();
    let rows: Vec<(Uuid, String)> = about(tx, who, sql, places).await?;
    for (place, word) in rows {
        let role = word.parse().map_err(|why| Error::broken("role_grant", who.member_id, why))?;
        roles.entry(place).or_default().push(role);
    }
    Ok(roles)
}

#[derive(sqlx::FromRow)]
struct Ties {
    senior_id: Uuid,
    building_id: Uuid,
    paired: bool,
    primary: bool,
    on_duty: bool,
    told: bool,
}

async fn ties(tx: &mut Tx, who: &Who, seniors: &BTreeSet<Uuid>) -> Result<Vec<Ties>> {
    let sql = bulk::part(
        tx,
        concat!(
            "with asked as (select {id:uuid} as id from {rows}),
            mine as (select $2 as id union select l.member_id from leave_of_absence l
                where l.site_id = $1 and l.substitute_id = $2 and l.from_date <= $3 and l.return_date > $3 and l.cancelled_at is null)
            select s.id as senior_id, h.building_id,
                exists (select 1 from pairing p where p.site_id = $1 and p.senior_id = s.id and p.member_id in (select id from mine)
                    and p.from_date <= $3 and (p.to_date is null or p.to_date > $3)) as paired,
                exists (select 1 from pairing p where p.site_id = $1 and p.senior_id = s.id and p.member_id in (select id from mine)
                    and p.kind = 'primary' and p.from_date <= $3 and (p.to_date is null or p.to_date > $3)) as \"primary\",
                exists (select 1 from duty d join duty_scope ds on ds.site_id = d.site_id and ds.duty_id = d.id
                    where d.site_id = $1 and d.member_id in (select id from mine)
                        and d.from_date <= $3 and (d.to_date is null or d.to_date > $3)
                        and ((ds.scope_kind = 'senior' and ds.scope_id = s.id)
                            or (ds.scope_kind = 'building' and ds.scope_id = h.building_id))) as on_duty,
                exists (select 1 from alert a where a.site_id = $1 and a.senior_id = s.id and ",
            crate::told!(),
            ") as told
            from asked join senior s on s.site_id = $1 and s.id = asked.id join home h on h.site_id = s.site_id and h.id = s.home_id"
        ),
        4,
    );
    about(tx, who, sql, seniors).await
}

/// Runs a statement about a member and some ids, which are its fourth parameter.
async fn about<T>(tx: &mut Tx, who: &Who, sql: String, ids: &BTreeSet<Uuid>) -> Result<Vec<T>>
where
    T: for<'r> sqlx::FromRow<'r, sqlx::sqlite::SqliteRow> + for<'r> sqlx::FromRow<'r, sqlx::postgres::PgRow> + Send + Unpin,
{
    let ids: Vec<Uuid> = ids.iter().copied().collect();
    let rows = serde_json::Value::from(bulk::ids(&ids)).to_string();
    Ok(on!(tx, |conn| sqlx::query_as(sqlx::AssertSqlSafe(sql))
        .bind(who.site_id)
        .bind(who.member_id)
        .bind(who.today)
        .bind(rows)
        .fetch_all(conn)
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
        const COUNTED: [&str; 4] = ["notice.alert_", "notice.manual_", "notice.help_", "notice.contact"];
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
