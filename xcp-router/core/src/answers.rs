//! What a packet that the router itself ends is answered.

use std::time::Duration;

use openfed_proto::condition::Condition;
use openfed_proto::finding::Finding;
use openfed_proto::packet::{Cause, Direction, Failure};

const SOON: Duration = Duration::from_secs(5);

/// D, the other side, or D's route is blocked.
pub(crate) fn blocked() -> Failure {
    Failure::new(Condition::PolicyViolation, Cause::Policy).with_text("This domain is blocked.")
}

/// SIP from a domain that may not reach us by SIP. `not-allowed` is 403 for
/// every kind of recipient, which `forbidden` is not.
pub(crate) fn not_allowed() -> Failure {
    Failure::new(Condition::NotAllowed, Cause::Policy)
}

/// The open route was closed while the domain was being discovered.
pub(crate) fn closed_meanwhile() -> Failure {
    not_allowed().with_text("Open federation was switched off.")
}

/// Open federation without XMPP federation (rules §3, step 7).
pub(crate) fn no_xmpp(direction: Direction) -> Failure {
    match direction {
        Direction::Inbound => not_allowed(),
        Direction::Outbound | Direction::Internal => not_found(),
    }
}

/// What XMPP would have answered for a domain without any server; nobody has asked.
pub(crate) fn not_found() -> Failure {
    Failure::new(Condition::RemoteServerNotFound, Cause::NotFound).with_finding(Finding::NotAsked)
}

/// The packet means nothing in the only protocol it could go by.
pub(crate) fn unmappable() -> Failure {
    Failure::new(Condition::FeatureNotImplemented, Cause::Unmappable)
}

/// XMPP-only content for a SIP domain.
pub(crate) fn not_for_sip() -> Failure {
    Failure::new(Condition::ServiceUnavailable, Cause::Unmappable)
}

/// No room for the packet now.
pub(crate) fn busy() -> Failure {
    Failure::new(Condition::ResourceConstraint, Cause::Busy).retry_after(SOON)
}

/// The store does not answer, so an unknown domain cannot be decided.
pub(crate) fn store_down() -> Failure {
    busy().with_text("The domain cannot be looked up now.")
}

/// The service that should take the packet is gone.
pub(crate) fn leaving() -> Failure {
    Failure::new(Condition::ResourceConstraint, Cause::Leaving).retry_after(SOON)
}

/// Nobody answered in time.
pub(crate) fn timeout() -> Failure {
    Failure::new(Condition::RemoteServerTimeout, Cause::Unreachable)
}

/// The connection manager itself did not answer in time. That says nothing
/// about the domain, so no other way is tried.
pub(crate) fn silent_node() -> Failure {
    Failure::new(Condition::RemoteServerTimeout, Cause::Busy)
}

/// The connection manager that had the packet is gone, and with it the knowledge
/// of what it did.
pub(crate) fn instance_died() -> Failure {
    silent_node().with_text("The service that had the message ended; it may have arrived.")
}

/// The packet passed more services than any way has.
pub(crate) fn looping() -> Failure {
    Failure::new(Condition::PolicyViolation, Cause::Policy).with_text("Too many hops.")
}

/// What health says while the open route is open but XMPP is not.
pub(crate) const NEEDS_XMPP: &str =
    "open federation needs XMPP federation, and no xmpp-cm with federation is linked";
/// What health says while the domain table is full.
pub(crate) const TABLE_FULL: &str = "the domain table is full: no new domains are remembered";
