//! Alerts as the API shows them.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::domain::absence::{ABSENCE_DAYS_MAX, AbsenceFact};
use crate::domain::access::{Capability, Relation};
use crate::domain::alert::{AlertState, Ladder, StepAct, StepState, TimelineKind, TriggerKind};
use crate::domain::case::possible::{Possible, possible};
use crate::domain::check::Cause;
use crate::domain::notice::arguments;
use crate::http::value::AbsenceWord;
use crate::store::alert::{self, AlertItem};
use crate::store::journey::{self, Happened};
use crate::store::{Error, Result, Tx, case, contact_call};

/// One alert of a list: no room, no phone.
#[derive(Serialize, ToSchema)]
pub struct Alert {
    pub id: Uuid,
    pub senior_id: Uuid,
    pub called: String,
    pub building: String,
    pub unit: String,
    pub state: AlertState,
    pub ladder: Ladder,
    pub cause: Cause,
    pub epoch: i64,
    pub level: i64,
    pub trial: bool,
    pub drill: bool,
    pub opened_at: DateTime<Utc>,
    pub claimed_by: Option<Uuid>,
    pub claimed_by_called: Option<String>,
    pub claim_until: Option<DateTime<Utc>>,
    pub emergency_at: Option<DateTime<Utc>>,
    /// A sensor showed the sign late: a call may do, so it stands lower on the list.
    pub sensor_noted_at: Option<DateTime<Utc>>,
    pub resolved_at: Option<DateTime<Utc>>,
    pub resolved_by: Option<Uuid>,
    /// How it is known, whether she was well, and what it was: for those who may read about health, and whoever resolved it.
    pub contact_proof: Option<String>,
    pub safe: Option<bool>,
    pub outcome: Option<String>,
    pub outcome_note: Option<String>,
    pub reviewed_at: Option<DateTime<Utc>>,
    /// The service was down while this fell due.
    pub outage_from: Option<DateTime<Utc>>,
    pub outage_to: Option<DateTime<Utc>>,
    /// What the reader may do with it as it stands.
    pub may: Vec<Possible>,
}

#[derive(Serialize, ToSchema)]
pub struct AlertDetail {
    #[serde(flatten)]
    pub alert: Alert,
    pub triggers: Vec<Trigger>,
    pub steps: Vec<Step>,
    pub timeline: Vec<TimelineEntry>,
    pub told: Vec<Told>,
    /// Family who were told by message, in their order: neither names nor numbers.
    pub contacts_told: Vec<ContactTold>,
    /// Somebody says that she was away on a day of this alert, and nobody has confirmed it: it excuses nothing.
    pub proposed_absence: Option<AbsenceWord>,
    /// She should have been back by a day of this alert, and nobody confirmed that: please call who reported it first.
    pub unconfirmed_return: Option<AbsenceWord>,
    /// The door and the phone, for those who may call; the key for those whom the ladder has told and for staff.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub door: Option<Door>,
    /// Whom to phone, in order.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contacts: Option<Vec<Contact>>,
}

#[derive(Serialize, ToSchema)]
pub struct Trigger {
    pub id: Uuid,
    pub kind: TriggerKind,
    pub cause: Cause,
    pub local_date: NaiveDate,
    pub slot: Option<String>,
    pub note: Option<String>,
    pub at: DateTime<Utc>,
}

#[derive(Serialize, ToSchema)]
pub struct Step {
    pub epoch: i64,
    /// Its number within the epoch.
    #[serde(rename = "step")]
    pub number: i64,
    pub level: i64,
    pub act: StepAct,
    pub due_at: DateTime<Utc>,
    pub state: StepState,
    pub fired_at: Option<DateTime<Utc>>,
    pub told: i64,
}

#[derive(Serialize, ToSchema)]
pub struct TimelineEntry {
    pub at: DateTime<Utc>,
    pub kind: TimelineKind,
    pub actor_id: Option<Uuid>,
    pub actor_called: Option<String>,
    /// Of a `message`: `to` and `called`, whom it was for; `fact`, what is known; `times` in a row; `channel`, and `next`, the one tried
    /// instead.
    pub detail: BTreeMap<String, String>,
}

