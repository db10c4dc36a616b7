//! A connection on loan from a pool, with one transaction on it.
//!
//! What must stay true: it goes back to its pool only after the database has answered COMMIT or ROLLBACK. Whatever was
//! dropped, timed out, or failed at its end is closed, and the pool opens another one. So no future, however it ends,
//! leaves a transaction open on a connection that somebody else gets (F1, I19); an answer that never comes holds up its
//! own caller for a bounded time and nobody after it (F7); and SQLite, which rolls back by itself when the disk is full,
//! starts anew on a fresh connection (I21).
//!
//! sqlx's own `Transaction` promises none of the three: it counts depth in memory, its drop gives the connection back
//! unasked, and it waits for every answer without a limit. Nor does it set TCP keepalive, or let one set it; the bounds here
//! stand in for it, and `open` asks the server to notice a dead client.

use std::future::Future;
use std::io;
use std::ops::{Deref, DerefMut};
use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::{Database, Error, Executor, Pool, Postgres, Sqlite};

/// Longer than SQLite waits for a foreign lock, so that it says itself that the file is locked.
const BEGIN_MAX: Duration = Duration::from_secs(6);
/// A disk that is slow still gets this long; after it nobody knows what became of the transaction (I18).
const COMMIT_MAX: Duration = Duration::from_secs(10);
/// As long as PostgreSQL lets a statement run that was given up halfway.
const ROLLBACK_MAX: Duration = Duration::from_secs(6);
/// sqlx asks a connection for a sign of life before the pool takes it back.
const RETURN_MAX: Duration = Duration::from_secs(5);

/// How a statement without values is run on each engine.
pub trait Engine: Database {
    fn run(connection: &mut Self::Connection, sql: &'static str) -> impl Future<Output = Result<(), Error>> + Send;
}

impl Engine for Sqlite {
    async fn run(connection: &mut Self::Connection, sql: &'static str) -> Result<(), Error> {
        connection.execute(sql).await.map(|_| ())
    }
}

impl Engine for Postgres {
    async fn run(connection: &mut Self::Connection, sql: &'static str) -> Result<(), Error> {
        connection.execute(sql).await.map(|_| ())
    }
}

/// An open transaction; dropping it rolls it back.
pub struct Lent<DB: Engine> {
    /// `None` only once it has ended.
    connection: Option<PoolConnection<DB>>,
    /// How often somebody asked for the connection: once per statement, BEGIN included.
    statements: u64,
}

impl<DB: Engine> Lent<DB> {
    pub(super) async fn begin(pool: &Pool<DB>, sql: &'static str) -> Result<Self, Error> {
        let mut lent = Self { connection: Some(pool.acquire().await?), statements: 0 };
        let begun = answered(BEGIN_MAX, DB::run(&mut lent, sql)).await;
        begun.inspect_err(|_| lent.connection.take().into_iter().for_each(close))?;
        Ok(lent)
    }

    pub(super) fn statements(&self) -> u64 {
        self.statements
    }

    pub(super) async fn commit(self) -> Result<(), Error> {
        self.end(COMMIT_MAX, "commit").await
    }

    pub(super) async fn rollback(self) -> Result<(), Error> {
        self.end(ROLLBACK_MAX, "rollback").await
    }

    async fn end(mut self, at_most: Duration, sql: &'static str) -> Result<(), Error> {
        let ended = answered(at_most, DB::run(&mut self, sql)).await;
        if let Some(connection) = self.connection.take() {
            match &ended {
                Ok(()) => give_back(connection).await,
                Err(_) => close(connection),
            }
        }
        ended
    }
}

impl<DB: Engine> Deref for Lent<DB> {
    type Target = DB::Connection;
    fn deref(&self) -> &DB::Connection {
        self.connection.as_ref().expect("only the end takes it away")
    }
}

impl<DB: Engine> DerefMut for Lent<DB> {
    fn deref_mut(&mut self) -> &mut DB::Connection {
        self.statements += 1;
        self.connection.as_mut().expect("only the end takes it away")
    }
}

impl<DB: Engine> Drop for Lent<DB> {
    fn drop(&mut self) {
        let Some(mut connection) = self.connection.take() else { return };
        // At the very end of the process nobody is left to wait for the answer.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return close(connection) };
        runtime.spawn(async move {
            match answered(ROLLBACK_MAX, DB::run(&mut connection, "rollback")).await {
                Ok(()) => give_back(connection).await,
                Err(_) => close(connection),
            }
        });
    }
}

async fn give_back<DB: Engine>(mut connection: PoolConnection<DB>) {
    // Given up halfway it is closed, and its place in the pool is free.
    let _ = tokio::time::timeout(RETURN_MAX, connection.return_to_pool()).await;
}

/// Without a farewell, which could wait for ever; the database rolls back what was open.
fn close<DB: Engine>(connection: PoolConnection<DB>) {
    drop(connection.detach());
}

/// The answer, or the failure that it did not come in time.
pub(super) async fn answered<T>(at_most: Duration, answer: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    let late = |_| Error::Io(io::Error::new(io::ErrorKind::TimedOut, "the database did not answer in time"));
    tokio::time::timeout(at_most, answer).await.map_err(late)?
}
