//! The ways by which a message leaves, and what each is like: whom it serves, what address it needs, whether a repeat can be told
//! apart, and how much it takes. A channel's wire facts stand in the head of its file in `notify`.

use chrono::TimeDelta;

use crate::words;

words! {
    /// The ways by which a message reaches one person.
    pub enum Channel {
        /// A line in the server's log: for demonstrations and as a last trace.
        Log = "log",
        /// Standard Webhooks.
        Webhook = "webhook",
        /// 阿里云短信
        AliyunSms = "aliyun_sms",
        /// 腾讯云短信
        TencentSms = "tencent_sms",
        /// 阿里云语音: a call that reads a template.
        AliyunVoice = "aliyun_voice",
        /// 企业微信应用消息
        WecomApp = "wecom_app",
        Email = "email",
        /// 公众号 template message.
        OfficialAccount = "official_account",
        WebPush = "web_push",
        Ntfy = "ntfy",
        Gotify = "gotify",
        Bark = "bark",
        /// Server酱
        ServerChan = "server_chan",
        PushPlus = "push_plus",
        Apprise = "apprise"
    }
}

words! {
    /// The ways by which a post reaches a group. It holds counts per building only and never counts as somebody told, so it is no
    /// [`Channel`].
    pub enum GroupChannel {
        /// 企业微信群机器人
        WecomBot = "wecom_bot",
        /// 钉钉自定义机器人
        DingtalkBot = "dingtalk_bot",
        /// 飞书自定义机器人
        FeishuBot = "feishu_bot"
    }
}

/// What `member_channel.address` holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AddressKind {
    /// Nothing, or a remark.
    Free,
    /// An address on the web.
    Url,
    /// A telephone number; by default the member's own.
    Phone,
    Email,
    /// A name that the provider knows the person by: user id, openid.
    Name,
    /// A name that stands in the path of a request: topic, key of a configuration.
    InPath,
}

/// What `member_channel.secret_sealed` holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SecretKind {
    None,
    /// A Standard Webhooks key.
    SigningKey,
    /// A key that the person's app or page shows.
    Token,
    /// What a browser gives for Web Push, JSON.
    Subscription,
}

/// What a second copy of a message is to the person (I12).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repeat {
    /// The same message: the receiver knows its identity.
    Same,
    /// The channel asks the provider first, and repeats only what did not arrive.
    Probed,
    /// A second one, which says so.
    Marked,
}

/// So many to one address within so long; more wait their turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    pub most: usize,
    pub within: TimeDelta,
}

/// Providers refuse a signature that is a quarter of an hour old; until then a repeat is the same request byte for byte.
pub const SIGNATURE_AGE_MAX: TimeDelta = TimeDelta::minutes(10);

/// After a text that nobody answered the telephone rings; a call for help cannot wait as long, and neither can a contact, whose whole
/// turn is three minutes: the text is there when her telephone rings, and a second call still fits.
const RING_AFTER: TimeDelta = TimeDelta::minutes(3);
const RING_AFTER_HELP: TimeDelta = TimeDelta::minutes(1);
const RING_AFTER_CONTACT: TimeDelta = TimeDelta::minutes(1);

/// How long a text of this key may go unanswered before the telephone rings.
pub fn ring_after(key: &str) -> TimeDelta {
    match key {
        "notice.contact" => RING_AFTER_CONTACT,
        key if key.starts_with("notice.help_") => RING_AFTER_HELP,
        _ => RING_AFTER,
    }
}

/// What the settings say of a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Working {
    pub channel: Channel,
    pub configured: bool,
    /// Its templates for contacts are set.
    pub tells_contacts: bool,
}

const WECOM: [Limit; 2] = [Limit { most: 30, within: TimeDelta::minutes(1) }, Limit { most: 1_000, within: TimeDelta::hours(1) }];
const VOICE: [Limit; 3] = [
    Limit { most: 1, within: TimeDelta::minutes(1) },
    Limit { most: 5, within: TimeDelta::hours(1) },
    Limit { most: 20, within: TimeDelta::hours(24) },
];

/// The ways by which a contact is told, in this order: she has no channels of her own, only a number.
pub const OF_CONTACTS: [Channel; 3] = [Channel::AliyunSms, Channel::TencentSms, Channel::AliyunVoice];

impl Channel {
    /// Its place in [`OF_CONTACTS`], from 1; 0 if contacts are not told by it.
    pub fn rank_of_contacts(self) -> i64 {
        (1..).zip(OF_CONTACTS).find(|(_, channel)| *channel == self).map_or(0, |(rank, _)| rank)
    }

    pub const fn address(self) -> AddressKind {
        match self {
            Self::Log | Self::Bark | Self::ServerChan | Self::PushPlus | Self::WebPush | Self::Gotify => AddressKind::Free,
            Self::Webhook => AddressKind::Url,
            Self::AliyunSms | Self::TencentSms | Self::AliyunVoice => AddressKind::Phone,
            Self::Email => AddressKind::Email,
            Self::WecomApp | Self::OfficialAccount => AddressKind::Name,
            Self::Ntfy | Self::Apprise => AddressKind::InPath,
        }
    }

    pub const fn secret(self) -> SecretKind {
        match self {
            Self::Webhook => SecretKind::SigningKey,
            Self::Gotify | Self::Bark | Self::ServerChan | Self::PushPlus => SecretKind::Token,
            Self::WebPush => SecretKind::Subscription,
            _ => SecretKind::None,
        }
    }

    /// Whether it works only with an account of this installation, set under `channels.*`.
    pub const fn has_account(self) -> bool {
        !matches!(self, Self::Log | Self::Webhook)
    }

    pub const fn repeat(self) -> Repeat {
        match self {
            Self::Webhook | Self::WecomApp | Self::OfficialAccount | Self::Email | Self::WebPush | Self::Ntfy | Self::Bark => Repeat::Same,
            Self::AliyunSms | Self::TencentSms => Repeat::Probed,
            _ => Repeat::Marked,
        }
    }

    /// A telephone that rings: what wakes people when a text did not.
    pub const fn rings(self) -> bool {
        matches!(self, Self::AliyunVoice)
    }

    /// Shown beside whatever tells the person, and never instead: whether anybody sits before the screen nobody knows, so it counts as
    /// no way to reach somebody, and what it comes to moves nothing on.
    pub const fn is_beside(self) -> bool {
        matches!(self, Self::WebPush)
    }

    /// Each address was promised to one key of ours, so a refusal may be about that address alone.
    pub const fn is_bound_to_key(self) -> bool {
        matches!(self, Self::WebPush)
    }

    /// What the vendors say; WeCom drops what exceeds it while it says that all is well.
    pub const fn limits(self) -> &'static [Limit] {
        match self {
            Self::WecomApp => &WECOM,
            Self::AliyunVoice => &VOICE,
            _ => &[],
        }
    }
}
