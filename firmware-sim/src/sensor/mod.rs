//! The firmware: pin levels, samples, time and network events go in; connect, publish, disconnect and sleep come out.
//!
//! Order on a wake: connect (with a will) → birth → events → wait for the receipt, message by message → level and
//! telemetry → read the retained settings → `sleep` → disconnect. An SOS connects at once and is sent again after 1, 2,
//! 4, 8, 8 … seconds until the server's receipt names it; after ten minutes the ordinary pauses apply, and the beeper
//! goes on until somebody's server knows.
//!
//! Must stay true:
//! - [`Sensor::step`] is the only way in, and everything it does depends on its arguments alone.
//! - The board calls it again no later than the time it returned.

mod wake;

use crate::button::Button;
use crate::clock::WallClock;
use crate::debounce::Debounce;
use crate::downlink;
use crate::envelope::{Channel, DeviceId, Wall};
use crate::event::{BootReason, Event, Fact};
use crate::keyring::{Keyring, Keys, SigningKey};
use crate::lux::LuxSteps;
use crate::outbox::{Outbox, Tally};
use crate::settings::{Settings, TAMPER_DEBOUNCE_MS};
use crate::status::Session;
use wake::Link;

#[derive(Clone, Debug)]
pub struct Identity {
    pub device: DeviceId,
    pub keys: Keys,
}

/// What the board knows when it starts cold.
#[derive(Clone, Copy, Debug)]
pub struct Boot {
    /// From flash, one more than last time.
    pub boot_n: u32,
    /// Random.
    pub boot_id: u32,
    pub reason: BootReason,
    pub contact_open: bool,
    /// What the life before still owed ([`Sensor::owed`]), as saved when the voltage fell.
    pub lost_before: u32,
    /// Connections made in all lives so far.
    pub births: u32,
    pub wall: Option<Wall>,
}

#[derive(Clone, Copy, Debug)]
pub enum Input<'a> {
    /// Raw level of the reed; bounces and all. `open` after the calibrated polarity.
    Contact {
        open: bool,
    },
    Sos {
        pressed: bool,
    },
    Ok {
        pressed: bool,
    },
    Tamper {
        triggered: bool,
    },
    Lux(u32),
    Battery {
        millivolts: u16,
    },
    Rssi {
        dbm: i8,
    },
    /// The time returned by the last step has come.
    Alarm,
    /// Connected, and subscribed to `dn/#`.
    Connected,
    /// The connection failed or broke.
    LinkLost,
    Downlink {
        channel: Channel,
        payload: &'a [u8],
    },
    /// The board's wall clock was set, or jumped.
    Wall(Wall),
    /// The wall clock is no longer to be trusted.
    WallLost,
    /// A technician has handed in the key to come.
    NextKey(SigningKey),
}

#[derive(Debug)]
pub enum Output<'a> {
    /// Connect with a persistent session and this retained will on `up/status`, then subscribe to `dn/#` at QoS 1.
    Connect {
        will: &'a str,
        /// The key of this connection, and so the password that belongs to it.
        kid: u8,
    },
    Publish(Publish<'a>),
    /// Cleanly, so that the will is not sent.
    Disconnect,
    /// Whether the beeper of the SOS button sounds: on until the server has receipted the call.
    Beep(bool),
    /// The server knows the next key: the old one may be erased.
    KeyProved {
        kid: u8,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Publish<'a> {
    pub channel: Channel,
    /// 0 or 1.
    pub qos: u8,
    pub retain: bool,
    pub payload: &'a [u8],
    /// The sequence number of a signed message.
    pub seq: Option<u32>,
    /// This number was sent before.
    pub resent: bool,
}

/// How the board waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rest {
    /// The processor or the radio is needed until then.
    Awake { until_ms: u64 },
    /// Deep sleep; a pin wakes it earlier.
    Asleep { until_ms: u64 },
}

impl Rest {
    pub const fn until_ms(self) -> u64 {
        match self {
            Self::Awake { until_ms } | Self::Asleep { until_ms } => until_ms,
        }
    }
}

