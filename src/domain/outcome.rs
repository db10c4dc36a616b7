//! How an alert ended, and what follows from it.

use super::absence::AbsenceKind;
use crate::words;

mod door;

pub use door::{DoorOutcome, DoorProof};

words! {
    /// What proves that somebody saw or heard the senior.
    pub enum ContactProof {
        SeenInPerson = "seen_in_person", SpokeWithPerson = "spoke_with_person", Video = "video",
        AgreedSignSeenLate = "agreed_sign_seen_late", SeenByNamedPerson = "seen_by_named_person",
        FamilyWithPerson = "family_with_person", HospitalConfirmed = "hospital_confirmed",
        EmergencyServiceTookOver = "emergency_service_took_over"
    }
}

impl ContactProof {
    /// Whether a person saw or heard her, and not only a sign of hers.
    pub fn is_sight_or_voice(self) -> bool {
        self != Self::AgreedSignSeenLate
    }
}

words! {
    /// The full codes; phones show six groups of them.
    pub enum Outcome {
        ForgotCurtain = "forgot_curtain", Overslept = "overslept", NotHeard = "not_heard", ClosedForHeat = "closed_for_heat",
        WantedCompany = "wanted_company", OutToday = "out_today", Travel = "travel", WithFamily = "with_family",
        Hospital = "hospital", Institution = "institution", WrongWindow = "wrong_window", LogError = "log_error",
        NotChecked = "not_checked", CurtainBroken = "curtain_broken", SensorFault = "sensor_fault", SystemDown = "system_down",
        Errand = "errand", Utility = "utility", Repair = "repair", Emotional = "emotional", Medication = "medication",
        Unwell = "unwell", Clinic = "clinic", FallNoInjury = "fall_no_injury", FallInjury = "fall_injury",
        Emergency120 = "emergency_120", Gas = "gas", Fire = "fire", Flood = "flood", CrimeFraud = "crime_fraud",
        Wandering = "wandering", Deceased = "deceased", Missing = "missing", RefusedContact = "refused_contact",
        Withdrew = "withdrew", Other = "other"
    }
}

words! {
    /// The class of an outcome, for statistics and for what may be said to others.
    pub enum OutcomeClass {
        Benign = "benign", AbsentUnreported = "absent_unreported", DataEquipment = "data_equipment",
        ServiceNeed = "service_need", Medical = "medical", Safety = "safety", Severe = "severe",
        Refused = "refused", Other = "other"
    }
}

impl Outcome {
    pub fn class(self) -> OutcomeClass {
        use Outcome as O;
        match self {
            O::ForgotCurtain | O::Overslept | O::NotHeard | O::ClosedForHeat | O::WantedCompany => OutcomeClass::Benign,
            O::OutToday | O::Travel | O::WithFamily | O::Hospital | O::Institution => OutcomeClass::AbsentUnreported,
            O::WrongWindow | O::LogError | O::NotChecked | O::CurtainBroken | O::SensorFault | O::SystemDown => OutcomeClass::DataEquipment,
            O::Errand | O::Utility | O::Repair | O::Emotional | O::Medication => OutcomeClass::ServiceNeed,
            O::Unwell | O::Clinic | O::FallNoInjury | O::FallInjury | O::Emergency120 => OutcomeClass::Medical,
            O::Gas | O::Fire | O::Flood | O::CrimeFraud | O::Wandering => OutcomeClass::Safety,
            O::Deceased | O::Missing => OutcomeClass::Severe,
            O::RefusedContact | O::Withdrew => OutcomeClass::Refused,
            O::Other => OutcomeClass::Other,
        }
    }

    /// She was well and at home, and the agreed sign did not say so: it was forgotten, came too late or could not be seen.
    ///
    /// What the people or the equipment did wrong (nobody looked, a slip of the pen, a sensor) is no fault of what was agreed, and
    /// whoever wanted company has said something by the shut curtain.
    pub fn is_false_alarm(self) -> bool {
        use Outcome as O;
        matches!(self, O::ForgotCurtain | O::Overslept | O::NotHeard | O::ClosedForHeat | O::WrongWindow | O::CurtainBroken)
    }

