//! Who a packet is from and to: one form for JIDs and SIP URIs (RFC 7247 §6, S-007…S-026).
//!
//! An [`Address`] is parsed once, where a packet enters, and holds the canonical JID: the local
//! part prepared (RFC 8265 UsernameCaseMapped) with its XEP-0106 escapes in place, the domain as
//! A-labels, the resource prepared (OpaqueString). Both worlds' texts are made from it.

mod escape;
mod local;
mod percent;
mod preparation;
mod resource;

use std::fmt;
use std::sync::Arc;

pub use preparation::{Preparation, Uncarried, UnknownPreparation};

use crate::condition::Condition;
use crate::domain::{Domain, DomainError};

/// The longest local part, domain or resource, in octets of UTF-8 (RFC 7622 §3).
pub const MAX_PART_OCTETS: usize = 1023;

/// A user, or a user's device, or a whole domain (no local part).
///
/// There is deliberately no `Display`, and `Debug` prints `…@domain`: user parts never enter logs.
/// [`Address::to_jid`] and [`Address::to_sip_uri`] give the full text. Cloning is cheap.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address {
    domain: Domain,
    local: Option<Arc<str>>,
    resource: Option<Arc<str>>,
}

impl Address {
    /// Reads a JID (RFC 7622 §3.1: the first `/` starts the resource, then the first `@` ends the
    /// local part). Escapes in the local part stay as they are: they are part of its identity.
    pub fn from_jid(jid: &str) -> Result<Self, AddressError> {
        let (bare, resource) = match jid.split_once('/') {
            Some((bare, resource)) => (bare, Some(resource)),
            None => (jid, None),
        };
        let (local, domain) = match bare.split_once('@') {
            Some((local, domain)) => (Some(local), domain),
            None => (None, bare),
        };
        Self::from_jid_parts(local, domain, resource)
    }

    /// The same from parts that a JID parser has already separated.
    pub fn from_jid_parts(
        local: Option<&str>,
        domain: &str,
        resource: Option<&str>,
    ) -> Result<Self, AddressError> {
        Ok(Self {
            local: local.map(local::from_jid).transpose()?,
            domain: Domain::parse(domain)?,
            resource: resource.map(resource::prepare).transpose()?,
        })
    }

    /// Reads the parts of a `sip:` URI (RFC 7247 §6.4).
    ///
    /// `user` is the URI's user exactly as written, percent escapes included, without password;
    /// empty if the URI has none. `gr` is the value of the `gr` parameter as written. A `gr`
    /// without a value marks a temporary GRUU (RFC 5627 §3.1.2); give it as `Some("")`: it is
    /// refused, because a temporary GRUU must never be mapped (S-022). `sips:` and `tel:` are the
    /// caller's to refuse (S-026, S-044).
    pub fn from_sip(user: &str, host: &str, gr: Option<&str>) -> Result<Self, AddressError> {
        if gr == Some("") {
            return Err(AddressError::TemporaryGruu);
        }
        let local = match user {
            "" => None,
            user => Some(local::from_sip_user(&percent::decode(user, percent::Place::User)?)?),
        };
        let resource = match gr {
            Some(gr) => Some(resource::prepare(&percent::decode(gr, percent::Place::Parameter)?)?),
            None => None,
        };
        Ok(Self { local, domain: Domain::parse(host)?, resource })
    }

    /// An address that is only a domain: a server.
    pub fn from_domain(domain: Domain) -> Self {
        Self { local: None, domain, resource: None }
    }

    /// The local part as a JID writes it, prepared and escaped. Never for logs.
    pub fn local(&self) -> Option<&str> {
        self.local.as_deref()
    }

    /// The domain.
    pub fn domain(&self) -> &Domain {
        &self.domain
    }

    /// The resource, prepared. Never for logs.
    pub fn resource(&self) -> Option<&str> {
        self.resource.as_deref()
    }

    /// The same address without its resource.
    pub fn bare(&self) -> Self {
        Self { local: self.local.clone(), domain: self.domain.clone(), resource: None }
    }

    /// The same address with this resource (prepared here).
    pub fn with_resource(&self, resource: &str) -> Result<Self, AddressError> {
        Ok(Self { resource: Some(resource::prepare(resource)?), ..self.bare() })
    }

    /// Whether it names one device: it has a resource.
    pub fn is_full(&self) -> bool {
        self.resource.is_some()
    }

