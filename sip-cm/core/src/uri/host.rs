//! Host and port of a URI or of a Via's sent-by (RFC 3261 §25.1 `hostport`).

use super::UriError;
use bytestring::ByteString;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A host as RFC 3261 §25.1 knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Host {
    /// A DNS name as written.
    Name(ByteString),
    /// An IPv4 address.
    V4(Ipv4Addr),
    /// An IPv6 address; written in brackets.
    V6(Ipv6Addr),
}

impl Host {
    /// Reads a host name, an IPv4 address or an IPv6 address in brackets.
    ///
    /// # Errors
    /// [`UriError::Host`].
    pub fn parse(text: &ByteString) -> Result<Self, UriError> {
        Self::within(text, text)
    }

    /// The same of a part of `whole`.
    fn within(whole: &ByteString, text: &str) -> Result<Self, UriError> {
        if let Some(inner) = text.strip_prefix('[') {
            let inner = inner.strip_suffix(']').ok_or(UriError::Host)?;
            // COMPAT(RFC 3261 §25.1): its grammar yields a third colon before an embedded IPv4
            // address; RFC 5118 §4.10 wants it tolerated.
            let ip = inner.parse().or_else(|_| inner.replacen(":::", "::", 1).parse());
            return ip.map(Self::V6).map_err(|_| UriError::Host);
        }
        if let Ok(ip) = text.parse() {
            return Ok(Self::V4(ip));
        }
        if is_name(text) { Ok(Self::Name(whole.slice_ref(text))) } else { Err(UriError::Host) }
    }

    /// The address, unless the host is a name.
    #[must_use]
    pub fn ip(&self) -> Option<IpAddr> {
        match self {
            Self::Name(_) => None,
            Self::V4(ip) => Some((*ip).into()),
            Self::V6(ip) => Some((*ip).into()),
        }
    }

    /// The name as written, unless the host is an address.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::Name(name) => Some(name),
            _ => None,
        }
    }

    /// Whether both are the same host: names without regard to case and to a final dot.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Name(a), Self::Name(b)) => {
                let bare = |n: &'_ str| n.strip_suffix('.').unwrap_or(n).to_ascii_lowercase();
                bare(a) == bare(b)
            }
            (a, b) => a == b,
        }
    }
}

impl std::fmt::Display for Host {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::V4(ip) => ip.fmt(f),
            Self::V6(ip) => write!(f, "[{ip}]"),
        }
    }
}

/// Reads `host` or `host:port`, a part of `whole`; white space around the colon as RFC 3261 §25.1
/// allows in sent-by.
///
/// # Errors
/// [`UriError::Host`], [`UriError::Port`].
pub(crate) fn host_port_within(
    whole: &ByteString,
    text: &str,
) -> Result<(Host, Option<u16>), UriError> {
    let host_end = match text.find(']') {
        Some(bracket) => bracket + 1,
        None => text.find(':').unwrap_or(text.len()),
    };
    let (host, rest) = text.split_at(host_end);
    let host = Host::within(whole, host.trim_end())?;
    if rest.trim().is_empty() {
        return Ok((host, None));
    }
    let port = rest.trim_start().strip_prefix(':').ok_or(UriError::Port)?.trim_start();
    let digits = !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit());
    let port = if digits { port.parse().ok() } else { None };
    Ok((host, Some(port.ok_or(UriError::Port)?)))
}

/// Labels of letters, digits, `-` and (seen in the field) `_`; a last label of digits alone would
/// be a broken IPv4 address.
fn is_name(text: &str) -> bool {
    let bare = text.strip_suffix('.').unwrap_or(text);
    let label_is_sound = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
    };
    let last_is_number =
        bare.rsplit('.').next().is_none_or(|last| last.bytes().all(|b| b.is_ascii_digit()));
    bare.len() <= 253 && bare.split('.').all(label_is_sound) && !last_is_number
}
