//! Signals come in, one or many, each once (I8, I20): appended and re-assessed in one transaction.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use serde::Serialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::case::{self, Span};
use super::{Error, Result, Tx, bulk, plan, watch};
use crate::domain::case::Event;
use crate::domain::evidence::Deed;
use crate::domain::refusal::Refusal;
use crate::domain::signal::{Evidence, SignalFact, SignalKind, Source, Standing, standing};
use crate::on;

/// Signals of one request.
pub const BATCH_MAX: usize = 500;
/// Characters of a reason or a note.
pub const NOTE_CHARS_MAX: usize = 200;

/// A signal as somebody sends it. Its content is what makes a replay the same signal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NewSignal {
    pub id: Uuid,
    pub senior_id: Uuid,
    pub kind: SignalKind,
    pub observed_at: DateTime<Utc>,
    pub observed_by: Option<Uuid>,
    pub entered_by: Option<Uuid>,
    pub device_id: Option<Uuid>,
    pub source: Source,
    pub evidence: Option<Evidence>,
    /// What a sensor saw happen. Left out of the content of people's signals, so that a repeat from before stays the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deed: Option<Deed>,
    pub replaces: Option<Uuid>,
    pub reason: Option<String>,
    pub note: Option<String>,
}

/// What became of one signal of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Receipt {
    Stored(Standing),
    /// The same id with the same content was here before: nothing changed.
    Known(Standing),
    /// The same id with other content: the first one stands (409).
    Conflict,
    Refused(Refusal),
}

impl NewSignal {
    /// The databases keep less than a nanosecond clock says: what is judged now must equal what is read back, or a sign
    /// just before the cutoff (I4) would turn into one at the cutoff.
    fn in_whole_milliseconds(mut self) -> Self {
        self.observed_at = self.observed_at.trunc_subsecs(3);
        self
    }

    pub fn content_hash(&self) -> Vec<u8> {
        let content = serde_json::to_vec(self).expect("a signal is plain data");
        Sha256::digest(content).to_vec()
    }
}

/// Which of these signals, each with its site, are stored.
pub async fn stored(tx: &mut Tx, ids: &[(Uuid, Uuid)]) -> Result<BTreeSet<Uuid>> {
    if ids.is_empty() {
        return Ok(BTreeSet::new());
    }
    let rows: Vec<Value> = ids.iter().map(|(site, id)| json!({ "site": site, "id": id })).collect();
    let sql = bulk::text(tx, "select s.id from {rows} join signal s on s.site_id = {site:uuid} and s.id = {id:uuid}");
    let rows = Value::from(rows).to_string();
    let found: Vec<Uuid> = on!(tx, |conn| sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).bind(rows).fetch_all(conn).await)?;
    Ok(found.into_iter().collect())
}

