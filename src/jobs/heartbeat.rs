//! A sign of life to somebody outside, only while everything is well (I26): our own silence must be noticed too.

use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::watch as signal;

use crate::app::App;
use crate::config::MqttMode;
use crate::domain::health::{Ailment, ailments};
use crate::mqtt::external::Status;
use crate::store::{Error, Result, clock, life, vitals};

const BEAT_SECONDS_MAX: u64 = 10;

/// What a beat found and did.
#[derive(Debug, PartialEq, Eq)]
pub struct Report {
    pub ailments: Vec<Ailment>,
    /// `None`: not sent, because something is wrong or no address is set.
    pub accepted: Option<bool>,
}

/// Looks at everything that must be well.
pub async fn look(app: &App) -> Result<Vec<Ailment>> {
    let now = app.clock.now();
    let (sensors_wanted, period) = (app.config.mqtt.mode != MqttMode::Off, app.config.heartbeat.period.0);
    let seen = app.read(move |mut tx| async move {
        let seen = (clock::shown(&mut tx).await?, vitals::vitals(&mut tx, sensors_wanted, period, now).await?);
        Ok((tx, seen))
    });
    let (database, mut vitals) = seen.await?;
    vitals.clock_suspect = app.clock_sense.look(&app.clock, database).shows;
    Ok(ailments(&vitals, period, now))
}

/// One look, and one beat if all is well.
pub async fn run_once(app: &App, client: &reqwest::Client) -> Result<Report> {
    let found = look(app).await?;
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
    // The other jobs need a moment before their first pass is on record.
    tokio::select! {
        () = tokio::time::sleep(app.config.tick().std()) => {}
        _ = stop.changed() => {}
    }
    while !*stop.borrow() {
        if let Err(error) = run_once(&app, &client).await {
            tracing::error!(job = "heartbeat", %error, "job failed");
        }
        tokio::select! {
            () = tokio::time::sleep(app.config.heartbeat.period.std()) => {}
            _ = stop.changed() => {}
        }
    }
}

/// Keeps on record whether this server hears sensors, so that its word runs out when it dies. `broker` is the state of the link
/// to an external broker; the server's own endpoint can be heard as long as the server runs.
pub async fn follow_sensors(app: App, mut broker: Option<signal::Receiver<Status>>, mut stop: signal::Receiver<bool>) {
    if app.config.mqtt.mode == MqttMode::Off {
        return;
    }
    while !*stop.borrow() {
        let up = broker.as_ref().is_none_or(|status| status.borrow().subscribed);
        app.sensors_heard.store(up, Ordering::Relaxed);
        if let Err(error) = note(&app, up).await {
            tracing::error!(%error, "the link to the sensors could not be recorded");
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
            () = tokio::time::sleep(app.config.tick().std()) => {}
            _ = stop.changed() => {}
        }
    }
}

async fn note(app: &App, up: bool) -> Result<()> {
    let (instance, now) = (app.instance, app.clock.now());
    app.write(move |mut tx| async move {
        life::hears(&mut tx, instance, up, now).await?;
        Ok((tx, ()))
    })
    .await
}
