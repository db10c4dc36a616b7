//! SQL lives here and nowhere else: one text for both engines, written inside the function that runs it.
//!
//! `Db` hands out transactions, `on!` runs the same expression on either engine, and `App::write` is the one door for
//! every write: an owned task, one transaction, bounded, answered only after COMMIT (F1, I17, I19).

pub mod open;

mod lent;

pub mod bulk;

pub mod access;
pub mod audit;
pub mod channel_account;
pub mod claim_link;
pub mod clock;
pub mod contact_call;
pub mod contact_link;
pub mod delivery_log;
pub mod drill;
pub mod feed;
pub mod follow;
pub mod group_post;
pub mod health;
pub mod idempotency;
pub mod invitation;
pub mod journey;
pub mod life;
pub mod naming;
pub mod second_factor;
pub mod session;
pub mod setup;
pub mod silence;

pub mod plan;
pub mod roster;

pub mod alert;
pub mod board;
pub mod canary;
pub mod case;
pub mod check;
pub mod outbox;
pub mod proof;
pub mod returns;
pub mod round;
pub mod signal;
pub mod statistics;
pub mod story;
pub mod unheard;
pub mod vitals;
pub mod watch;

pub mod backup;
pub mod device;
pub mod presence;
pub mod register;
pub mod verify;

pub mod visit;

pub mod finding;

use sqlx::{PgPool, Postgres, Sqlite, SqlitePool};

use self::lent::Lent;
use crate::domain::refusal::Refusal;

/// One database, whichever engine.
#[derive(Debug, Clone)]
pub enum Db {
    /// The write pool has one connection; the read pool refuses to write.
    Sqlite {
        write: SqlitePool,
        read: SqlitePool,
    },
    Postgres(PgPool),
}

/// One transaction; dropping it rolls it back.
pub enum Tx {
    Sqlite(Lent<Sqlite>),
    Postgres(Lent<Postgres>),
}

/// The same expression, type-checked once per engine: `on!(tx, |conn| sqlx::query("…").bind(x).execute(conn).await)`.
#[macro_export]
macro_rules! on {
    ($tx:expr, |$conn:ident| $query:expr) => {
        match $tx {
            $crate::store::Tx::Sqlite(tx) => {
                let $conn = &mut **tx;
                $query
            }
            $crate::store::Tx::Postgres(tx) => {
                let $conn = &mut **tx;
                $query
            }
        }
    };
}

