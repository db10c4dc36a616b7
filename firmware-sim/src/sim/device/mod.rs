//! One device in its room on its network: turns time, hands and packets into the core's inputs and does what comes out.

mod outgoing;

mod radio;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use rumqttc::{Packet, Publish, QoS};
use tokio::select;
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::downlink::read_ack;
use crate::envelope::Channel;
use crate::event::BootReason;
use crate::sensor::{Boot, Identity, Input, Output, Rest, Sensor};
use crate::sim::chance::Chance;
use crate::sim::link::{Broker, Hello, Link, LinkError};
use crate::sim::report::Report;
use crate::sim::room::{Act, Pin, Room};
use crate::sim::time::{UpTime, host_wall};
use crate::sim::trace::{Moment, Trace};
use crate::sim::{Acts, SensorConfig};
use radio::{Connection, Radio};

/// After so much skipped sleep a hurried device no longer claims to know the time.
const SKIP_KEEPS_WALL_MS: u64 = 60_000;
/// A hurried device skips its pauses; a broker that is down is still not asked more often than this.
const HURRIED_PAUSE: Duration = Duration::from_millis(50);

pub(super) struct Device {
    broker: Broker,
    config: SensorConfig,
    acts: Acts,
    connections: Option<Arc<Semaphore>>,
    stop: CancellationToken,
    time: UpTime,
    chance: Chance,
    room: Room,
    sensor: Sensor,
    boot_n: u32,
    /// The core counts from its boot, the run from its start.
    booted_at_ms: u64,
    rest: Rest,
    radio: Radio,
    link_broke: bool,
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

/// What the core put out, kept over an await.
enum Deed {
    Connect { will: String },
    Publish(Message),
    Disconnect,
    Beep(bool),
}

struct Message {
    channel: Channel,
    seq: Option<u32>,
    resent: bool,
    publish: Publish,
}

pub(super) async fn run(
    broker: Broker,
    config: SensorConfig,
    acts: Acts,
    connections: Option<Arc<Semaphore>>,
    stop: CancellationToken,
) -> Report {
    let mut device = Device::new(broker, config, acts, connections, stop);
    while device.turn().await {}
    device.finish()
}

impl Device {
    fn new(broker: Broker, config: SensorConfig, acts: Acts, connections: Option<Arc<Semaphore>>, stop: CancellationToken) -> Self {
        let mut chance = Chance::new(config.seed);
        let sensor = core(&config, config.boot_n, BootReason::PowerOn, config.curtain_open, 0, config.births, &mut chance);
        Self {
            room: Room::new(config.curtain_open, config.daylight),
            time: UpTime::start(config.drift),
            boot_n: config.boot_n,
            broker,
            config,
            acts,
            connections,
            stop,
            chance,
            sensor,
            booted_at_ms: 0,
            rest: Rest::Asleep { until_ms: 0 },
            radio: Radio::Off,
            link_broke: false,
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
        self.time.now_ms()
    }

    fn next_at_ms(&self) -> u64 {
        let core = self.rest.until_ms().saturating_add(self.booted_at_ms);
        core.min(self.room.next_at().unwrap_or(u64::MAX)).min(self.acts.next_at(self.now_ms()).unwrap_or(u64::MAX))
    }

    fn wait(&self) -> Duration {
        let wait = self.time.until(self.next_at_ms());
        self.drain_until.map_or(wait, |until| wait.min(until.duration_since(Instant::now())))
    }

    /// All is delivered and nothing is planned, or the time to deliver is over.
    fn has_ended(&mut self) -> bool {
        let Acts::Planned { acts, end_ms, drain } = &self.acts else { return false };
        if !acts.is_empty() || self.time.now_ms() < *end_ms {
            return false;
        }
        let until = *self.drain_until.get_or_insert_with(|| Instant::now() + *drain);
        self.is_idle() || Instant::now() >= until
    }

    fn is_idle(&self) -> bool {
        let asleep = matches!((&self.radio, self.rest), (Radio::Off, Rest::Asleep { .. }));
        asleep && self.sensor.owed() == 0 && self.room.next_at().is_none()
    }

    /// Skips to the next thing that happens by itself. A sensor in a live hand's room waits for the hand in real time.
    async fn hurry(&mut self) {
        if !self.config.hurry || !matches!(self.radio, Radio::Off) || (self.acts.is_live() && self.is_idle()) {
            return;
        }
        self.skipped_ms += self.time.skip_to(self.next_at_ms());
        if self.skipped_ms > SKIP_KEEPS_WALL_MS {
            self.skipped_ms = 0;
            self.put(Input::WallLost).await;
        }
    }

    async fn time_came(&mut self) {
        let now_ms = self.now_ms();
        if let Some(act) = self.acts.take(now_ms) {
            self.act(act).await;
        } else if let Some(pin) = self.room.take(now_ms) {
            let input = match pin {
                Pin::Contact(open) => Input::Contact { open },
                Pin::Sos(pressed) => Input::Sos { pressed },
                Pin::Ok(pressed) => Input::Ok { pressed },
                Pin::Tamper(triggered) => Input::Tamper { triggered },
                Pin::Lux(lux) => Input::Lux(lux),
            };
            self.put(input).await;
        } else {
            self.put(Input::Alarm).await;
        }
    }

    async fn act(&mut self, act: Act) {
        self.say(Moment::Acted(act));
        let now_ms = self.now_ms();
        self.room.act(now_ms, act, &mut self.chance);
        match act {
            Act::Restart => {
                let owed = self.end_life();
                self.boot_n = self.boot_n.saturating_add(1);
                let births = self.sensor.session().birth_n;
                let open = self.room.curtain_open;
                self.sensor = core(&self.config, self.boot_n, BootReason::BrownOut, open, owed, births, &mut self.chance);
                self.booted_at_ms = now_ms;
                self.report.restarts += 1;
                self.say(Moment::Restarted { boot_n: self.boot_n, owed });
                self.put(Input::Alarm).await;
            }
            Act::FlatBattery => {
                self.end_life();
                self.dead = true;
                self.report.died += 1;
                self.say(Moment::Died);
            }
            _ => {}
        }
    }

    /// The power is gone: no DISCONNECT, so that the broker sends the will.
    fn end_life(&mut self) -> u32 {
        self.radio.cut();
        self.link_broke = false;
        let lost = self.report.add_life(self.sensor.tally());
        self.report.events_lost_at_restart += lost;
        self.sensor.owed()
    }

    async fn opened(&mut self, connection: Connection) {
        self.radio = Radio::On(connection);
        self.unacknowledged.clear();
        self.report.connections += 1;
        self.say(Moment::Connected);
        self.put(Input::Battery { millivolts: self.room.battery_mv }).await;
        self.put(Input::Rssi { dbm: -67 }).await;
        self.put(Input::Connected).await;
    }

    async fn lost(&mut self, error: &LinkError) {
        self.say(Moment::LinkLost(error.to_string()));
        self.radio.cut();
        if self.config.hurry {
            sleep(HURRIED_PAUSE).await;
        }
        self.put(Input::LinkLost).await;
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
            let lost = self.chance.happens(self.config.faults.loss);
            self.say(Moment::Receipt { boot_n: ack.boot_n, seq: ack.seq, lost });
            if lost {
                self.report.receipts_lost_on_purpose += 1;
                return;
            }
            self.report.receipts += 1;
        } else {
            self.say(Moment::Settings);
        }
        self.put(Input::Downlink { channel, payload: &publish.payload }).await;
    }

