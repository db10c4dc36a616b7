//! One device in its room on its network: turns time, hands and packets into wakes of the firmware and does what comes out.

pub(super) mod board;

mod outgoing;

mod radio;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use rumqttc::{Packet, Publish};
use tokio::select;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::board::{Runner, Wake};
use crate::downlink::read_ack;
use crate::envelope::Channel;
use crate::event::BootReason;
use crate::sensor::Rest;
use crate::sim::link::{Broker, Hello, Link, LinkError};
use crate::sim::report::Report;
use crate::sim::room::{Act, Moved};
use crate::sim::trace::{Moment, Trace};
use crate::sim::{Acts, SensorConfig};
use board::{Deed, PlayedBoard};
use radio::{Connection, Radio};

/// After so much skipped sleep a hurried device no longer claims to know the time.
const SKIP_KEEPS_WALL_MS: u64 = 60_000;
/// A hurried device skips its pauses; a broker that is down is still not asked more often than this.
const HURRIED_PAUSE: Duration = Duration::from_millis(50);
/// How far a wall clock jumps, in seconds, either way: from what is worth telling to two days.
const CLOCK_JUMP_S: (u64, u64) = (300, 2 * 24 * 3600);

/// Its share of the sockets that many devices have together.
#[derive(Default)]
pub(super) struct Sockets {
    /// Asked for one with every connection; without it there are enough.
    pub shared: Option<Arc<Semaphore>>,
    /// One that is already there for the first.
    pub first: Option<OwnedSemaphorePermit>,
}

pub(super) struct Device {
    broker: Arc<Broker>,
    config: SensorConfig,
    acts: Acts,
    sockets: Sockets,
    stop: CancellationToken,
    board: PlayedBoard,
    firmware: Runner,
    radio: Radio,
    link_broke: bool,
    /// The broker cannot be reached, whatever is tried.
    broker_down: bool,
    dead: bool,
    skipped_ms: u64,
    drain_until: Option<Instant>,
    /// A message that a fault lets the next one overtake.
    held: Option<Publish>,
    /// A message recorded for a replay.
    recording: Option<Publish>,
    /// Packet ids of messages with events that the broker has not acknowledged.
    unacknowledged: HashSet<u16>,
    report: Report,
}

enum Happened {
    Opened(Result<Connection, LinkError>),
    Packet(Result<Packet, LinkError>),
    Act(Act),
    Time,
}

pub(super) async fn run(broker: Arc<Broker>, config: SensorConfig, acts: Acts, sockets: Sockets, stop: CancellationToken) -> Report {
    let mut device = Device::new(broker, config, acts, sockets, stop);
    device.perform_all().await;
    while device.turn().await {}
    device.finish()
}

impl Device {
    fn new(broker: Arc<Broker>, config: SensorConfig, acts: Acts, sockets: Sockets, stop: CancellationToken) -> Self {
        let mut board = PlayedBoard::new(&config);
        let firmware = Runner::boot(config.device.clone(), config.settings, BootReason::PowerOn, &mut board);
        Self {
            broker,
            config,
            acts,
            sockets,
            stop,
            board,
            firmware,
            radio: Radio::Off,
            link_broke: false,
            broker_down: false,
            dead: false,
            skipped_ms: 0,
            drain_until: None,
            held: None,
            recording: None,
            unacknowledged: HashSet::new(),
            report: Report::default(),
        }
    }

    /// One thing that happens. `false` when there is nothing more to come.
    async fn turn(&mut self) -> bool {
        if self.stop.is_cancelled() || self.dead || self.has_ended() {
            return false;
        }
        self.hurry().await;
        let wait = self.wait();
        let Self { radio, acts, stop, .. } = self;
        let happened = select! {
            biased;
            () = stop.cancelled() => return false,
            happened = radio.happened() => happened,
            act = acts.live() => Happened::Act(act),
            () = sleep(wait) => Happened::Time,
        };
        match happened {
            Happened::Opened(Ok(connection)) => self.opened(connection).await,
            Happened::Opened(Err(error)) | Happened::Packet(Err(error)) => self.lost(&error).await,
            Happened::Packet(Ok(packet)) => self.take_packet(packet).await,
            Happened::Act(act) => self.act(act).await,
            Happened::Time => self.time_came().await,
        }
        true
    }

    fn now_ms(&self) -> u64 {
        self.board.time.now_ms()
    }

