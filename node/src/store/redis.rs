//! The store in Redis, shared by all routers.
//!
//! Rows lie in 4,096 hashes (`openfed:d:<bucket>`): a million of them take 96 MB, against 150 MB
//! as one key each. Each change is one script, so that it is atomic, and one entry of the stream
//! `openfed:changes`, whose id `0-<version>` makes catching up one range query.

use std::fmt;
use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use openfed_proto::domain::Domain;
use openfed_proto::finding::{Ground, Settled};
use openfed_proto::link::{DomainUse, Era};
use openfed_proto::route::{DomainPattern, DomainRow, Origin, StaticRoute};
use redis::aio::MultiplexedConnection;
use redis::{
    AsyncCommands, ErrorKind, FromRedisValue, RedisError, RedisResult, Script, ScriptInvocation,
    pipe,
};
use tokio::sync::watch;

use super::record::{self, OPEN_ROUTE_ID};
use super::seal::Seal;
use super::trouble::Trouble;
use super::{
    Imported, Inserted, LAYOUT, Mark, News, Snapshot, Store, StoreError, Table, Written,
    check_pattern,
};

mod changes;
mod import;
mod keys;
mod records;
mod scripts;
mod sentinels;
mod server;
mod tables;
mod unproven;

use keys::*;
use scripts::Scripts;
use server::Server;

/// No call blocks longer.
const LIMIT: Duration = Duration::from_millis(250);

/// What scripts answer: a word, and a number with it.
type Answer = (String, u64);

/// See [`Store`].
pub struct RedisStore {
    /// Where commands go.
    commands: Server,
    /// A connection for waiting, which would hold up commands.
    waiting: Mutex<Option<MultiplexedConnection>>,
    prepared: AtomicBool,
    scripts: Scripts,
    seal: Seal,
    trouble: Trouble,
}

impl RedisStore {
    /// Whether `url` is one of ours.
    pub fn can_use(url: &str) -> bool {
        Server::new(url).is_ok()
    }

    /// A store at `url`, which is not connected to before the first call. To be called within
    /// the runtime.
    ///
    /// # Errors
    /// If the URL cannot be used.
    pub(super) fn new(url: &str, seal: Seal) -> Result<Self, StoreError> {
        Ok(Self {
            commands: Server::new(url).map_err(failed)?,
            waiting: Mutex::default(),
            prepared: AtomicBool::new(false),
            scripts: Scripts::new(),
            seal,
            trouble: Trouble::default(),
        })
    }

    /// Returns where the store is, and whether its era was raised above that of `known`.
    async fn prepare(&self, known: &Mark) -> Result<(Mark, bool), StoreError> {
        type Prepared = (String, u64, String, u64, String);
        let predefined = record::encode_route(&StaticRoute::predefined(), &self.seal)?;
        let mut call = self.scripts.prepare.prepare_invoke();
        let call = common(&mut call).key(SCHEMA).key(ROUTES).arg(LAYOUT).arg(predefined);
        call.arg(identity(rand::random())).arg(identity(known.era.store)).arg(known.era.number);
        call.arg(known.version).arg(&known.stamp);
        let mut commands = self.commands.clone();
        let (word, version, store, number, stamp): Prepared =
            within(LIMIT, call.invoke_async(&mut commands)).await?;
        if word == "newer" {
            return Err(StoreError::NewerLayout { found: version });
        }
        self.prepared.store(true, Ordering::Relaxed);
        let era = Era { store: identity_of(&store), number };
        Ok((Mark { era, version, stamp }, word == "raised"))
    }

