//! Real messages, those of the ecosystems that seniors can be bound to, the native ones with what may go wrong:
//! `tests/data/sensors.jsonl`, in the order of their scenarios. `facts` is what a reader of one message alone must find in it
//! (`null`: nothing can be read), `edge` whether something happened, `stale` whether it is from another day.

use std::collections::{BTreeSet, HashSet};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use chenlian::app::App;
use chenlian::domain::evidence::{COVER_CLOSED_PERCENT_MAX, COVER_OPEN_PERCENT_MIN};
use chenlian::domain::rules::Span;
use chenlian::ingest::native::{self, Channel, Key, Kind, StatusState};
use chenlian::ingest::settings::Settings;
use chenlian::ingest::{writer, zigbee2mqtt};
use chenlian::jobs::plan_day;
use chenlian::mqtt::Downward;
use chenlian::mqtt::ports::{Inbound, Outcome, Source};
use chenlian::on;
use chrono::{DateTime, TimeDelta, Utc};
use rumqttc::{AsyncClient, Broker, MqttOptions};
use serde::Deserialize;
use tokio::sync::{mpsc, oneshot};

use super::*;
use crate::harness::{World, on_each_engine};
use crate::morning::set;

const BASE: &str = "zigbee2mqtt";
const NATIVE: &str = "d-7Q2F";
/// Judged by what came before them: a replay, and a late will of an older session.
const NOT_BY_ITSELF: [&str; 2] = ["nat-0018", "nat-0029"];
pub type Fact = (String, Option<f64>);

#[derive(Deserialize)]
pub struct Row {
    pub id: String,
    recv_time: Option<DateTime<Utc>>,
    pub topic: String,
    payload: Option<String>,
    payload_b64: Option<String>,
    #[serde(default)]
    retain_seen: bool,
    delivery: Option<String>,
    pub edge: Option<bool>,
    #[serde(default)]
    pub stale: bool,
    pub registry: Option<serde_json::Value>,
    pub facts: Option<Vec<Fact>>,
    why: Option<String>,
}

impl Row {
    pub fn payload(&self) -> Vec<u8> {
        match (&self.payload, &self.payload_b64) {
            (Some(text), _) => text.clone().into_bytes(),
            (None, encoded) => STANDARD.decode(encoded.as_deref().unwrap_or_default()).expect("base64"),
        }
    }

    pub fn is_native(&self) -> bool {
        self.topic.starts_with("chk/")
    }

    /// One value on a topic of its own beside the whole state: of the two forms the server reads the whole.
    fn is_attribute(&self) -> bool {
        self.why.as_deref().is_some_and(|why| why.starts_with("attribute output"))
    }

    pub fn is_pulled_by_hand(&self) -> bool {
        self.facts.iter().flatten().any(|(word, _)| word == "manual_action")
    }

    pub fn opens_towards_zero(&self) -> bool {
        self.registry.as_ref().is_some_and(|registry| registry["open_position"] == 0)
    }

    /// The device behind the gateway that it is about.
    fn friendly_name(&self) -> Option<&str> {
        match zigbee2mqtt::Topic::parse(BASE, &self.topic)? {
            zigbee2mqtt::Topic::Device(name) | zigbee2mqtt::Topic::Availability(name) => Some(name).filter(|_| !self.is_attribute()),
            zigbee2mqtt::Topic::Gateway | zigbee2mqtt::Topic::Ignored => None,
        }
    }
}

