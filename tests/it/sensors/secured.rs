//! The endpoint within TLS: whom it serves, and what becomes of a renewed certificate.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use chenlian::clock::Clock;
use chenlian::mqtt::endpoint::tls::{Certificate, Settings};
use chenlian::mqtt::endpoint::{self, StartError};
use chenlian::mqtt::ports::Ports;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::*;
use crate::harness::{World, certificate, needs, on_each_engine};

/// A folder with an authority and its certificate.
fn signed(openssl: &Path) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    certificate::make(openssl, folder.path());
    folder
}

fn settings(folder: &Path) -> Settings {
    Settings {
        listen: "127.0.0.1:0".parse().expect("a literal address"),
        cert_file: folder.join("cert.pem"),
        key_file: folder.join("key.pem"),
        look_period: Duration::ZERO,
    }
}

/// Whether a client that trusts this authority alone accepts what the server shows.
async fn is_trusted(certificate: &Certificate, authority: &Path) -> bool {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(authority).expect("a certificate")).expect("an authority");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().expect("versions of today");
    let connector = TlsConnector::from(Arc::new(builder.with_root_certificates(roots).with_no_client_auth()));
    let (ours, theirs) = tokio::io::duplex(16 * 1024);
    let name = ServerName::try_from("localhost").expect("a name");
    let (served, connected) = tokio::join!(certificate.acceptor().accept(ours), connector.connect(name, theirs));
    served.is_ok() && connected.is_ok()
}

#[tokio::test]
async fn a_renewed_certificate_is_taken_without_a_restart_and_a_broken_one_is_not() {
    let Some(openssl) = needs::program("openssl") else { return };
    let (first, second) = (signed(&openssl), signed(&openssl));
    let certificate = Certificate::read(settings(first.path())).expect("a good pair");
    let (old, new) = (first.path().join("old.pem"), second.path().join("ca.pem"));
    fs::copy(first.path().join("ca.pem"), &old).expect("the folder is writable");
    assert!(is_trusted(&certificate, &old).await && !is_trusted(&certificate, &new).await);

    // The certificate is there before its key: it does not fit yet.
    fs::copy(second.path().join("cert.pem"), first.path().join("cert.pem")).expect("the folder is writable");
    assert!(is_trusted(&certificate, &old).await, "the one before stays");
    fs::copy(second.path().join("key.pem"), first.path().join("key.pem")).expect("the folder is writable");
    assert!(is_trusted(&certificate, &new).await && !is_trusted(&certificate, &old).await);

    fs::write(first.path().join("cert.pem"), "half wri").expect("the folder is writable");
    assert!(is_trusted(&certificate, &new).await, "what cannot be read changes nothing");
}

#[tokio::test]
async fn what_is_no_certificate_stops_the_start_and_is_named() {
    let Some(openssl) = needs::program("openssl") else { return };
    let (folder, other) = (signed(&openssl), signed(&openssl));
    let (cert, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    let read = |cert_file: &Path, key_file: &Path| {
        let settings = Settings { cert_file: cert_file.to_owned(), key_file: key_file.to_owned(), ..settings(folder.path()) };
        Certificate::read(settings).err().map(|error| error.to_string()).unwrap_or_default()
    };
    assert_eq!(read(&cert, &key), "");
    let missing = folder.path().join("missing.pem");
    for (said, named) in [
        (read(&missing, &key), "missing.pem"),
        (read(&cert, &missing), "missing.pem"),
        (read(&key, &key), "key.pem: holds no certificate"),
        (read(&cert, &cert), "cert.pem: holds no private key"),
        (read(&cert, &other.path().join("key.pem")), "cert.pem"),
    ] {
        assert!(said.contains(named), "{said} does not name {named}");
    }
}

/// F6. A stranger who opens a connection and says nothing is gone after the one time that he has.
#[tokio::test]
async fn a_stranger_who_never_begins_tls_is_sent_away() {
    let Some(openssl) = needs::program("openssl") else { return };
    let folder = signed(&openssl);
    let (authenticate, _questions) = mpsc::channel(1);
    let (inbound, _messages) = mpsc::channel(1);
    let settings = endpoint::Settings {
        tls: Some(settings(folder.path())),
        connect_timeout: Duration::from_millis(200),
        ..endpoint::Settings::new("127.0.0.1:0".parse().expect("a literal address"))
    };
    let ports = Ports { authenticate, inbound, clock: Clock::System };
    let endpoint = endpoint::start(settings, ports).await.expect("it starts");
    let mut stream = TcpStream::connect(endpoint.tls_addr().expect("an address with TLS")).await.expect("it listens");
    let mut said = Vec::new();
    timeout(SOON, stream.read_to_end(&mut said)).await.expect("it is closed").ok();
    assert_eq!(said, Vec::<u8>::new());
    endpoint.stop().await;
}

#[tokio::test]
async fn an_address_that_is_taken_is_named() {
    let Some(openssl) = needs::program("openssl") else { return };
    let folder = signed(&openssl);
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let listen = taken.local_addr().expect("an address");
    let (authenticate, _questions) = mpsc::channel(1);
    let (inbound, _messages) = mpsc::channel(1);
    let settings = endpoint::Settings {
        tls: Some(Settings { listen, ..settings(folder.path()) }),
        ..endpoint::Settings::new("127.0.0.1:0".parse().expect("a literal address"))
    };
    let refused = endpoint::start(settings, Ports { authenticate, inbound, clock: Clock::System }).await.err();
    assert!(matches!(refused, Some(StartError::Listen { key: "mqtt.tls_listen", .. })), "{refused:?}");
}

#[tokio::test]
async fn a_client_of_mosquitto_speaks_within_tls_to_the_server_that_it_trusts() {
    let (Some(program), Some(openssl)) = (needs::program("mosquitto_pub"), needs::program("openssl")) else { return };
    on_each_engine(async |app: App| {
        let (folder, stranger) = (signed(&openssl), signed(&openssl));
        let world = World::seed(&app, 1).await;
        let app = with_settings(&app, |config| {
            "127.0.0.1:0".clone_into(&mut config.mqtt.tls_listen);
            config.mqtt.tls_cert_file = folder.path().join("cert.pem");
            config.mqtt.tls_key_file = folder.path().join("key.pem");
        });
        let running = running::start(&app).await.expect("the ingest starts");
        let sensor = install(&app, &world, native(&world, "d-1"), None).await;
        let port = running.listens_with_tls_on().expect("an endpoint").port().to_string();
        let publish = |authority: &Path| {
            let mut command = std::process::Command::new(&program);
            command.args(["-h", "localhost", "-p", &port, "-V", "mqttv311", "-u", "d-1", "-P", sensor.password()]);
            command.args(["-q", "1", "-m", "x", "-t", "chk/1/d-1/up/evt", "--cafile"]).arg(authority);
            let run = tokio::task::spawn_blocking(move || command.output().expect("mosquitto_pub runs"));
            async move { run.await.expect("it does not panic") }
        };
        let trusted = publish(&folder.path().join("ca.pem")).await;
        assert!(trusted.status.success(), "{}", String::from_utf8_lossy(&trusted.stderr));
        assert_eq!(quarantine(&app).await.len(), 1, "it was heard, and x is no message");
        assert!(!publish(&stranger.path().join("ca.pem")).await.status.success());
        assert_eq!(quarantine(&app).await.len(), 1);
        running.stop().await;
    })
    .await;
}
