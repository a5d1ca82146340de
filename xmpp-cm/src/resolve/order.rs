//! In which order servers are tried (RFC 2782, RFC 8305 §4).

use std::net::{IpAddr, SocketAddr};

use super::Endpoint;

/// One SRV record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Service {
    pub(super) priority: u16,
    pub(super) weight: u16,
    pub(super) port: u16,
    /// Host name; "." says that there is no such service.
    pub(super) target: String,
    pub(super) direct_tls: bool,
}

impl Service {
    pub(super) fn is_absent(&self) -> bool {
        self.target == "."
    }

    pub(super) fn at(&self, ip: IpAddr) -> Endpoint {
        Endpoint { address: SocketAddr::new(ip, self.port), direct_tls: self.direct_tls }
    }
}

/// Lower priority first; within one priority by weighted choice, each chosen one taken out. Direct
/// TLS and STARTTLS records are one set (XEP-0368 §4).
pub(super) fn order(mut services: Vec<Service>, random: &mut dyn FnMut() -> u64) -> Vec<Service> {
    services.sort_by_key(|service| service.priority);
    let mut ordered = Vec::with_capacity(services.len());
    while let Some(first) = services.first() {
        let priority = first.priority;
        let rivals: Vec<u64> = services
            .iter()
            .take_while(|service| service.priority == priority)
            .map(|service| u64::from(service.weight))
            .collect();
        ordered.push(services.remove(choose(&rivals, random())));
    }
    ordered
}

/// In proportion to the weights. Weight 0 waits for the others to be gone: the "very small chance"
/// of RFC 2782, taken as none.
fn choose(weights: &[u64], random: u64) -> usize {
    let total: u64 = weights.iter().sum();
    if total == 0 {
        return usize::try_from(random % (weights.len() as u64).max(1)).unwrap_or(0);
    }
    let mut point = random % total;
    for (index, weight) in weights.iter().enumerate() {
        if point < *weight {
            return index;
        }
        point -= weight;
    }
    0
}

/// The families take turns, IPv6 first.
pub(super) fn interleave(addresses: &[IpAddr]) -> impl Iterator<Item = IpAddr> {
    let (v6, v4): (Vec<IpAddr>, Vec<IpAddr>) = addresses.iter().partition(|ip| ip.is_ipv6());
    let turns = v6.len().max(v4.len());
    (0..turns).flat_map(move |turn| [v6.get(turn).copied(), v4.get(turn).copied()]).flatten()
}
