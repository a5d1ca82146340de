//! What all routers share: static routes, the domain table, blocked and pinned domains, and who
//! may change them.
//!
//! Each change raises one version and is kept in a log of the last 100,000 changes, so that a
//! reader catches up from any version it still remembers, or learns that it cannot ([`News::Gap`]).
//! Two stores hold to this contract: Redis, shared by many routers, and an embedded one.

use std::fmt::Debug;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use openfed_proto::domain::Domain;
use openfed_proto::finding::{Ground, Settled};
use openfed_proto::link::{DomainUse, Era};
use openfed_proto::route::{DomainPattern, DomainRow, Origin, StaticRoute};
use thiserror::Error;
use tokio::sync::watch;
pub use tokio_util::sync::CancellationToken as Closed;

use crate::settings::StoreUrl;

mod accounts;
mod embedded;
mod follow;
mod gather;
mod record;
mod redis;
mod seal;
mod trouble;

pub use accounts::{Record, Session, Table, Token, User, Written};
pub use embedded::EmbeddedStore;
pub use follow::{StoreEvent, follow};
pub use redis::RedisStore;
use seal::Seal;

/// The layout that this program writes and understands. 1 had no accounts: a program that knows no
/// more would let everybody in.
pub const LAYOUT: u64 = 2;

/// Changes that are kept for readers that were away.
const LOG: u64 = 100_000;

/// Rows of an import that count as one change, with all their names.
const IMPORTED: usize = 250;

/// Changes that are kept after such a one: the log holds at most half a million imported names.
const IMPORTS: u64 = 2_000;

/// Shared state with versions. No call but [`Store::snapshot`] and a waiting
/// [`Store::changes_after`] takes Redis more than 250 ms: then it is [`StoreError::Unavailable`].
#[async_trait]
pub trait Store: Send + Sync + Debug {
    /// Why it takes no changes, if it takes none; see [`StoreError::Unwritable`].
    fn trouble(&self) -> watch::Receiver<Option<String>>;

    /// Writes something that means nothing, to see whether it takes changes.
    async fn try_writing(&self) -> Result<(), StoreError>;

    /// All there is. Prepares a store that is new or of an older layout: `.*` is there, blocked
    /// if it was not there before; nothing else is touched.
    async fn snapshot(&self) -> Result<Snapshot, StoreError> {
        self.snapshot_after(&Mark::default()).await
    }

    /// The same for a reader that was at `known`. If the store's history does not lead there (any
    /// more), it has gone back or is another one: then its era is raised above the reader's.
    async fn snapshot_after(&self, known: &Mark) -> Result<Snapshot, StoreError>;

    /// Cancelled once the store is closed: nobody holds it any more, and another process may open
    /// it. One that is not locked is as good as closed.
    fn closed(&self) -> Closed {
        let closed = Closed::new();
        closed.cancel();
        closed
    }

    /// What changed after `known`; with nothing new, waits for it up to `wait`. That the store has
    /// gone back is noticed within 100 ms.
    async fn changes_after(&self, known: &Mark, wait: Duration) -> Result<News, StoreError>;

    /// The full rows of those `domains` that have one.
    async fn rows(&self, domains: &[Domain]) -> Result<Vec<DomainRow>, StoreError>;

    /// Adds a discovered row if the store, at this moment, still allows it: `.*` open, domain
    /// neither blocked nor pinned, fewer than `cap` rows. Atomic.
    async fn insert_discovered(&self, row: &DomainRow, cap: u64) -> Result<Inserted, StoreError>;

    /// Adds a configured row, or makes a discovered one configured; what was counted stays.
    /// `now` is in seconds since the Unix epoch. Returns the version.
    async fn put_configured(
        &self,
        domain: &Domain,
        description: &str,
        now: u64,
    ) -> Result<u64, StoreError>;

    /// Adds configured rows for those of the domains that have none, with these descriptions; a
    /// discovered row becomes configured, a configured one stays as it is. Not atomic as a whole.
    /// Takes 1 ms for some hundred rows; give it some thousand at once. `now` is in seconds since
    /// the Unix epoch.
    async fn import(&self, rows: &[(Domain, String)], now: u64) -> Result<Imported, StoreError>;

