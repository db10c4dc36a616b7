//! Opening a database so that a commit is a promise: WAL and `synchronous=FULL` on SQLite, `fsync` and
//! `synchronous_commit` on PostgreSQL, checked and not assumed (I17, I21, F7).

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use sqlx::Connection;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};

use super::{Db, Error, Result, Tx, lent};
use crate::on;

/// Read connections of SQLite: as many as all lanes of `app` may use at once.
pub(crate) const READ_CONNECTIONS_MAX: u32 = 6;
/// The same for reads and writes on PostgreSQL.
pub(crate) const POSTGRES_CONNECTIONS_MAX: u32 = 20;
/// How long one waits for a connection before one is told that the database is busy.
const ACQUIRE_SECONDS_MAX: u64 = 5;
/// On SQLite all lanes wait for one connection. Longer than one write may take, so that whoever waits gets the next turn.
const WRITE_TURN_SECONDS_MAX: u64 = 35;
/// A connection that lay idle for a while shows within a limit that it still leads anywhere (F7).
const IDLE_UNASKED_MAX: Duration = Duration::from_secs(1);
const SIGN_OF_LIFE_MAX: Duration = Duration::from_secs(2);
/// Limits in the server: a statement, a lock, a forgotten transaction, a client that fell silent.
const POSTGRES_LIMITS: [(&str, &str); 7] = [
    ("statement_timeout", "5s"),
    ("lock_timeout", "4s"),
    ("idle_in_transaction_session_timeout", "15s"),
    ("tcp_keepalives_idle", "30"),
    ("tcp_keepalives_interval", "10"),
    ("tcp_keepalives_count", "3"),
    ("tcp_user_timeout", "60s"),
];

/// A change of a large table takes as long as it takes, and an instance that starts beside another one waits for its turn.
const MIGRATION_LIMITS: [(&str, &str); 2] = [("statement_timeout", "0"), ("lock_timeout", "60s")];

/// Holds the lock that keeps a second process away from the same SQLite file (F7).
#[derive(Debug)]
pub struct FileLock {
    _file: std::fs::File,
}

/// What keeps a server from starting.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("database.url {url:?} is not allowed: sqlite://FILE or postgres://USER@HOST/NAME")]
    Url { url: String },
    #[error("{path}: another chenlian process uses this database; stop it first")]
    InUse { path: String },
    #[error("{path} is missing, although {beside} beside it says that it was used; restore it instead of starting empty")]
    Vanished { path: String, beside: String },
    #[error("{path}: there is no database yet")]
    Missing { path: String },
    #[error("{path}: {source}")]
    File { path: String, source: std::io::Error },
    #[error("the database does not promise that commits last: {setting} is {value}, needed: {needed}")]
    NotDurable { setting: &'static str, value: String, needed: &'static str },
    #[error("the database cannot be opened: {0}")]
    Database(#[from] sqlx::Error),
    #[error("the schema cannot be brought up to date: {0}")]
    Migrate(#[from] sqlx::migrate::MigrateError),
}

/// The engine behind a `database.url`.
pub enum Target {
    Sqlite(PathBuf),
    Postgres(Box<PgConnectOptions>),
}

impl Target {
    pub fn parse(url: &str) -> Result<Self, OpenError> {
        let refuse = || OpenError::Url { url: redact(url) };
        if let Some(path) = url.strip_prefix("sqlite://") {
            return if path.is_empty() || path.starts_with(':') { Err(refuse()) } else { Ok(Self::Sqlite(PathBuf::from(path))) };
        }
        if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            let options = PgConnectOptions::from_str(url).map_err(|_| refuse())?;
            return Ok(Self::Postgres(Box::new(options.options(POSTGRES_LIMITS).application_name("chenlian"))));
        }
        Err(refuse())
    }
}

/// A URL without its password.
pub fn redact(url: &str) -> String {
    match (url.find("://"), url.rfind('@')) {
        (Some(scheme), Some(at)) if at > scheme => format!("{}://…{}", &url[..scheme], &url[at..]),
        _ => url.to_owned(),
    }
}

