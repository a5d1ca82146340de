//! TLS of the streams, both sides. Only 1.2 and 1.3 (RFC 8996, E-42).
//!
//! As a server we show the certificate of the domain that the stream's header names, because
//! servers send no SNI with STARTTLS. To the home server we are every foreign domain: its
//! certificates are minted when asked for, under an authority of the operator's own that only the
//! home server trusts.
//!
//! As a client we encrypt and look, but by default do not insist: on a server-to-server link the
//! proof of identity is dialback, and an unverified certificate is better than none (RFC 7590
//! §3.4, E-49).
//! We show who we are, for servers that let us in by it (XEP-0178): the operator's certificate to foreign
//! servers, if there is one, and one minted for the foreign domain to a home server.

mod anyone;
mod authority;
mod check;
mod ticket;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use openfed_node::settings;
use openfed_proto::domain::Domain;
use rustls::client::WebPkiServerVerifier;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use xmpp_cm_core::core::TlsSide;

use anyone::Anyone;
pub use authority::Authority;
pub use check::Check;
use ticket::Forgetful;

/// ALPN of XEP-0368 §3, for direct TLS only.
const ALPN: &[u8] = b"xmpp-server";

/// What a TLS setting is wrong about, or what could not be made.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read or written.
    #[error("{path}: {cause}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        cause: std::io::Error,
    },
    /// A file does not hold what it should.
    #[error("{path}: {cause}")]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        cause: String,
    },
    /// A certificate could not be made.
    #[error("certificate: {0}")]
    Mint(#[from] rcgen::Error),
    /// The TLS library refused a certificate or key.
    #[error("TLS: {0}")]
    Rustls(#[from] rustls::Error),
}

/// Certificates and trust of one process.
pub struct Tls {
    provider: Arc<CryptoProvider>,
    /// Shown to foreign servers; without it they see a minted certificate, or none where they do not
    /// ask for one in particular.
    identity: Option<Shown>,
    authority: Authority,
    /// `None` if there is nothing to verify against.
    roots: Option<Arc<WebPkiServerVerifier>>,
    insist: bool,
}

impl Tls {
    /// Reads the operator's files; makes the authority in `directory` if it has none yet. With
    /// `insist` a peer whose certificate does not verify is not connected to.
    ///
    /// # Errors
    /// A file is missing, unreadable or not what it should be.
    pub fn load(files: &settings::Tls, directory: &Path, insist: bool) -> Result<Self, TlsError> {
        let mut tls = Self::new(Authority::load_or_create(directory)?)?;
        tls.insist = insist;
        tls.roots = verifier(system_roots(), files.ca.as_deref(), &tls.provider)?;
        tls.identity = files.identity.as_ref().map(|files| tls.read_identity(files)).transpose()?;
        Ok(tls)
    }

    /// Under this authority, without an identity, trusting the authority alone.
    ///
    /// # Errors
    /// The authority's certificate is unusable.
    pub fn new(authority: Authority) -> Result<Self, TlsError> {
        let provider = Arc::new(ring::default_provider());
        let mut roots = RootCertStore::empty();
        roots.add(authority.certificate().clone())?;
        let roots = verifier(roots, None, &provider)?;
        Ok(Self { provider, identity: None, authority, roots, insist: false })
    }

    /// The authority under which the home server's view of foreign domains is certified.
    pub fn authority(&self) -> &Authority {
        &self.authority
    }

    /// Our part as server, for the domain that the peer wants to reach.
    ///
    /// # Errors
    /// No certificate can be made.
    pub fn server(
        &self,
        domain: &Domain,
        audience: Audience,
    ) -> Result<Arc<ServerConfig>, TlsError> {
        self.server_config(self.shown(domain, audience)?, audience)
    }

    fn shown(&self, domain: &Domain, audience: Audience) -> Result<Shown, TlsError> {
        match (&self.identity, audience) {
            (Some(identity), Audience::Public) => Ok(identity.clone()),
            _ => self.authority.certificate_of(domain, &self.provider),
        }
    }

    /// Our part as client towards the server of `domain`, and what comes to be known of its
    /// certificate. It is shown a certificate `minted` for that name, or the operator's.
    ///
    /// # Errors
    /// The name cannot stand in a certificate.
    pub fn client(
        &self,
        domain: &Domain,
        direct: bool,
        minted: Option<&Domain>,
    ) -> Result<(Arc<ClientConfig>, ServerName<'static>, Arc<Check>), TlsError> {
        let name = ServerName::try_from(domain.as_str().to_owned())
            .map_err(|error| rustls::Error::General(error.to_string()))?;
        let check = Arc::new(Check::new(self.roots.clone(), self.insist, self.provider.clone()));
        let shown = match minted {
            Some(name) => Some(self.authority.certificate_of(name, &self.provider)?),
            None => self.identity.clone(),
        };
        let config = ClientConfig::builder_with_provider(self.provider.clone())
            .with_safe_default_protocol_versions()?
            .dangerous()
            .with_custom_certificate_verifier(check.clone());
        let mut config = match shown {
            Some(shown) => config.with_client_cert_resolver(shown),
            None => config.with_no_client_auth(),
        };
        config.resumption = rustls::client::Resumption::disabled();
        if direct {
            config.alpn_protocols = vec![ALPN.to_vec()];
        }
        Ok((Arc::new(config), name, check))
    }

    fn read_identity(&self, files: &settings::Identity) -> Result<Shown, TlsError> {
        let chain = read_certificates(&files.certificate)?;
        let key = PrivateKeyDer::from_pem_file(&files.key)
            .map_err(|error| content(&files.key, &error))?;
        shown(chain, key, &self.provider)
    }

    fn server_config(
        &self,
        shown: Shown,
        audience: Audience,
    ) -> Result<Arc<ServerConfig>, TlsError> {
        let config = ServerConfig::builder_with_provider(self.provider.clone())
            .with_safe_default_protocol_versions()?;
        let config = match audience {
            Audience::Home => {
                config.with_client_cert_verifier(Arc::new(Anyone::new(self.provider.clone())))
            }
            Audience::Public => config.with_no_client_auth(),
        };
        let mut config = config.with_cert_resolver(shown);
        config.session_storage = Arc::new(Forgetful);
        config.send_tls13_tickets = 1;
        Ok(Arc::new(config))
    }
}

/// A certificate and its key, as shown in either part.
type Shown = Arc<SingleCertAndKey>;

fn shown(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    provider: &CryptoProvider,
) -> Result<Shown, TlsError> {
    Ok(Arc::new(CertifiedKey::from_der(chain, key, provider)?.into()))
}

/// Who will look at a certificate of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Audience {
    /// A home server, to which we are every foreign domain.
    Home,
    /// A foreign server, to which we are the local domains.
    Public,
}

