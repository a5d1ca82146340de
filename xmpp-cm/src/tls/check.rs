//! Looks at a server's certificate and remembers what it saw.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, Error, SignatureScheme};

/// The verifier of one connection.
#[derive(Debug)]
pub struct Check {
    roots: Option<Arc<WebPkiServerVerifier>>,
    insist: bool,
    provider: Arc<CryptoProvider>,
    verified: AtomicBool,
}

impl Check {
    pub(super) fn new(
        roots: Option<Arc<WebPkiServerVerifier>>,
        insist: bool,
        provider: Arc<CryptoProvider>,
    ) -> Self {
        Self { roots, insist, provider, verified: AtomicBool::new(false) }
    }

    /// Whether the certificate was valid for the name under a trusted authority (RFC 9525, E-48).
    pub fn verified(&self) -> bool {
        self.verified.load(Ordering::Relaxed)
    }
}

impl ServerCertVerifier for Check {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let unknown = Error::InvalidCertificate(CertificateError::UnknownIssuer);
        let result = self.roots.as_ref().ok_or(unknown).and_then(|roots| {
            roots.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
        });
        self.verified.store(result.is_ok(), Ordering::Relaxed);
        if self.insist { result } else { Ok(ServerCertVerified::assertion()) }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
