//! The accept loop. `axum::serve` waits for ever for headers that never come: 300 half-sent requests silence it (F6). Here
//! headers have a time limit, and so has every pause of a client that does not take its answer; connections have a number, in all
//! and per address; a stop lasts at most ten seconds.

use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use hyper::body::Incoming;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use super::crowd::Crowd;
use super::envelope::Socket;
use super::patient::Patient;
use super::throttle::household;

/// Open requests get this long to end after a stop.
const STOP_SECONDS_MAX: u64 = 10;
/// Without free file descriptors the loop rests instead of spinning.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);
const KEEPALIVE_IDLE: Duration = Duration::from_secs(30);
const KEEPALIVE_PROBE: Duration = Duration::from_secs(10);
const HEADERS_BYTES_MAX: usize = 16 * 1024;
const HEADERS_MAX: usize = 64;

/// How patient the loop is.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// For the headers of a request, and for a client to take the next piece of an answer.
    pub header_timeout: Duration,
    pub connections_max: usize,
    /// Of one address; behind a proxy all come from it, and `envelope` counts the clients that it names.
    pub connections_each_max: usize,
}

/// Serves `router` until `stop`, then lets open requests end.
pub async fn serve(listener: TcpListener, router: Router, limits: Limits, stop: CancellationToken) {
    let graceful = GracefulShutdown::new();
    let places = Arc::new(Semaphore::new(limits.connections_max));
    let crowd = Crowd::new(limits.connections_each_max);
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        // At the limit nobody new is accepted: the kernel keeps a queue, and slow clients time out.
        let place = tokio::select! {
            () = stop.cancelled() => break,
            place = places.clone().acquire_owned() => place.expect("the semaphore is never closed"),
        };
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        let (stream, address) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                rest_after(&error).await;
                continue;
            }
        };
        let Some(own) = crowd.enter(household(address.ip())) else { continue };
        prepare(&stream, limits.header_timeout);
        let routed = router.clone().map_request(move |request: Request<Incoming>| {
            let mut request = request.map(Body::new);
            request.extensions_mut().insert(Socket(address));
            request
        });
        let connection = hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(limits.header_timeout)
            .max_buf_size(HEADERS_BYTES_MAX)
            .max_headers(HEADERS_MAX)
            .serve_connection(TokioIo::new(Patient::new(stream, limits.header_timeout)), TowerToHyperService::new(routed));
        let watched = graceful.watch(connection);
        connections.spawn(async move {
            let _places = (place, own);
            // A client that breaks the protocol or leaves is no event of ours.
            let _ = watched.await;
        });
    }
    drop(listener);
    if tokio::time::timeout(Duration::from_secs(STOP_SECONDS_MAX), graceful.shutdown()).await.is_err() {
        tracing::warn!("some requests did not end in time and are cut off; their writes go on in their own tasks");
    }
}

/// A connection that died in the queue concerns nobody; anything else (no file descriptors, no memory) needs a rest.
async fn rest_after(error: &std::io::Error) {
    let gone = matches!(error.kind(), ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset | ErrorKind::ConnectionRefused);
    if !gone {
        tracing::warn!(kind = ?error.kind(), code = error.raw_os_error(), "a connection could not be accepted");
        tokio::time::sleep(ACCEPT_PAUSE).await;
    }
}

fn prepare(stream: &TcpStream, patience: Duration) {
    let keepalive = socket2::TcpKeepalive::new().with_time(KEEPALIVE_IDLE).with_interval(KEEPALIVE_PROBE);
    let socket = socket2::SockRef::from(stream);
    let applied = stream.set_nodelay(true).and_then(|()| socket.set_tcp_keepalive(&keepalive));
    // A phone that lost its network acknowledges nothing: its open stream ends soon, not after the kernel's quarter of an hour.
    #[cfg(target_os = "linux")]
    let applied = applied.and_then(|()| socket.set_tcp_user_timeout(Some(patience.max(KEEPALIVE_IDLE))));
    #[cfg(not(target_os = "linux"))]
    let _ = patience;
    if let Err(error) = applied {
        tracing::debug!(kind = ?error.kind(), "socket options were not set");
    }
}
