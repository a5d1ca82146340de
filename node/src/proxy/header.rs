//! The header itself, version 2 (§2.2 of the text).

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use proxy_header::{ParseConfig, ProxiedAddress, ProxyHeader};

/// What every header begins with: no text of a protocol, and an end to most of them.
pub const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// Signature, version and command, family and transport, length of the rest.
pub(super) const FIXED: usize = 16;
/// Longest header that is taken: the longest addresses (216 bytes) and what others write in their own
/// fields, of which the text knows 512 bytes at most in one.
pub const LONGEST: usize = 2_048;
/// Version 2, command LOCAL.
const LOCAL: u8 = 0x20;

/// Who a connection or datagram is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Header {
    /// Of a client of the proxy.
    Of {
        /// Who sent it, as the proxy saw him.
        client: SocketAddr,
        /// The address that he asked.
        asked: SocketAddr,
    },
    /// Of the proxy itself (LOCAL), or of somebody without an internet address (AF_UNSPEC, AF_UNIX):
    /// its own address is the source.
    Own,
}

/// This is no header of version 2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no PROXY header of version 2")]
pub struct Malformed;

/// Whole length of the header that begins so.
pub(super) fn length(fixed: &[u8]) -> Result<usize, Malformed> {
    let (signature, rest) = fixed.split_at_checked(SIGNATURE.len()).ok_or(Malformed)?;
    let [_, _, high, low] = *rest.first_chunk::<4>().ok_or(Malformed)?;
    let length = FIXED + usize::from(u16::from_be_bytes([high, low]));
    if signature == SIGNATURE && length <= LONGEST { Ok(length) } else { Err(Malformed) }
}

impl Header {
    /// The header at the beginning of `bytes`, and what comes behind it. Fields that follow the
    /// addresses are skipped.
    ///
    /// # Errors
    /// [`Malformed`], also for a part of one.
    pub fn split(bytes: &[u8]) -> Result<(Self, &[u8]), Malformed> {
        let (header, rest) = bytes.split_at_checked(length(bytes)?).ok_or(Malformed)?;
        // What stands in it then is not to be looked at (§2.2).
        if header.get(SIGNATURE.len()) == Some(&LOCAL) {
            return Ok((Self::Own, rest));
        }
        let only = ParseConfig { include_tlvs: false, allow_v1: false, allow_v2: true };
        let (read, _) = ProxyHeader::parse(header, only).map_err(|_| Malformed)?;
        let header = match read.proxied_address() {
            Some(of) => Self::Of { client: canonical(of.source), asked: canonical(of.destination) },
            None => Self::Own,
        };
        Ok((header, rest))
    }

    /// The header of a connection.
    #[must_use]
    pub fn of_stream(client: SocketAddr, asked: SocketAddr) -> Vec<u8> {
        let (client, asked) = same_family(client, asked);
        write(ProxiedAddress::stream(client, asked))
    }

    /// The header of a datagram, with the datagram behind it.
    #[must_use]
    pub fn before_datagram(client: SocketAddr, asked: SocketAddr, datagram: &[u8]) -> Vec<u8> {
        let (client, asked) = same_family(client, asked);
        let mut whole = write(ProxiedAddress::datagram(client, asked));
        whole.extend_from_slice(datagram);
        whole
    }
}

fn write(of: ProxiedAddress) -> Vec<u8> {
    let mut header = Vec::with_capacity(FIXED + 36);
    // Only addresses of two families are refused, and fields that are too long.
    let _ = ProxyHeader::with_address(of).encode_v2(&mut header);
    header
}

fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// A header has room for one family; the other one's address is mapped.
fn same_family(client: SocketAddr, asked: SocketAddr) -> (SocketAddr, SocketAddr) {
    let (client, asked) = (canonical(client), canonical(asked));
    if client.is_ipv4() == asked.is_ipv4() {
        return (client, asked);
    }
    let mapped = |at: SocketAddr| match at.ip() {
        IpAddr::V4(v4) if v4.is_unspecified() => (Ipv6Addr::UNSPECIFIED, at.port()).into(),
        IpAddr::V4(v4) => (v4.to_ipv6_mapped(), at.port()).into(),
        IpAddr::V6(_) => at,
    };
    (mapped(client), mapped(asked))
}
