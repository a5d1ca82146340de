//! Host names as both worlds mean them: SIP hosts, XMPP domainparts and rows of the domain table
//! are all compared as one form, the lower-case A-label name without trailing dot (S-025).

pub mod destination;

use std::borrow::{Borrow, Cow};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;
use std::sync::Arc;

use idna::uts46::{AsciiDenyList, DnsLength, Hyphens, Uts46};

/// A valid host name: lower-case A-labels, no trailing dot, at most 253 octets in labels of at
/// most 63 (RFC 1035 §2.3.4, RFC 5890 §2.3.2.1). Never an IP address literal.
///
/// Two domains are equal exactly when they name the same host. The order is that of the text.
/// Cloning costs one reference count.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Domain(Arc<str>);

impl Domain {
    /// Reads a host name as it is written in a URI, a JID or a setting: any case, U-labels or
    /// A-labels, with or without one trailing dot (UTS 46, non-transitional, STD 3 characters).
    pub fn parse(text: &str) -> Result<Self, DomainError> {
        let name = text.strip_suffix('.').unwrap_or(text);
        if name.is_empty() {
            return Err(DomainError::Empty);
        }
        if is_plain(name) {
            return Ok(Self(Arc::from(name)));
        }
        Self::by_tables(name)
    }

    /// Of a name that is not empty and without its trailing dot.
    fn by_tables(name: &str) -> Result<Self, DomainError> {
        // The limit comes before the work: UTS 46 never maps a longer text to a legal name that a
        // person or a protocol would write.
        if name.len() > MAX_INPUT_OCTETS {
            return Err(DomainError::TooLong);
        }
        if address_literal(name).is_some() {
            return Err(DomainError::AddressLiteral);
        }
        let ascii = Uts46::new()
            .to_ascii(
                name.as_bytes(),
                AsciiDenyList::STD3,
                Hyphens::CheckFirstLast,
                DnsLength::Ignore,
            )
            .map_err(|_| DomainError::Characters)?;
        if ascii.split('.').any(str::is_empty) {
            return Err(DomainError::EmptyLabel);
        }
        if ascii.len() > 253 || ascii.split('.').any(|label| label.len() > 63) {
            return Err(DomainError::TooLong);
        }
        // Mapping may have made digits and dots out of other scripts.
        if address_literal(&ascii).is_some() {
            return Err(DomainError::AddressLiteral);
        }
        Ok(Self(Arc::from(ascii)))
    }

    /// The A-label form, as used in DNS, in SIP and as a key.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The labels from left to right: `im`, `example`, `com`.
    pub fn labels(&self) -> std::str::Split<'_, char> {
        self.0.split('.')
    }

    /// The name without its left-most label; `None` for a single label.
    pub fn parent(&self) -> Option<Self> {
        self.0.split_once('.').map(|(_, rest)| Self(Arc::from(rest)))
    }

    /// The U-label form, as shown to people and as used in JIDs (RFC 7622 §3.2.1).
    pub fn to_unicode(&self) -> Cow<'_, str> {
        if !self.labels().any(|label| label.starts_with("xn--")) {
            return Cow::Borrowed(self.as_str());
        }
        let (unicode, valid) = Uts46::new().to_unicode(
            self.0.as_bytes(),
            AsciiDenyList::STD3,
            Hyphens::CheckFirstLast,
        );
        if valid.is_ok() { unicode } else { Cow::Borrowed(self.as_str()) }
    }

    /// Whether this is `ancestor` or lies below it. Only whole labels count:
    /// `notexample.com` is not within `example.com`.
    pub fn is_within(&self, ancestor: &Self) -> bool {
        match self.0.strip_suffix(ancestor.as_str()) {
            Some(rest) => rest.is_empty() || rest.ends_with('.'),
            None => false,
        }
    }

    /// What many resolvers do not ask anybody about: the zones of special use of which they know by
    /// themselves that they are empty (RFC 6761, 7686, 8375, 9476), and names of one label.
    pub fn special_use(&self) -> Option<&'static str> {
        const ZONES: [&str; 8] =
            ["invalid", "test", "onion", "localhost", "local", "alt", "home.arpa", "service.arpa"];
        let within = |zone: &str| {
            self.0.strip_suffix(zone).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
        };
        let one = || (!self.0.contains('.')).then_some("one label");
        ZONES.into_iter().find(|zone| within(zone)).or_else(one)
    }

    /// Whether the name can be a foreign domain of its own: at least two labels, and not a number
    /// that some resolvers read as an address (`127.1`, `0x7f.1`).
    pub fn is_federable(&self) -> bool {
        match self.0.rsplit_once('.') {
            Some((_, last)) => !is_number(last),
            None => false,
        }
    }
}

