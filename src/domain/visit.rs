//! The visit record (domain.md §7; first and later records follow MZ/T 237-2024, service classes GB/T 43153-2023). The lists
//! of words are closed, so that a record can be counted; what does not fit goes into the note.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::case::Resolution;
use super::place::RiskBand;
use super::refusal::Refusal;
use super::register::{self, NOTE_CHARS_MAX};
use crate::words;

mod contradiction;
mod dossier;
mod found;

pub use contradiction::{Shown, shown_by};
pub use dossier::{Dossier, DossierContact, DossierKeyHolder, Hearing, Mobility, Sight, minutes_away};
pub use found::{DOSSIER, Finding, FindingKind, FindingState, Known, findings, reconcile};

words! {
    pub enum VisitKind {
        AlertFollowup = "alert_followup", CareVisit = "care_visit", GoodwillVisit = "goodwill_visit",
        FirstVisit = "first_visit", ReturnVisit = "return_visit"
    }
}
words! {
    pub enum VisitMethod { Door = "door", Phone = "phone", Video = "video", Remote = "remote" }
}
words! {
    pub enum VisitResult {
        Met = "met", NotMet = "not_met", Refused = "refused", Moved = "moved", Hospital = "hospital", Deceased = "deceased"
    }
}
words! {
    /// What became of the alert that a record was to close.
    pub enum ResolveResult {
        Resolved = "resolved",
        /// Somebody else had closed it before this record arrived.
        AlreadyResolved = "already_resolved",
        /// Something new came up after this visit: what it saw does not answer that, and the alert stays open.
        NewerTrigger = "newer_trigger"
    }
}
words! {
    pub enum ContactWith { Senior = "senior", Family = "family", Neighbour = "neighbour" }
}
words! {
    pub enum ConditionItem { Health = "health", Spirits = "spirits", Hygiene = "hygiene", Home = "home", Food = "food" }
}
words! {
    pub enum Condition { Good = "good", Fair = "fair", Poor = "poor", Unknown = "unknown" }
}
words! {
    pub enum SafetyItem {
        Gas = "gas", Electricity = "electricity", HeatingWater = "heating_water", Fire = "fire", FloorNightLight = "floor_night_light",
        Locks = "locks", ExpiredMedicine = "expired_medicine", Fraud = "fraud"
    }
}
words! {
    pub enum SafetyState { Ok = "ok", Hazard = "hazard", NotChecked = "not_checked" }
}
words! {
    /// What a senior may need; each opens a request of its service class.
    pub enum NeedItem {
        Meals = "meals", Cleaning = "cleaning", Bathing = "bathing", Company = "company", MedicalEscort = "medical_escort",
        Medication = "medication", Shopping = "shopping", Payment = "payment", Repair = "repair", Paperwork = "paperwork",
        Counselling = "counselling", Other = "other"
    }
}

impl NeedItem {
    /// The class of GB/T 43153-2023: 01 生活照料 02 基础照护 03 探访关爱 04 健康管理 05 委托代办 06 精神慰藉.
    pub fn service_class(self) -> &'static str {
        match self {
            Self::Meals | Self::Cleaning => "01",
            Self::Bathing => "02",
            Self::Company => "03",
            Self::MedicalEscort | Self::Medication => "04",
            Self::Shopping | Self::Payment | Self::Repair | Self::Paperwork | Self::Other => "05",
            Self::Counselling => "06",
        }
    }
}

/// Something that the senior needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Need {
    pub item: NeedItem,
    #[serde(default)]
    pub note: Option<String>,
}

/// An object of the API whose keys and values are closed lists of words, documented word by word.
macro_rules! by_word {
    ($(#[$meta:meta])* $name:ident { $key:ty => $value:ty }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub BTreeMap<$key, $value>);

        impl utoipa::PartialSchema for $name {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
                let closed = Some(utoipa::openapi::schema::AdditionalProperties::FreeForm(false));
                let object = <$key>::ALL.iter().fold(utoipa::openapi::schema::ObjectBuilder::new(), |object, key| {
                    object.property(key.as_str(), <$value as utoipa::PartialSchema>::schema())
                });
                utoipa::openapi::RefOr::T(utoipa::openapi::Schema::Object(object.additional_properties(closed).build()))
            }
        }
        impl ToSchema for $name {}
    };
}

by_word! {
    /// The five conditions; what is left out was not asked.
    Conditions { ConditionItem => Condition }
}
by_word! {
    /// The safety items; what is left out was not checked.
    Safety { SafetyItem => SafetyState }
}

