//! A million rows in some 100 MB: names and where they came from, nothing else.
//! The store has the rest.

use foldhash::fast::FixedState;
use hashbrown::HashSet;
use openfed_proto::domain::Domain;
use openfed_proto::route::Origin;

/// A set per origin costs a third less than one map with the origin beside
/// each name. The names are shared with whoever else keeps them.
#[derive(Debug)]
pub(crate) struct Table {
    configured: HashSet<Domain, FixedState>,
    discovered: HashSet<Domain, FixedState>,
}

impl Table {
    pub(crate) fn new(seed: u64) -> Self {
        let empty = || HashSet::with_hasher(FixedState::with_seed(seed));
        Table { configured: empty(), discovered: empty() }
    }

    pub(crate) fn len(&self) -> usize {
        self.configured.len() + self.discovered.len()
    }

    pub(crate) fn get(&self, domain: &Domain) -> Option<Origin> {
        if self.discovered.contains(domain) {
            Some(Origin::Discovered)
        } else if self.configured.contains(domain) {
            Some(Origin::Configured)
        } else {
            None
        }
    }

    /// Sets the row; returns the origin it had before.
    pub(crate) fn insert(&mut self, domain: Domain, origin: Origin) -> Option<Origin> {
        let before = self.get(&domain);
        if before != Some(origin) {
            self.remove(&domain);
            match origin {
                Origin::Configured => self.configured.insert(domain),
                Origin::Discovered => self.discovered.insert(domain),
            };
        }
        before
    }

    /// Removes the row; returns whether there was one.
    pub(crate) fn remove(&mut self, domain: &Domain) -> bool {
        self.discovered.remove(domain) || self.configured.remove(domain)
    }
}
