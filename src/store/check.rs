//! Lists of checks for staff: by date, slot, state and place. A senior who moved stands where she lived on that date.

use chrono::{DateTime, NaiveDate, Utc};
use sqlx::FromRow;
use uuid::Uuid;

use super::{Result, Tx};
use crate::domain::access::Who;
use crate::domain::check::{CheckState, Slot};
use crate::domain::signal::Sign;
use crate::on;

#[derive(Debug, Clone, FromRow)]
pub struct CheckItem {
    pub id: Uuid,
    pub senior_id: Uuid,
    pub name: String,
    pub called: String,
    pub building: String,
    pub unit: String,
    pub room: String,
    pub local_date: NaiveDate,
    #[sqlx(try_from = "String")]
    pub slot: Slot,
    #[sqlx(try_from = "String")]
    pub state: CheckState,
    #[sqlx(try_from = "String")]
    pub expected_sign: Sign,
    pub deadline_at: DateTime<Utc>,
    pub cutoff_at: DateTime<Utc>,
    pub received_late: bool,
    pub decided_at: Option<DateTime<Utc>>,
}

/// What to list; `after` is the id of the last item of the page before.
#[derive(Debug, Clone)]
pub struct Filter {
    pub date: NaiveDate,
    pub slot: Option<Slot>,
    pub state: Option<CheckState>,
    pub place: Option<Uuid>,
    pub after: Option<Uuid>,
    pub limit: i64,
}

/// Checks of a date that the member sees, ordered by id. The nil id stands for "any place" and "from the start".
pub async fn list(tx: &mut Tx, who: &Who, filter: &Filter) -> Result<Vec<CheckItem>> {
    let sql = concat!(
        "select c.id, c.senior_id, s.name, s.called, b.name as building, h.unit, h.room, c.local_date, c.slot, c.state, c.expected_sign,
            c.deadline_at, c.cutoff_at, c.received_late, c.decided_at
        from daily_check c
        join senior s on s.site_id = c.site_id and s.id = c.senior_id
        join senior_residence r on r.site_id = s.site_id and r.senior_id = s.id
            and r.from_date <= $4 and (r.to_date is null or r.to_date > $4)
        join home h on h.site_id = r.site_id and h.id = r.home_id
        join place b on b.site_id = h.site_id and b.id = h.building_id
        where c.site_id = $1 and c.local_date = $4 and s.purpose = 'real' and ($5 = '' or c.slot = $5) and ($6 = '' or c.state = $6)
            and ($7 = $10 or exists (select 1 from place_closure pc
                where pc.site_id = c.site_id and pc.ancestor_id = $7 and pc.descendant_id = h.building_id))
            and c.id > $8 and c.senior_id in (",
        crate::visible_seniors!(),
        ") order by c.id limit $9"
    );
    let rows = on!(tx, |conn| sqlx::query_as(sql)
        .bind(who.site_id)
        .bind(who.member_id)
        .bind(who.today)
        .bind(filter.date)
        .bind(filter.slot.map_or("", Slot::as_str))
        .bind(filter.state.map_or("", CheckState::as_str))
        .bind(filter.place.unwrap_or_default())
        .bind(filter.after.unwrap_or_default())
        .bind(filter.limit)
        .bind(Uuid::nil())
        .fetch_all(conn)
        .await)?;
    Ok(rows)
}
