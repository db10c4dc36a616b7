//! A webhook receiver with faults: it plays what it is told, one entry per request, and remembers what came.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

#[derive(Debug, Clone, Copy)]
pub enum Play {
    Status(u16),
    /// A status with `Retry-After` in seconds.
    Later(u16, u32),
    /// Takes the request and closes without a word.
    Vanish,
    /// Takes the request and never answers.
    Hang,
    /// 200 with a body far over the limit, and then it does not end.
    Huge,
    Redirect,
}

#[derive(Debug, Clone)]
pub struct Request {
    pub at: Instant,
    pub line: String,
    pub headers: HashMap<String, String>,
    pub body: String,
}

#[derive(Clone)]
pub struct Receiver {
    pub url: String,
    seen: Arc<Mutex<Vec<Request>>>,
    plays: Arc<Mutex<Vec<Play>>>,
}

impl Receiver {
    /// Plays `plays` in order; the last one for all that follow.
    pub async fn start(plays: &[Play]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}/hook?token=t", listener.local_addr().expect("bound"));
        let receiver = Self { url, seen: Arc::default(), plays: Arc::new(Mutex::new(plays.to_vec())) };
        let of_task = receiver.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let receiver = of_task.clone();
                tokio::spawn(async move { receiver.serve(stream).await });
            }
        });
        receiver
    }

    pub fn requests(&self) -> Vec<Request> {
        self.seen.lock().expect("not poisoned").clone()
    }

    async fn serve(self, mut stream: TcpStream) {
        let Some(request) = read(&mut stream).await else { return };
        let play = {
            let mut seen = self.seen.lock().expect("not poisoned");
            seen.push(request);
            let plays = self.plays.lock().expect("not poisoned");
            plays[(seen.len() - 1).min(plays.len() - 1)]
        };
        let answer = |status: u16, more: &str| format!("HTTP/1.1 {status} x\r\nconnection: close\r\n{more}content-length: 0\r\n\r\n");
        let text = match play {
            Play::Status(status) => answer(status, ""),
            Play::Later(status, seconds) => answer(status, &format!("retry-after: {seconds}\r\n")),
            Play::Redirect => answer(302, "location: http://127.0.0.1:1/elsewhere\r\n"),
            Play::Vanish => return,
            Play::Hang => return tokio::time::sleep(Duration::from_mins(1)).await,
            Play::Huge => {
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 99999999\r\n\r\n").await;
                let chunk = vec![b'x'; 65_536];
                while stream.write_all(&chunk).await.is_ok() {}
                return;
            }
        };
        let _ = stream.write_all(text.as_bytes()).await;
    }
}

async fn read(stream: &mut TcpStream) -> Option<Request> {
    let mut bytes = Vec::new();
    let head = loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break end;
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let text = String::from_utf8_lossy(&bytes[..head]).into_owned();
    let mut lines = text.lines();
    let line = lines.next()?.to_owned();
    let headers: HashMap<String, String> =
        lines.filter_map(|line| line.split_once(": ")).map(|(name, value)| (name.to_lowercase(), value.to_owned())).collect();
    let length: usize = headers.get("content-length").map_or(0, |length| length.parse().expect("a length"));
    while bytes.len() < head + 4 + length {
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
    let body = String::from_utf8(bytes[head + 4..].to_vec()).expect("a text body");
    Some(Request { at: Instant::now(), line, headers, body })
}
