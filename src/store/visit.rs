//! The visit record and what was found on it. A record is never edited: a correction names the one it replaces. Hazards,
//! needs and open questions become findings, which run through their stages; the dossier of a first visit reaches the register
//! in the same transaction (`dossier`).

mod dossier;
mod due;
mod question;

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use garde::Validate;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::case;
use super::register::{By, JsonText, Page, Written, content_hash, id_conflict, json, lock_id, member};
use super::register::{senior, site, unknown, wrote};
use super::{Error, Result, Tx, finding};
use crate::domain::access::Who;
use crate::domain::case::{Act, Actor, Resolution};
use crate::domain::outcome::{ContactProof, Outcome};
use crate::domain::refusal::Refusal;
use crate::domain::register::{self as rules, NOTE_CHARS_MAX};
use crate::domain::visit::{
    self as rules_of_visits, Conditions, ContactWith, Dossier, Need, ResolveResult, Safety, VisitFacts, VisitKind, VisitMethod,
    VisitResult, findings, validate,
};
use crate::{on, visible_seniors};

pub use due::{Due, DueFilter, due};

/// The clock of the phone that says when a visit ended, and the server's.
const CLOCKS_DIFFER_MAX: TimeDelta = TimeDelta::minutes(2);

#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema, sqlx::FromRow)]
pub struct Visit {
    pub id: Uuid,
    pub senior_id: Uuid,
    pub alert_id: Option<Uuid>,
    #[sqlx(try_from = "String")]
    pub kind: VisitKind,
    #[sqlx(try_from = "String")]
    pub method: VisitMethod,
    pub started_at: DateTime<Utc>,
    pub ended_at: Option<DateTime<Utc>>,
    #[sqlx(try_from = "String")]
    pub result: VisitResult,
    pub contact_with: Option<String>,
    #[sqlx(try_from = "String")]
    #[schema(value_type = Vec<Uuid>)]
    pub visitors: JsonText<Vec<Uuid>>,
    #[sqlx(try_from = "String")]
    #[schema(value_type = Conditions)]
    pub conditions: JsonText<Conditions>,
    #[sqlx(try_from = "String")]
    #[schema(value_type = Safety)]
    pub safety: JsonText<Safety>,
    #[sqlx(try_from = "Option<String>")]
    #[schema(value_type = Option<Dossier>)]
    pub dossier: JsonText<Option<Dossier>>,
    pub family_visits_last_month: Option<i64>,
    pub note: Option<String>,
    pub next_due: Option<NaiveDate>,
    pub entered_by: Uuid,
    pub received_at: DateTime<Utc>,
    #[serde(skip)]
    pub(crate) content_hash: Vec<u8>,
    pub replaces_id: Option<Uuid>,
    /// What became of the alert, if the record was to close it.
    #[schema(value_type = Option<ResolveResult>)]
    pub resolve_result: Option<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[garde(allow_unvalidated)]
pub struct NewVisit {
    /// Made by the client, or else by the server.
    #[serde(default)]
    pub id: Uuid,
    pub senior_id: Uuid,
    /// The alert that an `alert_followup` belongs to.
    #[serde(default)]
    pub alert_id: Option<Uuid>,
    pub kind: VisitKind,
    pub method: VisitMethod,
    #[serde(deserialize_with = "super::register::instant")]
    pub started_at: DateTime<Utc>,
    #[serde(default, deserialize_with = "super::register::optional_instant")]
    pub ended_at: Option<DateTime<Utc>>,
    pub result: VisitResult,
    #[serde(default)]
    pub contact_with: Option<ContactWith>,
    /// Members who went; the one who enters the record if left out.
    #[serde(default)]
    pub visitors: Vec<Uuid>,
    #[serde(default)]
    pub conditions: Conditions,
    /// Each `hazard` opens a finding.
    #[serde(default)]
    pub safety: Safety,
    #[serde(default)]
    pub dossier: Option<Dossier>,
    #[serde(default)]
    pub family_visits_last_month: Option<i64>,
    /// Each opens a request.
    #[serde(default)]
    pub needs: Vec<Need>,
    #[serde(default)]
    pub note: Option<String>,
    /// If left out: from the risk band after the visit's own day, the next day if nobody was met, none if the senior is gone.
    #[serde(default)]
    pub next_due: Option<NaiveDate>,
    /// The record that this one corrects.
    #[serde(default)]
    pub replaces_id: Option<Uuid>,
    /// Resolves the alert in the same request. If somebody else was faster, the record is kept and says so (`resolve_result`).
    #[serde(default)]
    pub resolve: Option<VisitResolve>,
}

/// How the alert ended (see the alert's own `resolve`).
#[derive(Debug, Clone, Serialize, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[garde(allow_unvalidated)]
pub struct VisitResolve {
    pub safe: bool,
    #[serde(default)]
    pub contact_proof: Option<ContactProof>,
    #[serde(default)]
    pub proof_by: Option<String>,
    #[serde(default, deserialize_with = "super::register::optional_instant")]
    pub proof_at: Option<DateTime<Utc>>,
    #[serde(default)]
    pub outcome: Option<Outcome>,
    #[serde(default)]
    pub note: Option<String>,
    #[serde(default)]
    pub return_date: Option<NaiveDate>,
}

/// What the person who enters a record may do beyond it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Rights {
    /// Close an alert without proof, and end an agreement.
    pub silence: bool,
    /// Say that a senior is away.
    pub confirm: bool,
    /// Write the register: without it a dossier waits for somebody who may.
    pub register: bool,
}

