//! The running server: opened, started, and stopped in order. `serve`, the demo and the tests use the same `start`.
//!
//! What must stay true: a database that is missing is never replaced by an empty one (I21); a job that panics is started
//! again; a stop takes at most ten seconds; nothing here fails because nobody reads the console.

use std::future::Future;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use chrono::{DateTime, Utc};
use sd_notify::NotifyState;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::app::{App, Lane};
use crate::clock::{Clock, StepWatch};
use crate::config::{Config, Log, LogLevel, MqttMode};
use crate::domain::health::{clock_jumped, may_watch_go_on};
use crate::seal::{SealError, SealKey};
use crate::store::open::{self, FileLock, OpenError};
use crate::store::presence::Presence;
use crate::store::{self, Db, channel_account, life, verify};
use crate::{http, ingest, jobs};

/// The parts of a stop, of which servers and sensors run beside the jobs; together they stay under ten seconds, which is
/// proved here: a test that measures it would depend on how busy the machine is.
const SERVERS_STOP_MAX: Duration = Duration::from_secs(3);
const SENSORS_STOP_MAX: Duration = Duration::from_secs(2);
const JOBS_STOP_MAX: Duration = Duration::from_secs(6);
const LAST_WRITE_MAX: Duration = Duration::from_secs(1);
const CLOSE_MAX: Duration = Duration::from_secs(1);
const INTAKE_STOP_SECONDS_MAX: u64 = SERVERS_STOP_MAX.as_secs() + SENSORS_STOP_MAX.as_secs();
const LAST_STEPS_SECONDS_MAX: u64 = LAST_WRITE_MAX.as_secs() + CLOSE_MAX.as_secs();
const _: () = assert!(INTAKE_STOP_SECONDS_MAX + LAST_STEPS_SECONDS_MAX < 10 && JOBS_STOP_MAX.as_secs() + LAST_STEPS_SECONDS_MAX < 10);
/// A job that panicked or ended by itself rests this long, so that it does not spin.
const RESTART_PAUSE: Duration = Duration::from_secs(1);
/// How often the server looks whether its database file still has its name.
const FILE_LOOK: Duration = Duration::from_secs(2);

