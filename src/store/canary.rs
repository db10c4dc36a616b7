//! The invented senior of the daily self-test (I27). She has no home, so that no list, board, statistic or round finds her, and an
//! agreement whose only deadline is the site's `notify.canary_at`.

use chrono::{DateTime, Days, NaiveDate, NaiveTime, TimeDelta, Utc};
use uuid::Uuid;

use super::plan::{self, SitePlan};
use super::{Result, Tx, audit};
use crate::domain::case::CANARY_KEY;
use crate::domain::check::Slot;
use crate::domain::{day, id};
use crate::on;

/// A message that failed is tried anew after this: whoever mends the channel need not wait for tomorrow.
const AGAIN_AFTER: TimeDelta = TimeDelta::minutes(10);

/// Makes her and what is agreed with her, as the site's settings say now. Returns whether anything was missing.
pub async fn ensure(tx: &mut Tx, site: &SitePlan, now: DateTime<Utc>) -> Result<bool> {
    let senior = id::canary(site.id);
    let at = site.rules.notify.canary_at;
    tx.lock_named(&format!("canary/{}", site.id)).await?;
    tx.lock_seniors(&[senior]).await?;
    // Another server may have been faster.
    let old = agreed(tx, site.id, senior).await?;
    if old.is_some_and(|(_, deadline)| deadline == Some(at)) {
        return Ok(false);
    }
    plan::lock(tx, site.id).await?;
    let sql = "insert into senior (site_id, id, home_id, name, called, categories, risk_band, hearing_hint, purpose, version, created_at)
        values ($1, $2, $2, 'canary', 'canary', '[]', 'green', '', 'canary', 1, $3) on conflict (site_id, id) do nothing";
    on!(tx, |conn| sqlx::query(sql).bind(site.id).bind(senior).bind(now).execute(conn).await.map(|_| ()))?;
    let today = day::local_date(site.zone, now);
    // Today's moment is over: the first message would be late from the beginning.
    let is_ahead = day::instant(site.zone, today, at).is_some_and(|at| now < at);
    let from = if is_ahead { today } else { today + Days::new(1) };
    if let Some((agreement, _)) = old {
        let sql = "update agreement set to_date = $3 where site_id = $1 and id = $2";
        on!(tx, |conn| sqlx::query(sql).bind(site.id).bind(agreement).bind(from).execute(conn).await.map(|_| ()))?;
    }
    let sql =
        "insert into agreement (site_id, id, senior_id, slot, weekdays, expected_sign, deadline, grace_seconds, unobserved_delay_seconds,
            sensor_policy, require_change, from_date, content_hash, created_at)
        values ($1, $2, $3, 'morning', $4, 'open', $5, 0, 0, 'none', $6, $7, $8, $9)";
    let agreement = Uuid::now_v7();
    on!(tx, |conn| sqlx::query(sql)
        .bind(site.id)
        .bind(agreement)
        .bind(senior)
        .bind(day::EVERY_DAY)
        .bind(at)
        .bind(false)
        .bind(from)
        .bind(vec![0_u8])
        .bind(now)
        .execute(conn)
        .await
        .map(|_| ()))?;
    let entry = audit::Entry {
        site_id: site.id,
        at: now,
        actor_id: None,
        act: "create",
        object_kind: "agreement",
        object_id: Some(agreement),
        fields: &["deadline"],
    };
    audit::write(tx, &entry).await?;
    plan::replan_senior(tx, site.id, senior, now).await?;
    Ok(true)
}

/// What is agreed with her from now on.
async fn agreed(tx: &mut Tx, site_id: Uuid, senior: Uuid) -> Result<Option<(Uuid, Option<NaiveTime>)>> {
    let sql = "select id, deadline from agreement where site_id = $1 and senior_id = $2 and to_date is null";
    Ok(on!(tx, |conn| sqlx::query_as(sql).bind(site_id).bind(senior).fetch_optional(conn).await)?)
}

/// How a site's self-test stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// She, or what is agreed with her, is not as the settings say.
    pub missing: bool,
    /// The message of her open alert has been delivered.
    pub arrived: bool,
    /// It has failed, and it is time to try again.
    pub failed: bool,
}

pub async fn standing(tx: &mut Tx, site: &SitePlan, now: DateTime<Utc>) -> Result<Standing> {
    let senior = id::canary(site.id);
    let agreed = agreed(tx, site.id, senior).await?;
    let sql =
        "select count(case when n.state = 'delivered' then 1 end), count(case when n.state = 'failed' and n.not_before <= $4 then 1 end)
        from alert a join notice n on n.site_id = a.site_id and n.alert_id = a.id and n.epoch = a.epoch and n.key = $3
        where a.site_id = $1 and a.senior_id = $2 and a.resolved_at is null";
    let (delivered, failed): (i64, i64) =
        on!(tx, |conn| sqlx::query_as(sql).bind(site.id).bind(senior).bind(CANARY_KEY).bind(now - AGAIN_AFTER).fetch_one(conn).await)?;
    let missing = agreed.is_none_or(|(_, deadline)| deadline != Some(site.rules.notify.canary_at));
    Ok(Standing { missing, arrived: delivered > 0, failed: failed > 0 })
}

/// Tries what has failed anew, over every channel of its reader. Returns how many.
pub async fn again(tx: &mut Tx, site_id: Uuid, now: DateTime<Utc>) -> Result<u64> {
    let sql = "update notice set state = 'pending', channels_tried = 0, message_id = null, not_before = $3
        where site_id = $1 and key = $4 and state = 'failed' and not_before <= $5
          and alert_id in (select id from alert where site_id = $1 and senior_id = $2 and resolved_at is null)";
    Ok(on!(tx, |conn| sqlx::query(sql)
        .bind(site_id)
        .bind(id::canary(site_id))
        .bind(now)
        .bind(CANARY_KEY)
        .bind(now - AGAIN_AFTER)
        .execute(conn)
        .await?
        .rows_affected()))
}

/// Whether today's message should have been delivered and was not.
pub async fn is_late(tx: &mut Tx, site: &SitePlan, now: DateTime<Utc>) -> Result<bool> {
    let (senior, today) = (id::canary(site.id), day::local_date(site.zone, now));
    let sql =
        "select deadline from agreement where site_id = $1 and senior_id = $2 and from_date <= $3 and (to_date is null or to_date > $3)";
    let deadline: Option<Option<NaiveTime>> =
        on!(tx, |conn| sqlx::query_scalar(sql).bind(site.id).bind(senior).bind(today).fetch_optional(conn).await)?;
    let at = deadline.flatten().and_then(|deadline| day::instant(site.zone, today, deadline));
    match at {
        Some(at) if at + site.rules.notify.canary_within.0 < now => Ok(!was_delivered(tx, site.id, today).await?),
        _ => Ok(false),
    }
}

async fn was_delivered(tx: &mut Tx, site_id: Uuid, date: NaiveDate) -> Result<bool> {
    let trigger = id::check_trigger(id::check(site_id, id::canary(site_id), date, Slot::Morning), "missed");
    let sql = "select count(*) from alert_trigger t
        join notice n on n.site_id = t.site_id and n.alert_id = t.alert_id and n.key = $3 and n.state = 'delivered' and n.created_at >= t.at
        where t.site_id = $1 and t.id = $2";
    let count: i64 = on!(tx, |conn| sqlx::query_scalar(sql).bind(site_id).bind(trigger).bind(CANARY_KEY).fetch_one(conn).await)?;
    Ok(count > 0)
}
