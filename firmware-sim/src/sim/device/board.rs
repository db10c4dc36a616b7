//! The board that the firmware sees, played: its flash, its pins in the room, its clocks. What the radio is told is kept until the
//! device can wait for the network.

use rumqttc::{Publish as Packet, QoS};

use crate::board::{Clock, Entropy, Kept, Levels, Pins, Radio, Storage};
use crate::envelope::{Channel, DeviceId, Wall};
use crate::keyring::{Keys, SigningKey};
use crate::sensor::Publish;
use crate::sim::SensorConfig;
use crate::sim::chance::Chance;
use crate::sim::room::Room;
use crate::sim::time::{UpTime, host_wall};

pub(in crate::sim) struct PlayedBoard {
    pub time: UpTime,
    /// The firmware counts from its boot, the run from its start.
    pub booted_at_ms: u64,
    pub chance: Chance,
    pub room: Room,
    /// How far the board's own wall clock is ahead; without it there is none.
    pub wall_error_s: Option<i64>,
    pub deeds: Vec<Deed>,
    device: DeviceId,
    kept: Kept,
    keys: Keys,
}

/// What the firmware put out.
pub(in crate::sim) enum Deed {
    Connect { will: String, kid: u8 },
    Publish(Message),
    Disconnect,
    Beep(bool),
    KeyProved(u8),
}

pub(in crate::sim) struct Message {
    pub channel: Channel,
    pub seq: Option<u32>,
    pub resent: bool,
    pub publish: Packet,
}

impl PlayedBoard {
    pub fn new(config: &SensorConfig) -> Self {
        Self {
            time: UpTime::start(config.drift),
            booted_at_ms: 0,
            chance: Chance::new(config.seed),
            room: Room::new(config.curtain_open, config.daylight),
            wall_error_s: config.clock_error_s,
            deeds: Vec::new(),
            device: config.device.clone(),
            kept: Kept { boot_n: config.boot_n.saturating_sub(1), births: config.births, owed: 0 },
            keys: Keys { current: SigningKey { kid: config.kid, key: config.key }, next: None },
        }
    }

    /// The technician's tool has written the next key.
    pub const fn write_next_key(&mut self, next: SigningKey) {
        self.keys.next = Some(next);
    }
}

impl Clock for PlayedBoard {
    fn up_ms(&mut self) -> u64 {
        self.time.now_ms().saturating_sub(self.booted_at_ms)
    }

    fn wall(&mut self) -> Option<Wall> {
        self.wall_error_s.and_then(host_wall)
    }
}

impl Storage for PlayedBoard {
    fn kept(&mut self) -> Kept {
        self.kept
    }

    fn keep(&mut self, kept: Kept) {
        self.kept = kept;
    }

    fn keys(&mut self) -> Keys {
        self.keys
    }

    fn keep_only_key(&mut self, kid: u8) {
        if let Some(next) = self.keys.next.take_if(|next| next.kid == kid) {
            self.keys.current = next;
        }
        self.deeds.push(Deed::KeyProved(kid));
    }
}

impl Radio for PlayedBoard {
    fn connect(&mut self, will: &str, kid: u8) {
        self.deeds.push(Deed::Connect { will: will.to_owned(), kid });
    }

    fn publish(&mut self, message: &Publish) {
        let qos = if message.qos == 0 { QoS::AtMostOnce } else { QoS::AtLeastOnce };
        let mut publish = Packet::new(message.channel.topic(&self.device).as_str(), qos, message.payload);
        publish.retain = message.retain;
        self.deeds.push(Deed::Publish(Message { channel: message.channel, seq: message.seq, resent: message.resent, publish }));
    }

    fn disconnect(&mut self) {
        self.deeds.push(Deed::Disconnect);
    }

    fn rssi_dbm(&mut self) -> i8 {
        -67
    }
}

impl Pins for PlayedBoard {
    fn levels(&mut self) -> Levels {
        self.room.levels
    }

    fn lux(&mut self) -> u32 {
        self.room.lux
    }

    fn battery_mv(&mut self) -> u16 {
        self.room.battery_mv
    }

    fn beep(&mut self, on: bool) {
        self.deeds.push(Deed::Beep(on));
    }
}

impl Entropy for PlayedBoard {
    fn random(&mut self) -> u32 {
        u32::try_from(self.chance.next() >> 32).expect("32 bits are left")
    }
}
