//! The client of an external broker (mosquitto, EMQX) for homes that already have one.
//!
//! What must stay true: a message is acknowledged to the broker after its commit and only on the connection it came by; the task
//! that polls never waits for anybody; one message that cannot be read does not stop all others for ever. Every instance has its
//! own client id and session and hears everything; the database drops the copies (reliability.md F2, F5).

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rumqttc::{AckMode, AsyncClient, Broker, EventLoop, MqttOptions, QoS, SessionMode, SubscribeFilter, Transport};
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use self::acknowledge::Acknowledger;
use self::poll::Poller;
use self::url::BrokerUrl;
use super::ports::Ports;

mod acknowledge;
pub mod acl;
mod poll;
#[cfg(test)]
mod tests;
pub mod url;

/// Far above what sensors send (F2): a broker without a limit of its own keeps Zigbee2MQTT's list of devices (230 KB) or a picture
/// for whoever subscribes, and a packet above this makes the client reconnect. One packet is in memory at a time.
const INCOMING_BYTES_MAX: usize = 16 * 1024 * 1024;
const OUTGOING_BYTES_MAX: usize = 64 * 1024;
/// Acknowledgements and subscriptions on their way into the connection.
const REQUESTS_MAX: usize = 1024;
/// Filters of one SUBSCRIBE: a packet with all of them could be larger than a broker takes.
const FILTERS_PER_PACKET: usize = 32;

/// Topics that are subscribed in any case; those of gateways follow with [`Listener::listen`].
pub const STANDARD_FILTERS: [&str; 1] = ["chk/1/+/up/#"];

#[derive(Debug, Clone)]
pub struct Settings {
    pub url: BrokerUrl,
    pub username: Option<String>,
    pub password: Option<String>,
    /// Certificates (PEM) that may sign the broker's; the system's if none.
    pub ca_pem: Option<Vec<u8>>,
    /// Topics to listen to from the first connection on.
    pub filters: Vec<String>,
    /// One per instance, stable over restarts: the broker keeps the session under it.
    pub client_id: String,
    pub keep_alive: Duration,
    /// First pause before a new connection; doubles up to 32 times.
    pub retry_pause: Duration,
    /// How long a message may wait for room before the connection is given up and the broker has to send it again.
    pub room_timeout: Duration,
    /// After a resumed session, messages are taken for a backlog until this long nothing came.
    pub backlog_idle: Duration,
    /// The same unreadable message this many times in a row, and the session with it is dropped.
    pub poison_max: u32,
}

impl Settings {
    pub fn new(url: BrokerUrl, client_id: String) -> Self {
        Self {
            url,
            username: None,
            password: None,
            ca_pem: None,
            filters: STANDARD_FILTERS.map(str::to_owned).to_vec(),
            client_id,
            keep_alive: Duration::from_secs(30),
            retry_pause: Duration::from_secs(1),
            room_timeout: Duration::from_secs(5),
            backlog_idle: Duration::from_secs(5),
            poison_max: 5,
        }
    }
}

/// How the link is, for readiness and for the operator.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Status {
    /// Connected and every subscription granted.
    pub subscribed: bool,
    /// How often the session was dropped because it held a message that could not be read. Each time, messages are lost.
    pub sessions_dropped: u32,
    /// Why the last connection failed.
    pub last_error: Option<String>,
}

/// A running client.
pub struct External {
    listener: Listener,
    status: watch::Receiver<Status>,
    stop: CancellationToken,
    tasks: [JoinHandle<()>; 2],
}

