//! In which order a member's channels are used: her own, or else that of the site for people with her roles.
//!
//! What must stay true: `position` is the order that counts, whoever made it; whoever has none of her own follows the site at once
//! when her channels, her roles or the site's order change.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use sqlx::FromRow;
use uuid::Uuid;

use super::{By, Written, channel, lock_id, member, site, wrote};
use crate::domain::message::order::rank;
use crate::domain::place::Role;
use crate::domain::refusal::Refusal;
use crate::on;
use crate::store::{Result, Tx, bulk};

#[derive(FromRow)]
struct Way {
    member_id: Uuid,
    id: Uuid,
    channel: String,
    position: i64,
}

/// Since when the member has an order of her own; `None`: she follows the site's.
pub async fn own_since(tx: &mut Tx, site_id: Uuid, member_id: Uuid) -> Result<Option<DateTime<Utc>>> {
    let sql = "select channels_ordered_at from member where site_id = $1 and id = $2";
    let found: Option<Option<DateTime<Utc>>> =
        on!(tx, |conn| sqlx::query_scalar(sql).bind(site_id).bind(member_id).fetch_optional(conn).await)?;
    found.ok_or_else(|| Refusal::not_found().into())
}

/// Puts all channels of a member into this order; none of them named: the site's order again.
///
/// # Errors
/// A refusal for `channels` unless each of her channels is named once.
pub async fn set(tx: &mut Tx, by: &By, member_id: Uuid, order: &[Uuid]) -> Result<()> {
    lock_id(tx, member_id).await?;
    member::get(tx, by.site_id, member_id).await?;
    let known: Vec<Uuid> = channel::list(tx, by.site_id, member_id).await?.into_iter().map(|channel| channel.id).collect();
    let names_each_once = order.len() == known.len() && known.iter().all(|id| order.contains(id));
    if !order.is_empty() && !names_each_once {
        return Err(Refusal::invalid("channels", "register.channels_each_once").with("count", known.len()).into());
    }
    mark(tx, by, member_id, (!order.is_empty()).then_some(by.now)).await?;
    if order.is_empty() {
        return follow_site(tx, by, Some(member_id)).await;
    }
    let places: Vec<(Uuid, i64)> = order.iter().copied().zip(1..).collect();
    put(tx, by, &places).await
}

/// From now on the order is hers.
pub(super) async fn own(tx: &mut Tx, by: &By, member_id: Uuid) -> Result<()> {
    if own_since(tx, by.site_id, member_id).await?.is_none() {
        mark(tx, by, member_id, Some(by.now)).await?;
    }
    Ok(())
}

async fn mark(tx: &mut Tx, by: &By, member_id: Uuid, since: Option<DateTime<Utc>>) -> Result<()> {
    let sql = "update member set channels_ordered_at = $3 where site_id = $1 and id = $2";
    on!(tx, |conn| sqlx::query(sql).bind(by.site_id).bind(member_id).bind(since).execute(conn).await.map(|_| ()))?;
    let what = Written { act: "arrange", table: "member", id: member_id, person_id: None, senior_id: None };
    wrote(tx, by, what, &json!({ "channels_ordered_at": since })).await
}

/// Puts the channels of everybody without an order of her own into the site's, or those of one member.
pub(super) async fn follow_site(tx: &mut Tx, by: &By, member_id: Option<Uuid>) -> Result<()> {
    let site = site::get(tx, by.site_id).await?;
    let (rules, today) = (site.rules()?.notify, site.today(by.now)?);
    let sql = "select c.member_id, c.id, c.channel, c.position from member_channel c
        join member m on m.site_id = c.site_id and m.id = c.member_id and m.channels_ordered_at is null
        where c.site_id = $1 and ($2 is null or c.member_id = $2) order by c.member_id, c.position, c.created_at, c.id";
    let mut ways: Vec<Way> = on!(tx, |conn| sqlx::query_as(sql).bind(by.site_id).bind(member_id).fetch_all(conn).await)?;
    // A role that begins later counts already: nobody comes by on its first day.
    let sql = "select distinct member_id, role from role_grant
        where site_id = $1 and ($2 is null or member_id = $2) and (to_date is null or to_date > $3)";
    let granted: Vec<(Uuid, String)> =
        on!(tx, |conn| sqlx::query_as(sql).bind(by.site_id).bind(member_id).bind(today).fetch_all(conn).await)?;
    let mut roles: HashMap<Uuid, Vec<Role>> = HashMap::new();
    for (member, role) in granted {
        // A role that only another version knows says nothing about desks (I36).
        roles.entry(member).or_default().extend(role.parse::<Role>());
    }
    let none = Vec::new();
    ways.sort_by_cached_key(|way| (way.member_id, rank(&rules, roles.get(&way.member_id).unwrap_or(&none), &way.channel)));
    let mut places = Vec::new();
    let (mut of, mut place) = (None, 0);
    for way in ways {
        place = if of == Some(way.member_id) { place + 1 } else { 1 };
        of = Some(way.member_id);
        if way.position != place {
            places.push((way.id, place));
        }
    }
    put(tx, by, &places).await
}

async fn put(tx: &mut Tx, by: &By, places: &[(Uuid, i64)]) -> Result<()> {
    let rows: Vec<Value> = places.iter().map(|(id, place)| json!({ "site": by.site_id, "id": id, "place": place })).collect();
    let sql = "update member_channel set position = {place:int} from {rows}
        where member_channel.site_id = {site:uuid} and member_channel.id = {id:uuid}";
    bulk::execute(tx, sql, &rows).await?;
    let ids: Vec<Uuid> = places.iter().map(|(id, _)| *id).collect();
    member::record(tx, by, "arrange", "member_channel", "position", &ids).await
}
