//! Commands of many cases become a few set-based statements. Preconditions are in the statements: a row that is no longer
//! what the decision saw makes the whole transaction fail, and nothing of it is kept.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Outcome, leaving};
use crate::domain::alert::{Alert, ContactAnswer};
use crate::domain::case::{Command, Unwanted};
use crate::domain::check::CheckState;
use crate::domain::notice::{NewNotice, RecipientKind};
use crate::store::audit::{self, Entry};
use crate::store::{Error, Result, Tx, bulk, feed, plan};

#[derive(Default)]
struct Rows {
    checks: Vec<Value>,
    new_alerts: Vec<Value>,
    alerts: Vec<Value>,
    triggers: Vec<Value>,
    steps: Vec<Value>,
    contacts: Vec<Value>,
    timeline: Vec<Value>,
    notices: Vec<Value>,
    cancelled: Vec<Value>,
    cancelled_rungs: Vec<Value>,
    told_again: Vec<Value>,
    absences: Vec<Value>,
    cancelled_absences: Vec<Value>,
    not_over: Vec<Value>,
    endings: Vec<Value>,
    replan: Vec<(Uuid, Uuid)>,
}

/// Writes what the decisions say. Everything that tells somebody who was told before is in `tell`.
pub async fn apply(tx: &mut Tx, outcomes: &[Outcome], now: DateTime<Utc>) -> Result<()> {
    let mut rows = Rows::default();
    for outcome in outcomes {
        for command in &outcome.commands {
            rows.add(outcome.case.senior.site_id, outcome.case.senior.id, command, now);
        }
    }
    rows.write(tx).await?;
    write_audit(tx, outcomes, now).await?;
    feed::write(tx, outcomes, now).await?;
    for (site, senior) in rows.replan {
        plan::replan_senior(tx, site, senior, now).await?;
    }
    Ok(())
}

impl Rows {
    fn add(&mut self, site: Uuid, senior: Uuid, command: &Command, now: DateTime<Utc>) {
        let time = |at: Option<DateTime<Utc>>| at.map(bulk::time);
        match command {
            Command::SaveCheck { before, check } => self.checks.push(json!({
                "site": site, "id": check.id, "before": before.as_str(), "state": check.state.as_str(), "received_late": check.received_late,
                "triggered": check.triggered, "next": time(check.next_action_at), "decided": time(check.decided_at),
            })),
            Command::SaveAlert { before_version: 0, alert } => self.new_alerts.push(alert_row(site, senior, 0, alert)),
            Command::SaveAlert { before_version, alert } => self.alerts.push(alert_row(site, senior, *before_version, alert)),
            Command::AddTrigger { alert_id, trigger } => self.triggers.push(json!({
                "site": site, "id": trigger.id, "alert": alert_id, "senior": senior, "check": trigger.check_id, "kind": trigger.kind.as_str(),
                "cause": trigger.cause.as_str(), "date": trigger.local_date, "slot": trigger.slot.map(crate::domain::check::Slot::as_str),
                "proof_from": bulk::time(trigger.proof_from), "note": trigger.note, "raised_by": trigger.raised_by, "at": bulk::time(trigger.at),
            })),
            Command::SaveStep { alert_id, step } => self.steps.push(json!({
                "site": site, "alert": alert_id, "epoch": step.epoch, "step": step.step, "level": step.level, "act": step.act.as_str(),
                "due": bulk::time(step.due_at), "due_claimed": bulk::time(step.due_if_claimed_at), "due_unseen": bulk::time(step.due_if_unseen_at),
                "held": step.held, "state": step.state.as_str(), "fired": time(step.fired_at), "told": step.told,
            })),
            Command::SaveContact { alert_id, call } => self.contacts.push(json!({
                "site": site, "alert": alert_id, "epoch": call.epoch, "contact": call.contact_id, "step": call.step, "relation": call.relation,
                "told": bulk::time(call.told_at), "answer": call.answer.map(ContactAnswer::as_str), "minutes": call.minutes,
                "answered": time(call.answered_at),
            })),
            Command::Record(row) => self.timeline.push(json!({
                "site": site, "id": Uuid::now_v7(), "alert": row.alert_id, "at": bulk::time(row.at), "kind": row.kind.as_str(),
                "actor": row.actor_id, "detail": json!(row.detail).to_string(),
            })),
            Command::Tell(notice) => self.notices.push(notice_row(site, notice, RecipientKind::Member, now)),
            Command::TellContact(notice) => self.notices.push(notice_row(site, notice, RecipientKind::Contact, now)),
            Command::CancelPending { alert_id, unwanted: Unwanted::All } => self.cancelled.push(json!({ "site": site, "id": alert_id })),
            Command::CancelPending { alert_id, unwanted: Unwanted::Rungs { epoch, steps } } => {
                let rungs = steps.iter().map(|step| json!({ "site": site, "id": alert_id, "epoch": epoch, "step": step }));
                self.cancelled_rungs.extend(rungs);
            }
            Command::TellAgain { alert_id, epoch, except } => self.told_again.push(json!({
                "site": site, "id": alert_id, "epoch": epoch, "except": except.unwrap_or_default(), "now": bulk::time(now),
            })),
            Command::AddAbsence { id, kind, from_date, return_date, by, confirmed } => self.absences.push(json!({
                "site": site, "id": id, "senior": senior, "kind": kind.as_str(), "from": from_date, "return": return_date, "by": by,
                "at": bulk::time(now), "confirmed_by": confirmed.then_some(by), "confirmed_at": time(confirmed.then_some(now)), "hash": "00",
            })),
            Command::CancelAbsence { id, .. } => self.cancelled_absences.push(json!({ "site": site, "id": id, "at": bulk::time(now) })),
            Command::CancelStandDown => self.not_over.push(json!({ "site": site, "senior": senior })),
            Command::EndAgreements { outcome, from_date } => {
                self.endings.push(json!({ "site": site, "senior": senior, "from": from_date, "why": outcome.as_str() }));
                self.replan.push((site, senior));
            }
            Command::StandDown { .. } | Command::Recall { .. } | Command::Remind { .. } | Command::Silenced { .. } => {}
        }
    }

