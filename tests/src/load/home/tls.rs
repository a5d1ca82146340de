//! TLS of the home server: a certificate of its own, and trust in xmpp-cm's authority.

use std::path::Path;
use std::sync::Arc;

use rcgen::KeyPair;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, TlsConnector, TlsStream};

use crate::{Result, certificates};

/// Both roles.
pub(super) struct Tls {
    acceptor: TlsAcceptor,
    connector: TlsConnector,
}

impl Tls {
    /// For a server of `domain` that trusts the authority in this file.
    pub(super) fn new(domain: &str, authority: &Path) -> Result<Self> {
        let provider = Arc::new(ring::default_provider());
        let key = KeyPair::generate()?;
        let certificate = certificates::params(&[domain])?.self_signed(&key)?;
        let private = PrivatePkcs8KeyDer::from(key.serialize_der());
        let server = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], private.into())?;
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(authority)?)?;
        let client = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self { acceptor: Arc::new(server).into(), connector: Arc::new(client).into() })
    }

    pub(super) async fn accept(&self, socket: TcpStream) -> Result<TlsStream<TcpStream>> {
        Ok(self.acceptor.accept(socket).await?.into())
    }

    /// As client towards the server of `domain`.
    pub(super) async fn connect(
        &self,
        socket: TcpStream,
        domain: &'static str,
    ) -> Result<TlsStream<TcpStream>> {
        let name = ServerName::try_from(domain)?;
        Ok(self.connector.connect(name, socket).await?.into())
    }
}
