//! The words of the register: places, roles, seniors, pairings.

use crate::words;

words! {
    /// 街道 · 社区 · 小区 · 楼栋, from wide to narrow.
    pub enum PlaceKind { Street = "street", Community = "community", Compound = "compound", Building = "building" }
}

impl PlaceKind {
    /// The kind that a place of this kind may stand under; a street stands alone.
    pub fn parent(self) -> Option<Self> {
        match self {
            Self::Street => None,
            Self::Community => Some(Self::Street),
            Self::Compound => Some(Self::Community),
            Self::Building => Some(Self::Compound),
        }
    }
}

words! {
    /// Roles of `role_grant`. `administrator` keeps the register; `operator` runs the server and gets its notices.
    pub enum Role {
        Administrator = "administrator", Volunteer = "volunteer", PartyHubHousehold = "party_hub_household",
        BuildingLead = "building_lead", GridOfficerFullTime = "grid_officer_full_time",
        GridOfficerPartTime = "grid_officer_part_time", SocialWorker = "social_worker",
        BranchSecretary = "branch_secretary", PropertyStaff = "property_staff",
        PropertyCommittee = "property_committee", StreetDuty = "street_duty", Operator = "operator"
    }
}

words! {
    /// 特殊群体: why somebody is looked after. Labels are data, because definitions differ by place.
    pub enum Category {
        LivingAlone = "living_alone", EmptyNest = "empty_nest", LeftBehind = "left_behind",
        DisabledCapability = "disabled_capability", Dementia = "dementia", SevereDisability = "severe_disability",
        FamilyPlanningSpecial = "family_planning_special", AdvancedAge = "advanced_age", Tekun = "tekun", Dibao = "dibao"
    }
}

words! {
    /// 红黄绿分级: sets the visit interval.
    pub enum RiskBand { Red = "red", Yellow = "yellow", Green = "green" }
}

words! {
    /// A canary exists to prove that alerts work; it is in no statistic.
    pub enum Purpose { Real = "real", Canary = "canary" }
}

words! {
    /// The assigned party member is the primary.
    pub enum PairingKind { Primary = "primary", Backup = "backup" }
}

words! {
    /// What a senior has agreed to, each withdrawable.
    pub enum ConsentScope {
        DailyCheck = "daily_check", Visit = "visit", Sensor = "sensor", Photo = "photo",
        HealthNote = "health_note", FamilyContact = "family_contact", KeyEntry = "key_entry"
    }
}
