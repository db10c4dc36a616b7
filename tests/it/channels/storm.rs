//! Five hundred alerts over five channels whose links break in every way: nothing is lost, and nobody gets an unmarked second copy.

use std::collections::BTreeMap;
use std::time::Instant;

use chenlian::app::App;
use chenlian::domain::message::Channel;
use chenlian::domain::rules::Span;
use chenlian::jobs::deliver;
use chenlian::on;
use chenlian::store::outbox;
use chrono::{DateTime, TimeDelta, Utc};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use uuid::Uuid;

use super::fake::{Answer, Break, Play};
use super::providers::{CHANNELS, Providers, members, ways};
use crate::harness::{World, declare_channels, on_each_engine};
use crate::outbox::{instance, number, tell, texts};

const ALERTS: usize = 500;
const SEED: u64 = 20_261_123;
/// Requests of each provider, of which a third breaks; those that come later find it well.
const STORMY: usize = 400;
/// People whom no channel took in a storm as bad as this.
const FAILED_MAX: i64 = 5;
/// What a text says that may be the second.
const MARK: &str = "补发";

/// How a request ends that does not end well, also by what the provider says inside a 200.
fn faults(channel: Channel) -> Vec<Play> {
    let inside: Vec<Value> = match channel {
        Channel::AliyunSms => ["isp.SYSTEM_ERROR", "isv.BUSINESS_LIMIT_CONTROL", "InternalError"]
            .map(|code| json!({"Code": code, "Message": "触发分钟级流控Permits:1", "RequestId": "R"}))
            .to_vec(),
        Channel::TencentSms => ["InternalError.Timeout", "RequestLimitExceeded", "LimitExceeded.DeliveryFrequencyLimit"]
            .map(|code| json!({"Response": {"Error": {"Code": code, "Message": ""}, "RequestId": "R"}}))
            .to_vec(),
        // A limit of the whole account would send everybody to the next channel in the moment in which this happens.
        Channel::WecomApp | Channel::OfficialAccount => vec![json!({"errcode": -1, "errmsg": "system busy"})],
        _ => Vec::new(),
    };
    let mut faults = vec![
        Play::Before(Break::Reset),
        Play::After(Break::Reset),
        Play::After(Break::Reset),
        Play::Before(Break::Hang),
        Play::After(Break::Hang),
        Play::After(Break::Cut),
        Play::After(Break::Slow),
        Play::After(Break::Huge),
        Play::After(Break::Html),
        Play::Before(Break::Status(500)),
        Play::After(Break::Status(502)),
        Play::After(Break::Status(504)),
        Play::Before(Break::Status(503)),
        Play::Before(Break::Redirect),
        Play::Answer(Answer::later(429, 7)),
    ];
    // A receiver of webhooks says yes by its status, whatever stands in the body.
    if channel != Channel::Webhook {
        faults.extend([Play::Before(Break::Html), Play::Before(Break::Cut)]);
    }
    faults.extend(inside.iter().map(|body| Play::Answer(Answer::json(200, body))));
    faults
}

fn weather(channel: Channel, seed: u64) -> Vec<Play> {
    let (mut random, faults) = (StdRng::seed_from_u64(seed), faults(channel));
    let mut one = || if random.random_range(0..3) == 0 { faults[random.random_range(0..faults.len())].clone() } else { Play::Judge };
    (0..STORMY).map(|_| one()).collect()
}

/// A message as the database knows it.
struct Row {
    channel: Channel,
    /// Under which its provider counts it.
    identity: String,
    sent: bool,
    repeated: bool,
}

async fn rows(app: &App) -> Vec<Row> {
    let found: Vec<(String, i64, String, String, String, bool)> = app
        .read(|mut tx| async move {
            let sql = "select m.channel, m.call_no, m.dedupe_key, c.address, m.state, m.repeated from message m
                join member_channel c on c.site_id = m.site_id and c.id = m.channel_id";
            let rows = on!(&mut tx, |conn| sqlx::query_as(sql).fetch_all(conn).await)?;
            Ok((tx, rows))
        })
        .await
        .expect("messages are read");
    let row = |(channel, call_no, dedupe_key, address, state, repeated): (String, i64, String, String, String, bool)| {
        let channel: Channel = channel.parse().expect("a channel");
        let identity = match channel {
            Channel::AliyunSms | Channel::TencentSms => format!("c{call_no}"),
            Channel::WecomApp => address,
            _ => dedupe_key,
        };
        Row { channel, identity, sent: state == "sent", repeated }
    };
    found.into_iter().map(row).collect()
}

/// What people saw over a channel: plain and marked copies by identity.
fn seen(providers: &Providers, channel: Channel) -> BTreeMap<String, (usize, usize)> {
    let mut seen: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    for accepted in providers.of(channel).accepted() {
        let marked = accepted.ends_with(MARK);
        let identity = match channel {
            Channel::WecomApp => {
                let json: Value = serde_json::from_str(&accepted).expect("JSON");
                json["touser"].as_str().expect("a user").to_owned()
            }
            _ => accepted.trim_end_matches(MARK).to_owned(),
        };
        let copies = seen.entry(identity).or_default();
        if marked { copies.1 += 1 } else { copies.0 += 1 }
    }
    seen
}