/// Nearly every name: canonical as it stands, so that no table has to be asked. Its last label begins
/// with a letter, so it is no address literal; no label may be an A-label, which has to be checked.
fn is_plain(name: &str) -> bool {
    let label = |label: &str| {
        let bytes = label.as_bytes();
        (1..=63).contains(&bytes.len())
            && bytes.first() != Some(&b'-')
            && bytes.last() != Some(&b'-')
            && bytes.get(2..4) != Some(b"--")
            && bytes.iter().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-'))
    };
    let last = name.rsplit_once('.').map_or(name, |(_, last)| last);
    name.len() <= 253
        && last.starts_with(|c: char| c.is_ascii_lowercase())
        && name.split('.').all(label)
}

/// Room for a name of 253 octets whose A-labels were written as escaped or decomposed U-labels.
const MAX_INPUT_OCTETS: usize = 1023;

/// `inet_aton` takes decimal, octal and `0x` numbers; a name that ends in one is no DNS name.
fn is_number(label: &str) -> bool {
    label.bytes().all(|b| b.is_ascii_digit())
        || label.strip_prefix("0x").is_some_and(|hex| hex.bytes().all(|b| b.is_ascii_hexdigit()))
}

/// An IP address, as a URI writes it: `192.0.2.1` or `[2001:db8::1]`. The brackets may be missing,
/// as they are in many headers.
fn address_literal(text: &str) -> Option<IpAddr> {
    let inner = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    match inner {
        Some(v6) => v6.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
        None => text
            .parse::<Ipv4Addr>()
            .map(IpAddr::V4)
            .or_else(|_| text.parse::<Ipv6Addr>().map(IpAddr::V6))
            .ok(),
    }
}

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Domain {
    type Err = DomainError;

    fn from_str(text: &str) -> Result<Self, DomainError> {
        Self::parse(text)
    }
}

impl AsRef<str> for Domain {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

/// Lets maps with `Domain` keys be asked with a `&str` that is already in canonical form.
impl Borrow<str> for Domain {
    fn borrow(&self) -> &str {
        &self.0
    }
}

/// Why a text is no [`Domain`]. The text itself is not repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DomainError {
    /// Nothing, or only a dot.
    #[error("the domain is empty")]
    Empty,
    /// Two dots in a row, or a dot at the start.
    #[error("the domain has an empty label")]
    EmptyLabel,
    /// More than 253 octets, or a label of more than 63 (as A-labels).
    #[error("the domain is longer than 253 octets or has a label longer than 63")]
    TooLong,
    /// A character or an A-label that IDNA does not allow, or a hyphen at a label's edge.
    #[error("the domain contains a character that host names cannot have")]
    Characters,
    /// An IP address where a name is needed.
    #[error("an IP address literal is not a domain")]
    AddressLiteral,
}

/// Where an IP address is as good as a name: next hops, listeners, Via and Contact hosts.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Host {
    /// A host name.
    Name(Domain),
    /// An IPv4 or IPv6 address.
    Ip(IpAddr),
}

impl Host {
    /// Reads `name`, `192.0.2.1`, `[2001:db8::1]` or `2001:db8::1`.
    pub fn parse(text: &str) -> Result<Self, DomainError> {
        match address_literal(text) {
            Some(ip) => Ok(Self::Ip(ip)),
            None => Domain::parse(text).map(Self::Name),
        }
    }

    /// The name, if it is one.
    pub fn name(&self) -> Option<&Domain> {
        match self {
            Self::Name(domain) => Some(domain),
            Self::Ip(_) => None,
        }
    }
}

/// As in a URI: IPv6 in brackets.
impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(domain) => domain.fmt(f),
            Self::Ip(IpAddr::V4(v4)) => v4.fmt(f),
            Self::Ip(IpAddr::V6(v6)) => write!(f, "[{v6}]"),
        }
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Host {
    type Err = DomainError;

    fn from_str(text: &str) -> Result<Self, DomainError> {
        Self::parse(text)
    }
}

#[cfg(test)]
mod tests;
