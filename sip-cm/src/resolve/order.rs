//! The order in which DNS wants servers to be tried.

use hickory_resolver::proto::rr::rdata::{NAPTR, SRV};
use openfed_proto::route::Transport;

/// RFC 2782: lowest priority first; among equals a draw by weight, each drawn one taken out.
///
/// `random(n)` gives a number in `0..n`.
pub(super) fn srv(mut records: Vec<SRV>, random: &mut (dyn FnMut(u32) -> u32 + Send)) -> Vec<SRV> {
    // Weight 0 goes first, so that it is drawn only by the lowest number.
    records.sort_by_key(|srv| (srv.priority, srv.weight));
    let mut ordered = Vec::with_capacity(records.len());
    while let Some(first) = records.first() {
        let priority = first.priority;
        let peers = records.iter().take_while(|srv| srv.priority == priority);
        let total: u32 = peers.map(|srv| u32::from(srv.weight)).sum();
        let drawn = random(total.saturating_add(1)).min(total);
        let mut sum = 0;
        let at = records.iter().position(|srv| {
            sum += u32::from(srv.weight);
            sum >= drawn
        });
        ordered.push(records.remove(at.unwrap_or(0)));
    }
    ordered
}

/// RFC 3263 §4.1: the SRV names of the SIP services that we speak, by order and preference.
pub(super) fn naptr(records: impl Iterator<Item = NAPTR>) -> Vec<(String, Transport)> {
    let mut offers: Vec<(u16, u16, String, Transport)> = records
        .filter(|naptr| naptr.flags.eq_ignore_ascii_case(b"s"))
        .filter_map(|naptr| {
            let transport = match naptr.services.to_ascii_uppercase().as_slice() {
                b"SIP+D2U" => Transport::Udp,
                b"SIP+D2T" => Transport::Tcp,
                b"SIPS+D2T" => Transport::Tls,
                _ => return None,
            };
            Some((naptr.order, naptr.preference, naptr.replacement.to_string(), transport))
        })
        .collect();
    offers.sort_by_key(|(order, preference, ..)| (*order, *preference));
    offers.into_iter().map(|(_, _, name, transport)| (name, transport)).collect()
}
