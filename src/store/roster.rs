//! The people around many seniors in four queries; `domain::roster` decides who of them is meant.

use std::collections::{BTreeSet, HashMap};
use std::str::FromStr;

use chrono::NaiveDate;
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;
use uuid::Uuid;

use super::outbox::carries;
use super::{Result, Tx, bulk};
use crate::domain::place::Role;
use crate::domain::roster::{DutyFact, GrantFact, Roster};
use crate::domain::words::UnknownWord;
use crate::on;

/// The member of a row has not left.
///
/// Asked row by row and not joined: on tables without statistics, such as after a large import, PostgreSQL joins everybody of the
/// site with every input row first, and looks through the whole site for each of these pairs (8 s instead of 15 ms for 1,000).
macro_rules! is_there {
    ($table:literal) => {
        concat!("(select m.ended_at is null from member m where m.site_id = ", $table, ".site_id and m.id = ", $table, ".member_id)")
    };
}

/// A grid stands between building and compound: nearer than the compound's holders, farther than the building's.
const GRID_DISTANCE: i64 = 1;

/// Rosters of these seniors on a local date.
pub async fn load(tx: &mut Tx, site_id: Uuid, seniors: &[Uuid], date: NaiveDate) -> Result<HashMap<Uuid, Roster>> {
    let mut rosters = HashMap::with_capacity(seniors.len());
    for chunk in seniors.chunks(bulk::ROWS_MAX) {
        let rows: Vec<Value> = chunk.iter().map(|id| json!({ "site": site_id, "id": id })).collect();
        load_chunk(tx, &Value::from(rows).to_string(), site_id, date, &mut rosters).await?;
    }
    Ok(rosters)
}

/// The roster of one senior; empty if she is not known.
pub async fn of(tx: &mut Tx, site_id: Uuid, senior: Uuid, date: NaiveDate) -> Result<Roster> {
    Ok(load(tx, site_id, &[senior], date).await?.remove(&senior).unwrap_or_default())
}

/// Everybody of the site with a verified channel that works.
pub async fn reachable(tx: &mut Tx, site_id: Uuid) -> Result<BTreeSet<Uuid>> {
    let sql = concat!(
        "select distinct c.member_id from member_channel c join member m on m.site_id = c.site_id and m.id = c.member_id
         where c.site_id = $1 and m.ended_at is null and ",
        carries!()
    );
    let members: Vec<Uuid> = on!(tx, |conn| sqlx::query_scalar(sql).bind(site_id).fetch_all(conn).await)?;
    Ok(members.into_iter().collect())
}

async fn load_chunk(tx: &mut Tx, rows: &str, site_id: Uuid, date: NaiveDate, rosters: &mut HashMap<Uuid, Roster>) -> Result<()> {
    let sql = bulk::text(
        tx,
        "select s.id, h.building_id, (select m.id from member m
             where m.site_id = h.site_id and m.id = h.key_holder_member_id and m.ended_at is null) as key_holder
         from {rows}
         join senior s on s.site_id = {site:uuid} and s.id = {id:uuid}
         join home h on h.site_id = s.site_id and h.id = s.home_id",
    );
    let homes: Vec<(Uuid, Uuid, Option<Uuid>)> = on!(tx, |conn| sqlx::query_as(AssertSqlSafe(sql)).bind(rows).fetch_all(conn).await)?;
    let mut buildings: HashMap<Uuid, (Vec<GrantFact>, Vec<DutyFact>)> =
        homes.iter().map(|(_, building, _)| (*building, Default::default())).collect();
    let building_rows: Vec<Value> = buildings.keys().map(|id| json!({ "site": site_id, "id": id })).collect();
    let building_rows = Value::from(building_rows).to_string();
    grants(tx, &building_rows, date, &mut buildings).await?;
    building_duties(tx, &building_rows, date, &mut buildings).await?;
    let leaves = leaves(tx, site_id, date).await?;
    for (senior, building, key_holder) in &homes {
        let (grants, duties) = buildings.get(building).cloned().unwrap_or_default();
        let roster = Roster { duties, grants, key_holder: *key_holder, leaves: leaves.clone(), ..Roster::default() };
        rosters.insert(*senior, roster);
    }
    pairings(tx, rows, date, rosters).await?;
    senior_duties(tx, rows, date, rosters).await
}

async fn pairings(tx: &mut Tx, rows: &str, date: NaiveDate, rosters: &mut HashMap<Uuid, Roster>) -> Result<()> {
    let sql = bulk::text(
        tx,
        concat!(
            "select p.senior_id, p.member_id, p.kind from {rows}
         join pairing p on p.site_id = {site:uuid} and p.senior_id = {id:uuid}
         where p.from_date <= $2 and (p.to_date is null or p.to_date > $2) and ",
            is_there!("p"),
            " order by p.created_at, p.id"
        ),
    );
    let found: Vec<(Uuid, Uuid, String)> = on!(tx, |conn| sqlx::query_as(AssertSqlSafe(sql)).bind(rows).bind(date).fetch_all(conn).await)?;
    for (senior, member, kind) in found {
        let Some(kind) = readable(&kind, "pairing", senior) else { continue };
        rosters.entry(senior).or_default().pairings.push((kind, member));
    }
    Ok(())
}

type Around = HashMap<Uuid, (Vec<GrantFact>, Vec<DutyFact>)>;

