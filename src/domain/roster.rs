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
    /// Family who agreed to be told by message, in their order. Loaded only where L2 may come.
    pub contacts: Vec<ContactFact>,
    /// Whether a channel works here that reaches them.
    pub contacts_reachable: bool,
}

/// A contact whose consent lives and whose number takes texts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContactFact {
    pub id: Uuid,
    /// 女儿
    pub relation: String,
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

/// Whether anybody who can be phoned around the clock would hear: property staff or street duty among the reachable, who have a
/// channel that works. Without one no help button may be bound (domain.md §5).
pub fn around_the_clock(roster: &Roster, reachable: &BTreeSet<Uuid>) -> bool {
    roster.night_watch().iter().any(|member| reachable.contains(member))
}

impl Roster {
    /// The party member answering for the senior today: the primary, who stands in for her, or else the backup.
    pub fn assigned(&self) -> Option<Uuid> {
        self.paired(PairingKind::Primary).or_else(|| self.paired(PairingKind::Backup))
    }

    /// The social worker and the secretary answering for her.
    pub fn heads(&self) -> BTreeSet<Uuid> {
        [Role::SocialWorker, Role::BranchSecretary].into_iter().flat_map(|role| self.holders(role)).collect()
    }

    /// Who must hear when the senior is made quieter: those paired with her, and the social worker and secretary answering for her.
    pub fn concerned(&self) -> Vec<Uuid> {
        let paired = self.pairings.iter().map(|(_, member)| *member);
        paired.chain(self.heads()).collect::<BTreeSet<Uuid>>().into_iter().collect()
    }

    /// Who answers for an absence: the primary, and the social worker and secretary. Each of them may confirm it.
    pub fn answers_for_absence(&self) -> Vec<Uuid> {
        self.paired(PairingKind::Primary).into_iter().chain(self.heads()).collect::<BTreeSet<Uuid>>().into_iter().collect()
    }

    /// Who is asked whether the senior comes back: the first of those who may confirm it whom a message reaches.
    pub fn asked_about_return(&self, reachable: &BTreeSet<Uuid>) -> Vec<Uuid> {
        let paired = [PairingKind::Primary, PairingKind::Backup].map(|kind| self.paired(kind).into_iter().collect());
        let staff = [Role::SocialWorker, Role::BranchSecretary].map(|role| self.holders(role));
        let groups: Vec<Vec<Uuid>> = paired.into_iter().chain(staff).filter(|people: &Vec<Uuid>| !people.is_empty()).collect();
        let reached = groups.iter().find(|people| people.iter().any(|member| reachable.contains(member)));
        // Nobody can be reached: the notice fails visibly, and a message is on record.
        reached.or(groups.first()).cloned().unwrap_or_default()
    }

    /// Who is told at noon and at six what nobody has settled: the social worker and the secretary; without either the assigned
    /// member, and where nobody answers at all the operators.
    pub fn hear_of_unresolved(&self, operators: &[Uuid]) -> Vec<Uuid> {
        let heads = self.heads();
        if !heads.is_empty() {
            return heads.into_iter().collect();
        }
        self.assigned().map_or_else(|| operators.to_vec(), |member| vec![member])
    }

