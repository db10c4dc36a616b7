//! A mosquitto of one test's own, on a free loopback port, with the configuration that the project ships.

use super::needs;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// Without any progress for so long something is broken; a busy machine is slow, and goes on.
const WAIT_MAX: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(20);

/// Killed, not stopped, when it goes out of scope: a broker that loses something by that is the finding.
pub struct Broker {
    port: u16,
    folder: tempfile::TempDir,
    process: Child,
    mosquitto: PathBuf,
    publish: PathBuf,
    subscribe: PathBuf,
}

impl Broker {
    /// Starts with one account per name, each name being its own password; none where mosquitto is not installed.
    pub fn start(accounts: &[&str]) -> Option<Broker> {
        Self::start_with(accounts, |shipped| shipped)
    }

    /// A broker that somebody set up without reading what is shipped: any size goes.
    pub fn start_without_size_limit(accounts: &[&str]) -> Option<Broker> {
        Self::start_with(accounts, |shipped| {
            assert!(shipped.contains("\nmessage_size_limit "), "the shipped configuration has a limit");
            shipped.replace("\nmessage_size_limit ", "\n#")
        })
    }

    /// The shipped configuration with access rules of the test's own.
    pub fn start_with_rules(accounts: &[&str], rules: &str) -> Option<Broker> {
        let mut broker = Self::start(accounts)?;
        fs::write(broker.folder.path().join("rules"), rules).expect("the folder is writable");
        broker.kill_and_restart();
        Some(broker)
    }

    /// The broker of a home, which lets anybody in the home speak and hands on to `city` what the shipped bridge names.
    pub fn start_at_home(city: &Broker, account: &str, site: &str) -> Option<Broker> {
        let bridge = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/mosquitto-bridge.conf");
        let mut bridge = fs::read_to_string(bridge).expect("the bridge is there");
        for (theirs, ours) in [
            ("BROKER:8883", format!("127.0.0.1:{}", city.port)),
            ("remote_username ACCOUNT", format!("remote_username {account}")),
            ("remote_password PASSWORD", format!("remote_password {account}")),
            // The test's own city speaks without TLS on loopback.
            ("\nbridge_cafile ", "\n#".to_owned()),
            ("site/SITE/", format!("site/{site}/")),
            ("restart_timeout 5 60", "restart_timeout 1 1".to_owned()),
        ] {
            assert!(bridge.contains(theirs), "the shipped bridge has no {theirs}");
            bridge = bridge.replace(theirs, &ours);
        }
        Self::start_with(&[], |shipped| {
            let inside = shipped.replace("allow_anonymous false", "allow_anonymous true");
            let lines = inside.lines().filter(|line| !line.starts_with("password_file") && !line.starts_with("acl_file"));
            format!("{}\n{bridge}", lines.collect::<Vec<_>>().join("\n"))
        })
    }

    fn start_with(accounts: &[&str], change: impl Fn(String) -> String) -> Option<Broker> {
        let mosquitto = needs::program("mosquitto")?;
        let passwords = needs::program("mosquitto_passwd")?;
        let publish = needs::program("mosquitto_pub")?;
        let subscribe = needs::program("mosquitto_sub")?;
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let port = free_port();
        fs::write(folder.path().join("passwords"), "").expect("the folder is writable");
        for account in accounts {
            let made = Command::new(&passwords)
                .arg("-b")
                .arg(folder.path().join("passwords"))
                .args([account, account])
                .status()
                .expect("mosquitto_passwd runs");
            assert!(made.success(), "no account for {account}");
        }
        let configuration = change(shipped_configuration(folder.path(), port));
        fs::write(folder.path().join("conf"), configuration).expect("the folder is writable");
        let process = run(&mosquitto, folder.path(), port);
        Some(Broker { port, folder, process, mosquitto, publish, subscribe })
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// kill -9, and a new process on the same files.
    pub fn kill_and_restart(&mut self) {
        self.pause();
        self.go_on();
    }

    /// kill -9.
    pub fn pause(&mut self) {
        self.kill();
    }

    /// A new process on the same files.
    pub fn go_on(&mut self) {
        self.process = run(&self.mosquitto, self.folder.path(), self.port);
    }

    /// Publishes each line with QoS 1 and tells whether all were acknowledged; a client that is cut off tries for ever.
    pub fn publish(&self, account: Option<&str>, topic: &str, lines: &str) -> bool {
        self.send(account, topic, lines, &["-l"])
    }

    /// Publishes one message that the broker keeps for later subscribers.
    pub fn publish_kept(&self, account: &str, topic: &str, message: &str) -> bool {
        self.send(Some(account), topic, message, &["-s", "-r"])
    }

    /// Makes it keep nothing there any more.
    pub fn forget(&self, account: &str, topic: &str) -> bool {
        self.send(Some(account), topic, "", &["-n", "-r"])
    }

    /// What the broker keeps under a topic that the account may read.
    pub fn kept(&self, account: &str, topic: &str) -> Option<Vec<u8>> {
        let mut command = self.client(&self.subscribe, Some(account));
        command.args(["-t", topic, "--retained-only", "-C", "1", "-W", "1", "-N"]);
        let output = command.stderr(Stdio::null()).output().expect("mosquitto_sub runs");
        Some(output.stdout).filter(|kept| !kept.is_empty())
    }

    /// Publishes one message as it is.
    pub fn publish_bytes(&self, account: &str, topic: &str, message: &[u8]) -> bool {
        self.send(Some(account), topic, message, &["-s"])
    }

    fn send(&self, account: Option<&str>, topic: &str, input_text: impl AsRef<[u8]>, how: &[&str]) -> bool {
        let input = self.folder.path().join("lines");
        fs::write(&input, input_text).expect("the folder is writable");
        let mut command = self.client(&self.publish, account);
        command.args(["-q", "1", "-t", topic]).args(how).stdin(fs::File::open(&input).expect("just written"));
        let mut client = command.stderr(Stdio::null()).spawn().expect("mosquitto_pub runs");
        let mut ended = None;
        self.while_it_takes(|| {
            ended = client.try_wait().expect("the client is a child");
            ended.is_some()
        });
        if let Some(status) = ended {
            return status.success();
        }
        client.kill().expect("the client was running");
        client.wait().expect("the client is a child");
        false
    }

    /// Waits until it is so; gives up when the broker has written nothing down for long. How much it takes in a second is the
    /// machine's affair: it writes its whole file after every message.
    fn while_it_takes(&self, mut is_so: impl FnMut() -> bool) -> bool {
        let written = || fs::metadata(self.database()).ok().map(|file| (file.len(), file.modified().ok()));
        let (mut last, mut moved_at) = (written(), Instant::now());
        loop {
            if is_so() {
                return true;
            }
            let now = written();
            if now != last {
                (last, moved_at) = (now, Instant::now());
            }
            if moved_at.elapsed() > WAIT_MAX {
                return false;
            }
            std::thread::sleep(POLL);
        }
    }

    fn database(&self) -> PathBuf {
        self.folder.path().join("mosquitto.db")
    }

    /// Makes a session that outlives its connection, subscribed to everything that the account may read.
    pub fn subscribe(&self, account: &str, topics: &[&str]) {
        let mut command = self.session(account, topics);
        assert!(command.arg("-E").status().expect("mosquitto_sub runs").success());
    }

    /// The first so many that wait in that session, as `topic payload`; fewer if they do not come.
    pub fn waiting(&self, account: &str, topics: &[&str], count: usize) -> Vec<String> {
        let mut command = self.session(account, topics);
        command.args(["-v", "-C", &count.to_string()]).stdout(Stdio::piped());
        let mut client = command.spawn().expect("mosquitto_sub runs");
        let output = BufReader::new(client.stdout.take().expect("its output is piped"));
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || output.split(b'\n').map_while(Result::ok).try_for_each(|line| sender.send(line)));
        let mut heard = Vec::new();
        // It ends by itself with the last one, and then its output does.
        while let Ok(line) = lines.recv_timeout(WAIT_MAX) {
            heard.push(String::from_utf8_lossy(&line).into_owned());
        }
        let _ = client.kill();
        client.wait().expect("the client is a child");
        heard
    }