    /// Writes these rows as they are, in place of those that the domains have. Not atomic as a
    /// whole; give it some thousand at once.
    async fn put_rows(&self, rows: &[DomainRow]) -> Result<(), StoreError>;

    /// Removes a row. Returns the version, or `None` if there was no such row.
    async fn remove_row(&self, domain: &Domain) -> Result<Option<u64>, StoreError>;

    /// Rows without a proof about which XMPP is to be asked again by `now` (in seconds since the Unix
    /// epoch), those that have waited longest first, at most `limit`.
    async fn questions_due(
        &self,
        now: u64,
        limit: usize,
    ) -> Result<Vec<(Domain, Ground)>, StoreError>;

    /// Takes the question about a row that was due at `due`, and is due again at `next`. Of many who
    /// try, one gets `true`. Atomic.
    async fn claim_question(
        &self,
        domain: &Domain,
        due: u64,
        next: u64,
    ) -> Result<bool, StoreError>;

    /// XMPP was asked again: the row goes, or is proven. Only if it is still discovered and without a
    /// proof; then returns it as it was. Atomic.
    async fn settle_question(
        &self,
        domain: &Domain,
        settled: Settled,
    ) -> Result<Option<DomainRow>, StoreError>;

    /// Adds uses to the rows of these domains; domains without a row are left out.
    async fn touch(&self, uses: &[DomainUse]) -> Result<(), StoreError>;

    /// Adds a static route; returns it with its id and version 1.
    async fn create_route(&self, route: &StaticRoute) -> Result<StaticRoute, StoreError>;

    /// Replaces the route of this id if its version is still `route.version`; returns it with
    /// its new version.
    async fn update_route(&self, route: &StaticRoute) -> Result<StaticRoute, StoreError>;

    /// Removes the route of this id if its version is still `version`.
    async fn delete_route(&self, id: u32, version: u64) -> Result<(), StoreError>;

    /// Blocks or unblocks a domain; doing it twice changes nothing.
    async fn set_blocked(&self, pattern: &DomainPattern, blocked: bool) -> Result<(), StoreError>;

    /// Pins a domain to XMPP or frees it; doing it twice changes nothing.
    async fn set_pinned(&self, domain: &Domain, pinned: bool) -> Result<(), StoreError>;

    /// The JSON of one record of a small table.
    async fn record(&self, table: Table, key: &str) -> Result<Option<String>, StoreError>;

    /// All records of a small table, with their keys, in no order.
    async fn records(&self, table: Table) -> Result<Vec<(String, String)>, StoreError>;

    /// Writes (or, without JSON, removes) a record whose version is `expected` now; 0: it is not
    /// there; `None`: whatever it is.
    async fn write_record(
        &self,
        table: Table,
        key: &str,
        expected: Option<u64>,
        json: Option<&str>,
    ) -> Result<Written, StoreError>;

    /// Adds an entry to the audit, which forgets its oldest.
    async fn add_audit(&self, json: &str) -> Result<(), StoreError>;

    /// Entries of the audit, newest first, with their numbers; only those before number `before`.
    async fn audit(
        &self,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Vec<(u64, String)>, StoreError>;
}

/// Opens the store of `url`. Redis is not spoken to yet: it may be down. Passwords of next hops are
/// sealed with the key in `key_file`; an embedded store has one of this machine without.
///
/// # Errors
/// If an embedded store is open in another process or cannot be read, the URL is unusable, or there
/// is no key in the file.
pub async fn open(url: &StoreUrl, key_file: Option<&Path>) -> Result<Arc<dyn Store>, StoreError> {
    let seal = key_file.map(Seal::of_file).transpose()?;
    Ok(match url {
        StoreUrl::Embedded(directory) => {
            let seal = match seal {
                Some(seal) => seal,
                None => Seal::of_machine(directory)?,
            };
            Arc::new(EmbeddedStore::open(directory.clone(), seal).await?)
        }
        StoreUrl::Redis(url) => {
            let seal = seal.unwrap_or_else(|| {
                tracing::info!(
                    "passwords of next hops lie in Redis in clear without store.key_file"
                );
                Seal::none()
            });
            Arc::new(RedisStore::new(url, seal)?)
        }
    })
}

/// A reader's place in the history of the store.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mark {
    /// The history; the default: not known, so nothing can be said of what was before.
    pub era: Era,
    /// Of the last change that the reader knows.
    pub version: u64,
    /// Tells that change from any other of the same version; empty: not known.
    pub stamp: String,
}

