//! One connection after its handshake: reads, hands in, acknowledges in order, delivers downward, ends.
//!
//! What must stay true: an acknowledgement is sent only after the commit, in the order of arrival; what one connection holds in
//! flight is bounded; an end without DISCONNECT raises the will.

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::{BoxFuture, FutureExt};
use futures_util::stream::{FuturesOrdered, StreamExt};
use rumqttc::{LastWill, Packet, PubAck, Publish, QoS, SubAck, Subscribe, SubscribeReasonCode, UnsubAck, Unsubscribe};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::Settings;
use super::access::{TOPIC_BYTES_MAX, may_publish, may_subscribe};
use super::bucket::Bucket;
use super::handshake::Admitted;
use super::sessions::{Ending, Entered, SessionKey, Sessions, WAITING_MAX};
use super::wire::{Arrival, Wire};
use crate::ingest::zigbee2mqtt::list;
use crate::mqtt::ports::{Downlink, Fault, Identity, Inbound, Outcome, Ports, SAMPLE_BYTES_MAX, Source};

/// How long a stopping connection waits for commits under way, to acknowledge them.
const STOP_GRACE: Duration = Duration::from_secs(3);

/// Why a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Closing {
    /// The client said so: no will.
    Disconnected,
    /// The stream ended or broke.
    Lost,
    /// The client broke the protocol.
    Violation,
    /// Nothing was heard for one and a half keep-alives.
    Silent,
    TakenOver,
    /// The credential is no longer valid: it speaks no more, not even by its will.
    Revoked,
    /// A message could not be stored; closing makes the client send it again.
    NotCommitted,
    /// We stop; the client is well, so no will.
    Stopping,
}

pub struct Connection<S> {
    wire: Wire<S>,
    ports: Ports,
    sessions: Arc<Sessions>,
    identity: Arc<Identity>,
    key: SessionKey,
    generation: u64,
    will: Option<LastWill>,
    ended: oneshot::Receiver<Ending>,
    stop: CancellationToken,
    downlinks: mpsc::Receiver<Downlink>,
    bucket: Arc<Mutex<Bucket>>,
    limits: Limits,
    /// Handed in, not answered yet, in order of arrival; with the packet id to acknowledge, if any.
    in_flight: FuturesOrdered<BoxFuture<'static, (Option<u16>, Outcome)>>,
    /// Sent downward, not acknowledged yet.
    unacknowledged: VecDeque<(u16, Downlink)>,
    last_packet_id: u16,
    /// The rate allows no reading before this.
    read_again_at: Instant,
    last_heard: Instant,
}

#[derive(Clone, Copy)]
#[expect(clippy::struct_field_names, reason = "a limit is named by what it limits, its unit and max")]
struct Limits {
    silence_max: Duration,
    in_flight_max: usize,
    payload_bytes_max: usize,
    native_bytes_max: usize,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    pub fn new(
        wire: Wire<S>,
        admitted: Admitted,
        ports: Ports,
        sessions: Arc<Sessions>,
        settings: &Settings,
        stop: CancellationToken,
    ) -> (Self, VecDeque<Downlink>) {
        let Admitted { identity, key, entered, will, silence_max } = admitted;
        let Entered { generation, ended, downlinks, backlog, bucket, .. } = entered;
        let now = Instant::now();
        let limits = Limits {
            silence_max,
            in_flight_max: settings.in_flight_max,
            payload_bytes_max: settings.payload_bytes_max,
            native_bytes_max: settings.native_bytes_max,
        };
        let connection = Self {
            wire,
            ports,
            sessions,
            identity,
            key,
            generation,
            will,
            ended,
            stop,
            downlinks,
            bucket,
            limits,
            in_flight: FuturesOrdered::new(),
            unacknowledged: VecDeque::new(),
            last_packet_id: 0,
            read_again_at: now,
            last_heard: now,
        };
        (connection, backlog)
    }

    /// Serves until the end, raises the will if it was not a polite one, and gives back what was not delivered.
    pub async fn run(mut self, backlog: VecDeque<Downlink>) -> Closing {
        let closing = match self.deliver_all(backlog).await {
            ControlFlow::Break(closing) => closing,
            ControlFlow::Continue(()) => self.serve().await,
        };
        if closing == Closing::Stopping {
            // A peer that does not read must not hold up the stop either.
            let _ = timeout(STOP_GRACE, self.acknowledge_what_commits()).await;
        }
        self.downlinks.close();
        let mut undelivered: Vec<Downlink> = self.unacknowledged.drain(..).map(|(_, downlink)| downlink).collect();
        while let Ok(downlink) = self.downlinks.try_recv() {
            undelivered.push(downlink);
        }
        self.sessions.leave(&self.key, self.generation, undelivered);
        if let Some(will) = self.will.take()
            && !matches!(closing, Closing::Disconnected | Closing::Stopping | Closing::Revoked)
        {
            let publish = Publish { retain: will.retain, ..Publish::from_bytes(will.topic, will.qos, will.message) };
            let (message, _) = self.inbound(&publish, 0, true);
            let _ = self.ports.inbound.send(message).await;
        }
        self.wire.close().await;
        closing
    }

