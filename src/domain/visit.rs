//! The visit record (domain.md §7; first and later records follow MZ/T 237-2024, service classes GB/T 43153-2023). The lists
//! of words are closed, so that a record can be counted; what does not fit goes into the note.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::place::RiskBand;
use super::refusal::Refusal;
use super::register::{self, CONTACTS_MAX, HINT_CHARS_MAX, NOTE_CHARS_MAX};
use crate::words;

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

words! {
    pub enum FindingKind { Hazard = "hazard", Need = "need" }
}
words! {
    /// 点单 → 派单 → 领单 → 督单 → 评单
    pub enum FindingState {
        Requested = "requested", Dispatched = "dispatched", Accepted = "accepted", Supervised = "supervised", Rated = "rated"
    }
}

impl FindingState {
    /// A request moves on, stages may be passed over, and what was rated is closed.
    pub fn may_become(self, next: Self) -> bool {
        next > self
    }
    pub fn is_closed(self) -> bool {
        self == Self::Rated
    }
}

words! {
    pub enum Hearing { Good = "good", Hard = "hard", Deaf = "deaf" }
}
words! {
    pub enum Sight { Good = "good", Poor = "poor", Blind = "blind" }
}
words! {
    pub enum Mobility { Walks = "walks", WithAid = "with_aid", Wheelchair = "wheelchair", Bedridden = "bedridden" }
}

/// Something that the senior needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Need {
    pub item: NeedItem,
    #[serde(default)]
    pub note: Option<String>,
}

/// What the first visit adds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Dossier {
    /// Which window, and how to see it from the ground.
    pub window: String,
    pub walk_order: i64,
    pub usual_rising: chrono::NaiveTime,
    pub hearing: Hearing,
    pub sight: Sight,
    pub mobility: Mobility,
    #[serde(default)]
    pub key_holder: Option<String>,
    pub consent_to_enter: bool,
    /// In the order in which they are phoned.
    pub contacts: Vec<DossierContact>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DossierContact {
    pub name: String,
    pub relation: String,
    pub phone: String,
    #[serde(default)]
    pub minutes_away: Option<i64>,
}

/// The part of a record that these rules judge.
#[derive(Debug, Clone)]
pub struct VisitFacts<'a> {
    pub kind: VisitKind,
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
}

const VISITORS_MAX: usize = 10;
const NEEDS_MAX: usize = 20;
const FAMILY_VISITS_MAX: i64 = 100;
const VISIT_HOURS_MAX: i64 = 24;
/// Records made offline arrive late, but not from last year.
const LATE_DAYS_MAX: i64 = 366;
/// A phone's clock may run ahead of the server's by this much.
const FUTURE_MAX: TimeDelta = TimeDelta::minutes(2);
const MINUTES_AWAY_MAX: i64 = 10_000;

/// Refuses a record that contradicts itself.
pub fn validate(visit: &VisitFacts, today: NaiveDate, now: DateTime<Utc>) -> Result<(), Refusal> {
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
    if visit.dossier.is_some() && visit.kind != VisitKind::FirstVisit {
        return Err(Refusal::invalid("dossier", "visit.dossier_only_first"));
    }
    if visit.result == VisitResult::Met && visit.contact_with.is_none() {
        return Err(Refusal::invalid("contact_with", "visit.contact_with_required"));
    }
    if visit.needs.len() > NEEDS_MAX {
        return Err(Refusal::invalid("needs", "visit.too_many").with("max", NEEDS_MAX));
    }
    if visit.family_visits_last_month.is_some_and(|count| !(0..=FAMILY_VISITS_MAX).contains(&count)) {
        return Err(Refusal::invalid("family_visits_last_month", "register.position").with("max", FAMILY_VISITS_MAX));
    }
    if visit.next_due.is_some_and(|due| due <= today || due > today + TimeDelta::days(LATE_DAYS_MAX)) {
        return Err(Refusal::invalid("next_due", "visit.next_due"));
    }
    Ok(())
}

impl Need {
    pub fn checked(self) -> Result<Self, Refusal> {
        Ok(Self { note: register::optional("needs.note", self.note.as_deref(), NOTE_CHARS_MAX)?, ..self })
    }
}

impl Dossier {
    pub fn checked(self) -> Result<Self, Refusal> {
        if self.contacts.len() > usize::try_from(CONTACTS_MAX).unwrap_or_default() {
            return Err(Refusal::invalid("dossier.contacts", "register.contacts_max").with("max", CONTACTS_MAX));
        }
        Ok(Self {
            window: register::text("dossier.window", &self.window, HINT_CHARS_MAX)?,
            walk_order: register::position("dossier.walk_order", self.walk_order)?,
            key_holder: register::optional("dossier.key_holder", self.key_holder.as_deref(), HINT_CHARS_MAX)?,
            contacts: self.contacts.into_iter().map(DossierContact::checked).collect::<Result<_, _>>()?,
            ..self
        })
    }
}

