//! One installation of the built program in a folder of its own, on free loopback ports, speaking English.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// No measure of anything: a test that would wait for ever ends.
pub const WAIT_MAX: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(20);

pub struct Installation {
    pub folder: tempfile::TempDir,
    /// `None`: the file in the data folder.
    database: Option<String>,
}

impl Installation {
    pub fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a temporary folder"), database: None }
    }

    pub fn on(database: String) -> Self {
        Self { database: Some(database), ..Self::new() }
    }

    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    pub fn database(&self) -> PathBuf {
        self.data().join("chenlian.db")
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_chenlian"));
        command
            .args(arguments)
            .current_dir(self.folder.path())
            .env("CHENLIAN_DATA__FOLDER", self.data())
            .env("CHENLIAN_HTTP__LISTEN", "127.0.0.1:0")
            .env("CHENLIAN_HTTP__OPS_LISTEN", "127.0.0.1:0")
            .env("CHENLIAN_MQTT__LISTEN", "127.0.0.1:0")
            .env("LANG", "en_US.UTF-8")
            .env_remove("LC_ALL")
            .env_remove("LC_MESSAGES")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        if let Some(database) = &self.database {
            command.env("CHENLIAN_DATABASE__URL", database);
        }
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Told {
        Told::of(self.command(arguments).output().expect("the program runs"))
    }

    /// Runs with this on standard input.
    pub fn run_with(&self, arguments: &[&str], input: &str) -> Told {
        let mut child = self.command(arguments).stdin(Stdio::piped()).spawn().expect("the program runs");
        let mut stdin = child.stdin.take().expect("stdin is a pipe");
        // A program that refuses before it reads has closed the pipe.
        let _ = stdin.write_all(input.as_bytes());
        drop(stdin);
        Told::of(child.wait_with_output().expect("the program ends"))
    }

    pub fn add_administrator(&self) -> Told {
        let add = ["member", "add", "--phone", "13800138000", "--name", "王", "--role", "administrator", "--password-stdin"];
        self.run_with(&add, "every morning\n")
    }

    /// A server that takes requests.
    pub fn serve(&self) -> Server {
        Server::start(self.command(&["serve"]))
    }
}

/// What a command said, and its exit code.
#[derive(Debug)]
pub struct Told {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Told {
    fn of(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("the program writes UTF-8");
        Self { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }

    #[track_caller]
    pub fn succeeded(self) -> Self {
        assert_eq!(self.code, Some(0), "{self:?}");
        self
    }

    /// Ended with this code and these words, on either screen.
    #[track_caller]
    pub fn refused(self, code: i32, words: &[&str]) -> Self {
        assert_eq!(self.code, Some(code), "{self:?}");
        for word in words {
            assert!(self.out.contains(word) || self.err.contains(word), "{word} is not said: {self:?}");
        }
        self
    }
}

/// Killed when it goes out of scope.
pub struct Server {
    pub child: Child,
    pub http: SocketAddr,
    pub ops: SocketAddr,
    pub greeting: String,
    out: BufReader<ChildStdout>,
}

impl Server {
    pub fn start(mut command: Command) -> Self {
        let mut child = command.stderr(Stdio::inherit()).spawn().expect("the program runs");
        let mut out = BufReader::new(child.stdout.take().expect("stdout is a pipe"));
        let mut greeting = String::new();
        out.read_line(&mut greeting).expect("the server says where it is");
        let address = |path: &str| {
            let (before, _) = greeting.split_once(path).unwrap_or_else(|| panic!("no address in {greeting:?}"));
            let (_, address) = before.rsplit_once("http://").expect("an address is a URL");
            address.parse().expect("host and port")
        };
        let (http, ops) = (address("/api/docs"), address("/ready"));
        Self { child, http, ops, greeting, out }
    }

    /// The lines after the first, up to and including the one with this word.
    pub fn says(&mut self, word: &str) -> String {
        let mut said = String::new();
        while !said.contains(word) {
            let bytes = self.out.read_line(&mut said).expect("stdout is read");
            assert_ne!(bytes, 0, "the server never said {word}: {said}");
        }
        said
    }

    pub fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args([&format!("-{name}"), &id]).status().expect("kill runs").success());
    }

    /// A request whose handler waits for a body that never comes: `100 Continue` is said when it begins to read. Bytes that
    /// were sent and not yet read would hold nothing: a server that stops closes such a connection at once.
    pub fn holds_a_request(&self) -> TcpStream {
        let mut half = TcpStream::connect(self.http).expect("the server listens");
        let head = "POST /api/v1/sessions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 10\r\n";
        half.write_all(format!("{head}Expect: 100-continue\r\n\r\n").as_bytes()).expect("a head is sent");
        half.set_read_timeout(Some(WAIT_MAX)).expect("a time that is not nothing");
        let mut said = [0; 12];
        half.read_exact(&mut said).expect("the server wants the body");
        assert_eq!(&said, b"HTTP/1.1 100");
        half
    }

    /// Waits until nobody is taken any more, which is the first step of a stop.
    pub fn is_stopping(&self) {
        let started = Instant::now();
        while TcpStream::connect(self.http).is_ok() {
            assert!(started.elapsed() < WAIT_MAX, "the stop does not begin");
            std::thread::sleep(POLL);
        }
    }

    /// The exit code.
    pub fn wait(&mut self) -> Option<i32> {
        let started = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("the server is a child") {
                return status.code();
            }
            assert!(started.elapsed() < WAIT_MAX, "the server does not end");
            std::thread::sleep(POLL);
        }
    }

    #[track_caller]
    pub fn stop(mut self) {
        self.signal("TERM");
        assert_eq!(self.wait(), Some(0));
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has a free port");
    listener.local_addr().expect("a bound socket has an address").port()
}

pub fn client() -> reqwest::Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(10)).build().expect("a client without TLS files")
}
