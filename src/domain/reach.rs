//! Whether an alert about a senior would reach a person: checked when the register changes, every night, and before the
//! deadline, because a ladder that reaches nobody is an alarm when it is configured, not only when it is used (I16).

use std::collections::BTreeSet;

use uuid::Uuid;

use super::place::{PairingKind, Role};
use crate::words;

words! {
    /// What is missing around one senior.
    pub enum Gap {
        NoAgreement = "no_agreement", NoPrimary = "no_primary", NoBackup = "no_backup",
        PrimaryUnreachable = "primary_unreachable", BackupUnreachable = "backup_unreachable", BothOnLeave = "both_on_leave",
        NoSocialWorker = "no_social_worker", NoBranchSecretary = "no_branch_secretary", NoStreetDuty = "no_street_duty"
    }
}

/// The roles that the last rungs of the ladder need above every senior.
const LADDER_ROLES: [(Role, Gap); 3] =
    [(Role::SocialWorker, Gap::NoSocialWorker), (Role::BranchSecretary, Gap::NoBranchSecretary), (Role::StreetDuty, Gap::NoStreetDuty)];

/// One senior on one date.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReachFact {
    pub senior_id: Uuid,
    pub has_agreement: bool,
    /// Pairings in force on the date, of members who have not ended.
    pub pairings: Vec<(PairingKind, Uuid)>,
    /// Roles held above the senior's building on the date.
    pub roles: Vec<(Role, Uuid)>,
}

/// The people of a site on one date.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReachPeople {
    /// Members with at least one verified channel that works.
    pub reachable: BTreeSet<Uuid>,
    pub on_leave: BTreeSet<Uuid>,
    pub operators: BTreeSet<Uuid>,
}

impl ReachPeople {
    /// System notices reach somebody.
    pub fn has_operator(&self) -> bool {
        self.operators.iter().any(|operator| self.reachable.contains(operator))
    }
}

/// The gaps around one senior, in the order of the ladder.
pub fn gaps(fact: &ReachFact, people: &ReachPeople) -> Vec<Gap> {
    let mut gaps = Vec::new();
    if !fact.has_agreement {
        gaps.push(Gap::NoAgreement);
    }
    let of = |kind| fact.pairings.iter().find(|(of, _)| *of == kind).map(|(_, member)| *member);
    let (primary, backup) = (of(PairingKind::Primary), of(PairingKind::Backup));
    for (member, missing, unreachable) in
        [(primary, Gap::NoPrimary, Gap::PrimaryUnreachable), (backup, Gap::NoBackup, Gap::BackupUnreachable)]
    {
        match member {
            None => gaps.push(missing),
            Some(member) if !people.reachable.contains(&member) => gaps.push(unreachable),
            Some(_) => {}
        }
    }
    let away = |member: Option<Uuid>| member.is_some_and(|member| people.on_leave.contains(&member));
    if away(primary) && away(backup) {
        gaps.push(Gap::BothOnLeave);
    }
    for (role, gap) in LADDER_ROLES {
        let held = fact.roles.iter().any(|(held, member)| *held == role && people.reachable.contains(member));
        if !held {
            gaps.push(gap);
        }
    }
    gaps
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u128) -> Uuid {
        Uuid::from_u128(n)
    }

    fn covered() -> (ReachFact, ReachPeople) {
        let fact = ReachFact {
            senior_id: id(1),
            has_agreement: true,
            pairings: vec![(PairingKind::Primary, id(2)), (PairingKind::Backup, id(3))],
            roles: vec![(Role::SocialWorker, id(4)), (Role::BranchSecretary, id(5)), (Role::StreetDuty, id(6))],
        };
        let people = ReachPeople { reachable: (2..=7).map(id).collect(), operators: [id(7)].into(), ..ReachPeople::default() };
        (fact, people)
    }

    #[test]
    fn a_senior_with_everybody_in_place_has_no_gap() {
        let (fact, people) = covered();
        assert_eq!(gaps(&fact, &people), []);
        assert!(people.has_operator());
    }

    #[test]
    fn every_missing_or_unreachable_person_is_a_gap_of_its_own() {
        let nothing = gaps(&ReachFact::default(), &ReachPeople::default());
        let expected = [Gap::NoAgreement, Gap::NoPrimary, Gap::NoBackup, Gap::NoSocialWorker, Gap::NoBranchSecretary, Gap::NoStreetDuty];
        assert_eq!(nothing, expected);
        let (fact, mut people) = covered();
        people.on_leave.insert(id(2));
        assert_eq!(gaps(&fact, &people), [], "the backup is there");
        people.on_leave.insert(id(3));
        assert_eq!(gaps(&fact, &people), [Gap::BothOnLeave]);
        for (member, gap) in [(2, Gap::PrimaryUnreachable), (3, Gap::BackupUnreachable), (4, Gap::NoSocialWorker), (6, Gap::NoStreetDuty)] {
            let (fact, mut people) = covered();
            people.reachable.remove(&id(member));
            assert_eq!(gaps(&fact, &people), [gap], "member {member}");
        }
        let (_, mut people) = covered();
        people.reachable.remove(&id(7));
        assert!(!people.has_operator());
    }
}
