//! What is looked at in a datagram, without reading it: SIP's Call-ID, and whose answer it is.

use std::net::{IpAddr, SocketAddr};

/// Header lines are looked for in so many bytes.
const LOOKED_AT: usize = 16 * 1024;
/// SIP's port when none is said (RFC 3261 §18.2.2).
const SIP: u16 = 5060;

/// The Call-ID (RFC 3261 §20.8; `i` in the compact form).
pub(super) fn call_id(datagram: &[u8]) -> Option<&[u8]> {
    header(datagram, "call-id", "i").filter(|id| !id.is_empty())
}

/// If this is a response: the address in its top Via, which is that of whoever sent the request.
pub(super) fn answers(datagram: &[u8]) -> Option<SocketAddr> {
    if !datagram.starts_with(b"SIP/2.0 ") {
        return None;
    }
    let via = std::str::from_utf8(header(datagram, "via", "v")?).ok()?;
    let (_, sent_by) = via.split_once(char::is_whitespace)?;
    let sent_by = sent_by.split([';', ',']).next().unwrap_or_default().trim();
    let bare = || sent_by.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    sent_by.parse().ok().or_else(|| Some(SocketAddr::new(bare().ok()?, SIP)))
}

/// The first value of a header, between the start line and the empty line.
fn header<'a>(datagram: &'a [u8], name: &str, compact: &str) -> Option<&'a [u8]> {
    let head = datagram.get(..LOOKED_AT).unwrap_or(datagram).trim_ascii_start();
    let lines = head.split(|byte| *byte == b'\n').skip(1).map(<[u8]>::trim_ascii_end);
    let named = |line: &'a [u8]| {
        let colon = line.iter().position(|byte| *byte == b':')?;
        let (own, value) = line.split_at(colon);
        let own = own.trim_ascii_end();
        let same = |name: &str| own.eq_ignore_ascii_case(name.as_bytes());
        (same(name) || same(compact)).then(|| value.get(1..).unwrap_or_default().trim_ascii())
    };
    lines.take_while(|line| !line.is_empty()).find_map(named)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_call_id_is_found_in_every_way_of_writing_it() {
        let with = |line: &str| {
            format!("\r\n\r\nMESSAGE sip:a@b SIP/2.0\r\nVia: x\r\n{line}\r\nX: y\r\n\r\n")
        };
        for line in ["Call-ID: a@b", "call-id:a@b", "CALL-ID \t:  a@b  ", "i: a@b", "I:a@b"] {
            assert_eq!(call_id(with(line).as_bytes()), Some(&b"a@b"[..]), "{line}");
            assert_eq!(call_id(with(line).replace('\r', "").trim().as_bytes()), Some(&b"a@b"[..]));
        }
        for none in ["X-Call-ID: a", "Call-ID", "Call-ID:", "\r\nCall-ID: a@b", "id: a"] {
            assert_eq!(call_id(with(none).as_bytes()), None, "{none}");
        }
        for garbage in [&b""[..], b"\r\n\r\n", b"\0\0\0", b"Call-ID: a@b", &[b'x'; 40_000]] {
            assert_eq!(call_id(garbage), None);
        }
    }

    #[test]
    fn an_answer_is_of_whoever_its_top_via_names() {
        let of = |via: &str| answers(format!("SIP/2.0 200 OK\r\n{via}\r\n\r\n").as_bytes());
        let at = |text: &str| Some(text.parse().expect("an address"));
        let v4 = at("172.18.0.4:5060");
        assert_eq!(of("Via: SIP/2.0/UDP 172.18.0.4:5060;branch=z9hG4bK1;rport"), v4);
        assert_eq!(of("v: SIP / 2.0 / UDP 172.18.0.4;branch=z9hG4bK1"), None, "read by others");
        assert_eq!(of("v: SIP/2.0/UDP 172.18.0.4, SIP/2.0/UDP 10.0.0.1"), v4);
        assert_eq!(of("Via: SIP/2.0/UDP [2001:db8::1];branch=x"), at("[2001:db8::1]:5060"));
        assert_eq!(of("Via: SIP/2.0/UDP [2001:db8::1]:5070"), at("[2001:db8::1]:5070"));
        for none in ["Via: SIP/2.0/UDP sip.corp.example:5060", "Via: ", "Via", "X: y"] {
            assert_eq!(of(none), None, "{none}");
        }
        let request = b"MESSAGE sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP 172.18.0.4\r\n\r\n";
        assert_eq!(answers(request), None);
    }
}