/// Appends signals of one site and re-assesses every check that they touch. Receipts come in the order of the input.
///
/// One bad signal refuses only itself; the others are stored.
pub async fn append(tx: &mut Tx, site_id: Uuid, signals: &[NewSignal], now: DateTime<Utc>) -> Result<Vec<Receipt>> {
    let site = plan::site(tx, site_id).await?;
    let signals: Vec<NewSignal> = signals.iter().cloned().map(NewSignal::in_whole_milliseconds).collect();
    let mut seniors: Vec<Uuid> = signals.iter().map(|signal| signal.senior_id).collect();
    seniors.sort_unstable();
    seniors.dedup();
    tx.lock_seniors(&seniors).await?;
    let known = known(tx, site_id, &signals).await?;
    let existing = existing_seniors(tx, site_id, &seniors).await?;
    let mut seen: BTreeMap<Uuid, Vec<u8>> = BTreeMap::new();
    let mut receipts = Vec::with_capacity(signals.len());
    let mut fresh: Vec<(&NewSignal, Standing)> = Vec::new();
    for signal in &signals {
        let hash = signal.content_hash();
        let receipt = match known.get(&signal.id) {
            Some((known_hash, known_standing)) if *known_hash == hash => Receipt::Known(*known_standing),
            Some(_) => Receipt::Conflict,
            None if seen.get(&signal.id).is_some_and(|first| *first != hash) => Receipt::Conflict,
            None if !existing.contains(&signal.senior_id) => Receipt::Refused(Refusal::invalid("senior_id", "problem.not_found")),
            None if !replaced_exists(tx, site_id, signal, &fresh).await? => {
                Receipt::Refused(Refusal::invalid("replaces", "problem.replaced_unknown"))
            }
            None => {
                let skew = if signal.source == Source::Device { site.rules.check.future_devices } else { site.rules.check.future_people };
                let standing = standing(signal.observed_at, now, skew.0, site.rules.check.look_back.0);
                if seen.insert(signal.id, hash).is_none() {
                    fresh.push((signal, standing));
                    Receipt::Stored(standing)
                } else {
                    Receipt::Known(standing)
                }
            }
        };
        receipts.push(receipt);
    }
    insert(tx, site_id, &fresh, now).await?;
    react(tx, site_id, &fresh, now).await?;
    Ok(receipts)
}

async fn known(tx: &mut Tx, site_id: Uuid, signals: &[NewSignal]) -> Result<BTreeMap<Uuid, (Vec<u8>, Standing)>> {
    let rows: Vec<_> = signals.iter().map(|signal| json!({ "site": site_id, "id": signal.id })).collect();
    let sql =
        bulk::text(tx, "select s.id, s.content_hash, s.standing from {rows} join signal s on s.site_id = {site:uuid} and s.id = {id:uuid}");
    let rows = serde_json::Value::from(rows).to_string();
    let found: Vec<(Uuid, Vec<u8>, String)> = on!(tx, |conn| sqlx::query_as(sqlx::AssertSqlSafe(sql)).bind(&rows).fetch_all(conn).await)?;
    found
        .into_iter()
        .map(|(id, hash, standing)| Ok((id, (hash, standing.parse().map_err(|error| Error::broken("signal", id, error))?))))
        .collect()
}

async fn existing_seniors(tx: &mut Tx, site_id: Uuid, seniors: &[Uuid]) -> Result<Vec<Uuid>> {
    let rows: Vec<_> = seniors.iter().map(|id| json!({ "site": site_id, "id": id })).collect();
    let sql = bulk::text(tx, "select s.id from {rows} join senior s on s.site_id = {site:uuid} and s.id = {id:uuid}");
    let rows = serde_json::Value::from(rows).to_string();
    Ok(on!(tx, |conn| sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).bind(&rows).fetch_all(conn).await)?)
}

/// A correction names a signal of the same senior, stored before or earlier in the same batch.
async fn replaced_exists(tx: &mut Tx, site_id: Uuid, signal: &NewSignal, fresh: &[(&NewSignal, Standing)]) -> Result<bool> {
    let Some(replaces) = signal.replaces else { return Ok(true) };
    if fresh.iter().any(|(other, _)| other.id == replaces && other.senior_id == signal.senior_id) {
        return Ok(true);
    }
    let sql = "select count(*) from signal where site_id = $1 and id = $2 and senior_id = $3";
    let count: i64 = on!(tx, |conn| sqlx::query_scalar(sql).bind(site_id).bind(replaces).bind(signal.senior_id).fetch_one(conn).await)?;
    Ok(count > 0)
}