    /// The JID, its domain as U-labels (RFC 7622 §3.2.1).
    pub fn to_jid(&self) -> String {
        let mut jid = String::new();
        if let Some(local) = &self.local {
            jid.push_str(local);
            jid.push('@');
        }
        jid.push_str(&self.domain.to_unicode());
        if let Some(resource) = &self.resource {
            jid.push('/');
            jid.push_str(resource);
        }
        jid
    }

    /// The user part of a SIP URI, percent-encoded; `None` without local part (S-017, S-019).
    ///
    /// [`AddressError::NotMappable`] for a local part that would come back from SIP as another
    /// one (`foo\5cbar`, `\20foo`): XEP-0106 never produces these, and the answer to such a
    /// message would reach somebody else.
    pub fn to_sip_user(&self) -> Result<Option<String>, AddressError> {
        let Some(local) = &self.local else { return Ok(None) };
        let plain = local::to_sip_user(local)?;
        Ok(Some(percent::encode(&plain, percent::Place::User)))
    }

    /// The resource as value of a `gr` parameter, percent-encoded; `None` for a bare address
    /// (S-021).
    pub fn resource_as_gr(&self) -> Option<String> {
        let resource = self.resource.as_deref()?;
        Some(percent::encode(resource, percent::Place::Parameter))
    }

    /// `sip:user@host`, `sip:user@host;gr=…` or `sip:host`. In a header with parameters of its
    /// own the URI stands inside `<…>` (S-021). Fails as [`Address::to_sip_user`] does.
    pub fn to_sip_uri(&self) -> Result<String, AddressError> {
        let mut uri = String::from("sip:");
        if let Some(user) = self.to_sip_user()? {
            uri.push_str(&user);
            uri.push('@');
        }
        uri.push_str(self.domain.as_str());
        if let Some(gr) = self.resource_as_gr() {
            uri.push_str(";gr=");
            uri.push_str(&gr);
        }
        Ok(uri)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.local.is_some() {
            f.write_str("…@")?;
        }
        f.write_str(self.domain.as_str())?;
        if self.resource.is_some() {
            f.write_str("/…")?;
        }
        Ok(())
    }
}

/// Which part of an address is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Before the `@`; a SIP URI's user.
    Local,
    /// After the first `/`; a SIP URI's `gr`.
    Resource,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Local => "local part",
            Self::Resource => "resource",
        })
    }
}

/// Why a text is no address, or has none in the other world. Always the sender's fault, never
/// worth a retry. The text itself is not repeated, so the error may be logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// The domain is wrong.
    #[error(transparent)]
    Domain(#[from] DomainError),
    /// There is an `@` or a `/` with nothing on its outer side.
    #[error("the {0} is empty")]
    Empty(Part),
    /// More than [`MAX_PART_OCTETS`].
    #[error("the {0} is longer than 1023 octets")]
    TooLong(Part),
    /// One of `" & ' / : < > @` in a JID's local part (RFC 7622 §3.3.1).
    #[error("the local part contains one of \" & ' / : < > @")]
    Reserved,
    /// A character that PRECIS does not allow there (RFC 8265), or a mix of writing directions.
    #[error("the {0} contains characters that addresses cannot have")]
    Characters(Part),
    /// A SIP user that begins or ends with a space: `\20` is never first or last (XEP-0106).
    #[error("the user begins or ends with a space")]
    SpaceAtEdge,
    /// A `%` without two hexadecimal digits, or a character that a SIP URI must escape.
    #[error("the SIP URI's {0} is not well formed")]
    SipSyntax(Part),
    /// Percent-decoding gave octets that are not UTF-8 (S-012).
    #[error("the SIP URI's {0} is not UTF-8")]
    NotUtf8(Part),
    /// A `gr` parameter without a value: a temporary GRUU (S-022).
    #[error("a temporary GRUU has no address outside SIP")]
    TemporaryGruu,
    /// The address exists in its own world only: mapped there and back it would be another one.
    #[error("the local part has no faithful form in the other protocol")]
    NotMappable,
}

impl AddressError {
    /// What the sender is told: `jid-malformed`, which SIP says as 400 (E-53).
    pub fn condition(&self) -> Condition {
        Condition::JidMalformed
    }
}

#[cfg(test)]
mod tests;
