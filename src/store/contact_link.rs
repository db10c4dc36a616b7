//! The link in a message to a contact: what she sees of the alert, and that she may answer. A capability for this contact and this alert,
//! of use while the alert is open; only its hash is kept, beside the message (see `claim_link`).

use chrono::{DateTime, Utc};
use sqlx::FromRow;
use uuid::Uuid;

use super::claim_link::hash;
use super::contact_call::agreed;
use super::{Result, Tx};
use crate::domain::alert::TimelineKind;
use crate::on;

/// What a contact sees: her senior as she is called, and what has been done.
#[derive(Debug, Clone, FromRow)]
pub struct FamilyOffer {
    pub site_id: Uuid,
    pub contact_id: Uuid,
    pub alert_id: Uuid,
    pub called: String,
    pub building: String,
    pub unit: String,
    pub site: String,
    pub timezone: String,
    pub opened_at: DateTime<Utc>,
    pub answer: Option<String>,
    pub minutes: Option<i64>,
    pub answered_at: Option<DateTime<Utc>>,
}

/// What a link opens; `None` if it is unknown, its contact may not be told any more, or the alert is over.
pub async fn find(tx: &mut Tx, key: &str) -> Result<Option<FamilyOffer>> {
    let Some(hash) = hash(key) else { return Ok(None) };
    let sql = concat!(
        "select s.site_id, k.id as contact_id, a.id as alert_id, r.called, b.name as building, h.unit, t.name as site, t.timezone, a.opened_at,
            c.answer, c.minutes, c.answered_at
        from message s
        join contact k on k.site_id = s.site_id and k.id = s.recipient_id and ",
        agreed!(),
        " join message_alert n on n.site_id = s.site_id and n.message_id = s.id
        join alert a on a.site_id = n.site_id and a.id = n.alert_id and a.resolved_at is null
        join contact_call c on c.site_id = a.site_id and c.alert_id = a.id and c.contact_id = k.id
        join senior r on r.site_id = a.site_id and r.id = a.senior_id
        join home h on h.site_id = r.site_id and h.id = r.home_id
        join place b on b.site_id = h.site_id and b.id = h.building_id
        join site t on t.id = s.site_id
        where s.claim_hash = $1 and s.recipient_kind = 'contact'
        order by c.epoch desc limit 1"
    );
    Ok(on!(tx, |conn| sqlx::query_as(sql).bind(hash).fetch_optional(conn).await)?)
}

/// What a family is told of the timeline: that people are going, and what the others of the family say. No names of members.
pub const SHOWN: [TimelineKind; 7] = [
    TimelineKind::StepFired,
    TimelineKind::Claimed,
    TimelineKind::OnSite,
    TimelineKind::NoAnswerAtDoor,
    TimelineKind::ContactGoing,
    TimelineKind::ContactReached,
    TimelineKind::ContactCannot,
];
