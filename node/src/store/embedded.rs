//! The store in a file of this machine, for one process.

use std::ffi::OsStr;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use openfed_proto::domain::Domain;
use openfed_proto::finding::{Ground, Settled};
use openfed_proto::link::DomainUse;
use openfed_proto::route::{DomainPattern, DomainRow, Origin, StaticRoute};
use redb::ReadableDatabase;
use tokio::sync::watch;

use super::seal::{self, Seal};
use super::trouble::Trouble;
use super::{
    Closed, Imported, Inserted, Mark, News, Snapshot, Store, StoreError, Table, Written,
    check_pattern, record,
};
use crate::private;

mod kept;
mod reading;
mod records;
mod unproven;
mod writing;

use kept::Kept;
use reading::Reading;
use writing::Writing;

const FILE: &str = "openfed.redb";

/// What lies in the store's folder besides.
const BESIDE: &str = "admin.";

/// See [`Store`].
#[derive(Debug)]
pub struct EmbeddedStore {
    database: Arc<Kept>,
    /// The version of the last change, for those who wait for the next.
    version: watch::Sender<u64>,
    seal: Arc<Seal>,
    trouble: Trouble,
}

impl EmbeddedStore {
    /// Opens the store in `directory`, which is created if it is not there. Passwords that lie there
    /// in clear are sealed.
    ///
    /// # Errors
    /// If another process has it open, it cannot be read, or it has a newer layout.
    pub(super) async fn open(directory: PathBuf, seal: Seal) -> Result<Self, StoreError> {
        let seal = Arc::new(seal);
        let sealing = seal.clone();
        let opened = tokio::task::spawn_blocking(move || {
            private::folder(&directory, is_ours).map_err(|error| {
                StoreError::Damaged(format!("cannot create {}: {error}", directory.display()))
            })?;
            let database = Kept::open(directory.join(FILE))?;
            let version = database
                .with(|database| Writing::run(database, &sealing, |store| store.prepare()))?;
            Ok((Arc::new(database), version))
        });
        let (database, version) = opened.await.map_err(lost)??;
        let (version, trouble) = (watch::Sender::new(version), Trouble::default());
        Ok(Self { database, seal, version, trouble })
    }

    async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Reading<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (database, seal) = (self.database.clone(), self.seal.clone());
        let done = tokio::task::spawn_blocking(move || {
            database.with(|database| {
                let transaction = database.begin_read().map_err(failed)?;
                read(&Reading::new(transaction, &seal)?)
            })
        });
        done.await.map_err(lost)?
    }

    /// Runs one transaction, and wakes those who wait if it changed anything.
    async fn write<T: Send + 'static>(
        &self,
        write: impl FnOnce(&mut Writing<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (database, seal) = (self.database.clone(), self.seal.clone());
        let written = tokio::task::spawn_blocking(move || {
            database.with(|database| {
                Writing::run(database, &seal, |store| {
                    let done = write(store)?;
                    Ok((done, store.version()?))
                })
            })
        });
        let written = written.await.map_err(lost)?;
        self.trouble.note(&written);
        let (done, version) = written?;
        self.version.send_if_modified(|known| {
            let newer = version > *known;
            *known = version.max(*known);
            newer
        });
        Ok(done)
    }
}

#[async_trait]
impl Store for EmbeddedStore {
    fn closed(&self) -> Closed {
        self.database.closed()
    }

    fn trouble(&self) -> watch::Receiver<Option<String>> {
        self.trouble.watch()
    }

    async fn try_writing(&self) -> Result<(), StoreError> {
        self.write(|store| store.try_writing()).await
    }

    /// The file cannot go back while it is open, and whoever opened it has read nothing before.
    async fn snapshot_after(&self, _: &Mark) -> Result<Snapshot, StoreError> {
        self.read(|store| store.snapshot()).await
    }

    async fn changes_after(&self, known: &Mark, wait: Duration) -> Result<News, StoreError> {
        let known = known.clone();
        let mut watched = self.version.subscribe();
        // Too long is no fault: then there is nothing new.
        let _ = tokio::time::timeout(wait, watched.wait_for(|now| *now != known.version)).await;
        self.read(move |store| store.changes_after(&known)).await
    }

    async fn rows(&self, domains: &[Domain]) -> Result<Vec<DomainRow>, StoreError> {
        let domains = domains.to_vec();
        self.read(move |store| store.rows(&domains)).await
    }

    async fn insert_discovered(&self, row: &DomainRow, cap: u64) -> Result<Inserted, StoreError> {
        let row = DomainRow { origin: Origin::Discovered, ..row.clone() };
        self.write(move |store| store.insert_discovered(&row, cap)).await
    }

    async fn put_configured(
        &self,
        domain: &Domain,
        description: &str,
        now: u64,
    ) -> Result<u64, StoreError> {
        let row = record::configured(domain, &record::clean(description), now);
        self.write(move |store| store.put_configured(row)).await
    }

