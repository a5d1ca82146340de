//! Questions to the embedded store: each sees one state of it.

use std::str::FromStr;

use openfed_proto::domain::Domain;
use openfed_proto::link::Era;
use openfed_proto::route::{DomainRow, StaticRoute};
use redb::{ReadTransaction, ReadableTable, ReadableTableMetadata, TableDefinition};

use super::failed;
use super::writing::{BLOCKED, CHANGES, IDENTITY, NUMBERS, PINNED, ROUTES, ROWS, VERSION};
use crate::store::gather::{Gather, SmallTables};
use crate::store::seal::Seal;
use crate::store::{Mark, News, Snapshot, StoreError, Table, accounts, record};

pub(super) struct Reading<'a> {
    pub(super) transaction: ReadTransaction,
    mark: Mark,
    seal: &'a Seal,
}

impl<'a> Reading<'a> {
    pub(super) fn new(transaction: ReadTransaction, seal: &'a Seal) -> Result<Self, StoreError> {
        let numbers = transaction.open_table(NUMBERS).map_err(failed)?;
        let number = |name| {
            let number = numbers.get(name).map_err(failed)?;
            Ok::<_, StoreError>(number.map_or(0, |number| number.value()))
        };
        let era = Era { store: number(IDENTITY)?, number: 1 };
        let mark = Mark { era, version: number(VERSION)?, stamp: String::new() };
        Ok(Self { transaction, mark, seal })
    }

    pub(super) fn snapshot(&self) -> Result<Snapshot, StoreError> {
        let table = self.transaction.open_table(ROWS).map_err(failed)?;
        let count = usize::try_from(table.len().map_err(failed)?).unwrap_or(0);
        let mut rows = Vec::with_capacity(count);
        for entry in table.iter().map_err(failed)? {
            let (name, row) = entry.map_err(failed)?;
            let domain = record::parsed::<Domain>(name.value());
            rows.extend(domain.zip(record::decode_origin(row.value())));
        }
        Ok(self.small_tables()?.snapshot((self.mark.clone(), false), rows))
    }

    pub(super) fn changes_after(&self, known: &Mark) -> Result<News, StoreError> {
        let table = self.transaction.open_table(CHANGES).map_err(failed)?;
        let mut gather = Gather::after(known);
        for entry in table.range(known.version.saturating_add(1)..).map_err(failed)? {
            let (version, change) = entry.map_err(failed)?;
            let (kind, subject, detail) = change.value();
            if gather.entry((version.value(), String::new()), kind, subject, detail).is_err() {
                return Ok(News::Gap);
            }
            if gather.is_full() {
                break;
            }
        }
        if gather.mark.version != self.mark.version && !gather.is_full() {
            return Ok(News::Gap);
        }
        let tables = gather.needs_tables().then(|| self.small_tables()).transpose()?;
        Ok(gather.news(tables))
    }

    pub(super) fn rows(&self, domains: &[Domain]) -> Result<Vec<DomainRow>, StoreError> {
        let table = self.transaction.open_table(ROWS).map_err(failed)?;
        let mut rows = Vec::with_capacity(domains.len());
        for domain in domains {
            let row = table.get(domain.as_str()).map_err(failed)?;
            rows.extend(row.and_then(|row| record::decode_row(domain, row.value())));
        }
        Ok(rows)
    }

    fn small_tables(&self) -> Result<SmallTables, StoreError> {
        let table = self.transaction.open_table(ROUTES).map_err(failed)?;
        let routes = table.iter().map_err(failed)?;
        let routes =
            routes.map(|entry| record::decode_route(entry.map_err(failed)?.1.value(), self.seal));
        Ok(SmallTables {
            routes: routes.collect::<Result<Vec<StaticRoute>, _>>()?,
            blocked: self.names(BLOCKED)?,
            pinned: self.names(PINNED)?,
            users: accounts::decode_all(&self.texts(Table::Users)?),
            tokens: accounts::decode_all(&self.texts(Table::Tokens)?),
        })
    }

    fn names<T: FromStr>(
        &self,
        table: TableDefinition<'_, &'static str, ()>,
    ) -> Result<Vec<T>, StoreError> {
        let table = self.transaction.open_table(table).map_err(failed)?;
        let mut names = Vec::new();
        for entry in table.iter().map_err(failed)? {
            names.extend(record::parsed(entry.map_err(failed)?.0.value()));
        }
        Ok(names)
    }
}
