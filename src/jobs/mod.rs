//! One idempotent job per file: `run_once(&app)` does what is due now and can be run twice; `run` repeats it, woken by a
//! bell or at the latest after one tick, and reads the wall clock anew each time (I24, I25). A pass that hangs is given up
//! and repeated (F7).

pub mod plan_day;
pub mod settle;
pub mod silence;
pub mod watch;

pub mod deliver;
pub mod escalate;
pub mod group_post;

pub mod battery;
pub mod quarantine;

pub mod canary;
pub mod drill;
pub mod heartbeat;
pub mod prove;
pub mod reach;
pub mod returns;
pub mod unheard;

use std::future::Future;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::sync::{Notify, watch as signal};

use crate::app::App;
use crate::store::{Error, Result};

/// After a failure the next try waits this long: a dead database is not hammered.
const FAILURE_PAUSE: Duration = Duration::from_secs(1);
/// A pass that takes longer is given up: what it committed stays, what it is committing goes on in its own task, and the
/// next pass takes what is still due. Shorter than the patience of the service manager (`WatchdogSec` in `deploy`).
const PASS_MAX: Duration = Duration::from_secs(40);
/// A due moment that lies a little ahead is waited for in one sleep, but never a shorter one than this.
const SLEEP_MIN: Duration = Duration::from_millis(5);

/// Runs `once` until the stop signal: after a bell, at the next due moment, or after one tick.
///
/// `once` returns the next moment at which it has something to do, if it knows one.
pub async fn repeat<F, Fut>(name: &'static str, app: App, bell: impl Fn(&App) -> &Notify, mut stop: signal::Receiver<bool>, once: F)
where
    F: Fn(App) -> Fut,
    Fut: Future<Output = Result<Option<DateTime<Utc>>>>,
{
    while !*stop.borrow() {
        let pause = match bounded(once(app.clone())).await {
            Ok(next) => until(&app, next),
            Err(error) => {
                tracing::error!(job = name, %error, "job failed");
                FAILURE_PAUSE
            }
        };
        tokio::select! {
            () = bell(&app).notified() => {}
            () = tokio::time::sleep(pause) => {}
            _ = stop.changed() => {}
        }
    }
}

/// The same for a job that nobody rings for: the time of day does, looked at once per tick.
pub async fn by_the_clock<F, Fut>(name: &'static str, app: App, stop: signal::Receiver<bool>, once: F)
where
    F: Fn(App) -> Fut,
    Fut: Future<Output = Result<Option<DateTime<Utc>>>>,
{
    static NO_BELL: Notify = Notify::const_new();
    repeat(name, app, |_| &NO_BELL, stop, once).await;
}

/// A pass, or the failure that it took too long. Dropped halfway it loses nothing: a write runs in its own task, a lease runs out.
async fn bounded<T>(pass: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::time::timeout(PASS_MAX, pass).await.map_err(|_| Error::Busy)?
}

fn until(app: &App, next: Option<DateTime<Utc>>) -> Duration {
    let tick = app.config.tick().std();
    let Some(next) = next else { return tick };
    (next - app.clock.now()).to_std().unwrap_or(SLEEP_MIN).clamp(SLEEP_MIN, tick)
}
