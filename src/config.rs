//! Settings: `config.default.toml`, compiled in, under a file, under the environment. A wrong value stops the start with
//! its key, its value and what is allowed.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

use figment::Figment;
use figment::error::Kind;
use figment::providers::{Env, Format, Toml};
use serde::{Deserialize, Serialize};

use crate::domain::message::Channel;
use crate::domain::message::channel::Working;
use crate::domain::refusal::Refusal;
use crate::domain::rules::{CheckRules, LadderRules, NotifyRules, Rules, Span};
use crate::text;

mod channels;
mod limits;
mod secret;

pub use channels::{
    AliyunSms, AliyunVoice, BaseUrl, BotUrl, Channels, Email, Ntfy, OfficialAccount, Switched, Templates, TencentSms, WebPush, WecomApp,
};
pub use secret::Secret;

const DEFAULTS: &str = include_str!("../config.default.toml");

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    pub database: Database,
    pub data: Data,
    pub http: Http,
    pub mqtt: Mqtt,
    pub sensor: Sensor,
    pub site: Site,
    pub check: CheckRules,
    pub ladder: LadderRules,
    /// Boxed like the channels.
    pub notify: Box<NotifyRules>,
    pub outbox: Outbox,
    /// Boxed: settings travel by value through the futures of the commands.
    pub channels: Box<Channels>,
    pub watch: Watch,
    pub heartbeat: Heartbeat,
    pub log: Log,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Database {
    pub url: String,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Data {
    pub folder: PathBuf,
    pub key_file: PathBuf,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Http {
    pub listen: SocketAddr,
    pub ops_listen: SocketAddr,
    pub public_url: String,
    pub trusted_proxy: bool,
    pub header_timeout: Span,
    pub connections_max: usize,
    pub connections_each_max: usize,
    pub requests_per_minute: NonZeroU32,
    pub session: Span,
    pub recent_authentication: Span,
    pub invitation: Span,
    pub totp_required: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MqttMode {
    Embedded,
    External,
    Off,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mqtt {
    pub mode: MqttMode,
    pub listen: SocketAddr,
    /// An address, or empty: no TLS.
    pub tls_listen: String,
    pub tls_cert_file: PathBuf,
    pub tls_key_file: PathBuf,
    pub url: String,
    pub user: String,
    pub password: String,
    pub ca_file: PathBuf,
    pub client_id: String,
    pub anonymous_loopback: bool,
    pub device_rate_per_minute: u32,
    pub connections_max: usize,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sensor {
    pub closed_min: Span,
    pub settle: Span,
    pub online_grace: Span,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Site {
    pub name: String,
    pub timezone: chrono_tz::Tz,
    pub latitude: f64,
    pub longitude: f64,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outbox {
    pub lease: Span,
    pub attempt_timeout: Span,
    pub retry_first: Span,
    pub retry_max: Span,
    pub attempts_max: i64,
    pub concurrency: usize,
    pub allow_private_targets: bool,
    pub log_text: bool,
    pub log_counts: bool,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Watch {
    pub tick: Span,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Heartbeat {
    pub url: String,
    pub period: Span,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Log {
    pub level: LogLevel,
    pub json: bool,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

/// What stops the start: sentences by their keys, each under the setting that it is about.
#[derive(Debug)]
pub struct ConfigError(pub Vec<Refusal>);

impl ConfigError {
    /// A line for each setting.
    pub fn text(&self, locale: &str) -> String {
        let line = |wrong: &Refusal| {
            let sentence = text::render(locale, wrong.key, &wrong.arguments);
            wrong.field.as_ref().map_or(sentence.clone(), |key| format!("{key}: {sentence}"))
        };
        self.0.iter().map(line).collect::<Vec<_>>().join("\n")
    }
}

impl Mqtt {
    /// Where the endpoint speaks within TLS, if it does.
    pub fn tls_address(&self) -> Option<SocketAddr> {
        self.tls_listen.parse().ok()
    }
}

impl Config {
    /// The effective settings.
    pub fn load(file: Option<&Path>) -> Result<Self, ConfigError> {
        let mut figment = Figment::from(Toml::string(DEFAULTS));
        if let Some(path) = file {
            if !path.is_file() {
                return Err(ConfigError(vec![Refusal::invalid(format!("--config {}", path.display()), "why.not_found")]));
            }
            figment = figment.merge(Toml::file_exact(path));
        }
        figment = figment.merge(Env::prefixed("CHENLIAN_").split("__").ignore(&["TEST_POSTGRES"]));
        let config: Self = figment.extract().map_err(|errors| ConfigError(errors.into_iter().map(|error| explain(&error)).collect()))?;
        config.validate()?;
        Ok(config)
    }

    /// The settings without any file or environment, for tests and the demo.
    pub fn defaults() -> Self {
        Figment::from(Toml::string(DEFAULTS)).extract().expect("the compiled-in defaults are valid, a test says so")
    }

    /// The channels, and whether the settings let messages leave by them.
    pub fn working_channels(&self) -> Vec<Working> {
        let works = |channel| match channel {
            Channel::Log => self.outbox.log_counts,
            other => self.channels.has_account(other),
        };
        // A text with a link that leads nowhere tells a family nothing that it could answer.
        let links = |channel| channel != Channel::AliyunSms || !self.http.public_url.is_empty();
        let of = |channel| Working {
            channel,
            configured: works(channel),
            tells_contacts: self.channels.tells_contacts(channel) && links(channel),
        };
        Channel::ALL.iter().map(|channel| of(*channel)).collect()
    }

    pub fn rules(&self) -> Rules {
        Rules { check: self.check.clone(), ladder: self.ladder.clone(), notify: (*self.notify).clone() }
    }

    /// The longest sleep of a job. Jobs sleep half a heartbeat at most, or a short period would find them asleep and take that
    /// for death.
    pub fn tick(&self) -> Span {
        Span(self.watch.tick.0.min(self.heartbeat.period.0 / 2))
    }

    /// The database, by default a file in the data folder.
    pub fn database_url(&self) -> String {
        if self.database.url.is_empty() {
            return format!("sqlite://{}", self.data.folder.join("chenlian.db").display());
        }
        self.database.url.clone()
    }

    pub fn key_file(&self) -> PathBuf {
        if self.data.key_file.as_os_str().is_empty() { self.data.folder.join("key") } else { self.data.key_file.clone() }
    }

    /// The effective settings as TOML-like lines, secrets hidden.
    pub fn describe(&self) -> String {
        let mut shown = self.clone();
        if !shown.mqtt.password.is_empty() {
            "(hidden)".clone_into(&mut shown.mqtt.password);
        }
        shown.database.url = limits::without_secrets(&self.database_url());
        shown.mqtt.url = limits::without_secrets(&shown.mqtt.url);
        shown.heartbeat.url = limits::without_secrets(&shown.heartbeat.url);
        shown.data.key_file = self.key_file();
        let value = serde_json::to_value(&shown).expect("settings are plain data");
        let mut lines = Vec::new();
        for (section, keys) in value.as_object().into_iter().flatten() {
            lines.push(format!("[{section}]"));
            for (key, value) in keys.as_object().into_iter().flatten() {
                lines.push(format!("{key} = {value}"));
            }
            lines.push(String::new());
        }
        lines.join("\n")
    }
}

/// What was typed is not repeated: it may be a secret.
fn explain(error: &figment::Error) -> Refusal {
    let mut key = error.path.join(".");
    if let Some(path) = error.metadata.as_ref().and_then(|metadata| metadata.source.as_ref()?.file_path()) {
        key = String::from(format!("{} {key}", path.display()).trim_end());
    }
    match &error.kind {
        Kind::UnknownField(name, known) => Refusal::invalid(key, "config.unknown").with("name", name).with("known", known.join(", ")),
        Kind::UnknownVariant(_, known) => Refusal::invalid(key, "config.word").with("known", known.join(", ")),
        // Only the syntax of a file is wrong without a path.
        Kind::Message(said) if error.path.is_empty() => Refusal::invalid(key, "why.said").with("said", said),
        _ => Refusal::invalid(key, "config.misread"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_compiled_in_defaults_are_the_rules_of_the_domain() {
        assert_eq!(Config::defaults().rules(), Rules::default());
        Config::defaults().validate().unwrap();
    }

    #[test]
    fn a_wrong_value_names_its_key_and_what_is_allowed() {
        for (toml, key) in [
            ("[check]\ngrace = \"soon\"", "check.grace"),
            ("[check]\ngarce = \"15m\"", "garce"),
            ("[http]\nlisten = \"0.0.0.0:80\"", "http.listen"),
            ("[http]\nops_listen = \"0.0.0.0:81\"", "http.ops_listen"),
            ("[mqtt]\nmode = \"broker\"", "mqtt.mode"),
            ("[watch]\ntick = \"11s\"", "watch.tick"),
            ("[outbox]\nlease = \"3s\"\nattempt_timeout = \"6s\"", "outbox.lease: is \"3s\""),
            ("[outbox]\nlease = \"24s\"", "outbox.lease: is \"24s\""),
            ("[site]\ntimezone = \"Asia/Peking\"", "site.timezone"),
            ("[site]\nlatitude = 999.0", "site.latitude"),
            ("[site]\nname = \" \"", "site.name"),
            ("[http]\nconnections_max = 0", "http.connections_max"),
            ("[http]\nconnections_each_max = 0", "http.connections_each_max"),
            ("[http]\nrequests_per_minute = 0", "http.requests_per_minute"),
            ("[http]\nsession = \"0s\"", "http.session"),
            ("[http]\nheader_timeout = \"0s\"", "http.header_timeout"),
            ("[http]\npublic_url = \"chenlian.example\"", "http.public_url"),
            ("[http]\nops_listen = \"127.0.0.1:8080\"", "http.ops_listen"),
            ("[mqtt]\ndevice_rate_per_minute = 0", "mqtt.device_rate_per_minute"),
            ("[mqtt]\nanonymous_loopback = true\nlisten = \"0.0.0.0:1883\"", "mqtt.anonymous_loopback"),
            ("[mqtt]\ntls_listen = \"8883\"", "mqtt.tls_listen"),
            ("[mqtt]\ntls_listen = \"0.0.0.0:8883\"", "mqtt.tls_cert_file: is empty"),
            ("[mqtt]\ntls_listen = \"0.0.0.0:8883\"\ntls_cert_file = \"cert.pem\"", "mqtt.tls_key_file: is empty"),
            ("[mqtt]\npassword = \"Change_Me\"", "mqtt.password"),
            ("[mqtt]\nuser = \"<changeme>\"", "mqtt.user"),
            ("[database]\nurl = \"mysql://db/chenlian\"", "database.url"),
            ("[database]\nurl = \"postgres://chenlian:CHANGE-ME@db/chenlian\"", "database.url"),
            ("[heartbeat]\nurl = \"hc-ping.com/1\"", "heartbeat.url"),
            ("[check]\ngrace = \"30h\"", "check.grace"),
            ("[check]\nlook_back = \"0s\"", "check.look_back"),
            ("[check]\nmorning_deadline = \"02:00:00\"", "check.morning_deadline"),
            ("[check]\nevening_deadline = \"23:50:00\"", "check.evening_deadline"),
            ("[ladder]\nl1 = \"999d\"", "ladder"),
            ("[ladder]\nl4 = \"0s\"", "ladder"),
            ("[ladder]\nrepeat = \"0s\"", "ladder.repeat"),
            ("[ladder]\nclaim = \"0s\"", "ladder.claim"),
            ("[notify]\njitter_seconds = [120, 20]", "notify.jitter_seconds"),
            ("[notify]\norder_staff = [\"pigeon\"]", "notify.order_staff"),
            ("[notify]\ncanary_at = \"02:00:00\"", "notify.canary_at"),
            ("[notify.drill]\nweekday = 8", "notify.drill.weekday"),
            ("[channels.email]\nurl = \"mail.example.org:465\"", "channels.email.url"),
            ("[channels.email]\nurl = \"smtps://u:Change_Me@mail.example.org\"", "channels.email.url"),
            ("[channels.email]\nurl = \"smtps://mail.example.org\"", "channels.email.from"),
            ("[channels.email]\nurl = \"smtps://mail.example.org\"\nfrom = \"a@b.org\"\nuser = \"a\"", "channels.email.password: is empty"),
            ("[channels.email]\nurl = \"smtps://mail.example.org\"\nfrom = \"a@b.org\"\npassword = \"a\"", "channels.email.user: is empty"),
            ("[channels.web_push]\nprivate_key = \"changed\"", "channels.web_push.private_key"),
            (
                "[channels.web_push]\nprivate_key = \"yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw\"\nsubject = \"me\"",
                "channels.web_push.subject",
            ),
            ("[channels.ntfy]\nbase_url = \"ntfy.example.org\"", "channels.ntfy.base_url"),
            ("[channels.ntfy]\ntoken = \"tk_1\"", "channels.ntfy.base_url: is empty"),
            ("[channels.gotify]\nbase_url = \"gotify.example.org\"", "channels.gotify.base_url"),
            ("[channels.bark]\nbase_url = \"bark.example.org\"", "channels.bark.base_url"),
            ("[channels.server_chan]\non = true\nbase_url = \"sc.example.org\"", "channels.server_chan.base_url"),
            ("[channels.push_plus]\non = true\nbase_url = \"\"", "channels.push_plus.base_url: is empty"),
            ("[channels.apprise]\nbase_url = \"apprise.example.org\"", "channels.apprise.base_url"),
            ("[channels.aliyun_voice]\nplay_times = 4", "channels.aliyun_voice.play_times"),
        ] {
            let file = tempfile::NamedTempFile::new().unwrap();
            std::fs::write(file.path(), toml).unwrap();
            let error = Config::load(Some(file.path())).unwrap_err().text("en");
            assert!(error.contains(key), "{toml}: {error}");
            assert!(!error.to_lowercase().contains("change"), "what was typed for a secret is not repeated: {error}");
        }
    }

    #[test]
    fn mail_and_push_start_when_they_have_what_they_need() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let toml = r#"
            channels.email = { url = "smtp://mail.example.org", from = "晨帘 <chenlian@example.org>", user = "u", password = "p" }
            channels.web_push = { private_key = "yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw", subject = "mailto:ops@example.org" }
            channels.ntfy = { base_url = "http://10.0.0.7:8000", token = "tk_1" }
            channels.server_chan.on = true
            channels.push_plus.on = true
        "#;
        std::fs::write(file.path(), toml).unwrap();
        Config::load(Some(file.path())).unwrap();
    }

    #[test]
    fn a_telephone_channel_that_is_switched_on_is_whole() {
        let all = "help = \"1\"\nalert = \"1\"\nstand_down = \"1\"\nnotice = \"1\"\ndrill = \"1\"\ncode = \"1\"\n";
        for (channel, on) in [
            ("aliyun_sms", "access_key_id = \"k\"\naccess_key_secret = \"s\"\nsign_name = \"n\"\n"),
            ("aliyun_voice", "access_key_id = \"k\"\naccess_key_secret = \"s\"\n"),
            ("tencent_sms", "secret_id = \"k\"\nsecret_key = \"s\"\nregion = \"r\"\nsdk_app_id = \"1\"\nsign_name = \"n\"\n"),
        ] {
            let load = |settings: &str, templates: &str| {
                let file = tempfile::NamedTempFile::new().unwrap();
                let toml = format!("[channels.{channel}]\n{settings}\n[channels.{channel}.templates]\n{templates}");
                std::fs::write(file.path(), toml).unwrap();
                Config::load(Some(file.path())).map_err(|error| error.text("en"))
            };
            load(on, all).unwrap();
            for line in on.lines().skip(1) {
                let (name, _) = line.split_once(" = ").unwrap();
                let error = load(&on.replace(line, &format!("{name} = \"\"")), all).unwrap_err();
                assert!(error.starts_with(&format!("channels.{channel}.{name}: is empty")), "{error}");
            }
            let with_contacts = format!("{all}contact = \"1\"\ncontact_well = \"1\"\ncontact_handled = \"1\"\n");
            load(on, &with_contacts).unwrap();
            for line in with_contacts.lines() {
                let (name, _) = line.split_once(" = ").unwrap();
                let error = load(on, &with_contacts.replace(&format!("{line}\n"), "")).unwrap_err();
                assert!(error.starts_with(&format!("channels.{channel}.templates.{name}: is empty")), "{error}");
            }
            let error = load(&format!("{on}base_url = \"chenlian.example\""), all).unwrap_err();
            assert!(error.starts_with(&format!("channels.{channel}.base_url")), "{error}");
            load("", "").unwrap();
        }
    }

    #[test]
    fn a_channel_of_wechat_that_is_switched_on_is_whole_and_a_robots_platform_has_an_address() {
        let wecom = "[channels.wecom_app]\ncorp_id = \"ww1\"\ncorp_secret = \"s\"\nagent_id = 1000002\n";
        let account = "[channels.official_account]\napp_id = \"wx1\"\napp_secret = \"s\"\ntemplate_id = \"t\"\n";
        let load = |toml: &str| {
            let file = tempfile::NamedTempFile::new().unwrap();
            std::fs::write(file.path(), toml).unwrap();
            Config::load(Some(file.path())).map(|_| ()).map_err(|error| error.text("en"))
        };
        for whole in [wecom, account, "[channels.wecom_app]\ncorp_secret = \"s\"", "[channels.official_account]\nwhat = \"\""] {
            assert_eq!(load(whole), Ok(()), "{whole}");
        }
        for (toml, wrong) in [
            (wecom.replace("corp_secret = \"s\"", ""), "channels.wecom_app.corp_secret: is empty"),
            (wecom.replace("1000002", "0"), "channels.wecom_app.agent_id: is empty"),
            (format!("{wecom}base_url = \"\""), "channels.wecom_app.base_url: is "),
            (account.replace("app_secret = \"s\"", ""), "channels.official_account.app_secret: is empty"),
            (account.replace("template_id = \"t\"", ""), "channels.official_account.template_id: is empty"),
            (format!("{account}what = \"first\""), "channels.official_account.what: is \"first\""),
            (format!("{account}place = \"thing\""), "channels.official_account.place: is \"thing\""),
            (format!("{account}time = \"thing3\""), "channels.official_account.time: is \"thing3\""),
            (format!("{account}base_url = \"api.weixin.qq.com\""), "channels.official_account.base_url: is api.weixin.qq.com"),
            ("[channels.wecom_bot]\nbase_url = \"\"".to_owned(), "channels.wecom_bot.base_url"),
            ("[channels.dingtalk_bot]\nbase_url = \"ftp://x\"".to_owned(), "channels.dingtalk_bot.base_url"),
            ("[channels.feishu_bot]\nbase_url = \"x\"".to_owned(), "channels.feishu_bot.base_url"),
        ] {
            let error = load(&toml).unwrap_err();
            assert!(error.starts_with(wrong), "{toml}: {error}");
        }
    }

    #[test]
    fn small_values_are_legal() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let toml = "[check]\ngrace = \"1s\"\n[ladder]\nl1 = \"1s\"\nclaim = \"1s\"\nrepeat = \"1s\"\n[http]\nheader_timeout = \"1s\"";
        std::fs::write(file.path(), toml).unwrap();
        Config::load(Some(file.path())).unwrap();
    }

    #[test]
    fn secrets_are_hidden_when_settings_are_shown() {
        let mut config = Config::defaults();
        config.mqtt.password = "correct horse".to_owned();
        config.database.url = "postgres://chenlian:battery@db/chenlian".to_owned();
        config.heartbeat.url = "https://me:staple@hc.example/ping?token=wrong".to_owned();
        config.mqtt.url = "mqtts://broker.example?password=guess".to_owned();
        let text = config.describe();
        for secret in ["horse", "battery", "staple", "wrong", "guess"] {
            assert!(!text.contains(secret), "{secret}: {text}");
        }
        assert!(text.contains("postgres://…@db/chenlian"), "{text}");
    }
}