/// Why a store function did not do its work.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A "no" that the caller can act on.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The database failed before COMMIT: nothing was done.
    #[error("database: {0}")]
    Database(#[from] sqlx::Error),
    /// COMMIT failed or was not answered: perhaps it was done. Whatever the reason, it is never the caller's fault (I18).
    #[error("the outcome of a commit is unknown: {0}")]
    Unknown(sqlx::Error),
    /// A bound was struck: too many writers, or one that took too long.
    #[error("the database is busy")]
    Busy,
    /// A row that cannot be read back; it is isolated by its id, never guessed at (I28).
    #[error("broken record {what} {id}: {why}")]
    Broken { what: &'static str, id: String, why: String },
}

impl Error {
    pub fn broken(what: &'static str, id: impl ToString, why: impl ToString) -> Self {
        Self::Broken { what, id: id.to_string(), why: why.to_string() }
    }

    /// The database found its own file damaged: SQLite's CORRUPT and NOTADB, PostgreSQL's class XX.
    pub fn is_damage(&self) -> bool {
        let (Self::Database(error) | Self::Unknown(error)) = self else { return false };
        let code = error.as_database_error().and_then(|error| error.code().map(std::borrow::Cow::into_owned)).unwrap_or_default();
        // SQLite keeps the kind in the lowest byte and the detail above it.
        let kind = code.parse::<u32>().unwrap_or_default() & 0xff;
        code == "XX001" || code == "XX002" || (code.len() <= 4 && (kind == 11 || kind == 26))
    }
}

pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Db {
    /// A transaction that may write. SQLite takes the write lock at once, so that read-decide-write cannot fail halfway.
    ///
    /// Only `App::write` calls this.
    pub(crate) async fn begin_write(&self) -> Result<Tx> {
        Ok(match self {
            Self::Sqlite { write, .. } => Tx::Sqlite(Lent::begin(write, "begin immediate").await?),
            Self::Postgres(pool) => Tx::Postgres(Lent::begin(pool, "begin isolation level read committed").await?),
        })
    }

    /// A snapshot that takes no write lock.
    ///
    /// Only `App::read` calls this.
    pub(crate) async fn begin_read(&self) -> Result<Tx> {
        Ok(match self {
            Self::Sqlite { read, .. } => Tx::Sqlite(Lent::begin(read, "begin deferred").await?),
            Self::Postgres(pool) => Tx::Postgres(Lent::begin(pool, "begin isolation level repeatable read, read only").await?),
        })
    }

    /// A look through the connection that writes, without its lock.
    async fn begin_look(&self) -> Result<Tx, sqlx::Error> {
        Ok(match self {
            Self::Sqlite { write, .. } => Tx::Sqlite(Lent::begin(write, "begin deferred").await?),
            Self::Postgres(pool) => Tx::Postgres(Lent::begin(pool, "begin read only").await?),
        })
    }

    /// Opens every connection that the lanes may use, before anybody waits for one. Each costs a handshake made to be slow; a
    /// server that starts into a crowd would make them all while the crowd has the processor, give each up after its time, and
    /// begin again. What cannot be opened now is opened when it is needed.
    pub async fn warm(&self) {
        let Self::Postgres(pool) = self else { return };
        let opened = futures_util::future::join_all((0..open::POSTGRES_CONNECTIONS_MAX).map(|_| pool.acquire())).await;
        if let Some(error) = opened.iter().find_map(|one| one.as_ref().err()) {
            tracing::warn!(%error, "not every connection to the database could be opened ahead");
        }
    }

    pub fn is_postgres(&self) -> bool {
        matches!(self, Self::Postgres(_))
    }

    pub async fn close(&self) {
        match self {
            Self::Sqlite { write, read } => {
                read.close().await;
                write.close().await;
            }
            Self::Postgres(pool) => pool.close().await,
        }
    }
}

impl Tx {
    /// How many statements ran in it so far.
    pub fn statements(&self) -> u64 {
        match self {
            Self::Sqlite(tx) => tx.statements(),
            Self::Postgres(tx) => tx.statements(),
        }
    }

    /// Commits; an error means that the outcome is unknown (I18).
    pub async fn commit(self) -> Result<()> {
        match self {
            Self::Sqlite(tx) => tx.commit().await,
            Self::Postgres(tx) => tx.commit().await,
        }
        .map_err(Error::Unknown)
    }

    pub async fn rollback(self) -> Result<()> {
        match self {
            Self::Sqlite(tx) => tx.rollback().await?,
            Self::Postgres(tx) => tx.rollback().await?,
        }
        Ok(())
    }

    /// One writer per senior: row locks in one order on PostgreSQL; on SQLite the write lock is already held.
    pub async fn lock_seniors(&mut self, ids: &[uuid::Uuid]) -> Result<()> {
        let Self::Postgres(tx) = self else { return Ok(()) };
        let mut sorted = ids.to_vec();
        sorted.sort_unstable();
        sorted.dedup();
        for chunk in sorted.chunks(LOCK_CHUNK_MAX) {
            sqlx::query("select id from senior where id = any($1) order by id for update").bind(chunk).execute(&mut **tx).await?;
        }
        Ok(())
    }

    /// A lock held to the end of the transaction, for work that must not run twice at once on several instances.
    pub async fn lock_named(&mut self, name: &str) -> Result<()> {
        let Self::Postgres(tx) = self else { return Ok(()) };
        sqlx::query("select pg_advisory_xact_lock(hashtextextended($1, 0))").bind(name).execute(&mut **tx).await?;
        Ok(())
    }
}

/// Row locks per statement.
const LOCK_CHUNK_MAX: usize = 1_000;
