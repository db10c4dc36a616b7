//! Views of many seniors in a handful of set-based queries; the cost grows with what is asked for, not with the register.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, FromRow};
use uuid::Uuid;

use super::rows::{AbsenceRow, AlertRow, CheckRow, ContactRow, SeniorRow, SignalRow, StepRow, TriggerRow};
use crate::domain::absence::AbsenceFact;
use crate::domain::alert::Alert;
use crate::domain::case::{Case, CaseSenior};
use crate::domain::place::Purpose;
use crate::domain::rules::Rules;
use crate::on;
use crate::store::{Error, Result, Tx, bulk, life};

/// Which checks of a senior are asked for, besides those of the alert.
#[derive(Debug, Clone, Copy)]
pub struct Span {
    due_before: DateTime<Utc>,
    /// Checks that were taken out as broken are tried again if they are due by then.
    retry_before: DateTime<Utc>,
    from: DateTime<Utc>,
    to: DateTime<Utc>,
}

impl Span {
    /// Checks whose next action is due.
    pub fn due(now: DateTime<Utc>) -> Self {
        Self { due_before: now, ..Self::touching(now + TimeDelta::days(400_000), DateTime::<Utc>::UNIX_EPOCH) }
    }
    /// The same, and those that were taken out as broken and may be mended by now. Only the watch asks for them: whatever else
    /// happens to the senior must not fail because of them (I28).
    pub fn due_or_broken(now: DateTime<Utc>) -> Self {
        Self { retry_before: now, ..Self::due(now) }
    }
    /// Checks whose span touches these instants.
    pub fn touching(from: DateTime<Utc>, to: DateTime<Utc>) -> Self {
        Self { due_before: DateTime::<Utc>::UNIX_EPOCH, retry_before: DateTime::<Utc>::UNIX_EPOCH, from, to }
    }
    /// Everything that an absence, an agreement or a long outage can touch.
    pub fn recent(now: DateTime<Utc>) -> Self {
        Self::touching(now - TimeDelta::days(8), now + TimeDelta::days(2))
    }
}

/// No view reaches further back than this, whatever a signal claims.
const HISTORY_DAYS_MAX: i64 = 32;

const CHECK_COLUMNS: &str = "c.senior_id, c.id, c.local_date, c.slot, c.state, c.expected_sign, c.sensor_policy, \
    coalesce((select a.require_change from agreement a where a.site_id = c.site_id and a.id = c.agreement_id), false) as require_change, \
    c.counts_from, c.deadline_at, \
    c.cutoff_at, c.day_ends_at, c.unobserved_delay_seconds, c.received_late, c.triggered, c.next_action_at, c.decided_at";

/// Loads the views of these seniors; the caller holds their locks.
pub async fn load(tx: &mut Tx, site_id: Uuid, seniors: &[Uuid], span: Span, now: DateTime<Utc>) -> Result<Vec<Case>> {
    let mut cases = Vec::with_capacity(seniors.len());
    for chunk in seniors.chunks(bulk::ROWS_MAX) {
        cases.append(&mut load_chunk(tx, site_id, chunk, span, now).await?);
    }
    Ok(cases)
}

async fn load_chunk(tx: &mut Tx, site_id: Uuid, seniors: &[Uuid], span: Span, now: DateTime<Utc>) -> Result<Vec<Case>> {
    let rows: Vec<Value> = seniors.iter().map(|id| json!({ "site": site_id, "id": id })).collect();
    let rows = Value::from(rows).to_string();
    let mut cases = senior_rows(tx, site_id, &rows).await?;
    let outage = life::last_outage(tx, now).await?;
    let alerts = alert_rows(tx, site_id, &rows).await?;
    let checks = check_rows(tx, site_id, &rows, &alerts, span, now).await?;
    for check in checks {
        if let Some(case) = cases.get_mut(&check.senior_id) {
            case.checks.push(check.view());
        }
    }
    for (senior, alert) in alerts {
        if let Some(case) = cases.get_mut(&senior) {
            case.alert = Some(alert);
        }
    }
    let since: Vec<Value> =
        cases.values().map(|case| json!({ "site": site_id, "id": case.senior.id, "since": bulk::time(since(case, now)) })).collect();
    let since = Value::from(since).to_string();
    for row in signal_rows(tx, &since).await? {
        if let Some(case) = cases.get_mut(&row.senior_id) {
            let fact = row.fact()?;
            case.signals.push(fact);
        }
    }
    let oldest = (now - TimeDelta::days(HISTORY_DAYS_MAX)).date_naive();
    for row in absence_rows(tx, &rows, oldest).await? {
        let row = row?;
        if let Some(case) = cases.get_mut(&row.senior_id) {
            case.absences.push(row.fact());
        }
    }
    for case in cases.values_mut() {
        case.outage = outage;
    }
    Ok(seniors.iter().filter_map(|id| cases.remove(id)).collect())
}

