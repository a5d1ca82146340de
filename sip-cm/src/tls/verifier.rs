//! Whether a certificate belongs to a SIP domain (RFC 5922 §7.1–7.3; E-39).

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use std::sync::Arc;

/// Verifies the chain as webpki does, and the name as RFC 5922 does.
///
/// A `sip:` URI without user part among the alternative names is an identity; DNS names count
/// only if there is none. Names are compared whole and without regard to case: no wildcard, no
/// suffix. The common name is never looked at. An IP address must be there as such.
#[derive(Debug)]
pub(super) struct HopVerifier {
    roots: RootCertStore,
    provider: Arc<CryptoProvider>,
}

impl HopVerifier {
    pub(super) fn new(roots: RootCertStore, provider: Arc<CryptoProvider>) -> Self {
        Self { roots, provider }
    }
}

impl ServerCertVerifier for HopVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let certificate = ParsedCertificate::try_from(end_entity)?;
        let algorithms = self.provider.signature_verification_algorithms.all;
        verify_server_cert_signed_by_trust_anchor(
            &certificate,
            &self.roots,
            intermediates,
            now,
            algorithms,
        )?;
        let ServerName::DnsName(wanted) = server_name else {
            verify_server_name(&certificate, server_name)?;
            return Ok(ServerCertVerified::assertion());
        };
        let presented = identities(end_entity);
        let wanted = bare(wanted.as_ref());
        if presented.iter().any(|name| bare(name).eq_ignore_ascii_case(wanted)) {
            return Ok(ServerCertVerified::assertion());
        }
        let expected = server_name.to_owned();
        Err(CertificateError::NotValidForNameContext { expected, presented }.into())
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

/// The SIP domains that a certificate names (RFC 5922 §7.1).
fn identities(certificate: &CertificateDer<'_>) -> Vec<String> {
    let Ok(certificate) = webpki::EndEntityCert::try_from(certificate) else { return Vec::new() };
    let domains: Vec<String> =
        certificate.valid_uri_names().filter_map(sip_domain).map(str::to_owned).collect();
    if !domains.is_empty() {
        return domains;
    }
    // Wildcards are listed as they are written; as a whole they never equal a host name.
    certificate.valid_dns_names().map(str::to_owned).collect()
}

/// The host of a `sip:` URI that names a domain, not a user (RFC 5922 §7.1).
fn sip_domain(uri: &str) -> Option<&str> {
    let (scheme, rest) = uri.split_once(':')?;
    if !scheme.eq_ignore_ascii_case("sip") || rest.contains('@') {
        return None;
    }
    rest.split([':', ';', '?']).next()
}

fn bare(name: &str) -> &str {
    name.strip_suffix('.').unwrap_or(name)
}