    async fn write(&self, tx: &mut Tx) -> Result<()> {
        let sql = "update daily_check set state = {state:text}, received_late = {received_late:bool}, triggered = {triggered:bool},
            next_action_at = {next:time}, decided_at = {decided:time}
            from {rows} where daily_check.site_id = {site:uuid} and daily_check.id = {id:uuid} and daily_check.state = {before:text}";
        exactly(bulk::execute(tx, sql, &self.checks).await?, &self.checks, "daily_check")?;
        bulk::execute(tx, INSERT_ALERT, &self.new_alerts).await?;
        exactly(bulk::execute(tx, UPDATE_ALERT, &self.alerts).await?, &self.alerts, "alert")?;
        let sql = "insert into alert_trigger (site_id, id, alert_id, senior_id, check_id, kind, cause, local_date, slot, proof_from, note, raised_by, at)
            select {site:uuid}, {id:uuid}, {alert:uuid}, {senior:uuid}, {check:uuid}, {kind:text}, {cause:text}, {date:date}, {slot:text},
                {proof_from:time}, {note:text}, {raised_by:uuid}, {at:time} from {rows}";
        bulk::execute(tx, sql, &self.triggers).await?;
        let sql = "insert into ladder_step (site_id, alert_id, epoch, step, level, act, due_at, due_if_claimed_at, due_if_unseen_at, held, state, fired_at, told)
            select {site:uuid}, {alert:uuid}, {epoch:int}, {step:int}, {level:int}, {act:text}, {due:time}, {due_claimed:time}, {due_unseen:time},
                {held:bool}, {state:text}, {fired:time}, {told:int} from {rows} where true
            on conflict (site_id, alert_id, epoch, step) do update set due_at = excluded.due_at, due_if_claimed_at = excluded.due_if_claimed_at,
                due_if_unseen_at = excluded.due_if_unseen_at, held = excluded.held, state = excluded.state, fired_at = excluded.fired_at, told = excluded.told";
        bulk::execute(tx, sql, &self.steps).await?;
        let sql = "insert into contact_call (site_id, alert_id, epoch, contact_id, step, relation, told_at, answer, minutes, answered_at)
            select {site:uuid}, {alert:uuid}, {epoch:int}, {contact:uuid}, {step:int}, {relation:text}, {told:time}, {answer:text}, {minutes:int},
                {answered:time} from {rows} where true
            on conflict (site_id, alert_id, epoch, contact_id) do update set answer = excluded.answer, minutes = excluded.minutes,
                answered_at = excluded.answered_at";
        bulk::execute(tx, sql, &self.contacts).await?;
        let sql = "insert into alert_event (site_id, id, alert_id, at, kind, actor_id, detail)
            select {site:uuid}, {id:uuid}, {alert:uuid}, {at:time}, {kind:text}, {actor:uuid}, {detail:text} from {rows}";
        bulk::execute(tx, sql, &self.timeline).await?;
        let sql = "update notice set state = 'cancelled' from {rows}
            where notice.site_id = {site:uuid} and notice.alert_id = {id:uuid} and notice.state = 'pending' and notice.class = 'alert'";
        bulk::execute(tx, sql, &self.cancelled).await?;
        let sql = "update notice set state = 'cancelled' from {rows}
            where notice.site_id = {site:uuid} and notice.alert_id = {id:uuid} and notice.state = 'pending' and notice.class = 'alert'
                and notice.epoch = {epoch:int} and notice.step = {step:int}";
        bulk::execute(tx, sql, &self.cancelled_rungs).await?;
        let sql = "update notice set state = 'pending', not_before = {now:time} from {rows}
            where notice.site_id = {site:uuid} and notice.alert_id = {id:uuid} and notice.state = 'cancelled' and notice.class = 'alert'
                and notice.epoch = {epoch:int} and notice.recipient_id <> {except:uuid}
                and exists (select 1 from ladder_step s where s.site_id = notice.site_id and s.alert_id = notice.alert_id
                    and s.epoch = notice.epoch and s.step = notice.step)
                and (notice.recipient_kind = 'member' or not exists (select 1 from contact_call c where c.site_id = notice.site_id
                    and c.alert_id = notice.alert_id and c.epoch = notice.epoch and c.answer is not null))";
        bulk::execute(tx, sql, &self.told_again).await?;
        bulk::execute(tx, INSERT_NOTICE, &self.notices).await?;
        let sql = "insert into absence (site_id, id, senior_id, kind, from_date, return_date, reported_by, entered_by, confirmed_at, confirmed_by,
                content_hash, version, created_at)
            select {site:uuid}, {id:uuid}, {senior:uuid}, {kind:text}, {from:date}, {return:date},
                coalesce((select m.name from member m where m.site_id = {site:uuid} and m.id = {by:uuid}), ''), {by:uuid},
                {confirmed_at:time}, {confirmed_by:uuid}, {hash:bytes}, 1, {at:time} from {rows} where true
            on conflict (site_id, id) do update set confirmed_at = coalesce(absence.confirmed_at, excluded.confirmed_at),
                confirmed_by = coalesce(absence.confirmed_by, excluded.confirmed_by), cancelled_at = null,
                return_confirmed_at = null, return_confirmed_by = null, version = absence.version + 1";
        bulk::execute(tx, sql, &self.absences).await?;
        let sql = "update absence set cancelled_at = {at:time}, version = version + 1 from {rows}
            where absence.site_id = {site:uuid} and absence.id = {id:uuid} and absence.cancelled_at is null";
        bulk::execute(tx, sql, &self.cancelled_absences).await?;
        let sql =
            "update notice set state = 'cancelled' from {rows} join alert a on a.site_id = {site:uuid} and a.senior_id = {senior:uuid}
            where notice.site_id = a.site_id and notice.alert_id = a.id and notice.state = 'pending' and notice.class = 'stand_down'";
        bulk::execute(tx, sql, &self.not_over).await?;
        let sql = "update agreement set to_date = {from:date}, ended_why = {why:text} from {rows}
            where agreement.site_id = {site:uuid} and agreement.senior_id = {senior:uuid} and (agreement.to_date is null or agreement.to_date > {from:date})";
        bulk::execute(tx, sql, &self.endings).await?;
        Ok(())
    }
}

