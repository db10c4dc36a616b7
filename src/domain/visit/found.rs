//! What a record found, and what a correction makes of what the earlier record had found: an open request is never opened
//! twice, and what was ticked by mistake is withdrawn, not "done".

use uuid::Uuid;

use super::{Need, Safety, SafetyState, VisitResult};
use crate::words;

words! {
    pub enum FindingKind {
        Hazard = "hazard",
        Need = "need",
        /// The senior moved, lies in hospital or has died, or a dossier waits to be entered: a question for the social worker.
        Circumstance = "circumstance",
        /// What is agreed does not fit her days, see [`Misfit`]: another time or sign should be. No visit found it.
        ///
        /// [`Misfit`]: crate::domain::misfit::Misfit
        Agreement = "agreement"
    }
}
words! {
    /// 点单 → 派单 → 领单 → 督单 → 评单. `withdrawn`: entered by mistake.
    pub enum FindingState {
        Requested = "requested", Dispatched = "dispatched", Accepted = "accepted", Supervised = "supervised", Rated = "rated",
        Withdrawn = "withdrawn"
    }
}

impl FindingState {
    /// A request moves on, stages may be passed over, and what was rated or withdrawn is closed.
    pub fn may_become(self, next: Self) -> bool {
        !self.is_closed() && next > self
    }
    pub fn is_closed(self) -> bool {
        matches!(self, Self::Rated | Self::Withdrawn)
    }
}

/// One thing that a record found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub kind: FindingKind,
    pub item: &'static str,
    /// The class of GB/T 43153-2023, for needs.
    pub service_class: Option<&'static str>,
    pub note: Option<String>,
}

/// The item of a dossier that whoever entered it may not put into the register herself.
pub const DOSSIER: &str = "dossier";

impl VisitResult {
    /// She does not live at home any more, or not now: somebody must end the agreement or enter the absence.
    pub fn is_gone(self) -> bool {
        matches!(self, Self::Moved | Self::Hospital | Self::Deceased)
    }
}

/// What a record found: what became of the senior (if nobody has settled that yet), then hazards, then needs.
pub fn findings(gone: Option<VisitResult>, dossier_waits: bool, safety: &Safety, needs: &[Need]) -> Vec<Finding> {
    let of = |kind, item| Finding { kind, item, service_class: None, note: None };
    let circumstances = gone.map(VisitResult::as_str).into_iter().chain(dossier_waits.then_some(DOSSIER));
    let hazards = safety.0.iter().filter(|(_, state)| **state == SafetyState::Hazard).map(|(item, _)| item.as_str());
    let needs = needs.iter().map(|need| Finding {
        service_class: Some(need.item.service_class()),
        note: need.note.clone(),
        ..of(FindingKind::Need, need.item.as_str())
    });
    let first = circumstances.map(|item| of(FindingKind::Circumstance, item)).chain(hazards.map(|item| of(FindingKind::Hazard, item)));
    first.chain(needs).collect()
}

/// What stands on the list from the records that a correction replaces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    pub id: Uuid,
    pub kind: FindingKind,
    pub item: String,
    pub note: Option<String>,
    pub state: FindingState,
    pub version: i64,
}

/// What a correction does to the list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reconciled {
    pub open: Vec<Finding>,
    /// Ids with their versions.
    pub withdraw: Vec<(Uuid, i64)>,
    /// Nobody has worked on these yet, and the correction words them differently.
    pub reword: Vec<(Uuid, i64, String)>,
}

/// Compares what a correction found with what its predecessors found. A thing that stays keeps its stage; one that was closed
/// as done is not opened again; one that disappeared is withdrawn while it is open.
pub fn reconcile(known: &[Known], found: Vec<Finding>) -> Reconciled {
    let mut left: Vec<&Known> = known.iter().filter(|old| old.state != FindingState::Withdrawn).collect();
    let mut result = Reconciled::default();
    for new in found {
        let same = |old: &&Known| old.kind == new.kind && old.item == new.item;
        let at = left.iter().position(|old| same(old) && old.note == new.note).or_else(|| left.iter().position(same));
        match at.map(|at| left.remove(at)) {
            None => result.open.push(new),
            Some(old) if old.version == 1 && !old.state.is_closed() && old.note != new.note => {
                result.reword.extend(new.note.map(|note| (old.id, old.version, note)));
            }
            Some(_) => {}
        }
    }
    result.withdraw = left.into_iter().filter(|old| !old.state.is_closed()).map(|old| (old.id, old.version)).collect();
    result
}
