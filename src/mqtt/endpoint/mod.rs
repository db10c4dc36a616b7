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

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use self::access::TOPIC_BYTES_MAX;
use self::connection::Connection;
use self::handshake::{CONNECT_BYTES_MAX, identify, open};
use self::sessions::Sessions;
use self::tls::{Certificate, CertificateError};
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
pub mod tls;
mod wire;

/// Topic, its length and the packet id of a PUBLISH.
const PUBLISH_OVERHEAD_BYTES: usize = TOPIC_BYTES_MAX + 4;
/// After a failed accept (no file descriptors left) the listener rests, so that it does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    pub listen: SocketAddr,
    /// A second address, where the same is spoken within TLS.
    pub tls: Option<tls::Settings>,
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
            tls: None,
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

#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("{key} {listen}: {source}")]
    Listen { key: &'static str, listen: SocketAddr, source: io::Error },
    #[error(transparent)]
    Certificate(#[from] CertificateError),
}

/// A running endpoint.
#[derive(Clone)]
pub struct Endpoint {
    local_addr: SocketAddr,
    tls_addr: Option<SocketAddr>,
    sessions: Arc<Sessions>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

/// Listens and serves until [`Endpoint::stop`].
pub async fn start(settings: Settings, ports: Ports) -> Result<Endpoint, StartError> {
    let (listener, local_addr) = listen("mqtt.listen", settings.listen).await?;
    let secured = match &settings.tls {
        Some(tls) => {
            let certificate = Arc::new(Certificate::read(tls.clone())?);
            let (listener, address) = listen("mqtt.tls_listen", tls.listen).await?;
            Some((listener, address, certificate))
        }
        None => None,
    };
    let endpoint = Endpoint {
        local_addr,
        tls_addr: secured.as_ref().map(|(_, address, _)| *address),
        sessions: Arc::default(),
        stop: CancellationToken::new(),
        tasks: TaskTracker::new(),
    };
    let places = Arc::new(Semaphore::new(settings.connections_max));
    let server = Arc::new(Server {
        settings,
        ports,
        places,
        sessions: Arc::clone(&endpoint.sessions),
        stop: endpoint.stop.clone(),
        tasks: endpoint.tasks.clone(),
    });
    if let Some((listener, _, certificate)) = secured {
        endpoint.tasks.spawn(Arc::clone(&server).accept(listener, Some(certificate)));
    }
    endpoint.tasks.spawn(server.accept(listener, None));
    Ok(endpoint)
}

async fn listen(key: &'static str, listen: SocketAddr) -> Result<(TcpListener, SocketAddr), StartError> {
    let bound = async {
        let listener = TcpListener::bind(listen).await?;
        let address = listener.local_addr()?;
        Ok((listener, address))
    };
    bound.await.map_err(|source| StartError::Listen { key, listen, source })
}

impl Endpoint {
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// The address with TLS, if there is one.
    pub fn tls_addr(&self) -> Option<SocketAddr> {
        self.tls_addr
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
    places: Arc<Semaphore>,
    sessions: Arc<Sessions>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Server {
    async fn accept(self: Arc<Self>, listener: TcpListener, certificate: Option<Arc<Certificate>>) {
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
            let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
                metrics::counter!("chenlian_mqtt_over_limit_total").increment(1);
                continue;
            };
            let (server, certificate) = (Arc::clone(&self), certificate.clone());
            self.tasks.spawn(async move {
                server.welcome(stream, peer, certificate.as_deref()).await;
                drop(place);
            });
        }
    }

    /// A stranger has one time for everything, TLS included.
    async fn welcome(&self, stream: TcpStream, peer: SocketAddr, certificate: Option<&Certificate>) {
        let deadline = Instant::now() + self.settings.connect_timeout;
        // Acknowledgements are small and awaited; without this each would wait for the next.
        let _ = stream.set_nodelay(true);
        let Some(certificate) = certificate else { return self.serve(stream, peer, deadline).await };
        let secured = tokio::select! {
            secured = timeout_at(deadline, certificate.acceptor().accept(stream)) => secured,
            () = self.stop.cancelled() => return,
        };
        match secured {
            Ok(Ok(stream)) => self.serve(stream, peer, deadline).await,
            Ok(Err(_)) | Err(_) => metrics::counter!("chenlian_mqtt_tls_failed_total").increment(1),
        }
    }

    async fn serve<S: AsyncRead + AsyncWrite + Unpin>(&self, stream: S, peer: SocketAddr, deadline: Instant) {
        let mut wire = Wire::new(stream, CONNECT_BYTES_MAX);
        let identification = identify(&mut wire, &self.ports, peer.ip().is_loopback());
        let identified = tokio::select! {
            identified = timeout_at(deadline, identification) => identified.ok().flatten(),
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
