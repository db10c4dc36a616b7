//! What a printed list says of each senior beside the round, for a morning without a server: who answers for her that day, whom to
//! phone, and who has the key.

use std::collections::{BTreeMap, BTreeSet};

use chrono::NaiveDate;
use serde::Serialize;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, FromRow};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::domain::place::PairingKind;
use crate::on;
use crate::store::audit::{self, Entry};
use crate::store::register::By;
use crate::store::{Result, Tx, bulk, roster};

/// Somebody to phone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Person {
    pub name: String,
    /// Null: a key holder whose number nobody has written down.
    pub phone: Option<String>,
}

/// A contact, to be phoned in the order of the list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema, FromRow)]
pub struct SheetContact {
    #[serde(skip)]
    senior_id: Uuid,
    pub name: String,
    pub relation: String,
    pub phone: String,
    pub minutes_away: Option<i64>,
}

/// One senior's lines on the sheet.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct Lines {
    /// Who answers for her on that date: the primary, or who stands in.
    pub primary: Option<Person>,
    pub backup: Option<Person>,
    /// In the order in which they are phoned. For those who may open what is sensitive.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contacts: Option<Vec<SheetContact>>,
    /// For those who may open what is sensitive.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_holder: Option<Person>,
}

/// Writes down that these seniors were put on a list to print: paper goes where no sign-in is asked for.
pub async fn opened(tx: &mut Tx, by: &By, seniors: &[Uuid], fields: &[&str]) -> Result<()> {
    let opened = |senior: &Uuid| Entry {
        site_id: by.site_id,
        at: by.now,
        actor_id: by.actor_id,
        act: "read_sensitive",
        object_kind: "senior",
        object_id: Some(*senior),
        fields,
    };
    audit::write_many(tx, &seniors.iter().map(opened).collect::<Vec<_>>()).await
}

/// The lines of these seniors; each opening is on record. `is_sensitive`: the reader may see contacts and key holders.
pub async fn lines(tx: &mut Tx, by: &By, seniors: &[Uuid], date: NaiveDate, is_sensitive: bool) -> Result<BTreeMap<Uuid, Lines>> {
    let mut sheet: BTreeMap<Uuid, Lines> = seniors.iter().map(|senior| (*senior, Lines::default())).collect();
    paired(tx, by.site_id, date, &mut sheet).await?;
    if is_sensitive {
        for chunk in seniors.chunks(bulk::ROWS_MAX) {
            let rows: Vec<Value> = chunk.iter().map(|id| json!({ "site": by.site_id, "id": id })).collect();
            let rows = Value::from(rows).to_string();
            contacts(tx, &rows, &mut sheet).await?;
            key_holders(tx, &rows, &mut sheet).await?;
        }
    }
    let fields: &[&str] = if is_sensitive { &["phone", "contacts", "key_holder", "sheet"] } else { &["phone", "sheet"] };
    opened(tx, by, seniors, fields).await?;
    Ok(sheet)
}

/// These members as they are called, with their phones; who has left is left out.
pub async fn people(tx: &mut Tx, site_id: Uuid, members: &BTreeSet<Uuid>) -> Result<BTreeMap<Uuid, Person>> {
    let rows: Vec<Value> = members.iter().map(|id| json!({ "site": site_id, "id": id })).collect();
    let rows = Value::from(rows).to_string();
    let sql = bulk::text(
        tx,
        "select m.id, m.called, m.phone from {rows} join member m on m.site_id = {site:uuid} and m.id = {id:uuid} and m.ended_at is null",
    );
    let found: Vec<(Uuid, String, String)> = on!(tx, |conn| sqlx::query_as(AssertSqlSafe(sql)).bind(&rows).fetch_all(conn).await)?;
    Ok(found.into_iter().map(|(id, name, phone)| (id, Person { name, phone: Some(phone) })).collect())
}

async fn paired(tx: &mut Tx, site_id: Uuid, date: NaiveDate, sheet: &mut BTreeMap<Uuid, Lines>) -> Result<()> {
    let seniors: Vec<Uuid> = sheet.keys().copied().collect();
    let rosters = roster::load(tx, site_id, &seniors, date).await?;
    let sql = "select id, name, phone from member where site_id = $1 and ended_at is null";
    let members: Vec<(Uuid, String, String)> = on!(tx, |conn| sqlx::query_as(sql).bind(site_id).fetch_all(conn).await)?;
    let members: BTreeMap<Uuid, Person> = members.into_iter().map(|(id, name, phone)| (id, Person { name, phone: Some(phone) })).collect();
    for (senior, lines) in sheet {
        let of = |kind| rosters.get(senior).and_then(|roster| roster.paired(kind)).and_then(|member| members.get(&member).cloned());
        (lines.primary, lines.backup) = (of(PairingKind::Primary), of(PairingKind::Backup));
    }
    Ok(())
}

async fn contacts(tx: &mut Tx, rows: &str, sheet: &mut BTreeMap<Uuid, Lines>) -> Result<()> {
    let sql = bulk::text(
        tx,
        "select c.senior_id, c.name, c.relation, c.phone, c.minutes_away from {rows}
         join contact c on c.site_id = {site:uuid} and c.senior_id = {id:uuid} and c.ended_at is null
         order by c.senior_id, c.position, c.created_at, c.id",
    );
    let found: Vec<SheetContact> = on!(tx, |conn| sqlx::query_as(AssertSqlSafe(sql)).bind(rows).fetch_all(conn).await)?;
    // Nobody to phone is said by an empty list.
    for lines in sheet.values_mut() {
        lines.contacts.get_or_insert_default();
    }
    for contact in found {
        if let Some(list) = sheet.get_mut(&contact.senior_id).and_then(|lines| lines.contacts.as_mut()) {
            list.push(contact);
        }
    }
    Ok(())
}

async fn key_holders(tx: &mut Tx, rows: &str, sheet: &mut BTreeMap<Uuid, Lines>) -> Result<()> {
    let sql = bulk::text(
        tx,
        "select s.id, coalesce(k.name, h.key_holder_name), coalesce(k.phone, h.key_holder_phone) from {rows}
         join senior s on s.site_id = {site:uuid} and s.id = {id:uuid}
         join home h on h.site_id = s.site_id and h.id = s.home_id
         left join member k on k.site_id = h.site_id and k.id = h.key_holder_member_id and k.ended_at is null",
    );
    let found: Vec<(Uuid, Option<String>, Option<String>)> =
        on!(tx, |conn| sqlx::query_as(AssertSqlSafe(sql)).bind(rows).fetch_all(conn).await)?;
    for (senior, name, phone) in found {
        if let Some(lines) = sheet.get_mut(&senior) {
            lines.key_holder = name.map(|name| Person { name, phone });
        }
    }
    Ok(())
}
