//! From the socket of a gateway to the acknowledgement that says "committed".

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use chenlian::app::App;
use chenlian::clock::Clock;
use chenlian::domain::device::{DeviceRole, Ecosystem};
use chenlian::ingest::running;
use chenlian::mqtt::endpoint::{self, Settings};
use chenlian::mqtt::ports::{Identity, Outcome, Ports};
use chenlian::on;
use chenlian::seal::SealKey;
use chenlian::store::bulk;
use chenlian::store::device::{self as devices, NewDevice};
use serde_json::json;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use uuid::Uuid;

use super::clients::{Account, Load, send};
use super::harness::World;
use super::{ms, percentile};

const GATEWAYS: usize = 50;
const DEVICES_EACH: usize = 4;
const FULL: Load = Load { messages: 1_000, window: 20, pause: Duration::ZERO };
/// Two hundred a second altogether: a morning in a large compound.
const QUIET: Load = Load { messages: 20, window: 20, pause: Duration::from_millis(250) };
/// What a broken device wants to send in a second.
const MAD: Load = Load { messages: 3_000, window: 50, pause: Duration::from_millis(1) };
/// Rows of the plain inserts, and of one transaction of them.
const ROWS: usize = 20_000;
const BATCH: usize = 500;

/// The same clients at an endpoint that acknowledges and stores nothing: messages a second.
pub async fn null() -> f64 {
    let (authenticate, mut questions) = mpsc::channel(256);
    let (inbound, mut messages) = mpsc::channel(4096);
    let endpoint = endpoint::start(Settings::new(([127, 0, 0, 1], 0).into()), Ports { authenticate, inbound, clock: Clock::System });
    let endpoint = endpoint.await.expect("it listens");
    tokio::spawn(async move {
        while let Some(question) = questions.recv().await {
            let question: chenlian::mqtt::ports::AuthRequest = question;
            let name = question.client_id.clone();
            let identity = Identity {
                publish_below: vec![format!("{name}/")],
                principal: name,
                device: None,
                subscribe_below: Vec::new(),
                retained: Vec::new(),
                messages_per_minute: u32::MAX,
            };
            let _ = question.reply.send(Ok(identity));
        }
    });
    tokio::spawn(async move {
        while let Some(message) = messages.recv().await {
            let message: chenlian::mqtt::ports::Inbound = message;
            let _ = message.ack.send(Outcome::Committed);
        }
    });
    let (a_second, times) = all(endpoint.local_addr(), &accounts(), FULL).await;
    tell("the same clients, nothing stored", a_second, times);
    endpoint.stop().await;
    a_second
}

pub async fn measure(app: &App, null: f64) {
    let rows = inserted(app).await;
    let (app, running, accounts) = installed(app, GATEWAYS).await;
    let address = running.listens_on().expect("an endpoint");
    let (a_second, times) = all(address, &accounts, FULL).await;
    tell("reports, acknowledged after the commit", a_second, times);
    println!(
        "    {:.2} x the endpoint alone, {:.2} x plain inserts of {BATCH} rows ({rows:.0} a second)",
        a_second / null,
        a_second / rows
    );
    let (a_second, times) = all(address, &accounts, QUIET).await;
    tell("the same on a quiet morning", a_second, times);
    running.stop().await;
    app.db.close().await;
}

/// How long the others wait while one device sends a thousand messages a second.
pub async fn beside_a_mad_device(app: &App) {
    let (app, running, accounts) = installed(app, GATEWAYS + 1).await;
    let address = running.listens_on().expect("an endpoint");
    let mad = tokio::spawn(send(address, accounts[GATEWAYS].clone(), MAD));
    let before = resident_kib();
    let (a_second, times) = all(address, &accounts[..GATEWAYS], QUIET).await;
    tell("the others beside a device gone mad", a_second, times);
    println!("    memory {} KiB before, {} KiB after; it was still sending: {}", before, resident_kib(), !mad.is_finished());
    mad.abort();
    running.stop().await;
    app.db.close().await;
}

