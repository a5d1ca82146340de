//! The operator's own authority and the certificates that it mints.

use std::collections::{HashMap, VecDeque};
use std::fs;
use std::io::Write;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use openfed_node::private;
use openfed_proto::domain::Domain;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use ring::digest;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};

use super::{Shown, TlsError, content, shown};

const CERTIFICATE: &str = "authority.pem";
const KEY: &str = "authority.key";
const DAY: Duration = Duration::from_secs(86_400);
/// A minted certificate is good for this long, and replaced after half of it.
const VALID: Duration = Duration::from_secs(30 * 86_400);
/// Minted certificates that are kept.
const MAX_MINTED: usize = 4_096;

/// A certificate authority that makes a certificate for any name.
pub struct Authority {
    certificate: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
    /// One key serves all names: whoever holds it is this process anyway.
    key: KeyPair,
    secret: Vec<u8>,
    minted: Mutex<Minted>,
}

#[derive(Default)]
struct Minted {
    shown: HashMap<Domain, (Shown, SystemTime)>,
    /// In the order in which they were minted.
    order: VecDeque<Domain>,
}

impl Authority {
    /// An authority that ends with the process.
    ///
    /// # Errors
    /// The system has no randomness.
    pub fn ephemeral() -> Result<Self, TlsError> {
        let key = KeyPair::generate()?;
        Self::from_pem(&certify(&key)?, &key.serialize_pem(), Path::new(CERTIFICATE))
    }

    /// The authority kept in `directory`; makes one if there is none.
    ///
    /// # Errors
    /// The files cannot be read or written, or are not a certificate and its key.
    pub fn load_or_create(directory: &Path) -> Result<Self, TlsError> {
        let (certificate, key) = (directory.join(CERTIFICATE), directory.join(KEY));
        if !certificate.exists() {
            fs::create_dir_all(directory).map_err(file(directory))?;
            make(&certificate, &key)?;
        }
        // The certificate beside it is for the home server to read.
        private::narrow(&key);
        let read = |path: &Path| fs::read_to_string(path).map_err(file(path));
        Self::from_pem(&read(&certificate)?, &read(&key)?, &certificate)
    }

    fn from_pem(certificate: &str, key: &str, path: &Path) -> Result<Self, TlsError> {
        let der = CertificateDer::from_pem_slice(certificate.as_bytes())
            .map_err(|error| content(path, &error))?;
        let issuer = Issuer::from_ca_cert_der(&der, KeyPair::from_pem(key)?)?;
        let minting = KeyPair::generate()?;
        let secret = digest::digest(&digest::SHA256, format!("dialback {key}").as_bytes());
        let secret = secret.as_ref().to_vec();
        Ok(Self { certificate: der, issuer, key: minting, secret, minted: Mutex::default() })
    }

    /// The authority's own certificate: what the home server has to trust.
    pub fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// What only those know who have the authority's key: all instances that share its directory
    /// (XEP-0185).
    pub fn secret(&self) -> &[u8] {
        &self.secret
    }

    /// A certificate of `domain` and its key, made when it is not at hand.
    pub(super) fn certificate_of(
        &self,
        domain: &Domain,
        provider: &CryptoProvider,
    ) -> Result<Shown, TlsError> {
        let now = SystemTime::now();
        let mut minted = self.minted.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((shown, renew)) = minted.shown.get(domain)
            && now < *renew
        {
            return Ok(shown.clone());
        }
        let chain = vec![self.mint(domain, now)?, self.certificate.clone()];
        let key = PrivatePkcs8KeyDer::from(self.key.serialize_der());
        let shown = shown(chain, key.into(), provider)?;
        minted.keep(domain, shown.clone(), now + VALID / 2);
        Ok(shown)
    }

    fn mint(&self, domain: &Domain, now: SystemTime) -> Result<CertificateDer<'static>, TlsError> {
        let mut params = CertificateParams::new(vec![domain.as_str().to_owned()])?;
        // A common name has room for 64 characters; the name that counts is the alternative one.
        params.distinguished_name.push(DnType::CommonName, "openfed");
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        params.use_authority_key_identifier_extension = true;
        set_validity(&mut params, now, VALID);
        Ok(params.signed_by(&self.key, &self.issuer)?.der().clone())
    }
}

impl Minted {
    fn keep(&mut self, domain: &Domain, shown: Shown, renew: SystemTime) {
        if self.shown.insert(domain.clone(), (shown, renew)).is_none() {
            self.order.push_back(domain.clone());
        }
        while self.order.len() > MAX_MINTED {
            if let Some(oldest) = self.order.pop_front() {
                self.shown.remove(&oldest);
            }
        }
    }
}

/// Makes the files of a new authority. Instances that share the directory may begin together: the
/// first key stays, and certificates for it are as good as each other.
fn make(certificate: &Path, key: &Path) -> Result<(), TlsError> {
    let own = |path: &Path| path.with_extension(format!("{:016x}", rand::random::<u64>()));
    let new = own(key);
    write_secret(&new, &KeyPair::generate()?.serialize_pem())?;
    let linked = fs::hard_link(&new, key);
    let _ = fs::remove_file(&new);
    match linked {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
            return Err(file(key)(error));
        }
        _ => {}
    }
    let text = fs::read_to_string(key).map_err(file(key))?;
    let new = own(certificate);
    fs::write(&new, certify(&KeyPair::from_pem(&text)?)?).map_err(file(&new))?;
    fs::rename(&new, certificate).map_err(file(certificate))?;
    tracing::info!(path = %certificate.display(), "authority for the home link made");
    Ok(())
}

/// The authority's own certificate, as PEM.
fn certify(key: &KeyPair) -> Result<String, TlsError> {
    let mut params = CertificateParams::default();
    params.distinguished_name.remove(DnType::CommonName);
    params.distinguished_name.push(DnType::CommonName, "openfed home link authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    set_validity(&mut params, SystemTime::now(), 3_650 * DAY);
    Ok(params.self_signed(key)?.pem())
}

/// From yesterday, so that clocks may differ.
fn set_validity(params: &mut CertificateParams, now: SystemTime, length: Duration) {
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    let now = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    params.not_before = epoch + now.saturating_sub(DAY);
    params.not_after = epoch + now + length;
}

fn write_secret(path: &Path, text: &str) -> Result<(), TlsError> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).and_then(|mut file| file.write_all(text.as_bytes())).map_err(file(path))
}

fn file(path: &Path) -> impl FnOnce(std::io::Error) -> TlsError {
    let path = path.to_owned();
    move |cause| TlsError::File { path, cause }
}