/// The part of a record that these rules judge.
#[derive(Debug, Clone)]
pub struct VisitFacts<'a> {
    pub kind: VisitKind,
    pub method: VisitMethod,
    pub alert_id: Option<Uuid>,
    pub started_at: DateTime<Utc>,
    pub ended_at: Option<DateTime<Utc>>,
    pub result: VisitResult,
    pub contact_with: Option<ContactWith>,
    pub visitors: &'a [Uuid],
    pub dossier: Option<&'a Dossier>,
    pub needs: &'a [Need],
    pub family_visits_last_month: Option<i64>,
    pub next_due: Option<NaiveDate>,
    pub resolve: Option<&'a Resolution>,
}

const VISITORS_MAX: usize = 10;
const NEEDS_MAX: usize = 20;
const FAMILY_VISITS_MAX: i64 = 100;
const VISIT_HOURS_MAX: i64 = 24;
/// Records made offline arrive late, but not from last year.
const LATE_DAYS_MAX: i64 = 366;
/// A phone's clock may run ahead of the server's by this much.
const FUTURE_MAX: TimeDelta = TimeDelta::minutes(2);

/// Refuses a record that contradicts itself. `visit_day` is the local date on which it began: a record that was made without
/// a network and arrives days later is judged as of its own day.
pub fn validate(visit: &VisitFacts, visit_day: NaiveDate, now: DateTime<Utc>) -> Result<(), Refusal> {
    let oldest = now - TimeDelta::days(LATE_DAYS_MAX);
    if visit.started_at > now + FUTURE_MAX || visit.started_at < oldest {
        return Err(Refusal::invalid("started_at", "visit.time_range"));
    }
    if let Some(ended) = visit.ended_at {
        let length = ended - visit.started_at;
        if length < TimeDelta::zero() || length > TimeDelta::hours(VISIT_HOURS_MAX) || ended > now + FUTURE_MAX {
            return Err(Refusal::invalid("ended_at", "visit.time_range"));
        }
    }
    let mut people = visit.visitors.to_vec();
    people.sort_unstable();
    people.dedup();
    if people.is_empty() || people.len() != visit.visitors.len() || people.len() > VISITORS_MAX {
        return Err(Refusal::invalid("visitors", "visit.visitors").with("max", VISITORS_MAX));
    }
    if (visit.kind == VisitKind::AlertFollowup) != visit.alert_id.is_some() {
        return Err(Refusal::invalid("alert_id", "visit.alert_required"));
    }
    if visit.resolve.is_some() && visit.alert_id.is_none() {
        return Err(Refusal::invalid("resolve", "visit.alert_required"));
    }
    if visit.needs.len() > NEEDS_MAX {
        return Err(Refusal::invalid("needs", "visit.too_many").with("max", NEEDS_MAX));
    }
    if visit.family_visits_last_month.is_some_and(|count| !(0..=FAMILY_VISITS_MAX).contains(&count)) {
        return Err(Refusal::invalid("family_visits_last_month", "register.position").with("max", FAMILY_VISITS_MAX));
    }
    if visit.next_due.is_some_and(|due| due <= visit_day || due > visit_day + TimeDelta::days(LATE_DAYS_MAX)) {
        return Err(Refusal::invalid("next_due", "visit.next_due"));
    }
    contradiction::refuse(visit)
}

impl Need {
    pub fn checked(self) -> Result<Self, Refusal> {
        Ok(Self { note: register::optional("needs.note", self.note.as_deref(), NOTE_CHARS_MAX)?, ..self })
    }
}

/// 红黄绿分级 sets the visit interval; everybody is visited at least monthly (民发〔2022〕73号).
pub fn interval(band: RiskBand) -> TimeDelta {
    match band {
        RiskBand::Red => TimeDelta::days(7),
        RiskBand::Yellow => TimeDelta::days(14),
        RiskBand::Green => TimeDelta::days(30),
    }
}

/// When the next visit is due if the record does not say: a door that stayed shut is tried again the next day, and somebody who
/// moved, lies in hospital or has died is not visited by the calendar.
pub fn next_due(result: VisitResult, band: RiskBand, visit_day: NaiveDate) -> Option<NaiveDate> {
    match result {
        VisitResult::Met | VisitResult::Refused => Some(visit_day + interval(band)),
        VisitResult::NotMet => Some(visit_day + TimeDelta::days(1)),
        VisitResult::Moved | VisitResult::Hospital | VisitResult::Deceased => None,
    }
}

#[cfg(test)]
mod tests;
