//! The small tables of records, and the audit.

use redis::streams::StreamRangeReply;

use super::*;
use crate::store::accounts::AUDIT;

/// The audit: a stream whose ids are `0-<number>`.
const ENTRIES: &str = "openfed:audit";

fn key_of(table: Table) -> &'static str {
    match table {
        Table::Users => USERS,
        Table::Tokens => TOKENS,
        Table::Sessions => "openfed:sessions",
        Table::Notes => "openfed:notes",
    }
}

impl RedisStore {
    pub(super) async fn one_record(
        &self,
        table: Table,
        key: &str,
    ) -> Result<Option<String>, StoreError> {
        within(LIMIT, self.commands.clone().hget(key_of(table), key)).await
    }

    pub(super) async fn all_records(
        &self,
        table: Table,
    ) -> Result<Vec<(String, String)>, StoreError> {
        within(LIMIT, self.commands.clone().hgetall(key_of(table))).await
    }

    pub(super) async fn put_record(
        &self,
        table: Table,
        key: &str,
        expected: Option<u64>,
        json: Option<&str>,
    ) -> Result<Written, StoreError> {
        let expected = expected.map(|version| version.to_string()).unwrap_or_default();
        let answer: Answer = self
            .change(&self.scripts.record, |call| {
                call.key(key_of(table)).arg(key).arg(expected);
                call.arg(json.unwrap_or_default()).arg(table.kind());
            })
            .await?;
        Ok(match answer.0.as_str() {
            "ok" => Written::Done,
            "none" => Written::Missing,
            _ => Written::Conflict(answer.1),
        })
    }

    pub(super) async fn append_audit(&self, json: &str) -> Result<(), StoreError> {
        let _: Answer = self
            .change(&self.scripts.audit, |call| {
                call.key(ENTRIES).arg(json).arg(AUDIT);
            })
            .await?;
        Ok(())
    }

    pub(super) async fn read_audit(
        &self,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Vec<(u64, String)>, StoreError> {
        let from = before.map_or_else(|| "+".to_owned(), |number| format!("(0-{number}"));
        let mut commands = self.commands.clone();
        let read = commands.xrevrange_count(ENTRIES, from, "-", limit);
        let entries: StreamRangeReply = within(LIMIT, read).await?;
        let entry = |entry: &redis::streams::StreamId| {
            let number = entry.id.strip_prefix("0-")?.parse().ok()?;
            Some((number, entry.get::<String>("entry")?))
        };
        Ok(entries.ids.iter().filter_map(entry).collect())
    }
}
