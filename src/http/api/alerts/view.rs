//! Alerts as the API shows them.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::domain::absence::{ABSENCE_DAYS_MAX, AbsenceFact};
use crate::domain::access::{Capability, Relation};
use crate::domain::alert::{AlertState, Ladder, StepAct, StepState, TimelineKind, TriggerKind};
use crate::domain::check::Cause;
use crate::http::value::AbsenceWord;
use crate::store::alert::{self, AlertItem};
use crate::store::{Error, Result, Tx, case};

/// One alert of a list: no room, no phone.
#[derive(Serialize, ToSchema)]
pub struct Alert {
    id: Uuid,
    senior_id: Uuid,
    called: String,
    building: String,
    unit: String,
    state: AlertState,
    ladder: Ladder,
    cause: Cause,
    epoch: i64,
    level: i64,
    trial: bool,
    drill: bool,
    opened_at: DateTime<Utc>,
    claimed_by: Option<Uuid>,
    claimed_by_called: Option<String>,
    claim_until: Option<DateTime<Utc>>,
    emergency_at: Option<DateTime<Utc>>,
    /// A sensor showed the sign late: a call may do, so it stands lower on the list.
    sensor_noted_at: Option<DateTime<Utc>>,
    resolved_at: Option<DateTime<Utc>>,
    resolved_by: Option<Uuid>,
    /// How it is known, whether she was well, and what it was: for those who may read about health, and whoever resolved it.
    contact_proof: Option<String>,
    safe: Option<bool>,
    outcome: Option<String>,
    outcome_note: Option<String>,
    reviewed_at: Option<DateTime<Utc>>,
    /// The service was down while this fell due.
    outage_from: Option<DateTime<Utc>>,
    outage_to: Option<DateTime<Utc>>,
}

#[derive(Serialize, ToSchema)]
pub struct AlertDetail {
    #[serde(flatten)]
    alert: Alert,
    triggers: Vec<Trigger>,
    steps: Vec<Step>,
    timeline: Vec<TimelineEntry>,
    told: Vec<Told>,
    /// Somebody says that she was away on a day of this alert, and nobody has confirmed it: it excuses nothing.
    proposed_absence: Option<AbsenceWord>,
    /// She should have been back by a day of this alert, and nobody confirmed that: please call who reported it first.
    unconfirmed_return: Option<AbsenceWord>,
    /// The door and the phone, for those who may call; the key for those whom the ladder has told and for staff.
    #[serde(skip_serializing_if = "Option::is_none")]
    door: Option<Door>,
    /// Whom to phone, in order.
    #[serde(skip_serializing_if = "Option::is_none")]
    contacts: Option<Vec<Contact>>,
}

#[derive(Serialize, ToSchema)]
struct Trigger {
    id: Uuid,
    kind: TriggerKind,
    cause: Cause,
    local_date: NaiveDate,
    slot: Option<String>,
    note: Option<String>,
    at: DateTime<Utc>,
}

#[derive(Serialize, ToSchema)]
struct Step {
    epoch: i64,
    /// Its number within the epoch.
    #[serde(rename = "step")]
    number: i64,
    level: i64,
    act: StepAct,
    due_at: DateTime<Utc>,
    state: StepState,
    fired_at: Option<DateTime<Utc>>,
    told: i64,
}

#[derive(Serialize, ToSchema)]
struct TimelineEntry {
    at: DateTime<Utc>,
    kind: TimelineKind,
    actor_id: Option<Uuid>,
    actor_called: Option<String>,
    detail: BTreeMap<String, String>,
}

#[derive(Serialize, ToSchema)]
struct Told {
    recipient_id: Uuid,
    recipient_called: String,
    level: i64,
    key: String,
    state: String,
    channel: Option<String>,
    sent_at: Option<DateTime<Utc>>,
    call_no: Option<i64>,
}

#[derive(Serialize, ToSchema)]
struct Door {
    name: String,
    phone: Option<String>,
    floor: Option<i64>,
    room: String,
    window_hint: String,
    hearing_hint: String,
    key_holder: Option<String>,
    key_holder_phone: Option<String>,
    /// Without it nobody enters: 110 is called instead.
    entry_consent: bool,
}

#[derive(Serialize, ToSchema)]
#[schema(as = AlertContact)]
struct Contact {
    position: i64,
    name: String,
    relation: String,
    phone: String,
    minutes_away: Option<i64>,
}

/// How it ended is a word about health (domain.md §9): others learn that it is over.
fn reads_outcome(item: &AlertItem, relation: &Relation, reader: Uuid) -> bool {
    relation.may(Capability::HealthRead) || item.resolved_by == Some(reader)
}

impl Alert {
    /// The fields that this reader may see.
    pub fn seen_by(item: AlertItem, relation: &Relation, reader: Uuid) -> Self {
        let alert = if reads_outcome(&item, relation, reader) { item } else { item.without_outcome() };
        Self::from(alert)
    }
}

