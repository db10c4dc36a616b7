//! Channels: the ways by which a sealed message leaves. A new one is one file, its word in [`Channel`], and one line wherever
//! the compiler or a test then says that it is missing.
//!
//! A channel never throws: every ending is an [`Outcome`], and the outbox decides what follows. Nothing here knows the
//! database; what is sent was sealed before, byte for byte, so that a repeat is the same message.

pub mod compose;
pub mod group;
pub mod http;
pub mod receipts;
pub mod target;
pub mod trial;

mod digest;
mod fit;

mod aliyun;
pub mod aliyun_sms;
pub mod aliyun_voice;
mod log;
pub mod tencent_sms;
pub mod webhook;

mod token;
mod wechat;

pub mod official_account;
mod wecom_app;

mod apprise;
mod bark;
pub mod email;
mod gotify;
pub mod note;
mod ntfy;
mod push_plus;
mod server_chan;
pub mod web_push;

mod dingtalk_bot;
mod feishu_bot;
mod wecom_bot;

use std::convert::identity;
use std::time::Duration;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use compose::{Letter, brief, render, title};

use crate::config::Config;
use crate::domain::message::brief::{Brief, Template};
use crate::domain::message::retry::{Outcome, OutcomeClass};
use crate::domain::message::{Channel, Composed};
use crate::domain::notice::NoticeClass;
use crate::text;

/// One attempt at one message.
#[derive(Clone)]
pub struct Outgoing {
    pub message_id: Uuid,
    pub channel: Channel,
    pub address: String,
    pub secret: Option<Vec<u8>>,
    pub body: Vec<u8>,
    /// The same over all attempts (I12).
    pub dedupe_key: String,
    pub call_no: i64,
    /// An attempt of unknown outcome came before; channels without identity mark the repeat.
    pub repeated: bool,
    /// An attempt of unknown outcome over another channel came before: what she reads here may be the second copy, and says so.
    pub after_doubt: bool,
    /// The language of the message, for the mark of a repeat.
    pub locale: &'static str,
    /// The time that signed requests carry: that of the first attempt whose outcome is in doubt, so that a repeat is the same request
    /// byte for byte; one that was certainly refused is repeated under a time of its own. It moves on after
    /// [`SIGNATURE_AGE_MAX`](crate::domain::message::channel::SIGNATURE_AGE_MAX), when providers refuse the old one.
    pub signed_at: DateTime<Utc>,
    pub at: DateTime<Utc>,
}

impl Outgoing {
    /// A short name of the message for providers with short ids (1–15 bytes); receipts give it back.
    pub fn short_id(&self) -> String {
        format!("c{}", self.call_no)
    }

    /// What stands before a text that may be a second copy; empty for a first one.
    pub fn repeat_mark(&self) -> String {
        if self.repeated { self.mark() } else { self.second_mark() }
    }

    /// The same where a repeat over this channel is the same message: what another channel may have shown, this one cannot know. All
    /// attempts say it alike.
    pub fn second_mark(&self) -> String {
        if self.after_doubt { self.mark() } else { String::new() }
    }

    fn mark(&self) -> String {
        let number = [("number".to_owned(), self.call_no.to_string())].into();
        text::render(self.locale, "notice.repeated", &number)
    }
}

/// What a sealed body is made of.
#[derive(Debug, Clone)]
pub struct Envelope<'a> {
    pub message_id: Uuid,
    pub call_no: i64,
    pub recipient_id: Uuid,
    /// The key of the most urgent sentence.
    pub kind: &'a str,
    pub class: &'a str,
    /// The whole text, link included.
    pub text: &'a str,
    /// A few words above the text where a channel shows a heading.
    pub title: &'a str,
    pub link: Option<&'a str>,
    /// The same in the arguments of a template.
    pub brief: &'a Brief,
    pub alerts: &'a [Uuid],
    pub sealed_at: DateTime<Utc>,
}