/// Opens and migrates the database and checks its promises.
pub async fn open(url: &str) -> Result<(Db, Option<FileLock>), OpenError> {
    let (db, lock) = connect(url).await?;
    migrate(&db).await?;
    let mut look = db.begin_look().await?;
    let promised = check_durability(&mut look).await;
    // Nothing was written: a failure here would show at the first write.
    let _ = look.rollback().await;
    promised.map(|()| (db, lock))
}

/// Opens without migrating.
pub async fn connect(url: &str) -> Result<(Db, Option<FileLock>), OpenError> {
    match Target::parse(url)? {
        Target::Sqlite(path) => {
            let lock = lock_file(&path)?;
            Ok((connect_sqlite(&path).await?, Some(lock)))
        }
        Target::Postgres(options) => {
            let pool = PgPoolOptions::new()
                .max_connections(POSTGRES_CONNECTIONS_MAX)
                .acquire_timeout(Duration::from_secs(ACQUIRE_SECONDS_MAX))
                // sqlx's own test has no time limit: connections that lead nowhere would use up the wait one after the other.
                .test_before_acquire(false)
                .before_acquire(|connection, lay| Box::pin(shows_life(connection, lay.idle_for)))
                .connect_with(*options)
                .await?;
            Ok((Db::Postgres(pool), None))
        }
    }
}

async fn shows_life(connection: &mut PgConnection, idle_for: Duration) -> Result<bool, sqlx::Error> {
    if idle_for < IDLE_UNASKED_MAX {
        return Ok(true);
    }
    lent::answered(SIGN_OF_LIFE_MAX, connection.ping()).await.map(|()| true)
}

/// Opens a database that exists, without the lock: for a short command beside a running server. SQLite's own locks keep
/// the writers apart; the lock file only keeps two servers apart.
pub async fn connect_beside(url: &str) -> Result<Db, OpenError> {
    match Target::parse(url)? {
        Target::Sqlite(path) if !path.exists() => Err(OpenError::Missing { path: path.display().to_string() }),
        Target::Sqlite(path) => connect_sqlite(&path).await,
        Target::Postgres(_) => Ok(connect(url).await?.0),
    }
}

async fn connect_sqlite(path: &Path) -> Result<Db, OpenError> {
    create_private(path)?;
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(false)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(Duration::from_secs(ACQUIRE_SECONDS_MAX))
        .foreign_keys(true)
        // Without a limit the WAL never shrinks after a large write.
        .pragma("journal_size_limit", "67108864");
    let write = SqlitePoolOptions::new()
        .max_connections(1)
        .acquire_timeout(Duration::from_secs(WRITE_TURN_SECONDS_MAX))
        .connect_with(options.clone())
        .await?;
    let read = SqlitePoolOptions::new()
        .max_connections(READ_CONNECTIONS_MAX)
        .acquire_timeout(Duration::from_secs(ACQUIRE_SECONDS_MAX))
        .connect_with(options.pragma("query_only", "on"))
        .await?;
    Ok(Db::Sqlite { write, read })
}

/// A new file is made with mode 0600. A file that was there before is never replaced by an empty one (I21): the mark beside
/// it says that a database was made here.
fn create_private(path: &Path) -> Result<(), OpenError> {
    let mark = beside(path, "made");
    if path.exists() {
        return write_private(&mark);
    }
    if mark.exists() {
        return Err(OpenError::Vanished { path: path.display().to_string(), beside: mark.display().to_string() });
    }
    write_private(path)?;
    write_private(&mark)
}

/// The mark that a database was made here, for one that was put in place by other means.
pub(super) fn mark_made(path: &Path) -> Result<(), OpenError> {
    write_private(&beside(path, "made"))
}

fn write_private(path: &Path) -> Result<(), OpenError> {
    open_private(path).map(drop)
}

fn open_private(path: &Path) -> Result<std::fs::File, OpenError> {
    let mut options = std::fs::OpenOptions::new();
    options.create(true).truncate(false).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map_err(|source| OpenError::File { path: path.display().to_string(), source })
}

pub(super) fn beside(path: &Path, ending: &str) -> PathBuf {
    with_suffix(path, &format!(".{ending}"))
}

pub(super) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

