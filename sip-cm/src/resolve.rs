//! Where a next hop is: RFC 3263 over hickory-resolver (E-16).
//!
//! ```text
//! address literal ────────────────────────────────▶ that address
//! port given ─────────────────────────────────────▶ A/AAAA
//! transport given ──▶ SRV ──none──▶ A/AAAA, default port
//! neither ──▶ NAPTR ──none──▶ SRV of TCP, UDP, TLS ──none──▶ A/AAAA, UDP
//! ```
//! The result is the order to try; caching by TTL is hickory's.

mod order;

#[cfg(test)]
mod tests;

use futures_util::future::join_all;
use openfed_node::dns::{Dns, Lack, Random, Srv, in_order};
use openfed_proto::route::Transport;
use std::net::{IpAddr, SocketAddr};

/// One address to try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// How.
    pub transport: Transport,
    /// Where.
    pub address: SocketAddr,
    /// The name that a TLS certificate must show: the one that was asked for, never what DNS made
    /// of it (RFC 5922 §7.3).
    pub name: String,
}

/// Why there is no address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ResolveError {
    /// DNS has none, or does not say.
    #[error(transparent)]
    Lack(#[from] Lack),
    /// The domain says that it does not offer SIP: SRV target `.` (RFC 2782).
    #[error("service not offered")]
    NotOffered,
}

/// Looks next hops up. Cheap to clone; clones share the cache.
#[derive(Clone, Debug)]
pub struct Resolver {
    dns: Dns,
}

/// SRV targets that are looked at: what a transaction's 32 s could ever use.
const MAX_TARGETS: usize = 8;

impl Resolver {
    /// A resolver that asks `servers`, or those of the system if there are none.
    ///
    /// # Errors
    /// [`Lack::Failed`] if the system's settings cannot be read.
    pub fn new(servers: &[SocketAddr]) -> Result<Self, ResolveError> {
        Ok(Self { dns: Dns::new(servers)? })
    }

    /// The addresses of `host` in the order to try them.
    ///
    /// `port`: `None` or 0 asks SRV. `transport`: `None` asks NAPTR, else SRV of each. `host` may
    /// be an IP address, with or without brackets. `random(n)` gives a number in `0..n`.
    ///
    /// # Errors
    /// [`ResolveError`]; never an empty list.
    pub async fn resolve(
        &self,
        host: &str,
        port: Option<u16>,
        transport: Option<Transport>,
        random: Random<'_>,
    ) -> Result<Vec<Target>, ResolveError> {
        let port = port.filter(|port| *port != 0);
        let spoken = transport.unwrap_or(Transport::Udp);
        let unbracketed = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
        if let Ok(ip) = unbracketed.parse::<IpAddr>() {
            let address = SocketAddr::new(ip, port.unwrap_or(default_port(spoken)));
            let name = unbracketed.to_owned();
            return Ok(vec![Target { transport: spoken, address, name }]);
        }
        if let Some(port) = port {
            return self.addresses(host, host, port, spoken).await;
        }
        let services = match transport {
            Some(transport) => vec![service(host, transport)],
            None => self.services(host).await?,
        };
        match self.services_targets(host, services, random).await? {
            Found::Targets(targets) => Ok(targets),
            Found::Nothing(fault) => {
                let found = self.addresses(host, host, default_port(spoken), spoken).await;
                // What DNS could not say before may be where the service is.
                found.map_err(|error| fault.map_or(error, ResolveError::Lack))
            }
        }
    }

    /// The SRV names that NAPTR gives for `host`, else those of every transport we speak. DNS
    /// servers that do not know NAPTR say so in many ways.
    async fn services(&self, host: &str) -> Result<Vec<(String, Transport)>, ResolveError> {
        let answers = match self.dns.naptr(host).await {
            Err(Lack::BadName) => return Err(Lack::BadName.into()),
            answers => answers.unwrap_or_default(),
        };
        let offered = order::naptr(answers.into_iter());
        if !offered.is_empty() {
            return Ok(offered);
        }
        // TCP first: it carries every size (E-07). RFC 3263 §4.1 leaves the order to the client.
        let all = [Transport::Tcp, Transport::Udp, Transport::Tls];
        Ok(all.into_iter().map(|transport| service(host, transport)).collect())
    }

    /// The addresses behind SRV records.
    async fn services_targets(
        &self,
        host: &str,
        services: Vec<(String, Transport)>,
        random: Random<'_>,
    ) -> Result<Found, ResolveError> {
        let lookups = services.iter().map(|(name, _)| self.dns.srv(name));
        let mut servers: Vec<(Srv, Transport)> = Vec::new();
        let (mut refused, mut fault) = (false, None);
        for ((_, transport), answer) in services.iter().zip(join_all(lookups).await) {
            let mut records = match answer {
                Ok(records) => records,
                Err(lack) if lack.is_proof() => continue,
                Err(lack) => {
                    fault.get_or_insert(lack);
                    continue;
                }
            };
            refused |= records.iter().any(Srv::is_absent);
            records.retain(|srv| !srv.is_absent());
            let ordered = in_order(records, |srv| srv, &mut *random);
            servers.extend(ordered.into_iter().map(|srv| (srv, *transport)));
        }
        if servers.is_empty() {
            let nothing = Found::Nothing(fault);
            return if refused { Err(ResolveError::NotOffered) } else { Ok(nothing) };
        }
        servers.truncate(MAX_TARGETS);
        let lookups = servers
            .iter()
            .map(|(srv, transport)| self.addresses(&srv.target, host, srv.port, *transport));
        let mut found = Vec::new();
        let mut failure = None;
        for result in join_all(lookups).await {
            match result {
                Ok(addresses) => found.extend(addresses),
                Err(error) => drop(failure.get_or_insert(error)),
            }
        }
        match failure {
            Some(error) if found.is_empty() => Err(error),
            _ => Ok(Found::Targets(found)),
        }
    }

    async fn addresses(
        &self,
        host: &str,
        name: &str,
        port: u16,
        transport: Transport,
    ) -> Result<Vec<Target>, ResolveError> {
        let found = self.dns.addresses(host).await?;
        let target =
            |ip| Target { transport, address: SocketAddr::new(ip, port), name: name.to_owned() };
        Ok(found.into_iter().map(target).collect())
    }
}

/// What SRV records lead to.
enum Found {
    /// In the order to try them.
    Targets(Vec<Target>),
    /// There are none, unless DNS has failed to say so.
    Nothing(Option<Lack>),
}

fn service(host: &str, transport: Transport) -> (String, Transport) {
    let prefix = match transport {
        Transport::Udp => "_sip._udp",
        Transport::Tcp => "_sip._tcp",
        Transport::Tls => "_sips._tcp",
    };
    (format!("{prefix}.{host}"), transport)
}

fn default_port(transport: Transport) -> u16 {
    match transport {
        Transport::Tls => 5061,
        Transport::Tcp | Transport::Udp => 5060,
    }
}
