//! Who is meant by "the assigned party member", "today's walker", "the social worker": resolved at the moment a step fires,
//! so that leave, substitution and ended members are always those of now.

use std::collections::BTreeSet;

use uuid::Uuid;

use super::alert::StepAct;
use super::check::Slot;
use super::place::{PairingKind, Role};

/// What the store knows about the people around one senior on one date. Ended members and rows not in force are left out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Roster {
    pub pairings: Vec<(PairingKind, Uuid)>,
    pub duties: Vec<DutyFact>,
    /// Role holders above the senior's building, with the distance to the scope: the nearest scope with a holder counts.
    pub grants: Vec<GrantFact>,
    pub key_holder: Option<Uuid>,
    /// Members on leave today and who stands in for them.
    pub leaves: Vec<(Uuid, Option<Uuid>)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DutyFact {
    pub member_id: Uuid,
    pub slot: Slot,
    pub weekdays: i64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrantFact {
    pub role: Role,
    pub member_id: Uuid,
    pub distance: i64,
}

impl Roster {
    /// The party member answering for the senior today: the primary, who stands in for her, or else the backup.
    pub fn assigned(&self) -> Option<Uuid> {
        self.paired(PairingKind::Primary).or_else(|| self.paired(PairingKind::Backup))
    }

    /// Who must hear when the senior is made quieter: those paired with her, and the social worker and secretary answering for her.
    pub fn concerned(&self) -> Vec<Uuid> {
        let paired = self.pairings.iter().map(|(_, member)| *member);
        let staff = [Role::SocialWorker, Role::BranchSecretary].into_iter().flat_map(|role| self.holders(role));
        paired.chain(staff).collect::<BTreeSet<Uuid>>().into_iter().collect()
    }

    /// Who must look for themselves while a senior's sensor is silent, and who has it mended.
    pub fn relies_on_sensor(&self) -> Vec<Uuid> {
        self.assigned().into_iter().chain(self.holders(Role::SocialWorker)).collect::<BTreeSet<Uuid>>().into_iter().collect()
    }

    pub fn backup(&self) -> Option<Uuid> {
        self.paired(PairingKind::Backup)
    }

    /// Who is asked as primary or backup today: the paired member, or who stands in for her.
    pub fn paired(&self, kind: PairingKind) -> Option<Uuid> {
        let member = self.pairings.iter().find(|(of, _)| *of == kind).map(|(_, member)| *member)?;
        self.present(member)
    }

    /// The member, or who stands in; `None` if on leave without anybody.
    fn present(&self, member: Uuid) -> Option<Uuid> {
        match self.leaves.iter().find(|(away, _)| *away == member) {
            None => Some(member),
            Some((_, substitute)) => substitute.filter(|s| !self.leaves.iter().any(|(away, _)| away == s)),
        }
    }

    /// Who looks at the window today. Without a duty row the primary walks.
    pub fn walkers(&self, slot: Slot, weekday_bit: i64) -> Vec<Uuid> {
        let on_duty: BTreeSet<Uuid> = self
            .duties
            .iter()
            .filter(|duty| duty.slot == slot && duty.weekdays & weekday_bit != 0)
            .filter_map(|duty| self.present(duty.member_id))
            .collect();
        if on_duty.is_empty() { self.assigned().into_iter().collect() } else { on_duty.into_iter().collect() }
    }

    /// Holders of a role at the nearest scope that has one present.
    pub fn holders(&self, role: Role) -> Vec<Uuid> {
        let present: Vec<(i64, Uuid)> = self
            .grants
            .iter()
            .filter(|grant| grant.role == role)
            .filter_map(|grant| Some((grant.distance, self.present(grant.member_id)?)))
            .collect();
        let nearest = present.iter().map(|(distance, _)| *distance).min();
        let holders: BTreeSet<Uuid> =
            present.iter().filter(|(distance, _)| Some(*distance) == nearest).map(|(_, member)| *member).collect();
        holders.into_iter().collect()
    }

    /// The people whom a rung of the ladder tells.
    pub fn audience(&self, act: StepAct, slot: Slot, weekday_bit: i64, claimed_by: Option<Uuid>, nobody_looked: bool) -> Vec<Uuid> {
        let roles = |roles: &[Role]| -> Vec<Uuid> { roles.iter().flat_map(|role| self.holders(*role)).collect() };
        let mut people: Vec<Uuid> = match act {
            StepAct::Call => self.assigned().into_iter().chain(self.walkers(slot, weekday_bit)).collect(),
            StepAct::Again if !nobody_looked => self.assigned().into_iter().chain(self.walkers(slot, weekday_bit)).collect(),
            // Nobody looked: one task for everybody on duty, the backup and the building lead.
            StepAct::Look | StepAct::Again => {
                let walkers = self.walkers(slot, weekday_bit);
                let all = self.assigned().into_iter().chain(walkers).chain(self.backup());
                all.chain(roles(&[Role::BuildingLead])).collect()
            }
            StepAct::Door => self.backup().into_iter().chain(roles(&[Role::BuildingLead])).collect(),
            StepAct::Family => claimed_by.or_else(|| self.assigned()).into_iter().chain(roles(&[Role::SocialWorker])).collect(),
            StepAct::Enter => {
                let officers = roles(&[Role::GridOfficerFullTime, Role::GridOfficerPartTime, Role::PropertyStaff]);
                self.key_holder.into_iter().chain(officers).collect()
            }
            StepAct::Command => roles(&[Role::SocialWorker]),
            StepAct::Final => roles(&[Role::BranchSecretary, Role::StreetDuty]),
        };
        let mut seen = BTreeSet::new();
        people.retain(|member| seen.insert(*member));
        people
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u128) -> Uuid {
        Uuid::from_u128(n)
    }

    fn roster() -> Roster {
        Roster {
            pairings: vec![(PairingKind::Primary, id(1)), (PairingKind::Backup, id(2))],
            grants: vec![
                GrantFact { role: Role::SocialWorker, member_id: id(7), distance: 2 },
                GrantFact { role: Role::SocialWorker, member_id: id(8), distance: 1 },
                GrantFact { role: Role::BuildingLead, member_id: id(3), distance: 0 },
            ],
            ..Roster::default()
        }
    }

    #[test]
    fn without_a_duty_row_the_primary_walks_and_with_one_the_duty_does() {
        let mut roster = roster();
        assert_eq!(roster.walkers(Slot::Morning, 1), vec![id(1)]);
        roster.duties.push(DutyFact { member_id: id(5), slot: Slot::Morning, weekdays: 0b10 });
        assert_eq!(roster.walkers(Slot::Morning, 0b1), vec![id(1)], "the duty is for another weekday");
        assert_eq!(roster.walkers(Slot::Morning, 0b10), vec![id(5)]);
    }

    #[test]
    fn a_primary_on_leave_is_replaced_by_the_substitute_or_else_by_the_backup() {
        let mut with_substitute = roster();
        with_substitute.leaves.push((id(1), Some(id(4))));
        assert_eq!(with_substitute.assigned(), Some(id(4)));
        let mut without = roster();
        without.leaves.push((id(1), None));
        assert_eq!(without.assigned(), Some(id(2)));
    }

    #[test]
    fn the_nearest_scope_that_has_a_present_holder_counts() {
        let mut roster = roster();
        assert_eq!(roster.holders(Role::SocialWorker), vec![id(8)]);
        roster.leaves.push((id(8), None));
        assert_eq!(roster.holders(Role::SocialWorker), vec![id(7)]);
        assert!(roster.holders(Role::StreetDuty).is_empty());
    }

    #[test]
    fn nobody_is_told_twice_by_one_rung() {
        let mut roster = roster();
        roster.grants.push(GrantFact { role: Role::BuildingLead, member_id: id(2), distance: 0 });
        assert_eq!(roster.audience(StepAct::Look, Slot::Morning, 1, None, true), vec![id(1), id(2), id(3)]);
    }
}
