//! Reads the stream of changes.

use redis::streams::{StreamId, StreamReadOptions, StreamReadReply};
use redis::{AsyncCommands, Value};

use super::*;
use crate::store::gather::Gather;

/// Entries of one answer; more are left for the next question. While rows are imported, that is
/// 8,000 rows, which hold a router's packets up for some milliseconds.
const ENTRIES: usize = 32;

impl RedisStore {
    pub(super) async fn read_changes(
        &self,
        known: u64,
        wait: Duration,
    ) -> Result<News, StoreError> {
        // Taken out while in use: a failed connection is not put back.
        let kept = self.waiting().take();
        let mut connection = match kept {
            Some(connection) => connection,
            None => {
                let connection = self.connect_waiting().await?;
                // Without a snapshot yet, there is nothing that a restart could have changed.
                let before = self.run().clone();
                if before.is_some() && before != self.server_run().await? {
                    return Ok(News::Gap);
                }
                connection
            }
        };
        let mut options = StreamReadOptions::default().count(ENTRIES);
        if !wait.is_zero() {
            // 0 would wait for ever.
            options = options.block(usize::try_from(wait.as_millis()).unwrap_or(1_000).max(1));
        }
        let from = [format!("0-{known}")];
        let read = connection.xread_options(&[CHANGES], &from, &options);
        let reply: Option<StreamReadReply> = within(wait + LIMIT, read).await?;
        let entries = reply.into_iter().flat_map(|reply| reply.keys).flat_map(|key| key.ids);
        let news = self.news(known, entries.collect()).await?;
        *self.waiting() = Some(connection);
        Ok(news)
    }

    async fn news(&self, known: u64, entries: Vec<StreamId>) -> Result<News, StoreError> {
        if entries.is_empty() {
            return self.nothing_or_gap(known).await;
        }
        let mut gather = Gather::after(known);
        for entry in &entries {
            let field = |name| entry.get::<String>(name).unwrap_or_default();
            let version = entry.id.strip_prefix("0-").and_then(|number| number.parse().ok());
            let (kind, subject, detail) = (field("kind"), field("subject"), field("detail"));
            if gather.entry(version.unwrap_or(0), &kind, &subject, &detail).is_err() {
                return Ok(News::Gap);
            }
        }
        let tables = if gather.needs_tables() { Some(self.small_tables().await?) } else { None };
        Ok(gather.news(tables))
    }

    /// No entry after `known`: because nothing happened, or because it is lost.
    async fn nothing_or_gap(&self, known: u64) -> Result<News, StoreError> {
        let mut pipe = pipe();
        pipe.atomic().get(VERSION).xrange_count(CHANGES, format!("(0-{known}"), "+", 1);
        let (version, later): (Option<u64>, Vec<Value>) =
            within(LIMIT, pipe.query_async(&mut self.commands.clone())).await?;
        let version = version.unwrap_or(0);
        if version < known || (version > known && later.is_empty()) {
            return Ok(News::Gap);
        }
        Ok(News::Changes { version: known, changes: Vec::new() })
    }

    async fn connect_waiting(&self) -> Result<MultiplexedConnection, StoreError> {
        // How long an answer may take is different for each question.
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(LIMIT))
            .set_response_timeout(None);
        within(LIMIT, self.client.get_multiplexed_async_connection_with_config(&config)).await
    }

    /// Names this run of the server; none if it does not tell.
    pub(super) async fn server_run(&self) -> Result<Option<String>, StoreError> {
        let mut info = redis::cmd("INFO");
        info.arg("server");
        let told: Result<String, _> =
            within(LIMIT, info.query_async(&mut self.commands.clone())).await;
        match told {
            Ok(told) => {
                let mut lines = told.lines();
                Ok(lines.find_map(|line| line.strip_prefix("run_id:").map(str::to_owned)))
            }
            Err(StoreError::Unavailable(reason)) => Err(StoreError::Unavailable(reason)),
            Err(_) => Ok(None),
        }
    }

    pub(super) fn run(&self) -> MutexGuard<'_, Option<String>> {
        self.run.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn waiting(&self) -> MutexGuard<'_, Option<MultiplexedConnection>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
