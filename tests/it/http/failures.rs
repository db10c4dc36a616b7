//! What a client hears when something breaks here, and what the log keeps of it.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::routing::get;
use chenlian::app::App;
use chenlian::http::{HttpState, enveloped, server};
use reqwest::{StatusCode, header};
use serde_json::Value;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{Server, plain_client, set_password};
use crate::harness::{World, on_each_engine};

#[tokio::test]
async fn a_panic_is_one_500_and_the_server_goes_on() {
    on_each_engine(|app| async move {
        let stop = CancellationToken::new();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let routes: Router<HttpState> = Router::new().route("/panics", get(panics));
        let router = enveloped(routes, HttpState::new(app.clone(), stop.clone()));
        let limits = server::Limits { header_timeout: std::time::Duration::from_secs(5), connections_max: 10, connections_each_max: 10 };
        tokio::spawn(server::serve(listener, router, limits, stop.clone()));
        for _ in 0..2 {
            let response = plain_client().get(format!("http://{address}/panics")).send().await.unwrap();
            assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
            let problem: Value = response.json().await.unwrap();
            assert_eq!(problem["key"], "http.broken");
            assert!(!problem.to_string().contains("secret"), "{problem}");
        }
        stop.cancel();
    })
    .await;
}

async fn panics() -> &'static str {
    panic!("the secret of a bug")
}

#[tokio::test]
async fn without_a_database_a_client_is_told_to_come_back() {
    on_each_engine(|app| async move {
        let world = World::seed(&app, 0).await;
        let server = Server::start(&app).await;
        let client = server.client(&app, world.site, world.primary).await;
        app.db.close().await;
        let response = client.request(reqwest::Method::GET, "/api/v1/sessions").send().await.unwrap();
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert!(response.headers().contains_key(header::RETRY_AFTER));
        let problem: Value = response.json().await.unwrap();
        assert_eq!(problem["key"], "http.unavailable");
    })
    .await;
}

/// A log kept in memory.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("nobody panics while writing").extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn the_log_knows_routes_and_no_people() {
    on_each_engine(|app: App| async move {
        let world = World::seed(&app, 0).await;
        set_password(&app, world.primary, "13900000001").await;
        let kept = Kept::default();
        let writer = kept.clone();
        // With a second one alive every thread asks both, not the one that it happens to have itself.
        let _second = tracing::Dispatch::new(tracing_subscriber::registry());
        let subscriber = tracing_subscriber::fmt().with_writer(move || writer.clone()).with_max_level(tracing::Level::DEBUG).finish();
        // One thread runs this test and its server.
        let logging = tracing::subscriber::set_default(subscriber);
        let server = Server::start(&app).await;
        let client = server.client(&app, world.site, world.primary).await;
        let unknown = Uuid::now_v7();
        client.delete(&format!("/api/v1/sessions/{unknown}?note=quiet-words")).await;
        let body = serde_json::json!({ "phone": "13900000001", "password": "a wrong password" });
        client.post("/api/v1/sessions", body).await;
        drop(logging);
        let log = String::from_utf8(kept.0.lock().unwrap().clone()).unwrap();
        assert!(log.contains("/api/v1/sessions/{id}"), "{log}");
        let mut secrets = vec![unknown.to_string(), world.primary.to_string(), "13900000001".into(), "quiet-words".into()];
        secrets.extend(["a wrong password".into(), client.token.clone().unwrap()]);
        for secret in secrets {
            assert!(!log.contains(&secret), "{secret} is in the log: {log}");
        }
    })
    .await;
}
