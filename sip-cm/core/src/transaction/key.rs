//! What makes two requests one transaction (RFC 3261 §17.1.3, §17.2.3).

use std::hash::{BuildHasher as _, Hash as _, Hasher as _};

use openfed_proto::packet::PacketId;

use crate::headers::{HeaderId, Via};
use crate::random::{COOKIE, Seed, stable_hash};
use crate::uri::Host;
use crate::wire::Message;

/// Branch, sent-by and method of a request; for peers of RFC 2543, what their requests have
/// instead of a unique branch. Kept as hashes that peers cannot foresee: at full load it would
/// take a century until two requests are taken for one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ServerKey {
    /// Without the method.
    origin: u64,
    method: u64,
}

impl ServerKey {
    /// `None` if the top Via or another needed header cannot be read.
    pub(crate) fn of(request: &Message, seed: Seed) -> Option<Self> {
        let via = request.top_via().ok()?;
        let method = request.method()?;
        Self::by_branch(&via, method, seed).or_else(|| {
            let origin = seed.hash_one(before_rfc3261(request)?);
            Some(ServerKey { origin, method: seed.hash_one(method) })
        })
    }

    /// `None` for a peer of RFC 2543.
    pub(crate) fn by_branch(via: &Via, method: &str, seed: Seed) -> Option<Self> {
        let mut hasher = seed.build_hasher();
        unique_branch(via)?.hash(&mut hasher);
        match via.host() {
            Host::Name(name) => {
                name.bytes().for_each(|byte| hasher.write_u8(byte.to_ascii_lowercase()));
            }
            Host::V4(ip) => ip.hash(&mut hasher),
            Host::V6(ip) => ip.hash(&mut hasher),
        }
        via.port().unwrap_or(0).hash(&mut hasher);
        Some(ServerKey { origin: hasher.finish(), method: seed.hash_one(method) })
    }

    /// The key of the INVITE that an ACK or a CANCEL with this key means.
    pub(crate) fn invite(self, seed: Seed) -> Self {
        ServerKey { method: seed.hash_one("INVITE"), ..self }
    }

    /// As one number.
    pub(crate) fn number(self) -> u64 {
        self.origin ^ self.method.rotate_left(32)
    }
}

/// The branch and the CSeq method of a request of ours (RFC 3261 §17.1.3), as a hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ClientKey(u64);

impl ClientKey {
    pub(crate) fn new(branch: &str, method: &str, seed: Seed) -> Self {
        ClientKey(seed.hash_one((branch, method)))
    }

    pub(crate) fn number(self) -> u64 {
        self.0
    }
}

/// The branch, if it is one by RFC 3261 (§8.1.1.7) and no other request has it.
fn unique_branch(via: &Via) -> Option<&str> {
    via.branch().filter(|branch| branch.len() > COOKIE.len() && has_cookie(branch))
}

/// The cookie may come in any letter case (seen in the field; branches are tokens).
fn has_cookie(branch: &str) -> bool {
    branch.get(..COOKIE.len()).is_some_and(|head| head.eq_ignore_ascii_case(COOKIE))
}

/// RFC 3261 §17.2.3, second list. To's tag is left out: the ACK has ours, its INVITE has none.
fn before_rfc3261(request: &Message) -> Option<String> {
    let from = request.from().ok()?;
    Some(format!(
        "2543 {} {} {} {} {}",
        request.uri()?.ok()?,
        from.tag().unwrap_or_default(),
        request.call_id().ok()?,
        request.cseq().ok()?.number,
        request.top_via().ok()?.as_str(),
    ))
}

/// A number of the request's transaction, the same for every copy of it at every instance.
pub(crate) fn origin(request: &Message) -> u64 {
    let via = request.top_via().ok();
    let by_branch = via.as_ref().and_then(|via| {
        let host = via.host().to_string().to_ascii_lowercase();
        Some(format!("{} {host}:{}", unique_branch(via)?, via.port().unwrap_or(0)))
    });
    let origin = by_branch.or_else(|| before_rfc3261(request));
    let parts = origin.as_ref().zip(request.method());
    stable_hash(parts.into_iter().flat_map(|(text, method)| [text.as_bytes(), method.as_bytes()]))
}

/// From tag, Call-ID and CSeq of a request outside of dialogs (RFC 3261 §8.2.2.2); `None` inside.
pub(crate) fn merge_key(request: &Message, seed: Seed) -> Option<u64> {
    if is_in_dialog(request) || request.method() == Some("CANCEL") {
        return None;
    }
    let from = request.from().ok()?;
    let (call_id, cseq) = (request.header(HeaderId::CallId)?, request.header(HeaderId::CSeq)?);
    Some(seed.hash_one((from.tag()?, call_id.value(), cseq.value())))
}

