//! What every room of the shell shares: settings, database, clock, keys, and the one door for writes.

use std::future::Future;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::sync::{Notify, Semaphore, SemaphorePermit, broadcast};
use tokio::task::JoinError;
use uuid::Uuid;

use crate::clock::{Clock, ClockSense};
use crate::config::{Config, MqttMode};
use crate::notify::Notifier;
use crate::notify::group::GroupNotifier;
use crate::seal::SealKey;
use crate::store::{Db, Error, Result, Tx};

/// A transaction that takes longer is given up; it is rolled back and never reported as done.
const WORK_MAX: Duration = Duration::from_secs(20);
/// Open screens that lag further behind reload their list.
const CHANGES_KEPT: usize = 256;

/// The shared state, and in whose name it is used; a handle, cheap to clone.
#[derive(Debug, Clone)]
pub struct App {
    shared: Arc<Shared>,
    lane: Lane,
}

/// In whose name the database is used. Each lane has its own places there, so that a crowd in one holds up nobody in
/// another: six hundred connections of one client must not keep the watch from its pass (I1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lane {
    /// People and programs, over HTTP.
    Guests,
    /// Messages of devices.
    Sensors,
    /// What this server does by itself, and the operator's probe.
    Jobs,
}

impl Lane {
    const ALL: [Self; 3] = [Self::Guests, Self::Sensors, Self::Jobs];

    /// Writes and reads at once. On SQLite one writes at a time, and the others of all lanes queue for the next turn, so a
    /// lane is at most one of three.
    fn places(self, is_postgres: bool) -> (usize, usize) {
        match (self, is_postgres) {
            (Self::Guests, false) => (1, 3),
            (Self::Sensors, false) => (1, 1),
            (Self::Jobs, false) => (1, 2),
            (Self::Guests, true) => (5, 5),
            (Self::Sensors, true) => (2, 2),
            (Self::Jobs, true) => (4, 2),
        }
    }

    /// How long one waits for a place before one is told that the server is busy: a person is looking at a screen, a job
    /// would only come back at once.
    fn patience(self) -> Duration {
        match self {
            Self::Guests => Duration::from_secs(5),
            Self::Sensors | Self::Jobs => Duration::from_secs(30),
        }
    }
}

#[derive(Debug)]
struct Places {
    writes: Semaphore,
    reads: Semaphore,
}

#[derive(Debug)]
pub struct Shared {
    pub config: Config,
    pub db: Db,
    pub clock: Clock,
    /// Whether it can be believed.
    pub clock_sense: ClockSense,
    pub seal: SealKey,
    /// This process among several instances.
    pub instance: Uuid,
    /// Since when this process can have heard anything.
    pub started_at: DateTime<Utc>,
    /// Wakes the jobs before their tick, after a commit that gave them work.
    pub wake: Wake,
    /// Tells open screens that something changed; the content is in the database.
    pub changes: broadcast::Sender<()>,
    /// One per lane.
    places: [Places; 3],
    /// The clients of all channels, with the tokens that they hold: made when the first message leaves.
    notifier: OnceLock<Notifier>,
    group_notifier: OnceLock<GroupNotifier>,
    /// Whether this instance can hear sensors; also true where there are none to be heard.
    pub sensors_heard: AtomicBool,
    /// When the watch of this process last committed a pass, in milliseconds; at first, when the process started.
    watch_passed: AtomicI64,
    damaged: AtomicBool,
    statements: AtomicU64,
}

/// One bell per job.
#[derive(Debug, Default)]
pub struct Wake {
    pub plan: Notify,
    pub watch: Notify,
    pub escalate: Notify,
    pub deliver: Notify,
    pub settle: Notify,
    pub groups: Notify,
}

impl Wake {
    /// After a commit that may have made anything due.
    pub fn all(&self) {
        self.plan.notify_one();
        self.watch.notify_one();
        self.escalate.notify_one();
        self.deliver.notify_one();
        self.settle.notify_one();
        self.groups.notify_one();
    }
}

impl std::ops::Deref for App {
    type Target = Shared;
    fn deref(&self) -> &Shared {
        &self.shared
    }
}

impl App {
    pub fn new(config: Config, db: Db, clock: Clock, seal: SealKey) -> Self {
        let (changes, _) = broadcast::channel(CHANGES_KEPT);
        let is_postgres = db.is_postgres();
        let places = Lane::ALL.map(|lane| {
            let (writes, reads) = lane.places(is_postgres);
            Places { writes: Semaphore::new(writes), reads: Semaphore::new(reads) }
        });
        let (started_at, clock_sense) = (clock.now(), ClockSense::new(&clock));
        let watch_passed = AtomicI64::new(started_at.timestamp_millis());
        let (instance, wake, damaged, statements) = (Uuid::now_v7(), Wake::default(), AtomicBool::new(false), AtomicU64::new(0));
        let sensors_heard = AtomicBool::new(config.mqtt.mode != MqttMode::External);
        Self {
            shared: Arc::new(Shared {
                config,
                db,
                clock,
                clock_sense,
                seal,
                instance,
                started_at,
                wake,
                changes,
                places,
                notifier: OnceLock::new(),
                group_notifier: OnceLock::new(),
                sensors_heard,
                watch_passed,
                damaged,
                statements,
            }),
            lane: Lane::Guests,
        }
    }

