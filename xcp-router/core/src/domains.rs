//! What is known about domains: the table of SIP domains, static routes,
//! blocked and pinned domains, as the store last told.

mod blocked;
mod table;

use openfed_proto::domain::Domain;
use openfed_proto::link::Tables;
use openfed_proto::route::{DomainPattern, Origin, RouteTable, StaticRoute};

use crate::Map;
use crate::command::TableChange;
use blocked::Blocked;
pub use table::Rows;

/// Why a domain counts as a SIP domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    /// The operator entered it.
    Configured,
    /// A specific static route names it.
    Routed,
    /// It appeared by correspondence.
    Discovered,
}

/// The applied state of the store, by version.
#[derive(Debug)]
pub(crate) struct Domains {
    table: Rows,
    routes: RouteTable,
    blocked: Blocked,
    pinned: Map<Domain, ()>,
    /// What the store says the state is as of.
    version: u64,
    tables: Tables,
    loaded: bool,
    /// How often everything was replaced.
    snapshots: u64,
}

/// What a change means for others.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    Nothing,
    Added(Domain),
    Removed(Domain),
    /// Routes, blocked or pinned domains changed: the connection managers need them.
    Tables,
}

impl Domains {
    pub(crate) fn new(seed: u64) -> Self {
        Domains {
            table: Rows::new(seed),
            routes: RouteTable::default(),
            blocked: Blocked::new(seed),
            pinned: Map::with_hasher(foldhash::fast::FixedState::with_seed(seed)),
            version: 0,
            tables: Tables::default(),
            loaded: false,
            snapshots: 0,
        }
    }

    /// Whether the store has been read at least once.
    pub(crate) fn is_loaded(&self) -> bool {
        self.loaded
    }

    pub(crate) fn version(&self) -> u64 {
        self.version
    }

    pub(crate) fn len(&self) -> usize {
        self.table.len()
    }

    pub(crate) fn routes(&self) -> &RouteTable {
        &self.routes
    }

    /// The tables as the connection managers get them.
    pub(crate) fn tables(&self) -> &Tables {
        &self.tables
    }

    pub(crate) fn is_blocked(&self, domain: &Domain) -> bool {
        self.blocked.contains(domain)
    }

    pub(crate) fn is_pinned(&self, domain: &Domain) -> bool {
        self.pinned.contains_key(domain)
    }

    /// Why `domain` counts as a SIP domain, if it does. A row that the operator
    /// entered says more than a route, a route more than a discovered row.
    pub(crate) fn known(&self, domain: &Domain) -> Option<Known> {
        match self.table.get(domain) {
            Some(Origin::Configured) => Some(Known::Configured),
            row => match (self.routes.configures(domain), row) {
                (true, _) => Some(Known::Routed),
                (false, Some(_)) => Some(Known::Discovered),
                (false, None) => None,
            },
        }
    }

    /// Whether these tables are of a store that has gone back since it was read.
    pub(crate) fn went_back(&self, tables: &Tables) -> bool {
        let another_era = tables.era.number > self.tables.era.number;
        self.loaded && (another_era || tables.version < self.version)
    }

    /// Takes everything as it is in the store; returns the rows so far, which it takes time to
    /// drop.
    pub(crate) fn replace(&mut self, rows: Rows, tables: Tables) -> Rows {
        let old = std::mem::replace(&mut self.table, rows);
        self.set_routes(tables.routes);
        self.set_blocked(tables.blocked);
        self.set_pinned(tables.pinned);
        (self.version, self.tables.version) = (tables.version, tables.version);
        self.tables.era = tables.era;
        self.snapshots += 1;
        self.loaded = true;
        old
    }

    pub(crate) fn apply(&mut self, change: TableChange) -> Effect {
        match change {
            TableChange::Row(domain, origin) => match self.table.insert(domain.clone(), origin) {
                None => Effect::Added(domain),
                Some(_) => Effect::Nothing,
            },
            TableChange::RowRemoved(domain) => match self.table.remove(&domain) {
                true => Effect::Removed(domain),
                false => Effect::Nothing,
            },
            TableChange::Routes(routes) => {
                self.set_routes(routes);
                Effect::Tables
            }
            TableChange::Blocked(patterns) => {
                self.set_blocked(patterns);
                Effect::Tables
            }
            TableChange::Pinned(domains) => {
                self.set_pinned(domains);
                Effect::Tables
            }
        }
    }

    /// The changes up to `version` are applied.
    pub(crate) fn reach(&mut self, version: u64, tables_changed: bool) {
        self.version = version;
        if tables_changed {
            self.tables.version = version;
        }
    }

    /// How often everything was replaced: what was asked of the store before need not hold after.
    pub(crate) fn snapshots(&self) -> u64 {
        self.snapshots
    }

    /// A row of our own making, asked for at this count of snapshots, as of `version`: the change
    /// stream may already be further and have it removed again, or the store have gone back to
    /// before it. Returns whether it is new.
    pub(crate) fn insert_own(&mut self, domain: &Domain, snapshots: u64, version: u64) -> bool {
        let is_news = snapshots == self.snapshots && version > self.version;
        is_news && self.table.get(domain).is_none() && {
            self.table.insert(domain.clone(), Origin::Discovered);
            true
        }
    }

    fn set_routes(&mut self, routes: Vec<StaticRoute>) {
        self.tables.routes.clone_from(&routes);
        self.routes = RouteTable::new(routes);
    }

    fn set_blocked(&mut self, patterns: Vec<DomainPattern>) {
        self.blocked.replace(&patterns);
        self.tables.blocked = patterns;
    }

    fn set_pinned(&mut self, domains: Vec<Domain>) {
        self.pinned.clear();
        self.pinned.extend(domains.iter().map(|domain| (domain.clone(), ())));
        self.tables.pinned = domains;
    }
}

#[cfg(test)]
mod tests;
