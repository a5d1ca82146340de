//! Who may claim which domain, and where each domain is to be looked for.
//!
//! To a home server we are every foreign domain; to a foreign server we are every local one. Both
//! connect to the same socket, so what a stream is follows from its `to`:
//!
//! | from ╲ to | local                               | foreign                             |
//! |-----------|-------------------------------------|-------------------------------------|
//! | local     | refused: nobody outside is us       | home link, verified at home only    |
//! | foreign   | federation, verified by its own DNS | refused: no relay, and the home     |
//! |           |                                     | server speaks for nobody else       |

use std::collections::BTreeSet;

use openfed_proto::condition::Condition;
use openfed_proto::domain::Domain;
use openfed_proto::packet::{Cause, Failure};

use crate::core::{Settings, Target};
use crate::peers::Pair;
use crate::policy::{Policy, not_listed};
use crate::stream::{StanzaCondition, StreamCondition};

/// The domains of this installation.
#[derive(Clone, Debug)]
pub(crate) struct Domains {
    local: BTreeSet<Domain>,
    homes: BTreeSet<Domain>,
    federation: bool,
    policy: Policy,
}

impl Domains {
    pub(crate) fn new(settings: &Settings) -> Self {
        Self {
            local: settings.local.clone(),
            homes: settings.homes.clone(),
            federation: settings.federation,
            policy: settings.policy.clone(),
        }
    }

    pub(crate) fn is_local(&self, domain: &Domain) -> bool {
        self.local.contains(domain)
    }

    /// Whether XMPP may be spoken with a foreign domain.
    pub(crate) fn check(&self, foreign: &Domain) -> Result<(), Failure> {
        if !self.federation {
            return Err(not_listed());
        }
        self.policy.check(foreign)
    }

    /// A peer opened a stream.
    pub(crate) fn judge_header(
        &self,
        from: Option<&Domain>,
        to: &Domain,
    ) -> Result<(), StreamCondition> {
        match (from.map(|from| self.is_local(from)), self.is_local(to)) {
            (Some(true), true) => Err(StreamCondition::InvalidFrom),
            (Some(false), false) => Err(StreamCondition::HostUnknown),
            (None, true) if !self.federation => Err(StreamCondition::PolicyViolation),
            (Some(false), true) => match from.map(|from| self.check(from)) {
                Some(Err(_)) => Err(StreamCondition::PolicyViolation),
                _ => Ok(()),
            },
            // To the home server we are every name, also such as exist nowhere else: it asks here
            // whether a SIP sender at `localhost` is one.
            _ => Ok(()),
        }
    }

    /// A peer asks to speak for `from` to `to`: where is that verified?
    pub(crate) fn judge_claim(
        &self,
        from: &Domain,
        to: &Domain,
    ) -> Result<Target, StanzaCondition> {
        match (self.is_local(from), self.is_local(to)) {
            (true, false) if self.homes.contains(from) => Ok(Target::Home(from.clone())),
            (false, true) if self.check(from).is_ok() => Ok(Target::Foreign(from.clone())),
            (false, true) => Err(StanzaCondition::PolicyViolation),
            (true, _) => Err(StanzaCondition::NotAllowed),
            (false, false) => Err(StanzaCondition::ItemNotFound),
        }
    }

    /// Where a pair's stream leads.
    pub(crate) fn target(&self, pair: &Pair) -> Result<Target, Failure> {
        if self.homes.contains(pair.remote.domain()) {
            return Ok(Target::Home(pair.remote.domain().clone()));
        }
        if self.is_local(&pair.remote) || !self.is_local(&pair.local) {
            return Err(Failure::new(Condition::RemoteServerNotFound, Cause::Policy));
        }
        self.check(&pair.remote)?;
        if !pair.remote.is_federable() {
            return Err(Failure::new(Condition::RemoteServerNotFound, Cause::NotFound));
        }
        Ok(Target::Foreign(pair.remote.domain().clone()))
    }
}

#[cfg(test)]
mod tests;
