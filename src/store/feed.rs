//! What changed, for open screens: ids and kinds only, read behind the same access rules as everything else.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use uuid::Uuid;

use super::case::Outcome;
use super::{Result, Tx, bulk};
use crate::domain::case::Command;
use crate::on;

/// One row per changed check or alert of the outcomes.
pub async fn write(tx: &mut Tx, outcomes: &[Outcome], now: DateTime<Utc>) -> Result<()> {
    let mut rows: Vec<Value> = Vec::new();
    for outcome in outcomes {
        let senior = &outcome.case.senior;
        for command in &outcome.commands {
            let (kind, id) = match command {
                Command::SaveCheck { before, check } if *before != check.state => ("check", check.id),
                Command::SaveAlert { alert, .. } => ("alert", alert.id),
                _ => continue,
            };
            rows.push(json!({ "site": senior.site_id, "at": bulk::time(now), "kind": kind, "id": id, "senior": senior.id }));
        }
    }
    insert(tx, &rows).await
}

async fn insert(tx: &mut Tx, rows: &[Value]) -> Result<()> {
    let sql = "insert into change_feed (site_id, at, kind, object_id, senior_id)
        select {site:uuid}, {at:time}, {kind:text}, {id:uuid}, {senior:uuid} from {rows}";
    bulk::execute(tx, sql, rows).await?;
    Ok(())
}

/// One row each for changes of one kind outside a case: the object and the senior whom it is about.
pub async fn note_many(tx: &mut Tx, site_id: Uuid, kind: &str, changed: &[(Uuid, Uuid)], now: DateTime<Utc>) -> Result<()> {
    let row = |(id, senior): &(Uuid, Uuid)| json!({ "site": site_id, "at": bulk::time(now), "kind": kind, "id": id, "senior": senior });
    insert(tx, &changed.iter().map(row).collect::<Vec<_>>()).await
}

/// One row for a change outside a case.
pub async fn note(tx: &mut Tx, site_id: Uuid, kind: &str, object_id: Uuid, senior_id: Option<Uuid>, now: DateTime<Utc>) -> Result<()> {
    let sql = "insert into change_feed (site_id, at, kind, object_id, senior_id) values ($1, $2, $3, $4, $5)";
    on!(tx, |conn| sqlx::query(sql).bind(site_id).bind(now).bind(kind).bind(object_id).bind(senior_id).execute(conn).await.map(|_| ()))?;
    Ok(())
}