    /// Outcomes that mean "not at home" create an absence; a return date is then required.
    pub fn absence(self) -> Option<AbsenceKind> {
        match self {
            Self::OutToday | Self::Travel => Some(AbsenceKind::Away),
            Self::WithFamily => Some(AbsenceKind::WithFamily),
            Self::Hospital => Some(AbsenceKind::Hospital),
            Self::Institution => Some(AbsenceKind::Institution),
            _ => None,
        }
    }

    /// These end the agreement in the same request.
    pub fn ends_agreement(self) -> bool {
        matches!(self, Self::Deceased | Self::Withdrew | Self::Institution)
    }

    /// The field of a resolution that says the opposite of this outcome, if one does. `proof` is what is being entered now: what a
    /// sign has proved earlier may have been wrong (somebody else drew the curtain).
    pub fn contradicted_by(self, safe: bool, proof: Option<ContactProof>) -> Option<&'static str> {
        use ContactProof as P;
        let heard = matches!(proof, Some(P::SpokeWithPerson | P::Video | P::AgreedSignSeenLate));
        match self.class() {
            OutcomeClass::Severe if safe => Some("safe"),
            OutcomeClass::Benign if !safe => Some("safe"),
            // Who is missing has not been seen: only somebody who searches can take her case over.
            _ if self == Self::Missing && proof.is_some_and(|proof| proof != P::EmergencyServiceTookOver) => Some("contact_proof"),
            _ if self == Self::Deceased && heard => Some("contact_proof"),
            _ => None,
        }
    }

    /// Medical and severe outcomes are nobody else's business: those told hear only "handled, no need to go".
    pub fn is_confidential(self) -> bool {
        matches!(self.class(), OutcomeClass::Medical | OutcomeClass::Severe | OutcomeClass::Safety | OutcomeClass::Refused)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_dead_and_well_or_missing_and_seen() {
        use ContactProof as P;
        for (outcome, safe, proof, field) in [
            (Outcome::Overslept, true, Some(P::SeenInPerson), None),
            (Outcome::Overslept, false, Some(P::SeenInPerson), Some("safe")),
            (Outcome::Unwell, true, Some(P::SpokeWithPerson), None),
            (Outcome::Unwell, false, Some(P::SpokeWithPerson), None),
            (Outcome::Hospital, false, Some(P::HospitalConfirmed), None),
            (Outcome::Deceased, true, Some(P::SeenInPerson), Some("safe")),
            (Outcome::Deceased, false, Some(P::SeenInPerson), None),
            (Outcome::Deceased, false, Some(P::SpokeWithPerson), Some("contact_proof")),
            (Outcome::Missing, false, Some(P::FamilyWithPerson), Some("contact_proof")),
            (Outcome::Missing, false, Some(P::EmergencyServiceTookOver), None),
            (Outcome::Missing, true, Some(P::EmergencyServiceTookOver), Some("safe")),
        ] {
            assert_eq!(outcome.contradicted_by(safe, proof), field, "{outcome}, safe {safe}, {proof:?}");
        }
    }

    #[test]
    fn what_follows_from_an_outcome_is_fixed_by_its_word() {
        let of = |test: fn(Outcome) -> bool| -> Vec<&str> { Outcome::ALL.iter().filter(|o| test(**o)).map(|o| o.as_str()).collect() };
        assert_eq!(of(|o| o.absence().is_some()), ["out_today", "travel", "with_family", "hospital", "institution"]);
        assert_eq!(of(Outcome::ends_agreement), ["institution", "deceased", "withdrew"]);
        assert_eq!(
            of(Outcome::is_false_alarm),
            ["forgot_curtain", "overslept", "not_heard", "closed_for_heat", "wrong_window", "curtain_broken"]
        );
        let told: Vec<&str> = of(|o| !o.is_confidential());
        for private in ["unwell", "fall_injury", "emergency_120", "deceased", "missing", "refused_contact", "crime_fraud"] {
            assert!(!told.contains(&private), "{private} is nobody else's business");
        }
        assert!(told.contains(&"forgot_curtain") && told.contains(&"out_today") && told.contains(&"sensor_fault"));
    }
}
