//! A network between a server and its PostgreSQL that breaks on command: it loses an answer, or swallows everything on the
//! connections there are, and no side is told (F7).

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

const CHUNK_BYTES: usize = 16 * 1024;
/// What a simple query of these words looks like on the wire.
const COMMIT: &[u8] = b"commit\0";

pub struct Proxy {
    network: Arc<Network>,
}

#[derive(Default)]
struct Network {
    opened: AtomicUsize,
    /// Connections made before this one lead nowhere.
    leads_on_from: AtomicUsize,
    /// The answer to the commit of a transaction that carried these bytes gets lost.
    marked: Mutex<Option<Vec<u8>>>,
}

/// One connection through the proxy.
struct Line {
    number: usize,
    is_deaf: AtomicBool,
    network: Arc<Network>,
}

impl Line {
    fn leads_nowhere(&self) -> bool {
        self.number < self.network.leads_on_from.load(Ordering::SeqCst)
    }
}

impl Proxy {
    /// In front of the server of this URL; returns the URL that goes through it.
    pub async fn before(url: &str) -> (Self, String) {
        let (before, after) = url.split_once('@').expect("a URL with a user");
        let end = after.find(['/', '?']).unwrap_or(after.len());
        let server = after[..end].to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let network = Arc::<Network>::default();
        let url = format!("{before}@{address}{}", &after[end..]);
        let proxy = Self { network: Arc::clone(&network) };
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let number = network.opened.fetch_add(1, Ordering::SeqCst);
                let Ok(server) = TcpStream::connect(&server).await else { continue };
                let line = Arc::new(Line { number, is_deaf: AtomicBool::new(false), network: Arc::clone(&network) });
                let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
                tokio::spawn(ask(Arc::clone(&line), from_client, to_server));
                tokio::spawn(answer(line, from_server, to_client));
            }
        });
        (proxy, url)
    }

    /// The next commit of a transaction in which `mark` was sent reaches the server, and its answer never comes back.
    pub fn lose_the_answer_to_a_commit_of(&self, mark: &[u8]) {
        *self.network.marked.lock().expect("not poisoned") = Some(mark.to_vec());
    }

    pub fn has_lost_it(&self) -> bool {
        self.network.marked.lock().expect("not poisoned").is_none()
    }

    /// From now on whatever is open leads nowhere; what is opened later works.
    pub fn cut(&self) {
        let opened = self.network.opened.load(Ordering::SeqCst);
        self.network.leads_on_from.store(opened, Ordering::SeqCst);
    }
}

async fn ask(line: Arc<Line>, mut from_client: OwnedReadHalf, mut to_server: OwnedWriteHalf) {
    let mut chunk = vec![0; CHUNK_BYTES];
    let mut is_marked = false;
    while let Ok(length @ 1..) = from_client.read(&mut chunk).await {
        let said = &chunk[..length];
        {
            let mut marked = line.network.marked.lock().expect("not poisoned");
            is_marked |= marked.as_ref().is_some_and(|mark| contains(said, mark));
            if contains(said, COMMIT) && std::mem::take(&mut is_marked) && marked.take().is_some() {
                line.is_deaf.store(true, Ordering::SeqCst);
            }
        }
        if !line.leads_nowhere() && to_server.write_all(said).await.is_err() {
            return;
        }
    }
    // Nobody hears the end of a line that leads nowhere.
    if line.leads_nowhere() {
        std::future::pending::<()>().await;
    }
}

async fn answer(line: Arc<Line>, mut from_server: OwnedReadHalf, mut to_client: OwnedWriteHalf) {
    let mut chunk = vec![0; CHUNK_BYTES];
    while let Ok(length @ 1..) = from_server.read(&mut chunk).await {
        let is_lost = line.leads_nowhere() || line.is_deaf.load(Ordering::SeqCst);
        if !is_lost && to_client.write_all(&chunk[..length]).await.is_err() {
            return;
        }
    }
    std::future::pending::<()>().await;
}

fn contains(said: &[u8], word: &[u8]) -> bool {
    said.windows(word.len()).any(|window| window == word)
}
