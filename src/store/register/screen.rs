//! Browsers that show pop-ups: each is a row of `member_channel` whose secret is what the browser gave. The browser proves itself, because
//! its reader is signed in; so it is verified at once.
//!
//! What must stay true: one browser is one row, known by its endpoint; it shows the messages of one person, the one who was signed in
//! last; and a row whose browser was switched off keeps no secret and is used again, so that switching on and off leaves nothing behind.

use uuid::Uuid;

use super::channel::{self, Channel};
use super::{By, Written, member, wrote};
use crate::domain::message::address;
use crate::domain::refusal::Refusal;
use crate::domain::register::CHANNELS_MAX;
use crate::on;
use crate::seal::SealKey;
use crate::store::{Result, Tx};

/// What a browser gives.
pub struct NewScreen {
    /// Of the row, if one is made.
    pub id: Uuid,
    pub endpoint: String,
    /// The subscription with its keys, JSON.
    pub secret: Vec<u8>,
    /// To know the browser again in a list.
    pub label: String,
    /// The endpoint that the browser had until now: it has changed its subscription by itself.
    pub replaces: Option<String>,
}

/// A browser of the site that has been switched on once.
struct Screen {
    id: Uuid,
    member_id: Uuid,
    /// `None`: it was switched off in the browser, or the key file is another one.
    endpoint: Option<String>,
    is_on: bool,
    has_secret: bool,
}

/// Switches a browser on for a member, or takes its new subscription.
///
/// # Errors
/// Not found, if the subscription that it replaces is none of hers: somebody else has signed in there since.
pub async fn subscribe(tx: &mut Tx, by: &By, key: &SealKey, member_id: Uuid, new: NewScreen) -> Result<Channel> {
    member::require(tx, by.site_id, "member_id", member_id).await?;
    let screens = screens(tx, by.site_id, key).await?;
    let is_at = |screen: &&Screen, endpoint: &str| screen.endpoint.as_deref() == Some(endpoint);
    let mine = |endpoint: &str| screens.iter().find(|screen| screen.member_id == member_id && is_at(screen, endpoint));
    let replaced =
        new.replaces.as_deref().map(|old| mine(old).or_else(|| mine(&new.endpoint)).ok_or_else(Refusal::not_found)).transpose()?;
    for other in screens.iter().filter(|screen| screen.member_id != member_id && is_at(screen, &new.endpoint)) {
        switch_off(tx, by, other).await?;
    }
    let known = replaced.or_else(|| mine(&new.endpoint));
    let spare = || screens.iter().find(|screen| screen.member_id == member_id && !screen.has_secret);
    let id = match known.or_else(spare) {
        Some(screen) => {
            let sql =
                "update member_channel set address = $3, secret_sealed = $4, verified_at = $5, disabled_at = null, disabled_why = null,
                    version = version + 1 where site_id = $1 and id = $2";
            let sealed = key.seal(&channel::secret_place(screen.id), &new.secret);
            on!(tx, |conn| sqlx::query(sql)
                .bind(by.site_id)
                .bind(screen.id)
                .bind(&new.label)
                .bind(sealed)
                .bind(by.now)
                .execute(conn)
                .await
                .map(|_| ()))?;
            screen.id
        }
        None => insert(tx, by, key, member_id, &new).await?,
    };
    wrote(tx, by, written("subscribe", id, member_id), &serde_json::json!({ "address": new.label })).await?;
    channel::get(tx, by.site_id, id).await
}

