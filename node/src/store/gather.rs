//! Makes news of the entries of the log of changes, the same for both stores.

use openfed_proto::domain::Domain;
use openfed_proto::route::{DomainPattern, Origin, StaticRoute};

use super::{Change, Mark, News, Snapshot, Token, User, record};

/// Changes of rows that are told at once, about.
const AT_ONCE: usize = 8_000;

/// The tables that are small enough to be told whole.
pub(super) struct SmallTables {
    pub(super) routes: Vec<StaticRoute>,
    pub(super) blocked: Vec<DomainPattern>,
    pub(super) pinned: Vec<Domain>,
    pub(super) users: Vec<User>,
    pub(super) tokens: Vec<Token>,
}

impl SmallTables {
    /// Together with the domain table: all there is.
    pub(super) fn snapshot(
        self,
        (mark, raised): (Mark, bool),
        rows: Vec<(Domain, Origin)>,
    ) -> Snapshot {
        let Self { routes, blocked, pinned, users, tokens } = self;
        Snapshot { mark, raised, rows, routes, blocked, pinned, users, tokens }
    }
}

/// Entries that follow a known version without a gap.
pub(super) struct Gather {
    pub(super) mark: Mark,
    changes: Vec<Change>,
    routes: bool,
    blocked: bool,
    pinned: bool,
    access: bool,
}

/// A change is missing, or of a kind that only a newer program knows.
pub(super) struct Lost;

impl Gather {
    pub(super) fn after(known: &Mark) -> Self {
        Self {
            mark: known.clone(),
            changes: Vec::new(),
            routes: false,
            blocked: false,
            pinned: false,
            access: false,
        }
    }

    /// Takes the next entry.
    pub(super) fn entry(
        &mut self,
        (version, stamp): (u64, String),
        kind: &str,
        subject: &str,
        detail: &str,
    ) -> Result<(), Lost> {
        if version != self.mark.version + 1 {
            return Err(Lost);
        }
        (self.mark.version, self.mark.stamp) = (version, stamp);
        match kind {
            "row" => {
                let row = record::parsed(subject).zip(record::decode_origin(detail));
                self.changes.extend(row.map(|(domain, origin)| Change::Row(domain, origin)));
            }
            "rows" => {
                let origin = record::decode_origin(detail).ok_or(Lost)?;
                let domains = subject.split('\n').filter_map(record::parsed);
                self.changes.extend(domains.map(|domain| Change::Row(domain, origin)));
            }
            "gone" => self.changes.extend(record::parsed(subject).map(Change::RowRemoved)),
            "routes" => self.routes = true,
            "blocked" => self.blocked = true,
            "pinned" => self.pinned = true,
            "access" => self.access = true,
            _ => return Err(Lost),
        }
        Ok(())
    }

    /// Whether it is enough for now: what follows is told the next time.
    pub(super) fn is_full(&self) -> bool {
        self.changes.len() >= AT_ONCE
    }

    /// Whether [`Gather::news`] needs the small tables.
    pub(super) fn needs_tables(&self) -> bool {
        self.routes || self.blocked || self.pinned || self.access
    }

    /// The news, with small tables as they are now: possibly newer than the entries, never older.
    pub(super) fn news(mut self, tables: Option<SmallTables>) -> News {
        if let Some(tables) = tables {
            self.changes.extend(self.routes.then_some(Change::Routes(tables.routes)));
            self.changes.extend(self.blocked.then_some(Change::Blocked(tables.blocked)));
            self.changes.extend(self.pinned.then_some(Change::Pinned(tables.pinned)));
            let access = Change::Access(tables.users, tables.tokens);
            self.changes.extend(self.access.then_some(access));
        }
        News::Changes { mark: self.mark, changes: self.changes }
    }
}
