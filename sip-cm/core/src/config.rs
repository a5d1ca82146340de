//! What the core is told once, at its start.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use openfed_proto::domain::Domain;
use openfed_proto::route::{DomainPattern, Transport};

use crate::command::Hop;
use crate::uri::{Host, Uri};

/// One listening address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    pub transport: Transport,
    /// Where it really listens, port included.
    pub address: SocketAddr,
    /// The address that peers reach it at: that of `address`, or the machine's if it has none.
    pub reached: IpAddr,
    /// What Via and Record-Route say instead: host and port.
    pub advertised: (Host, u16),
}

impl Listener {
    /// Whether it takes what is sent to `ip`. Of an unspecified address we know the one that is
    /// reached from outside, and loopback; loop detection finds the rest.
    fn holds(&self, ip: IpAddr) -> bool {
        let bound = self.address.ip();
        bound == ip
            || self.reached == ip
            || (bound.is_unspecified() && (ip.is_loopback() || ip.is_unspecified()))
    }

    /// Whether this is its port: as advertised, as bound, or the default one if none is said.
    fn is_at(&self, port: Option<u16>) -> bool {
        let port = port.unwrap_or(default_port(self.transport));
        port == self.advertised.1 || port == self.address.port()
    }
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
    /// Foreign domains whose people see our users without their devices.
    pub without_gr: Vec<DomainPattern>,
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

    /// Whether `domain` is below one of ours: another name for our own, as far as people can tell.
    pub(crate) fn is_below_local(&self, domain: &Domain) -> bool {
        self.local.iter().any(|own| domain.is_within(own)) && !self.is_local(domain)
    }

    /// Whether From names the device of a user of ours by its `gr` (S-021): to some clients each is
    /// another person.
    pub(crate) fn shows_gr_to(&self, domain: &Domain) -> bool {
        !self.without_gr.iter().any(|pattern| pattern.matches(domain))
    }

    /// The listener whose address our Via shows on `transport`; any, if none listens on it.
    #[must_use]
    pub fn listener(&self, transport: Transport) -> Option<&Listener> {
        self.listeners.iter().find(|l| l.transport == transport).or(self.listeners.first())
    }

    /// Whether host and port, as in a Via or a Route, name us. Without a port: an address by the
    /// default one of any transport, a name by any, as DNS says the port (RFC 3263 §4.2).
    #[must_use]
    pub fn is_us(&self, host: &Host, port: Option<u16>) -> bool {
        self.listeners.iter().any(|listener| {
            let own = listener.advertised.0.is_same(host);
            let at_address = host.ip().is_some_and(|ip| listener.holds(ip));
            match (host, port) {
                (Host::Name(_), None) => own,
                (_, port) => (own || at_address) && listener.is_at(port),
            }
        })
    }

    /// Whether a Route names us by one of our domains (RFC 3261 §16.4). With a port that is neither
    /// a default one nor ours it names another server of the domain.
    pub(crate) fn is_our_domain(&self, route: &Uri) -> bool {
        let name = route.host().and_then(Host::name);
        let ours =
            name.and_then(|name| Domain::parse(name).ok()).is_some_and(|d| self.is_local(&d));
        let of_ours = |port| self.listeners.iter().any(|listener| listener.is_at(Some(port)));
        let standard = |port| {
            [Transport::Udp, Transport::Tls].into_iter().map(default_port).any(|it| it == port)
        };
        ours && route.port().is_none_or(|port| standard(port) || of_ours(port))
    }

    /// Whether a message sent there would come back to one of our listeners.
    #[must_use]
    pub fn is_own_listener(&self, hop: &Hop) -> bool {
        self.listeners.iter().any(|listener| {
            let advertised = listener.advertised.0.ip() == Some(hop.address.ip())
                && listener.advertised.1 == hop.address.port();
            let bound =
                listener.holds(hop.address.ip()) && listener.address.port() == hop.address.port();
            // UDP and the stream transports have ports of their own.
            let same_kind =
                (listener.transport == Transport::Udp) == (hop.transport == Transport::Udp);
            same_kind && (advertised || bound)
        })
    }
}

/// 5061 for TLS, else 5060 (RFC 3261 §19.1.2).
#[must_use]
pub fn default_port(transport: Transport) -> u16 {
    match transport {
        Transport::Tls => 5061,
        Transport::Tcp | Transport::Udp => 5060,
    }
}
