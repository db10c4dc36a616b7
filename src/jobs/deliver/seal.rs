//! Notices of one person and moment become one message with its final bytes.

use std::collections::{BTreeMap, HashMap};
use std::ops::RangeFrom;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::draft::Draft;
use crate::app::App;
use crate::domain::case::CANARY_KEY;
use crate::domain::message::{Item, compose, priority};
use crate::domain::notice::{Arguments, NoticeClass, RecipientKind};
use crate::notify::Saying;
use crate::notify::compose::Letter;
use crate::store::Result;
use crate::store::claim_link::ClaimKey;
use crate::store::outbox::{self, Due, NOTICES_PER_PASS_MAX, NewMessage, Recipient, Route};
use crate::text;

/// What one transaction sealed.
pub struct Sealed {
    pub messages: usize,
    /// The limit was reached: there is more.
    pub more: bool,
}

/// Seals what is due, all in one transaction; the texts are made in memory.
pub async fn seal_due(app: &App) -> Result<Sealed> {
    let now = app.clock.now();
    let public_url = app.config.http.public_url.trim_end_matches('/').to_owned();
    app.write(move |mut tx| async move {
        outbox::drop_useless(&mut tx, now).await?;
        let dues = outbox::claim_due(&mut tx, now).await?;
        if dues.is_empty() {
            return Ok((tx, Sealed { messages: 0, more: false }));
        }
        let more = i64::try_from(dues.len()).unwrap_or(i64::MAX) >= NOTICES_PER_PASS_MAX;
        let mut people: Vec<(Uuid, Uuid)> = dues.iter().map(|due| (due.site_id, due.recipient_id)).collect();
        people.sort_unstable();
        people.dedup();
        let recipients = outbox::recipients(&mut tx, &people).await?;
        let (bundles, unrouted) = bundle(&dues, &recipients);
        let count = bundles.iter().map(|bundle| 1 + bundle.recipient.screens.len()).sum();
        let mut numbers = outbox::next_call_no(&mut tx, count).await?..;
        let messages: Vec<NewMessage> = bundles.iter().flat_map(|bundle| bundle.seal(&mut numbers, &public_url, now)).collect();
        outbox::insert(&mut tx, &messages, &unrouted, now).await?;
        Ok((tx, Sealed { messages: messages.len(), more }))
    })
    .await
}

/// What goes into one message.
struct Bundle<'a> {
    recipient: &'a Recipient,
    route: &'a Route,
    class: NoticeClass,
    drill: bool,
    priority: i64,
    dues: Vec<&'a Due>,
}

type Bundled<'a> = (Vec<Bundle<'a>>, Vec<(Uuid, Uuid)>);

/// One bundle per person, class and channel, most urgent first; a drill never shares a message with the real thing.
fn bundle<'a>(dues: &'a [Due], recipients: &'a HashMap<(Uuid, Uuid), Recipient>) -> Bundled<'a> {
    let mut bundles: BTreeMap<(Uuid, Uuid, NoticeClass, bool, i64), Bundle<'a>> = BTreeMap::new();
    let mut unrouted = Vec::new();
    for due in dues {
        let person = (due.site_id, due.recipient_id);
        let Some((recipient, route)) = recipients.get(&person).and_then(|recipient| Some((recipient, recipient.route(due)?))) else {
            unrouted.push((due.site_id, due.id));
            continue;
        };
        let drill = due.drill.unwrap_or(false);
        let priority = priority(due.class, &due.key);
        let bundle = bundles.entry((person.0, person.1, due.class, drill, route.rank)).or_insert_with(|| Bundle {
            recipient,
            route,
            class: due.class,
            drill,
            priority,
            dues: Vec::new(),
        });
        bundle.priority = bundle.priority.min(priority);
        bundle.dues.push(due);
    }
    let mut bundles: Vec<Bundle<'a>> = bundles.into_values().collect();
    bundles.sort_by_key(|bundle| bundle.priority);
    (bundles, unrouted)
}

impl Bundle<'_> {
    /// The message, and a copy for each screen of hers. A copy carries no notice: whoever has only seen a pop-up was not told.
    fn seal(&self, numbers: &mut RangeFrom<i64>, public_url: &str, now: DateTime<Utc>) -> Vec<NewMessage> {
        let (site_id, recipient_id) = (self.dues[0].site_id, self.dues[0].recipient_id);
        let locale = text::locale(&self.recipient.locale);
        let items: Vec<Item> = self.dues.iter().map(|due| item(due)).collect();
        // A person says by the link that she goes, or that she has read the word of a drill; to the self-test there is nothing to say.
        let answers = (self.class == NoticeClass::Alert || self.drill) && self.dues.iter().any(|due| due.key != CANARY_KEY);
        let claim = (answers && !public_url.is_empty()).then(ClaimKey::random);
        let link = self.link(public_url, claim.as_ref());
        let mut alerts: Vec<Uuid> = self.dues.iter().filter_map(|due| due.alert_id).collect();
        alerts.sort_unstable();
        alerts.dedup();
        let composed = compose(&items);
        let hash = claim.map(|key| key.hash());
        let in_doubt = self.dues.iter().any(|due| due.in_doubt);
        let first = (self.route, hash, self.dues.iter().map(|due| due.id).collect());
        let copies = self.recipient.screens.iter().map(|screen| (screen, None, Vec::new()));
        let drafts = std::iter::once(first).chain(copies).zip(numbers).map(|((route, claim_hash, notices), call_no)| Draft {
            site_id,
            recipient_kind: self.dues[0].recipient_kind,
            saying: Saying {
                message_id: Uuid::now_v7(),
                call_no,
                recipient_id,
                letter: Letter { called: &self.recipient.called, locale, drill: self.drill, link: link.as_deref() },
                class: self.class,
                composed: &composed,
                alerts: &alerts,
                code: None,
            },
            route,
            priority: self.priority,
            claim_hash,
            after_doubt: in_doubt,
            notices,
        });
        drafts.map(|draft| draft.seal(now)).collect()
    }

    fn link(&self, public_url: &str, claim: Option<&ClaimKey>) -> Option<String> {
        match self.class {
            _ if public_url.is_empty() => None,
            _ if claim.is_some() => {
                // A contact answers on a page of her own.
                let page = if self.dues[0].recipient_kind == RecipientKind::Contact { "f" } else { "c" };
                claim.map(|key| format!("{public_url}/{page}/{}", key.text()))
            }
            NoticeClass::Reminder => Some(public_url.to_owned()),
            NoticeClass::Alert | NoticeClass::StandDown | NoticeClass::Report => None,
        }
    }
}

/// A notice whose arguments cannot be read is told all the same, with dashes (I28).
fn item(due: &Due) -> Item {
    let arguments: Arguments = serde_json::from_str(&due.arguments).unwrap_or_else(|error| {
        tracing::error!(notice = %due.id, %error, "a notice's arguments cannot be read");
        Arguments::new()
    });
    Item { alert_id: due.alert_id, key: due.key.clone(), arguments }
}
