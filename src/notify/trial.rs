//! One test message past the outbox, for whoever sets a channel up: what the provider says comes back at once.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::compose::Letter;
use super::{Outgoing, Saying, dedupe_key};
use crate::domain::message::channel::{AddressKind, SecretKind};
use crate::domain::message::retry::{Outcome, OutcomeClass};
use crate::domain::message::{Channel, Composed, address};
use crate::domain::notice::{Arguments, NoticeClass};
use crate::domain::refusal::Refusal;
use crate::text;

const KEY: &str = "notice.channel_test";

/// A test message to an address, or, where an app's key is the address, to that key. Marked as a drill.
///
/// # Errors
/// A refusal for `to`: this is no address of that channel.
pub fn outgoing(channel: Channel, to: &str, locale: &'static str, now: DateTime<Utc>) -> Result<Outgoing, Refusal> {
    let about_to = |refusal: Refusal| Refusal { field: Some("to".to_owned()), ..refusal };
    let by_key = channel.address() == AddressKind::Free && channel.secret() != SecretKind::None;
    let (typed, key) = if by_key { ("", Some(to)) } else { (to, None) };
    let address = address::address(channel, typed, "").map_err(about_to)?;
    let secret = if by_key { address::secret(channel, key).map_err(about_to)? } else { None };
    let id = Uuid::now_v7();
    let called = text::plain(locale, "channel.trial_called");
    let saying = Saying {
        message_id: id,
        call_no: 0,
        recipient_id: Uuid::nil(),
        letter: Letter { called: &called, locale, drill: true, link: None },
        class: NoticeClass::Report,
        composed: &Composed::one(KEY, Arguments::new()),
        alerts: &[],
        code: None,
    };
    Ok(Outgoing {
        message_id: id,
        channel,
        address,
        secret: secret.map(String::into_bytes),
        body: saying.seal(channel, now),
        dedupe_key: dedupe_key(id),
        call_no: 0,
        repeated: false,
        after_doubt: false,
        locale,
        signed_at: now,
        at: now,
    })
}

/// What did not work and what to do about it, in words; the provider's own word is in it.
pub fn refusal(outcome: &Outcome) -> Refusal {
    let key = match outcome.class {
        OutcomeClass::Config | OutcomeClass::Broken => "channel.trial_config",
        OutcomeClass::Gone | OutcomeClass::Permanent => "channel.trial_permanent",
        OutcomeClass::Throttled => "channel.trial_throttled",
        OutcomeClass::Ambiguous | OutcomeClass::Sent => "channel.trial_ambiguous",
        OutcomeClass::SafeRetry => "channel.trial_safe_retry",
    };
    Refusal::conflict(key).with("why", &outcome.detail)
}
