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
/// They come in waves, an hour apart, so that a limit of the whole account, which sends everybody to the next channel in the moment in which
/// it is met, keeps no channel out of the storm.
const WAVES: usize = 10;
/// That many requests show that a channel was in the storm.
const REQUESTS_MIN: usize = 100;
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
        Channel::WecomApp | Channel::OfficialAccount => {
            vec![json!({"errcode": -1, "errmsg": "system busy"}), json!({"errcode": 45009, "errmsg": "reach max api daily quota limit"})]
        }
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
    person: Uuid,
    /// Under which its provider counts it.
    identity: String,
    sent: bool,
    repeated: bool,
    /// Another channel may have shown the same.
    after_doubt: bool,
}

type Columns = (String, Uuid, i64, String, String, String, bool, bool);

async fn rows(app: &App) -> Vec<Row> {
    let found: Vec<Columns> = app
        .read(|mut tx| async move {
            let sql =
                "select m.channel, m.recipient_id, m.call_no, m.dedupe_key, c.address, m.state, m.repeated, m.after_doubt from message m
                join member_channel c on c.site_id = m.site_id and c.id = m.channel_id";
            let rows = on!(&mut tx, |conn| sqlx::query_as(sql).fetch_all(conn).await)?;
            Ok((tx, rows))
        })
        .await
        .expect("messages are read");
    let row = |(channel, person, call_no, dedupe_key, address, state, repeated, after_doubt): Columns| {
        let channel: Channel = channel.parse().expect("a channel");
        let identity = match channel {
            Channel::AliyunSms | Channel::TencentSms => format!("c{call_no}"),
            Channel::WecomApp => address,
            _ => dedupe_key,
        };
        Row { channel, person, identity, sent: state == "sent", repeated, after_doubt }
    };
    found.into_iter().map(row).collect()
}

/// What people saw over a channel: plain and marked copies by identity.
fn seen(providers: &Providers, channel: Channel) -> BTreeMap<String, (usize, usize)> {
    let mut seen: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    for accepted in providers.of(channel).accepted() {
        let marked = accepted.contains(MARK);
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
        for wave in people.chunks(ALERTS / WAVES) {
            tell(&app, world.site, wave, 1).await;
            ride_out(&app).await;
            app.clock.advance(TimeDelta::hours(1));
        }
        check(&app, &providers).await;
        println!("{ALERTS} alerts in {:?} (postgres: {}, seed {SEED})", began.elapsed(), app.db.is_postgres());
    })
    .await;
}

async fn check(app: &App, providers: &Providers) {
    assert_eq!(
        texts(app, "select state from notice where class = 'alert' and state <> 'delivered'").await,
        Vec::<String>::new(),
        "none is lost"
    );
    assert_eq!(texts(app, "select channel from channel_account where fault_at is not null").await, Vec::<String>::new());
    let rows = rows(app).await;
    let (mut reached, mut marks) = (0, 0);
    let mut plain_of: BTreeMap<Uuid, usize> = BTreeMap::new();
    for channel in CHANNELS {
        let (mine, seen) = (rows.iter().filter(|row| row.channel == channel).collect::<Vec<_>>(), seen(providers, channel));
        for row in &mine {
            let (plain, marked) = seen.get(&row.identity).copied().unwrap_or_default();
            let said = format!("{channel} {}: {plain} plain and {marked} marked", row.identity);
            assert!(!row.sent || plain + marked > 0, "lost: {said}");
            assert!(plain <= 1, "an unmarked duplicate: {said}");
            assert!(plain + marked <= 1 || row.repeated, "a duplicate that nobody doubted: {said}");
            let alike = matches!(channel, Channel::TencentSms | Channel::OfficialAccount);
            assert!(plain + marked <= 1 || alike, "a duplicate where there is an identity: {said}");
            assert!(if row.after_doubt { plain == 0 } else { marked == 0 || row.repeated && alike }, "a wrong mark: {said}");
            *plain_of.entry(row.person).or_default() += plain;
            marks += usize::from(row.after_doubt && marked > 0);
        }
        let unknown: Vec<&String> = seen.keys().filter(|identity| !mine.iter().any(|row| row.identity == **identity)).collect();
        assert!(unknown.is_empty(), "{channel} {unknown:?}");
        let sent = mine.iter().filter(|row| row.sent).count();
        let duplicates: usize = seen.values().map(|(plain, marked)| plain + marked - 1).sum();
        let requests = providers.of(channel).requests().len();
        println!("{channel}: {} sealed, {sent} sent, {} accepted, {duplicates} duplicates, {requests} requests", mine.len(), seen.len());
        assert!(requests >= REQUESTS_MIN && requests > sent, "{channel} was in the storm: {requests} requests for {sent} messages");
        reached += sent;
    }
    assert_eq!(reached, ALERTS);
    let twice: Vec<&Uuid> = plain_of.iter().filter(|(_, plain)| **plain > 1).map(|(person, _)| person).collect();
    assert!(twice.is_empty(), "two copies without a mark, over whichever channels: {twice:?}");
    let idle = "select count(*) from message m where m.after_doubt and not exists (select 1 from message o
        join message_attempt t on t.site_id = o.site_id and t.message_id = o.id and t.outcome = 'ambiguous'
        where o.site_id = m.site_id and o.recipient_id = m.recipient_id and o.id <> m.id)";
    assert_eq!(number(app, idle).await, 0, "a mark stands only where there was a doubt");
    let back = number(
        app,
        "select count(*) from message m where m.state = 'sent' and exists (select 1 from message o
        where o.site_id = m.site_id and o.recipient_id = m.recipient_id and o.call_no > m.call_no)",
    )
    .await;
    assert!(marks > 0, "second copies over other channels were in the storm");
    println!("{reached} told, {marks} marked over a second channel, {back} by a channel that had paused");
    println!("{} refreshed tokens at the company", providers.company.tokens());
}