/// The tables as of `mark`; later changes may be in them already, and come again as changes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Snapshot {
    /// Of the last change.
    pub mark: Mark,
    /// The store went back, and this reader was the first to say so.
    pub raised: bool,
    /// The domain table, as far as routing needs it, in no order.
    pub rows: Vec<(Domain, Origin)>,
    /// All static routes, by id.
    pub routes: Vec<StaticRoute>,
    /// All blocked domains.
    pub blocked: Vec<DomainPattern>,
    /// All domains pinned to XMPP.
    pub pinned: Vec<Domain>,
    /// All users, by name.
    pub users: Vec<User>,
    /// All API tokens, by id.
    pub tokens: Vec<Token>,
}

/// What [`Store::changes_after`] found.
#[derive(Clone, Debug, PartialEq)]
pub enum News {
    /// The changes up to and including `mark`, in order; none if nothing is new.
    Changes {
        /// Of the last of them.
        mark: Mark,
        /// Small tables come whole, as they are now.
        changes: Vec<Change>,
    },
    /// Not known (any more) what happened since, or the store has gone back: take a snapshot.
    Gap,
}

/// One change.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// A row was added, or its origin changed.
    Row(Domain, Origin),
    /// A row was removed.
    RowRemoved(Domain),
    /// All static routes, as they are now.
    Routes(Vec<StaticRoute>),
    /// All blocked domains, as they are now.
    Blocked(Vec<DomainPattern>),
    /// All pinned domains, as they are now.
    Pinned(Vec<Domain>),
    /// All users and all API tokens, as they are now.
    Access(Vec<User>, Vec<Token>),
}

/// What became of an [`insert_discovered`](Store::insert_discovered).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inserted {
    /// The row is new, as of this version.
    New(u64),
    /// There was a row already, as of this version at the latest.
    Exists(u64),
    /// `.*` is not open.
    NotOpen,
    /// The domain is blocked.
    Blocked,
    /// The domain is pinned to XMPP.
    Pinned,
    /// The table is full.
    TableFull,
}

/// What became of the rows of an [`import`](Store::import).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Imported {
    /// Had no row before.
    pub added: u64,
    /// Were discovered before.
    pub configured: u64,
    /// Were configured already.
    pub unchanged: u64,
}

/// Why the store did not do it.
#[derive(Debug, Error)]
pub enum StoreError {
    /// It does not answer (in time); later it may.
    #[error("the store does not answer: {0}")]
    Unavailable(String),
    /// Somebody else changed the route in the meantime, to this version.
    #[error("the route was changed in the meantime (it is at version {0} now)")]
    Conflict(u64),
    /// There is no such route.
    #[error("there is no route {0}")]
    NoSuchRoute(u32),
    /// `.*` cannot be removed, doubled or given another pattern.
    #[error(
        "the route .* always exists once: it cannot be added, removed or given another pattern"
    )]
    OpenRoute,
    /// A newer program has changed the layout.
    #[error("the store has layout {found}; this program knows layouts up to {LAYOUT}: update it")]
    NewerLayout {
        /// The layout found.
        found: u64,
    },
    /// It can be read, but takes no changes: its disk is full or fails, or its memory is used up.
    /// Nothing of the change was done; later it may be.
    #[error("the store cannot be written: {0}")]
    Unwritable(String),
    /// There is no key with which passwords could be sealed.
    #[error("store.key_file {0}")]
    Key(String),
    /// The embedded store is in use.
    #[error("the store {0} is in use by another process (several routers need Redis)")]
    Locked(String),
    /// Something in the store cannot be understood.
    #[error("the store is damaged: {0}")]
    Damaged(String),
}

impl StoreError {
    /// Whether trying again later may help without anybody doing anything.
    pub fn is_temporary(&self) -> bool {
        matches!(self, Self::Unavailable(_) | Self::Unwritable(_))
    }
}

/// `.*` is neither added nor doubled, and its pattern never changes.
fn check_pattern(route: &StaticRoute) -> Result<(), StoreError> {
    if (route.id == record::OPEN_ROUTE_ID) == route.is_open_route() {
        Ok(())
    } else {
        Err(StoreError::OpenRoute)
    }
}

#[cfg(test)]
mod tests;
