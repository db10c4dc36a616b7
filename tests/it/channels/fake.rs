//! A provider on 127.0.0.1: a judge looks at each request as strictly as the vendor does, and the link breaks as it is told, before
//! or after the message was accepted.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What happens to one request.
#[derive(Debug, Clone)]
pub enum Play {
    /// The judge answers.
    Judge,
    /// This answer, whatever came; nothing is accepted.
    Answer(Answer),
    /// The judge never sees it: nothing is accepted.
    Before(Break),
    /// The judge sees it, and accepts it if it is right; its answer is lost.
    After(Break),
}

/// How a request ends without its answer.
#[derive(Debug, Clone, Copy)]
pub enum Break {
    /// No answer at all.
    Hang,
    /// The connection is reset.
    Reset,
    /// The connection ends in the middle of the answer.
    Cut,
    /// The answer trickles and does not end.
    Slow,
    /// An answer far over every limit.
    Huge,
    /// 200 with a page of some gateway.
    Html,
    /// A bare status of some gateway.
    Status(u16),
    /// 302 to `/elsewhere` of the same server: a request there was followed.
    Redirect,
}

#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn json(status: u16, body: &Value) -> Self {
        let headers = vec![("content-type", "application/json".to_owned())];
        Self { status, headers, body: body.to_string().into_bytes() }
    }

    pub fn text(status: u16, body: &str) -> Self {
        Self { status, headers: vec![("content-type", "text/plain".to_owned())], body: body.into() }
    }

    /// With `Retry-After` in seconds.
    pub fn later(status: u16, seconds: u32) -> Self {
        Self { headers: vec![("retry-after", seconds.to_string())], ..Self::text(status, "") }
    }
}

/// A request as it came over the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    pub method: String,
    pub path: String,
    /// Behind the question mark, as it was written.
    pub query: String,
    /// In the order in which they came, names in small letters.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Request {
    pub fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }

    /// The parameters of the query, decoded, in their order.
    pub fn parameters(&self) -> Vec<(String, String)> {
        url::form_urlencoded::parse(self.query.as_bytes()).into_owned().collect()
    }

    pub fn parameter(&self, name: &str) -> String {
        self.parameters().into_iter().find(|(known, _)| known == name).map(|(_, value)| value).unwrap_or_default()
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap_or_default()
    }

    /// The body; `Null` if it is not JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

/// Looks at a request, puts the identity of an accepted message onto the list, and answers.
pub type Judge = dyn FnMut(&Request, &mut Vec<String>) -> Answer + Send;

#[derive(Clone)]
pub struct Fake {
    /// `http://127.0.0.1:PORT`
    pub url: String,
    inner: Arc<Mutex<Inner>>,
}

struct Inner {
    plays: VecDeque<Play>,
    judge: Box<Judge>,
    requests: Vec<Request>,
    accepted: Vec<String>,
}

impl Fake {
    /// Plays `plays` in order, one per request; whatever comes after them goes to the judge.
    pub async fn start(plays: &[Play], judge: impl FnMut(&Request, &mut Vec<String>) -> Answer + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("bound"));
        let inner = Inner { plays: plays.to_vec().into(), judge: Box::new(judge), requests: Vec::new(), accepted: Vec::new() };
        let fake = Self { url, inner: Arc::new(Mutex::new(inner)) };
        let of_task = fake.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(of_task.clone().serve(stream));
            }
        });
        fake
    }

    pub fn requests(&self) -> Vec<Request> {
        self.inner.lock().expect("not poisoned").requests.clone()
    }

    /// The identities of accepted messages, in order, repeats included.
    pub fn accepted(&self) -> Vec<String> {
        self.inner.lock().expect("not poisoned").accepted.clone()
    }

    /// More plays, after those that are left.
    pub fn then(&self, plays: &[Play]) {
        self.inner.lock().expect("not poisoned").plays.extend(plays.iter().cloned());
    }

    /// The answer, or how the request ends instead.
    fn decide(&self, request: Request) -> (Answer, Option<Break>) {
        let mut inner = self.inner.lock().expect("not poisoned");
        let Inner { plays, judge, requests, accepted } = &mut *inner;
        let play = plays.pop_front().unwrap_or(Play::Judge);
        let decided = match play {
            Play::Judge => (judge(&request, accepted), None),
            Play::Answer(answer) => (answer, None),
            Play::Before(fault) => (Answer::text(200, ""), Some(fault)),
            Play::After(fault) => (judge(&request, accepted), Some(fault)),
        };
        requests.push(request);
        decided
    }

    async fn serve(self, mut stream: TcpStream) {
        let Some(request) = read(&mut stream).await else { return };
        let (answer, fault) = self.decide(request);
        let answer = match fault {
            None => answer,
            Some(Break::Html) => Answer::text(200, "<html><body>Welcome</body></html>"),
            Some(Break::Status(status)) => Answer::text(status, ""),
            Some(Break::Redirect) => {
                let headers = vec![("location", format!("{}/elsewhere", self.url))];
                Answer { status: 302, headers, body: Vec::new() }
            }
            Some(lost) => return lose(&mut stream, lost, &answer).await,
        };
        let _ = stream.write_all(&written(&answer, answer.body.len())).await;
    }
}

async fn lose(stream: &mut TcpStream, fault: Break, answer: &Answer) {
    match fault {
        Break::Reset => {
            let _ = socket2::SockRef::from(&*stream).set_linger(Some(Duration::ZERO));
        }
        Break::Cut => {
            let _ = stream.write_all(&written(answer, answer.body.len() + 40)).await;
        }
        Break::Slow => {
            let _ = stream.write_all(&written(answer, answer.body.len() + 10_000)).await;
            while stream.write_all(b" ").await.is_ok() {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
        Break::Huge => {
            let _ = stream.write_all(&written(answer, 99_999_999)).await;
            while stream.write_all(&[b' '; 8_192]).await.is_ok() {}
        }
        _ => tokio::time::sleep(Duration::from_mins(1)).await,
    }
}

/// An answer that promises `length` bytes of body.
fn written(answer: &Answer, length: usize) -> Vec<u8> {
    let more = answer.headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect::<Vec<_>>().concat();
    let head = format!("HTTP/1.1 {} x\r\nconnection: close\r\ncontent-length: {length}\r\n{more}\r\n", answer.status);
    [head.as_bytes(), &answer.body].concat()
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
    let mut words = lines.next()?.split(' ');
    let (method, target) = (words.next()?.to_owned(), words.next()?);
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let headers: Vec<(String, String)> =
        lines.filter_map(|line| line.split_once(": ")).map(|(name, value)| (name.to_lowercase(), value.to_owned())).collect();
    let request = Request { method, path: path.to_owned(), query: query.to_owned(), headers, body: Vec::new() };
    let length: usize = request.header("content-length").parse().unwrap_or(0);
    while bytes.len() < head + 4 + length {
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
    Some(Request { body: bytes[head + 4..].to_vec(), ..request })
}