    async fn import(&self, rows: &[(Domain, String)], now: u64) -> Result<Imported, StoreError> {
        let rows: Vec<_> = rows
            .iter()
            .map(|(domain, text)| record::configured(domain, &record::clean(text), now))
            .collect();
        self.write(move |store| store.import(&rows)).await
    }

    async fn put_rows(&self, rows: &[DomainRow]) -> Result<(), StoreError> {
        let rows = rows.to_vec();
        self.write(move |store| store.restore(&rows)).await
    }

    async fn remove_row(&self, domain: &Domain) -> Result<Option<u64>, StoreError> {
        let domain = domain.clone();
        self.write(move |store| store.remove_row(&domain)).await
    }

    async fn questions_due(
        &self,
        now: u64,
        limit: usize,
    ) -> Result<Vec<(Domain, Ground)>, StoreError> {
        self.write(move |store| store.find_due(now, limit)).await
    }

    async fn claim_question(
        &self,
        domain: &Domain,
        due: u64,
        next: u64,
    ) -> Result<bool, StoreError> {
        let domain = domain.clone();
        self.write(move |store| store.claim(&domain, due, next)).await
    }

    async fn settle_question(
        &self,
        domain: &Domain,
        settled: Settled,
    ) -> Result<Option<DomainRow>, StoreError> {
        let domain = domain.clone();
        self.write(move |store| store.settle(&domain, settled)).await
    }

    async fn touch(&self, uses: &[DomainUse]) -> Result<(), StoreError> {
        let uses = uses.to_vec();
        self.write(move |store| store.touch(&uses)).await
    }

    async fn create_route(&self, route: &StaticRoute) -> Result<StaticRoute, StoreError> {
        if route.is_open_route() {
            return Err(StoreError::OpenRoute);
        }
        let route = route.clone();
        self.write(move |store| {
            let created = StaticRoute { id: store.next_route_id()?, version: 1, ..route };
            store.write_route(created.id, 0, Some(&created))?;
            Ok(created)
        })
        .await
    }

    async fn update_route(&self, route: &StaticRoute) -> Result<StaticRoute, StoreError> {
        check_pattern(route)?;
        let updated = StaticRoute { version: route.version + 1, ..route.clone() };
        self.write(move |store| {
            store.write_route(updated.id, updated.version - 1, Some(&updated))?;
            Ok(updated)
        })
        .await
    }

    async fn delete_route(&self, id: u32, version: u64) -> Result<(), StoreError> {
        if id == record::OPEN_ROUTE_ID {
            return Err(StoreError::OpenRoute);
        }
        self.write(move |store| store.write_route(id, version, None)).await
    }

    async fn set_blocked(&self, pattern: &DomainPattern, blocked: bool) -> Result<(), StoreError> {
        let name = pattern.to_string();
        self.write(move |store| store.set_member(writing::BLOCKED, "blocked", &name, blocked)).await
    }

    async fn set_pinned(&self, domain: &Domain, pinned: bool) -> Result<(), StoreError> {
        let name = domain.to_string();
        self.write(move |store| store.set_member(writing::PINNED, "pinned", &name, pinned)).await
    }

    async fn record(&self, table: Table, key: &str) -> Result<Option<String>, StoreError> {
        let key = key.to_owned();
        self.read(move |store| store.record(table, &key)).await
    }

    async fn records(&self, table: Table) -> Result<Vec<(String, String)>, StoreError> {
        self.read(move |store| store.records(table)).await
    }

    async fn write_record(
        &self,
        table: Table,
        key: &str,
        expected: Option<u64>,
        json: Option<&str>,
    ) -> Result<Written, StoreError> {
        let (key, json) = (key.to_owned(), json.map(str::to_owned));
        self.write(move |store| store.write_record(table, &key, expected, json.as_deref())).await
    }

    async fn add_audit(&self, json: &str) -> Result<(), StoreError> {
        let json = json.to_owned();
        self.write(move |store| store.add_audit(&json)).await
    }

    async fn audit(
        &self,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Vec<(u64, String)>, StoreError> {
        self.read(move |store| store.audit(before, limit)).await
    }
}

/// Whether a file of this name in the store's folder is of ours.
fn is_ours(name: &OsStr) -> bool {
    name == FILE || name == seal::WITHIN || name.to_string_lossy().starts_with(BESIDE)
}

/// What the file does not do.
fn failed(error: impl Into<redb::Error>) -> StoreError {
    match error.into() {
        redb::Error::Io(error) if error.kind() != ErrorKind::InvalidData => {
            StoreError::Unwritable(error.to_string())
        }
        redb::Error::PreviousIo => StoreError::Unwritable("its disk has failed".to_owned()),
        other => StoreError::Damaged(other.to_string()),
    }
}

/// What was asked of the file has ended in a panic.
fn lost(error: tokio::task::JoinError) -> StoreError {
    StoreError::Damaged(error.to_string())
}