#[derive(Serialize, ToSchema)]
pub struct Told {
    pub recipient_id: Uuid,
    pub recipient_called: String,
    pub level: i64,
    pub key: String,
    pub state: String,
    pub channel: Option<String>,
    pub sent_at: Option<DateTime<Utc>>,
    pub call_no: Option<i64>,
}

#[derive(Serialize, ToSchema)]
pub struct ContactTold {
    pub contact_id: Uuid,
    /// 女儿
    pub relation: String,
    pub told_at: DateTime<Utc>,
    /// Of the last message to her.
    pub state: Option<String>,
    pub channel: Option<String>,
    pub sent_at: Option<DateTime<Utc>>,
    /// going, reached or cannot.
    pub answer: Option<String>,
    /// Until she is there, if she said so.
    pub minutes: Option<i64>,
    pub answered_at: Option<DateTime<Utc>>,
}

#[derive(Serialize, ToSchema)]
pub struct Door {
    pub name: String,
    pub phone: Option<String>,
    pub floor: Option<i64>,
    pub room: String,
    pub window_hint: String,
    pub hearing_hint: String,
    pub key_holder: Option<String>,
    pub key_holder_phone: Option<String>,
    /// Without it nobody enters: 110 is called instead.
    pub entry_consent: bool,
}

#[derive(Serialize, ToSchema)]
#[schema(as = AlertContact)]
pub struct Contact {
    pub position: i64,
    pub name: String,
    pub relation: String,
    pub phone: String,
    pub minutes_away: Option<i64>,
}

/// How it ended is a word about health (domain.md §9): others learn that it is over.
fn reads_outcome(item: &AlertItem, relation: &Relation, reader: Uuid) -> bool {
    relation.may(Capability::HealthRead) || item.resolved_by == Some(reader)
}

impl Alert {
    /// The fields that this reader may see.
    pub fn seen_by(item: AlertItem, relation: &Relation, reader: Uuid, now: DateTime<Utc>) -> Self {
        let may = possible(item.standing(now), relation, reader);
        let alert = if reads_outcome(&item, relation, reader) { item } else { item.without_outcome() };
        Self { may, ..Self::from(alert) }
    }
}

/// Everything about one alert that this reader may see.
pub async fn detail(
    tx: &mut Tx,
    site: Uuid,
    item: AlertItem,
    relation: &Relation,
    reader: Uuid,
    now: DateTime<Utc>,
) -> Result<AlertDetail> {
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
    let (timeline, told) = news(tx, site, id, outcome).await?;
    let contacts_told = contact_call::told(tx, site, id).await?.into_iter().map(ContactTold::from).collect();
    let sensitive = relation.may(Capability::SensitiveRead);
    let door = if relation.may(Capability::PhoneRead) {
        let door = Door::from(alert::door(tx, site, senior).await?);
        Some(if sensitive { door } else { Door { key_holder: None, key_holder_phone: None, ..door } })
    } else {
        None
    };
    let contacts = if sensitive { Some(alert::contacts(tx, site, senior).await?.into_iter().map(Contact::from).collect()) } else { None };
    let alert = Alert::seen_by(item, relation, reader, now);
    Ok(AlertDetail { alert, triggers, steps, timeline, told, contacts_told, proposed_absence, unconfirmed_return, door, contacts })
}

/// What has happened, and who was told, as far as this reader may know it: all that changes on an open page.
pub async fn followed(
    tx: &mut Tx,
    site: Uuid,
    item: &AlertItem,
    relation: &Relation,
    reader: Uuid,
) -> Result<(Vec<TimelineEntry>, Vec<Told>)> {
    news(tx, site, item.id, reads_outcome(item, relation, reader)).await
}