/// A register of gateways whose rate is not what is measured, and the running ingest.
async fn installed(app: &App, gateways: usize) -> (App, running::Running, Vec<Account>) {
    let mut config = app.config.clone();
    config.mqtt.listen = ([127, 0, 0, 1], 0).into();
    config.mqtt.device_rate_per_minute = 1_000_000;
    let app = App::new(config, app.db.clone(), app.clock.clone(), SealKey::from_bytes([42; 32]));
    let world = World::seed(&app, 0).await;
    let (seal, now, by, site_id) = (app.seal.clone(), app.clock.now(), world.social_worker, world.site);
    let new = move |name: String, ecosystem, role, gateway_id, base_topic| NewDevice {
        site_id,
        id: Uuid::now_v7(),
        name,
        ecosystem,
        role,
        gateway_id,
        base_topic,
        expected_interval_seconds: 90_000,
        component: String::new(),
        settings: serde_json::Map::new(),
    };
    let mut accounts = accounts_of(gateways);
    let names: Vec<String> = accounts.iter().map(|account| account.name.clone()).collect();
    let passwords = app
        .write(move |mut tx| async move {
            let mut passwords = Vec::new();
            for name in names {
                let home = new(name.clone(), Ecosystem::Gateway, DeviceRole::Gateway, None, Some(name));
                let (home, credentials) = devices::create(&mut tx, &home, Some(by), &seal, now).await?;
                for number in 0..DEVICES_EACH {
                    let contact = new(number.to_string(), Ecosystem::Zigbee2Mqtt, DeviceRole::CurtainContact, Some(home.id), None);
                    devices::create(&mut tx, &contact, Some(by), &seal, now).await?;
                }
                passwords.push(credentials.expect("a gateway has credentials").password);
            }
            Ok((tx, passwords))
        })
        .await
        .expect("the register takes them");
    for (account, password) in accounts.iter_mut().zip(passwords) {
        account.password = password;
    }
    let running = running::start(&app).await.expect("the ingest starts");
    (app, running, accounts)
}

fn accounts() -> Vec<Account> {
    accounts_of(GATEWAYS)
}

fn accounts_of(gateways: usize) -> Vec<Account> {
    let account = |number: usize| {
        let name = format!("home-{number}");
        let topics = (0..DEVICES_EACH).map(|device| format!("{name}/{device}")).collect();
        Account { name, password: "nothing".to_owned(), topics }
    };
    (0..gateways).map(account).collect()
}

async fn all(address: SocketAddr, accounts: &[Account], load: Load) -> (f64, Vec<Duration>) {
    let began = Instant::now();
    let mut clients: JoinSet<Vec<Duration>> = accounts.iter().map(|account| send(address, account.clone(), load)).collect();
    let mut times = Vec::new();
    while let Some(of_one) = clients.join_next().await {
        times.extend(of_one.expect("a client does not panic"));
    }
    let messages = f64::from(u32::try_from(times.len()).expect("few"));
    (messages / began.elapsed().as_secs_f64(), times)
}

fn tell(what: &str, a_second: f64, mut times: Vec<Duration>) {
    let (middle, late) = (percentile(&mut times, 50), percentile(&mut times, 99));
    println!("  {what:<44} {a_second:>8.0} a second   p50 {:>7.1} ms   p99 {:>7.1} ms", ms(middle), ms(late));
}

/// Rows of a message's size in transactions of a full batch, one after the other: rows a second.
async fn inserted(app: &App) -> f64 {
    let table = "create table bench_report (device_id varchar not null, number bigint not null, payload varchar not null)";
    let made = app.write(move |mut tx| async move {
        on!(&mut tx, |conn| sqlx::query(table).execute(conn).await.map(|_| ()))?;
        Ok((tx, ()))
    });
    made.await.expect("a table is made");
    let began = Instant::now();
    for batch in 0..ROWS / BATCH {
        let rows: Vec<_> =
            (0..BATCH).map(|row| json!({ "device": format!("home-{row}"), "number": batch, "payload": "x".repeat(170) })).collect();
        let sql = "insert into bench_report (device_id, number, payload) select {device:text}, {number:int}, {payload:text} from {rows}";
        let written = app.write(move |mut tx| async move {
            bulk::execute(&mut tx, sql, &rows).await?;
            Ok((tx, ()))
        });
        written.await.expect("rows are inserted");
    }
    f64::from(u32::try_from(ROWS).expect("few")) / began.elapsed().as_secs_f64()
}

/// Resident memory of this process, clients included.
fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or_default()
}
