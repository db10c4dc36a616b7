//! A person looked after. Reading more than a round needs is logged with its reason. Who moves or is no longer looked after leaves
//! her sensors behind; one who was ended by mistake is looked after again, and what ended with her is agreed anew.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use garde::Validate;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{By, JsonText, Page, Written, agreement, history, home, lock_id, nullable, pairing, present, release, require_version};
use super::{same_or_conflict, site, wrote};
use crate::domain::access::Who;
use crate::domain::place::{Category, Purpose, RiskBand};
use crate::domain::refusal::Refusal;
use crate::domain::register::{self, HINT_CHARS_MAX};
use crate::domain::silence::Silenced;
use crate::store::{Result, Tx, audit, bulk, silence};
use crate::{on, visible_seniors, words};

words! {
    /// Why somebody is no longer looked after.
    pub enum EndedWhy { Moved = "moved", Deceased = "deceased", Withdrew = "withdrew" }
}

words! {
    /// Why somebody opens the sensitive fields of a senior.
    pub enum RevealReason {
        Alert = "alert", Visit = "visit", Enrolment = "enrolment", Correction = "correction", SeniorsWish = "seniors_wish"
    }
}

/// Nobody older than this is alive, nobody younger is a senior.
const BIRTH_YEARS: std::ops::RangeInclusive<i64> = 1890..=2010;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema, sqlx::FromRow)]
pub struct Senior {
    pub id: Uuid,
    pub home_id: Uuid,
    pub name: String,
    /// How messages name the person: 张奶奶.
    pub called: String,
    pub phone: Option<String>,
    pub birth_year: Option<i64>,
    #[sqlx(try_from = "String")]
    #[schema(value_type = Vec<Category>)]
    pub categories: JsonText<BTreeSet<Category>>,
    #[sqlx(try_from = "String")]
    pub risk_band: RiskBand,
    pub hearing_hint: String,
    #[sqlx(try_from = "String")]
    pub purpose: Purpose,
    pub ended_at: Option<DateTime<Utc>>,
    pub ended_why: Option<String>,
    pub version: i64,
    pub created_at: DateTime<Utc>,
}

#[derive(Debug, Clone, Serialize, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[garde(allow_unvalidated)]
pub struct NewSenior {
    /// Made by the client, or else by the server.
    #[serde(default)]
    pub id: Uuid,
    pub home_id: Uuid,
    pub name: String,
    pub called: String,
    #[serde(default)]
    pub phone: Option<String>,
    #[serde(default)]
    pub birth_year: Option<i64>,
    #[serde(default)]
    pub categories: BTreeSet<Category>,
    pub risk_band: RiskBand,
    #[serde(default)]
    pub hearing_hint: String,
    #[serde(default = "real")]
    pub purpose: Purpose,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[garde(allow_unvalidated)]
pub struct SeniorPatch {
    /// She moved within the site, today. Her sensors stay behind: they are bound to nobody until somebody installs them anew.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub home_id: Option<Uuid>,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub called: Option<String>,
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub phone: Option<Option<String>>,
    /// Null: not known.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<i64>)]
    pub birth_year: Option<Option<i64>>,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub categories: Option<BTreeSet<Category>>,
    /// From today on; the bands of earlier days stay on record.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub risk_band: Option<RiskBand>,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub hearing_hint: Option<String>,
    /// Ends the care for her. Null: that was a mistake, she is looked after again; pairings and agreements are then made anew, and
    /// `home_id` may say where she lives. Nothing else is changed in the same request.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<EndedWhy>)]
    pub ended_why: Option<Option<EndedWhy>>,
}

#[derive(Debug, Clone, Copy, Default)]
pub struct SeniorFilter {
    pub id: Option<Uuid>,
    pub home_id: Option<Uuid>,
    /// This place and everything below.
    pub under: Option<Uuid>,
    pub with_ended: bool,
}

fn real() -> Purpose {
    Purpose::Real
}

impl NewSenior {
    fn checked(self) -> Result<Self, Refusal> {
        if self.birth_year.is_some_and(|year| !BIRTH_YEARS.contains(&year)) {
            return Err(Refusal::invalid("birth_year", "register.birth_year"));
        }
        Ok(Self {
            name: register::name("name", &self.name)?,
            called: register::name("called", &self.called)?,
            phone: register::optional_phone("phone", self.phone.as_deref())?,
            hearing_hint: register::text("hearing_hint", &self.hearing_hint, HINT_CHARS_MAX)?,
            ..self
        })
    }
}

pub async fn create(tx: &mut Tx, by: &By, new: NewSenior) -> Result<Senior> {
    let new = new.checked()?;
    lock_id(tx, new.id).await?;
    if let Some(stored) = find(tx, by.site_id, new.id).await? {
        return same_or_conflict(&new, stored);
    }
    home::require(tx, by.site_id, "home_id", new.home_id).await?;
    let today = site::get(tx, by.site_id).await?.today(by.now)?;
    let sql = "insert into senior (site_id, id, home_id, name, called, phone, birth_year, categories, risk_band, hearing_hint,
            purpose, version, created_at)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, 1, $12)";
    on!(tx, |conn| sqlx::query(sql)
        .bind(by.site_id)
        .bind(new.id)
        .bind(new.home_id)
        .bind(&new.name)
        .bind(&new.called)
        .bind(&new.phone)
        .bind(new.birth_year)
        .bind(JsonText(&new.categories).text())
        .bind(new.risk_band.as_str())
        .bind(&new.hearing_hint)
        .bind(new.purpose.as_str())
        .bind(by.now)
        .execute(conn)
        .await
        .map(|_| ()))?;
    history::lives_in(tx, by, new.id, new.home_id, today).await?;
    history::is_rated(tx, by, new.id, new.risk_band, today).await?;
    wrote(tx, by, written("create", new.id), &new).await?;
    get(tx, by.site_id, new.id).await
}

