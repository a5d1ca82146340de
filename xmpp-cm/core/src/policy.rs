//! Which foreign domains may be spoken to over XMPP at all.

use openfed_proto::condition::Condition;
use openfed_proto::domain::Domain;
use openfed_proto::packet::{Cause, Failure};
use openfed_proto::route::DomainPattern;

/// The operator's lists for XMPP federation.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Policy {
    /// Denied by name: never XMPP, and never SIP instead.
    pub deny: Vec<DomainPattern>,
    /// Only these, if there is a list (default-deny); others may be SIP domains.
    pub allow: Option<Vec<DomainPattern>>,
}

impl Policy {
    /// Whether XMPP with `domain` is allowed.
    ///
    /// # Errors
    /// The failure says whether another protocol may be tried: [`Cause::NotListed`] yes,
    /// [`Cause::Denied`] no (rules §3, fallback set).
    pub fn check(&self, domain: &Domain) -> Result<(), Failure> {
        let listed = |list: &[DomainPattern]| list.iter().any(|pattern| pattern.matches(domain));
        if listed(&self.deny) {
            return Err(Failure::new(Condition::PolicyViolation, Cause::Denied));
        }
        match &self.allow {
            Some(allow) if !listed(allow) => Err(not_listed()),
            _ => Ok(()),
        }
    }
}

/// The domain is none that we speak XMPP with.
pub(crate) fn not_listed() -> Failure {
    Failure::new(Condition::RemoteServerNotFound, Cause::NotListed)
}