    /// Who decides what is to be agreed with her: the social worker, or whoever stands in: the secretary, else the operators.
    pub fn deciders(&self, operators: &[Uuid]) -> Vec<Uuid> {
        let by_role = [Role::SocialWorker, Role::BranchSecretary].map(|role| self.holders(role));
        by_role.into_iter().find(|holders| !holders.is_empty()).unwrap_or_else(|| operators.to_vec())
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

    /// Who goes up with somebody who stands under the window and has seen nothing good: the other of the pair, else the nearest
    /// whose role it is. Never herself.
    pub fn companion(&self, walker: Uuid) -> Option<Uuid> {
        let paired = [PairingKind::Primary, PairingKind::Backup].into_iter().filter_map(|kind| self.paired(kind));
        let near = [Role::BuildingLead, Role::SocialWorker].into_iter().flat_map(|role| self.holders(role));
        paired.chain(near).find(|member| *member != walker)
    }

    /// The member, or who stands in; `None` if on leave without anybody.
    fn present(&self, member: Uuid) -> Option<Uuid> {
        match self.leaves.iter().find(|(away, _)| *away == member) {
            None => Some(member),
            Some((_, substitute)) => substitute.filter(|s| !self.leaves.iter().any(|(away, _)| away == s)),
        }
    }

    fn is_away(&self, member: Uuid) -> bool {
        self.leaves.iter().any(|(away, _)| *away == member)
    }

    /// Whether the member can be sent now: not on leave, and a message would arrive.
    pub fn can_be_sent(&self, member: Uuid, reachable: &BTreeSet<Uuid>) -> bool {
        !self.is_away(member) && reachable.contains(&member)
    }

    /// Everybody around the senior who can be sent now, nearest first.
    pub fn sendable(&self, reachable: &BTreeSet<Uuid>) -> Vec<Uuid> {
        let paired = self.pairings.iter().map(|(_, member)| *member);
        let on_duty = self.duties.iter().map(|duty| duty.member_id);
        let mut grants: Vec<&GrantFact> =
            self.grants.iter().filter(|grant| !matches!(grant.role, Role::Operator | Role::Administrator)).collect();
        grants.sort_by_key(|grant| grant.distance);
        let mut seen = BTreeSet::new();
        let everybody = paired.chain(on_duty).chain(grants.into_iter().map(|grant| grant.member_id));
        everybody.filter(|member| self.can_be_sent(*member, reachable) && seen.insert(*member)).collect()
    }

    /// Who rings a senior of whom it is not sure that she called for help: whoever answers for her today, or the nearest whom a
    /// message reaches, and outside duty hours also those whose phone is answered.
    pub fn ring(&self, reachable: &BTreeSet<Uuid>, on_duty: bool) -> Vec<Uuid> {
        let assigned = self.assigned().filter(|member| self.can_be_sent(*member, reachable));
        let first = assigned.or_else(|| self.sendable(reachable).first().copied());
        let awake = if on_duty { Vec::new() } else { self.night_watch() };
        first.into_iter().chain(awake).collect::<BTreeSet<Uuid>>().into_iter().collect()
    }

    /// Those whose phone is answered at any hour.
    fn night_watch(&self) -> Vec<Uuid> {
        [Role::PropertyStaff, Role::StreetDuty].into_iter().flat_map(|role| self.holders(role)).collect()
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
            StepAct::Family | StepAct::ContactGoing | StepAct::ContactReached | StepAct::ContactCannot => {
                claimed_by.or_else(|| self.assigned()).into_iter().chain(roles(&[Role::SocialWorker])).collect()
            }
            StepAct::Enter => {
                let officers = roles(&[Role::GridOfficerFullTime, Role::GridOfficerPartTime, Role::PropertyStaff]);
                // Nobody stands in for a key: it is away with its holder.
                self.key_holder.filter(|holder| !self.is_away(*holder)).into_iter().chain(officers).collect()
            }
            StepAct::Command => roles(&[Role::SocialWorker]),
            StepAct::Final => roles(&[Role::BranchSecretary, Role::StreetDuty]),
            StepAct::Night => self.night_watch(),
            StepAct::Confirm => claimed_by.or_else(|| self.assigned()).into_iter().collect(),
            // No member: see `case::contact`.
            StepAct::Contact => Vec::new(),
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
    fn nobody_is_told_to_go_up_with_herself_or_with_somebody_who_is_away() {
        let mut roster = roster();
        assert_eq!(roster.companion(id(1)), Some(id(2)), "the backup goes with the primary");
        assert_eq!(roster.companion(id(2)), Some(id(1)));
        assert_eq!(roster.companion(id(5)), Some(id(1)), "who is only on duty calls the primary");
        roster.leaves.push((id(2), None));
        assert_eq!(roster.companion(id(1)), Some(id(3)), "the nearest by role");
        assert_eq!(Roster::default().companion(id(1)), None);
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
    fn a_help_button_needs_property_or_street_duty_whom_a_message_reaches() {
        let mut roster = roster();
        let reachable = [id(1), id(7), id(9)].into();
        assert!(!around_the_clock(&roster, &reachable), "a social worker goes home in the evening");
        roster.grants.push(GrantFact { role: Role::StreetDuty, member_id: id(10), distance: 4 });
        assert!(!around_the_clock(&roster, &reachable), "a phone without a number");
        roster.grants.push(GrantFact { role: Role::PropertyStaff, member_id: id(9), distance: 2 });
        assert!(around_the_clock(&roster, &reachable));
        roster.leaves.push((id(9), None));
        assert!(!around_the_clock(&roster, &reachable), "and on leave");
    }

    #[test]
    fn a_press_that_was_refused_is_for_whoever_answers_and_at_night_for_those_awake() {
        let mut roster = roster();
        roster.grants.push(GrantFact { role: Role::PropertyStaff, member_id: id(9), distance: 2 });
        let everybody: BTreeSet<Uuid> = (1..=9).map(id).collect();
        assert_eq!(roster.ring(&everybody, true), [id(1)]);
        assert_eq!(roster.ring(&everybody, false), [id(1), id(9)]);
        assert_eq!(roster.ring(&[id(8)].into(), true), [id(8)], "nobody paired would hear it");
        roster.leaves.push((id(1), None));
        assert_eq!(roster.ring(&everybody, true), [id(2)], "the backup stands in");
    }

    #[test]
    fn a_key_holder_on_leave_is_not_called_to_the_door() {
        let mut roster = Roster { key_holder: Some(id(6)), ..roster() };
        assert_eq!(roster.audience(StepAct::Enter, Slot::Morning, 1, None, false), vec![id(6)]);
        roster.leaves.push((id(6), Some(id(4))));
        assert!(roster.audience(StepAct::Enter, Slot::Morning, 1, None, false).is_empty());
    }

    #[test]
    fn what_is_unresolved_goes_to_social_worker_and_secretary_or_else_to_whoever_is_nearest() {
        let mut roster = roster();
        let told = |roster: &Roster| roster.hear_of_unresolved(&[id(9)]);
        assert_eq!(told(&roster), vec![id(8)], "there is no secretary");
        roster.grants.push(GrantFact { role: Role::BranchSecretary, member_id: id(5), distance: 3 });
        assert_eq!(told(&roster), vec![id(5), id(8)]);
        roster.grants.retain(|grant| grant.role == Role::BuildingLead);
        assert_eq!(told(&roster), vec![id(1)]);
        roster.pairings.clear();
        assert_eq!(told(&roster), vec![id(9)]);
    }

    #[test]
    fn only_those_present_whom_a_message_reaches_can_be_sent() {
        let mut roster = roster();
        let reachable = [id(1), id(2), id(3), id(8)].into();
        roster.leaves.push((id(2), None));
        assert_eq!(roster.sendable(&reachable), [id(1), id(3), id(8)], "the backup is on leave, and one social worker has no channel");
    }

    #[test]
    fn the_return_is_asked_of_the_nearest_person_whom_a_message_reaches() {
        let mut roster = roster();
        let mut reachable: BTreeSet<Uuid> = [id(1), id(2), id(4), id(7), id(8)].into();
        assert_eq!(roster.asked_about_return(&reachable), [id(1)], "the primary");
        roster.leaves.push((id(1), Some(id(4))));
        assert_eq!(roster.asked_about_return(&reachable), [id(4)], "who stands in for her");
        roster.leaves[0] = (id(1), None);
        assert_eq!(roster.asked_about_return(&reachable), [id(2)], "the backup");
        reachable = [id(7), id(8)].into();
        assert_eq!(roster.asked_about_return(&reachable), [id(8)], "nothing reaches the backup");
        roster.pairings.clear();
        assert_eq!(roster.asked_about_return(&reachable), [id(8)], "nobody is paired");
        reachable = BTreeSet::new();
        assert_eq!(roster.asked_about_return(&reachable), [id(8)], "nothing reaches anybody");
        assert!(Roster::default().asked_about_return(&reachable).is_empty());
    }

    #[test]
    fn nobody_is_told_twice_by_one_rung() {
        let mut roster = roster();
        roster.grants.push(GrantFact { role: Role::BuildingLead, member_id: id(2), distance: 0 });
        assert_eq!(roster.audience(StepAct::Look, Slot::Morning, 1, None, true), vec![id(1), id(2), id(3)]);
    }
}
