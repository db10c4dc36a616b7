//! Who may do what: default deny (I32). Roles give capabilities within their scope; a pairing, a duty, standing in for
//! somebody, or having been told of an open alert gives a relation to one senior.
//!
//! The rules are domain.md §9 (least data per role) and reliability.md §6 (silencing acts need a role above volunteer).

use chrono::NaiveDate;
use uuid::Uuid;

use super::place::Role;
use crate::words;

words! {
    /// What a route asks for.
    pub enum Capability {
        /// Places, grids, homes, rounds: the register without seniors.
        RegisterRead = "register_read",
        RegisterWrite = "register_write",
        /// A senior's name, home, window hint, hearing hint, agreement, checks.
        SeniorRead = "senior_read",
        /// The senior's own phone number: the button of the person who looks.
        PhoneRead = "phone_read",
        /// Contacts, key holder, consents.
        SensitiveRead = "sensitive_read",
        /// Conditions, hazards, needs and notes of visits.
        HealthRead = "health_read",
        SeniorWrite = "senior_write",
        SignalCreate = "signal_create",
        /// Claim, at the door, no answer, resolve with proof, emergency, "someone should look at her".
        AlertAct = "alert_act",
        /// Assign, escalate for others, review, reopen.
        AlertCommand = "alert_command",
        VisitCreate = "visit_create",
        /// Says that somebody is away; it excuses nothing until it is confirmed.
        AbsencePropose = "absence_propose",
        /// Silences a senior's checks for days; also asks for a recent sign-in.
        AbsenceConfirm = "absence_confirm",
        /// Says that somebody comes back as was entered; it makes nothing quieter.
        ReturnConfirm = "return_confirm",
        /// Close without proof, unbind a device, later deadline, ladder edit; also asks for a recent sign-in.
        Silence = "silence",
        DevicesRead = "devices_read",
        DevicesWrite = "devices_write",
        /// Names of members and who is paired or on duty.
        MembersRead = "members_read",
        /// Members, passwords, roles.
        MembersWrite = "members_write",
        Audit = "audit",
        /// The delivery log.
        Notifications = "notifications",
        /// How the server itself is doing: no word about anybody.
        SystemRead = "system_read"
    }
}

/// A role in force, with its scope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    pub role: Role,
    pub place_id: Option<Uuid>,
    pub grid_id: Option<Uuid>,
    /// Neither place nor grid, or the place that is above all others.
    pub whole_site: bool,
}

/// Who asks, and on which local date: what the store needs to find relations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Who {
    pub site_id: Uuid,
    pub member_id: Uuid,
    pub today: NaiveDate,
}

/// What ties a member to one senior today.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Relation {
    /// Roles whose scope holds the senior's building.
    pub roles: Vec<Role>,
    /// Primary or backup, or standing in for one.
    pub paired: bool,
    /// Primary, or standing in for her: may confirm an absence.
    pub primary: bool,
    /// On duty for the building or the senior, or standing in.
    pub on_duty: bool,
    /// Told of an unresolved alert, or its claimant.
    pub told: bool,
}

impl Relation {
    /// Whether this relation allows it. Without [`Capability::SeniorRead`] the senior does not exist for the member (I30).
    pub fn may(&self, capability: Capability) -> bool {
        use Capability as C;
        let by_role = self.roles.iter().any(|role| allows(*role, capability));
        let by_hand =
            matches!(capability, C::SeniorRead | C::PhoneRead | C::SignalCreate | C::AlertAct | C::VisitCreate | C::AbsencePropose)
                && (self.paired || self.on_duty);
        let as_paired = capability == C::ReturnConfirm && self.paired;
        let as_primary = capability == C::AbsenceConfirm && self.primary;
        // Whom the ladder has told sees whom to phone, because it asks her to phone.
        let as_told =
            matches!(capability, C::SeniorRead | C::PhoneRead | C::SensitiveRead | C::SignalCreate | C::AlertAct | C::VisitCreate)
                && self.told;
        by_role || by_hand || as_paired || as_primary || as_told
    }
}

