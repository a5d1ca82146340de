//! Uses of known domains, gathered so that the store is written about once a
//! second and not once a packet.

use openfed_proto::domain::Domain;
use openfed_proto::link::DomainUse;

use crate::Map;
use crate::clock::Now;

/// Domains gathered before the next flush; beyond, flushed at once.
const MOST: usize = 10_000;

#[derive(Debug)]
pub(crate) struct Usage {
    uses: Map<Domain, DomainUse>,
}

impl Usage {
    pub(crate) fn new(seed: u64) -> Self {
        Usage { uses: Map::with_hasher(foldhash::fast::FixedState::with_seed(seed)) }
    }

    /// One packet of a known domain ended, with this condition if it failed.
    pub(crate) fn count(&mut self, domain: &Domain, failure: Option<&str>, now: Now) {
        self.add(DomainUse {
            domain: domain.clone(),
            hits: 1,
            last_seen: now.unix_s(),
            last_failure: failure.map(str::to_owned),
        });
    }

    /// Uses that a connection manager counted by itself.
    pub(crate) fn add(&mut self, more: DomainUse) {
        match self.uses.get_mut(&more.domain) {
            Some(sum) => {
                sum.hits = sum.hits.saturating_add(more.hits);
                sum.last_seen = sum.last_seen.max(more.last_seen);
                sum.last_failure = more.last_failure;
            }
            None => {
                self.uses.insert(more.domain.clone(), more);
            }
        }
    }

    pub(crate) fn is_full(&self) -> bool {
        self.uses.len() >= MOST
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.uses.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.uses.len()
    }

    /// All uses since the last time, in the order of their domains.
    pub(crate) fn take(&mut self) -> Vec<DomainUse> {
        let mut uses: Vec<DomainUse> = self.uses.drain().map(|(_, used)| used).collect();
        uses.sort_by(|a, b| a.domain.cmp(&b.domain));
        uses
    }
}
