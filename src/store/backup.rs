//! A copy that can be trusted, made while the server runs, and the way back. The copy is checked before it gets its name;
//! what is replaced by a restore is moved aside, never overwritten. Neither contains the key file.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions, Connection};

use super::Db;
use super::open::{self, OpenError, Target};

/// How long a copy waits for a writer that has the file to itself.
const BUSY_WAIT: Duration = Duration::from_secs(30);
/// Findings shown of a damaged file.
const DAMAGE_LINES_MAX: usize = 5;

/// Why a copy was not made or not put back. Nothing was changed then.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error("{path} exists already")]
    Exists { path: String },
    #[error("{path}: {source}")]
    File { path: String, source: std::io::Error },
    #[error("{path} is damaged: {why}")]
    Damaged { path: String, why: String },
    #[error("{path} is not a database of chenlian")]
    Foreign { path: String },
    #[error("{path} was written by a newer version")]
    Newer { path: String },
    #[error("the database is not empty")]
    NotEmpty,
    #[error("{program} is not installed")]
    NoTool { program: &'static str, command: String },
    #[error("{program} failed: {why}")]
    Tool { program: &'static str, why: String },
    #[error("the database cannot be read: {0}")]
    Database(#[from] sqlx::Error),
}

type Result<T> = std::result::Result<T, BackupError>;

fn file_error(path: &Path) -> impl FnOnce(std::io::Error) -> BackupError {
    let path = path.display().to_string();
    move |source| BackupError::File { path, source }
}

/// Copies the database at `url` into a new file, mode 0600.
pub async fn backup(url: &str, file: &Path) -> Result<()> {
    if file.exists() {
        return Err(BackupError::Exists { path: file.display().to_string() });
    }
    let target = Target::parse(url)?;
    // Under another name until it is checked: a half copy must not look like one.
    let partial = open::beside(file, "partial");
    remove_old(&partial)?;
    create_private(&partial)?;
    let copied = match target {
        Target::Sqlite(path) => copy_sqlite(&path, &partial).await,
        Target::Postgres(_) => dump_postgres(url, &partial),
    };
    let named = copied.and_then(|()| {
        let synced = std::fs::File::open(&partial).and_then(|copy| copy.sync_all());
        synced.and_then(|()| std::fs::rename(&partial, file)).map_err(file_error(file))?;
        sync_folder(file)
    });
    if named.is_err() {
        remove_old(&partial)?;
    }
    named
}

/// Puts a copy back. Returns where the database that was there before is now.
pub async fn restore(url: &str, file: &Path, now: DateTime<Utc>) -> Result<Option<PathBuf>> {
    match Target::parse(url)? {
        Target::Sqlite(path) => restore_sqlite(&path, file, now).await,
        Target::Postgres(_) => restore_postgres(url, file).await.map(|()| None),
    }
}

async fn copy_sqlite(path: &Path, copy: &Path) -> Result<()> {
    if !path.exists() {
        return Err(OpenError::Missing { path: path.display().to_string() }.into());
    }
    let mut source = open_read_only(path).await?;
    let vacuumed = sqlx::query("vacuum into $1").bind(utf8(copy)?).execute(&mut source).await;
    source.close().await?;
    vacuumed?;
    check_sqlite(copy).await
}

/// Copies through a connection that is open, when the file itself has no name any more.
pub(super) async fn copy_open(db: &Db, copy: &Path) -> Result<()> {
    let Db::Sqlite { write, .. } = db else { return Ok(()) };
    create_private(copy)?.sync_all().map_err(file_error(copy))?;
    sqlx::query("vacuum into $1").bind(utf8(copy)?).execute(write).await?;
    check_sqlite(copy).await?;
    std::fs::File::open(copy).and_then(|saved| saved.sync_all()).map_err(file_error(copy))?;
    sync_folder(copy)
}

async fn open_read_only(path: &Path) -> Result<SqliteConnection> {
    let options = SqliteConnectOptions::new().filename(path).read_only(true).busy_timeout(BUSY_WAIT);
    Ok(options.connect().await?)
}

/// Whole, ours, and not newer than this program.
async fn check_sqlite(file: &Path) -> Result<()> {
    let path = file.display().to_string();
    let damaged = |why: String| BackupError::Damaged { path: path.clone(), why };
    if !file.is_file() {
        return Err(BackupError::File { path, source: std::io::ErrorKind::NotFound.into() });
    }
    let mut copy = open_read_only(file).await?;
    let lines: std::result::Result<Vec<String>, _> = sqlx::query_scalar("pragma integrity_check").fetch_all(&mut copy).await;
    let lines = lines.map_err(|error| damaged(error.to_string()))?;
    if lines != ["ok"] {
        return Err(damaged(lines.into_iter().take(DAMAGE_LINES_MAX).collect::<Vec<_>>().join("; ")));
    }
    let applied: std::result::Result<Vec<i64>, _> = sqlx::query_scalar("select version from _sqlx_migrations").fetch_all(&mut copy).await;
    let applied = applied.map_err(|_| BackupError::Foreign { path: path.clone() })?;
    copy.close().await?;
    let known = sqlx::migrate!("migrations/sqlite");
    if applied.into_iter().any(|version| known.iter().all(|migration| migration.version != version)) {
        return Err(BackupError::Newer { path });
    }
    Ok(())
}

async fn restore_sqlite(path: &Path, file: &Path, now: DateTime<Utc>) -> Result<Option<PathBuf>> {
    let _lock = open::lock_file(path)?;
    check_sqlite(file).await?;
    let fresh = open::beside(path, "restoring");
    remove_old(&fresh)?;
    let mut target = create_private(&fresh)?;
    let mut source = std::fs::File::open(file).map_err(file_error(file))?;
    std::io::copy(&mut source, &mut target).and_then(|_| target.sync_all()).map_err(file_error(&fresh))?;
    // From here to the rename the mark says that a database is missing: a crash between leaves no empty one (I21).
    open::mark_made(path)?;
    let aside = move_aside(path, now)?;
    std::fs::rename(&fresh, path).map_err(file_error(path))?;
    sync_folder(path)?;
    Ok(aside)
}

/// The old file with its write-ahead log, under a name with which SQLite still opens both together.
fn move_aside(path: &Path, now: DateTime<Utc>) -> Result<Option<PathBuf>> {
    let mut aside = None;
    let kept = open::beside(path, &format!("before-restore-{}", now.format("%Y%m%dT%H%M%SZ")));
    for ending in ["", "-wal", "-shm"] {
        let (old, new) = (open::with_suffix(path, ending), open::with_suffix(&kept, ending));
        if old.exists() {
            std::fs::rename(&old, &new).map_err(file_error(&old))?;
            aside = Some(kept.clone());
        }
    }
    Ok(aside)
}

/// What the PostgreSQL tools need, without the password: arguments are visible to every user of the machine.
#[derive(Debug, PartialEq, Eq)]
struct Libpq {
    url: String,
    password: Option<String>,
    schema: Option<String>,
}

impl Libpq {
    fn of(url: &str) -> Self {
        let (base, query) = url.split_once('?').unwrap_or((url, ""));
        let (scheme, rest) = base.split_once("://").unwrap_or(("postgres", base));
        let (authority, name) = rest.split_once('/').unwrap_or((rest, ""));
        let (account, host) = authority.rsplit_once('@').unwrap_or(("", authority));
        let (user, mut password) = match account.split_once(':') {
            Some((user, password)) => (user, Some(percent_decoded(password))),
            None => (account, None),
        };
        let mut schema = None;
        let mut kept = Vec::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            match percent_decoded(key).as_str() {
                "password" => password = Some(percent_decoded(value)),
                "options[search_path]" => schema = Some(percent_decoded(value)),
                // Known to the server's own client alone.
                "statement-cache-capacity" => {}
                _ => kept.push(pair),
            }
        }
        let at = if user.is_empty() { "" } else { "@" };
        let question = if kept.is_empty() { "" } else { "?" };
        Self { url: format!("{scheme}://{user}{at}{host}/{name}{question}{}", kept.join("&")), password, schema }
    }

    fn run(&self, program: &'static str, arguments: &[&str]) -> Result<()> {
        let mut command = Command::new(program);
        command.args(arguments).stdin(std::process::Stdio::null());
        if let Some(password) = &self.password {
            command.env("PGPASSWORD", password);
        }
        let output = match command.output() {
            Ok(output) => output,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(BackupError::NoTool { program, command: format!("{program} {}", arguments.join(" ")) });
            }
            Err(error) => return Err(BackupError::Tool { program, why: error.to_string() }),
        };
        if output.status.success() {
            return Ok(());
        }
        let why = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        Err(BackupError::Tool { program, why })
    }
}

fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let code = after.get(..2).filter(|_| *first == b'%').and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        bytes.push(code.unwrap_or(*first));
        rest = if code.is_some() { &after[2..] } else { after };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn dump_postgres(url: &str, copy: &Path) -> Result<()> {
    let libpq = Libpq::of(url);
    let file = utf8(copy)?;
    let mut arguments = vec!["--format=custom", "--no-owner", "--no-privileges", "--file", file, "--dbname", &libpq.url];
    arguments.extend(libpq.schema.as_deref().into_iter().flat_map(|schema| ["--schema", schema]));
    libpq.run("pg_dump", &arguments)?;
    libpq.run("pg_restore", &["--list", file])
}

/// PostgreSQL keeps no file to move aside: a copy is put only into an empty database.
async fn restore_postgres(url: &str, file: &Path) -> Result<()> {
    let libpq = Libpq::of(url);
    let path = utf8(file)?;
    if !file.is_file() {
        return Err(BackupError::File { path: path.to_owned(), source: std::io::ErrorKind::NotFound.into() });
    }
    libpq.run("pg_restore", &["--list", path])?;
    let (db, _) = open::connect(url).await?;
    let empty = holds_no_tables(&db).await;
    db.close().await;
    if !empty? {
        return Err(BackupError::NotEmpty);
    }
    let arguments = ["--no-owner", "--no-privileges", "--single-transaction", "--exit-on-error", "--dbname", &libpq.url, path];
    libpq.run("pg_restore", &arguments)
}

