//! Name resolution for `check`, with the same servers that the services use.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use hickory_resolver::config::{NameServerConfig, ResolverConfig};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::{RData, RecordType};
use hickory_resolver::{Resolver, TokioResolver};
use openfed_proto::route::Transport;

/// A resolver that asks `servers`, or the system's if there are none.
pub(crate) fn resolver(servers: &[SocketAddr]) -> Result<TokioResolver, NetError> {
    let mut builder = if servers.is_empty() {
        TokioResolver::builder_tokio()?
    } else {
        let configured = servers.iter().map(|server| {
            let mut config = NameServerConfig::udp_and_tcp(server.ip());
            for connection in &mut config.connections {
                connection.port = server.port();
            }
            config
        });
        let config = ResolverConfig::from_name_servers(configured.collect());
        Resolver::builder_with_config(config, TokioRuntimeProvider::default())
    };
    let options = builder.options_mut();
    options.timeout = Duration::from_secs(2);
    options.attempts = 2;
    builder.build()
}

/// Whether the servers answer at all: each knows the root.
pub(crate) async fn answers(resolver: &TokioResolver) -> Result<(), NetError> {
    match resolver.lookup(".", RecordType::NS).await {
        Err(error) if !error.is_no_records_found() => Err(error),
        _ => Ok(()),
    }
}

/// The addresses of a next hop in the order to try (RFC 3263 §4.2): port 0 asks SRV first.
pub(crate) async fn next_hop(
    resolver: &TokioResolver,
    host: &str,
    port: u16,
    transport: Transport,
) -> Result<Vec<SocketAddr>, NetError> {
    let default = if transport == Transport::Tls { 5061 } else { 5060 };
    if let Ok(ip) = host.trim_matches(['[', ']']).parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(ip, if port == 0 { default } else { port })]);
    }
    if port != 0 {
        return addresses(resolver, host, port).await;
    }
    let service = match transport {
        Transport::Udp => "_sip._udp",
        Transport::Tcp => "_sip._tcp",
        Transport::Tls => "_sips._tcp",
    };
    let found = match resolver.lookup(format!("{service}.{host}."), RecordType::SRV).await {
        Ok(found) => found,
        Err(error) if error.is_no_records_found() => {
            return addresses(resolver, host, default).await;
        }
        Err(error) => return Err(error),
    };
    let mut targets: Vec<_> = found
        .answers()
        .iter()
        .filter_map(|record| match &record.data {
            RData::SRV(srv) => Some((srv.priority, srv.target.to_utf8(), srv.port)),
            _ => None,
        })
        .collect();
    targets.sort();
    let mut all = Vec::new();
    for (_, target, port) in targets {
        all.extend(addresses(resolver, &target, port).await.unwrap_or_default());
    }
    Ok(all)
}

/// The addresses of a host name.
pub(crate) async fn addresses(
    resolver: &TokioResolver,
    host: &str,
    port: u16,
) -> Result<Vec<SocketAddr>, NetError> {
    if let Ok(ip) = host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(ip, port)]);
    }
    let found = resolver.lookup_ip(host).await?;
    Ok(found.iter().map(|ip| SocketAddr::new(ip, port)).collect())
}
