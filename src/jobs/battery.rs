//! Cells that run low: told in the morning, once per episode.

use tokio::sync::watch as signal;

use super::by_the_clock;
use crate::app::App;
use crate::store::{Result, device};

/// Tells of what nobody has been told of. Returns of how many devices.
pub async fn run_once(app: &App) -> Result<usize> {
    // Looks first, because a look keeps no writer waiting.
    if !app.read(|mut tx| async move { device::has_low(&mut tx).await.map(|found| (tx, found)) }).await? {
        return Ok(0);
    }
    let now = app.clock.now();
    let told = app.write(move |mut tx| async move { device::tell_low(&mut tx, now).await.map(|told| (tx, told)) }).await?;
    if told > 0 {
        app.wake.deliver.notify_one();
    }
    Ok(told)
}

/// The loop: looks once per tick.
pub async fn run(app: App, stop: signal::Receiver<bool>) {
    by_the_clock("battery", app, stop, |app| async move { run_once(&app).await.map(|_| None) }).await;
}
