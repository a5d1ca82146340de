//! A million rows in 75 MB: names and where they came from, nothing else. The store has the rest.

use std::hash::BuildHasher;

use foldhash::fast::FixedState;
use hashbrown::HashTable;
use openfed_proto::domain::Domain;
use openfed_proto::route::Origin;

/// Parts of the table. It grows part by part, so that no packet waits until a million rows have
/// moved; and so many, that a million rows fill each of them nearly to where it would grow again.
const PARTS: u64 = 80;

const ORIGINS: [Origin; 2] = [Origin::Discovered, Origin::Configured];

/// The domain table, as far as routing needs it. Whoever reads the store makes it, beside the
/// packets; the router takes it over as it is.
#[derive(Clone, Debug)]
pub struct Rows {
    parts: Box<[Part]>,
    hasher: FixedState,
    count: usize,
}

/// A set per origin costs a third less than one map with the origin beside each name.
#[derive(Clone, Debug, Default)]
struct Part {
    configured: HashTable<Domain>,
    discovered: HashTable<Domain>,
}

impl Rows {
    /// No rows; `seed` is that of the hashing.
    pub fn new(seed: u64) -> Self {
        let parts = (0..PARTS).map(|_| Part::default()).collect();
        Rows { parts, hasher: FixedState::with_seed(seed), count: 0 }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The origin of the domain's row, if it has one.
    pub fn get(&self, domain: &Domain) -> Option<Origin> {
        let hash = self.hasher.hash_one(domain);
        let part = self.parts.get(part_of(hash))?;
        ORIGINS.into_iter().find(|origin| part.of(*origin).find(hash, |it| it == domain).is_some())
    }

    /// The domains of all rows, in no order.
    pub fn domains(&self) -> impl Iterator<Item = &Domain> {
        self.parts.iter().flat_map(|part| part.configured.iter().chain(&part.discovered))
    }

    /// Sets the row; returns the origin it had before.
    pub fn insert(&mut self, domain: Domain, origin: Origin) -> Option<Origin> {
        let Self { parts, hasher, count } = self;
        let hash = hasher.hash_one(&domain);
        let part = parts.get_mut(part_of(hash))?;
        if part.of(origin).find(hash, |it| *it == domain).is_some() {
            return Some(origin);
        }
        let before = part.remove(hash, &domain);
        part.of_mut(origin).insert_unique(hash, domain, |it| hasher.hash_one(it));
        *count += usize::from(before.is_none());
        before
    }

    /// Removes the row; returns whether there was one.
    pub fn remove(&mut self, domain: &Domain) -> bool {
        let hash = self.hasher.hash_one(domain);
        let part = self.parts.get_mut(part_of(hash));
        let removed = part.is_some_and(|part| part.remove(hash, domain).is_some());
        self.count -= usize::from(removed);
        removed
    }
}

impl Part {
    fn remove(&mut self, hash: u64, domain: &Domain) -> Option<Origin> {
        ORIGINS.into_iter().find(|origin| {
            let found = self.of_mut(*origin).find_entry(hash, |it| it == domain);
            found.is_ok_and(|row| {
                row.remove();
                true
            })
        })
    }

    fn of(&self, origin: Origin) -> &HashTable<Domain> {
        match origin {
            Origin::Configured => &self.configured,
            Origin::Discovered => &self.discovered,
        }
    }

    fn of_mut(&mut self, origin: Origin) -> &mut HashTable<Domain> {
        match origin {
            Origin::Configured => &mut self.configured,
            Origin::Discovered => &mut self.discovered,
        }
    }
}

/// By bits of the hash that the parts themselves do not look at: they take the lowest ones for the
/// place and the highest seven for the tag.
fn part_of(hash: u64) -> usize {
    let middle = (hash >> 24) & 0xffff_ffff;
    usize::try_from((middle * PARTS) >> 32).unwrap_or(0)
}

impl PartialEq for Rows {
    fn eq(&self, other: &Self) -> bool {
        let same =
            |part: &Part, origin| part.of(origin).iter().all(|it| other.get(it) == Some(origin));
        let same = |part| same(part, Origin::Configured) && same(part, Origin::Discovered);
        self.count == other.count && self.parts.iter().all(same)
    }
}

impl Extend<(Domain, Origin)> for Rows {
    fn extend<T: IntoIterator<Item = (Domain, Origin)>>(&mut self, rows: T) {
        for (domain, origin) in rows {
            self.insert(domain, origin);
        }
    }
}
