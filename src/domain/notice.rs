//! What one person is told: a key and arguments, never a text. Texts are made when a message is sealed.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::alert::StepAct;
use super::check::Cause;
use crate::words;

pub mod leaving;

words! {
    pub enum NoticeClass {
        /// Somebody must go. Never delayed.
        Alert = "alert",
        /// It is over: told to everybody who was told.
        StandDown = "stand_down",
        Reminder = "reminder",
        Report = "report"
    }
}

words! {
    pub enum NoticeState { Pending = "pending", Sealed = "sealed", Delivered = "delivered", Cancelled = "cancelled", Failed = "failed" }
}

words! {
    /// Whom a notice is for.
    pub enum RecipientKind { Member = "member", Contact = "contact" }
}

/// Values for the sentence of a key: names of people only as domain rules allow (called, building, unit; no room, no health).
pub type Arguments = BTreeMap<String, String>;

/// A notice as written beside the alert that causes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewNotice {
    pub id: Uuid,
    pub alert_id: Option<Uuid>,
    pub epoch: i64,
    pub step: i64,
    pub level: i64,
    pub recipient_id: Uuid,
    pub key: &'static str,
    pub arguments: Arguments,
    pub class: NoticeClass,
    pub not_before: DateTime<Utc>,
    /// From then on it would be said as if it were still due: a reminder of a round that is over. `None`: it stays true.
    pub useless_from: Option<DateTime<Utc>>,
}

impl NewNotice {
    /// A report to one person that belongs to no alert: nobody claims it, no ladder waits for it. Sent from `now` on.
    pub fn report(id: Uuid, recipient_id: Uuid, key: &'static str, arguments: Arguments, now: DateTime<Utc>) -> Self {
        let class = NoticeClass::Report;
        let useless_from = None;
        Self { id, alert_id: None, epoch: 0, step: 0, level: 0, recipient_id, key, arguments, class, not_before: now, useless_from }
    }

    /// The same as something to be done.
    #[must_use]
    pub fn reminder(self) -> Self {
        Self { class: NoticeClass::Reminder, ..self }
    }

    /// The same, to be dropped if nobody has read it by then.
    #[must_use]
    pub fn until(self, useless_from: DateTime<Utc>) -> Self {
        Self { useless_from: Some(useless_from), ..self }
    }
}

/// Arguments as a sentence takes them, from what can be written.
pub fn arguments<'a, V: ToString>(pairs: impl IntoIterator<Item = (&'a str, V)>) -> Arguments {
    pairs.into_iter().map(|(name, value)| (name.to_owned(), value.to_string())).collect()
}

/// What a contact reads when the alert she was told about is over or open again, by what members read.
pub fn for_contact(key: &'static str) -> &'static str {
    match key {
        "notice.stand_down_well" => "notice.contact_well",
        "notice.stand_down_handled" => "notice.contact_handled",
        "notice.help_open_again" => "notice.help_contact",
        "notice.open_again" => "notice.contact",
        other => other,
    }
}

/// The sentence of a rung. Rungs of the same act share a key, so that many seniors fit one message. Whom a person asked to be
/// looked at has missed no sign: the first call does not say so. The keys of an urgent alert begin with `notice.help_`: they go
/// first and wait for nothing.
pub fn key_of(act: StepAct, urgent: bool, cause: Cause) -> &'static str {
    match (act, urgent) {
        (StepAct::Call, false) if cause == Cause::Manual => "notice.manual_call",
        (StepAct::Call, false) => "notice.alert_call",
        (StepAct::Call, true) => "notice.help_call",
        (StepAct::Look, _) => "notice.alert_look",
        (StepAct::Again, _) => "notice.alert_again",
        (StepAct::Door, false) => "notice.alert_door",
        (StepAct::Door, true) => "notice.help_door",
        (StepAct::Family, false) => "notice.alert_family",
        (StepAct::Family, true) => "notice.help_family",
        (StepAct::Enter, false) => "notice.alert_enter",
        (StepAct::Enter, true) => "notice.help_enter",
        (StepAct::Command, false) => "notice.alert_command",
        (StepAct::Command, true) => "notice.help_command",
        (StepAct::Final, false) => "notice.alert_final",
        (StepAct::Final, true) => "notice.help_final",
        (StepAct::Night, _) => "notice.help_night",
        (StepAct::Confirm, _) => "notice.alert_confirm",
        (StepAct::Contact, false) => "notice.contact",
        (StepAct::Contact, true) => "notice.help_contact",
        (StepAct::ContactGoing, false) => "notice.contact_going",
        (StepAct::ContactGoing, true) => "notice.help_contact_going",
        (StepAct::ContactReached, false) => "notice.contact_reached",
        (StepAct::ContactReached, true) => "notice.help_contact_reached",
        (StepAct::ContactCannot, false) => "notice.contact_cannot",
        (StepAct::ContactCannot, true) => "notice.help_contact_cannot",
    }
}