#[derive(Debug, Clone, Copy, Default)]
pub struct VisitFilter {
    pub id: Option<Uuid>,
    pub senior_id: Option<Uuid>,
    pub alert_id: Option<Uuid>,
    /// Visits that began at or after.
    pub from: Option<DateTime<Utc>>,
    /// Visits that began before.
    pub before: Option<DateTime<Utc>>,
    /// Records that a correction replaced are history.
    pub with_replaced: bool,
}

impl NewVisit {
    fn checked(self, by: &By) -> Result<Self, Refusal> {
        let visitors = if self.visitors.is_empty() { by.actor_id.into_iter().collect() } else { self.visitors };
        Ok(Self {
            visitors,
            note: rules::optional("note", self.note.as_deref(), NOTE_CHARS_MAX)?,
            needs: self.needs.into_iter().map(Need::checked).collect::<Result<_, _>>()?,
            dossier: self.dossier.map(Dossier::checked).transpose()?,
            ..self
        })
    }

    fn facts<'a>(&'a self, resolve: Option<&'a Resolution>) -> VisitFacts<'a> {
        VisitFacts {
            kind: self.kind,
            method: self.method,
            alert_id: self.alert_id,
            started_at: self.started_at,
            ended_at: self.ended_at,
            result: self.result,
            contact_with: self.contact_with,
            visitors: &self.visitors,
            dossier: self.dossier.as_ref(),
            needs: &self.needs,
            family_visits_last_month: self.family_visits_last_month,
            next_due: self.next_due,
            resolve,
        }
    }
}

/// Writes the record, its findings and its dossier and, if asked, resolves the alert, all or nothing.
pub async fn create(tx: &mut Tx, by: &By, new: NewVisit, rights: Rights) -> Result<Visit> {
    let new = new.checked(by)?;
    tx.lock_seniors(&[new.senior_id]).await?;
    lock_id(tx, new.id).await?;
    let hash = content_hash(&new);
    if let Some(stored) = find(tx, by.site_id, new.id).await? {
        return if stored.content_hash == hash { Ok(stored) } else { Err(id_conflict().into()) };
    }
    let entered_by = by.actor_id.ok_or_else(|| Refusal::invalid("visitors", "visit.visitors").with("max", 10))?;
    let visit_day = site::get(tx, by.site_id).await?.today(new.started_at)?;
    let resolution = new.resolve.clone().map(VisitResolve::resolution);
    validate(&new.facts(resolution.as_ref()), visit_day, by.now)?;
    let senior = senior::get(tx, by.site_id, new.senior_id).await.map_err(|_| unknown("senior_id"))?;
    require_references(tx, by.site_id, &new).await?;
    let actor = Actor { id: entered_by, may_silence: rights.silence, may_confirm: rights.confirm };
    let resolved = match &resolution {
        Some(resolution) => Some(resolve(tx, by, &new, actor, resolution).await?),
        None => None,
    };
    let cared_for = senior.ended_at.is_none();
    let planned = rules_of_visits::next_due(new.result, senior.risk_band, visit_day).filter(|_| cared_for);
    insert(tx, by, entered_by, &new, new.next_due.or(planned), resolved, hash).await?;
    let what = Written { act: "create", table: "visit", id: new.id, person_id: Some(senior.id), senior_id: Some(senior.id) };
    wrote(tx, by, what, &new).await?;
    let outcome = resolution.and_then(|resolution| resolution.outcome).filter(|_| resolved == Some(ResolveResult::Resolved));
    let settled = outcome.is_some_and(|outcome| outcome.absence().is_some() || outcome.ends_agreement());
    let gone = Some(new.result).filter(|result| result.is_gone() && cared_for && !settled);
    let dossier = new.dossier.as_ref().filter(|_| cared_for);
    let found = findings(gone, dossier.is_some() && !rights.register, &new.safety, &new.needs);
    let opened = finding::record(tx, by, &new, found).await?;
    if let Some(dossier) = dossier.filter(|_| rights.register) {
        dossier::enter(tx, by, &senior, dossier, new.started_at).await?;
    }
    question::ask(tx, by, &senior, &opened).await?;
    get(tx, by.site_id, new.id).await
}

