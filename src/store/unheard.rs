//! When somebody last saw or heard each senior: reported by a person, met on a visit, or proved when an alert was closed. Computed,
//! never stored; `domain::unheard` decides what is too long.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate, Utc};
use chrono_tz::Tz;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, FromRow};
use uuid::Uuid;

use super::{Result, Tx, bulk};
use crate::domain::day;
use crate::domain::unheard::Heard;
use crate::on;

/// What a reader is told about one senior.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Contact {
    pub last_contact_at: Option<DateTime<Utc>>,
    /// Nobody has seen or heard her for too long.
    pub overdue: bool,
}

#[derive(FromRow)]
struct Row {
    id: Uuid,
    reported_at: Option<DateTime<Utc>>,
    met_at: Option<DateTime<Utc>>,
    proved_at: Option<DateTime<Utc>>,
    is_agreed: bool,
    agreed_since: Option<NaiveDate>,
    back_since: Option<NaiveDate>,
    is_away: bool,
}

impl Row {
    fn heard(&self) -> Heard {
        Heard {
            last_contact_at: self.reported_at.max(self.met_at).max(self.proved_at),
            agreed_since: self.agreed_since.filter(|_| self.is_agreed),
            back_since: self.back_since,
            is_away: self.is_away,
        }
    }
}

/// What holds at `now` for these seniors of one site. Canaries, whom nobody can see, are left out.
pub async fn of(tx: &mut Tx, site_id: Uuid, seniors: &[Uuid], zone: Tz, now: DateTime<Utc>) -> Result<BTreeMap<Uuid, Contact>> {
    let today = day::local_date(zone, now);
    let mut known = BTreeMap::new();
    for chunk in seniors.chunks(bulk::ROWS_MAX) {
        let rows: Vec<Value> = chunk.iter().map(|id| json!({ "site": site_id, "id": id })).collect();
        let rows = Value::from(rows).to_string();
        let sql = bulk::text(tx, SELECT);
        let found: Vec<Row> = on!(tx, |conn| sqlx::query_as(AssertSqlSafe(sql)).bind(&rows).bind(today).fetch_all(conn).await)?;
        known.extend(found.into_iter().map(|row| {
            let heard = row.heard();
            (row.id, Contact { last_contact_at: heard.last_contact_at, overdue: heard.is_overdue(zone, now) })
        }));
    }
    Ok(known)
}

/// Everybody of a site whom nobody has seen or heard for too long.
pub async fn overdue(tx: &mut Tx, site_id: Uuid, zone: Tz, now: DateTime<Utc>) -> Result<Vec<Uuid>> {
    let sql = "select id from senior where site_id = $1 and ended_at is null and purpose = 'real'";
    let seniors: Vec<Uuid> = on!(tx, |conn| sqlx::query_scalar(sql).bind(site_id).fetch_all(conn).await)?;
    let known = of(tx, site_id, &seniors, zone, now).await?;
    Ok(known.into_iter().filter(|(_, contact)| contact.overdue).map(|(senior, _)| senior).collect())
}

/// What is agreed counts from the latest start that no other agreement runs up to: an edit ends one and begins the next. A visit
/// that met the senior counts whatever came of it. An absence that was cancelled was none.
const SELECT: &str = "select s.id,
        (select g.observed_at from signal g where g.site_id = s.site_id and g.senior_id = s.id and g.source <> 'device'
            and g.kind in ('seen_in_person', 'spoke_with_person') and g.standing = 'accepted'
            and not exists (select 1 from signal r where r.site_id = g.site_id and r.replaces_id = g.id and r.standing = 'accepted')
            order by g.observed_at desc limit 1) as reported_at,
        (select max(coalesce(v.ended_at, v.started_at)) from visit v
            where v.site_id = s.site_id and v.senior_id = s.id and v.contact_with = 'senior'
            and not exists (select 1 from visit n where n.site_id = v.site_id and n.senior_id = v.senior_id and n.replaces_id = v.id)) as met_at,
        (select max(coalesce(a.proof_at, a.resolved_at)) from alert a
            where a.site_id = s.site_id and a.senior_id = s.id and a.resolved_at is not null and a.contact_proof in ('seen_in_person',
                'spoke_with_person', 'video', 'seen_by_named_person', 'family_with_person', 'hospital_confirmed',
                'emergency_service_took_over')) as proved_at,
        exists (select 1 from agreement a where a.site_id = s.site_id and a.senior_id = s.id and a.from_date <= $2
            and (a.to_date is null or a.to_date > $2)) as is_agreed,
        (select max(a.from_date) from agreement a where a.site_id = s.site_id and a.senior_id = s.id and a.from_date <= $2
            and not exists (select 1 from agreement b where b.site_id = a.site_id and b.senior_id = a.senior_id
                and b.from_date < a.from_date and (b.to_date is null or b.to_date >= a.from_date))) as agreed_since,
        (select max(x.return_date) from absence x where x.site_id = s.site_id and x.senior_id = s.id
            and x.confirmed_at is not null and x.cancelled_at is null and x.return_date <= $2) as back_since,
        exists (select 1 from absence x where x.site_id = s.site_id and x.senior_id = s.id and x.confirmed_at is not null
            and x.cancelled_at is null and x.from_date <= $2 and x.return_date > $2) as is_away
    from {rows} join senior s on s.site_id = {site:uuid} and s.id = {id:uuid} and s.purpose = 'real'";

#[cfg(test)]
mod tests {
    use super::SELECT;
    use crate::domain::outcome::ContactProof;

    #[test]
    fn exactly_the_proofs_of_sight_or_voice_count_as_contact() {
        let proofs = SELECT.split("contact_proof in (").nth(1).and_then(|rest| rest.split(')').next()).unwrap();
        for proof in ContactProof::ALL {
            assert_eq!(proofs.contains(&format!("'{proof}'")), proof.is_sight_or_voice(), "{proof}");
        }
    }
}
