//! Each channel against a fake of its provider that is as strict as the provider, over links that break in every way (I12).

use chenlian::config::Config;
use chenlian::domain::message::Channel;
use chenlian::domain::message::brief::{Brief, Template};
use chenlian::domain::rules::Span;
use chenlian::notify::{self, Envelope, Notifier, Outgoing};
use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

mod aliyun;
mod bots;
mod email;
mod failing;
pub mod fake;
mod family;
mod groups;
mod links;
mod mail_server;
mod moved;
mod official_account;
mod providers;
mod push;
mod screens;
mod storm;
mod story;
mod tencent;
mod timeline;
mod web_push;
mod wecom;

/// 2023-11-14, 22:13:20 UTC; in China it is 06:13:20 of the next day.
pub fn start() -> DateTime<Utc> {
    DateTime::from_timestamp(1_700_000_000, 0).expect("a time")
}

/// One attempt takes a second at most.
pub fn notifier(change: impl FnOnce(&mut Config)) -> Notifier {
    let mut config = Config::defaults();
    config.outbox.attempt_timeout = Span::seconds(1);
    change(&mut config);
    Notifier::new(&config).expect("the clients are set up")
}

pub fn brief() -> Brief {
    Brief {
        template: Template::Alert,
        called: "王师傅".to_owned(),
        place: "3号楼".to_owned(),
        count: 2,
        link: "c/0123456789abcdef".to_owned(),
        code: None,
    }
}

/// What the outbox stores of a message.
pub fn sealed(channel: Channel, brief: &Brief) -> Vec<u8> {
    let envelope = Envelope {
        message_id: Uuid::from_u128(7),
        call_no: 123,
        recipient_id: Uuid::from_u128(8),
        kind: "notice.alert_call",
        class: "alert",
        text: "王师傅：3号楼2户今早还没有消息。",
        title: "还没有消息",
        link: Some("https://cl.example.org/c/0123456789abcdef"),
        brief,
        alerts: &[Uuid::from_u128(9)],
        sealed_at: start(),
    };
    notify::seal(channel, &envelope)
}

/// The first attempt.
pub fn outgoing(channel: Channel, address: &str, body: Vec<u8>) -> Outgoing {
    Outgoing {
        message_id: Uuid::from_u128(7),
        channel,
        address: address.to_owned(),
        secret: None,
        body,
        dedupe_key: "msg_00000000000000000000000000000007".to_owned(),
        call_no: 123,
        repeated: false,
        after_doubt: false,
        locale: "zh-CN",
        signed_at: start(),
        at: start(),
    }
}

/// The same message again, after an attempt of unknown outcome.
pub fn repeated(first: &Outgoing, seconds: i64) -> Outgoing {
    Outgoing { repeated: true, at: first.at + TimeDelta::seconds(seconds), ..first.clone() }
}
