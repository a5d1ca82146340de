//! The certificate of an HTTPS listener, read again when its files change.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

use crate::settings::Identity;

/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(if cfg!(test) { 0 } else { 5 });

/// When the two files were last written.
type Stamp = [Option<SystemTime>; 2];

pub(super) struct Certificate {
    files: Identity,
    current: Mutex<Current>,
}

struct Current {
    config: Arc<ServerConfig>,
    stamp: Stamp,
    looked: Instant,
}

impl Certificate {
    pub(super) fn load(files: &Identity) -> io::Result<Self> {
        let (config, stamp, looked) = (read(files)?, stamp(files), Instant::now());
        let current = Mutex::new(Current { config, stamp, looked });
        Ok(Self { files: files.clone(), current })
    }

    /// For the next connection.
    pub(super) fn acceptor(&self) -> TlsAcceptor {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if current.looked.elapsed() >= LOOK {
            current.looked = Instant::now();
            let now = stamp(&self.files);
            if now != current.stamp {
                match read(&self.files) {
                    Ok(config) => {
                        (current.config, current.stamp) = (config, now);
                        tracing::info!("the certificate of http was read again");
                    }
                    // Half a renewal: the old one is still good, and the next look may find more.
                    Err(error) => tracing::warn!(%error, "the old certificate is kept"),
                }
            }
        }
        TlsAcceptor::from(current.config.clone())
    }
}

fn stamp(files: &Identity) -> Stamp {
    let written = |file: &PathBuf| std::fs::metadata(file).and_then(|file| file.modified()).ok();
    [written(&files.certificate), written(&files.key)]
}

fn read(files: &Identity) -> io::Result<Arc<ServerConfig>> {
    let wrong = |file: &Path, error: String| {
        io::Error::new(io::ErrorKind::InvalidData, format!("{}: {error}", file.display()))
    };
    let chain = CertificateDer::pem_file_iter(&files.certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| wrong(&files.certificate, error.to_string()))?;
    let key = PrivateKeyDer::from_pem_file(&files.key)
        .map_err(|error| wrong(&files.key, error.to_string()))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|error| wrong(&files.certificate, error.to_string()))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}
