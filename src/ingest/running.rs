//! Starts and stops the ingest as `mqtt.mode` says: endpoint or client of a broker, the doorkeeper, the writer, and the bouncer who
//! closes the sessions of revoked devices on every instance.

use std::path::Path;
use std::time::Duration;

use chrono::TimeDelta;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use self::kept::Kept;
use super::{doorkeeper, writer};
use crate::app::App;
use crate::config::{Mqtt, MqttMode};
use crate::mqtt::Downward;
use crate::mqtt::endpoint::{self, Endpoint};
use crate::mqtt::external::url::{BadBrokerUrl, BrokerUrl};
use crate::mqtt::external::{self, External, Listener, Status};
use crate::mqtt::ports::Ports;
use crate::store::device;

mod kept;

/// Messages that may wait for the writer.
const QUEUE_MAX: usize = 4096;
const QUESTIONS_MAX: usize = 256;
/// I31: a revoked device is silenced within five seconds, wherever it was revoked.
const BOUNCER_PERIOD: Duration = Duration::from_secs(2);
/// How soon an external broker knows what the register has changed: gateways to be heard, settings, revocations.
const FOLLOW_PERIOD: Duration = Duration::from_secs(4);
/// How soon a renewed certificate is taken.
const CERTIFICATE_LOOK_PERIOD: Duration = Duration::from_secs(30);
/// Clocks of instances may differ; looking back costs nothing, since kicking twice is kicking once.
const BOUNCER_LOOK_BACK: TimeDelta = TimeDelta::minutes(1);

