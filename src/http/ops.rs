//! The second listener, for the operator and on loopback only: is the process alive, may it take requests, how is it doing.

use std::sync::OnceLock;
use std::sync::atomic::Ordering;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use chrono::{DateTime, Utc};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::server;
use crate::app::App;
use crate::domain::health::is_fresh;
use crate::store;

/// Connections of probes and scrapers.
const CONNECTIONS_MAX: usize = 32;

/// The process's numbers. They are collected from the first call on.
pub fn metrics() -> &'static PrometheusHandle {
    static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();
    HANDLE.get_or_init(|| {
        let recorder = PrometheusBuilder::new().build_recorder();
        let handle = recorder.handle();
        // Another recorder (in a test) stays in place: then these numbers stay empty.
        let _ = metrics::set_global_recorder(recorder);
        handle
    })
}

/// `/health`, `/ready`, `/metrics`.
pub fn router(app: App) -> Router {
    metrics();
    Router::new().route("/health", get(health)).route("/ready", get(ready)).route("/metrics", get(numbers)).with_state(app)
}

pub async fn serve(app: App, listener: TcpListener, stop: CancellationToken) {
    let limits = server::Limits {
        header_timeout: app.config.http.header_timeout.std(),
        connections_max: CONNECTIONS_MAX,
        connections_each_max: CONNECTIONS_MAX,
    };
    server::serve(listener, router(app), limits, stop).await;
}

/// The process answers; nothing else is asked, so that a database outage does not restart the server.
async fn health() -> &'static str {
    "ok\n"
}

/// Requests may come: the watch runs, sensors can be heard, and the database answers, promises that commits last, and takes a write.
async fn ready(State(app): State<App>) -> impl IntoResponse {
    match probe(&app).await {
        Ok(()) => (StatusCode::OK, "ready\n".to_owned()),
        // Said to the operator on loopback: the reason holds no personal data.
        Err(why) => (super::error::NOT_READY, format!("not ready: {why}\n")),
    }
}

/// Why requests should not come now.
#[derive(Debug, thiserror::Error)]
pub enum NotReady {
    #[error("the database is damaged; stop the server, see what `chenlian verify` finds, and restore a backup")]
    Damaged,
    #[error("{0}")]
    Database(store::Error),
    #[error("the watch has not committed a pass since {0}")]
    Watch(DateTime<Utc>),
    #[error("sensors cannot be heard: mqtt.url")]
    Sensors,
}

/// Whether requests may come.
pub async fn probe(app: &App) -> Result<(), NotReady> {
    if app.is_damaged() {
        return Err(NotReady::Damaged);
    }
    let now = app.clock.now();
    let written = app.write(move |mut tx| async move {
        store::open::check_durability(&mut tx).await?;
        // A full or read-only disk shows here, before it shows at a person's request (I21).
        store::health::passed(&mut tx, "probe", now, "").await?;
        Ok((tx, ()))
    });
    written.await.map_err(NotReady::Database)?;
    let passed_at = app.watch_passed_at();
    if !is_fresh(passed_at, app.config.heartbeat.period.0, now) {
        return Err(NotReady::Watch(passed_at));
    }
    if app.sensors_heard.load(Ordering::Relaxed) { Ok(()) } else { Err(NotReady::Sensors) }
}

async fn numbers() -> impl IntoResponse {
    let handle = metrics();
    handle.run_upkeep();
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], handle.render())
}