/// What is said to whom, before its bytes are made.
#[derive(Clone, Copy)]
pub struct Saying<'a> {
    pub message_id: Uuid,
    pub call_no: i64,
    pub recipient_id: Uuid,
    pub letter: Letter<'a>,
    pub class: NoticeClass,
    pub composed: &'a Composed,
    pub alerts: &'a [Uuid],
    /// The code that verifies the address, if that is what the message is for.
    pub code: Option<&'a str>,
}

impl Saying<'_> {
    /// The one way from sentences to the bytes of a message.
    pub fn seal(&self, channel: Channel, now: DateTime<Utc>) -> Vec<u8> {
        let mut brief = brief(&self.letter, self.class, self.composed);
        if let Some(code) = self.code {
            brief = Brief { template: Template::Code, code: Some(code.to_owned()), ..brief };
        }
        let envelope = Envelope {
            message_id: self.message_id,
            call_no: self.call_no,
            recipient_id: self.recipient_id,
            kind: self.composed.sentences.first().map_or("notice", |sentence| &sentence.key),
            class: self.class.as_str(),
            text: &render(&self.letter, self.composed),
            title: &title(self.letter.locale, brief.template),
            link: self.letter.link,
            brief: &brief,
            alerts: self.alerts,
            sealed_at: now,
        };
        seal(channel, &envelope)
    }
}

/// The key of a message over all its attempts (I12).
pub fn dedupe_key(message_id: Uuid) -> String {
    format!("msg_{}", message_id.simple())
}

/// The bytes of a message on a channel; they never change after sealing.
pub fn seal(channel: Channel, envelope: &Envelope<'_>) -> Vec<u8> {
    match channel {
        Channel::Log => envelope.text.as_bytes().to_vec(),
        Channel::Webhook => webhook::body(envelope),
        Channel::Email => note::seal(envelope, note::MAILED_BYTES_MAX),
        Channel::WebPush => note::seal_for_screen(envelope),
        Channel::Ntfy | Channel::Gotify | Channel::Bark | Channel::ServerChan | Channel::PushPlus | Channel::Apprise => {
            note::seal(envelope, note::PUSHED_BYTES_MAX)
        }
        // Which of the provider's templates that is, the settings say when it is sent.
        Channel::AliyunSms | Channel::TencentSms | Channel::AliyunVoice => envelope.brief.bytes(),
        Channel::WecomApp => wecom_app::body(envelope),
        Channel::OfficialAccount => official_account::body(envelope),
    }
}

/// What is slow together: messages to one endpoint share a limit, others do not wait for them (I15).
pub fn endpoint(channel: Channel, address: &str) -> String {
    match channel {
        Channel::Webhook => target::host(address).unwrap_or_else(|| channel.to_string()),
        _ => channel.to_string(),
    }
}

/// The open clients of all channels.
#[derive(Debug, Clone)]
pub struct Notifier {
    webhook: webhook::Webhook,
    aliyun_sms: aliyun_sms::AliyunSms,
    tencent_sms: tencent_sms::TencentSms,
    aliyun_voice: aliyun_voice::AliyunVoice,
    wecom_app: wecom_app::WecomApp,
    official_account: official_account::OfficialAccount,
    email: email::Email,
    web_push: web_push::WebPush,
    ntfy: ntfy::Ntfy,
    gotify: gotify::Gotify,
    bark: bark::Bark,
    server_chan: server_chan::ServerChan,
    push_plus: push_plus::PushPlus,
    apprise: apprise::Apprise,
    log_text: bool,
    attempt_timeout: Duration,
}