/// From when on signals can matter to anything in the view.
fn since(case: &Case, now: DateTime<Utc>) -> DateTime<Utc> {
    let checks = case.checks.iter().map(|check| if check.require_change { check.change_from() } else { check.counts_from });
    let triggers = case.alert.iter().flat_map(|alert| alert.triggers.iter().map(|trigger| trigger.proof_from));
    checks.chain(triggers).min().unwrap_or(now).max(now - TimeDelta::days(HISTORY_DAYS_MAX))
}

async fn senior_rows(tx: &mut Tx, site_id: Uuid, rows: &str) -> Result<HashMap<Uuid, Case>> {
    let sql = bulk::text(
        tx,
        "select s.id, s.called, s.purpose, coalesce(h.unit, '') as unit, coalesce(b.name, '') as building_name, site.timezone, site.settings,
            (select max(p.trial_until) from place_closure pc join place p on p.site_id = pc.site_id and p.id = pc.ancestor_id
              where pc.site_id = s.site_id and pc.descendant_id = h.building_id and p.kind = 'compound') as trial_until
         from {rows}
         join senior s on s.site_id = {site:uuid} and s.id = {id:uuid}
         left join home h on h.site_id = s.site_id and h.id = s.home_id
         left join place b on b.site_id = h.site_id and b.id = h.building_id
         join site on site.id = s.site_id
         where b.id is not null or s.purpose = 'canary'",
    );
    let found: Vec<SeniorRow> = on!(tx, |conn| sqlx::query_as(AssertSqlSafe(sql)).bind(rows).fetch_all(conn).await).map_err(broken_row)?;
    let mut rules_cache: BTreeMap<String, Arc<Rules>> = BTreeMap::new();
    let mut cases = HashMap::with_capacity(found.len());
    for row in found {
        let rules = if let Some(rules) = rules_cache.get(&row.settings) {
            Arc::clone(rules)
        } else {
            let parsed = Rules::from_stored(&row.settings).map_err(|error| Error::broken("site", site_id, error))?;
            let rules = Arc::new(parsed);
            rules_cache.insert(row.settings.clone(), Arc::clone(&rules));
            rules
        };
        let zone = row.timezone.parse().map_err(|error| Error::broken("site", site_id, error))?;
        let senior = CaseSenior {
            site_id,
            id: row.id,
            called: row.called,
            building_name: row.building_name,
            unit: row.unit,
            zone,
            rules,
            trial_until: row.trial_until,
            canary: row.purpose == Purpose::Canary,
        };
        cases.insert(row.id, Case { senior, checks: Vec::new(), signals: Vec::new(), absences: Vec::new(), alert: None, outage: None });
    }
    Ok(cases)
}

