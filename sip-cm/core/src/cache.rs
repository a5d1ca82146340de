//! What this connection manager remembers of domains: verdicts that routers gave under a lease,
//! and the traffic that went by without asking them.

use std::time::{Duration, Instant};

use openfed_proto::condition::Condition;
use openfed_proto::domain::Domain;
use openfed_proto::link::DomainUse;

use crate::random::{Seed, Table};

/// Verdicts kept at most; beyond that the older half is forgotten.
const MAX_VERDICTS: usize = 200_000;
/// Domains with unreported traffic.
const MAX_USED: usize = 10_000;
/// How often traffic is reported.
pub(crate) const REPORT_EVERY: Duration = Duration::from_secs(1);

/// The near cache: known SIP domains. In two generations, so that it is bounded without a clock
/// hand over each entry.
#[derive(Debug)]
pub(crate) struct NearCache {
    young: Table<Domain, Instant>,
    old: Table<Domain, Instant>,
}

impl NearCache {
    pub(crate) fn new(seed: Seed) -> Self {
        NearCache { young: Table::with_hasher(seed), old: Table::with_hasher(seed) }
    }

    /// Whether `domain` is known to speak SIP, under a lease that still runs.
    pub(crate) fn knows(&self, domain: &Domain, now: Instant) -> bool {
        let until = self.young.get(domain).or_else(|| self.old.get(domain));
        until.is_some_and(|until| now < *until)
    }

    /// A router's verdict; "no" is only the absence of "yes".
    pub(crate) fn learn(&mut self, domain: Domain, sip: bool, lease: Duration, now: Instant) {
        if !sip {
            self.young.remove(&domain);
            self.old.remove(&domain);
            return;
        }
        if self.young.len() >= MAX_VERDICTS / 2 {
            self.old = std::mem::replace(&mut self.young, Table::with_hasher(*self.old.hasher()));
        }
        let until = now.checked_add(lease).unwrap_or(now);
        self.young.insert(domain, until);
    }

    /// Forgets these domains; all, if `None`.
    pub(crate) fn invalidate(&mut self, domains: Option<&[Domain]>) {
        match domains {
            Some(domains) => {
                for domain in domains {
                    self.young.remove(domain);
                    self.old.remove(domain);
                }
            }
            None => {
                self.young.clear();
                self.old.clear();
            }
        }
    }
}

/// Hits per domain since the last report.
#[derive(Debug)]
pub(crate) struct Usage {
    used: Table<Domain, DomainUse>,
}

impl Usage {
    pub(crate) fn new(seed: Seed) -> Self {
        Usage { used: Table::with_hasher(seed) }
    }

    /// One request passed; `failure` is how it ended, if badly.
    pub(crate) fn count(&mut self, domain: &Domain, at: u64, failure: Option<&Condition>) {
        if self.used.len() >= MAX_USED && !self.used.contains_key(domain) {
            return;
        }
        let entry = self.used.entry(domain.clone()).or_insert_with(|| DomainUse {
            domain: domain.clone(),
            hits: 0,
            last_seen: at,
            last_failure: None,
        });
        entry.hits += 1;
        entry.last_seen = at;
        entry.last_failure = failure.map(|condition| condition.as_str().to_owned());
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.used.is_empty()
    }

    /// All that was counted; counting begins anew.
    pub(crate) fn take(&mut self) -> Vec<DomainUse> {
        self.used.drain().map(|(_, used)| used).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    fn domain(text: &str) -> Domain {
        Domain::parse(text).expect("a domain")
    }

    #[test]
    fn a_verdict_holds_for_its_lease_or_until_it_is_invalidated() {
        let now = crate::random::some_instant();
        let minute = Duration::from_secs(60);
        let mut cache = NearCache::new(Random::new(|| 1).seed());
        cache.learn(domain("a.example"), true, minute, now);
        cache.learn(domain("b.example"), true, minute, now);
        assert!(cache.knows(&domain("a.example"), now));
        assert!(!cache.knows(&domain("a.example"), now + minute));
        cache.invalidate(Some(&[domain("a.example")]));
        assert!(!cache.knows(&domain("a.example"), now));
        cache.learn(domain("b.example"), false, minute, now);
        assert!(!cache.knows(&domain("b.example"), now));
        cache.learn(domain("c.example"), true, minute, now);
        cache.invalidate(None);
        assert!(!cache.knows(&domain("c.example"), now));
    }

    #[test]
    fn the_cache_is_bounded_and_forgets_the_older_half() {
        let now = crate::random::some_instant();
        let mut cache = NearCache::new(Random::new(|| 1).seed());
        for n in 0..=MAX_VERDICTS {
            cache.learn(domain(&format!("d{n}.example")), true, Duration::from_secs(9), now);
        }
        assert!(cache.young.len() + cache.old.len() <= MAX_VERDICTS);
        assert!(cache.knows(&domain(&format!("d{MAX_VERDICTS}.example")), now));
        assert!(!cache.knows(&domain("d0.example"), now));
    }

    #[test]
    fn hits_are_counted_per_domain_and_reported_once() {
        let mut usage = Usage::new(Random::new(|| 1).seed());
        usage.count(&domain("a.example"), 7, None);
        usage.count(&domain("a.example"), 8, Some(&Condition::ItemNotFound));
        let report = usage.take();
        assert_eq!((report[0].hits, report[0].last_seen), (2, 8));
        assert_eq!(report[0].last_failure.as_deref(), Some("item-not-found"));
        assert!(usage.is_empty());
    }
}
