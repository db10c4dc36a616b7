//! Credentials. Passwords are random and long, so a plain hash is enough; native keys must be read again and are sealed with the
//! key file. Two are valid while one is rotated out.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use uuid::Uuid;

use super::super::{Error, Result, Tx, bulk};
use super::register::{current, record};
use super::{Device, ROTATION_OVERLAP, columns};
use crate::domain::device::Ecosystem;
use crate::domain::refusal::Refusal;
use crate::ingest::native::Key;
use crate::on;
use crate::seal::SealKey;

const SECRET_BYTES: usize = 32;

/// What a device is given, shown once.
#[derive(Clone)]
pub struct Credentials {
    pub kid: u32,
    /// MQTT password; the user name is the device's name.
    pub password: String,
    /// Signs the messages of native devices.
    pub key: Option<[u8; SECRET_BYTES]>,
}

/// Makes and stores one credential.
pub(super) async fn issue(
    tx: &mut Tx,
    (site_id, id): (Uuid, Uuid),
    ecosystem: Ecosystem,
    kid: u32,
    seal: &SealKey,
    now: DateTime<Utc>,
) -> Result<Credentials> {
    let password = URL_SAFE_NO_PAD.encode(rand::random::<[u8; SECRET_BYTES]>());
    let key = (ecosystem == Ecosystem::Native).then(rand::random::<[u8; SECRET_BYTES]>);
    let sealed = key.map(|key| seal.seal(&place(id, kid), &key));
    let sql = "insert into device_credential (site_id, device_id, kid, password_hash, key_sealed, valid_from)
        values ($1, $2, $3, $4, $5, $6)";
    on!(tx, |conn| sqlx::query(sql)
        .bind(site_id)
        .bind(id)
        .bind(i64::from(kid))
        .bind(hash(password.as_bytes()))
        .bind(sealed)
        .bind(now)
        .execute(conn)
        .await
        .map(|_| ()))?;
    Ok(Credentials { kid, password, key })
}

/// Gives a device a new credential; the newest of the old ones stays valid for [`ROTATION_OVERLAP`], older ones end now.
pub async fn rotate(
    tx: &mut Tx,
    (site_id, id): (Uuid, Uuid),
    version: i64,
    actor_id: Uuid,
    seal: &SealKey,
    now: DateTime<Utc>,
) -> Result<Credentials> {
    let device = current(tx, site_id, id, version).await?;
    let sql = "select max(kid) from device_credential where site_id = $1 and device_id = $2";
    let newest: Option<i64> = on!(tx, |conn| sqlx::query_scalar(sql).bind(site_id).bind(id).fetch_one(conn).await)?;
    let newest = newest.ok_or_else(|| Refusal::conflict("problem.device_gateway"))?;
    let sql = "delete from device_credential where site_id = $1 and device_id = $2 and kid < $3";
    on!(tx, |conn| sqlx::query(sql).bind(site_id).bind(id).bind(newest).execute(conn).await.map(|_| ()))?;
    let sql = "update device_credential set valid_to = $3 where site_id = $1 and device_id = $2";
    on!(tx, |conn| sqlx::query(sql).bind(site_id).bind(id).bind(now + ROTATION_OVERLAP).execute(conn).await.map(|_| ()))?;
    let sql = "update device set version = version + 1 where site_id = $1 and id = $2";
    on!(tx, |conn| sqlx::query(sql).bind(site_id).bind(id).execute(conn).await.map(|_| ()))?;
    record(tx, (site_id, id), "rotate", &["kid"], Some(actor_id), now).await?;
    let kid = u32::try_from(newest + 1).map_err(|_| Error::broken("device_credential", id, "kid"))?;
    issue(tx, (site_id, id), device.ecosystem, kid, seal, now).await
}

