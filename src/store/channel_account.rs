//! Which channels work on this installation: those with an account in the settings that its provider has not refused. Every query
//! that asks whether somebody can be reached looks here, so that a refused account is missing at once and everywhere.

use chrono::{DateTime, Utc};
use sqlx::FromRow;
use uuid::Uuid;

use crate::domain::message::Channel;
use crate::domain::message::channel::{OF_CONTACTS, Working};
use crate::on;
use crate::store::{Result, Tx};

#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct Account {
    #[sqlx(try_from = "String")]
    pub channel: Channel,
    pub configured: bool,
    /// Since when its provider refuses it, and the provider's word for why.
    pub fault_at: Option<DateTime<Utc>>,
    pub fault_why: Option<String>,
}

/// Writes what the settings say, at each start; a fault is forgotten, because somebody may have mended the settings.
pub async fn declare(tx: &mut Tx, channels: &[Working]) -> Result<()> {
    tx.lock_named("channel_account").await?;
    let sql = "insert into channel_account (channel, configured, tells_contacts) values ($1, $2, $3)
        on conflict (channel) do update set configured = excluded.configured, tells_contacts = excluded.tells_contacts,
            fault_at = null, fault_why = null";
    for Working { channel, configured, tells_contacts } in channels {
        on!(tx, |conn| sqlx::query(sql).bind(channel.as_str()).bind(*configured).bind(*tells_contacts).execute(conn).await.map(|_| ()))?;
    }
    Ok(())
}

/// All accounts that the settings name, in the order of the words.
pub async fn configured(tx: &mut Tx) -> Result<Vec<Account>> {
    let sql = "select channel, configured, fault_at, fault_why from channel_account where configured";
    let mut accounts: Vec<Account> = on!(tx, |conn| sqlx::query_as(sql).fetch_all(conn).await)?;
    accounts.sort_by_key(|account| account.channel);
    Ok(accounts)
}

/// The ways by which contacts can be told now, in their order.
pub async fn of_contacts(tx: &mut Tx) -> Result<Vec<Channel>> {
    let sql = "select channel from channel_account where configured and tells_contacts and fault_at is null";
    let words: Vec<String> = on!(tx, |conn| sqlx::query_scalar(sql).fetch_all(conn).await)?;
    Ok(OF_CONTACTS.into_iter().filter(|channel| words.iter().any(|word| word == channel.as_str())).collect())
}

/// The provider refuses the account. Returns whether that is news.
pub async fn refuse(tx: &mut Tx, channel: &str, why: &str, now: DateTime<Utc>) -> Result<bool> {
    let sql = "update channel_account set fault_at = $2, fault_why = $3 where channel = $1 and fault_at is null";
    let rows = on!(tx, |conn| sqlx::query(sql).bind(channel).bind(now).bind(why).execute(conn).await?.rows_affected());
    Ok(rows > 0)
}

/// A message has passed: the account works again.
pub async fn accept(tx: &mut Tx, channel: &str) -> Result<()> {
    let sql = "update channel_account set fault_at = null, fault_why = null where channel = $1 and fault_at is not null";
    on!(tx, |conn| sqlx::query(sql).bind(channel).execute(conn).await.map(|_| ()))?;
    Ok(())
}

/// Every site, for what concerns all of them.
pub async fn sites(tx: &mut Tx) -> Result<Vec<Uuid>> {
    Ok(on!(tx, |conn| sqlx::query_scalar("select id from site order by id").fetch_all(conn).await)?)
}