    /// The same state, used in the name of another lane.
    #[must_use]
    pub fn on(&self, lane: Lane) -> Self {
        Self { lane, ..self.clone() }
    }

    /// The clients by which messages reach people.
    ///
    /// # Errors
    /// The TLS client cannot be set up.
    pub fn notifier(&self) -> Result<&Notifier> {
        made(&self.shared.notifier, || Notifier::new(&self.shared.config))
    }

    /// The client by which groups are told.
    ///
    /// # Errors
    /// The TLS client cannot be set up.
    pub fn group_notifier(&self) -> Result<&GroupNotifier> {
        made(&self.shared.group_notifier, || GroupNotifier::new(&self.shared.config))
    }

    /// The one door for writes: an owned task, one transaction, every step bounded; the answer exists only after COMMIT.
    ///
    /// Dropping the returned future (a client that went away) neither stops the work nor leaves a transaction open (F1, I19).
    ///
    /// # Errors
    /// What `work` returned; [`Error::Busy`] or [`Error::Database`] if it was not done; [`Error::Unknown`] if nobody knows (I18).
    pub async fn write<T, F, Fut>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(Tx) -> Fut + Send + 'static,
        Fut: Future<Output = Result<(Tx, T)>> + Send + 'static,
    {
        let app = self.clone();
        let task = tokio::spawn(async move {
            let _place = app.place(|places| &places.writes).await?;
            let (tx, answer) = bounded(work(app.db.begin_write().await?)).await?;
            app.count(&tx);
            tx.commit().await?;
            let _ = app.changes.send(());
            Ok(answer)
        });
        self.joined(task.await)
    }

    /// A consistent snapshot; takes no write lock.
    pub async fn read<T, F, Fut>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(Tx) -> Fut + Send + 'static,
        Fut: Future<Output = Result<(Tx, T)>> + Send + 'static,
    {
        let app = self.clone();
        let task = tokio::spawn(async move {
            let _place = app.place(|places| &places.reads).await?;
            let (tx, answer) = bounded(work(app.db.begin_read().await?)).await?;
            app.count(&tx);
            tx.rollback().await?;
            Ok(answer)
        });
        self.joined(task.await)
    }

    /// A place in this lane; those who wait come in one after the other.
    async fn place<'a>(&'a self, kind: impl FnOnce(&'a Places) -> &'a Semaphore) -> Result<SemaphorePermit<'a>> {
        let place = kind(&self.shared.places[self.lane as usize]).acquire();
        let place = tokio::time::timeout(self.lane.patience(), place).await;
        place.ok().and_then(std::result::Result::ok).ok_or(Error::Busy)
    }

    /// A panic in the work is a 5xx for one caller, not for the server: its transaction is rolled back.
    fn joined<T>(&self, outcome: std::result::Result<Result<T>, JoinError>) -> Result<T> {
        let outcome = outcome.unwrap_or_else(|panic| Err(Error::broken("task", "", panic)));
        if outcome.as_ref().is_err_and(Error::is_damage) {
            self.damaged.store(true, Ordering::Relaxed);
        }
        outcome
    }

    /// Counts what ran in a transaction that comes to its end, and that end.
    fn count(&self, tx: &Tx) {
        let ran = tx.statements() + 1;
        self.statements.fetch_add(ran, Ordering::Relaxed);
        metrics::counter!("chenlian_statements_total").increment(ran);
    }

    /// Statements that this process asked of the database, in transactions that did their work.
    pub fn statements(&self) -> u64 {
        self.statements.load(Ordering::Relaxed)
    }

    pub fn note_watch_passed(&self, at: DateTime<Utc>) {
        self.watch_passed.store(at.timestamp_millis(), Ordering::Relaxed);
    }

    /// When the watch of this process last committed a pass; before the first one, when the process started.
    pub fn watch_passed_at(&self) -> DateTime<Utc> {
        DateTime::from_timestamp_millis(self.watch_passed.load(Ordering::Relaxed)).unwrap_or_default()
    }

    /// The database has found its own file damaged. Nothing here makes that good: a backup does, and a new start (I21).
    pub fn is_damaged(&self) -> bool {
        self.damaged.load(Ordering::Relaxed)
    }
}

/// One that failed is made anew by the next who asks.
fn made<T, E: std::fmt::Display>(cell: &OnceLock<T>, make: impl FnOnce() -> std::result::Result<T, E>) -> Result<&T> {
    if let Some(found) = cell.get() {
        return Ok(found);
    }
    let fresh = make().map_err(|error| Error::broken("notifier", "", error))?;
    Ok(cell.get_or_init(|| fresh))
}

async fn bounded<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::time::timeout(WORK_MAX, work).await.map_err(|_| Error::Busy)?
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::open::{POSTGRES_CONNECTIONS_MAX, READ_CONNECTIONS_MAX};

    #[test]
    fn nobody_waits_for_a_connection_who_has_a_place() {
        let sum = |is_postgres| {
            let all = Lane::ALL.map(|lane| lane.places(is_postgres));
            (all.map(|(writes, _)| writes).iter().sum::<usize>(), all.map(|(_, reads)| reads).iter().sum::<usize>())
        };
        let (writes, reads) = sum(true);
        assert_eq!(writes + reads, POSTGRES_CONNECTIONS_MAX as usize);
        assert_eq!(sum(false), (3, READ_CONNECTIONS_MAX as usize));
    }
}
