//! Whom to phone about a senior, in order. Contacts get nothing automatic; people phone them from the script.

use chrono::{DateTime, Utc};
use garde::Validate;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{By, Written, id_conflict, lock_id, nullable, present, require_open, require_version, same_or_conflict, senior, wrote};
use crate::domain::refusal::Refusal;
use crate::domain::register::{self, CONTACTS_MAX};
use crate::domain::visit::minutes_away;
use crate::on;
use crate::store::{Result, Tx};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema, sqlx::FromRow)]
pub struct Contact {
    pub id: Uuid,
    pub senior_id: Uuid,
    /// The lowest is phoned first; of two with the same position the one who was entered first.
    pub position: i64,
    pub name: String,
    pub relation: String,
    pub phone: String,
    pub minutes_away: Option<i64>,
    /// Agreed at enrolment to be called automatically.
    pub agreed_automatic: bool,
    pub ended_at: Option<DateTime<Utc>>,
    pub version: i64,
    pub created_at: DateTime<Utc>,
}

#[derive(Debug, Clone, Serialize, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[garde(allow_unvalidated)]
pub struct NewContact {
    /// Made by the client, or else by the server.
    #[serde(default)]
    pub id: Uuid,
    pub position: i64,
    pub name: String,
    pub relation: String,
    pub phone: String,
    #[serde(default)]
    pub minutes_away: Option<i64>,
    #[serde(default)]
    pub agreed_automatic: bool,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[garde(allow_unvalidated)]
pub struct ContactPatch {
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub position: Option<i64>,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub relation: Option<String>,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub phone: Option<String>,
    /// Null: nobody knows.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<i64>)]
    pub minutes_away: Option<Option<i64>>,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub agreed_automatic: Option<bool>,
    /// True ends it; nothing else is then changed in the same request.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub ended: Option<bool>,
}

impl NewContact {
    fn checked(self) -> Result<Self, Refusal> {
        Ok(Self {
            position: register::position("position", self.position)?,
            name: register::name("name", &self.name)?,
            relation: register::name("relation", &self.relation)?,
            phone: register::phone("phone", &self.phone)?,
            minutes_away: minutes_away("minutes_away", self.minutes_away)?,
            ..self
        })
    }
}

pub async fn create(tx: &mut Tx, by: &By, senior_id: Uuid, new: NewContact) -> Result<Contact> {
    let new = new.checked()?;
    senior::lock(tx, by.site_id, senior_id).await?;
    lock_id(tx, new.id).await?;
    if let Some(stored) = find(tx, by.site_id, new.id).await? {
        return if stored.senior_id == senior_id { same_or_conflict(&new, stored) } else { Err(id_conflict().into()) };
    }
    let count = i64::try_from(list(tx, by.site_id, senior_id).await?.len()).unwrap_or(i64::MAX);
    if count >= CONTACTS_MAX {
        return Err(Refusal::conflict("register.contacts_max").with("max", CONTACTS_MAX).into());
    }
    let sql = "insert into contact (site_id, id, senior_id, position, name, relation, phone, minutes_away, agreed_automatic,
            version, created_at)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9, 1, $10)";
    on!(tx, |conn| sqlx::query(sql)
        .bind(by.site_id)
        .bind(new.id)
        .bind(senior_id)
        .bind(new.position)
        .bind(&new.name)
        .bind(&new.relation)
        .bind(&new.phone)
        .bind(new.minutes_away)
        .bind(new.agreed_automatic)
        .bind(by.now)
        .execute(conn)
        .await
        .map(|_| ()))?;
    wrote(tx, by, written("create", new.id, senior_id), &new).await?;
    get(tx, by.site_id, senior_id, new.id).await
}

pub async fn get(tx: &mut Tx, site_id: Uuid, senior_id: Uuid, id: Uuid) -> Result<Contact> {
    let found = find(tx, site_id, id).await?.filter(|contact| contact.senior_id == senior_id);
    found.ok_or_else(|| Refusal::not_found().into())
}

async fn find(tx: &mut Tx, site_id: Uuid, id: Uuid) -> Result<Option<Contact>> {
    let sql = "select id, senior_id, position, name, relation, phone, minutes_away, agreed_automatic, ended_at, version, created_at
        from contact where site_id = $1 and id = $2";
    Ok(on!(tx, |conn| sqlx::query_as(sql).bind(site_id).bind(id).fetch_optional(conn).await)?)
}

/// The contacts in the order in which they are phoned; of two in the same position the one who was entered first.
pub async fn list(tx: &mut Tx, site_id: Uuid, senior_id: Uuid) -> Result<Vec<Contact>> {
    let sql = "select id, senior_id, position, name, relation, phone, minutes_away, agreed_automatic, ended_at, version, created_at
        from contact where site_id = $1 and senior_id = $2 and ended_at is null order by position, created_at, id";
    Ok(on!(tx, |conn| sqlx::query_as(sql).bind(site_id).bind(senior_id).fetch_all(conn).await)?)
}

pub async fn patch(tx: &mut Tx, by: &By, senior_id: Uuid, id: Uuid, version: i64, patch: ContactPatch) -> Result<Contact> {
    let old = get(tx, by.site_id, senior_id, id).await?;
    require_open(old.ended_at)?;
    let kept = patch.clone();
    let merged = NewContact {
        id,
        position: patch.position.unwrap_or(old.position),
        name: patch.name.unwrap_or(old.name),
        relation: patch.relation.unwrap_or(old.relation),
        phone: patch.phone.unwrap_or(old.phone),
        minutes_away: patch.minutes_away.unwrap_or(old.minutes_away),
        agreed_automatic: patch.agreed_automatic.unwrap_or(old.agreed_automatic),
    }
    .checked()?;
    let sql = "update contact set position = $4, name = $5, relation = $6, phone = $7, minutes_away = $8, agreed_automatic = $9,
            version = version + 1
        where site_id = $1 and id = $2 and version = $3 and ended_at is null";
    let rows = on!(tx, |conn| sqlx::query(sql)
        .bind(by.site_id)
        .bind(id)
        .bind(version)
        .bind(merged.position)
        .bind(merged.name)
        .bind(merged.relation)
        .bind(merged.phone)
        .bind(merged.minutes_away)
        .bind(merged.agreed_automatic)
        .execute(conn)
        .await?
        .rows_affected());
    require_version(rows)?;
    wrote(tx, by, written("change", id, senior_id), &kept).await?;
    get(tx, by.site_id, senior_id, id).await
}

pub async fn end(tx: &mut Tx, by: &By, senior_id: Uuid, id: Uuid, version: i64) -> Result<Contact> {
    require_open(get(tx, by.site_id, senior_id, id).await?.ended_at)?;
    let sql =
        "update contact set ended_at = $4, version = version + 1 where site_id = $1 and id = $2 and version = $3 and ended_at is null";
    let rows = on!(tx, |conn| sqlx::query(sql).bind(by.site_id).bind(id).bind(version).bind(by.now).execute(conn).await?.rows_affected());
    require_version(rows)?;
    wrote(tx, by, written("end", id, senior_id), &serde_json::json!({"ended_at": by.now})).await?;
    get(tx, by.site_id, senior_id, id).await
}

fn written(act: &str, id: Uuid, senior_id: Uuid) -> Written<'_> {
    Written { act, table: "contact", id, person_id: Some(id), senior_id: Some(senior_id) }
}
