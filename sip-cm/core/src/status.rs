//! The answer table: what a failure is in SIP, and what a SIP response is in our words
//! (RFC 7247 §7, S-027…S-042).

#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use openfed_proto::condition::{Condition, reason_phrase};
use openfed_proto::packet::{Cause, Ending, Failure, Protocol};

use crate::headers::HeaderId;
use crate::rule::Rule;
use crate::wire::{Glance, Message};

/// What we do as user agent (E-03).
pub(crate) const ALLOW: &str = "MESSAGE, OPTIONS";
/// Methods that RFCs define: 405 says that we know one but do not take it, 501 that we do not.
const KNOWN_METHODS: [&str; 14] = [
    "ACK",
    "BYE",
    "CANCEL",
    "INFO",
    "INVITE",
    "MESSAGE",
    "NOTIFY",
    "OPTIONS",
    "PRACK",
    "PUBLISH",
    "REFER",
    "REGISTER",
    "SUBSCRIBE",
    "UPDATE",
];
/// The bodies that a MESSAGE to a local user may have (S-106…S-108).
pub(crate) const ACCEPT: &str = "text/plain, text/html, message/cpim";
/// How a text may be written. No header of SIP could say it (RFC 3261 §21.4.13).
pub(crate) const TRANSFER_ENCODINGS: &str =
    "transfer encodings: 7bit, 8bit, binary, base64, quoted-printable";
pub(crate) const CHARSETS: &str = "character sets: utf-8, us-ascii, iso-8859-1";
/// When a temporary failure of ours is worth a retry.
pub(crate) const RETRY: Duration = Duration::from_secs(5);
/// When it is worth to ask an overloaded instance again: what is too much now may go then.
const SHORTEST_RETRY: Duration = Duration::from_secs(1);
/// The longest explanation that goes into a Warning, in bytes.
const MAX_TEXT: usize = 128;

/// A final response of our own making.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) condition: Option<Condition>,
    headers: Vec<(&'static str, String)>,
}

