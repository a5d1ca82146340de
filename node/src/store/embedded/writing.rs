//! Changes of the embedded store: each is one transaction.

use openfed_proto::domain::Domain;
use openfed_proto::link::DomainUse;
use openfed_proto::route::{DomainRow, Origin, StaticRoute};
use redb::{Database, ReadableTable, ReadableTableMetadata, TableDefinition, WriteTransaction};

use super::failed;
use super::unproven::UNPROVEN;
use crate::store::seal::Seal;
use crate::store::{IMPORTED, IMPORTS, Imported, Inserted, LAYOUT, LOG, StoreError, record};

pub(super) const NUMBERS: TableDefinition<'_, &str, u64> = TableDefinition::new("numbers");
pub(super) const ROWS: TableDefinition<'_, &str, &str> = TableDefinition::new("rows");
pub(super) const ROUTES: TableDefinition<'_, u32, &str> = TableDefinition::new("routes");
pub(super) const BLOCKED: TableDefinition<'_, &str, ()> = TableDefinition::new("blocked");
pub(super) const PINNED: TableDefinition<'_, &str, ()> = TableDefinition::new("pinned");
/// By version: kind, subject, detail.
pub(super) const CHANGES: TableDefinition<'_, u64, (&str, &str, &str)> =
    TableDefinition::new("changes");

pub(super) const VERSION: &str = "version";
pub(super) const IDENTITY: &str = "identity";
const TRIED: &str = "tried";
const SCHEMA: &str = "schema";
const LAST_ROUTE: &str = "last_route";

/// One transaction.
pub(super) struct Writing<'a> {
    pub(super) transaction: &'a WriteTransaction,
    seal: &'a Seal,
}

