//! What is known about foreign domains: the tables that a router pushes, the near cache of its
//! verdicts, and the memory of with whom XMPP worked.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use openfed_proto::domain::Domain;
use openfed_proto::link::{Held, Tables};
use openfed_proto::packet::{Cause, Failure};
use openfed_proto::route::{DomainPattern, RouteTable};

use crate::core::RouterId;

/// Which way a stanza for a foreign domain goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// Refused both ways.
    Blocked,
    /// A known SIP domain.
    Sip,
    /// XMPP, without asking anybody.
    Xmpp,
    /// A router has to find out.
    Unknown,
}

#[derive(Debug)]
struct Worked {
    at: Instant,
    /// Nothing was said since that could have changed the domain's way.
    direct: bool,
}

/// See the head of this file.
#[derive(Debug)]
pub(crate) struct Knowledge {
    /// What routers hold; the newest of it is in force.
    held: Held<RouterId>,
    routes: RouteTable,
    blocked: Vec<DomainPattern>,
    pinned: Vec<Domain>,
    /// Known SIP domains and the end of the lease on that knowledge.
    sip: HashMap<Domain, Instant>,
    worked: HashMap<Domain, Worked>,
    memory: Duration,
    max: usize,
}

impl Knowledge {
    /// XMPP is remembered for `memory`, of at most `max` domains.
    pub(crate) fn new(memory: Duration, max: usize) -> Self {
        Self {
            held: Held::default(),
            routes: RouteTable::default(),
            blocked: Vec::new(),
            pinned: Vec::new(),
            sip: HashMap::new(),
            worked: HashMap::new(),
            memory,
            max,
        }
    }

    /// A router's tables came.
    pub(crate) fn learn_tables(&mut self, router: RouterId, tables: Tables) {
        let tables = self.held.learn(router, tables).cloned();
        self.obey(tables);
    }

    /// The link to a router is lost.
    pub(crate) fn lose_router(&mut self, router: RouterId) {
        let tables = self.held.forget(router).cloned();
        self.obey(tables);
    }

    fn obey(&mut self, tables: Option<Tables>) {
        let Some(tables) = tables else { return };
        self.routes = RouteTable::new(tables.routes);
        self.blocked = tables.blocked;
        self.pinned = tables.pinned;
    }

    /// A router said whether a domain is in the domain table.
    pub(crate) fn learn_verdict(
        &mut self,
        domain: Domain,
        sip: bool,
        until: Instant,
        now: Instant,
    ) {
        if !sip {
            self.sip.remove(&domain);
            return;
        }
        if self.sip.len() >= self.max {
            self.sip.retain(|_, until| *until > now);
        }
        if self.sip.len() < self.max {
            self.sip.insert(domain, until);
        }
    }

    /// What was said about a domain, or about all, may no longer hold.
    pub(crate) fn forget(&mut self, domains: Option<&[Domain]>) {
        let Some(domains) = domains else {
            self.sip.clear();
            self.worked.values_mut().for_each(|worked| worked.direct = false);
            return;
        };
        for domain in domains {
            self.sip.remove(domain);
            if let Some(worked) = self.worked.get_mut(domain) {
                worked.direct = false;
            }
        }
    }

    /// XMPP with the domain works just now.
    pub(crate) fn learn_xmpp(&mut self, domain: &Domain, now: Instant) {
        if let Some(worked) = self.worked.get_mut(domain) {
            worked.at = now;
            return;
        }
        if self.worked.len() >= self.max {
            let memory = self.memory;
            self.worked.retain(|_, worked| now < worked.at + memory);
        }
        if self.worked.len() < self.max {
            self.worked.insert(domain.clone(), Worked { at: now, direct: true });
        }
    }

    /// A packet for the domain was delivered over XMPP by a router's decision.
    pub(crate) fn confirm_xmpp(&mut self, domain: &Domain, now: Instant) {
        self.learn_xmpp(domain, now);
        if let Some(worked) = self.worked.get_mut(domain) {
            worked.direct = true;
        }
    }

    /// Whether XMPP with the domain worked of late.
    pub(crate) fn spoke_xmpp(&self, domain: &Domain, now: Instant) -> bool {
        self.worked.get(domain).is_some_and(|worked| now < worked.at + self.memory)
    }

    pub(crate) fn is_blocked(&self, domain: &Domain) -> bool {
        self.blocked.iter().any(|pattern| pattern.matches(domain)) || self.routes.blocks(domain)
    }

    /// Which way a stanza for `domain` goes.
    pub(crate) fn way(&self, domain: &Domain, now: Instant) -> Way {
        if self.is_blocked(domain) {
            Way::Blocked
        } else if self.pinned.contains(domain) {
            Way::Xmpp
        } else if self.sip.get(domain).is_some_and(|until| now < *until)
            || self.routes.configures(domain)
        {
            Way::Sip
        } else if self.spoke_xmpp(domain, now)
            && self.worked.get(domain).is_some_and(|worked| worked.direct)
        {
            Way::Xmpp
        } else {
            Way::Unknown
        }
    }

    /// A silent domain with which XMPP worked of late has an outage; that does not make it a SIP
    /// domain (rules §3, fallback set).
    pub(crate) fn judge(&self, domain: &Domain, failure: Failure, now: Instant) -> Failure {
        match failure.cause {
            Cause::Unreachable if self.spoke_xmpp(domain, now) => {
                Failure { cause: Cause::Outage, ..failure }
            }
            _ => failure,
        }
    }
}

#[cfg(test)]
mod tests;