/// What a role allows within its scope.
pub fn allows(role: Role, capability: Capability) -> bool {
    use Capability as C;
    match role {
        Role::Administrator => true,
        Role::BranchSecretary | Role::SocialWorker => !matches!(capability, C::Audit | C::MembersWrite | C::SystemRead),
        Role::StreetDuty => matches!(
            capability,
            C::RegisterRead
                | C::MembersRead
                | C::SeniorRead
                | C::PhoneRead
                | C::SensitiveRead
                | C::SignalCreate
                | C::AlertAct
                | C::AlertCommand
                | C::VisitCreate
                | C::AbsencePropose
                | C::Notifications
        ),
        Role::GridOfficerFullTime | Role::GridOfficerPartTime | Role::BuildingLead => matches!(
            capability,
            C::RegisterRead
                | C::MembersRead
                | C::SeniorRead
                | C::PhoneRead
                | C::SignalCreate
                | C::AlertAct
                | C::VisitCreate
                | C::AbsencePropose
        ),
        // They see seniors by pairing, duty or a notice, not by their role.
        Role::Volunteer | Role::PartyHubHousehold | Role::PropertyStaff | Role::PropertyCommittee => capability == C::RegisterRead,
        // Runs the server; reads no register of people.
        Role::Operator => matches!(capability, C::DevicesRead | C::Notifications | C::SystemRead),
    }
}

/// Whether somebody may let another in: never one who may do more than herself, or the way in would be a way up.
pub fn may_let_in(host: &[Grant], guest: &[Grant]) -> bool {
    let may = |grants: &[Grant], capability: Capability, whole_site: bool| {
        grants.iter().any(|grant| allows(grant.role, capability) && (grant.whole_site || !whole_site))
    };
    let needs = |grant: &Grant, capability: Capability| allows(grant.role, capability) && !may(host, capability, grant.whole_site);
    !guest.iter().any(|grant| Capability::ALL.iter().any(|capability| needs(grant, *capability)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_lets_in_somebody_with_more_power() {
        let grant = |role, whole_site| vec![Grant { role, place_id: None, grid_id: None, whole_site }];
        let administrator = grant(Role::Administrator, true);
        assert!(may_let_in(&administrator, &administrator) && may_let_in(&administrator, &grant(Role::Operator, true)));
        assert!(!may_let_in(&grant(Role::SocialWorker, true), &administrator));
        assert!(!may_let_in(&grant(Role::Administrator, false), &administrator), "of one compound, for one of the whole site");
        assert!(may_let_in(&grant(Role::SocialWorker, false), &grant(Role::Volunteer, false)));
        assert!(may_let_in(&[], &[]));
    }

    #[test]
    fn no_role_of_hand_and_no_relation_can_make_the_system_silent() {
        let everything = Relation { roles: Vec::new(), paired: true, primary: true, on_duty: true, told: true };
        assert!(!everything.may(Capability::Silence));
        for role in [Role::Volunteer, Role::PartyHubHousehold, Role::BuildingLead, Role::GridOfficerFullTime, Role::Operator] {
            assert!(!allows(role, Capability::Silence), "{role}");
            assert!(!allows(role, Capability::AbsenceConfirm), "{role}");
        }
    }

    #[test]
    fn a_volunteer_reads_the_phone_of_her_own_senior_and_no_health_of_anybody() {
        let own = Relation { paired: true, ..Relation::default() };
        assert!(own.may(Capability::PhoneRead) && own.may(Capability::SignalCreate));
        assert!(own.may(Capability::ReturnConfirm), "who is paired says that she comes back");
        assert!(!Relation { on_duty: true, ..Relation::default() }.may(Capability::ReturnConfirm));
        assert!(!own.may(Capability::HealthRead) && !own.may(Capability::SensitiveRead) && !own.may(Capability::AbsenceConfirm));
        let stranger = Relation { roles: vec![Role::Volunteer], ..Relation::default() };
        assert!(!stranger.may(Capability::SeniorRead));
        let told = Relation { told: true, ..Relation::default() };
        assert!(told.may(Capability::SensitiveRead) && !told.may(Capability::AbsencePropose));
    }

    #[test]
    fn without_any_relation_nothing_is_allowed() {
        for capability in Capability::ALL {
            assert!(!Relation::default().may(*capability), "{capability}");
        }
    }
}
