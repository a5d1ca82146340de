//! The one table between failures and what streams say: stanza errors out and in, and what the
//! end of a connection, of a stream or of a dialback means for those who wait (RFC 6120 §8.3,
//! §10.4; E-43; rules §3, fallback set).

use minidom::Element;
use openfed_proto::address::Address;
use openfed_proto::condition::Condition;
use openfed_proto::finding::Finding;
use openfed_proto::packet::{Cause, Failure};

use crate::core::ConnectFailure;
use crate::stream::{CloseReason, Phase, StanzaCondition, StreamCondition, Verdict};
use crate::xml::{escape_text, ns, push_attribute};

/// Bytes of a peer's descriptive text that are handed on.
const MAX_TEXT: usize = 256;

/// Writes the `<error/>` child for a failure.
pub(crate) fn write(failure: &Failure, out: &mut String) {
    out.push_str("<error");
    push_attribute(out, "type", failure.condition.error_type().as_str());
    out.push('>');
    write_child(failure.condition.as_str(), failure.condition.new_address(), out);
    if let Some(text) = failure.text.as_deref().or_else(|| explanation(failure)) {
        write_child("text", Some(text), out);
    }
    out.push_str("</error>");
}

/// What people read of a failure that nobody has explained. What a remote side said stays as it is.
fn explanation(failure: &Failure) -> Option<&'static str> {
    Some(match (failure.cause, &failure.condition) {
        (Cause::Remote, _) => return None,
        (Cause::NotFound, _) => "No server was found for this domain.",
        (Cause::Unreachable | Cause::Outage, _) => "No answer came from the other side.",
        (Cause::HostUnknown, _) => "The server of this domain does not know it.",
        (Cause::NotListed | Cause::Denied, _) => "This domain is not allowed here.",
        (Cause::Untrusted, _) => "The server of this domain could not prove who it is.",
        (Cause::Busy, Condition::RemoteServerTimeout) => "Nobody knows whether it arrived.",
        (Cause::Busy, _) => "There is too much to do. Try again later.",
        (Cause::Leaving, _) => "A service is being restarted. Try again.",
        (Cause::Policy, Condition::PolicyViolation) => "The rules here forbid it.",
        (Cause::Policy, _) => "It is not possible with this address or content.",
        (Cause::Unmappable, _) => "The other side has no way to say this.",
    })
}

fn write_child(name: &str, text: Option<&str>, out: &mut String) {
    out.push('<');
    out.push_str(name);
    push_attribute(out, "xmlns", ns::STANZA_ERRORS);
    let Some(text) = text else { return out.push_str("/>") };
    out.push('>');
    escape_text(text, out);
    out.push_str("</");
    out.push_str(name);
    out.push('>');
}

/// What an error stanza says. An error without a known condition is still one.
pub(crate) fn from_stanza(stanza: &Element) -> Failure {
    let mut failure = Failure::new(Condition::UndefinedCondition, Cause::Remote);
    let error = stanza.children().find(|child| child.name() == "error");
    for child in error.into_iter().flat_map(Element::children) {
        if !child.has_ns(ns::STANZA_ERRORS) {
            continue;
        }
        if child.name() == "text" {
            failure.text = clean(&child.text());
        } else if let Some(condition) = Condition::parse(child.name()) {
            failure.condition = with_address(condition, &child.text());
        }
    }
    failure
}

/// What the home server's error for a message means. To a bare JID, `service-unavailable` is its
/// word for a user that does not exist (RFC 6121 §8.5.1, E-52); said as such, so that a SIP peer
/// hears 404 and not what S-032 makes of a service that is not offered.
pub(crate) fn of_home(failure: Failure, recipient: &Address) -> Failure {
    match failure.condition {
        Condition::ServiceUnavailable if !recipient.is_full() => {
            Failure { condition: Condition::ItemNotFound, ..failure }
        }
        _ => failure,
    }
}

fn with_address(condition: Condition, text: &str) -> Condition {
    let address = clean(text);
    match condition {
        Condition::Gone(_) => Condition::Gone(address),
        Condition::Redirect(_) => Condition::Redirect(address),
        other => other,
    }
}

/// A peer's text as one short line (S-041).
fn clean(text: &str) -> Option<String> {
    let line: String = text.trim().chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let end = line.floor_char_boundary(MAX_TEXT);
    line.get(..end).filter(|line| !line.is_empty()).map(str::to_owned)
}

