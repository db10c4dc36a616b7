//! `[channels.*]`: the accounts by which messages leave. A channel whose key is empty is off.

use serde::{Deserialize, Serialize};

use super::secret::Secret;
use crate::domain::message::Channel;
use crate::domain::message::brief::Template;

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Channels {
    /// Part of the address to which providers report what became of a message.
    pub callback_key: Secret,
    pub aliyun_sms: AliyunSms,
    pub tencent_sms: TencentSms,
    pub aliyun_voice: AliyunVoice,
    pub wecom_app: WecomApp,
    pub email: Email,
    pub official_account: OfficialAccount,
    pub web_push: WebPush,
    pub ntfy: Ntfy,
    pub gotify: BaseUrl,
    pub bark: BaseUrl,
    pub server_chan: Switched,
    pub push_plus: Switched,
    pub apprise: BaseUrl,
    pub wecom_bot: BotUrl,
    pub dingtalk_bot: BotUrl,
    pub feishu_bot: BotUrl,
}

/// The provider's numbers of the approved templates.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Templates {
    pub help: String,
    pub alert: String,
    pub stand_down: String,
    pub notice: String,
    pub drill: String,
    pub code: String,
    /// The three for contacts: all empty where no family is told by this channel.
    pub contact: String,
    pub contact_well: String,
    pub contact_handled: String,
}

impl Templates {
    pub fn has_contacts(&self) -> bool {
        [&self.contact, &self.contact_well, &self.contact_handled].iter().any(|number| !number.is_empty())
    }

    pub fn of(&self, template: Template) -> &str {
        match template {
            Template::Help => &self.help,
            Template::Alert => &self.alert,
            Template::StandDown => &self.stand_down,
            Template::Notice => &self.notice,
            Template::Drill => &self.drill,
            Template::Code => &self.code,
            Template::Contact => &self.contact,
            Template::ContactWell => &self.contact_well,
            Template::ContactHandled => &self.contact_handled,
        }
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AliyunSms {
    pub base_url: String,
    pub access_key_id: String,
    pub access_key_secret: Secret,
    pub sign_name: String,
    pub templates: Templates,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TencentSms {
    pub base_url: String,
    pub region: String,
    pub secret_id: String,
    pub secret_key: Secret,
    pub sdk_app_id: String,
    pub sign_name: String,
    pub templates: Templates,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AliyunVoice {
    pub base_url: String,
    pub access_key_id: String,
    pub access_key_secret: Secret,
    /// Empty: the provider's shared numbers.
    pub shown_number: String,
    pub play_times: u8,
    pub templates: Templates,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WecomApp {
    pub base_url: String,
    pub corp_id: String,
    pub corp_secret: Secret,
    pub agent_id: i64,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Email {
    /// `smtps://HOST:465` or `smtp://HOST:587` (STARTTLS); empty: off.
    pub url: String,
    pub user: String,
    pub password: Secret,
    /// 晨帘 <chenlian@example.org>
    pub from: String,
    /// A server on this machine that speaks no TLS.
    pub allow_plain: bool,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OfficialAccount {
    pub base_url: String,
    pub app_id: String,
    pub app_secret: Secret,
    /// Checks the events that the platform sends.
    pub event_token: Secret,
    pub template_id: String,
    /// The template's keywords for what happened, where, and since when.
    pub what: String,
    pub place: String,
    pub time: String,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WebPush {
    /// P-256, base64url without padding, 32 bytes; `chenlian channel vapid` makes one.
    pub private_key: Secret,
    /// mailto: or https:, for the push services' operators.
    pub subject: String,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ntfy {
    /// A server of one's own; empty: off.
    pub base_url: String,
    pub token: Secret,
}

/// A server of one's own; empty: off.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BaseUrl {
    pub base_url: String,
}

/// A service that others run, with its address, off until switched on.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Switched {
    pub on: bool,
    pub base_url: String,
}

/// A robot's service; each group has its own key.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BotUrl {
    pub base_url: String,
}

/// What a channel needs that fills the templates of a provider.
pub struct Telephone<'a> {
    pub channel: Channel,
    pub base_url: &'a str,
    /// The setting that switches the channel on.
    pub key: (&'static str, &'a str),
    pub needed: Vec<(&'static str, &'a str)>,
    pub templates: &'a Templates,
}

impl Channels {
    pub fn telephones(&self) -> [Telephone<'_>; 3] {
        let (sms, tencent, voice) = (&self.aliyun_sms, &self.tencent_sms, &self.aliyun_voice);
        [
            Telephone {
                channel: Channel::AliyunSms,
                base_url: &sms.base_url,
                key: ("access_key_id", &sms.access_key_id),
                needed: vec![("access_key_secret", sms.access_key_secret.expose()), ("sign_name", &sms.sign_name)],
                templates: &sms.templates,
            },
            Telephone {
                channel: Channel::TencentSms,
                base_url: &tencent.base_url,
                key: ("secret_id", &tencent.secret_id),
                needed: vec![
                    ("secret_key", tencent.secret_key.expose()),
                    ("region", &tencent.region),
                    ("sdk_app_id", &tencent.sdk_app_id),
                    ("sign_name", &tencent.sign_name),
                ],
                templates: &tencent.templates,
            },
            Telephone {
                channel: Channel::AliyunVoice,
                base_url: &voice.base_url,
                key: ("access_key_id", &voice.access_key_id),
                needed: vec![("access_key_secret", voice.access_key_secret.expose())],
                templates: &voice.templates,
            },
        ]
    }

    /// Whether contacts can be told by this channel: its account and its templates for them are set.
    pub fn tells_contacts(&self, channel: Channel) -> bool {
        let templates = self.telephones().into_iter().find(|telephone| telephone.channel == channel).map(|telephone| telephone.templates);
        self.has_account(channel) && templates.is_some_and(Templates::has_contacts)
    }

    /// Whether the settings name an account for this channel. Log and webhook need none.
    pub fn has_account(&self, channel: Channel) -> bool {
        match channel {
            Channel::Log | Channel::Webhook => true,
            Channel::AliyunSms => !self.aliyun_sms.access_key_id.is_empty(),
            Channel::TencentSms => !self.tencent_sms.secret_id.is_empty(),
            Channel::AliyunVoice => !self.aliyun_voice.access_key_id.is_empty(),
            Channel::WecomApp => !self.wecom_app.corp_id.is_empty(),
            Channel::Email => !self.email.url.is_empty(),
            Channel::OfficialAccount => !self.official_account.app_id.is_empty(),
            Channel::WebPush => !self.web_push.private_key.is_empty(),
            Channel::Ntfy => !self.ntfy.base_url.is_empty(),
            Channel::Gotify => !self.gotify.base_url.is_empty(),
            Channel::Bark => !self.bark.base_url.is_empty(),
            Channel::ServerChan => self.server_chan.on,
            Channel::PushPlus => self.push_plus.on,
            Channel::Apprise => !self.apprise.base_url.is_empty(),
        }
    }
}
