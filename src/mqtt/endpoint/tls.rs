//! The certificate of the listener with TLS.
//!
//! Certificates are renewed every few weeks by programs that know nothing of this one. Their files are looked at again when a
//! client comes, and a renewed pair takes over without a restart; a pair that cannot be used is told in the log, and the one
//! before stays.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use rustls::ServerConfig;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    pub listen: SocketAddr,
    /// PEM: the server's certificate, then those between it and the authority.
    pub cert_file: PathBuf,
    /// PEM: the private key that belongs to it.
    pub key_file: PathBuf,
    /// The files are looked at no more often than this.
    pub look_period: Duration,
}

/// Why a certificate cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    #[error("{path}: {source}")]
    File { path: String, source: io::Error },
    #[error("{path}: holds no certificate in PEM form")]
    NoCertificate { path: String },
    #[error("{path}: holds no private key in PEM form")]
    NoKey { path: String },
    #[error("{path}: {source}")]
    Unfit { path: String, source: rustls::Error },
}

/// A certificate with its key, as of the newest readable state of both files.
pub struct Certificate {
    settings: Settings,
    current: Mutex<Current>,
}

struct Current {
    config: Arc<ServerConfig>,
    /// When the files were written that were read last, usable or not.
    written: [Option<SystemTime>; 2],
    look_again_at: Instant,
}

impl Certificate {
    pub fn read(settings: Settings) -> Result<Self, CertificateError> {
        let written = written(&settings);
        let config = Arc::new(configuration(&settings)?);
        let current = Current { config, written, look_again_at: Instant::now() + settings.look_period };
        Ok(Self { settings, current: Mutex::new(current) })
    }

    /// What answers a client that comes now.
    pub fn acceptor(&self) -> TlsAcceptor {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if now >= current.look_again_at {
            current.look_again_at = now + self.settings.look_period;
            self.renew(&mut current);
        }
        TlsAcceptor::from(Arc::clone(&current.config))
    }

    fn renew(&self, current: &mut Current) {
        let written = written(&self.settings);
        if written == current.written {
            return;
        }
        match configuration(&self.settings) {
            Ok(config) => {
                current.config = Arc::new(config);
                tracing::info!("the certificate of mqtt.tls_listen has been read again");
            }
            // Half written, perhaps: what comes next is another state and is read again.
            Err(error) => tracing::error!(%error, "the new certificate of mqtt.tls_listen cannot be used; the one before stays"),
        }
        current.written = written;
    }
}

fn written(settings: &Settings) -> [Option<SystemTime>; 2] {
    [&settings.cert_file, &settings.key_file].map(|file| fs::metadata(file).and_then(|found| found.modified()).ok())
}

fn configuration(settings: &Settings) -> Result<ServerConfig, CertificateError> {
    let (cert_path, key_path) = (settings.cert_file.display().to_string(), settings.key_file.display().to_string());
    let text = fs::read(&settings.cert_file).map_err(|source| CertificateError::File { path: cert_path.clone(), source })?;
    let chain: Result<Vec<CertificateDer<'static>>, pem::Error> = CertificateDer::pem_slice_iter(&text).collect();
    let chain = chain.ok().filter(|chain| !chain.is_empty()).ok_or(CertificateError::NoCertificate { path: cert_path.clone() })?;
    let text = fs::read(&settings.key_file).map_err(|source| CertificateError::File { path: key_path.clone(), source })?;
    let key = PrivateKeyDer::from_pem_slice(&text).map_err(|_| CertificateError::NoKey { path: key_path })?;
    let unfit = |source| CertificateError::Unfit { path: cert_path.clone(), source };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().map_err(unfit)?;
    builder.with_no_client_auth().with_single_cert(chain, key).map_err(unfit)
}