pub(super) fn lock_file(path: &Path) -> Result<FileLock, OpenError> {
    let lock = beside(path, "lock");
    let file = open_private(&lock)?;
    match file.try_lock() {
        Ok(()) => Ok(FileLock { _file: file }),
        Err(std::fs::TryLockError::WouldBlock) => Err(OpenError::InUse { path: path.display().to_string() }),
        Err(std::fs::TryLockError::Error(source)) => Err(OpenError::File { path: lock.display().to_string(), source }),
    }
}

/// Brings the schema up to date. Each file runs in a transaction, so a kill leaves it done or not begun (I36).
pub async fn migrate(db: &Db) -> Result<(), OpenError> {
    match db {
        Db::Sqlite { write, .. } => sqlx::migrate!("migrations/sqlite").run(write).await?,
        Db::Postgres(pool) => {
            let options = PgConnectOptions::clone(&pool.connect_options()).options(MIGRATION_LIMITS);
            let own = PgPoolOptions::new().max_connections(1).connect_with(options).await?;
            let done = sqlx::migrate!("migrations/postgres").run(&own).await;
            own.close().await;
            done?;
        }
    }
    Ok(())
}

/// Which migrations are not applied yet; for `migrate --check`.
pub async fn pending_migrations(db: &Db) -> Result<Vec<String>, OpenError> {
    let (known, applied) = match db {
        Db::Sqlite { write, .. } => {
            let exists: i64 =
                sqlx::query_scalar("select count(*) from sqlite_master where name = '_sqlx_migrations'").fetch_one(write).await?;
            let applied: Vec<i64> = if exists == 0 {
                Vec::new()
            } else {
                sqlx::query_scalar("select version from _sqlx_migrations where success").fetch_all(write).await?
            };
            (sqlx::migrate!("migrations/sqlite"), applied)
        }
        Db::Postgres(pool) => {
            let exists: Option<String> = sqlx::query_scalar("select to_regclass('_sqlx_migrations')::text").fetch_one(pool).await?;
            let applied: Vec<i64> = if exists.is_none() {
                Vec::new()
            } else {
                sqlx::query_scalar("select version from _sqlx_migrations where success").fetch_all(pool).await?
            };
            (sqlx::migrate!("migrations/postgres"), applied)
        }
    };
    let open = known.iter().filter(|migration| !applied.contains(&migration.version));
    Ok(open.map(|migration| format!("{:04} {}", migration.version, migration.description)).collect())
}

/// I17: the engine must promise that a commit survives power loss, on the connection that `tx` writes through.
pub async fn check_durability(tx: &mut Tx) -> Result<(), OpenError> {
    let ask = async |tx: &mut Tx, sql: &'static str| -> Result<String, sqlx::Error> {
        on!(tx, |conn| sqlx::query_scalar(sql).fetch_one(conn).await)
    };
    match tx {
        Tx::Sqlite(_) => {
            let journal = ask(tx, "pragma journal_mode").await?;
            require("journal_mode", &journal, "wal", journal == "wal")?;
            let synchronous = ask(tx, "select cast(synchronous as text) from pragma_synchronous").await?;
            require("synchronous", &synchronous, "2 (full) or 3", synchronous == "2" || synchronous == "3")
        }
        Tx::Postgres(_) => {
            let fsync = ask(tx, "show fsync").await?;
            require("fsync", &fsync, "on", fsync == "on")?;
            let commit = ask(tx, "show synchronous_commit").await?;
            require("synchronous_commit", &commit, "on or stronger", commit != "off")?;
            // Off is right only on a disk that never writes half a page; nobody can tell from here whether this is one.
            let pages = ask(tx, "show full_page_writes").await?;
            require("full_page_writes", &pages, "on", pages == "on")
        }
    }
}

fn require(setting: &'static str, value: &str, needed: &'static str, holds: bool) -> Result<(), OpenError> {
    if holds { Ok(()) } else { Err(OpenError::NotDurable { setting, value: value.to_owned(), needed }) }
}

impl From<OpenError> for Error {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Database(source) => Self::Database(source),
            other => Self::Broken { what: "database", id: String::new(), why: other.to_string() },
        }
    }
}