/// Gives out the newest credential anew, because the answer that held it may have been lost: other secrets in its place, and the one
/// that the device may still use is not touched. `version` is the one that was rotated; nothing may have happened since.
pub async fn reissue(
    tx: &mut Tx,
    (site_id, id): (Uuid, Uuid),
    version: i64,
    actor_id: Uuid,
    seal: &SealKey,
    now: DateTime<Utc>,
) -> Result<Credentials> {
    let device = current(tx, site_id, id, version + 1).await?;
    let sql = "delete from device_credential where site_id = $1 and device_id = $2 and valid_to is null returning kid";
    let newest: Option<i64> = on!(tx, |conn| sqlx::query_scalar(sql).bind(site_id).bind(id).fetch_optional(conn).await)?;
    let newest = newest.ok_or_else(|| Refusal::conflict("problem.device_gateway"))?;
    let kid = u32::try_from(newest).map_err(|_| Error::broken("device_credential", id, "kid"))?;
    record(tx, (site_id, id), "rotate", &["kid"], Some(actor_id), now).await?;
    issue(tx, (site_id, id), device.ecosystem, kid, seal, now).await
}

/// The device of this name, and the number of the credential, if the password is one of its valid ones. Unknown names cost the same as wrong passwords.
pub async fn authenticate(tx: &mut Tx, name: &str, password: &[u8], now: DateTime<Utc>) -> Result<Option<(Device, i64)>> {
    let given = hash(password);
    let sql = concat!("select ", columns!(), " from device where name = $1 and gateway_id is null and revoked_at is null");
    let device: Option<Device> = on!(tx, |conn| sqlx::query_as(sql).bind(name).fetch_optional(conn).await)?;
    let id = device.as_ref().map_or(Uuid::nil(), |device| device.id);
    let sql = "select kid, password_hash from device_credential
        where device_id = $1 and valid_from <= $2 and (valid_to is null or valid_to > $2)";
    let valid: Vec<(i64, Vec<u8>)> = on!(tx, |conn| sqlx::query_as(sql).bind(id).bind(now).fetch_all(conn).await)?;
    let mut matching = None;
    for (kid, stored) in &valid {
        if bool::from(stored.as_slice().ct_eq(&given)) {
            matching = Some(*kid);
        }
    }
    Ok(device.zip(matching))
}

/// A key as it is stored.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct SealedKey {
    pub device_id: Uuid,
    pub kid: i64,
    pub key_sealed: Vec<u8>,
    /// Its time has not run out.
    pub is_valid: bool,
}

/// The keys of these devices, those that ran out included, still sealed: opening them is arithmetic and not for a transaction.
pub async fn sealed_keys(tx: &mut Tx, ids: &[Uuid], now: DateTime<Utc>) -> Result<Vec<SealedKey>> {
    let rows = serde_json::to_string(&bulk::ids(ids)).expect("ids are plain JSON");
    let template = "select device_credential.device_id, device_credential.kid, device_credential.key_sealed,
            (valid_from <= $2 and (valid_to is null or valid_to > $2)) as is_valid
        from {rows} join device_credential on device_credential.device_id = {id:uuid} where key_sealed is not null";
    let sql = bulk::text(tx, template);
    Ok(on!(tx, |conn| sqlx::query_as(sqlx::AssertSqlSafe(sql)).bind(rows).bind(now).fetch_all(conn).await)?)
}

/// Opens a key. A key that does not open (another key file) leaves its device mute, and the operator is told.
pub fn unseal(seal: &SealKey, sealed: &SealedKey) -> Result<Key> {
    let kid = u32::try_from(sealed.kid).map_err(|_| Error::broken("device_credential", sealed.device_id, "kid"))?;
    let plain = seal
        .open(&place(sealed.device_id, kid), &sealed.key_sealed)
        .map_err(|error| Error::broken("device_credential", sealed.device_id, error))?;
    let secret = plain.try_into().map_err(|_| Error::broken("device_credential", sealed.device_id, "length"))?;
    Ok(Key { kid, secret })
}

fn place(id: Uuid, kid: u32) -> String {
    format!("device/{id}/{kid}")
}

fn hash(password: &[u8]) -> Vec<u8> {
    Sha256::digest(password).to_vec()
}