/// A precondition that does not hold any more stops everything.
fn exactly(affected: u64, rows: &[Value], what: &'static str) -> Result<()> {
    if usize::try_from(affected) == Ok(rows.len()) { Ok(()) } else { Err(Error::broken(what, "", "changed under its lock")) }
}

const INSERT_ALERT: &str = "insert into alert (site_id, id, senior_id, state, ladder, cause, epoch, level, trial, drill, opened_at, epoch_at,
        claimed_by, claim_until, assigned_by, emergency_at, looked_at, sensor_noted_at, resolved_at, resolved_by, resolved_by_signal,
        contact_proof, proof_by, proof_at, safe, outcome, outcome_note, reviewed_at, reviewed_by, outage_from, outage_to, next_action_at, version)
    select {site:uuid}, {id:uuid}, {senior:uuid}, {state:text}, {ladder:text}, {cause:text}, {epoch:int}, {level:int}, {trial:bool}, {drill:bool},
        {opened:time}, {epoch_at:time}, {claimed_by:uuid}, {claim_until:time}, {assigned_by:uuid}, {emergency:time}, {looked:time},
        {sensor_noted:time}, {resolved:time}, {resolved_by:uuid},
        {resolved_by_signal:uuid}, {proof:text}, {proof_by:text}, {proof_at:time}, {safe:bool}, {outcome:text}, {note:text}, {reviewed:time},
        {reviewed_by:uuid}, {outage_from:time}, {outage_to:time}, {next:time}, 1 from {rows}";

