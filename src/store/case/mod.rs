//! The shell around `domain::case`: lock, load, decide, fire, apply, all in the caller's transaction.
//!
//! Every writer that can change a check or an alert ends here (signals, the watch, the ladder, a person's act, a dead
//! channel), so the decision is made in one place and everything it says is committed together (I3, I10).

mod apply;
mod leaving;
mod load;
mod remind;
mod rows;
mod tell;

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use uuid::Uuid;

pub use apply::send;
pub use load::{Span, absences};

use super::finding::misfit;
use super::{Error, Result, Tx, contact_call, naming, roster, watch};
use crate::domain::alert::{Alert, ContactAnswer};
use crate::domain::case::{self, Act, Actor, Case, Command, Event};
use crate::domain::check::{Cause, CheckState};
use crate::domain::notice::Arguments;
use crate::domain::outcome;
use crate::domain::refusal::Refusal;
use crate::on;

/// As many names as a refusal offers.
const SENDABLE_NAMES_MAX: usize = 8;

/// What one senior's case became.
#[derive(Debug)]
pub struct Outcome {
    pub case: Case,
    pub commands: Vec<Command>,
}

/// Applies events to the cases of one site and returns them as they are now, in the order of `events`.
///
/// # Errors
/// A refusal of a person's act stops the whole call: events of people come one at a time.
pub async fn react(tx: &mut Tx, site_id: Uuid, events: &[(Uuid, Event)], span: Span, now: DateTime<Utc>) -> Result<Vec<Outcome>> {
    let mut seniors: Vec<Uuid> = events.iter().map(|(senior, _)| *senior).collect();
    seniors.sort_unstable();
    seniors.dedup();
    tx.lock_seniors(&seniors).await?;
    let mut cases: BTreeMap<Uuid, Case> =
        load::load(tx, site_id, &seniors, span, now).await?.into_iter().map(|c| (c.senior.id, c)).collect();
    let mut commands: BTreeMap<Uuid, Vec<Command>> = BTreeMap::new();
    for (senior, event) in events {
        let case = cases.get_mut(senior).ok_or_else(Refusal::not_found)?;
        let mut decided = case::decide(case, event, now)?;
        let known = commands.entry(*senior).or_default();
        merge(known, &mut decided);
        known.append(&mut decided);
    }
    fire_due(tx, site_id, &mut cases, &mut commands, now).await?;
    let mut outcomes = Vec::with_capacity(cases.len());
    for (senior, case) in cases {
        let commands = commands.remove(&senior).unwrap_or_default();
        outcomes.push(Outcome { case, commands });
    }
    apply::apply(tx, &outcomes, now).await?;
    tell::recall(tx, &outcomes, now).await?;
    tell::stand_down(tx, &outcomes, now).await?;
    tell::silenced(tx, &outcomes, now).await?;
    remind::remind(tx, site_id, &outcomes, now).await?;
    tell_not_evaluated(tx, site_id, &outcomes, now).await?;
    ask_to_agree_anew(tx, site_id, &outcomes, now).await?;
    Ok(outcomes)
}

/// A false alarm came on record, or a check was cut off while nothing could be seen: perhaps the second within a week.
async fn ask_to_agree_anew(tx: &mut Tx, site_id: Uuid, outcomes: &[Outcome], now: DateTime<Utc>) -> Result<()> {
    let is_mishap = |command: &Command| match command {
        Command::AddTrigger { trigger, .. } => trigger.cause == Cause::Blind,
        Command::SaveAlert { alert, .. } => !alert.is_unresolved() && alert.outcome.is_some_and(outcome::Outcome::is_false_alarm),
        _ => false,
    };
    let concerned = outcomes.iter().filter(|outcome| !outcome.case.senior.canary && outcome.commands.iter().any(is_mishap));
    let seniors: Vec<Uuid> = concerned.map(|outcome| outcome.case.senior.id).collect();
    let Some(first) = outcomes.first().filter(|_| !seniors.is_empty()) else { return Ok(()) };
    misfit::look(tx, site_id, &seniors, first.case.today(now), now).await
}

/// I1: days that nobody could judge in time raise no alert, so the operators hear that there were such days.
async fn tell_not_evaluated(tx: &mut Tx, site_id: Uuid, outcomes: &[Outcome], now: DateTime<Utc>) -> Result<()> {
    let too_old = |command: &Command| matches!(command, Command::SaveCheck { before, check } if *before != check.state && check.state == CheckState::NotEvaluated);
    if !outcomes.iter().any(|outcome| outcome.commands.iter().any(too_old)) {
        return Ok(());
    }
    watch::tell_operators(tx, site_id, "notice.not_evaluated", "not_evaluated", &Arguments::new(), now).await?;
    Ok(())
}