async fn holds_no_tables(db: &Db) -> Result<bool> {
    let Db::Postgres(pool) = db else { return Ok(false) };
    let sql = "select count(*) from information_schema.tables where table_schema = current_schema()";
    let tables: i64 = sqlx::query_scalar(sql).fetch_one(pool).await?;
    Ok(tables == 0)
}

fn utf8(path: &Path) -> Result<&str> {
    path.to_str().ok_or_else(|| file_error(path)(std::io::ErrorKind::InvalidFilename.into()))
}

fn create_private(path: &Path) -> Result<std::fs::File> {
    let mut options = std::fs::OpenOptions::new();
    options.create_new(true).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map_err(file_error(path))
}

/// What an earlier try left behind.
fn remove_old(path: &Path) -> Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(file_error(path)(error)),
        _ => Ok(()),
    }
}

/// A renamed file survives power loss only after its folder was written.
fn sync_folder(path: &Path) -> Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::File::open(folder).and_then(|folder| folder.sync_all()).map_err(file_error(folder))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_password_of_a_database_never_becomes_an_argument() {
        for (url, shown, password, schema) in [
            ("postgres://anna:p%40ss:w@db:5432/c", "postgres://anna@db:5432/c", Some("p@ss:w"), None),
            ("postgres://db/c?sslmode=require&password=x", "postgres://db/c?sslmode=require", Some("x"), None),
            ("postgresql://anna@db/c?options[search_path]=t1", "postgresql://anna@db/c", None, Some("t1")),
            ("postgres://a:100%@db/c", "postgres://a@db/c", Some("100%"), None),
        ] {
            let libpq = Libpq::of(url);
            assert_eq!((libpq.url.as_str(), libpq.password.as_deref(), libpq.schema.as_deref()), (shown, password, schema), "{url}");
        }
    }
}