async fn grants(tx: &mut Tx, buildings: &str, date: NaiveDate, around: &mut Around) -> Result<()> {
    let sql = bulk::text(
        tx,
        concat!(
            "select c.descendant_id, g.role, g.member_id, c.depth * 2 from {rows}
         join place_closure c on c.site_id = {site:uuid} and c.descendant_id = {id:uuid}
         join role_grant g on g.site_id = c.site_id and g.place_id = c.ancestor_id
         where g.from_date <= $2 and (g.to_date is null or g.to_date > $2) and ",
            is_there!("g")
        ),
    );
    let found: Vec<(Uuid, String, Uuid, i64)> =
        on!(tx, |conn| sqlx::query_as(AssertSqlSafe(sql)).bind(buildings).bind(date).fetch_all(conn).await)?;
    let sql = bulk::text(
        tx,
        concat!(
            "select gp.place_id, g.role, g.member_id from {rows}
         join grid_place gp on gp.site_id = {site:uuid} and gp.place_id = {id:uuid}
             and gp.from_date <= $2 and (gp.to_date is null or gp.to_date > $2)
         join role_grant g on g.site_id = gp.site_id and g.grid_id = gp.grid_id
         where g.from_date <= $2 and (g.to_date is null or g.to_date > $2) and ",
            is_there!("g")
        ),
    );
    let of_grids: Vec<(Uuid, String, Uuid)> =
        on!(tx, |conn| sqlx::query_as(AssertSqlSafe(sql)).bind(buildings).bind(date).fetch_all(conn).await)?;
    let of_grids = of_grids.into_iter().map(|(building, role, member)| (building, role, member, GRID_DISTANCE));
    for (building, role, member_id, distance) in found.into_iter().chain(of_grids) {
        let Some(role) = readable(&role, "role_grant", member_id) else { continue };
        around.entry(building).or_default().0.push(GrantFact { role, member_id, distance });
    }
    Ok(())
}

async fn building_duties(tx: &mut Tx, buildings: &str, date: NaiveDate, around: &mut Around) -> Result<()> {
    let sql = bulk::text(
        tx,
        concat!(
            "select ds.scope_id, d.member_id, d.slot, d.weekdays from {rows}
         join duty_scope ds on ds.site_id = {site:uuid} and ds.scope_id = {id:uuid} and ds.scope_kind = 'building'
         join duty d on d.site_id = ds.site_id and d.id = ds.duty_id
         where d.from_date <= $2 and (d.to_date is null or d.to_date > $2) and ",
            is_there!("d")
        ),
    );
    let found: Vec<(Uuid, Uuid, String, i64)> =
        on!(tx, |conn| sqlx::query_as(AssertSqlSafe(sql)).bind(buildings).bind(date).fetch_all(conn).await)?;
    for (building, member, slot, weekdays) in found {
        let Some(slot) = readable(&slot, "duty", member) else { continue };
        around.entry(building).or_default().1.push(DutyFact { member_id: member, slot, weekdays });
    }
    Ok(())
}

async fn senior_duties(tx: &mut Tx, rows: &str, date: NaiveDate, rosters: &mut HashMap<Uuid, Roster>) -> Result<()> {
    let sql = bulk::text(
        tx,
        concat!(
            "select ds.scope_id, d.member_id, d.slot, d.weekdays from {rows}
         join duty_scope ds on ds.site_id = {site:uuid} and ds.scope_id = {id:uuid} and ds.scope_kind = 'senior'
         join duty d on d.site_id = ds.site_id and d.id = ds.duty_id
         where d.from_date <= $2 and (d.to_date is null or d.to_date > $2) and ",
            is_there!("d")
        ),
    );
    let found: Vec<(Uuid, Uuid, String, i64)> =
        on!(tx, |conn| sqlx::query_as(AssertSqlSafe(sql)).bind(rows).bind(date).fetch_all(conn).await)?;
    for (senior, member, slot, weekdays) in found {
        let Some(slot) = readable(&slot, "duty", member) else { continue };
        rosters.entry(senior).or_default().duties.push(DutyFact { member_id: member, slot, weekdays });
    }
    Ok(())
}

/// A row about one helper that cannot be read is left out: it must not keep an alert of a whole building from opening (I28).
fn readable<T: FromStr<Err = UnknownWord>>(word: &str, what: &'static str, id: Uuid) -> Option<T> {
    word.parse().inspect_err(|error| tracing::error!(what, %id, %error, "broken record left out of the roster")).ok()
}

async fn leaves(tx: &mut Tx, site_id: Uuid, date: NaiveDate) -> Result<Vec<(Uuid, Option<Uuid>)>> {
    let sql =
        "select l.member_id, (select m.id from member m where m.site_id = l.site_id and m.id = l.substitute_id and m.ended_at is null)
        from leave_of_absence l where l.site_id = $1 and l.from_date <= $2 and l.return_date > $2 and l.cancelled_at is null";
    Ok(on!(tx, |conn| sqlx::query_as(sql).bind(site_id).bind(date).fetch_all(conn).await)?)
}

/// Who gets system notices.
pub async fn operators(tx: &mut Tx, site_id: Uuid, date: NaiveDate) -> Result<Vec<Uuid>> {
    holders(tx, site_id, Role::Operator, date).await
}

/// Everybody who holds a role anywhere in the site.
pub async fn holders(tx: &mut Tx, site_id: Uuid, role: Role, date: NaiveDate) -> Result<Vec<Uuid>> {
    let sql = "select distinct g.member_id from role_grant g join member m on m.site_id = g.site_id and m.id = g.member_id
        where g.site_id = $1 and g.role = $2 and g.from_date <= $3 and (g.to_date is null or g.to_date > $3) and m.ended_at is null order by g.member_id";
    Ok(on!(tx, |conn| sqlx::query_scalar(sql).bind(site_id).bind(role.as_str()).bind(date).fetch_all(conn).await)?)
}
