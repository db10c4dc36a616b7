//! What a senior has agreed to, scope by scope, and what was withdrawn again.

use chrono::{DateTime, TimeDelta, Utc};
use garde::Validate;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{By, Written, id_conflict, lock_id, require_open, require_version, same_or_conflict, senior, wrote};
use crate::domain::place::ConsentScope;
use crate::domain::refusal::Refusal;
use crate::domain::register::{self, NAME_CHARS_MAX};
use crate::on;
use crate::store::{Result, Tx};

/// A phone's clock may run ahead by this much.
const FUTURE_MAX: TimeDelta = TimeDelta::minutes(2);

#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema, sqlx::FromRow)]
pub struct Consent {
    pub id: Uuid,
    pub senior_id: Uuid,
    #[sqlx(try_from = "String")]
    pub scope: ConsentScope,
    pub given_at: DateTime<Utc>,
    /// On paper, by voice, …
    pub given_how: String,
    pub witness: Option<String>,
    pub withdrawn_at: Option<DateTime<Utc>>,
    pub version: i64,
    pub created_at: DateTime<Utc>,
}

#[derive(Debug, Clone, Serialize, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[garde(allow_unvalidated)]
pub struct NewConsent {
    /// Made by the client, or else by the server.
    #[serde(default)]
    pub id: Uuid,
    pub scope: ConsentScope,
    #[serde(deserialize_with = "super::instant")]
    pub given_at: DateTime<Utc>,
    pub given_how: String,
    #[serde(default)]
    pub witness: Option<String>,
}

pub async fn create(tx: &mut Tx, by: &By, senior_id: Uuid, new: NewConsent) -> Result<Consent> {
    let given_how = register::name("given_how", &new.given_how)?;
    let witness = register::optional("witness", new.witness.as_deref(), NAME_CHARS_MAX)?;
    if new.given_at > by.now + FUTURE_MAX {
        return Err(Refusal::invalid("given_at", "register.in_the_future").into());
    }
    let new = NewConsent { given_how, witness, ..new };
    senior::lock(tx, by.site_id, senior_id).await?;
    lock_id(tx, new.id).await?;
    if let Some(stored) = find(tx, by.site_id, new.id).await? {
        return if stored.senior_id == senior_id { same_or_conflict(&new, stored) } else { Err(id_conflict().into()) };
    }
    let sql = "insert into consent (site_id, id, senior_id, scope, given_at, given_how, witness, version, created_at)
        values ($1, $2, $3, $4, $5, $6, $7, 1, $8)";
    on!(tx, |conn| sqlx::query(sql)
        .bind(by.site_id)
        .bind(new.id)
        .bind(senior_id)
        .bind(new.scope.as_str())
        .bind(new.given_at)
        .bind(&new.given_how)
        .bind(&new.witness)
        .bind(by.now)
        .execute(conn)
        .await
        .map(|_| ()))?;
    wrote(tx, by, written("create", new.id, senior_id), &new).await?;
    get(tx, by.site_id, senior_id, new.id).await
}

pub async fn get(tx: &mut Tx, site_id: Uuid, senior_id: Uuid, id: Uuid) -> Result<Consent> {
    let found = find(tx, site_id, id).await?.filter(|consent| consent.senior_id == senior_id);
    found.ok_or_else(|| Refusal::not_found().into())
}

async fn find(tx: &mut Tx, site_id: Uuid, id: Uuid) -> Result<Option<Consent>> {
    let sql = "select id, senior_id, scope, given_at, given_how, witness, withdrawn_at, version, created_at
        from consent where site_id = $1 and id = $2";
    Ok(on!(tx, |conn| sqlx::query_as(sql).bind(site_id).bind(id).fetch_optional(conn).await)?)
}

/// The whole history of a senior's consents.
pub async fn list(tx: &mut Tx, site_id: Uuid, senior_id: Uuid) -> Result<Vec<Consent>> {
    let sql = "select id, senior_id, scope, given_at, given_how, witness, withdrawn_at, version, created_at
        from consent where site_id = $1 and senior_id = $2 order by given_at, id";
    Ok(on!(tx, |conn| sqlx::query_as(sql).bind(site_id).bind(senior_id).fetch_all(conn).await)?)
}

/// A consent is withdrawn, never deleted.
pub async fn withdraw(tx: &mut Tx, by: &By, senior_id: Uuid, id: Uuid, version: i64) -> Result<Consent> {
    require_open(get(tx, by.site_id, senior_id, id).await?.withdrawn_at)?;
    let sql = "update consent set withdrawn_at = $4, version = version + 1
        where site_id = $1 and id = $2 and version = $3 and withdrawn_at is null";
    let rows = on!(tx, |conn| sqlx::query(sql).bind(by.site_id).bind(id).bind(version).bind(by.now).execute(conn).await?.rows_affected());
    require_version(rows)?;
    wrote(tx, by, written("withdraw", id, senior_id), &serde_json::json!({"withdrawn_at": by.now})).await?;
    get(tx, by.site_id, senior_id, id).await
}

fn written(act: &str, id: Uuid, senior_id: Uuid) -> Written<'_> {
    Written { act, table: "consent", id, person_id: Some(senior_id), senior_id: Some(senior_id) }
}