    fn next_at_ms(&self) -> u64 {
        let core = self.firmware.rest().until_ms().saturating_add(self.board.booted_at_ms);
        core.min(self.board.room.next_at().unwrap_or(u64::MAX)).min(self.acts.next_at(self.now_ms()).unwrap_or(u64::MAX))
    }

    fn wait(&self) -> Duration {
        let wait = self.board.time.until(self.next_at_ms());
        self.drain_until.map_or(wait, |until| wait.min(until.duration_since(Instant::now())))
    }

    /// All is delivered and nothing is planned, or the time to deliver is over.
    fn has_ended(&mut self) -> bool {
        let Acts::Planned { acts, end_ms, drain } = &self.acts else { return false };
        if !acts.is_empty() || self.board.time.now_ms() < *end_ms {
            return false;
        }
        let until = *self.drain_until.get_or_insert_with(|| Instant::now() + *drain);
        self.is_idle() || Instant::now() >= until
    }

    fn is_idle(&self) -> bool {
        let asleep = matches!((&self.radio, self.firmware.rest()), (Radio::Off, Rest::Asleep { .. }));
        asleep && self.firmware.owed() == 0 && self.board.room.next_at().is_none()
    }

    /// Skips to the next thing that happens by itself. A sensor in a live hand's room waits for the hand in real time.
    async fn hurry(&mut self) {
        while self.config.hurry && matches!(self.radio, Radio::Off) && !(self.acts.is_live() && self.is_idle()) {
            let next_at_ms = self.next_at_ms();
            self.skipped_ms += self.board.time.skip_to(next_at_ms);
            if self.skipped_ms <= SKIP_KEEPS_WALL_MS {
                return;
            }
            // This wake may do what was due, and leave nothing for the moment skipped to: then there is more to skip.
            self.skipped_ms = 0;
            self.wake(Wake::WallLost).await;
        }
    }

    async fn time_came(&mut self) {
        let now_ms = self.now_ms();
        if let Some(act) = self.acts.take(now_ms) {
            self.act(act).await;
        } else {
            let why = match self.board.room.take(now_ms) {
                Some(Moved::Pin) => Wake::Pins,
                Some(Moved::Light) => Wake::Light,
                None => Wake::Time,
            };
            self.wake(why).await;
        }
    }

    async fn act(&mut self, act: Act) {
        self.say(Moment::Acted(act));
        let now_ms = self.now_ms();
        self.board.room.act(now_ms, act, &mut self.board.chance);
        match act {
            Act::Restart => self.restart(now_ms).await,
            Act::FlatBattery => {
                self.end_life();
                self.dead = true;
                self.report.died += 1;
                self.say(Moment::Died);
            }
            Act::ClockJump => {
                let (least_s, most_s) = CLOCK_JUMP_S;
                let jump_s = self.board.chance.between(least_s, most_s).cast_signed();
                let forward = self.board.chance.happens(0.5);
                self.board.wall_error_s = Some(if forward { jump_s } else { -jump_s });
                self.report.clock_jumps += 1;
                self.wake(Wake::WallSet).await;
            }
            Act::BrokerDown => {
                self.broker_down = true;
                self.report.outages += 1;
                if !matches!(self.radio, Radio::Off) {
                    self.lost(&LinkError::Closed).await;
                }
            }
            Act::BrokerUp => self.broker_down = false,
            Act::NewKey => {
                if let Some(next) = &self.config.next {
                    self.board.write_next_key(next.signing);
                    self.wake(Wake::KeyWritten).await;
                }
            }
            _ => {}
        }
    }

    /// The power fails and returns.
    async fn restart(&mut self, now_ms: u64) {
        self.end_life();
        let owed = self.firmware.owed();
        self.board.booted_at_ms = now_ms;
        self.firmware = Runner::boot(self.config.device.clone(), self.config.settings, BootReason::BrownOut, &mut self.board);
        self.report.restarts += 1;
        self.say(Moment::Restarted { boot_n: self.firmware.session().boot_n, owed });
        self.perform_all().await;
    }

    /// The power is gone: no DISCONNECT, so that the broker sends the will.
    fn end_life(&mut self) {
        self.radio.cut();
        self.link_broke = false;
        self.firmware.power_fails(&mut self.board);
        let lost = self.report.add_life(self.firmware.tally());
        self.report.events_lost_at_restart += lost;
    }

    async fn opened(&mut self, connection: Connection) {
        self.radio = Radio::On(connection);
        self.unacknowledged.clear();
        self.report.connections += 1;
        self.say(Moment::Connected);
        self.wake(Wake::Connected).await;
    }

