//! The ingest endpoint: MQTT 3.1.1 for devices, `QoS` 0 and 1, acknowledged after the commit. It is not a broker: nothing goes
//! from one client to another, and downward only what the program sends to a device's own `dn/#`.
//!
//! What must stay true: no client harms another (own task, own window, own rate, bounded buffers); a stranger costs little; every
//! limit is a setting or a named constant. Read `handshake` first, then `connection`; `oversize` is how a message that is too large
//! passes by.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use self::access::TOPIC_BYTES_MAX;
use self::connection::Connection;
use self::handshake::{CONNECT_BYTES_MAX, identify, open};
use self::sessions::Sessions;
use self::wire::Wire;
use super::ports::{Downlink, Ports};

mod access;
mod bucket;
mod connection;
mod handshake;
mod oversize;
mod sessions;
#[cfg(test)]
mod tests;
mod wire;

/// Topic, its length and the packet id of a PUBLISH.
const PUBLISH_OVERHEAD_BYTES: usize = TOPIC_BYTES_MAX + 4;
/// After a failed accept (no file descriptors left) the listener rests, so that it does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    pub listen: SocketAddr,
    pub connections_max: usize,
    /// Time for a stranger to say who it is.
    pub connect_timeout: Duration,
    /// Silence allowed to a client that asks for no keep-alive.
    pub silence_without_keep_alive: Duration,
    /// Messages of one connection that are not answered yet; then it is not read.
    pub in_flight_max: usize,
    /// Larger payloads are quarantined and acknowledged.
    pub payload_bytes_max: usize,
    /// The same for native topics.
    pub native_bytes_max: usize,
    /// A message larger than even this closes its connection: no ecosystem sends it.
    pub passing_bytes_max: usize,
}

impl Settings {
    pub fn new(listen: SocketAddr) -> Self {
        Self {
            listen,
            connections_max: 10_000,
            connect_timeout: Duration::from_secs(10),
            silence_without_keep_alive: Duration::from_hours(1),
            in_flight_max: 64,
            payload_bytes_max: 64 * 1024,
            native_bytes_max: crate::ingest::native::PAYLOAD_BYTES_MAX,
            passing_bytes_max: 16 * 1024 * 1024,
        }
    }
}

/// A running endpoint.
#[derive(Clone)]
pub struct Endpoint {
    local_addr: SocketAddr,
    sessions: Arc<Sessions>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

/// Listens and serves until [`Endpoint::stop`].
pub async fn start(settings: Settings, ports: Ports) -> io::Result<Endpoint> {
    let listener = TcpListener::bind(settings.listen).await?;
    let endpoint = Endpoint {
        local_addr: listener.local_addr()?,
        sessions: Arc::default(),
        stop: CancellationToken::new(),
        tasks: TaskTracker::new(),
    };
    let server =
        Server { settings, ports, sessions: Arc::clone(&endpoint.sessions), stop: endpoint.stop.clone(), tasks: endpoint.tasks.clone() };
    endpoint.tasks.spawn(Arc::new(server).accept(listener));
    Ok(endpoint)
}

impl Endpoint {
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Sends to whoever of the principal listens to the topic, now or when it resumes its session.
    pub fn send(&self, principal: &str, downlink: &Downlink) {
        self.sessions.send(principal, downlink);
    }

    /// Closes every session of a device whose credential was revoked.
    pub fn kick(&self, device_id: Uuid) {
        self.sessions.kick(device_id);
    }

    pub fn connections(&self) -> usize {
        self.sessions.live()
    }

    /// Stops accepting and reading, acknowledges what is being committed, and closes. The receiver of inbound messages must go on
    /// until this returns.
    pub async fn stop(&self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

struct Server {
    settings: Settings,
    ports: Ports,
    sessions: Arc<Sessions>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Server {
    async fn accept(self: Arc<Self>, listener: TcpListener) {
        let places = Arc::new(Semaphore::new(self.settings.connections_max));
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = self.stop.cancelled() => return,
            };
            let (stream, peer) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "mqtt endpoint cannot accept");
                    sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            // Over the limit the connection is closed at once: a waiting one would look alive to its device.
            let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
                metrics::counter!("chenlian_mqtt_over_limit_total").increment(1);
                continue;
            };
            let server = Arc::clone(&self);
            self.tasks.spawn(async move {
                server.serve(stream, peer).await;
                drop(place);
            });
        }
    }

    async fn serve(&self, stream: TcpStream, peer: SocketAddr) {
        // Acknowledgements are small and awaited; without this each would wait for the next.
        let _ = stream.set_nodelay(true);
        let mut wire = Wire::new(stream, CONNECT_BYTES_MAX);
        let identification = identify(&mut wire, &self.ports, peer.ip().is_loopback());
        let identified = tokio::select! {
            identified = timeout(self.settings.connect_timeout, identification) => identified.ok().flatten(),
            () = self.stop.cancelled() => None,
        };
        let Some((connect, identity)) = identified else {
            wire.close().await;
            return;
        };
        let silence = self.settings.silence_without_keep_alive;
        let admitted = open(&mut wire, connect, identity, &self.sessions, silence).await;
        wire.allow_packets_of(self.settings.payload_bytes_max + PUBLISH_OVERHEAD_BYTES, self.settings.passing_bytes_max);
        let device_id = admitted.identity.device.map(|device| device.device_id);
        let (connection, backlog) =
            Connection::new(wire, admitted, self.ports.clone(), Arc::clone(&self.sessions), &self.settings, self.stop.clone());
        let closing = connection.run(backlog).await;
        metrics::counter!("chenlian_mqtt_closed_total", "why" => format!("{closing:?}")).increment(1);
        tracing::debug!(?device_id, ?closing, "mqtt connection ended");
    }
}