async fn insert(tx: &mut Tx, by: &By, key: &SealKey, member_id: Uuid, new: &NewScreen) -> Result<Uuid> {
    let ways = channel::list(tx, by.site_id, member_id).await?;
    if i64::try_from(ways.len()).is_ok_and(|count| count >= CHANNELS_MAX) {
        return Err(Refusal::conflict("visit.too_many").with("max", CHANNELS_MAX).into());
    }
    let sql =
        "insert into member_channel (site_id, id, member_id, position, channel, address, secret_sealed, verified_at, version, created_at)
        values ($1, $2, $3, $4, 'web_push', $5, $6, $7, 1, $7)";
    on!(tx, |conn| sqlx::query(sql)
        .bind(by.site_id)
        .bind(new.id)
        .bind(member_id)
        .bind(ways.last().map_or(1, |last| last.position))
        .bind(&new.label)
        .bind(key.seal(&channel::secret_place(new.id), &new.secret))
        .bind(by.now)
        .execute(conn)
        .await
        .map(|_| ()))?;
    Ok(new.id)
}

/// Switches the browser with this endpoint off, if it is one of hers. It needs no password: whoever sits there can do so in the browser.
pub async fn unsubscribe(tx: &mut Tx, by: &By, key: &SealKey, member_id: Uuid, endpoint: &str) -> Result<()> {
    let screens = screens(tx, by.site_id, key).await?;
    for screen in screens.iter().filter(|screen| screen.member_id == member_id && screen.endpoint.as_deref() == Some(endpoint)) {
        switch_off(tx, by, screen).await?;
    }
    Ok(())
}

/// Her phone or computer is lost: nothing more is shown on any of hers.
pub async fn switch_all_off(tx: &mut Tx, by: &By, key: &SealKey, member_id: Uuid) -> Result<()> {
    let screens = screens(tx, by.site_id, key).await?;
    for screen in screens.iter().filter(|screen| screen.member_id == member_id && screen.has_secret) {
        switch_off(tx, by, screen).await?;
    }
    Ok(())
}

/// The endpoints of a member's browsers that are on.
pub async fn endpoints(tx: &mut Tx, site_id: Uuid, key: &SealKey, member_id: Uuid) -> Result<Vec<String>> {
    let screens = read(tx, site_id, key).await?;
    let on = screens.into_iter().filter(|screen| screen.member_id == member_id && screen.is_on);
    Ok(on.filter_map(|screen| screen.endpoint).collect())
}

async fn switch_off(tx: &mut Tx, by: &By, screen: &Screen) -> Result<()> {
    let sql = "update member_channel set secret_sealed = null, verified_at = null, disabled_at = $3, version = version + 1
        where site_id = $1 and id = $2";
    on!(tx, |conn| sqlx::query(sql).bind(by.site_id).bind(screen.id).bind(by.now).execute(conn).await.map(|_| ()))?;
    wrote(tx, by, written("unsubscribe", screen.id, screen.member_id), &serde_json::json!({})).await
}

/// For a change: one at a time in a site, because two browsers' windows may say the same at once.
async fn screens(tx: &mut Tx, site_id: Uuid, key: &SealKey) -> Result<Vec<Screen>> {
    tx.lock_named(&format!("web_push {site_id}")).await?;
    read(tx, site_id, key).await
}

/// Endpoints are sealed, so the few rows of a site are opened and compared.
async fn read(tx: &mut Tx, site_id: Uuid, key: &SealKey) -> Result<Vec<Screen>> {
    let sql = "select id, member_id, secret_sealed, verified_at is not null and disabled_at is null from member_channel
        where site_id = $1 and channel = 'web_push' order by position, id";
    let rows: Vec<(Uuid, Uuid, Option<Vec<u8>>, bool)> = on!(tx, |conn| sqlx::query_as(sql).bind(site_id).fetch_all(conn).await)?;
    let screen = |(id, member_id, sealed, is_on): (Uuid, Uuid, Option<Vec<u8>>, bool)| {
        let opened = sealed.as_ref().and_then(|sealed| key.open(&channel::secret_place(id), sealed).ok());
        Screen { id, member_id, endpoint: opened.and_then(|secret| address::endpoint(&secret)), is_on, has_secret: sealed.is_some() }
    };
    Ok(rows.into_iter().map(screen).collect())
}

fn written(act: &str, id: Uuid, member_id: Uuid) -> Written<'_> {
    Written { act, table: "member_channel", id, person_id: Some(member_id), senior_id: None }
}
