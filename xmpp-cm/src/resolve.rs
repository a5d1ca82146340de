//! Where the server of a foreign domain can be reached (RFC 6120 §3.2, XEP-0368), or that it
//! cannot: the difference between "there is none" and "nobody answered" decides what happens to
//! the packet (E-43).

mod order;

use std::net::{IpAddr, SocketAddr};
use std::sync::Mutex;
use std::time::Duration;

use hickory_proto::rr::{RData, RecordType};
use hickory_resolver::config::{LookupIpStrategy, NameServerConfig, ResolverConfig};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::{ResolverBuilder, TokioResolver};
use openfed_proto::domain::Domain;
use tokio::time::{Instant, timeout_at};

use order::{Service, interleave, order};

/// Port when no SRV record names one (RFC 6120 §3.2.1).
const DEFAULT_PORT: u16 = 5269;
/// SRV targets that are looked at; the best ones come first.
const MAX_TARGETS: usize = 8;
/// Addresses that are tried.
const MAX_ADDRESSES: usize = 16;
/// For one question to one DNS server; asked twice.
const QUESTION: Duration = Duration::from_secs(2);
/// Questions under way at once.
const MAX_QUESTIONS: usize = 4_096;

/// One way to reach a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Endpoint {
    /// Where to connect.
    pub address: SocketAddr,
    /// TLS from the first byte (XEP-0368), else STARTTLS.
    pub direct_tls: bool,
}

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
}

/// Makes the weighted choice of RFC 2782.
pub type Random = Box<dyn FnMut() -> u64 + Send>;

/// Looks domains up.
pub struct Resolver {
    dns: TokioResolver,
    random: Mutex<Random>,
}

/// One kind of record for one name.
enum Found<T> {
    Some(T),
    None,
    Failed,
}

impl Resolver {
    /// Asks these DNS servers; none given: those of the system.
    ///
    /// # Errors
    /// The system's configuration cannot be read.
    pub fn new(servers: &[SocketAddr], random: Random) -> Result<Self, NetError> {
        let mut builder = builder(servers)?;
        let options = builder.options_mut();
        options.ip_strategy = LookupIpStrategy::Ipv6AndIpv4;
        options.max_active_requests = MAX_QUESTIONS;
        Ok(Self { dns: builder.build()?, random: Mutex::new(random) })
    }

    /// Everything about one domain, by `deadline` at the latest.
    pub async fn resolve(&self, domain: &Domain, deadline: Instant) -> Resolution {
        let resolution = timeout_at(deadline, self.look_up(domain)).await;
        resolution.unwrap_or(Resolution::Unanswered)
    }

    /// The addresses of a host name, by `deadline` at the latest.
    pub async fn addresses(&self, host: &str, deadline: Instant) -> Vec<IpAddr> {
        match timeout_at(deadline, self.hosts(host)).await {
            Ok(Found::Some(addresses)) => addresses,
            _ => Vec::new(),
        }
    }

    async fn look_up(&self, domain: &Domain) -> Resolution {
        let (direct, plain) = tokio::join!(
            self.services(format!("_xmpps-server._tcp.{domain}."), true),
            self.services(format!("_xmpp-server._tcp.{domain}."), false),
        );
        let services = match (direct, plain) {
            (Found::Some(mut direct), Found::Some(plain)) => {
                direct.extend(plain);
                direct
            }
            (Found::Some(services), _) => services,
            (_, Found::Some(services)) => services,
            (_, Found::Failed) => return Resolution::Unanswered,
            (_, Found::None) => return self.guess(domain).await,
        };
        // A service that is only said not to exist over TLS may exist over STARTTLS, but not the
        // other way round (XEP-0368 §4).
        let offered: Vec<_> =
            services.iter().filter(|service| !service.is_absent()).cloned().collect();
        match (offered.is_empty(), services.iter().all(|service| service.direct_tls)) {
            (true, true) => self.guess(domain).await,
            (true, false) => Resolution::NotFound,
            (false, _) => self.announced(offered).await,
        }
    }