pub fn all_rows() -> Vec<Row> {
    let text = include_str!("../../data/sensors.jsonl");
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

fn rows() -> Vec<Row> {
    all_rows().into_iter().filter(|row| row.is_native() || row.topic.starts_with("zigbee2mqtt/")).collect()
}

/// Key 00..1f of the examples.
fn key() -> Key {
    Key { kid: 1, secret: std::array::from_fn(|n| u8::try_from(n).expect("below 32")) }
}

fn said(name: &str, value: Option<f64>) -> Fact {
    (name.to_owned(), value)
}

fn cover(percent: u8, opens_towards_zero: bool) -> Fact {
    let open = if opens_towards_zero { 100 - percent } else { percent };
    let name = match open {
        0..=COVER_CLOSED_PERCENT_MAX => "curtain_closed",
        COVER_OPEN_PERCENT_MIN.. => "curtain_open",
        _ => "curtain_partial",
    };
    said(name, Some(f64::from(percent)))
}

fn reachable(online: bool) -> Fact {
    said(if online { "availability_online" } else { "availability_offline" }, None)
}

/// What our decoder finds in one message of Zigbee2MQTT.
fn read_zigbee2mqtt(row: &Row) -> Option<Vec<Fact>> {
    let settings = row.registry.as_ref().and_then(serde_json::Value::as_object);
    let settings = settings.map_or_else(Settings::default, |entry| Settings::read(entry).expect("it makes sense"));
    let saying = zigbee2mqtt::saying::decode(BASE, &row.topic, &row.payload(), &settings).ok()?;
    Some(saying.facts.into_iter().map(|fact| said(fact.word.as_str(), fact.value)).collect())
}

fn read_native(row: &Row) -> Option<Vec<Fact>> {
    let Some(native::Topic { channel, .. }) = native::Topic::parse(&row.topic) else { return Some(Vec::new()) };
    match channel {
        Channel::Status => {
            let status = native::decode_status(&row.payload()).ok()?;
            Some(vec![reachable(status.state != StatusState::Off)])
        }
        Channel::State => Some(Vec::new()),
        Channel::Events | Channel::Telemetry => {
            let message = native::decode(&row.topic, &row.payload(), &[key()]).ok()?;
            Some(message.events.iter().filter_map(|event| of_kind(event.kind)).collect())
        }
    }
}

fn of_kind(kind: Kind) -> Option<Fact> {
    Some(match kind {
        Kind::Contact { open } => said(if open { "contact_open" } else { "contact_closed" }, None),
        Kind::CoverPercent(percent) => cover(percent, false),
        Kind::CentiLux(value) => said("illuminance", Some(f64::from(value) / 100.0)),
        Kind::LuxJump { after, .. } => said("illuminance", Some(f64::from(after))),
        Kind::Motion(value) => said("motion", Some(f64::from(value))),
        Kind::Vibration(value) => said("vibration", Some(f64::from(value))),
        Kind::TiltDegrees(value) => said("tilt", Some(f64::from(value))),
        Kind::HelpButton { .. } => said("sos", None),
        Kind::Tamper(value) => said("tamper", Some(f64::from(value))),
        Kind::BatteryMillivolt(value) => said("battery_mv", Some(f64::from(value))),
        _ => return None,
    })
}

#[test]
fn every_real_message_says_what_it_says() {
    let mut wrong = Vec::new();
    let mut read = 0;
    for row in rows() {
        let of_home_automation = row.topic.ends_with("/up/state");
        if row.is_attribute() || of_home_automation || NOT_BY_ITSELF.contains(&row.id.as_str()) {
            continue;
        }
        read += 1;
        let found = if row.is_native() { read_native(&row) } else { read_zigbee2mqtt(&row) };
        let same = match (&found, row.facts.clone()) {
            (None, None) => true,
            (Some(found), Some(expected)) => {
                let mut left: Vec<Fact> = found.clone();
                let all_there = expected.into_iter().all(|(name, value)| {
                    // A cover that says only OPEN or CLOSE has no percentage of its own.
                    let place = left.iter().position(|(found, read)| *found == name && (value.is_none() || *read == value));
                    place.map(|place| left.swap_remove(place)).is_some()
                });
                all_there && left.is_empty()
            }
            _ => false,
        };
        if !same {
            wrong.push(format!("{}: read {found:?}, and it says {:?}", row.id, row.facts));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(read > 180, "only {read} messages");
}

/// Everything from the queue on: route, judge, store.
pub struct Intake {
    app: App,
    sender: mpsc::Sender<Inbound>,
}

impl Intake {
    pub fn start(app: &App) -> Self {
        let (sender, messages) = mpsc::channel(8);
        // Receipts go nowhere.
        let (client, _) = AsyncClient::builder(MqttOptions::new("nobody", Broker::tcp("127.0.0.1", 1))).capacity(256).build();
        tokio::spawn(writer::run(app.clone(), messages, Downward::Broker(client)));
        Self { app: app.clone(), sender }
    }

    pub async fn take(&self, row: &Row) {
        let (ack, answer) = oneshot::channel();
        let payload = row.payload();
        let message = Inbound {
            source: Source::Broker { waited: false },
            topic: row.topic.clone(),
            size_bytes: payload.len(),
            payload: Bytes::from(payload),
            retain: row.retain_seen,
            dup: row.delivery.as_deref() == Some("qos1_duplicate"),
            will: false,
            fault: None,
            received_at: self.app.clock.now(),
            ack,
        };
        self.sender.send(message).await.expect("the writer lives");
        assert_eq!(answer.await, Ok(Outcome::Committed), "{}", row.id);
    }
}

/// When it was received: as it says, or by the clock of its sender, or a minute after the one before.
fn arrival(row: &Row, before: DateTime<Utc>) -> DateTime<Utc> {
    let wall = native::decode(&row.topic, &row.payload(), &[key()]).ok().and_then(|message| message.wall);
    let plausible =
        wall.and_then(|wall| DateTime::from_timestamp_millis(wall.unix_ms)).filter(|at| (*at - before).abs() < TimeDelta::days(2));
    row.recv_time.or(plausible).unwrap_or(before + TimeDelta::minutes(1))
}

/// By time of arrival; scenarios overlap.
pub fn in_order(rows: &[Row]) -> Vec<(DateTime<Utc>, &Row)> {
    let mut before = rows.iter().find_map(|row| row.recv_time).expect("the first scenario has times");
    let mut timed = Vec::with_capacity(rows.len());
    for row in rows {
        before = arrival(row, before);
        timed.push((before, row));
    }
    timed.sort_by_key(|(at, _)| *at);
    timed
}

async fn enter_everything(app: &App, world: &World, rows: &[Row]) {
    let home = install(app, world, gateway(world, "gw-1"), None).await;
    let names: BTreeSet<&str> = rows.iter().filter_map(Row::friendly_name).collect();
    for name in names {
        let of_it = || rows.iter().filter(|row| row.friendly_name() == Some(name));
        let moves = of_it().any(|row| row.facts.iter().flatten().any(|(fact, _)| fact.starts_with("curtain_")));
        let role = if moves { DeviceRole::Cover } else { DeviceRole::CurtainContact };
        let device = NewDevice { role, ..behind(world, home.device.id, name) };
        let installed = install(app, world, device, Some(world.seniors[0])).await.device;
        if of_it().any(Row::opens_towards_zero) {
            let (id, by, now) = ((installed.site_id, installed.id), world.social_worker, app.clock.now());
            app.write(move |mut tx| async move {
                let device = devices::calibrate(&mut tx, id, (Level::Open, Level::Closed), installed.version, Some(by), now).await?;
                Ok((tx, device))
            })
            .await
            .expect("it is turned round");
        }
    }
    let sensor = install(app, world, native(world, NATIVE), Some(world.seniors[0])).await.device;
    let sealed = app.seal.seal(&format!("device/{}/1", sensor.id), &key().secret);
    app.write(move |mut tx| async move {
        let sql = "update device_credential set key_sealed = $2 where device_id = $1";
        on!(&mut tx, |conn| sqlx::query(sql).bind(sensor.id).bind(sealed).execute(conn).await.map(|_| ()))?;
        Ok((tx, ()))
    })
    .await
    .expect("it has the key of the examples");
}

/// With rules by which every live opening counts at once.
pub fn eager(app: &App) -> App {
    with_settings(app, |config| {
        config.sensor.settle = Span(TimeDelta::zero());
        config.sensor.closed_min = Span(TimeDelta::zero());
    })
}

/// I8. With rules so eager that every live opening counts at once, only what happened counts.
#[tokio::test]
async fn nothing_old_repeated_or_broken_among_real_messages_becomes_a_sign_of_life() {
    on_each_engine(async |app: App| {
        let rows = rows();
        let rows_in_order = in_order(&rows);
        // Credentials are valid from when they were made.
        set(&app, rows_in_order[0].0 - TimeDelta::hours(1)).await;
        let world = World::seed(&app, 1).await;
        plan_day::run_once(&app).await.unwrap();
        let app = eager(&app);
        enter_everything(&app, &world, &rows).await;
        let intake = Intake::start(&app);
        let (mut known, mut aside, mut counted) = (HashSet::new(), 0, Vec::new());
        let mut wrong = Vec::new();
        for (now, row) in rows_in_order {
            set(&app, now).await;
            intake.take(row).await;
            let signals: Vec<(Uuid, DateTime<Utc>)> = ask!(app, query_as, "select id, observed_at from signal");
            let new: Vec<DateTime<Utc>> = signals.into_iter().filter(|(id, _)| known.insert(*id)).map(|(_, at)| at).collect();
            let quarantined = quarantine(&app).await.len();
            // What an offline sensor kept counts for its own time.
            let today = new.iter().any(|at| *at > now - TimeDelta::hours(1));
            // Whoever pulls a motor's curtain by hand is there, whatever the position repeats.
            let is_repeat = row.edge == Some(false) && !row.is_pulled_by_hand();
            if (is_repeat && !new.is_empty()) || (row.stale && today) {
                wrong.push(format!("{}: became a sign of life ({})", row.id, row.why.as_deref().unwrap_or_default()));
            }
            if row.facts.is_none() && quarantined == aside {
                wrong.push(format!("{}: was not put aside", row.id));
            }
            if row.is_attribute() && quarantined > aside {
                wrong.push(format!("{}: was put aside", row.id));
            }
            if !new.is_empty() {
                counted.push(row.id.as_str());
            }
            aside = quarantined;
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
        for live in ["z2m-0002", "z2m-0236", "nat-0002", "nat-0007", "nat-0009"] {
            assert!(counted.contains(&live), "{live} is news, and only {counted:?} counted");
        }
    })
    .await;
}
