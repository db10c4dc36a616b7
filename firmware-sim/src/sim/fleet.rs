//! Many sensors in one process, each through its own planned days. What one does depends on the seed and its place in the
//! list only, not on how many others there are.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::chance::Chance;
use super::faults::Faults;
use super::link::Broker;
use super::report::Report;
use super::room::Act;
use super::{SensorConfig, run_planned};

const DAY: Duration = Duration::from_hours(24);
/// A fleet of devices wakes at about the same hour, but one process has only so many sockets.
pub const CONNECTIONS_MAX: usize = 500;

#[derive(Clone, Debug)]
pub struct FleetConfig {
    pub broker: Broker,
    /// One per sensor; seed, faults and hurry are the fleet's.
    pub sensors: Vec<SensorConfig>,
    pub seed: u64,
    pub faults: Faults,
    pub hurry: bool,
    /// Device time. A day has a morning and an evening; a shorter run is one shortened day.
    pub duration: Duration,
    /// How long devices may still deliver afterwards, in real time.
    pub drain: Duration,
    pub connections_max: usize,
}

impl FleetConfig {
    pub const fn new(broker: Broker, sensors: Vec<SensorConfig>, duration: Duration) -> Self {
        Self {
            broker,
            sensors,
            seed: 0,
            faults: Faults { loss: 0.0, duplicate: 0.0, reorder: 0.0, replay: 0.0, cut: 0.0, restart: 0.0, flat: 0.0 },
            hurry: false,
            duration,
            drain: Duration::from_secs(10),
            connections_max: CONNECTIONS_MAX,
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct FleetReport {
    pub sensors: usize,
    /// Sensors that still held events at the end.
    pub undelivered: Vec<String>,
    pub total: Report,
}

pub async fn run_fleet(config: FleetConfig, stop: CancellationToken) -> FleetReport {
    let places = Arc::new(Semaphore::new(config.connections_max.max(1)));
    let mut running = JoinSet::new();
    for (index, mut sensor) in config.sensors.into_iter().enumerate() {
        let mut chance = Chance::stream(config.seed, index as u64);
        let acts = plan(config.duration, &config.faults, &mut chance);
        sensor.seed = chance.next();
        sensor.faults = config.faults;
        sensor.hurry = config.hurry;
        let (broker, places, stop) = (config.broker.clone(), Arc::clone(&places), stop.clone());
        running.spawn(async move {
            let device = sensor.device.to_string();
            // Hurried devices are nearly always connected: they take turns as a whole. Others share the connections.
            let (_turn, connections) = if sensor.hurry { (places.acquire_owned().await.ok(), None) } else { (None, Some(places)) };
            (device, run_planned(broker, sensor, acts, config.drain, connections, stop).await)
        });
    }
    let mut report = FleetReport::default();
    while let Some(ended) = running.join_next().await {
        let Ok((device, own)) = ended else { continue };
        report.sensors += 1;
        report.total.add(&own);
        if own.events_waiting > 0 {
            report.undelivered.push(device);
        }
    }
    report.undelivered.sort();
    report
}

/// What one senior does: opens the curtain each morning, closes it each evening, now and then presses a button.
pub fn plan(duration: Duration, faults: &Faults, chance: &mut Chance) -> Vec<(Duration, Act)> {
    let day = duration.min(DAY);
    let days = duration.as_secs().checked_div(day.as_secs()).map_or(1, |days| u32::try_from(days).unwrap_or(u32::MAX));
    let mut acts = Vec::new();
    for start in (0..days).map(|number| day * number) {
        let at = |from_percent: u64, to_percent: u64, chance: &mut Chance| {
            let share = u32::try_from(chance.between(from_percent * 100, to_percent * 100)).expect("at most ten thousand");
            start + day * share / 10_000
        };
        acts.push((at(20, 40, chance), Act::OpenCurtain));
        acts.push((at(80, 95, chance), Act::CloseCurtain));
        let now_and_then = [
            (Act::PressOk, 0.2),
            (Act::PressSos, 0.02),
            (Act::HoldSos, 0.02),
            (Act::Bounce, 0.2),
            (Act::Tamper, 0.01),
            (Act::Restart, faults.restart),
            (Act::FlatBattery, faults.flat),
        ];
        for (act, share) in now_and_then {
            if chance.happens(share) {
                acts.push((at(5, 95, chance), act));
            }
        }
    }
    acts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_planned_day_opens_and_closes_the_curtain_once_in_that_order() {
        let acts = plan(DAY * 30, &Faults::default(), &mut Chance::new(5));
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
        let acts = plan(Duration::from_secs(30), &Faults::default(), &mut Chance::new(5));
        assert!(acts.iter().all(|(at, _)| *at < Duration::from_secs(30)));
        assert_eq!(acts.iter().filter(|(_, act)| *act == Act::OpenCurtain).count(), 1);
    }
}