    async fn announced(&self, services: Vec<Service>) -> Resolution {
        let ordered = match self.random.lock() {
            Ok(mut random) => order(services, &mut *random),
            Err(_) => services,
        };
        let mut lookups = tokio::task::JoinSet::new();
        for (index, service) in ordered.into_iter().take(MAX_TARGETS).enumerate() {
            let dns = self.dns.clone();
            lookups.spawn(async move { (index, hosts(&dns, &service.target).await, service) });
        }
        let mut found = lookups.join_all().await;
        found.sort_by_key(|(index, ..)| *index);
        let mut endpoints = Vec::new();
        let mut failed = false;
        for (_, addresses, service) in found {
            match addresses {
                Found::Some(addresses) => {
                    endpoints.extend(interleave(&addresses).map(|ip| service.at(ip)));
                }
                Found::None => {}
                Found::Failed => failed = true,
            }
        }
        endpoints.truncate(MAX_ADDRESSES);
        match (endpoints.is_empty(), failed) {
            (false, _) => Resolution::Announced(endpoints),
            (true, true) => Resolution::Unanswered,
            (true, false) => Resolution::NotFound,
        }
    }

    async fn guess(&self, domain: &Domain) -> Resolution {
        match self.hosts(&format!("{domain}.")).await {
            Found::Some(addresses) => Resolution::Guessed(
                interleave(&addresses)
                    .take(MAX_ADDRESSES)
                    .map(|ip| Endpoint {
                        address: SocketAddr::new(ip, DEFAULT_PORT),
                        direct_tls: false,
                    })
                    .collect(),
            ),
            Found::None => Resolution::NotFound,
            Found::Failed => Resolution::Unanswered,
        }
    }

    async fn services(&self, name: String, direct_tls: bool) -> Found<Vec<Service>> {
        match self.dns.lookup(name, RecordType::SRV).await {
            Ok(answer) => {
                let records = answer.answers().iter();
                let services: Vec<_> = records
                    .filter_map(|record| match &record.data {
                        RData::SRV(srv) => Some(Service {
                            priority: srv.priority,
                            weight: srv.weight,
                            port: srv.port,
                            target: srv.target.to_ascii(),
                            direct_tls,
                        }),
                        _ => None,
                    })
                    .collect();
                if services.is_empty() { Found::None } else { Found::Some(services) }
            }
            Err(error) => missing(&error),
        }
    }

    async fn hosts(&self, name: &str) -> Found<Vec<IpAddr>> {
        hosts(&self.dns, name).await
    }
}

async fn hosts(dns: &TokioResolver, name: &str) -> Found<Vec<IpAddr>> {
    match dns.lookup_ip(name).await {
        Ok(answer) => {
            let addresses: Vec<_> = answer.iter().collect();
            if addresses.is_empty() { Found::None } else { Found::Some(addresses) }
        }
        Err(error) => missing(&error),
    }
}

fn missing<T>(error: &NetError) -> Found<T> {
    if error.is_no_records_found() { Found::None } else { Found::Failed }
}

/// A resolver to be, which asks these DNS servers; none given: those of the system.
pub(crate) fn builder(
    servers: &[SocketAddr],
) -> Result<ResolverBuilder<TokioRuntimeProvider>, NetError> {
    let mut builder = if servers.is_empty() {
        TokioResolver::builder_tokio()?
    } else {
        let servers = servers.iter().map(name_server).collect();
        let config = ResolverConfig::from_parts(None, Vec::new(), servers);
        TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
    };
    let options = builder.options_mut();
    options.timeout = QUESTION;
    options.attempts = 2;
    Ok(builder)
}

fn name_server(address: &SocketAddr) -> NameServerConfig {
    let mut server = NameServerConfig::udp_and_tcp(address.ip());
    for connection in &mut server.connections {
        connection.port = address.port();
    }
    server
}

#[cfg(test)]
mod tests;
