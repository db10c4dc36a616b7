//! The few questions that are asked at a door, and which of the full codes each answer is: how do you know, is she well, and one
//! of six things that it was.

use super::{ContactProof, Outcome};
use crate::words;

words! {
    /// How whoever stands there knows: she saw her, spoke with her, or somebody who is with her said so.
    pub enum DoorProof { Seen = "seen", Spoke = "spoke", Family = "family", Hospital = "hospital" }
}

words! {
    /// 忘了拉 · 起晚了 · 出门了 · 住院或在子女家 · 身体不舒服 · 其他
    pub enum DoorOutcome {
        Forgot = "forgot", Overslept = "overslept", Out = "out", Elsewhere = "elsewhere", Unwell = "unwell", Other = "other"
    }
}

impl DoorProof {
    pub fn code(self) -> ContactProof {
        match self {
            Self::Seen => ContactProof::SeenInPerson,
            Self::Spoke => ContactProof::SpokeWithPerson,
            Self::Family => ContactProof::FamilyWithPerson,
            Self::Hospital => ContactProof::HospitalConfirmed,
        }
    }
}

impl DoorOutcome {
    /// The codes that it may be; where there are two, one more question tells which.
    pub fn codes(self) -> &'static [Outcome] {
        match self {
            Self::Forgot => &[Outcome::ForgotCurtain],
            Self::Overslept => &[Outcome::Overslept],
            Self::Out => &[Outcome::OutToday],
            Self::Elsewhere => &[Outcome::WithFamily, Outcome::Hospital],
            Self::Unwell => &[Outcome::Unwell],
            Self::Other => &[Outcome::Other],
        }
    }

    /// Whether it can be said together with 人平安: 是 or 否.
    pub fn fits(self, safe: bool) -> bool {
        self.codes().iter().any(|code| code.contradicted_by(safe, None).is_none())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_forgot_or_overslept_is_well_and_the_rest_may_be_either() {
        let offered = |safe| DoorOutcome::ALL.iter().filter(|group| group.fits(safe)).map(|group| group.as_str()).collect::<Vec<_>>();
        assert_eq!(offered(true), ["forgot", "overslept", "out", "elsewhere", "unwell", "other"]);
        assert_eq!(offered(false), ["out", "elsewhere", "unwell", "other"]);
    }

    #[test]
    fn every_answer_that_is_offered_is_a_resolution_that_the_rules_take() {
        for proof in DoorProof::ALL {
            for group in DoorOutcome::ALL {
                for (safe, code) in [true, false].into_iter().flat_map(|safe| group.codes().iter().map(move |code| (safe, *code))) {
                    let taken = code.contradicted_by(safe, Some(proof.code())).is_none();
                    assert_eq!(taken, group.fits(safe), "{proof} {safe} {code}");
                }
            }
        }
    }
}
