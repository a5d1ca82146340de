//! Blocked domains: one look per label, however long the list.

use foldhash::fast::FixedState;
use openfed_proto::domain::Domain;
use openfed_proto::route::DomainPattern;

use crate::Map;

#[derive(Debug)]
pub(crate) struct Blocked {
    exact: Map<Domain, ()>,
    subtrees: Map<Domain, ()>,
}

impl Blocked {
    pub(crate) fn new(seed: u64) -> Self {
        let empty = || Map::with_hasher(FixedState::with_seed(seed));
        Blocked { exact: empty(), subtrees: empty() }
    }

    pub(crate) fn replace(&mut self, patterns: &[DomainPattern]) {
        self.exact.clear();
        self.subtrees.clear();
        for pattern in patterns {
            match pattern {
                DomainPattern::Exact(domain) => self.exact.insert(domain.clone(), ()),
                DomainPattern::Subtree(domain) => self.subtrees.insert(domain.clone(), ()),
            };
        }
    }

    pub(crate) fn contains(&self, domain: &Domain) -> bool {
        let name = domain.as_str();
        let mut ancestors =
            std::iter::successors(Some(name), |name| name.split_once('.').map(|(_, rest)| rest));
        self.exact.contains_key(name) || ancestors.any(|name| self.subtrees.contains_key(name))
    }
}