#[derive(Clone, Debug)]
pub struct Sensor {
    device: DeviceId,
    keys: Keyring,
    session: Session,
    settings: Settings,
    config_n: u32,
    clock: WallClock,
    outbox: Outbox,
    link: Link,
    contact: Debounce,
    tamper: Debounce,
    /// The last moment at which somebody's hand was known to be on the device.
    tampered_at_ms: Option<u64>,
    sos: Button,
    ok: Button,
    lux_steps: LuxSteps,
    lux: Option<u32>,
    battery_mv: Option<u16>,
    rssi_dbm: i8,
    heartbeat_at_ms: u64,
    telemetry_due: bool,
    /// The level changed since it was last published.
    state_due: bool,
    /// Home automation is to be told what this device is.
    announcement_due: bool,
    /// When the oldest SOS without a receipt was pressed.
    sos_since_ms: Option<u64>,
    /// Failures since the last receipt; they lengthen the pause.
    attempts: u32,
    retry_at_ms: u64,
}

impl Sensor {
    pub fn new(identity: Identity, settings: Settings, boot: Boot, now_ms: u64) -> Self {
        let mut outbox = Outbox::default();
        if boot.lost_before > 0 {
            outbox.add_lost(now_ms, boot.lost_before);
        }
        outbox.push(Event { t_up_ms: now_ms, fact: Fact::Boot(boot.reason) });
        outbox.push(Event { t_up_ms: now_ms, fact: Fact::Contact { open: boot.contact_open } });
        Self {
            device: identity.device,
            keys: Keyring::new(identity.keys),
            session: Session { boot_n: boot.boot_n, boot_id: boot.boot_id, birth_n: boot.births },
            settings,
            config_n: 0,
            clock: WallClock::new(now_ms, boot.wall),
            outbox,
            link: Link::Down,
            contact: Debounce::new(boot.contact_open),
            tamper: Debounce::new(false),
            tampered_at_ms: None,
            sos: Button::default(),
            ok: Button::default(),
            lux_steps: LuxSteps::default(),
            lux: None,
            battery_mv: None,
            rssi_dbm: 0,
            heartbeat_at_ms: now_ms.saturating_add(settings.heartbeat_ms),
            telemetry_due: true,
            state_due: true,
            announcement_due: true,
            sos_since_ms: None,
            attempts: 0,
            retry_at_ms: now_ms,
        }
    }

    pub fn step(&mut self, now_ms: u64, input: Input, emit: &mut dyn FnMut(Output)) -> Rest {
        self.settle(now_ms, emit);
        match input {
            Input::Contact { open } => self.contact.edge(now_ms, open),
            Input::Tamper { triggered } => self.tamper.edge(now_ms, triggered),
            Input::Sos { pressed } => {
                if let Some((at, press)) = self.sos.edge(now_ms, pressed) {
                    self.record(now_ms, at, Fact::Sos(press), emit);
                }
            }
            Input::Ok { pressed } => {
                if let Some((at, _)) = self.ok.edge(now_ms, pressed) {
                    self.record(now_ms, at, Fact::Ok, emit);
                }
            }
            Input::Lux(lux) => self.take_lux(now_ms, lux, emit),
            Input::Battery { millivolts } => self.battery_mv = Some(millivolts),
            Input::Rssi { dbm } => self.rssi_dbm = dbm,
            Input::Alarm => {}
            Input::Connected => self.connected(now_ms, emit),
            Input::LinkLost => self.link_lost(now_ms),
            Input::Downlink { channel, payload } => self.take_downlink(now_ms, channel, payload, emit),
            Input::Wall(wall) => self.take_wall(now_ms, wall),
            Input::WallLost => self.clock.forget(),
            Input::NextKey(next) => {
                self.keys.offer(next);
                self.retry_at_ms = now_ms;
            }
        }
        self.settle(now_ms, emit);
        self.drive(now_ms, emit);
        self.rest(now_ms)
    }

    /// What a successor must be told is lost if this life ends now: see [`Outbox::owed`].
    pub fn owed(&self) -> u32 {
        self.outbox.owed()
    }

    pub const fn tally(&self) -> Tally {
        self.outbox.tally()
    }

    pub const fn session(&self) -> Session {
        self.session
    }

