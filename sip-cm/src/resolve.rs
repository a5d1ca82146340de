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
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{
    ConnectionConfig, LookupIpStrategy, NameServerConfig, ResolveHosts, ResolverConfig,
};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::rdata::SRV;
use hickory_resolver::proto::rr::{RData, RecordType};
use openfed_proto::route::Transport;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

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
    /// The name is no host name.
    #[error("not a host name")]
    BadName,
    /// The name does not exist (NXDOMAIN).
    #[error("no such name")]
    NoSuchName,
    /// The name exists, without any address.
    #[error("no address records")]
    NoRecords,
    /// The domain says that it does not offer SIP: SRV target `.` (RFC 2782).
    #[error("service not offered")]
    NotOffered,
    /// No DNS server answered in time.
    #[error("DNS timed out")]
    Timeout,
    /// A DNS server failed or could not be reached.
    #[error("DNS failed: {0}")]
    Failed(String),
}

/// Looks next hops up. Cheap to clone; clones share the cache.
#[derive(Clone)]
pub struct Resolver {
    dns: TokioResolver,
}

/// One try of one DNS server; hickory makes two.
const QUERY_TIMEOUT: Duration = Duration::from_millis(1500);
/// SRV targets that are looked at: what a transaction's 32 s could ever use.
const MAX_TARGETS: usize = 8;

impl Resolver {
    /// A resolver that asks `servers`, or those of the system if there are none.
    ///
    /// # Errors
    /// [`ResolveError::Failed`] if the system's settings cannot be read.
    pub fn new(servers: &[SocketAddr]) -> Result<Self, ResolveError> {
        let failed = |e: NetError| ResolveError::Failed(e.to_string());
        let mut builder = if servers.is_empty() {
            TokioResolver::builder_tokio().map_err(failed)?
        } else {
            let servers = servers.iter().map(|server| {
                let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()];
                let connections = connections.map(|mut connection| {
                    connection.port = server.port();
                    connection
                });
                NameServerConfig::new(server.ip(), true, connections.into())
            });
            let config = ResolverConfig::from_parts(None, Vec::new(), servers.collect());
            let provider = TokioRuntimeProvider::default();
            let mut builder = TokioResolver::builder_with_config(config, provider);
            builder.options_mut().use_hosts_file = ResolveHosts::Never;
            builder
        };
        let options = builder.options_mut();
        options.timeout = QUERY_TIMEOUT;
        options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
        Ok(Self { dns: builder.build().map_err(failed)? })
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
        random: &mut (dyn FnMut(u32) -> u32 + Send),
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
        let targets = self.services_targets(host, services, random).await?;
        if targets.is_empty() {
            return self.addresses(host, host, default_port(spoken), spoken).await;
        }
        Ok(targets)
    }

    /// The SRV names that NAPTR gives for `host`, else those of every transport we speak.
    async fn services(&self, host: &str) -> Result<Vec<(String, Transport)>, ResolveError> {
        let answers = match self.lookup(host, RecordType::NAPTR).await {
            Ok(answers) => answers,
            Err(ResolveError::NoSuchName | ResolveError::NoRecords) => Vec::new(),
            Err(error) => return Err(error),
        };
        let offered = order::naptr(answers.into_iter().filter_map(|data| match data {
            RData::NAPTR(naptr) => Some(naptr),
            _ => None,
        }));
        if !offered.is_empty() {
            return Ok(offered);
        }
        // TCP first: it carries every size (E-07). RFC 3263 §4.1 leaves the order to the client.
        let all = [Transport::Tcp, Transport::Udp, Transport::Tls];
        Ok(all.into_iter().map(|transport| service(host, transport)).collect())
    }

    /// The addresses behind SRV records; empty if there are no such records.
    async fn services_targets(
        &self,
        host: &str,
        services: Vec<(String, Transport)>,
        random: &mut (dyn FnMut(u32) -> u32 + Send),
    ) -> Result<Vec<Target>, ResolveError> {
        let lookups = services.iter().map(|(name, _)| self.lookup(name, RecordType::SRV));
        let mut servers = Vec::new();
        let mut refused = false;
        for ((_, transport), answer) in services.iter().zip(join_all(lookups).await) {
            let answers = match answer {
                Ok(answers) => answers,
                Err(ResolveError::NoSuchName | ResolveError::NoRecords) => continue,
                Err(error) => return Err(error),
            };
            let records: Vec<SRV> = answers
                .into_iter()
                .filter_map(|data| match data {
                    RData::SRV(srv) => Some(srv),
                    _ => None,
                })
                .collect();
            refused |= records.iter().any(|srv| srv.target.is_root());
            let offered = records.into_iter().filter(|srv| !srv.target.is_root()).collect();
            servers.extend(order::srv(offered, random).into_iter().map(|srv| (srv, *transport)));
        }
        if servers.is_empty() {
            return if refused { Err(ResolveError::NotOffered) } else { Ok(Vec::new()) };
        }
        servers.truncate(MAX_TARGETS);
        let names: Vec<String> = servers.iter().map(|(srv, _)| srv.target.to_string()).collect();
        let lookups = servers
            .iter()
            .zip(&names)
            .map(|((srv, transport), name)| self.addresses(name, host, srv.port, *transport));
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
            _ => Ok(found),
        }
    }

    async fn addresses(
        &self,
        host: &str,
        name: &str,
        port: u16,
        transport: Transport,
    ) -> Result<Vec<Target>, ResolveError> {
        let found = self.dns.lookup_ip(host).await.map_err(|error| classify(&error))?;
        let targets: Vec<Target> = found
            .iter()
            .map(|ip| Target {
                transport,
                address: SocketAddr::new(ip, port),
                name: name.to_owned(),
            })
            .collect();
        if targets.is_empty() { Err(ResolveError::NoRecords) } else { Ok(targets) }
    }

    async fn lookup(&self, name: &str, kind: RecordType) -> Result<Vec<RData>, ResolveError> {
        let found = self.dns.lookup(name, kind).await.map_err(|error| classify(&error))?;
        Ok(found.answers().iter().map(|record| record.data.clone()).collect())
    }
}

impl std::fmt::Debug for Resolver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Resolver")
    }
}

fn classify(error: &NetError) -> ResolveError {
    match error {
        error if error.is_nx_domain() => ResolveError::NoSuchName,
        error if error.is_no_records_found() => ResolveError::NoRecords,
        NetError::Timeout => ResolveError::Timeout,
        NetError::Proto(_) => ResolveError::BadName,
        error => ResolveError::Failed(error.to_string()),
    }
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
