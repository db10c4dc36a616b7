//! What the first visit adds, so that the first alert finds the window, the key, the consent and whom to phone.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::domain::refusal::Refusal;
use crate::domain::register::{self, CONTACTS_MAX, HINT_CHARS_MAX, NAME_CHARS_MAX};
use crate::words;

words! {
    pub enum Hearing { Good = "good", Hard = "hard", Deaf = "deaf" }
}
words! {
    pub enum Sight { Good = "good", Poor = "poor", Blind = "blind" }
}
words! {
    pub enum Mobility { Walks = "walks", WithAid = "with_aid", Wheelchair = "wheelchair", Bedridden = "bedridden" }
}

const MINUTES_AWAY_MAX: i64 = 10_000;

/// What the first visit adds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Dossier {
    /// Which window, and how to see it from the ground.
    pub window: String,
    pub walk_order: i64,
    /// `06:30:00`
    #[schema(value_type = String, format = "time")]
    pub usual_rising: chrono::NaiveTime,
    pub hearing: Hearing,
    pub sight: Sight,
    pub mobility: Mobility,
    /// Left out: nothing was said about a key, and what the register knows stays.
    #[serde(default)]
    pub key_holder: Option<DossierKeyHolder>,
    pub consent_to_enter: bool,
    /// In the order in which they are phoned.
    pub contacts: Vec<DossierContact>,
}

/// Who keeps a key: a member, whom the ladder tells, or a neighbour with a phone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DossierKeyHolder {
    #[serde(default)]
    pub member_id: Option<Uuid>,
    #[serde(default)]
    pub name: Option<String>,
    #[serde(default)]
    pub phone: Option<String>,
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

impl Dossier {
    pub fn checked(self) -> Result<Self, Refusal> {
        if self.contacts.len() > usize::try_from(CONTACTS_MAX).unwrap_or_default() {
            return Err(Refusal::invalid("dossier.contacts", "register.contacts_max").with("max", CONTACTS_MAX));
        }
        Ok(Self {
            window: register::text("dossier.window", &self.window, HINT_CHARS_MAX)?,
            walk_order: register::position("dossier.walk_order", self.walk_order)?,
            key_holder: self.key_holder.map(DossierKeyHolder::checked).transpose()?,
            contacts: self.contacts.into_iter().map(DossierContact::checked).collect::<Result<_, _>>()?,
            ..self
        })
    }
}

impl DossierKeyHolder {
    fn checked(self) -> Result<Self, Refusal> {
        let name = register::optional("dossier.key_holder.name", self.name.as_deref(), NAME_CHARS_MAX)?;
        if name.is_none() && self.member_id.is_none() {
            return Err(Refusal::invalid("dossier.key_holder.name", "visit.key_holder_name"));
        }
        Ok(Self { name, phone: register::optional_phone("dossier.key_holder.phone", self.phone.as_deref())?, ..self })
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
