//! DNS, for all services: SRV, NAPTR and addresses, over hickory-resolver, which caches by TTL.
//!
//! That something is not there is told from that it could not be learned ([`Lack::is_proof`]): the
//! difference decides which way a message goes (E-43).

mod order;
#[cfg(test)]
mod tests;

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use hickory_proto::rr::rdata::NAPTR;
use hickory_proto::rr::{Name, RData, RecordType};
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{NameServerConfig, ResolveHosts, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};

pub use order::{Random, in_order};

/// One try of one DNS server; there are two.
const QUERY: Duration = Duration::from_millis(1_500);
/// Questions under way at once.
const MAX_QUESTIONS: usize = 4_096;
/// Names on the way from an alias to its records.
const MAX_ALIASES: usize = 8;

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Lack {
    /// The name is no host name.
    #[error("not a host name")]
    BadName,
    /// The name does not exist (NXDOMAIN).
    #[error("no such name")]
    NoSuchName,
    /// The name exists, without such records.
    #[error("no such records")]
    NoRecords,
    /// No DNS server answered in time.
    #[error("DNS timed out")]
    Timeout,
    /// A DNS server failed or could not be reached.
    #[error("DNS failed: {0}")]
    Failed(String),
}

impl Lack {
    /// Whether this says that there is nothing: else nothing is known.
    pub fn is_proof(&self) -> bool {
        matches!(self, Lack::BadName | Lack::NoSuchName | Lack::NoRecords)
    }
}

/// One SRV record (RFC 2782).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Srv {
    /// Lower ones first.
    pub priority: u16,
    /// Its share among those of the same priority.
    pub weight: u16,
    /// Of the service.
    pub port: u16,
    /// Host name, ending with a dot.
    pub target: String,
}

impl Srv {
    /// Whether it says that there is no such service.
    pub fn is_absent(&self) -> bool {
        self.target == "."
    }
}

/// Asks DNS servers. Cheap to clone; clones share the cache.
#[derive(Clone)]
pub struct Dns {
    resolver: TokioResolver,
}

impl Dns {
    /// Asks these servers, or else those of the system.
    ///
    /// # Errors
    /// [`Lack::Failed`] if the system's settings cannot be read.
    pub fn new(servers: &[SocketAddr]) -> Result<Self, Lack> {
        Self::with_cache(servers, None)
    }

    /// The same, but each question is asked anew.
    ///
    /// # Errors
    /// As [`Dns::new`].
    pub fn uncached(servers: &[SocketAddr]) -> Result<Self, Lack> {
        Self::with_cache(servers, Some(0))
    }

    fn with_cache(servers: &[SocketAddr], entries: Option<u64>) -> Result<Self, Lack> {
        let mut builder = if servers.is_empty() {
            TokioResolver::builder_tokio().map_err(|error| lack(&error))?
        } else {
            let servers = servers.iter().map(name_server).collect();
            let config = ResolverConfig::from_parts(None, Vec::new(), servers);
            let provider = TokioRuntimeProvider::default();
            let mut builder = TokioResolver::builder_with_config(config, provider);
            builder.options_mut().use_hosts_file = ResolveHosts::Never;
            builder
        };
        let options = builder.options_mut();
        options.timeout = QUERY;
        options.attempts = 2;
        options.max_active_requests = MAX_QUESTIONS;
        if let Some(entries) = entries {
            options.cache_size = entries;
        }
        Ok(Self { resolver: builder.build().map_err(|error| lack(&error))? })
    }

    /// The SRV records of a service, in the order in which they came; [`in_order`] says in which to
    /// try them.
    ///
    /// The resolver follows the alias of an address, but that of a service it loses, with its
    /// records. So what it does not find is followed here (RFC 1034 §3.6.2, RFC 6672).
    ///
    /// # Errors
    /// [`Lack`]; never an empty list.
    pub async fn srv(&self, service: &str) -> Result<Vec<Srv>, Lack> {
        let mut name = Name::from_utf8(service).map_err(|_| Lack::BadName)?;
        for _ in 0..MAX_ALIASES {
            let error = match self.resolver.lookup(name.clone(), RecordType::SRV).await {
                Ok(found) => {
                    return some(found.answers().iter().filter_map(|it| srv(&it.data)).collect());
                }
                Err(error) => error,
            };
            match self.alias(&name, &error).await {
                Some(next) => name = next,
                None => return Err(lack(&error)),
            }
        }
        Err(Lack::Failed(format!("{service} is an alias of an alias, and so on")))
    }