/// The id of the packet that a request outside of dialogs becomes: the same for every copy of it,
/// at every instance and in every life of it. A sender repeats its request for 32 s, also to an
/// instance that has restarted or to the next one; who has had the packet does not do it twice.
pub(crate) fn packet_id(request: &Message) -> Option<PacketId> {
    if is_in_dialog(request) {
        return None;
    }
    let uri = request.uri()?.ok()?.to_string();
    let header = |id| Some(request.header(id)?.value());
    let (from, call_id) = (header(HeaderId::From)?, header(HeaderId::CallId)?);
    let cseq = header(HeaderId::CSeq)?;
    let half = |salt: &'static [u8]| {
        stable_hash([salt, uri.as_bytes(), from, call_id, cseq, request.body().as_ref()])
    };
    let (high, low) = (half(b"packet"), half(b"id"));
    Some(PacketId((u128::from(high) << 64 | u128::from(low)).to_be_bytes()))
}

/// Whether the message's To has a tag: it belongs to a dialog.
pub(crate) fn is_in_dialog(request: &Message) -> bool {
    request.header(HeaderId::To).is_some() && request.to().is_ok_and(|to| to.tag().is_some())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;
    use bytes::Bytes;

    fn key(method: &str, via: &str) -> ServerKey {
        let text = format!(
            "{method} sip:b@b.example SIP/2.0\r\nVia: {via}\r\nFrom: <sip:a@a.example>;tag=1\r\n\
             To: <sip:b@b.example>\r\nCall-ID: c\r\nCSeq: 1 {method}\r\nContent-Length: 0\r\n\r\n"
        );
        let request = Message::parse(Bytes::from(text)).expect("a request");
        ServerKey::of(&request, Random::new(|| 7).seed()).expect("a key")
    }

    #[test]
    fn copies_have_one_key_and_nobody_else_has_it() {
        let first = key("MESSAGE", "SIP/2.0/UDP a.example:5070;branch=z9hG4bK1");
        for copy in [
            "SIP/2.0/UDP A.Example:5070;rport;branch=z9hG4bK1",
            "SIP/2.0/UDP a.example:5070;received=192.0.2.1;branch=z9hG4bK1",
        ] {
            assert_eq!(key("MESSAGE", copy), first, "{copy}");
        }
        for other in [
            "SIP/2.0/UDP a.example:5070;branch=z9hG4bK2",
            "SIP/2.0/UDP a.example:5071;branch=z9hG4bK1",
            "SIP/2.0/UDP a.example;branch=z9hG4bK1",
            "SIP/2.0/UDP b.example:5070;branch=z9hG4bK1",
            "SIP/2.0/UDP 192.0.2.1:5070;branch=z9hG4bK1",
            "SIP/2.0/UDP [2001:db8::1]:5070;branch=z9hG4bK1",
            "SIP/2.0/UDP a.example:5070;branch=1",
        ] {
            assert_ne!(key("MESSAGE", other), first, "{other}");
            assert_ne!(key("MESSAGE", other).number(), first.number(), "{other}");
        }
    }

    #[test]
    fn each_address_has_a_key_of_its_own() {
        let at = |host: &str| key("MESSAGE", &format!("SIP/2.0/UDP {host};branch=z9hG4bK1"));
        assert_ne!(at("192.0.2.1"), at("192.0.2.2"));
        assert_ne!(at("[2001:db8::1]"), at("[2001:db8::2]"));
    }

    #[test]
    fn ack_and_cancel_mean_the_invite_with_their_branch() {
        let seed = Random::new(|| 7).seed();
        for branch in ["z9hG4bK1", "1"] {
            let via = format!("SIP/2.0/UDP a.example;branch={branch}");
            let invite = key("INVITE", &via);
            assert_ne!(key("CANCEL", &via), invite);
            for method in ["ACK", "CANCEL"] {
                assert_eq!(key(method, &via).invite(seed), invite, "{method} {branch}");
            }
        }
    }

    #[test]
    fn peers_cannot_foresee_a_key() {
        let via = Via::parse(&"SIP/2.0/UDP a.example;branch=z9hG4bK1".into()).expect("a Via");
        let of = |seed| ServerKey::by_branch(&via, "MESSAGE", Random::new(move || seed).seed());
        let parts = |seed| of(seed).map(|key| (key.origin, key.method)).expect("a key");
        let ((origin, method), (other_origin, other_method)) = (parts(1), parts(2));
        assert!(origin != other_origin && method != other_method);
    }
}
