//! The stand-in of the store: tables in memory, a version that counts changes, and a switch.

use std::collections::BTreeMap;
use std::time::Duration;

use openfed_proto::domain::Domain;
use openfed_proto::link::Era;
use openfed_proto::packet::PacketId;
use openfed_proto::route::{DomainPattern, DomainRow, Origin, StaticRoute};
use xcp_router_core::{InsertResult, Rows, StoreFact, TableChange};

use super::{Event, Sim};

/// After this time a store that is down counts as not answering.
pub const UNANSWERED: Duration = Duration::from_millis(250);

/// What a store does with a row that it is to keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keeps {
    /// It keeps it.
    All,
    /// It has no room: it reads, and does not write.
    Nothing,
    /// It says that it keeps it, and does not: a primary that dies before its replica has it.
    NothingAndLies,
}

/// One row that a router asked for.
#[derive(Clone, Debug)]
pub struct Insert {
    /// The router that asked.
    pub router: usize,
    /// The packet that it asked for.
    pub id: PacketId,
    /// The row.
    pub row: DomainRow,
}

/// See the head of this file.
#[derive(Debug)]
pub struct StoreStandIn {
    /// The domain table.
    pub rows: BTreeMap<Domain, Origin>,
    /// From a question to its answer, and from a change to its news.
    pub latency: Duration,
    pub(crate) is_up: bool,
    /// What it does with new rows.
    pub keeps: Keeps,
    routes: Vec<StaticRoute>,
    blocked: Vec<DomainPattern>,
    pinned: Vec<Domain>,
    changes: Vec<TableChange>,
    /// Before all changes.
    first: Vec<StaticRoute>,
    /// Raised when it goes back.
    era: u64,
}

impl StoreStandIn {
    pub(crate) fn new(routes: Vec<StaticRoute>) -> Self {
        Self {
            rows: BTreeMap::new(),
            latency: Duration::from_millis(2),
            is_up: true,
            keeps: Keeps::All,
            first: routes.clone(),
            routes,
            blocked: Vec::new(),
            pinned: Vec::new(),
            changes: Vec::new(),
            era: 1,
        }
    }

    /// One version per change; the first is that of the empty tables.
    fn version(&self) -> u64 {
        self.changes.len() as u64 + 1
    }

    pub(crate) fn snapshot(&self) -> StoreFact {
        let mut rows = Rows::new(0);
        rows.extend(self.rows.iter().map(|(domain, origin)| (domain.clone(), *origin)));
        StoreFact::Snapshot {
            era: Era { store: 1, number: self.era },
            version: self.version(),
            rows,
            routes: self.routes.clone(),
            blocked: self.blocked.clone(),
            pinned: self.pinned.clone(),
        }
    }

    /// All changes; a router takes those that it does not have.
    pub(crate) fn news(&self) -> StoreFact {
        StoreFact::Changes { version: self.version(), changes: self.changes.clone() }
    }

    pub(crate) fn change(&mut self, change: TableChange) {
        match change.clone() {
            TableChange::Row(domain, origin) => drop(self.rows.insert(domain, origin)),
            TableChange::RowRemoved(domain) => drop(self.rows.remove(&domain)),
            TableChange::Routes(routes) => self.routes = routes,
            TableChange::Blocked(blocked) => self.blocked = blocked,
            TableChange::Pinned(pinned) => self.pinned = pinned,
        }
        self.changes.push(change);
    }

    /// Only the oldest changes are there, as after a failover to a replica that lagged.
    pub(crate) fn go_back(&mut self, kept: usize) {
        let mut changes = std::mem::take(&mut self.changes);
        changes.truncate(kept);
        let older = Self { era: self.era + 1, ..Self::new(self.first.clone()) };
        *self = Self { latency: self.latency, is_up: self.is_up, keeps: self.keeps, ..older };
        changes.into_iter().for_each(|change| self.change(change));
    }

    /// Whether something changed.
    pub(crate) fn insert(&mut self, row: &DomainRow, cap: u64) -> (InsertResult, bool) {
        let open = self.routes.iter().any(StaticRoute::is_open);
        let blocked = self.blocked.iter().any(|pattern| pattern.matches(&row.domain));
        if self.rows.contains_key(&row.domain) {
            return (InsertResult::Present { version: self.version() }, false);
        }
        if !open || blocked || self.rows.len() as u64 >= cap {
            return (InsertResult::Refused("the store's own check"), false);
        }
        match self.keeps {
            Keeps::All => {}
            Keeps::Nothing => return (InsertResult::Unavailable, false),
            Keeps::NothingAndLies => {
                return (InsertResult::Present { version: self.version() }, false);
            }
        }
        self.change(TableChange::Row(row.domain.clone(), row.origin));
        (InsertResult::Present { version: self.version() }, true)
    }
}

impl Sim {
    pub(super) fn store_insert(&mut self, insert: Insert, cap: u64) {
        if !self.store.is_up {
            let at = self.now + UNANSWERED;
            return self.agenda.plan(at, Event::Inserted(insert, InsertResult::Unavailable));
        }
        let (result, is_new) = self.store.insert(&insert.row, cap);
        self.agenda.plan(self.now + self.store.latency, Event::Inserted(insert, result));
        if is_new {
            self.tell_news();
        }
    }

    pub(super) fn tell_news(&mut self) {
        for router in 0..self.routers.len() {
            if self.store.is_up {
                let at = self.now + self.store.latency;
                self.agenda.plan(at, Event::StoreNews(router, self.store.news()));
            }
        }
    }

    pub(super) fn go_back(&mut self, kept: usize) {
        self.store.go_back(kept);
        for router in 0..self.routers.len() {
            // One is faster than the next.
            let at = self.now + self.store.latency * (1 + u32::try_from(router).unwrap_or(0));
            self.agenda.plan(at, Event::StoreNews(router, self.store.snapshot()));
        }
    }

    pub(super) fn switch_store(&mut self, is_up: bool) {
        self.store.is_up = is_up;
        for router in 0..self.routers.len() {
            let fact = if is_up { StoreFact::Up } else { StoreFact::Down };
            self.agenda.plan(self.now + self.store.latency, Event::StoreNews(router, fact));
        }
        self.tell_news();
    }
}