impl Notifier {
    /// # Errors
    /// The TLS client cannot be set up.
    pub fn new(settings: &Config) -> Result<Self, reqwest::Error> {
        let attempt_timeout = settings.outbox.attempt_timeout.std();
        let (channels, allow_private) = (&settings.channels, settings.outbox.allow_private_targets);
        let webhook = webhook::Webhook::new(attempt_timeout, allow_private)?;
        let client = http::client(attempt_timeout).build()?;
        Ok(Self {
            webhook,
            aliyun_sms: aliyun_sms::AliyunSms::new(&channels.aliyun_sms, attempt_timeout)?,
            tencent_sms: tencent_sms::TencentSms::new(&channels.tencent_sms, attempt_timeout)?,
            aliyun_voice: aliyun_voice::AliyunVoice::new(&channels.aliyun_voice, attempt_timeout)?,
            wecom_app: wecom_app::WecomApp::new(client.clone(), channels.wecom_app.clone()),
            official_account: official_account::OfficialAccount::new(client.clone(), channels.official_account.clone()),
            email: email::Email::new(&channels.email, attempt_timeout),
            web_push: web_push::WebPush::new(&channels.web_push, attempt_timeout, allow_private)?,
            ntfy: ntfy::Ntfy::new(&client, &channels.ntfy),
            gotify: gotify::Gotify::new(&client, &channels.gotify),
            bark: bark::Bark::new(&client, &channels.bark),
            server_chan: server_chan::ServerChan::new(&client, &channels.server_chan),
            push_plus: push_plus::PushPlus::new(&client, settings),
            apprise: apprise::Apprise::new(&client, &channels.apprise),
            log_text: settings.outbox.log_text,
            attempt_timeout,
        })
    }

    /// One attempt, bounded in time whatever the channel does.
    pub async fn send(&self, outgoing: &Outgoing) -> Outcome {
        let attempt = async {
            match outgoing.channel {
                Channel::Log => log::send(outgoing, self.log_text),
                Channel::Webhook => self.webhook.send(outgoing).await,
                Channel::AliyunSms => self.aliyun_sms.send(outgoing).await,
                Channel::TencentSms => self.tencent_sms.send(outgoing).await,
                Channel::AliyunVoice => self.aliyun_voice.send(outgoing).await,
                Channel::WecomApp => self.wecom_app.send(outgoing).await,
                Channel::OfficialAccount => self.official_account.send(outgoing).await,
                Channel::Email => ended(self.email.send(outgoing).await),
                Channel::WebPush => ended(self.web_push.send(outgoing).await),
                Channel::Ntfy => ended(self.ntfy.send(outgoing).await),
                Channel::Gotify => ended(self.gotify.send(outgoing).await),
                Channel::Bark => ended(self.bark.send(outgoing).await),
                Channel::ServerChan => ended(self.server_chan.send(outgoing).await),
                Channel::PushPlus => ended(self.push_plus.send(outgoing).await),
                Channel::Apprise => ended(self.apprise.send(outgoing).await),
            }
        };
        let bounded = tokio::time::timeout(self.attempt_timeout, attempt).await;
        bounded.unwrap_or_else(|_| Outcome::new(OutcomeClass::Ambiguous, "timeout"))
    }
}

/// An error is an attempt that ended before there was an answer to judge.
fn ended(attempt: Result<Outcome, Outcome>) -> Outcome {
    attempt.unwrap_or_else(identity)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// I12.
    #[test]
    fn a_copy_says_what_it_is_once_however_many_reasons_there_are() {
        let note = r#"{"title":"t","body":"b","link":null,"tag":"x","level":"alert","at":0,"alerts":[],"is_over":false}"#;
        for (repeated, after_doubt, alike, beside) in [
            (false, false, "b", "b"),
            (true, false, "b", "（补发，编号7）b"),
            (false, true, "（补发，编号7）b", "（补发，编号7）b"),
            (true, true, "（补发，编号7）b", "（补发，编号7）b"),
        ] {
            let now = DateTime::UNIX_EPOCH;
            let outgoing = Outgoing {
                message_id: Uuid::nil(),
                channel: Channel::Gotify,
                address: String::new(),
                secret: None,
                body: note.as_bytes().to_vec(),
                dedupe_key: dedupe_key(Uuid::nil()),
                call_no: 7,
                repeated,
                after_doubt,
                locale: "zh-CN",
                signed_at: now,
                at: now,
            };
            let bodies = [note::Note::open(&outgoing), note::Note::open_marked(&outgoing)].map(|note| note.expect("a note").body);
            assert_eq!(bodies, [alike, beside], "repeated {repeated}, after doubt {after_doubt}");
        }
    }
}
