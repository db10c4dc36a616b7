//! Who may do what: default deny (I32). Roles give capabilities within their scope; a pairing, a duty, standing in for
//! somebody or having been told of an open alert gives a relation to one senior.

use uuid::Uuid;

use super::place::Role;
use crate::words;

words! {
    /// What a route asks for.
    pub enum Capability {
        /// Places, grids, homes, members' names: the register without seniors.
        RegisterRead = "register_read",
        RegisterWrite = "register_write",
        /// A senior's name, home, window hint, agreement, checks.
        SeniorRead = "senior_read",
        /// Phone numbers, contacts, key holder.
        SensitiveRead = "sensitive_read",
        /// Visits' conditions, hazards, health notes.
        HealthRead = "health_read",
        SeniorWrite = "senior_write",
        SignalCreate = "signal_create",
        /// Claim, on site, no answer, resolve with proof, emergency.
        AlertAct = "alert_act",
        /// Assign, escalate, review, reopen.
        AlertCommand = "alert_command",
        VisitCreate = "visit_create",
        AbsencePropose = "absence_propose",
        /// Acts that make the system silent: confirm an absence, close without proof, unbind, later deadline, ladder edit.
        Silence = "silence",
        DevicesWrite = "devices_write",
        Members = "members",
        Audit = "audit",
        Notifications = "notifications"
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

/// What a role allows within its scope.
pub fn allows(role: Role, capability: Capability) -> bool {
    use Capability as C;
    match role {
        Role::Administrator => true,
        Role::BranchSecretary | Role::SocialWorker => !matches!(capability, C::Audit),
        Role::StreetDuty => matches!(
            capability,
            C::RegisterRead
                | C::SeniorRead
                | C::SensitiveRead
                | C::SignalCreate
                | C::AlertAct
                | C::AlertCommand
                | C::VisitCreate
                | C::AbsencePropose
                | C::Notifications
        ),
        Role::GridOfficerFullTime => matches!(
            capability,
            C::RegisterRead | C::SeniorRead | C::SensitiveRead | C::SignalCreate | C::AlertAct | C::VisitCreate | C::AbsencePropose
        ),
        Role::GridOfficerPartTime | Role::BuildingLead => {
            matches!(capability, C::RegisterRead | C::SeniorRead | C::SignalCreate | C::AlertAct | C::VisitCreate | C::AbsencePropose)
        }
        // They see seniors by pairing, duty or a notice, not by their role.
        Role::Volunteer | Role::PartyHubHousehold | Role::PropertyStaff | Role::PropertyCommittee => {
            matches!(capability, C::RegisterRead)
        }
        // Runs the server, reads no register of people.
        Role::Operator => matches!(capability, C::Notifications),
    }
}
