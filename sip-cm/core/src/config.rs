//! What the core is told once, at its start.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use openfed_proto::domain::Domain;
use openfed_proto::route::Transport;

use crate::command::Hop;
use crate::uri::Host;

/// One listening address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    pub transport: Transport,
    /// Where it really listens, port included.
    pub address: SocketAddr,
    /// What Via and Record-Route say instead: host and port.
    pub advertised: (Host, u16),
}

/// The operator's `sip.trusted`: addresses that may speak for our users.
pub struct Trusted(Box<dyn Fn(IpAddr) -> bool + Send>);

impl Trusted {
    /// Takes a test of addresses.
    #[must_use]
    pub fn new(contains: impl Fn(IpAddr) -> bool + Send + 'static) -> Self {
        Trusted(Box::new(contains))
    }

    pub(crate) fn contains(&self, ip: IpAddr) -> bool {
        (self.0)(ip)
    }
}

impl fmt::Debug for Trusted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Trusted")
    }
}

/// Settings of the core.
#[derive(Debug)]
pub struct Config {
    /// This node's name in hops.
    pub node: String,
    /// The domains whose users live on the operator's XMPP servers.
    pub local: Vec<Domain>,
    pub listeners: Vec<Listener>,
    pub trusted: Trusted,
    /// Whether SIP between two local users is delivered.
    pub intradomain: bool,
    /// Attempts that routers may have in flight here.
    pub capacity: u32,
    /// Most transactions of each kind at a time; what is beyond is refused. Answered requests
    /// that only wait for their copies make room first.
    pub max_transactions: usize,
    /// Most received requests without answer; what is beyond is refused, so that the others are
    /// answered in time.
    pub max_requests: usize,
}

impl Config {
    /// Whether `domain` is one of ours.
    #[must_use]
    pub fn is_local(&self, domain: &Domain) -> bool {
        self.local.contains(domain)
    }

    /// The listener whose address our Via shows on `transport`; any, if none listens on it.
    #[must_use]
    pub fn listener(&self, transport: Transport) -> Option<&Listener> {
        self.listeners.iter().find(|l| l.transport == transport).or(self.listeners.first())
    }

    /// Whether host and port, as in a Via or a Route, name us. Without a port: the default one of
    /// any transport.
    #[must_use]
    pub fn is_us(&self, host: &Host, port: Option<u16>) -> bool {
        self.listeners.iter().any(|listener| {
            let (own, own_port) = &listener.advertised;
            let ports = [*own_port, listener.address.port()];
            let port = port.unwrap_or(default_port(listener.transport));
            let same_host =
                own.is_same(host) || host.ip().is_some_and(|ip| holds(listener.address.ip(), ip));
            same_host && ports.contains(&port)
        })
    }

    /// Whether a message sent there would come back to one of our listeners.
    #[must_use]
    pub fn is_own_listener(&self, hop: &Hop) -> bool {
        self.listeners.iter().any(|listener| {
            let advertised = listener.advertised.0.ip() == Some(hop.address.ip())
                && listener.advertised.1 == hop.address.port();
            let bound = holds(listener.address.ip(), hop.address.ip())
                && listener.address.port() == hop.address.port();
            // UDP and the stream transports have ports of their own.
            let same_kind =
                (listener.transport == Transport::Udp) == (hop.transport == Transport::Udp);
            same_kind && (advertised || bound)
        })
    }
}

/// Whether a socket bound to `bound` takes what is sent to `ip`. Of an unspecified address we
/// only know loopback for sure; loop detection finds the rest.
fn holds(bound: IpAddr, ip: IpAddr) -> bool {
    bound == ip || (bound.is_unspecified() && (ip.is_loopback() || ip.is_unspecified()))
}

/// 5061 for TLS, else 5060 (RFC 3261 §19.1.2).
#[must_use]
pub fn default_port(transport: Transport) -> u16 {
    match transport {
        Transport::Tls => 5061,
        Transport::Tcp | Transport::Udp => 5060,
    }
}
