//! The order in which NAPTR records want services to be tried.

use hickory_proto::rr::rdata::NAPTR;
use openfed_proto::route::Transport;

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
