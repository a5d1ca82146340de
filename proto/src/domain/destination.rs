//! Hosts that can be sent to: next hops, home servers, whatever else an operator names.

use std::net::{IpAddr, Ipv4Addr};

use super::{DomainError, Host, address_literal, is_number};

/// Why nothing can be sent to a host. The text itself is not repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DestinationError {
    /// Neither a name nor an address.
    #[error(transparent)]
    Host(#[from] DomainError),
    /// `999.1.1.1`, `127.1`: names that end so are taken for addresses (RFC 3696 §2).
    #[error("what ends in a number is an address, and this is no valid one")]
    Number,
    /// RFC 1122 §3.2.1.3, RFC 4291 §2.5.2.
    #[error("0.0.0.0 and [::] mean any address: nothing can be sent there")]
    Unspecified,
    /// Multicast or broadcast.
    #[error("a multicast or broadcast address is no single host")]
    Many,
}

impl Host {
    /// As [`Host::parse`], of a host that is to be sent to.
    ///
    /// # Errors
    /// [`DestinationError`].
    pub fn parse_destination(text: &str) -> Result<Self, DestinationError> {
        match fault_of(text) {
            Some(fault) => Err(fault),
            None => Ok(Self::parse(text)?),
        }
    }
}

/// What keeps everybody from sending to a host, whatever names may look like.
#[must_use]
pub fn fault_of(host: &str) -> Option<DestinationError> {
    let name = host.strip_suffix('.').unwrap_or(host);
    match address_literal(name) {
        Some(ip) => fault_of_address(ip),
        None => {
            let last = name.rsplit('.').next().unwrap_or(name).to_ascii_lowercase();
            (!last.is_empty() && is_number(&last)).then_some(DestinationError::Number)
        }
    }
}

/// The same of an address.
#[must_use]
pub fn fault_of_address(ip: IpAddr) -> Option<DestinationError> {
    match ip.to_canonical() {
        ip if ip.is_unspecified() => Some(DestinationError::Unspecified),
        ip if ip.is_multicast() || ip == Ipv4Addr::BROADCAST => Some(DestinationError::Many),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_sent_to() {
        for text in
            ["sbc.example", "SBC", "192.0.2.1", "[2001:db8::1]", "::1", "127.0.0.1", "3com.de"]
        {
            assert_eq!(Host::parse_destination(text).map(drop), Ok(()), "{text}");
        }
        for (text, fault) in [
            ("999.1.1.1", DestinationError::Number),
            ("192.0.2.256", DestinationError::Number),
            ("192.0.2", DestinationError::Number),
            ("127.1", DestinationError::Number),
            ("0X7f.0.0.1", DestinationError::Number),
            ("5060", DestinationError::Number),
            ("999.1.1.1.", DestinationError::Number),
            ("0.0.0.0", DestinationError::Unspecified),
            ("0.0.0.0.", DestinationError::Unspecified),
            ("::", DestinationError::Unspecified),
            ("[::]", DestinationError::Unspecified),
            ("[::ffff:0.0.0.0]", DestinationError::Unspecified),
            ("224.0.1.75", DestinationError::Many),
            ("ff02::1", DestinationError::Many),
            ("255.255.255.255", DestinationError::Many),
            ("", DomainError::Empty.into()),
            ("sbc..example", DomainError::EmptyLabel.into()),
            ("[192.0.2.1]", DomainError::Characters.into()),
        ] {
            assert_eq!(Host::parse_destination(text), Err(fault), "{text}");
        }
    }
}
