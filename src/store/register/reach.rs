//! Loads what `domain::reach` judges: all seniors of a site in a handful of queries.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, NaiveDate, Utc};
use serde::Serialize;
use sqlx::AssertSqlSafe;
use utoipa::ToSchema;
use uuid::Uuid;

use super::mute::{self, MuteMember};
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
    /// Whom no message reaches although seniors depend on them, and why.
    pub mute: Vec<MuteMember>,
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
    trial: bool,
    help_button: bool,
}

/// One senior with her gaps and the people around her.
#[derive(Debug, Clone)]
pub struct Judged {
    pub shown: SeniorGaps,
    pub has_evening: bool,
    pub roster: Roster,
}

/// Everybody below a place (or all) on a date, and whether system notices reach somebody. Canaries exist to alarm the
/// operator; they need nobody.
pub async fn judge(tx: &mut Tx, site_id: Uuid, under: Option<Uuid>, date: NaiveDate) -> Result<(Vec<Judged>, bool)> {
    let seniors = seniors(tx, site_id, under, date).await?;
    let ids: Vec<Uuid> = seniors.iter().map(|senior| senior.id).collect();
    let mut rosters = roster::load(tx, site_id, &ids, date).await?;
    let agreed = agreed(tx, site_id, date).await?;
    let people = people(tx, site_id, date).await?;
    let judged = seniors.into_iter().map(|senior| {
        let (weekdays, has_evening) = agreed.get(&senior.id).copied().unwrap_or_default();
        let roster = rosters.remove(&senior.id).unwrap_or_default();
        let fact = ReachFact { senior_id: senior.id, weekdays, trial: senior.trial, help_button: senior.help_button, roster };
        let gaps = reach::gaps(&fact, &people);
        let SeniorRow { id, called, building_name, unit, .. } = senior;
        Judged { shown: SeniorGaps { senior_id: id, called, building_name, unit, gaps }, has_evening, roster: fact.roster }
    });
    Ok((judged.collect(), people.has_operator()))
}

/// What the page shows.
pub async fn reachability(tx: &mut Tx, site_id: Uuid, under: Option<Uuid>, date: NaiveDate) -> Result<Reachability> {
    let (judged, operator_reachable) = judge(tx, site_id, under, date).await?;
    let mute = mute::among(tx, site_id, date, &judged.iter().collect::<Vec<_>>()).await?;
    let (seniors, counts) = (judged.len(), counts(&judged));
    let gaps: Vec<SeniorGaps> = judged.into_iter().map(|judged| judged.shown).filter(|shown| !shown.gaps.is_empty()).collect();
    Ok(Reachability { date, seniors, covered: seniors - gaps.len(), operator_reachable, counts, gaps, mute })
}

/// How often each gap occurs.
pub fn counts(judged: &[Judged]) -> BTreeMap<Gap, usize> {
    let mut counts = BTreeMap::new();
    for gap in judged.iter().flat_map(|judged| &judged.shown.gaps) {
        *counts.entry(*gap).or_insert(0) += 1;
    }
    counts
}

/// The kinds of objects on which the reach of somebody depends.
const KINDS: &str = "('agreement', 'device', 'duty', 'grid', 'home', 'leave_of_absence', 'member', 'member_channel', 'pairing', 'place', 'role_grant', 'senior')";
/// So many of the last changes are looked through: what was missed in a flood is found at night.
const CHANGES_MAX: i64 = 1_000;

/// The first and the last change since `since` that may have opened or closed a gap.
pub async fn changed(tx: &mut Tx, site_id: Uuid, since: DateTime<Utc>) -> Result<Option<(DateTime<Utc>, DateTime<Utc>)>> {
    let sql = format!(
        "select min(at), max(at) from (select at, object_kind from audit where site_id = $1 order by seq desc limit $3) recent
         where at > $2 and object_kind in {KINDS}"
    );
    let row: (Option<DateTime<Utc>>, Option<DateTime<Utc>>) =
        on!(tx, |conn| sqlx::query_as(AssertSqlSafe(sql)).bind(site_id).bind(since).bind(CHANGES_MAX).fetch_one(conn).await)?;
    Ok(row.0.zip(row.1))
}

async fn seniors(tx: &mut Tx, site_id: Uuid, under: Option<Uuid>, date: NaiveDate) -> Result<Vec<SeniorRow>> {
    let sql = "select s.id, s.called, p.name as building_name, h.unit,
            exists (select 1 from place_closure pc join place t on t.site_id = pc.site_id and t.id = pc.ancestor_id
                where pc.site_id = s.site_id and pc.descendant_id = h.building_id and t.kind = 'compound' and t.trial_until > $3) as trial,
            exists (select 1 from device d where d.site_id = s.site_id and d.senior_id = s.id and d.role = 'sos' and d.revoked_at is null)
                as help_button
        from senior s
        join home h on h.site_id = s.site_id and h.id = s.home_id
        join place p on p.site_id = h.site_id and p.id = h.building_id
        where s.site_id = $1 and s.ended_at is null and s.purpose = 'real'
            and ($2 is null or h.building_id in (select descendant_id from place_closure where site_id = $1 and ancestor_id = $2))
        order by p.walk_order, p.name, h.walk_order, s.id";
    Ok(on!(tx, |conn| sqlx::query_as(sql).bind(site_id).bind(under).bind(date).fetch_all(conn).await)?)
}

/// The weekdays that somebody's agreements cover, and whether one of them is for the evening. One that begins the next day
/// counts: a new agreement cannot begin earlier.
async fn agreed(tx: &mut Tx, site_id: Uuid, date: NaiveDate) -> Result<HashMap<Uuid, (i64, bool)>> {
    let sql = "select senior_id, weekdays, slot = 'evening' from agreement
        where site_id = $1 and from_date <= $3 and (to_date is null or to_date > $2)";
    let next = date.succ_opt().unwrap_or(date);
    let rows: Vec<(Uuid, i64, bool)> = on!(tx, |conn| sqlx::query_as(sql).bind(site_id).bind(date).bind(next).fetch_all(conn).await)?;
    let mut agreed: HashMap<Uuid, (i64, bool)> = HashMap::new();
    for (senior, weekdays, is_evening) in rows {
        let known = agreed.entry(senior).or_default();
        *known = (known.0 | weekdays, known.1 || is_evening);
    }
    Ok(agreed)
}

async fn people(tx: &mut Tx, site_id: Uuid, date: NaiveDate) -> Result<ReachPeople> {
    let reachable = roster::reachable(tx, site_id).await?;
    let sql = "select id from member where site_id = $1 and ended_at is null";
    let present: Vec<Uuid> = on!(tx, |conn| sqlx::query_scalar(sql).bind(site_id).fetch_all(conn).await)?;
    let operators = roster::operators(tx, site_id, date).await?;
    Ok(ReachPeople { reachable, present: present.into_iter().collect(), operators: operators.into_iter().collect() })
}
