//! Reads the tables.

use futures_util::{StreamExt, stream};

use super::*;
use crate::store::accounts;
use crate::store::gather::SmallTables;

/// Buckets of one question: with a million rows, some 4,000 rows or 3 ms. What they take while they
/// are read stays with the process, so it is not much.
const BUCKETS_AT_ONCE: u32 = 16;

impl RedisStore {
    pub(super) async fn small_tables(&self) -> Result<SmallTables, StoreError> {
        let mut pipe = pipe();
        pipe.atomic().hvals(ROUTES).hkeys(BLOCKED).hkeys(PINNED).hvals(USERS).hvals(TOKENS);
        let mut commands = self.commands.clone();
        let [routes, blocked, pinned, users, tokens]: [Vec<String>; 5] =
            within(LIMIT, pipe.query_async(&mut commands)).await?;
        let mut routes: Vec<_> = routes
            .iter()
            .map(|json| record::decode_route(json, &self.seal))
            .collect::<Result<_, _>>()?;
        routes.sort_by_key(|route| route.id);
        Ok(SmallTables {
            routes,
            blocked: blocked.iter().filter_map(|name| record::parsed(name)).collect(),
            pinned: pinned.iter().filter_map(|name| record::parsed(name)).collect(),
            users: accounts::decode_all(&users),
            tokens: accounts::decode_all(&tokens),
        })
    }

    /// Those that were written without a key, unless somebody is just changing them.
    pub(super) async fn seal_routes(&self) -> Result<(), StoreError> {
        if !self.seal.has_key() {
            return Ok(());
        }
        let routes: Vec<String> = within(LIMIT, self.commands.clone().hvals(ROUTES)).await?;
        for json in routes.iter().filter(|json| record::is_clear(json)) {
            let route = record::decode_route(json, &self.seal)?;
            match self.write_route(route.id, route.version, Some(&route)).await {
                Ok(()) | Err(StoreError::Conflict(_) | StoreError::NoSuchRoute(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// While one piece is read, the server gathers the next one.
    pub(super) async fn all_rows(&self) -> Result<Vec<(Domain, Origin)>, StoreError> {
        let firsts = stream::iter((0..BUCKETS).step_by(BUCKETS_AT_ONCE as usize));
        let mut pieces = firsts.map(|first| self.buckets_from(first)).buffered(2);
        let mut rows = Vec::with_capacity(self.row_count().await?);
        while let Some(buckets) = pieces.next().await {
            rows.extend(buckets?.iter().flatten().filter_map(|(name, row)| {
                Some((record::parsed::<Domain>(name)?, record::decode_origin(row)?))
            }));
        }
        Ok(rows)
    }

    /// About: what grows meanwhile costs a larger piece of memory for a moment.
    async fn row_count(&self) -> Result<usize, StoreError> {
        let (mut count, mut commands) = (redis::cmd("HGET"), self.commands.clone());
        count.arg(SETTINGS).arg("rows");
        let count: Option<usize> = within(LIMIT, count.query_async(&mut commands)).await?;
        Ok(count.unwrap_or_default())
    }

    async fn buckets_from(&self, first: u32) -> Result<Vec<Vec<(String, String)>>, StoreError> {
        let mut pipe = pipe();
        for bucket in first..first + BUCKETS_AT_ONCE {
            pipe.hgetall(bucket_key(bucket));
        }
        within(LIMIT, pipe.query_async(&mut self.commands.clone())).await
    }

    pub(super) async fn some_rows(&self, domains: &[Domain]) -> Result<Vec<DomainRow>, StoreError> {
        let mut rows = Vec::with_capacity(domains.len());
        for some in domains.chunks(1_000) {
            let mut pipe = pipe();
            for domain in some {
                pipe.hget(bucket(domain), domain.as_str());
            }
            let mut commands = self.commands.clone();
            let found: Vec<Option<String>> = within(LIMIT, pipe.query_async(&mut commands)).await?;
            let known = some.iter().zip(found);
            rows.extend(known.filter_map(|(domain, row)| record::decode_row(domain, &row?)));
        }
        Ok(rows)
    }
}
