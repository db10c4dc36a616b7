//! What one record cannot say at once: result × method × whom one met × proof × safe × outcome.
//!
//! A record closes an alert, so a contradiction is no matter of taste: "nobody answered the phone" with "seen in person" would
//! call everybody back from a door behind which somebody lies (I9). Each rule names the field that should be looked at again.

use super::{ContactWith, VisitFacts, VisitKind, VisitMethod, VisitResult};
use crate::domain::case::Resolution;
use crate::domain::outcome::{ContactProof, Outcome, OutcomeClass};
use crate::domain::refusal::Refusal;

pub fn refuse(visit: &VisitFacts) -> Result<(), Refusal> {
    let refuse = |field, key| Err(Refusal::invalid(field, key));
    match (visit.result, visit.contact_with) {
        (VisitResult::Met, None) => return refuse("contact_with", "visit.contact_with_required"),
        (VisitResult::NotMet | VisitResult::Deceased, Some(ContactWith::Senior)) => {
            return refuse("contact_with", "visit.contact_with_contradicts");
        }
        _ => {}
    }
    if matches!(visit.result, VisitResult::Deceased | VisitResult::Moved) && visit.next_due.is_some() {
        return refuse("next_due", "visit.next_due_gone");
    }
    if visit.dossier.is_some() && visit.kind != VisitKind::FirstVisit {
        return refuse("dossier", "visit.dossier_only_first");
    }
    if visit.dossier.is_some() && visit.result != VisitResult::Met {
        return refuse("dossier", "visit.dossier_only_met");
    }
    let Some(resolution) = visit.resolve else { return Ok(()) };
    if resolution.proof.is_some_and(|proof| !proves(proof, visit)) {
        return refuse("resolve.contact_proof", "visit.proof_contradicts");
    }
    if !outcome_fits(resolution.outcome, visit) {
        return refuse("resolve.outcome", "visit.outcome_contradicts");
    }
    if resolution.safe && !may_be_safe(resolution, visit.result) {
        return refuse("resolve.safe", "visit.safe_contradicts");
    }
    Ok(())
}

/// Whether a record of this result and method can hold that proof.
fn proves(proof: ContactProof, visit: &VisitFacts) -> bool {
    use VisitResult as R;
    let (result, method) = (visit.result, visit.method);
    let with = |whom| visit.contact_with == Some(whom);
    match proof {
        // The dead are seen, too: whoever stood at the bed need not prove it by somebody else.
        ContactProof::SeenInPerson => method == VisitMethod::Door && (with(ContactWith::Senior) || result == R::Deceased),
        // Also through the door, or over an intercom.
        ContactProof::SpokeWithPerson => with(ContactWith::Senior),
        ContactProof::Video => method == VisitMethod::Video && with(ContactWith::Senior),
        ContactProof::AgreedSignSeenLate => method != VisitMethod::Phone && matches!(result, R::Met | R::NotMet | R::Refused),
        ContactProof::SeenByNamedPerson => result != R::Deceased,
        ContactProof::FamilyWithPerson => with(ContactWith::Family),
        ContactProof::HospitalConfirmed => matches!(result, R::Hospital | R::Deceased),
        ContactProof::EmergencyServiceTookOver => result != R::Moved,
    }
}

/// What a proof says by itself about the visit that gave it, so that nobody enters it twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shown {
    pub method: VisitMethod,
    pub result: VisitResult,
    pub contact_with: Option<ContactWith>,
}

/// The visit that a proof was had by; `None` where somebody else or something else gave it.
pub fn shown_by(proof: ContactProof) -> Option<Shown> {
    let met = |method, whom| Some(Shown { method, result: VisitResult::Met, contact_with: Some(whom) });
    match proof {
        ContactProof::SeenInPerson => met(VisitMethod::Door, ContactWith::Senior),
        ContactProof::SpokeWithPerson => met(VisitMethod::Phone, ContactWith::Senior),
        ContactProof::Video => met(VisitMethod::Video, ContactWith::Senior),
        ContactProof::FamilyWithPerson => met(VisitMethod::Phone, ContactWith::Family),
        ContactProof::HospitalConfirmed => Some(Shown { method: VisitMethod::Phone, result: VisitResult::Hospital, contact_with: None }),
        ContactProof::AgreedSignSeenLate | ContactProof::SeenByNamedPerson | ContactProof::EmergencyServiceTookOver => None,
    }
}

/// Whether the outcome tells the same story as the result.
fn outcome_fits(outcome: Option<Outcome>, visit: &VisitFacts) -> bool {
    use Outcome as O;
    use OutcomeClass as C;
    // What ends or pauses the agreement must be said: without the outcome nothing would follow from the record.
    let Some(outcome) = outcome else { return visit.result != VisitResult::Deceased };
    let met_senior = visit.contact_with == Some(ContactWith::Senior);
    match visit.result {
        VisitResult::Deceased => outcome == O::Deceased,
        _ if outcome == O::Deceased || (outcome == O::Missing && met_senior) => false,
        VisitResult::Met => true,
        VisitResult::NotMet => outcome != O::WantedCompany,
        VisitResult::Hospital => {
            matches!(outcome, O::Hospital | O::Institution) || matches!(outcome.class(), C::Medical | C::Safety | C::Other)
        }
        VisitResult::Moved => matches!(outcome.class(), C::AbsentUnreported | C::DataEquipment | C::Refused | C::Other),
        VisitResult::Refused => !matches!(outcome.class(), C::AbsentUnreported | C::Severe),
    }
}

/// 人平安 cannot be said of somebody who died, is missing, or was hurt.
fn may_be_safe(resolution: &Resolution, result: VisitResult) -> bool {
    let harmed = |outcome| matches!(outcome, Outcome::Deceased | Outcome::Missing | Outcome::FallInjury | Outcome::Emergency120);
    let nobody_knows = resolution.proof.is_none() && result == VisitResult::NotMet;
    result != VisitResult::Deceased && !nobody_knows && !resolution.outcome.is_some_and(harmed)
}
