//! What stops the start. A value that is accepted and then never works is found on the morning when it is needed.

use std::ops::RangeInclusive;

use chrono::TimeDelta;

use super::{Config, ConfigError, MqttMode};
use crate::domain::message::brief::Template;
use crate::domain::refusal::Refusal;
use crate::domain::register;
use crate::domain::rules::Span;
use crate::notify::email;
use crate::notify::web_push::vapid::ServerKey;
use crate::store::open::redact;

const CONNECTIONS_MAX: usize = 100_000;
const TICK_MAX: TimeDelta = TimeDelta::seconds(10);
/// Between the end of an attempt and the end of its lease: its outcome must be written in that time.
const LEASE_SLACK: TimeDelta = TimeDelta::seconds(10);
/// What examples and templates put where a value of one's own belongs, without case and punctuation.
const PLACEHOLDERS: [&str; 5] = ["changeme", "password", "secret", "example", "replaceme"];
/// How often a call may read its text, as the provider says.
const PLAY_TIMES: RangeInclusive<u8> = 1..=3;
/// The kinds of keywords that take what is written into them, as the platform names them.
const THINGS: &[&str] = &["thing"];
const TIMES: &[&str] = &["time", "date"];
const DATABASES: [&str; 3] = ["sqlite:", "postgres://", "postgresql://"];

/// An address as it may be shown: without user, password and query.
pub fn without_secrets(url: &str) -> String {
    let shown = redact(url);
    match shown.split_once('?') {
        Some((address, _)) => format!("{address}?…"),
        None => shown,
    }
}