/// Everything about one alert that this reader may see.
pub async fn detail(tx: &mut Tx, site: Uuid, item: AlertItem, relation: &Relation, reader: Uuid) -> Result<AlertDetail> {
    let (id, senior) = (item.id, item.senior_id);
    let outcome = reads_outcome(&item, relation, reader);
    let triggers = alert::triggers(tx, site, id).await?;
    let absences = absences(tx, site, senior, &triggers).await?;
    let find = |is_meant: &dyn Fn(&AbsenceFact, &alert::TriggerItem) -> bool| {
        let found = absences.iter().find(|absence| triggers.iter().any(|trigger| is_meant(absence, trigger)));
        found.cloned().map(AbsenceWord::from)
    };
    let proposed_absence = find(&|absence, trigger| absence.is_proposed_on(trigger.local_date));
    let unconfirmed_return = find(&|absence, trigger| trigger.check_id.is_some_and(|check| absence.return_is_in_doubt(check)));
    let triggers = triggers.into_iter().map(Trigger::from).collect();
    let steps = alert::steps(tx, site, id).await?.into_iter().map(Step::from).collect();
    let mut timeline: Vec<TimelineEntry> =
        alert::timeline(tx, site, id).await?.into_iter().map(TimelineEntry::read).collect::<Result<_>>()?;
    let mut told: Vec<Told> = alert::told(tx, site, id).await?.into_iter().map(Told::from).collect();
    if !outcome {
        timeline.iter_mut().for_each(TimelineEntry::hide_outcome);
        told.iter_mut().for_each(Told::hide_outcome);
    }
    let sensitive = relation.may(Capability::SensitiveRead);
    let door = if relation.may(Capability::PhoneRead) {
        let door = Door::from(alert::door(tx, site, senior).await?);
        Some(if sensitive { door } else { Door { key_holder: None, key_holder_phone: None, ..door } })
    } else {
        None
    };
    let contacts = if sensitive { Some(alert::contacts(tx, site, senior).await?.into_iter().map(Contact::from).collect()) } else { None };
    let alert = Alert::seen_by(item, relation, reader);
    Ok(AlertDetail { alert, triggers, steps, timeline, told, proposed_absence, unconfirmed_return, door, contacts })
}

/// The absences that may say something about the days of an alert.
async fn absences(tx: &mut Tx, site: Uuid, senior: Uuid, triggers: &[alert::TriggerItem]) -> Result<Vec<AbsenceFact>> {
    let Some(first) = triggers.iter().map(|trigger| trigger.local_date).min() else { return Ok(Vec::new()) };
    let found = case::absences(tx, site, &[senior], first - TimeDelta::days(ABSENCE_DAYS_MAX)).await?;
    Ok(found.into_values().flatten().collect())
}

impl TimelineEntry {
    fn read(item: alert::TimelineItem) -> Result<Self> {
        let detail = serde_json::from_str(&item.detail).map_err(|error| Error::broken("alert_event", item.id, error))?;
        Ok(Self { at: item.at, kind: item.kind, actor_id: item.actor_id, actor_called: item.actor_called, detail })
    }

    fn hide_outcome(&mut self) {
        self.detail.remove("outcome");
        self.detail.remove("proof");
    }
}

impl Told {
    /// Which of the two sentences of a stand-down somebody got says whether all was well.
    fn hide_outcome(&mut self) {
        if self.key.starts_with(STAND_DOWN) {
            STAND_DOWN.clone_into(&mut self.key);
        }
    }
}

/// What the keys of all stand-downs begin with; alone it says only that it is over.
const STAND_DOWN: &str = "notice.stand_down";

impl From<alert::StepItem> for Step {
    fn from(item: alert::StepItem) -> Self {
        Self {
            epoch: item.epoch,
            number: item.step,
            level: item.level,
            act: item.act,
            due_at: item.due_at,
            state: item.state,
            fired_at: item.fired_at,
            told: item.told,
        }
    }
}

/// The same fields under the API's names.
macro_rules! same_fields {
    ($from:ty => $to:ident { $($field:ident),+ $(,)? }) => {
        impl From<$from> for $to {
            fn from(item: $from) -> Self {
                Self { $($field: item.$field),+ }
            }
        }
    };
}

same_fields!(AlertItem => Alert { id, senior_id, called, building, unit, state, ladder, cause, epoch, level, trial, drill, opened_at, claimed_by,
    claimed_by_called, claim_until, emergency_at, sensor_noted_at, resolved_at, resolved_by, contact_proof, safe, outcome, outcome_note,
    reviewed_at, outage_from, outage_to });
same_fields!(alert::TriggerItem => Trigger { id, kind, cause, local_date, slot, note, at });
same_fields!(alert::ToldItem => Told { recipient_id, recipient_called, level, key, state, channel, sent_at, call_no });
same_fields!(alert::DoorItem => Door { name, phone, floor, room, window_hint, hearing_hint, key_holder, key_holder_phone, entry_consent });
same_fields!(alert::ContactItem => Contact { position, name, relation, phone, minutes_away });