impl Audience {
    /// The audience and the name of a handshake in which we are the server.
    pub fn of(side: &TlsSide) -> Option<(Self, &Domain)> {
        match side {
            TlsSide::Home { domain } => Some((Self::Home, domain)),
            TlsSide::Public { domain } => Some((Self::Public, domain)),
            TlsSide::Client { .. } => None,
        }
    }
}

/// SHA-256 of the certificate that the peer showed (FIPS 180-4).
pub fn fingerprint(connection: &rustls::CommonState) -> Option<[u8; 32]> {
    let certificate = connection.peer_certificates()?.first()?;
    ::ring::digest::digest(&::ring::digest::SHA256, certificate).as_ref().try_into().ok()
}

fn system_roots() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    for error in &found.errors {
        tracing::warn!(%error, "a system certificate cannot be read");
    }
    roots.add_parsable_certificates(found.certs);
    roots
}

fn verifier(
    mut roots: RootCertStore,
    ca: Option<&Path>,
    provider: &Arc<CryptoProvider>,
) -> Result<Option<Arc<WebPkiServerVerifier>>, TlsError> {
    for certificate in ca.map(read_certificates).transpose()?.into_iter().flatten() {
        roots.add(certificate)?;
    }
    if roots.is_empty() {
        return Ok(None);
    }
    WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone())
        .build()
        .map(Some)
        .map_err(|error| rustls::Error::General(error.to_string()).into())
}

fn read_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let certificates: Result<Vec<_>, _> =
        CertificateDer::pem_file_iter(path).map_err(|error| content(path, &error))?.collect();
    match certificates {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        Ok(_) => Err(content(path, &"no certificate in it")),
        Err(error) => Err(content(path, &error)),
    }
}

fn content(path: &Path, cause: &dyn std::fmt::Display) -> TlsError {
    TlsError::Content { path: path.to_owned(), cause: cause.to_string() }
}

#[cfg(test)]
mod tests;