impl Config {
    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        self.require_own_values()?;
        self.require_addresses()?;
        self.require_numbers()?;
        self.require_site()?;
        self.require_mail()?;
        self.require_push()?;
        self.require_telephones()?;
        self.require_wechat()?;
        self.rules().check().map_err(|refusal| ConfigError(vec![refusal]))
    }

    /// No setting still says what an example says.
    fn require_own_values(&self) -> Result<(), ConfigError> {
        let settings = serde_json::to_value(self).expect("settings are plain data");
        for (section, keys) in settings.as_object().into_iter().flatten() {
            for (key, value) in keys.as_object().into_iter().flatten() {
                let Some(value) = value.as_str() else { continue };
                if plain(value).contains(PLACEHOLDERS[0]) {
                    return Err(wrong(&format!("{section}.{key}"), "…", "config.allowed_own_value"));
                }
            }
        }
        for (key, secret) in [
            ("mqtt.password", Some(self.mqtt.password.as_str())),
            ("mqtt.url", password_of(&self.mqtt.url)),
            ("database.url", password_of(&self.database.url)),
        ] {
            if secret.is_some_and(|secret| PLACEHOLDERS.contains(&plain(secret).as_str())) {
                return Err(wrong(key, "…", "config.allowed_own_password"));
            }
        }
        Ok(())
    }

    fn require_addresses(&self) -> Result<(), ConfigError> {
        let (http, mqtt) = (&self.http, &self.mqtt);
        let ops = http.ops_listen;
        if !ops.ip().is_loopback() {
            return Err(wrong("http.ops_listen", ops.to_string(), "config.allowed_loopback"));
        }
        if http.listen == ops && ops.port() != 0 {
            return Err(wrong("http.ops_listen", ops.to_string(), "config.allowed_other_address"));
        }
        if !http.listen.ip().is_loopback() && !http.trusted_proxy {
            let allowed = "config.allowed_loopback_or_proxy";
            return Err(wrong("http.listen", http.listen.to_string(), allowed));
        }
        if mqtt.anonymous_loopback && !mqtt.listen.ip().is_loopback() {
            return Err(wrong("mqtt.anonymous_loopback", "true".to_owned(), "config.allowed_anonymous"));
        }
        if mqtt.mode == MqttMode::External && !(mqtt.url.starts_with("mqtt://") || mqtt.url.starts_with("mqtts://")) {
            let allowed = "config.allowed_broker";
            return Err(wrong("mqtt.url", without_secrets(&mqtt.url), allowed));
        }
        if !mqtt.tls_listen.is_empty() {
            if mqtt.tls_address().is_none() {
                return Err(wrong("mqtt.tls_listen", &mqtt.tls_listen, "config.allowed_address"));
            }
            for (key, file) in [("mqtt.tls_cert_file", &mqtt.tls_cert_file), ("mqtt.tls_key_file", &mqtt.tls_key_file)] {
                if file.as_os_str().is_empty() {
                    return Err(missing(key, "mqtt.tls_listen"));
                }
            }
        }
        for (key, url) in [("http.public_url", &http.public_url), ("heartbeat.url", &self.heartbeat.url)] {
            if !url.is_empty() && !is_web_address(url) {
                return Err(wrong(key, without_secrets(url), "config.allowed_web_address"));
            }
        }
        let database = &self.database.url;
        if !database.is_empty() && !DATABASES.iter().any(|scheme| database.starts_with(scheme)) {
            let allowed = "config.allowed_database";
            return Err(wrong("database.url", without_secrets(database), allowed));
        }
        Ok(())
    }

    fn require_numbers(&self) -> Result<(), ConfigError> {
        let (http, mqtt, outbox) = (&self.http, &self.mqtt, &self.outbox);
        for (key, number) in [
            ("http.connections_max", http.connections_max),
            ("http.connections_each_max", http.connections_each_max),
            ("mqtt.connections_max", mqtt.connections_max),
            ("mqtt.device_rate_per_minute", usize::try_from(mqtt.device_rate_per_minute).unwrap_or(usize::MAX)),
            ("outbox.attempts_max", usize::try_from(outbox.attempts_max).unwrap_or_default()),
            ("outbox.concurrency", outbox.concurrency),
        ] {
            if !(1..=CONNECTIONS_MAX).contains(&number) {
                return Err(outside(key, self.value_of(key), 1, CONNECTIONS_MAX));
            }
        }
        for (key, span) in [
            ("http.header_timeout", http.header_timeout),
            ("http.session", http.session),
            ("http.recent_authentication", http.recent_authentication),
            ("http.invitation", http.invitation),
            ("watch.tick", self.watch.tick),
            ("outbox.lease", outbox.lease),
            ("outbox.attempt_timeout", outbox.attempt_timeout),
            ("heartbeat.period", self.heartbeat.period),
        ] {
            if span.0 <= TimeDelta::zero() {
                return Err(wrong(key, self.value_of(key), "config.allowed_longer"));
            }
        }
        if outbox.lease.0 < outbox.attempt_timeout.0 + LEASE_SLACK {
            let allowed = "config.allowed_lease";
            return Err(wrong("outbox.lease", self.value_of("outbox.lease"), allowed));
        }
        if self.watch.tick > Span(TICK_MAX) {
            return Err(wrong("watch.tick", self.value_of("watch.tick"), "config.allowed_tick"));
        }
        Ok(())
    }

    fn require_site(&self) -> Result<(), ConfigError> {
        if register::name("site.name", &self.site.name).is_err() {
            return Err(wrong("site.name", self.value_of("site.name"), "config.allowed_name"));
        }
        for (key, degrees, most) in [("site.latitude", self.site.latitude, 90.0), ("site.longitude", self.site.longitude, 180.0)] {
            if !(-most..=most).contains(&degrees) {
                return Err(outside(key, degrees, -most, most));
            }
        }
        Ok(())
    }

    fn require_mail(&self) -> Result<(), ConfigError> {
        let mail = &self.channels.email;
        if mail.url.is_empty() {
            return Ok(());
        }
        if email::Server::read(&mail.url).is_none() {
            return Err(wrong("channels.email.url", without_secrets(&mail.url), "config.allowed_mail_server"));
        }
        if email::sender(&mail.from).is_none() {
            return Err(wrong("channels.email.from", format!("{:?}", mail.from), "config.allowed_mail_sender"));
        }
        match (mail.user.is_empty(), mail.password.is_empty()) {
            (false, true) => Err(missing("channels.email.password", "channels.email.user")),
            (true, false) => Err(missing("channels.email.user", "channels.email.password")),
            _ => Ok(()),
        }
    }

    /// Web Push and the small push services.
    fn require_push(&self) -> Result<(), ConfigError> {
        let channels = &self.channels;
        let web_push = &channels.web_push;
        if !web_push.private_key.is_empty() {
            if ServerKey::read(web_push.private_key.expose()).is_none() {
                return Err(wrong("channels.web_push.private_key", "…", "config.allowed_vapid_key"));
            }
            if !web_push.subject.starts_with("mailto:") && !web_push.subject.starts_with("https://") {
                return Err(wrong("channels.web_push.subject", format!("{:?}", web_push.subject), "config.allowed_subject"));
            }
        }
        if channels.push_plus.on && channels.push_plus.base_url.is_empty() {
            return Err(missing("channels.push_plus.base_url", "channels.push_plus.on"));
        }
        if !channels.ntfy.token.is_empty() && channels.ntfy.base_url.is_empty() {
            return Err(missing("channels.ntfy.base_url", "channels.ntfy.token"));
        }
        for (key, url) in [
            ("channels.ntfy.base_url", &channels.ntfy.base_url),
            ("channels.gotify.base_url", &channels.gotify.base_url),
            ("channels.bark.base_url", &channels.bark.base_url),
            ("channels.server_chan.base_url", &channels.server_chan.base_url),
            ("channels.push_plus.base_url", &channels.push_plus.base_url),
            ("channels.apprise.base_url", &channels.apprise.base_url),
        ] {
            if !url.is_empty() && !is_web_address(url) {
                return Err(wrong(key, without_secrets(url), "config.allowed_web_address"));
            }
        }
        Ok(())
    }

    /// A telephone channel is whole or off: a missing template would be found by the message that needs it.
    fn require_telephones(&self) -> Result<(), ConfigError> {
        for telephone in self.channels.telephones().iter().filter(|telephone| !telephone.key.1.is_empty()) {
            let section = format!("channels.{}", telephone.channel);
            if !is_web_address(telephone.base_url) {
                return Err(wrong(&format!("{section}.base_url"), without_secrets(telephone.base_url), "config.allowed_web_address"));
            }
            // Those for contacts are wanted where one of them is there: an installation may tell no families.
            let wanted = Template::ALL.iter().filter(|template| !template.is_for_contacts() || telephone.templates.has_contacts());
            let templates = wanted.map(|template| (format!("templates.{template}"), telephone.templates.of(*template)));
            let mut settings = telephone.needed.iter().map(|(name, value)| ((*name).to_owned(), *value)).chain(templates);
            if let Some((name, _)) = settings.find(|(_, value)| value.trim().is_empty()) {
                return Err(missing(&format!("{section}.{name}"), &format!("{section}.{}", telephone.key.0)));
            }
        }
        let times = self.channels.aliyun_voice.play_times;
        if !PLAY_TIMES.contains(&times) {
            return Err(outside("channels.aliyun_voice.play_times", times, PLAY_TIMES.start(), PLAY_TIMES.end()));
        }
        Ok(())
    }

    /// WeCom and the official account are whole or off, and a robot's platform has an address: groups bring nothing but their keys.
    fn require_wechat(&self) -> Result<(), ConfigError> {
        let (wecom, account) = (&self.channels.wecom_app, &self.channels.official_account);
        for (section, base_url, on) in [
            ("wecom_app", &wecom.base_url, !wecom.corp_id.is_empty()),
            ("official_account", &account.base_url, !account.app_id.is_empty()),
            ("wecom_bot", &self.channels.wecom_bot.base_url, true),
            ("dingtalk_bot", &self.channels.dingtalk_bot.base_url, true),
            ("feishu_bot", &self.channels.feishu_bot.base_url, true),
        ] {
            if on && !is_web_address(base_url) {
                let key = format!("channels.{section}.base_url");
                return Err(wrong(&key, without_secrets(base_url), "config.allowed_web_address"));
            }
        }
        let missing = |name: &str, because: &str| {
            let refusal = Refusal::invalid(format!("channels.{name}"), "config.missing").with("key", format!("channels.{because}"));
            Err(ConfigError(vec![refusal]))
        };
        if !wecom.corp_id.is_empty() {
            if wecom.corp_secret.is_empty() {
                return missing("wecom_app.corp_secret", "wecom_app.corp_id");
            }
            if wecom.agent_id <= 0 {
                return missing("wecom_app.agent_id", "wecom_app.corp_id");
            }
        }
        if account.app_id.is_empty() {
            return Ok(());
        }
        if account.app_secret.is_empty() {
            return missing("official_account.app_secret", "official_account.app_id");
        }
        if account.template_id.is_empty() {
            return missing("official_account.template_id", "official_account.app_id");
        }
        for (name, keyword, kinds) in [("what", &account.what, THINGS), ("place", &account.place, THINGS), ("time", &account.time, TIMES)] {
            if !is_keyword(keyword, kinds) {
                return Err(wrong(&format!("channels.official_account.{name}"), keyword, "config.allowed_keyword"));
            }
        }
        Ok(())
    }

    /// A setting as it is written; of a section all of it.
    fn value_of(&self, key: &str) -> String {
        let settings = serde_json::to_value(self).expect("settings are plain data");
        settings.pointer(&format!("/{}", key.replace('.', "/"))).map(ToString::to_string).unwrap_or_default()
    }
}