/// No connection came about.
pub(crate) fn of_connecting(why: ConnectFailure) -> Failure {
    match why {
        ConnectFailure::NotFound => not_found(Finding::Absent),
        ConnectFailure::Deserted => not_found(Finding::Refused),
        ConnectFailure::Refused => timeout(Cause::Unreachable).with_finding(Finding::Refused),
        ConnectFailure::Unreachable => timeout(Cause::Unreachable),
        ConnectFailure::Unresolved => timeout(Cause::Unreachable).with_finding(Finding::DnsFault),
        ConnectFailure::Untrusted => timeout(Cause::Untrusted),
        ConnectFailure::Busy => busy(),
    }
}

/// Of what several servers of one domain said or did, the one that is told. What forbids another way
/// comes before what allows it, and the word of a server before silence; of two that tell as much, it
/// is the first, which DNS prefers.
pub(crate) fn most_telling(before: Option<Failure>, now: Failure) -> Failure {
    match before {
        Some(before) if weight(before.cause) >= weight(now.cause) => before,
        _ => now,
    }
}

fn weight(cause: Cause) -> u8 {
    match cause {
        Cause::NotFound => 0,
        Cause::Unreachable | Cause::Outage => 1,
        Cause::HostUnknown => 2,
        Cause::Busy | Cause::Leaving => 3,
        Cause::Untrusted => 4,
        _ => 5,
    }
}

fn not_found(finding: Finding) -> Failure {
    Failure::new(Condition::RemoteServerNotFound, Cause::NotFound).with_finding(finding)
}

/// A stream ended before stanzas could flow on it.
pub(crate) fn of_stream(reason: &CloseReason, phase: Phase) -> Failure {
    match reason {
        CloseReason::Remote(error) => match error.condition {
            StreamCondition::HostUnknown | StreamCondition::HostGone => timeout(Cause::HostUnknown),
            _ => timeout(Cause::Remote),
        },
        CloseReason::TlsFailed => timeout(Cause::Untrusted),
        CloseReason::Local(_)
        | CloseReason::Eof(_)
        | CloseReason::Deadline(_)
        | CloseReason::ClosedByPeer(_)
        | CloseReason::Done => of_phase(phase),
    }
}

/// A stream that came this far and not further. Whoever sent a valid header speaks XMPP: from
/// there on another protocol would be a downgrade.
pub(crate) fn of_phase(phase: Phase) -> Failure {
    match phase {
        Phase::Header => timeout(Cause::Unreachable),
        Phase::Negotiation | Phase::Ready => timeout(Cause::Untrusted),
        Phase::Authenticated => timeout(Cause::Remote),
    }
}

/// The peer did not let us speak for a domain (XEP-0220 §2.4).
pub(crate) fn of_verdict(verdict: &Verdict) -> Failure {
    match verdict {
        Verdict::Error(StanzaCondition::ItemNotFound) => timeout(Cause::HostUnknown),
        _ => timeout(Cause::Untrusted),
    }
}

/// The dialback error for a key that could not be verified, for want of a connection.
pub(crate) fn to_verdict(failure: &Failure) -> Verdict {
    Verdict::Error(match failure.condition {
        Condition::RemoteServerNotFound => StanzaCondition::RemoteServerNotFound,
        Condition::ResourceConstraint => StanzaCondition::ResourceConstraint,
        _ => StanzaCondition::RemoteServerTimeout,
    })
}

fn timeout(cause: Cause) -> Failure {
    Failure::new(Condition::RemoteServerTimeout, cause)
}

/// The element name of a defined condition, for logs.
pub(crate) fn name_of(condition: impl Into<Element>) -> String {
    condition.into().name().to_owned()
}

/// A limit of this node is reached.
pub(crate) fn busy() -> Failure {
    Failure::new(Condition::ResourceConstraint, Cause::Busy)
}

/// This node is shutting down.
pub(crate) fn leaving() -> Failure {
    Failure::new(Condition::ResourceConstraint, Cause::Leaving)
}

/// It was written, but whether it was taken is not known.
pub(crate) fn unconfirmed() -> Failure {
    timeout(Cause::Unreachable)
}

/// Whether the answer to a fence's ping says that the domain itself is not there: what was written
/// before it has not arrived either.
pub(crate) fn says_away(answer: &Element) -> bool {
    answer.attr("type") == Some("error")
        && matches!(
            from_stanza(answer).condition,
            Condition::ItemNotFound
                | Condition::RemoteServerNotFound
                | Condition::RemoteServerTimeout
        )
}

/// The server has no place for the whole domain just now.
pub(crate) fn away() -> Failure {
    timeout(Cause::Remote)
}

/// Our rules refuse it.
pub(crate) fn refused(condition: Condition) -> Failure {
    Failure::new(condition, Cause::Policy)
}

/// It means nothing in the other protocol.
pub(crate) fn unmappable(condition: Condition) -> Failure {
    Failure::new(condition, Cause::Unmappable)
}

#[cfg(test)]
mod tests;
