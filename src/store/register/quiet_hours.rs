//! The local times between which a member is reminded of nothing: her own, or else the site's. Alerts know no quiet hours.

use chrono::NaiveTime;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{By, Written, site, wrote};
use crate::domain::refusal::Refusal;
use crate::on;
use crate::store::{Result, Tx};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct QuietHours {
    /// On the site's wall clock; null: the site's. Twice the same time: never.
    pub from: Option<NaiveTime>,
    pub to: Option<NaiveTime>,
    pub site_from: NaiveTime,
    pub site_to: NaiveTime,
}

pub async fn get(tx: &mut Tx, site_id: Uuid, member_id: Uuid) -> Result<QuietHours> {
    let rules = site::get(tx, site_id).await?.rules()?.notify;
    let sql = "select quiet_from, quiet_to from member where site_id = $1 and id = $2";
    let found: Option<(Option<NaiveTime>, Option<NaiveTime>)> =
        on!(tx, |conn| sqlx::query_as(sql).bind(site_id).bind(member_id).fetch_optional(conn).await)?;
    let (from, to) = found.ok_or_else(Refusal::not_found)?;
    Ok(QuietHours { from, to, site_from: rules.quiet_from, site_to: rules.quiet_to })
}

/// Sets both times, or with neither the site's again. What waits already keeps its time.
pub async fn set(tx: &mut Tx, by: &By, member_id: Uuid, hours: Option<(NaiveTime, NaiveTime)>) -> Result<QuietHours> {
    let (from, to) = hours.unzip();
    let sql = "update member set quiet_from = $3, quiet_to = $4 where site_id = $1 and id = $2 and ended_at is null";
    let rows = on!(tx, |conn| sqlx::query(sql).bind(by.site_id).bind(member_id).bind(from).bind(to).execute(conn).await?.rows_affected());
    if rows == 0 {
        return Err(Refusal::not_found().into());
    }
    let what = Written { act: "change", table: "member", id: member_id, person_id: Some(member_id), senior_id: None };
    wrote(tx, by, what, &serde_json::json!({ "quiet_from": from, "quiet_to": to })).await?;
    get(tx, by.site_id, member_id).await
}
