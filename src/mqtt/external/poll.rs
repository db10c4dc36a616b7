//! Polls the connection: hands messages in, notices trouble, connects again.

use std::time::Duration;

use bytes::Bytes;
use rumqttc::{ConnectionError, Event, Packet, Publish, QoS, StateError, SubscribeReasonCode};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::acknowledge::Unanswered;
use super::{Connected, Settings, Status};
use crate::ingest::zigbee2mqtt::list;
use crate::ingest::{native, zigbee2mqtt};
use crate::mqtt::ports::{Fault, Inbound, Ports, SAMPLE_BYTES_MAX, Source};

/// A connection that lived this long was not broken by the message it began with.
const STABLE: Duration = Duration::from_secs(30);
/// The pause between connections grows up to this many times the first one.
const PAUSE_FACTOR_MAX: u32 = 32;

pub struct Poller {
    settings: Settings,
    ports: Ports,
    connected: Connected,
    to_acknowledge: mpsc::UnboundedSender<Unanswered>,
    status: watch::Sender<Status>,
    stop: CancellationToken,
    connected_at: Option<Instant>,
    /// Set while messages may be a backlog: when the last one came.
    backlog: Option<Instant>,
    poison: Poison,
    failures: u32,
    /// SUBSCRIBE packets that are not answered yet.
    subscriptions_open: usize,
    all_granted: bool,
}

/// The last unreadable message and how often it has come in a row.
#[derive(Default)]
struct Poison {
    error: String,
    times: u32,
}

/// Why the connection has to be started again.
enum Trouble {
    Broken(ConnectionError),
    NotCommitted,
    NoRoom,
    /// The session was dropped on purpose; now a lasting one is opened.
    Dropped,
}

impl Poller {
    pub fn new(
        settings: Settings,
        ports: Ports,
        connected: Connected,
        to_acknowledge: mpsc::UnboundedSender<Unanswered>,
        status: watch::Sender<Status>,
        stop: CancellationToken,
    ) -> Self {
        Self {
            settings,
            ports,
            connected,
            to_acknowledge,
            status,
            stop,
            connected_at: None,
            backlog: None,
            poison: Poison::default(),
            failures: 0,
            subscriptions_open: 0,
            all_granted: false,
        }
    }

    pub async fn run(mut self) {
        let stopping = self.stop.clone();
        let link = std::sync::Arc::clone(&self.connected.link);
        loop {
            let step = tokio::select! {
                biased;
                () = stopping.cancelled() => return,
                () = link.redo.notified() => Err(Trouble::NotCommitted),
                event = self.connected.event_loop.poll() => match event {
                    Ok(event) => self.heard(event).await,
                    Err(error) => Err(Trouble::Broken(error)),
                },
            };
            if let Err(trouble) = step {
                let pause = self.begin_again(trouble);
                tokio::select! {
                    () = sleep(pause) => {}
                    () = stopping.cancelled() => return,
                }
            }
        }
    }

    async fn heard(&mut self, event: Event) -> Result<(), Trouble> {
        let Event::Incoming(packet) = event else { return Ok(()) };
        match packet {
            Packet::ConnAck(ack) => self.established(ack.session_present),
            Packet::SubAck(ack) => {
                self.subscription_answered(!ack.return_codes.contains(&SubscribeReasonCode::Failure));
                Ok(())
            }
            // The answer to a ping comes behind everything the broker had for us.
            Packet::PingResp => {
                self.backlog = None;
                Ok(())
            }
            Packet::Publish(publish) => self.hand_in(&publish).await,
            _ => Ok(()),
        }
    }

    fn established(&mut self, session_present: bool) -> Result<(), Trouble> {
        let options = &mut self.connected.event_loop.mqtt_options;
        if options.clean_session() {
            options.set_clean_session(false);
            return Err(Trouble::Dropped);
        }
        self.connected_at = Some(Instant::now());
        self.backlog = session_present.then(Instant::now);
        self.subscriptions_open = self.connected.subscribe().ok_or(Trouble::NoRoom)?;
        self.all_granted = true;
        Ok(())
    }

    /// Only when every topic is granted is the link whole: a silent topic looks like a quiet morning.
    fn subscription_answered(&mut self, granted: bool) {
        if !granted {
            tracing::error!("the broker refuses a subscription: its access rules must let us read");
        }
        self.all_granted &= granted;
        self.subscriptions_open = self.subscriptions_open.saturating_sub(1);
        self.failures = 0;
        let whole = self.all_granted && self.subscriptions_open == 0;
        self.status.send_modify(|status| status.subscribed = whole);
    }