pub async fn get(tx: &mut Tx, site_id: Uuid, id: Uuid) -> Result<Senior> {
    find(tx, site_id, id).await?.ok_or_else(|| Refusal::not_found().into())
}

async fn find(tx: &mut Tx, site_id: Uuid, id: Uuid) -> Result<Option<Senior>> {
    let filter = SeniorFilter { id: Some(id), with_ended: true, ..SeniorFilter::default() };
    Ok(list(tx, site_id, filter, Page::default()).await?.pop())
}

/// The senior, locked for a change of what is agreed with her; one who has ended takes no new entries.
pub(super) async fn lock(tx: &mut Tx, site_id: Uuid, id: Uuid) -> Result<Senior> {
    tx.lock_seniors(&[id]).await?;
    let senior = get(tx, site_id, id).await?;
    if senior.ended_at.is_some() { Err(Refusal::conflict("register.senior_ended").into()) } else { Ok(senior) }
}

pub async fn list(tx: &mut Tx, site_id: Uuid, filter: SeniorFilter, page: Page) -> Result<Vec<Senior>> {
    let sql = "select id, home_id, name, called, phone, birth_year, categories, risk_band, hearing_hint, purpose, ended_at,
            ended_why, version, created_at
        from senior where site_id = $1 and ($2 is null or id > $2) and ($3 is null or id = $3)
            and ($4 is null or home_id = $4) and (ended_at is null or $5)
            and ($6 is null or home_id in (select h.id from home h
                join place_closure c on c.site_id = h.site_id and c.descendant_id = h.building_id
                where h.site_id = $1 and c.ancestor_id = $6))
        order by id limit $7";
    Ok(on!(tx, |conn| sqlx::query_as(sql)
        .bind(site_id)
        .bind(page.after)
        .bind(filter.id)
        .bind(filter.home_id)
        .bind(filter.with_ended)
        .bind(filter.under)
        .bind(page.limit)
        .fetch_all(conn)
        .await)?)
}

/// A senior with what a person under her window needs.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct AtHome {
    #[sqlx(flatten)]
    pub senior: Senior,
    pub building_id: Uuid,
    pub building_name: String,
    pub unit: String,
    pub room: String,
    pub window_hint: String,
    pub walk_order: i64,
    /// The open question whether another time or sign should be agreed.
    pub misfit_id: Option<Uuid>,
}

/// The columns and joins of [`AtHome`].
macro_rules! at_home {
    () => {
        "select s.id, s.home_id, s.name, s.called, s.phone, s.birth_year, s.categories, s.risk_band, s.hearing_hint, s.purpose,
            s.ended_at, s.ended_why, s.version, s.created_at, h.building_id, p.name as building_name, h.unit, h.room, h.window_hint,
            h.walk_order, (select f.id from finding f where f.site_id = s.site_id and f.senior_id = s.id and f.kind = 'agreement'
                and f.closed_at is null order by f.created_at limit 1) as misfit_id
        from senior s join home h on h.site_id = s.site_id and h.id = s.home_id
        join place p on p.site_id = h.site_id and p.id = h.building_id"
    };
}

