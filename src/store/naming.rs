//! How a sentence names people: a senior as she is called, with building and unit, and nothing else (domain.md §5, I34); a member as
//! she is called.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use sqlx::AssertSqlSafe;
use uuid::Uuid;

use super::{Result, Tx, bulk};
use crate::domain::notice::{Arguments, arguments};
use crate::domain::refusal::Refusal;
use crate::on;

/// Each of these seniors with her door, in walking order; one that is not known is left out.
pub async fn doors(tx: &mut Tx, site_id: Uuid, seniors: &[Uuid]) -> Result<Vec<(Uuid, Arguments)>> {
    let rows: Vec<Value> = seniors.iter().map(|id| json!({ "site": site_id, "id": id })).collect();
    let rows = Value::from(rows).to_string();
    let sql = bulk::text(
        tx,
        "select s.id, s.called, b.name, h.unit from {rows}
         join senior s on s.site_id = {site:uuid} and s.id = {id:uuid}
         join home h on h.site_id = s.site_id and h.id = s.home_id
         join place b on b.site_id = h.site_id and b.id = h.building_id
         order by b.walk_order, b.name, h.walk_order, s.id",
    );
    let found: Vec<(Uuid, String, String, String)> = on!(tx, |conn| sqlx::query_as(AssertSqlSafe(sql)).bind(&rows).fetch_all(conn).await)?;
    let named = found.into_iter().map(|(id, senior, building, unit)| (id, [("senior", senior), ("building", building), ("unit", unit)]));
    Ok(named.map(|(id, said)| (id, arguments(said))).collect())
}

/// One senior with her door.
pub async fn door(tx: &mut Tx, site_id: Uuid, senior: Uuid) -> Result<Arguments> {
    let found = doors(tx, site_id, &[senior]).await?.pop();
    Ok(found.ok_or_else(Refusal::not_found)?.1)
}

/// What a member is called; nothing if there is none.
pub async fn member(tx: &mut Tx, site_id: Uuid, member: Uuid) -> Result<String> {
    let sql = "select called from member where site_id = $1 and id = $2";
    let called: Option<String> = on!(tx, |conn| sqlx::query_scalar(sql).bind(site_id).bind(member).fetch_optional(conn).await)?;
    Ok(called.unwrap_or_default())
}

/// What each of these members is called.
pub async fn members(tx: &mut Tx, site_id: Uuid, ids: &BTreeSet<Uuid>) -> Result<BTreeMap<Uuid, String>> {
    let rows: Vec<Value> = ids.iter().map(|id| json!({ "site": site_id, "id": id })).collect();
    let rows = Value::from(rows).to_string();
    let sql = bulk::text(tx, "select m.id, m.called from {rows} join member m on m.site_id = {site:uuid} and m.id = {id:uuid}");
    let found: Vec<(Uuid, String)> = on!(tx, |conn| sqlx::query_as(AssertSqlSafe(sql)).bind(&rows).fetch_all(conn).await)?;
    Ok(found.into_iter().collect())
}