    pub const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Switches and held buttons whose time has come.
    fn settle(&mut self, now_ms: u64, emit: &mut dyn FnMut(Output)) {
        if let Some((at, triggered)) = self.tamper.settle(now_ms, TAMPER_DEBOUNCE_MS) {
            self.tampered_at_ms = Some(at);
            if triggered {
                self.record(now_ms, at, Fact::Tamper, emit);
            }
        }
        if let Some((at, open)) = self.contact.settle(now_ms, self.settings.contact_debounce_ms) {
            self.state_due = true;
            // A magnet that is taken away reads like a curtain that opens. What the reed does under a hand is a level and no edge:
            // it is taken over without a word, and the next real move is told.
            if !self.tamper.level() && self.tampered_at_ms.is_none_or(|tampered| at > tampered) {
                self.record(now_ms, at, Fact::Contact { open }, emit);
            }
        }
        if let Some((at, press)) = self.sos.held(now_ms) {
            self.record(now_ms, at, Fact::Sos(press), emit);
        }
        if let Some((at, _)) = self.ok.held(now_ms) {
            self.record(now_ms, at, Fact::Ok, emit);
        }
        if now_ms >= self.heartbeat_at_ms {
            self.telemetry_due = true;
            self.state_due = true;
            self.announcement_due = true;
            self.keys.try_again();
            self.heartbeat_at_ms = now_ms.saturating_add(self.settings.heartbeat_ms);
        }
    }

    fn record(&mut self, now_ms: u64, at_ms: u64, fact: Fact, emit: &mut dyn FnMut(Output)) {
        self.outbox.push(Event { t_up_ms: at_ms, fact });
        // News deserve a try at once, whatever pause earlier failures have led to.
        self.retry_at_ms = now_ms;
        if fact.is_sos() {
            self.sos_since_ms = Some(now_ms);
            self.attempts = 0;
            self.state_due = true;
            emit(Output::Beep(true));
        }
    }

    fn take_lux(&mut self, now_ms: u64, lux: u32, emit: &mut dyn FnMut(Output)) {
        self.lux = Some(lux);
        if let Some((before, after)) = self.lux_steps.sample(now_ms, lux, &self.settings) {
            self.state_due = true;
            self.record(now_ms, now_ms, Fact::LuxJump { before, after }, emit);
        }
    }

    /// Earlier wall times of this boot were wrong: whoever read them is told by how much.
    fn take_wall(&mut self, now_ms: u64, wall: Wall) {
        if let Some(seconds) = self.clock.calibrate(now_ms, wall) {
            self.outbox.push(Event { t_up_ms: now_ms, fact: Fact::TimeJump { seconds } });
        }
    }

    fn key_proved(&mut self, kid: u8, emit: &mut dyn FnMut(Output)) {
        if let Some(kid) = self.keys.proved(kid) {
            emit(Output::KeyProved { kid });
        }
    }

    fn take_downlink(&mut self, now_ms: u64, channel: Channel, payload: &[u8], emit: &mut dyn FnMut(Output)) {
        match channel {
            Channel::Ack => {
                if let Some(ack) = downlink::read_ack(payload).filter(|ack| ack.boot_n == self.session.boot_n) {
                    self.receipt(now_ms, ack, emit);
                }
            }
            Channel::Config => {
                let topic = Channel::Config.topic(&self.device);
                let read = |key: &SigningKey| Some((key.kid, downlink::read_config(&topic, &key.key, payload)?));
                let config = self.keys.all().find_map(read);
                self.config_seen();
                let config = config.map(|(kid, config)| {
                    self.key_proved(kid, emit);
                    config
                });
                if let Some(config) = config.filter(|config| config.config_n > self.config_n) {
                    self.config_n = config.config_n;
                    self.settings.apply(&config);
                    self.heartbeat_at_ms = self.heartbeat_at_ms.min(now_ms.saturating_add(self.settings.heartbeat_ms));
                }
            }
            Channel::Events | Channel::Telemetry | Channel::Status | Channel::State | Channel::Discovery => {}
        }
    }
}

#[cfg(test)]
mod tests;
