//! What the tests stand on: one database per test on each engine, a clock moved by hand, and a small invented street.

pub mod broker;
pub mod certificate;
pub mod needs;
pub mod proxy;
pub mod world;

use std::future::Future;
use std::sync::atomic::{AtomicU32, Ordering};

use chenlian::app::App;
use chenlian::clock::Clock;
use chenlian::config::Config;
use chenlian::seal::SealKey;
use chenlian::store::open;
use chrono::{DateTime, Utc};
use sqlx::{Connection, Executor};

pub use world::World;

/// Monday, 23 November 2026, 06:00 in Shanghai: the winter deadline of that day is 09:30, the cutoff 09:45.
pub fn morning() -> DateTime<Utc> {
    at("2026-11-22T22:00:00Z")
}

pub fn at(text: &str) -> DateTime<Utc> {
    DateTime::parse_from_rfc3339(text).expect("a literal time").to_utc()
}

/// Local Shanghai time on that Monday.
pub fn local(time: &str) -> DateTime<Utc> {
    at(&format!("2026-11-23T{time}+08:00"))
}

/// Runs a test on SQLite and, where `CHENLIAN_TEST_POSTGRES` names a server, on PostgreSQL.
///
/// With `CI=true` a missing server is a failure: nothing is left out silently.
pub async fn on_each_engine<F, Fut>(test: F)
where
    F: Fn(App) -> Fut,
    Fut: Future<Output = ()>,
{
    on_sqlite(&test).await;
    on_postgres(&test).await;
}

/// The same on SQLite alone.
pub async fn on_sqlite<F, Fut>(test: &F)
where
    F: Fn(App) -> Fut,
    Fut: Future<Output = ()>,
{
    on_fresh(None, async |app| test(app).await).await;
}

/// The same on PostgreSQL alone, where there is one.
pub async fn on_postgres<F, Fut>(test: &F)
where
    F: Fn(App) -> Fut,
    Fut: Future<Output = ()>,
{
    let Some(server) = needs::postgres() else { return };
    on_fresh(Some(&server), async |app| test(app).await).await;
}

/// On a database of its own, of this PostgreSQL or of SQLite.
pub async fn on_fresh(server: Option<&str>, test: impl AsyncFnOnce(App)) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let url = match server {
        Some(server) => fresh_schema(server).await,
        None => format!("sqlite://{}", folder.path().join("test.db").display()),
    };
    let app = open_app(&url, folder.path()).await;
    test(app.clone()).await;
    app.db.close().await;
}

/// A second instance on the same PostgreSQL, or the same handle's pools on SQLite.
pub async fn open_app(url: &str, folder: &std::path::Path) -> App {
    if url.starts_with("postgres") {
        migrate_beside_others(url).await;
    }
    let (db, lock) = open::open(url).await.unwrap_or_else(|error| panic!("the test database opens: {error}"));
    // The lock lives as long as the process: a test never opens its file twice.
    std::mem::forget(lock);
    let mut config = Config::defaults();
    folder.clone_into(&mut config.data.folder);
    url.clone_into(&mut config.database.url);
    config.outbox.allow_private_targets = true;
    config.outbox.log_counts = true;
    // No robot outside is ever asked.
    "http://127.0.0.1:1".clone_into(&mut config.channels.wecom_bot.base_url);
    let app = App::new(config, db, Clock::manual(morning()), SealKey::from_bytes([42; 32]));
    declare_channels(&app).await;
    app
}

/// Which channels the settings let messages leave by, as a start of the server writes it.
pub async fn declare_channels(app: &App) {
    let channels = app.config.working_channels();
    let written = app.write(move |mut tx| async move {
        chenlian::store::channel_account::declare(&mut tx, &channels).await?;
        Ok((tx, ()))
    });
    written.await.expect("the channels are written");
}

/// All schemas share a database, and its migrations one lock: tests would wait for each other in a line.
async fn migrate_beside_others(url: &str) {
    let mut connection = sqlx::PgConnection::connect(url).await.expect("the test PostgreSQL answers");
    let migrated = sqlx::migrate!("migrations/postgres").set_locking(false).run(&mut connection).await;
    migrated.expect("a fresh schema is brought up to date");
    connection.close().await.expect("the connection closes");
}

/// A new schema on the server; the URL puts it first in the search path.
pub async fn fresh_schema(server: &str) -> String {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let schema = format!("t{}_{}", std::process::id(), NUMBER.fetch_add(1, Ordering::SeqCst));
    let mut connection = sqlx::PgConnection::connect(server).await.expect("the test PostgreSQL answers");
    connection.execute(sqlx::AssertSqlSafe(format!("create schema {schema}"))).await.expect("a fresh schema");
    connection.close().await.expect("the connection closes");
    let separator = if server.contains('?') { '&' } else { '?' };
    format!("{server}{separator}options[search_path]={schema}")
}