async fn check_rows(
    tx: &mut Tx,
    site_id: Uuid,
    rows: &str,
    alerts: &HashMap<Uuid, Alert>,
    span: Span,
    now: DateTime<Utc>,
) -> Result<Vec<CheckRow>> {
    let oldest = (now - TimeDelta::days(HISTORY_DAYS_MAX)).date_naive();
    // What is due is taken however old it is: a row that stays due would come first in every chunk, for ever.
    // Inside coalesce it is no way to look rows up: SQLite would read all that is due at the site once for each senior.
    // A row that was taken out as broken is left aside: the senior's other days, alerts and calls for help go on (I28).
    let template = "from {rows} join daily_check c on c.site_id = {site:uuid} and c.senior_id = {id:uuid}
        where (c.state <> 'unmonitored' or c.next_action_at <= $6)
          and (coalesce(c.next_action_at <= $3, false) or (c.local_date >= $2 and c.counts_from <= $5 and c.day_ends_at > $4))";
    let sql = format!("select {CHECK_COLUMNS} {}", bulk::text(tx, template));
    let mut found: Vec<CheckRow> = on!(tx, |conn| sqlx::query_as(AssertSqlSafe(sql))
        .bind(rows)
        .bind(oldest)
        .bind(span.due_before)
        .bind(span.from)
        .bind(span.to)
        .bind(span.retry_before)
        .fetch_all(conn)
        .await)
    .map_err(broken_row)?;
    let of_alerts: Vec<Value> = alerts
        .values()
        .flat_map(|alert| alert.triggers.iter().filter_map(|trigger| trigger.check_id))
        .filter(|id| !found.iter().any(|row| row.id == *id))
        .map(|id| json!({ "site": site_id, "id": id }))
        .collect();
    if !of_alerts.is_empty() {
        let template = "from {rows} join daily_check c on c.site_id = {site:uuid} and c.id = {id:uuid} where c.state <> 'unmonitored'";
        let sql = format!("select {CHECK_COLUMNS} {}", bulk::text(tx, template));
        let ids = Value::from(of_alerts).to_string();
        let mut more: Vec<CheckRow> =
            on!(tx, |conn| sqlx::query_as(AssertSqlSafe(sql)).bind(&ids).fetch_all(conn).await).map_err(broken_row)?;
        found.append(&mut more);
    }
    found.sort_by_key(|row| (row.senior_id, row.local_date, row.slot));
    Ok(found)
}

/// A word that is on no list is a broken record of ours, not a failure of the database.
fn broken_row(error: sqlx::Error) -> Error {
    match error {
        sqlx::Error::ColumnDecode { index, source } => Error::broken("record", index, source),
        other => other.into(),
    }
}

async fn alert_rows(tx: &mut Tx, site_id: Uuid, rows: &str) -> Result<HashMap<Uuid, Alert>> {
    let sql = bulk::text(
        tx,
        "select a.* from {rows} join alert a on a.site_id = {site:uuid} and a.senior_id = {id:uuid}
         where a.resolved_at is null or not exists (
            select 1 from alert newer where newer.site_id = a.site_id and newer.senior_id = a.senior_id and newer.id <> a.id
              and (newer.resolved_at is null or (newer.opened_at, newer.id) > (a.opened_at, a.id)))",
    );
    let found: Vec<AlertRow> = on!(tx, |conn| sqlx::query_as(AssertSqlSafe(sql)).bind(rows).fetch_all(conn).await).map_err(broken_row)?;
    if found.is_empty() {
        return Ok(HashMap::new());
    }
    let ids = Value::from(found.iter().map(|row| json!({ "site": site_id, "id": row.id })).collect::<Vec<_>>()).to_string();
    let sql = bulk::text(
        tx,
        "select t.alert_id, t.id, t.check_id, t.kind, t.cause, t.local_date, t.slot, t.proof_from, t.note, t.raised_by, t.at
         from {rows} join alert_trigger t on t.site_id = {site:uuid} and t.alert_id = {id:uuid}",
    );
    let triggers: Vec<TriggerRow> =
        on!(tx, |conn| sqlx::query_as(AssertSqlSafe(sql)).bind(&ids).fetch_all(conn).await).map_err(broken_row)?;
    let sql = bulk::text(
        tx,
        "select s.alert_id, s.epoch, s.step, s.level, s.act, s.due_at, s.due_if_claimed_at, s.due_if_unseen_at, s.held, s.state, s.fired_at, s.told
         from {rows} join ladder_step s on s.site_id = {site:uuid} and s.alert_id = {id:uuid}",
    );
    let steps: Vec<StepRow> = on!(tx, |conn| sqlx::query_as(AssertSqlSafe(sql)).bind(&ids).fetch_all(conn).await).map_err(broken_row)?;
    let sql = bulk::text(
        tx,
        "select c.alert_id, c.epoch, c.contact_id, c.step, c.relation, c.told_at, c.answer, c.minutes, c.answered_at
         from {rows} join contact_call c on c.site_id = {site:uuid} and c.alert_id = {id:uuid}",
    );
    let contacts: Vec<ContactRow> =
        on!(tx, |conn| sqlx::query_as(AssertSqlSafe(sql)).bind(&ids).fetch_all(conn).await).map_err(broken_row)?;
    let mut alerts: HashMap<Uuid, (Uuid, Alert)> = HashMap::new();
    for row in found {
        alerts.insert(row.id, (row.senior_id, row.alert()?));
    }
    for row in triggers {
        if let Some((_, alert)) = alerts.get_mut(&row.alert_id) {
            alert.triggers.push(row.trigger()?);
        }
    }
    for row in steps {
        if let Some((_, alert)) = alerts.get_mut(&row.alert_id) {
            alert.steps.push(row.step());
        }
    }
    for row in contacts {
        if let Some((_, alert)) = alerts.get_mut(&row.alert_id) {
            alert.contacts.push(row.call()?);
        }
    }
    let mut by_senior = HashMap::new();
    for (senior, mut alert) in alerts.into_values() {
        alert.triggers.sort_by_key(|trigger| (trigger.at, trigger.id));
        alert.steps.sort_by_key(|step| (step.epoch, step.step));
        alert.contacts.sort_by_key(|call| (call.epoch, call.step));
        by_senior.insert(senior, alert);
    }
    Ok(by_senior)
}

