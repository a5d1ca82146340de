//! The small tables of records, and the audit.

use redb::{ReadableTable, TableDefinition};

use super::failed;
use super::reading::Reading;
use super::writing::Writing;
use crate::store::accounts::{self, AUDIT};
use crate::store::{StoreError, Table, Written};

/// By number.
const ENTRIES: TableDefinition<'_, u64, &str> = TableDefinition::new("audit");

fn table_of(table: Table) -> TableDefinition<'static, &'static str, &'static str> {
    TableDefinition::new(match table {
        Table::Users => "users",
        Table::Tokens => "tokens",
        Table::Sessions => "sessions",
        Table::Notes => "notes",
    })
}

impl Reading<'_> {
    pub(super) fn record(&self, table: Table, key: &str) -> Result<Option<String>, StoreError> {
        let records = self.transaction.open_table(table_of(table)).map_err(failed)?;
        let record = records.get(key).map_err(failed)?;
        Ok(record.map(|json| json.value().to_owned()))
    }

    pub(super) fn records(&self, table: Table) -> Result<Vec<(String, String)>, StoreError> {
        let records = self.transaction.open_table(table_of(table)).map_err(failed)?;
        let records = records.iter().map_err(failed)?.map(|entry| {
            let (key, json) = entry.map_err(failed)?;
            Ok((key.value().to_owned(), json.value().to_owned()))
        });
        records.collect()
    }

    pub(super) fn texts(&self, table: Table) -> Result<Vec<String>, StoreError> {
        Ok(self.records(table)?.into_iter().map(|(_, json)| json).collect())
    }

    pub(super) fn audit(
        &self,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Vec<(u64, String)>, StoreError> {
        let entries = self.transaction.open_table(ENTRIES).map_err(failed)?;
        let entries = entries.range(..before.unwrap_or(u64::MAX)).map_err(failed)?;
        let entries = entries.rev().take(limit).map(|entry| {
            let (number, json) = entry.map_err(failed)?;
            Ok((number.value(), json.value().to_owned()))
        });
        entries.collect()
    }
}

impl Writing<'_> {
    /// Opening a table for writing creates it.
    pub(super) fn prepare_records(&mut self) -> Result<(), StoreError> {
        for table in [Table::Users, Table::Tokens, Table::Sessions, Table::Notes] {
            self.transaction.open_table(table_of(table)).map_err(failed)?;
        }
        self.transaction.open_table(ENTRIES).map_err(failed)?;
        Ok(())
    }

    pub(super) fn write_record(
        &mut self,
        table: Table,
        key: &str,
        expected: Option<u64>,
        json: Option<&str>,
    ) -> Result<Written, StoreError> {
        let mut records = self.transaction.open_table(table_of(table)).map_err(failed)?;
        let old = records.get(key).map_err(failed)?;
        let old = old.map(|json| accounts::version(json.value()));
        match (old, expected) {
            (None, Some(1..)) => return Ok(Written::Missing),
            (Some(version), Some(expected)) if expected == 0 || version != expected => {
                return Ok(Written::Conflict(version));
            }
            (None, None) if json.is_none() => return Ok(Written::Missing),
            _ => {}
        }
        match json {
            Some(json) => drop(records.insert(key, json).map_err(failed)?),
            None => drop(records.remove(key).map_err(failed)?),
        }
        drop(records);
        if !table.kind().is_empty() {
            self.changed(table.kind(), "", "")?;
        }
        Ok(Written::Done)
    }

    pub(super) fn add_audit(&mut self, json: &str) -> Result<(), StoreError> {
        let mut entries = self.transaction.open_table(ENTRIES).map_err(failed)?;
        let last = entries.last().map_err(failed)?.map_or(0, |(number, _)| number.value());
        entries.insert(last + 1, json).map_err(failed)?;
        entries.remove((last + 1).saturating_sub(AUDIT)).map_err(failed)?;
        Ok(())
    }
}