    async fn put(&mut self, input: Input<'_>) {
        self.step(input).await;
        while std::mem::take(&mut self.link_broke) {
            self.radio.cut();
            self.step(Input::LinkLost).await;
        }
    }

    async fn step(&mut self, input: Input<'_>) {
        let now_ms = self.now_ms().saturating_sub(self.booted_at_ms);
        let mut deeds = Vec::new();
        let device = &self.config.device;
        self.rest = self.sensor.step(now_ms, input, &mut |output| {
            deeds.push(match output {
                Output::Connect { will } => Deed::Connect { will: will.to_owned() },
                Output::Disconnect => Deed::Disconnect,
                Output::Beep(on) => Deed::Beep(on),
                Output::Publish(said) => {
                    let qos = if said.qos == 0 { QoS::AtMostOnce } else { QoS::AtLeastOnce };
                    let mut publish = Publish::new(said.channel.topic(device).as_str(), qos, said.payload);
                    publish.retain = said.retain;
                    Deed::Publish(Message { channel: said.channel, seq: said.seq, resent: said.resent, publish })
                }
            });
        });
        for deed in deeds {
            self.perform(deed).await;
        }
    }

    async fn perform(&mut self, deed: Deed) {
        match deed {
            Deed::Beep(on) => self.say(Moment::Beep(on)),
            Deed::Connect { will } => self.connect(will),
            Deed::Publish(message) => self.publish(message).await,
            Deed::Disconnect => {
                if let Radio::On(connection) = self.radio.take() {
                    connection.link.disconnect().await;
                }
                self.say(Moment::Disconnected);
            }
        }
    }

    fn connect(&mut self, will: String) {
        self.say(Moment::Connecting);
        let device = &self.config.device;
        let hello = Hello {
            device_id: device.to_string(),
            password: self.config.password.clone(),
            will_topic: Channel::Status.topic(device).to_string(),
            will,
            subscribe: format!("chk/1/{device}/dn/#"),
        };
        let broker = self.broker.clone();
        let connections = self.connections.clone();
        self.radio = Radio::Opening(tokio::spawn(async move {
            let permit = match connections {
                Some(connections) => connections.acquire_owned().await.ok(),
                None => None,
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
            let waiting = self.report.add_life(self.sensor.tally());
            self.report.events_waiting += waiting;
        }
        self.report
    }
}

/// A cold start at time zero of its own clock.
fn core(
    config: &SensorConfig,
    boot_n: u32,
    reason: BootReason,
    contact_open: bool,
    lost_before: u32,
    births: u32,
    chance: &mut Chance,
) -> Sensor {
    let identity = Identity { device: config.device.clone(), key: config.key, kid: config.kid };
    let boot_id = u32::try_from(chance.next() >> 32).expect("32 bits are left");
    let wall = config.clock_error_s.and_then(host_wall);
    let boot = Boot { boot_n, boot_id, reason, contact_open, lost_before, births, wall };
    Sensor::new(identity, config.settings, boot, 0)
}
