//! The rows behind the figures of a period, over the buildings for which the reader's role answers. Outcomes tell about
//! health, so only roles that may read that count here, not pairings or duties.

use chrono::{DateTime, NaiveDate, Utc};
use chrono_tz::Tz;
use uuid::Uuid;

use super::{Result, Tx};
use crate::domain::access::Who;
use crate::domain::check::{Cause, CheckState};
use crate::domain::day;
use crate::domain::outcome::Outcome;
use crate::domain::statistics::{AlertFact, CheckCount, SeniorDays, Statistics, summarise};
use crate::on;

/// Which period, and where.
#[derive(Debug, Clone, Copy)]
pub struct Period {
    pub from: NaiveDate,
    /// The last day.
    pub to: NaiveDate,
    pub zone: Tz,
    /// This place and below.
    pub place: Option<Uuid>,
}

/// Buildings within the scope of a role that allows `HealthRead` (the same roles keep devices), and below `$4`. Binds `$1` site,
/// `$2` member, `$3` today. The buildings are found once per statement, not once per senior.
macro_rules! in_scope {
    () => {
        "s.purpose = 'real'
            and ($4 is null or h.building_id in (select descendant_id from place_closure where site_id = $1 and ancestor_id = $4))
            and h.building_id in (
                with mine as (select g.place_id, g.grid_id from role_grant g
                    where g.site_id = $1 and g.member_id = $2 and g.from_date <= $3 and (g.to_date is null or g.to_date > $3)
                        and g.role in ('administrator', 'social_worker', 'branch_secretary'))
                select c.descendant_id from mine join place_closure c on c.site_id = $1 and c.ancestor_id = mine.place_id
                union select c.descendant_id from mine
                    join grid_place gp on gp.site_id = $1 and gp.grid_id = mine.grid_id
                        and gp.from_date <= $3 and (gp.to_date is null or gp.to_date > $3)
                    join place_closure c on c.site_id = $1 and c.ancestor_id = gp.place_id
                union select p.id from place p where p.site_id = $1
                    and exists (select 1 from mine where mine.place_id is null and mine.grid_id is null))"
    };
}
pub(super) use in_scope;

/// The figures of a period.
pub async fn statistics(tx: &mut Tx, who: &Who, period: &Period) -> Result<Statistics> {
    let checks = checks(tx, who, period).await?;
    let senior_days = senior_days(tx, who, period).await?;
    let alerts = alerts(tx, who, period).await?;
    let names = "select id, name from place where site_id = $1 and kind = 'building' order by walk_order, name, id";
    let buildings: Vec<(Uuid, String)> = on!(tx, |conn| sqlx::query_as(names).bind(who.site_id).fetch_all(conn).await)?;
    Ok(summarise((period.from, period.to), buildings, &checks, &senior_days, &alerts))
}

#[derive(sqlx::FromRow)]
struct CheckRow {
    local_date: NaiveDate,
    building_id: Uuid,
    #[sqlx(try_from = "String")]
    state: CheckState,
    count: i64,
}

async fn checks(tx: &mut Tx, who: &Who, period: &Period) -> Result<Vec<CheckCount>> {
    let sql = concat!(
        "select d.local_date, h.building_id, d.state, count(*) as count from daily_check d
        join senior s on s.site_id = d.site_id and s.id = d.senior_id
        join senior_residence r on r.site_id = s.site_id and r.senior_id = s.id
            and r.from_date <= d.local_date and (r.to_date is null or r.to_date > d.local_date)
        join home h on h.site_id = r.site_id and h.id = r.home_id
        where d.site_id = $1 and d.local_date >= $5 and d.local_date <= $6 and ",
        in_scope!(),
        " group by d.local_date, h.building_id, d.state"
    );
    let rows: Vec<CheckRow> = on!(tx, |conn| sqlx::query_as(sql)
        .bind(who.site_id)
        .bind(who.member_id)
        .bind(who.today)
        .bind(period.place)
        .bind(period.from)
        .bind(period.to)
        .fetch_all(conn)
        .await)?;
    Ok(rows
        .into_iter()
        .map(|row| CheckCount { date: row.local_date, building: row.building_id, state: row.state, count: row.count })
        .collect())
}

