//! TLS for SIP: 1.2 and 1.3 with AEAD suites only (RFC 8996, RFC 9325; E-42), ring underneath.
//!
//! Towards a next hop the certificate must name the hop as the operator wrote it (RFC 5922); see
//! [`verifier`](self::verifier::HopVerifier) for what counts as a name.

mod verifier;

#[cfg(test)]
pub(crate) mod tests;

use openfed_node::settings::{Identity, Tls};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use verifier::HopVerifier;

/// Why TLS cannot be offered or used as configured. The operator's to mend.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file is absent, unreadable or holds no PEM of the wanted kind.
    #[error("{path}: {reason}")]
    File {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Certificate and key do not fit, or an authority is unusable.
    #[error("{0}")]
    Unusable(#[from] rustls::Error),
    /// The authority for client certificates is unusable.
    #[error("client authority: {0}")]
    ClientAuthority(#[from] rustls::server::VerifierBuilderError),
}

/// What the sockets need: how we answer as a server, and how we ask as a client.
#[derive(Debug, Clone)]
pub struct TlsConfigs {
    /// `None` without a certificate of our own: then nothing can listen on TLS.
    pub server: Option<Arc<ServerConfig>>,
    /// For next hops.
    pub client: Arc<ClientConfig>,
}

impl TlsConfigs {
    /// Reads the files of `[sip.tls]`, and `client_authority` if clients that show a certificate
    /// shall be verified.
    ///
    /// # Errors
    /// [`TlsError`] naming the file.
    pub fn load(settings: &Tls, client_authority: Option<&Path>) -> Result<Self, TlsError> {
        let server = match &settings.identity {
            Some(identity) => Some(Arc::new(server_config(identity, client_authority)?)),
            None => None,
        };
        let roots = trusted_roots(settings.ca.as_deref())?;
        let client = client_config(roots, settings.identity.as_ref())?;
        Ok(Self { server, client: Arc::new(client) })
    }
}

/// A listener's side. With `client_authority` a client may show a certificate, and one that does
/// not descend from that authority ends the handshake (RFC 5922 §7.4).
///
/// # Errors
/// [`TlsError`].
pub fn server_config(
    identity: &Identity,
    client_authority: Option<&Path>,
) -> Result<ServerConfig, TlsError> {
    let builder = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?;
    let builder = match client_authority {
        Some(path) => {
            let mut roots = RootCertStore::empty();
            add_roots(&mut roots, path)?;
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider())
                .allow_unauthenticated()
                .build()?;
            builder.with_client_cert_verifier(verifier)
        }
        None => builder.with_no_client_auth(),
    };
    Ok(builder.with_single_cert(certificates(&identity.certificate)?, key(&identity.key)?)?)
}

/// Our side towards a next hop; `identity` is shown to hops that ask for a certificate.
///
/// # Errors
/// [`TlsError`].
pub fn client_config(
    roots: RootCertStore,
    identity: Option<&Identity>,
) -> Result<ClientConfig, TlsError> {
    let builder = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(HopVerifier::new(roots, provider())));
    Ok(match identity {
        Some(identity) => builder
            .with_client_auth_cert(certificates(&identity.certificate)?, key(&identity.key)?)?,
        None => builder.with_no_client_auth(),
    })
}

/// The system's authorities and those in the file `extra`.
///
/// # Errors
/// [`TlsError::File`] for `extra`. Unreadable authorities of the system are logged and left out.
pub fn trusted_roots(extra: Option<&Path>) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    let native = rustls_native_certs::load_native_certs();
    for error in native.errors {
        tracing::warn!(%error, "a system certificate authority is left out");
    }
    roots.add_parsable_certificates(native.certs);
    if let Some(path) = extra {
        add_roots(&mut roots, path)?;
    }
    Ok(roots)
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

fn add_roots(roots: &mut RootCertStore, path: &Path) -> Result<(), TlsError> {
    for certificate in certificates(path)? {
        roots.add(certificate)?;
    }
    Ok(())
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let failed = |reason: String| TlsError::File { path: path.to_owned(), reason };
    let chain: Result<Vec<_>, _> =
        CertificateDer::pem_file_iter(path).map_err(|e| failed(e.to_string()))?.collect();
    let chain = chain.map_err(|e| failed(e.to_string()))?;
    if chain.is_empty() {
        return Err(failed("holds no certificate".into()));
    }
    Ok(chain)
}

fn key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_file(path)
        .map_err(|e| TlsError::File { path: path.to_owned(), reason: e.to_string() })
}
