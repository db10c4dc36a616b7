//! Tells the others concerned of an act that silences, in its own transaction: primary, backup, and the nearest social
//! worker and branch secretary, all but the one who did it.

use chrono::NaiveDate;
use chrono_tz::Tz;
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;
use uuid::Uuid;

use super::case::{INSERT_NOTICE, notice_row};
use super::register::By;
use super::{Result, Tx, bulk, plan, roster};
use crate::domain::notice::{Arguments, NewNotice, arguments};
use crate::domain::roster::Roster;
use crate::domain::silence::Silenced;
use crate::domain::{day, id};
use crate::on;

/// About one senior.
pub async fn tell(tx: &mut Tx, by: &By, senior_id: Uuid, what: Silenced) -> Result<()> {
    tell_each(tx, by, &[senior_id], what).await
}

/// About each of these seniors, to those concerned with her.
pub async fn tell_each(tx: &mut Tx, by: &By, seniors: &[Uuid], what: Silenced) -> Result<()> {
    if seniors.is_empty() {
        return Ok(());
    }
    let input: Vec<Value> = seniors.iter().map(|id| json!({ "site": by.site_id, "id": id })).collect();
    let sql = bulk::text(
        tx,
        "select distinct s.id, s.called, h.unit, b.name from {rows}
         join senior s on s.site_id = {site:uuid} and s.id = {id:uuid}
         join home h on h.site_id = s.site_id and h.id = s.home_id
         join place b on b.site_id = h.site_id and b.id = h.building_id",
    );
    let input = Value::from(input).to_string();
    let found: Vec<(Uuid, String, String, String)> = on!(tx, |conn| sqlx::query_as(AssertSqlSafe(sql)).bind(input).fetch_all(conn).await)?;
    let today = today(tx, by).await?;
    let rosters = roster::load(tx, by.site_id, seniors, today).await?;
    let told = found.into_iter().map(|(id, senior, unit, building)| {
        let people = rosters.get(&id).map(Roster::concerned).unwrap_or_default();
        (people, id, arguments([("senior", senior), ("unit", unit), ("building", building)]))
    });
    write(tx, by, told.collect(), what, today).await
}

/// Who and where, as a sentence says it.
pub(super) async fn about(tx: &mut Tx, site_id: Uuid, senior_id: Uuid) -> Result<Option<Arguments>> {
    let sql = "select s.called, h.unit, b.name from senior s
        join home h on h.site_id = s.site_id and h.id = s.home_id
        join place b on b.site_id = h.site_id and b.id = h.building_id
        where s.site_id = $1 and s.id = $2";
    let found: Option<(String, String, String)> =
        on!(tx, |conn| sqlx::query_as(sql).bind(site_id).bind(senior_id).fetch_optional(conn).await)?;
    Ok(found.map(|(senior, unit, building)| arguments([("senior", senior), ("unit", unit), ("building", building)])))
}

/// About the times of the whole site: told to everybody who answers for seniors in it.
pub async fn tell_site(tx: &mut Tx, by: &By, what: Silenced) -> Result<()> {
    let today = today(tx, by).await?;
    let sql = "select distinct g.member_id from role_grant g join member m on m.site_id = g.site_id and m.id = g.member_id
        where g.site_id = $1 and g.role in ('social_worker', 'branch_secretary', 'administrator') and m.ended_at is null
          and g.from_date <= $2 and (g.to_date is null or g.to_date > $2)";
    let people: Vec<Uuid> = on!(tx, |conn| sqlx::query_scalar(sql).bind(by.site_id).bind(today).fetch_all(conn).await)?;
    write(tx, by, vec![(people, by.site_id, Arguments::new())], what, today).await
}

/// What a member is called, as a sentence says it.
pub(super) async fn called(tx: &mut Tx, site_id: Uuid, member: Uuid) -> Result<String> {
    let sql = "select called from member where site_id = $1 and id = $2";
    let called: Option<String> = on!(tx, |conn| sqlx::query_scalar(sql).bind(site_id).bind(member).fetch_optional(conn).await)?;
    Ok(called.unwrap_or_default())
}

async fn today(tx: &mut Tx, by: &By) -> Result<NaiveDate> {
    let zone: Tz = plan::site(tx, by.site_id).await?.zone;
    Ok(day::local_date(zone, by.now))
}

/// One notice per person, act, object and day: an act done and undone all day is one word.
async fn write(tx: &mut Tx, by: &By, told: Vec<(Vec<Uuid>, Uuid, Arguments)>, what: Silenced, today: NaiveDate) -> Result<()> {
    // The command line enters and restores; it silences nobody.
    let Some(actor) = by.actor_id else { return Ok(()) };
    let called = called(tx, by.site_id, actor).await?;
    let mut rows: Vec<Value> = Vec::new();
    for (people, about, mut details) in told {
        details.insert("actor".to_owned(), called.clone());
        rows.extend(people.into_iter().filter(|member| *member != actor).map(|member| {
            let id = id::daily_notice(by.site_id, member, today, &format!("silenced/{what}/{about}"));
            notice_row(by.site_id, &NewNotice::report(id, member, what.key(), details.clone(), by.now), by.now)
        }));
    }
    bulk::execute(tx, INSERT_NOTICE, &rows).await?;
    Ok(())
}
