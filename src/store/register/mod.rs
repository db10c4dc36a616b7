//! The register: who lives where, who looks after whom, and what was agreed. One file per noun, each with
//! `create / get / list / patch / end`.
//!
//! What must stay true: every change writes its audit row in the same transaction (I33); nothing that has history is
//! deleted; a client-made id names one content for ever (I20); a reference to another site's row does not exist (I30); nothing
//! begins for what has ended: who refers to a row holds it (`hold`), and who ends it looks for such rows afterwards.

pub mod site;

pub mod place;

pub mod grid;
pub mod group_chat;

pub mod home;

pub mod member;

pub mod channel;
pub mod channel_code;
pub mod channel_order;
pub mod quiet_hours;
pub mod screen;

pub mod role_grant;

pub mod senior;

pub mod history;

mod release;

pub mod contact;

pub mod consent;

pub mod pairing;

pub mod duty;

pub mod leave;

pub mod agreement;

pub mod intake;

pub mod absence;

pub mod day;

pub mod mute;
pub mod reach;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Deserializer, Serialize};
use uuid::Uuid;

use super::{Result, Tx, audit, case, feed, plan};
use crate::domain::moment;
use crate::domain::refusal::{Refusal, RefusalKind};

/// Rows per page.
pub const PAGE_ROWS_MAX: i64 = 200;

/// Who writes, where and when.
#[derive(Debug, Clone, Copy)]
pub struct By {
    pub site_id: Uuid,
    /// `None`: the command line.
    pub actor_id: Option<Uuid>,
    pub now: DateTime<Utc>,
}

/// A page of a list: ids after the cursor, in the order of ids.
#[derive(Debug, Clone, Copy)]
pub struct Page {
    pub after: Option<Uuid>,
    pub limit: i64,
}

impl Default for Page {
    fn default() -> Self {
        Self { after: None, limit: PAGE_ROWS_MAX }
    }
}

/// One change as the audit and open screens see it.
pub(super) struct Written<'a> {
    pub(super) act: &'a str,
    pub(super) table: &'a str,
    pub(super) id: Uuid,
    /// The person whose values these are: their HMAC goes along.
    pub(super) person_id: Option<Uuid>,
    pub(super) senior_id: Option<Uuid>,
}

/// Writes the audit row and the row that open screens follow.
pub(super) async fn wrote(tx: &mut Tx, by: &By, what: Written<'_>, content: &impl Serialize) -> Result<()> {
    let values = json(content);
    let fields: Vec<&str> = values.as_object().into_iter().flatten().map(|(name, _)| name.as_str()).collect();
    let entry = audit::Entry {
        site_id: by.site_id,
        at: by.now,
        actor_id: by.actor_id,
        act: what.act,
        object_kind: what.table,
        object_id: Some(what.id),
        fields: &fields,
    };
    match what.person_id {
        Some(person) => audit::write_personal(tx, &entry, person, &values).await?,
        None => audit::write(tx, &entry).await?,
    }
    feed::note(tx, by.site_id, what.table, what.id, what.senior_id, by.now).await
}

/// I20: the same id with the same content is answered again, with another content it is a conflict. Every field that the
/// client sent must be what is stored.
fn same_or_conflict<S: Serialize>(new: &impl Serialize, stored: S) -> Result<S> {
    let (new, old) = (json(new), json(&stored));
    let same = new.as_object().into_iter().flatten().all(|(name, value)| old.get(name) == Some(value));
    if same { Ok(stored) } else { Err(id_conflict().into()) }
}

pub(super) fn id_conflict() -> Refusal {
    Refusal::conflict("problem.same_id_other_content")
}

/// The hash beside a client-made id whose row changes later.
pub(super) fn content_hash(content: &impl Serialize) -> Vec<u8> {
    use sha2::Digest;
    sha2::Sha256::digest(json(content).to_string().as_bytes()).to_vec()
}

pub(super) fn json(content: &impl Serialize) -> serde_json::Value {
    serde_json::to_value(content).expect("entries of the register are plain data")
}

/// One writer per client-made id, so that two requests with the same id meet one after the other.
pub(super) async fn lock_id(tx: &mut Tx, id: Uuid) -> Result<()> {
    tx.lock_named(&id.to_string()).await
}

/// What a new row may refer to.
#[derive(Debug, Clone, Copy)]
pub(super) enum Held {
    Member,
    Place,
    Grid,
    Home,
}

/// Keeps a row as it is to the end of the transaction: its ending waits, and whoever waited here reads the row that ended. On
/// SQLite the write lock is already held.
pub(super) async fn hold(tx: &mut Tx, what: Held, site_id: Uuid, id: Uuid) -> Result<()> {
    let Tx::Postgres(tx) = tx else { return Ok(()) };
    let sql = match what {
        Held::Member => "select id from member where site_id = $1 and id = $2 for share",
        Held::Place => "select id from place where site_id = $1 and id = $2 for share",
        Held::Grid => "select id from grid where site_id = $1 and id = $2 for share",
        Held::Home => "select id from home where site_id = $1 and id = $2 for share",
    };
    sqlx::query(sql).bind(site_id).bind(id).execute(&mut **tx).await?;
    Ok(())
}

/// What has ended is not changed any more; the version says nothing about that.
fn require_open(ended_at: Option<DateTime<Utc>>) -> Result<(), Refusal> {
    if ended_at.is_none() { Ok(()) } else { Err(Refusal::conflict("register.already_ended")) }
}

/// A row that changed since the caller read it.
fn stale() -> Refusal {
    Refusal::new(RefusalKind::Stale, "register.stale")
}

/// The update met the version that it was made for.
pub(super) fn require_version(rows_affected: u64) -> Result<()> {
    if rows_affected == 1 { Ok(()) } else { Err(stale().into()) }
}

pub(super) fn unknown(field: &str) -> Refusal {
    Refusal::invalid(field, "register.unknown_reference")
}

/// A field that may be left out but not be null: a null that changes nothing would look like one that clears.
pub fn present<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    T::deserialize(deserializer).map(Some)
}

/// A field that may be left out, or be null to clear the value.
pub fn nullable<'de, D, T>(deserializer: D) -> Result<Option<Option<T>>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    Option::deserialize(deserializer).map(Some)
}

/// An instant as strict as everywhere in the API.
pub(super) fn instant<'de, D: Deserializer<'de>>(deserializer: D) -> Result<DateTime<Utc>, D::Error> {
    let text = String::deserialize(deserializer)?;
    moment::parse(&text).ok_or_else(|| serde::de::Error::custom(format!("expected {}", moment::ALLOWED)))
}

pub(super) fn optional_instant<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<DateTime<Utc>>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    let read = |text: String| moment::parse(&text).ok_or_else(|| serde::de::Error::custom(format!("expected {}", moment::ALLOWED)));
    text.map(read).transpose()
}

/// JSON kept as text.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct JsonText<T>(pub T);

impl<T: serde::de::DeserializeOwned> TryFrom<String> for JsonText<T> {
    type Error = serde_json::Error;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        serde_json::from_str(&text).map(Self)
    }
}

impl<T: Serialize> JsonText<T> {
    pub(super) fn text(&self) -> String {
        json(&self.0).to_string()
    }
}

/// What is agreed with a senior changed: her undecided checks follow, then each is looked at again. The caller holds her lock.
async fn replan(tx: &mut Tx, by: &By, senior_id: Uuid) -> Result<()> {
    plan::replan_senior(tx, by.site_id, senior_id, by.now).await?;
    case::reassess(tx, by.site_id, &[senior_id], by.now).await
}
