//! Whom to visit next: the latest record of each senior says when, and whoever was never visited comes first.

use chrono::{DateTime, NaiveDate, Utc};
use serde::Serialize;
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::domain::absence::awaits_return_visit;
use crate::domain::access::Who;
use crate::domain::place::RiskBand;
use crate::domain::visit::VisitKind;
use crate::store::{Result, Tx, bulk, plan};
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
    /// Null: never visited, or gone by the latest record.
    pub next_due: Option<NaiveDate>,
    /// What is suggested: the first visit of whoever was never visited, the return visit of whoever came back, or else a care visit.
    #[sqlx(try_from = "String")]
    pub kind: VisitKind,
    /// The day of the return that nobody has visited her after.
    pub returned_on: Option<NaiveDate>,
    #[serde(skip)]
    waits_since: NaiveDate,
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
        (self.waits_since, self.senior_id)
    }
}

/// Seniors whose visit is due, the longest waiting first. Those of whom the latest record says that they are gone wait for a
/// decision (a finding), not for a visit. Whoever came back from an absence is visited once (domain.md §6).
pub async fn due(tx: &mut Tx, who: &Who, filter: &DueFilter) -> Result<Vec<Due>> {
    let returned = returned(tx, who, filter.until.min(who.today)).await?;
    let returned: Vec<Value> = returned.into_iter().map(|(senior, date)| json!({ "id": senior, "date": date })).collect();
    let returned_rows = bulk::part(tx, "select {id:uuid} as senior_id, {date:date} as return_date from {rows}", 11);
    let sql = concat!(
        "with latest as (
            select v.senior_id, v.started_at, v.result, v.next_due,
                row_number() over (partition by v.senior_id order by v.started_at desc, v.id desc) as nth
            from visit v where v.site_id = $1
                and not exists (select 1 from visit n where n.site_id = $1 and n.replaces_id = v.id)),
        returned as (RETURNED),
        waiting as (select s.id as senior_id, s.called, b.name as building, h.unit, s.risk_band, l.started_at as last_visit_at,
                l.result as last_result, l.next_due, t.return_date as returned_on,
                case when t.return_date is not null then 'return_visit' when l.senior_id is null then 'first_visit' else 'care_visit' end as kind,
                case when l.senior_id is null then $9 when l.next_due is null or t.return_date < l.next_due then coalesce(t.return_date, l.next_due, $9)
                    else l.next_due end as waits_since
            from senior s
            join home h on h.site_id = s.site_id and h.id = s.home_id
            join place b on b.site_id = h.site_id and b.id = h.building_id
            left join latest l on l.senior_id = s.id and l.nth = 1
            left join returned t on t.senior_id = s.id
            where s.site_id = $1 and s.ended_at is null and s.purpose = 'real'
                and (l.senior_id is null or l.next_due <= $4 or t.return_date is not null)
                and ($5 is null or s.risk_band = $5)
                and ($6 is null or h.building_id in (select descendant_id from place_closure where site_id = $1 and ancestor_id = $6))
                and s.id in (",
        visible_seniors!(),
        "))
        select senior_id, called, building, unit, risk_band, last_visit_at, last_result, next_due, returned_on, kind, waits_since
        from waiting where $8 is null or waits_since > $7 or (waits_since = $7 and senior_id > $8)
        order by waits_since, senior_id limit $10"
    );
    let never = NaiveDate::default();
    let (date, senior) = filter.after.map_or((never, None), |(date, senior)| (date, Some(senior)));
    Ok(on!(tx, |conn| sqlx::query_as(AssertSqlSafe(sql.replace("RETURNED", &returned_rows)))
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
        .bind(Value::from(returned).to_string())
        .fetch_all(conn)
        .await)?)
}

/// Who came back by a date and has not been visited since, with the day of the return. Whoever has left again is not at home.
async fn returned(tx: &mut Tx, who: &Who, by: NaiveDate) -> Result<Vec<(Uuid, NaiveDate)>> {
    let zone = plan::site(tx, who.site_id).await?.zone;
    let sql = "select distinct a.senior_id, a.return_date,
            (select max(v.started_at) from visit v where v.site_id = a.site_id and v.senior_id = a.senior_id
                and (v.kind = 'return_visit' or v.result = 'met')
                and not exists (select 1 from visit n where n.site_id = v.site_id and n.replaces_id = v.id)) as last_visit
        from absence a
        where a.site_id = $1 and a.return_date <= $2 and a.confirmed_at is not null and a.cancelled_at is null
          and not exists (select 1 from absence o where o.site_id = a.site_id and o.senior_id = a.senior_id and o.return_date > a.return_date
            and o.from_date <= $2 and o.confirmed_at is not null and o.cancelled_at is null)";
    let ended: Vec<(Uuid, NaiveDate, Option<DateTime<Utc>>)> =
        on!(tx, |conn| sqlx::query_as(sql).bind(who.site_id).bind(by).fetch_all(conn).await)?;
    let waiting = ended.into_iter().filter(|(_, date, last_visit)| awaits_return_visit(zone, *date, *last_visit));
    Ok(waiting.map(|(senior, date, _)| (senior, date)).collect())
}