async fn senior_days(tx: &mut Tx, who: &Who, period: &Period) -> Result<Vec<SeniorDays>> {
    let sql = concat!(
        "select d.local_date, h.building_id, count(distinct d.senior_id) from daily_check d
        join senior s on s.site_id = d.site_id and s.id = d.senior_id
        join senior_residence r on r.site_id = s.site_id and r.senior_id = s.id
            and r.from_date <= d.local_date and (r.to_date is null or r.to_date > d.local_date)
        join home h on h.site_id = r.site_id and h.id = r.home_id
        where d.site_id = $1 and d.local_date >= $5 and d.local_date <= $6 and d.state <> 'excused' and ",
        in_scope!(),
        " group by d.local_date, h.building_id"
    );
    let rows: Vec<(NaiveDate, Uuid, i64)> = on!(tx, |conn| sqlx::query_as(sql)
        .bind(who.site_id)
        .bind(who.member_id)
        .bind(who.today)
        .bind(period.place)
        .bind(period.from)
        .bind(period.to)
        .fetch_all(conn)
        .await)?;
    Ok(rows.into_iter().map(|(date, building, count)| SeniorDays { date, building, count }).collect())
}

#[derive(sqlx::FromRow)]
struct AlertRow {
    building_id: Uuid,
    #[sqlx(try_from = "String")]
    cause: Cause,
    outcome: Option<String>,
    opened_at: DateTime<Utc>,
    claimed_at: Option<DateTime<Utc>>,
    resolved_at: Option<DateTime<Utc>>,
    contact_proof: Option<String>,
}

async fn alerts(tx: &mut Tx, who: &Who, period: &Period) -> Result<Vec<AlertFact>> {
    let sql = concat!(
        "select h.building_id, a.cause, a.outcome, a.opened_at, a.resolved_at, a.contact_proof,
            (select min(e.at) from alert_event e where e.site_id = a.site_id and e.alert_id = a.id
                and e.kind in ('claimed', 'assigned', 'on_site')) as claimed_at
        from alert a
        join senior s on s.site_id = a.site_id and s.id = a.senior_id
        join (select t.site_id, t.alert_id, min(t.local_date) as local_date from alert_trigger t where t.site_id = $1
            group by t.site_id, t.alert_id) f on f.site_id = a.site_id and f.alert_id = a.id
        join senior_residence r on r.site_id = s.site_id and r.senior_id = s.id
            and r.from_date <= f.local_date and (r.to_date is null or r.to_date > f.local_date)
        join home h on h.site_id = r.site_id and h.id = r.home_id
        where a.site_id = $1 and not a.drill and a.opened_at >= $5 and a.opened_at < $6 and ",
        in_scope!()
    );
    // A date that the zone skipped begins with the next one.
    let begin = |date: NaiveDate| date.iter_days().find_map(|date| day::day_start(period.zone, date));
    let rows: Vec<AlertRow> = on!(tx, |conn| sqlx::query_as(sql)
        .bind(who.site_id)
        .bind(who.member_id)
        .bind(who.today)
        .bind(period.place)
        .bind(begin(period.from))
        .bind(period.to.succ_opt().and_then(begin))
        .fetch_all(conn)
        .await)?;
    let fact = |row: AlertRow| AlertFact {
        date: day::local_date(period.zone, row.opened_at),
        building: row.building_id,
        cause: row.cause,
        outcome: row.outcome.as_deref().and_then(|word| word.parse::<Outcome>().ok()),
        opened_at: row.opened_at,
        claimed_at: row.claimed_at,
        contact_at: row.resolved_at.filter(|_| row.contact_proof.is_some()),
    };
    Ok(rows.into_iter().map(fact).collect())
}

#[cfg(test)]
mod tests {
    use crate::domain::access::{Capability, allows};
    use crate::domain::place::Role;

    #[test]
    fn the_figures_count_for_exactly_the_roles_that_may_read_about_health() {
        let sql = in_scope!();
        for role in Role::ALL {
            assert_eq!(sql.contains(&format!("'{role}'")), allows(*role, Capability::HealthRead), "{role}");
        }
    }
}
