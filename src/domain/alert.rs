//! The open case: what it holds and which words describe it.

use chrono::{DateTime, NaiveDate, Utc};
use uuid::Uuid;

use super::check::{Cause, Slot};
use super::outcome::{ContactProof, Outcome};
use crate::words;

words! {
    pub enum AlertState { Open = "open", Claimed = "claimed", OnSite = "on_site", Resolved = "resolved", Reviewed = "reviewed" }
}

words! {
    /// Which column of the ladder runs. `help` is the more urgent one.
    pub enum Ladder { Missed = "missed", Help = "help" }
}

words! {
    pub enum TriggerKind { Missed = "missed", Help = "help", Manual = "manual" }
}

words! {
    /// What a rung of the ladder asks people to do.
    pub enum StepAct {
        /// L0 when somebody looked: phone, then knock.
        Call = "call",
        /// L0 when nobody looked: go under the window and look.
        Look = "look",
        /// L0 once more.
        Again = "again",
        /// L1: to the door, ask the neighbours.
        Door = "door",
        /// L2: phone the family in order.
        Family = "family",
        /// L3: key holder, grid officer, property.
        Enter = "enter",
        /// L4: the social worker takes command.
        Command = "command",
        /// L5: branch secretary and street duty.
        Final = "final",
        /// A call for help outside duty hours: whoever can be phoned at any hour.
        Night = "night",
        /// No rung: a sensor has shown the sign late, so somebody phones and asks.
        Confirm = "confirm",
        /// No rung: the turn of the next contact who agreed to be told by message.
        Contact = "contact",
        /// No rung: what a contact has answered is told to whoever goes and to the social worker.
        ContactGoing = "contact_going",
        ContactReached = "contact_reached",
        ContactCannot = "contact_cannot"
    }
}

impl StepAct {
    /// Whether it is a rung of a ladder, and not a word beside one.
    pub fn is_rung(self) -> bool {
        !matches!(self, Self::Confirm | Self::Contact | Self::ContactGoing | Self::ContactReached | Self::ContactCannot)
    }
}

words! {
    pub enum StepState { Pending = "pending", Fired = "fired", Void = "void" }
}

words! {
    /// Rows of the timeline.
    pub enum TimelineKind {
        Opened = "opened", TriggerAdded = "trigger_added", EpochRaised = "epoch_raised", StepFired = "step_fired",
        StepFoundNobody = "step_found_nobody", Undeliverable = "undeliverable",
        /// Everybody of a step has a text, and nobody took the telephone.
        Unanswered = "unanswered", Claimed = "claimed", Released = "released",
        Extended = "extended", ClaimRanOut = "claim_ran_out",
        /// The claimant has left, or whoever was sent cannot be reached.
        ClaimVoid = "claim_void", OnSite = "on_site", NoAnswerAtDoor = "no_answer_at_door",
        Assigned = "assigned", Escalated = "escalated", Emergency = "emergency", Looked = "looked", Resolved = "resolved",
        OutcomeCompleted = "outcome_completed", Reopened = "reopened", Reviewed = "reviewed", SensorNote = "sensor_note",
        /// Nothing here reaches the contacts who agreed to be told by message.
        ContactsUntold = "contacts_untold",
        ContactTexted = "contact_texted", ContactCalled = "contact_called", ContactHeard = "contact_heard",
        ContactNoAnswer = "contact_no_answer", ContactUnreached = "contact_unreached",
        ContactGoing = "contact_going", ContactReached = "contact_reached", ContactCannot = "contact_cannot",
        /// What became of a message to somebody; made of the outbox when the timeline is read, and never stored.
        Message = "message"
    }
}

words! {
    /// What a contact answers by the link of her message.
    pub enum ContactAnswer {
        /// 我过去看
        Going = "going",
        /// 联系上了，人平安. It is news and no proof: whoever goes still looks (domain.md §5).
        Reached = "reached",
        /// 去不了，也联系不上
        Cannot = "cannot"
    }
}

impl ContactAnswer {
    /// Whether the other contacts need not be told any more.
    pub fn takes_it_on(self) -> bool {
        self != Self::Cannot
    }

    /// The word about it to whoever goes, and its row of the timeline.
    pub fn told_as(self) -> (StepAct, TimelineKind) {
        match self {
            Self::Going => (StepAct::ContactGoing, TimelineKind::ContactGoing),
            Self::Reached => (StepAct::ContactReached, TimelineKind::ContactReached),
            Self::Cannot => (StepAct::ContactCannot, TimelineKind::ContactCannot),
        }
    }
}

