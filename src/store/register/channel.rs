//! The ordered list of ways to reach a member. A member without any is allowed, and shown by the reachability check.

use chrono::{DateTime, Utc};
use garde::Validate;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{By, Written, channel_order, id_conflict, lock_id, member, present, require_version, same_or_conflict, wrote};
use crate::domain::message::{self, address};
use crate::domain::refusal::Refusal;
use crate::domain::register::{self, CHANNELS_MAX, POSITION_MAX};
use crate::on;
use crate::seal::SealKey;
use crate::store::{Result, Tx};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema, sqlx::FromRow)]
pub struct Channel {
    pub id: Uuid,
    pub member_id: Uuid,
    pub position: i64,
    pub channel: String,
    pub address: String,
    pub verified_at: Option<DateTime<Utc>>,
    pub disabled_at: Option<DateTime<Utc>>,
    pub disabled_why: Option<String>,
    pub version: i64,
    pub created_at: DateTime<Utc>,
}

#[derive(Debug, Clone, Serialize, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[garde(allow_unvalidated)]
pub struct NewChannel {
    /// Made by the client, or else by the server.
    #[serde(default)]
    pub id: Uuid,
    /// Left out or 0: where the site's order puts it, or behind all others in an order of the member's own.
    #[serde(default)]
    pub position: i64,
    /// A word of the list; which of them this installation has set up, `GET /api/v1/system` says.
    pub channel: String,
    /// A telephone that is left out is the member's own.
    #[serde(default)]
    pub address: String,
    /// Of a webhook its signing key (`whsec_` and the base64 of 24 to 64 bytes), of an app its key, of a browser its subscription.
    /// It is sealed and never shown again.
    #[serde(default, skip_serializing)]
    pub secret: Option<String>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[garde(allow_unvalidated)]
pub struct ChannelPatch {
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub position: Option<i64>,
    /// Another address has to be verified again.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// An administrator has seen that messages arrive.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub verified: Option<bool>,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub disabled: Option<bool>,
}

pub async fn create(tx: &mut Tx, by: &By, key: &SealKey, member_id: Uuid, new: NewChannel) -> Result<Channel> {
    let word = known(&new.channel)?;
    let person = member::get(tx, by.site_id, member_id).await?;
    let address = address::address(word, &new.address, &person.phone)?;
    let secret = address::secret(word, new.secret.as_deref())?;
    let new = NewChannel { address, secret, position: register::position("position", new.position)?, ..new };
    lock_id(tx, new.id).await?;
    if let Some(stored) = find(tx, by.site_id, new.id).await? {
        let position = if new.position == 0 { stored.position } else { new.position };
        let new = NewChannel { position, ..new };
        return if stored.member_id == member_id { same_or_conflict(&new, stored) } else { Err(id_conflict().into()) };
    }
    member::require(tx, by.site_id, "member_id", member_id).await?;
    let others = list(tx, by.site_id, member_id).await?;
    let count = i64::try_from(others.len()).unwrap_or(i64::MAX);
    if count >= CHANNELS_MAX {
        return Err(Refusal::conflict("visit.too_many").with("max", CHANNELS_MAX).into());
    }
    let last = others.iter().map(|channel| channel.position).max().unwrap_or_default();
    let sealed = new.secret.as_ref().map(|secret| key.seal(&secret_place(new.id), secret.as_bytes()));
    let sql = "insert into member_channel (site_id, id, member_id, position, channel, address, secret_sealed, version, created_at)
        values ($1, $2, $3, $4, $5, $6, $7, 1, $8)";
    on!(tx, |conn| sqlx::query(sql)
        .bind(by.site_id)
        .bind(new.id)
        .bind(member_id)
        .bind(if new.position == 0 { (last + 1).min(POSITION_MAX) } else { new.position })
        .bind(&new.channel)
        .bind(&new.address)
        .bind(sealed)
        .bind(by.now)
        .execute(conn)
        .await
        .map(|_| ()))?;
    wrote(tx, by, written("create", new.id, member_id), &new).await?;
    if new.position == 0 {
        channel_order::follow_site(tx, by, Some(member_id)).await?;
    } else {
        channel_order::own(tx, by, member_id).await?;
    }
    get(tx, by.site_id, new.id).await
}

/// Where a channel's secret is sealed, see `seal::SealKey`.
pub fn secret_place(channel_id: Uuid) -> String {
    format!("channel/{channel_id}")
}

/// A channel that this version has.
fn known(word: &str) -> Result<message::Channel, Refusal> {
    let allowed = || message::Channel::ALL.iter().map(|channel| channel.as_str()).collect::<Vec<_>>().join(", ");
    word.parse().map_err(|_| Refusal::invalid("channel", "register.channel").with("allowed", allowed()))
}

pub async fn get(tx: &mut Tx, site_id: Uuid, id: Uuid) -> Result<Channel> {
    find(tx, site_id, id).await?.ok_or_else(|| Refusal::not_found().into())
}

/// The same, if it is one of this member.
pub async fn of_member(tx: &mut Tx, site_id: Uuid, member_id: Uuid, id: Uuid) -> Result<Channel> {
    let channel = get(tx, site_id, id).await?;
    if channel.member_id == member_id { Ok(channel) } else { Err(Refusal::not_found().into()) }
}

async fn find(tx: &mut Tx, site_id: Uuid, id: Uuid) -> Result<Option<Channel>> {
    Ok(select(tx, site_id, Some(id), None).await?.pop())
}

/// All channels of a member, in the order in which they are used.
pub async fn list(tx: &mut Tx, site_id: Uuid, member_id: Uuid) -> Result<Vec<Channel>> {
    select(tx, site_id, None, Some(member_id)).await
}

/// A browser that was switched off is no channel any more, see `screen`.
async fn select(tx: &mut Tx, site_id: Uuid, id: Option<Uuid>, member_id: Option<Uuid>) -> Result<Vec<Channel>> {
    let sql = "select id, member_id, position, channel, address, verified_at, disabled_at, disabled_why, version, created_at
        from member_channel where site_id = $1 and ($2 is null or id = $2) and ($3 is null or member_id = $3)
            and (channel <> 'web_push' or secret_sealed is not null)
        order by position, id";
    Ok(on!(tx, |conn| sqlx::query_as(sql).bind(site_id).bind(id).bind(member_id).fetch_all(conn).await)?)
}

pub async fn patch(tx: &mut Tx, by: &By, member_id: Uuid, id: Uuid, version: i64, patch: ChannelPatch) -> Result<Channel> {
    let old = of_member(tx, by.site_id, member_id, id).await?;
    let address = match &patch.address {
        Some(typed) => address::address(known(&old.channel)?, typed, &member::get(tx, by.site_id, member_id).await?.phone)?,
        None => old.address.clone(),
    };
    let verified_at = match patch.verified {
        Some(true) => old.verified_at.filter(|_| address == old.address).or(Some(by.now)),
        Some(false) => None,
        None => old.verified_at.filter(|_| address == old.address),
    };
    let disabled_at = match patch.disabled {
        Some(true) => old.disabled_at.or(Some(by.now)),
        Some(false) => None,
        None => old.disabled_at,
    };
    let sql = "update member_channel set position = $4, address = $5, verified_at = $6, disabled_at = $7,
            disabled_why = case when $7 is null then null else disabled_why end, version = version + 1
        where site_id = $1 and id = $2 and version = $3";
    let rows = on!(tx, |conn| sqlx::query(sql)
        .bind(by.site_id)
        .bind(id)
        .bind(version)
        .bind(register::position("position", patch.position.unwrap_or(old.position))?)
        .bind(address)
        .bind(verified_at)
        .bind(disabled_at)
        .execute(conn)
        .await?
        .rows_affected());
    require_version(rows)?;
    if patch.position.is_some() {
        channel_order::own(tx, by, member_id).await?;
    }
    wrote(tx, by, written("change", id, member_id), &patch).await?;
    get(tx, by.site_id, id).await
}

/// The member has read the code that was sent over this channel.
pub async fn confirm(tx: &mut Tx, by: &By, channel: &Channel) -> Result<Channel> {
    let sql = "update member_channel set verified_at = $3, version = version + 1 where site_id = $1 and id = $2 and verified_at is null";
    on!(tx, |conn| sqlx::query(sql).bind(by.site_id).bind(channel.id).bind(by.now).execute(conn).await.map(|_| ()))?;
    wrote(tx, by, written("confirm", channel.id, channel.member_id), &serde_json::json!({})).await?;
    get(tx, by.site_id, channel.id).await
}

/// On record that a test message went over this channel.
pub async fn tested(tx: &mut Tx, by: &By, channel: &Channel) -> Result<()> {
    sent(tx, by, channel, "test").await
}

/// On record that a code went over it.
pub async fn code_sent(tx: &mut Tx, by: &By, channel: &Channel) -> Result<()> {
    sent(tx, by, channel, "send_code").await
}

async fn sent(tx: &mut Tx, by: &By, channel: &Channel, act: &'static str) -> Result<()> {
    wrote(tx, by, written(act, channel.id, channel.member_id), &serde_json::json!({})).await
}

fn written(act: &str, id: Uuid, member_id: Uuid) -> Written<'_> {
    Written { act, table: "member_channel", id, person_id: Some(member_id), senior_id: None }
}
