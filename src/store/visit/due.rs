//! Whom to visit next: the latest record of each senior says when, and whoever was never visited comes first.

use chrono::{DateTime, NaiveDate, Utc};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::domain::access::Who;
use crate::domain::place::RiskBand;
use crate::store::{Result, Tx};
use crate::{on, visible_seniors};

/// A senior whose visit is due.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema, sqlx::FromRow)]
pub struct Due {
    pub senior_id: Uuid,
    pub called: String,
    pub building: String,
    pub unit: String,
    #[sqlx(try_from = "String")]
    pub risk_band: RiskBand,
    pub last_visit_at: Option<DateTime<Utc>>,
    pub last_result: Option<String>,
    /// Null: never visited.
    pub next_due: Option<NaiveDate>,
}

#[derive(Debug, Clone, Copy)]
pub struct DueFilter {
    /// Due on this date or before.
    pub until: NaiveDate,
    pub band: Option<RiskBand>,
    /// This place and below.
    pub place: Option<Uuid>,
    /// The last one of the page before: the date by which the list is sorted, and the senior.
    pub after: Option<(NaiveDate, Uuid)>,
    pub limit: i64,
}

impl Due {
    /// Whoever was never visited sorts before every date.
    pub fn sort_key(&self) -> (NaiveDate, Uuid) {
        (self.next_due.unwrap_or_default(), self.senior_id)
    }
}

/// Seniors whose visit is due, the longest waiting first. Those of whom the latest record says that they are gone wait for a
/// decision (a finding), not for a visit.
pub async fn due(tx: &mut Tx, who: &Who, filter: &DueFilter) -> Result<Vec<Due>> {
    let sql = concat!(
        "with latest as (
            select v.senior_id, v.started_at, v.result, v.next_due,
                row_number() over (partition by v.senior_id order by v.started_at desc, v.id desc) as nth
            from visit v where v.site_id = $1
                and not exists (select 1 from visit n where n.site_id = $1 and n.replaces_id = v.id))
        select s.id as senior_id, s.called, b.name as building, h.unit, s.risk_band, l.started_at as last_visit_at,
            l.result as last_result, l.next_due
        from senior s
        join home h on h.site_id = s.site_id and h.id = s.home_id
        join place b on b.site_id = h.site_id and b.id = h.building_id
        left join latest l on l.senior_id = s.id and l.nth = 1
        where s.site_id = $1 and s.ended_at is null and s.purpose = 'real' and (l.senior_id is null or l.next_due <= $4)
            and ($5 is null or s.risk_band = $5)
            and ($6 is null or h.building_id in (select descendant_id from place_closure where site_id = $1 and ancestor_id = $6))
            and ($8 is null or coalesce(l.next_due, $9) > $7 or (coalesce(l.next_due, $9) = $7 and s.id > $8))
            and s.id in (",
        visible_seniors!(),
        ") order by coalesce(l.next_due, $9), s.id limit $10"
    );
    let never = NaiveDate::default();
    let (date, senior) = filter.after.map_or((never, None), |(date, senior)| (date, Some(senior)));
    Ok(on!(tx, |conn| sqlx::query_as(sql)
        .bind(who.site_id)
        .bind(who.member_id)
        .bind(who.today)
        .bind(filter.until)
        .bind(filter.band.map(RiskBand::as_str))
        .bind(filter.place)
        .bind(date)
        .bind(senior)
        .bind(never)
        .bind(filter.limit)
        .fetch_all(conn)
        .await)?)
}