/// A contact who was told by message: once in each epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContactCall {
    pub epoch: i64,
    pub contact_id: Uuid,
    /// The step that told her.
    pub step: i64,
    /// 女儿
    pub relation: String,
    pub told_at: DateTime<Utc>,
    pub answer: Option<ContactAnswer>,
    /// How long she needs to the door, if she said so.
    pub minutes: Option<i64>,
    pub answered_at: Option<DateTime<Utc>>,
}

/// Why someone must go. Unique for ever by its derived id (I2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trigger {
    pub id: Uuid,
    pub check_id: Option<Uuid>,
    pub kind: TriggerKind,
    pub cause: Cause,
    pub local_date: NaiveDate,
    pub slot: Option<Slot>,
    /// Only a sign observed from here on proves anything about this trigger.
    pub proof_from: DateTime<Utc>,
    pub note: Option<String>,
    pub raised_by: Option<Uuid>,
    pub at: DateTime<Utc>,
}

/// One rung as copied when the epoch began.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    pub epoch: i64,
    pub step: i64,
    pub level: i64,
    pub act: StepAct,
    pub due_at: DateTime<Utc>,
    pub due_if_claimed_at: DateTime<Utc>,
    pub due_if_unseen_at: DateTime<Utc>,
    /// A live claim holds it back (L1–L3); L4 and L5 are never held.
    pub held: bool,
    pub state: StepState,
    pub fired_at: Option<DateTime<Utc>>,
    /// How many people it reached.
    pub told: i64,
}

/// An alert with its triggers and the steps of its current epoch.
#[derive(Debug, Clone, PartialEq)]
pub struct Alert {
    pub id: Uuid,
    pub state: AlertState,
    pub ladder: Ladder,
    pub cause: Cause,
    pub epoch: i64,
    pub level: i64,
    pub trial: bool,
    pub drill: bool,
    pub opened_at: DateTime<Utc>,
    pub epoch_at: DateTime<Utc>,
    pub claimed_by: Option<Uuid>,
    pub claim_until: Option<DateTime<Utc>>,
    /// Who sent the claimant; `None` if she took it herself.
    pub assigned_by: Option<Uuid>,
    pub emergency_at: Option<DateTime<Utc>>,
    /// Somebody looked after opening and the sign was still missing.
    pub looked_at: Option<DateTime<Utc>>,
    /// A sensor showed the sign late: a phone call may do, so the alert stands lower on the list.
    pub sensor_noted_at: Option<DateTime<Utc>>,
    pub resolved_at: Option<DateTime<Utc>>,
    pub resolved_by: Option<Uuid>,
    pub resolved_by_signal: Option<Uuid>,
    pub contact_proof: Option<ContactProof>,
    pub proof_by: Option<String>,
    pub proof_at: Option<DateTime<Utc>>,
    pub safe: Option<bool>,
    pub outcome: Option<Outcome>,
    pub outcome_note: Option<String>,
    pub reviewed_at: Option<DateTime<Utc>>,
    pub reviewed_by: Option<Uuid>,
    pub outage: Option<(DateTime<Utc>, DateTime<Utc>)>,
    pub next_action_at: Option<DateTime<Utc>>,
    /// 0 means: not stored yet.
    pub version: i64,
    pub triggers: Vec<Trigger>,
    pub steps: Vec<Step>,
    pub contacts: Vec<ContactCall>,
}

impl Alert {
    pub fn is_unresolved(&self) -> bool {
        self.resolved_at.is_none()
    }

    /// The claim that holds L1–L3 at `now`, if any.
    pub fn live_claim(&self, now: DateTime<Utc>) -> Option<(Uuid, DateTime<Utc>)> {
        let until = self.claim_until.filter(|until| *until > now)?;
        Some((self.claimed_by?, until))
    }

    /// Somebody called for help, or an emergency number was called: every word about it goes first.
    pub fn is_urgent(&self) -> bool {
        self.ladder == Ladder::Help || self.emergency_at.is_some()
    }

    /// Whether the ladder of this epoch has begun; days that an outage missed only stand on the list, see [`listing`], until
    /// somebody acts.
    ///
    /// [`listing`]: super::ladder::listing
    pub fn has_ladder(&self) -> bool {
        self.steps.iter().any(|step| step.epoch == self.epoch && step.act.is_rung())
    }

    /// A sign resolves by itself only an alert without a press for help or a person's request.
    pub fn is_purely_missed(&self) -> bool {
        self.triggers.iter().all(|trigger| trigger.kind == TriggerKind::Missed)
    }

    /// From when on a sign proves something about every trigger.
    pub fn proof_from(&self) -> Option<DateTime<Utc>> {
        self.triggers.iter().map(|trigger| trigger.proof_from).max()
    }

    pub fn has_trigger(&self, id: Uuid) -> bool {
        self.triggers.iter().any(|trigger| trigger.id == id)
    }
}