    async fn serve(&mut self) -> Closing {
        loop {
            let now = Instant::now();
            let throttled = now < self.read_again_at;
            let reading = !throttled && self.in_flight.len() < self.limits.in_flight_max;
            if !reading {
                // Not listening is our doing: the silence is not the client's.
                self.last_heard = now;
            }
            let may_send = self.unacknowledged.len() < WAITING_MAX;
            let step = tokio::select! {
                biased;
                closing = told_to_end(&mut self.ended, &self.stop) => ControlFlow::Break(closing),
                Some(answer) = self.in_flight.next(), if !self.in_flight.is_empty() => self.answered(answer).await,
                Some(downlink) = self.downlinks.recv(), if may_send => self.deliver(downlink).await,
                () = sleep_until(self.read_again_at), if throttled => ControlFlow::Continue(()),
                packet = self.wire.next(), if reading => {
                    self.last_heard = Instant::now();
                    match packet {
                        Ok(Some(arrival)) => self.received(arrival).await,
                        Ok(None) | Err(rumqttc::Error::Io(_)) => ControlFlow::Break(Closing::Lost),
                        Err(_) => ControlFlow::Break(Closing::Violation),
                    }
                }
                () = sleep_until(self.last_heard + self.limits.silence_max), if reading => {
                    let silent = self.wire.heard_at() <= self.last_heard;
                    self.last_heard = self.wire.heard_at();
                    if silent { ControlFlow::Break(Closing::Silent) } else { ControlFlow::Continue(()) }
                }
            };
            if let ControlFlow::Break(closing) = step {
                return closing;
            }
        }
    }

    async fn received(&mut self, Arrival { packet, left_out }: Arrival) -> ControlFlow<Closing> {
        match packet {
            Packet::Publish(publish) => self.hand_in(&publish, left_out).await,
            Packet::PubAck(ack) => {
                self.unacknowledged.retain(|(packet_id, _)| *packet_id != ack.pkid);
                ControlFlow::Continue(())
            }
            Packet::Subscribe(subscribe) => self.subscribe(subscribe).await,
            Packet::Unsubscribe(Unsubscribe { pkid, topics }) => {
                for filter in &topics {
                    self.sessions.unsubscribe(&self.key, filter);
                }
                self.reply(Packet::UnsubAck(UnsubAck::new(pkid))).await
            }
            Packet::PingReq => self.reply(Packet::PingResp).await,
            Packet::Disconnect => ControlFlow::Break(Closing::Disconnected),
            // A second CONNECT, a server's packet, or QoS 2, which is not offered.
            _ => ControlFlow::Break(Closing::Violation),
        }
    }

    async fn hand_in(&mut self, publish: &Publish, left_out: usize) -> ControlFlow<Closing> {
        if publish.qos == QoS::ExactlyOnce {
            return ControlFlow::Break(Closing::Violation);
        }
        // A large message costs as much as the ordinary ones in whose place it came, which bounds bytes as well as messages.
        let cost = 1 + (publish.payload.len() + left_out) / self.limits.payload_bytes_max;
        self.read_again_at = self.bucket.lock().unwrap_or_else(PoisonError::into_inner).take(cost, Instant::now());
        let (message, answer) = self.inbound(publish, left_out, false);
        let packet_id = (publish.qos == QoS::AtLeastOnce).then_some(publish.pkid);
        // Waiting for room must not make the connection deaf to its end.
        tokio::select! {
            sent = self.ports.inbound.send(message) => {
                if sent.is_err() {
                    return ControlFlow::Break(Closing::Stopping);
                }
            }
            closing = told_to_end(&mut self.ended, &self.stop) => return ControlFlow::Break(closing),
        }
        self.in_flight.push_back(async move { (packet_id, answer.await.unwrap_or(Outcome::Failed)) }.boxed());
        ControlFlow::Continue(())
    }

