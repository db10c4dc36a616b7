//! Which fields of a senior a reader sees, by her tie to the senior.

use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::domain::access::{Capability, Relation};
use crate::domain::place::{Category, Purpose, RiskBand};
use crate::domain::register::masked;
use crate::store::register::senior::AtHome;
use crate::store::unheard::Contact;

#[derive(Serialize, ToSchema)]
pub struct SeniorView {
    pub id: Uuid,
    pub home_id: Uuid,
    /// Masked in lists (张**) unless the reader is one of those who go.
    pub name: String,
    pub called: String,
    pub building_id: Uuid,
    pub building: String,
    pub unit: String,
    pub room: String,
    pub window_hint: String,
    pub walk_order: i64,
    pub hearing_hint: String,
    pub purpose: Purpose,
    /// When a person last saw her or heard her voice.
    pub last_contact_at: Option<DateTime<Utc>>,
    /// In red: that was more than a week ago.
    pub contact_overdue: bool,
    /// For those who may call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phone: Option<String>,
    /// For those who may read about health.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub categories: Option<Vec<Category>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub risk_band: Option<RiskBand>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub birth_year: Option<i64>,
    /// The open finding that asks to agree another time or sign with her.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agreement_finding_id: Option<Uuid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<DateTime<Utc>>,
    pub version: i64,
}

impl SeniorView {
    pub fn in_list(row: AtHome, relation: &Relation, contact: Contact) -> Self {
        let goes = relation.paired || relation.on_duty || relation.told;
        let name = if goes { row.senior.name.clone() } else { masked(&row.senior.name) };
        Self { name, ..Self::single(row, relation, contact) }
    }

    pub fn single(row: AtHome, relation: &Relation, contact: Contact) -> Self {
        let senior = row.senior;
        let health = relation.may(Capability::HealthRead);
        Self {
            id: senior.id,
            home_id: senior.home_id,
            name: senior.name,
            called: senior.called,
            building_id: row.building_id,
            building: row.building_name,
            unit: row.unit,
            room: row.room,
            window_hint: row.window_hint,
            walk_order: row.walk_order,
            hearing_hint: senior.hearing_hint,
            purpose: senior.purpose,
            last_contact_at: contact.last_contact_at,
            contact_overdue: contact.overdue,
            phone: senior.phone.filter(|_| relation.may(Capability::PhoneRead)),
            categories: health.then(|| senior.categories.0.into_iter().collect()),
            risk_band: health.then_some(senior.risk_band),
            birth_year: senior.birth_year.filter(|_| health),
            agreement_finding_id: row.misfit_id.filter(|_| health),
            ended_at: senior.ended_at,
            version: senior.version,
        }
    }
}
