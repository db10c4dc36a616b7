//! A sign of life to somebody outside, only while everything is well (I26): our own silence must be noticed too.

use std::sync::atomic::Ordering;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::watch as signal;

use crate::app::App;
use crate::clock::{Clock, StepWatch};
use crate::config::MqttMode;
use crate::domain::health::{Ailment, Bounds, ailments, clock_jumped};
use crate::mqtt::external::Status;
use crate::store::{Error, Result, health, vitals};

/// After a jump of the clock the heartbeat is silent this long, then the new time is taken for true (I24).
const CLOCK_SUSPECT: TimeDelta = TimeDelta::minutes(5);
const BEAT_SECONDS_MAX: u64 = 10;

/// What a beat found and did.
#[derive(Debug, PartialEq, Eq)]
pub struct Report {
    pub ailments: Vec<Ailment>,
    /// `None`: not sent, because something is wrong or no address is set.
    pub accepted: Option<bool>,
}

/// Remembers whether the wall clock jumped lately.
#[derive(Debug, Default)]
pub struct ClockSense {
    steps: Option<StepWatch>,
    suspect_until: Option<DateTime<Utc>>,
}

impl ClockSense {
    pub fn is_suspect(&mut self, clock: &Clock) -> bool {
        let (now, steps) = (clock.now(), self.steps.get_or_insert_with(|| StepWatch::new(clock)));
        if clock_jumped(steps.step(clock)) {
            self.suspect_until = Some(now + CLOCK_SUSPECT);
        }
        self.suspect_until.is_some_and(|until| now < until)
    }
}

/// Looks at everything that must be well.
pub async fn look(app: &App, clock: &mut ClockSense) -> Result<Vec<Ailment>> {
    let now = app.clock.now();
    let mqtt_wanted = app.config.mqtt.mode != MqttMode::Off;
    let mut vitals = app
        .read(move |mut tx| async move {
            let vitals = vitals::vitals(&mut tx, mqtt_wanted, now).await?;
            Ok((tx, vitals))
        })
        .await?;
    vitals.clock_suspect = clock.is_suspect(&app.clock);
    let bounds = Bounds { tick: app.config.watch.tick.0, lease: app.config.outbox.lease.0 };
    Ok(ailments(&vitals, &bounds, now))
}

/// One look, and one beat if all is well.
pub async fn run_once(app: &App, client: &reqwest::Client, clock: &mut ClockSense) -> Result<Report> {
    let found = look(app, clock).await?;
    if !found.is_empty() {
        let words: Vec<&str> = found.iter().map(|ailment| ailment.as_str()).collect();
        tracing::warn!(ailments = words.join(" "), "not healthy: the heartbeat is held back");
    }
    if !found.is_empty() || app.config.heartbeat.url.is_empty() {
        return Ok(Report { ailments: found, accepted: None });
    }
    // The address may carry a token: it is never logged.
    let answer = client.get(&app.config.heartbeat.url).send().await;
    let accepted = answer.is_ok_and(|answer| answer.status().is_success());
    if !accepted {
        tracing::warn!("the heartbeat was not accepted");
    }
    Ok(Report { ailments: found, accepted: Some(accepted) })
}

/// The client for beats. The address is the operator's own setting, so private hosts are fine; redirects are not a success.
pub fn client() -> Result<reqwest::Client> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let builder = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).timeout(Duration::from_secs(BEAT_SECONDS_MAX));
    builder.build().map_err(|error| Error::broken("heartbeat", "", error))
}

/// The loop: one look per period.
pub async fn run(app: App, mut stop: signal::Receiver<bool>) {
    let client = match client() {
        Ok(client) => client,
        Err(error) => {
            tracing::error!(%error, "no heartbeat can be sent");
            return;
        }
    };
    let mut clock = ClockSense::default();
    // The other jobs need a moment before their first pass is on record.
    tokio::select! {
        () = tokio::time::sleep(app.config.watch.tick.std().min(app.config.heartbeat.period.std())) => {}
        _ = stop.changed() => {}
    }
    while !*stop.borrow() {
        if let Err(error) = run_once(&app, &client, &mut clock).await {
            tracing::error!(job = "heartbeat", %error, "job failed");
        }
        tokio::select! {
            () = tokio::time::sleep(app.config.heartbeat.period.std()) => {}
            _ = stop.changed() => {}
        }
    }
}

/// Keeps on record whether sensors can be heard. `broker` is the state of the link to an external broker; the server's own
/// endpoint can be heard as long as the server runs.
pub async fn follow_sensors(app: App, mut broker: Option<signal::Receiver<Status>>, mut stop: signal::Receiver<bool>) {
    if app.config.mqtt.mode == MqttMode::Off {
        return;
    }
    let mut noted = None;
    while !*stop.borrow() {
        let up = broker.as_ref().is_none_or(|status| status.borrow().subscribed);
        app.sensors_heard.store(up, Ordering::Relaxed);
        if noted != Some(up) {
            let written = note(&app, up).await;
            noted = written.inspect_err(|error| tracing::error!(%error, "the link to the sensors could not be recorded")).ok();
        }
        let changed = async {
            let still_told = match &mut broker {
                Some(status) => status.changed().await.is_ok(),
                None => false,
            };
            if !still_told {
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            () = changed => {}
            // Also the next try after a failure.
            () = tokio::time::sleep(app.config.heartbeat.period.std()) => {}
            _ = stop.changed() => {}
        }
    }
}

async fn note(app: &App, up: bool) -> Result<bool> {
    let now = app.clock.now();
    app.write(move |mut tx| async move {
        health::passed(&mut tx, "mqtt", now, if up { vitals::MQTT_UP } else { "down" }).await?;
        Ok((tx, up))
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_a_clock_step_the_heartbeat_pauses_for_five_minutes_and_no_longer() {
        let clock = Clock::manual(DateTime::from_timestamp(1_800_000_000, 0).unwrap());
        let mut sense = ClockSense::default();
        for (minutes, expected) in [(0, false), (1, false), (61, true), (4, true), (1, false), (-59, true), (5, false)] {
            clock.advance(TimeDelta::minutes(minutes));
            assert_eq!(sense.is_suspect(&clock), expected, "after {minutes} minutes");
        }
    }
}