/// The seniors that a member sees, in the order of ids.
pub async fn visible(tx: &mut Tx, who: &Who, filter: SeniorFilter, page: Page) -> Result<Vec<AtHome>> {
    let sql = concat!(
        at_home!(),
        " where s.site_id = $1 and ($4 is null or s.id > $4) and ($5 is null or s.id = $5) and ($6 is null or s.home_id = $6)
            and (s.ended_at is null or $7)
            and ($8 is null or h.building_id in (select descendant_id from place_closure where site_id = $1 and ancestor_id = $8))
            and s.id in (",
        visible_seniors!(),
        ") order by s.id limit $9"
    );
    Ok(on!(tx, |conn| sqlx::query_as(sql)
        .bind(who.site_id)
        .bind(who.member_id)
        .bind(who.today)
        .bind(page.after)
        .bind(filter.id)
        .bind(filter.home_id)
        .bind(filter.with_ended)
        .bind(filter.under)
        .bind(page.limit)
        .fetch_all(conn)
        .await)?)
}

/// These seniors of a site, in any order; the caller has asked whether they may be seen.
pub async fn these(tx: &mut Tx, site_id: Uuid, ids: &[Uuid]) -> Result<Vec<AtHome>> {
    let wanted = bulk::part(tx, "select {id:uuid} from {rows}", 2);
    let sql = format!(concat!(at_home!(), " where s.site_id = $1 and s.id in ({})"), wanted);
    let rows = serde_json::Value::from(bulk::ids(ids)).to_string();
    Ok(on!(tx, |conn| sqlx::query_as(sqlx::AssertSqlSafe(sql)).bind(site_id).bind(rows).fetch_all(conn).await)?)
}

/// A senior as she can be found.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct FoundRow {
    pub id: Uuid,
    pub name: String,
    pub called: String,
    pub phone: Option<String>,
    pub building: String,
    pub unit: String,
    pub room: String,
}