async fn fire_due(
    tx: &mut Tx,
    site_id: Uuid,
    cases: &mut BTreeMap<Uuid, Case>,
    commands: &mut BTreeMap<Uuid, Vec<Command>>,
    now: DateTime<Utc>,
) -> Result<()> {
    let due: Vec<Uuid> = cases.values().filter(|case| case::step_is_due(case, now)).map(|case| case.senior.id).collect();
    let Some(first) = due.first().and_then(|id| cases.get(id)) else { return Ok(()) };
    let today = first.today(now);
    let mut rosters = roster::load(tx, site_id, &due, today).await?;
    let family: Vec<Uuid> = due.iter().copied().filter(|id| cases.get(id).is_some_and(case::may_tell_contacts)).collect();
    contact_call::around(tx, site_id, &family, &mut rosters).await?;
    let operators = roster::operators(tx, site_id, today).await?;
    for senior in due {
        let Some(case) = cases.get_mut(&senior) else { continue };
        let roster = rosters.get(&senior).cloned().unwrap_or_default();
        let mut fired = case::fire(case, &roster, &operators, now);
        let known = commands.entry(senior).or_default();
        // Saved rows are final: what firing changed replaces what deciding wrote.
        merge(known, &mut fired);
        known.append(&mut fired);
    }
    Ok(())
}

/// A later decision may change rows that an earlier one of the same transaction made; each row is written once, with the
/// first precondition.
fn merge(known: &mut Vec<Command>, later: &mut [Command]) {
    for command in later.iter_mut() {
        match command {
            Command::SaveCheck { before, check } => {
                known.retain(|old| match old {
                    Command::SaveCheck { before: first, check: same } if same.id == check.id => {
                        *before = *first;
                        false
                    }
                    _ => true,
                });
            }
            Command::SaveAlert { before_version, alert } => {
                known.retain(|old| match old {
                    Command::SaveAlert { before_version: first, alert: same } if same.id == alert.id => {
                        *before_version = *first;
                        false
                    }
                    _ => true,
                });
            }
            Command::SaveContact { alert_id, call } => {
                known.retain(|old| !matches!(old, Command::SaveContact { alert_id: a, call: c } if a == alert_id && c.epoch == call.epoch && c.contact_id == call.contact_id));
            }
            Command::SaveStep { alert_id, step } => {
                known.retain(|old| !matches!(old, Command::SaveStep { alert_id: a, step: s } if a == alert_id && s.epoch == step.epoch && s.step == step.step));
            }
            _ => {}
        }
    }
}

/// Looks again at every check of the last days, after an absence or an agreement changed.
pub async fn reassess(tx: &mut Tx, site_id: Uuid, seniors: &[Uuid], now: DateTime<Utc>) -> Result<()> {
    let events: Vec<(Uuid, Event)> = seniors.iter().map(|senior| (*senior, Event::Changed)).collect();
    react(tx, site_id, &events, Span::recent(now), now).await?;
    Ok(())
}

/// A person acts on an alert. Returns the alert as it is now.
pub async fn act(tx: &mut Tx, site_id: Uuid, alert_id: Uuid, actor: Actor, act: Act, now: DateTime<Utc>) -> Result<Alert> {
    let sql = "select senior_id from alert where site_id = $1 and id = $2";
    let senior: Option<Uuid> = on!(tx, |conn| sqlx::query_scalar(sql).bind(site_id).bind(alert_id).fetch_optional(conn).await)?;
    let senior = senior.ok_or_else(Refusal::not_found)?;
    tx.lock_seniors(&[senior]).await?;
    let current = load::load(tx, site_id, &[senior], Span::due(now), now).await?.into_iter().next();
    let Some(case) = current.filter(|case| case.alert.as_ref().is_some_and(|alert| alert.id == alert_id)) else {
        // A newer alert of the same senior exists: this one is history.
        return Err(Refusal::conflict("problem.alert_already_resolved").into());
    };
    if let Act::Assign { to } = act {
        require_sendable(tx, &case, to, now).await?;
    }
    let outcome = react(tx, site_id, &[(senior, Event::Act(actor, act))], Span::due(now), now).await;
    let outcome = named_conflict(tx, site_id, outcome).await?;
    let alert = outcome.into_iter().next().and_then(|outcome| outcome.case.alert);
    alert.ok_or_else(|| Error::broken("alert", alert_id, "vanished while it was acted on"))
}