impl DossierContact {
    fn checked(self) -> Result<Self, Refusal> {
        Ok(Self {
            name: register::name("dossier.contacts.name", &self.name)?,
            relation: register::name("dossier.contacts.relation", &self.relation)?,
            phone: register::phone("dossier.contacts.phone", &self.phone)?,
            minutes_away: minutes_away("dossier.contacts.minutes_away", self.minutes_away)?,
        })
    }
}

/// How long a contact needs to come.
pub fn minutes_away(field: &str, minutes: Option<i64>) -> Result<Option<i64>, Refusal> {
    match minutes {
        Some(minutes) if !(0..=MINUTES_AWAY_MAX).contains(&minutes) => {
            Err(Refusal::invalid(field, "register.position").with("max", MINUTES_AWAY_MAX))
        }
        _ => Ok(minutes),
    }
}

/// What a record found: hazards first, then needs. (kind, item, service class, note)
pub fn findings(
    safety: &BTreeMap<SafetyItem, SafetyState>,
    needs: &[Need],
) -> Vec<(FindingKind, &'static str, Option<&'static str>, Option<String>)> {
    let hazards =
        safety.iter().filter(|(_, state)| **state == SafetyState::Hazard).map(|(item, _)| (FindingKind::Hazard, item.as_str(), None, None));
    let needs = needs.iter().map(|need| (FindingKind::Need, need.item.as_str(), Some(need.item.service_class()), need.note.clone()));
    hazards.chain(needs).collect()
}

/// 红黄绿分级 sets the visit interval; everybody is visited at least monthly (民发〔2022〕73号).
pub fn interval(band: RiskBand) -> TimeDelta {
    match band {
        RiskBand::Red => TimeDelta::days(7),
        RiskBand::Yellow => TimeDelta::days(14),
        RiskBand::Green => TimeDelta::days(30),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> DateTime<Utc> {
        "2026-11-24T02:00:00Z".parse().unwrap()
    }

    fn visit(visitors: &[Uuid]) -> VisitFacts<'_> {
        VisitFacts {
            kind: VisitKind::CareVisit,
            alert_id: None,
            started_at: now() - TimeDelta::minutes(20),
            ended_at: Some(now()),
            result: VisitResult::Met,
            contact_with: Some(ContactWith::Senior),
            visitors,
            dossier: None,
            needs: &[],
            family_visits_last_month: Some(2),
            next_due: None,
        }
    }

    #[test]
    fn a_record_that_contradicts_itself_is_refused_at_its_field() {
        let one = [Uuid::from_u128(1)];
        let twice = [one[0], one[0]];
        let refused = |visit: &VisitFacts| validate(visit, now().date_naive(), now()).err().and_then(|refusal| refusal.field);
        assert_eq!(refused(&visit(&one)), None);
        assert_eq!(refused(&visit(&[])).as_deref(), Some("visitors"));
        assert_eq!(refused(&visit(&twice)).as_deref(), Some("visitors"));
        let future = VisitFacts { started_at: now() + TimeDelta::minutes(3), ended_at: None, ..visit(&one) };
        assert_eq!(refused(&future).as_deref(), Some("started_at"));
        let backwards = VisitFacts { ended_at: Some(now() - TimeDelta::hours(1)), ..visit(&one) };
        assert_eq!(refused(&backwards).as_deref(), Some("ended_at"));
        let without_alert = VisitFacts { kind: VisitKind::AlertFollowup, ..visit(&one) };
        assert_eq!(refused(&without_alert).as_deref(), Some("alert_id"));
        let met_nobody = VisitFacts { contact_with: None, ..visit(&one) };
        assert_eq!(refused(&met_nobody).as_deref(), Some("contact_with"));
        let due_yesterday = VisitFacts { next_due: Some(now().date_naive()), ..visit(&one) };
        assert_eq!(refused(&due_yesterday).as_deref(), Some("next_due"));
    }

    #[test]
    fn each_hazard_and_each_need_is_a_finding_and_what_is_in_order_is_none() {
        let safety = BTreeMap::from([
            (SafetyItem::Gas, SafetyState::Hazard),
            (SafetyItem::Fire, SafetyState::Ok),
            (SafetyItem::Locks, SafetyState::NotChecked),
        ]);
        let found = findings(&safety, &[Need { item: NeedItem::Shopping, note: None }]);
        let items: Vec<_> = found.iter().map(|(kind, item, class, _)| (*kind, *item, *class)).collect();
        assert_eq!(items, [(FindingKind::Hazard, "gas", None), (FindingKind::Need, "shopping", Some("05"))]);
    }

    #[test]
    fn a_request_only_moves_forward() {
        assert!(FindingState::Requested.may_become(FindingState::Dispatched));
        assert!(FindingState::Requested.may_become(FindingState::Rated));
        assert!(!FindingState::Accepted.may_become(FindingState::Dispatched));
        assert!(!FindingState::Rated.may_become(FindingState::Rated));
    }
}
