//! What every room of the shell shares: settings, database, clock, keys, and the one door for writes.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, Semaphore, broadcast};
use uuid::Uuid;

use crate::clock::{Clock, ClockSense};
use crate::config::Config;
use crate::seal::SealKey;
use crate::store::{Db, Error, Result, Tx};

/// Writers that may wait or run at once; beyond it the caller is told that the server is busy.
const WRITERS_MAX: usize = 256;
/// A write that takes longer is given up; its transaction is rolled back and never reported as done.
const WRITE_SECONDS_MAX: u64 = 20;
/// Open screens that lag further behind reload their list.
const CHANGES_KEPT: usize = 256;

/// The shared state; a handle, cheap to clone.
#[derive(Debug, Clone)]
pub struct App {
    shared: Arc<Shared>,
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
    /// Wakes the jobs before their tick, after a commit that gave them work.
    pub wake: Wake,
    /// Tells open screens that something changed; the content is in the database.
    pub changes: broadcast::Sender<()>,
    writers: Semaphore,
}

/// One bell per job.
#[derive(Debug, Default)]
pub struct Wake {
    pub plan: Notify,
    pub watch: Notify,
    pub escalate: Notify,
    pub deliver: Notify,
    pub settle: Notify,
}

impl Wake {
    /// After a commit that may have made anything due.
    pub fn all(&self) {
        self.plan.notify_one();
        self.watch.notify_one();
        self.escalate.notify_one();
        self.deliver.notify_one();
        self.settle.notify_one();
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
        let writers = Semaphore::new(WRITERS_MAX);
        let clock_sense = ClockSense::new(&clock);
        let (instance, wake) = (Uuid::now_v7(), Wake::default());
        Self { shared: Arc::new(Shared { config, db, clock, clock_sense, seal, instance, wake, changes, writers }) }
    }

    /// The one door for writes: an owned task, one transaction, bounded; the answer exists only after COMMIT.
    ///
    /// Dropping the returned future (a client that went away) neither stops the work nor leaves a transaction open (F1, I19).
    ///
    /// # Errors
    /// What `work` returned, or [`Error::Database`] / [`Error::Busy`] when the outcome is unknown (I18).
    pub async fn write<T, F, Fut>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(Tx) -> Fut + Send + 'static,
        Fut: Future<Output = Result<(Tx, T)>> + Send + 'static,
    {
        let app = self.clone();
        let task = tokio::spawn(async move {
            let _permit = app.writers.try_acquire().map_err(|_| Error::Busy)?;
            // Not inside the time limit: sqlx may not be interrupted while it begins.
            let tx = app.db.begin_write().await?;
            let bounded = tokio::time::timeout(Duration::from_secs(WRITE_SECONDS_MAX), work(tx)).await;
            let (tx, answer) = bounded.map_err(|_| Error::Busy)??;
            tx.commit().await?;
            let _ = app.changes.send(());
            Ok(answer)
        });
        joined(task.await)
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
            let tx = app.db.begin_read().await?;
            let bounded = tokio::time::timeout(Duration::from_secs(WRITE_SECONDS_MAX), work(tx)).await;
            let (tx, answer) = bounded.map_err(|_| Error::Busy)??;
            tx.rollback().await?;
            Ok(answer)
        });
        joined(task.await)
    }
}

/// A panic in a write is a 5xx for one caller, not for the server: its transaction was rolled back when it was dropped.
fn joined<T>(outcome: std::result::Result<Result<T>, tokio::task::JoinError>) -> Result<T> {
    outcome.unwrap_or_else(|panic| Err(Error::broken("task", "", panic)))
}
