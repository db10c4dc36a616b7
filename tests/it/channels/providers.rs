//! Providers beside each other, each as strict as the vendor and at the time of one clock, and people who are reached over them.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chenlian::app::App;
use chenlian::clock::Clock;
use chenlian::config::Config;
use chenlian::domain::message::Channel;
use chenlian::jobs::deliver;
use chenlian::notify::webhook;
use chenlian::store::bulk;
use serde_json::{Value, json};
use uuid::Uuid;

use super::fake::{Answer, Fake, Play, Request};
use super::wecom::Company;
use super::{aliyun, official_account, tencent, wecom};
use crate::harness::World;
use crate::outbox::SECRET;

pub const CHANNELS: [Channel; 5] = [Channel::AliyunSms, Channel::TencentSms, Channel::WecomApp, Channel::OfficialAccount, Channel::Webhook];
/// What a text says that may be the second.
const MARK: &str = "补发";
/// The tokens of the official account and of the company end after so many messages.
const TOKEN_LASTS: usize = 40;

pub struct Providers {
    pub aliyun: Fake,
    pub tencent: Fake,
    pub company: Company,
    pub official: Fake,
    pub webhook: Fake,
}

impl Providers {
    pub async fn start(clock: &Clock, plays: impl Fn(Channel) -> Vec<Play>) -> Self {
        let clock = || {
            let clock = clock.clone();
            move || clock.now()
        };
        Self {
            aliyun: aliyun::sms_service_at(&plays(Channel::AliyunSms), true, clock()).await,
            tencent: tencent::service_at(&plays(Channel::TencentSms), |stamp| stamp).await,
            company: Company::start_forgetful(&plays(Channel::WecomApp), TOKEN_LASTS).await,
            official: official_account::platform_at(&plays(Channel::OfficialAccount), TOKEN_LASTS, clock()).await,
            webhook: receiver(&plays(Channel::Webhook)).await,
        }
    }

    pub fn settings(&self, config: &mut Config) {
        aliyun::settings(config, &self.aliyun);
        tencent::settings(config, &self.tencent);
        self.company.settings(config);
        official_account::settings(config, &self.official);
        "https://cl.example.org".clone_into(&mut config.http.public_url);
    }

    pub fn of(&self, channel: Channel) -> &Fake {
        match channel {
            Channel::AliyunSms => &self.aliyun,
            Channel::TencentSms => &self.tencent,
            Channel::WecomApp => &self.company.fake,
            Channel::OfficialAccount => &self.official,
            Channel::Webhook => &self.webhook,
            other => panic!("nobody plays {other}"),
        }
    }

    /// Under which address a person is reached.
    pub fn address(&self, channel: Channel, number: usize) -> String {
        match channel {
            Channel::AliyunSms | Channel::TencentSms => format!("139{number:08}"),
            Channel::WecomApp => format!("{}{number}", wecom::USER),
            Channel::OfficialAccount => format!("{}{number}", official_account::OPENID),
            Channel::Webhook => format!("{}/hook/{number}", self.webhook.url),
            other => panic!("nobody plays {other}"),
        }
    }
}

/// A receiver of Standard Webhooks: checks the signature and drops a repeat by its id.
async fn receiver(plays: &[Play]) -> Fake {
    let mut known: Vec<(String, Vec<u8>)> = Vec::new();
    Fake::start(plays, move |request, accepted| {
        if !is_signed(request) {
            return Answer::text(401, "");
        }
        let id = request.header("webhook-id").to_owned();
        match known.iter().find(|(found, _)| *found == id) {
            Some((_, body)) if *body == request.body => {}
            Some(_) => accepted.push(format!("{id} with another body")),
            None => {
                known.push((id.clone(), request.body.clone()));
                let mark = if String::from_utf8_lossy(&request.body).contains(MARK) { MARK } else { "" };
                accepted.push(format!("{id}{mark}"));
            }
        }
        Answer::text(204, "")
    })
    .await
}

fn is_signed(request: &Request) -> bool {
    let key = STANDARD.decode(SECRET.trim_start_matches("whsec_")).expect("base64");
    let stamp = request.header("webhook-timestamp").parse().unwrap_or_default();
    let expected = webhook::sign(&key, request.header("webhook-id"), stamp, &request.body);
    request.method == "POST" && request.header("webhook-signature") == expected
}

/// More members, each with no way to reach her yet.
pub async fn members(app: &App, world: &World, count: usize) -> Vec<Uuid> {
    let (site, now) = (world.site, app.clock.now());
    let ids: Vec<Uuid> = (0..count).map(|_| Uuid::now_v7()).collect();
    let rows: Vec<Value> = ids.iter().map(|id| json!({ "site": site, "id": id, "phone": id.to_string(), "at": bulk::time(now) })).collect();
    app.write(move |mut tx| async move {
        let sql = "insert into member (site_id, id, name, called, phone, locale, version, created_at)
            select {site:uuid}, {id:uuid}, '某某', '老王', {phone:text}, 'zh-CN', 1, {at:time} from {rows}";
        bulk::execute(&mut tx, sql, &rows).await?;
        Ok((tx, ()))
    })
    .await
    .expect("members are stored");
    ids
}

/// Verified ways to reach members: whom, at which place of her list, over which channel and where.
pub async fn ways(app: &App, site: Uuid, ways: Vec<(Uuid, usize, Channel, String)>) {
    let now = app.clock.now();
    let row = |(member, position, channel, address): &(Uuid, usize, Channel, String)| {
        let id = Uuid::now_v7();
        let secret = (*channel == Channel::Webhook).then(|| app.seal.seal(&deliver::secret_place(id), SECRET.as_bytes()));
        let secret = secret.map(|secret| bulk::hex(&secret));
        json!({ "site": site, "id": id, "member": member, "position": position, "channel": channel.as_str(), "address": address,
            "secret": secret, "at": bulk::time(now) })
    };
    let rows: Vec<Value> = ways.iter().map(row).collect();
    app.write(move |mut tx| async move {
        let sql = "insert into member_channel (site_id, id, member_id, position, channel, address, secret_sealed, verified_at, version, created_at)
            select {site:uuid}, {id:uuid}, {member:uuid}, {position:int}, {channel:text}, {address:text}, {secret:bytes}, {at:time}, 1, {at:time} from {rows}";
        bulk::execute(&mut tx, sql, &rows).await?;
        Ok((tx, ()))
    })
    .await
    .expect("channels are stored");
}

/// Waits for what other tasks do.
pub async fn until(met: impl Fn() -> bool) {
    let waiting = async {
        while !met() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_mins(1), waiting).await.expect("it happens");
}
