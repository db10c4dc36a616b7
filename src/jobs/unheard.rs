//! How many seniors nobody has seen or heard for too long, as a number among the metrics. Whom it is about, people read in the
//! lists and in the daily proof.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use chrono::TimeDelta;
use tokio::sync::watch as signal;

use super::by_the_clock;
use crate::app::App;
use crate::store::{Result, plan, unheard};

/// The number is about days: it is counted this often, by every instance for its own metrics.
const COUNT_EVERY: TimeDelta = TimeDelta::minutes(10);

/// Counts every site. Returns the sum.
pub async fn run_once(app: &App) -> Result<usize> {
    let now = app.clock.now();
    let sites = app.read(|mut tx| async move { plan::sites(&mut tx).await.map(|sites| (tx, sites)) }).await?;
    let mut sum = 0;
    for site in sites {
        let (id, zone) = (site.id, site.zone);
        let seniors = app.read(move |mut tx| async move { unheard::overdue(&mut tx, id, zone, now).await.map(|seniors| (tx, seniors)) });
        let count = seniors.await?.len();
        metrics::gauge!("chenlian_contact_overdue", "site" => id.to_string()).set(u32::try_from(count).unwrap_or(u32::MAX));
        sum += count;
    }
    Ok(sum)
}

/// The loop. When it last counted stands in memory, because so does the number.
pub async fn run(app: App, stop: signal::Receiver<bool>) {
    let counted_at = Arc::new(AtomicI64::new(i64::MIN));
    let once = move |app: App| {
        let counted_at = Arc::clone(&counted_at);
        async move {
            let now = app.clock.now().timestamp_millis();
            if now.abs_diff(counted_at.load(Ordering::Relaxed)) >= COUNT_EVERY.num_milliseconds().unsigned_abs() {
                run_once(&app).await?;
                counted_at.store(now, Ordering::Relaxed);
            }
            Ok(None)
        }
    };
    by_the_clock("unheard", app, stop, once).await;
}