/// Closes the alert, unless somebody else was faster or something new has come up since the visit: the record of whoever
/// comes second, or whose phone was offline, is kept all the same.
async fn resolve(tx: &mut Tx, by: &By, new: &NewVisit, actor: Actor, resolution: &Resolution) -> Result<ResolveResult> {
    let Some(alert) = new.alert_id else { return Err(Refusal::invalid("resolve", "visit.alert_required").into()) };
    let sql = "select max(proof_from) from alert_trigger where site_id = $1 and alert_id = $2";
    let newest: Option<DateTime<Utc>> = on!(tx, |conn| sqlx::query_scalar(sql).bind(by.site_id).bind(alert).fetch_one(conn).await)?;
    let unanswered = newest.is_some_and(|newest| newest > new.ended_at.unwrap_or(new.started_at) + CLOCKS_DIFFER_MAX);
    if unanswered && is_unresolved(tx, by.site_id, alert).await? {
        return Ok(ResolveResult::NewerTrigger);
    }
    // Whoever resolves sends nobody: whether the log reaches somebody is not asked.
    match case::act(tx, by.site_id, alert, actor, Act::Resolve(resolution.clone()), by.now).await {
        Ok(_) => Ok(ResolveResult::Resolved),
        Err(Error::Refused(refusal)) if refusal.key == "problem.alert_already_resolved" => Ok(ResolveResult::AlreadyResolved),
        Err(Error::Refused(refusal)) => {
            let field = refusal.field.as_ref().map(|field| format!("resolve.{field}"));
            Err(Refusal { field, ..refusal }.into())
        }
        Err(error) => Err(error),
    }
}

async fn is_unresolved(tx: &mut Tx, site_id: Uuid, alert: Uuid) -> Result<bool> {
    let sql = "select count(*) from alert where site_id = $1 and id = $2 and resolved_at is null";
    let rows: i64 = on!(tx, |conn| sqlx::query_scalar(sql).bind(site_id).bind(alert).fetch_one(conn).await)?;
    Ok(rows > 0)
}

/// Whether a member was told of an alert of this senior or had claimed it: she may still hand in her record after it closed.
pub async fn was_called(tx: &mut Tx, who: &Who, alert: Uuid, senior_id: Uuid) -> Result<bool> {
    let sql = "select count(*) from alert a where a.site_id = $1 and a.id = $3 and a.senior_id = $4
        and (a.claimed_by = $2 or exists (select 1 from notice n
            where n.site_id = $1 and n.alert_id = a.id and n.recipient_id = $2 and n.state <> 'cancelled'))";
    let rows: i64 =
        on!(tx, |conn| sqlx::query_scalar(sql).bind(who.site_id).bind(who.member_id).bind(alert).bind(senior_id).fetch_one(conn).await)?;
    Ok(rows > 0)
}

impl VisitResolve {
    fn resolution(self) -> Resolution {
        Resolution {
            safe: self.safe,
            proof: self.contact_proof,
            proof_by: self.proof_by,
            proof_at: self.proof_at,
            outcome: self.outcome,
            note: self.note,
            return_date: self.return_date,
        }
    }
}

async fn require_references(tx: &mut Tx, site_id: Uuid, new: &NewVisit) -> Result<()> {
    for visitor in &new.visitors {
        // Whoever went is on record, also after leaving.
        member::get(tx, site_id, *visitor).await.map_err(|_| unknown("visitors"))?;
    }
    if let Some(alert) = new.alert_id {
        let sql = "select senior_id from alert where site_id = $1 and id = $2";
        let senior: Option<Uuid> = on!(tx, |conn| sqlx::query_scalar(sql).bind(site_id).bind(alert).fetch_optional(conn).await)?;
        if senior != Some(new.senior_id) {
            return Err(unknown("alert_id").into());
        }
    }
    let Some(replaced) = new.replaces_id else { return Ok(()) };
    match find(tx, site_id, replaced).await? {
        Some(old) if old.senior_id == new.senior_id => {}
        _ => return Err(unknown("replaces_id").into()),
    }
    let sql = "select id from visit where site_id = $1 and replaces_id = $2";
    let newer: Option<Uuid> = on!(tx, |conn| sqlx::query_scalar(sql).bind(site_id).bind(replaced).fetch_optional(conn).await)?;
    if newer.is_some() { Err(Refusal::conflict("visit.already_replaced").into()) } else { Ok(()) }
}

