//! In which order the addresses of one server are tried (RFC 8305 §4).

use std::net::IpAddr;

/// The families take turns, IPv6 first.
pub(super) fn interleave(addresses: &[IpAddr]) -> impl Iterator<Item = IpAddr> {
    let (v6, v4): (Vec<IpAddr>, Vec<IpAddr>) = addresses.iter().partition(|ip| ip.is_ipv6());
    let turns = v6.len().max(v4.len());
    (0..turns).flat_map(move |turn| [v6.get(turn).copied(), v4.get(turn).copied()]).flatten()
}
