//! The isolation boundary: one scheme with its zone and its own copy of the times.

use chrono::{DateTime, NaiveDate, Utc};
use chrono_tz::Tz;
use garde::Validate;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{By, Written, channel_order, json, lock_id, present, require_version, wrote};
use crate::domain::day::local_date;
use crate::domain::misread::misread;
use crate::domain::refusal::Refusal;
use crate::domain::register;
use crate::domain::rules::Rules;
use crate::domain::silence::Silenced;
use crate::on;
use crate::store::{Error, Result, Tx, case, plan, silence};

#[derive(Debug, Clone, sqlx::FromRow)]
pub struct Site {
    pub id: Uuid,
    pub name: String,
    pub timezone: String,
    pub latitude: f64,
    pub longitude: f64,
    settings: String,
    pub version: i64,
    pub created_at: DateTime<Utc>,
}

/// A site to be made; it copies the times of the configuration.
#[derive(Debug, Clone)]
pub struct NewSite {
    pub id: Uuid,
    pub name: String,
    pub zone: Tz,
    pub latitude: f64,
    pub longitude: f64,
    pub rules: Rules,
}

/// What may change. The zone may not: local dates of the past would mean other days.
#[derive(Debug, Clone, Default, Serialize, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[garde(allow_unvalidated)]
pub struct SitePatch {
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub latitude: Option<f64>,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub longitude: Option<f64>,
    /// Settings of `check`, `ladder` and `notify` to change, e.g. `{"check": {"grace": "20m"}}`; the others stay.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub settings: Option<serde_json::Value>,
}

impl Site {
    pub fn zone(&self) -> Result<Tz> {
        self.timezone.parse().map_err(|error| Error::broken("site", self.id, error))
    }
    pub fn rules(&self) -> Result<Rules> {
        Rules::from_stored(&self.settings).map_err(|error| Error::broken("site", self.id, error))
    }
    /// The settings with these times in them; what only another version knows stays (I36).
    fn settings_with(&self, rules: &Rules) -> Result<String> {
        let mut settings: serde_json::Value =
            serde_json::from_str(&self.settings).map_err(|error| Error::broken("site", self.id, error))?;
        overlay(&mut settings, &json(rules));
        Ok(settings.to_string())
    }
    pub fn today(&self, now: DateTime<Utc>) -> Result<NaiveDate> {
        Ok(local_date(self.zone()?, now))
    }
}

pub async fn create(tx: &mut Tx, actor_id: Option<Uuid>, new: NewSite, now: DateTime<Utc>) -> Result<Site> {
    lock_id(tx, new.id).await?;
    let name = register::name("name", &new.name)?;
    coordinates(new.latitude, new.longitude)?;
    let sql = "insert into site (id, name, timezone, latitude, longitude, settings, version, created_at)
        values ($1, $2, $3, $4, $5, $6, 1, $7)";
    on!(tx, |conn| sqlx::query(sql)
        .bind(new.id)
        .bind(&name)
        .bind(new.zone.name())
        .bind(new.latitude)
        .bind(new.longitude)
        .bind(json(&new.rules).to_string())
        .bind(now)
        .execute(conn)
        .await
        .map(|_| ()))?;
    let by = By { site_id: new.id, actor_id, now };
    let what = Written { act: "create", table: "site", id: new.id, person_id: None, senior_id: None };
    wrote(tx, &by, what, &serde_json::json!({"name": name, "timezone": new.zone.name()})).await?;
    get(tx, new.id).await
}

pub async fn get(tx: &mut Tx, site_id: Uuid) -> Result<Site> {
    let sql = "select id, name, timezone, latitude, longitude, settings, version, created_at from site where id = $1";
    let found = on!(tx, |conn| sqlx::query_as(sql).bind(site_id).fetch_optional(conn).await)?;
    found.ok_or_else(|| Refusal::not_found().into())
}