/// Everybody whom a member sees, in walking order, with no more than a search asks: thousands are read for one page.
pub async fn findable(tx: &mut Tx, who: &Who, under: Option<Uuid>, with_ended: bool) -> Result<Vec<FoundRow>> {
    let sql = concat!(
        "select s.id, s.name, s.called, s.phone, p.name as building, h.unit, h.room
        from senior s join home h on h.site_id = s.site_id and h.id = s.home_id
        join place p on p.site_id = h.site_id and p.id = h.building_id
        where s.site_id = $1 and (s.ended_at is null or $4)
            and ($5 is null or h.building_id in (select descendant_id from place_closure where site_id = $1 and ancestor_id = $5))
            and s.id in (",
        visible_seniors!(),
        ") order by p.walk_order, p.name, h.walk_order, s.id"
    );
    Ok(on!(tx, |conn| sqlx::query_as(sql)
        .bind(who.site_id)
        .bind(who.member_id)
        .bind(who.today)
        .bind(with_ended)
        .bind(under)
        .fetch_all(conn)
        .await)?)
}

pub async fn patch(tx: &mut Tx, by: &By, id: Uuid, version: i64, patch: SeniorPatch) -> Result<Senior> {
    let old = lock(tx, by.site_id, id).await?;
    let today = site::get(tx, by.site_id).await?.today(by.now)?;
    let kept = patch.clone();
    let moves_to = patch.home_id.filter(|home| *home != old.home_id);
    let rated = patch.risk_band.filter(|band| *band != old.risk_band);
    let merged = NewSenior {
        id,
        home_id: moves_to.unwrap_or(old.home_id),
        name: patch.name.unwrap_or(old.name),
        called: patch.called.unwrap_or(old.called),
        phone: patch.phone.unwrap_or(old.phone),
        birth_year: patch.birth_year.unwrap_or(old.birth_year),
        categories: patch.categories.unwrap_or(old.categories.0),
        risk_band: patch.risk_band.unwrap_or(old.risk_band),
        hearing_hint: patch.hearing_hint.unwrap_or(old.hearing_hint),
        purpose: old.purpose,
    }
    .checked()?;
    let mut left_sensors = false;
    if let Some(home_id) = moves_to {
        home::require(tx, by.site_id, "home_id", home_id).await?;
        left_sensors = release::devices(tx, by, id, today).await?;
        history::lives_in(tx, by, id, home_id, today).await?;
    }
    if let Some(band) = rated {
        history::is_rated(tx, by, id, band, today).await?;
    }
    let sql = "update senior set home_id = $4, name = $5, called = $6, phone = $7, birth_year = $8, categories = $9,
            risk_band = $10, hearing_hint = $11, version = version + 1
        where site_id = $1 and id = $2 and version = $3 and ended_at is null";
    let rows = on!(tx, |conn| sqlx::query(sql)
        .bind(by.site_id)
        .bind(id)
        .bind(version)
        .bind(merged.home_id)
        .bind(merged.name)
        .bind(merged.called)
        .bind(merged.phone)
        .bind(merged.birth_year)
        .bind(JsonText(merged.categories).text())
        .bind(merged.risk_band.as_str())
        .bind(merged.hearing_hint)
        .execute(conn)
        .await?
        .rows_affected());
    require_version(rows)?;
    if left_sensors {
        release::human_look(tx, by, id, today).await?;
    }
    wrote(tx, by, written("change", id), &kept).await?;
    get(tx, by.site_id, id).await
}

/// Ends the care for a senior: her agreements and pairings end with it, and her sensors speak for nobody. Nobody is watched by mistake,
/// so it needs `may_silence`. While somebody is on the way to her it is refused: whoever goes must be able to say what she found.
pub async fn end(tx: &mut Tx, by: &By, id: Uuid, version: i64, why: EndedWhy, may_silence: bool) -> Result<Senior> {
    if !may_silence {
        return Err(Refusal::forbidden("register.silencing").into());
    }
    lock(tx, by.site_id, id).await?;
    let sql = "select count(*) from alert where site_id = $1 and senior_id = $2 and resolved_at is null";
    let open: i64 = on!(tx, |conn| sqlx::query_scalar(sql).bind(by.site_id).bind(id).fetch_one(conn).await)?;
    if open > 0 {
        return Err(Refusal::conflict("register.alert_open").into());
    }
    let today = site::get(tx, by.site_id).await?.today(by.now)?;
    release::devices(tx, by, id, today).await?;
    let sql = "update senior set ended_at = $4, ended_why = $5, version = version + 1
        where site_id = $1 and id = $2 and version = $3 and ended_at is null";
    let rows = on!(tx, |conn| sqlx::query(sql)
        .bind(by.site_id)
        .bind(id)
        .bind(version)
        .bind(by.now)
        .bind(why.as_str())
        .execute(conn)
        .await?
        .rows_affected());
    require_version(rows)?;
    wrote(tx, by, written("end", id), &serde_json::json!({"ended_why": why})).await?;
    // Before the pairings end: those who were paired must hear it.
    silence::tell(tx, by, id, Silenced::Ended).await?;
    pairing::end_all(tx, by, id, today).await?;
    agreement::end_all(tx, by, id, today, why.as_str()).await?;
    get(tx, by.site_id, id).await
}

/// She had been ended by mistake, or came back. Nothing is agreed with her yet: the reachability check names her until it is.
pub async fn reopen(tx: &mut Tx, by: &By, id: Uuid, version: i64, home_id: Option<Uuid>) -> Result<Senior> {
    tx.lock_seniors(&[id]).await?;
    let old = get(tx, by.site_id, id).await?;
    if old.ended_at.is_none() {
        return Err(Refusal::conflict("register.not_ended").into());
    }
    let lives_in = home_id.unwrap_or(old.home_id);
    home::require(tx, by.site_id, "home_id", lives_in).await?;
    let sql = "update senior set ended_at = null, ended_why = null, home_id = $4, version = version + 1
        where site_id = $1 and id = $2 and version = $3";
    let rows = on!(tx, |conn| sqlx::query(sql).bind(by.site_id).bind(id).bind(version).bind(lives_in).execute(conn).await?.rows_affected());
    require_version(rows)?;
    if lives_in != old.home_id {
        let today = site::get(tx, by.site_id).await?.today(by.now)?;
        history::lives_in(tx, by, id, lives_in, today).await?;
    }
    wrote(tx, by, written("reopen", id), &serde_json::json!({"ended_why": null, "home_id": lives_in})).await?;
    get(tx, by.site_id, id).await
}

/// Writes down that somebody opened contacts, consents and notes, and why; the caller then reads them.
pub async fn reveal(tx: &mut Tx, by: &By, id: Uuid, reason: RevealReason) -> Result<()> {
    get(tx, by.site_id, id).await?;
    let entry = audit::Entry {
        site_id: by.site_id,
        at: by.now,
        actor_id: by.actor_id,
        act: "read_sensitive",
        object_kind: "senior",
        object_id: Some(id),
        fields: &["phone", "birth_year", "categories", "contacts", "consents", reason.as_str()],
    };
    audit::write(tx, &entry).await
}

fn written(act: &str, id: Uuid) -> Written<'_> {
    Written { act, table: "senior", id, person_id: Some(id), senior_id: Some(id) }
}
