//! A message before it is stored: what is said to whom over which channel.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::domain::notice::RecipientKind;
use crate::notify::{self, Saying};
use crate::store::outbox::{NewMessage, Route};

pub struct Draft<'a> {
    pub site_id: Uuid,
    pub recipient_kind: RecipientKind,
    pub saying: Saying<'a>,
    pub route: &'a Route,
    pub priority: i64,
    /// Of the key in the link.
    pub claim_hash: Option<Vec<u8>>,
    /// Another channel may have shown the same.
    pub after_doubt: bool,
    pub notices: Vec<Uuid>,
}

impl Draft<'_> {
    /// The final bytes; they never change afterwards.
    pub fn seal(self, now: DateTime<Utc>) -> NewMessage {
        let (saying, channel) = (self.saying, self.route.channel);
        NewMessage {
            site_id: self.site_id,
            id: saying.message_id,
            recipient_id: saying.recipient_id,
            recipient_kind: self.recipient_kind,
            route: self.route.clone(),
            endpoint: notify::endpoint(channel, &self.route.address),
            priority: self.priority,
            body: saying.seal(channel, now),
            locale: saying.letter.locale,
            dedupe_key: notify::dedupe_key(saying.message_id),
            call_no: saying.call_no,
            claim_hash: self.claim_hash,
            after_doubt: self.after_doubt,
            alerts: saying.alerts.to_vec(),
            notices: self.notices,
        }
    }
}