#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("the broker's certificates cannot be used: {0}")]
    Tls(#[from] rumqttc::TlsError),
    #[error("the client cannot be built: {0}")]
    Client(#[from] rumqttc::ClientBuildError),
}

/// Connects and stays connected until [`External::stop`].
pub fn start(settings: Settings, ports: Ports) -> Result<External, StartError> {
    let (client, event_loop) = AsyncClient::builder(options(&settings)?).capacity(REQUESTS_MAX).try_build()?;
    let filters = Arc::new(Mutex::new(settings.filters.clone()));
    let (status_sender, status) = watch::channel(Status::default());
    let stop = CancellationToken::new();
    let link = Arc::new(Link { epoch: Mutex::new(0), redo: Notify::new() });
    let (to_acknowledge, answers) = mpsc::unbounded_channel();
    let acknowledger = Acknowledger { client: client.clone(), link: Arc::clone(&link), stop: stop.clone() };
    let poller = Poller::new(
        settings,
        ports,
        Connected { client: client.clone(), event_loop, filters: Arc::clone(&filters), link },
        to_acknowledge,
        status_sender,
        stop.clone(),
    );
    let tasks = [tokio::spawn(poller.run()), tokio::spawn(acknowledger.run(answers))];
    Ok(External { listener: Listener { client, filters }, status, stop, tasks })
}

impl External {
    pub fn status(&self) -> watch::Receiver<Status> {
        self.status.clone()
    }

    /// Speaks, and adds topics, while the client runs.
    pub fn listener(&self) -> Listener {
        self.listener.clone()
    }

    /// Leaves without dropping the session; what is not acknowledged comes again.
    pub async fn stop(self) {
        self.stop.cancel();
        for task in self.tasks {
            // A panic in a task was already reported where it happened.
            let _ = task.await;
        }
    }
}

/// Uses a running client.
#[derive(Clone)]
pub struct Listener {
    client: AsyncClient,
    filters: Arc<Mutex<Vec<String>>>,
}

impl Listener {
    /// For receipts and settings of devices.
    pub fn publisher(&self) -> &AsyncClient {
        &self.client
    }

    /// Listens to one more topic from now on.
    pub fn listen(&self, filter: &str) {
        let mut filters = lock(&self.filters);
        if !filters.iter().any(|known| known == filter) {
            filters.push(filter.to_owned());
            // If there is no connection now, the next one subscribes to all.
            let _ = self.client.try_subscribe(filter.to_owned(), QoS::AtLeastOnce);
        }
    }
}

/// What the two tasks share.
struct Link {
    /// Counts connections. An acknowledgement of an older one would hit another message with the same packet id.
    epoch: Mutex<u64>,
    /// Asks for a new connection, so that the broker sends again what could not be stored.
    redo: Notify,
}

impl Link {
    fn epoch(&self) -> MutexGuard<'_, u64> {
        lock(&self.epoch)
    }
}

/// The connection and what belongs to it.
struct Connected {
    client: AsyncClient,
    event_loop: EventLoop,
    filters: Arc<Mutex<Vec<String>>>,
    link: Arc<Link>,
}

impl Connected {
    /// Asks for every topic and returns in how many packets; `None` if they do not fit, and the connection is started again.
    fn subscribe(&self) -> Option<usize> {
        let filters = lock(&self.filters).clone();
        let packets = filters.chunks(FILTERS_PER_PACKET);
        let count = packets.len();
        for packet in packets {
            let filters = packet.iter().map(|path| SubscribeFilter::new(path.clone(), QoS::AtLeastOnce));
            self.client.try_subscribe_many(filters).ok()?;
        }
        Some(count)
    }

    /// Ends the connection's epoch: nothing of it is yielded or acknowledged any more. The guard is held while the queues are
    /// emptied, so that no late acknowledgement slips in between.
    fn end_epoch(&mut self) {
        let mut epoch = self.link.epoch();
        *epoch += 1;
        self.event_loop.clean();
        self.event_loop.state.events.clear();
    }
}

fn options(settings: &Settings) -> Result<MqttOptions, StartError> {
    let broker = Broker::tcp(settings.url.host.clone(), settings.url.port);
    let mut options = MqttOptions::new(settings.client_id.clone(), broker);
    options
        .set_keep_alive(u16::try_from(settings.keep_alive.as_secs()).unwrap_or(u16::MAX))
        .set_max_packet_size(INCOMING_BYTES_MAX, OUTGOING_BYTES_MAX)
        // One packet at a time: an unreadable one must not take readable ones of the same batch with it.
        .set_read_batch_size(1)
        .set_ack_mode(AckMode::Manual)
        .set_session_mode(SessionMode::Persistent);
    if let Some(username) = &settings.username {
        options.set_credentials(username.clone(), settings.password.clone().unwrap_or_default());
    }
    if settings.url.tls {
        options.set_transport(match &settings.ca_pem {
            Some(pem) => Transport::tls(pem.clone(), None, None),
            None => Transport::try_tls_with_default_config()?,
        });
    }
    Ok(options)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
