//! Who may connect: device credentials, checked against the register; on the loopback demo, by setting, anybody.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{Semaphore, mpsc};

use super::native::{self, downlink};
use crate::app::App;
use crate::domain::device::Ecosystem;
use crate::mqtt::ports::{AuthRequest, DeviceRef, Downlink, Identity, Refused};
use crate::store::device::{self, Device, InUse};
use crate::store::{Error, Result};

/// Questions under way at once: after an outage all devices come back together.
const QUESTIONS_MAX: usize = 16;
/// A gateway speaks for a home full of devices.
const GATEWAY_RATE_FACTOR: u32 = 20;

/// Answers until the channel closes.
pub async fn run(app: App, mut questions: mpsc::Receiver<AuthRequest>) {
    let places = Arc::new(Semaphore::new(QUESTIONS_MAX));
    while let Some(request) = questions.recv().await {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let app = app.clone();
        tokio::spawn(async move {
            let answer = admit(&app, &request).await;
            // Whoever asked may be gone.
            let _ = request.reply.send(answer);
            drop(place);
        });
    }
}

async fn admit(app: &App, request: &AuthRequest) -> Result<Identity, Refused> {
    match (&request.username, &request.password) {
        (Some(name), Some(password)) => known(app, name, password).await,
        (None, None) if app.config.mqtt.anonymous_loopback && request.peer_is_loopback => Ok(anybody(app, &request.client_id)),
        _ => Err(Refused::BadCredentials),
    }
}

async fn known(app: &App, name: &str, password: &Bytes) -> Result<Identity, Refused> {
    let (now, name, password) = (app.clock.now(), name.to_owned(), password.clone());
    let seal = app.seal.clone();
    let asked = app
        .read(move |mut tx| async move {
            let found = device::authenticate(&mut tx, &name, &password, now).await?;
            let identity = match found {
                None => None,
                Some((device, kid)) => {
                    let keys = device::sealed_keys(&mut tx, &[device.id], now).await?;
                    // While keys are rotated it knows the one that belongs to the password it gave, and perhaps not the new one.
                    let own = keys.iter().find(|key| key.kid == kid);
                    let key = own.map(|sealed| device::unseal(&seal, sealed)).transpose()?;
                    Some((device, key))
                }
            };
            Ok((tx, identity))
        })
        .await;
    match asked {
        Ok(Some((device, key))) => Ok(identity(&device, key.as_ref(), app.config.mqtt.device_rate_per_minute)),
        Ok(None) => Err(Refused::BadCredentials),
        Err(Error::Broken { what, id, why }) => {
            tracing::error!(what, id, why, "a device cannot be admitted");
            Err(Refused::NotAuthorized)
        }
        Err(_) => Err(Refused::Unavailable),
    }
}

fn identity(device: &Device, key: Option<&native::Key>, rate: u32) -> Identity {
    let name = &device.name;
    let own = Identity {
        principal: name.clone(),
        device: Some(DeviceRef { site_id: device.site_id, device_id: device.id }),
        publish_below: Vec::new(),
        subscribe_below: Vec::new(),
        retained: key.map(|key| settings(&InUse::of(device), key)).into_iter().collect(),
        messages_per_minute: rate,
    };
    match device.ecosystem {
        Ecosystem::Native => Identity {
            publish_below: vec![format!("chk/1/{name}/up/"), format!("homeassistant/device/{name}/")],
            subscribe_below: vec![format!("chk/1/{name}/dn/")],
            ..own
        },
        _ => Identity {
            publish_below: of_gateway(device.base_topic.as_deref()),
            // Nothing is sent there, but Zigbee2MQTT ends if it may not subscribe to its own topics.
            subscribe_below: of_gateway(device.base_topic.as_deref()),
            messages_per_minute: rate.saturating_mul(GATEWAY_RATE_FACTOR),
            ..own
        },
    }
}

/// Its own topics, and those by which it introduces its devices to home automation if it is set to.
fn of_gateway(base_topic: Option<&str>) -> Vec<String> {
    base_topic.into_iter().chain(["homeassistant"]).map(|base| format!("{base}/")).collect()
}

/// What the device is told when it subscribes.
pub(super) fn settings(device: &InUse, key: &native::Key) -> Downlink {
    let topic = format!("chk/1/{}/dn/cfg", device.name);
    let said = downlink::Settings {
        config_n: u32::try_from(device.version).unwrap_or(u32::MAX),
        heartbeat_s: u32::try_from(device.expected_interval_seconds).ok(),
        ..downlink::Settings::default()
    };
    let payload = Bytes::from(downlink::settings(&topic, said, key));
    Downlink { topic, payload, retain: true }
}

/// On the demo a client without name speaks for the device that it calls itself; the signatures are checked all the same.
fn anybody(app: &App, client_id: &str) -> Identity {
    let named = native::valid_device_name(client_id);
    let own = |direction: &str| named.then(|| format!("chk/1/{client_id}/{direction}/"));
    let reaches = |direction| own(direction).into_iter().chain(of_gateway(Some("zigbee2mqtt"))).collect();
    Identity {
        principal: client_id.to_owned(),
        device: None,
        publish_below: reaches("up"),
        subscribe_below: reaches("dn"),
        retained: Vec::new(),
        messages_per_minute: app.config.mqtt.device_rate_per_minute,
    }
}
