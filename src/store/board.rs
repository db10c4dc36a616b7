//! What stands on the social worker's board: the numbers of today by building, who has not been looked at yet apart from whose
//! sign is missing, the open alerts counted, and what is left to write down about closed ones. One statement each, however many
//! seniors; everything is limited to those whom the reader sees.

pub mod care;

use chrono::{DateTime, Utc};
use sqlx::FromRow;
use uuid::Uuid;

use super::{Result, Tx};
use crate::domain::access::Who;
use crate::domain::check::{Cause, CheckState, Slot};
use crate::domain::place::PlaceKind;
use crate::on;

/// The seniors of a board: real ones whom the member sees, in a place or anywhere. Binds `$1` site, `$2` member, `$3` today, `$4`
/// place.
macro_rules! on_board {
    () => {
        concat!(
            "s.purpose = 'real'
            and ($4 is null or h.building_id in (select descendant_id from place_closure where site_id = $1 and ancestor_id = $4))
            and s.id in (",
            crate::visible_seniors!(),
            ")"
        )
    };
}
use on_board;

/// Checks of today in one building, slot and state.
#[derive(Debug, Clone, FromRow)]
pub struct Counted {
    pub building_id: Uuid,
    pub building: String,
    #[sqlx(try_from = "String")]
    pub slot: Slot,
    #[sqlx(try_from = "String")]
    pub state: CheckState,
    pub count: i64,
    /// Of these, whom nobody has looked at although the round has begun.
    pub unseen: i64,
}

/// The checks of today, building by building in walking order. A senior who moved stands where she lives today.
pub async fn counted(tx: &mut Tx, who: &Who, place: Option<Uuid>, now: DateTime<Utc>) -> Result<Vec<Counted>> {
    let sql = concat!(
        "select b.id as building_id, b.name as building, d.slot, d.state, count(*) as count,
            count(case when d.state = 'expected' and d.window_opens_at <= $5 then 1 end) as unseen
        from daily_check d
        join senior s on s.site_id = d.site_id and s.id = d.senior_id
        join home h on h.site_id = s.site_id and h.id = s.home_id
        join place b on b.site_id = h.site_id and b.id = h.building_id
        where d.site_id = $1 and d.local_date = $3 and ",
        on_board!(),
        " group by b.id, b.name, b.walk_order, d.slot, d.state order by b.walk_order, b.name, b.id, d.slot, d.state"
    );
    Ok(on!(tx, |conn| sqlx::query_as(sql)
        .bind(who.site_id)
        .bind(who.member_id)
        .bind(who.today)
        .bind(place)
        .bind(now)
        .fetch_all(conn)
        .await)?)
}

/// A senior whose check is still open today.
#[derive(Debug, Clone, FromRow)]
pub struct Waiting {
    pub senior_id: Uuid,
    pub called: String,
    pub building: String,
    pub unit: String,
    pub room: String,
    #[sqlx(try_from = "String")]
    pub state: CheckState,
    pub deadline_at: DateTime<Utc>,
    /// Of how many.
    pub total: i64,
}

/// Whom nobody has looked at although the round has begun (`unseen`), or whose sign was missing or could not be seen before the
/// cutoff. The next deadline first, then as one walks.
pub async fn waiting(tx: &mut Tx, who: &Who, place: Option<Uuid>, unseen: bool, rows_max: i64, now: DateTime<Utc>) -> Result<Vec<Waiting>> {
    let sql = concat!(
        "select s.id as senior_id, s.called, b.name as building, h.unit, h.room, d.state, d.deadline_at, count(*) over () as total
        from daily_check d
        join senior s on s.site_id = d.site_id and s.id = d.senior_id
        join home h on h.site_id = s.site_id and h.id = s.home_id
        join place b on b.site_id = h.site_id and b.id = h.building_id
        where d.site_id = $1 and d.local_date = $3 and d.window_opens_at <= $5
            and ((d.state = 'expected' and $6) or (d.state in ('tentative', 'tentative_blind') and not $6)) and ",
        on_board!(),
        " order by d.deadline_at, b.walk_order, b.name, h.walk_order, s.id limit $7"
    );
    Ok(on!(tx, |conn| sqlx::query_as(sql)
        .bind(who.site_id)
        .bind(who.member_id)
        .bind(who.today)
        .bind(place)
        .bind(now)
        .bind(unseen)
        .bind(rows_max)
        .fetch_all(conn)
        .await)?)
}

/// Open alerts of one cause.
#[derive(Debug, Clone, Copy, FromRow)]
pub struct Open {
    #[sqlx(try_from = "String")]
    pub cause: Cause,
    pub count: i64,
}

/// How many alerts are open, by cause.
pub async fn open_alerts(tx: &mut Tx, who: &Who, place: Option<Uuid>) -> Result<Vec<Open>> {
    let sql = concat!(
        "select a.cause, count(*) as count from alert a
        join senior s on s.site_id = a.site_id and s.id = a.senior_id
        join home h on h.site_id = s.site_id and h.id = s.home_id
        where a.site_id = $1 and a.resolved_at is null and ",
        on_board!(),
        " group by a.cause"
    );
    Ok(on!(tx, |conn| sqlx::query_as(sql).bind(who.site_id).bind(who.member_id).bind(who.today).bind(place).fetch_all(conn).await)?)
}

/// A closed alert about which something is left to write down.
#[derive(Debug, Clone, FromRow)]
pub struct Unfinished {
    pub id: Uuid,
    pub called: String,
    pub building: String,
    pub unit: String,
    pub opened_at: DateTime<Utc>,
    pub resolved_at: DateTime<Utc>,
    /// What it was is not known yet; otherwise somebody should look it over.
    pub outcome_missing: bool,
    pub missing_total: i64,
    pub total: i64,
}

/// Alerts opened since then that are closed without an outcome, and those that nobody has reviewed.
pub async fn unfinished(tx: &mut Tx, who: &Who, place: Option<Uuid>, since: DateTime<Utc>, rows_max: i64) -> Result<Vec<Unfinished>> {
    let sql = concat!(
        "select a.id, s.called, b.name as building, h.unit, a.opened_at, a.resolved_at, a.outcome is null as outcome_missing,
            count(case when a.outcome is null then 1 end) over () as missing_total, count(*) over () as total
        from alert a
        join senior s on s.site_id = a.site_id and s.id = a.senior_id
        join home h on h.site_id = s.site_id and h.id = s.home_id
        join place b on b.site_id = h.site_id and b.id = h.building_id
        where a.site_id = $1 and a.opened_at >= $5 and a.resolved_at is not null and a.reviewed_at is null and not a.drill and ",
        on_board!(),
        " order by case when a.outcome is null then 0 else 1 end, a.resolved_at desc, a.id limit $6"
    );
    Ok(on!(tx, |conn| sqlx::query_as(sql)
        .bind(who.site_id)
        .bind(who.member_id)
        .bind(who.today)
        .bind(place)
        .bind(since)
        .bind(rows_max)
        .fetch_all(conn)
        .await)?)
}

/// A place by which the board can be filtered.
#[derive(Debug, Clone, FromRow)]
pub struct BoardPlace {
    pub id: Uuid,
    #[sqlx(try_from = "String")]
    pub kind: PlaceKind,
    pub name: String,
    pub parent_id: Option<Uuid>,
}

/// The places within the scope of a role that shows seniors, in walking order.
pub async fn places(tx: &mut Tx, who: &Who) -> Result<Vec<BoardPlace>> {
    let sql = "with mine as (
            select g.place_id, g.grid_id from role_grant g
            where g.site_id = $1 and g.member_id = $2 and g.from_date <= $3 and (g.to_date is null or g.to_date > $3)
                and g.role in ('administrator', 'building_lead', 'grid_officer_full_time', 'grid_officer_part_time',
                    'social_worker', 'branch_secretary', 'street_duty')),
        scope as (
            select c.descendant_id as id from mine join place_closure c on c.site_id = $1 and c.ancestor_id = mine.place_id
            union select c.descendant_id from mine
                join grid_place gp on gp.site_id = $1 and gp.grid_id = mine.grid_id
                    and gp.from_date <= $3 and (gp.to_date is null or gp.to_date > $3)
                join place_closure c on c.site_id = $1 and c.ancestor_id = gp.place_id
            union select p.id from place p where p.site_id = $1
                and exists (select 1 from mine where mine.place_id is null and mine.grid_id is null))
        select p.id, p.kind, p.name, p.parent_id from place p
        where p.site_id = $1 and p.ended_at is null and p.id in (select id from scope)
        order by p.walk_order, p.name, p.id";
    Ok(on!(tx, |conn| sqlx::query_as(sql).bind(who.site_id).bind(who.member_id).bind(who.today).fetch_all(conn).await)?)
}

#[cfg(test)]
mod tests {
    use crate::domain::access::{Capability, allows};
    use crate::domain::place::Role;

    #[test]
    fn a_board_is_filtered_by_places_of_the_roles_that_show_seniors() {
        let source = include_str!("board.rs");
        let named = source.split("g.role in (").nth(1).and_then(|rest| rest.split(')').next()).unwrap_or_default();
        for role in Role::ALL {
            assert_eq!(named.contains(&format!("'{role}'")), allows(*role, Capability::SeniorRead), "{role}");
        }
    }
}