    /// Runs a script that changes something.
    async fn change<T: FromRedisValue>(
        &self,
        script: &Script,
        add: impl FnOnce(&mut ScriptInvocation<'_>) + Send,
    ) -> Result<T, StoreError> {
        if !self.prepared.load(Ordering::Relaxed) {
            self.prepare(&Mark::default()).await?;
        }
        let mut call = script.prepare_invoke();
        common(&mut call);
        add(&mut call);
        let changed = within(LIMIT, call.invoke_async(&mut self.commands.clone())).await;
        self.trouble.note(&changed);
        changed
    }

    async fn write_route(
        &self,
        id: u32,
        expected: u64,
        route: Option<&StaticRoute>,
    ) -> Result<(), StoreError> {
        let json = route.map(|route| record::encode_route(route, &self.seal)).transpose()?;
        let json = json.unwrap_or_default();
        let open = u8::from(route.is_some_and(StaticRoute::is_open));
        let answer: Answer = self
            .change(&self.scripts.route, |call| {
                call.key(ROUTES).arg(id).arg(expected).arg(json).arg(open);
            })
            .await?;
        match answer.0.as_str() {
            "ok" => Ok(()),
            "none" => Err(StoreError::NoSuchRoute(id)),
            _ => Err(StoreError::Conflict(answer.1)),
        }
    }

    async fn set_member(
        &self,
        key: &str,
        kind: &str,
        name: &str,
        is_member: bool,
    ) -> Result<(), StoreError> {
        let _: Answer = self
            .change(&self.scripts.member, |call| {
                call.key(key).arg(kind).arg(name).arg(u8::from(is_member));
            })
            .await?;
        Ok(())
    }
}

#[async_trait]
impl Store for RedisStore {
    fn trouble(&self) -> watch::Receiver<Option<String>> {
        self.trouble.watch()
    }

    async fn try_writing(&self) -> Result<(), StoreError> {
        let mut commands = self.commands.clone();
        let tried: Result<(), _> = within(LIMIT, commands.hset(SETTINGS, "tried", "")).await;
        self.trouble.note(&tried);
        tried
    }

    async fn snapshot_after(&self, known: &Mark) -> Result<Snapshot, StoreError> {
        let place = self.prepare(known).await?;
        self.seal_routes().await?;
        let rows = self.all_rows().await?;
        let tables = self.small_tables().await?;
        Ok(tables.snapshot(place, rows))
    }

    async fn changes_after(&self, known: &Mark, wait: Duration) -> Result<News, StoreError> {
        self.read_changes(known, wait).await
    }

    async fn rows(&self, domains: &[Domain]) -> Result<Vec<DomainRow>, StoreError> {
        self.some_rows(domains).await
    }

    async fn insert_discovered(&self, row: &DomainRow, cap: u64) -> Result<Inserted, StoreError> {
        let discovered = DomainRow { origin: Origin::Discovered, ..row.clone() };
        let answer: Answer = self
            .change(&self.scripts.insert, |call| {
                call.key(BLOCKED).key(PINNED).key(bucket(&row.domain)).key(UNPROVEN);
                call.arg(row.domain.as_str()).arg(record::encode_row(&discovered)).arg(cap);
                call.arg(record::blocking(&row.domain));
            })
            .await?;
        Ok(match answer.0.as_str() {
            "new" => Inserted::New(answer.1),
            "exists" => Inserted::Exists(answer.1),
            "blocked" => Inserted::Blocked,
            "pinned" => Inserted::Pinned,
            "full" => Inserted::TableFull,
            _ => Inserted::NotOpen,
        })
    }

    async fn put_configured(
        &self,
        domain: &Domain,
        description: &str,
        now: u64,
    ) -> Result<u64, StoreError> {
        let row = record::encode_row(&record::configured(domain, description, now));
        let answer: Answer = self
            .change(&self.scripts.configure, |call| {
                call.key(bucket(domain)).arg(domain.as_str()).arg(row);
                call.arg(record::clean(description));
            })
            .await?;
        Ok(answer.1)
    }

    async fn import(&self, rows: &[(Domain, String)], now: u64) -> Result<Imported, StoreError> {
        self.import_rows(rows, now).await
    }

    async fn put_rows(&self, rows: &[DomainRow]) -> Result<(), StoreError> {
        self.restore_rows(rows).await
    }

    async fn remove_row(&self, domain: &Domain) -> Result<Option<u64>, StoreError> {
        let answer: Answer = self
            .change(&self.scripts.remove, |call| {
                call.key(bucket(domain)).arg(domain.as_str());
            })
            .await?;
        Ok((answer.0 == "ok").then_some(answer.1))
    }

    async fn questions_due(
        &self,
        now: u64,
        limit: usize,
    ) -> Result<Vec<(Domain, Ground)>, StoreError> {
        self.find_due(now, limit).await
    }

    async fn claim_question(
        &self,
        domain: &Domain,
        due: u64,
        next: u64,
    ) -> Result<bool, StoreError> {
        self.claim(domain, due, next).await
    }

    async fn settle_question(
        &self,
        domain: &Domain,
        settled: Settled,
    ) -> Result<Option<DomainRow>, StoreError> {
        self.settle(domain, settled).await
    }