async fn insert(tx: &mut Tx, site_id: Uuid, fresh: &[(&NewSignal, Standing)], now: DateTime<Utc>) -> Result<()> {
    let rows: Vec<_> = fresh
        .iter()
        .map(|(signal, standing)| {
            json!({
                "site": site_id, "id": signal.id, "senior": signal.senior_id, "kind": signal.kind.as_str(), "observed": bulk::time(signal.observed_at),
                "received": bulk::time(now), "observed_by": signal.observed_by, "entered_by": signal.entered_by, "device": signal.device_id,
                "source": signal.source.as_str(), "evidence": signal.evidence.map(Evidence::as_str), "deed": signal.deed.map(Deed::as_str), "standing": standing.as_str(),
                "replaces": signal.replaces, "reason": signal.reason, "note": signal.note, "hash": bulk::hex(&signal.content_hash()),
            })
        })
        .collect();
    let sql = "insert into signal (site_id, id, senior_id, kind, observed_at, received_at, observed_by, entered_by, device_id, source, evidence, deed,
            standing, replaces_id, reason, note, content_hash)
        select {site:uuid}, {id:uuid}, {senior:uuid}, {kind:text}, {observed:time}, {received:time}, {observed_by:uuid}, {entered_by:uuid},
            {device:uuid}, {source:text}, {evidence:text}, {deed:text}, {standing:text}, {replaces:uuid}, {reason:text}, {note:text}, {hash:bytes} from {rows}";
    bulk::execute(tx, sql, &rows).await?;
    Ok(())
}

async fn react(tx: &mut Tx, site_id: Uuid, fresh: &[(&NewSignal, Standing)], now: DateTime<Utc>) -> Result<()> {
    let mut by_senior: BTreeMap<Uuid, Vec<SignalFact>> = BTreeMap::new();
    let mut span: Option<(DateTime<Utc>, DateTime<Utc>)> = None;
    for (signal, standing) in fresh.iter().filter(|(_, standing)| *standing == Standing::Accepted) {
        by_senior.entry(signal.senior_id).or_default().push(SignalFact {
            id: signal.id,
            kind: signal.kind,
            observed_at: signal.observed_at,
            received_at: now,
            source: signal.source,
            evidence: signal.evidence,
            standing: *standing,
            replaces: signal.replaces,
        });
        let (from, to) = span.unwrap_or((signal.observed_at, signal.observed_at));
        // A correction touches the day of the signal that it replaces, which lies within the look-back.
        let earliest = if signal.replaces.is_some() { signal.observed_at.min(now - TimeDelta::days(8)) } else { signal.observed_at };
        span = Some((from.min(earliest), to.max(signal.observed_at).max(now)));
    }
    let Some((from, to)) = span else { return Ok(()) };
    let events: Vec<(Uuid, Event)> = by_senior.into_iter().map(|(senior, facts)| (senior, Event::Signals(facts))).collect();
    let span = Span::touching(from, to);
    if attempt(tx, site_id, &events, span, now).await? {
        return Ok(());
    }
    for event in events {
        if attempt(tx, site_id, std::slice::from_ref(&event), span, now).await? {
            continue;
        }
        watch::isolate(tx, site_id, event.0, now).await?;
        // Without the days taken out a call for help may still get through; otherwise the signal is kept and decides nothing.
        attempt(tx, site_id, &[event], span, now).await?;
    }
    Ok(())
}

/// `false`, with nothing of it kept, if a record is broken: one senior's record must not refuse the signals of the others
/// (I28).
async fn attempt(tx: &mut Tx, site_id: Uuid, events: &[(Uuid, Event)], span: Span, now: DateTime<Utc>) -> Result<bool> {
    on!(tx, |conn| sqlx::query("savepoint reaction").execute(conn).await.map(|_| ()))?;
    match case::react(tx, site_id, events, span, now).await {
        Ok(_) => {
            on!(tx, |conn| sqlx::query("release savepoint reaction").execute(conn).await.map(|_| ()))?;
            Ok(true)
        }
        Err(error @ (Error::Broken { .. } | Error::Refused(_))) => {
            tracing::error!(%error, "broken record met by a signal");
            on!(tx, |conn| sqlx::query("rollback to savepoint reaction").execute(conn).await.map(|_| ()))?;
            Ok(false)
        }
        Err(other) => Err(other),
    }
}