fn wrong(key: &str, value: impl ToString, allowed: &'static str) -> ConfigError {
    ConfigError(vec![Refusal::invalid(key, allowed).with("value", value)])
}

/// Empty, and needed because of another setting.
fn missing(key: &str, because_of: &str) -> ConfigError {
    ConfigError(vec![Refusal::invalid(key, "config.missing").with("key", because_of)])
}

/// Outside of a range.
fn outside(key: &str, value: impl ToString, least: impl ToString, most: impl ToString) -> ConfigError {
    ConfigError(vec![Refusal::invalid(key, "config.allowed_range").with("value", value).with("least", least).with("most", most)])
}

fn plain(text: &str) -> String {
    text.chars().filter(|c| c.is_alphanumeric()).collect::<String>().to_lowercase()
}

/// Between the colon and the last @ of `scheme://user:password@host`.
fn password_of(url: &str) -> Option<&str> {
    let (user, _) = url.split_once("://")?.1.rsplit_once('@')?;
    Some(user.split_once(':')?.1)
}

/// A kind and a number.
fn is_keyword(text: &str, kinds: &[&str]) -> bool {
    let number = kinds.iter().find_map(|kind| text.strip_prefix(kind));
    number.is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
}

fn is_web_address(text: &str) -> bool {
    let url = reqwest::Url::parse(text);
    url.is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
}