async fn news(tx: &mut Tx, site: Uuid, id: Uuid, outcome: bool) -> Result<(Vec<TimelineEntry>, Vec<Told>)> {
    let mut timeline: Vec<TimelineEntry> =
        alert::timeline(tx, site, id).await?.into_iter().map(TimelineEntry::read).collect::<Result<_>>()?;
    timeline.extend(journey::of_alert(tx, site, id).await?.into_iter().map(TimelineEntry::from));
    timeline.sort_by_key(|entry| entry.at);
    let mut told: Vec<Told> = alert::told(tx, site, id).await?.into_iter().map(Told::from).collect();
    if !outcome {
        timeline.iter_mut().for_each(TimelineEntry::hide_outcome);
        told.iter_mut().for_each(Told::hide_outcome);
    }
    Ok((timeline, told))
}

/// The absences that may say something about the days of an alert.
async fn absences(tx: &mut Tx, site: Uuid, senior: Uuid, triggers: &[alert::TriggerItem]) -> Result<Vec<AbsenceFact>> {
    let Some(first) = triggers.iter().map(|trigger| trigger.local_date).min() else { return Ok(Vec::new()) };
    let found = case::absences(tx, site, &[senior], first - TimeDelta::days(ABSENCE_DAYS_MAX)).await?;
    Ok(found.into_values().flatten().collect())
}

impl TimelineEntry {
    /// A row as it is stored.
    pub fn read(item: alert::TimelineItem) -> Result<Self> {
        let detail = serde_json::from_str(&item.detail).map_err(|error| Error::broken("alert_event", item.id, error))?;
        Ok(Self { at: item.at, kind: item.kind, actor_id: item.actor_id, actor_called: item.actor_called, detail })
    }

    fn hide_outcome(&mut self) {
        self.detail.remove("outcome");
        self.detail.remove("proof");
    }
}

impl From<Happened> for TimelineEntry {
    fn from(happened: Happened) -> Self {
        let Happened { recipient_id, called, channel, told } = happened;
        let mut detail = arguments([("to", recipient_id.to_string()), ("called", called), ("fact", told.fact.to_string())]);
        detail.insert("times".to_owned(), told.times.to_string());
        detail.extend(channel.map(|channel| ("channel".to_owned(), channel.to_string())));
        detail.extend(told.next.map(|next| ("next".to_owned(), next.to_string())));
        Self { at: told.at, kind: TimelineKind::Message, actor_id: None, actor_called: None, detail }
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

impl From<AlertItem> for Alert {
    fn from(item: AlertItem) -> Self {
        Self {
            id: item.id,
            senior_id: item.senior_id,
            called: item.called,
            building: item.building,
            unit: item.unit,
            state: item.state,
            ladder: item.ladder,
            cause: item.cause,
            epoch: item.epoch,
            level: item.level,
            trial: item.trial,
            drill: item.drill,
            opened_at: item.opened_at,
            claimed_by: item.claimed_by,
            claimed_by_called: item.claimed_by_called,
            claim_until: item.claim_until,
            emergency_at: item.emergency_at,
            sensor_noted_at: item.sensor_noted_at,
            resolved_at: item.resolved_at,
            resolved_by: item.resolved_by,
            contact_proof: item.contact_proof,
            safe: item.safe,
            outcome: item.outcome,
            outcome_note: item.outcome_note,
            reviewed_at: item.reviewed_at,
            outage_from: item.outage_from,
            outage_to: item.outage_to,
            may: Vec::new(),
        }
    }
}

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

same_fields!(alert::TriggerItem => Trigger { id, kind, cause, local_date, slot, note, at });
same_fields!(alert::ToldItem => Told { recipient_id, recipient_called, level, key, state, channel, sent_at, call_no });
same_fields!(alert::DoorItem => Door { name, phone, floor, room, window_hint, hearing_hint, key_holder, key_holder_phone, entry_consent });
same_fields!(contact_call::ToldContact => ContactTold { contact_id, relation, told_at, state, channel, sent_at, answer, minutes, answered_at });
same_fields!(alert::ContactItem => Contact { position, name, relation, phone, minutes_away });
