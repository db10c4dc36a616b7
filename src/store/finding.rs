//! A danger found in a home, something that a senior needs, or a question that a visit or her days left open:
//! 点单 → 派单 → 领单 → 督单 → 评单.

pub mod misfit;

use chrono::{DateTime, Utc};
use garde::Validate;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;
use uuid::Uuid;

use super::register::{By, Page, Written, require_version, wrote};
use super::visit::NewVisit;
use super::{Result, Tx, bulk};
use crate::domain::access::Who;
use crate::domain::refusal::Refusal;
use crate::domain::register::{self, NOTE_CHARS_MAX};
use crate::domain::visit::{Finding as Found, FindingKind, FindingState, Known, reconcile};
use crate::{on, visible_seniors};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema, sqlx::FromRow)]
pub struct Finding {
    pub id: Uuid,
    /// Null for an `agreement`.
    pub visit_id: Option<Uuid>,
    pub senior_id: Uuid,
    #[sqlx(try_from = "String")]
    pub kind: FindingKind,
    /// A safety item, a need, what became of the senior (`moved`, `hospital`, `deceased`, `dossier`), or what went wrong twice in a
    /// week (`false_alarm`, `blind`).
    pub item: String,
    /// The class of GB/T 43153-2023, for needs.
    pub service_class: Option<String>,
    pub note: Option<String>,
    #[sqlx(try_from = "String")]
    pub state: FindingState,
    pub created_at: DateTime<Utc>,
    pub closed_at: Option<DateTime<Utc>>,
    pub closed_by: Option<Uuid>,
    pub version: i64,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[garde(allow_unvalidated)]
pub struct FindingPatch {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<FindingState>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

#[derive(Debug, Clone, Copy, Default)]
pub struct FindingFilter {
    pub visit_id: Option<Uuid>,
    pub senior_id: Option<Uuid>,
    pub kind: Option<FindingKind>,
    pub state: Option<FindingState>,
}

/// Opens what a visit found. A correction opens what is new, withdraws what its predecessors had by mistake, and leaves alone
/// what stays. Returns what was opened, with ids.
pub(super) async fn record(tx: &mut Tx, by: &By, visit: &NewVisit, found: Vec<Found>) -> Result<Vec<(Uuid, Found)>> {
    let known = match visit.replaces_id {
        Some(replaced) => of_chain(tx, by.site_id, replaced).await?,
        None => Vec::new(),
    };
    let change = reconcile(&known, found);
    for (id, version) in change.withdraw {
        let withdrawn = FindingPatch { state: Some(FindingState::Withdrawn), note: None };
        patch(tx, by, id, version, withdrawn).await?;
    }
    for (id, version, note) in change.reword {
        patch(tx, by, id, version, FindingPatch { state: None, note: Some(note) }).await?;
    }
    open(tx, by, visit, change.open).await
}

/// The findings of a record and of all that it corrected.
async fn of_chain(tx: &mut Tx, site_id: Uuid, visit: Uuid) -> Result<Vec<Known>> {
    let sql = "with recursive chain(id) as (select $2 union
            select v.replaces_id from visit v join chain on v.id = chain.id where v.site_id = $1 and v.replaces_id is not null)
        select id, visit_id, senior_id, kind, item, service_class, note, state, created_at, closed_at, closed_by, version
        from finding where site_id = $1 and visit_id in (select id from chain) order by created_at, id";
    let rows: Vec<Finding> = on!(tx, |conn| sqlx::query_as(sql).bind(site_id).bind(visit).fetch_all(conn).await)?;
    let known = |row: Finding| Known { id: row.id, kind: row.kind, item: row.item, note: row.note, state: row.state, version: row.version };
    Ok(rows.into_iter().map(known).collect())
}

async fn open(tx: &mut Tx, by: &By, visit: &NewVisit, found: Vec<Found>) -> Result<Vec<(Uuid, Found)>> {
    let mut rows = Vec::new();
    let mut opened = Vec::new();
    for new in found {
        let id = Uuid::now_v7();
        rows.push(json!({
            "site": by.site_id, "id": id, "visit": visit.id, "senior": visit.senior_id, "kind": new.kind.as_str(), "item": new.item,
            "class": new.service_class, "note": new.note, "state": FindingState::Requested.as_str(), "at": bulk::time(by.now), "version": 1,
        }));
        wrote(tx, by, written("create", id, visit.senior_id), &json!({"kind": new.kind, "item": new.item})).await?;
        opened.push((id, new));
    }
    let sql = "insert into finding (site_id, id, visit_id, senior_id, kind, item, service_class, note, state, created_at, version)
        select {site:uuid}, {id:uuid}, {visit:uuid}, {senior:uuid}, {kind:text}, {item:text}, {class:text}, {note:text}, {state:text},
            {at:time}, {version:int} from {rows}";
    bulk::execute(tx, sql, &rows).await?;
    Ok(opened)
}

pub async fn get(tx: &mut Tx, site_id: Uuid, id: Uuid) -> Result<Finding> {
    let sql = "select id, visit_id, senior_id, kind, item, service_class, note, state, created_at, closed_at, closed_by, version
        from finding where site_id = $1 and id = $2";
    let found = on!(tx, |conn| sqlx::query_as(sql).bind(site_id).bind(id).fetch_optional(conn).await)?;
    found.ok_or_else(|| Refusal::not_found().into())
}

/// The findings about seniors whom a member sees, in the order of ids.
pub async fn visible(tx: &mut Tx, who: &Who, filter: FindingFilter, page: Page) -> Result<Vec<Finding>> {
    let sql = concat!(
        "select f.id, f.visit_id, f.senior_id, f.kind, f.item, f.service_class, f.note, f.state, f.created_at, f.closed_at,
            f.closed_by, f.version
        from finding f where f.site_id = $1 and ($4 is null or f.id > $4) and ($5 is null or f.visit_id = $5)
            and ($6 is null or f.senior_id = $6) and ($7 is null or f.kind = $7) and ($8 is null or f.state = $8)
            and f.senior_id in (",
        visible_seniors!(),
        ") order by f.id limit $9"
    );
    Ok(on!(tx, |conn| sqlx::query_as(sql)
        .bind(who.site_id)
        .bind(who.member_id)
        .bind(who.today)
        .bind(page.after)
        .bind(filter.visit_id)
        .bind(filter.senior_id)
        .bind(filter.kind.map(FindingKind::as_str))
        .bind(filter.state.map(FindingState::as_str))
        .bind(page.limit)
        .fetch_all(conn)
        .await)?)
}

/// Moves a finding on, or notes something; `rated` and `withdrawn` close it.
pub async fn patch(tx: &mut Tx, by: &By, id: Uuid, version: i64, patch: FindingPatch) -> Result<Finding> {
    let old = get(tx, by.site_id, id).await?;
    if patch.state.is_some_and(|next| !old.state.may_become(next)) {
        let refusal = Refusal::conflict("visit.finding_state");
        return Err(Refusal { field: Some("state".to_owned()), ..refusal }.into());
    }
    let state = patch.state.unwrap_or(old.state);
    let note = register::optional("note", patch.note.as_deref(), NOTE_CHARS_MAX)?.or(old.note);
    let closing = state.is_closed() && old.closed_at.is_none();
    let sql = "update finding set state = $4, note = $5, closed_at = $6, closed_by = $7, version = version + 1
        where site_id = $1 and id = $2 and version = $3";
    let rows = on!(tx, |conn| sqlx::query(sql)
        .bind(by.site_id)
        .bind(id)
        .bind(version)
        .bind(state.as_str())
        .bind(note)
        .bind(if closing { Some(by.now) } else { old.closed_at })
        .bind(if closing { by.actor_id } else { old.closed_by })
        .execute(conn)
        .await?
        .rows_affected());
    require_version(rows)?;
    wrote(tx, by, written("change", id, old.senior_id), &patch).await?;
    get(tx, by.site_id, id).await
}

fn written(act: &str, id: Uuid, senior_id: Uuid) -> Written<'_> {
    Written { act, table: "finding", id, person_id: Some(senior_id), senior_id: Some(senior_id) }
}
