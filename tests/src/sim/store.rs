//! The stand-in of the store: tables in memory, a version that counts changes, and a switch.

use std::collections::BTreeMap;
use std::time::Duration;

use openfed_proto::domain::Domain;
use openfed_proto::finding::{Finding, Ground, Settled};
use openfed_proto::link::Era;
use openfed_proto::packet::PacketId;
use openfed_proto::route::{DomainPattern, DomainRow, Origin, StaticRoute};
use xcp_router_core::{Command, InsertResult, Rows, StoreFact, TableChange};

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
    /// Of the discovered rows.
    pub grounds: BTreeMap<Domain, Ground>,
    /// Rows that went because XMPP answered.
    pub withdrawn: Vec<Domain>,
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
            grounds: BTreeMap::new(),
            withdrawn: Vec::new(),
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
            TableChange::Row(domain, origin) => {
                self.grounds.remove(&domain);
                self.rows.insert(domain, origin);
            }
            TableChange::RowRemoved(domain) => {
                self.grounds.remove(&domain);
                self.rows.remove(&domain);
            }
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
        let grounds = std::mem::take(&mut self.grounds);
        *self = Self { latency: self.latency, is_up: self.is_up, keeps: self.keeps, ..older };
        changes.into_iter().for_each(|change| self.change(change));
        let rows = &self.rows;
        self.grounds = grounds;
        self.grounds.retain(|domain, _| rows.get(domain) == Some(&Origin::Discovered));
    }

    /// What XMPP is to be asked again about.
    fn due(&self, now: u64, limit: usize) -> Vec<(Domain, Ground)> {
        let due = |ground: &Ground| !ground.finding.is_proof() && ground.due <= now;
        let due = self.grounds.iter().filter(|(_, ground)| due(ground));
        due.take(limit).map(|(domain, ground)| (domain.clone(), *ground)).collect()
    }

    fn claim(&mut self, domain: &Domain, due: u64, next: u64) -> bool {
        let ground = self.grounds.get_mut(domain).filter(|ground| ground.due == due);
        ground.is_some_and(|ground| {
            *ground = Ground { asked: ground.asked + 1, due: next, ..*ground };
            true
        })
    }

    /// Whether a row went.
    fn settle(&mut self, domain: &Domain, settled: Settled) -> bool {
        let Some(ground) = self.grounds.get_mut(domain) else { return false };
        match settled {
            _ if ground.finding.is_proof() => false,
            Settled::Absent => {
                *ground = Ground::new(Finding::Absent, 0);
                false
            }
            Settled::Reached => {
                self.withdrawn.push(domain.clone());
                self.change(TableChange::RowRemoved(domain.clone()));
                true
            }
        }
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
        self.grounds.extend(row.ground.map(|ground| (row.domain.clone(), ground)));
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

    /// A router asks about rows without a proof, or has found something out.
    pub(super) fn happen_at_store(&mut self, event: Event) {
        let now = self.both_clocks();
        match event {
            Event::Question(router, question) if self.store.is_up => self.ask(router, *question),
            Event::Due(router, due) => {
                self.routers[router].if_alive(|core, now| core.handle_due(due, now), now);
            }
            Event::Claimed(router, id, ours) => {
                self.routers[router].if_alive(|core, now| core.handle_claimed(id, ours, now), now);
            }
            _ => {}
        }
    }

    fn ask(&mut self, router: usize, question: Command) {
        let at = self.now + self.store.latency;
        match question {
            Command::FindDue { now, limit } => {
                self.agenda.plan(at, Event::Due(router, self.store.due(now, limit)));
            }
            Command::Claim { id, domain, due, next } => {
                let ours = self.store.claim(&domain, due, next);
                self.agenda.plan(at, Event::Claimed(router, id, ours));
            }
            Command::Settle { domain, settled } => {
                let went = self.store.settle(&domain, settled);
                if went {
                    self.tell_news();
                }
            }
            _ => {}
        }
    }
}
