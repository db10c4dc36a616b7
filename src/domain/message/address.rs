//! What an address and a secret of each channel must look like, so that a mistake is found when it is typed and not on the morning when
//! the message should leave.

use super::Channel;
use super::channel::{AddressKind, SecretKind};
use super::signing_key;
use crate::domain::refusal::Refusal;
use crate::domain::register::{self, ADDRESS_CHARS_MAX};

const TOKEN_CHARS_MAX: usize = 200;

/// The address as it is kept. A telephone that is left out is the member's own.
///
/// # Errors
/// A refusal for the field `address`.
pub fn address(channel: Channel, typed: &str, own_phone: &str) -> Result<String, Refusal> {
    let clean = register::text("address", typed, ADDRESS_CHARS_MAX)?;
    match channel.address() {
        AddressKind::Free => Ok(clean),
        AddressKind::Url if clean.starts_with("https://") || clean.starts_with("http://") => Ok(clean),
        AddressKind::Url => Err(Refusal::invalid("address", "register.webhook_address")),
        AddressKind::Phone => register::phone("address", if clean.is_empty() { own_phone } else { &clean }),
        AddressKind::Email if is_email(&clean) => Ok(clean),
        AddressKind::Email => Err(Refusal::invalid("address", "channel.email")),
        AddressKind::Name if is_name(&clean) => Ok(clean),
        AddressKind::InPath if is_name(&clean) && !clean.contains('@') && !clean.contains("..") => Ok(clean),
        AddressKind::InPath => Err(Refusal::invalid("address", "channel.address_in_path")),
        AddressKind::Name => Err(Refusal::invalid("address", "channel.address_name")),
    }
}

/// A name and a host with a dot; whether somebody reads there a test message shows.
fn is_email(text: &str) -> bool {
    let Some((name, host)) = text.rsplit_once('@') else { return false };
    let plain = |part: &str| !part.is_empty() && !part.contains([' ', '@', '<', '>', ',', ';', '"']);
    plain(name) && plain(host) && host.contains('.') && !host.starts_with('.') && !host.ends_with('.')
}

/// User ids, openids, topics and keys of configurations are plain words; none of them may change the path of a request, and none calls
/// everybody: `@all` is the whole company.
fn is_name(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.@".contains(c);
    !text.is_empty() && text.len() <= 128 && text.chars().all(plain) && !text.starts_with(['.', '@'])
}

/// The secret as it is kept, sealed; `None` where the channel has none.
///
/// # Errors
/// A refusal for the field `secret`.
pub fn secret(channel: Channel, typed: Option<&str>) -> Result<Option<String>, Refusal> {
    let typed = typed.map(str::trim).filter(|typed| !typed.is_empty());
    if typed.is_some_and(|typed| typed.chars().count() > TOKEN_CHARS_MAX) {
        return Err(Refusal::invalid("secret", "register.text_length").with("max", TOKEN_CHARS_MAX));
    }
    let fits = match (channel.secret(), typed) {
        (SecretKind::None, None) => return Ok(None),
        (SecretKind::None, Some(_)) => return Err(Refusal::invalid("secret", "channel.secret_unwanted")),
        (SecretKind::SigningKey, typed) => typed.is_some_and(|typed| signing_key(typed).is_some()),
        (SecretKind::Token, typed) => typed.is_some_and(|typed| typed.chars().all(|c| c.is_ascii_graphic() && c != '/' && c != '?')),
        // A browser gives it by a route of its own, which asks more of it.
        (SecretKind::Subscription, _) => false,
    };
    if fits { Ok(typed.map(str::to_owned)) } else { Err(Refusal::invalid("secret", wrong_secret(channel.secret()))) }
}

const fn wrong_secret(kind: SecretKind) -> &'static str {
    match kind {
        SecretKind::SigningKey | SecretKind::None => "channel.secret_required",
        SecretKind::Token => "channel.token_required",
        SecretKind::Subscription => "channel.subscription_required",
    }
}

/// The address in a browser's subscription, which names the browser; `None` if it is none.
pub fn endpoint(subscription: &[u8]) -> Option<String> {
    let value: serde_json::Value = serde_json::from_slice(subscription).ok()?;
    value["endpoint"].as_str().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(channel: Channel, typed: &str, expected: Result<&str, &str>) {
        let kept = address(channel, typed, "13900000001");
        let kept = kept.as_deref().map_err(|refusal| refusal.key);
        assert_eq!(kept, expected, "{channel} {typed}");
    }

    #[test]
    fn an_address_fits_its_channel() {
        check(Channel::AliyunSms, "", Ok("13900000001"));
        check(Channel::AliyunVoice, " 139 0000 0002 ", Ok("13900000002"));
        check(Channel::TencentSms, "王师傅", Err("register.phone"));
        check(Channel::Email, "wang@example.org", Ok("wang@example.org"));
        for wrong in ["", "wang", "wang@", "@example.org", "wang@example", "a b@example.org", "wang@example.org,li@example.org"] {
            check(Channel::Email, wrong, Err("channel.email"));
        }
        check(Channel::WecomApp, "WangXiuLan", Ok("WangXiuLan"));
        check(Channel::WecomApp, "a|b", Err("channel.address_name"));
        check(Channel::WecomApp, "@all", Err("channel.address_name"));
        check(Channel::Ntfy, "wang-7f3a", Ok("wang-7f3a"));
        for wrong in ["../admin", "wang@example.org", "a..b", ""] {
            check(Channel::Ntfy, wrong, Err("channel.address_in_path"));
            check(Channel::Apprise, wrong, Err("channel.address_in_path"));
        }
        check(Channel::Webhook, "hooks.example.org", Err("register.webhook_address"));
        check(Channel::Bark, "王师傅的手机", Ok("王师傅的手机"));
    }

    #[test]
    fn a_secret_fits_its_channel_and_is_not_taken_where_none_belongs() {
        let key = |channel, typed| secret(channel, typed).map_err(|refusal| refusal.key);
        assert_eq!(key(Channel::AliyunSms, None), Ok(None));
        assert_eq!(key(Channel::AliyunSms, Some("x")), Err("channel.secret_unwanted"));
        assert_eq!(key(Channel::Webhook, None), Err("channel.secret_required"));
        assert_eq!(key(Channel::Bark, Some(" AbC123 ")), Ok(Some("AbC123".to_owned())));
        for wrong in [None, Some(""), Some("a b"), Some("a/b")] {
            assert_eq!(key(Channel::Gotify, wrong), Err("channel.token_required"), "{wrong:?}");
        }
        let subscription = r#"{"endpoint":"https://push.example.org/1","keys":{"p256dh":"B","auth":"a"}}"#;
        assert_eq!(key(Channel::WebPush, Some(subscription)), Err("channel.subscription_required"), "a browser gives it itself");
        assert_eq!(endpoint(subscription.as_bytes()).as_deref(), Some("https://push.example.org/1"));
        assert_eq!(endpoint(b"{}"), None);
    }
}