    async fn hand_in(&mut self, publish: &Publish) -> Result<(), Trouble> {
        let now = Instant::now();
        self.backlog = self.backlog.filter(|last| now - *last < self.settings.backlog_idle).map(|_| now);
        let (message, answer) = self.inbound(publish);
        let epoch = *self.connected.link.epoch();
        // Waiting longer would starve the keep-alive; the broker sends again what it gets no acknowledgement for.
        match timeout(self.settings.room_timeout, self.ports.inbound.send(message)).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) | Err(_) => return Err(Trouble::NoRoom),
        }
        if let Some(ack) = self.connected.client.prepare_ack(publish) {
            // The receiver only goes away when everything stops.
            let _ = self.to_acknowledge.send(Unanswered { epoch, ack, answer });
        }
        Ok(())
    }

    fn inbound(&self, publish: &Publish) -> (Inbound, oneshot::Receiver<super::super::ports::Outcome>) {
        let topic = String::from_utf8_lossy(&publish.topic).into_owned();
        let bytes_max = match () {
            () if topic.starts_with("chk/") => native::PAYLOAD_BYTES_MAX,
            () if list::is_list(&topic) => list::BYTES_MAX,
            () => zigbee2mqtt::PAYLOAD_BYTES_MAX,
        };
        let fault = (publish.payload.len() > bytes_max).then_some(Fault::TooLarge);
        let kept = if fault.is_some() { SAMPLE_BYTES_MAX } else { publish.payload.len() };
        let (ack, answer) = oneshot::channel();
        let message = Inbound {
            source: Source::Broker { waited: self.backlog.is_some() || (publish.dup && publish.qos != QoS::AtMostOnce) },
            topic,
            payload: Bytes::copy_from_slice(&publish.payload[..kept]),
            size_bytes: publish.payload.len(),
            retain: publish.retain,
            dup: publish.dup,
            will: false,
            fault,
            received_at: self.ports.clock.now(),
            ack,
        };
        (message, answer)
    }

    /// Ends the epoch and says how long to wait before the next connection.
    fn begin_again(&mut self, trouble: Trouble) -> Duration {
        self.connected.end_epoch();
        let lived = self.connected_at.take().map(|at| at.elapsed());
        let text = match &trouble {
            Trouble::Broken(error) => error.to_string(),
            Trouble::NotCommitted => "a message could not be stored".to_owned(),
            Trouble::NoRoom => "messages are not taken fast enough".to_owned(),
            Trouble::Dropped => "a new session is begun".to_owned(),
        };
        tracing::warn!(error = text, "mqtt broker connection is started again");
        if let Trouble::Broken(error) = &trouble
            && unreadable(error)
        {
            self.note_poison(&text, lived);
        }
        self.status.send_modify(|status| {
            status.subscribed = false;
            status.last_error = Some(text);
        });
        if matches!(trouble, Trouble::Dropped) {
            return Duration::ZERO;
        }
        self.failures = self.failures.saturating_add(1);
        self.settings.retry_pause * (1 << (self.failures - 1).min(31)).min(PAUSE_FACTOR_MAX)
    }

    /// The broker sends an unreadable message again and again. After some times the session that holds it is given up, loudly:
    /// what waits behind it is lost, but everything after it is heard again.
    fn note_poison(&mut self, error: &str, lived: Option<Duration>) {
        if self.poison.error != error || lived.is_some_and(|lived| lived > STABLE) {
            self.poison = Poison { error: error.to_owned(), times: 0 };
        }
        self.poison.times += 1;
        if self.poison.times >= self.settings.poison_max {
            tracing::error!(error, times = self.poison.times, "an unreadable message blocks the broker's session: it is dropped");
            metrics::counter!("chenlian_mqtt_sessions_dropped_total").increment(1);
            self.status.send_modify(|status| status.sessions_dropped += 1);
            self.poison = Poison::default();
            self.connected.event_loop.mqtt_options.set_clean_session(true);
        }
    }
}

fn unreadable(error: &ConnectionError) -> bool {
    match error {
        ConnectionError::MqttState(StateError::Deserialization(error)) => !matches!(error, rumqttc::Error::Io(_)),
        ConnectionError::MqttState(StateError::ProtocolViolation(_)) => true,
        _ => false,
    }
}
