//! What a browser is called in the list of one's own sign-ins: enough to know one's phone again.

use axum::http::{HeaderMap, header};

use super::envelope::accepted_locale;
use crate::text;

/// Words of a User-Agent, the first that fits; WeChat's own browser says so beside the phone's.
const KINDS: [(&str, &str); 8] = [
    ("MicroMessenger", "office.device_wechat"),
    ("HarmonyOS", "office.device_phone"),
    ("Android", "office.device_phone"),
    ("iPhone", "office.device_iphone"),
    ("iPad", "office.device_tablet"),
    ("Windows", "office.device_computer"),
    ("Macintosh", "office.device_computer"),
    ("Linux", "office.device_computer"),
];

/// In the language in which the browser was set; empty for a program.
pub fn label(headers: &HeaderMap) -> String {
    let agent = headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let known = KINDS.into_iter().find(|(word, _)| agent.contains(word));
    known.map(|(_, key)| text::plain(accepted_locale(headers), key)).unwrap_or_default()
}