/// Signals observed since then, and the corrections that replace one of them: "that was yesterday, not today" is observed
/// earlier than what it takes back.
async fn signal_rows(tx: &mut Tx, rows: &str) -> Result<Vec<SignalRow>> {
    let sql = bulk::text(
        tx,
        "select s.senior_id, s.id, s.kind, s.observed_at, s.received_at, s.source, s.evidence, s.standing, s.replaces_id
         from {rows} join signal s on s.site_id = {site:uuid} and s.senior_id = {id:uuid} and s.observed_at >= {since:time}
         union all
         select s.senior_id, s.id, s.kind, s.observed_at, s.received_at, s.source, s.evidence, s.standing, s.replaces_id
         from {rows} join signal old on old.site_id = {site:uuid} and old.senior_id = {id:uuid} and old.observed_at >= {since:time}
         join signal s on s.site_id = old.site_id and s.replaces_id = old.id and s.observed_at < {since:time}
         order by 4, 2",
    );
    on!(tx, |conn| sqlx::query_as(AssertSqlSafe(sql)).bind(rows).fetch_all(conn).await).map_err(broken_row)
}

/// The absences of these seniors that end on this date or later, oldest first. They are only said and shown here, beside others':
/// one that cannot be read is left out, and her own case tells the operators of it (I28).
pub async fn absences(tx: &mut Tx, site_id: Uuid, seniors: &[Uuid], ending_from: NaiveDate) -> Result<HashMap<Uuid, Vec<AbsenceFact>>> {
    let mut found: HashMap<Uuid, Vec<AbsenceFact>> = HashMap::new();
    for chunk in seniors.chunks(bulk::ROWS_MAX) {
        let rows: Vec<Value> = chunk.iter().map(|id| json!({ "site": site_id, "id": id })).collect();
        for row in absence_rows(tx, &Value::from(rows).to_string(), ending_from).await? {
            let Ok(row) = row.inspect_err(|error| tracing::error!(%error, "broken absence left out")) else { continue };
            found.entry(row.senior_id).or_default().push(row.fact());
        }
    }
    Ok(found)
}

async fn absence_rows(tx: &mut Tx, rows: &str, ending_from: NaiveDate) -> Result<Vec<Result<AbsenceRow>>> {
    let sql = bulk::text(
        tx,
        "select a.senior_id, a.id, a.kind, a.from_date, a.return_date, a.reported_by, a.confirmed_at, a.cancelled_at, a.return_confirmed_at,
            (select c.id from daily_check c where c.site_id = a.site_id and c.senior_id = a.senior_id and c.local_date >= a.return_date
                order by c.local_date, c.counts_from limit 1) as first_check
         from {rows} join absence a on a.site_id = {site:uuid} and a.senior_id = {id:uuid} and a.return_date >= $2
         order by a.from_date, a.id",
    );
    let found: Vec<sqlx::Result<AbsenceRow>> = on!(tx, |conn| sqlx::query(AssertSqlSafe(sql))
        .bind(rows)
        .bind(ending_from)
        .fetch_all(conn)
        .await
        .map(|rows| rows.iter().map(AbsenceRow::from_row).collect()))?;
    Ok(found.into_iter().map(|row| row.map_err(broken_row)).collect())
}
