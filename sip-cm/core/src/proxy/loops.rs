//! Loop detection (RFC 3261 §16.3 item 4, RFC 5393 §4, E-37).
//!
//! A branch of ours reads `z9hG4bK<unique>-<hash>` when we forward and `z9hG4bK<unique>.<id>` when
//! we are the user agent. The hash is over all that decides where a request goes, but not over
//! its method. A request that shows a Via of ours with the hash that we would give it again is
//! looping; with another hash it spirals, which is legitimate.

use crate::config::Config;
use crate::headers::HeaderId;
use crate::random::{COOKIE, stable_hash};
use crate::wire::Message;

/// The hash of a request as it arrives. Via's own part in RFC 3261's list is left out: it only
/// matters for peers without branches.
pub(crate) fn routing_hash(request: &Message) -> u64 {
    let uri = request.uri().and_then(Result::ok);
    let tag = |address: Result<crate::headers::NameAddr, _>| {
        address.ok().and_then(|address| address.tag().map(str::to_owned)).unwrap_or_default()
    };
    let number = request.cseq().map_or(0, |cseq| cseq.number).to_be_bytes();
    let (from, to) = (tag(request.from()), tag(request.to()));
    let mut parts: Vec<&[u8]> = vec![
        uri.as_ref().map_or(b"", |uri| uri.as_str().as_bytes()),
        from.as_bytes(),
        to.as_bytes(),
        &number,
    ];
    for id in
        [HeaderId::CallId, HeaderId::Route, HeaderId::ProxyRequire, HeaderId::ProxyAuthorization]
    {
        parts.push(id.name().as_bytes());
        parts.extend(request.headers_of(id).map(crate::headers::Header::value));
    }
    stable_hash(parts)
}

/// The branch of a request that we forward.
pub(crate) fn forward_branch(unique: &str, hash: u64) -> String {
    format!("{COOKIE}{unique}-{hash:016x}")
}

/// Whether the request was here before in the same shape, or was made here.
pub(crate) fn is_looping(request: &Message, config: &Config) -> bool {
    let Ok(vias) = request.vias() else { return false };
    let ours = vias.iter().filter(|via| config.is_us(via.host(), via.port()));
    let mut hash = None;
    for branch in ours.filter_map(|via| via.branch()) {
        let Some(rest) = branch.strip_prefix(COOKIE) else { continue };
        let Some((_, kind)) = rest.split_at_checked(16) else { continue };
        let again = match kind.strip_prefix('-') {
            Some(seen) => {
                let hash = *hash.get_or_insert_with(|| routing_hash(request));
                u64::from_str_radix(seen, 16) == Ok(hash)
            }
            None => kind.starts_with('.'),
        };
        if again {
            return true;
        }
    }
    false
}
