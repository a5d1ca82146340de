//! A million rows in some 70 MB: a name and where it came from, nothing else.
//! The store has the rest.

use std::hash::{BuildHasher, Hasher};

use foldhash::fast::FixedState;
use hashbrown::HashTable;
use openfed_proto::route::Origin;

/// The first byte is the origin, the rest the name: one word less per row than
/// a pair would take.
type Row = Box<[u8]>;

#[derive(Debug)]
pub(crate) struct Table {
    rows: HashTable<Row>,
    hasher: FixedState,
}

impl Table {
    pub(crate) fn new(seed: u64) -> Self {
        Self::with_capacity(seed, 0)
    }

    pub(crate) fn with_capacity(seed: u64, rows: usize) -> Self {
        Table { rows: HashTable::with_capacity(rows), hasher: FixedState::with_seed(seed) }
    }

    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    pub(crate) fn get(&self, name: &str) -> Option<Origin> {
        let hash = hash(&self.hasher, name.as_bytes());
        self.rows.find(hash, |row| self::name(row) == name.as_bytes()).map(|row| origin(row))
    }

    /// Sets the row; returns the origin it had before.
    pub(crate) fn insert(&mut self, name: &str, origin: Origin) -> Option<Origin> {
        let hash_of_name = hash(&self.hasher, name.as_bytes());
        let same = |row: &Row| self::name(row) == name.as_bytes();
        if let Some(row) = self.rows.find_mut(hash_of_name, same) {
            let old = self::origin(row);
            if let Some(first) = row.first_mut() {
                *first = mark(origin);
            }
            return Some(old);
        }
        let row: Row = std::iter::once(mark(origin)).chain(name.bytes()).collect();
        let hasher = &self.hasher;
        self.rows.insert_unique(hash_of_name, row, |row| hash(hasher, self::name(row)));
        None
    }

    /// Removes the row; returns whether there was one.
    pub(crate) fn remove(&mut self, name: &str) -> bool {
        let hash = hash(&self.hasher, name.as_bytes());
        match self.rows.find_entry(hash, |row| self::name(row) == name.as_bytes()) {
            Ok(found) => {
                found.remove();
                true
            }
            Err(_) => false,
        }
    }
}

fn hash(hasher: &FixedState, name: &[u8]) -> u64 {
    let mut state = hasher.build_hasher();
    state.write(name);
    state.finish()
}

fn name(row: &[u8]) -> &[u8] {
    row.get(1..).unwrap_or_default()
}

fn mark(origin: Origin) -> u8 {
    match origin {
        Origin::Configured => b'c',
        Origin::Discovered => b'd',
    }
}

fn origin(row: &[u8]) -> Origin {
    if row.first() == Some(&b'c') { Origin::Configured } else { Origin::Discovered }
}
