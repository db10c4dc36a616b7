//! The rows of a case as they are stored, and how each becomes what the domain reads. A word that is on no list is a broken
//! record, never a guess (I28).

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use sqlx::FromRow;
use uuid::Uuid;

use crate::domain::absence::{AbsenceFact, AbsenceKind};
use crate::domain::alert::{Alert, AlertState, ContactCall, Ladder, Step, StepAct, StepState, Trigger, TriggerKind};
use crate::domain::check::{Cause, CheckState, CheckView, Slot};
use crate::domain::outcome::{ContactProof, Outcome};
use crate::domain::place::Purpose;
use crate::domain::signal::{Evidence, SensorPolicy, Sign, SignalFact, SignalKind, Source, Standing};
use crate::store::{Error, Result};

#[derive(FromRow)]
pub struct SeniorRow {
    pub id: Uuid,
    pub called: String,
    #[sqlx(try_from = "String")]
    pub purpose: Purpose,
    pub unit: String,
    pub building_name: String,
    pub timezone: String,
    pub settings: String,
    pub trial_until: Option<NaiveDate>,
}

#[derive(FromRow)]
pub struct CheckRow {
    pub senior_id: Uuid,
    pub id: Uuid,
    pub local_date: NaiveDate,
    #[sqlx(try_from = "String")]
    pub slot: Slot,
    #[sqlx(try_from = "String")]
    pub state: CheckState,
    #[sqlx(try_from = "String")]
    pub expected_sign: Sign,
    #[sqlx(try_from = "String")]
    pub sensor_policy: SensorPolicy,
    pub require_change: bool,
    pub counts_from: DateTime<Utc>,
    pub deadline_at: DateTime<Utc>,
    pub cutoff_at: DateTime<Utc>,
    pub day_ends_at: DateTime<Utc>,
    pub unobserved_delay_seconds: i64,
    pub received_late: bool,
    pub triggered: bool,
    pub next_action_at: Option<DateTime<Utc>>,
    pub decided_at: Option<DateTime<Utc>>,
}

#[derive(FromRow)]
pub struct AlertRow {
    pub senior_id: Uuid,
    pub id: Uuid,
    #[sqlx(try_from = "String")]
    pub state: AlertState,
    #[sqlx(try_from = "String")]
    pub ladder: Ladder,
    #[sqlx(try_from = "String")]
    pub cause: Cause,
    pub epoch: i64,
    pub level: i64,
    pub trial: bool,
    pub drill: bool,
    pub opened_at: DateTime<Utc>,
    pub epoch_at: DateTime<Utc>,
    pub claimed_by: Option<Uuid>,
    pub claim_until: Option<DateTime<Utc>>,
    pub assigned_by: Option<Uuid>,
    pub emergency_at: Option<DateTime<Utc>>,
    pub looked_at: Option<DateTime<Utc>>,
    pub sensor_noted_at: Option<DateTime<Utc>>,
    pub resolved_at: Option<DateTime<Utc>>,
    pub resolved_by: Option<Uuid>,
    pub resolved_by_signal: Option<Uuid>,
    pub contact_proof: Option<String>,
    pub proof_by: Option<String>,
    pub proof_at: Option<DateTime<Utc>>,
    pub safe: Option<bool>,
    pub outcome: Option<String>,
    pub outcome_note: Option<String>,
    pub reviewed_at: Option<DateTime<Utc>>,
    pub reviewed_by: Option<Uuid>,
    pub outage_from: Option<DateTime<Utc>>,
    pub outage_to: Option<DateTime<Utc>>,
    pub next_action_at: Option<DateTime<Utc>>,
    pub version: i64,
}

#[derive(FromRow)]
pub struct TriggerRow {
    pub alert_id: Uuid,
    pub id: Uuid,
    pub check_id: Option<Uuid>,
    #[sqlx(try_from = "String")]
    pub kind: TriggerKind,
    #[sqlx(try_from = "String")]
    pub cause: Cause,
    pub local_date: NaiveDate,
    pub slot: Option<String>,
    pub proof_from: DateTime<Utc>,
    pub note: Option<String>,
    pub raised_by: Option<Uuid>,
    pub at: DateTime<Utc>,
}

#[derive(FromRow)]
pub struct StepRow {
    pub alert_id: Uuid,
    pub epoch: i64,
    pub step: i64,
    pub level: i64,
    #[sqlx(try_from = "String")]
    pub act: StepAct,
    pub due_at: DateTime<Utc>,
    pub due_if_claimed_at: DateTime<Utc>,
    pub due_if_unseen_at: DateTime<Utc>,
    pub held: bool,
    #[sqlx(try_from = "String")]
    pub state: StepState,
    pub fired_at: Option<DateTime<Utc>>,
    pub told: i64,
}

#[derive(FromRow)]
pub struct ContactRow {
    pub alert_id: Uuid,
    pub epoch: i64,
    pub contact_id: Uuid,
    pub step: i64,
    pub relation: String,
    pub told_at: DateTime<Utc>,
    pub answer: Option<String>,
    pub minutes: Option<i64>,
    pub answered_at: Option<DateTime<Utc>>,
}

#[derive(FromRow)]
pub struct SignalRow {
    pub senior_id: Uuid,
    pub id: Uuid,
    #[sqlx(try_from = "String")]
    pub kind: SignalKind,
    pub observed_at: DateTime<Utc>,
    pub received_at: DateTime<Utc>,
    #[sqlx(try_from = "String")]
    pub source: Source,
    pub evidence: Option<String>,
    #[sqlx(try_from = "String")]
    pub standing: Standing,
    pub replaces_id: Option<Uuid>,
}

