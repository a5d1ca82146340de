//! Where the server of a foreign domain can be reached (RFC 6120 §3.2, XEP-0368), or that it
//! cannot: the difference between "there is none" and "nobody answered" decides what happens to
//! the packet (E-43).

mod interleave;

use std::net::{IpAddr, SocketAddr};
use std::sync::Mutex;

use openfed_node::dns::{Dns, Lack, Srv, in_order};
use openfed_proto::domain::Domain;
use tokio::time::{Instant, timeout_at};
pub use xmpp_cm_core::core::Endpoint;

use interleave::interleave;

/// Port when no SRV record names one (RFC 6120 §3.2.1).
const DEFAULT_PORT: u16 = 5269;
/// SRV targets that are looked at; the best ones come first.
const MAX_TARGETS: usize = 8;
/// Addresses that are tried.
const MAX_ADDRESSES: usize = 16;

/// What DNS says about a domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resolution {
    /// No such domain, neither SRV nor address records, or the SRV target ".".
    NotFound,
    /// No answer in time, or the DNS server failed: nothing is known.
    Unanswered,
    /// SRV records name these, the best first.
    Announced(Vec<Endpoint>),
    /// No SRV records; the domain has addresses, where a server may listen or not (E-44).
    Guessed(Vec<Endpoint>),
    /// The same, but whether there are SRV records could not be learned: that nobody listens there
    /// proves nothing.
    Tried(Vec<Endpoint>),
}

/// Makes the weighted choice of RFC 2782: a number below the given one.
pub type Random = Box<dyn FnMut(u32) -> u32 + Send>;

/// A service that SRV records name.
#[derive(Debug, Clone)]
struct Service {
    srv: Srv,
    direct_tls: bool,
}

impl Service {
    fn at(&self, ip: IpAddr) -> Endpoint {
        Endpoint { address: SocketAddr::new(ip, self.srv.port), direct_tls: self.direct_tls }
    }
}

/// Looks domains up.
pub struct Resolver {
    dns: Dns,
    random: Mutex<Random>,
}

impl Resolver {
    /// Asks these DNS servers; none given: those of the system.
    ///
    /// # Errors
    /// The system's configuration cannot be read.
    pub fn new(servers: &[SocketAddr], random: Random) -> Result<Self, Lack> {
        Ok(Self { dns: Dns::new(servers)?, random: Mutex::new(random) })
    }

    /// Everything about one domain, by `deadline` at the latest.
    pub async fn resolve(&self, domain: &Domain, deadline: Instant) -> Resolution {
        let resolution = timeout_at(deadline, self.look_up(domain)).await;
        resolution.unwrap_or(Resolution::Unanswered)
    }

    /// The addresses of a host name, by `deadline` at the latest.
    pub async fn addresses(&self, host: &str, deadline: Instant) -> Vec<IpAddr> {
        match timeout_at(deadline, self.dns.addresses(host)).await {
            Ok(Ok(addresses)) => addresses,
            _ => Vec::new(),
        }
    }

    async fn look_up(&self, domain: &Domain) -> Resolution {
        let (direct, plain) = tokio::join!(
            self.services(format!("_xmpps-server._tcp.{domain}."), true),
            self.services(format!("_xmpp-server._tcp.{domain}."), false),
        );
        // Old DNS servers know no SRV and say that they have failed (RFC 6120 §3.2.1 item 9).
        let learned = [&direct, &plain].into_iter().all(is_learned);
        let services: Vec<_> = [direct, plain].into_iter().flatten().flatten().collect();
        // A service that is only said not to exist over TLS may exist over STARTTLS, but not the
        // other way round (XEP-0368 §4).
        let starttls_is_absent =
            services.iter().any(|service| !service.direct_tls && service.srv.is_absent());
        let mut offered = services;
        offered.retain(|service| !service.srv.is_absent());
        match offered.is_empty() {
            true if starttls_is_absent => Resolution::NotFound,
            true => self.guess(domain, learned).await,
            false => self.announced(offered).await,
        }
    }

    async fn announced(&self, services: Vec<Service>) -> Resolution {
        let ordered = match self.random.lock() {
            Ok(mut random) => in_order(services, |service| &service.srv, &mut *random),
            Err(_) => services,
        };
        let mut lookups = tokio::task::JoinSet::new();
        for (index, service) in ordered.into_iter().take(MAX_TARGETS).enumerate() {
            let dns = self.dns.clone();
            lookups
                .spawn(async move { (index, dns.addresses(&service.srv.target).await, service) });
        }
        let mut found = lookups.join_all().await;
        found.sort_by_key(|(index, ..)| *index);
        let mut endpoints = Vec::new();
        let mut learned = true;
        for (_, addresses, service) in found {
            learned &= is_learned(&addresses);
            let addresses = addresses.unwrap_or_default();
            endpoints.extend(interleave(&addresses).map(|ip| service.at(ip)));
        }
        endpoints.truncate(MAX_ADDRESSES);
        match (endpoints.is_empty(), learned) {
            (false, _) => Resolution::Announced(endpoints),
            (true, false) => Resolution::Unanswered,
            (true, true) => Resolution::NotFound,
        }
    }

    /// The domain itself may be the server, whether it is known that there are no SRV records or not.
    async fn guess(&self, domain: &Domain, learned: bool) -> Resolution {
        let addresses = match self.dns.addresses(&format!("{domain}.")).await {
            Ok(addresses) => addresses,
            Err(lack) if lack.is_proof() && learned => return Resolution::NotFound,
            Err(_) => return Resolution::Unanswered,
        };
        let at = |ip| Endpoint { address: SocketAddr::new(ip, DEFAULT_PORT), direct_tls: false };
        let endpoints = interleave(&addresses).take(MAX_ADDRESSES).map(at).collect();
        if learned { Resolution::Guessed(endpoints) } else { Resolution::Tried(endpoints) }
    }

    async fn services(&self, name: String, direct_tls: bool) -> Result<Vec<Service>, Lack> {
        let found = self.dns.srv(&name).await?;
        Ok(found.into_iter().map(|srv| Service { srv, direct_tls }).collect())
    }
}

/// Whether it is known what there is.
fn is_learned<T>(answer: &Result<T, Lack>) -> bool {
    answer.as_ref().err().is_none_or(Lack::is_proof)
}

#[cfg(test)]
mod tests;