impl Writing<'_> {
    /// Runs `write` in a transaction that is kept only if it succeeds.
    pub(super) fn run<T>(
        database: &Database,
        seal: &Seal,
        write: impl FnOnce(&mut Writing<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let transaction = database.begin_write().map_err(failed)?;
        let done = write(&mut Writing { transaction: &transaction, seal })?;
        transaction.commit().map_err(failed)?;
        Ok(done)
    }

    /// Makes a new store, or one of an older layout, one of this layout. Returns the version.
    pub(super) fn prepare(&mut self) -> Result<u64, StoreError> {
        let found = self.number(SCHEMA)?;
        if found > LAYOUT {
            return Err(StoreError::NewerLayout { found });
        }
        // Opening a table for writing creates it; reading fails without.
        self.transaction.open_table(ROWS).map_err(failed)?;
        self.transaction.open_table(BLOCKED).map_err(failed)?;
        self.transaction.open_table(PINNED).map_err(failed)?;
        self.transaction.open_table(CHANGES).map_err(failed)?;
        self.transaction.open_table(UNPROVEN).map_err(failed)?;
        self.prepare_records()?;
        if self.route(record::OPEN_ROUTE_ID)?.is_none() {
            let predefined = StaticRoute::predefined();
            self.write_route(record::OPEN_ROUTE_ID, 0, Some(&predefined))?;
        }
        self.seal_routes()?;
        if self.number(IDENTITY)? == 0 {
            self.set_number(IDENTITY, rand::random())?;
        }
        self.set_number(SCHEMA, LAYOUT)?;
        self.version()
    }

    /// Those that were written without a key.
    fn seal_routes(&mut self) -> Result<(), StoreError> {
        let mut routes = self.transaction.open_table(ROUTES).map_err(failed)?;
        let mut clear = Vec::new();
        for entry in routes.iter().map_err(failed)? {
            let (id, json) = entry.map_err(failed)?;
            if self.seal.has_key() && record::is_clear(json.value()) {
                clear.push((id.value(), record::decode_route(json.value(), self.seal)?));
            }
        }
        for (id, route) in clear {
            let sealed = record::encode_route(&route, self.seal)?;
            routes.insert(id, sealed.as_str()).map_err(failed)?;
        }
        Ok(())
    }

    /// Writes something that means nothing.
    pub(super) fn try_writing(&mut self) -> Result<(), StoreError> {
        let next = self.number(TRIED)?.wrapping_add(1);
        self.set_number(TRIED, next)
    }

    pub(super) fn version(&self) -> Result<u64, StoreError> {
        self.number(VERSION)
    }

    pub(super) fn insert_discovered(
        &mut self,
        row: &DomainRow,
        cap: u64,
    ) -> Result<Inserted, StoreError> {
        let domain = row.domain.as_str();
        let blocked = self.transaction.open_table(BLOCKED).map_err(failed)?;
        for pattern in record::blocking(&row.domain) {
            if blocked.get(pattern.as_str()).map_err(failed)?.is_some() {
                return Ok(Inserted::Blocked);
            }
        }
        drop(blocked);
        if self.row(&row.domain)?.is_some() {
            return Ok(Inserted::Exists(self.version()?));
        }
        if !self.route(record::OPEN_ROUTE_ID)?.is_some_and(|route| route.is_open()) {
            return Ok(Inserted::NotOpen);
        }
        let pinned = self.transaction.open_table(PINNED).map_err(failed)?;
        if pinned.get(domain).map_err(failed)?.is_some() {
            return Ok(Inserted::Pinned);
        }
        drop(pinned);
        let rows = self.transaction.open_table(ROWS).map_err(failed)?;
        if rows.len().map_err(failed)? >= cap {
            return Ok(Inserted::TableFull);
        }
        drop(rows);
        self.put_row(row)?;
        Ok(Inserted::New(self.changed("row", domain, "d")?))
    }

    pub(super) fn put_configured(&mut self, new: DomainRow) -> Result<u64, StoreError> {
        let row = match self.row(&new.domain)? {
            Some(old) => {
                DomainRow { origin: Origin::Configured, description: new.description, ..old }
            }
            None => new,
        };
        self.put_row(&row)?;
        self.changed("row", row.domain.as_str(), "c")
    }

    pub(super) fn import(&mut self, new: &[DomainRow]) -> Result<Imported, StoreError> {
        let mut all = Imported::default();
        for some in new.chunks(IMPORTED) {
            let mut names = Vec::new();
            for row in some {
                match self.row(&row.domain)? {
                    None => {
                        self.put_row(row)?;
                        all.added += 1;
                    }
                    Some(old) if old.origin == Origin::Discovered => {
                        let description = [&row.description, &old.description];
                        let description = description.into_iter().find(|text| !text.is_empty());
                        let description = description.cloned().unwrap_or_default();
                        self.put_row(&DomainRow {
                            origin: Origin::Configured,
                            description,
                            ..old
                        })?;
                        all.configured += 1;
                    }
                    Some(_) => {
                        all.unchanged += 1;
                        continue;
                    }
                }
                names.push(row.domain.as_str());
            }
            if !names.is_empty() {
                let version = self.changed("rows", &names.join("\n"), "c")?;
                self.forget_changes_before(version.saturating_sub(IMPORTS))?;
            }
        }
        Ok(all)
    }

    pub(super) fn restore(&mut self, rows: &[DomainRow]) -> Result<(), StoreError> {
        for origin in [Origin::Configured, Origin::Discovered] {
            let rows: Vec<_> = rows.iter().filter(|row| row.origin == origin).collect();
            for some in rows.chunks(IMPORTED) {
                let mut names = Vec::with_capacity(some.len());
                for row in some {
                    self.put_row(row)?;
                    names.push(row.domain.as_str());
                }
                let names = names.join("\n");
                let version = self.changed("rows", &names, record::encode_origin(origin))?;
                self.forget_changes_before(version.saturating_sub(IMPORTS))?;
            }
        }
        Ok(())
    }

    pub(super) fn remove_row(&mut self, domain: &Domain) -> Result<Option<u64>, StoreError> {
        let mut rows = self.transaction.open_table(ROWS).map_err(failed)?;
        let before = rows.remove(domain.as_str()).map_err(failed)?;
        let before = before.map(|text| text.value().to_owned());
        drop(rows);
        if before.is_none() {
            return Ok(None);
        }
        self.follow_row(domain, before.as_deref(), None)?;
        self.changed("gone", domain.as_str(), "").map(Some)
    }

    pub(super) fn touch(&mut self, uses: &[DomainUse]) -> Result<(), StoreError> {
        for one in uses {
            let Some(mut row) = self.row(&one.domain)? else { continue };
            row.hits = row.hits.saturating_add(one.hits);
            row.last_seen = row.last_seen.max(one.last_seen);
            row.last_failure.clone_from(&one.last_failure);
            self.put_row(&row)?;
        }
        Ok(())
    }

    pub(super) fn next_route_id(&mut self) -> Result<u32, StoreError> {
        let next = self.number(LAST_ROUTE)? + 1;
        self.set_number(LAST_ROUTE, next)?;
        let none_left = |_| StoreError::Damaged("no id is left for a route".to_owned());
        u32::try_from(next).map_err(none_left)
    }

    /// Writes or (`None`) deletes a route that is at version `expected` now; 0: is not there.
    pub(super) fn write_route(
        &mut self,
        id: u32,
        expected: u64,
        route: Option<&StaticRoute>,
    ) -> Result<(), StoreError> {
        let old = self.route(id)?;
        if expected != 0 && old.is_none() {
            return Err(StoreError::NoSuchRoute(id));
        }
        let version = old.map_or(0, |route| route.version);
        if version != expected {
            return Err(StoreError::Conflict(version));
        }
        let mut routes = self.transaction.open_table(ROUTES).map_err(failed)?;
        match route {
            Some(route) => {
                routes
                    .insert(id, record::encode_route(route, self.seal)?.as_str())
                    .map_err(failed)?;
            }
            None => {
                routes.remove(id).map_err(failed)?;
            }
        }
        drop(routes);
        self.changed("routes", "", "").map(drop)
    }

    pub(super) fn set_member(
        &mut self,
        table: TableDefinition<'_, &'static str, ()>,
        kind: &str,
        name: &str,
        is_member: bool,
    ) -> Result<(), StoreError> {
        let mut names = self.transaction.open_table(table).map_err(failed)?;
        let was_member = if is_member {
            names.insert(name, ()).map_err(failed)?.is_some()
        } else {
            names.remove(name).map_err(failed)?.is_some()
        };
        drop(names);
        if was_member != is_member {
            self.changed(kind, "", "")?;
        }
        Ok(())
    }

    /// Raises the version, logs the change under it, and forgets the oldest.
    pub(super) fn changed(
        &mut self,
        kind: &str,
        subject: &str,
        detail: &str,
    ) -> Result<u64, StoreError> {
        let version = self.version()? + 1;
        self.set_number(VERSION, version)?;
        let mut changes = self.transaction.open_table(CHANGES).map_err(failed)?;
        changes.insert(version, (kind, subject, detail)).map_err(failed)?;
        changes.remove(version.saturating_sub(LOG)).map_err(failed)?;
        Ok(version)
    }

    fn forget_changes_before(&mut self, version: u64) -> Result<(), StoreError> {
        let mut changes = self.transaction.open_table(CHANGES).map_err(failed)?;
        changes.retain_in(..version, |_, _| false).map_err(failed)
    }

    pub(super) fn row(&self, domain: &Domain) -> Result<Option<DomainRow>, StoreError> {
        let rows = self.transaction.open_table(ROWS).map_err(failed)?;
        let row = rows.get(domain.as_str()).map_err(failed)?;
        Ok(row.and_then(|row| record::decode_row(domain, row.value())))
    }

    pub(super) fn put_row(&self, row: &DomainRow) -> Result<(), StoreError> {
        let mut rows = self.transaction.open_table(ROWS).map_err(failed)?;
        let text = record::encode_row(row);
        let before = rows.insert(row.domain.as_str(), text.as_str()).map_err(failed)?;
        let before = before.map(|text| text.value().to_owned());
        self.follow_row(&row.domain, before.as_deref(), Some(row))
    }

    fn route(&self, id: u32) -> Result<Option<StaticRoute>, StoreError> {
        let routes = self.transaction.open_table(ROUTES).map_err(failed)?;
        let route = routes.get(id).map_err(failed)?;
        route.map(|json| record::decode_route(json.value(), self.seal)).transpose()
    }

    fn number(&self, name: &str) -> Result<u64, StoreError> {
        let numbers = self.transaction.open_table(NUMBERS).map_err(failed)?;
        let number = numbers.get(name).map_err(failed)?;
        Ok(number.map_or(0, |number| number.value()))
    }

    fn set_number(&self, name: &str, value: u64) -> Result<(), StoreError> {
        let mut numbers = self.transaction.open_table(NUMBERS).map_err(failed)?;
        numbers.insert(name, value).map_err(failed)?;
        Ok(())
    }
}
