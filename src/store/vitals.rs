//! What the heartbeat asks the database: how long something due has been waiting, when the jobs last passed, and whether there is
//! a plan and anybody to watch over.

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use uuid::Uuid;

use super::{Result, Tx, canary, health, outbox, plan};
use crate::domain::day::local_date;
use crate::domain::health::{SKEW_MAX, Sensors, Vitals, is_planned};
use crate::on;

/// Everything that rows can say; the clock is judged by the caller.
pub async fn vitals(tx: &mut Tx, sensors_wanted: bool, period: TimeDelta, now: DateTime<Utc>) -> Result<Vitals> {
    let mut undecided_since: Option<DateTime<Utc>> = None;
    for sql in [
        "select min(next_action_at) from daily_check where next_action_at <= $1",
        "select min(next_action_at) from alert where next_action_at <= $1",
    ] {
        let at: Option<DateTime<Utc>> = on!(tx, |conn| sqlx::query_scalar(sql).bind(now).fetch_one(conn).await)?;
        undecided_since = undecided_since.into_iter().chain(at).min();
    }
    let (mut unplanned, mut is_empty, mut canary_late) = (false, true, false);
    for (_, site) in plan::all_sites(tx).await? {
        let Ok(site) = site else {
            (unplanned, is_empty) = (true, false);
            continue;
        };
        canary_late |= canary::is_late(tx, &site, now).await?;
        unplanned |= !is_planned(site.planned_through, site.zone, period, now);
        is_empty = is_empty && !is_anybody_agreed(tx, site.id, local_date(site.zone, now)).await?;
    }
    Ok(Vitals {
        watch_passed_at: health::last_pass(tx, "watch").await?.map(|(at, _)| at),
        undecided_since,
        outbox_due_since: outbox::next_due(tx).await?.filter(|due| *due <= now),
        sensors: if sensors_wanted { Sensors::HeardAt(sensors_heard_at(tx, now).await?) } else { Sensors::Off },
        clock_suspect: false,
        unplanned,
        canary_late,
        is_empty,
    })
}

/// The latest word of any server that is not from the future: one whose clock was wrong must not outshine the others.
async fn sensors_heard_at(tx: &mut Tx, now: DateTime<Utc>) -> Result<Option<DateTime<Utc>>> {
    let sql = "select max(hears_at) from server_life where hears_at <= $1";
    Ok(on!(tx, |conn| sqlx::query_scalar(sql).bind(now + SKEW_MAX).fetch_one(conn).await)?)
}

async fn is_anybody_agreed(tx: &mut Tx, site_id: Uuid, today: NaiveDate) -> Result<bool> {
    let sql = "select s.id from senior s join agreement a on a.site_id = s.site_id and a.senior_id = s.id
        where s.site_id = $1 and s.ended_at is null and s.purpose = 'real' and a.from_date <= $2 and (a.to_date is null or a.to_date > $2) limit 1";
    let found: Option<Uuid> = on!(tx, |conn| sqlx::query_scalar(sql).bind(site_id).bind(today).fetch_optional(conn).await)?;
    Ok(found.is_some())
}
