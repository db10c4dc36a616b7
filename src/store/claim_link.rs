//! The link in a message that lets its reader say "I am going" without signing in: a capability for one person and the alerts of one
//! message, of use while one of them is open. Only its hash is kept, beside the message.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};
use sqlx::FromRow;
use uuid::Uuid;

use super::{Result, Tx};
use crate::on;

/// 128 bits: short enough for a text message, too long to be guessed.
const KEY_BYTES: usize = 16;

/// A fresh key; it stands in the message and nowhere else.
pub struct ClaimKey(String);

impl ClaimKey {
    pub fn random() -> Self {
        Self(URL_SAFE_NO_PAD.encode(rand::random::<[u8; KEY_BYTES]>()))
    }

    pub fn text(&self) -> &str {
        &self.0
    }

    pub fn hash(&self) -> Vec<u8> {
        hash(&self.0).expect("a fresh key has the shape of a key")
    }
}

/// `None`: this text was never a key of ours.
pub(super) fn hash(key: &str) -> Option<Vec<u8>> {
    let bytes = URL_SAFE_NO_PAD.decode(key).ok().filter(|bytes| bytes.len() == KEY_BYTES)?;
    Some(Sha256::digest(bytes).to_vec())
}

/// Whom a link is for, and the alerts that it is about.
#[derive(Debug, Clone)]
pub struct Offer {
    pub site_id: Uuid,
    pub member_id: Uuid,
    pub called: String,
    pub locale: String,
    pub timezone: String,
    pub alerts: Vec<Offered>,
}

/// As much of an alert as its message said.
#[derive(Debug, Clone, FromRow)]
pub struct Offered {
    pub id: Uuid,
    pub called: String,
    pub building: String,
    pub unit: String,
    pub drill: bool,
    pub resolved_at: Option<DateTime<Utc>>,
    pub claimed_by: Option<Uuid>,
    pub claimed_by_called: Option<String>,
    pub claim_until: Option<DateTime<Utc>>,
}

/// What a link opens; `None` if it is unknown, its person has left, or all its alerts have ended.
pub async fn find(tx: &mut Tx, key: &str) -> Result<Option<Offer>> {
    let Some(hash) = hash(key) else { return Ok(None) };
    let sql = "select s.site_id, s.id, m.id, m.called, m.locale, t.timezone from message s
        join member m on m.site_id = s.site_id and m.id = s.recipient_id and m.ended_at is null
        join site t on t.id = s.site_id
        where s.claim_hash = $1";
    let found: Option<(Uuid, Uuid, Uuid, String, String, String)> =
        on!(tx, |conn| sqlx::query_as(sql).bind(hash).fetch_optional(conn).await)?;
    let Some((site_id, message_id, member_id, called, locale, timezone)) = found else { return Ok(None) };
    let alerts = offered(tx, site_id, message_id).await?;
    if alerts.iter().all(|alert| alert.resolved_at.is_some()) {
        return Ok(None);
    }
    Ok(Some(Offer { site_id, member_id, called, locale, timezone, alerts }))
}

/// What the message said, also after its notices have moved on to another channel: its reader has the link.
async fn offered(tx: &mut Tx, site_id: Uuid, message_id: Uuid) -> Result<Vec<Offered>> {
    let sql = "select a.id, r.called, b.name as building, h.unit, a.drill, a.resolved_at, a.claimed_by, c.called as claimed_by_called, a.claim_until
        from alert a
        join senior r on r.site_id = a.site_id and r.id = a.senior_id
        join home h on h.site_id = r.site_id and h.id = r.home_id
        join place b on b.site_id = h.site_id and b.id = h.building_id
        left join member c on c.site_id = a.site_id and c.id = a.claimed_by
        where a.site_id = $1 and a.id in (select t.alert_id from message_alert t where t.site_id = $1 and t.message_id = $2)
        order by b.name, h.unit, r.called, a.id";
    Ok(on!(tx, |conn| sqlx::query_as(sql).bind(site_id).bind(message_id).fetch_all(conn).await)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_short_and_only_a_key_has_a_hash() {
        let key = ClaimKey::random();
        assert_eq!(key.text().len(), 22);
        assert_eq!(hash(key.text()), Some(key.hash()));
        for other in ["", "abc", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "../../../etc/passwd"] {
            assert_eq!(hash(other), None, "{other}");
        }
    }
}
