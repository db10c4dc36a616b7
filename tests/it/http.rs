//! The API as a client meets it: a real server on a free loopback port, spoken to over TCP.

pub mod access;
pub mod acts;
pub mod document;
pub mod events;
pub mod failures;
pub mod input;
pub mod lists;
pub mod matrix;
pub mod power;
pub mod privacy;
pub mod relations;
pub mod repeats;
pub mod sessions;
pub mod signals;
pub mod sockets;
pub mod weight;

use std::net::SocketAddr;

use chenlian::app::App;
use chenlian::http::password;
use chenlian::store::session::{self, NewSession, SessionKind, Token};
use chenlian::{http, on};
use chrono::TimeDelta;
use reqwest::{Method, StatusCode};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

pub const PASSWORD: &str = "晨帘 every morning";

/// A running server; it stops when it goes out of scope.
pub struct Server {
    pub address: SocketAddr,
    stop: CancellationToken,
}

impl Server {
    pub async fn start(app: &App) -> Self {
        Self::start_at(app, "127.0.0.1:0".parse().expect("an address")).await
    }

    pub fn stop(&self) {
        self.stop.cancel();
    }

    pub async fn start_at(app: &App, address: SocketAddr) -> Self {
        let listener = TcpListener::bind(address).await.expect("the loopback port is free");
        let address = listener.local_addr().expect("a bound socket has an address");
        let stop = CancellationToken::new();
        tokio::spawn(http::serve(app.clone(), listener, stop.clone()));
        Self { address, stop }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// A client without any sign-in.
    pub fn stranger(&self) -> Client {
        Client { base: format!("http://{}", self.address), token: None, inner: plain_client() }
    }

    /// A client with a bearer token of that member.
    pub async fn client(&self, app: &App, site: Uuid, member: Uuid) -> Client {
        Client { token: Some(bearer(app, site, member).await), ..self.stranger() }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

pub fn plain_client() -> reqwest::Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy().build().expect("a client without TLS files")
}

/// A token of a member who has just typed the password.
pub async fn bearer(app: &App, site: Uuid, member: Uuid) -> String {
    let now = app.clock.now();
    app.write(move |mut tx| async move {
        let token = Token::random();
        let new = NewSession {
            site_id: site,
            id: Uuid::now_v7(),
            member_id: member,
            kind: SessionKind::Bearer,
            label: "test",
            created_at: now,
            authenticated_at: Some(now),
            expires_at: now + TimeDelta::days(1),
        };
        session::create(&mut tx, &new, &token.hash()).await?;
        Ok((tx, token.text().to_owned()))
    })
    .await
    .expect("a token is made")
}

/// Gives a member [`PASSWORD`] and a phone.
pub async fn set_password(app: &App, member: Uuid, phone: &str) {
    let (hash, phone) = (password::hash(PASSWORD).expect("long enough"), phone.to_owned());
    app.write(move |mut tx| async move {
        let sql = "update member set password_hash = $2, phone = $3 where id = $1";
        on!(&mut tx, |conn| sqlx::query(sql).bind(member).bind(hash).bind(phone).execute(conn).await.map(|_| ()))?;
        Ok((tx, ()))
    })
    .await
    .expect("the password is set");
}

/// How many rows a query counts.
pub async fn count(app: &App, sql: &'static str) -> i64 {
    app.read(move |mut tx| async move {
        let rows: i64 = on!(&mut tx, |conn| sqlx::query_scalar(sql).fetch_one(conn).await)?;
        Ok((tx, rows))
    })
    .await
    .expect("rows are counted")
}

/// Somebody who calls.
#[derive(Clone)]
pub struct Client {
    base: String,
    pub token: Option<String>,
    inner: reqwest::Client,
}

impl Client {
    pub fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        let request = self.inner.request(method, format!("{}{path}", self.base)).header("accept-language", "en");
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    pub async fn get(&self, path: &str) -> (StatusCode, Value) {
        read(self.request(Method::GET, path)).await
    }

    pub async fn post(&self, path: &str, body: Value) -> (StatusCode, Value) {
        read(self.request(Method::POST, path).json(&body)).await
    }

    pub async fn delete(&self, path: &str) -> (StatusCode, Value) {
        read(self.request(Method::DELETE, path)).await
    }
}

pub async fn read(request: reqwest::RequestBuilder) -> (StatusCode, Value) {
    let response = request.send().await.expect("the server answers");
    let status = response.status();
    let text = response.text().await.expect("the answer is complete");
    (status, serde_json::from_str(&text).unwrap_or(Value::Null))
}