/// Changes name, position or times. Times decide when people are told, so they need `may_silence`.
pub async fn patch(tx: &mut Tx, by: &By, version: i64, patch: SitePatch, may_silence: bool) -> Result<Site> {
    // Seniors before the plan, and both before the site's row, as everybody takes them.
    let seniors = if patch.settings.is_some() { lock_all(tx, by.site_id).await? } else { Vec::new() };
    let old = get(tx, by.site_id).await?;
    let name = patch.name.as_deref().map(|name| register::name("name", name)).transpose()?.unwrap_or_else(|| old.name.clone());
    let (latitude, longitude) = (patch.latitude.unwrap_or(old.latitude), patch.longitude.unwrap_or(old.longitude));
    coordinates(latitude, longitude)?;
    let rules = match &patch.settings {
        None => old.rules()?,
        Some(_) if !may_silence => return Err(Refusal::forbidden("register.silencing").into()),
        Some(changes) => changed(&old.rules()?, changes)?,
    };
    let settings = old.settings_with(&rules)?;
    let sql = "update site set name = $3, latitude = $4, longitude = $5, settings = $6, version = version + 1
        where id = $1 and version = $2";
    let rows = on!(tx, |conn| sqlx::query(sql)
        .bind(by.site_id)
        .bind(version)
        .bind(name)
        .bind(latitude)
        .bind(longitude)
        .bind(&settings)
        .execute(conn)
        .await?
        .rows_affected());
    require_version(rows)?;
    let what = Written { act: "change", table: "site", id: by.site_id, person_id: None, senior_id: None };
    wrote(tx, by, what, &patch).await?;
    let before = old.rules()?;
    if rules.notify != before.notify {
        channel_order::follow_site(tx, by, None).await?;
    }
    // How people are told silences nobody: alerts follow none of it.
    if (&rules.check, &rules.ladder) == (&before.check, &before.ladder) {
        return get(tx, by.site_id).await;
    }
    silence::tell_site(tx, by, Silenced::Rules).await?;
    // Agreements that name no times follow the site: every senior's undecided checks follow, and the edit counts from then (I23).
    for senior in &seniors {
        plan::replan_senior(tx, by.site_id, *senior, by.now).await?;
    }
    case::reassess(tx, by.site_id, &seniors, by.now).await?;
    get(tx, by.site_id).await
}

/// Everybody who is looked after, and the plan.
async fn lock_all(tx: &mut Tx, site_id: Uuid) -> Result<Vec<Uuid>> {
    let sql = "select id from senior where site_id = $1 and ended_at is null order by id";
    let seniors: Vec<Uuid> = on!(tx, |conn| sqlx::query_scalar(sql).bind(site_id).fetch_all(conn).await)?;
    tx.lock_seniors(&seniors).await?;
    plan::lock(tx, site_id).await?;
    Ok(seniors)
}

fn coordinates(latitude: f64, longitude: f64) -> Result<(), Refusal> {
    if !(-90.0..=90.0).contains(&latitude) {
        return Err(Refusal::invalid("latitude", "register.coordinates"));
    }
    if !(-180.0..=180.0).contains(&longitude) {
        return Err(Refusal::invalid("longitude", "register.coordinates"));
    }
    Ok(())
}

/// The site's times with these changes laid over them; an unknown key or a wrong value is refused at its path.
fn changed(rules: &Rules, changes: &serde_json::Value) -> Result<Rules, Refusal> {
    let mut value = json(rules);
    overlay(&mut value, changes);
    let rules: Rules = serde_path_to_error::deserialize(value).map_err(|error| {
        let said = misread(&error.inner().to_string());
        let refusal = Refusal::invalid(format!("settings.{}", error.path()), said.key);
        said.arguments.into_iter().fold(refusal, |refusal, (name, value)| refusal.with(name, value))
    })?;
    rules.check().map_err(|refusal| Refusal { field: refusal.field.map(|field| format!("settings.{field}")), ..refusal })?;
    Ok(rules)
}

fn overlay(value: &mut serde_json::Value, changes: &serde_json::Value) {
    match (value, changes) {
        (serde_json::Value::Object(old), serde_json::Value::Object(new)) => {
            for (name, change) in new {
                overlay(old.entry(name.clone()).or_insert(serde_json::Value::Null), change);
            }
        }
        (value, change) => *value = change.clone(),
    }
}