    fn inbound(&self, publish: &Publish, left_out: usize, will: bool) -> (Inbound, oneshot::Receiver<Outcome>) {
        let size_bytes = publish.payload.len() + left_out;
        let topic = String::from_utf8_lossy(&publish.topic);
        let bytes_max = match () {
            () if topic.starts_with("chk/") => self.limits.native_bytes_max,
            () if list::is_list(&topic) => list::BYTES_MAX,
            () => self.limits.payload_bytes_max,
        };
        let fault = if !may_publish(&self.identity, &topic) {
            Some(Fault::TopicNotAllowed)
        } else if size_bytes > bytes_max {
            Some(Fault::TooLarge)
        } else {
            None
        };
        let kept = if fault.is_some() { publish.payload.len().min(SAMPLE_BYTES_MAX) } else { publish.payload.len() };
        let (ack, answer) = oneshot::channel();
        let message = Inbound {
            source: Source::Session(Arc::clone(&self.identity)),
            topic: topic.chars().take(TOPIC_BYTES_MAX).collect(),
            // A slice would keep the whole read buffer alive.
            payload: Bytes::copy_from_slice(&publish.payload[..kept]),
            size_bytes,
            retain: publish.retain,
            dup: publish.dup,
            will,
            fault,
            received_at: self.ports.clock.now(),
            ack,
        };
        (message, answer)
    }

    /// Acknowledges what is committed, together with everything behind it that is committed as well.
    async fn answered(&mut self, first: (Option<u16>, Outcome)) -> ControlFlow<Closing> {
        let mut next = Some(first);
        let mut end = None;
        while let Some((packet_id, outcome)) = next {
            end = match outcome {
                Outcome::Committed => None,
                Outcome::Failed => Some(Closing::NotCommitted),
                Outcome::Revoked => Some(Closing::Revoked),
            };
            if end.is_some() {
                break;
            }
            if let Some(pkid) = packet_id
                && self.wire.put(Packet::PubAck(PubAck::new(pkid))).is_err()
            {
                return ControlFlow::Break(Closing::Lost);
            }
            next = self.in_flight.next().now_or_never().flatten();
        }
        match (self.wire.flush().await, end) {
            (Err(_), _) => ControlFlow::Break(Closing::Lost),
            (Ok(()), Some(closing)) => ControlFlow::Break(closing),
            (Ok(()), None) => ControlFlow::Continue(()),
        }
    }

    /// While stopping nothing is read any more, but what is being committed is still acknowledged.
    async fn acknowledge_what_commits(&mut self) {
        while let Some(answer) = self.in_flight.next().await {
            if self.answered(answer).await.is_break() {
                return;
            }
        }
    }

    async fn subscribe(&mut self, subscribe: Subscribe) -> ControlFlow<Closing> {
        let mut retained = Vec::new();
        let mut codes = Vec::new();
        for filter in &subscribe.filters {
            let allowed = may_subscribe(&self.identity, &filter.path);
            let kept = allowed.then(|| self.sessions.subscribe(&self.key, &filter.path)).flatten();
            codes.push(match kept {
                Some(found) => {
                    retained.extend(found);
                    SubscribeReasonCode::Success(QoS::AtLeastOnce)
                }
                None => SubscribeReasonCode::Failure,
            });
        }
        self.reply(Packet::SubAck(SubAck::new(subscribe.pkid, codes))).await?;
        self.deliver_all(retained).await
    }

    async fn deliver_all(&mut self, downlinks: impl IntoIterator<Item = Downlink>) -> ControlFlow<Closing> {
        for downlink in downlinks {
            self.deliver(downlink).await?;
        }
        ControlFlow::Continue(())
    }

    async fn deliver(&mut self, downlink: Downlink) -> ControlFlow<Closing> {
        self.last_packet_id = self.last_packet_id.checked_add(1).unwrap_or(1);
        let mut publish = Publish::from_bytes(downlink.topic.clone(), QoS::AtLeastOnce, downlink.payload.clone());
        publish.pkid = self.last_packet_id;
        publish.retain = downlink.retain;
        if self.unacknowledged.len() == WAITING_MAX {
            self.unacknowledged.pop_front();
        }
        self.unacknowledged.push_back((publish.pkid, downlink));
        self.reply(Packet::Publish(publish)).await
    }

    async fn reply(&mut self, packet: Packet) -> ControlFlow<Closing> {
        let sent = match self.wire.put(packet) {
            Ok(()) => self.wire.flush().await,
            Err(error) => Err(error),
        };
        if sent.is_err() { ControlFlow::Break(Closing::Lost) } else { ControlFlow::Continue(()) }
    }
}

async fn told_to_end(ended: &mut oneshot::Receiver<Ending>, stop: &CancellationToken) -> Closing {
    tokio::select! {
        ending = ended => match ending {
            Ok(Ending::TakenOver) => Closing::TakenOver,
            Ok(Ending::Revoked) => Closing::Revoked,
            // The session was dropped without a word, which only happens when the endpoint goes.
            Err(_) => Closing::Stopping,
        },
        () = stop.cancelled() => Closing::Stopping,
    }
}