const UPDATE_ALERT: &str = "update alert set state = {state:text}, ladder = {ladder:text}, cause = {cause:text}, epoch = {epoch:int}, level = {level:int},
        trial = {trial:bool}, epoch_at = {epoch_at:time}, claimed_by = {claimed_by:uuid}, claim_until = {claim_until:time},
        assigned_by = {assigned_by:uuid}, emergency_at = {emergency:time}, looked_at = {looked:time}, sensor_noted_at = {sensor_noted:time},
        resolved_at = {resolved:time}, resolved_by = {resolved_by:uuid}, resolved_by_signal = {resolved_by_signal:uuid},
        contact_proof = {proof:text}, proof_by = {proof_by:text}, proof_at = {proof_at:time}, safe = {safe:bool}, outcome = {outcome:text},
        outcome_note = {note:text}, reviewed_at = {reviewed:time}, reviewed_by = {reviewed_by:uuid}, next_action_at = {next:time}, version = version + 1
    from {rows} where alert.site_id = {site:uuid} and alert.id = {id:uuid} and alert.version = {before:int}";

/// A notice that exists already (the same step, person and key) is not written twice (I2, I12).
const INSERT_NOTICE: &str = "insert into notice (site_id, id, alert_id, epoch, step, level, recipient_id, recipient_kind, key, arguments, class, state,
        channels_tried, not_before, useless_from, created_at)
    select {site:uuid}, {id:uuid}, {alert:uuid}, {epoch:int}, {step:int}, {level:int}, {recipient:uuid}, {kind:text}, {key:text}, {arguments:text},
        {class:text}, 'pending', 0, {not_before:time}, {useless:time}, {at:time} from {rows} where true on conflict (site_id, id) do nothing";

/// Writes notices, each beside the site of its recipient; one that exists already is not written twice. Reminders and reports leave
/// when their readers want to be told. Returns how many are new.
pub async fn send(tx: &mut Tx, notices: impl IntoIterator<Item = (Uuid, NewNotice)>, now: DateTime<Utc>) -> Result<u64> {
    let mut notices: Vec<(Uuid, NewNotice)> = notices.into_iter().collect();
    leaving::set(tx, &mut notices).await?;
    let rows: Vec<Value> = notices.into_iter().map(|(site, notice)| notice_row(site, &notice, RecipientKind::Member, now)).collect();
    bulk::execute(tx, INSERT_NOTICE, &rows).await
}

