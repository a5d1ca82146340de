//! Certificates for the peers.

use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};

use crate::Result;
use crate::place::Place;

/// Where it is.
const OF_SCENE: &str = "authority";

/// A certificate and its key as files in PEM form.
#[derive(Clone, Debug)]
pub struct Files {
    /// The certificate.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// An authority that only those trust who are given its file.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    file: PathBuf,
}

impl Authority {
    /// A new authority; its certificate is `authority.pem` in `directory`.
    pub fn new(directory: &Path) -> Result<Self> {
        let mut wanted = params(&[])?;
        wanted.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // OpenSSL takes what bears the name of its issuer for self-signed.
        wanted.distinguished_name.push(DnType::CommonName, "authority of the tests");
        let issuer = CertifiedIssuer::self_signed(wanted, KeyPair::generate()?)?;
        let file = directory.join("authority.pem");
        std::fs::write(&file, issuer.pem())?;
        Ok(Self { issuer, file })
    }

    /// The one that the servers of a scene trust which start after it was made.
    pub fn of(place: &Place) -> Result<Self> {
        Self::new(&place.directory(OF_SCENE)?)
    }

    /// Its certificate.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// A certificate for these names, in `directory`.
    pub fn certify(&self, directory: &Path, names: &[&str]) -> Result<Files> {
        let key = KeyPair::generate()?;
        let certificate = params(names)?.signed_by(&key, &self.issuer)?;
        write(directory, &certificate.pem(), &key)
    }
}

/// The certificate of the authority that a scene has made ([`Authority::of`]), if it has.
pub fn authority_of(place: &Place) -> Result<Option<PathBuf>> {
    let file = place.directory(OF_SCENE)?.join("authority.pem");
    Ok(file.exists().then_some(file))
}

/// A self-signed certificate for `name`, in `directory`.
pub fn self_signed(directory: &Path, name: &str) -> Result<Files> {
    let key = KeyPair::generate()?;
    let certificate = params(&[name])?.self_signed(&key)?;
    write(directory, &certificate.pem(), &key)
}

pub(crate) fn params(names: &[&str]) -> Result<CertificateParams> {
    let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut wanted = CertificateParams::new(names)?;
    // COMPAT(ejabberd 23): the default end, in the year 4096, is beyond its timers.
    wanted.not_after = rcgen::date_time_ymd(2049, 1, 1);
    Ok(wanted)
}

fn write(directory: &Path, certificate: &str, key: &KeyPair) -> Result<Files> {
    let (file, key_file) = (directory.join("certificate.pem"), directory.join("key.pem"));
    std::fs::write(&file, certificate)?;
    std::fs::write(&key_file, key.serialize_pem())?;
    Ok(Files { certificate: file, key: key_file })
}