/// A contact answers by the link of her message.
pub async fn answer(
    tx: &mut Tx,
    site_id: Uuid,
    (alert_id, contact): (Uuid, Uuid),
    (answer, minutes): (ContactAnswer, Option<i64>),
    now: DateTime<Utc>,
) -> Result<()> {
    let senior = super::alert::senior_of(tx, site_id, alert_id).await?;
    tx.lock_seniors(&[senior]).await?;
    let current = load::load(tx, site_id, &[senior], Span::due(now), now).await?.into_iter().next();
    if current.and_then(|case| case.alert).is_none_or(|alert| alert.id != alert_id) {
        return Err(Refusal::not_found().into());
    }
    let event = Event::ContactAnswered { contact, answer, minutes };
    react(tx, site_id, &[(senior, event)], Span::due(now), now).await?;
    Ok(())
}

/// A claim of somebody whom no message reaches, or who is on leave, would hold the ladder for nothing: the refusal says who can
/// be sent.
async fn require_sendable(tx: &mut Tx, case: &Case, member: Uuid, now: DateTime<Utc>) -> Result<()> {
    let (site, senior) = (case.senior.site_id, case.senior.id);
    let sql = "select called from member where site_id = $1 and id = $2 and ended_at is null";
    let called: Option<String> = on!(tx, |conn| sqlx::query_scalar(sql).bind(site).bind(member).fetch_optional(conn).await)?;
    let called = called.ok_or_else(|| Refusal::invalid("member_id", "problem.not_found"))?;
    let roster = roster::of(tx, site, senior, case.today(now)).await?;
    let reachable = roster::reachable(tx, site).await?;
    if roster.can_be_sent(member, &reachable) {
        return Ok(());
    }
    let mut names = Vec::new();
    for other in roster.sendable(&reachable).into_iter().take(SENDABLE_NAMES_MAX) {
        names.push(naming::member(tx, site, other).await?);
    }
    let key = if names.is_empty() { "problem.nobody_reachable" } else { "problem.member_unreachable" };
    Err(Refusal::invalid("member_id", key).with("member", called).with("members", names.join(", ")).into())
}

/// A member has left: what she had claimed is open to others. The caller has locked the seniors, see [`claimed_by`].
pub async fn void_claims(tx: &mut Tx, site_id: Uuid, seniors: &[Uuid], member: Uuid, now: DateTime<Utc>) -> Result<()> {
    let events: Vec<(Uuid, Event)> = seniors.iter().map(|senior| (*senior, Event::Left(member))).collect();
    react(tx, site_id, &events, Span::due(now), now).await?;
    Ok(())
}

/// The seniors to whom the member says that she is going, locked.
pub async fn claimed_by(tx: &mut Tx, site_id: Uuid, member: Uuid) -> Result<Vec<Uuid>> {
    let sql = "select senior_id from alert where site_id = $1 and claimed_by = $2 and resolved_at is null order by senior_id";
    let seniors: Vec<Uuid> = on!(tx, |conn| sqlx::query_scalar(sql).bind(site_id).bind(member).fetch_all(conn).await)?;
    tx.lock_seniors(&seniors).await?;
    Ok(seniors)
}

/// "Somebody else is going" says who.
async fn named_conflict<T>(tx: &mut Tx, site_id: Uuid, outcome: Result<T>) -> Result<T> {
    let Err(Error::Refused(mut refusal)) = outcome else { return outcome };
    if let Some(member) = refusal.arguments.get("member_id").and_then(|id| Uuid::parse_str(id).ok()) {
        refusal.arguments.insert("member", naming::member(tx, site_id, member).await?);
    }
    Err(refusal.into())
}

/// "Someone should look at her": opens or joins the senior's alert. The same request again changes nothing.
pub async fn raise(
    tx: &mut Tx,
    site_id: Uuid,
    senior: Uuid,
    actor: Actor,
    request: Uuid,
    note: Option<String>,
    now: DateTime<Utc>,
) -> Result<Uuid> {
    tx.lock_seniors(&[senior]).await?;
    let trigger = crate::domain::id::request_trigger(site_id, request);
    let sql = "select alert_id, note from alert_trigger where site_id = $1 and id = $2";
    let known: Option<(Uuid, Option<String>)> = on!(tx, |conn| sqlx::query_as(sql).bind(site_id).bind(trigger).fetch_optional(conn).await)?;
    if let Some((alert, known_note)) = known {
        return if known_note == note { Ok(alert) } else { Err(Refusal::conflict("problem.same_id_other_content").into()) };
    }
    let act = Act::Raise { request, note };
    let outcomes = react(tx, site_id, &[(senior, Event::Act(actor, act))], Span::due(now), now).await?;
    let alert = outcomes.into_iter().next().and_then(|outcome| outcome.case.alert).map(|alert| alert.id);
    alert.ok_or_else(|| Error::broken("senior", senior, "a manual alert was not opened"))
}