/// Why a request is refused here, without asking a router.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// A rule of the edge forbids it.
    Forbidden(Rule),
    /// `sips:` towards XMPP, `tel:`, any other scheme (S-026, S-044).
    Scheme,
    /// It was here before, or it would go back to where it came from (RFC 5393).
    Loop,
    /// The same request arrived on another way (E-04).
    Merged,
    TooManyHops,
    Malformed(&'static str),
    /// Extensions that it requires and we do not have.
    Extension(String),
    /// A method that the local user, who is not on SIP, cannot take. Known to RFCs or not.
    Method {
        known: bool,
    },
    MediaType,
    /// A text, but in a character set or a transfer encoding that is not read; those that are.
    Encoding(&'static str),
    /// Routes match, but none is in service.
    OutOfService,
    /// A limit is reached or no router is there.
    Busy,
    /// More comes than can be done. Another instance may have room (RFC 3263 §4.3).
    Overloaded,
    /// The same so soon after a restart that it may be the copy of a request that has arrived.
    Doubtful,
    /// This instance is ending, or has just started and not heard of a router's tables yet;
    /// another one takes it (RFC 3263 §4.3).
    Elsewhere,
    NoDialog,
    /// This service has no users; the domain of a dialog is known no longer.
    NotFound,
    /// No next hop could be reached.
    Unreachable,
}

impl Refusal {
    /// Of a method that a local user cannot take.
    pub(crate) fn of_method(method: &str) -> Self {
        Refusal::Method { known: KNOWN_METHODS.contains(&method) }
    }

    /// What the sender is told.
    pub(crate) fn answer(&self) -> Answer {
        use Condition as C;
        match self {
            Refusal::Forbidden(rule) => {
                let condition = if rule.is_block() { C::PolicyViolation } else { C::NotAllowed };
                Answer::new(403, condition).explained(rule.as_str())
            }
            Refusal::Scheme => Answer::new(416, C::NotAcceptable),
            Refusal::Loop | Refusal::Merged => Answer::new(482, C::NotAcceptable),
            Refusal::TooManyHops => Answer::new(483, C::NotAcceptable),
            Refusal::Malformed(text) => Answer::new(400, C::BadRequest).explained(text),
            Refusal::Extension(names) => {
                Answer::new(420, C::FeatureNotImplemented).with("Unsupported", names)
            }
            Refusal::Method { known } => {
                let status = if *known { 405 } else { 501 };
                Answer::new(status, C::FeatureNotImplemented).with("Allow", ALLOW)
            }
            Refusal::MediaType => Answer::new(415, C::NotAcceptable)
                .with("Accept", ACCEPT)
                .with("Accept-Encoding", "identity"),
            Refusal::Encoding(readable) => Refusal::MediaType.answer().explained(readable),
            Refusal::OutOfService => Answer::new(503, C::ServiceUnavailable),
            Refusal::Overloaded => {
                Answer::new(503, C::ResourceConstraint).retry_after(SHORTEST_RETRY)
            }
            Refusal::Doubtful => Answer::new(504, C::RemoteServerTimeout)
                .explained("too much after a restart: it may have arrived before"),
            Refusal::Elsewhere => Answer::new(503, C::ResourceConstraint).retry_after(RETRY),
            Refusal::Busy => Answer::new(500, C::ResourceConstraint).retry_after(RETRY),
            Refusal::NoDialog => Answer::new(481, C::ItemNotFound),
            Refusal::NotFound => Answer::new(404, C::ItemNotFound),
            // Not 503: that would condemn us for all other domains, too (RFC 3261 §16.7).
            Refusal::Unreachable => Answer::new(504, C::RemoteServerTimeout),
        }
    }

    /// The same for a packet that a router handed over.
    pub(crate) fn failure(&self) -> Failure {
        let condition = self.answer().condition.unwrap_or(Condition::UndefinedCondition);
        let cause = match self {
            Refusal::Unreachable | Refusal::Doubtful => Cause::Unreachable,
            Refusal::OutOfService => Cause::Unreachable,
            Refusal::Busy | Refusal::Overloaded => {
                return Failure::new(condition, Cause::Busy).retry_after(RETRY);
            }
            Refusal::Scheme
            | Refusal::MediaType
            | Refusal::Encoding(_)
            | Refusal::Method { .. } => Cause::Unmappable,
            _ => Cause::Policy,
        };
        Failure::new(condition, cause)
    }
}

impl Answer {
    fn new(status: u16, condition: Condition) -> Self {
        Answer { status, condition: Some(condition), headers: Vec::new() }
    }

    /// 200 without body and Contact (S-111).
    pub(crate) fn ok() -> Self {
        Answer { status: 200, condition: None, headers: Vec::new() }
    }

    /// The INVITE that a CANCEL ended (RFC 3261 §9.2).
    pub(crate) fn cancelled() -> Self {
        Answer::new(487, Condition::RecipientUnavailable)
    }

    /// A final response in the place of a peer's that must not be passed on.
    pub(crate) fn instead(status: u16, retry_after: Option<u32>) -> Self {
        let answer = Answer::new(status, Condition::from_sip_status(status));
        match retry_after {
            Some(seconds) => answer.retry_after(Duration::from_secs(seconds.into())),
            None => answer,
        }
    }

    /// What OPTIONS asks for (RFC 3261 §11.2).
    pub(crate) fn capabilities() -> Self {
        Answer::ok()
            .with("Allow", ALLOW)
            .with("Accept", ACCEPT)
            .with("Accept-Encoding", "identity")
            .with("Supported", "")
    }

    /// The answer to a request whose packet failed. `one_device`: it was for a full JID.
    pub(crate) fn failed(failure: &Failure, one_device: bool) -> Self {
        let status = match (&failure.condition, failure.cause) {
            // No route of ours is in service (rules §1); a service that the other side does not
            // offer is never 503 (S-032).
            (Condition::ServiceUnavailable, Cause::Unreachable) => 503,
            (condition, _) => condition.to_sip_status(one_device),
        };
        let mut answer = Answer::new(status, failure.condition.clone());
        if let Some(address) = failure.condition.new_address()
            && (300..400).contains(&status)
        {
            answer = answer.with("Contact", &format!("<{}>", uri_of(address)));
        }
        if matches!(status, 405 | 501) {
            answer = answer.with("Allow", ALLOW);
        }
        if let Some(text) = &failure.text {
            answer = answer.explained(text);
        }
        match failure.retry_after {
            Some(after) => answer.retry_after(after),
            None => answer,
        }
    }

    /// How a packet's end answers the request that it came in as.
    pub(crate) fn of_ending(ending: &Ending, one_device: bool) -> Self {
        match ending {
            Ending::Delivered { .. } => Answer::ok(),
            Ending::Failed(failure) => Answer::failed(failure, one_device),
        }
    }

    /// 408 is for INVITE alone (RFC 4320 §4.2): to any other request it would come when nobody
    /// waits any more. What S-027 calls 408 is 504 there, which means the same on the way back.
    pub(crate) fn fit_for(mut self, method: &str) -> Self {
        if self.status == 408 && method != "INVITE" {
            self.status = 504;
        }
        self
    }

    fn with(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }

    /// The text for people goes into a Warning (RFC 3261 §20.43): reason phrases stay as defined.
    fn explained(self, text: &str) -> Self {
        let clean: String = text
            .chars()
            .filter(|c| !c.is_control() && !matches!(c, '"' | '\\'))
            .scan(0, |bytes, c| {
                *bytes += c.len_utf8();
                (*bytes <= MAX_TEXT).then_some(c)
            })
            .collect();
        self.with("Warning", &format!("399 openfed \"{clean}\""))
    }

    fn retry_after(self, after: Duration) -> Self {
        let seconds = after.as_secs().max(1).to_string();
        self.with("Retry-After", &seconds)
    }

    /// The response on the wire to a request that was only looked at.
    pub(crate) fn to_bytes(&self, request: &Glance<'_>, tag: &str, source: SocketAddr) -> Bytes {
        let status = (self.status, reason_phrase(self.status));
        request.response(status, &self.headers, tag, source).into()
    }

    /// The response on the wire.
    pub(crate) fn to_message(&self, request: &Message, tag: &str) -> Message {
        let reason = reason_phrase(self.status);
        let mut response = Message::response_to(request, self.status, reason);
        response.set_to_tag(tag);
        for (name, value) in &self.headers {
            response.push(name, value);
        }
        response
    }
}

/// A JID or URI that a user moved to, as a SIP URI if it can be one.
fn uri_of(address: &str) -> String {
    let jid = address.strip_prefix("xmpp:").unwrap_or(address);
    let clean: String = address.chars().filter(|c| !matches!(c, '<' | '>' | '"')).collect();
    if jid.contains(':') {
        return clean;
    }
    let parsed = openfed_proto::address::Address::from_jid(jid).ok();
    parsed.and_then(|address| address.to_sip_uri().ok()).unwrap_or(clean)
}

/// A response as people read it: `SIP 486 Busy Here`.
fn shown(status: u16, response: &Message) -> String {
    let mut text = format!("SIP {status}");
    let reason = response.reason().unwrap_or_default();
    let clean = reason.chars().map(|c| if c.is_control() { ' ' } else { c }).collect::<String>();
    let end = clean.floor_char_boundary(MAX_TEXT);
    if let Some(reason) = clean.get(..end).map(str::trim).filter(|reason| !reason.is_empty()) {
        text.push(' ');
        text.push_str(reason);
    }
    text
}

/// What a final response to a request of ours, or one that we forwarded, means for its packet.
/// Success is a 2xx to one of the methods that make a correspondence (rules §2).
pub(crate) fn ending_of(method: &str, response: &Message) -> Ending {
    let status = response.code().unwrap_or_default();
    if (200..300).contains(&status) {
        let counts = matches!(method, "MESSAGE" | "SUBSCRIBE" | "INVITE" | "OPTIONS");
        return if counts {
            Ending::Delivered { by: Protocol::Sip, status }
        } else {
            Ending::Failed(Failure::new(Condition::UndefinedCondition, Cause::Remote))
        };
    }
    let contact = response.addresses(HeaderId::Contact).ok();
    let contact = contact.as_ref().and_then(|all| all.first()).map(|first| first.uri().as_str());
    let condition = Condition::from_sip_response(status, contact);
    let mut failure = Failure::new(condition, Cause::Remote).with_text(shown(status, response));
    failure.retry_after = response.retry_after().map(|s| Duration::from_secs(s.into()));
    Ending::Failed(failure)
}
