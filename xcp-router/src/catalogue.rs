//! The tables as the API lists them: sorted, at hand while the store is away.
//!
//! The core keeps no order and is not to be kept waiting by a search over a
//! million names; so they stand here in order.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use openfed_node::store::{Token, User};
use openfed_proto::domain::Domain;
use openfed_proto::route::{DomainPattern, StaticRoute};
use tokio::sync::watch;
use xcp_router_core::{Rows, StoreFact, TableChange};

mod names;
pub(crate) use names::Names;

/// How long the answer to a change waits for this node to act by it.
const SETTLE: Duration = Duration::from_millis(500);

/// What a search finds is counted up to there: of more, nobody wants to know how many, and counting a
/// million takes longer than all the rest of the page.
const COUNTED: usize = 100_000;

/// What the store told last.
#[derive(Debug, Default)]
pub(crate) struct Listing {
    /// Of the domain table. Who looks for long takes a share of them.
    pub(crate) names: Arc<Names>,
    pub(crate) routes: Vec<StaticRoute>,
    pub(crate) blocked: Vec<DomainPattern>,
    pub(crate) pinned: Vec<Domain>,
    pub(crate) users: Vec<User>,
    pub(crate) tokens: Vec<Token>,
    /// Whether the store was read at all.
    pub(crate) loaded: bool,
    pub(crate) stamps: Stamps,
}

/// How often each table has changed, for whoever wants to know what is new.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Stamps {
    rows: u64,
    routes: u64,
    blocked: u64,
    pinned: u64,
}

impl Stamps {
    /// The tables that have changed since then, by name, separated by spaces.
    pub(crate) fn since(&self, then: &Stamps) -> String {
        let tables = [
            ("rows", self.rows, then.rows),
            ("routes", self.routes, then.routes),
            ("blocked", self.blocked, then.blocked),
            ("pinned", self.pinned, then.pinned),
        ];
        let changed = tables.into_iter().filter(|(_, now, then)| now != then);
        changed.map(|(name, _, _)| name).collect::<Vec<_>>().join(" ")
    }

    fn all(&mut self) {
        let Stamps { rows, routes, blocked, pinned } = self;
        [rows, routes, blocked, pinned].into_iter().for_each(|stamp| *stamp += 1);
    }
}

/// A page of the domain table's names.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Page {
    pub(crate) domains: Vec<Domain>,
    /// The cursor of the page that follows, if there is more.
    pub(crate) next: Option<String>,
    /// All that the search finds, on whatever page; `None`: more than [`COUNTED`].
    pub(crate) total: Option<usize>,
}

/// The tables, and word of their changes.
#[derive(Debug)]
pub(crate) struct Catalogue {
    listing: RwLock<Listing>,
    applied: watch::Sender<()>,
}

impl Default for Catalogue {
    fn default() -> Self {
        Catalogue { listing: RwLock::default(), applied: watch::Sender::new(()) }
    }
}

impl Catalogue {
    /// Takes news of the store.
    pub(crate) fn apply(&self, fact: &StoreFact) {
        let names = Arc::new(match fact {
            StoreFact::Snapshot { rows, .. } => in_order(rows),
            _ => Names::default(),
        });
        let mut listing = self.listing.write().unwrap_or_else(PoisonError::into_inner);
        match fact {
            StoreFact::Snapshot { routes, blocked, pinned, .. } => {
                listing.names = names;
                listing.routes.clone_from(routes);
                listing.blocked.clone_from(blocked);
                listing.pinned.clone_from(pinned);
                listing.loaded = true;
                listing.stamps.all();
            }
            StoreFact::Changes { changes, .. } => {
                changes.iter().for_each(|change| listing.apply(change));
            }
            StoreFact::Up | StoreFact::Down => {}
        }
    }

    /// Takes all accounts, as they are now: the core, which routes packets, knows none.
    pub(crate) fn take_accounts(&self, users: Vec<User>, tokens: Vec<Token>) {
        let mut listing = self.listing.write().unwrap_or_else(PoisonError::into_inner);
        (listing.users, listing.tokens) = (users, tokens);
    }

    /// The engine acts by all that was applied.
    pub(crate) fn announce(&self) {
        self.applied.send_replace(());
    }

    /// Tells of changes, after the engine acts by them; [`Listing::stamps`] tells what has changed.
    pub(crate) fn watch(&self) -> watch::Receiver<()> {
        self.applied.subscribe()
    }

    /// Looks at the tables.
    pub(crate) fn read<T>(&self, look: impl FnOnce(&Listing) -> T) -> T {
        look(&self.listing.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Waits until this node acts by a change that the store has taken; not
    /// longer than half a second, for the store has it in any case.
    pub(crate) async fn settled(&self, holds: impl Fn(&Listing) -> bool) {
        let mut applied = self.applied.subscribe();
        let settled = async {
            while !self.read(&holds) {
                if applied.changed().await.is_err() {
                    return;
                }
            }
            // The catalogue knows before the engine does.
            let _ = tokio::time::timeout(Duration::from_millis(50), applied.changed()).await;
        };
        let _ = tokio::time::timeout(SETTLE, settled).await;
    }
}

impl Listing {
    fn apply(&mut self, change: &TableChange) {
        let stamp = match change {
            TableChange::Row(..) | TableChange::RowRemoved(_) => &mut self.stamps.rows,
            TableChange::Routes(_) => &mut self.stamps.routes,
            TableChange::Blocked(_) => &mut self.stamps.blocked,
            TableChange::Pinned(_) => &mut self.stamps.pinned,
        };
        *stamp += 1;
        match change {
            TableChange::Row(domain, _) => Arc::make_mut(&mut self.names).insert(domain.as_str()),
            TableChange::RowRemoved(domain) => {
                Arc::make_mut(&mut self.names).remove(domain.as_str())
            }
            TableChange::Routes(routes) => self.routes.clone_from(routes),
            TableChange::Blocked(patterns) => self.blocked.clone_from(patterns),
            TableChange::Pinned(domains) => self.pinned.clone_from(domains),
        }
    }
}

impl Page {
    /// Names that contain `search`, from after `cursor`, in their order.
    pub(crate) fn of(names: &Names, search: &str, cursor: Option<&str>, limit: usize) -> Page {
        let all = search.is_empty().then_some(names.len());
        let total = all.or_else(|| names.count(search, COUNTED));
        let mut rest = names.after(cursor, search);
        let page = rest.by_ref().take(limit);
        let domains: Vec<Domain> = page.filter_map(|name| Domain::parse(name).ok()).collect();
        let more = rest.next().is_some();
        let next = domains.last().filter(|_| more).map(ToString::to_string);
        Page { domains, next, total }
    }
}

fn in_order(rows: &Rows) -> Names {
    let mut names = Vec::with_capacity(rows.len());
    names.extend(rows.domains().map(Domain::as_str));
    names.sort_unstable();
    names.into_iter().collect()
}

#[cfg(test)]
mod tests;