    async fn touch(&self, uses: &[DomainUse]) -> Result<(), StoreError> {
        // A longer script would hold up everybody else.
        for some in uses.chunks(500) {
            let _: Answer = self
                .change(&self.scripts.touch, |call| {
                    for one in some {
                        let failure = one.last_failure.as_deref().map(record::clean);
                        call.key(bucket(&one.domain)).arg(one.domain.as_str()).arg(one.hits);
                        call.arg(one.last_seen).arg(failure.unwrap_or_default());
                    }
                })
                .await?;
        }
        Ok(())
    }

    async fn create_route(&self, route: &StaticRoute) -> Result<StaticRoute, StoreError> {
        if route.is_open_route() {
            return Err(StoreError::OpenRoute);
        }
        let mut commands = self.commands.clone();
        let mut next = redis::cmd("HINCRBY");
        next.arg(SETTINGS).arg("last_route").arg(1);
        let id = within(LIMIT, next.query_async(&mut commands)).await?;
        let created = StaticRoute { id, version: 1, ..route.clone() };
        self.write_route(id, 0, Some(&created)).await?;
        Ok(created)
    }

    async fn update_route(&self, route: &StaticRoute) -> Result<StaticRoute, StoreError> {
        check_pattern(route)?;
        let updated = StaticRoute { version: route.version + 1, ..route.clone() };
        self.write_route(route.id, route.version, Some(&updated)).await?;
        Ok(updated)
    }

    async fn delete_route(&self, id: u32, version: u64) -> Result<(), StoreError> {
        if id == OPEN_ROUTE_ID {
            return Err(StoreError::OpenRoute);
        }
        self.write_route(id, version, None).await
    }

    async fn set_blocked(&self, pattern: &DomainPattern, blocked: bool) -> Result<(), StoreError> {
        self.set_member(BLOCKED, "blocked", &pattern.to_string(), blocked).await
    }

    async fn set_pinned(&self, domain: &Domain, pinned: bool) -> Result<(), StoreError> {
        self.set_member(PINNED, "pinned", domain.as_str(), pinned).await
    }

    async fn record(&self, table: Table, key: &str) -> Result<Option<String>, StoreError> {
        self.one_record(table, key).await
    }

    async fn records(&self, table: Table) -> Result<Vec<(String, String)>, StoreError> {
        self.all_records(table).await
    }

    async fn write_record(
        &self,
        table: Table,
        key: &str,
        expected: Option<u64>,
        json: Option<&str>,
    ) -> Result<Written, StoreError> {
        self.put_record(table, key, expected, json).await
    }

    async fn add_audit(&self, json: &str) -> Result<(), StoreError> {
        self.append_audit(json).await
    }

    async fn audit(
        &self,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Vec<(u64, String)>, StoreError> {
        self.read_audit(before, limit).await
    }
}

impl fmt::Debug for RedisStore {
    // The client would show its password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStore").finish_non_exhaustive()
    }
}

/// The first three keys of every script.
fn common<'a, 'b>(call: &'b mut ScriptInvocation<'a>) -> &'b mut ScriptInvocation<'a> {
    call.key(VERSION).key(CHANGES).key(SETTINGS)
}

/// How a store's identity is written there.
fn identity(number: u64) -> String {
    format!("{number:016x}")
}

/// 0 if it is none.
fn identity_of(text: &str) -> u64 {
    u64::from_str_radix(text, 16).unwrap_or(0)
}

/// Waits for a call, but not for long.
async fn within<T>(
    limit: Duration,
    call: impl Future<Output = RedisResult<T>>,
) -> Result<T, StoreError> {
    match tokio::time::timeout(limit, call).await {
        Ok(answer) => answer.map_err(failed),
        Err(_) => Err(StoreError::Unavailable(format!("no answer within {limit:?}"))),
    }
}

fn failed(error: RedisError) -> StoreError {
    match error.kind() {
        ErrorKind::Parse | ErrorKind::UnexpectedReturnType => {
            StoreError::Damaged(error.to_string())
        }
        // No memory is left; nothing can be saved to its disk; too few replicas have it.
        _ if matches!(error.code(), Some("OOM" | "MISCONF" | "NOREPLICAS")) => {
            StoreError::Unwritable(error.to_string())
        }
        _ => StoreError::Unavailable(error.to_string()),
    }
}
