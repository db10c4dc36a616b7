//! Many sensors in one process. What one does depends on the seed and its place in the list only, not on how many others there are.
//!
//! A sleeping device has no connection: fifty thousand of them need few sockets at a time. They share
//! [`Fleet::connections_max`] places; a device that wakes while all are taken waits for its turn like one behind a busy access point.
//! They also start one after another as places become free, because a device that waits longer than its patience gives up and tries
//! later.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::chance::Chance;
use super::device::{self, Sockets};
use super::faults::{Faults, part};
use super::link::Broker;
use super::report::Report;
use super::room::Act;
use super::{Acts, SensorConfig};

const DAY: Duration = Duration::from_hours(24);
/// A fleet of devices wakes at about the same hour, but one process has only so many sockets.
pub const CONNECTIONS_MAX: usize = 500;

#[derive(Clone, Debug)]
pub struct Fleet {
    pub broker: Broker,
    /// How long devices may still deliver afterwards, in real time.
    pub drain: Duration,
    pub connections_max: usize,
}

/// One sensor and what happens to it.
#[derive(Clone, Debug)]
pub struct Part {
    pub config: SensorConfig,
    /// In device time since the start.
    pub acts: Vec<(Duration, Act)>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct FleetReport {
    pub sensors: usize,
    /// Sensors that still held events at the end.
    pub undelivered: Vec<String>,
    /// Days that all sensors together went through, in device time.
    pub device_days: f64,
    pub total: Report,
}

/// Plays the parts. They are asked for one by one as there is room, so that hurried devices that are not running cost nothing.
pub async fn run_fleet(fleet: &Fleet, parts: impl IntoIterator<Item = Part>, stop: CancellationToken) -> FleetReport {
    let places = Arc::new(Semaphore::new(fleet.connections_max.max(1)));
    let broker = Arc::new(fleet.broker.clone());
    let mut running = JoinSet::new();
    let mut report = FleetReport::default();
    let started = Instant::now();
    for Part { config, acts } in parts {
        let place = tokio::select! {
            () = stop.cancelled() => break,
            place = Arc::clone(&places).acquire_owned() => place.ok(),
        };
        report.device_days += acts.iter().map(|(at, _)| *at).max().unwrap_or_default().as_secs_f64() / DAY.as_secs_f64();
        // Hurried devices are nearly always connected: they take turns as a whole. Others share the connections.
        let (turn, sockets) =
            if config.hurry { (place, Sockets::default()) } else { (None, Sockets { shared: Some(Arc::clone(&places)), first: place }) };
        // Who starts late has missed nothing: its hand moves when the others' hands do.
        let late = if config.hurry { Duration::ZERO } else { started.elapsed() };
        let acts = acts.into_iter().map(|(at, act)| (at.saturating_sub(late), act)).collect();
        let acts = Acts::planned(acts, config.drift, fleet.drain);
        let (name, broker, stop) = (config.device.clone(), Arc::clone(&broker), stop.clone());
        running.spawn(async move {
            let own = device::run(broker, config, acts, sockets, stop).await;
            drop(turn);
            (name, own)
        });
        while let Some(ended) = running.try_join_next() {
            report.add(ended.ok());
        }
    }
    while let Some(ended) = running.join_next().await {
        report.add(ended.ok());
    }
    report.undelivered.sort();
    report
}

impl FleetReport {
    fn add(&mut self, ended: Option<(crate::envelope::DeviceId, Report)>) {
        let Some((device, own)) = ended else { return };
        self.sensors += 1;
        self.total.add(&own);
        if own.events_waiting > 0 {
            self.undelivered.push(device.to_string());
        }
    }
}

/// The same kind of days for many sensors.
#[derive(Clone, Copy, Debug)]
pub struct Days {
    /// Device time. A day has a morning and an evening; a shorter run is one shortened day.
    pub duration: Duration,
    pub seed: u64,
    pub faults: Faults,
}

impl Days {
    /// One part per sensor, each with a seed of its own.
    pub fn parts(self, sensors: impl IntoIterator<Item = SensorConfig>) -> impl Iterator<Item = Part> {
        let outages = self.faults.outages(self.days(), self.day(), self.seed);
        (0..).zip(sensors).map(move |(index, mut config)| {
            let mut chance = Chance::stream(self.seed, index);
            let mut acts = self.acts(&mut chance);
            acts.extend(&outages);
            config.seed = chance.next();
            config.faults = self.faults;
            config.drift += self.faults.own_drift(&mut chance);
            Part { config, acts }
        })
    }

    fn day(&self) -> Duration {
        self.duration.min(DAY)
    }

    fn days(&self) -> u32 {
        self.duration.as_secs().checked_div(self.day().as_secs()).map_or(1, |days| u32::try_from(days).unwrap_or(u32::MAX))
    }

    /// What one senior does: opens the curtain each morning, closes it each evening, now and then presses a button.
    fn acts(&self, chance: &mut Chance) -> Vec<(Duration, Act)> {
        let day = self.day();
        let mut acts = Vec::new();
        for start in (0..self.days()).map(|number| day * number) {
            acts.push((start + part(day, 20, 40, chance), Act::OpenCurtain));
            acts.push((start + part(day, 80, 95, chance), Act::CloseCurtain));
            let now_and_then = [(Act::PressOk, 0.2), (Act::PressSos, 0.02), (Act::HoldSos, 0.02), (Act::Tamper, 0.01)];
            for (act, share) in now_and_then {
                if chance.happens(share) {
                    acts.push((start + part(day, 5, 95, chance), act));
                }
            }
            self.faults.day(start, day, chance, &mut acts);
        }
        acts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn acts(duration: Duration) -> Vec<(Duration, Act)> {
        Days { duration, seed: 5, faults: Faults::default() }.acts(&mut Chance::new(5))
    }

    #[test]
    fn every_planned_day_opens_and_closes_the_curtain_once_in_that_order() {
        let acts = acts(DAY * 30);
        let times = |wanted: Act| -> Vec<Duration> { acts.iter().filter(|(_, act)| *act == wanted).map(|(at, _)| *at).collect() };
        let (opened, closed) = (times(Act::OpenCurtain), times(Act::CloseCurtain));
        assert_eq!((opened.len(), closed.len()), (30, 30));
        for (day, (opened, closed)) in opened.iter().zip(&closed).enumerate() {
            let start = DAY * u32::try_from(day).unwrap();
            assert!(start < *opened && opened < closed && *closed < start + DAY);
        }
    }

    #[test]
    fn a_short_run_is_one_short_day() {
        let acts = acts(Duration::from_secs(30));
        assert!(acts.iter().all(|(at, _)| *at < Duration::from_secs(30)));
        assert_eq!(acts.iter().filter(|(_, act)| *act == Act::OpenCurtain).count(), 1);
    }
}