/// What keeps a server from starting, or ends it.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("{path}: {source}")]
    Folder { path: String, source: std::io::Error },
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error(transparent)]
    Key(#[from] SealError),
    #[error("the key file {path} is missing, although the database holds secrets sealed with it")]
    KeyMissing { path: String },
    #[error("the schema lacks {}", pending.join(", "))]
    Outdated { pending: Vec<String> },
    #[error("{key}: {address}: {source}")]
    Listen { key: &'static str, address: SocketAddr, source: std::io::Error },
    #[error(transparent)]
    Store(#[from] store::Error),
    #[error(transparent)]
    Sensors(#[from] ingest::running::StartError),
    #[error("a listener ended by itself")]
    ListenerEnded,
    #[error("{path} was taken away under the running server")]
    FileGone { path: String, rescued: Option<String> },
}

/// Serves until `stop`. `greet` is called once, when requests are taken.
pub async fn run(config: Config, stop: impl Future<Output = ()>, greet: impl FnOnce(&Running)) -> Result<(), StartError> {
    start_log(&config.log);
    let (app, lock) = open(config).await?;
    let mut running = start(app.clone()).await?;
    let presence = Presence::of(&app.config.database_url());
    greet(&running);
    // Without a service manager there is nobody to tell, which is no failure.
    let _ = sd_notify::notify(&[NotifyState::Ready]);
    let ended = tokio::select! {
        () = stop => Ok(()),
        () = running.listener_ended() => Err(StartError::ListenerEnded),
        gone = taken_away(presence.as_ref()) => Err(rescued(gone, &app).await),
    };
    let _ = sd_notify::notify(&[NotifyState::Stopping]);
    running.stop().await;
    drop(lock);
    ended
}

/// Resolves when the database's files are gone or replaced.
async fn taken_away(presence: Option<&Presence>) -> &Presence {
    let Some(presence) = presence else { return std::future::pending().await };
    while presence.holds() {
        tokio::time::sleep(FILE_LOOK).await;
    }
    presence
}

async fn rescued(presence: &Presence, app: &App) -> StartError {
    let path = presence.path().display().to_string();
    tracing::error!(path, "the database file was taken away; saving what the open connection still holds");
    let saved = presence.rescue(&app.db, app.clock.now()).await;
    let saved = saved.inspect_err(|error| tracing::error!(%error, "nothing could be saved"));
    StartError::FileGone { path, rescued: saved.ok().map(|copy| copy.display().to_string()) }
}

/// Resolves at the first SIGTERM or Ctrl-C; a second one ends the process at once.
pub fn stop_signal() -> std::io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut next = async move || {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    let stop = CancellationToken::new();
    let first = stop.clone();
    tokio::spawn(async move {
        next().await;
        first.cancel();
        next().await;
        std::process::exit(1);
    });
    Ok(stop.cancelled_owned())
}

/// Opens data folder, database and key for a process that has them to itself; the lock is held as long as it lives.
pub async fn open(config: Config) -> Result<(App, Option<FileLock>), StartError> {
    make_folder(&config.data.folder)?;
    let (db, lock) = open::open(&config.database_url()).await?;
    Ok((with_key(config, db).await?, lock))
}

/// Opens what exists for a short command, whether or not a server runs.
pub async fn open_beside(config: Config) -> Result<App, StartError> {
    let db = open::connect_beside(&config.database_url()).await?;
    let pending = open::pending_migrations(&db).await?;
    if !pending.is_empty() {
        return Err(StartError::Outdated { pending });
    }
    with_key(config, db).await
}

/// A new key beside old secrets would make them unreadable without a word.
async fn with_key(config: Config, db: Db) -> Result<App, StartError> {
    let path = config.key_file();
    if !path.exists() && verify::holds_sealed(&db).await? {
        return Err(StartError::KeyMissing { path: path.display().to_string() });
    }
    let seal = SealKey::load_or_create(&path)?;
    Ok(App::new(config, db, Clock::System, seal))
}

/// The data folder: who lives alone and when a home is empty is for its owner's eyes only.
pub fn make_folder(path: &Path) -> Result<(), StartError> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path).map_err(|source| StartError::Folder { path: path.display().to_string(), source })
}

/// A server that takes requests and does its jobs.
pub struct Running {
    pub http_addr: SocketAddr,
    pub ops_addr: SocketAddr,
    /// Where sensors connect, if this server is the endpoint.
    pub mqtt_addr: Option<SocketAddr>,
    /// Nobody was ever entered: the first administrator has to be made.
    pub is_empty: bool,
    app: App,
    accepting: CancellationToken,
    listeners: JoinSet<()>,
    sensors: ingest::running::Running,
    stopped: watch::Sender<bool>,
    jobs: JoinSet<()>,
}

/// Starts listeners and jobs on an opened database.
pub async fn start(app: App) -> Result<Running, StartError> {
    // reqwest, sqlx and the MQTT client share one; a second start in the same process finds it there.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let api = listen("http.listen", app.config.http.listen).await?;
    let ops = listen("http.ops_listen", app.config.http.ops_listen).await?;
    let (http_addr, ops_addr) = (address(&api)?, address(&ops)?);
    let is_empty = app.read(|mut tx| async move { verify::is_empty(&mut tx).await.map(|empty| (tx, empty)) }).await?;
    let app = app.on(Lane::Jobs);
    app.db.warm().await;
    enter(&app).await;
    let sensors = ingest::running::start(&app.on(Lane::Sensors)).await?;
    let mqtt_addr = sensors.listens_on();

    let accepting = CancellationToken::new();
    let mut listeners = JoinSet::new();
    listeners.spawn(http::ops::serve(app.clone(), ops, accepting.clone()));
    listeners.spawn(http::serve(app.on(Lane::Guests), api, accepting.clone()));
    let (stopped, stop) = watch::channel(false);
    let mut jobs = all_jobs(&app, &stop);
    if app.config.mqtt.mode != MqttMode::Off {
        let broker = sensors.broker();
        keep(&mut jobs, "follow_sensors", &app, &stop, move |app, stop| jobs::heartbeat::follow_sensors(app, broker.clone(), stop));
    }
    tracing::info!(http = %http_addr, ops = %ops_addr, mqtt = ?mqtt_addr, "started");
    Ok(Running { http_addr, ops_addr, mqtt_addr, is_empty, app, accepting, listeners, sensors, stopped, jobs })
}

/// Every job of a server.
fn all_jobs(app: &App, stop: &watch::Receiver<bool>) -> JoinSet<()> {
    let mut set = JoinSet::new();
    keep(&mut set, "plan_day", app, stop, |app, stop| jobs::repeat("plan_day", app, |app| &app.wake.plan, stop, jobs::plan_day::pass));
    keep(&mut set, "watch", app, stop, |app, stop| jobs::repeat("watch", app, |app| &app.wake.watch, stop, watched));
    keep(&mut set, "escalate", app, stop, |app, stop| jobs::repeat("escalate", app, |app| &app.wake.escalate, stop, jobs::escalate::pass));
    keep(&mut set, "group_post", app, stop, |app, stop| {
        jobs::repeat("group_post", app, |app| &app.wake.groups, stop, jobs::group_post::pass)
    });
    keep(&mut set, "settle", app, stop, |app, stop| jobs::repeat("settle", app, |app| &app.wake.settle, stop, jobs::settle::pass));
    keep(&mut set, "silence", app, stop, jobs::silence::run);
    keep(&mut set, "battery", app, stop, jobs::battery::run);
    keep(&mut set, "quarantine", app, stop, jobs::quarantine::run);
    keep(&mut set, "deliver", app, stop, jobs::deliver::run);
    keep(&mut set, "prove", app, stop, jobs::prove::run);
    keep(&mut set, "drill", app, stop, jobs::drill::run);
    keep(&mut set, "canary", app, stop, jobs::canary::run);
    keep(&mut set, "returns", app, stop, jobs::returns::run);
    keep(&mut set, "reach", app, stop, jobs::reach::run);
    keep(&mut set, "unheard", app, stop, jobs::unheard::run);
    keep(&mut set, "heartbeat", app, stop, jobs::heartbeat::run);
    keep(&mut set, "keep_time", app, stop, keep_time);
    set
}

/// The watch, and the service manager's watchdog, which hears of every pass that begins. A pass that hangs is given up and
/// repeated by the loop; if the loop itself stands still, or has had nothing but failures for long, the process is killed and
/// started anew.
async fn watched(app: App) -> store::Result<Option<DateTime<Utc>>> {
    if may_watch_go_on(app.watch_passed_at(), app.clock.now()) {
        let _ = sd_notify::notify(&[NotifyState::Watchdog]);
    }
    jobs::watch::pass(app).await
}

/// Runs a job until the stop, also after a panic or an early end.
fn keep<F, Fut>(jobs: &mut JoinSet<()>, name: &'static str, app: &App, stop: &watch::Receiver<bool>, run: F)
where
    F: Fn(App, watch::Receiver<bool>) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    let (app, mut stop) = (app.clone(), stop.clone());
    jobs.spawn(async move {
        while !*stop.borrow() {
            let job = tokio::spawn(run(app.clone(), stop.clone()));
            let ended = AbortOnDropHandle::new(job).await;
            if !*stop.borrow() {
                tracing::error!(job = name, panicked = ended.is_err(), "job ended and is started again");
                let _ = tokio::time::timeout(RESTART_PAUSE, stop.changed()).await;
            }
        }
    });
}

/// Compares the clocks once per tick, so that a step or a suspended machine leaves nothing waiting (I24, I25); and says
/// that this server lives, in case that could not be written at the start.
async fn keep_time(app: App, mut stop: watch::Receiver<bool>) {
    let mut steps = StepWatch::new(&app.clock);
    let mut is_entered = false;
    while tokio::time::timeout(app.config.tick().std(), stop.changed()).await.is_err() {
        let step = steps.step(&app.clock);
        if clock_jumped(step) {
            tracing::warn!(seconds = step.num_seconds(), "the clock was set or the machine slept; every job looks again");
            app.wake.all();
        }
        if !is_entered {
            is_entered = enter(&app).await;
        }
    }
}

/// Begins this server's life. A disk that is full at the start must not keep the server down (I21): it is tried again.
async fn enter(app: &App) -> bool {
    let (instance, now) = (app.instance, app.clock.now());
    let channels = app.config.working_channels();
    let written = app.write(move |mut tx| async move {
        channel_account::declare(&mut tx, &channels).await?;
        life::start(&mut tx, instance, now).await?;
        Ok((tx, ()))
    });
    written.await.inspect_err(|error| tracing::error!(%error, "the start could not be recorded")).is_ok()
}

async fn listen(key: &'static str, address: SocketAddr) -> Result<TcpListener, StartError> {
    TcpListener::bind(address).await.map_err(|source| StartError::Listen { key, address, source })
}

fn address(listener: &TcpListener) -> Result<SocketAddr, StartError> {
    listener.local_addr().map_err(|_| StartError::ListenerEnded)
}

impl Running {
    /// Resolves when a listener ended although nobody asked for it.
    pub async fn listener_ended(&mut self) {
        self.listeners.join_next().await;
    }

    /// Stops in order: no new work and no job, then the last word in the database, then the database.
    pub async fn stop(mut self) {
        tracing::info!("stopping");
        self.accepting.cancel();
        self.stopped.send_replace(true);
        // The jobs need nothing of the servers; side by side a message in flight gets more time to arrive.
        let intake = async {
            finish("listeners", &mut self.listeners, SERVERS_STOP_MAX).await;
            if tokio::time::timeout(SENSORS_STOP_MAX, self.sensors.stop()).await.is_err() {
                tracing::warn!("sensor messages at work were not finished; their devices send them again");
            }
        };
        tokio::join!(intake, finish("jobs", &mut self.jobs, JOBS_STOP_MAX));
        let (instance, now) = (self.app.instance, self.app.clock.now());
        let last = self.app.write(move |mut tx| async move {
            life::stop(&mut tx, instance, now).await?;
            Ok((tx, ()))
        });
        if !matches!(tokio::time::timeout(LAST_WRITE_MAX, last).await, Ok(Ok(()))) {
            tracing::warn!("the stop could not be recorded; the next start takes it for an outage");
        }
        if tokio::time::timeout(CLOSE_MAX, self.app.db.close()).await.is_err() {
            tracing::warn!("the database was still at work; what was not committed is rolled back");
        }
        tracing::info!("stopped");
    }
}

async fn finish(what: &'static str, tasks: &mut JoinSet<()>, at_most: Duration) {
    let all = async { while tasks.join_next().await.is_some() {} };
    if tokio::time::timeout(at_most, all).await.is_err() {
        tracing::warn!(what, "not finished in time and cut off");
        tasks.shutdown().await;
    }
}

/// The log goes to stderr. Other crates speak up from `warn` on: at lower levels some print requests, and those name people.
pub fn start_log(log: &Log) {
    use tracing_subscriber::filter::{LevelFilter, Targets};
    let level = match log.level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    };
    let filter = Targets::new().with_target("chenlian", level).with_default(level.min(LevelFilter::WARN));
    // A closed or full stderr is not reported on stderr, where the report would end the thread.
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).log_internal_errors(false);
    let log_json = log.json.then(|| tracing_subscriber::fmt::layer().json().with_writer(std::io::stderr).log_internal_errors(false));
    let log_text = (!log.json).then_some(lines.with_ansi(false));
    // A second start in one process keeps the first log.
    let _ = tracing_subscriber::registry().with(filter).with(log_text).with(log_json).try_init();
    // The text of a panic may hold a person's data; the place is enough to find it (I34).
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(place, "panic");
    }));
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test]
    async fn a_job_that_ends_by_itself_is_started_again_after_a_rest() {
        let folder = tempfile::tempdir().unwrap();
        let (db, _lock) = open::open(&format!("sqlite://{}", folder.path().join("test.db").display())).await.unwrap();
        let app = App::new(Config::defaults(), db, Clock::System, SealKey::from_bytes([42; 32]));
        let (stopped, stop) = watch::channel(false);
        let (runs, mut jobs) = (Arc::new(AtomicUsize::new(0)), JoinSet::new());
        let counted = Arc::clone(&runs);
        keep(&mut jobs, "short", &app, &stop, move |_, _| {
            counted.fetch_add(1, Ordering::SeqCst);
            std::future::ready(())
        });
        let ended = tokio::time::timeout(RESTART_PAUSE * 3 / 2, jobs.join_next()).await;
        assert!(ended.is_err(), "it is kept until the stop");
        assert_eq!(runs.load(Ordering::SeqCst), 2);
        stopped.send_replace(true);
        jobs.join_next().await.unwrap().unwrap();
    }
}
