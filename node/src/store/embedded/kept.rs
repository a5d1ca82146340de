//! The file of an embedded store. After a fault of its disk the library does nothing more with it;
//! opened again, it is as the last change that succeeded left it.

use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock};

use redb::{Database, DatabaseError};
use tokio_util::sync::DropGuard;

use super::failed;
use crate::private;
use crate::store::{Closed, StoreError};

/// Pages of the file that are kept in memory, in bytes; the library would take a gigabyte.
const CACHE: usize = 32 << 20;

/// The database, and who waits for its end. To be used where waiting is allowed.
#[derive(Debug)]
pub(super) struct Kept {
    file: PathBuf,
    /// None between a fault and the next use.
    database: RwLock<Option<Database>>,
    /// Dropped after the database, which is no longer locked then.
    closed: DropGuard,
}

impl Kept {
    pub(super) fn open(file: PathBuf) -> Result<Self, StoreError> {
        let database = RwLock::new(Some(open(&file)?));
        Ok(Self { file, database, closed: Closed::new().drop_guard() })
    }

    pub(super) fn closed(&self) -> Closed {
        self.closed.token().clone()
    }

    /// Runs `run` on the database, which is opened again if its disk had failed.
    pub(super) fn with<T>(
        &self,
        run: impl FnOnce(&Database) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.open_again()?;
        let kept = self.database.read().unwrap_or_else(PoisonError::into_inner);
        let Some(database) = kept.as_ref() else {
            return Err(StoreError::Unwritable("its disk has failed".to_owned()));
        };
        let done = run(database);
        drop(kept);
        if matches!(done, Err(StoreError::Unwritable(_))) {
            *self.database.write().unwrap_or_else(PoisonError::into_inner) = None;
        }
        done
    }

    fn open_again(&self) -> Result<(), StoreError> {
        if self.database.read().unwrap_or_else(PoisonError::into_inner).is_some() {
            return Ok(());
        }
        let mut kept = self.database.write().unwrap_or_else(PoisonError::into_inner);
        if kept.is_none() {
            *kept = Some(open(&self.file)?);
        }
        Ok(())
    }
}

fn open(file: &Path) -> Result<Database, StoreError> {
    // The library would let everybody read what it creates; it takes an empty file for none.
    let in_words = |error: &dyn std::error::Error| format!("{}: {error}", file.display());
    private::file(file).map_err(|error| StoreError::Unwritable(in_words(&error)))?;
    let opened = Database::builder().set_cache_size(CACHE).create(file);
    opened.map_err(|error| match error {
        DatabaseError::DatabaseAlreadyOpen => StoreError::Locked(file.display().to_string()),
        other => match failed(other) {
            StoreError::Unwritable(cause) => StoreError::Unwritable(cause),
            other => StoreError::Damaged(in_words(&other)),
        },
    })
}
