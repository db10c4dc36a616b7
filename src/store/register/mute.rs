//! Members whom no message reaches although seniors depend on them today: each by name and with what mends it (I16).

use std::collections::{BTreeMap, HashMap};

use chrono::NaiveDate;
use serde::Serialize;
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;
use utoipa::ToSchema;
use uuid::Uuid;

use super::reach::Judged;
use crate::domain::day;
use crate::domain::message::Channel;
use crate::domain::reach::{DeadWay, Mute, asked, why_mute};
use crate::on;
use crate::store::{Result, Tx, bulk, roster};

/// A member who walks today or is somebody's primary or backup, and cannot be told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct MuteMember {
    pub member_id: Uuid,
    pub called: String,
    pub why: Mute,
    /// How many seniors depend on her.
    pub seniors: usize,
}

/// Of these seniors on this date, those with the most seniors first.
pub async fn among(tx: &mut Tx, site_id: Uuid, date: NaiveDate, judged: &[&Judged]) -> Result<Vec<MuteMember>> {
    let mut needed: BTreeMap<Uuid, usize> = BTreeMap::new();
    for one in judged {
        for member in asked(&one.roster, one.has_evening, day::weekday_bit(date)) {
            *needed.entry(member).or_default() += 1;
        }
    }
    let reachable = roster::reachable(tx, site_id).await?;
    needed.retain(|member, _| !reachable.contains(member));
    let rows: Vec<Value> = needed.keys().map(|id| json!({ "site": site_id, "id": id })).collect();
    let (names, mut ways) = (names(tx, &rows).await?, dead_ways(tx, &rows).await?);
    let mute = |(member_id, called): (Uuid, String)| MuteMember {
        member_id,
        called,
        why: why_mute(&ways.remove(&member_id).unwrap_or_default()),
        seniors: needed.get(&member_id).copied().unwrap_or_default(),
    };
    let mut mute: Vec<MuteMember> = names.into_iter().map(mute).collect();
    mute.sort_by(|one, other| other.seniors.cmp(&one.seniors).then_with(|| one.called.cmp(&other.called)));
    Ok(mute)
}

async fn names(tx: &mut Tx, rows: &[Value]) -> Result<Vec<(Uuid, String)>> {
    let sql = bulk::text(tx, "select m.id, m.called from {rows} join member m on m.site_id = {site:uuid} and m.id = {id:uuid}");
    Ok(on!(tx, |conn| sqlx::query_as(AssertSqlSafe(sql)).bind(Value::from(rows).to_string()).fetch_all(conn).await)?)
}

async fn dead_ways(tx: &mut Tx, rows: &[Value]) -> Result<HashMap<Uuid, Vec<DeadWay>>> {
    let sql = bulk::text(
        tx,
        "select c.member_id, c.channel, c.verified_at is not null, c.disabled_at is null,
            exists (select 1 from channel_account u where u.channel = c.channel and u.configured and u.fault_at is not null)
         from {rows} join member_channel c on c.site_id = {site:uuid} and c.member_id = {id:uuid}
         where c.channel <> 'web_push' or c.secret_sealed is not null",
    );
    let found: Vec<(Uuid, String, bool, bool, bool)> =
        on!(tx, |conn| sqlx::query_as(AssertSqlSafe(sql)).bind(Value::from(rows).to_string()).fetch_all(conn).await)?;
    let mut ways: HashMap<Uuid, Vec<DeadWay>> = HashMap::new();
    for (member, channel, is_verified, is_on, is_refused) in found {
        let is_beside = channel.parse().is_ok_and(Channel::is_beside);
        ways.entry(member).or_default().push(DeadWay { is_beside, is_verified, is_on, is_refused });
    }
    Ok(ways)
}
