//! Sensors from end to end: register, connection over TCP, writer, rules, checks and alerts, on both engines.

mod aside;
mod bought;
mod care;
mod city;
pub mod client;
mod corpus;
mod everything;
mod flood;
mod link;
mod mornings;
mod names;
mod outside;
mod proving;
mod register;
mod relied;
mod secured;
mod several;
mod signals;

use std::time::Duration;

use chenlian::app::App;
use chenlian::config::Config;
use chenlian::domain::device::{DeviceRole, Ecosystem};
use chenlian::domain::evidence::Level;
use chenlian::ingest::running::{self, Running};
use chenlian::seal::SealKey;
use chenlian::store::device::{self as devices, Credentials, Device, NewDevice};
use sqlx::{query_as, query_scalar};
use uuid::Uuid;

use crate::harness::World;

/// Longer than anything on this machine takes.
pub const SOON: Duration = Duration::from_secs(10);

/// The same database with other settings: the endpoint on a port of its own.
pub fn with_settings(app: &App, change: impl FnOnce(&mut Config)) -> App {
    let mut config = app.config.clone();
    config.mqtt.listen = ([127, 0, 0, 1], 0).into();
    change(&mut config);
    App::new(config, app.db.clone(), app.clock.clone(), SealKey::from_bytes([42; 32]))
}

pub async fn started(app: &App) -> (App, Running) {
    let app = with_settings(app, |_| ());
    let running = running::start(&app).await.expect("the ingest starts");
    (app, running)
}

/// A device in the register, bound and calibrated if it is given a senior.
pub struct Installed {
    pub device: Device,
    pub credentials: Option<Credentials>,
}

impl Installed {
    pub fn password(&self) -> &str {
        &self.credentials.as_ref().expect("it has credentials").password
    }

    pub fn key(&self) -> [u8; 32] {
        self.credentials.as_ref().and_then(|credentials| credentials.key).expect("it signs")
    }
}

pub fn native(world: &World, name: &str) -> NewDevice {
    NewDevice {
        site_id: world.site,
        id: Uuid::now_v7(),
        name: name.to_owned(),
        ecosystem: Ecosystem::Native,
        role: DeviceRole::CurtainContact,
        gateway_id: None,
        base_topic: None,
        expected_interval_seconds: 21_600,
        component: String::new(),
        settings: serde_json::Map::new(),
    }
}

pub fn gateway(world: &World, name: &str) -> NewDevice {
    NewDevice {
        ecosystem: Ecosystem::Gateway,
        role: DeviceRole::Gateway,
        base_topic: Some("zigbee2mqtt".to_owned()),
        ..native(world, name)
    }
}

pub fn behind(world: &World, gateway: Uuid, name: &str) -> NewDevice {
    NewDevice { ecosystem: Ecosystem::Zigbee2Mqtt, gateway_id: Some(gateway), ..native(world, name) }
}

pub async fn install(app: &App, world: &World, new: NewDevice, senior: Option<Uuid>) -> Installed {
    let (seal, now, by) = (app.seal.clone(), app.clock.now(), world.social_worker);
    app.write(move |mut tx| async move {
        let (mut device, credentials) = devices::create(&mut tx, &new, Some(by), &seal, now).await?;
        if senior.is_some() {
            let id = (device.site_id, device.id);
            device = devices::bind(&mut tx, id, senior, device.version, by, now).await?;
            device = devices::calibrate(&mut tx, id, (Level::Closed, Level::Open), device.version, Some(by), now).await?;
        }
        Ok((tx, Installed { device, credentials }))
    })
    .await
    .expect("the device is installed")
}

pub async fn device(app: &App, id: (Uuid, Uuid)) -> Device {
    app.read(move |mut tx| async move { devices::get(&mut tx, id.0, id.1).await.map(|device| (tx, device)) })
        .await
        .expect("the register answers")
        .expect("the device is known")
}

/// Reads with one statement.
macro_rules! ask {
    ($app:expr, $fetch:ident, $sql:literal $(, $bound:expr)*) => {
        $app.read(move |mut tx| async move {
            let found = chenlian::on!(&mut tx, |conn| $fetch($sql)$(.bind($bound))*.fetch_all(conn).await)?;
            Ok((tx, found))
        })
        .await
        .expect("the question is well put")
    };
}
pub(crate) use ask;

/// Kind, class and standing of every stored signal of a senior, in the order of observation.
pub async fn signals(app: &App, senior: Uuid) -> Vec<(String, String, String)> {
    ask!(app, query_as, "select kind, evidence, standing from signal where senior_id = $1 order by observed_at, id", senior)
}

/// Why messages were put aside.
pub async fn quarantine(app: &App) -> Vec<String> {
    ask!(app, query_scalar, "select reason from quarantined_message order by received_at, id")
}

pub async fn check_state(app: &App, senior: Uuid) -> String {
    let states: Vec<String> = ask!(app, query_scalar, "select state from daily_check where senior_id = $1 order by local_date", senior);
    states.first().expect("a planned check").clone()
}

pub async fn alerts(app: &App, senior: Uuid) -> usize {
    let found: Vec<String> = ask!(app, query_scalar, "select state from alert where senior_id = $1", senior);
    found.len()
}

/// Asks until it is so, for what happens in tasks of the server.
pub async fn until<F, Fut>(what: &str, is_so: F)
where
    F: Fn() -> Fut,
    Fut: Future<Output = bool>,
{
    let waited = tokio::time::timeout(SOON, async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    assert!(waited.await.is_ok(), "in time: {what}");
}
