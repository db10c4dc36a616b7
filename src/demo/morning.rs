//! The actors: six sensors over MQTT and five volunteers over HTTP. They know nothing but addresses and credentials.

use std::net::SocketAddr;
use std::time::Duration;

use chrono::{DateTime, Utc};
use firmware_sim::sim::{self, SensorConfig, link::Broker, room::Act};
use serde_json::json;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::people::{SHUT, VOLUNTEERS};
use super::street::{Sensor, Street};
use crate::app::App;
use crate::serve::Running;
use crate::store::session;

/// From the start of the demo to the first curtain that a sensor sees open; the others follow.
const FIRST_CURTAIN: Duration = Duration::from_secs(9);
const NEXT_CURTAIN: Duration = Duration::from_secs(3);
/// From the start to the first building that a volunteer looks at; the others follow.
const FIRST_LOOK: Duration = Duration::from_secs(7);
const NEXT_LOOK: Duration = Duration::from_secs(5);
/// The demo's tokens end with it.
const TOKEN_HOURS: i64 = 12;

/// All actors at work.
pub struct Actors(JoinSet<()>);

impl Actors {
    pub async fn wait(mut self) {
        while self.0.join_next().await.is_some() {}
    }
}

/// Starts the actors.
pub fn play(app: &App, street: &Street, running: &Running, quit: CancellationToken) -> Actors {
    let mut actors = JoinSet::new();
    if let Some(broker) = running.mqtt_addr {
        for (number, sensor) in (0..).zip(street.sensors.clone()) {
            actors.spawn(live_behind_a_curtain(broker, sensor, FIRST_CURTAIN + NEXT_CURTAIN * number, quit.clone()));
        }
    }
    let volunteers = Volunteers { app: app.clone(), street: street.clone(), http: running.http_addr };
    actors.spawn(async move {
        tokio::select! {
            () = volunteers.walk() => {}
            () = quit.cancelled() => {}
        }
    });
    Actors(actors)
}

async fn live_behind_a_curtain(broker: SocketAddr, sensor: Sensor, opens_after: Duration, quit: CancellationToken) {
    let mut config = SensorConfig::new(sensor.device, sensor.key);
    config.kid = u8::try_from(sensor.kid).expect("the first key has a small number");
    config.password = Some(sensor.password);
    config.settings.contact_debounce_ms = 200;
    let (hand, acts) = mpsc::channel(4);
    let broker = Broker { host: broker.ip().to_string(), port: broker.port() };
    let device = tokio::spawn(sim::run_sensor(broker, config, acts, quit.clone()));
    tokio::select! {
        () = tokio::time::sleep(opens_after) => {}
        () = quit.cancelled() => {}
    }
    let _ = hand.send(Act::OpenCurtain).await;
    let _ = device.await;
}

struct Volunteers {
    app: App,
    street: Street,
    http: SocketAddr,
}

impl Volunteers {
    /// Building by building: everybody but the sensors' homes, and one curtain that stays shut.
    async fn walk(self) {
        let Ok(client) = reqwest::Client::builder().no_proxy().build() else { return };
        let mut tokens = Vec::new();
        for member in self.street.members.iter().take(VOLUNTEERS) {
            match self.token(*member).await {
                Ok(token) => tokens.push(token),
                Err(error) => tracing::error!(%error, "a demo volunteer could not sign in"),
            }
        }
        tokio::time::sleep(FIRST_LOOK).await;
        for (building, seniors) in self.street.seniors.iter().enumerate() {
            let Some(token) = tokens.get((building + VOLUNTEERS - 2) % VOLUNTEERS) else { continue };
            let now = self.app.clock.now();
            let signals: Vec<_> =
                seniors.iter().enumerate().skip(1).map(|(order, senior)| look(*senior, (building, order) == SHUT, now)).collect();
            let sent = client
                .post(format!("http://{}/api/v1/signals", self.http))
                .bearer_auth(token)
                .json(&json!({ "signals": signals }))
                .send()
                .await;
            match sent {
                Ok(answer) if answer.status().is_success() => {}
                Ok(answer) => tracing::error!(status = %answer.status(), "a demo look was refused"),
                Err(error) => tracing::error!(%error, "a demo look could not be sent"),
            }
            tokio::time::sleep(NEXT_LOOK).await;
        }
    }

    async fn token(&self, member: Uuid) -> crate::store::Result<String> {
        let (site, now) = (self.street.site, self.app.clock.now());
        self.app
            .write(move |mut tx| async move {
                let token = session::create_bearer(&mut tx, site, member, "demo", now, chrono::TimeDelta::hours(TOKEN_HOURS)).await?;
                Ok((tx, token.text().to_owned()))
            })
            .await
    }
}

fn look(senior: Uuid, shut: bool, at: DateTime<Utc>) -> serde_json::Value {
    json!({ "id": Uuid::now_v7(), "senior_id": senior, "kind": if shut { "closed" } else { "open" }, "observed_at": at.to_rfc3339() })
}