    /// Waits until the broker's file holds the text, so that killing it tests what is kept and not what is timed.
    pub fn wait_until_saved(&self, text: &str) {
        let holds = || {
            let saved = fs::read(self.database()).unwrap_or_default();
            saved.windows(text.len()).any(|window| window == text.as_bytes())
        };
        assert!(self.while_it_takes(holds), "the broker saves what it acknowledged");
    }

    fn session(&self, account: &str, topics: &[&str]) -> Command {
        let mut command = self.client(&self.subscribe, Some(account));
        command.args(["-i", account, "-c", "-q", "1"]);
        for topic in topics {
            command.args(["-t", topic]);
        }
        command
    }

    fn client(&self, program: &Path, account: Option<&str>) -> Command {
        let mut command = Command::new(program);
        command.args(["-h", "127.0.0.1", "-p", &self.port.to_string()]);
        if let Some(account) = account {
            command.args(["-u", account, "-P", account]);
        }
        command
    }

    fn kill(&mut self) {
        self.process.kill().expect("the broker was running");
        self.process.wait().expect("the broker was a child");
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.kill();
    }
}

/// `deploy/mosquitto.conf` with this test's port and folder in place of the machine's, and nothing else changed.
fn shipped_configuration(folder: &Path, port: u16) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let shipped = fs::read_to_string(root.join("deploy/mosquitto.conf")).expect("the configuration is there");
    let folder_text = folder.to_str().expect("temporary folders have plain names");
    let rules = root.join("deploy/mosquitto.acl");
    fs::copy(rules, folder.join("rules")).expect("the access rules are there");
    let mut own = shipped;
    for (theirs, ours) in [
        ("/etc/mosquitto/chenlian.passwd", format!("{folder_text}/passwords")),
        ("/etc/mosquitto/chenlian.acl", format!("{folder_text}/rules")),
        ("/var/lib/mosquitto/", format!("{folder_text}/")),
        ("\nlistener 1883 127.0.0.1\n", format!("\nlistener {port} 127.0.0.1\n")),
    ] {
        assert!(own.contains(theirs), "the shipped configuration has no {theirs}");
        own = own.replace(theirs, &ours);
    }
    // Started by root it would become another user, who cannot read this test's folder.
    own + "\nuser root\n"
}

fn run(mosquitto: &Path, folder: &Path, port: u16) -> Child {
    let process = Command::new(mosquitto).arg("-c").arg(folder.join("conf")).stderr(Stdio::null()).spawn().expect("mosquitto starts");
    wait_until("the broker listens", || TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok());
    process
}

fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has a free port");
    listener.local_addr().expect("a bound socket has an address").port()
}

fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let started = Instant::now();
    while !is_so() {
        assert!(started.elapsed() < WAIT_MAX, "not within {WAIT_MAX:?}: {what}");
        std::thread::sleep(POLL);
    }
}
