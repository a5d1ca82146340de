//! Reads the stream of changes.

use redis::streams::{StreamId, StreamRangeReply, StreamReadOptions, StreamReadReply};
use tokio::time::Instant;

use super::*;
use crate::store::gather::Gather;

/// Entries of one answer; more are left for the next question. While rows are imported, that is
/// 8,000 rows, which hold a router's packets up for some milliseconds.
const ENTRIES: usize = 32;

/// Nobody tells that a store has gone back, so it is looked after so often. Each look costs the
/// server 50 µs.
const LOOK: Duration = Duration::from_millis(75);

/// What the server has, as far as a reader must know to go on from its mark.
struct Place {
    identity: String,
    era: u64,
    version: u64,
    /// The change of the reader's mark, if it is still in the log, and the one after it.
    around: StreamRangeReply,
}

impl RedisStore {
    pub(super) async fn read_changes(
        &self,
        known: &Mark,
        wait: Duration,
    ) -> Result<News, StoreError> {
        let until = Instant::now() + wait;
        // Taken out while in use: a failed connection is not put back.
        let kept = self.waiting().take();
        let mut connection = match kept {
            Some(connection) => connection,
            None => {
                let connection = within(LIMIT, self.commands.connect()).await?;
                // Where this one was lost, the other one may be as well.
                self.commands.renew();
                connection
            }
        };
        let news = loop {
            let left = until.saturating_duration_since(Instant::now());
            let entries = read_entries(&mut connection, known.version, left.min(LOOK)).await?;
            let place = Place::read(&mut connection, known.version).await?;
            if !place.continues(known) {
                break News::Gap;
            }
            if !entries.is_empty() {
                break self.news(known, &entries).await?;
            }
            if place.has_lost_changes_after(known) {
                break News::Gap;
            }
            if left.is_zero() {
                break News::Changes { mark: known.clone(), changes: Vec::new() };
            }
        };
        *self.waiting() = Some(connection);
        Ok(news)
    }

    async fn news(&self, known: &Mark, entries: &[StreamId]) -> Result<News, StoreError> {
        let mut gather = Gather::after(known);
        for entry in entries {
            let field = |name| entry.get::<String>(name).unwrap_or_default();
            let (kind, subject, detail) = (field("kind"), field("subject"), field("detail"));
            let change = (version_of(entry), field("stamp"));
            if gather.entry(change, &kind, &subject, &detail).is_err() {
                return Ok(News::Gap);
            }
        }
        let tables = if gather.needs_tables() { Some(self.small_tables().await?) } else { None };
        Ok(gather.news(tables))
    }

    fn waiting(&self) -> MutexGuard<'_, Option<MultiplexedConnection>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn read_entries(
    connection: &mut MultiplexedConnection,
    known: u64,
    wait: Duration,
) -> Result<Vec<StreamId>, StoreError> {
    let mut options = StreamReadOptions::default().count(ENTRIES);
    if !wait.is_zero() {
        // 0 would wait for ever.
        options = options.block(usize::try_from(wait.as_millis()).unwrap_or(1_000).max(1));
    }
    let from = [format!("0-{known}")];
    let read = connection.xread_options(&[CHANGES], &from, &options);
    let reply: Option<StreamReadReply> = within(wait + LIMIT, read).await?;
    let keys = reply.into_iter().flat_map(|reply| reply.keys);
    Ok(keys.flat_map(|key| key.ids).collect())
}

impl Place {
    async fn read(connection: &mut MultiplexedConnection, known: u64) -> Result<Self, StoreError> {
        type Read = ((Option<String>, Option<u64>), Option<u64>, StreamRangeReply);
        let mut pipe = pipe();
        pipe.atomic().hmget(SETTINGS, &["identity", "era"]).get(VERSION);
        pipe.xrange_count(CHANGES, format!("0-{known}"), "+", 2);
        let ((identity, era), version, around): Read =
            within(LIMIT, pipe.query_async(connection)).await?;
        let identity = identity.unwrap_or_default();
        let (era, version) = (era.unwrap_or_default(), version.unwrap_or_default());
        Ok(Self { identity, era, version, around })
    }

    /// Whether the history of the store leads to `known`.
    fn continues(&self, known: &Mark) -> bool {
        let of_era = (identity_of(&self.identity), self.era) == (known.era.store, known.era.number);
        let marked = self.around.ids.iter().find(|entry| version_of(entry) == known.version);
        let stamp = marked.and_then(|entry| entry.get::<String>("stamp")).unwrap_or_default();
        let same = stamp == known.stamp || stamp.is_empty() || known.stamp.is_empty();
        self.version >= known.version && (known.era == Era::default() || of_era && same)
    }

    /// Whether there were changes after `known`, of which the log has forgotten the first.
    fn has_lost_changes_after(&self, known: &Mark) -> bool {
        let next = self.around.ids.iter().any(|entry| version_of(entry) > known.version);
        self.version > known.version && !next
    }
}

fn version_of(entry: &StreamId) -> u64 {
    entry.id.strip_prefix("0-").and_then(|number| number.parse().ok()).unwrap_or(0)
}
