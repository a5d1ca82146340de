use super::*;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, SanType};
use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::{ServerName, UnixTime};
use std::fs;
use std::time::Duration;
use tempfile::TempDir;

/// An authority and the certificates under it, as files.
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    directory: TempDir,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("ca.pem"), issuer.pem()).unwrap();
        Self { issuer, directory }
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.directory.path().join("ca.pem")
    }

    /// A certificate for these alternative names: `sip:…` a URI, digits an address, else DNS.
    pub(crate) fn identity(&self, names: &[&str]) -> Identity {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.subject_alt_names = names
            .iter()
            .map(|name| match name.parse() {
                Ok(ip) => SanType::IpAddress(ip),
                Err(_) if name.contains(':') => SanType::URI((*name).try_into().unwrap()),
                Err(_) => SanType::DnsName((*name).try_into().unwrap()),
            })
            .collect();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let stem = format!("{:x}", rand::random::<u64>());
        let identity = Identity {
            certificate: self.directory.path().join(format!("{stem}.pem")),
            key: self.directory.path().join(format!("{stem}.key")),
        };
        fs::write(&identity.certificate, certificate.pem()).unwrap();
        fs::write(&identity.key, key.serialize_pem()).unwrap();
        identity
    }

    /// The configuration of a service that shows `identity` and trusts this authority.
    pub(crate) fn configs(&self, identity: Option<Identity>) -> TlsConfigs {
        TlsConfigs::load(&Tls { identity, ca: Some(self.file()) }, None).unwrap()
    }
}

/// Whether a certificate with `names` is accepted for the next hop `wanted`.
fn accepted(names: &[&str], wanted: &str) -> bool {
    let authority = Authority::new();
    let chain = certificates(&authority.identity(names).certificate).unwrap();
    let mut roots = RootCertStore::empty();
    add_roots(&mut roots, &authority.file()).unwrap();
    let verifier = HopVerifier::new(roots, provider());
    let name = ServerName::try_from(wanted.to_owned()).unwrap();
    verifier.verify_server_cert(&chain[0], &[], &name, &[], UnixTime::now()).is_ok()
}

#[test]
fn e_39_a_dns_name_is_compared_whole() {
    assert!(accepted(&["sip.example.com"], "sip.example.com"));
    assert!(accepted(&["other.example", "SIP.Example.Com"], "sip.example.com"));
    assert!(accepted(&["sip.example.com"], "sip.example.com."));
    assert!(!accepted(&["example.com"], "sip.example.com"));
    assert!(!accepted(&["sip.example.com"], "example.com"));
    assert!(!accepted(&[], "example.com"));
}

#[test]
fn e_39_no_wildcard() {
    assert!(!accepted(&["*.example.com"], "sip.example.com"));
    assert!(!accepted(&["sip:*.example.com"], "sip.example.com"));
}

#[test]
fn e_39_a_sip_uri_comes_before_dns_names() {
    assert!(accepted(&["sip:example.com"], "example.com"));
    assert!(accepted(&["SIP:Example.com:5061;transport=tls"], "example.com"));
    assert!(accepted(&["sip:example.com", "host7.example.com"], "example.com"));
    assert!(!accepted(&["sip:example.com", "host7.example.com"], "host7.example.com"));
}

#[test]
fn e_39_other_uris_are_no_identity() {
    assert!(!accepted(&["sip:alice@example.com"], "example.com"));
    assert!(!accepted(&["sips:example.com"], "example.com"));
    assert!(!accepted(&["https://example.com"], "example.com"));
    assert!(accepted(&["sip:alice@example.com", "example.com"], "example.com"));
}

#[test]
fn an_address_must_be_named_as_such() {
    assert!(accepted(&["192.0.2.1"], "192.0.2.1"));
    assert!(!accepted(&["192.0.2.2"], "192.0.2.1"));
    assert!(!accepted(&["sip:192.0.2.1"], "192.0.2.1"));
}

#[test]
fn a_chain_that_does_not_hold_is_refused_whatever_its_name() {
    let (ours, theirs) = (Authority::new(), Authority::new());
    let chain = certificates(&theirs.identity(&["a.example"]).certificate).unwrap();
    let mut roots = RootCertStore::empty();
    add_roots(&mut roots, &ours.file()).unwrap();
    let verifier = HopVerifier::new(roots, provider());
    let name = ServerName::try_from("a.example").unwrap();
    assert!(verifier.verify_server_cert(&chain[0], &[], &name, &[], UnixTime::now()).is_err());
    let mut roots = RootCertStore::empty();
    add_roots(&mut roots, &theirs.file()).unwrap();
    let verifier = HopVerifier::new(roots, provider());
    let expired = UnixTime::since_unix_epoch(Duration::from_secs(253_402_300_799));
    assert!(verifier.verify_server_cert(&chain[0], &[], &name, &[], expired).is_err());
}

#[test]
fn a_bad_file_is_named() {
    let authority = Authority::new();
    let missing = PathBuf::from("/nonexistent/ca.pem");
    let settings = Tls { identity: None, ca: Some(missing) };
    let error = TlsConfigs::load(&settings, None).unwrap_err().to_string();
    assert!(error.starts_with("/nonexistent/ca.pem: "), "{error}");
    let mut swapped = authority.identity(&["a.example"]);
    swapped.certificate = swapped.key.clone();
    let settings = Tls { identity: Some(swapped), ca: None };
    let error = TlsConfigs::load(&settings, None).unwrap_err().to_string();
    assert!(error.ends_with("holds no certificate"), "{error}");
}
