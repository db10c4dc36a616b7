//! What all commands that play sensors have in common.

use std::path::Path;
use std::time::Duration;

use clap::Args;
use firmware_sim::sim::SensorConfig;
use firmware_sim::sim::faults::Faults;
use firmware_sim::sim::fleet::{CONNECTIONS_MAX, Fleet};
use firmware_sim::sim::link::Broker;
use firmware_sim::sim::sockets;

use super::values::{broker, duration, half, probability};
use super::{Failure, credentials, values};

#[derive(Args)]
pub struct Common {
    /// host:port
    #[arg(long, value_parser = broker, default_value = "127.0.0.1:1883")]
    pub broker: Broker,
    /// Repeats the faults and the days of an earlier run; a scenario file has its own.
    #[arg(long)]
    pub seed: Option<u64>,
    /// Skip what the devices sleep through.
    #[arg(long)]
    pub hurry: bool,
    /// How long the devices may still deliver at the end, in real time.
    #[arg(long, value_parser = duration, default_value = "20s")]
    pub drain: Duration,
    /// Must grow from run to run; by default made from this machine's clock.
    #[arg(long)]
    boot_n: Option<u32>,
    /// How far the devices' wall clocks are ahead, in seconds; otherwise they learn the time from their first receipt.
    #[arg(long, allow_negative_numbers = true)]
    clock_error: Option<i64>,
    /// It is night: an opened curtain lets no light in.
    #[arg(long)]
    night: bool,
    /// The devices introduce themselves to Home Assistant and show their level there.
    #[arg(long)]
    home_assistant: bool,
    /// Connections at a time; fewer where this user may not have so many.
    #[arg(long, default_value_t = CONNECTIONS_MAX)]
    connections_max: usize,
}

#[derive(Args)]
pub struct FaultArgs {
    /// Messages, and receipts, that are gone (0 to 1).
    #[arg(long, value_parser = probability, default_value = "0")]
    loss: f64,
    #[arg(long, value_parser = probability, default_value = "0")]
    duplicate: f64,
    #[arg(long, value_parser = probability, default_value = "0")]
    reorder: f64,
    /// Older messages published again, byte for byte.
    #[arg(long, value_parser = probability, default_value = "0")]
    replay: f64,
    /// Connections that break right after a message.
    #[arg(long, value_parser = probability, default_value = "0")]
    cut: f64,
    /// Reeds that chatter and fall back, per device and day; so are the next ones.
    #[arg(long, value_parser = probability, default_value = "0")]
    bounce: f64,
    /// Power failures.
    #[arg(long, value_parser = probability, default_value = "0")]
    restart: f64,
    /// Batteries that end for good.
    #[arg(long, value_parser = probability, default_value = "0")]
    flat: f64,
    /// Wall clocks that jump by minutes to days.
    #[arg(long, value_parser = probability, default_value = "0")]
    clock_jump: f64,
    /// Magnets that are taken off for a while.
    #[arg(long, value_parser = probability, default_value = "0")]
    magnet: f64,
    /// Outages of the broker for all devices at once, per day.
    #[arg(long, value_parser = probability, default_value = "0")]
    broker_down: f64,
    /// How much faster or slower than real the oscillators run, at most; each device draws its own (0.05 is 5 %).
    #[arg(long, value_parser = half, default_value = "0")]
    drift: f64,
}

impl FaultArgs {
    pub const fn faults(&self) -> Faults {
        Faults {
            loss: self.loss,
            duplicate: self.duplicate,
            reorder: self.reorder,
            replay: self.replay,
            cut: self.cut,
            bounce: self.bounce,
            restart: self.restart,
            flat: self.flat,
            clock_jump: self.clock_jump,
            magnet: self.magnet,
            broker_down: self.broker_down,
            drift: self.drift,
        }
    }
}

impl Common {
    pub fn seed(&self) -> u64 {
        self.seed.unwrap_or(0)
    }

    pub fn sensor(&self, mut config: SensorConfig) -> SensorConfig {
        config.boot_n = self.boot_n.unwrap_or_else(values::boot_n_of_now);
        config.births = config.boot_n;
        config.clock_error_s = self.clock_error;
        config.daylight = !self.night;
        config.hurry = self.hurry;
        config.settings.home_assistant = self.home_assistant;
        config
    }

    /// All sensors of a file.
    pub fn sensors(&self, path: &Path) -> Result<Vec<SensorConfig>, Failure> {
        credentials::many(path)?.iter().map(|credentials| Ok(self.sensor(credentials.sensor()?))).collect()
    }

    pub fn fleet(&self) -> Fleet {
        let room = sockets::raise_limit().unwrap_or(self.connections_max);
        if room < self.connections_max {
            eprintln!("firmware-sim: this user may have {room} connections at a time; the sensors share them");
        }
        Fleet { broker: self.broker.clone(), drain: self.drain, connections_max: self.connections_max.min(room) }
    }
}