    async fn lost(&mut self, error: &LinkError) {
        self.say(Moment::LinkLost(error.to_string()));
        self.radio.cut();
        if self.config.hurry {
            sleep(HURRIED_PAUSE).await;
        }
        self.wake(Wake::LinkLost).await;
    }

    async fn take_packet(&mut self, packet: Packet) {
        match packet {
            Packet::PubAck(ack) => self.report.acknowledged += u64::from(self.unacknowledged.remove(&ack.pkid)),
            Packet::Publish(publish) => {
                if let Radio::On(connection) = &mut self.radio
                    && let Err(error) = connection.link.acknowledge(&publish).await
                {
                    self.lost(&error).await;
                    return;
                }
                self.take_downlink(&publish).await;
            }
            _ => {}
        }
    }

    async fn take_downlink(&mut self, publish: &Publish) {
        let channel =
            [Channel::Ack, Channel::Config].into_iter().find(|channel| channel.topic(&self.config.device).as_bytes() == &publish.topic[..]);
        let Some(channel) = channel else { return };
        if let Some(ack) = read_ack(&publish.payload).filter(|_| channel == Channel::Ack) {
            let lost = self.board.chance.happens(self.config.faults.loss);
            self.say(Moment::Receipt { boot_n: ack.boot_n, seq: ack.seq, lost });
            if lost {
                self.report.receipts_lost_on_purpose += 1;
                return;
            }
            self.report.receipts += 1;
        } else {
            self.say(Moment::Settings);
        }
        self.wake(Wake::Downlink { channel, payload: &publish.payload }).await;
    }

    async fn wake(&mut self, why: Wake<'_>) {
        self.firmware.wake(why, &mut self.board);
        self.perform_all().await;
        while std::mem::take(&mut self.link_broke) {
            self.radio.cut();
            self.firmware.wake(Wake::LinkLost, &mut self.board);
            self.perform_all().await;
        }
    }

    async fn perform_all(&mut self) {
        for deed in std::mem::take(&mut self.board.deeds) {
            self.perform(deed).await;
        }
    }

    async fn perform(&mut self, deed: Deed) {
        match deed {
            Deed::Beep(on) => self.say(Moment::Beep(on)),
            Deed::KeyProved(kid) => {
                self.report.keys_exchanged += 1;
                self.say(Moment::KeyProved(kid));
            }
            Deed::Connect { will, kid } => self.connect(will, kid),
            Deed::Publish(message) => self.publish(message).await,
            Deed::Disconnect => {
                if let Radio::On(connection) = self.radio.take() {
                    connection.link.disconnect().await;
                }
                self.say(Moment::Disconnected);
            }
        }
    }

    fn connect(&mut self, will: String, kid: u8) {
        self.say(Moment::Connecting { kid });
        if self.broker_down {
            self.radio = Radio::Opening(tokio::spawn(async { Err(LinkError::Closed) }));
            return;
        }
        let device = &self.config.device;
        let next = self.config.next.as_ref().filter(|next| next.signing.kid == kid);
        let hello = Hello {
            client_id: device.to_string(),
            user: device.to_string(),
            password: next.map_or_else(|| self.config.password.clone(), |next| next.password.clone()),
            will: Some((Channel::Status.topic(device).to_string(), will)),
            subscribe: Some(format!("chk/1/{device}/dn/#")),
        };
        let broker = Arc::clone(&self.broker);
        let (first, shared) = (self.sockets.first.take(), self.sockets.shared.clone());
        self.radio = Radio::Opening(tokio::spawn(async move {
            let permit = match (first, shared) {
                (Some(first), _) => Some(first),
                (None, Some(shared)) => shared.acquire_owned().await.ok(),
                (None, None) => None,
            };
            Ok(Connection { link: Link::open(&broker, hello).await?, _permit: permit })
        }));
    }

    fn say(&self, moment: Moment) {
        if let Some(trace) = &self.config.trace {
            // Nobody listens any more: the sensor goes on.
            let _ = trace.send(Trace { device_id: self.config.device.to_string(), up_ms: self.now_ms(), moment });
        }
    }

    fn finish(mut self) -> Report {
        self.radio.cut();
        if !self.dead {
            let waiting = self.report.add_life(self.firmware.tally());
            self.report.events_waiting += waiting;
        }
        self.report
    }
}