async fn insert(
    tx: &mut Tx,
    by: &By,
    entered_by: Uuid,
    new: &NewVisit,
    next_due: Option<NaiveDate>,
    resolved: Option<ResolveResult>,
    hash: Vec<u8>,
) -> Result<()> {
    let sql = "insert into visit (site_id, id, senior_id, alert_id, kind, method, started_at, ended_at, result, contact_with, visitors,
            conditions, safety, dossier, family_visits_last_month, note, next_due, entered_by, received_at, content_hash, replaces_id,
            resolve_result)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22)";
    on!(tx, |conn| sqlx::query(sql)
        .bind(by.site_id)
        .bind(new.id)
        .bind(new.senior_id)
        .bind(new.alert_id)
        .bind(new.kind.as_str())
        .bind(new.method.as_str())
        .bind(new.started_at)
        .bind(new.ended_at)
        .bind(new.result.as_str())
        .bind(new.contact_with.map(ContactWith::as_str))
        .bind(json(&new.visitors).to_string())
        .bind(json(&new.conditions).to_string())
        .bind(json(&new.safety).to_string())
        .bind(new.dossier.as_ref().map(|dossier| json(dossier).to_string()))
        .bind(new.family_visits_last_month)
        .bind(&new.note)
        .bind(next_due)
        .bind(entered_by)
        .bind(by.now)
        .bind(hash)
        .bind(new.replaces_id)
        .bind(resolved.map(ResolveResult::as_str))
        .execute(conn)
        .await
        .map(|_| ()))?;
    Ok(())
}

pub async fn get(tx: &mut Tx, site_id: Uuid, id: Uuid) -> Result<Visit> {
    find(tx, site_id, id).await?.ok_or_else(|| Refusal::not_found().into())
}

async fn find(tx: &mut Tx, site_id: Uuid, id: Uuid) -> Result<Option<Visit>> {
    let sql = "select id, senior_id, alert_id, kind, method, started_at, ended_at, result, contact_with, visitors, conditions, safety,
            dossier, family_visits_last_month, note, next_due, entered_by, received_at, content_hash, replaces_id,
            resolve_result
        from visit where site_id = $1 and id = $2";
    Ok(on!(tx, |conn| sqlx::query_as(sql).bind(site_id).bind(id).fetch_optional(conn).await)?)
}

/// The visits of seniors whom a member sees, in the order of ids.
pub async fn visible(tx: &mut Tx, who: &Who, filter: VisitFilter, page: Page) -> Result<Vec<Visit>> {
    let sql = concat!(
        "select v.id, v.senior_id, v.alert_id, v.kind, v.method, v.started_at, v.ended_at, v.result, v.contact_with, v.visitors,
            v.conditions, v.safety, v.dossier, v.family_visits_last_month, v.note, v.next_due, v.entered_by, v.received_at,
            v.content_hash, v.replaces_id, v.resolve_result
        from visit v where v.site_id = $1 and ($4 is null or v.id > $4) and ($5 is null or v.id = $5)
            and ($6 is null or v.senior_id = $6) and ($7 is null or v.alert_id = $7)
            and ($8 or not exists (select 1 from visit n where n.site_id = $1 and n.replaces_id = v.id))
            and ($10 is null or v.started_at >= $10) and ($11 is null or v.started_at < $11)
            and v.senior_id in (",
        visible_seniors!(),
        ") order by v.id limit $9"
    );
    Ok(on!(tx, |conn| sqlx::query_as(sql)
        .bind(who.site_id)
        .bind(who.member_id)
        .bind(who.today)
        .bind(page.after)
        .bind(filter.id)
        .bind(filter.senior_id)
        .bind(filter.alert_id)
        .bind(filter.with_replaced)
        .bind(page.limit)
        .bind(filter.from)
        .bind(filter.before)
        .fetch_all(conn)
        .await)?)
}

impl TryFrom<Option<String>> for JsonText<Option<Dossier>> {
    type Error = serde_json::Error;
    fn try_from(text: Option<String>) -> Result<Self, Self::Error> {
        text.map(|text| serde_json::from_str(&text)).transpose().map(JsonText)
    }
}
