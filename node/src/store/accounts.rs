//! Who may use the API: users, API tokens, sessions; and what they changed. Small tables of JSON
//! records, each with a version, which both stores keep alike.

use std::fmt;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::{Store, StoreError};

/// Entries of the audit that are kept, about.
pub(super) const AUDIT: u64 = 10_000;

/// A small table: a key and a JSON object with the field `version` in each row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Table {
    /// By name; comes with snapshots and changes.
    Users,
    /// By id; comes with snapshots and changes.
    Tokens,
    /// By the digest of their ids. Read one by one, and not in the log of changes.
    Sessions,
    /// Why a domain is blocked or pinned, by list and domain.
    Notes,
}

impl Table {
    /// The kind under which its changes are logged, if they are.
    pub(super) fn kind(self) -> &'static str {
        match self {
            Self::Users | Self::Tokens => "access",
            Self::Sessions | Self::Notes => "",
        }
    }
}

/// What became of a record that was to be written or removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// It is so now.
    Done,
    /// Somebody else changed it in the meantime, to this version.
    Conflict(u64),
    /// It is not there.
    Missing,
}

/// Somebody who logs in with a password.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// Unique; lower case.
    pub name: String,
    /// Of the password, as a PHC string.
    pub hash: String,
    /// `viewer` or `administrator`.
    pub role: String,
    /// Seconds since the Unix epoch.
    pub created: u64,
    /// Changes with the password: sessions of another epoch are over.
    pub epoch: String,
    /// The password is for one log-in, which must change it.
    pub one_time: bool,
    /// Counts changes, from 1.
    pub version: u64,
}

/// What a program shows instead of a password.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    /// Unique.
    pub id: String,
    /// What it is for, in the operator's words.
    pub name: String,
    /// SHA-256 of the secret, in hexadecimal.
    pub digest: String,
    /// What it may do.
    pub scopes: Vec<String>,
    /// Seconds since the Unix epoch.
    pub created: u64,
    /// The same, to the hour; 0: never used.
    pub last_used: u64,
    /// Counts changes, from 1.
    pub version: u64,
}

/// A log-in that goes on.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// SHA-256 of the id that the browser has, in hexadecimal.
    pub digest: String,
    /// Whose it is.
    pub user: String,
    /// [`User::epoch`] when it began.
    pub epoch: String,
    /// What its requests for changes must show.
    pub csrf: String,
    /// Seconds since the Unix epoch.
    pub created: u64,
    /// The last request, to the minute.
    pub seen: u64,
    /// Counts changes, from 1.
    pub version: u64,
}

/// A record that has been told apart from others by a key and a version.
pub trait Record: Serialize + DeserializeOwned + Send + Sync {
    /// Where it is kept.
    const TABLE: Table;
    /// Its key there.
    fn key(&self) -> &str;
    /// Its version.
    fn version(&self) -> u64;
    /// The same at another version.
    #[must_use]
    fn at_version(&self, version: u64) -> Self;
}

macro_rules! record {
    ($type:ident, $table:ident, $key:ident) => {
        impl Record for $type {
            const TABLE: Table = Table::$table;
            fn key(&self) -> &str {
                &self.$key
            }
            fn version(&self) -> u64 {
                self.version
            }
            fn at_version(&self, version: u64) -> Self {
                Self { version, ..self.clone() }
            }
        }

        impl fmt::Debug for $type {
            // A digest or hash is no secret, but nobody's business either.
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($type), "({}…)"), &self.$key[..self.$key.len().min(8)])
            }
        }
    };
}

record!(User, Users, name);
record!(Token, Tokens, id);
record!(Session, Sessions, digest);

impl dyn Store + '_ {
    /// Writes a record whose version follows the one in the store (1: there is none).
    ///
    /// # Errors
    /// If the store does not answer.
    pub async fn put<T: Record>(&self, record: &T) -> Result<Written, StoreError> {
        let expected = record.version().checked_sub(1);
        let json = serde_json::to_string(record)
            .map_err(|_| StoreError::Damaged("a record that cannot be written".to_owned()))?;
        self.write_record(T::TABLE, record.key(), expected, Some(&json)).await
    }

    /// Removes a record, whatever its version.
    ///
    /// # Errors
    /// If the store does not answer.
    pub async fn remove<T: Record>(&self, key: &str) -> Result<Written, StoreError> {
        self.write_record(T::TABLE, key, None, None).await
    }

    /// One record; none if there is none, or it was not written by us.
    ///
    /// # Errors
    /// If the store does not answer.
    pub async fn find<T: Record>(&self, key: &str) -> Result<Option<T>, StoreError> {
        Ok(self.record(T::TABLE, key).await?.and_then(|json| decode(&json)))
    }

    /// All records of a table, in no order.
    ///
    /// # Errors
    /// If the store does not answer.
    pub async fn all<T: Record>(&self) -> Result<Vec<T>, StoreError> {
        let records = self.records(T::TABLE).await?;
        Ok(records.iter().filter_map(|(_, json)| decode(json)).collect())
    }
}

/// A record that was written by us. One that was not must not stop everything else.
pub(super) fn decode<T: DeserializeOwned>(json: &str) -> Option<T> {
    let read = serde_json::from_str(json);
    if read.is_err() {
        // The error of serde would name values.
        tracing::warn!("a record in the store cannot be read: left out");
    }
    read.ok()
}

/// The records of the small tables, in order.
pub(super) fn decode_all<T: Record>(records: &[String]) -> Vec<T> {
    let mut all: Vec<T> = records.iter().filter_map(|json| decode(json)).collect();
    all.sort_by(|a, b| a.key().cmp(b.key()));
    all
}

/// The version of a record's JSON; 0 if it has none.
pub(super) fn version(json: &str) -> u64 {
    #[derive(Deserialize)]
    struct Versioned {
        #[serde(default)]
        version: u64,
    }
    serde_json::from_str::<Versioned>(json).map_or(0, |found| found.version)
}
