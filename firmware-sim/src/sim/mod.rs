//! The board, played: the firmware's core on tokio and TCP, with a room around it and faults that a seed repeats.
//!
//! Must stay true:
//! - What a sensor does depends on its configuration, its acts and the broker's answers; chance comes from the seed only.
//! - Hurried time skips what a device would sleep through, never what it waits for on the network.
//!
//! [`run_sensor`] plays one sensor that a caller's hand moves, [`run_planned`] one through given acts, [`fleet::run_fleet`] many.
//! [`scenario`] says who lives where and what goes wrong, as a file; [`homes`] makes days of it; [`player`] plays recorded messages.

pub mod chance;

pub mod faults;

pub mod room;

pub mod link;

pub mod trace;

pub mod report;

mod time;

mod device;

pub mod fleet;

pub mod resident;

pub mod scenario;

pub mod homes;

pub mod player;

pub mod sockets;

use std::collections::VecDeque;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::envelope::{DeviceId, Key};
use crate::keyring::SigningKey;
use crate::settings::Settings;
use device::Sockets;
use faults::Faults;
use link::Broker;
use report::Report;
use room::Act;
use trace::Trace;

#[derive(Clone, Debug)]
pub struct SensorConfig {
    /// Client id and user name too; made by [`crate::envelope::device_id`].
    pub device: DeviceId,
    pub key: Key,
    pub kid: u8,
    pub password: Option<String>,
    /// What a technician hands in with [`Act::NewKey`].
    pub next: Option<NextKey>,
    /// Must grow from run to run: the server takes a lower one for a replay.
    pub boot_n: u32,
    /// Connections made in earlier runs; should not fall while `boot_n` stays.
    pub births: u32,
    /// Where the curtain stands when the sensor starts; reported as a level.
    pub curtain_open: bool,
    /// By night an opened curtain lets no light in.
    pub daylight: bool,
    pub settings: Settings,
    pub faults: Faults,
    pub seed: u64,
    pub hurry: bool,
    /// How far the wall clock is ahead; without it the device learns the time from its first receipt.
    pub clock_error_s: Option<i64>,
    /// How much faster than real the device's oscillator runs: 0.05 is 5 %.
    pub drift: f64,
    /// Told what happens, line by line.
    pub trace: Option<mpsc::UnboundedSender<Trace>>,
}

#[derive(Clone, Debug)]
pub struct NextKey {
    pub signing: SigningKey,
    pub password: Option<String>,
}

impl SensorConfig {
    /// A healthy sensor of the first boot behind a closed curtain by day, in real time, without faults.
    pub fn new(device: DeviceId, key: Key) -> Self {
        Self {
            device,
            key,
            kid: 1,
            password: None,
            next: None,
            boot_n: 1,
            births: 0,
            curtain_open: false,
            daylight: true,
            settings: Settings::default(),
            faults: Faults::default(),
            seed: 0,
            hurry: false,
            clock_error_s: None,
            drift: 0.0,
            trace: None,
        }
    }
}

/// Where the hand comes from.
pub(crate) enum Acts {
    /// Somebody else's; never ends by itself.
    Live(mpsc::Receiver<Act>),
    /// Milliseconds since the start, ascending. After `end_ms` the device may still deliver what it owes for `drain`.
    Planned { acts: VecDeque<(u64, Act)>, end_ms: u64, drain: Duration },
}

impl Acts {
    /// The hand acts by the clock on the wall, whatever the device's oscillator thinks of it.
    fn planned(acts: Vec<(Duration, Act)>, drift: f64, drain: Duration) -> Self {
        let mut acts: Vec<(u64, Act)> = acts.into_iter().map(|(at, act)| (time::ms(at.mul_f64(1.0 + drift)), act)).collect();
        acts.sort_by_key(|(at, _)| *at);
        let end_ms = acts.last().map_or(0, |(at, _)| *at);
        Self::Planned { acts: acts.into(), end_ms, drain }
    }

    const fn is_live(&self) -> bool {
        matches!(self, Self::Live(_))
    }

    /// When the hand is gone the sensor goes on alone until it is stopped.
    async fn live(&mut self) -> Act {
        if let Self::Live(acts) = self
            && let Some(act) = acts.recv().await
        {
            return act;
        }
        pending().await
    }

    fn next_at(&self, now_ms: u64) -> Option<u64> {
        match self {
            Self::Live(_) => None,
            Self::Planned { acts, end_ms, .. } => acts.front().map(|(at, _)| *at).or_else(|| (now_ms < *end_ms).then_some(*end_ms)),
        }
    }

    fn take(&mut self, now_ms: u64) -> Option<Act> {
        match self {
            Self::Live(_) => None,
            Self::Planned { acts, .. } => acts.pop_front_if(|(at, _)| *at <= now_ms).map(|(_, act)| act),
        }
    }
}

/// Plays one sensor until it is stopped or its battery is flat. Reconnects by itself; a refused sensor keeps trying.
pub async fn run_sensor(broker: Broker, config: SensorConfig, acts: mpsc::Receiver<Act>, stop: CancellationToken) -> Report {
    device::run(Arc::new(broker), config, Acts::Live(acts), Sockets::default(), stop).await
}

/// Plays one sensor through acts at given times and ends when it has delivered all, `drain` after the last at the latest.
pub async fn run_planned(
    broker: Broker,
    config: SensorConfig,
    acts: Vec<(Duration, Act)>,
    drain: Duration,
    stop: CancellationToken,
) -> Report {
    let acts = Acts::planned(acts, config.drift, drain);
    device::run(Arc::new(broker), config, acts, Sockets::default(), stop).await
}