async fn next_due(app: &App) -> Option<DateTime<Utc>> {
    app.read(|mut tx| async move { outbox::next_due(&mut tx).await.map(|next| (tx, next)) }).await.expect("it is looked up")
}

/// Lets time pass until nothing is left to do.
async fn ride_out(app: &App) {
    let end = app.clock.now() + TimeDelta::hours(3);
    loop {
        deliver::run_once(app).await.expect("the outbox passes");
        let Some(next) = next_due(app).await else { return };
        assert!(next < end, "the storm does not end");
        app.clock.advance((next - app.clock.now()).max(TimeDelta::milliseconds(1)));
    }
}

/// I11, I12.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_hundred_alerts_over_five_broken_channels_arrive_and_a_second_copy_says_what_it_is() {
    on_each_engine(|app| async move {
        let began = Instant::now();
        let seeds: BTreeMap<Channel, u64> = CHANNELS.into_iter().zip(SEED..).collect();
        let providers = Providers::start(&app.clock, |channel| weather(channel, seeds[&channel])).await;
        let app = instance(&app, |config| {
            providers.settings(config);
            config.outbox.attempt_timeout = Span::seconds(1);
        });
        declare_channels(&app).await;
        let world = World::seed(&app, 0).await;
        let people = members(&app, &world, ALERTS).await;
        // Everybody has all five, each in another order.
        let of = |(number, member): (usize, &Uuid)| {
            let member = *member;
            let turned = CHANNELS.into_iter().cycle().skip(number % CHANNELS.len()).take(CHANNELS.len());
            turned.enumerate().map(move |(position, channel)| (member, position, channel)).map(move |way| (way, number)).collect::<Vec<_>>()
        };
        let all = people.iter().enumerate().flat_map(of);
        let all =
            all.map(|((member, position, channel), number)| (member, position, channel, providers.address(channel, number))).collect();
        ways(&app, world.site, all).await;
        tell(&app, world.site, &people, 1).await;
        ride_out(&app).await;
        check(&app, &providers).await;
        println!("{ALERTS} alerts in {:?} (postgres: {}, seed {SEED})", began.elapsed(), app.db.is_postgres());
    })
    .await;
}

async fn check(app: &App, providers: &Providers) {
    let told = number(app, "select count(*) from notice where class = 'alert' and state = 'delivered'").await;
    // Where four channels wanted a pause and the fifth said no for good, the ladder asks the next person at once.
    let failed = number(app, "select count(*) from notice where class = 'alert' and state = 'failed'").await;
    assert_eq!(told + failed, i64::try_from(ALERTS).expect("few"), "none is lost");
    assert!(failed <= FAILED_MAX, "{failed} have failed");
    let unfinished = "select count(*) from notice n where n.state = 'failed' and (n.channels_tried < 5 or exists (select 1 from message m
        where m.site_id = n.site_id and m.recipient_id = n.recipient_id and m.state <> 'failed'))";
    assert_eq!(number(app, unfinished).await, 0, "what has failed has been tried everywhere");
    assert_eq!(texts(app, "select channel from channel_account where fault_at is not null").await, Vec::<String>::new());
    let rows = rows(app).await;
    let mut reached = 0;
    for channel in CHANNELS {
        let (mine, seen) = (rows.iter().filter(|row| row.channel == channel).collect::<Vec<_>>(), seen(providers, channel));
        for row in &mine {
            let (plain, marked) = seen.get(&row.identity).copied().unwrap_or_default();
            let said = format!("{channel} {}: {plain} plain and {marked} marked", row.identity);
            assert!(!row.sent || plain + marked > 0, "lost: {said}");
            assert!(plain <= 1, "an unmarked duplicate: {said}");
            assert!(plain + marked <= 1 || row.repeated, "a duplicate that nobody doubted: {said}");
            assert!(marked == 0 || matches!(channel, Channel::TencentSms | Channel::OfficialAccount), "a duplicate: {said}");
        }
        let unknown: Vec<&String> = seen.keys().filter(|identity| !mine.iter().any(|row| row.identity == **identity)).collect();
        assert!(unknown.is_empty(), "{channel} {unknown:?}");
        let sent = mine.iter().filter(|row| row.sent).count();
        let duplicates: usize = seen.values().map(|(plain, marked)| plain + marked - 1).sum();
        let requests = providers.of(channel).requests().len();
        println!("{channel}: {} sealed, {sent} sent, {} accepted, {duplicates} duplicates, {requests} requests", mine.len(), seen.len());
        assert!(requests > sent && sent > 0, "{channel} was in the storm: {requests} requests for {sent} messages");
        reached += sent;
    }
    assert_eq!(i64::try_from(reached).expect("few"), told);
    println!("{told} told, {failed} failed visibly");
    println!("{} refreshed tokens at the company", providers.company.tokens());
}
