//! A message before its bytes are made: what is said to whom over which channel. The one way from sentences to a sealed message.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::domain::message::Composed;
use crate::domain::message::brief::{Brief, Template};
use crate::domain::notice::NoticeClass;
use crate::notify::compose::{Letter, brief, render, title};
use crate::notify::{self, Envelope};
use crate::store::outbox::{NewMessage, Route};

pub struct Draft<'a> {
    pub site_id: Uuid,
    pub id: Uuid,
    pub recipient_id: Uuid,
    pub route: &'a Route,
    pub letter: Letter<'a>,
    pub class: NoticeClass,
    pub priority: i64,
    pub composed: &'a Composed,
    pub alerts: &'a [Uuid],
    /// The code that verifies the address, if that is what the message is for.
    pub code: Option<&'a str>,
    /// Of the key in the link.
    pub claim_hash: Option<Vec<u8>>,
    pub notices: Vec<Uuid>,
}

impl Draft<'_> {
    /// The final bytes; they never change afterwards.
    pub fn seal(self, call_no: i64, now: DateTime<Utc>) -> NewMessage {
        let locale = self.letter.locale;
        let mut brief: Brief = brief(&self.letter, self.class, self.composed);
        if let Some(code) = self.code {
            brief = Brief { template: Template::Code, code: Some(code.to_owned()), ..brief };
        }
        let envelope = Envelope {
            message_id: self.id,
            call_no,
            recipient_id: self.recipient_id,
            kind: self.composed.sentences.first().map_or("notice", |sentence| &sentence.key),
            class: self.class.as_str(),
            text: &render(&self.letter, self.composed),
            title: &title(locale, brief.template),
            link: self.letter.link,
            brief: &brief,
            alerts: self.alerts,
            sealed_at: now,
        };
        NewMessage {
            site_id: self.site_id,
            id: self.id,
            recipient_id: self.recipient_id,
            route: self.route.clone(),
            endpoint: notify::endpoint(self.route.channel, &self.route.address),
            priority: self.priority,
            body: notify::seal(self.route.channel, &envelope),
            locale,
            dedupe_key: format!("msg_{}", self.id.simple()),
            call_no,
            claim_hash: self.claim_hash,
            notices: self.notices,
        }
    }
}