#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Endpoint(#[from] endpoint::StartError),
    #[error("mqtt.url: {0}")]
    Url(#[from] BadBrokerUrl),
    #[error("{path}: {source}")]
    File { path: String, source: std::io::Error },
    #[error(transparent)]
    External(#[from] external::StartError),
}

/// The running ingest.
pub struct Running {
    link: Link,
    stop: CancellationToken,
    tasks: Vec<JoinHandle<()>>,
}

enum Link {
    Endpoint(Endpoint),
    External(External),
    Off,
}

/// Starts what the settings ask for.
pub async fn start(app: &App) -> Result<Running, StartError> {
    let (authenticate, questions) = mpsc::channel(QUESTIONS_MAX);
    let (inbound, messages) = mpsc::channel(QUEUE_MAX);
    let ports = Ports { authenticate, inbound, clock: app.clock.clone() };
    let stop = CancellationToken::new();
    let mut tasks = Vec::new();
    let link = match app.config.mqtt.mode {
        MqttMode::Off => Link::Off,
        MqttMode::Embedded => {
            let endpoint = endpoint::start(endpoint_settings(&app.config.mqtt), ports).await?;
            tasks.push(tokio::spawn(doorkeeper::run(app.clone(), questions)));
            tasks.push(tokio::spawn(writer::run(app.clone(), messages, Downward::Endpoint(endpoint.clone()))));
            tasks.push(tokio::spawn(bounce(app.clone(), endpoint.clone(), stop.clone())));
            Link::Endpoint(endpoint)
        }
        MqttMode::External => {
            let mut settings = external_settings(app)?;
            // A broker sends what it keeps once for each subscription, so none is made twice.
            for topic in registered_topics(app).await {
                if !settings.filters.contains(&topic) {
                    settings.filters.push(topic);
                }
            }
            let external = external::start(settings, ports)?;
            tasks.push(tokio::spawn(writer::run(app.clone(), messages, Downward::Broker(external.listener().publisher().clone()))));
            let follow = follow_register(app.clone(), external.listener(), external.status());
            let until = stop.clone();
            tasks.push(tokio::spawn(async move {
                until.run_until_cancelled(follow).await;
            }));
            Link::External(external)
        }
    };
    Ok(Running { link, stop, tasks })
}

impl Running {
    /// The endpoint's address, if there is one.
    pub fn listens_on(&self) -> Option<std::net::SocketAddr> {
        match &self.link {
            Link::Endpoint(endpoint) => Some(endpoint.local_addr()),
            Link::External(_) | Link::Off => None,
        }
    }

    /// The endpoint's address with TLS, if there is one.
    pub fn listens_with_tls_on(&self) -> Option<std::net::SocketAddr> {
        match &self.link {
            Link::Endpoint(endpoint) => endpoint.tls_addr(),
            Link::External(_) | Link::Off => None,
        }
    }

    /// How the link to the external broker is, if there is one; the heartbeat goes out only while it is subscribed.
    pub fn broker(&self) -> Option<watch::Receiver<Status>> {
        match &self.link {
            Link::External(external) => Some(external.status()),
            Link::Endpoint(_) | Link::Off => None,
        }
    }

    /// Stops taking messages, stores and acknowledges what was taken, and ends.
    pub async fn stop(self) {
        self.stop.cancel();
        match self.link {
            Link::Endpoint(endpoint) => endpoint.stop().await,
            Link::External(external) => external.stop().await,
            Link::Off => {}
        }
        // The channels are closed now: the tasks finish what they hold.
        for task in self.tasks {
            let _ = task.await;
        }
    }
}

fn endpoint_settings(mqtt: &Mqtt) -> endpoint::Settings {
    let secured = |listen| endpoint::tls::Settings {
        listen,
        cert_file: mqtt.tls_cert_file.clone(),
        key_file: mqtt.tls_key_file.clone(),
        look_period: CERTIFICATE_LOOK_PERIOD,
    };
    endpoint::Settings {
        connections_max: mqtt.connections_max,
        tls: mqtt.tls_address().map(secured),
        ..endpoint::Settings::new(mqtt.listen)
    }
}

fn external_settings(app: &App) -> Result<external::Settings, StartError> {
    let mqtt = &app.config.mqtt;
    let client_id = if mqtt.client_id.is_empty() { kept_client_id(&app.config.data.folder)? } else { mqtt.client_id.clone() };
    let some = |text: &String| (!text.is_empty()).then(|| text.clone());
    let mut settings = external::Settings::new(BrokerUrl::parse(&mqtt.url)?, client_id);
    settings.username = some(&mqtt.user);
    settings.password = some(&mqtt.password);
    if !mqtt.ca_file.as_os_str().is_empty() {
        settings.ca_pem = Some(std::fs::read(&mqtt.ca_file).map_err(|source| in_file(&mqtt.ca_file, source))?);
    }
    Ok(settings)
}

/// The broker keeps our session under this name, so it must be the same after a restart.
fn kept_client_id(folder: &Path) -> Result<String, StartError> {
    let path = folder.join("mqtt-client-id");
    match std::fs::read_to_string(&path) {
        Ok(kept) if !kept.trim().is_empty() => Ok(kept.trim().to_owned()),
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => Err(in_file(&path, source)),
        _ => {
            let new = format!("chenlian-{}", Uuid::new_v4().simple());
            std::fs::write(&path, &new).map_err(|source| in_file(&path, source))?;
            Ok(new)
        }
    }
}

fn in_file(path: &Path, source: std::io::Error) -> StartError {
    StartError::File { path: path.display().to_string(), source }
}

async fn bounce(app: App, endpoint: Endpoint, stop: CancellationToken) {
    let mut looked_at = app.clock.now();
    loop {
        tokio::select! {
            () = sleep(BOUNCER_PERIOD) => {}
            () = stop.cancelled() => return,
        }
        if endpoint.connections() == 0 {
            looked_at = app.clock.now();
            continue;
        }
        let (since, now) = (looked_at - BOUNCER_LOOK_BACK, app.clock.now());
        match app.read(move |mut tx| async move { device::revoked_since(&mut tx, since).await.map(|revoked| (tx, revoked)) }).await {
            Ok(revoked) => {
                looked_at = now;
                for device in revoked {
                    endpoint.kick(device);
                }
            }
            // The next look reaches back over this one.
            Err(error) => tracing::warn!(%error, "revoked devices cannot be looked up"),
        }
    }
}

/// Subscribes to the topics of gateways as they are entered, and keeps at the broker what is meant to lie there.
async fn follow_register(app: App, listener: Listener, mut status: watch::Receiver<Status>) {
    let mut kept = Kept::default();
    loop {
        match timeout(FOLLOW_PERIOD, status.changed()).await {
            Ok(Ok(())) => kept.forget(),
            // The client has ended.
            Ok(Err(_)) => return,
            Err(_) => {}
        }
        for topic in registered_topics(&app).await {
            listener.listen(&topic);
        }
        let connected = status.borrow().subscribed;
        if connected {
            kept.follow(&app, listener.publisher()).await;
        }
    }
}

/// Everything below the base topics of all gateways. A base topic inside another one is heard with it; what Zigbee2MQTT says in
/// megabytes of itself is kept out by the broker's access rules, or dropped unread.
async fn registered_topics(app: &App) -> Vec<String> {
    let gateways = match app.read(|mut tx| async move { device::gateways(&mut tx).await.map(|gateways| (tx, gateways)) }).await {
        Ok(gateways) => gateways,
        Err(error) => {
            tracing::warn!(%error, "the topics of gateways cannot be looked up");
            return Vec::new();
        }
    };
    let is_inside = |base: &str| gateways.iter().any(|(_, other)| base.strip_prefix(other).is_some_and(|rest| rest.starts_with('/')));
    gateways.iter().filter(|(_, base)| !is_inside(base)).map(|(_, base)| format!("{base}/#")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_broker_knows_us_again_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let first = kept_client_id(folder.path()).unwrap();
        assert_eq!(kept_client_id(folder.path()).unwrap(), first);
        assert_ne!(kept_client_id(tempfile::tempdir().unwrap().path()).unwrap(), first);
    }
}