    /// What the name stands for, if the error may be that of a name behind it.
    async fn alias(&self, name: &Name, error: &NetError) -> Option<Name> {
        if let NetError::Dns(DnsError::NoRecordsFound(none)) = error
            && none.query.name().eq_ignore_root(name)
        {
            return None;
        }
        let found = self.resolver.lookup(name.clone(), RecordType::CNAME).await.ok()?;
        found.answers().iter().find_map(|record| match &record.data {
            RData::CNAME(alias) => Some(alias.0.clone()),
            _ => None,
        })
    }

    /// The NAPTR records of a name.
    ///
    /// # Errors
    /// [`Lack`]; never an empty list.
    pub async fn naptr(&self, name: &str) -> Result<Vec<NAPTR>, Lack> {
        let found = self.resolver.lookup(name, RecordType::NAPTR).await.map_err(|it| lack(&it))?;
        let records = found.answers().iter().filter_map(|record| match &record.data {
            RData::NAPTR(naptr) => Some(naptr.clone()),
            _ => None,
        });
        some(records.collect())
    }

    /// The addresses of a host, IPv4 first. One family is enough, also if the other is not to be
    /// learned.
    ///
    /// # Errors
    /// [`Lack`]; never an empty list. That of the family of which nothing is known comes first.
    pub async fn addresses(&self, host: &str) -> Result<Vec<IpAddr>, Lack> {
        let (v4, v6) =
            tokio::join!(self.family(host, RecordType::A), self.family(host, RecordType::AAAA));
        match (v4, v6) {
            (Ok(mut v4), Ok(v6)) => {
                v4.extend(v6);
                Ok(v4)
            }
            (Ok(found), Err(_)) | (Err(_), Ok(found)) => Ok(found),
            (Err(v4), Err(v6)) => Err(if v4.is_proof() { v6 } else { v4 }),
        }
    }

    async fn family(&self, host: &str, kind: RecordType) -> Result<Vec<IpAddr>, Lack> {
        let found = self.resolver.lookup(host, kind).await.map_err(|error| lack(&error))?;
        let addresses = found.answers().iter().filter_map(|record| match &record.data {
            RData::A(address) => Some(IpAddr::V4(address.0)),
            RData::AAAA(address) => Some(IpAddr::V6(address.0)),
            _ => None,
        });
        some(addresses.collect())
    }

    /// Whether the servers answer at all: each knows the root.
    ///
    /// # Errors
    /// What they say instead.
    pub async fn answers(&self) -> Result<(), Lack> {
        match self.resolver.lookup(".", RecordType::NS).await.map_err(|error| lack(&error)) {
            Err(lack) if !lack.is_proof() => Err(lack),
            _ => Ok(()),
        }
    }
}

impl fmt::Debug for Dns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Dns")
    }
}

fn name_server(address: &SocketAddr) -> NameServerConfig {
    let mut server = NameServerConfig::udp_and_tcp(address.ip());
    for connection in &mut server.connections {
        connection.port = address.port();
    }
    server
}

fn srv(data: &RData) -> Option<Srv> {
    let RData::SRV(srv) = data else { return None };
    let (priority, weight, port) = (srv.priority, srv.weight, srv.port);
    Some(Srv { priority, weight, port, target: srv.target.to_ascii() })
}

fn some<T>(found: Vec<T>) -> Result<Vec<T>, Lack> {
    if found.is_empty() { Err(Lack::NoRecords) } else { Ok(found) }
}

fn lack(error: &NetError) -> Lack {
    match error {
        error if error.is_nx_domain() => Lack::NoSuchName,
        error if error.is_no_records_found() => Lack::NoRecords,
        NetError::Timeout => Lack::Timeout,
        NetError::Proto(_) => Lack::BadName,
        error => Lack::Failed(error.to_string()),
    }
}
