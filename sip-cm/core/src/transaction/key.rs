//! What makes two requests one transaction (RFC 3261 §17.1.3, §17.2.3).

use openfed_proto::packet::PacketId;

use crate::headers::{HeaderId, Via};
use crate::random::{COOKIE, stable_hash};
use crate::wire::Message;

/// Branch, sent-by and method of a request; for peers of RFC 2543, what their requests have
/// instead of a unique branch.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ServerKey {
    /// Without the method. Its own text: a slice would keep a whole received message alive.
    origin: Box<str>,
    method: Box<str>,
}

impl ServerKey {
    /// `None` if the top Via or another needed header cannot be read.
    pub(crate) fn of(request: &Message) -> Option<Self> {
        let via = request.top_via().ok()?;
        let method = request.method()?;
        if let Some(key) = Self::by_branch(&via, method) {
            return Some(key);
        }
        Some(ServerKey { origin: before_rfc3261(request)?.into(), method: method.into() })
    }

    /// `None` for a peer of RFC 2543.
    pub(crate) fn by_branch(via: &Via, method: &str) -> Option<Self> {
        let branch = via.branch().filter(|b| b.len() > COOKIE.len() && has_cookie(b))?;
        let host = via.host().to_string().to_ascii_lowercase();
        let origin = format!("{branch} {host}:{}", via.port().unwrap_or(0));
        Some(ServerKey { origin: origin.into(), method: method.into() })
    }

    /// The key of the INVITE that an ACK or a CANCEL with this key means.
    pub(crate) fn invite(&self) -> Self {
        ServerKey { origin: self.origin.clone(), method: "INVITE".into() }
    }
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
    let key = ServerKey::of(request);
    let parts = key.as_ref().map(|key| [key.origin.as_bytes(), key.method.as_bytes()]);
    stable_hash(parts.into_iter().flatten())
}

/// The key of a client transaction: the branch and the CSeq method (RFC 3261 §17.1.3).
pub(crate) fn client_key(branch: &str, method: &str) -> Box<str> {
    format!("{branch} {method}").into()
}

/// From tag, Call-ID and CSeq of a request outside of dialogs (RFC 3261 §8.2.2.2); `None` inside.
pub(crate) fn merge_key(request: &Message) -> Option<u64> {
    if is_in_dialog(request) || request.method() == Some("CANCEL") {
        return None;
    }
    let from = request.from().ok()?;
    let parts = [
        from.tag()?.as_bytes(),
        request.header(HeaderId::CallId)?.value(),
        request.header(HeaderId::CSeq)?.value(),
    ];
    Some(stable_hash(parts))
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
