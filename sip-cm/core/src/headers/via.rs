//! Via (RFC 3261 §20.42, RFC 3581).

use super::{HeaderId, ParamsRef, Span};
use crate::uri::{Host, host_port_within};
use crate::wire::WireError;
use bytestring::ByteString;
use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// One Via value: `SIP/2.0/UDP host:port;branch=…`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Via {
    text: ByteString,
    transport: Span,
    host: Host,
    port: Option<u16>,
    params: Span,
}

impl Via {
    /// Reads one value, white space around `/`, `:`, `;` and `=` allowed (RFC 3261 §25.1).
    ///
    /// # Errors
    /// [`WireError::Value`]; [`WireError::Version`] if the protocol is not SIP/2.0.
    pub fn parse(text: &ByteString) -> Result<Self, WireError> {
        Self::of(text.slice_ref(text.trim()))
    }

    /// Reads one value without white space around it.
    pub(crate) fn of(text: ByteString) -> Result<Self, WireError> {
        let bad = || WireError::Value(HeaderId::Via);
        let (protocol, rest) = text.split_once('/').ok_or_else(bad)?;
        let (version, rest) = rest.split_once('/').ok_or_else(bad)?;
        if !protocol.trim().eq_ignore_ascii_case("SIP") || version.trim() != "2.0" {
            return Err(WireError::Version);
        }
        let (transport, rest) = rest.trim_start().split_once([' ', '\t']).ok_or_else(bad)?;
        if transport.is_empty() || !transport.bytes().all(super::is_token) {
            return Err(bad());
        }
        let (sent_by, run) = rest.split_at(rest.find(';').unwrap_or(rest.len()));
        let (host, port) = host_port_within(&text, sent_by.trim()).map_err(|_| bad())?;
        if !ParamsRef::new(run).is_sound() {
            return Err(bad());
        }
        let (transport, params) = (Span::of(transport, &text), Span::of(run, &text));
        Ok(Self { transport, host, port, params, text })
    }

    /// The whole value as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// `UDP`, `TCP`, `TLS`, … as written.
    #[must_use]
    pub fn transport(&self) -> &str {
        self.transport.within(&self.text)
    }

    /// The host of sent-by.
    #[must_use]
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// The port of sent-by, if written.
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        self.port
    }

    /// All parameters.
    #[must_use]
    pub fn params(&self) -> ParamsRef<'_> {
        ParamsRef::new(self.params.within(&self.text))
    }

    /// The transaction's branch.
    #[must_use]
    pub fn branch(&self) -> Option<&str> {
        self.params().value("branch")
    }

    /// The source address that the next hop saw (RFC 3261 §18.2.1).
    ///
    /// An IPv6 address is taken with and without brackets (RFC 5118 §4.5).
    #[must_use]
    pub fn received(&self) -> Option<IpAddr> {
        parse_ip(self.params().value("received")?)
    }

    /// `Some(None)`: asked for; `Some(Some(port))`: filled in (RFC 3581 §4).
    #[must_use]
    pub fn rport(&self) -> Option<Option<u16>> {
        Some(self.params().get("rport")?.and_then(|port| port.parse().ok()))
    }

    /// The multicast or alternative address for responses.
    #[must_use]
    pub fn maddr(&self) -> Option<&str> {
        self.params().value("maddr")
    }

    /// The multicast time to live.
    #[must_use]
    pub fn ttl(&self) -> Option<u8> {
        self.params().value("ttl")?.parse().ok()
    }

    /// Host and port that a response over an unreliable transport goes to (RFC 3261 §18.2.2,
    /// RFC 3581 §4); `None` as port: look sent-by's host up by RFC 3263 §5.
    #[must_use]
    pub fn reply_to(&self) -> (String, Option<u16>) {
        if let Some(maddr) = self.maddr() {
            return (maddr.to_owned(), Some(self.port.unwrap_or(5060)));
        }
        match self.received() {
            Some(ip) => {
                let port = self.rport().flatten().or(self.port).unwrap_or(5060);
                (ip.to_string(), Some(port))
            }
            None => (self.host.to_string(), self.rport().flatten().or(self.port)),
        }
    }

    /// This value with the source it really came from, or `None` if sent-by already says so.
    ///
    /// RFC 3261 §18.2.1, RFC 3581 §4: `received` if the host differs or `rport` was asked for;
    /// what the peer wrote there itself is replaced.
    #[must_use]
    pub fn marked(&self, source: SocketAddr) -> Option<String> {
        let asked = self.rport().is_some();
        let ip = source.ip().to_canonical();
        let params = self.params();
        let forged = params.get("received").is_some();
        if !asked && !forged && self.host.ip() == Some(ip) {
            return None;
        }
        let head = self.text.len() - self.params().as_str().len();
        let mut value = self.text.get(..head).unwrap_or_default().trim_end().to_owned();
        for (name, written) in params.iter() {
            if name.eq_ignore_ascii_case("received") {
                continue;
            }
            let _ = write!(value, ";{name}");
            if name.eq_ignore_ascii_case("rport") {
                let _ = write!(value, "={}", source.port());
            } else if let Some(written) = written {
                let _ = write!(value, "={written}");
            }
        }
        if asked || self.host.ip() != Some(ip) {
            let _ = write!(value, ";received={ip}");
        }
        Some(value)
    }

    /// This value with the share, in hundredths, of its requests that the sender should keep back
    /// for so long, or `None` if it does not ask for one (RFC 7339 §4: `oc` without a value).
    #[must_use]
    pub fn controlled(&self, loss: u32, valid: Duration, unix_us: u64) -> Option<String> {
        if self.params().get("oc") != Some(None) {
            return None;
        }
        let head = self.text.len() - self.params().as_str().len();
        let mut value = self.text.get(..head).unwrap_or_default().trim_end().to_owned();
        let ours = |name: &str| {
            ["oc", "oc-algo", "oc-validity", "oc-seq"].iter().any(|n| n.eq_ignore_ascii_case(name))
        };
        for (name, written) in self.params().iter().filter(|(name, _)| !ours(name)) {
            let _ = write!(value, ";{name}");
            if let Some(written) = written {
                let _ = write!(value, "={written}");
            }
        }
        let (valid, seconds) = (valid.as_millis(), unix_us / 1_000_000);
        let millis = unix_us / 1_000 % 1_000;
        let _ = write!(
            value,
            ";oc={loss};oc-algo=\"loss\";oc-validity={valid};oc-seq={seconds}.{millis:03}"
        );
        Some(value)
    }
}

fn parse_ip(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|t| t.strip_suffix(']')).unwrap_or(text);
    bare.parse().ok()
}
