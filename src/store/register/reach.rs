//! Loads what `domain::reach` judges: all seniors of a site in a handful of queries.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chrono::NaiveDate;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::domain::reach::{self, Gap, ReachFact, ReachPeople};
use crate::domain::roster::Roster;
use crate::on;
use crate::store::{Result, Tx, roster};

/// Who would not be reached on a date.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Reachability {
    pub date: NaiveDate,
    pub seniors: usize,
    /// Seniors without any gap.
    pub covered: usize,
    /// An operator with a verified channel gets system notices.
    pub operator_reachable: bool,
    /// How often each gap occurs.
    #[schema(value_type = Object)]
    pub counts: BTreeMap<Gap, usize>,
    pub gaps: Vec<SeniorGaps>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct SeniorGaps {
    pub senior_id: Uuid,
    pub called: String,
    pub building_name: String,
    pub unit: String,
    pub gaps: Vec<Gap>,
}

#[derive(sqlx::FromRow)]
struct SeniorRow {
    id: Uuid,
    called: String,
    building_name: String,
    unit: String,
}

/// The gaps of a site's seniors below a place (or all) on a date. Canaries exist to alarm the operator; they need nobody.
pub async fn reachability(tx: &mut Tx, site_id: Uuid, under: Option<Uuid>, date: NaiveDate) -> Result<Reachability> {
    let seniors = seniors(tx, site_id, under).await?;
    let ids: Vec<Uuid> = seniors.iter().map(|senior| senior.id).collect();
    let mut rosters = roster::load(tx, site_id, &ids, date).await?;
    let agreed = agreed(tx, site_id, date).await?;
    let people = people(tx, site_id, date, &rosters).await?;
    let (mut found, mut counts) = (Vec::new(), BTreeMap::new());
    let total = seniors.len();
    for senior in seniors {
        let roster = rosters.remove(&senior.id).unwrap_or_default();
        let fact = ReachFact {
            senior_id: senior.id,
            has_agreement: agreed.contains(&senior.id),
            pairings: roster.pairings,
            roles: roster.grants.iter().map(|grant| (grant.role, grant.member_id)).collect(),
        };
        let gaps = reach::gaps(&fact, &people);
        for gap in &gaps {
            *counts.entry(*gap).or_insert(0) += 1;
        }
        if !gaps.is_empty() {
            let SeniorRow { id, called, building_name, unit } = senior;
            found.push(SeniorGaps { senior_id: id, called, building_name, unit, gaps });
        }
    }
    Ok(Reachability { date, seniors: total, covered: total - found.len(), operator_reachable: people.has_operator(), counts, gaps: found })
}

async fn seniors(tx: &mut Tx, site_id: Uuid, under: Option<Uuid>) -> Result<Vec<SeniorRow>> {
    let sql = "select s.id, s.called, p.name as building_name, h.unit from senior s
        join home h on h.site_id = s.site_id and h.id = s.home_id
        join place p on p.site_id = h.site_id and p.id = h.building_id
        where s.site_id = $1 and s.ended_at is null and s.purpose = 'real'
            and ($2 is null or h.building_id in (select descendant_id from place_closure where site_id = $1 and ancestor_id = $2))
        order by p.walk_order, p.name, h.walk_order, s.id";
    Ok(on!(tx, |conn| sqlx::query_as(sql).bind(site_id).bind(under).fetch_all(conn).await)?)
}

async fn agreed(tx: &mut Tx, site_id: Uuid, date: NaiveDate) -> Result<BTreeSet<Uuid>> {
    let sql = "select distinct senior_id from agreement
        where site_id = $1 and from_date <= $2 and (to_date is null or to_date > $2)";
    let ids: Vec<Uuid> = on!(tx, |conn| sqlx::query_scalar(sql).bind(site_id).bind(date).fetch_all(conn).await)?;
    Ok(ids.into_iter().collect())
}

async fn people(tx: &mut Tx, site_id: Uuid, date: NaiveDate, rosters: &HashMap<Uuid, Roster>) -> Result<ReachPeople> {
    let reachable = roster::reachable(tx, site_id).await?;
    let on_leave = rosters.values().next().map(|roster| roster.leaves.iter().map(|(away, _)| *away).collect());
    let operators = roster::operators(tx, site_id, date).await?;
    Ok(ReachPeople { reachable, on_leave: on_leave.unwrap_or_default(), operators: operators.into_iter().collect() })
}
