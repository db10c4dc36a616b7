//! A real mail server of one test's own (exim, as any user, on free loopback ports), which takes letters with TLS and a password only and
//! delivers them into a folder.

use std::fs;
use std::net::{Ipv4Addr, TcpStream};
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::cli::binary::free_port;
use crate::harness::{certificate, needs};

const WAIT_MAX: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(20);
/// It delivers nothing as root: the tests of a container run as root, the server then as nobody.
const NOBODY: u32 = 65_534;

pub struct MailServer {
    folder: tempfile::TempDir,
    process: Child,
    /// STARTTLS.
    pub port: u16,
    /// TLS from the first byte.
    pub tls_port: u16,
}

impl MailServer {
    /// None where exim or openssl is not installed.
    pub fn start() -> Option<Self> {
        let (exim, openssl) = (needs::program("exim4")?, needs::program("openssl")?);
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (path, owner) = (folder.path(), fs::metadata(folder.path()).expect("it is there").uid());
        let user = if owner == 0 { NOBODY } else { owner };
        certificate::make(&openssl, path);
        let (port, tls_port) = (free_port(), free_port());
        fs::write(path.join("conf"), configuration(path, user, port, tls_port)).expect("the folder is writable");
        let mut command = Command::new(exim);
        if owner == 0 {
            for entry in fs::read_dir(path).expect("a folder").flatten().map(|entry| entry.path()).chain([path.to_owned()]) {
                chown(entry, Some(user), Some(user)).expect("root may give away");
            }
            command.uid(user).gid(user);
        }
        let log = fs::File::create(path.join("said")).expect("the folder is writable");
        let process = command.arg("-C").arg(path.join("conf")).arg("-bdf").stdin(Stdio::null()).stderr(log).spawn().expect("exim starts");
        let server = Self { folder, process, port, tls_port };
        for port in [port, tls_port] {
            server.wait_for("an answer", || TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok());
        }
        Some(server)
    }

    /// The authority that signed the server's certificate.
    pub fn authority(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// The letters that have been delivered, as soon as there are so many.
    pub fn letters(&self, count: usize) -> Vec<String> {
        let new = self.folder.path().join("mail/new");
        let files = || -> Vec<PathBuf> { fs::read_dir(&new).into_iter().flatten().flatten().map(|entry| entry.path()).collect() };
        let files = self.wait_for("letters", || Some(files()).filter(|files| files.len() >= count));
        files.iter().map(|file| fs::read_to_string(file).expect("a letter is text")).collect()
    }

    fn wait_for<T>(&self, what: &str, mut found: impl FnMut() -> Option<T>) -> T {
        let started = Instant::now();
        loop {
            if let Some(found) = found() {
                return found;
            }
            let log = || fs::read_to_string(self.folder.path().join("said")).unwrap_or_default();
            assert!(started.elapsed() < WAIT_MAX, "no {what}: {}", log());
            std::thread::sleep(POLL);
        }
    }
}

impl Drop for MailServer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// An authority, and a certificate of it for `localhost`.
fn configuration(folder: &Path, user: u32, port: u16, tls_port: u16) -> String {
    let folder = folder.display();
    format!(
        "exim_user = {user}
exim_group = {user}
never_users =
deliver_drop_privilege = true
keep_environment =
spool_directory = {folder}/spool
log_file_path = {folder}/log-%s
pid_file_path = {folder}/pid
primary_hostname = localhost
local_interfaces = 127.0.0.1
daemon_smtp_ports = {port} : {tls_port}
tls_on_connect_ports = {tls_port}
tls_advertise_hosts = *
tls_certificate = {folder}/cert.pem
tls_privatekey = {folder}/key.pem
acl_smtp_rcpt = recipient
begin acl
recipient:
  deny !authenticated = *
       message = Authentication required
  accept domains = example.org
         local_parts = wang
  deny message = no such mailbox
begin routers
all:
  driver = accept
  transport = folder
begin transports
folder:
  driver = appendfile
  maildir_format
  create_directory
  directory = {folder}/mail
  user = {user}
  group = {user}
begin authenticators
plain:
  driver = plaintext
  public_name = PLAIN
  server_prompts = :
  server_condition = ${{if and{{{{eq{{$auth2}}{{chenlian}}}}{{eq{{$auth3}}{{horse battery}}}}}}}}
  server_set_id = $auth2
  server_advertise_condition = ${{if def:tls_in_cipher}}
"
    )
}
