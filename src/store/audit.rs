//! Who did what to which object, in the transaction of the change (I33). Rows hold no personal values: field names, and an
//! HMAC of what was written under a salt that is erased with the person.

use chrono::{DateTime, Utc};
use serde_json::json;
use uuid::Uuid;

use super::{Result, Tx, bulk};
use crate::on;

/// One change.
#[derive(Debug, Clone)]
pub struct Entry<'a> {
    pub site_id: Uuid,
    pub at: DateTime<Utc>,
    /// `None`: the server itself (watch, ladder, outbox).
    pub actor_id: Option<Uuid>,
    /// What was done, as a word: `create`, `change`, `end`, `claim`, `login`, `read_sensitive`, …
    pub act: &'a str,
    /// The table's name.
    pub object_kind: &'a str,
    pub object_id: Option<Uuid>,
    /// Names of the fields written.
    pub fields: &'a [&'a str],
}

/// Writes one row without values.
pub async fn write(tx: &mut Tx, entry: &Entry<'_>) -> Result<()> {
    insert(tx, entry, None).await
}

/// Writes one row whose values concern a person (senior, member or contact): their HMAC under the person's salt goes along.
pub async fn write_personal(tx: &mut Tx, entry: &Entry<'_>, person_id: Uuid, values: &serde_json::Value) -> Result<()> {
    use hmac::{KeyInit, Mac};
    let salt = salt_of(tx, entry.site_id, person_id).await?;
    let mut mac = hmac::Hmac::<sha2::Sha256>::new_from_slice(&salt).expect("HMAC takes any key length");
    mac.update(values.to_string().as_bytes());
    insert(tx, entry, Some(mac.finalize().into_bytes().to_vec())).await
}

async fn salt_of(tx: &mut Tx, site_id: Uuid, person_id: Uuid) -> Result<Vec<u8>> {
    let fresh: [u8; 32] = rand::random();
    let insert = "insert into person_salt (site_id, person_id, salt) values ($1, $2, $3) on conflict do nothing";
    on!(tx, |conn| sqlx::query(insert).bind(site_id).bind(person_id).bind(fresh.to_vec()).execute(conn).await.map(|_| ()))?;
    let select = "select salt from person_salt where site_id = $1 and person_id = $2";
    Ok(on!(tx, |conn| sqlx::query_scalar(select).bind(site_id).bind(person_id).fetch_one(conn).await)?)
}

async fn insert(tx: &mut Tx, entry: &Entry<'_>, value_hmac: Option<Vec<u8>>) -> Result<()> {
    let sql = "insert into audit (site_id, id, at, actor_id, act, object_kind, object_id, fields, value_hmac)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
    let fields = entry.fields.join(" ");
    on!(tx, |conn| sqlx::query(sql)
        .bind(entry.site_id)
        .bind(Uuid::now_v7())
        .bind(entry.at)
        .bind(entry.actor_id)
        .bind(entry.act)
        .bind(entry.object_kind)
        .bind(entry.object_id)
        .bind(fields)
        .bind(value_hmac)
        .execute(conn)
        .await
        .map(|_| ()))?;
    Ok(())
}

/// Many rows without values in one statement.
pub async fn write_many(tx: &mut Tx, entries: &[Entry<'_>]) -> Result<()> {
    let rows: Vec<serde_json::Value> = entries
        .iter()
        .map(|entry| {
            json!({
                "site": entry.site_id, "id": Uuid::now_v7(), "at": bulk::time(entry.at), "actor": entry.actor_id, "act": entry.act,
                "kind": entry.object_kind, "object": entry.object_id, "fields": entry.fields.join(" "),
            })
        })
        .collect();
    let sql = "insert into audit (site_id, id, at, actor_id, act, object_kind, object_id, fields)
        select {site:uuid}, {id:uuid}, {at:time}, {actor:uuid}, {act:text}, {kind:text}, {object:uuid}, {fields:text} from {rows}";
    bulk::execute(tx, sql, &rows).await?;
    Ok(())
}

/// A row as the auditors read it.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct Row {
    pub seq: i64,
    pub id: Uuid,
    pub at: DateTime<Utc>,
    pub actor_id: Option<Uuid>,
    pub act: String,
    pub object_kind: String,
    pub object_id: Option<Uuid>,
    /// Names with spaces between them.
    pub fields: String,
}

/// What to look for; `None` looks for everything.
#[derive(Debug, Clone, Default)]
pub struct Search {
    pub before: Option<i64>,
    pub actor_id: Option<Uuid>,
    pub object_id: Option<Uuid>,
    pub act: Option<String>,
    pub since: Option<DateTime<Utc>>,
    pub until: Option<DateTime<Utc>>,
}

/// Rows of a site, newest first.
pub async fn list(tx: &mut Tx, site_id: Uuid, search: &Search, rows_max: i64) -> Result<Vec<Row>> {
    let sql = "select seq, id, at, actor_id, act, object_kind, object_id, fields from audit
        where site_id = $1 and ($2 is null or seq < $2) and ($3 is null or actor_id = $3)
            and ($4 is null or object_id = $4) and ($5 is null or act = $5)
            and ($7 is null or at >= $7) and ($8 is null or at < $8)
        order by seq desc limit $6";
    Ok(on!(tx, |conn| sqlx::query_as(sql)
        .bind(site_id)
        .bind(search.before)
        .bind(search.actor_id)
        .bind(search.object_id)
        .bind(&search.act)
        .bind(rows_max)
        .bind(search.since)
        .bind(search.until)
        .fetch_all(conn)
        .await)?)
}

/// Everybody who may have done something: the members of the site, by what they are called.
pub async fn actors(tx: &mut Tx, site_id: Uuid) -> Result<Vec<(Uuid, String)>> {
    let sql = "select id, called from member where site_id = $1 order by called, id";
    Ok(on!(tx, |conn| sqlx::query_as(sql).bind(site_id).fetch_all(conn).await)?)
}