/// The same where some recipients are contacts, who are told at once.
pub async fn send_to(tx: &mut Tx, notices: impl IntoIterator<Item = (Uuid, RecipientKind, NewNotice)>, now: DateTime<Utc>) -> Result<u64> {
    let rows: Vec<Value> = notices.into_iter().map(|(site, to, notice)| notice_row(site, &notice, to, now)).collect();
    bulk::execute(tx, INSERT_NOTICE, &rows).await
}

/// The input row of [`INSERT_NOTICE`].
fn notice_row(site: Uuid, notice: &NewNotice, to: RecipientKind, now: DateTime<Utc>) -> Value {
    json!({
        "site": site, "id": notice.id, "alert": notice.alert_id, "epoch": notice.epoch, "step": notice.step, "level": notice.level,
        "recipient": notice.recipient_id, "kind": to.as_str(), "key": notice.key, "arguments": json!(notice.arguments).to_string(),
        "class": notice.class.as_str(), "not_before": bulk::time(notice.not_before), "useless": notice.useless_from.map(bulk::time),
        "at": bulk::time(now),
    })
}

fn alert_row(site: Uuid, senior: Uuid, before: i64, alert: &Alert) -> Value {
    let time = |at: Option<DateTime<Utc>>| at.map(bulk::time);
    json!({
        "site": site, "id": alert.id, "senior": senior, "before": before, "state": alert.state.as_str(), "ladder": alert.ladder.as_str(),
        "cause": alert.cause.as_str(), "epoch": alert.epoch, "level": alert.level, "trial": alert.trial, "drill": alert.drill,
        "opened": bulk::time(alert.opened_at), "epoch_at": bulk::time(alert.epoch_at), "claimed_by": alert.claimed_by,
        "claim_until": time(alert.claim_until), "assigned_by": alert.assigned_by, "emergency": time(alert.emergency_at),
        "looked": time(alert.looked_at), "sensor_noted": time(alert.sensor_noted_at),
        "resolved": time(alert.resolved_at), "resolved_by": alert.resolved_by, "resolved_by_signal": alert.resolved_by_signal,
        "proof": alert.contact_proof.map(crate::domain::outcome::ContactProof::as_str), "proof_by": alert.proof_by,
        "proof_at": time(alert.proof_at), "safe": alert.safe, "outcome": alert.outcome.map(crate::domain::outcome::Outcome::as_str),
        "note": alert.outcome_note, "reviewed": time(alert.reviewed_at), "reviewed_by": alert.reviewed_by,
        "outage_from": time(alert.outage.map(|(from, _)| from)), "outage_to": time(alert.outage.map(|(_, to)| to)),
        "next": time(alert.next_action_at),
    })
}

/// I10, I33: the audit rows of an alert commit with it.
async fn write_audit(tx: &mut Tx, outcomes: &[Outcome], now: DateTime<Utc>) -> Result<()> {
    let mut entries = Vec::new();
    for outcome in outcomes {
        let site_id = outcome.case.senior.site_id;
        let mut entry = |act: &'static str, kind: &'static str, id: Uuid, actor_id: Option<Uuid>| {
            entries.push(Entry { site_id, at: now, actor_id, act, object_kind: kind, object_id: Some(id), fields: &[] });
        };
        for command in &outcome.commands {
            match command {
                Command::Record(row) => entry(row.kind.as_str(), "alert", row.alert_id, row.actor_id),
                Command::SaveCheck { before, check }
                    if before.awaits_verdict() && !check.state.is_undecided() && check.state != CheckState::Ok =>
                {
                    entry(check.state.as_str(), "daily_check", check.id, None);
                }
                Command::AddAbsence { id, by, .. } => entry("create", "absence", *id, Some(*by)),
                Command::CancelAbsence { id, by } => entry("cancel", "absence", *id, *by),
                Command::EndAgreements { .. } => entry("end_agreements", "senior", outcome.case.senior.id, None),
                _ => {}
            }
        }
    }
    audit::write_many(tx, &entries).await
}
