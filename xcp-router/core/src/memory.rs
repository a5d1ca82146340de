//! What recent attempts said about domains that have no row (rules §3, steps 8
//! and 13). Short and bounded: made-up domains push out the oldest.

use std::time::{Duration, Instant};

use openfed_proto::domain::Domain;
use openfed_proto::packet::{Cause, Failure};

use crate::expiring::Expiring;

const DOMAINS: usize = 20_000;

#[derive(Debug)]
pub(crate) struct Memory {
    /// XMPP worked within ten minutes.
    speaks: Expiring<Domain, ()>,
    /// Why XMPP could not reach the domain within five seconds: E.
    xmpp: Expiring<Domain, Failure>,
    /// SIP could not reach it within five seconds, either; with E.
    sip: Expiring<Domain, Failure>,
}

impl Memory {
    pub(crate) fn new(seed: u64) -> Self {
        let (long, short) = (Duration::from_secs(600), Duration::from_secs(5));
        Memory {
            speaks: Expiring::new(long, DOMAINS, seed),
            xmpp: Expiring::new(short, DOMAINS, seed),
            sip: Expiring::new(short, DOMAINS, seed),
        }
    }

    pub(crate) fn speaks_xmpp(&self, domain: &Domain, now: Instant) -> bool {
        self.speaks.get(domain, now).is_some()
    }

    pub(crate) fn xmpp_failure(&self, domain: &Domain, now: Instant) -> Option<&Failure> {
        self.xmpp.get(domain, now)
    }

    /// What to answer outbound packets while SIP to the domain is known to fail.
    pub(crate) fn sip_failure(&self, domain: &Domain, now: Instant) -> Option<&Failure> {
        self.sip.get(domain, now)
    }

    pub(crate) fn note_xmpp_worked(&mut self, domain: &Domain, now: Instant) {
        self.speaks.insert(domain, (), now);
        self.xmpp.remove(domain);
    }

    /// Remembers E, if it says something about the domain and not about us.
    pub(crate) fn note_xmpp_failed(&mut self, domain: &Domain, failure: &Failure, now: Instant) {
        match failure.cause {
            // The ten minutes of XMPP end with the word that there is none.
            Cause::NotFound | Cause::HostUnknown => self.speaks.remove(domain),
            Cause::Unreachable | Cause::NotListed | Cause::Denied => {}
            Cause::Untrusted | Cause::Outage => {}
            Cause::Remote | Cause::Busy | Cause::Leaving | Cause::Policy | Cause::Unmappable => {
                return;
            }
        }
        self.xmpp.insert(domain, failure.clone(), now);
    }

    pub(crate) fn note_sip_failed(&mut self, domain: &Domain, answer: &Failure, now: Instant) {
        self.sip.insert(domain, answer.clone(), now);
    }

    /// The routes changed: SIP may work now.
    pub(crate) fn forget_sip_failures(&mut self) {
        self.sip.clear();
    }

    pub(crate) fn sweep(&mut self, now: Instant) {
        self.speaks.sweep(now);
        self.xmpp.sweep(now);
        self.sip.sweep(now);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.speaks.is_empty() && self.xmpp.is_empty() && self.sip.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.speaks.len() + self.xmpp.len() + self.sip.len()
    }
}