#[derive(FromRow)]
pub struct AbsenceRow {
    pub senior_id: Uuid,
    pub id: Uuid,
    #[sqlx(try_from = "String")]
    pub kind: AbsenceKind,
    pub from_date: NaiveDate,
    pub return_date: NaiveDate,
    pub reported_by: String,
    pub confirmed_at: Option<DateTime<Utc>>,
    pub cancelled_at: Option<DateTime<Utc>>,
    pub return_confirmed_at: Option<DateTime<Utc>>,
    pub first_check: Option<Uuid>,
}

impl CheckRow {
    pub fn view(self) -> CheckView {
        CheckView {
            id: self.id,
            local_date: self.local_date,
            slot: self.slot,
            state: self.state,
            expected_sign: self.expected_sign,
            sensor_policy: self.sensor_policy,
            require_change: self.require_change,
            counts_from: self.counts_from,
            deadline_at: self.deadline_at,
            cutoff_at: self.cutoff_at,
            day_ends_at: self.day_ends_at,
            unobserved_delay: TimeDelta::seconds(self.unobserved_delay_seconds),
            received_late: self.received_late,
            triggered: self.triggered,
            next_action_at: self.next_action_at,
            decided_at: self.decided_at,
        }
    }
}

/// An optional word, or the broken record it stands in.
fn word<T: std::str::FromStr<Err = crate::domain::words::UnknownWord>>(
    text: Option<String>,
    what: &'static str,
    id: Uuid,
) -> Result<Option<T>> {
    text.map(|text| text.parse().map_err(|error| Error::broken(what, id, error))).transpose()
}

impl AlertRow {
    pub fn alert(self) -> Result<Alert> {
        let contact_proof: Option<ContactProof> = word(self.contact_proof, "alert", self.id)?;
        let outcome: Option<Outcome> = word(self.outcome, "alert", self.id)?;
        Ok(Alert {
            id: self.id,
            state: self.state,
            ladder: self.ladder,
            cause: self.cause,
            epoch: self.epoch,
            level: self.level,
            trial: self.trial,
            drill: self.drill,
            opened_at: self.opened_at,
            epoch_at: self.epoch_at,
            claimed_by: self.claimed_by,
            claim_until: self.claim_until,
            assigned_by: self.assigned_by,
            emergency_at: self.emergency_at,
            looked_at: self.looked_at,
            sensor_noted_at: self.sensor_noted_at,
            resolved_at: self.resolved_at,
            resolved_by: self.resolved_by,
            resolved_by_signal: self.resolved_by_signal,
            contact_proof,
            proof_by: self.proof_by,
            proof_at: self.proof_at,
            safe: self.safe,
            outcome,
            outcome_note: self.outcome_note,
            reviewed_at: self.reviewed_at,
            reviewed_by: self.reviewed_by,
            outage: self.outage_from.zip(self.outage_to),
            next_action_at: self.next_action_at,
            version: self.version,
            triggers: Vec::new(),
            steps: Vec::new(),
            contacts: Vec::new(),
        })
    }
}

impl TriggerRow {
    pub fn trigger(self) -> Result<Trigger> {
        let slot = word(self.slot, "alert_trigger", self.id)?;
        Ok(Trigger {
            id: self.id,
            check_id: self.check_id,
            kind: self.kind,
            cause: self.cause,
            local_date: self.local_date,
            slot,
            proof_from: self.proof_from,
            note: self.note,
            raised_by: self.raised_by,
            at: self.at,
        })
    }
}

impl StepRow {
    pub fn step(self) -> Step {
        Step {
            epoch: self.epoch,
            step: self.step,
            level: self.level,
            act: self.act,
            due_at: self.due_at,
            due_if_claimed_at: self.due_if_claimed_at,
            due_if_unseen_at: self.due_if_unseen_at,
            held: self.held,
            state: self.state,
            fired_at: self.fired_at,
            told: self.told,
        }
    }
}

impl ContactRow {
    pub fn call(self) -> Result<ContactCall> {
        let answer = word(self.answer, "contact_call", self.alert_id)?;
        Ok(ContactCall {
            epoch: self.epoch,
            contact_id: self.contact_id,
            step: self.step,
            relation: self.relation,
            told_at: self.told_at,
            answer,
            minutes: self.minutes,
            answered_at: self.answered_at,
        })
    }
}

impl SignalRow {
    pub fn fact(self) -> Result<SignalFact> {
        let evidence: Option<Evidence> = word(self.evidence, "signal", self.id)?;
        Ok(SignalFact {
            id: self.id,
            kind: self.kind,
            observed_at: self.observed_at,
            received_at: self.received_at,
            source: self.source,
            evidence,
            standing: self.standing,
            replaces: self.replaces_id,
        })
    }
}

impl AbsenceRow {
    pub fn fact(self) -> AbsenceFact {
        AbsenceFact {
            id: self.id,
            kind: self.kind,
            from_date: self.from_date,
            return_date: self.return_date,
            reported_by: self.reported_by,
            confirmed_at: self.confirmed_at,
            cancelled_at: self.cancelled_at,
            return_confirmed_at: self.return_confirmed_at,
            first_check: self.first_check,
        }
    }
}
